"""A walk through a whole published folder: every address leads somewhere, every piece of evidence verifies."""

import json
import posixpath
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from syncgov.core.charter import Charter, open_charter
from syncgov.core.record_proof import verify_record_proof
from syncgov.demo.run import Ran
from syncgov.errors import SyncgovError

ELSEWHERE = {"creativecommons.org", "wiki.open311.org"}  # the licence, and the specification of an interface
SCHEMES = {"tel", "mailto", "data"}
ADDRESSES = ("href", "src", "poster", "action", "data", "cite", "longdesc", "xlink:href")
_CSS_URL = re.compile(r"url\(\s*[\"']?([^\"')]+)[\"']?\s*\)")
_REFRESH = re.compile(r"url=(.+)", re.IGNORECASE)


class _Reader(HTMLParser):
    """Collects the addresses in a page, and the names in it that an address can lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.names: set[str] = set()
        self._style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.addresses += [given[name] for name in ADDRESSES if name in given and (name, tag) != ("data", "data")]
        self.addresses += [part.split()[0] for part in given.get("srcset", "").split(",") if part.strip()]
        self.addresses += _CSS_URL.findall(given.get("style", ""))
        self.names |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.addresses += _REFRESH.findall(given.get("content", ""))
        self._style = tag == "style"

    def handle_data(self, data: str) -> None:
        if self._style:
            self.addresses += _CSS_URL.findall(data)


@dataclass(slots=True)
class Crawl:
    """A walk through *public*; `wrong` names each address that leads nowhere, `met` counts all by kind."""

    public: Path
    charter: Charter | None = None
    tables: frozenset[str] = frozenset()
    wrong: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    rows: set[str] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=dict)
    proven: dict[str, bool] = field(default_factory=dict)

    def run(self) -> None:
        """Read all files that have addresses, then follow each address once from each file."""
        found = sorted({*self._pages(), *self._styles(), *self._feeds(), *self._data(), *self._search()})
        for source, address in found:
            self._follow(source, address.strip())

    # where addresses stand: (file, address) -------------------------------------------------------------------------

    def _files(self, pattern: str) -> Iterator[tuple[str, Path]]:
        return ((path.relative_to(self.public).as_posix(), path) for path in sorted(self.public.rglob(pattern)))

    def _pages(self) -> Iterator[tuple[str, str]]:
        for name, path in self._files("*.html"):
            reader = _Reader()
            reader.feed(path.read_text(encoding="utf-8"))
            self.names[name] = reader.names
            yield from ((name, address) for address in reader.addresses)

    def _styles(self) -> Iterator[tuple[str, str]]:
        for name, path in self._files("*.css"):
            yield from ((name, address) for address in _CSS_URL.findall(path.read_text(encoding="utf-8")))

    def _feeds(self) -> Iterator[tuple[str, str]]:
        """Links of feeds, places of site maps, whatever else is XML: what is called href, url or loc."""
        for name, path in self._files("*.xml"):
            for element in ElementTree.parse(path).iter():
                if "href" in element.attrib:
                    yield name, element.attrib["href"]
                if element.tag.rpartition("}")[2] in ("loc", "url", "media_url") and element.text:
                    yield name, element.text

    def _data(self) -> Iterator[tuple[str, str]]:
        """The catalogue, the data package and the interface for reports, and its requests."""
        for pattern in ("data/datapackage.json", "data/dcat.jsonld", "open311/**/*.json"):
            for name, path in self._files(pattern):
                yield from ((name, address) for address in _addresses(json.loads(path.read_text(encoding="utf-8"))))

    def _search(self) -> Iterator[tuple[str, str]]:
        """What the search leads to, and the page for all records: both from the portal's root."""
        for _, path in self._files("portal/find/c/*.js"):
            yield from (("portal/find.html", card[3]) for card in _part(path))
        for _, path in self._files("portal/find/m/*.js"):
            for name, record in _part(path):
                self.rows.add(name)
                yield "portal/record.html", record["list"]
                yield from (("portal/record.html", fact[2]) for fact in record["facts"] if len(fact) > 2)
                if record["evidence"]:
                    yield "portal/record.html", f"../{record['evidence']}"

    # where they lead ------------------------------------------------------------------------------------------------

    def _follow(self, source: str, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https") or parts.netloc:
            self._see("elsewhere", parts.hostname in ELSEWHERE, source, address)
        elif parts.scheme:
            self._see(parts.scheme, parts.scheme in SCHEMES, source, address)
        elif parts.path.startswith("/"):
            self._see("root", False, source, address)  # breaks below a prefix
        else:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(parts.path)))
            self._inside(source, address, source if not parts.path else path, unquote(parts.fragment))

    def _inside(self, source: str, address: str, path: str, fragment: str) -> None:
        if path.startswith("public/"):  # what Datasette answers, beside the portal
            self._see("table", path.split("/")[1] in self.tables, source, address)
            return
        target = self.public / path
        if path.startswith("..") or not target.exists() or (target.is_dir() and not (target / "index.html").is_file()):
            is_folder = source.startswith("open311/") and target.is_dir()
            self._see("folder", is_folder, source, address)
        elif path.startswith("log/proofs/"):
            self._see("evidence", self._proves(path), source, address)
        elif path.endswith("check.html") and fragment.startswith("../"):
            self._inside(source, address, posixpath.normpath(f"portal/{fragment}"), "")
        elif path.endswith("record.html") and "/" in fragment:
            self._see("record", fragment in self.rows, source, address)
        elif path.endswith("map.html") and fragment.isdigit():  # a community to be shown
            self._see("map", (self.public / f"portal/community/{fragment}.html").is_file(), source, address)
        elif fragment and path.endswith(".html") and not fragment.startswith("__"):
            self._see("heading", fragment in self.names.get(path, ()), source, address)
        else:
            self._see("file", True, source, address)

    def _proves(self, path: str) -> bool:
        """Tell whether the file at *path* proves the row that its name says, under the charter."""
        if path not in self.proven:
            try:
                proof = verify_record_proof((self.public / path).read_bytes(), self.charter)
                self.proven[path] = path == f"log/proofs/{proof.table}/{proof.key}.json"
            except SyncgovError:
                self.proven[path] = False
        return self.proven[path]

    def _see(self, kind: str, is_right: bool, source: str, address: str) -> None:
        self.met[kind] += 1
        if not is_right:
            self.wrong.append(f"{source}: {address}")


def _part(path: Path) -> list[Any]:
    """Return the entries of one file of the search."""
    found: list[Any] = json.loads(path.read_text(encoding="utf-8").split(",", 2)[2].removesuffix(")\n"))
    return found


def _addresses(value: object, key: str = "") -> Iterator[str]:
    """Yield the texts in JSON that are addresses by the name of what holds them."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _addresses(member, key if name == "@id" else name)
    elif isinstance(value, list):
        for member in value:
            yield from _addresses(member, key)
    elif isinstance(value, str) and value and re.search(r"^(path|url|media_url|specification)$|URL$|license$", key):
        yield value


def test_every_address_of_a_published_folder_leads_somewhere(ran: Ran) -> None:
    """Pages, styles, feeds, catalogue, reports, search: no dead link, no foreign host, all evidence verifies."""
    with closing(sqlite3.connect(ran.public / "public.db")) as db:
        tables = frozenset(name for (name,) in db.execute("SELECT name FROM register"))
        rows = sum(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in ("event", "micro_power"))
    walk = Crawl(ran.public, open_charter((ran.centre / "charter.json").read_bytes()), tables)
    walk.run()
    assert walk.wrong == []
    assert len(walk.proven) > rows > 60
    for kind, least in {"file": 2_000, "evidence": 300, "record": 200, "heading": 20, "table": 50}.items():
        assert walk.met[kind] > least, walk.met
    assert set(walk.met) <= {"file", "evidence", "record", "heading", "table", "folder", "tel", "elsewhere", "map"}
    assert {Path(name).suffix for name in walk.names} == {".html"}


PAGES = {
    "portal/index.html": '<h1 id="top">x</h1><a href="a%20b.html">ok</a><a href="#top">ok</a><a href="tel:1">ok</a>',
    "portal/a b.html": '<style>p { background: url(gone.png) }</style><img srcset="x.png 1x, y.png 2x">',
    "portal/bad.html": '<a href="index.html#bottom"></a><a href="/portal/index.html"></a><a href="//x.example/"></a>'
    '<a href="https://x.example/"></a><a href="javascript:1"></a><a href="../../out.html"></a>'
    '<meta http-equiv="refresh" content="0; url=none.html"><a href="record.html#a/b"></a><a href="sub/"></a>'
    '<a href="../log/proofs/a/b.json"></a><a href="check.html#../log/proofs/a/b.json"></a><a href="../public/x"></a>',
    "portal/record.html": "",
    "portal/check.html": "",
    "portal/sub/x.txt": "",
    "log/proofs/a/b.json": "{}",
    "portal/feed/all.xml": '<feed><link href="../none.html"/><url><loc>gone.html</loc></url></feed>',
    "portal/x.css": "@import url('none.css');",
    "data/datapackage.json": '{"resources": [{"path": "gone.csv", "name": "x"}]}',
    "data/dcat.jsonld": '{"dcat:downloadURL": {"@id": "gone.csv"}, "dct:title": "none"}',
    "portal/find/c/0.js": 'syncgovPart("e","c/0",[["", "", "", "none.html", []]])\n',
}
RIGHT, WRONG = 3, 21


def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
    """Each kind of wrong address, planted once."""
    for name, content in PAGES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    walk = Crawl(tmp_path)
    walk.run()
    assert len(walk.wrong) == WRONG, "\n".join(walk.wrong)
    assert walk.met.total() - WRONG == RIGHT
