"""Tables and triggers: tried out in memory, not compared as text. What a table does counts, not how it is spelt."""

import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from syncgov.core.register_model import Column, Register
from syncgov.fsck.opening import execute, quote
from syncgov.fsck.report import Fix, Report

Row: TypeAlias = dict[str, Any]

_BOTH = {
    "_sg_meta": "key value",
    "_sg_row": "tbl key state own",
    "_sg_leaf": "idx leaf body dev seq accepted tbl key area by",
    "_sg_conflict": "tbl key field idx dev seq at value shows",
    "_sg_unshown": "tbl key",
}
_CENTRE = {
    "_sg_hash": "level n hash",
    "_sg_envelope": "hash idx",
    "_sg_area": "tbl key idx area",
    "_sg_owner": "tbl key idx owner",
    "_sg_version": "tbl key idx fields received",
    "_sg_waiting": "dev seq envelope body arrived erased",
    "_sg_erased": "idx position path over at late",
    "_sg_scrub": "idx",
    "_sg_folded": "dev size at",
    "_sg_published": "folder size at",
    "_sg_chain": "dev seq hash seen stopped",
    "_sg_code": "hash roles areas units staff made used",
    "_sg_blob": "sha256 bytes stored dev",
}
_REPLICA = {
    "_sg_own": "seq envelope body idx verdict sent tbl key",
    "_sg_touched": "tbl key at",
    "_sg_pulled": "idx leaf body",
    "_sg_held": "tbl key at columns why",
    "_sg_merging": "one",
    "_sg_file": "n sha256 tbl key bytes sent stored signed why",
}
PROTOCOL_TABLES: Mapping[str, Mapping[str, str]] = {"centre": _BOTH | _CENTRE, "replica": _BOTH | _REPLICA}
_INDEXES = {"_sg_leaf_dot": "(dev, seq)", "_sg_leaf_record": "(tbl, key)"}
_VIEW = """CREATE VIEW conflict AS
    SELECT c.tbl AS register, c.key, c.field, c.value, c.shows, l.by AS staff, c.dev AS device, c.seq, c.at, c.idx
    FROM _sg_conflict AS c LEFT JOIN _sg_leaf AS l ON l.idx = c.idx"""

_INTEGERS = frozenset({"integer", "money", "coordinate", "boolean"})
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
EVENTS = ("insert", "update", "delete")


def check_protocol_tables(conn: sqlite3.Connection, report: Report) -> None:
    """Findings: protocol-table, view, index. Columns of a newer program are no finding."""
    for name, columns in PROTOCOL_TABLES[report.kind].items():
        missing = set(columns.split()) - set(column_names(conn, name))
        if missing:
            report.add("protocol-table", name, ", ".join(sorted(missing)))
    if report.suspect:
        return
    if not column_names(conn, "conflict"):
        report.add("view", "conflict", fix=execute(("DROP VIEW IF EXISTS conflict", ()), (_VIEW, ())))
    present = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    for name, columns in _INDEXES.items():
        if name not in present:
            report.add("index", name, fix=execute((f"CREATE INDEX {name} ON _sg_leaf {columns}", ())))


def column_names(conn: sqlite3.Connection, table: str) -> list[str]:
    """Return the columns of a table or view; none if it is not there or cannot be used."""
    try:
        return [str(row[1]) for row in conn.execute(f"PRAGMA table_info({quote(table)})")]
    except sqlite3.OperationalError:
        return []


def key_name(register: Register) -> str:
    """Return the name of the key column."""
    return "id" if register.key == "uuid" else "code"


class Trial:
    """The file's own declarations of one register's table and triggers, made again in memory and tried."""

    def __init__(self, conn: sqlite3.Connection, register: Register, columns: Sequence[Column]) -> None:
        self._register, self._columns = register, columns
        self._name, self._key = quote(register.name), quote(key_name(register))
        self._memory = sqlite3.connect(":memory:", isolation_level=None)
        self._memory.execute("CREATE TABLE _sg_touched (tbl TEXT, key TEXT, at INTEGER, PRIMARY KEY (tbl, key))")
        self._memory.execute("CREATE TABLE _sg_merging (one INTEGER PRIMARY KEY)")
        found = conn.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL", (register.name,)
        ).fetchall()
        self._triggers = {name: sql for kind, name, sql in found if kind == "trigger"}
        declared = [sql for kind, _name, sql in found if kind == "table"]
        self.missing = not declared
        for sql in declared:
            with suppress(sqlite3.Error):  # then all its columns are missing
                self._memory.execute(sql)

    def close(self) -> None:
        """Forget the memory."""
        self._memory.close()

    def extra(self) -> list[str]:
        """Return the columns that the register does not declare."""
        wanted = {key_name(self._register), *(column.name for column in self._columns)}
        return [name for name in column_names(self._memory, self._register.name) if name not in wanted]

    def problem(self) -> str | None:
        """Return what is wrong with the table, None if it holds what it must and refuses what it must."""
        present = column_names(self._memory, self._register.name)
        missing = [c.name for c in self._columns if c.name not in present]
        if key_name(self._register) not in present:
            missing.append(key_name(self._register))
        if missing:
            return ", ".join(missing)
        if not self.accepts({key_name(self._register): "k"}) or self.accepts({key_name(self._register): ""}):
            return key_name(self._register)
        self._run(f"INSERT INTO {self._name} ({self._key}) VALUES ('k')")
        if self.accepts({key_name(self._register): "k"}):
            return f"{key_name(self._register)}: UNIQUE"
        self._run(f"DELETE FROM {self._name}")
        if self._register.key == "uuid" and not self._makes_keys():
            return f"{key_name(self._register)}: DEFAULT"
        return next((c.name for c in self._columns if any(self._takes(c, bad) for bad in _bad_values(c))), None)

    def accepts(self, row: Mapping[str, Any]) -> bool:
        """Whether the table takes a row; it is not kept."""
        names, marks = ", ".join(map(quote, row)), ", ".join("?" * len(row))
        try:
            self._run("SAVEPOINT trial")
            self._memory.execute(f"INSERT INTO {self._name} ({names}) VALUES ({marks})", list(row.values()))
        except (sqlite3.Error, UnicodeError, OverflowError):
            return False
        finally:
            self._run("ROLLBACK TO trial")
            self._run("RELEASE trial")
        return True

    def _takes(self, column: Column, bad: object) -> bool:
        return self.accepts({key_name(self._register): "k", column.name: bad})

    def _makes_keys(self) -> bool:
        try:
            found = self._memory.execute(f"INSERT INTO {self._name} DEFAULT VALUES RETURNING {self._key}").fetchall()
        except sqlite3.Error:
            return False
        self._run(f"DELETE FROM {self._name}")
        return _UUID7.fullmatch(str(found[0][0])) is not None

    def broken_triggers(self) -> list[str]:
        """Return the events of which a change of a row would leave no hint; call when the table is whole."""
        for event in EVENTS:
            sql = self._triggers.get(f"_sg_{self._register.name}_{event}")
            if sql is not None:
                try:
                    self._memory.execute(sql)
                except sqlite3.Error:
                    return list(EVENTS)
        name, key = self._name, self._key
        updates = [f"UPDATE {name} SET {quote(c.name)} = {quote(c.name)}" for c in self._columns]
        trials = (
            ("insert", f"INSERT INTO {name} ({key}) VALUES ('a')", {"a"}),
            *(("update", sql, {"a"}) for sql in updates),
            ("update", f"UPDATE {name} SET {key} = 'b'", {"a", "b"}),
            ("delete", f"DELETE FROM {name}", {"b"}),
        )
        broken = {event: None for event, sql, wanted in trials if self._hints(sql) != wanted}
        self._run("INSERT INTO _sg_merging VALUES (1)")
        quiet = (("insert", trials[0][1]), ("update", trials[-2][1]), ("delete", trials[-1][1]))
        broken |= {event: None for event, sql in quiet if self._hints(sql)}
        return list(broken)

    def _hints(self, sql: str) -> set[str] | None:
        try:
            self._run("DELETE FROM _sg_touched")
            self._run(sql)
        except sqlite3.Error:
            return None
        found = self._memory.execute("SELECT tbl, key, at FROM _sg_touched").fetchall()
        return {key for table, key, at in found if table == self._register.name and isinstance(at, int)}

    def _run(self, sql: str) -> None:
        self._memory.execute(sql)


def _bad_values(column: Column) -> list[object]:
    """Return values that the column must refuse."""
    integer = column.type in _INTEGERS
    bad: list[object] = [b"\x00", *(["x"] if integer else [])]
    if column.type == "boolean":
        bad.append(2)
    if column.choices:
        codes = {choice.code for choice in column.choices}
        bad.append(next(n for n in range(len(codes) + 1) if str(n) not in codes) if integer else "\x7f")
    samples = {
        "text": "x" * (column.max_length + 1),
        "date": "2026-02-30",
        "datetime": "yesterday",
        "list": "{",
        "hash": "A" * 64,
    }
    if column.type in samples:
        bad.append(samples[column.type])
    return bad


# -- rows --------------------


def stored_rows(conn: sqlite3.Connection, register: Register, columns: Sequence[Column]) -> Iterator[tuple[str, Row]]:
    """Yield key and columns, as far as the table has them, of every row of a register's table."""
    cursor = conn.execute(f"SELECT * FROM {quote(register.name)}")
    names = [part[0] for part in cursor.description]
    for values in cursor:
        found = dict(zip(names, values, strict=True))
        yield str(found.get(key_name(register))), {c.name: found[c.name] for c in columns if c.name in found}


def readable(column: Column, value: Any) -> Any:
    """Return a column of a table as a changeset would say it: lists parsed, text in NFC."""
    if column.type == "boolean" and value in (0, 1):
        return bool(value)
    if column.type == "list" and isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    return _normal(value)


def _normal(value: Any) -> Any:
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, dict):
        return {name: _normal(item) for name, item in value.items()}
    return value


def to_sql(value: Any) -> int | str | None:
    """Return a value as SQLite stores it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value  # type: ignore[no-any-return]


_NOW_MS = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


def rewrite_row(register: Register, key: str, found: Row | None, shown: Row | None, *, keep: bool) -> Fix:
    """Return the fix that makes a row what it must show (None: it must not be there).

    Args:
        keep: what stands there now is kept aside in `_sg_held`, where `status` lists it. Nobody signed it, so nothing
            may say that somebody did.
    """
    name, column = quote(register.name), quote(key_name(register))
    statements: list[tuple[str, tuple[object, ...]]] = []
    if keep:
        statements.append(("INSERT OR IGNORE INTO _sg_merging VALUES (1)", ()))
        if found is not None:
            text = json.dumps(found, ensure_ascii=True, default=repr)
            label = key.encode(errors="backslashreplace").decode()
            sql = f"INSERT INTO _sg_held VALUES (?, ?, {_NOW_MS}, ?, 'fsck')"
            statements.append((sql, (register.name, label, text)))
    raw_key = key.encode(errors="surrogateescape")
    statements.append((f"DELETE FROM {name} WHERE CAST({column} AS BLOB) = ?", (raw_key,)))
    if shown is not None:
        names = ", ".join([column, *map(quote, shown)])
        marks = ", ".join("?" * (len(shown) + 1))
        statements.append((f"INSERT INTO {name} ({names}) VALUES ({marks})", (key, *map(to_sql, shown.values()))))
    if keep:
        statements.append(("DELETE FROM _sg_merging", ()))
    return execute(*statements)
