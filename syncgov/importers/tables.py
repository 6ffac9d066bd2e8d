"""Load rows from a CSV or JSON file into a centre or a replica: all of them, or none."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncgov.core.commitment import Value
from syncgov.core.register_model import EVERYBODY, Column, Register
from syncgov.errors import InputError, NotAllowedError, StorageError
from syncgov.importers.cells import convert
from syncgov.importers.files import Line, read_lines
from syncgov.storage.connection import quote
from syncgov.storage.replica import Replica
from syncgov.storage.schema import key_column, to_sql

MAX_KEY = 128  # characters, as in a path
HEADER = 1  # the row of a CSV that names the columns


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file, ready to be written. `key` None: the table makes one."""

    number: int
    key: str | None
    columns: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did: rows of the file, and how many changesets they made (an unchanged row makes none)."""

    rows: int
    changesets: int


def load(target: Path, table: str, file: Path, staff: str | None = None) -> Loaded:
    """Write the rows of *file* to *table* of a centre (a folder) or a replica (a file).

    A row whose key is there already is changed in the columns that the file has; the others stay.

    Raises:
        InputError: names file, row and column; nothing was written.
        NotAllowedError: this device's roles may not write there.
    """
    if (target / "central.db").is_file():
        return _load_centre(target, table, file)
    with Replica.open(target) as replica:
        return load_replica(replica, table, file, staff)


def _load_centre(path: Path, table: str, file: Path) -> Loaded:
    from syncgov.centre.centre import Centre  # late: a field device has no centre

    centre = Centre(path)
    try:
        registers = centre.ledger.registers(centre.ledger.size)
        register = _register(registers, table)
        rows = read_rows(file, register, register.columns)
        _check_required(file, register, rows, centre.ledger.conn, register.columns)
        _check_references(file, register, rows, centre.ledger.conn, registers)
        _check_areas(file, register, rows, centre.charter.area)
        pairs = [(_given_key(file, register, row), row.columns) for row in rows]
        return Loaded(len(rows), len(centre.write(table, pairs)))
    finally:
        centre.close()


def load_replica(replica: Replica, table: str, file: Path, staff: str | None = None) -> Loaded:
    """Write the rows of *file* to *table* of an open replica, signed, in one transaction. Raises as `load`."""
    register = _register(replica.registers, table)
    if table not in replica.columns or register.writers.isdisjoint(replica.roles | {EVERYBODY}):
        roles = "、".join(sorted(replica.roles))
        raise NotAllowedError(
            f"本终端的岗位（{roles}）不能写{register.label}",
            f"the roles of this device ({', '.join(sorted(replica.roles))}) may not write {table}",
        )
    rows = read_rows(file, register, replica.columns[table])
    _check_required(file, register, rows, replica.conn, replica.columns[table])
    # of registers with areas a device has but a part: what it does not see may be there
    whole = {n: replica.registers[n] for n in replica.columns if _is_everywhere(replica.registers[n])}
    _check_references(file, register, rows, replica.conn, whole)
    before = replica.meta.get_int("last_seq")
    with replica.change(staff):
        for row in rows:
            upsert(replica.conn, register, {c.name: c for c in register.columns}, row, file.name)
    return Loaded(len(rows), replica.meta.get_int("last_seq") - before)


def upsert(conn: sqlite3.Connection, register: Register, columns: Mapping[str, Column], row: Row, name: str) -> None:
    """Insert or change one row; call inside a transaction.

    Raises:
        InputError: a check of the table refused it; names the row.
    """
    table, key = quote(register.name), quote(key_column(register))
    cells = {quote(c): to_sql(columns[c], value) for c, value in row.columns.items()}
    try:
        if row.key is not None:
            updates = ", ".join(f"{c} = ?" for c in cells) or f"{key} = {key}"
            changed = conn.execute(f"UPDATE {table} SET {updates} WHERE {key} = ?", [*cells.values(), row.key])
            if changed.rowcount > 0:
                return
            cells = {key: row.key, **cells}
        marks = ", ".join("?" * len(cells))
        conn.execute(f"INSERT INTO {table} ({', '.join(cells)}) VALUES ({marks})", list(cells.values()))
    except sqlite3.IntegrityError as error:
        raise InputError(f"{name} 第 {row.number} 行：{error}", f"{name}: row {row.number}: {error}") from error


def _register(registers: Mapping[str, Register], table: str) -> Register:
    found = registers.get(table)
    if found is None:
        known = sorted(name for name, register in registers.items() if not register.system)
        raise InputError(
            f"没有登记册 {table}，可用：{'、'.join(known)}", f"no register named {table}; known: {', '.join(known)}"
        )
    if found.system:
        raise NotAllowedError(f"{table} 由系统自己写", f"{table} is written by the system itself")
    return found


def read_rows(file: Path, register: Register, columns: Sequence[Column]) -> list[Row]:
    """Return the rows of *file*, converted; a header cell is a column's name or its label.

    Raises:
        InputError: names file, row and column.
    """
    rows = [_row(file.name, line, register, columns) for line in read_lines(file)]
    seen: dict[str, int] = {}
    for row in rows:
        if row.key is not None and row.key in seen:
            raise InputError(
                f"{file.name} 第 {row.number} 行：{register.key_label} {row.key} 与第 {seen[row.key]} 行重复",
                f"{file.name}: row {row.number}: key {row.key} is also in row {seen[row.key]}",
            )
        if row.key is not None:
            seen[row.key] = row.number
    return rows


def _row(name: str, line: Line, register: Register, columns: Sequence[Column]) -> Row:
    by_name = {column.name: column for column in columns}
    by_label = {column.label: column for column in columns}
    in_header = name.lower().endswith(".csv")
    key, seen_key = None, False
    values: dict[str, Value] = {}
    for head, cell in _cells(name, line, register).items():
        place = HEADER if in_header else line.at(head)
        if _is_key(head, register, by_name):
            if seen_key:
                raise _repeated(name, place, head, register.key_label)
            key, seen_key = _key(name, line.at(head), head, cell), True
            continue
        column = by_name.get(head) or by_label.get(head)
        if column is None:
            raise _unknown(name, place, head, register, columns)
        if column.name in values:
            raise _repeated(name, place, head, column.label)
        try:
            values[column.name] = convert(column, cell)
        except InputError as error:
            raise InputError(
                f"{name} 第 {line.at(head)} 行：{error.zh}", f"{name}: row {line.at(head)}: {error.en}"
            ) from error
    return Row(line.number, key, values)


def _cells(name: str, line: Line, register: Register) -> dict[str, Any]:
    """Return the cells, with the text that follows them in the column that the register shows as running text."""
    if not line.body:
        return line.cells
    sections = register.portal.get("sections", ())
    column = next((each["column"] for each in sections if each.get("as") == "text"), None)
    if column is None or column in line.cells:
        raise InputError(
            f"{name} 第 {line.number} 行：--- 之后的正文没有地方放；请写进 --- 之间的某一栏",
            f"{name}: row {line.number}: the text after the front matter has no column; write it into one",
        )
    return {**line.cells, column: line.body}


def _key(name: str, number: int, head: str, cell: Any) -> str | None:
    if cell is None or cell == "":
        return None
    text = str(cell).strip() if isinstance(cell, int) and not isinstance(cell, bool) else cell
    if not isinstance(text, str) or not 1 <= len(text.strip()) <= MAX_KEY:
        raise InputError(
            f"{name} 第 {number} 行：“{head}”应为 1 至 {MAX_KEY} 字的文字",
            f"{name}: row {number}: {head} must be text of 1 to {MAX_KEY} characters",
        )
    return text.strip()


def _is_key(head: str, register: Register, columns: Collection[str]) -> bool:
    return head in (key_column(register), register.key_label) and head not in columns


def _unknown(name: str, number: int, head: str, register: Register, columns: Sequence[Column]) -> InputError:
    known = [(register.key_label, key_column(register)), *((column.label, column.name) for column in columns)]
    labels = "、".join(f"{label}（{column}）" for label, column in known)
    return InputError(
        f"{name} 第 {number} 行：没有“{head}”这一栏；可用：{labels}",
        f"{name}: row {number}: no column {head}; known: {', '.join(column for _label, column in known)}",
    )


def _repeated(name: str, number: int, head: str, label: str) -> InputError:
    return InputError(
        f"{name} 第 {number} 行：“{head}”一栏重复，“{label}”已经有了；删去其中一栏",
        f"{name}: row {number}: column {head} is there twice, as {label} too; delete one of them",
    )


def _given_key(file: Path, register: Register, row: Row) -> str:
    if row.key is None:
        raise InputError(
            f"{file.name} 第 {row.number} 行：缺少“{register.key_label}”（{key_column(register)}）",
            f"{file.name}: row {row.number}: column {key_column(register)} is empty",
        )
    return row.key


def _check_required(
    file: Path, register: Register, rows: Sequence[Row], conn: sqlite3.Connection, columns: Sequence[Column]
) -> None:
    """A new row needs what the register requires; a row that is there already has it."""
    if not rows:
        raise InputError(f"{file.name} 没有数据行", f"{file.name} has no rows")
    key = quote(key_column(register))
    needed = [f for f in register.fields if f.required and set(f.columns) <= set(columns)]
    for row in rows:
        if row.key is not None and _exists(conn, register, key, row.key):
            continue
        for declared in needed:
            if declared.value(row.columns) is None:
                column = declared.columns[0]
                raise InputError(
                    f"{file.name} 第 {row.number} 行：“{column.label}”（{column.name}）必填",
                    f"{file.name}: row {row.number}: column {column.name} is required",
                )


def _check_references(
    file: Path, register: Register, rows: Sequence[Row], conn: sqlite3.Connection, known: Mapping[str, Register]
) -> None:
    """A column with `ref` holds the key of a row that is there, or that comes with the same file."""
    coming = {row.key for row in rows}
    found: dict[tuple[str, str], bool] = {}
    for column in (each for each in register.columns if each.ref in known):
        target = known[str(column.ref)]
        for row in rows:
            value = row.columns.get(column.name)
            if not isinstance(value, str) or (target.name == register.name and value in coming):
                continue
            if (target.name, value) not in found:
                found[target.name, value] = _exists(conn, target, quote(key_column(target)), value)
            if not found[target.name, value]:
                raise InputError(
                    f"{file.name} 第 {row.number} 行：“{column.label}”（{column.name}）{value} 不在{target.label}里，"
                    f"先载入{target.label}，或改正这一格",
                    f"{file.name}: row {row.number}: column {column.name}: there is no {target.name} {value}; "
                    f"load {target.name} first, or correct the cell",
                )


def _is_everywhere(register: Register) -> bool:
    return register.area is None and register.parent is None


def _check_areas(file: Path, register: Register, rows: Sequence[Row], area: str) -> None:
    """A row of another place belongs to another centre."""
    for row in rows:
        value = row.columns.get(register.area) if register.area is not None else None
        if register.area is not None and isinstance(value, str) and not value.startswith(area):
            label = register.column_field(register.area).label
            raise InputError(
                f"{file.name} 第 {row.number} 行：“{label}”（{register.area}）{value} 不在本中心的区划 {area} 内",
                f"{file.name}: row {row.number}: column {register.area}: {value} is not in this centre's area {area}",
            )


def _exists(conn: sqlite3.Connection, register: Register, key: str, value: str) -> bool:
    try:
        found = conn.execute(f"SELECT 1 FROM {quote(register.name)} WHERE {key} = ?", (value,)).fetchone()
    except sqlite3.OperationalError as error:
        raise StorageError(
            f"表 {register.name} 被其他程序改过，请先运行 syncgov commit",
            f"another program changed table {register.name}; run `syncgov commit` first",
        ) from error
    return found is not None
