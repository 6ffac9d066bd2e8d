"""Feeds, what is new and the calendar: valid, bounded, and harmless whatever the rows say."""

import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import feedparser
import pytest

from portal import calendars, feeds, news, text
from portal.build import main
from portal.errors import PortalError
from portal.model import parse_layout
from portal.site import Site
from portal.source import open_source
from tests.portal.public_db import AS_OF, EAST, HOSTILE, WEST, insert, make_public_db

ATOM = "{http://www.w3.org/2005/Atom}"
CALENDAR = '{"nav": "公开", "page": "list", "title": "name", "calendar": {"due": "due_on", "done": "done_on"}}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public.db with a register that has a calendar."""
    folder = tmp_path_factory.mktemp("feeds")
    make_public_db(folder / "public.db")
    with closing(sqlite3.connect(folder / "public.db")) as conn:
        conn.execute("INSERT INTO register VALUES ('paper', '公开', 1, '公开', 'register: paper', ?, 1)", [CALENDAR])
        conn.execute(
            "CREATE TABLE paper(key TEXT PRIMARY KEY, name, due_on, done_on, state, _community, _created, _updated,"
            " _withheld, _erased, _conflict, _evidence)"
        )
        days: list[tuple[str | None, str | None]] = [
            ("2026-11-10", "2026-11-10"),
            ("2026-11-10", "2026-11-11"),
            ("2026-11-20", None),
            ("2026-11-21", None),
        ]
        days += [("2026-10-01", "2026-09-30"), (None, "2026-11-01"), (None, None)]
        for number, (due, done) in enumerate(days):
            place = {"_community": EAST if number else WEST}
            insert(conn, "paper", f"p{number}", name=f"公开 {number} <b>", due_on=due, done_on=done, **place)
        for number in range(30):
            insert(conn, "paper", f"old{number}", name="旧", due_on=f"{2020 + number // 12}-{number % 12 + 1:02}-01",
                   done_on="2024-01-01", _community=WEST)  # fmt: skip
        conn.commit()
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    """The site of it."""
    with open_source(folder / "public.db") as source:
        yield Site(source)


def parsed(data: bytes) -> Any:
    """Return a feed as a feed reader takes it; it complains about nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = feedparser.parse(data)
    assert not found.bozo, found.get("bozo_exception")
    assert found.version == "atom10"
    return found


def test_every_feed_is_valid(site: Site) -> None:
    """RFC 4287: exactly one id, title and updated everywhere, an author, absolute ids, times with an offset."""
    found = dict(feeds.feeds(site))
    wanted = {"feed/all.xml", *(f"feed/r-{each.name}.xml" for each in site.listed)}
    assert found.keys() == wanted | {f"feed/c-{code}.xml" for code in site.communities}
    entries = 0
    for path, data in found.items():
        parsed(data)
        root = ElementTree.fromstring(data)
        assert root.tag == f"{ATOM}feed"
        assert len(root.findall(f"{ATOM}author/{ATOM}name")) == 1
        for element in (root, *root.findall(f"{ATOM}entry")):
            for name in ("id", "title", "updated"):
                assert len(element.findall(f"{ATOM}{name}")) == 1, path
            assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", element.findtext(f"{ATOM}id") or "")
            assert datetime.fromisoformat(element.findtext(f"{ATOM}updated") or "").tzinfo is not None
        for entry in root.findall(f"{ATOM}entry"):
            entries += 1
            assert entry.find(f"{ATOM}link[@rel='alternate']") is not None
            assert entry.findtext(f"{ATOM}summary") is not None
        ids = [entry.findtext(f"{ATOM}id") for entry in root.findall(f"{ATOM}entry")]
        assert len(ids) == len(set(ids)) <= feeds.ENTRIES
    assert entries > 100


def test_the_newest_stand_first_and_communities_are_apart(folder: Path) -> None:
    """An entry keeps its id when its row changes, and its time moves."""
    with open_source(folder / "public.db") as source:
        before = {each.id: each for each in parsed(dict(feeds.feeds(Site(source)))["feed/r-paper.xml"]).entries}
    copy = folder / "copy.db"
    copy.write_bytes((folder / "public.db").read_bytes())
    with closing(sqlite3.connect(copy)) as conn:
        conn.execute("UPDATE paper SET name = '改了', _updated = '2026-12-01T08:00:00+08:00' WHERE key = 'p0'")
        conn.commit()
    with open_source(copy) as source:
        found = dict(feeds.feeds(Site(source)))
    first = parsed(found["feed/all.xml"]).entries[0]
    assert first.title == "改了"
    assert first.id in before
    assert before[first.id].updated == AS_OF
    assert first.updated == "2026-12-01T08:00:00+08:00"
    assert parsed(found["feed/all.xml"]).feed.updated == first.updated
    assert first.id not in {each.id for each in parsed(found[f"feed/c-{EAST}.xml"]).entries}


def test_hostile_rows_are_only_text(site: Site) -> None:
    """Every hostile title comes back as the text it is, short, and without signs that turn the direction."""
    data = dict(feeds.feeds(site))["feed/r-errand.xml"]
    root = ElementTree.fromstring(data)
    titles = {entry.findtext(f"{ATOM}title") for entry in root.findall(f"{ATOM}entry")}
    assert {text.shorten(title) for title in HOSTILE} <= titles
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08]", data.decode())
    names = "feed id title updated author name link subtitle entry published category summary".split()
    assert {element.tag for element in root.iter()} <= {f"{ATOM}{name}" for name in names}
    assert len(data) < 50_000


def test_the_news_are_bounded_and_by_day(site: Site) -> None:
    """A hundred rows, the newest day first."""
    page = news.news_page(site)
    assert page.body.count("<tr>") - page.body.count("<thead>") == news.CHANGES
    days = re.findall(r"^## (\d+年\d+月\d+日)$", page.body, re.MULTILINE)
    assert days[0] == "2026年11月21日"
    assert "<script" not in page.body
    assert len(page.body) < 120_000


def test_the_calendar_counts_what_was_due(site: Site) -> None:
    """The last day still counts as in time; what has no date is told apart; a day that is today is not overdue."""
    (register,) = calendars.registers(site)
    counted = site.source.calendar(register, AS_OF[:10])
    east = {(month, state): number for place, month, state, number in counted if place == EAST}
    assert east == {
        ("2026-11", "late"): 1,
        ("2026-11", "overdue"): 1,
        ("2026-11", "pending"): 1,
        ("2026-10", "on_time"): 1,
        ("", "open"): 2,
    }
    west = {(month, state): number for place, month, state, number in counted if place == WEST}
    assert west["2026-11", "on_time"] == 1
    assert sum(west.values()) == 31


def test_the_calendars_pages_are_bounded(site: Site) -> None:
    """Twelve months by name and the rest in one line; the sums are whole; each community has its own page."""
    index, *pages = calendars.calendar_pages(site)
    assert [page.path for page in pages] == [f"calendar/c-{EAST}.md", f"calendar/c-{WEST}.md"]
    months = re.findall(r'data-label="应公开的月份">([^<]+)<', index.body)
    assert len(months) == calendars.MONTHS + 2
    assert months[:2] == ["2026年11月", "2026年10月"]
    assert months[-2:] == ["更早", "未写"]
    totals = [int(number) for number in re.findall(r'data-label="合计">(\d+)<', index.body)]
    assert sum(totals) == 2 * 37
    assert "逾期未公开" in pages[0].body
    assert "公开 2 &#60;b&#62;" in pages[0].body


def test_without_a_calendar_there_is_no_page(tmp_path: Path) -> None:
    """A place whose registers declare none has neither the page nor a link to it."""
    with open_source(make_public_db(tmp_path / "public.db")) as source:
        assert list(calendars.calendar_pages(Site(source))) == []


def test_a_wrong_calendar_block_is_named() -> None:
    """A public.db of somebody else may say anything."""
    with pytest.raises(PortalError, match="calendar"):
        parse_layout("paper", "公开", {"calendar": {"due": "a"}})


def test_another_version_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of a public.db of another version is shown."""
    make_public_db(tmp_path / "public.db", protocol_version="9")
    assert main([str(tmp_path / "public.db"), str(tmp_path / "portal")]) == PortalError("", "").exit_code
    assert "9" in capsys.readouterr().err
    assert not (tmp_path / "portal").exists()
