"""What public.db must declare: every table and every index, as SQL. Source: protocol page, section 9.

Derived here once more from the registers: an index over another column than it says, or a constraint of its own, makes
the same rows answer otherwise.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing

from syncgov.core.public_rows import Table, public_columns
from syncgov.core.publication import published_registers, search_columns
from syncgov.core.register import Register, RegisterSet

Object = tuple[str, str, str, str | None]
"""One row of sqlite_master: type, name, table, SQL."""

_INDEXES = (
    ("leaf", "register key"),
    ("leaf", "verdict"),
    ("leaf", "device"),
    ("history", "register key"),
    ("withheld", "register key"),
)
_ROW_INDEXES = ("_community", "_month", "_created", "_updated")
_SHADOWS = ("_data", "_idx", "_docsize", "_config")


def quote(name: str) -> str:
    """Return *name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _names(columns: tuple[str, ...] | list[str]) -> str:
    return ", ".join(map(quote, columns))


def expected_objects(tables: Mapping[str, Table], registers: RegisterSet) -> set[Object]:
    """Return the ordinary tables, their indexes, and the search tables; without those that a search table makes.

    Raises:
        sqlite3.Error: two registers that cannot be in one database.
    """
    known = {each.name: each for each in published_registers(registers)}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        for name, table in tables.items():
            conn.execute(_table_sql(name, table, _references(known.get(name), known)))
        for sql in _index_sql(tables, known):
            conn.execute(sql)
        found = set(conn.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))
    return found | {("table", f"{name}_fts", f"{name}_fts", sql) for name, sql in _search_sql(known)}


def search_shadows(registers: RegisterSet) -> set[str]:
    """Return the names of the tables that the search tables make; what is in them is not checked."""
    searched = [each.name for each in published_registers(registers) if search_columns(each)]
    return {f"{name}_fts{suffix}" for name in searched for suffix in _SHADOWS}


def _table_sql(name: str, table: Table, references: Mapping[str, str]) -> str:
    lines = [f"{quote(column)} {kind}" for column, kind in table.columns]
    lines.append(f"PRIMARY KEY ({_names(table.key)})")
    lines += [f"FOREIGN KEY ({quote(c)}) REFERENCES {quote(other)} (key)" for c, other in references.items()]
    return f"CREATE TABLE {quote(name)} (\n  " + ",\n  ".join(lines) + "\n)"


def _references(register: Register | None, known: Mapping[str, Register]) -> dict[str, str]:
    """Return column -> published register whose key it holds."""
    if register is None:
        return {}
    found = {each.name: each.ref for each in public_columns(register) if each.ref is not None and each.ref in known}
    places = [name for name, each in known.items() if each.portal.get("place")]
    if places and register.skeleton is not None and register.skeleton.community is not None:
        found["_community"] = places[0]
    return found


def _index_sql(tables: Mapping[str, Table], known: Mapping[str, Register]) -> Iterator[str]:
    wanted = [(table, tuple(columns.split())) for table, columns in _INDEXES]
    for name, register in known.items():
        present = {column for column, _kind in tables[name].columns}
        looked_up = [each.name for each in public_columns(register) if each.type == "code" or each.ref is not None]
        wanted += [(name, (column,)) for column in (*looked_up, *_ROW_INDEXES) if column in present]
    for table, columns in wanted:
        name = quote(f"{table}_{'_'.join(columns)}_index")
        yield f"CREATE INDEX {name} ON {quote(table)} ({_names(columns)})"


def _search_sql(known: Mapping[str, Register]) -> Iterator[tuple[str, str]]:
    for name, register in known.items():
        if columns := search_columns(register):
            using = f"fts5({_names(columns)}, content='', tokenize='unicode61')"
            yield name, f"CREATE VIRTUAL TABLE {quote(f'{name}_fts')} USING {using}"
