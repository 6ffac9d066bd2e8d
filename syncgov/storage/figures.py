"""Registers before anything is published: the SQL of their figures is run over the published tables, all empty.

Source: protocol page, section 9.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing

from syncgov.core.public_rows import Table
from syncgov.core.publication import empty_tables, published_registers
from syncgov.core.register import Register, RegisterSet, check_roles, check_set
from syncgov.core.register_model import Figure
from syncgov.core.register_yaml import Words, item_at, nearest, problem
from syncgov.errors import RegisterError
from syncgov.storage.connection import quote

MAX_STEPS = 100_000  # virtual machine steps: without rows every useful question takes a few hundred
MAX_VALUE_BYTES = 1_000_000  # SQLite's own limit is a thousand times that: a figure is a number or a word
# What gives the same answer on every machine at every time, so that an audit can repeat it. No clock, no chance.
FUNCTIONS = frozenset(
    "-> ->> abs coalesce count dense_rank glob group_concat iif ifnull instr json_array_length"
    " json_extract json_type length like lower ltrim max min nullif rank row_number rtrim substr substring sum"
    " trim typeof unicode upper".split()
)
_READING = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION)
_NO_TABLE = re.compile(r"no such table: (\S+)")
_COUNT = ("用聚合函数，如 SELECT count(*) FROM …。", "Use an aggregate, such as SELECT count(*) FROM ….")
_REPEATABLE = (
    "只用公开表的列和与时间、随机无关的函数，如 count、sum、coalesce。",
    "Use columns of published tables, and functions without clock and chance: count, sum, coalesce.",
)


def allow_figure(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Return whether SQLite may do this for a figure: it reads published tables by functions that can be repeated.

    An authorizer for `sqlite3.Connection.set_authorizer`.
    """
    allowed = action in _READING
    if action == sqlite3.SQLITE_FUNCTION:
        allowed = (second or "").lower() in FUNCTIONS
    elif action == sqlite3.SQLITE_READ:
        allowed = not (first or "").lower().startswith(("sqlite_", "pragma_"))
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def check_registers(registers: Sequence[Register]) -> None:
    """Return if *registers*, the system's own among them, fit together and can be published: before a centre has them.

    Raises:
        RegisterError: as `check_set`, `check_roles` and `check_figures`.
    """
    check_set(registers)
    check_roles(registers)
    check_figures(registers)


def check_figures(registers: Iterable[Register]) -> None:
    """Return if the SQL of every figure gives one value over the published tables of this set.

    Raises:
        RegisterError: it does not run, asks what is not published, depends on clock or chance, or gives no single
            value; names file and line.
    """
    known = RegisterSet(registers)
    tables = empty_tables(known)
    shown = {each.name for each in published_registers(known)}
    with closing(_empty_database(tables)) as conn:
        for register in known.values():
            for position, figure in enumerate(register.figures):
                if register.name not in shown:
                    what = ("不公开的登记册不能有指标", "a register that is not published has no figures")
                    raise _problem(register, position, "id", what, ("删去 figures。", "Delete `figures`."))
                for member, sql in _questions(figure):
                    try:
                        _check(conn, figure, member, sql, tables)
                    except _RefusedError as refused:
                        raise _problem(register, position, member, *refused.words) from refused


class _RefusedError(Exception):
    """Why a SELECT is no figure, and what to do; the place is not known yet."""

    def __init__(self, what: Words, remedy: Words) -> None:
        super().__init__(what[1])
        self.words = (what, remedy)


def _problem(register: Register, position: int, member: str, what: Words, remedy: Words) -> RegisterError:
    file = register.file or f"{register.name}.yml"
    line = item_at(register.text, file, "figures", position, member).line
    name = register.figures[position].id
    return problem(file, line, (f"指标 {name}：{what[0]}", f"figure {name}: {what[1]}"), remedy)


def _questions(figure: Figure) -> Iterator[tuple[str, str]]:
    yield "n", figure.n
    if figure.d:
        yield "d", figure.d


def _empty_database(tables: Mapping[str, Table]) -> sqlite3.Connection:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    for name, table in tables.items():
        columns = ", ".join(f"{quote(column)} {kind}" for column, kind in table.columns)
        conn.execute(f"CREATE TABLE {quote(name)} ({columns}, PRIMARY KEY ({', '.join(map(quote, table.key))}))")
    conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    conn.set_authorizer(allow_figure)
    conn.set_progress_handler(lambda: 1, MAX_STEPS)
    return conn


def _check(conn: sqlite3.Connection, figure: Figure, member: str, sql: str, tables: Mapping[str, Table]) -> None:
    try:
        cursor = conn.execute(sql)
        rows = cursor.fetchmany(2)
    except sqlite3.Error as error:
        missing = _NO_TABLE.search(str(error))
        remedy = nearest(missing.group(1), tables) if missing else _REPEATABLE
        raise _RefusedError((f"查询不能运行（{error}）", f"the SQL does not run ({error})"), remedy) from error
    if len(cursor.description) != 1:
        raise _RefusedError(("查询应只有一栏", "the SQL must give one column"), _COUNT)
    if len(rows) != 1:
        raise _RefusedError(("表空时查询也应有且只有一行", "the SQL must give one row, also of empty tables"), _COUNT)
    value = rows[0][0]
    words = figure.kind == "text" and member == "n"
    if not (value is None or isinstance(value, int) or (words and isinstance(value, str))):
        raise _RefusedError(("查询的结果应为整数", "the SQL must give a whole number"), _COUNT)
