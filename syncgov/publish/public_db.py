"""public.db: the base tables, figures, indexes and the search index. Source: protocol page, section 9."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from syncgov.core.public_rows import public_columns
from syncgov.core.publication import Table, figure_rows, part_rows, published_registers, search_columns
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Register
from syncgov.errors import InputError
from syncgov.publish.bigrams import index_text
from syncgov.storage.connection import quote, translate
from syncgov.storage.figures import allow_figure

# virtual machine steps: a figure that needs more than half a minute stops publication. The median of 100 000 handling
# times takes 100 million, of a second or two.
FIGURE_STEPS = 1_000_000_000

# What the portal and Datasette look up; (table, columns)
_INDEXES = (
    ("leaf", ("register", "key")),
    ("leaf", ("verdict",)),
    ("leaf", ("device",)),
    ("history", ("register", "key")),
    ("withheld", ("register", "key")),
)
_ROW_INDEXES = ("_community", "_month", "_created", "_updated")


def write_public_db(path: Path, tables: Mapping[str, Table], registers: RegisterSet) -> dict[str, Table]:
    """Write the file and return the tables of figures: `figure` and `figure_part`.

    Raises:
        StorageError: it cannot be written.
        InputError: the SQL of a figure does not run; names register and figure.
    """
    known = {each.name: each for each in published_registers(registers)}
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as conn:
            conn.execute("PRAGMA page_size=4096")
            conn.execute("PRAGMA journal_mode=OFF")  # a file that is not finished is thrown away
            conn.execute("PRAGMA synchronous=OFF")
            conn.execute("BEGIN")
            for name, table in tables.items():
                _write_table(conn, name, table, _references(known.get(name), known))
            for statement in _index_sql(tables, known):  # before the figures, whose parts are looked up by column
                conn.execute(statement)
            figures = {
                "figure": figure_rows(registers, lambda sql: _ask(conn, sql)),
                "figure_part": part_rows(registers, tables, lambda sql: _ask(conn, sql)),
            }
            for name, table in figures.items():
                _write_table(conn, name, table, {})
            conn.execute("COMMIT")
            conn.execute("VACUUM")  # before the search index, which holds row numbers
            conn.execute("BEGIN")
            for register in known.values():
                _write_search(conn, register)
            conn.execute("COMMIT")
    except sqlite3.Error as error:
        raise translate(error) from error
    return figures


def table_sql(name: str, table: Table, references: Mapping[str, str]) -> str:
    """Return CREATE TABLE; not STRICT, so that older programs can open it.

    Args:
        references: column -> table whose keys it holds.
    """
    lines = [f"{quote(column)} {kind}" for column, kind in table.columns]
    lines.append(f"PRIMARY KEY ({', '.join(map(quote, table.key))})")
    lines += [f"FOREIGN KEY ({quote(c)}) REFERENCES {quote(other)} (key)" for c, other in references.items()]
    return f"CREATE TABLE {quote(name)} (\n  " + ",\n  ".join(lines) + "\n)"


def _write_table(conn: sqlite3.Connection, name: str, table: Table, references: Mapping[str, str]) -> None:
    conn.execute(table_sql(name, table, references))
    places = ", ".join("?" * len(table.columns))
    conn.executemany(f"INSERT INTO {quote(name)} VALUES ({places})", table.rows)


def _references(register: Register | None, known: Mapping[str, Register]) -> dict[str, str]:
    """Return column -> published register that it refers to; the community refers to the register of places."""
    if register is None:
        return {}
    found = {c.name: c.ref for c in public_columns(register) if c.ref in known and c.ref is not None}
    places = [each.name for each in known.values() if each.portal.get("place")]
    if places and register.skeleton is not None and register.skeleton.community is not None:
        found["_community"] = places[0]
    return found


def _ask(conn: sqlite3.Connection, sql: str) -> Any:
    """Return the first value of a figure's SELECT; it may only read, and only for a while."""

    conn.set_authorizer(allow_figure)
    conn.set_progress_handler(lambda: 1, FIGURE_STEPS)
    try:
        found = conn.execute(sql).fetchone()
    except sqlite3.Error as error:
        raise InputError(
            f"指标的查询不能运行：{error}：{sql}", f"the SQL of a figure does not run: {error}: {sql}"
        ) from error
    finally:
        conn.set_progress_handler(None, 0)
        conn.set_authorizer(None)
    return None if found is None else found[0]


def _index_sql(tables: Mapping[str, Table], known: Mapping[str, Register]) -> Iterator[str]:
    wanted = list(_INDEXES)
    for name, register in known.items():
        present = {column for column, _kind in tables[name].columns}
        codes = [c.name for c in public_columns(register) if c.type == "code" or c.ref is not None]
        wanted += [(name, (column,)) for column in (*codes, *_ROW_INDEXES) if column in present]
    for table, columns in wanted:
        name = quote(f"{table}_{'_'.join(columns)}_index")
        yield f"CREATE INDEX {name} ON {quote(table)} ({', '.join(map(quote, columns))})"


def _write_search(conn: sqlite3.Connection, register: Register) -> None:
    """Make the contentless bigram index of a register with texts; its rowid is the table's."""
    columns = search_columns(register)
    if not columns:
        return
    name, names = quote(f"{register.name}_fts"), ", ".join(map(quote, columns))
    conn.execute(f"CREATE VIRTUAL TABLE {name} USING fts5({names}, content='', tokenize='unicode61')")
    rows = conn.execute(f"SELECT rowid, {names} FROM {quote(register.name)}").fetchall()
    places = ", ".join("?" * (len(columns) + 1))
    conn.executemany(
        f"INSERT INTO {name} (rowid, {names}) VALUES ({places})",
        [(row[0], *map(index_text, _texts(row[1:], columns, register))) for row in rows],
    )
    conn.execute(f"INSERT INTO {name} ({name}) VALUES ('optimize')")


def _texts(values: Sequence[Any], columns: Sequence[str], register: Register) -> Iterator[str]:
    kinds = {c.name: c.type for c in public_columns(register)}
    for value, column in zip(values, columns, strict=True):
        if value is None:
            yield ""
        elif kinds[column] == "list":
            yield "\n".join(_strings(json.loads(value)))
        else:
            yield str(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
