"""A replica: one SQLite file on one device. Any program writes its tables; `commit` signs.

Source: protocol page, section 13.
"""

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlite_utils

from syncgov.core.clock import Stamp, next_stamp
from syncgov.core.commitment import META_TABLE, Value, parse_body, parse_path
from syncgov.core.statement import EMPTY_ROOT, Seen, envelope_hash
from syncgov.errors import InputError, NotAllowedError, StorageError
from syncgov.storage import capture
from syncgov.storage.clock import Clock, wall_clock
from syncgov.storage.connection import Meta, connect, new_database, transaction
from syncgov.storage.cosigning import choose_second
from syncgov.storage.keyfile import KeyFile, key_path, load_key
from syncgov.storage.photo_check import require_photos
from syncgov.storage.replica_device import ReplicaDevice
from syncgov.storage.replica_tables import unreadable
from syncgov.storage.schema import MARK_SIGNED, PROTOCOL_TABLES, REPLICA_TABLES, SCHEMA_VERSION
from syncgov.storage.state import RowKey, StoredRow, load_row, store_rows
from syncgov.storage.steps import needs_second, require_in_time, steps_of


@dataclass(slots=True)
class Committed:
    """What a commit did. `problems` are rows that could not be signed; they stay in their tables."""

    signed: list[tuple[int, RowKey]] = field(default_factory=list)
    problems: list[tuple[RowKey, InputError | NotAllowedError]] = field(default_factory=list)


@dataclass(slots=True)
class _Pending:
    """Changes of one record that are about to be signed."""

    writes: list[capture.FieldWrite] = field(default_factory=list)
    rows: dict[RowKey, StoredRow] = field(default_factory=dict)
    at: int = 0


class Replica(ReplicaDevice):
    """An open replica. Use `Replica.open`; close with `close` or a `with` block."""

    @classmethod
    def open(cls, path: str | Path, *, clock: Clock = wall_clock) -> "Replica":
        """Open a replica that has joined.

        Raises:
            StorageError: no such file, no key file beside it, or not a replica of this version.
        """
        path = Path(path)
        conn = connect(path)
        try:
            version = Meta(conn).get_int("schema")
        except sqlite3.Error as error:
            conn.close()
            raise StorageError(f"{path} 不是副本文件", f"{path} is not a replica") from error
        if version != SCHEMA_VERSION:
            conn.close()
            raise StorageError(
                f"{path} 的版本是 {version}，本程序需要 {SCHEMA_VERSION}", f"{path} has schema version {version}"
            )
        return cls(path, conn, load_key(key_path(path)), clock)

    @classmethod
    def create(cls, path: Path, key_file: KeyFile, charter: bytes, settings: dict[str, str], clock: Clock) -> "Replica":
        """Make the file of a device that has just enrolled, whole or not at all.

        Args:
            settings: `prev`, and what is known of `url` and `recipient`.

        Raises:
            StorageError: there is one already, or it cannot be written.
        """
        with new_database(path) as conn, transaction(conn):
            for statement in (PROTOCOL_TABLES + REPLICA_TABLES).split(";\n"):
                conn.execute(statement)
            Meta(conn).set(
                schema=SCHEMA_VERSION,
                charter=charter.decode(),
                last_seq=0,
                last_hash=settings["prev"],
                size=0,
                root=EMPTY_ROOT,
                url=settings.get("url", ""),
                recipient=settings.get("recipient", ""),
            )
        return cls(path, connect(path), key_file, clock)

    # -- writing --------------------

    @contextmanager
    def change(self, staff: str | None = None, note: str | None = None) -> Iterator[sqlite_utils.Database]:
        """Give a `sqlite_utils.Database` and sign what the block wrote, in one transaction.

        Raises:
            NotAllowedError: the device does not know *staff*, or earlier writes by somebody wait to be committed.
            InputError: a row that cannot be signed; then nothing of the block is kept. NotAllowedError too: a step that
                a second person must sign.
        """
        with transaction(self.conn):
            if self.has_unsigned():
                raise NotAllowedError(
                    "有尚未签名的修改，请先运行 syncgov commit",
                    "unsigned changes are waiting; run `syncgov commit` first",
                )
            yield self._database
            done = self.commit_within(staff, note)
            if done.problems:
                raise done.problems[0][1]

    def commit(self, staff: str | None = None, note: str | None = None) -> Committed:
        """Sign everything that was written since the last commit: one changeset per person and record.

        Raises:
            NotAllowedError: something is unsigned, several people use this device, and *staff* is not said.
            StorageError: the replica is older than its key file.
        """
        with transaction(self.conn):
            return self.commit_within(staff, note)

    def commit_within(self, staff: str | None, note: str | None = None) -> Committed:
        """`commit` inside a transaction that is already open."""
        self.refresh()
        changed = self.schema_changed()
        told = self.find_tables() if changed else []
        hints = self.all_rows() if changed else self.unsigned_rows()
        done = Committed()
        records = self._collect(hints, done)
        if records:
            self._require_newest()
            by = self.person(staff)
            for record, pending in records.items():
                self._sign(record, pending, by, note, done)
            self.conn.execute(MARK_SIGNED)
        failed = {row for row, _error in done.problems}
        self.conn.executemany(
            "DELETE FROM _sg_touched WHERE tbl = ? AND key = ?", [row for row in hints if row not in failed]
        )
        if changed:
            done.problems += [*told, *self.hold_undeclared()]
            self.hold(failed, "not signed")
            self.repair_tables()
            self.show({row: load_row(self.conn, row) for row in failed if row[1].isprintable()})
        return done

    def _collect(self, hints: dict[RowKey, int], done: Committed) -> dict[RowKey, _Pending]:
        records: dict[RowKey, _Pending] = {}
        now = self.clock()
        for row, at in hints.items():
            register = self.registers.get(row[0])
            if register is None or row[0] not in self.columns:
                continue
            try:
                stored = load_row(self.conn, row)
                columns = capture.read_columns(self.conn, register, self.columns[row[0]], row[1])
                if columns is None and self.is_unshown(row):
                    continue
                change = capture.diff_row(register, row, columns, stored)
                if change is not None:
                    require_photos(self, self.roles, change, stored)
                record = self._record(row, columns, stored)
            except InputError as error:
                done.problems.append((row, error))
                continue
            except (sqlite3.OperationalError, UnicodeError) as error:
                done.problems.append((row, unreadable(register, row, error)))
                continue
            if change is not None:
                pending = records.setdefault(record, _Pending())
                pending.writes += capture.field_writes(register, change, stored)
                pending.rows[row] = stored
                pending.at = max(pending.at, min(at, now))
        return records

    def examine(self) -> tuple[set[RowKey], dict[RowKey, InputError | NotAllowedError]]:
        """Return the rows that the next commit would sign, and those that it could not, with the reason.

        That a second person must sign is not among the reasons: one may yet come. See `awaits_second`.
        """
        done = Committed()
        records = self._collect(self.unsigned_rows(), done)
        return {row for pending in records.values() for row in pending.rows}, dict(done.problems)

    def awaits_second(self) -> set[RowKey]:
        """Return the rows written since the last commit that a second person must sign."""
        records = self._collect(self.unsigned_rows(), Committed())
        return {
            step.write.row
            for pending in records.values()
            for step in steps_of(pending.writes, pending.rows, self.registers, self.roles)
            if needs_second([step])
        }

    def unsigned_work(self) -> dict[RowKey, list[capture.FieldWrite]]:
        """Return what was written since the last commit, as it would be signed, by record; no rows with problems."""
        hints = self.all_rows() if self.schema_changed() else self.unsigned_rows()
        return {record: pending.writes for record, pending in self._collect(hints, Committed()).items()}

    def _record(self, row: RowKey, columns: dict[str, Value] | None, stored: StoredRow) -> RowKey:
        register = self.registers[row[0]]
        if register.parent is None or register.parent_register is None:
            return row
        parent = columns.get(register.parent) if columns is not None else stored.local(register.parent, register)
        if not isinstance(parent, str):
            raise InputError(f"{register.label} {row[1]}：缺少上级记录", f"{register.name} {row[1]}: no parent record")
        return (register.parent_register, parent)

    def _require_newest(self) -> None:
        if self.is_older_than_key:
            raise StorageError(
                "这个副本比密钥文件旧（可能是从备份恢复的），请先 sync 取回自己的记录",
                "this replica is older than its key file (restored from a backup?); run `syncgov sync` first",
            )

    def _sign(self, record: RowKey, pending: _Pending, by: str | None, note: str | None, done: Committed) -> None:
        names = ("last_seq", "last_hash", "clock_at", "clock_tick", "root", "size")
        last_seq, last_hash, at, tick, root, size = self.meta.get_many(*names)
        seq, seen = int(last_seq or 0) + 1, Seen(root, int(size or 0))
        stamp = next_stamp(pending.at, Stamp(int(at or 0), int(tick or 0)))
        steps = [*steps_of(pending.writes, pending.rows, self.registers, self.roles)]
        chain = (self.key_file.key, seq, last_hash, seen, stamp, by, note)
        try:
            require_in_time(steps, stamp.at)
            second = choose_second(self, by, steps)
            author = capture.Author(*chain, None if second is None else second.key)
            signed = capture.sign_writes(pending.writes, author, self.registers, secrets.token_bytes(32))
        except (InputError, NotAllowedError) as error:
            done.problems += [(row, error) for row in pending.rows]
            return
        self.conn.execute(
            "INSERT INTO _sg_own(seq, envelope, body, tbl, key) VALUES (?, ?, ?, ?, ?)",
            (seq, signed.envelope, signed.raw_body, *record),
        )
        for write in pending.writes:
            pending.rows[write.row].own[write.name] = [write.value, [self.dev, seq], list(write.over)]
        store_rows(self.conn, pending.rows)
        self.meta.set(last_seq=seq, last_hash=envelope_hash(signed.envelope))
        done.signed.append((seq, record))

    def sign(self, record: RowKey, writes: Sequence[capture.FieldWrite], staff: str | None, note: str = "") -> int:
        """Sign and show writes of one record that no table holds yet (a decision, work sent again); returns the seq.

        Call inside a transaction.

        Raises:
            NotAllowedError: the person may not write here, a second person must sign, or a deadline has passed.
            InputError: values that cannot be signed.
        """
        self._require_newest()
        pending = _Pending([*writes], {write.row: load_row(self.conn, write.row) for write in writes}, self.clock())
        done = Committed()
        self._sign(record, pending, self.person(staff), note, done)
        if done.problems:
            raise done.problems[0][1]
        self.show(pending.rows)
        return done.signed[0][0]

    def own_writes(self, raw_body: bytes, pub: int) -> Iterator[RowKey]:
        """Yield the rows that an own changeset wrote."""
        for _position, write in parse_body(raw_body, pub).disclosed():
            path = parse_path(write.path)
            if path.table != META_TABLE:
                yield (path.table, path.key)
