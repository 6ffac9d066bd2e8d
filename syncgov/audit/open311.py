"""The Open311 files say what the tables give, byte for byte. Source: protocol page, section 9."""

from collections.abc import Mapping
from pathlib import Path

from syncgov.audit.folder import names_below, read_file
from syncgov.audit.report import Report
from syncgov.core import open311
from syncgov.core.public_rows import Table
from syncgov.core.register import RegisterSet
from syncgov.errors import FormatError


def check_open311(out: Path, tables: Mapping[str, Table], registers: RegisterSet, report: Report) -> None:
    """Make every file again and compare. Findings: open311."""
    wanted = set()
    for name, data in open311.files(tables, registers):
        wanted.add(name)
        try:
            if read_file(out, name, len(data)) != data:
                raise FormatError(name, "not what the log gives")
            report.counts["open311"] += 1
        except FormatError as error:
            report.add("open311", f"{name} 与公开库不符：{error.zh}", f"{name}: {error.en}", path=name)
    for name in sorted(names_below(out, open311.FOLDER) - wanted):
        report.add("open311", f"多出文件 {name}", f"{name} is no answer of this log", path=name)
