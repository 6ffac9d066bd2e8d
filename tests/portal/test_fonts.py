"""Signs without a font: said before paper is wasted, on a machine whose fonts the test decides."""

import os
import stat
from pathlib import Path

import pytest

from portal import fonts, print_sheets
from portal.errors import PortalError
from portal.text import esc
from tests.portal.public_db import WEST, make_public_db

# an `fc-list` that knows one font, with the characters that the file beside it lists
FC_LIST = """#!/usr/bin/env python3
import sys
from pathlib import Path
has = set(Path(__file__).with_name("has").read_text(encoding="utf-8"))
pattern = sys.argv[1]
wanted = {chr(int(code, 16)) for code in pattern.removeprefix(":charset=").split()} if "charset" in pattern else set()
print("Some Font" if has and wanted <= has else "", end="")
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the characters of the one font that the machine seems to have."""
    tool = tmp_path / "bin/fc-list"
    tool.parent.mkdir()
    tool.write_text(FC_LIST)
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "bin/has").write_text("", encoding="utf-8")
    return tmp_path / "bin/has"


def test_signs_without_a_font_are_found(installed: Path) -> None:
    """Those, and no others; tags, styles and Latin letters are not asked for."""
    installed.write_text("一二三四五六七八九十，", encoding="utf-8")
    page = f"<style>龘</style><p title='龘'>一二，{esc('三𠮷四')}five</p>五六七鿿八九十"
    assert fonts.missing_signs(page) == ["鿿", "𠮷"]
    assert fonts.missing_signs("plain") == []
    zh, en = fonts.missing_words("a.html", ["𠮷"] * 30)
    assert "𠮷（U+20BB7）" in zh
    assert "…" in zh
    assert "fonts-hanazono" in en


def test_without_a_chinese_font_there_is_no_pdf(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names what to install; the HTML is there, a PDF of boxes is not."""
    monkeypatch.setattr(print_sheets, "find_browser", lambda: "false")
    public_db = make_public_db(tmp_path / "public.db", hostile=[])
    assert print_sheets.main([str(public_db), str(tmp_path / "out"), "--community", WEST, "--pdf"]) == 65
    said = capsys.readouterr().err
    assert "fc-list :lang=zh" in said
    assert "apt install fonts-noto-cjk" in said
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".html"]


def test_one_sign_without_a_font_is_told_and_stops_nothing(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row with a rare sign must not keep a street from printing its sheet."""
    monkeypatch.setattr(print_sheets, "find_browser", lambda: "browser")
    monkeypatch.setattr(print_sheets, "make_pdf", lambda page, _browser: page.with_suffix(".pdf"))
    public_db = make_public_db(tmp_path / "public.db", hostile=[], name="𠮷镇")
    assert print_sheets.main([str(public_db), str(tmp_path / "out"), "--community", WEST]) == 0
    (page,) = (tmp_path / "out").iterdir()
    installed.write_text(page.read_text(encoding="utf-8").replace("𠮷", ""), encoding="utf-8")
    assert print_sheets.main([str(public_db), str(tmp_path / "out"), "--community", WEST, "--pdf"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1].endswith(".pdf")
    assert len(told.err.splitlines()) == 2
    assert "𠮷（U+20BB7）" in told.err


def test_where_nothing_can_be_asked_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have no fc-list, but Chinese fonts."""
    monkeypatch.setenv("PATH", "")
    fonts.require_chinese_font()
    assert fonts.missing_signs("𠮷") == []
    with pytest.raises(PortalError):
        print_sheets.find_browser()
