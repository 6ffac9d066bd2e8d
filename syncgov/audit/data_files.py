"""The open data files: every table has its CSV, which says what public.db says. Source: protocol page, section 9."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from syncgov.audit.folder import names_below, read_file, read_text
from syncgov.audit.report import Progress, Report
from syncgov.core.public_rows import Table
from syncgov.core.publication import published_registers
from syncgov.core.register import RegisterSet
from syncgov.errors import FormatError

DATA = "data"
PACKAGE = "data/datapackage.json"
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
)  # beside those of the registers
_BYTE_ORDER_MARK = "\ufeff"  # written for spreadsheet programs


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
    """Compare every CSV file with its table, and the package's description with the files.

    Findings: data.
    """
    wanted = {f"{name}.csv": tables[name] for name in (*_names(registers), *_PLAIN_TABLES) if name in tables}
    for name in sorted(names_below(out, DATA) - {PACKAGE, *(f"{DATA}/{file}" for file in wanted)}):
        report.add("data", f"多出文件 {name}", f"{name} is no table of the open data", path=name)
    for done, (file, table) in enumerate(sorted(wanted.items())):
        progress("data", done, len(wanted))
        name = f"{DATA}/{file}"
        try:
            problem = _compare(read_text(out, name, MAX_CSV_BYTES), table)
        except (FormatError, csv.Error) as error:
            problem = (str(error), str(error))
        if problem is None:
            report.counts["data_files"] += 1
        else:
            report.add("data", f"{name} 与公开库不符：{problem[0]}", f"{name}: {problem[1]}", path=name)
    _check_package(out, wanted, report)


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


def _compare(text: str, table: Table) -> tuple[str, str] | None:
    """Return the first difference, in Chinese and in English."""
    rows = csv.reader(io.StringIO(text.removeprefix(_BYTE_ORDER_MARK), newline=""))
    header = next(rows, [])
    names = [name for name, _kind in table.columns]
    if header != names:
        return "栏目不对", "its columns are not those of the table"
    found = list(rows)
    for one, row in zip(found, table.rows, strict=False):
        other = [_text(value) for value in row]
        if len(one) != len(other) or not all(map(_says, one, other)):
            return f"应为 {_short(other)}，现为 {_short(one)}", f"has {_short(one)}, must have {_short(other)}"
    if len(found) != len(table.rows):
        return f"有 {len(found)} 行，应有 {len(table.rows)} 行", f"has {len(found)} rows, must have {len(table.rows)}"
    return None


def _says(found: str, wanted: str) -> bool:
    """Whether a cell is *wanted*; an apostrophe before it keeps spreadsheet programs from running a text."""
    return found == wanted or found == f"'{wanted}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _short(row: Sequence[str]) -> str:
    text = ",".join(row)
    return text if len(text) <= 80 else f"{text[:80]}…"
