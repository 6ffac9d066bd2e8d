"""The SQL of shipped figures against a few rows whose numbers can be counted by hand."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from syncgov.core.register_model import Figure
from syncgov.storage.files import builtin_folder, read_registers

FIGURES = {figure.id: figure for register in read_registers(builtin_folder()) for figure in register.figures}
HOUR = 3600
# (state, unit, due) of each step of a matter; the leaf of a step is received an hour of work after the one before
MATTERS = {
    "plain": [("reported", "", ""), ("accepted", "", "2026-11-09"), ("dispatched", "a", "2026-11-09"),
              ("handling", "a", "2026-11-09"), ("feedback", "a", "2026-11-09"), ("closed", "a", "2026-11-09")],
    "sent on": [("reported", "", ""), ("accepted", "", "2026-11-09"), ("dispatched", "a", "2026-11-09"),
                ("accepted", "", "2026-11-10"), ("dispatched", "b", "2026-11-10")],
    "extended": [("reported", "", ""), ("dispatched", "a", "2026-11-09"), ("dispatched", "a", "2026-11-20"),
                 ("handling", "a", "2026-11-20")],
    "on the spot": [("feedback", "", ""), ("closed", "", "")],
    "waiting": [("reported", "", "")],
    "void": [("feedback", "", ""), ("void", "", "")],
}  # fmt: skip


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    """The tables that the figures of matters and deliberations ask."""
    with closing(sqlite3.connect(":memory:")) as conn:
        conn.executescript(
            "CREATE TABLE event(key, state, due); CREATE TABLE history(idx, register, key, field, value, received);"
            "CREATE TABLE leaf(idx INTEGER PRIMARY KEY, worked); CREATE TABLE meta(key, value);"
            "CREATE TABLE deliberation(key, stage, due, held_on, _community, _month); CREATE TABLE grid_unit(level);"
            "INSERT INTO meta VALUES ('as_of', '2026-11-22T10:00:00+08:00')"
        )
        yield conn


def work(conn: sqlite3.Connection, matters: Sequence[str], hours: Sequence[int | None]) -> None:
    """Write the matters; of each the steps after the first one come so many working hours later."""
    for key, more in zip(matters, hours, strict=True):
        for number, (state, owner, due) in enumerate(MATTERS[key.split("/")[0]]):
            (idx,) = conn.execute("SELECT coalesce(max(idx), 0) + 1 FROM leaf").fetchone()
            worked = None if more is None and number else 1000 * HOUR + number * (more or 0) * HOUR
            conn.execute("INSERT INTO leaf VALUES (?, ?)", (idx, worked))
            step = json.dumps({"state": state, "owner": owner or None, "due": due or None})
            conn.execute("INSERT INTO history VALUES (?, 'event', ?, 'step', ?, '2026-11-05')", (idx, key, step))
        state, _owner, due = MATTERS[key.split("/")[0]][-1]
        conn.execute("INSERT INTO event VALUES (?, ?, ?)", (key, state, due or None))


def told(conn: sqlite3.Connection, name: str) -> str:
    """Return a figure's text."""
    figure: Figure = FIGURES[name]
    return figure.format(*(conn.execute(sql).fetchone()[0] for sql in (figure.n, figure.d)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("event_right_unit_rate", "66.7% (2/3)"),  # sent on went to another unit
        ("event_extended_rate", "20.0% (1/5)"),  # a new date after sending it back is no extension
        ("event_on_the_spot_rate", "20.0% (1/5)"),  # the void one does not count
        ("event_response_median", "1.0 (n=4)"),  # 0 on the spot, 1, 1, 1; who waits is not among them
        ("event_handling_median", "1.0 (n=2)"),  # 1 and 5 hours: the lower of two
        ("event_handling_p90", "5.0 (n=2)"),
    ],
)
def test_matters_that_can_be_counted_by_hand(conn: sqlite3.Connection, name: str, text: str) -> None:
    """One of each kind."""
    work(conn, list(MATTERS), [1] * len(MATTERS))
    assert told(conn, name) == text


def test_of_twenty_the_tenth_and_the_eighteenth(conn: sqlite3.Connection) -> None:
    """Nearest rank: matters that took 1 to 20 hours a step, closed at the first step after the report."""
    names = [f"on the spot/{number}" for number in range(1, 21)]
    work(conn, names, list(range(1, 21)))
    assert told(conn, "event_handling_median") == "10.0 (n=20)"
    assert told(conn, "event_handling_p90") == "18.0 (n=20)"


def test_a_year_without_a_calendar_leaves_no_duration(conn: sqlite3.Connection) -> None:
    """One time that is not known is enough: leaving it out would make the rest look better or worse."""
    work(conn, ["on the spot/1", "on the spot/2"], [2, None])
    assert told(conn, "event_handling_median") == "—"
    assert told(conn, "event_handling_p90") == "—"


def test_without_matters_there_is_no_duration(conn: sqlite3.Connection) -> None:
    """And no rate."""
    assert told(conn, "event_response_median") == "—"
    assert told(conn, "event_on_the_spot_rate") == "—"


def test_deliberations_that_can_be_counted_by_hand(conn: sqlite3.Connection) -> None:
    """One in time, one a day late, one overdue, one not due yet; two communities, two whole months, three sessions."""
    assert told(conn, "resolution_done_rate") == told(conn, "deliberation_day_rate") == "—"
    conn.executescript("INSERT INTO grid_unit VALUES ('community'), ('community'), ('grid')")
    rows = [
        ("a", "done", "2026-10-10", "2026-09-05", "E", "2026-09"),
        ("b", "rated", "2026-10-10", "2026-10-05", "E", "2026-10"),
        ("c", "agreed", "2026-11-21", "2026-11-05", "E", "2026-11"),
        ("d", "agreed", "2026-11-22", "2026-10-05", "W", "2026-10"),
        ("e", "listed", None, "2026-12-05", "W", "2026-12"),
        ("f", "declined", None, None, "W", None),
    ]
    conn.executemany("INSERT INTO deliberation VALUES (?, ?, ?, ?, ?, ?)", rows)
    for idx, (key, received) in enumerate((("a", "2026-10-10T23:00:00+08:00"), ("b", "2026-10-11T00:00:00+08:00"))):
        done = json.dumps({"stage": "done"})
        conn.execute("INSERT INTO history VALUES (?, 'deliberation', ?, 'progress', ?, ?)", (idx, key, done, received))
    assert told(conn, "resolution_done_rate") == "33.3% (1/3)"
    assert told(conn, "deliberation_day_rate") == "75.0% (3/4)"
