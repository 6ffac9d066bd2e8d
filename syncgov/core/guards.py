"""What a step demands beyond a role: filled columns, and that a deadline has not passed yet. Pure.

Source: protocol page, section 12 (guards).
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Any

from syncgov.core.workflow import Transition

BEIJING = timezone(timedelta(hours=8))  # where deadlines end at midnight
COLUMN_GUARDS = ("reason", "due", "owner")  # each demands the column of its name


def empty_columns(transition: Transition, value: Any) -> tuple[str, ...]:
    """Return the columns that the step demands and *value* (the step as written) leaves empty."""
    columns = value if isinstance(value, Mapping) else {}
    return tuple(g for g in transition.guards if g in COLUMN_GUARDS and columns.get(g) is None)


def due_of(value: Any) -> str | None:
    """Return the deadline in a value of a workflow's field, None if there is none."""
    due = value.get("due") if isinstance(value, Mapping) else None
    return due if isinstance(due, str) else None


def end_of_due_ms(due: str) -> int | None:
    """Return when a deadline has passed, ms UTC: a date at its midnight in +08:00, a time as said; else None."""
    try:
        if len(due) == len("2026-11-21"):
            day = date.fromisoformat(due) + timedelta(days=1)
            end = datetime(day.year, day.month, day.day, tzinfo=BEIJING)
        else:
            end = datetime.fromisoformat(due)
        return None if end.tzinfo is None else round(end.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def is_before_expiry(before: Any, effective_ms: int) -> bool:
    """Return whether the deadline in *before*, the step that is to be replaced, had not passed at *effective_ms*.

    Where there was no deadline nothing can be extended.
    """
    due = due_of(before)
    end = None if due is None else end_of_due_ms(due)
    return end is not None and effective_ms < end
