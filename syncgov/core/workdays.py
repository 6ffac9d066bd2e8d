"""The working calendar that a place declares: which days are worked, and when. Source: protocol page, section 9.

A year that nobody declared is not guessed: whatever would need it has no value.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, TypeAlias

from syncgov.core.public_rows import Cell, Table, format_time
from syncgov.core.register_model import Register

DAY_SECONDS = 86_400
MAX_YEARS = 200
_YEAR = re.compile(r"[12]\d{3}")
_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")

Hours: TypeAlias = tuple[tuple[int, int], ...]
"""The spans of a working day, in seconds since midnight, in order."""


@dataclass(frozen=True, slots=True)
class WorkCalendar:
    """Working time of consecutive years.

    Attributes:
        before: ISO day -> working seconds of the calendar's earlier days.
        hours: ISO day -> its spans; () on a day that is free.
        refused: declared years that cannot be used: malformed, or not next to the newest.
    """

    before: Mapping[str, int]
    hours: Mapping[str, Hours]
    refused: tuple[str, ...] = ()

    def worked(self, ms: int) -> int | None:
        """Return the working seconds from the calendar's beginning to a time (ms UTC); None outside of it."""
        text = format_time(ms)
        day, second = text[:10], int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
        before = self.before.get(day)
        if before is None:
            return None
        return before + sum(max(0, min(second, end) - begin) for begin, end in self.hours[day])

    def after(self, day: str, count: int) -> str | None:
        """Return the *count*-th working day after *day* (ISO); None if it lies outside of the calendar."""
        at = parse_day(day)
        while at is not None and count > 0:
            at = at + timedelta(days=1) if at < date.max else None
            spans = self.hours.get(at.isoformat()) if at is not None else None
            if spans is None:
                return None
            count -= bool(spans)
        return at.isoformat() if at is not None and at.isoformat() in self.hours else None


def parse_day(text: object) -> date | None:
    """Return the day that an ISO text names, None if it names none."""
    try:
        return date.fromisoformat(text) if isinstance(text, str) and len(text) == len("2026-11-22") else None
    except ValueError:
        return None


def working_calendar(registers: Iterable[Register], tables: Mapping[str, Table]) -> WorkCalendar:
    """Return the calendar of the register that declares `working`; an empty one without it."""
    for register in registers:
        declared = register.portal.get("working")
        if declared and register.name in tables:
            return make_calendar(tables[register.name], declared)
    return WorkCalendar({}, {})


def make_calendar(table: Table, declared: Mapping[str, str]) -> WorkCalendar:
    """Return the calendar of the rows of *table*, whose keys are years.

    Only the newest years that follow one another count: between two times on both sides of a gap there is no
    knowing how long was worked.

    Args:
        declared: `worked`, `free`, `hours` -> column.
    """
    names = [name for name, _kind in table.columns]
    known: dict[int, tuple[Hours, frozenset[str], frozenset[str]]] = {}
    refused: list[str] = []
    for row in table.rows:
        cells = dict(zip(names, row, strict=True))
        year = _year(str(cells["key"]), {role: cells.get(column) for role, column in declared.items()})
        if year is None:
            refused.append(str(cells["key"]))
        else:
            known[int(str(cells["key"]))] = year
    years = sorted(known)[-MAX_YEARS:]
    for earlier, later in reversed(list(pairwise(years))):
        if later - earlier > 1:
            years = years[years.index(later) :]
            break
    refused += [str(year) for year in known if year not in years]
    before, hours, total = {}, {}, 0
    for year_number in years:
        for day, spans in _days(year_number, *known[year_number]):
            before[day], hours[day] = total, spans
            total += sum(end - begin for begin, end in spans)
    return WorkCalendar(before, hours, tuple(sorted(refused)))


def _year(key: str, cells: Mapping[str, Cell]) -> tuple[Hours, frozenset[str], frozenset[str]] | None:
    """Return (hours, days worked, days free) of a row; None if it is malformed."""
    spans = _hours(_list(cells.get("hours")))
    lists = [_list(cells.get(role)) for role in ("worked", "free")]
    days = [parse_day(day) for each in lists for day in each]
    if not _YEAR.fullmatch(key) or spans is None or not all(day is not None and f"{day.year}" == key for day in days):
        return None
    on, off = (frozenset(each) for each in lists)
    return None if on & off else (spans, on, off)


def _hours(items: Sequence[Any]) -> Hours | None:
    spans = []
    for item in items:
        clocks = [_CLOCK.fullmatch(str(item.get(end))) for end in ("from", "to")] if isinstance(item, dict) else [None]
        times = [int(clock[1]) * 3600 + int(clock[2]) * 60 for clock in clocks if clock is not None]
        if len(times) != len(("from", "to")) or not times[0] < times[1] <= DAY_SECONDS:
            return None
        spans.append((times[0], times[1]))
    ordered = all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
    return tuple(spans) if spans and ordered else None


def _list(cell: Cell) -> list[Any]:
    found = json.loads(cell) if isinstance(cell, str) else []
    return found if isinstance(found, list) else []


def _days(year: int, spans: Hours, on: frozenset[str], off: frozenset[str]) -> Iterable[tuple[str, Hours]]:
    """Yield each day of a year with its spans: Monday to Friday, and what the declaration says otherwise."""
    day = date(year, 1, 1)
    for _ in range((date(year, 12, 31) - day).days + 1):
        text = day.isoformat()
        is_worked = text in on or (day.isoweekday() <= 5 and text not in off)
        yield text, spans if is_worked else ()
        day += timedelta(days=1)
