"""From what people type into tables to the values of a column. Errors are pairs (Chinese, English), without a place."""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

from syncgov.core.commitment import Value
from syncgov.core.register_model import Column
from syncgov.errors import InputError

BEIJING = timezone(timedelta(hours=8))
MICRO = 1_000_000
MAX_NUMBER = 10**15  # of a number with a decimal point: more is a slip, and its digits would fill the memory
MIN_YEAR, MAX_YEAR = 1000, 2999  # what the tables' own check of a time allows
_TRUE = frozenset({"是", "true", "yes", "y", "1", "真"})
_FALSE = frozenset({"否", "false", "no", "n", "0", "假"})
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
_LOCAL_TIME = re.compile(_DATE.pattern + r"[ T]+(\d{1,2}):(\d\d)(?::(\d\d))?")
_INTEGER = re.compile(r"[+-]?(?:\d{1,16}|\d{1,3}(?:,\d{3}){1,5})", re.ASCII)
_SEPARATORS = re.compile(r"[、;；]")


def convert(column: Column, cell: Any) -> Value:
    """Return the value that *cell* (text of a CSV, or any JSON value) is for *column*; empty text is None.

    Raises:
        InputError: it is none; names the column and what is expected.
    """
    if isinstance(cell, str):
        cell = unicodedata.normalize("NFC", cell.strip())
        if cell == "":
            return None
        cell = _from_label(column, cell)
    reader = _READERS.get(column.type)
    value: Value = reader(column, cell) if reader is not None and cell is not None else cell
    column.check(value)
    return value


def instant(text: str) -> str:
    """Return an ISO 8601 time with an offset as the datetime type has it, in +08:00; the instant stays the same.

    Raises:
        ValueError: not such a time, or one without an offset.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or not MIN_YEAR <= found.year <= MAX_YEAR:
        raise ValueError(text)
    return found.astimezone(BEIJING).isoformat(timespec="seconds")


def local_time(text: str) -> str | None:
    """Return a time without offset, as spreadsheets write it, in +08:00; None if *text* is not one."""
    found = _LOCAL_TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=BEIJING).isoformat(timespec="seconds")


def microdegrees(number: Decimal) -> int:
    """Return degrees as integer microdegrees, rounded half to even."""
    return int((number * MICRO).to_integral_value())


def _from_label(column: Column, cell: str) -> str:
    """Accept the label of a code, and the code itself."""
    codes = [choice.code for choice in column.choices]
    if cell in codes:
        return cell
    return next((choice.code for choice in column.choices if choice.label == cell), cell)


def _fail(column: Column, zh: str, en: str) -> InputError:
    return InputError(f"“{column.label}”（{column.name}）{zh}", f"column {column.name} {en}")


def _integer(column: Column, cell: Any) -> Value:
    if isinstance(cell, str):
        if _INTEGER.fullmatch(cell) is None:
            raise _fail(column, f"应为整数，现为“{cell[:20]}”", f"must be an integer, not {cell[:20]!r}")
        return int(cell.replace(",", ""))
    return _plain(column, cell)


def _money(column: Column, cell: Any) -> Value:
    if isinstance(cell, str) and cell.endswith("元"):
        cents = _decimal(column, cell.removesuffix("元").replace(",", "").strip()) * 100
        if cents != cents.to_integral_value():
            raise _fail(column, "最小到分", "has more than two decimals")
        return int(cents)
    if isinstance(cell, Decimal) or (isinstance(cell, str) and "." in cell):
        raise _fail(column, "应为整数分，或写成“12.50元”", "must be integer 分 (hundredths), or be written as 12.50元")
    return _integer(column, cell)


def _coordinate(column: Column, cell: Any) -> Value:
    """A decimal point says degrees; an integer is microdegrees, as the tables hold it."""
    if isinstance(cell, Decimal):
        return microdegrees(_sane(column, cell))
    if isinstance(cell, str) and "." in cell:
        return microdegrees(_decimal(column, cell))
    return _integer(column, cell)


def _decimal(column: Column, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _fail(column, f"应为数，现为“{text}”", f"must be a number, not {text!r}") from None
    return _sane(column, number)


def _sane(column: Column, number: Decimal) -> Decimal:
    if not number.is_finite() or abs(number) > MAX_NUMBER:
        raise _fail(column, f"应为数，现为“{number}”", f"must be a number, not {str(number)!r}")
    return number


def _boolean(column: Column, cell: Any) -> Value:
    if isinstance(cell, str):
        if cell.lower() in _TRUE:
            return True
        if cell.lower() in _FALSE:
            return False
        raise _fail(column, f"应为是或否，现为“{cell}”", f"must be yes or no, not {cell!r}")
    return _plain(column, cell)


def _date(column: Column, cell: Any) -> Value:
    match = _DATE.fullmatch(cell) if isinstance(cell, str) else None
    if match is not None:
        year, month, day = match.groups()
        return f"{year}-{int(month):02}-{int(day):02}"
    return _plain(column, cell)


def _datetime(column: Column, cell: Any) -> Value:
    if isinstance(cell, str):
        try:
            return local_time(cell) or instant(cell)
        except ValueError:
            raise _fail(
                column,
                f"应为时间，如 2026-11-21T14:05:00+08:00，现为“{cell}”",
                f"must be a time such as 2026-11-21T14:05:00+08:00, not {cell!r}",
            ) from None
    return _plain(column, cell)


def _list(column: Column, cell: Any) -> Value:
    if not isinstance(cell, str):
        return _plain(column, cell)
    if cell.startswith("["):
        try:
            found: Value = json.loads(cell)
        except ValueError:
            raise _fail(column, "不是正确的 JSON 列表", "is not a JSON array") from None
        return found
    return [part.strip() for part in _SEPARATORS.split(cell) if part.strip()]


def _plain(column: Column, cell: Any) -> Value:
    if isinstance(cell, Decimal):
        raise _fail(column, "不能是小数", "must not be a decimal number")
    value: Value = cell
    return value


_READERS: Mapping[str, Callable[[Column, Any], Value]] = {
    "integer": _integer,
    "money": _money,
    "coordinate": _coordinate,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "list": _list,
    "text": _plain,
    "code": _plain,
    "hash": _plain,
}
