"""The working calendar: hours between two times, working days after a day, and years that nobody declared."""

import json
from datetime import date, datetime, timedelta

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core.public_rows import BEIJING, Cell, make_table
from syncgov.core.workdays import DAY_SECONDS, WorkCalendar, make_calendar
from syncgov.demo.content import KEY, read_examples

DECLARED = {"worked": "days_on", "free": "days_off", "hours": "hours"}
HOURS = [{"from": "08:30", "to": "12:00"}, {"from": "14:30", "to": "18:00"}]


def calendar_of(*rows: tuple[str, list[str], list[str], object]) -> WorkCalendar:
    """Return the calendar of (year, days worked, days free, hours)."""
    cells: list[tuple[Cell, ...]] = [
        (year, json.dumps(worked), json.dumps(free), json.dumps(hours)) for year, worked, free, hours in rows
    ]
    return make_calendar(make_table("key days_on days_off hours", "key", cells), DECLARED)


def ms(text: str) -> int:
    """Return ms UTC of a Beijing time."""
    return round(datetime.fromisoformat(text).replace(tzinfo=BEIJING).timestamp() * 1000)


@pytest.fixture(scope="module")
def shipped() -> WorkCalendar:
    """The years that the demo loads."""
    rows = [(row[KEY], row["days_on"], row["days_off"], row["hours"]) for row in read_examples("work_calendar")]
    return calendar_of(*rows)


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [
        ("2026-11-20T08:30:00", "2026-11-20T18:00:00", 7),  # a Friday, with its lunch break
        ("2026-11-20T07:00:00", "2026-11-20T23:59:59", 7),
        ("2026-11-20T11:30:00", "2026-11-20T15:00:00", 1),
        ("2026-11-20T12:30:00", "2026-11-20T14:00:00", 0),
        ("2026-11-20T17:00:00", "2026-11-23T09:30:00", 2),  # over a weekend
        ("2026-09-30T17:00:00", "2026-10-08T09:30:00", 2),  # over the first week of October
        ("2026-10-10T08:30:00", "2026-10-10T10:00:00", 1.5),  # a Saturday that is worked
        ("2025-12-31T17:00:00", "2026-01-04T09:30:00", 2),  # over the year; that Sunday is worked
    ],
)
def test_working_time_between_two_times(shipped: WorkCalendar, begin: str, end: str, hours: float) -> None:
    """Only hours that are worked count: no night, no lunch, no weekend, no holiday."""
    first, last = shipped.worked(ms(begin)), shipped.worked(ms(end))
    assert first is not None
    assert last is not None
    assert last - first == hours * 3600


def test_the_shipped_years_are_those_of_the_notices(shipped: WorkCalendar) -> None:
    """Day by day as chinesecalendar, a library that follows the State Council's notices, says."""
    day, seen = date(2025, 1, 1), 0
    while day.year < 2027:
        assert bool(shipped.hours[day.isoformat()]) == chinese_calendar.is_workday(day), day
        day, seen = day + timedelta(days=1), seen + 1
    assert seen == 730
    assert shipped.refused == ()


def test_working_days_after_a_day(shipped: WorkCalendar) -> None:
    """The day itself is not counted; a holiday is passed over; out of the calendar there is no answer."""
    assert shipped.after("2026-11-20", 1) == "2026-11-23"
    assert shipped.after("2026-09-30", 1) == "2026-10-08"
    assert shipped.after("2026-11-20", 0) == "2026-11-20"
    assert shipped.after("2026-12-30", 2) is None
    assert shipped.after("2024-12-30", 1) is None
    assert shipped.after("no day", 1) is None
    assert shipped.after("9999-12-31", 1) is None


def test_a_year_that_nobody_declared_has_no_working_time(shipped: WorkCalendar) -> None:
    """No guess from the weekdays: the answer is None, on both sides."""
    assert shipped.worked(ms("2024-12-31T10:00:00")) is None
    assert shipped.worked(ms("2027-01-01T00:00:00")) is None
    assert shipped.worked(ms("2026-12-31T23:59:59")) is not None


def test_before_a_gap_nothing_counts() -> None:
    """2024 beside 2026: nobody knows how long was worked in between, so only 2026 counts, and 2024 is named."""
    found = calendar_of(("2024", [], [], HOURS), ("2026", [], [], HOURS))
    assert found.worked(ms("2024-06-03T10:00:00")) is None
    assert found.worked(ms("2026-06-03T10:00:00")) is not None
    assert found.refused == ("2024",)


@pytest.mark.parametrize(
    ("year", "worked", "free", "hours"),
    [
        ("26", [], [], HOURS),
        ("2026", ["2026-13-01"], [], HOURS),
        ("2026", ["2025-01-05"], [], HOURS),
        ("2026", ["20260104"], [], HOURS),
        ("2026", [20260104], [], HOURS),
        ("2026", ["2026-01-04"], ["2026-01-04"], HOURS),
        ("2026", [], [], []),
        ("2026", [], [], [{"from": "12:00", "to": "08:00"}]),
        ("2026", [], [], [{"from": "8:00", "to": "12:00"}]),
        ("2026", [], [], [{"from": "08:00", "to": "25:00"}]),
        ("2026", [], [], [{"from": "08:00", "to": "24:30"}]),
        ("2026", [], [], [{"from": "08:00"}]),
        ("2026", [], [], ["08:00-12:00"]),
        ("2026", [], [], [{"from": "08:00", "to": "12:00"}, {"from": "11:00", "to": "13:00"}]),
        ("2026", [], [], "all day"),
    ],
)
def test_a_malformed_year_is_named_and_does_not_count(
    year: str, worked: list[str], free: list[str], hours: object
) -> None:
    """It is as if it were not declared; nothing stops."""
    found = calendar_of((year, worked, free, hours), ("2030", [], [], HOURS))
    assert found.refused == (year,)
    assert found.worked(ms("2026-06-03T10:00:00")) is None


@given(st.integers(ms("2025-01-01T00:00:00"), ms("2026-12-31T23:59:59")), st.integers(0, 40 * DAY_SECONDS * 1000))
def test_working_time_never_runs_backwards(shipped: WorkCalendar, begin: int, more: int) -> None:
    """A later time is never less, and no more is worked than time went by."""
    first, last = shipped.worked(begin), shipped.worked(begin + more)
    assert first is not None
    if last is not None:
        assert 0 <= last - first <= more / 1000 + 1
