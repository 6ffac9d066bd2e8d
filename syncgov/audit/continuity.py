"""This log against what others remember of it: an older checkpoint, a device's replica. Source: protocol page 6, 13."""

import sqlite3
from contextlib import closing
from pathlib import Path

from syncgov.audit.charters import open_checkpoint
from syncgov.audit.folder import Log, read_text
from syncgov.audit.report import Report
from syncgov.core.canonical import b64u
from syncgov.core.charter import Closing
from syncgov.core.note import MAX_NOTE_BYTES, Checkpoint, parse_checkpoint, parse_decimal, parse_note, verify_checkpoint
from syncgov.errors import FormatError, InputError, SyncgovError

_TABLES = frozenset({"_sg_meta", "_sg_leaf", "_sg_own"})  # what this reads of a replica


def read_since(source: str) -> str:
    """Return the text of a checkpoint, given as a file's path or as the text itself.

    Raises:
        InputError: neither a file nor a checkpoint. By whom it is signed is not looked at.
    """
    try:
        text = source if "\n" in source else read_text(Path(source).parent, Path(source).name, MAX_NOTE_BYTES)
        parse_checkpoint(parse_note(text).text)
    except FormatError as error:
        shown = source.split("\n")[0]
        raise InputError(f"{shown} 不是检查点：{error.zh}", f"{shown} is not a checkpoint: {error.en}") from error
    return text


def check_since(text: str, log: Log, report: Report) -> None:
    """The log extends the one of an older checkpoint.

    Findings: since.
    """
    try:
        old, closing = open_checkpoint(text, log)
    except SyncgovError as error:
        report.add("since", f"旧检查点不成立：{error.zh}", f"the older checkpoint: {error.en}")
        return
    report.counts["since"] = old.size
    if closing is not None and old.size > closing.kept:
        _check_closed(old, closing, report)
        return
    if old.size > log.checkpoint.size:
        zh = f"日志变短了：旧检查点有 {old.size} 条，现在只有 {log.checkpoint.size} 条"
        report.add("since", zh, f"the log shrank from {old.size} to {log.checkpoint.size} entries")
    elif log.tree.root(old.size) != old.root:
        zh = f"历史被改写：前 {old.size} 条与旧检查点不同"
        report.add(
            "since", zh, f"history was rewritten: the first {old.size} entries are not those of the older checkpoint"
        )


def _check_closed(old: Checkpoint, closing: Closing, report: Report) -> None:
    """A checkpoint of a closed log, beyond what was kept: the charter that closed it must not deny it."""
    if old.size > closing.size or (old.size == closing.size and b64u(old.root) != closing.root):
        zh = f"结束“{closing.origin}”的章程说它只签过 {closing.size} 条，旧检查点却不同（{old.size} 条）；请保存它"
        en = f"the charter that closed {closing.origin!r} denies this checkpoint of {old.size} entries; keep it"
        report.add("since", zh, en)
        return
    zh = f"旧检查点属于已结束的“{closing.origin}”，其第 {closing.kept} 条以后已失去，无从比较"
    report.skip(zh, f"the older checkpoint is of the closed log {closing.origin!r}; from {closing.kept} on it is lost")


def require_replica(path: Path) -> None:
    """Raise InputError unless *path* is a device's replica that can be read."""
    try:
        with closing(_open(path)) as conn:
            tables = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise InputError(f"副本 {path} 读不了：{error}", f"replica {path} cannot be read: {error}") from error
    if not tables >= _TABLES:
        raise InputError(f"{path} 不是副本", f"{path} is not a replica")


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def check_replica(path: Path, log: Log, report: Report) -> None:
    """What a device has folded is a prefix of this log; all that it was told is logged, at its place, with its verdict.

    Findings: replica, fork.
    """
    try:
        with closing(_open(path)) as conn:
            if _is_of_closed(conn, log):
                report.skip(
                    "副本还没有跟到新日志：请先同步，再核对",
                    "the replica still follows a log that was closed; sync it, then audit again",
                )
                return
            _check_seen(conn, log, report)
            _check_leaves(conn, log, report)
            _check_own(conn, log, report)
    except sqlite3.Error as error:
        report.add(
            "replica",
            f"副本 {path.name} 读不了：{error}",
            f"replica {path.name} cannot be read: {error}",
            path=path.name,
        )


def _is_of_closed(conn: sqlite3.Connection, log: Log) -> bool:
    """Whether the replica holds a charter of a log that this one continues."""
    found = conn.execute("SELECT value FROM _sg_meta WHERE key = 'charter'").fetchone()
    raw = b"" if found is None else str(found[0]).encode()
    held = next((each.charter for each in log.charters.of_log if each.raw == raw), None)
    return held is not None and held.origin != log.charter.origin


def _check_seen(conn: sqlite3.Connection, log: Log, report: Report) -> None:
    """Compare the tree that the device has folded, and the checkpoint that it was shown, with this log's tree."""
    meta = dict(conn.execute("SELECT key, value FROM _sg_meta WHERE key IN ('size', 'root', 'checkpoint')"))
    seen = set()
    try:
        seen.add((parse_decimal(meta.get("size", ""), "size"), meta.get("root", "")))
        if meta.get("checkpoint"):
            checkpoint = verify_checkpoint(meta["checkpoint"], log.charter.log)
            seen.add((checkpoint.size, b64u(checkpoint.root)))
    except SyncgovError as error:
        report.add("replica", f"副本记下的检查点不成立：{error.zh}", f"the checkpoint in the replica: {error.en}")
    for size, root in sorted(seen):
        if size > log.checkpoint.size:
            report.counts["replica_newer"] += 1
            report.skip(
                f"副本见过 {size} 条的日志，公开的只有 {log.checkpoint.size} 条，多出的部分无从比较",
                f"the replica has seen a log of {size}; the published one has {log.checkpoint.size} entries",
            )
            continue
        published = b64u(log.tree.root(size))
        if root != published:
            zh = f"日志有两个版本：前 {size} 条的根，副本见过的是 {root}，公开的是 {published}；请保存这两份文件"
            en = f"two histories: the root of {size} entries is {root} in the replica and {published} as published"
            report.add("fork", zh, f"{en}; keep both files")


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
