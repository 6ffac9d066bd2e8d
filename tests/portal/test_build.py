"""One real strict build of hostile data, looked at file by file."""

import html
import json
import re
import sqlite3
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit
from xml.etree import ElementTree

import pytest

from portal import build as building
from portal.build import build, loads_from_elsewhere, main
from portal.errors import PortalError
from portal.not_found import not_found
from portal.site import Site
from portal.source import open_source
from tests.portal.public_db import HOSTILE, make_public_db

_ATOM_LINK = "{http://www.w3.org/2005/Atom}link"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder with public.db and the built portal."""
    folder = tmp_path_factory.mktemp("published")
    build(make_public_db(folder / "public.db"), folder / "portal")
    return folder


class _Links(HTMLParser):
    """Collects the addresses that a page links or loads, and the ids that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        self.ids |= {value for name, value in attrs if name in ("id", "name") and value}
        self.scripts += tag == "script"
        assert not [name for name, _ in attrs if name.startswith("on")], "no event handlers"


def read(path: Path) -> _Links:
    """Return what the page at *path* links."""
    parser = _Links()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def records_of(site: Path) -> set[str]:
    """Return the addresses of the rows that the page for all records can show."""
    parts = [path.read_text(encoding="utf-8") for path in (site / "find" / "m").glob("*.js")]
    return {address for part in parts for address, _ in json.loads(part.split(",", 2)[2].removesuffix(")\n"))}


def test_no_page_loads_from_another_host(published: Path) -> None:
    """Neither pages nor style sheets nor the theme's script name another host to load from."""
    site = published / "portal"
    assert loads_from_elsewhere(site) == []
    assert len(list(site.rglob("*.html"))) > len(HOSTILE)
    assert not [path for path in site.rglob("*.js") if "unpkg.com" in path.read_text(encoding="utf-8")]


def test_the_steps_of_the_protocol_page_are_numbered(published: Path) -> None:
    """Programs cite the steps by number, so the page must print them: each is an item of one list."""
    page = (published / "portal" / "spec" / "protocol.html").read_text(encoding="utf-8")
    parts = re.split(r'<h2 id="([a-z]+)">', page)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    steps = {"canonical": 4, "body": 5, "publication": 3, "sync": 5, "intake": 16, "merging": 3}
    for name, number in steps.items():
        lists = re.findall(r"<ol>(.*?)</ol>", sections[name], re.DOTALL)
        assert [each.count("<li>") for each in lists] == [number], name
    assert re.findall(r"<li>\s*Area, old", sections["intake"])


def test_planted_load_is_found(tmp_path: Path) -> None:
    """The check sees scripts, images, styles and protocol-relative addresses, and ignores links."""
    (tmp_path / "a.html").write_text(
        '<a href="https://ok.example/">x</a><script async src="https://x.example/s.js"></script>'
        "<img alt='' src=//x.example/i.png><link rel=stylesheet href='http://x.example/c.css'>"
    )
    (tmp_path / "a.css").write_text("@import 'https://x.example/'; a{background:url( \"//x.example/i\")}")
    assert len(loads_from_elsewhere(tmp_path)) == 5
    with pytest.raises(PortalError, match=r"a\.html"):
        building.finish(tmp_path)


def test_figures_are_marked_with_their_exact_text(published: Path) -> None:
    """Each data-figure in the HTML reads exactly as its table says, and every figure appears; of months the newest."""
    with sqlite3.connect(published / "public.db") as conn:
        figures = dict(conn.execute("SELECT id, text FROM figure"))
        parts = dict(conn.execute("SELECT figure || '/' || \"by\" || '/' || part, text FROM figure_part"))
    conn.close()
    found = [
        (name, html.unescape(text))
        for page in (published / "portal").rglob("*.html")
        for name, text in re.findall(r'<span data-figure="([^"]+)">([^<]*)</span>', page.read_text(encoding="utf-8"))
    ]
    assert all((figures | parts)[name] == text for name, text in found)
    assert set(figures) <= {name for name, _ in found}
    assert {name for name in parts if "_month" not in name} <= {name for name, _ in found}
    assert len(found) > 3 * len(figures) + len(parts) / 2


def test_every_page_says_demonstration_and_as_of(published: Path) -> None:
    """The banner and the as-of time are on every page, hand-written ones too."""
    for page in (published / "portal").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'class="sg-notice"' in text, page
        assert "截至2026年11月21日 18:30" in text, page
        language = "en" if page.parent.name == "en" else "zh-CN"
        assert f'<html lang="{language}"' in text, page


def test_no_link_inside_the_portal_is_dead(published: Path) -> None:
    """Each relative link leads to a file; those that leave the portal lead to evidence, the log or Datasette."""
    site, outside, checked = (published / "portal").resolve(), set(), 0
    shown, records = records_of(site), 0
    for page in site.rglob("*.html"):
        for link in read(page).links:
            address, fragment = urldefrag(link)
            if urlsplit(link).scheme:
                assert urlsplit(link).scheme in ("tel", "https"), link
                continue
            target = (page.parent / unquote(urlsplit(address).path)).resolve() if address else page
            if not target.is_relative_to(site):
                outside.add(target.relative_to(published.resolve()).parts[0])
                continue
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{page}: {link}"
            if target.name == "check.html" and fragment.startswith(".."):  # the file that this page is to check
                evidence = (site / unquote(fragment)).resolve().relative_to(published.resolve())
                assert evidence.parts[:2] == ("log", "proofs"), link
                checked += 1
            elif target.name == "record.html" and "/" in fragment:  # the row that this page is to show
                assert unquote(fragment) in shown, link
                records += 1
            elif fragment and target.suffix == ".html" and not fragment.startswith("__"):
                assert unquote(fragment) in read(target).ids, f"{page}: {link}"
    assert outside == {"log", "public", "data"}
    assert checked > 5
    assert records > 100


def test_an_address_that_is_not_there_leads_home(published: Path) -> None:
    """The page for it loads nothing, because it is shown at any depth; it leads to the address that is known."""
    page = (published / "portal" / "404.html").read_text(encoding="utf-8")
    assert 'id="home" href="index.html"' in page
    assert "<link" not in page
    assert " src=" not in page
    with open_source(published / "public.db") as source:
        known = not_found(Site(source, address="https://town.example/open/portal/"))
    assert 'id="home" href="https://town.example/open/portal/index.html"' in known
    assert "<script" not in known


def test_every_link_of_a_feed_leads_to_a_page(published: Path) -> None:
    """Feeds are found from the head of every page and from the page of changes; their entries lead to pages."""
    site = published / "portal"
    feeds = list((site / "feed").iterdir())
    assert {f"feed/{path.name}" for path in feeds} <= set(read(site / "news.html").links)
    links = [(path, each.attrib["href"]) for path in feeds for each in ElementTree.parse(path).iter(_ATOM_LINK)]
    assert len(links) > 100
    for path, address in links:
        assert (path.parent / unquote(address.partition("#")[0])).resolve().is_file(), address
    assert "../record.html#lamp/lamp-000" in {address for _, address in links}
    head = '<link rel="alternate" type="application/atom+xml"'
    pages = [page for page in site.rglob("*.html") if not {"sheet", "404.html"} & set(page.parts)]  # they stand alone
    assert all(head in page.read_text(encoding="utf-8") for page in pages)


def test_hostile_rows_add_no_script(published: Path) -> None:
    """A page of hostile rows has exactly the scripts that a harmless page has, and hostile titles are text."""
    site = published / "portal"
    harmless = read(site / "r" / "errand" / "k-BS-01.html").scripts
    pages = list((site / "r" / "errand").glob("k-_*.html"))
    assert len(pages) == len(HOSTILE)
    assert {read(page).scripts for page in pages} == {harmless}
    assert "<script>window" not in "".join(page.read_text(encoding="utf-8") for page in site.rglob("*.html"))


def test_build_is_repeatable_and_replaces(tmp_path: Path) -> None:
    """Two builds of one database are equal byte for byte; the second replaces the first and leaves no scraps."""
    database = make_public_db(tmp_path / "public.db", hostile=[], simulated=False)
    out = tmp_path / "out" / "portal"
    build(database, out)
    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / "stale.html").write_text("old")
    build(database, out)
    after = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert before == after
    assert [path.name for path in out.parent.iterdir()] == ["portal"]
    assert b'class="sg-notice"' not in after[Path("index.html")]


def test_failed_build_leaves_the_old_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A public.db that is no database is refused on the command line; what was there stays."""
    (tmp_path / "portal").mkdir()
    (tmp_path / "portal" / "index.html").write_text("old")
    (tmp_path / "public.db").write_text("not a database at all, but long enough to be read as one" * 20)
    assert main([str(tmp_path / "public.db"), str(tmp_path / "portal")]) == 65
    assert "public.db" in capsys.readouterr().err
    assert (tmp_path / "portal" / "index.html").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["portal", "public.db"]
