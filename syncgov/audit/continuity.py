"""This log against what others remember of it: an older checkpoint, a device's replica. Source: protocol page 6, 13."""

import sqlite3
from contextlib import closing
from pathlib import Path

from syncgov.audit.folder import Log, read_checkpoint
from syncgov.audit.report import Report
from syncgov.errors import SyncgovError


def check_since(source: str, log: Log, report: Report) -> None:
    """The log extends the one of an older checkpoint (a file, or its text).

    Findings: since.
    """
    try:
        old = read_checkpoint(source, log.charter.log)
    except SyncgovError as error:
        report.add("since", f"旧检查点不成立：{error.zh}", f"the older checkpoint: {error.en}")
        return
    report.counts["since"] = old.size
    if old.size > log.checkpoint.size:
        zh = f"日志变短了：旧检查点有 {old.size} 条，现在只有 {log.checkpoint.size} 条"
        report.add("since", zh, f"the log shrank from {old.size} to {log.checkpoint.size} entries")
    elif log.tree.root(old.size) != old.root:
        zh = f"历史被改写：前 {old.size} 条与旧检查点不同"
        report.add(
            "since", zh, f"history was rewritten: the first {old.size} entries are not those of the older checkpoint"
        )


def check_replica(path: Path, log: Log, report: Report) -> None:
    """Everything that a device was told is logged, is logged, at its place and with its verdict.

    Findings: replica.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as conn:
            _check_leaves(conn, log, report)
            _check_own(conn, log, report)
    except sqlite3.Error as error:
        report.add(
            "replica",
            f"副本 {path.name} 读不了：{error}",
            f"replica {path.name} cannot be read: {error}",
            path=path.name,
        )


def _check_leaves(conn: sqlite3.Connection, log: Log, report: Report) -> None:
    for index, raw in conn.execute("SELECT idx, leaf FROM _sg_leaf ORDER BY idx"):
        if not isinstance(index, int) or index >= len(log.entries):
            report.counts["replica_newer"] += 1  # synced after this folder was published
        elif log.entries[index] != raw:
            zh = f"副本存有的第 {index} 条日志与公开的不同"
            report.add("replica", zh, f"leaf {index} in the replica is not the published one", index=index)
        else:
            report.counts["replica_leaves"] += 1


def _check_own(conn: sqlite3.Connection, log: Log, report: Report) -> None:
    sql = "SELECT seq, envelope, idx, verdict FROM _sg_own WHERE idx IS NOT NULL AND verdict IS NOT NULL ORDER BY seq"
    for seq, envelope, index, verdict in conn.execute(sql):
        if not isinstance(index, int) or index >= len(log.leaves):
            report.counts["replica_newer"] += 1
            continue
        leaf = log.leaves[index]
        if leaf.changeset.envelope.raw != envelope or leaf.verdict != verdict:
            zh = f"副本送出的第 {seq} 号变更集得到过“{verdict}”，公开日志的第 {index} 条却不是它"
            en = f"changeset {seq} of the replica was logged as {verdict!r} at {index}; the published leaf is another"
            report.add("replica", zh, en, index=index)
        else:
            report.counts["replica_own"] += 1
