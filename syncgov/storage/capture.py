"""From rows that anybody wrote to signed changesets. Source: protocol page, sections 5 and 13.

Triggers leave hints; the truth is the difference between a row of the table and what the stored heads show.
"""

import sqlite3
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncgov.core.canonical import b64u
from syncgov.core.clock import Stamp
from syncgov.core.commitment import Body, Dot, Value, Write, format_path, make_body, meta_path
from syncgov.core.keys import SigningKey
from syncgov.core.merge import same
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Column, Register
from syncgov.core.statement import PROTOCOL_VERSION, Seen, Statement, sign_statement
from syncgov.core.tree import root_of_inputs
from syncgov.errors import FormatError, InputError
from syncgov.storage.connection import quote
from syncgov.storage.schema import from_sql, key_column
from syncgov.storage.state import RowKey, StoredRow


@dataclass(frozen=True, slots=True)
class FieldWrite:
    """A field that a changeset will write, before it has a path and a position."""

    row: RowKey
    name: str
    value: Value
    over: tuple[Dot, ...]
    public: bool


@dataclass(slots=True)
class RowChange:
    """What one row of a table says that its heads do not."""

    row: RowKey
    alive: bool
    fields: dict[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Author:
    """Who signs, and where in the device's chain and in time. `prev` is b64u; `second`: a person's key, beside."""

    key: SigningKey
    seq: int
    prev: str
    seen: Seen
    stamp: Stamp
    by: str | None
    note: str | None = None
    second: SigningKey | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A new changeset, ready to be stored and sent."""

    envelope: bytes
    raw_body: bytes
    body: Body
    statement: Statement


def read_columns(
    conn: sqlite3.Connection, register: Register, columns: Sequence[Column], key: str
) -> dict[str, Value] | None:
    """Return the readable columns of one row as it stands in the table, None if it is not there.

    Columns that another program dropped are left out, so that they count as unchanged.
    """
    key_name = key_column(register)
    cursor = conn.execute(f"SELECT * FROM {quote(register.name)} WHERE {quote(key_name)} = ?", (key,))
    names = [part[0] for part in cursor.description]
    found = cursor.fetchone()
    if found is None:
        return None
    values = dict(zip(names, found, strict=True))
    return {c.name: from_sql(c, values[c.name]) for c in columns if c.name in values}


def diff_row(
    register: Register, row: RowKey, columns: Mapping[str, Value] | None, stored: StoredRow
) -> RowChange | None:
    """Return what *columns* (the row in the table, None if deleted) changes in *stored*, None if nothing.

    Raises:
        InputError: a value that the register does not allow; names register, key and column.
    """
    if columns is None:
        return RowChange(row, False) if stored.alive else None
    change = RowChange(row, True)
    for declared in register.fields:
        if not all(c.name in columns for c in declared.columns):
            continue
        value = _normal(declared.value(columns))
        if not same(value, stored.local(declared.name, register)):
            _check(register, row[1], declared.check, value)
            change.fields[declared.name] = value
    if not change.fields and stored.alive:
        return None
    empty = [f for f in register.fields if f.required and all(c.name in columns for c in f.columns)]
    missing = [
        f.label for f in empty if f.value(columns) is None and (f.name in change.fields or f.name not in stored.fields)
    ]
    if missing:
        names = "、".join(missing)
        raise InputError(
            f"{register.label} {row[1]}：缺少必填项 {names}",
            f"{register.name} {row[1]}: required fields are empty: {names}",
        )
    return change


def _check(register: Register, key: str, check: object, value: Value) -> None:
    try:
        check(value)  # type: ignore[operator]
    except InputError as error:
        raise InputError(f"{register.label} {key}：{error.zh}", f"{register.name} {key}: {error.en}") from error


def _normal(value: Value) -> Value:
    """Return text in NFC: other programs type as they please, signed text has one form."""
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [_normal(v) for v in value]
    if isinstance(value, dict):
        return {k: _normal(v) for k, v in value.items()}
    return value


def field_writes(register: Register, change: RowChange, stored: StoredRow) -> list[FieldWrite]:
    """Return the writes of one changed row: fields, presence and skeleton."""

    def write(name: str, value: Value) -> FieldWrite:
        return FieldWrite(change.row, name, value, stored.over(name), register.class_of(name) == "public")

    writes = [write("_alive", change.alive)]
    writes += [write(name, value) for name, value in change.fields.items()]
    if register.skeleton is not None:
        for name, (column, length) in register.skeleton.sources().items():
            declared = register.column_field(column)
            if declared.name in change.fields:
                text = declared.columns_of(change.fields[declared.name]).get(column)
                writes.append(write(name, text[:length] if isinstance(text, str) else None))
    return writes


def sign_writes(writes: Sequence[FieldWrite], author: Author, registers: RegisterSet, seed: bytes) -> Signed:
    """Return the signed changeset of *writes*, all of one record.

    Raises:
        InputError: something that signed bytes cannot hold.
    """
    dot = (author.key.id, author.seq)
    try:
        public = [Write(format_path(*w.row, w.name), w.value, w.over) for w in writes if w.public]
        other = [Write(format_path(*w.row, w.name), w.value, w.over) for w in writes if not w.public]
        other.append(Write(meta_path(dot, "by"), author.by, ()))
        if author.note:
            other.append(Write(meta_path(dot, "note"), _normal(author.note), ()))
        raw_body, body = make_body(public, other, seed)
    except FormatError as error:
        raise InputError(f"无法签名：{error.zh}", f"cannot sign: {error.en}") from error
    statement = Statement(
        at=author.stamp.at,
        dev=dot[0],
        n=len(body.writes),
        prev=author.prev,
        pub=len(public),
        reg=b64u(registers.digest),
        root=b64u(root_of_inputs(body.digests)),
        seen=author.seen,
        seq=author.seq,
        tick=author.stamp.tick,
        v=PROTOCOL_VERSION,
    )
    return Signed(sign_statement(statement, author.key, author.second), raw_body, body, statement)
