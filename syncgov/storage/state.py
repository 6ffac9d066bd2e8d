"""The state of rows in SQLite, and the fast fold. A property test keeps it equal to the reference in `core.merge`.

A row's heads are kept together in one JSON blob: `{field: [[head, …], before?]}` with head
`[dev, seq, index, at, tick, value]`, or `[dev, seq, index, at, tick, null, 1]` if it is erased; `before` is there only
while the heads differ.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from syncgov.core.commitment import MAX_OVER, META_TABLE, Dot, Path, Value, Write, parse_path
from syncgov.core.fold import FoldWrite
from syncgov.core.merge import (
    ERASED,
    FieldState,
    Head,
    Hidden,
    declared_field,
    fold_write,
    is_conflict,
    same,
    shown,
    workflow_of,
)
from syncgov.core.register_model import Register

RowKey = tuple[str, str]
RawState = dict[str, list[Any]]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RawState).decode


@dataclass(frozen=True, slots=True)
class FoldItem:
    """An accepted changeset, ready to be folded. `at`, `tick`: effective time."""

    index: int
    dot: Dot
    at: int
    tick: int
    writes: Sequence[Write | FoldWrite]


@dataclass(slots=True)
class StoredRow:
    """A row's heads, and what this device wrote on top that has no verdict yet: field -> [value, dot, over]."""

    fields: RawState = field(default_factory=dict)
    own: dict[str, list[Any]] = field(default_factory=dict)

    def shown(self, name: str, register: Register | None) -> Value:
        """Return the value that the accepted writes show."""
        raw = self.fields.get(name)
        if raw is None:
            return None
        heads = raw[0]
        if len(heads) == 1:
            return heads[0][5]  # type: ignore[no-any-return]
        if name == "_alive":
            return any(head[5] is True for head in heads)
        return _shown(raw, name, register)

    def local(self, name: str, register: Register | None) -> Value:
        """Return the value that this device shows: its own pending write, else the accepted one."""
        return self.own[name][0] if name in self.own else self.shown(name, register)

    def over(self, name: str) -> tuple[Dot, ...]:
        """Return what a new write of *name* replaces. Source: protocol page, section 13."""
        pending = self.own.get(name)
        if pending is not None:
            dots = {(pending[1][0], pending[1][1]), *((d[0], d[1]) for d in pending[2])}
            return _shortened(dots, pending[1][0])
        raw = self.fields.get(name)
        return () if raw is None else tuple(sorted((h[0], h[1]) for h in raw[0]))

    @property
    def alive(self) -> bool:
        """Whether the row shows on this device."""
        return self.local("_alive", None) is True


def _shortened(dots: set[Dot], own: str) -> tuple[Dot, ...]:
    """Leave out the oldest own dots of a very long offline chain: each was replaced by the one after it."""
    spare = sorted(dot for dot in dots if dot[0] == own)[: max(0, len(dots) - MAX_OVER)]
    return tuple(sorted(dots - set(spare)))


def field_state(raw: list[Any]) -> FieldState:
    """Return the reference form of a stored field."""
    heads = tuple(Head(*head) if len(head) == 6 else Head(*(*head[:5], ERASED)) for head in raw[0])
    return FieldState(heads, raw[1] if len(raw) > 1 else None)


def raw_field(state: FieldState) -> list[Any]:
    """Return the stored form of a field."""
    heads = [_raw_head(head) for head in state.heads]
    return [heads, state.before] if is_conflict(state.heads) else [heads]


def _raw_head(head: Head) -> list[Any]:
    value = [None, 1] if head.value is ERASED else [head.value]
    return [head.dev, head.seq, head.index, head.at, head.tick, *value]


def load_row(conn: sqlite3.Connection, row: RowKey) -> StoredRow:
    """Return the stored row, empty if there is none."""
    found = conn.execute("SELECT state, own FROM _sg_row WHERE tbl = ? AND key = ?", row).fetchone()
    if found is None:
        return StoredRow()
    return StoredRow(_decode(found[0]), _decode(found[1]) if found[1] else {})


def load_rows(conn: sqlite3.Connection, rows: Iterable[RowKey]) -> dict[RowKey, StoredRow]:
    """Return the stored rows, empty ones where there is none; one statement a table."""
    found = {row: StoredRow() for row in rows}
    keys: dict[str, list[str]] = {}
    for table, key in found:
        keys.setdefault(table, []).append(key)
    for table, wanted in keys.items():
        sql = "SELECT key, state, own FROM _sg_row WHERE tbl = ? AND key IN (SELECT value FROM json_each(?))"
        for key, state, own in conn.execute(sql, (table, _encode(wanted).decode())):
            found[table, key] = StoredRow(_decode(state), _decode(own) if own else {})
    return found


def store_rows(conn: sqlite3.Connection, rows: Mapping[RowKey, StoredRow]) -> None:
    """Write rows back."""
    conn.executemany(
        "INSERT INTO _sg_row(tbl, key, state, own) VALUES (?, ?, ?, ?) "
        "ON CONFLICT(tbl, key) DO UPDATE SET state = excluded.state, own = excluded.own",
        [(t, k, _encode(r.fields), _encode(r.own) if r.own else None) for (t, k), r in rows.items()],
    )


def fold(
    conn: sqlite3.Connection, items: Iterable[FoldItem], registers: Mapping[str, Register]
) -> dict[RowKey, StoredRow]:
    """Fold accepted changesets, in log order, into `_sg_row`; return the rows that changed.

    Source: protocol page, section 12. Unknown registers and fields are kept for after an upgrade.
    """
    writes = [(item, write, path) for item in items for write in item.writes if (path := parse_path(write.path))]
    rows = load_rows(conn, ((path.table, path.key) for _item, _write, path in writes if path.table != META_TABLE))
    for item, write, path in writes:
        if path.table != META_TABLE:
            _fold_write(rows[path.table, path.key], path, item, write, registers)
    store_rows(conn, rows)
    return rows


def _fold_write(
    row: StoredRow, path: Path, item: FoldItem, write: Write | FoldWrite, registers: Mapping[str, Register]
) -> None:
    name = path.field
    raw = row.fields.get(name)
    value = [None, 1] if write.value is ERASED else [write.value]
    head = [*item.dot, item.index, item.at, item.tick, *value]
    if raw is None:
        row.fields[name] = [[head]]
        return
    old = raw[0]
    if len(old) == 1 and write.over and (old[0][0], old[0][1]) in write.over:
        row.fields[name] = [[head]]
        return
    kept = [h for h in old if (h[0], h[1]) not in write.over]
    kept.append(head)
    if any(len(h) > 6 for h in kept):  # rare: erased heads stand back behind the others
        register = registers.get(path.table)
        declared, workflow = declared_field(register, name), workflow_of(register, name)
        folded = fold_write(field_state(raw), field_state([[head]]).heads[0], write.over, declared, workflow)
        row.fields[name] = raw_field(folded)
    elif all(same(kept[0][5], h[5]) for h in kept):
        row.fields[name] = [kept]
    elif len(raw) > 1:
        row.fields[name] = [kept, raw[1]]
    else:
        row.fields[name] = [kept, _shown(raw, name, registers.get(path.table))]


def _shown(raw: list[Any], name: str, register: Register | None) -> Value:
    value = shown(field_state(raw), declared_field(register, name), workflow_of(register, name))
    return None if isinstance(value, Hidden) else value


def conflicts_of(row: StoredRow) -> list[str]:
    """Return the names of the fields whose heads differ."""
    return [name for name, raw in row.fields.items() if len(raw[0]) > 1 and is_conflict(field_state(raw).heads)]
