"""What a new edition of a register may not take back: what rows hold must still fit. Pure.

A replica shows what its tables can hold: a row with a withdrawn code, or a value of another type, would be hidden
everywhere. Source: protocol page, section 7.
"""

import re
from typing import NoReturn

from syncgov.core.register_model import Column, Field, Register
from syncgov.core.register_yaml import Words, problem

_NEW_NAME = ("另起一个新名字。", "Declare it under a new name.")
_KEEP = (
    "保留它；不再使用时改说明（help），或把 write 改为 [registrar]。",
    "Keep it; say in `help` that it is retired.",
)


def check_edition(old: Register, new: Register) -> None:
    """Return if *new* may follow *old*.

    Raises:
        RegisterError: a field, column, code or key that is gone or other than before, or a limit that is tighter;
            names file, line and remedy.
    """
    for member in ("key", "area", "parent"):
        if getattr(old, member) != getattr(new, member):
            _refuse(new, member, (f"{member} 不能改变", f"{member!r} cannot change"), _NEW_NAME)
    for field in old.fields:
        _check_field(field, new)


def _check_field(old: Field, register: Register) -> None:
    new = register.find(old.name)
    if new is None:
        what = (
            f"字段“{old.name}”不能删去，已有的行还有它的值",
            f"field {old.name!r} is gone, but rows hold its values",
        )
        _refuse(register, "fields", what, _KEEP)
    if old.group != new.group:
        what = (
            f"字段“{old.name}”不能在组与单栏之间改变",
            f"field {old.name!r} cannot become a group or cease to be one",
        )
        _refuse(register, old.name, what, _NEW_NAME)
    columns = {column.name: column for column in new.columns}
    for column in old.columns:
        if column.name not in columns:
            what = (
                f"栏“{column.name}”不能删去，已有的行还有它的值",
                f"column {column.name!r} is gone, but rows hold values",
            )
            _refuse(register, old.name, what, _KEEP)
        _check_column(column, columns[column.name], register)


def _check_column(old: Column, new: Column, register: Register) -> None:
    name = old.name
    if old.type != new.type:
        what = (
            f"“{name}”的类型不能由 {old.type} 改为 {new.type}",
            f"{name!r} cannot change from {old.type} to {new.type}",
        )
        _refuse(register, name, what, _NEW_NAME)
    kept = {choice.code for choice in new.choices}
    gone = [choice.code for choice in old.choices if choice.code not in kept] if kept else []
    if gone:
        codes = "、".join(gone)
        what = (
            f"“{name}”的代码 {codes} 不能删去，已有的行会看不到",
            f"codes {codes} of {name!r} are gone: rows hold them",
        )
        _refuse(register, name, what, _KEEP)
    if new.choices and not old.choices:
        what = (f"“{name}”原来可填任何值，不能改为只能选代码", f"{name!r} took any value and cannot take codes only")
        _refuse(register, name, what, _NEW_NAME)
    if new.max_length < old.max_length:
        what = (f"“{name}”的 max_length 不能由 {old.max_length} 改小", f"max_length of {name!r} cannot shrink")
        _refuse(register, name, what, (f"写 {old.max_length} 或更大。", f"Write {old.max_length} or more."))


def _refuse(register: Register, name: str, what: Words, remedy: Words) -> NoReturn:
    place = re.search(rf"^\s*{re.escape(name)}\s*:", register.text, re.MULTILINE)
    text = register.text[: place.end()].rstrip() if place is not None else ""
    raise problem(register.file or f"{register.name}.yml", text.count("\n") + 1, what, remedy)
