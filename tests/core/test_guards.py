"""Deadlines end at midnight in Beijing; a step names the columns that it leaves empty."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core.guards import due_of, empty_columns, end_of_due_ms, is_before_expiry
from syncgov.core.workflow import Transition


def ms(text: str) -> int:
    """Return ms UTC of an ISO time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("due", "end"),
    [
        ("2026-11-20", "2026-11-21T00:00:00+08:00"),
        ("2024-02-28", "2024-02-29T00:00:00+08:00"),
        ("2026-12-31", "2027-01-01T00:00:00+08:00"),
        ("2026-11-20T18:00:00+08:00", "2026-11-20T18:00:00+08:00"),
    ],
)
def test_a_date_ends_with_its_day_and_a_time_at_itself(due: str, end: str) -> None:
    """In +08:00, wherever the program runs."""
    assert end_of_due_ms(due) == ms(end)


@pytest.mark.parametrize("text", ["", "2026-02-30", "9999-12-31", "2026-11-20T18:00:00", "tomorrow!!"])
def test_what_is_no_deadline_never_ends(text: str) -> None:
    """Nothing can then be extended."""
    assert end_of_due_ms(text) is None
    assert not is_before_expiry({"due": text}, 0)


@given(st.dates(date(1970, 1, 2), date(9999, 12, 30)), st.integers(0, 86_399_999))
def test_the_whole_due_day_is_in_time_and_the_next_is_not(day: date, within: int) -> None:
    """From its first millisecond to its last, by the clock of Beijing."""
    start = round((datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=8)).timestamp() * 1000)
    value = {"state": "x", "due": day.isoformat()}
    assert is_before_expiry(value, start + within)
    assert not is_before_expiry(value, start + 86_400_000 + within)


def test_only_a_group_with_a_deadline_has_one() -> None:
    """Whatever else a value may be, it has none."""
    assert [due_of(v) for v in ({"due": "2026-11-20"}, {"due": None}, {"due": 7}, {}, "x", None)] == [
        "2026-11-20", None, None, None, None, None,
    ]  # fmt: skip


def test_empty_columns_are_named_in_the_order_of_the_guards() -> None:
    """A guard that is no column asks for none; a step without a group lacks them all."""
    both = Transition("t", frozenset({"a"}), "b", frozenset({"r"}), ("owner", "second_signature", "due", "reason"))
    assert empty_columns(both, {"due": "2026-11-20", "reason": None}) == ("owner", "reason")
    assert empty_columns(both, "b") == ("owner", "due", "reason")
