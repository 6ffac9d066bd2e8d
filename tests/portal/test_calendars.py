"""The disclosure calendar of a catalogue: what was never published is there, on each of the three pages."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from portal import calendars, communities, figures
from portal.model import Figure
from portal.site import Site
from portal.source import open_source
from tests.portal.public_db import EAST, WEST, insert, make_public_db

_PORTAL = (
    '{"nav": "公开", "page": "list", "title": "name", "calendar":'
    ' {"due": "due_on", "done": "done_on", "item": "duty", "period": "span"}}'
)
_TEXT = "register: paper\nfields:\n  duty: {type: text, ref: duty}\n"
_OWN = "_community, _created, _updated, _withheld, _erased, _conflict, _evidence"
LINES = [
    ("d1", EAST, "2026-Q1", "rule", "2026-04-20", None, "overdue", ""),
    ("d1", EAST, "2026-Q2", "rule", "2026-07-20", "2026-07-20", "on_time", "p1"),
    ("d1", EAST, "2026-Q4", "rule", "2027-01-20", None, "pending", ""),
    ("d1", WEST, "2026-Q1", "rule", "2026-04-20", "2026-05-01", "late", "p2"),
    ("<i>", EAST, "", "own", None, "2026-05-01", "open", "p3"),
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A public.db with acts of disclosure, a catalogue, and what was due."""
    path = make_public_db(tmp_path / "public.db")
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("INSERT INTO register VALUES ('paper', '公开', 1, '公开', ?, ?, 1)", [_TEXT, _PORTAL])
        duty = '{"nav": "目录", "page": "list", "title": "name"}'
        conn.execute("INSERT INTO register VALUES ('duty', '目录', 1, '目录', 'register: duty', ?, 1)", [duty])
        conn.execute("""INSERT INTO "column" VALUES ('paper', 'duty', '事项', 'text', '', '', 0, 0)""")
        conn.execute(f"CREATE TABLE paper(key TEXT PRIMARY KEY, name, duty, span, due_on, done_on, {_OWN})")
        conn.execute(f"CREATE TABLE duty(key TEXT PRIMARY KEY, name, {_OWN})")
        conn.execute("CREATE TABLE obligation(item, place, period, source, due, done, state, key, _community, _month)")
        insert(conn, "duty", "d1", name="季度收支 <b>")
        insert(conn, "duty", "d2", name="随时公开")
        insert(conn, "paper", "p1", name="二季度收支", duty="d1", _community=EAST)
        for line in LINES:
            month = (line[4] or "")[:7] or None
            conn.execute("INSERT INTO obligation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [*line, line[1], month])
        conn.commit()
    with open_source(path) as source:
        yield Site(source)


def test_what_was_never_published_is_overdue_on_every_page(site: Site) -> None:
    """The index counts it, the community's calendar lists it with item, period and day, and so does its own page."""
    index, *pages = calendars.calendar_pages(site)
    cells = '<td data-label="合计">4</td><td data-label="按时公开">1</td><td data-label="逾期公开">0</td>'
    assert cells + '<td data-label="逾期未公开">1</td>' in index.body
    (east,) = (page for page in pages if page.path == f"calendar/c-{EAST}.md")
    listed = east.body[east.body.index("### 逾期未公开") : east.body.index("### 未到期")]
    for words in ("季度收支 &#60;b&#62;", "2026年第一季度", "2026-04-20", "按目录"):
        assert words in listed
    own = communities.community_page(site, EAST).body
    assert "按时公开 1，逾期未公开 1，未到期 1，未写应公开日期 1" in own
    assert "2026年第一季度" in own
    assert "2026年第一季度" not in communities.community_page(site, WEST).body


def test_an_act_is_linked_and_a_gone_one_is_not(site: Site) -> None:
    """Late ones name the day on which they were published."""
    *_, west = calendars.calendar_pages(site)
    assert "2026-05-01" in west.body
    assert "<i>" not in "".join(page.body for page in calendars.calendar_pages(site))
    register, catalogue = site.registers["paper"], site.registers["duty"]
    found = site.source.obligations(EAST, "on_time", 5)
    assert "<a href=" in calendars.obligation_table(site, "x.md", register, catalogue, found)


def test_by_item_also_what_nobody_could_count(site: Site) -> None:
    """An item without a date has a line of zeros, a line without an item its key."""
    (index, *_) = calendars.calendar_pages(site)
    table = index.body[index.body.index("### 按事项") :]
    assert table.count("<tr><td") == 3
    assert "随时公开（d2）" in table


def test_a_duration_says_of_how_many_cases_and_what_is_not_counted_why(site: Site) -> None:
    """Seconds stand in the explanation only; of what has a register there is no excuse."""
    item = Figure("f", "lamp", "时长", 27000, 9, "7.5 (n=9)", "小时", "", "select 1", "select 2", "duration")
    assert figures._numerator(item) == "—"
    assert "n = 27,000 秒" in figures._sides(item)
    body = figures.figures_page(site).body
    assert "走访覆盖率" in body
    assert "<code>figure_lamp&#95;rate</code>" in body
    assert body.count("截至2026年11月21日 18:30") == 4  # once above, and with each of the three figures
