"""What a value of each column type looks like. Source: protocol page, section 7 (value types)."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import Any, TypeAlias

from syncgov.core.canonical import MAX_INT

MAX_MICRODEGREES = 180_000_000  # a longitude; a latitude is within it
MAX_ITEM_LENGTH = 4000  # code points of one text in a list: one step of a procedure, not a document
MAX_INNER_ITEMS = 100  # entries of an array that is an item of a list

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DATETIME = re.compile(r"[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00")  # Beijing time, always
_HASH = re.compile("[0-9a-f]{64}")
# NUL ends a string for many programs, the other controls fool terminals; line ends and tabs belong to texts
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

Problem: TypeAlias = tuple[str, str] | None  # in Chinese and in English; reads on after the column's name


def problem(kind: str, value: Any, max_length: int) -> Problem:
    """Return why *value* is not a value of column type *kind*, or None if it is.

    Args:
        max_length: of a text its code points, of a list its items.
    """
    return _CHECKS[kind](value, max_length)


def object_problem(items: list[Any], members: Collection[str]) -> Problem:
    """Return why *items* are not texts, or objects with some of the declared *members*; None if they are."""
    for item in items:
        if not (isinstance(item, str) or (isinstance(item, dict) and set(item) <= set(members))):
            names = "、".join(members)
            return (
                f"的每一项须为文字，或只含 {names} 的对象",
                f"must hold texts, or objects with members out of {names}",
            )
    return None


def _text(value: Any, max_length: int) -> Problem:
    if not isinstance(value, str):
        return "应为文字", "must be text"
    if len(value) > max_length:
        return f"最多 {max_length} 字，现有 {len(value)} 字", f"has {len(value)} characters, at most {max_length}"
    if not value.isascii() and _is_unusual(value):
        return "含有非规范的 Unicode 字符（须为 NFC）", "is not Unicode text in NFC"
    if _CONTROL.search(value):
        return "含有控制字符", "holds control characters"
    return None


def _is_unusual(text: str) -> bool:
    return not unicodedata.is_normalized("NFC", text) or any("\ud800" <= char <= "\udfff" for char in text)


def _integer(value: Any, _max_length: int) -> Problem:
    if isinstance(value, bool) or not isinstance(value, int):
        return "应为整数", "must be an integer"
    if not -MAX_INT <= value <= MAX_INT:
        return "超出 ±(2^53−1)", "is beyond ±(2^53−1)"
    return None


def _money(value: Any, max_length: int) -> Problem:
    if _integer(value, max_length) is not None:
        return "应为整数，单位为分", "must be an integer number of 分 (hundredths)"
    return None


def _coordinate(value: Any, max_length: int) -> Problem:
    if _integer(value, max_length) is not None or abs(value) > MAX_MICRODEGREES:
        return "应为整数微度（度 × 1000000），在 ±180 度之内", "must be integer microdegrees within ±180 degrees"
    return None


def _boolean(value: Any, _max_length: int) -> Problem:
    return None if isinstance(value, bool) else ("应为是或否", "must be true or false")


def _date(value: Any, _max_length: int) -> Problem:
    if isinstance(value, str) and _DATE.fullmatch(value) and _exists(date.fromisoformat, value):
        return None
    return "应为真实日期，如 2026-11-21", "must be a date that exists, such as 2026-11-21"


def _datetime(value: Any, _max_length: int) -> Problem:
    if isinstance(value, str) and _DATETIME.fullmatch(value) and _exists(datetime.fromisoformat, value):
        return None
    return (
        "应为真实时间，如 2026-11-21T14:05:00+08:00",
        "must be a time that exists, such as 2026-11-21T14:05:00+08:00",
    )


def _exists(parse: Callable[[str], Any], value: str) -> bool:
    if not value.isascii():  # \d also matches other scripts' digits
        return False
    try:
        parse(value)
    except ValueError:
        return False
    return True


def _hash(value: Any, _max_length: int) -> Problem:
    if isinstance(value, str) and _HASH.fullmatch(value):
        return None
    return "应为 SHA-256：64 个小写十六进制数字", "must be a SHA-256 hash: 64 lower-case hexadecimal digits"


def _list(value: Any, max_length: int) -> Problem:
    if not isinstance(value, list):
        return "应为列表", "must be a list"
    if len(value) > max_length:
        return f"最多 {max_length} 项，现有 {len(value)} 项", f"has {len(value)} items, at most {max_length}"
    for item in value:
        inner = list(item.values()) if isinstance(item, dict) else item if isinstance(item, list) else [item]
        found = _inner_problem(inner, nested=isinstance(item, dict))
        if found is not None:
            return f"的某一项{found[0]}", f"has an item that {found[1]}"
    return None


def _inner_problem(inner: list[Any], *, nested: bool) -> Problem:
    """Check the parts of one item; the members of an object may be arrays once more."""
    if len(inner) > MAX_INNER_ITEMS:
        return f"超过 {MAX_INNER_ITEMS} 个值", f"holds more than {MAX_INNER_ITEMS} values"
    for part in inner:
        if nested and isinstance(part, list):
            found = _inner_problem(part, nested=False)
        elif isinstance(part, str):
            found = _text(part, MAX_ITEM_LENGTH)
        elif part is None or isinstance(part, bool):
            found = None
        else:
            found = _integer(part, 0)
        if found is not None:
            return found
    return None


_CHECKS: Mapping[str, Callable[[Any, int], Problem]] = {
    "text": _text,
    "code": _text,
    "integer": _integer,
    "money": _money,
    "coordinate": _coordinate,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "list": _list,
    "hash": _hash,
}
TYPES = tuple(_CHECKS)
