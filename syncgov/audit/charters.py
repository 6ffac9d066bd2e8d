"""The charters of the log, one after the other: what was replaced, which logs were closed and what was lost.

Source: protocol page, sections 8 and 15.
"""

import itertools

from syncgov.audit.folder import CHARTER_FILE, Log
from syncgov.audit.report import Report
from syncgov.core.canonical import b64u, unb64u
from syncgov.core.charter import Charter, Closing
from syncgov.core.keys import device_id
from syncgov.core.note import Checkpoint, verify_checkpoint
from syncgov.core.succession import InForce
from syncgov.errors import SignatureError, SyncgovError


def check_charters(log: Log, report: Report) -> None:
    """Say what each new charter changed, and that the log begins with what the closed one had. Findings: charter."""
    found = log.charters.of_log
    report.counts["charters"] = len(found)
    for before, after in itertools.pairwise(found):
        closing = after.charter.closes
        if isinstance(closing, Closing):
            _check_closing(log, after.index, closing, report)
        else:
            _tell_change(before, after, report)


def _tell_change(before: InForce, after: InForce, report: Report) -> None:
    old, new = (_registrars(each.charter) for each in (before, after))
    added, removed = "、".join(sorted(new - old)), "、".join(sorted(old - new))
    report.tell(
        f"第 {after.index} 条起换了章程，由原章程的根密钥签名；新增登记终端：{added or '无'}；停用：{removed or '无'}",
        f"a new charter is in force from leaf {after.index} on, signed by the roots of the old one; "
        f"registrars added: {added or 'none'}; removed: {removed or 'none'}",
    )


def _registrars(charter: Charter) -> set[str]:
    return {device_id(unb64u(text, 32)) for text in charter.registrars}


def _check_closing(log: Log, index: int, closing: Closing, report: Report) -> None:
    if b64u(log.tree.root(closing.kept)) != closing.kept_root:
        zh = f"日志“{closing.origin}”保留的 {closing.kept} 条与结束它的章程所写的根不同"
        en = f"the {closing.kept} entries kept of {closing.origin!r} are not those that the charter closing it names"
        report.add("charter", zh, en, index=index, path=CHARTER_FILE)
    report.counts["closed"] += 1
    report.counts["lost"] += closing.lost
    report.tell(
        f"日志“{closing.origin}”已由根密钥结束：签过 {closing.size} 条，根 {closing.root}；"
        f"保留前 {closing.kept} 条，失去 {closing.lost} 条（终端重新送达的，在第 {index} 条之后）",
        f"the log {closing.origin!r} was closed by the roots: {closing.size} entries were signed, root {closing.root}; "
        f"the first {closing.kept} are kept, {closing.lost} were lost (what devices sent again follows leaf {index})",
    )


def open_checkpoint(text: str, log: Log) -> tuple[Checkpoint, Closing | None]:
    """Return a checkpoint of this log, or of one that it continues, and then what closed that one.

    Raises:
        SyncgovError: not signed by any of them; see `verify_checkpoint`.
    """
    found = log.charters.of_log
    closings = [(each.charter, log.charters.closings) for each in found]
    wrong: SyncgovError | None = None
    for charter, closed in reversed(closings):
        try:
            checkpoint = verify_checkpoint(text, charter.log)
        except SyncgovError as error:
            wrong = wrong or error
            continue
        return checkpoint, next((each for each in closed if each.origin == charter.origin), None)
    raise wrong or SignatureError("log")
