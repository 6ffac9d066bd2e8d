"""public.db against the fold: every declaration, index, cell and figure. Source: protocol page, section 9.

What public.db must hold is built again in memory; the file itself is only read, never asked to compute.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from syncgov.audit.public_schema import Object, expected_objects, quote, search_shadows
from syncgov.audit.report import Progress, Report
from syncgov.core.public_rows import Table
from syncgov.core.publication import figure_rows, part_rows
from syncgov.core.register import RegisterSet
from syncgov.core.statement import PROTOCOL_VERSION
from syncgov.errors import VersionError

DATABASE = "public.db"
FIGURES = "figure"
HISTORY = "history"
PARTS = "figure_part"
MAX_FIGURE_STEPS = 2_000_000_000  # virtual machine steps of one figure: about half a minute
_STEPS = 1_000_000  # between two looks at the counter
_JOURNALS = ("-wal", "-shm", "-journal")  # beside a database, SQLite takes them for part of it
_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)  # what the SQL of a figure may do

Rows = Mapping[tuple[Any, ...], tuple[Any, ...]]


def expected_figures(tables: Mapping[str, Table], registers: RegisterSet) -> dict[str, Table]:
    """Return tables `figure` and `figure_part`, computed over *tables* in memory.

    Raises:
        sqlite3.Error: the SQL of a figure fails, writes, or does not end.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        for name, table in tables.items():
            columns = ", ".join(f"{quote(column)} {kind}" for column, kind in table.columns)
            key = ", ".join(map(quote, table.key))
            conn.execute(f"CREATE TABLE {quote(name)} ({columns}, PRIMARY KEY ({key})) STRICT")
            conn.executemany(f"INSERT INTO {quote(name)} VALUES ({', '.join('?' * len(table.columns))})", table.rows)
        if HISTORY in tables:  # most figures ask what became of a row
            conn.execute(f"CREATE INDEX of_row ON {HISTORY} (register, key)")
        conn.set_authorizer(_authorize)

        def ask(sql: str) -> Any:
            steps = iter(range(MAX_FIGURE_STEPS // _STEPS))  # of this question
            conn.set_progress_handler(lambda: next(steps, None) is None, _STEPS)
            found = conn.execute(sql).fetchone()
            return None if found is None else found[0]

        return {FIGURES: figure_rows(registers, ask), PARTS: part_rows(registers, tables, ask)}


def _authorize(action: int, _one: str | None, two: str | None, _database: str | None, _trigger: str | None) -> int:
    if action not in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and two == "load_extension"):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def check_public_db(
    out: Path, tables: Mapping[str, Table], registers: RegisterSet, report: Report, progress: Progress
) -> None:
    """Compare the file with what it must hold.

    Args:
        tables: every base table and `figure`.

    Findings: database, version, schema, cell, row-missing, row-surplus, figure.
    """
    for suffix in _JOURNALS:
        if (out / f"{DATABASE}{suffix}").exists():
            zh, en = (
                f"多出文件 {DATABASE}{suffix}，它会改变公开库的内容",
                f"{DATABASE}{suffix} changes what {DATABASE} says",
            )
            report.add("database", zh, en, path=DATABASE + suffix)
    uri = f"{(out / DATABASE).resolve().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as conn:
            conn.execute("PRAGMA trusted_schema = 0")
            if (other := _other_version(conn)) is not None:
                report.add("version", other.zh, other.en, path=DATABASE)
                report.skip(f"没有核对 {DATABASE} 的内容", f"the content of {DATABASE} was not checked")
                return
            _check_header(conn, report)
            present = _check_objects(conn, expected_objects(tables, registers), search_shadows(registers), report)
            may_be_run = not report.has("schema")  # SQL that is not ours could stand in an index
            for done, name in enumerate(sorted(tables)):
                progress("public_db", done, len(tables))
                if name in present:
                    _check_table(conn, name, tables[name], report)
                if may_be_run:
                    _check_indexes(conn, name, report)
    except sqlite3.Error as error:
        report.add("database", f"{DATABASE} 读不了：{error}", f"{DATABASE} cannot be read: {error}", path=DATABASE)


def _other_version(conn: sqlite3.Connection) -> VersionError | None:
    """Return what to say of a file of another version: cell by cell it would differ everywhere."""
    row = conn.execute("SELECT value FROM meta WHERE key = 'protocol_version'").fetchone()
    version = str(row[0]) if row is not None and row[0] is not None else ""
    if version == str(PROTOCOL_VERSION):
        return None
    again = (
        "请中心重新公开：syncgov publish 中心 公开文件夹",
        "have it published again: syncgov publish CENTRE PUBLIC",
    )
    return VersionError(DATABASE, DATABASE, version, PROTOCOL_VERSION, again)


def _check_objects(conn: sqlite3.Connection, expected: set[Object], shadows: set[str], report: Report) -> set[str]:
    """Compare what the file declares; return the ordinary tables that are declared as they must be."""
    found = conn.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    others = [each for each in found if each[0] != "table" or each[1] not in shadows]
    for kind, name, _table, _sql in sorted(set(others) - expected, key=str):
        if any((kind, name) == each[:2] for each in expected):
            zh, en = f"{DATABASE} 的 {kind} {name} 写法不对", f"{DATABASE}: {kind} {name} is declared otherwise"
        else:
            zh, en = f"{DATABASE} 多出 {kind} {name}", f"{DATABASE} holds {kind} {name}, which must not be there"
        report.add("schema", zh, en, table=str(name), path=DATABASE)
    there = {each[:2] for each in found}
    wanted = {each[:2] for each in expected} | {("table", name) for name in shadows}
    for kind, name in sorted(wanted - there):
        report.add(
            "schema", f"{DATABASE} 缺少 {kind} {name}", f"{DATABASE} lacks {kind} {name}", table=name, path=DATABASE
        )
    return {each[1] for each in set(found) & expected if each[0] == "table"}


def _check_header(conn: sqlite3.Connection, report: Report) -> None:
    """Numbers that SQLite keeps for programs, which publication leaves alone."""
    for name in ("user_version", "application_id"):
        (value,) = conn.execute(f"PRAGMA {name}").fetchone()
        if value:
            zh, en = f"{DATABASE} 的 {name} 是 {value}，应为 0", f"{DATABASE}: {name} is {value}, must be 0"
            report.add("schema", zh, en, path=DATABASE)


def _check_indexes(conn: sqlite3.Connection, name: str, report: Report) -> None:
    """The indexes of a table lead to all of its rows and to no others; else queries hide what it holds."""
    for (said,) in conn.execute(f"PRAGMA integrity_check({quote(name)})"):
        if said != "ok":
            zh, en = (
                f"{DATABASE} 的表 {name} 或它的索引损坏：{said}",
                f"{DATABASE}: table {name} or an index of it: {said}",
            )
            report.add("database", zh, en, table=name, path=DATABASE)


def _check_table(conn: sqlite3.Connection, name: str, table: Table, report: Report) -> None:
    """Compare every row. No index is used: one that is crafted could hide rows."""
    names = [column for column, _kind in table.columns]
    places = [names.index(column) for column in table.key]
    rows = conn.execute(
        f"SELECT {', '.join(map(quote, names))} FROM {quote(name)} NOT INDEXED ORDER BY rowid"
    ).fetchall()
    found, expected = _by_key(rows, places), _by_key(table.rows, places)
    report.counts["cells"] += len(expected) * len(names)
    if len(rows) != len(found):
        zh, en = f"{DATABASE} 的表 {name} 有重复的行", f"{DATABASE}: table {name} holds a key more than once"
        report.add("row-surplus", zh, en, table=name, path=DATABASE)
    for row_key in _keys(found, expected):
        _compare(name, names, row_key, found.get(row_key), expected.get(row_key), report)


def _by_key(rows: Sequence[Any], places: list[int]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {tuple(row[place] for place in places): tuple(row) for row in rows}


def _keys(found: Rows, expected: Rows) -> list[tuple[Any, ...]]:
    return [*expected, *(key for key in found if key not in expected)]


def _compare(
    name: str,
    names: list[str],
    row_key: tuple[Any, ...],
    found: tuple[Any, ...] | None,
    expected: tuple[Any, ...] | None,
    report: Report,
) -> None:
    key = "/".join(map(str, row_key))
    if found is None:
        zh, en = f"{DATABASE} 的表 {name} 缺少 {key}", f"{DATABASE}: table {name} lacks row {key}"
        report.add("row-missing", zh, en, table=name, key=key, path=DATABASE)
        return
    if expected is None:
        zh, en = (
            f"{DATABASE} 的表 {name} 多出 {key}",
            f"{DATABASE}: table {name} has row {key}, which the log does not give",
        )
        report.add("row-surplus", zh, en, table=name, key=key, path=DATABASE)
        return
    for column, value, wanted in zip(names, found, expected, strict=True):
        if type(value) is not type(wanted) or value != wanted:
            code = "figure" if name in (FIGURES, PARTS) else "cell"
            zh = f"{DATABASE} 的 {name}.{column}（{key}）与日志不符：{_short(value)}，应为 {_short(wanted)}"
            en = f"{DATABASE}: {name}.{column} of {key} is {_short(value)}, the log gives {_short(wanted)}"
            report.add(code, zh, en, table=name, key=key, path=DATABASE)


def _short(value: Any) -> str:
    text = "NULL" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
