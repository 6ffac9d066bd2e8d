"""The open data files: every CSV says what public.db says. Source: protocol page, section 9."""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from syncgov.audit.folder import names_below, read_file, read_text
from syncgov.audit.report import Progress, Report
from syncgov.core.public_rows import Table
from syncgov.errors import FormatError

DATA = "data"
PACKAGE = "data/datapackage.json"
MAX_PACKAGE_BYTES = 16 << 20  # it describes columns, not rows
MAX_CSV_BYTES = 2 << 30  # read as one text; a county's largest register is far below
_BYTE_ORDER_MARK = "\ufeff"  # written for spreadsheet programs


class _Resource(msgspec.Struct):
    bytes: int
    hash: str
    path: str


class _Package(msgspec.Struct):
    resources: list[_Resource]


def check_data(out: Path, tables: Mapping[str, Table], report: Report, progress: Progress) -> None:
    """Compare every CSV file with the table of its name, and the package's description with the files.

    Findings: data.
    """
    names = sorted(name for name in names_below(out, DATA) if name.endswith(".csv"))
    for done, name in enumerate(names):
        progress("data", done, len(names))
        table = tables.get(PurePosixPath(name).stem)
        if table is None:
            report.add("data", f"{name} 不是公开库里的表", f"{name} is no table of public.db", path=name)
            continue
        try:
            problem = _compare(read_text(out, name, MAX_CSV_BYTES), table)
        except (FormatError, csv.Error) as error:
            problem = (str(error), str(error))
        if problem is None:
            report.counts["data_files"] += 1
        else:
            report.add("data", f"{name} 与公开库不符：{problem[0]}", f"{name}: {problem[1]}", path=name)
    if (out / PACKAGE).exists():
        _check_package(out, report)


def _check_package(out: Path, report: Report) -> None:
    try:
        package = msgspec.json.decode(read_file(out, PACKAGE, MAX_PACKAGE_BYTES), type=_Package)
        for resource in package.resources:
            data = read_file(out, f"{DATA}/{resource.path}", MAX_CSV_BYTES)
            if (resource.bytes, resource.hash) != (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}"):
                raise FormatError(PACKAGE, f"size or hash of {resource.path} is another")
    except (FormatError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        report.add("data", f"{PACKAGE} 不符：{error}", f"{PACKAGE}: {error}", path=PACKAGE)


def _compare(text: str, table: Table) -> tuple[str, str] | None:
    """Return the first difference, in Chinese and in English."""
    rows = csv.reader(io.StringIO(text.removeprefix(_BYTE_ORDER_MARK), newline=""))
    header = next(rows, [])
    names = [name for name, _kind in table.columns]
    unknown = [name for name in header if name not in names]
    if unknown or not set(table.key) <= set(header) or len(set(header)) != len(header):
        return f"栏目 {'、'.join(unknown)} 不对", f"its columns are not those of the table: {', '.join(unknown)}"
    places = [names.index(name) for name in header]
    found = list(rows)
    for one, row in zip(found, table.rows, strict=False):
        other = [_text(row[place]) for place in places]
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
