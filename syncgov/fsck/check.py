"""Check a replica file or a centre folder; put right what can be put right without a loss."""

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from syncgov.errors import StorageError
from syncgov.fsck.centre import check_centre
from syncgov.fsck.copy_file import held_still
from syncgov.fsck.opening import check_sqlite, opened, require_schema
from syncgov.fsck.replica import check_replica
from syncgov.fsck.report import Fix, Kind, Report
from syncgov.fsck.tables import check_protocol_tables

DATABASE = "central.db"
COPY = "copy.log"
# What a running centre shows for a moment between its commit and its checkpoint; after a power loss it stays.
IN_FLIGHT = frozenset({"copy-short", "checkpoint-behind"})
IN_FLIGHT_TRIES = 2

Rebuild: TypeAlias = Callable[[Path, Kind, sqlite3.Connection], None]
"""The writer's own function that gives every register table its declared form, inside an open transaction."""


def fsck(path: Path, *, repair: bool = False, rebuild: Rebuild | None = None) -> Report:
    """Check the replica file or centre folder at *path*.

    Args:
        repair: put right what is derived, or held twice; never what is signed. Everything happens in one transaction,
            and the result is checked anew.
        rebuild: without it, tables and triggers of registers are not repaired.

    Returns:
        every wrong thing, named. `repaired` holds what was put right.

    Raises:
        StorageError: nothing there, or nothing that this program can read.
    """
    found = _check(path, rebuild, repair=repair)
    for _again in range(IN_FLIGHT_TRIES):
        if repair or found.ok or not {finding.code for finding in found.findings} <= IN_FLIGHT:
            break
        found = _check(path, rebuild, repair=False)
    if not (repair and found.repaired):
        return found
    after = _check(path, rebuild, repair=False)
    after.repaired = found.repaired
    return after


def _check(path: Path, rebuild: Rebuild | None, *, repair: bool) -> Report:
    report = Report("centre" if path.is_dir() else "replica")
    database = path / DATABASE if report.kind == "centre" else path
    if report.kind == "centre" and not database.is_file():
        raise StorageError(f"{path} 里没有 {DATABASE}，不是中心文件夹", f"no {DATABASE} in {path}: not a centre")
    with ExitStack() as stack:
        # the copy stands still only until the database is fixed in one snapshot; it is never behind that for long
        copied = 0
        if report.kind == "centre":
            copied = stack.enter_context(held_still(path / COPY))
        with opened(database, write=repair) as conn:
            if not repair:
                stack.close()
            _check_file(path, database, conn, report, copied, rebuild)
            stack.close()
            if repair:
                _repair(conn, report)
    return report


def _check_file(
    path: Path, database: Path, conn: sqlite3.Connection, report: Report, copied: int, rebuild: Rebuild | None
) -> None:
    settings = require_schema(conn, database)
    if report.kind == "replica" and conn.execute("SELECT 1 FROM sqlite_master WHERE name = '_sg_hash'").fetchone():
        raise StorageError(
            f"{path} 是中心的数据库，请给出它的文件夹", f"{path} is a centre's database: name its folder"
        )
    form = _once(rebuild, path, report.kind)
    try:
        check_sqlite(conn, database.name, report)
        check_protocol_tables(conn, report)
        if any(finding.code == "protocol-table" for finding in report.findings):
            return
        if report.kind == "centre":
            check_centre(path, conn, settings, report, copied=copied, rebuild=form)
        else:
            check_replica(path, conn, settings, report, form)
    except sqlite3.DatabaseError as error:
        report.add("sqlite", database.name, str(error))


def _once(rebuild: Rebuild | None, path: Path, kind: Kind) -> Fix | None:
    """Return the fix that rebuilds every table, however many findings ask for it."""
    if rebuild is None:
        return None
    done: list[bool] = []

    def fix(conn: sqlite3.Connection) -> None:
        if not done:
            done.append(True)
            rebuild(path, kind, conn)

    return fix


def _repair(conn: sqlite3.Connection, report: Report) -> None:
    """Run the fixes; where what is signed is damaged too, none: they rest on it."""
    if report.suspect:
        return
    fixable = [finding for finding in report.findings if finding.fix is not None]
    try:
        for finding in fixable:
            assert finding.fix is not None
            finding.fix(conn)
        if fixable:
            conn.execute("COMMIT")
    except sqlite3.Error as error:
        raise StorageError(
            f"修复没有成功，什么也没有改：{error}", f"not repaired, nothing was changed: {error}"
        ) from error
    report.repaired = fixable
