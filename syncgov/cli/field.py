"""The commands of a worker's day: join, commit, sync, status."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncgov.cli.app import (
    BAD_INPUT,
    NOT_ALLOWED,
    Output,
    command,
    leave,
    numbered,
    path_argument,
    path_option,
    root,
    staff_option,
)
from syncgov.cli.pins import bring_second, second_options
from syncgov.cli.words import both, error_words, language, say
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.file_queue import FileStage
from syncgov.storage.replica import Replica
from syncgov.storage.state import RowKey
from syncgov.storage.status import Change, Stage, Status, status
from syncgov.storage.wording import SHORT_KEY, one_line, reach_words, role_words, time_words

if TYPE_CHECKING:
    from syncgov.sync.client import Synced
    from syncgov.sync.files import Sent

MAX_LISTED = 200  # changes that are printed one by one; the rest is counted

Problems = Sequence[tuple[RowKey, InputError | NotAllowedError]]


@command(
    root,
    ("登记本终端：生成密钥，新建副本，第一次同步。", "Enrol this device: make a key and a replica, sync once."),
    "syncgov join my.db --url http://127.0.0.1:8600 --code 2345-6789-ABCD",
    "syncgov join my.db --bundle invitation.bundle --code 2345-6789-ABCD",
    "syncgov join new.db --code 2345-6789-ABCD --from my.db",
    "syncgov join new.db --code 2345-6789-ABCD --from my.db --bundle invitation.bundle",
)
@path_argument("replica")
@click.option("--url", help=both("中心的地址。", "Address of the centre."))
@path_option(
    "--bundle", "invitation", zh="从不联网的终端：中心的邀请文件。", en="Never online: the centre's invitation."
)
@path_option(
    "--from",
    "old",
    zh="重新登记：带上这份旧文件里没有送达的变更。",
    en="Enrol again, with this file's undelivered work.",
)
@click.option(
    "--code", required=True, help=both("管理员给的登记码，只能用一次。", "One-time code from the administrator.")
)
@staff_option
def join(
    out: Output, replica: Path, url: str | None, invitation: Path | None, old: Path | None, code: str, staff: str | None
) -> None:
    from syncgov.cli.bundle import join_by_invitation, rejoin_by_file
    from syncgov.cli.resolve import enrol_again
    from syncgov.sync import client, joining

    if old is not None and invitation is not None:
        return rejoin_by_file(out, replica, old, code, staff, invitation)
    if old is not None:
        return enrol_again(out, replica, code, old, staff)
    if (url is None) == (invitation is None):
        raise click.UsageError(say("--url 和 --bundle 要写一个，只写一个", "give one of --url and --bundle"))
    if invitation is not None:
        return join_by_invitation(out, replica, invitation, code)
    assert url is not None
    with closing(joining.join(replica, url, code)) as joined:
        done = client.sync(joined, progress=out.progress())
        tell_joined(out, joined, done)


def tell_joined(out: Output, replica: Replica, done: "Synced") -> None:
    """Say that a device has joined and what it may write."""
    found = status(replica, language())
    tables = [n for n in replica.columns if replica.registers[n].writers & replica.roles]
    out.line(
        f"已加入“{found.centre}”，终端 {found.device[:SHORT_KEY]}，收到 {done.received} 条",
        _joined(found, done.received),
    )
    path = replica.path
    out.line(
        f"可以写的表：{numbered(sorted(tables))}。任何能写 SQLite 的程序都行；写完运行 syncgov commit {path}",
        f"tables: {numbered(sorted(tables))}. Write them with any SQLite program, then run `syncgov commit {path}`",
    )
    out.result({"device": found.device, "centre": found.centre, "received": done.received, "size": done.size})


def _joined(found: Status, received: int) -> str:
    return f"joined {found.centre!r} as device {found.device[:SHORT_KEY]}, received {received}"


@command(
    root,
    ("签名：把上次签名之后写的内容变成变更集。", "Sign what was written since the last commit."),
    "syncgov commit my.db --staff W001",
    "syncgov commit my.db --staff W001 --second W002",
)
@path_argument("replica")
@staff_option
@second_options
def commit(out: Output, replica: Path, staff: str | None, second: str | None, pin_file: str | None) -> None:
    with Replica.open(replica) as opened:
        bring_second(opened, second, pin_file)
        done = opened.commit(staff)
        seqs = {seq for seq, _record in done.signed}
        labels = [c.label for c in status(opened, language()).changes if c.seq in seqs] if not out.as_json else []
    out.line(f"已签名 {len(done.signed)} 条变更", f"signed {len(done.signed)} changes")
    for label in labels[:MAX_LISTED]:
        out.text(f"  {label}")
    out.result({"signed": [[seq, *record] for seq, record in done.signed], "problems": problem_list(done.problems)})
    leave_with(out, done.problems)


@command(
    root,
    ("同步：签名、上传、下载。", "Commit, send, receive."),
    "syncgov sync my.db --staff W001",
)
@path_argument("replica")
@staff_option
@second_options
@click.option("--url", help=both("改用这个地址。", "Use this address instead of the one joined."))
def sync(
    out: Output, replica: Path, staff: str | None, second: str | None, pin_file: str | None, url: str | None
) -> None:
    from syncgov.sync import client

    with Replica.open(replica) as opened:
        bring_second(opened, second, pin_file)
        committed = opened.commit(staff)
        done = client.sync(opened, staff, url=url, progress=out.progress())
        found = status(opened, language())
    signed = len(committed.signed) + done.signed
    refused = len(done.refused) + len(done.rejected)
    out.line(
        f"签名 {signed} · 上传 {done.pushed} · 已接受 {done.accepted} · 被退回 {refused} · 待处理 {done.waiting} · "
        f"收到 {done.received} · 冲突待裁定 {found.conflicts}",
        f"signed {signed}, sent {done.pushed}, accepted {done.accepted}, refused {refused}, waiting {done.waiting}, "
        f"received {done.received}, conflicts {found.conflicts}",
    )
    tell_files(out, done.files)
    if done.closed:
        out.line(
            f"原日志“{done.closed}”已由根密钥结束，本终端已跟到新日志；本机的内容一条没有丢",
            f"the log {done.closed!r} was closed by the roots; this device follows the next one, nothing here is lost",
        )
    tell_people(out, done)
    if done.erased:
        out.line(f"按中心的通知，本机 {done.erased} 处内容已依法清除", f"{done.erased} values were erased here")
    seqs = {seq for seq, _why in (*done.refused, *done.rejected)}
    for change in found.changes:
        if change.seq in seqs:
            print_change(out, change)
    problems = problem_list(committed.problems)
    out.result(asdict(done) | {"signed": signed, "conflicts": found.conflicts, "problems": problems})
    leave_with(out, committed.problems)


def tell_files(out: Output, files: "Sent") -> None:
    """Files that wait are told, and are no reason for a sync to fail."""
    if files.stored or files.left:
        out.line(
            f"附件：已存 {files.stored} · 待上传 {files.left}", f"files: stored {files.stored}, waiting {files.left}"
        )
    if files.note is not None:
        out.line(*files.note)


def tell_people(out: Output, done: "Synced") -> None:
    """Say who may no longer use this device, and which persons' keys the centre did not take."""
    for person in done.people_left:
        out.line(
            f"{person} 已不再使用本终端（登记管理员变更）；此前签名、还没送达的内容在宽限期内仍会被接受",
            f"{person} may no longer use this device (changed by the registrar); what was signed before and is on its "
            "way still counts within the grace days",
        )
    for key, why in done.keys_refused:
        out.warn(
            f"人员密钥 {key[:SHORT_KEY]} 没有登记：{why}", f"staff key {key[:SHORT_KEY]} was not registered: {why}"
        )


def problem_list(problems: Problems) -> list[dict[str, str]]:
    """Return the rows that could not be signed, for machines."""
    return [{"table": row[0], "key": row[1], "problem": error_words(error)} for row, error in problems]


def leave_with(out: Output, problems: Problems) -> None:
    """Name the rows that could not be signed; the others are signed."""
    for _row, error in problems:
        out.problem(error)
    if problems:
        out.warn(
            f"有 {len(problems)} 条没有签名：请在表中改正，再运行 commit；其余已签名",
            f"{len(problems)} rows were not signed: correct them in their tables and commit again; the rest is signed",
        )
        leave(NOT_ALLOWED if any(isinstance(error, NotAllowedError) for _row, error in problems) else BAD_INPUT)


@command(
    root,
    (
        "每条变更的下落：待上传、已送达、待处理、被退回。对中心：各终端的情况、删除传到了哪里，或某台终端看得到什么。",
        "What became of each change, why, and what to do. Of a centre: its devices, how far its erasures have come, or "
        "what one device sees.",
    ),
    "syncgov status my.db",
    "syncgov status centre --as 3f9a1c07",
)
@click.argument("replica", type=click.Path(path_type=Path), metavar="REPLICA|CENTRE")
@click.option("--as", "device", help=both("对中心：以这台终端的眼光看。", "Of a centre: as this device sees it."))
def status_(out: Output, replica: Path, device: str | None) -> None:
    if replica.is_dir():
        from syncgov.cli.overview import centre_status

        return centre_status(out, replica, device)
    if device is not None:
        raise click.UsageError(say("--as 要给出中心文件夹", "--as needs a centre's folder"))
    with Replica.open(replica) as opened:
        found = status(opened, language())
    counts = {stage.value: found.count(stage) for stage in Stage}
    out.result(asdict(found) | {"counts": counts})
    _print_head(out, found)
    for change in found.changes[:MAX_LISTED]:
        print_change(out, change)
    if len(found.changes) > MAX_LISTED:
        rest = len(found.changes) - MAX_LISTED
        out.line(f"……还有 {rest} 条，用 --json 查看全部", f"… and {rest} more; see them all with --json")
    _print_files(out, found)
    for held in found.held:
        out.line(
            f"另存的内容 {held.table} {held.key}：{held.columns}", f"kept aside {held.table} {held.key}: {held.columns}"
        )


def _print_head(out: Output, found: Status) -> None:
    roles = numbered([role_words(role, language()) for role in found.roles])
    places = reach_words(found.areas, found.units, language())
    people = numbered(found.people) or say("不限", "anybody")
    out.text(f"{found.centre}  {found.url}")
    out.line(
        f"终端 {found.device[:SHORT_KEY]}  岗位 {roles}  {places}  使用人员 {people}",
        f"device {found.device[:SHORT_KEY]}  roles {roles}  {places}  people {people}",
    )
    shown = [stage for stage in Stage if stage is not Stage.UNSIGNED or found.count(stage)]
    counts = " · ".join(f"{stage.label('zh')} {found.count(stage)} 条" for stage in shown)
    english = ", ".join(f"{found.count(stage)} {stage.label('en')}" for stage in shown)
    out.line(f"{counts} · 冲突待裁定 {found.conflicts} 项", f"{english}, {found.conflicts} conflicts")
    if found.minor:
        out.line(
            f"另有 {found.minor} 项按规则取值，不需要裁定", f"{found.minor} fields with several values need no decision"
        )
    if found.disputed:
        numbers = numbered([f"#{seq}" for seq in found.disputed[-MAX_LISTED:]])
        out.line(f"有争议 {len(found.disputed)} 条：{numbers}", f"{len(found.disputed)} are in dispute: {numbers}")
    if found.doubtful:
        count, names = len(found.doubtful), numbered(found.doubtful[:MAX_LISTED])
        out.line(
            f"停用的终端写过、有争议的记录 {count} 条：{names}",
            f"{count} records in dispute, written by a revoked device: {names}",
        )
    for old, new in found.resubmitted[-MAX_LISTED:]:
        out.line(f"#{old} 已重新提交为 #{new}", f"#{old} was sent again as #{new}")
    if found.corrected:
        out.line(f"另有 {found.corrected} 条被退回后已改正", f"{found.corrected} refused ones were corrected since")
    if found.rebuilt:
        out.line(
            "有程序改过表的结构，请运行 syncgov commit 检查",
            "another program changed the form of a table; run `syncgov commit`",
        )
    if found.clock:
        out.text(found.clock)


def _print_files(out: Output, found: Status) -> None:
    if not found.files:
        return
    count = {stage: sum(each.stage is stage for each in found.files) for stage in FileStage}
    zh = " · ".join(f"{stage.label('zh')} {count[stage]}" for stage in FileStage)
    en = ", ".join(f"{count[stage]} {stage.label('en')}" for stage in FileStage)
    out.line(f"附件：{zh}", f"files: {en}")
    waiting = [each for each in found.files if each.stage is not FileStage.STORED]
    for each in waiting[:MAX_LISTED]:
        percent = f" {each.percent}%" if each.stage is FileStage.SENDING else ""
        size = f"{each.bytes / 1000:.0f} KB"
        out.text(f"  {each.stage.label(language())}{percent}  {each.table} {each.key[-SHORT_KEY:]}  {size}")
        if each.why:
            out.line(f"    原因：{each.why}", f"    why: {each.why}")


def print_change(out: Output, change: Change) -> None:
    """Print a change of this device: where it stands, why, and what to do."""
    number = f" #{change.seq}" if change.seq else ""
    line = f"{change.stage.label(language())}{number}  {change.label}  {time_words(change.at)}"
    out.text(f"{line}  {change.number}".rstrip())
    if change.why:
        out.line(f"    原因：{change.why}", f"    why: {change.why}")
    if change.remedy:
        out.line(f"    办法：{change.remedy}", f"    what to do: {change.remedy}")
    for label, value in change.values:
        out.line(f"    {label}：{one_line(value)}", f"    {label}: {one_line(value)}")
