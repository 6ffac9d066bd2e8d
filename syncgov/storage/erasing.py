"""Taking erased values out of a file: what centre and replica share, and what a replica does after a merge.

An erasure is a row of the log; this module makes a file say what the log says. Source: protocol page, section 18.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from syncgov.core.canonical import encode_unchecked
from syncgov.core.commitment import META_TABLE, Body, Dot, format_path, open_body, parse_path, redact
from syncgov.core.erasure import Erasure, is_covered, parse_erasure, standing_erasures
from syncgov.core.fold import ERASURES, FoldWrite
from syncgov.core.merge import ERASED, FieldState, Head, RowState, declared_field, fold_write, workflow_of
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.storage.connection import transaction, translate
from syncgov.storage.replica import Replica
from syncgov.storage.state import RowKey, field_state, load_row, raw_field, store_rows


@dataclass(frozen=True, slots=True)
class FieldEntry:
    """An accepted write of one field, as far as it is known, for folding the field again."""

    index: int
    leaf: Leaf
    write: FoldWrite


def needle(table: str, key: str, name: str = "") -> bytes:
    """Return the bytes with which paths of a row (or one path) begin in every canonical body."""
    path = format_path(table, key, name or "_")
    return encode_unchecked(path if name else path[:-1])[:-1]


def without(body: Body, positions: Collection[int]) -> bytes:
    """Return the body with the writes at *positions* hidden: neither value nor salt is left, nor the seed."""
    return redact(body, lambda position, _write: position not in positions)


def load_erasures(conn: sqlite3.Connection, *, keys: Iterable[str] | None = None) -> list[Erasure]:
    """Return the erasures that the rows of a file say, those with *keys* or all, in the order of their own leaves."""
    if keys is None:
        keys = [key for (key,) in conn.execute("SELECT key FROM _sg_row WHERE tbl = ?", (ERASURES,)).fetchall()]
    found = (parse_erasure(key, _row_state(conn, (ERASURES, key))) for key in keys)
    return sorted((one for one in found if one is not None), key=lambda one: one.index)


def erased_paths(conn: sqlite3.Connection) -> dict[str, int]:
    """Return path -> index of its newest erasure, in a centre's file or a replica.

    What is kept outside of bodies under a path (a photo) goes with it: whatever was written to such a path below that
    index, or without having seen it, is erased.
    """
    return standing_erasures(load_erasures(conn), lambda one: _place(conn, one))


def _place(conn: sqlite3.Connection, one: Erasure) -> tuple[int, int] | None:
    """Return index and `seen` of the changeset that an erasure names, None if it is not held here."""
    found = named_leaf(conn, one)
    return None if found is None else (found[0], parse_leaf(found[1]).changeset.statement.seen.size)


def named_leaf(conn: sqlite3.Connection, one: Erasure) -> tuple[int, bytes, bytes | None] | None:
    """Return (index, leaf, body) of the changeset that an erasure names."""
    sql = (
        "SELECT idx, leaf, body FROM _sg_leaf WHERE dev = ? AND seq = ? AND idx = coalesce(?, idx) ORDER BY idx LIMIT 1"
    )
    found: tuple[int, bytes, bytes | None] | None = conn.execute(sql, (*one.slot[0], one.leaf)).fetchone()
    return found


def refold_field(entries: Sequence[FieldEntry], registers: RegisterSet) -> FieldState:
    """Return the state that the accepted writes of one field fold to, with the reference fold."""
    state = FieldState()
    for entry in sorted(entries, key=lambda entry: entry.index):
        table, _key, name = parse_path(entry.write.path)
        register = registers.get(table)
        st = entry.leaf.changeset.statement
        head = Head(st.dev, st.seq, entry.index, *entry.leaf.effective, entry.write.value)
        state = fold_write(state, head, entry.write.over, declared_field(register, name), workflow_of(register, name))
    return state


def store_fields(conn: sqlite3.Connection, row: RowKey, states: Mapping[str, FieldState]) -> None:
    """Replace the stored heads of some fields of a row."""
    stored = load_row(conn, row)
    for name, state in states.items():
        stored.fields[name] = raw_field(state)
    store_rows(conn, {row: stored})


def _row_state(conn: sqlite3.Connection, row: RowKey) -> RowState:
    return RowState({name: field_state(raw) for name, raw in load_row(conn, row).fields.items()})


# -- a replica --------------------


def apply_erasures(replica: Replica, fresh: Iterable[tuple[Leaf, Body | None]]) -> tuple[set[RowKey], int]:
    """Take out of a replica what the log erases; call in the transaction that folds *fresh*, after the fold.

    Returns:
        the rows whose heads changed, and how many values were here and are gone.
    """
    keys = _keys_of(replica, fresh)
    if not keys:
        return set(), 0
    named = load_erasures(replica.conn, keys=keys)
    gone = sum(_take_out(replica, one) for one in named)
    rows: dict[RowKey, set[str]] = {}
    for one in named:
        if one.row[0] != META_TABLE and named_leaf(replica.conn, one) is not None:
            rows.setdefault(one.row, set()).add(one.path)
    for row, paths in rows.items():
        _refold(replica, row, paths)
        gone += _clean_held(replica, row, paths)
    if gone:
        replica.meta.raise_flag("scrub")
    return set(rows), gone


def _keys_of(replica: Replica, fresh: Iterable[tuple[Leaf, Body | None]]) -> list[str]:
    """Return the keys of erasures that are fresh, or name a changeset that is."""
    known = replica.conn.execute("SELECT 1 FROM _sg_row WHERE tbl = ? LIMIT 1", (ERASURES,)).fetchone()
    if known is None:
        return []
    keys: dict[str, None] = {}
    for leaf, body in fresh:
        for _position, write in body.disclosed() if body is not None else ():
            if write.path.startswith(f"{ERASURES}/"):
                keys[parse_path(write.path).key] = None
        if body is None or any(write is None for write in body.writes):
            dev, seq = leaf.changeset.statement.dot
            sql = "SELECT key FROM _sg_row WHERE tbl = ? AND key > ? AND key < ?"
            # "." is followed by "/": between the two lie the keys that begin so
            keys |= dict.fromkeys(k for (k,) in replica.conn.execute(sql, (ERASURES, f"{dev}.{seq}.", f"{dev}.{seq}/")))
    return list(keys)


def _take_out(replica: Replica, one: Erasure) -> int:
    """Hide a named write in the log entry and in the own changeset; returns 1 if its value was there."""
    found = named_leaf(replica.conn, one)
    if found is None:
        return 0
    index, raw, raw_body = found
    leaf, gone = parse_leaf(raw), 0
    st = leaf.changeset.statement
    places = [("UPDATE _sg_leaf SET body = ? WHERE idx = ?", index, raw_body)]
    own = replica.conn.execute(
        "SELECT body FROM _sg_own WHERE seq = ? AND envelope = ?", (st.seq, leaf.changeset.envelope.raw)
    ).fetchone()
    if st.dev == replica.dev and own is not None:
        places.append(("UPDATE _sg_own SET body = ? WHERE seq = ?", st.seq, own[0]))
    for sql, number, held in places:
        body = open_body(held, st) if held else None
        if body is not None and _is_named(body, one):
            replica.conn.execute(sql, (without(body, {one.slot[1]}), number))
            gone = 1
    return gone


def _is_named(body: Body, one: Erasure) -> bool:
    """Whether the write in the erasure's place is disclosed and is the one that it names."""
    position = one.slot[1]
    write = body.writes[position] if position < len(body.writes) else None
    return write is not None and write.path == one.path


def _refold(replica: Replica, row: RowKey, paths: Collection[str]) -> None:
    """Fold fields of a row again from what is left, as far as this device may read them."""
    register = replica.registers.get(row[0])
    readable = {each.name for each in register.readable(replica.roles)} if register is not None else set()
    names = {path: parse_path(path).field for path in paths}
    entries: dict[str, list[FieldEntry]] = {path: [] for path, name in names.items() if name in readable}
    for index, leaf, write in _held_writes(replica, row):
        if write.path in entries:
            entries[write.path].append(FieldEntry(index, leaf, write))
    states = {names[path]: refold_field(found, replica.registers) for path, found in entries.items() if found}
    store_fields(replica.conn, row, states)


def _held_writes(replica: Replica, row: RowKey) -> Iterator[tuple[int, Leaf, FoldWrite]]:
    """Yield (index, leaf, write) of the accepted writes of a row that this replica knows, disclosed or erased."""
    conn = replica.conn
    sql = (
        "SELECT l.idx, l.leaf, coalesce(l.body, o.body) FROM _sg_leaf AS l LEFT JOIN _sg_own AS o ON o.idx = l.idx "
        "WHERE l.accepted AND instr(coalesce(l.body, o.body), ?)"
    )
    for index, raw, raw_body in conn.execute(sql, (needle(*row),)).fetchall():
        leaf = parse_leaf(raw)
        for _position, write in open_body(raw_body, leaf.changeset.statement).disclosed():
            if parse_path(write.path)[:2] == row:
                yield index, leaf, FoldWrite(*write)
    mentions = "SELECT key FROM _sg_row WHERE tbl = ? AND instr(state, ?)"
    keys = [key for (key,) in conn.execute(mentions, (ERASURES, needle(*row))).fetchall()]
    for one in load_erasures(conn, keys=keys):
        found = named_leaf(conn, one)
        if found is None or one.row != row or not (leaf := parse_leaf(found[1])).accepted:
            continue
        own = conn.execute("SELECT body FROM _sg_own WHERE idx = ?", (found[0],)).fetchone()
        raw_body = found[2] or (own[0] if own is not None else None)
        body = open_body(raw_body, leaf.changeset.statement) if raw_body else None
        position = one.slot[1]
        if body is not None and position < len(body.writes) and body.writes[position] is None:
            yield found[0], leaf, FoldWrite(one.path, ERASED, one.over)


def _clean_held(replica: Replica, row: RowKey, paths: Collection[str]) -> int:
    """Take erased fields out of unsigned values that were kept aside; returns how many were there."""
    register = replica.registers.get(row[0])
    fields = [register.find(parse_path(path).field) for path in paths] if register is not None else []
    columns = {column.name for each in fields if each is not None for column in each.columns}
    found = replica.conn.execute("SELECT rowid, columns FROM _sg_held WHERE tbl = ? AND key = ?", row).fetchall()
    gone = 0
    for number, text in found:
        values = json.loads(text)
        here = [name for name in columns if values.get(name) is not None]
        if here:
            left = {name: value for name, value in values.items() if name not in here}
            sql = "UPDATE _sg_held SET columns = ? WHERE rowid = ?"
            replica.conn.execute(sql, (json.dumps(left, ensure_ascii=False), number))
            gone += len(here)
    return gone


def is_erased(conn: sqlite3.Connection, path: str, seen: int) -> bool:
    """Whether *path* was erased in a way that a write by somebody who had folded *seen* leaves does not know of."""
    sql = "SELECT key FROM _sg_row WHERE tbl = ? AND instr(state, ?)"
    keys = [key for (key,) in conn.execute(sql, (ERASURES, encode_unchecked(path)))]
    stands = standing_erasures(load_erasures(conn, keys=keys), lambda one: _place(conn, one))
    newest = 2**53  # what is not logged comes after everything that is
    return is_covered(stands, path, (newest, seen))


def erased_positions(conn: sqlite3.Connection, dot: Dot) -> set[int]:
    """Return the positions of a changeset's writes that the log erases."""
    sql = "SELECT key FROM _sg_row WHERE tbl = ? AND key > ? AND key < ?"
    rows = conn.execute(sql, (ERASURES, f"{dot[0]}.{dot[1]}.", f"{dot[0]}.{dot[1]}/"))
    return {one.slot[1] for one in load_erasures(conn, keys=[key for (key,) in rows])}


def scrub(conn: sqlite3.Connection) -> bool:
    """Write a database anew, so that neither free space nor the write-ahead log holds what was taken out.

    Returns:
        False if another program holds the file; try again later.

    Raises:
        StorageError: no space, or the disk is failing; whoever opens the file next tries again.
    """
    try:
        conn.execute("VACUUM")
        busy, _log, _moved = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        if "locked" in str(error) or "busy" in str(error):
            return False
        raise translate(error) from error
    return not busy


def finish_scrub(replica: Replica) -> None:
    """Finish what a merge with erasures began; call outside of transactions, again until it succeeds."""
    seen = replica.meta.get_int("scrub")
    if not seen:
        return
    before = replica.meta.get_int("cookie")
    if not scrub(replica.conn):
        return
    with transaction(replica.conn):
        # VACUUM counts as one change of the schema; any further one is another program's, and must be looked at
        if replica.conn.execute("PRAGMA schema_version").fetchone()[0] == before + 1:
            replica.meta.set(cookie=before + 1)
        replica.meta.lower_flag("scrub", seen)
