"""Policies written by hand: every kind of slip names file, line and what to do, and nothing of the file is taken."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from syncgov.errors import InputError
from syncgov.importers.files import read_lines
from syncgov.importers.tables import load
from syncgov.publish.publish import publish
from syncgov.storage.files import read_register
from tests.helpers import World
from tests.publish.reading import cells

POLICY = Path(__file__).parents[2] / "syncgov" / "registers" / "policy.yml"
GOOD = """\
# 政策
- code: ZC-01
  title: 低保申请指南
  effective_from: 2026-1-5
  materials: [申请书, '=1+1']
  phone: '09380000306'
  example: true
- code: ZC-02
  title: 临时救助
  theme:
"""
PAGE = "---\ncode: ZC-03\ntitle: 医疗救助\n---\n\n到街道办。\n\n---\n第二段。\n"

# what was typed instead of what -> line, what is said of it, what to do
SLIPS = {
    "bad indentation": ("  title: 低保", "   title: 低保", 3, "不是有效的 YAML", "缩进"),
    "tab": ("  title: 低保", "\ttitle: 低保", 3, "不是有效的 YAML", "制表符"),
    "duplicate key": ("  theme:\n", "  theme: 救助\n  theme: 医疗\n", 11, "重复", "删去其中一个"),
    "unknown key": ("  theme:", "  themes:", 10, "没有“themes”这一栏", "可用"),
    "wrong type": ("example: true", "example: 也许", 7, "应为是或否", "是或否"),
    "a list for a text": ("title: 临时救助", "title: [临时, 救助]", 9, "应为文字", "“标题”"),
    "bad date": ("2026-1-5", "2026-02-30", 4, "应为真实日期", "如 2026-11-21"),
    "number with a zero": ("'09380000306'", "0730", 6, "会被当成别的东西", "引号"),
    "YAML's own no": ("example: true", "example: no", 7, "true 或 false", "true 或 false"),
    "sixty-based": ("低保申请指南", "12:30", 3, "会被当成别的东西", "引号"),
    "missing required": ("  title: 临时救助\n", "", 8, "“标题”（title）必填", "必填"),
    "missing key": ("- code: ZC-02\n  title", "- title", 8, "缺少“政策编号”", "政策编号"),
    "key twice": ("ZC-02", "ZC-01", 8, "与第 2 行重复", "ZC-01"),
    "alias": ("title: 低保申请指南", "title: &a 低保", 3, "不能用锚点和别名", "写全"),
    "tag": ("title: 低保申请指南", "title: !!python/object:os.system 低保", 3, "不能用标签", "删去标签"),
    "control": ("低保申请指南", "低\x07保", 3, "不可见字符", "重新输入"),
    "not NFC": ("低保申请指南", "e\u0301", 3, "非规范", "重新输入"),
    "no mapping": ("- code: ZC-02\n  title: 临时救助\n  theme:\n", "- ZC-02\n", 8, "键: 值", "{键: 值}"),
    "open quote": ("'09380000306'", "'0938", 0, "不是有效的 YAML", "引号"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A centre with the shipped register of policies."""
    with World.make(tmp_path_factory.mktemp("world"), [read_register(POLICY)]) as made:
        yield made


def write(folder: Path, name: str, text: str | bytes) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(world: World, path: Path) -> str:
    """Return what is said of a file, of which nothing was taken."""
    size = world.centre.ledger.size
    with pytest.raises(InputError) as error:
        load(world.centre.path, "policy", path)
    assert world.centre.ledger.size == size
    assert path.name in error.value.zh
    assert path.name in error.value.en
    return error.value.zh


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_named_with_its_line_and_remedy(world: World, tmp_path: Path, name: str) -> None:
    """In a list of policies; with line ends of Windows and a mark at the start the line is the same."""
    right, wrong, line, said, remedy = SLIPS[name]
    assert GOOD.count(right) == 1
    text = GOOD.replace(right, wrong)
    for raw in (text.encode(), b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()):
        told = refused(world, write(tmp_path, "policies.yml", raw))
        assert said in told
        assert remedy in told
        assert f"第 {line} 行" in told or line == 0


BOMB = "a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]\n"
PAGES = {
    "no front matter": ("# 医疗救助\n", 1, "第一行写 ---"),
    "no end": ("---\ncode: ZC-03\ntitle: 医疗\n", 1, "加一行 ---"),
    "bad YAML inside": (PAGE.replace("title: ", "title "), 3, "缩进、冒号和引号"),
    "unknown key": (PAGE.replace("title", "titel"), 3, "可用"),
    "bad date": (PAGE.replace("code: ZC-03", "code: ZC-03\nnext_review: 2026-13-01"), 3, "真实日期"),
    "text twice": (PAGE.replace("title: 医疗救助", "title: 医疗救助\nsummary: 甲"), 2, "正文没有地方放"),
    "empty": ("\n \n", 1, "栏: 值"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_slip_in_a_markdown_file_is_named(world: World, tmp_path: Path, name: str) -> None:
    """The line is that of the file, not of the part between the marks."""
    text, line, remedy = PAGES[name]
    told = refused(world, write(tmp_path, "policy.md", text))
    assert f"第 {line} 行" in told
    assert remedy in told


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("p.yml", "- code: 甲\n  title: 低保\n".encode("gb18030"), "第 1 行不是 UTF-8"),
        ("p.md", PAGE.encode("utf-16"), "第 1 行不是 UTF-8"),
        ("p.yml", BOMB.encode(), "第 1 行：不能用锚点和别名"),
        ("p.yml", b"", "文件是空的"),
        ("p.yml", b"# nothing\n", "文件是空的"),
        ("p.yml", b"[" * 100_000, "嵌套"),
        ("p.yml", b"a: " + b"x" * 300_000, "分成几个文件"),
        ("p.yml", b"- key: 1\n---\n- key: 2\n", "不是有效的 YAML"),
        ("p.txt", b"x", ".yml"),
    ],
)
def test_what_is_no_such_file_is_named(world: World, tmp_path: Path, name: str, raw: bytes, said: str) -> None:
    """Other encodings, bombs, nothing, several documents: a sentence, at once."""
    assert said in refused(world, write(tmp_path, name, raw))


def test_good_files_are_taken_and_bad_ones_leave_the_site(world: World, tmp_path: Path) -> None:
    """YAML and Markdown with any line ends become rows; what is published stays after a bad file."""
    assert load(world.centre.path, "policy", write(tmp_path, "policies.yml", GOOD)).rows == 2
    windows = b"\xef\xbb\xbf" + PAGE.replace("\n", "\r\n").encode()
    assert load(world.centre.path, "policy", write(tmp_path, "a.md", windows)).changesets == 1
    out = tmp_path / "out"
    publish(world.centre, out, portal=False)
    rows = cells(out, "SELECT key, title, effective_from, materials, phone, example, summary FROM policy ORDER BY key")
    assert rows == [
        ("ZC-01", "低保申请指南", "2026-01-05", '["申请书","=1+1"]', "09380000306", 1, None),
        ("ZC-02", "临时救助", None, None, None, None, None),
        ("ZC-03", "医疗救助", None, None, None, None, "到街道办。\n\n---\n第二段。"),
    ]
    refused(world, write(tmp_path, "bad.yml", GOOD.replace("ZC-01", "ZC-09").replace("2026-1-5", "昨天")))
    publish(world.centre, out, portal=False)
    assert [key for (key,) in cells(out, "SELECT key FROM policy ORDER BY key")] == ["ZC-01", "ZC-02", "ZC-03"]


def test_values_are_what_was_typed(tmp_path: Path) -> None:
    """Nothing turns into a date, an octal number or a truth by itself."""
    path = write(tmp_path, "a.yml", "a: 1\nb: -0.50\nc: 2026-01-05\nd: ~\ne: {x: [1, 'no']}\nf: '01'\ng: false\n")
    (line,) = read_lines(path)
    assert line.cells == {
        "a": 1, "b": Decimal("-0.50"), "c": "2026-01-05", "d": None, "e": {"x": [1, "no"]}, "f": "01", "g": False,
    }  # fmt: skip
    assert [line.at(name) for name in "abcdefg"] == [1, 2, 3, 4, 5, 6, 7]
