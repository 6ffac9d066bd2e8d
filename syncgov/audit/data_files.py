"""The open data files: every CSV says what public.db says. Source: protocol page, section 9."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from syncgov.audit.folder import names_below, read_text
from syncgov.audit.report import Progress, Report
from syncgov.core.public_rows import Table
from syncgov.errors import FormatError

DATA = "data"
MAX_CSV_BYTES = 2 << 30  # read as one text; a county's largest register is far below
_BYTE_ORDER_MARK = "\ufeff"  # written for spreadsheet programs


def check_data(out: Path, tables: Mapping[str, Table], report: Report, progress: Progress) -> None:
    """Compare every CSV file with the table of its name.

    Findings: data.
    """
    names = sorted(name for name in names_below(out, DATA) if name.endswith(".csv"))
    for done, name in enumerate(names):
        progress("开放数据", done, len(names))
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


def _compare(text: str, table: Table) -> tuple[str, str] | None:
    """Return the first difference, in Chinese and in English."""
    rows = csv.reader(io.StringIO(text.removeprefix(_BYTE_ORDER_MARK), newline=""))
    header = next(rows, [])
    names = [name for name, _kind in table.columns]
    unknown = [name for name in header if name not in names]
    if unknown or not set(table.key) <= set(header) or len(set(header)) != len(header):
        return f"栏目 {'、'.join(unknown)} 不对", f"its columns are not those of the table: {', '.join(unknown)}"
    places = [names.index(name) for name in header]
    found = sorted(rows)
    expected = sorted([_text(row[place]) for place in places] for row in table.rows)
    for one, other in zip(found, expected, strict=False):
        if one != other:
            return f"应为 {_short(other)}，现为 {_short(one)}", f"has {_short(one)}, must have {_short(other)}"
    if len(found) != len(expected):
        return f"有 {len(found)} 行，应有 {len(expected)} 行", f"has {len(found)} rows, must have {len(expected)}"
    return None


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _short(row: Sequence[str]) -> str:
    text = ",".join(row)
    return text if len(text) <= 80 else f"{text[:80]}…"
