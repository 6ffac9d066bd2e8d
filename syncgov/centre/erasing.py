"""Erasing at the centre: which logged writes, out of the database, out of the second copy.

The rows that say so and the removal are one transaction; second copy, free space and write-ahead log follow, and a
crash in between is finished by whoever opens the centre next. Source: protocol page, section 18.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from syncgov.centre.copy import SecondCopy
from syncgov.centre.intake import read_waiting, waiting_erased, without_values
from syncgov.core.canonical import encode_unchecked
from syncgov.core.commitment import META_TABLE, Dot, Path, Value, Write, meta_path, open_body, parse_path
from syncgov.core.erasure import NOTE, erasure_key, is_late
from syncgov.core.fold import ERASURES
from syncgov.core.register import Register
from syncgov.core.statement import parse_changeset, parse_leaf
from syncgov.storage.connection import transaction
from syncgov.storage.erasing import (
    FieldEntry,
    load_erasures,
    named_leaf,
    needle,
    refold_field,
    scrub,
    store_fields,
    without,
)
from syncgov.storage.ledger import Ledger
from syncgov.storage.state import RowKey, load_row

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundWrite:
    """A logged write that is to be erased. `key`: of the row that will name it."""

    index: int
    position: int
    key: str
    write: Write

    def columns(self, reason: str) -> dict[str, Value]:
        """Return the columns of the row that names it."""
        return {"path": self.write.path, "over": [list(dot) for dot in self.write.over], "reason": reason}


@dataclass(slots=True)
class Found:
    """What an erasure covers.

    Attributes:
        writes: logged ones, in log order. waiting: changesets without a leaf that wrote there too.
    """

    writes: list[FoundWrite] = field(default_factory=list)
    waiting: list[Dot] = field(default_factory=list)

    @property
    def paths(self) -> set[str]:
        """The paths of the logged writes."""
        return {one.write.path for one in self.writes}


def find_writes(ledger: Ledger, rows: Collection[RowKey], wanted: Callable[[Path], bool], *, notes: bool) -> Found:
    """Return every logged write that is still there of the paths in *rows* that are *wanted*.

    Args:
        notes: with the notes of the changesets that wrote to one of the rows.
    """
    found: dict[tuple[int, int], FoundWrite] = {}
    for row in sorted(rows):
        sql = "SELECT idx, leaf, body FROM _sg_leaf WHERE instr(body, ?) ORDER BY idx"
        for index, raw, raw_body in ledger.conn.execute(sql, (needle(*row),)).fetchall():
            st = parse_leaf(raw).changeset.statement
            first = ledger.conn.execute("SELECT min(idx) FROM _sg_leaf WHERE dev = ? AND seq = ?", st.dot).fetchone()[0]
            body = open_body(raw_body, st)
            touches = any(parse_path(write.path)[:2] == row for _position, write in body.disclosed())
            for position, write in body.disclosed():
                path = parse_path(write.path)
                is_note = notes and touches and write.path == meta_path(st.dot, NOTE)
                if is_note or (path[:2] == row and wanted(path)):
                    key = erasure_key(st.dot, position, None if index == first else index)
                    found[index, position] = FoundWrite(index, position, key, write)
    return Found([found[place] for place in sorted(found)])


def rows_of(ledger: Ledger, record: RowKey) -> set[RowKey]:
    """Return the row and every child row that any changeset, accepted or not, ever gave it."""
    rows = {record}
    children = ledger.registers(ledger.size).children(record[0])
    for child in children:
        assert child.parent is not None
        for key, stored in ledger.rows(child.name):
            if stored.shown(child.parent, child) == record[1]:
                rows.add((child.name, key))
    names = {child.name: child for child in children}
    mention = encode_unchecked(record[1])
    for raw, raw_body in ledger.conn.execute("SELECT leaf, body FROM _sg_leaf WHERE instr(body, ?)", (mention,)):
        for _position, write in open_body(raw_body, parse_leaf(raw).changeset.statement).disclosed():
            rows |= _child_of(names, write, record)
    sql = "SELECT envelope, body FROM _sg_waiting WHERE instr(body, ?)"
    for raw, raw_body in ledger.conn.execute(sql, (mention,)):
        for _position, write in open_body(raw_body, parse_changeset(raw).statement).disclosed():
            rows |= _child_of(names, write, record)
    return rows


def _child_of(children: Mapping[str, Register], write: Write, record: RowKey) -> set[RowKey]:
    path = parse_path(write.path)
    child = children.get(path.table)
    is_parent = child is not None and path.field == child.parent and write.value == record[1]
    return {(path.table, path.key)} if is_parent else set()


# -- inside the transaction --------------------


def take_out(ledger: Ledger, found: Found) -> None:
    """Take the values and salts out of every table; call in the transaction that logs the erasure, after its rows."""
    by_leaf: dict[int, set[int]] = {}
    for one in found.writes:
        by_leaf.setdefault(one.index, set()).add(one.position)
    for index, positions in by_leaf.items():
        raw, raw_body = ledger.conn.execute("SELECT leaf, body FROM _sg_leaf WHERE idx = ?", (index,)).fetchone()
        body = open_body(raw_body, parse_leaf(raw).changeset.statement)
        ledger.conn.execute("UPDATE _sg_leaf SET body = ? WHERE idx = ?", (without(body, positions), index))
        ledger.conn.execute("INSERT OR IGNORE INTO _sg_scrub VALUES (?)", (index,))
    ledger.forget()
    _refold(ledger, found.paths)
    found.waiting += _strip_waiting(ledger, found.paths)
    if found.writes:
        ledger.meta.set(erased=ledger.size)
        ledger.meta.raise_flag("scrub")


def _refold(ledger: Ledger, paths: Collection[str]) -> None:
    """Fold the erased paths again: all that is logged of them is erased now."""
    rows: dict[RowKey, list[Path]] = {}
    for path in map(parse_path, sorted(paths)):
        if path.table != META_TABLE:
            rows.setdefault(path[:2], []).append(path)
    registers = ledger.registers(ledger.size)
    shown = {}
    for row, fields in rows.items():
        stored = load_row(ledger.conn, row)
        states = {p.field: refold_field(_entries(ledger, p), registers) for p in fields if p.field in stored.fields}
        store_fields(ledger.conn, row, states)
        shown[row] = load_row(ledger.conn, row)
    ledger.show(shown)


def _entries(ledger: Ledger, path: Path) -> list[FieldEntry]:
    wanted = needle(*path)[1:].decode()
    sql = "SELECT DISTINCT idx FROM _sg_erased WHERE path = ?"
    indexes = [index for (index,) in ledger.conn.execute(sql, (json.loads(f'"{wanted}"'),)).fetchall()]
    leaves = ((index, ledger.leaf(index)) for index in indexes)
    return [
        FieldEntry(index, leaf, write)
        for index, leaf in leaves
        if leaf.accepted
        for write in ledger.erased_writes(index).values()
        if parse_path(write.path) == path
    ]


def _strip_waiting(ledger: Ledger, paths: Collection[str]) -> list[Dot]:
    """Take erased values out of changesets that wait; they are judged without them when their turn comes."""
    stripped = []
    rows = ledger.conn.execute("SELECT dev, seq, envelope, body, erased FROM _sg_waiting").fetchall()
    for dev, seq, envelope, raw_body, erased in rows:
        incoming = read_waiting(envelope, raw_body, erased)
        late = {p for p, w in incoming.body.disclosed() if w.path in paths} - incoming.erased
        if late:
            left = without_values(incoming, late)
            sql = "UPDATE _sg_waiting SET body = ?, erased = ? WHERE dev = ? AND seq = ?"
            ledger.conn.execute(sql, (left.raw_body, waiting_erased(left), dev, seq))
            stripped.append((dev, seq))
    return stripped


def late_rows(ledger: Ledger) -> Iterator[tuple[str, Mapping[str, Value]]]:
    """Yield the rows that name what was erased on arrival: its reason is that of the erasure that it had not seen."""
    sql = (
        "SELECT e.idx, e.position, e.path, e.over, l.dev, l.seq, "
        "(SELECT min(idx) FROM _sg_leaf AS f WHERE f.dev = l.dev AND f.seq = l.seq) "
        "FROM _sg_erased AS e JOIN _sg_leaf AS l ON l.idx = e.idx WHERE e.at IS NULL ORDER BY e.idx, e.position"
    )
    for index, position, path, over, dev, seq, first in ledger.conn.execute(sql).fetchall():
        key = erasure_key((dev, seq), position, None if index == first else index)
        yield key, {"path": path, "over": json.loads(over), "reason": _reason(ledger, path)}


def _reason(ledger: Ledger, path: str) -> Value:
    sql = (
        "SELECT l.key FROM _sg_erased AS e JOIN _sg_leaf AS l ON l.idx = e.at "
        "WHERE e.path = ? AND NOT e.late ORDER BY e.at DESC LIMIT 1"
    )
    (key,) = ledger.conn.execute(sql, (path,)).fetchone()
    return load_row(ledger.conn, (ERASURES, key)).shown("reason", None)


def settle_late(ledger: Ledger, key: str, index: int | None) -> None:
    """Note that the leaf at *index* names the write that *key* names."""
    dev, seq, position, *leaf = key.split(".")
    sql = (
        "UPDATE _sg_erased SET at = ? WHERE position = ? AND idx = coalesce(?, "
        "(SELECT min(idx) FROM _sg_leaf WHERE dev = ? AND seq = ?))"
    )
    ledger.conn.execute(sql, (index, int(position), int(leaf[0]) if leaf else None, dev, int(seq)))


def notice(ledger: Ledger) -> None:
    """Forget what is remembered in memory if another process has erased something since."""
    known = ledger.meta.get_int("erased")
    if known != ledger.erased:
        ledger.forget()
        ledger.erased = known


def reapply(ledger: Ledger) -> None:
    """Make the database follow every erasure that its log holds; a database that was put together from a backup and
    newer entries may hold what the newer ones erase. Costs nothing where all is done.
    """
    (known,) = ledger.conn.execute("SELECT count(*) FROM _sg_erased").fetchone()
    (rows,) = ledger.conn.execute("SELECT count(*) FROM _sg_row WHERE tbl = ?", (ERASURES,)).fetchone()
    if known >= rows:
        return
    with transaction(ledger.conn):
        found, paths = Found(), set()
        everything = load_erasures(ledger.conn)
        stands: dict[str, int] = {}
        for one in everything:
            leaf = named_leaf(ledger.conn, one)
            body = None if leaf is None else open_body(leaf[2] or b"", parse_leaf(leaf[1]).changeset.statement)
            if leaf is None or body is None or one.slot[1] >= len(body.writes):
                continue
            index, position, write = leaf[0], one.slot[1], body.writes[one.slot[1]]
            if write is not None and write.path != one.path:
                continue  # it names another write than the one in its place, and erases nothing
            place = (index, ledger.seen_size(parse_leaf(leaf[1]).changeset.statement))
            late = is_late(stands, one.path, place)
            stands |= {} if late else {one.path: one.index}
            ledger.conn.execute(
                "INSERT OR REPLACE INTO _sg_erased VALUES (?, ?, ?, ?, ?, ?)",
                (index, position, one.path, json.dumps(one.over), one.index, late),
            )
            paths.add(one.path)
            if write is not None:
                found.writes.append(FoundWrite(index, position, "", write))
        take_out(ledger, found)
        _refold(ledger, paths)
        _strip_waiting(ledger, paths)
        ledger.meta.set(erased=ledger.size)
        ledger.meta.raise_flag("scrub")


# -- after the transaction --------------------


def finish_copy(ledger: Ledger, copy: SecondCopy) -> None:
    """Take out of the second copy what the database has lost; call while holding the copy."""
    indexes = [index for (index,) in ledger.conn.execute("SELECT idx FROM _sg_scrub ORDER BY idx").fetchall()]
    if indexes:
        sql = "SELECT leaf, body FROM _sg_leaf WHERE idx = ?"
        copy.rewrite({index: ledger.conn.execute(sql, (index,)).fetchone() for index in indexes})
        with transaction(ledger.conn):
            ledger.conn.executemany("DELETE FROM _sg_scrub WHERE idx = ?", [(index,) for index in indexes])


def finish_scrub(ledger: Ledger) -> None:
    """Write the database anew if an erasure has left free space.

    What another program holds up is left for the next start; the log says what is erased in any case.
    """
    seen = ledger.meta.get_int("scrub")
    if seen:
        if scrub(ledger.conn):
            ledger.meta.lower_flag("scrub", seen)
        else:
            logger.warning("another program holds central.db: its free space is cleaned at the next start")
