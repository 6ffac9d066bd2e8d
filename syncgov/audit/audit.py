"""Audit a published folder: everything again, from the folder and the charter alone. Source: protocol page 9."""

import sqlite3
from pathlib import Path

from syncgov.audit.charters import check_charters
from syncgov.audit.collector import collector_paused
from syncgov.audit.continuity import check_replica, check_since, read_since, require_replica
from syncgov.audit.data_files import check_data
from syncgov.audit.file_list import check_files
from syncgov.audit.folder import CHARTER_FILE, Log, load_log, load_trusted_charter, require_folder
from syncgov.audit.open311 import check_open311
from syncgov.audit.portal_figures import check_portal
from syncgov.audit.proofs import check_proofs
from syncgov.audit.public_db import DATABASE, check_public_db, expected_figures
from syncgov.audit.report import Finding, Progress, Report, quiet
from syncgov.audit.signatures import checked_signatures
from syncgov.audit.walk import Walk
from syncgov.core.merge import shown
from syncgov.core.public_rows import Table
from syncgov.core.publication import PublicLog, public_tables

__all__ = ["Finding", "Report", "audit"]

_BROKEN_LOG = (
    "日志本身不完整，其余检查没有进行",
    "the log itself is not whole; nothing that rests on it was checked",
)
_BROKEN_FOLD = (
    "公开内容不完整或裁定不对，没有核对公开库、数字、网页、凭据和数据文件",
    "disclosed writes or verdicts are wrong; public.db, figures, pages, evidence and data files were not checked",
)
# findings after which what this audit folds is not what the centre folded
_INCOMPLETE = ("disclosed", "commitment", "missing", "register", "verdict", "certificate")


def audit(
    out: Path,
    charter: Path | None,
    *,
    since: str | None = None,
    replica: Path | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Report:
    """Check the published folder *out*, with none of the operator's secrets.

    Args:
        charter: the charter file that the auditor holds from elsewhere; None: only the folder's own.
        since: an older checkpoint, as a file's path or as its text.
        replica: a device's replica, to compare what it was told.
        workers: processes that verify signatures; None: one a core for a long log, 0: none but this one.

    Returns:
        every bad thing, named; `ok` if there is none. A damaged folder is a finding, never an exception.

    Raises:
        InputError: what is given is not what it is given as: no folder, charter, checkpoint or replica.
    """
    require_folder(out)
    trusted = None if charter is None else load_trusted_charter(charter)
    older = None if since is None else read_since(since)
    if replica is not None:
        require_replica(replica)
    report, tell = Report(), progress or quiet
    with collector_paused():
        log = load_log(out, report)
    if log is None:
        report.skip(*_BROKEN_LOG)
        return report
    if trusted is not None and trusted not in [each.charter for each in log.charters.of_log]:
        zh, en = "公开文件夹里的章程不是所给的那一份，也不由它更换而来", "the folder's charter is not the one given"
        report.add("charter-other", zh, f"{en}, nor does it follow from it", path=CHARTER_FILE)
    check_charters(log, report)
    check_files(out, log, report, tell)
    with checked_signatures(log, report, tell, workers=workers), collector_paused():
        walk = Walk(log, report)
        walk.run(tell)
    _check_logged_charter(log, walk, report)
    if report.has(*_INCOMPLETE):
        report.skip(*_BROKEN_FOLD)
    else:
        _check_published(out, log, walk, report, tell)
    if older is not None:
        check_since(older, log, report)
    if replica is not None:
        check_replica(replica, log, report)
    return report


def _check_logged_charter(log: Log, walk: Walk, report: Report) -> None:
    """The folder's charter is the one that the log holds. Findings: charter-other."""
    row = walk.ledger.state.get(("charter", "1"))
    field = row.fields.get("document") if row is not None else None
    if field is not None and shown(field, None, None) != log.charter_raw.decode():
        zh, en = "公开文件夹里的章程不是日志里的那一份", "the folder's charter is not the one in the log"
        report.add("charter-other", zh, en, path=CHARTER_FILE)


def _check_published(out: Path, log: Log, walk: Walk, report: Report, progress: Progress) -> None:
    """Everything that is derived from the log."""
    registers = walk.ledger.registers(len(log.leaves))
    public = PublicLog(log.charter_raw, log.checkpoint_text, walk.leaves, registers)
    tables = public_tables(public, walk.ledger.state)
    figures: dict[str, Table] = {}
    try:
        figures = expected_figures(tables, registers)
        tables = {**tables, **figures}
    except (sqlite3.Error, TypeError, ValueError) as error:  # the last two: a divisor that is no number
        report.add("figure", f"数字算不出：{error}", f"the figures cannot be computed: {error}", path=DATABASE)
    check_public_db(out, tables, registers, report, progress)
    if figures:
        check_portal(out, figures, registers, report, progress)
    check_proofs(out, log, walk.ledger, tables, report, progress)
    check_data(out, tables, registers, report, progress)
    check_open311(out, tables, registers, report)
