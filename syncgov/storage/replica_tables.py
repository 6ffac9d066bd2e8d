"""The register tables of a replica, which any program may write, rebuild or drop; and how they are put in order again.

Source: protocol page, section 13.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence

from syncgov.core.register import Register, RegisterSet
from syncgov.core.register_model import Column
from syncgov.errors import InputError, StorageError
from syncgov.storage.clock import Clock
from syncgov.storage.connection import Meta, quote, translate
from syncgov.storage.schema import ensure_table, is_declared, key_column, refill, show_rows
from syncgov.storage.state import RowKey, StoredRow, load_row


class ReplicaTables:
    """What a replica knows of its tables. Call writers inside a transaction.

    Attributes:
        conn: the connection, autocommit mode. clock: gives ms UTC.
        registers: the register set at the folded size. columns: table name to the columns that this device may read.
    """

    def __init__(self, conn: sqlite3.Connection, clock: Clock) -> None:
        self.conn = conn
        self.meta = Meta(conn)
        self.clock = clock
        self.registers = RegisterSet(())
        self.columns: dict[str, list[Column]] = {}

    # -- what other programs did --------------------

    def has_unsigned(self) -> bool:
        """Whether something may have been written since the last commit."""
        return bool(self.unsigned_rows()) or self.schema_changed()

    def unsigned_rows(self) -> dict[RowKey, int]:
        """Return the rows that triggers saw written since the last commit, with the time (ms by the device's clock)."""
        found = self.conn.execute("SELECT tbl, CAST(key AS BLOB), at FROM _sg_touched").fetchall()
        return {(table, key_text(key)): at for table, key, at in found}

    def schema_changed(self) -> bool:
        cookie = self.conn.execute("PRAGMA schema_version").fetchone()[0]
        return int(cookie) != self.meta.get_int("cookie")

    def all_rows(self) -> dict[RowKey, int]:
        """Every row of every register table, and every stored one: another program may have dropped the triggers."""
        hints = self.unsigned_rows()
        now = self.clock()
        tables = {name for (name,) in self.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for name in self.columns:
            if name not in tables:
                continue  # dropped as a whole: not a deletion of each row; repair_tables makes it again
            stored = self.conn.execute("SELECT key FROM _sg_row WHERE tbl = ?", (name,)).fetchall()
            key = key_column(self.registers[name])
            present = self.conn.execute(f'SELECT CAST("{key}" AS BLOB) FROM "{name}"').fetchall()
            for row_key in (*(k for (k,) in stored), *(key_text(k) for (k,) in present)):
                hints.setdefault((name, row_key), now)
        return hints

    def is_unshown(self, row: RowKey) -> bool:
        """Whether the row lives and its table cannot hold it; see `schema.show_rows`."""
        return self.conn.execute("SELECT 1 FROM _sg_unshown WHERE tbl = ? AND key = ?", row).fetchone() is not None

    # -- putting in order --------------------

    def show(self, rows: Mapping[RowKey, StoredRow]) -> None:
        """Bring the tables in line with stored rows, without leaving hints; call inside a transaction."""
        started = self.conn.execute("INSERT OR IGNORE INTO _sg_merging VALUES (1)").rowcount
        show_rows(self.conn, rows, self.registers, self.columns)
        if started:
            self.conn.execute("DELETE FROM _sg_merging")

    def find_tables(self) -> list[tuple[RowKey, InputError]]:
        """Find the tables that another program took away; call before hints are read, inside a transaction.

        A renamed table gets its name back. A dropped one is made again by `repair_tables`, from what is signed.

        Returns:
            what to say of each table, and of each row in it that was not signed.

        Raises:
            StorageError: its name was given to a view.
        """
        told: list[tuple[RowKey, InputError]] = []
        kinds = dict(self.conn.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')"))
        for name in self.columns:
            if kinds.get(name) == "view":
                raise StorageError(
                    f"名称 {name} 被其他程序用作视图：请删除这个视图（DROP VIEW {name}）后重试，已签名的内容没有丢失",
                    f"another program made a view named {name}: drop it (DROP VIEW {name}) and try again; nothing "
                    "signed is lost",
                )
            if name not in kinds:
                told += self._find_table(name)
        return told

    def _find_table(self, name: str) -> list[tuple[RowKey, InputError]]:
        label = self.registers[name].label
        # our triggers follow a table to its new name
        sql = "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name = ?"
        renamed = self.conn.execute(sql, (f"_sg_{name}_insert",)).fetchone()
        if renamed is not None:
            self.conn.execute(f"ALTER TABLE {quote(renamed[0])} RENAME TO {quote(name)}")
            zh = f"{label}：表 {name} 被其他程序改名为 {renamed[0]}，已改回，内容都在"
            return [
                ((name, ""), InputError(zh, f"table {name} was renamed to {renamed[0]}; renamed back, all is there"))
            ]
        lost = [row for row in self.unsigned_rows() if row[0] == name]
        self.conn.execute("DELETE FROM _sg_touched WHERE tbl = ?", (name,))
        zh = f"{label}：表 {name} 被其他程序删除，已按签名的内容重建；要删除记录请删行，不要删表"
        en = f"table {name} was dropped by another program, and made again from what is signed; delete rows, not tables"
        return [((name, ""), InputError(zh, en))] + [
            (
                row,
                InputError(
                    f"{label} {row[1]}：有未签名的修改随表一起被删除，请核对后重新填写",
                    f"{name} {row[1]}: unsigned changes went with the table; look at the row and enter them again",
                ),
            )
            for row in lost
        ]

    def hold_undeclared(self) -> list[tuple[RowKey, InputError]]:
        """Keep aside what stands in columns that no register declares (renamed, added); returns what to say of each."""
        problems: list[tuple[RowKey, InputError]] = []
        for name, columns in self.columns.items():
            register = self.registers[name]
            declared = {c.name for c in columns} | {key_column(register)}
            present = [row[1] for row in self.conn.execute(f"PRAGMA table_info({quote(name)})")]
            missing = declared - set(present)
            for column in sorted(set(present) - declared):
                key = quote(key_column(register))
                sql = f"SELECT CAST({key} AS BLOB) FROM {quote(name)} WHERE {quote(column)} IS NOT NULL"
                rows = [(name, key_text(found)) for (found,) in self.conn.execute(sql).fetchall()]
                self.hold(rows, f"undeclared column {column}")
                hint_zh = f"；缺少栏 {'、'.join(sorted(missing))}，是否改了名？" if missing else ""
                hint_en = f"; column {', '.join(sorted(missing))} is missing, was it renamed?" if missing else ""
                problems += [
                    (
                        row,
                        InputError(
                            f"{register.label} {row[1]}：栏 {column} 不属于登记册，值已另存（syncgov status）{hint_zh}",
                            f"{name} {row[1]}: no column {column} is declared; its values are kept aside{hint_en}",
                        ),
                    )
                    for row in rows
                ]
        return problems

    def hold(self, rows: Sequence[RowKey] | set[RowKey], why: str) -> None:
        """Keep the values of unsigned rows aside before their tables are written over; also values that are no text."""
        factory = self.conn.text_factory
        self.conn.text_factory = printable
        try:
            for row in rows:
                if row[0] in self.columns:
                    self._hold_row(row, why)
        finally:
            self.conn.text_factory = factory

    def _hold_row(self, row: RowKey, why: str) -> None:
        key = row[1].encode(errors="surrogateescape")
        column = quote(key_column(self.registers[row[0]]))
        found = self.conn.execute(f"SELECT * FROM {quote(row[0])} WHERE CAST({column} AS BLOB) = ?", (key,))
        names = [part[0] for part in found.description]
        values = found.fetchone()
        if values is not None:
            text = json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False, default=repr)
            self.conn.execute(
                "INSERT INTO _sg_held VALUES (?, ?, ?, ?, ?)", (row[0], printable(key), self.clock(), text, why)
            )
        self.conn.execute("DELETE FROM _sg_touched WHERE tbl = ? AND CAST(key AS BLOB) = ?", (row[0], key))

    def repair_tables(self) -> None:
        """Give every register table its declared form, checks and triggers; call inside a transaction."""
        started = self.conn.execute("INSERT OR IGNORE INTO _sg_merging VALUES (1)").rowcount
        self._drop_unreadable()
        unsigned = self.unsigned_rows()
        for name, columns in self.columns.items():
            if is_declared(self.conn, self.registers[name], columns):
                continue
            self.hold([row for row in unsigned if row[0] == name], "table rebuilt")
            if ensure_table(self.conn, self.registers[name], columns, triggers=True):
                keys = self.conn.execute("SELECT key FROM _sg_row WHERE tbl = ?", (name,)).fetchall()
                rows = (((name, key), load_row(self.conn, (name, key))) for (key,) in keys)
                refill(self.conn, name, self.registers, self.columns, rows)
        if started:
            self.conn.execute("DELETE FROM _sg_merging")
        self.meta.set(cookie=self.conn.execute("PRAGMA schema_version").fetchone()[0])

    def _drop_unreadable(self) -> None:
        """Take away the tables of registers that this device may no longer read; unsigned rows are kept aside."""
        names = {n for (n,) in self.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for name in names & set(self.registers) - set(self.columns):
            self.columns[name] = []
            self.hold([row for row in self.unsigned_rows() if row[0] == name], "not readable")
            del self.columns[name]
            self.conn.execute(f"DROP TABLE {quote(name)}")

    def scrub(self) -> None:
        """Make purged bytes go from the WAL too; freed pages are overwritten by `secure_delete`.

        Another program that is reading holds the WAL: then the next sync tries again.

        Raises:
            StorageError: SQLite's own errors, translated; the next merge tries again.
        """
        seen = self.meta.get_int("scrub")
        try:
            busy, _log, _moved = self.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise translate(error) from error
        if not busy:
            self.meta.lower_flag("scrub", seen)


def key_text(key: bytes) -> str:
    """Return a key that any program may have written; bytes that are no UTF-8 become lone surrogates, never valid."""
    return key.decode(errors="surrogateescape")


def unreadable(register: Register, row: RowKey, error: Exception) -> InputError:
    """Return what to say of a row that another program left so that it cannot be read."""
    name = printable(row[1].encode(errors="surrogateescape"))
    if "no such table" in str(error):
        return InputError(
            f"{register.label} {name}：表 {row[0]} 被其他程序删除或改名，请运行 syncgov commit",
            f"{row[0]} {name}: another program dropped or renamed the table; run `syncgov commit`",
        )
    return InputError(f"{register.label} {name} 含有不是 UTF-8 的文字", f"{row[0]} {name}: {error}")


def printable(raw: bytes) -> str:
    """Return bytes as text that can be shown; what is no UTF-8 is written as escapes."""
    return raw.decode(errors="backslashreplace")
