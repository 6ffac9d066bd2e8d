"""The centre's log in SQLite: leaves, hashes, what verdicts look at. Source: protocol page, sections 6, 8, 11."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from syncgov.core import tree
from syncgov.core.canonical import b64u, unb64u
from syncgov.core.charter import Charter
from syncgov.core.commitment import META_TABLE, Body, Dot, Write, format_path, meta_path, open_body, parse_path
from syncgov.core.fold import FoldWrite
from syncgov.core.merge import ERASED, Head, HeadValue
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Column, Register
from syncgov.core.staff_keys import STAFF_KEYS, staff_key_from
from syncgov.core.statement import Leaf, Statement, parse_leaf
from syncgov.core.succession import CHARTER_ROW, Charters, counted_seen
from syncgov.core.trust_view import Area, Certificate, Logged, RowKey, StaffKey, registrar_certificate
from syncgov.storage.connection import Meta, quote
from syncgov.storage.files import parse_cached, system_registers
from syncgov.storage.schema import (
    PROTOCOL_TABLES,
    SCHEMA_VERSION,
    columns_for,
    ensure_table,
    key_column,
    refill,
    show_rows,
)
from syncgov.storage.state import FoldItem, StoredRow, field_state, fold, load_row

CENTRE_TABLES = """
CREATE TABLE IF NOT EXISTS _sg_hash (
    level INTEGER NOT NULL, n INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_envelope (hash TEXT PRIMARY KEY, idx INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_area (
    tbl TEXT NOT NULL, key TEXT NOT NULL, idx INTEGER NOT NULL, area TEXT, PRIMARY KEY (tbl, key, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS _sg_area_idx ON _sg_area (idx);
CREATE TABLE IF NOT EXISTS _sg_owner (
    tbl TEXT NOT NULL, key TEXT NOT NULL, idx INTEGER NOT NULL, owner TEXT, PRIMARY KEY (tbl, key, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS _sg_owner_idx ON _sg_owner (idx);
CREATE TABLE IF NOT EXISTS _sg_version (
    tbl TEXT NOT NULL, key TEXT NOT NULL, idx INTEGER NOT NULL, fields TEXT, received INTEGER NOT NULL,
    PRIMARY KEY (tbl, key, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_waiting (
    dev TEXT NOT NULL, seq INTEGER NOT NULL, envelope BLOB NOT NULL, body BLOB NOT NULL, arrived INTEGER NOT NULL,
    erased TEXT, PRIMARY KEY (dev, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_erased (
    idx INTEGER NOT NULL, position INTEGER NOT NULL, path TEXT NOT NULL, over TEXT NOT NULL, at INTEGER,
    late INTEGER NOT NULL, PRIMARY KEY (idx, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS _sg_erased_path ON _sg_erased (path);
CREATE INDEX IF NOT EXISTS _sg_erased_open ON _sg_erased (at) WHERE at IS NULL;
CREATE TABLE IF NOT EXISTS _sg_scrub (idx INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS _sg_folded (dev TEXT PRIMARY KEY, size INTEGER NOT NULL, at INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_published (folder TEXT PRIMARY KEY, size INTEGER NOT NULL, at INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_chain (
    dev TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash TEXT NOT NULL, seen INTEGER NOT NULL, stopped INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_code (
    hash TEXT PRIMARY KEY, roles TEXT NOT NULL, areas TEXT NOT NULL, units TEXT NOT NULL, staff TEXT NOT NULL,
    made INTEGER NOT NULL, used TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_blob (
    sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, stored INTEGER NOT NULL, dev TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

# Rows whose every version is kept by log index: verdicts ask how they stood at `seen`.
_VERSIONED = frozenset({"charter", "register", "device", STAFF_KEYS})
_CACHED_BODIES = 4096  # about 20 MB; `over` usually names something recent
_CACHED_BODY_BYTES = 16_384  # larger ones are rare and would make that gigabytes


@dataclass(frozen=True, slots=True)
class Chain:
    """The end of a device's chain: last logged seq, b64u hash of that envelope, its `seen`, and whether stopped."""

    seq: int
    hash: str
    seen: int
    stopped: bool


class Ledger:
    """The log of a centre, on one connection; what `core.trust_view` asks for. Call writers inside a transaction."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn
        self.meta = Meta(conn)
        self._logged: dict[Dot, Logged] = {}
        self._large: tuple[Dot, Logged] | None = None
        self._sets: dict[int, RegisterSet] = {}
        self._charters: tuple[int, Charters] | None = None
        self.erased = 0  # what the file said when memory was last cleared

    @classmethod
    def create(cls, conn: sqlite3.Connection, charter: bytes) -> "Ledger":
        """Make the tables of a new centre."""
        for statement in (PROTOCOL_TABLES + CENTRE_TABLES).split(";\n"):
            conn.execute(statement)
        ledger = cls(conn)
        ledger.meta.set(schema=SCHEMA_VERSION, charter=charter.decode(), size=0, received=0)
        return ledger

    @property
    def charter(self) -> Charter:
        """The charter in force now."""
        return self.charters.newest.charter

    @property
    def charters(self) -> Charters:
        """All charters of this log, by position. `meta` holds the first one, the log all of them."""
        sql = "SELECT coalesce(max(idx), -1) FROM _sg_version WHERE tbl = ? AND key = ?"
        last = self.conn.execute(sql, CHARTER_ROW).fetchone()[0]
        if self._charters is None or self._charters[0] != last:
            found = Charters(self.meta.get("charter").encode())
            sql = "SELECT idx, fields FROM _sg_version WHERE tbl = ? AND key = ? ORDER BY idx"
            for index, fields in self.conn.execute(sql, CHARTER_ROW).fetchall():
                found.take(str(json.loads(fields)["document"]).encode(), index)
            self._charters = (last, found)
        return self._charters[1]

    def seen_size(self, st: Statement) -> int:
        """The size that the statement's `seen` counts for; less than it says only where a log was closed."""
        return counted_seen(st.seen, self.charters.closings, self._root_text)

    def _root_text(self, size: int) -> str | None:
        return b64u(self.root(size)) if size <= self.size else None

    def forget(self) -> None:
        """Drop what is remembered in memory; call after a transaction was rolled back."""
        self._logged.clear()
        self._large = None
        self._sets.clear()

    # -- the tree --------------------

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self.meta.get_int("size")

    def hash_at(self, level: int, n: int) -> bytes:
        """Return the hash of perfect subtree *n* of 2**level leaves."""
        found = self.conn.execute("SELECT hash FROM _sg_hash WHERE level = ? AND n = ?", (level, n)).fetchone()
        return bytes(found[0])

    def root(self, size: int) -> bytes:
        """Return the root of the first *size* leaves."""
        return tree.root_from(size, self.hash_at)

    def leaf(self, index: int) -> Leaf:
        """Return the leaf at *index*."""
        return parse_leaf(self.conn.execute("SELECT leaf FROM _sg_leaf WHERE idx = ?", (index,)).fetchone()[0])

    def entries(self, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (index, leaf, body) of the leaves from *start* up to *end*."""
        yield from self.conn.execute(
            "SELECT idx, leaf, body FROM _sg_leaf WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end)
        )

    def received(self, index: int) -> int:
        """Return `received` of the leaf at *index*."""
        return self.leaf(index).received

    def index_of(self, envelope_hash: str) -> int | None:
        """Return the index of the leaf with this envelope, None if it is not in the log."""
        found = self.conn.execute("SELECT idx FROM _sg_envelope WHERE hash = ?", (envelope_hash,)).fetchone()
        return None if found is None else int(found[0])

    # -- what verdicts look at --------------------

    def chain(self, dev: str) -> Chain | None:
        """Return the end of a device's chain, None before its first changeset."""
        found = self.conn.execute("SELECT seq, hash, seen, stopped FROM _sg_chain WHERE dev = ?", (dev,)).fetchone()
        return None if found is None else Chain(found[0], found[1], found[2], bool(found[3]))

    def certificate(self, dev: str, size: int) -> Certificate | None:
        """The device's certificate as the leaves below *size* say."""
        registrar = self.charters.registrar(dev, size)
        if registrar is not None:
            return registrar_certificate(dev, registrar[0], revoked=not registrar[1])
        found = self._version("device", dev, size)
        return None if found is None else certificate_from(dev, *found)

    def staff_key(self, key_id: str, size: int) -> StaffKey | None:
        """The staff key as the leaves below *size* say."""
        found = self._version(STAFF_KEYS, key_id, size)
        return None if found is None else staff_key_from(key_id, *found)

    def staff_public(self, key_id: str) -> bytes | None:
        """The public key of a staff key that was ever registered, also if its row is gone since."""
        first = self.conn.execute(
            "SELECT idx FROM _sg_version WHERE tbl = ? AND key = ? ORDER BY idx LIMIT 1", (STAFF_KEYS, key_id)
        ).fetchone()
        key = None if first is None else self.staff_key(key_id, first[0] + 1)
        return None if key is None else key.public_key

    def floor(self, size: int) -> int:
        """`received` of leaf *size* − 1, ms UTC; 0 when *size* is 0 or beyond the log."""
        return self.received(size - 1) if 0 < size <= self.size else 0

    def enrolment(self, dev: str) -> str | None:
        """Return b64u of the hash that the device's first `prev` must name."""
        named = self.charters.enrolment(dev)
        if named is not None:
            return named
        first = self.conn.execute(
            "SELECT idx FROM _sg_version WHERE tbl = 'device' AND key = ? ORDER BY idx LIMIT 1", (dev,)
        ).fetchone()
        return None if first is None else self.leaf(first[0]).changeset.envelope.hash

    def registers(self, size: int) -> RegisterSet:
        """The register set active at *size*, system registers included."""
        last = self.conn.execute(
            "SELECT coalesce(max(idx), -1) FROM _sg_version WHERE tbl = 'register' AND idx < ?", (size,)
        ).fetchone()[0]
        if last not in self._sets:
            names = self.conn.execute(
                "SELECT DISTINCT key FROM _sg_version WHERE tbl = 'register' AND idx <= ?", (last,)
            ).fetchall()
            versions = ((name, self._version("register", name, last + 1)) for (name,) in names)
            found = [
                parse_cached(str(v[0]["text"]), f"{name}.yml")
                for name, v in versions
                if v is not None and v[0] is not None
            ]
            self._sets[last] = RegisterSet((*system_registers(), *found))
        return self._sets[last]

    def area(self, record: RowKey, size: int) -> Area | None:
        """The record's area below *size*."""
        found = self.conn.execute(
            "SELECT area FROM _sg_area WHERE tbl = ? AND key = ? AND idx < ? ORDER BY idx DESC LIMIT 1", (*record, size)
        ).fetchone()
        return None if found is None or found[0] is None else Area(found[0], True)

    def owner(self, record: RowKey, size: int) -> HeadValue:
        """The responsible unit that the record shows below *size*, None if there is none."""
        found = self.conn.execute(
            "SELECT owner FROM _sg_owner WHERE tbl = ? AND key = ? AND idx < ? ORDER BY idx DESC LIMIT 1",
            (*record, size),
        ).fetchone()
        return None if found is None else str(found[0]) if found[0] is not None else None

    def parent(self, row: RowKey) -> str | None:
        """The shown parent key of a child row."""
        register = self.registers(self.size).get(row[0])
        parent = register.parent if register is not None else None
        value = load_row(self.conn, row).shown(parent, register) if parent is not None else None
        return value if isinstance(value, str) else None

    def exists(self, row: RowKey) -> bool:
        """Whether an accepted leaf wrote the row's presence."""
        return "_alive" in load_row(self.conn, row).fields

    def children(self, record: RowKey, table: str) -> list[RowKey]:
        """Rows of *table* that show as children of the record."""
        register = self.registers(self.size).get(table)
        if register is None or register.parent is None:
            return []
        sql = f"SELECT {quote(key_column(register))} FROM {quote(table)} WHERE {quote(register.parent)} = ? ORDER BY 1"
        return [(table, key) for (key,) in self.conn.execute(sql, (record[1],)).fetchall()]

    def heads(self, row: RowKey, name: str) -> tuple[Head, ...]:
        """The heads that the field has now."""
        raw = load_row(self.conn, row).fields.get(name)
        return () if raw is None else field_state(raw).heads

    def replaced(self, row: RowKey, name: str, dot: Dot, size: int) -> bool:
        """Whether an accepted write below *size* replaced the field's write by *dot*."""
        if any(head.dot == dot for head in self.heads(row, name)):
            return False
        path = format_path(*row, name)
        found = self.conn.execute(
            "SELECT dev, seq FROM _sg_leaf WHERE tbl = ? AND key = ? AND accepted AND idx < ?", (*row, size)
        ).fetchall()
        writes = (logged.find(path) for each in found if (logged := self.logged(each)) is not None)
        return any(write is not None and dot in write.over for write in writes)

    def logged(self, dot: Dot) -> Logged | None:
        """The changeset first logged under *dot*."""
        if self._large is not None and self._large[0] == dot:
            return self._large[1]
        if dot not in self._logged:
            found = self.conn.execute(
                "SELECT idx, leaf, body FROM _sg_leaf WHERE dev = ? AND seq = ? ORDER BY idx LIMIT 1", dot
            ).fetchone()
            if found is None:
                return None
            leaf = parse_leaf(found[1])
            st = leaf.changeset.statement
            body = open_body(found[2], st)
            erased = () if None not in body.writes else tuple(self.erased_writes(found[0]).values())
            logged = Logged(found[0], leaf.accepted, leaf.effective, st, body, erased)
            if len(found[2]) > _CACHED_BODY_BYTES:
                self._large = (dot, logged)  # an edit of its thousand rows asks for it a thousand times
                return logged
            if len(self._logged) >= _CACHED_BODIES:
                self._logged.clear()
            self._logged[dot] = logged
        return self._logged[dot]

    def _version(self, table: str, key: str, size: int) -> tuple[dict[str, object] | None, int] | None:
        found = self.conn.execute(
            "SELECT fields, received FROM _sg_version WHERE tbl = ? AND key = ? AND idx < ? ORDER BY idx DESC LIMIT 1",
            (table, key, size),
        ).fetchone()
        return None if found is None else (json.loads(found[0]), found[1])

    # -- erasures --------------------

    def erased_writes(self, index: int) -> dict[int, FoldWrite]:
        """Return position -> what is known of the erased writes of a leaf."""
        rows = self.conn.execute("SELECT position, path, over FROM _sg_erased WHERE idx = ?", (index,))
        return {p: FoldWrite(path, ERASED, tuple((d, s) for d, s in json.loads(over))) for p, path, over in rows}

    def late_positions(self, body: Body, seen: int) -> set[int]:
        """Return the positions of writes whose path was erased before their author, who had folded *seen*, knew."""
        if seen >= self.meta.get_int("erased"):
            return set()
        sql = "SELECT 1 FROM _sg_erased WHERE path = ? AND at >= ? AND NOT late LIMIT 1"
        return {
            position
            for position, write in body.disclosed()
            if self.conn.execute(sql, (write.path, seen)).fetchone() is not None
        }

    def note_erased(self, index: int, writes: Mapping[int, Write], at: int | None) -> None:
        """Note which writes of a leaf are erased; *at*: the leaf that says so, None if it has to follow."""
        self.conn.executemany(
            "INSERT INTO _sg_erased VALUES (?, ?, ?, ?, ?, ?)",
            [(index, p, w.path, json.dumps(w.over), at, at is None) for p, w in writes.items()],
        )

    # -- appending --------------------

    def append(self, leaf: Leaf, raw_body: bytes, body: Body, erased: Collection[int] = ()) -> int:
        """Log a judged changeset and fold it if it was accepted; returns its index.

        Args:
            raw_body: as it is kept: without the values at the positions *erased*.
            body: with every write; what it says of a value that is erased is not used.
        """
        index = self.size
        st = leaf.changeset.statement
        for level, n, digest in tree.append(index, tree.leaf_hash(leaf.raw), self.hash_at):
            self.conn.execute("INSERT INTO _sg_hash VALUES (?, ?, ?)", (level, n, digest))
        record = self._record(st, body) if leaf.verdict != "refused:register" else None
        by = body.find(meta_path(st.dot, "by"))
        self.conn.execute(
            "INSERT INTO _sg_leaf(idx, leaf, body, dev, seq, accepted, tbl, key, by) VALUES (?,?,?,?,?,?,?,?,?)",
            (index, leaf.raw, raw_body, *st.dot, leaf.accepted, *(record or (None, None)), by.value if by else None),
        )
        self.conn.execute("INSERT INTO _sg_envelope VALUES (?, ?)", (leaf.changeset.envelope.hash, index))
        self.meta.set(size=index + 1, received=leaf.received)
        self._extend_chain(leaf)
        writes: dict[int, Write | FoldWrite] = dict(body.disclosed())
        if erased:
            self.note_erased(index, {p: w for p, w in body.disclosed() if p in erased}, None)
            writes |= self.erased_writes(index)
        if leaf.accepted:
            self._fold(leaf, list(writes.values()), index, record)
        return index

    def _record(self, st: Statement, body: Body) -> RowKey | None:
        registers = self.registers(self.seen_size(st))
        for _position, write in body.disclosed():
            path = parse_path(write.path)
            register = registers.get(path.table)
            if path.table == META_TABLE or register is None:
                continue
            if register.parent is None or register.parent_register is None:
                return (path.table, path.key)
            written = body.find(f"{path.table}/{write.path.split('/')[1]}/{register.parent}")
            parent = written.value if written is not None else self.parent((path.table, path.key))
            return (register.parent_register, parent) if isinstance(parent, str) else None
        return None

    def _extend_chain(self, leaf: Leaf) -> None:
        st = leaf.changeset.statement
        if leaf.verdict == "refused:fork":
            self.conn.execute(
                "INSERT INTO _sg_chain VALUES (?, 0, ?, 0, 1) ON CONFLICT(dev) DO UPDATE SET stopped = 1",
                (st.dev, self.enrolment(st.dev) or ""),
            )
            return
        self.conn.execute(
            "INSERT INTO _sg_chain VALUES (?, ?, ?, ?, 0) ON CONFLICT(dev) DO UPDATE "
            "SET seq = excluded.seq, hash = excluded.hash, seen = max(seen, excluded.seen)",
            (st.dev, st.seq, leaf.changeset.envelope.hash, self.seen_size(st)),
        )

    def _fold(self, leaf: Leaf, writes: Sequence[Write | FoldWrite], index: int, record: RowKey | None) -> None:
        st = leaf.changeset.statement
        registers = self.registers(index)
        changed = fold(self.conn, [FoldItem(index, st.dot, *leaf.effective, writes)], registers)
        for (table, key), row in changed.items():
            if table in _VERSIONED:
                self._keep_version(table, key, row, index, leaf.received)
        for table, key in list(changed):
            if table == "register":
                self.repair_tables()
                # a merge rule may have changed: rows of that table may show otherwise now
                again = {(key, other): row for other, row in self.rows(key)}
                for record_now in again:
                    self._keep_owner(record_now, index, self.registers(index + 1))
                changed |= again
        if record is not None:
            self._keep_area(record, index, registers)
            self._keep_owner(record, index, registers)
        self.show(changed)

    def _keep_version(self, table: str, key: str, row: StoredRow, index: int, received: int) -> None:
        register = self.registers(index)[table]
        shown = {f.name: row.shown(f.name, register) for f in register.fields} if row.alive else None
        self.conn.execute(
            "INSERT INTO _sg_version VALUES (?, ?, ?, ?, ?)",
            (table, key, index, json.dumps(shown, ensure_ascii=False), received),
        )

    def _keep_area(self, record: RowKey, index: int, registers: RegisterSet) -> None:
        register = registers.get(record[0])
        area = None if register is None else self._shown_text(record, register, register.area)
        self.conn.execute("UPDATE _sg_leaf SET area = ? WHERE idx = ?", (area, index))
        before = self.area(record, index)
        if area is not None and (before is None or before.code != area):
            self.conn.execute("INSERT OR REPLACE INTO _sg_area VALUES (?, ?, ?, ?)", (*record, index, area))

    def _keep_owner(self, record: RowKey, index: int, registers: RegisterSet) -> None:
        register = registers.get(record[0])
        owner = None if register is None else self._shown_text(record, register, register.owner)
        if owner != self.owner(record, index):
            self.conn.execute("INSERT OR REPLACE INTO _sg_owner VALUES (?, ?, ?, ?)", (*record, index, owner))

    def _shown_text(self, record: RowKey, register: Register, column: str | None) -> str | None:
        if column is None:
            return None
        declared = register.column_field(column)
        value = declared.columns_of(load_row(self.conn, record).shown(declared.name, register)).get(column)
        return value if isinstance(value, str) else None

    # -- the central tables --------------------

    @property
    def columns(self) -> dict[str, list[Column]]:
        """Table name to all its columns."""
        return {name: columns_for(register, None) for name, register in self.registers(self.size).items()}

    def show(self, rows: dict[RowKey, StoredRow]) -> None:
        """Bring the central tables in line."""
        registers = self.registers(self.size)
        wanted = {table for table, _key in rows}
        columns = {name: columns_for(registers[name], None) for name in wanted if name in registers}
        show_rows(self.conn, rows, registers, columns)

    def repair_tables(self) -> None:
        """Give every central table its declared form."""
        registers, columns = self.registers(self.size), self.columns
        for name in columns:
            if ensure_table(self.conn, registers[name], columns[name], triggers=False):
                keys = self.conn.execute("SELECT key FROM _sg_row WHERE tbl = ?", (name,)).fetchall()
                refill(
                    self.conn, name, registers, columns, (((name, k), load_row(self.conn, (name, k))) for (k,) in keys)
                )

    def rows(self, table: str) -> Iterable[tuple[str, StoredRow]]:
        """Yield (key, stored row) of every row ever written to *table*, by key."""
        keys = self.conn.execute("SELECT key FROM _sg_row WHERE tbl = ? ORDER BY key", (table,)).fetchall()
        return ((key, load_row(self.conn, (table, key))) for (key,) in keys)


def certificate_from(dev: str, fields: dict[str, object] | None, since: int) -> Certificate | None:
    """Return the certificate that a row of the system register `device` says; None if the row is gone or damaged."""
    if fields is None:
        return None
    roles, areas, units, staff = (fields.get(name) for name in ("roles", "areas", "units", "people"))
    start, end, public = fields.get("valid_from"), fields.get("valid_to"), fields.get("public_key")
    if not (isinstance(roles, list) and isinstance(areas, list) and isinstance(public, str)):
        return None
    if not (isinstance(start, int) and isinstance(end, int)):
        return None
    return Certificate(
        dev,
        unb64u(public, 32),
        frozenset(map(str, roles)),
        tuple(map(str, areas)),
        start,
        end,
        tuple(map(str, staff)) if isinstance(staff, list) else (),
        fields.get("revocation") is not None,
        since,
        tuple(map(str, units)) if isinstance(units, list) else (),
    )
