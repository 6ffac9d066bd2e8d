"""What had to be made public, by when, and whether it was: the items of a catalogue against the acts of disclosure.

A catalogue declares in its portal block (`schedule`) how often its items are due; the register of the acts
(`calendar`) which item an act is of. What was never published has a line too. Source: protocol page, section 9.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from syncgov.core.public_rows import Cell, Table, make_table
from syncgov.core.register_model import Register
from syncgov.core.workdays import WorkCalendar, parse_day

TABLE = "obligation"
COLUMNS = "item place period source due done state key _community _month"
KEPT_MONTHS = 24  # of periods that come again: the table does not grow with the years
RULE, OWN = "rule", "own"  # who says when it is due: the catalogue, or the act itself
_QUARTER = re.compile(r"(\d{4})(?:年?第?([一二三四1-4])季度|-?Q([1-4]))")
_MONTH = re.compile(r"(\d{4})(?:年(\d{1,2})月份?|-(\d{2}))")
_DIGITS = {"一": 1, "二": 2, "三": 3, "四": 4}
_FAR = "9999"


@dataclass(frozen=True, slots=True)
class Period:
    """A month (`2026-11`) or a quarter (`2026-Q4`), the days of its beginning and by which its content is due."""

    code: str
    start: str
    due: str


@dataclass(slots=True)
class Act:
    """One row of the register of acts, as far as it counts here."""

    key: str
    item: str
    place: str
    period: str
    due: Cell
    done: Cell
    formed: Cell
    used: bool = field(default=False)


def empty_obligations() -> Table:
    """Return the table without rows."""
    return make_table(COLUMNS, "item place period key", ())


def obligations(registers: Sequence[Register], tables: Mapping[str, Table], working: WorkCalendar, today: str) -> Table:
    """Return one line for each item, place and period that was due since the item is in the catalogue, and each act.

    Columns: `item` (key in the catalogue), `place`, `period`, `source` (`rule`: the catalogue says when; `own`: the
    act), `due`, `done`, `state` (`on_time`, `late`, `overdue`, `pending`, `open`: no day can be told), `key` (of the
    act, '' without one), `_community` (of the place), `_month` (of `due`).

    Args:
        tables: of the registers. working: for time limits in working days. today: ISO day up to which is counted.
    """
    known = {each.name: each for each in registers}
    rows: list[tuple[Cell, ...]] = []
    for register in registers:
        declared = register.portal.get("calendar") or {}
        column = next((c for c in register.columns if c.name == declared.get("item")), None)
        catalogue = known.get(column.ref or "") if column is not None else None
        if catalogue is not None and catalogue.portal.get("schedule"):
            acts = [_act(row, declared) for row in _rows(tables[register.name])]
            items = _rows(tables[catalogue.name])
            places = _places(registers, tables)
            rows += _lines(items, catalogue.portal["schedule"], places, acts, working, today)
    return make_table(COLUMNS, "item place period key", rows)


def _rows(table: Table) -> list[dict[str, Cell]]:
    names = [name for name, _kind in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def _act(row: Mapping[str, Cell], declared: Mapping[str, str]) -> Act:
    def cell(name: str) -> Cell:
        return row.get(declared.get(name, ""))

    return Act(
        key=str(row["key"]),
        item=str(cell("item") or ""),
        place=str(row.get("_community") or ""),
        period=str(cell("period") or ""),
        due=cell("due"),
        done=cell("done"),
        formed=cell("formed"),
    )


def _places(registers: Sequence[Register], tables: Mapping[str, Table]) -> dict[str, list[str]]:
    """Return the keys of the places by what people call their level."""
    found: dict[str, list[str]] = {}
    for register in registers:
        if register.portal.get("place"):
            levels = [column for column in register.columns if column.type == "code"]
            for row in _rows(tables[register.name]):
                for column in levels:
                    labels = {choice.code: choice.label for choice in column.choices}
                    label = labels.get(str(row.get(column.name)))
                    if label is not None and str(row["key"]) not in found.setdefault(label, []):
                        found[label].append(str(row["key"]))
    return found


def _lines(
    items: Sequence[Mapping[str, Cell]],
    schedule: Mapping[str, Any],
    places: Mapping[str, Sequence[str]],
    acts: Sequence[Act],
    working: WorkCalendar,
    today: str,
) -> Iterator[tuple[Cell, ...]]:
    """Yield the lines of a catalogue: what is due again and again, or once; then the acts that answer none of these."""
    by_item: dict[str, list[Act]] = {}
    for act in sorted(acts, key=lambda act: (str(act.done or _FAR), act.key)):
        by_item.setdefault(act.item, []).append(act)
    limits: dict[str, int] = {}
    for item in items:
        key, since = str(item["key"]), str(item["_created"])[:10]
        rule = schedule["rules"].get(str(item.get(schedule["rule"]))) or {}
        if rule.get("every") == "case":
            limits[key] = rule["within"]
        elif rule:
            periods = _periods(rule, since, today, working)
            for place in places.get(str(item.get(schedule.get("level", ""))), ("",)):
                yield from _of_place(key, place, periods, by_item.get(key, ()), today)
    for act in acts:
        if not act.used:
            formed = working.after(str(act.formed), limits[act.item]) if act.item in limits else None
            source, due = (RULE, formed) if formed is not None else (OWN, act.due)
            yield _line(act.item, act.place, act.period, source, due, act, today)


def _of_place(
    item: str, place: str, periods: Sequence[Period], acts: Sequence[Act], today: str
) -> Iterator[tuple[Cell, ...]]:
    """Yield an item's lines of one place; each act answers for one period, the earliest one first."""
    mine = [act for act in acts if act.place.startswith(place)]
    found: dict[str, Act] = {}
    for act in mine:
        period = _answers(act, periods)
        if period is not None and period.code not in found:
            found[period.code] = act
            act.used = True
    for period in periods:
        yield _line(item, place, period.code, RULE, period.due or None, found.get(period.code), today)


def _answers(act: Act, periods: Sequence[Period]) -> Period | None:
    """Return the period that an act is of: the one it names, else the first that was not over when it was made."""
    code = period_code(act.period)
    named = next((period for period in periods if period.code == code), None)
    if named is not None or (code and any(len(code) == len(period.code) for period in periods)):
        return named
    done = str(act.done or _FAR)
    return next((period for period in periods if not period.code or period.due >= done >= period.start), None)


def _line(item: str, place: str, period: str, source: str, due: Cell, act: Act | None, today: str) -> tuple[Cell, ...]:
    due = due if parse_day(due) is not None else None
    done = act.done if act is not None else None
    month = str(due)[: len("2026-11")] if due is not None else None
    key = act.key if act is not None else ""
    return (item, place, period, source, due, done, _state(due, done, today), key, place or None, month)


def _state(due: Cell, done: Cell, today: str) -> str:
    if due is None:
        return "open"
    if done is not None:
        return "on_time" if str(done) <= str(due) else "late"
    return "overdue" if str(due) < today else "pending"


def period_code(text: str) -> str:
    """Return the code of the period that people wrote (`2026年第三季度`, `2026年3月`), '' if it is none."""
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", text))
    if quarter := _QUARTER.fullmatch(plain):
        digit = quarter[2] or quarter[3]
        return f"{quarter[1]}-Q{_DIGITS.get(digit) or int(digit)}"
    month = _MONTH.fullmatch(plain)
    number = int(month[2] or month[3]) if month else 0
    return f"{month[1]}-{number:02}" if month and 1 <= number <= 12 else ""


def _periods(rule: Mapping[str, Any], since: str, today: str, working: WorkCalendar) -> list[Period]:
    """Return the periods of a rule that begin after *since* and not after *today*; of `once` the only one."""
    if rule["every"] == "once":
        return [Period("", since, working.after(since, rule["within"]) or "")]
    length = {"month": 1, "quarter": 3}[rule["every"]]
    first, last = date.fromisoformat(since), date.fromisoformat(today)
    newest = (last.year * 12 + last.month - 1) // length
    found = []
    for number in range(newest + 1 - KEPT_MONTHS // length, newest + 1):
        begin = number * length
        if date(begin // 12, begin % 12 + 1, 1) >= first:
            found.append(_period(begin, length, rule))
    return found


def _period(begin: int, length: int, rule: Mapping[str, Any]) -> Period:
    """Return the period of *length* months from month *begin* (counted from year 0)."""
    year, month = divmod(begin, 12)
    code = f"{year:04}-{month + 1:02}" if length == 1 else f"{year:04}-Q{month // length + 1}"
    due_year, due_month = divmod(begin + length - 1 + rule["after"], 12)
    following = date(due_year + (due_month == 11), (due_month + 1) % 12 + 1, 1)
    day = min(rule["day"], (following - timedelta(days=1)).day)
    return Period(code, f"{year:04}-{month + 1:02}-01", date(due_year, due_month + 1, day).isoformat())
