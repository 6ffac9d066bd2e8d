"""Values in words: choice labels, dates, money; which words name a record. Languages are `zh` and `en`."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Literal, TypeAlias

from syncgov.core.commitment import Value
from syncgov.core.register_model import Column, Field, Register

Language: TypeAlias = Literal["zh", "en"]

BEIJING = timezone(timedelta(hours=8))
SHORT_KEY = 8  # characters of a UUID that people read to each other
MAX_TITLE = 40
_YES_NO = {"zh": ("是", "否"), "en": ("yes", "no")}
_EMPTY = {"zh": "（空）", "en": "(empty)"}
_PRESENCE = {"zh": ("保留这条记录", "删除这条记录"), "en": ("keep the record", "delete the record")}
_BETWEEN = {"zh": "，", "en": ", "}
PRESENCE_LABEL = {"zh": "是否删除", "en": "deletion"}
# what people call the roles of the shipped registers; a role of somebody's own register goes by its code
_ROLES: Mapping[str, tuple[str, str]] = {
    "auditor": ("监督员", "auditor"),
    "checker": ("核查员", "checker"),
    "grid_chief": ("网格长", "grid chief"),
    "grid_helper": ("网格辅助员", "grid helper"),
    "grid_worker": ("网格员", "grid worker"),
    "handler": ("承办人", "handler"),
    "operator": ("综治平台操作员", "operator"),
    "publisher": ("公开审核员", "publisher"),
    "registrar": ("登记管理员", "registrar"),
}

# What moves a terminal's cursor or colours it, is not seen, or turns the direction of what follows. Line ends and tabs
# are ours; U+200D keeps compound emoji together.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_ENDS = str.maketrans({"\n": "\\n", "\t": " "})


def visible(text: str) -> str:
    """Return *text* as a terminal may be given it: each control and direction sign is written out, as `\\x1b`."""
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def one_line(value: object) -> str:
    """Return a value of somebody else's for a line of ours, which it cannot end: `visible`, line ends written out."""
    return visible(str(value)).translate(_LINE_ENDS)


def json_visible(text: str) -> str:
    """Return JSON with the same values and nothing that a terminal obeys: JSON's own escapes stand for it."""
    return _UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text)


def time_words(at_ms: int) -> str:
    """Return a time, ms UTC, as `2026-11-21 14:05` in +08:00."""
    return datetime.fromtimestamp(at_ms / 1000, BEIJING).strftime("%Y-%m-%d %H:%M")


def value_words(declared: Field | None, value: Value, language: Language = "zh") -> str:
    """Return the value of a field as people say it: labels for codes, each filled column of a group."""
    if value is None:
        return _EMPTY[language]
    if declared is None:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not declared.group:
        return column_words(declared.columns[0], value, language)
    filled = ((column, part) for column in declared.columns if (part := declared.columns_of(value)[column.name]))
    return _BETWEEN[language].join(f"{column.label} {column_words(column, part, language)}" for column, part in filled)


def presence_words(alive: Value, language: Language) -> str:
    """Return what a write of a record's presence says."""
    return _PRESENCE[language][0 if alive is True else 1]


def role_words(role: str, language: Language = "zh") -> str:
    """Return what people call a role."""
    return _ROLES.get(role, (role, role))[0 if language == "zh" else 1]


def column_words(column: Column, value: Value, language: Language = "zh") -> str:
    """Return one column's value as people say it."""
    if isinstance(value, bool):
        return _YES_NO[language][0 if value else 1]
    labels = {choice.code: choice.label for choice in column.choices}
    if str(value) in labels:
        return labels[str(value)]
    if isinstance(value, int):
        return _number_words(column, value)
    if column.type == "datetime" and isinstance(value, str):
        return value[:16].replace("T", " ")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _number_words(column: Column, value: int) -> str:
    sign, size = "-" if value < 0 else "", abs(value)
    if column.type == "money":
        return f"{sign}{size // 100}.{size % 100:02d} 元"
    if column.type == "coordinate":
        return f"{sign}{size // 1_000_000}.{size % 1_000_000:06d}°"
    return f"{value} {column.unit}".rstrip()


def record_words(register: Register | None, table: str, key: str, columns: Mapping[str, Value]) -> str:
    """Return how people call a record: its register's label and its title, or the beginning of its key."""
    label = register.label if register is not None else table
    title = _title(register, columns) if register is not None else None
    if title is not None:
        return f"{label}“{one_line(title[:MAX_TITLE])}”"
    return f"{label} {key[:SHORT_KEY] if register is None or register.key == 'uuid' else key}"


def _title(register: Register, columns: Mapping[str, Value]) -> str | None:
    """The columns that the public page uses as title come first, then the first text that is no code of a place."""
    declared = register.portal.get("title", ())
    names = [declared] if isinstance(declared, str) else list(declared)
    places = (register.area, register.parent, register.skeleton.community if register.skeleton is not None else None)
    texts = (column for column in register.columns if column.type == "text" and column.ref is None)
    names += [column.name for column in texts if column.name not in places]
    found = (columns.get(name) for name in names)
    return next((text for text in found if isinstance(text, str) and text), None)


def reach_words(areas: Sequence[str], units: Sequence[str], language: Language = "zh") -> str:
    """Return which records a device gets, for people: its areas, and the units whose records it handles."""
    areas_word, units_word, comma, mark = (
        ("区域 ", "责任单位 ", "、", "，") if language == "zh" else ("areas ", "units ", ", ", "; ")
    )
    parts = [f"{word}{comma.join(codes)}" for word, codes in ((areas_word, areas), (units_word, units)) if codes]
    return mark.join(parts)
