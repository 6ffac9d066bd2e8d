"""Rows as public.db shows them: which columns, which values, which number. Source: protocol page, sections 9 and 12."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TypeAlias

from syncgov.core.canonical import encode_unchecked
from syncgov.core.disputes import REVOCATION, is_disputed, last_good_seqs
from syncgov.core.fold import RowKey
from syncgov.core.merge import (
    ERASED,
    WITHHELD,
    FieldState,
    HeadValue,
    Hidden,
    RowState,
    declared_field,
    is_conflict,
    shown,
    workflow_of,
)
from syncgov.core.public_log import PublicState, PublicWrite
from syncgov.core.register_model import Column, Field, Register
from syncgov.core.statement import MAX_MS

Cell: TypeAlias = int | str | None

BEIJING = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, 8, tzinfo=BEIJING)
_LAST_MS = MAX_MS - 86_400_000  # a day before the last: its Beijing time still has four digits of year

MAX_PROOF_NAME = 200  # characters; file systems end at 255 bytes
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){4}[0-9a-f]{8}")
_UNUSUAL = re.compile(rb"[^A-Za-z0-9_.-]|^\.")
_INTEGERS = frozenset({"integer", "money", "coordinate", "boolean"})


@dataclass(frozen=True, slots=True)
class Table:
    """One table: (name, SQL type) of its columns, its primary key, its rows in the order in which they are inserted."""

    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


def make_table(columns: str, key: str, rows: Iterable[tuple[Cell, ...]]) -> Table:
    """Return a table whose columns are words `name` or `name:INTEGER`, and whose key is words too."""
    pairs = (word.partition(":") for word in columns.split())
    return Table(tuple((name, kind or "TEXT") for name, _, kind in pairs), tuple(key.split()), list(rows))


def public_fields(register: Register) -> list[Field]:
    """Return the fields of public class."""
    return [each for each in register.fields if each.klass == "public"]


def public_columns(register: Register) -> list[Column]:
    """Return the columns of public class, in the order of the declaration."""
    return [column for each in public_fields(register) for column in each.columns]


def evidence_path(table: str, key: str) -> str:
    """Return the path of a row's proof file in the published folder; it is also its relative URL."""
    return f"log/proofs/{table}/{file_name(key)}.json"


def file_name(key: str) -> str:
    """Return *key* as a file name that is also its own URL.

    Whatever is unusual in a URL or a file name is written `~` and two hexadecimal digits a byte (`%` would have to be
    escaped once more in links); a name that gets too long is replaced by the key's SHA-256.
    """
    name = _UNUSUAL.sub(lambda match: b"~%02X" % match.group()[0], key.encode()).decode()
    return name if len(name) <= MAX_PROOF_NAME else "~~" + hashlib.sha256(key.encode()).hexdigest()


def format_time(ms: int) -> str:
    """Return ms UTC as ISO 8601 in Beijing time, to the second."""
    return (_EPOCH + timedelta(milliseconds=min(max(ms, 0), _LAST_MS))).isoformat(timespec="seconds")


def format_json(value: HeadValue) -> str | None:
    """Return the canonical JSON text of a value; None if it is withheld or erased."""
    return None if isinstance(value, Hidden) else encode_unchecked(value).decode()


@dataclass(frozen=True, slots=True)
class Life:
    """What the history says of a row: its first leaf, when that and the last one were received, its public number."""

    index: int
    created_ms: int
    updated_ms: int
    number: str


def lives(writes: Iterable[PublicWrite]) -> dict[RowKey, Life]:
    """Return the life of each row that *writes*, in log order, ever wrote to.

    A number is community and day of the first leaf, and the row's ordinal among the register's rows of that community
    and day. Dead rows are counted, so that no number is ever given twice.
    """
    first: dict[RowKey, tuple[int, int, str]] = {}
    last: dict[RowKey, int] = {}
    for write in writes:
        index, received, community = first.get(write.row, (write.index, write.leaf.received, ""))
        if write.index == index and write.path.field == "_community" and isinstance(write.value, str):
            community = write.value
        first[write.row] = (index, received, community)
        last[write.row] = write.leaf.received
    counted: dict[tuple[str, str], int] = {}
    found = {}
    for row, (index, received, community) in first.items():
        day = f"{community}{format_time(received)[:10].replace('-', '')}"
        ordinal = counted[row[0], day] = counted.get((row[0], day), 0) + 1
        found[row] = Life(index, received, last[row], f"{day}{ordinal:03d}")
    return found


def temporary_number(register: Register, key: str) -> str:
    """Return the number that a worker can tell before the centre has given one; '' in registers without numbers.

    The end of the key: it is known where the record is made, stays when the record is sent again or adopted by another
    device, and unlike the beginning is random. Source: protocol page, section 9.
    """
    return f"临-{key[-8:-4]}-{key[-4:]}" if register.number and _UUID.fullmatch(key) else ""


def rows_table(register: Register, state: PublicState, known: Mapping[RowKey, Life]) -> Table:
    """Return the table of one register: its living rows, the earliest first."""
    columns = [f"{c.name}{':INTEGER' if c.type in _INTEGERS else ''}" for c in public_columns(register)]
    head = ["key", "_evidence", *(["_no"] if register.number else [])]  # the proof is seen where a wide table begins
    tail = [
        *(*_skeleton(register), "_created", "_updated", "_withheld", "_erased"),
        *("_conflict:INTEGER", "_disputed:INTEGER"),
    ]
    living = (row for row in state if row[0] == register.name and row in known and state[row].alive)
    ordered = sorted(living, key=lambda row: (known[row].index, row[1]))
    doubt = last_good(state)
    rows = ((*_row(register, row[1], state[row], known[row]), _doubts(register, state[row], doubt)) for row in ordered)
    return make_table(" ".join([*head, *columns, *tail]), "key", rows)


def last_good(state: PublicState) -> dict[str, int]:
    """Return device id -> last seq beyond doubt, of the devices whose revocation names one."""
    rows = ((key, row.fields.get(REVOCATION)) for (table, key), row in state.items() if table == "device")
    return last_good_seqs((dev, {REVOCATION: plain(shown(f, None, None))}) for dev, f in rows if f is not None)


def _doubts(register: Register, row: RowState, doubt: Mapping[str, int]) -> int:
    """Return in how many public fields something stands that a revoked device wrote after its last good changeset."""
    names = {each.name for each in public_fields(register)}
    found = (field for name, field in row.fields.items() if name in names or name.startswith("_"))
    return sum(any(is_disputed(doubt, head.dot) for head in field.heads) for field in found)


def _skeleton(register: Register) -> list[str]:
    return sorted(register.skeleton.sources()) if register.skeleton is not None else []


def _row(register: Register, key: str, row: RowState, life: Life) -> tuple[Cell, ...]:
    values = {each.name: shown_in(row, register, each.name) for each in public_fields(register)}
    withheld, erased = (",".join(n for n, v in values.items() if v is kind) for kind in (WITHHELD, ERASED))
    cells: list[Cell] = [key, evidence_path(register.name, key), *([life.number] if register.number else [])]
    for each in public_fields(register):
        cells += [_cell(value) for value in each.columns_of(plain(values[each.name])).values()]
    cells += [_cell(shown_in(row, register, name)) for name in _skeleton(register)]
    cells += [format_time(life.created_ms), format_time(life.updated_ms), withheld, erased]
    return (*cells, len(split_fields(register, row)))


def shown_in(row: RowState, register: Register | None, name: str) -> HeadValue:
    """Return what a field of *row* shows; presence shows true if any head is true."""
    if name == "_alive":
        return row.alive
    state = row.fields.get(name, FieldState())
    return shown(state, declared_field(register, name), workflow_of(register, name))


def plain(value: HeadValue) -> bool | int | str | list[object] | dict[str, object] | None:
    """Return *value*, None if it is withheld or erased."""
    return None if isinstance(value, Hidden) else value


def _cell(value: HeadValue) -> Cell:
    """Return a value as SQLite stores it: lists as JSON text, booleans as 0 and 1."""
    found = plain(value)
    if isinstance(found, bool):
        return int(found)
    return encode_unchecked(found).decode() if isinstance(found, (list, dict)) else found


def split_fields(register: Register, row: RowState) -> list[str]:
    """Return the public fields of a row whose heads differ, by name."""
    names = {each.name for each in public_fields(register)}
    return sorted(
        name
        for name, field in row.fields.items()
        if (name in names or name.startswith("_")) and len(field.heads) > 1 and is_conflict(field.heads)
    )
