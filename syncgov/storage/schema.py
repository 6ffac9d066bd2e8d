"""Tables: those of the protocol, and those that registers declare. Source: protocol page, section 13."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence

from syncgov.core.commitment import Value
from syncgov.core.register_model import Column, Field, Register
from syncgov.storage.connection import quote
from syncgov.storage.state import RowKey, StoredRow, conflicts_of, store_rows

SCHEMA_VERSION = 1
_INTEGERS = frozenset({"integer", "money", "coordinate", "boolean"})

PROTOCOL_TABLES = """
CREATE TABLE IF NOT EXISTS _sg_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_row (
    tbl TEXT NOT NULL, key TEXT NOT NULL, state BLOB NOT NULL, own BLOB, PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_leaf (
    idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB, dev TEXT NOT NULL, seq INTEGER NOT NULL,
    accepted INTEGER NOT NULL, tbl TEXT, key TEXT, area TEXT, by TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS _sg_leaf_dot ON _sg_leaf (dev, seq);
CREATE INDEX IF NOT EXISTS _sg_leaf_record ON _sg_leaf (tbl, key);
CREATE TABLE IF NOT EXISTS _sg_conflict (
    tbl TEXT NOT NULL, key TEXT NOT NULL, field TEXT NOT NULL, idx INTEGER NOT NULL, dev TEXT NOT NULL,
    seq INTEGER NOT NULL, at INTEGER NOT NULL, value TEXT NOT NULL, shows TEXT NOT NULL,
    PRIMARY KEY (tbl, key, field, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_unshown (tbl TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (tbl, key))
    STRICT, WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS conflict AS
    SELECT c.tbl AS register, c.key, c.field, c.value, c.shows, l.by AS staff, c.dev AS device, c.seq, c.at, c.idx
    FROM _sg_conflict AS c LEFT JOIN _sg_leaf AS l ON l.idx = c.idx;
"""

REPLICA_TABLES = """
CREATE TABLE IF NOT EXISTS _sg_own (
    seq INTEGER PRIMARY KEY, envelope BLOB NOT NULL, body BLOB NOT NULL, idx INTEGER, verdict TEXT, sent TEXT,
    tbl TEXT, key TEXT, ack INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS _sg_touched (
    tbl TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _sg_pulled (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB) STRICT;
CREATE TABLE IF NOT EXISTS _sg_held (
    tbl TEXT NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL, columns TEXT NOT NULL, why TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS _sg_merging (one INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS _sg_file (
    n INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, tbl TEXT NOT NULL, key TEXT NOT NULL, bytes INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, stored INTEGER, signed INTEGER NOT NULL DEFAULT 0, why TEXT
) STRICT;
"""

# Files of rows that are signed may be sent; run after rows were signed. Several rows may name one file: the queue knows
# the newest, which may never be signed.
MARK_SIGNED = """UPDATE _sg_file SET signed = 1 WHERE signed = 0 AND (
    EXISTS (SELECT 1 FROM _sg_row AS r WHERE r.tbl = _sg_file.tbl AND r.key = _sg_file.key)
    OR EXISTS (SELECT 1 FROM _sg_row AS r WHERE instr(r.state, CAST(_sg_file.sha256 AS BLOB))
        OR instr(coalesce(r.own, x''), CAST(_sg_file.sha256 AS BLOB))))"""

_NOW_MS = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
_HEX_MS = f"printf('%012x', {_NOW_MS})"
# RFC 9562 UUIDv7 in plain SQL, so that any program can insert a row without knowing about keys
_UUID7 = (
    f"(printf('%s-%s-7%s-%s%s-%s', substr({_HEX_MS}, 1, 8), substr({_HEX_MS}, 9, 4), "
    "substr(lower(hex(randomblob(2))), 2), substr('89ab', 1 + (abs(random()) % 4), 1), "
    "substr(lower(hex(randomblob(2))), 2), lower(hex(randomblob(6)))))"
)


def key_column(register: Register) -> str:
    """Return the name of the key column of a register's table."""
    return "id" if register.key == "uuid" else "code"


def columns_for(register: Register, roles: Collection[str] | None) -> list[Column]:
    """Return the columns that a table has for *roles* (None: all, as at the centre)."""
    fields = register.fields if roles is None else register.readable(roles)
    return [column for each in fields for column in each.columns]


def table_sql(register: Register, columns: Sequence[Column], name: str) -> str:
    """Return CREATE TABLE for a register, STRICT, with its checks."""
    default = f" DEFAULT {_UUID7}" if register.key == "uuid" else ""
    key = key_column(register)
    lines = [f"{quote(key)} TEXT PRIMARY KEY NOT NULL CHECK (length({quote(key)}) BETWEEN 1 AND 128){default}"]
    lines += [_column_sql(column) for column in columns]
    return f"CREATE TABLE {quote(name)} (\n  " + ",\n  ".join(lines) + "\n) STRICT"


def _column_sql(column: Column) -> str:
    name = quote(column.name)
    kind = "INTEGER" if column.type in _INTEGERS else "TEXT"
    checks = []
    if column.type == "boolean":
        checks.append(f"{name} IN (0, 1)")
    if column.choices:
        codes = (c.code if kind == "INTEGER" else "'" + c.code.replace("'", "''") + "'" for c in column.choices)
        checks.append(f"{name} IN ({', '.join(codes)})")
    if column.type == "text":
        checks.append(f"length({name}) <= {column.max_length}")
    if column.type == "date":
        checks.append(f"{name} IS date({name}, '+0 days')")
    if column.type == "datetime":
        moment = f"substr({name}, 1, 19)"
        checks.append(f"{moment} IS strftime('%Y-%m-%dT%H:%M:%S', {moment}, '+0 days')")
        checks.append(f"{name} GLOB '[12]*+08:00' AND length({name}) = 25")
    if column.type == "hash":
        checks.append(f"length({name}) = 64 AND {name} NOT GLOB '*[^0-9a-f]*'")
    if column.type == "list":
        checks.append(f"json_valid({name}) AND json_type({name}) = 'array'")
    condition = "".join(f" CHECK ({name} IS NULL OR {check})" for check in checks)
    return f"{name} {kind}{condition}"


def trigger_sql(register: Register) -> dict[str, str]:
    """Return the triggers that leave hints for capture; truth is the difference to the stored heads."""
    key = quote(key_column(register))
    table = register.name
    quiet = "WHEN NOT EXISTS (SELECT 1 FROM _sg_merging)"

    def hint(side: str) -> str:
        # not OR REPLACE: the conflict clause of the statement that fires a trigger overrides the trigger's own
        row = f"tbl = '{table}' AND key = {side}.{key}"
        return (
            f"DELETE FROM _sg_touched WHERE {row}; INSERT INTO _sg_touched VALUES ('{table}', {side}.{key}, {_NOW_MS});"
        )

    events = {"insert": hint("NEW"), "update": hint("OLD") + " " + hint("NEW"), "delete": hint("OLD")}
    return {
        (
            name := f"_sg_{table}_{event}"
        ): f"CREATE TRIGGER {quote(name)} AFTER {event.upper()} ON {quote(table)} {quiet} BEGIN {body} END"
        for event, body in events.items()
    }


def ensure_table(conn: sqlite3.Connection, register: Register, columns: Sequence[Column], *, triggers: bool) -> bool:
    """Make the register's table and triggers as declared; rows are kept. Returns whether anything was changed.

    A table that another program rebuilt (for example `sqlite-utils transform`) gets its checks and triggers back.
    Call `refill` afterwards if columns were added.
    """
    wanted = table_sql(register, columns, register.name)
    found = conn.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (register.name,)).fetchone()
    changed = found is None or found[0] != wanted
    if found is None:
        conn.execute(wanted)
    elif changed:
        _rebuild(conn, register, columns)
    if triggers:
        changed = _ensure_triggers(conn, register) or changed
    _ensure_indexes(conn, register, columns)
    return changed


def _ensure_indexes(conn: sqlite3.Connection, register: Register, columns: Sequence[Column]) -> None:
    """Rows that stand for files are looked for by file and by record."""
    if register.attachment is None:
        return
    wanted = {*register.attachment.hash_columns, str(register.parent)} & {column.name for column in columns}
    for name in sorted(wanted):
        index = quote(f"_sg_{register.name}_{name}_index")
        conn.execute(f"CREATE INDEX IF NOT EXISTS {index} ON {quote(register.name)} ({quote(name)})")


def is_declared(conn: sqlite3.Connection, register: Register, columns: Sequence[Column]) -> bool:
    """Return whether the register's table and triggers are as `ensure_table` makes them."""
    wanted = {register.name: table_sql(register, columns, register.name), **trigger_sql(register)}
    found = dict(
        conn.execute("SELECT name, sql FROM sqlite_master WHERE name IN (?, ?, ?, ?)", tuple(wanted)).fetchall()
    )
    return found == wanted


def _rebuild(conn: sqlite3.Connection, register: Register, columns: Sequence[Column]) -> None:
    name, old = quote(register.name), quote(f"_sg_old_{register.name}")
    for trigger in trigger_sql(register):
        conn.execute(f"DROP TRIGGER IF EXISTS {quote(trigger)}")
    conn.execute(f"ALTER TABLE {name} RENAME TO {old}")
    conn.execute(table_sql(register, columns, register.name))
    conn.execute(f"DROP TABLE {old}")


def _ensure_triggers(conn: sqlite3.Connection, register: Register) -> bool:
    changed = False
    for name, sql in trigger_sql(register).items():
        found = conn.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?", (name,)).fetchone()
        if found is None or found[0] != sql:
            conn.execute(f"DROP TRIGGER IF EXISTS {quote(name)}")
            conn.execute(sql)
            changed = True
    return changed


def to_sql(column: Column, value: Value) -> int | str | None:
    """Return a column value as SQLite stores it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def from_sql(column: Column, value: object) -> Value:
    """Return a value as the changeset writes it; what cannot be converted is left for `Column.check` to refuse."""
    if column.type == "boolean" and value in (0, 1):
        return bool(value)
    if column.type == "list" and isinstance(value, str):
        try:
            parsed: Value = json.loads(value)
        except ValueError:
            return value
        return parsed
    return value  # type: ignore[return-value]


def show_rows(
    conn: sqlite3.Connection,
    rows: Mapping[RowKey, StoredRow],
    registers: Mapping[str, Register],
    columns: Mapping[str, Sequence[Column]],
) -> None:
    """Bring register tables and the conflict list in line with the states of *rows*."""
    by_table: dict[str, list[tuple[str, StoredRow]]] = {}
    for (table, key), row in rows.items():
        if table in columns:
            by_table.setdefault(table, []).append((key, row))
    for table, found in by_table.items():
        _show_table(conn, registers[table], columns[table], found)
    _list_conflicts(conn, rows, registers)


def _show_table(
    conn: sqlite3.Connection, register: Register, columns: Sequence[Column], rows: list[tuple[str, StoredRow]]
) -> None:
    name, key = quote(register.name), quote(key_column(register))
    conn.executemany(f"DELETE FROM {name} WHERE {key} = ?", [(k,) for k, row in rows if not row.alive])
    names = [key, *(quote(c.name) for c in columns)]
    updates = ", ".join(f"{n} = excluded.{n}" for n in names[1:])
    sql = f"INSERT INTO {name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    sql += f" ON CONFLICT({key}) DO UPDATE SET {updates}" if updates else " ON CONFLICT DO NOTHING"
    fields = [(register.column_field(column.name), column) for column in columns]
    shown = [[k, *_row_values(register, fields, row)] for k, row in rows if row.alive]
    try:
        conn.executemany(sql, shown)
    except sqlite3.IntegrityError:
        _show_one_by_one(conn, register.name, sql, shown)


def _show_one_by_one(
    conn: sqlite3.Connection, table: str, sql: str, shown: Sequence[Sequence[int | str | None]]
) -> None:
    """Show what the table can hold. A row with a value that it no longer allows (a later edition of the register
    dropped a code) keeps its heads and is noted, so that its absence is not taken for a deletion."""
    for values in shown:
        try:
            conn.execute(sql, values)
            conn.execute("DELETE FROM _sg_unshown WHERE tbl = ? AND key = ?", (table, values[0]))
        except sqlite3.IntegrityError:
            conn.execute("INSERT OR IGNORE INTO _sg_unshown VALUES (?, ?)", (table, values[0]))


def _row_values(register: Register, fields: Sequence[tuple[Field, Column]], row: StoredRow) -> list[int | str | None]:
    values: list[int | str | None] = []
    for declared, column in fields:
        value = row.local(declared.name, register)
        if declared.group:
            value = value.get(column.name) if isinstance(value, dict) else None
        values.append(to_sql(column, value))
    return values


def _list_conflicts(
    conn: sqlite3.Connection, rows: Mapping[RowKey, StoredRow], registers: Mapping[str, Register]
) -> None:
    if conn.execute("SELECT 1 FROM _sg_conflict LIMIT 1").fetchone() is not None:
        conn.executemany("DELETE FROM _sg_conflict WHERE tbl = ? AND key = ?", rows.keys())
    conn.executemany(
        "INSERT INTO _sg_conflict VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [line for (table, key), row in rows.items() for line in _conflict_lines(table, key, row, registers.get(table))],
    )


def _conflict_lines(table: str, key: str, row: StoredRow, register: Register | None) -> Iterable[Sequence[str | int]]:
    for name in conflicts_of(row):
        shows = json.dumps(row.shown(name, register), ensure_ascii=False)
        for dev, seq, index, at, _tick, value in (head for head in row.fields[name][0] if len(head) == 6):
            yield table, key, name, index, dev, seq, at, json.dumps(value, ensure_ascii=False), shows


def refill(
    conn: sqlite3.Connection,
    table: str,
    registers: Mapping[str, Register],
    columns: Mapping[str, Sequence[Column]],
    load: Iterable[tuple[RowKey, StoredRow]],
) -> None:
    """Write a whole register table again from the stored states, after its declaration changed."""
    conn.execute(f"DELETE FROM {quote(table)}")
    rows = dict(load)
    store_rows(conn, rows)
    show_rows(conn, rows, registers, columns)
