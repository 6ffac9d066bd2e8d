"""The open data files: every table as CSV and JSON says what public.db says. Source: protocol page, section 9."""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from syncgov.audit.folder import names_below, read_file, read_text
from syncgov.audit.report import Progress, Report
from syncgov.core.public_rows import Table, public_columns
from syncgov.core.publication import published_registers
from syncgov.core.register import RegisterSet
from syncgov.errors import FormatError

DATA = "data"
PACKAGE = "data/datapackage.json"
EXCEL = "data/excel"
DESCRIPTIONS = frozenset(
    {PACKAGE, "data/dcat.jsonld", "data/LICENSE.txt"}
)  # the words of the last two are not compared
MAX_PACKAGE_BYTES = 16 << 20  # it describes columns, not rows
MAX_CSV_BYTES = 2 << 30  # read as one text; a county's largest register is far below
_PLAIN_TABLES = (
    "figure",
    "figure_part",
    "label",
    "column",
    "withheld",
    "conflict",
    "declared",
    "obligation",
)  # beside those of the registers
_BYTE_ORDER_MARK = "\ufeff"  # written for spreadsheet programs

Difference: TypeAlias = tuple[str, str]
"""What is wrong with a file, in Chinese and in English."""


class _Column(msgspec.Struct):
    name: str


class _Schema(msgspec.Struct, rename="camel"):
    fields: list[_Column]
    primary_key: list[str]


class _Resource(msgspec.Struct):
    bytes: int
    hash: str
    path: str
    schema: _Schema


class _Package(msgspec.Struct):
    resources: list[_Resource]


def check_data(
    out: Path, tables: Mapping[str, Table], registers: RegisterSet, report: Report, progress: Progress
) -> None:
    """Compare every CSV and JSON file with its table, and the package's description with the files.

    Findings: data.
    """
    wanted = {name: tables[name] for name in (*_names(registers), *_PLAIN_TABLES) if name in tables}
    lists = {
        each.name: {c.name: c.type for c in public_columns(each) if c.type in ("list", "boolean")}
        for each in published_registers(registers)
    }
    files = {file for name in wanted for file in (f"{DATA}/{name}.csv", f"{EXCEL}/{name}.csv", f"{DATA}/{name}.json")}
    there = names_below(out, DATA)
    for name in sorted(there - DESCRIPTIONS - files):
        report.add("data", f"多出文件 {name}", f"{name} is no table of the open data", path=name)
    for name in sorted(DESCRIPTIONS - there - {PACKAGE}):
        report.add("data", f"缺少文件 {name}", f"{name} is missing", path=name)
    for done, (name, table) in enumerate(sorted(wanted.items())):
        progress("data", done, len(wanted))
        objects = partial(_objects, table=table, kinds=lists.get(name, {}))
        _check(out, f"{DATA}/{name}.csv", partial(_compare, table=table), report)
        _check(out, f"{EXCEL}/{name}.csv", partial(_compare_marked, table=table), report)
        _check(out, f"{DATA}/{name}.json", objects, report)
    _check_package(out, {f"{name}.csv": table for name, table in wanted.items()}, report)


def _check(out: Path, name: str, compare: Callable[[str], Difference | None], report: Report) -> None:
    try:
        problem = compare(read_text(out, name, MAX_CSV_BYTES))
    except (FormatError, csv.Error, msgspec.MsgspecError) as error:
        problem = (str(error), str(error))
    if problem is None:
        report.counts["data_files"] += 1
    else:
        report.add("data", f"{name} 与公开库不符：{problem[0]}", f"{name}: {problem[1]}", path=name)


def _names(registers: RegisterSet) -> list[str]:
    return [each.name for each in published_registers(registers)]


def _check_package(out: Path, wanted: Mapping[str, Table], report: Report) -> None:
    """The package names every file once, with its size, hash, columns and key; its words are not compared."""
    try:
        package = msgspec.json.decode(read_file(out, PACKAGE, MAX_PACKAGE_BYTES), type=_Package)
        if sorted(resource.path for resource in package.resources) != sorted(wanted):
            raise FormatError(PACKAGE, "it names other files than there must be")
        for resource in package.resources:
            data, table = read_file(out, f"{DATA}/{resource.path}", MAX_CSV_BYTES), wanted[resource.path]
            if (resource.bytes, resource.hash) != (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}"):
                raise FormatError(PACKAGE, f"size or hash of {resource.path} is another")
            columns = [column.name for column in resource.schema.fields]
            if (columns, resource.schema.primary_key) != ([name for name, _kind in table.columns], list(table.key)):
                raise FormatError(PACKAGE, f"the columns of {resource.path} are others")
    except (FormatError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        report.add("data", f"{PACKAGE} 不符：{error}", f"{PACKAGE}: {error}", path=PACKAGE)


def _compare_marked(text: str, table: Table) -> Difference | None:
    """The same after a byte order mark, without which spreadsheet programs read Chinese as something else."""
    if not text.startswith(_BYTE_ORDER_MARK):
        return "缺少字节顺序标记", "it has no byte order mark"
    return _compare(text.removeprefix(_BYTE_ORDER_MARK), table)


def _compare(text: str, table: Table) -> Difference | None:
    """Return the first difference, in Chinese and in English."""
    rows = csv.reader(io.StringIO(text, newline=""))
    if next(rows, []) != [name for name, _kind in table.columns]:
        return "栏目不对", "its columns are not those of the table"
    found = list(rows)
    for one, row in zip(found, table.rows, strict=False):
        other = [_text(value) for value in row]
        if [_unguarded(cell) for cell in one] != other or any(map(_runs, one, row)):
            return f"应为 {_short(other)}，现为 {_short(one)}", f"has {_short(one)}, must have {_short(other)}"
    return _counted(len(found), table)


def _counted(found: int, table: Table) -> Difference | None:
    wanted = len(table.rows)
    return None if found == wanted else (f"有 {found} 行，应有 {wanted} 行", f"has {found} rows, must have {wanted}")


def _unguarded(cell: str) -> str:
    """Take away the apostrophe that keeps spreadsheet programs from running a text."""
    return cell.removeprefix("'")


def _runs(cell: str, value: Any) -> bool:
    """Whether a spreadsheet program would take a text for a formula."""
    return isinstance(value, str) and cell.lstrip(" \u3000\n").startswith(tuple("=+-@\t\r＝＋－＠"))


def _objects(text: str, table: Table, kinds: Mapping[str, str]) -> Difference | None:
    """Return the first difference of a JSON file: exact values; lists are lists and truth values are such."""
    found = msgspec.json.decode(text, type=list[dict[str, Any]])
    names = [name for name, _kind in table.columns]
    for one, row in zip(found, table.rows, strict=False):
        other = {name: _plain(value, kinds.get(name)) for name, value in zip(names, row, strict=True)}
        # 1 equals true, and the order of members is that of the columns
        if list(map(repr, one.items())) != list(map(repr, other.items())):
            told, wanted = _short(list(map(str, one.values()))), _short(list(map(str, other.values())))
            return f"应为 {wanted}，现为 {told}", f"has {told}, must have {wanted}"
    return _counted(len(found), table)


def _plain(value: Any, kind: str | None) -> Any:
    if kind == "boolean" and value in (0, 1):
        return bool(value)
    return msgspec.json.decode(value) if kind == "list" and isinstance(value, str) and value[:1] == "[" else value


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _short(row: Sequence[str]) -> str:
    text = ",".join(row)
    return text if len(text) <= 80 else f"{text[:80]}…"
