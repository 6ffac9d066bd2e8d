"""The log of a centre in SQLite: what appends, folds and shows. Source: protocol page, sections 6, 11, 12."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

from syncgov.core import tree
from syncgov.core.commitment import META_TABLE, Body, Write, meta_path, parse_path
from syncgov.core.fold import FoldWrite
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Column, Register
from syncgov.core.staff_keys import STAFF_KEYS
from syncgov.core.statement import Leaf, Statement
from syncgov.core.trust_view import RowKey
from syncgov.storage.ledger_tables import CENTRE_TABLES
from syncgov.storage.ledger_view import LedgerView
from syncgov.storage.schema import PROTOCOL_TABLES, SCHEMA_VERSION, columns_for, ensure_table, refill, show_rows
from syncgov.storage.state import FoldItem, StoredRow, fold, load_row

# Rows whose every version is kept by log index: verdicts ask how they stood at `seen`.
_VERSIONED = frozenset({"charter", "register", "device", STAFF_KEYS})


class Ledger(LedgerView):
    """The log of a centre, on one connection. Call writers inside a transaction."""

    @classmethod
    def create(cls, conn: sqlite3.Connection, charter: bytes) -> "Ledger":
        """Make the tables of a new centre."""
        for statement in (PROTOCOL_TABLES + CENTRE_TABLES).split(";\n"):
            conn.execute(statement)
        ledger = cls(conn)
        ledger.meta.set(schema=SCHEMA_VERSION, charter=charter.decode(), size=0, received=0)
        return ledger

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

    def note_erased(self, index: int, writes: Mapping[int, Write], at: int | None) -> None:
        """Note which writes of a leaf are erased; *at*: the leaf that says so, None if it has to follow."""
        self.conn.executemany(
            "INSERT INTO _sg_erased VALUES (?, ?, ?, ?, ?, ?)",
            [(index, p, w.path, json.dumps(w.over), at, at is None) for p, w in writes.items()],
        )

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
