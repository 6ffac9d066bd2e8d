"""public.db against the fold: every object, every table, every cell, every figure. Source: protocol page, section 9.

What public.db must hold is built again in memory; the file itself is only read, never asked to compute.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from syncgov.audit.report import Progress, Report
from syncgov.core.public_rows import Table
from syncgov.core.publication import figure_rows, published_registers, search_columns
from syncgov.core.register import RegisterSet

DATABASE = "public.db"
FIGURES = "figure"
MAX_FIGURE_STEPS = 2_000_000_000  # virtual machine steps of one figure: about half a minute
_STEPS = 1_000_000  # between two looks at the counter
_SHADOWS = ("_fts", "_fts_data", "_fts_idx", "_fts_content", "_fts_docsize", "_fts_config")
_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)  # what the SQL of a figure may do

Rows = Mapping[tuple[Any, ...], tuple[Any, ...]]


def quote(name: str) -> str:
    """Return *name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def expected_figures(tables: Mapping[str, Table], registers: RegisterSet) -> Table:
    """Return table `figure`, computed over *tables* in memory.

    Raises:
        sqlite3.Error: the SQL of a figure fails, writes, or does not end.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        for name, table in tables.items():
            columns = ", ".join(f"{quote(column)} {kind}" for column, kind in table.columns)
            key = ", ".join(map(quote, table.key))
            conn.execute(f"CREATE TABLE {quote(name)} ({columns}, PRIMARY KEY ({key})) STRICT")
            conn.executemany(f"INSERT INTO {quote(name)} VALUES ({', '.join('?' * len(table.columns))})", table.rows)
        steps = iter(range(MAX_FIGURE_STEPS // _STEPS))
        conn.set_progress_handler(lambda: next(steps, None) is None, _STEPS)
        conn.set_authorizer(_authorize)

        def ask(sql: str) -> Any:
            found = conn.execute(sql).fetchone()
            return None if found is None else found[0]

        return figure_rows(registers, ask)


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

    Findings: database, schema, cell, row-missing, row-surplus, figure.
    """
    path = out / DATABASE
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as conn:
            conn.execute("PRAGMA trusted_schema = 0")
            present = _check_objects(conn, tables, registers, report)
            for done, name in enumerate(sorted(tables)):
                progress("public_db", done, len(tables))
                if name in present:
                    _check_table(conn, name, tables[name], report)
    except sqlite3.Error as error:
        report.add("database", f"{DATABASE} 读不了：{error}", f"{DATABASE} cannot be read: {error}", path=DATABASE)


def _check_objects(
    conn: sqlite3.Connection, tables: Mapping[str, Table], registers: RegisterSet, report: Report
) -> set[str]:
    """Compare the list of objects; return the ordinary tables that are there."""
    searched = [register.name for register in published_registers(registers) if search_columns(register)]
    shadows = {name + suffix for name in searched for suffix in _SHADOWS}
    present = set()
    found = conn.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    for kind, name, table, sql in found:
        if kind == "table" and name in tables and str(sql).upper().startswith("CREATE TABLE"):
            present.add(name)
        elif not (kind == "table" and name in shadows) and not (kind == "index" and table in {*tables, *shadows}):
            zh, en = f"{DATABASE} 多出 {kind} {name}", f"{DATABASE} holds {kind} {name}, which must not be there"
            report.add("schema", zh, en, table=str(name), path=DATABASE)
    expected = {*tables, *(f"{name}_fts" for name in searched)}
    for name in sorted(expected - present - {name for kind, name, *_ in found if kind == "table" and name in shadows}):
        report.add("schema", f"{DATABASE} 缺少表 {name}", f"{DATABASE} lacks table {name}", table=name, path=DATABASE)
    return present


def _check_table(conn: sqlite3.Connection, name: str, table: Table, report: Report) -> None:
    described = conn.execute(f"PRAGMA table_xinfo({quote(name)})").fetchall()
    columns = tuple((column[1], column[2]) for column in described)
    key = tuple(column[1] for column in sorted(described, key=lambda column: column[5]) if column[5])
    if columns != table.columns or key != table.key:
        zh, en = f"{DATABASE} 的表 {name} 栏目不对", f"{DATABASE}: table {name} has other columns or another key"
        report.add("schema", zh, en, table=name, path=DATABASE)
        return
    names = [column for column, _kind in table.columns]
    places = [names.index(column) for column in table.key]
    selected = ", ".join(map(quote, names))
    found = _by_key(conn.execute(f"SELECT {selected} FROM {quote(name)}"), places)
    expected = _by_key(table.rows, places)
    report.counts["cells"] += len(expected) * len(names)
    for row_key in _keys(found, expected):
        _compare(name, names, row_key, found.get(row_key), expected.get(row_key), report)


def _by_key(rows: Iterator[Any] | Sequence[Any], places: list[int]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
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
            code = "figure" if name == FIGURES else "cell"
            zh = f"{DATABASE} 的 {name}.{column}（{key}）与日志不符：{_short(value)}，应为 {_short(wanted)}"
            en = f"{DATABASE}: {name}.{column} of {key} is {_short(value)}, the log gives {_short(wanted)}"
            report.add(code, zh, en, table=name, key=key, path=DATABASE)


def _short(value: Any) -> str:
    text = "NULL" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
