"""The command that checks a file: fsck."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncgov.cli.app import FOUND, Output, command, leave, path_argument, root
from syncgov.cli.words import both

if TYPE_CHECKING:  # only a command that needs them loads these modules
    from syncgov.fsck import Finding

MAX_LISTED = 100  # findings that are printed one by one


@command(
    root,
    (
        "检查一个副本文件或中心文件夹：签名、签名链、哈希树、第二份副本、合并结果、各表。只读；每处问题都写明怎么办。",
        "Check a replica file or a centre folder: signatures, chains, hash tree, second copy, merged state, tables. It "
        "only reads, and says of each thing that is wrong what to do.",
    ),
    "syncgov fsck field.db",
    "syncgov fsck centre --repair",
)
@path_argument("path")
@click.option(
    "--repair",
    is_flag=True,
    help=both(
        "修复不会丢东西的部分：由日志得出的表、查找表、触发器、第二份副本缺少的条目。签过名的内容从不改动；"
        "没有签名的值另存着，用 status 查看。",
        "Put right where nothing can be lost: tables that follow from the log, look-up tables, triggers, records that "
        "the second copy lacks. Nothing signed is touched; values that nobody signed are kept aside (see `status`).",
    ),
)
def fsck(out: Output, path: Path, repair: bool) -> None:
    from syncgov import fsck as checker

    done = checker.fsck(path, repair=repair, rebuild=rebuild)
    for finding in done.repaired[:MAX_LISTED]:
        out.line(f"已修复 [{finding.code}] {finding.where}", f"repaired [{finding.code}] {finding.where}")
    for finding in done.findings[:MAX_LISTED]:
        out.line(f"✗ [{finding.code}] {finding.zh}", f"✗ [{finding.code}] {finding.en}")
    number = len(done.findings) + done.unnamed
    if number > MAX_LISTED:
        out.line(f"……还有 {number - MAX_LISTED} 处，用 --json 查看", f"… and {number - MAX_LISTED} more; see --json")
    for zh, en in done.notes:
        out.line(f"· {zh}", f"· {en}")
    for name, count in sorted(done.counts.items()):
        out.text(f"  {name} {count}")
    if done.ok:
        out.line("检查通过，没有发现问题", "everything is in order")
    else:
        out.line(f"发现 {number} 处问题", f"{number} things are wrong")
    out.result(
        {
            "ok": done.ok,
            "kind": done.kind,
            "findings": [_plain(finding) for finding in done.findings],
            "repaired": [_plain(finding) for finding in done.repaired],
            "notes": [{"zh": zh, "en": en} for zh, en in done.notes],
            "counts": done.counts,
            "unnamed": done.unnamed,
        }
    )
    if not done.ok:
        leave(FOUND)


def _plain(finding: "Finding") -> dict[str, Any]:
    return {
        "code": finding.code,
        "where": finding.where,
        "zh": finding.zh,
        "en": finding.en,
        "repairable": finding.repairable,
    }


def rebuild(path: Path, kind: str, conn: sqlite3.Connection) -> None:
    """Let the writer give tables and triggers their form: only it knows how they are spelt."""
    from syncgov.storage.clock import wall_clock
    from syncgov.storage.keyfile import key_path, load_key
    from syncgov.storage.ledger import Ledger
    from syncgov.storage.replica import Replica

    if kind == "centre":
        Ledger(conn).repair_tables()
    else:
        Replica(path, conn, load_key(key_path(path)), wall_clock).repair_tables()
