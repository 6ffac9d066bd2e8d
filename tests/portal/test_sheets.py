"""Notice-board sheets: what stands on them, which months, and their PDF."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import segno

from portal import communities, print_sheets, sheets
from portal.errors import PortalError
from portal.site import Site
from portal.source import open_source
from tests.portal.public_db import EAST, WEST, make_public_db

ADDRESS = "https://town.example/portal"


@pytest.fixture(scope="module")
def public_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public.db with hostile rows and a real root hash."""
    folder = tmp_path_factory.mktemp("public")
    return make_public_db(folder / "public.db", root="q80SNFZ4kKvNEjRWeJCrzRI0VniQq80SNFZ4kKvNEjQ=")


@pytest.fixture
def site(public_db: Path) -> Iterator[Site]:
    """The data of that public.db, of a site whose address is known."""
    with open_source(public_db) as source:
        yield Site(source, address=ADDRESS)


def test_sheet_has_figures_rows_hash_and_code(site: Site) -> None:
    """The month's figures are marked, its rows listed, the hash is in groups of four, the code leads to the page."""
    html = sheets.sheet(site, EAST, "2026-11")
    assert f'<td><span data-figure="lamp_all/_community _month/{EAST} 2026-11">7</span></td>' in html
    assert f'<span data-figure="lamp_rate/_community/{EAST}">93.3% (280/300)</span>' in html
    assert "不分月" in html  # the rate is given by community, not by month
    assert "本月报修" in html
    assert html.count("号灯杆") == sheets.ROWS
    assert "还有一些写不下" in html
    groups = re.findall(r"<span>([0-9a-f]{4})</span>", html)
    assert "".join(groups) == ("abcd1234567890" * 5)[:64]
    assert f"{ADDRESS}/community/{EAST}.html" in html
    path = re.search(r' d="([^"]+)"', segno.make(f"{ADDRESS}/community/{EAST}.html", error="m").svg_inline(border=4))
    assert path is not None
    assert path.group(1) in html
    assert "演示数据" in html
    assert "<script" not in html


def test_each_month_has_its_own_row(site: Site) -> None:
    """The item of the month changes from month to month; the same month always has the same one."""
    titles = [re.findall(r"<h3>(.*?)</h3>", sheets.sheet(site, EAST, month)) for month in ("2026-10", "2026-11")]
    assert titles[0] != titles[1]
    assert titles[1] == re.findall(r"<h3>(.*?)</h3>", sheets.sheet(site, WEST, "2026-11"))


def test_site_has_the_newest_months_and_links_them(site: Site) -> None:
    """Three months of each community; the community's page leads to them."""
    paths = [path for path, _ in sheets.site_sheets(site)]
    assert len(paths) == 2 * sheets.MONTHS
    body = communities.community_page(site, EAST).body
    assert f'<a href="../sheet/{EAST}-2026-11.html">2026年11月</a>' in body
    assert f'data-figure="lamp_rate/_community/{EAST}"' in body
    assert "办理中" in body[body.index("## 路灯现状") :]
    assert "本社区的记录里有" in body


def test_without_an_address_the_code_is_the_checkpoint(public_db: Path) -> None:
    """No address, no link: the code then holds origin, size and root."""
    with open_source(public_db) as source:
        html = sheets.sheet(Site(source), EAST, "2026-11")
    assert "/community/" not in html
    assert "二维码里是日志名、条数和根哈希" in html


@pytest.mark.parametrize(
    ("month", "community", "said"), [("2019-01", "", "no figures of 2019-01"), ("", "1", "no community 1")]
)
def test_unknown_month_and_community_are_named(
    site: Site, tmp_path: Path, month: str, community: str, said: str
) -> None:
    """What is not published cannot be printed; the message lists what can."""
    with pytest.raises(PortalError, match=said):
        print_sheets.print_sheets(site, tmp_path, month, community, "A4")


def test_bad_address_is_refused(public_db: Path) -> None:
    """A script is no address."""
    with open_source(public_db) as source, pytest.raises(PortalError):
        Site(source, address="javascript:alert(1)")


@pytest.mark.browser
def test_a_browser_makes_one_page_of_paper(public_db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes HTML and PDF; the PDF has the size of A3 and its first page."""
    given = [str(public_db), str(tmp_path), "--community", WEST, "--paper", "A3", "--pdf"]
    assert print_sheets.main(given) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / f"{WEST}-2026-11.{end}") for end in ("html", "pdf")]
    pdf = (tmp_path / f"{WEST}-2026-11.pdf").read_bytes()
    size = re.search(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", pdf)
    assert size is not None
    assert (round(float(size[1])), round(float(size[2]))) == (842, 1191)


def test_no_browser_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a browser the HTML is there, and the message says what to do with it."""
    monkeypatch.setattr(print_sheets, "BROWSERS", ("no-such-browser",))
    with pytest.raises(PortalError, match="open it in any browser"):
        print_sheets.find_browser()
