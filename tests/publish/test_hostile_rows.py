"""Every surface that shows rows, with every hostile text: a reader gets the text, no program gets an order."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup

from syncgov.audit.audit import audit
from syncgov.core.record_proof import verify_record_proof
from syncgov.publish.browse import make_datasette
from tests.hostile import FORMULAS
from tests.publish.hostile_place import SIGNED, HostilePlace, make_hostile_place
from tests.test_cli import CHINESE, run

TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # signs that turn the direction of what follows
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # what a terminal takes for an order
_UPWARDS = re.compile(
    r'(?<=")(?:(?:\.\./)+(?:\.\.(?="))?|\.\.?(?="))'
)  # the way to the site's root, in a script of the theme
_UNSEEN = re.compile(rf"\s|[\u200b\ufeff]|{TURNS.pattern}|{OBEYED.pattern}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> HostilePlace:
    """The place, published with its site."""
    return make_hostile_place(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def served(place: HostilePlace) -> Any:
    """Datasette over it."""
    return make_datasette(place.out)


def complaints(html: str, scripts: set[str]) -> Iterator[str]:
    """Yield what on a page would act that is not the page's own.

    Args:
        scripts: the scripts of a page without rows.
    """
    page = BeautifulSoup(html, "html.parser")
    if TURNS.search(html):
        yield "a sign that turns the direction"
    for tag in page.find_all(True):
        if tag.name in ("script", "style") and "hacked" in tag.text + str(tag.attrs):
            yield f"a row's {tag.name}"
        if (
            tag.name == "script"
            and not tag.get("src")
            and tag.text.strip()
            and _UPWARDS.sub("", tag.text) not in scripts
        ):
            yield f"script {tag.text[:60]!r}"
        for name, value in tag.attrs.items():
            if name.startswith("on") or str(value).strip().lower().startswith(("javascript:", "data:text")):
                yield f"{tag.name} {name}={value}"
            if name in ("src", "href", "action") and "evil.example" in str(value).partition("?")[0]:
                yield f"{tag.name} {name}={value}"


def scripts_of(html: str) -> set[str]:
    """Return the texts of a page's own scripts."""
    return {_UPWARDS.sub("", tag.text) for tag in BeautifulSoup(html, "html.parser").find_all("script")}


def plain(text: str) -> str:
    """Return *text* without white space and signs that are not seen."""
    return _UNSEEN.sub("", text)


def missing(texts: list[str], found: str) -> list[str]:
    """Return the texts of rows of which not even the beginning is in *found*."""
    whole = plain(found)
    return [text[:40] for text in texts if plain(text)[:60] not in whole]


# -- surfaces: each yields (where, what is wrong), and last the texts it shows --------------------

Found = Iterator[tuple[str, str]]
_SEEN = "seen"


def pages(place: HostilePlace) -> Found:
    """Yield about the pages of the site, sheets included."""
    own = scripts_of((place.out / "portal/about.html").read_text(encoding="utf-8"))
    for name in ("check", "find", "record", "404"):
        own |= scripts_of((place.out / f"portal/{name}.html").read_text(encoding="utf-8"))
    for path in (place.out / "portal/en").rglob("*.html"):  # fixed texts; the theme speaks English there
        own |= scripts_of(path.read_text(encoding="utf-8"))
    for path in (place.out / "portal").rglob("*.html"):
        html = path.read_text(encoding="utf-8")
        yield from ((str(path), what) for what in complaints(html, own))
        if "/r/" in path.as_posix():
            yield _SEEN, BeautifulSoup(html, "html.parser").text


def drawings(place: HostilePlace) -> Found:
    """Yield about the drawings: inside a page they must be well-formed, so that nothing after them changes meaning."""
    for path in (place.out / "portal").rglob("*.html"):
        for drawn in re.findall(r"<svg\b.*?</svg>", path.read_text(encoding="utf-8"), re.DOTALL):
            try:
                ElementTree.fromstring(drawn)
            except ElementTree.ParseError as error:
                yield str(path), str(error)


def shards(place: HostilePlace) -> Found:
    """Yield about what the search and the page of a record load: one call with plain data, which ends no script."""
    for path in (place.out / "portal/find").rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        if "<" in text or "\u2028" in text:
            yield str(path), "could end a script"
        call = re.fullmatch(r'syncgov[A-Z][a-z]+\((?:"[0-9a-f]+","[a-z0-9/]+",)?(.*)\)\n', text, re.DOTALL)
        if call is None:
            yield str(path), "is no call"
        else:
            yield _SEEN, _strings(json.loads(call[1]))


def feeds(place: HostilePlace) -> Found:
    """Yield about the feeds."""
    for path in (place.out / "portal/feed").iterdir():
        root = ElementTree.parse(path).getroot()
        yield from ((str(path), "a sign that turns") for each in root.iter() if TURNS.search(each.text or ""))
        yield _SEEN, "\n".join(each.text or "" for each in root.iter())


def tables(place: HostilePlace) -> Found:
    """Yield about CSV, plain and for Excel: no cell begins a formula, and taking the guard away gives the text back."""
    for path in [*(place.out / "data").glob("*.csv"), *(place.out / "data/excel").glob("*.csv")]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for cells in csv.reader(file):
                for cell in cells:
                    if cell.lstrip(" \u3000\n")[:1] in tuple("=+@\t\r＝＋－＠") and cell:
                        yield str(path), f"formula {cell[:20]!r}"
                yield _SEEN, "\n".join(cell.removeprefix("'") for cell in cells)


def data(place: HostilePlace) -> Found:
    """Yield about JSON: rows, package, catalogue, labels for Datasette."""
    for path in [*(place.out / "data").glob("*.json*"), place.out / "metadata.json"]:
        yield _SEEN, _strings(json.loads(path.read_bytes()))


def open311(place: HostilePlace) -> Found:
    """Yield about Open311: both forms of each answer say the same."""
    for path in (place.out / "open311").rglob("*.xml"):
        root = ElementTree.parse(path).getroot()
        answer = json.loads(path.with_suffix(".json").read_bytes())
        told = {each.text for each in root.iter("description")}
        entries = answer if isinstance(answer, list) else []
        other = {each.get("description") for each in entries if isinstance(each, dict) and each.get("description")}
        if path.name.startswith("requests") and {plain(x or "") for x in told} != {plain(x or "") for x in other}:
            yield str(path), "XML and JSON differ"
        yield _SEEN, "\n".join(text or "" for text in told)


def proofs(place: HostilePlace) -> Found:
    """Yield about the evidence."""
    for path in (place.out / "log/proofs/lamp").iterdir():
        found = verify_record_proof(path.read_bytes(), None)
        yield _SEEN, "\n".join(str(write.value) for field in found.fields for write in field.writes)


SURFACES: dict[str, Callable[[HostilePlace], Found]] = {
    each.__name__: each for each in (pages, drawings, shards, feeds, tables, data, open311, proofs)
}
SHOW_NO_ROWS = ("drawings",)


@pytest.mark.parametrize("surface", SURFACES)
def test_a_surface_shows_hostile_rows_as_text(place: HostilePlace, surface: str) -> None:
    """It can be read by the reader it is for, holds every row's text, and nothing of a row acts."""
    found = list(SURFACES[surface](place))
    assert [(where, what) for where, what in found if where != _SEEN] == []
    if surface not in SHOW_NO_ROWS:
        assert missing(list(place.lamps.values()), "\n".join(what for where, what in found if where == _SEEN)) == []


def _strings(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(_strings(part) for pair in value.items() for part in pair)
    return "\n".join(map(_strings, value)) if isinstance(value, list) else str(value)


# -- Datasette --------------------


def get(served: Any, path: str) -> Any:
    """Answer a request in this process."""
    return asyncio.run(served.client.get(path))


def test_datasette_shows_hostile_rows_as_text(place: HostilePlace, served: Any) -> None:
    """Tables, each row, the search for it, history and JSON."""
    own = scripts_of(get(served, "/public/figure").text)
    for path in ("/public", "/public/figure/lamps", "/public/lamp?_size=1"):
        own |= scripts_of(get(served, path).text)
    text = ""
    for path in ("/public/lamp?_size=100", "/public/crew?_size=100", "/public/history?_size=500"):
        answer = get(served, path)
        assert answer.status_code == 200, path
        assert list(complaints(answer.text, own)) == [], path
        text += BeautifulSoup(answer.text, "html.parser").text
    assert missing(list(place.lamps.values()), text) == []
    for key, words in place.lamps.items():
        for path in (f"/public/lamp/{key}", f"/public/lamp?_search={quote(TURNS.sub('', words[:80]))}"):
            answer = get(served, path)
            assert answer.status_code in ((200, 400) if "_search" in path else (200,)), path  # too many words: refused
            assert list(complaints(answer.text, own)) == [], path
    rows = json.loads(get(served, "/public/lamp.json?_shape=array&_size=100").content)
    assert {row["key"]: row["words"] for row in rows} == place.lamps


# -- terminals --------------------


@pytest.mark.parametrize("env", [CHINESE, {"LC_ALL": "en_US.UTF-8"}], ids=["zh", "en"])
def test_no_row_gives_a_terminal_an_order(place: HostilePlace, env: dict[str, str]) -> None:
    """`verify` and `review` write controls and direction signs out, and a value never begins a line of ours."""
    lines = 0
    for key, words in place.lamps.items():
        done = run("verify", place.out / f"log/proofs/lamp/{key}.json", env=env)
        assert done.exit_code == 0
        assert not OBEYED.search(done.output.replace("\n", "")), words[:40]
        assert not TURNS.search(done.output)
        assert all(line.startswith(("  ", "验证通过", "verified", "已证明", "proven", "没有证明", "not proven"))
                   for line in done.output.splitlines() if line)  # fmt: skip
        lines += len(done.output.splitlines())
        as_json = run("verify", place.out / f"log/proofs/lamp/{key}.json", "--json", env=env).stdout
        assert not OBEYED.search(as_json.replace("\n", ""))
        (field,) = [each for each in json.loads(as_json)["fields"] if each["field"] == "words"]
        assert field["writes"][0]["value"] == words
    assert lines > 3 * len(place.lamps)
    listed = run("review", place.centre, env=env)
    assert listed.exit_code == 0
    assert len(listed.output.splitlines()) > 2 * len(place.lamps)
    assert not OBEYED.search(listed.output.replace("\n", ""))
    assert not TURNS.search(listed.output)


def test_an_error_gives_a_terminal_no_order(tmp_path: Path) -> None:
    """What somebody's file is called, or says, is written out in the sentence about it."""
    done = run("verify", tmp_path / "甲\x1b[2J\u202e.json")
    assert done.exit_code == 65
    assert "\\x1b[2J\\u202e" in done.output
    assert not OBEYED.search(done.output.replace("\n", ""))


def test_the_audit_of_hostile_rows_holds(place: HostilePlace) -> None:
    """Nothing of this breaks a check: figures on pages, every file, every proof."""
    report = audit(place.out, place.charter, workers=0)
    assert [finding.en for finding in report.findings] == []
    assert len(place.lamps) == len(SIGNED) + len(FORMULAS)


def test_csv_says_the_same_as_the_rows(place: HostilePlace) -> None:
    """Line ends, quotes and commas inside a text are still one cell of one row."""
    text = (place.out / "data/lamp.csv").read_bytes().decode()
    rows = {row["key"]: row["words"].removeprefix("'") for row in csv.DictReader(io.StringIO(text, newline=""))}
    assert rows == place.lamps
