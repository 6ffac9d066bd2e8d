"""What a person decides on a device: conflicts, resolve, resubmit, adopt, rejoin."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncgov.cli.app import (
    DONE,
    FOUND,
    Output,
    command,
    leave,
    numbered,
    path_argument,
    path_option,
    root,
    staff_option,
)
from syncgov.cli.field import MAX_LISTED, print_change
from syncgov.cli.pins import bring_second, second_options
from syncgov.cli.words import both, error_words, language, say
from syncgov.core.commitment import Value
from syncgov.core.register_model import Field, Register
from syncgov.errors import InputError
from syncgov.importers.cells import convert
from syncgov.storage.adopting import Adopted
from syncgov.storage.conflicts import Conflict, conflicts
from syncgov.storage.replica import Replica
from syncgov.storage.resolving import PRESENCE, head_values
from syncgov.storage.wording import PRESENCE_LABEL, SHORT_KEY, one_line, role_words, time_words

if TYPE_CHECKING:
    from syncgov.sync.bundle_rejoin import Rejoined
    from syncgov.sync.reenrolment import Reenrolled

_KEEP = {"true": True, "keep": True, "保留": True, "false": False, "delete": False, "删除": False}


@command(
    root,
    ("冲突待裁定：谁、何时、在哪台终端写了什么，现在显示哪个。", "Fields with several values: what, who, when, where."),
    "syncgov conflicts my.db",
)
@path_argument("replica")
def conflicts_(out: Output, replica: Path) -> None:
    with Replica.open(replica) as opened:
        found, roles = conflicts(opened, language()), opened.roles
    out.result({"conflicts": [asdict(conflict) for conflict in found]})
    minor = [conflict for conflict in found if not conflict.decision]
    if not found:
        out.line("没有冲突", "no conflicts")
    for conflict in found:
        if minor and conflict is minor[0]:
            out.line("以下按规则取值，不需要裁定，下次修改后消失：", "settled by rule; these end with the next change:")
        _print_conflict(out, conflict)
        if conflict.decision and not conflict.decided and not roles.isdisjoint(conflict.resolvers):
            place = f"{conflict.table} {conflict.key} {conflict.field}"
            out.line(f"    裁定：syncgov resolve {replica} {place} 值", f"    syncgov resolve {replica} {place} VALUE")


def _print_conflict(out: Output, conflict: Conflict) -> None:
    deciders = numbered([role_words(role, language()) for role in conflict.resolvers])
    out.line(
        f"{conflict.label} {conflict.field_label}：现显示 {one_line(conflict.shows)}；由 {deciders} 裁定",
        f"{conflict.label} {conflict.field_label}: shows {one_line(conflict.shows)}; {deciders} decides",
    )
    for number, version in enumerate(conflict.versions, 1):
        person = one_line(version.person or "—")
        device = (
            say("本终端", "this device") if version.own else f"{say('终端', 'device')} {version.device[:SHORT_KEY]}"
        )
        mark = say("  ← 现显示", "  <- shows") if version.shows else ""
        mark += say("  有争议", "  in dispute") if version.disputed else ""
        out.text(f"    {number}. {one_line(version.value)}  {person}  {device}  {time_words(version.at)}{mark}")
    if conflict.decided:
        out.line(
            f"    已在本终端裁定为 {conflict.decided}，同步后生效",
            f"    decided here: {conflict.decided}; it counts after the next sync",
        )


@command(
    root,
    ("裁定冲突：写下应取的值，写在所有相互冲突的值之上。", "Decide a conflict: write the value that shall count."),
    "syncgov resolve my.db event 0190a2b4-5c6d-7e8f-9a0b-1c2d3e4f5061 category anquan",
    "syncgov resolve my.db event 0190a2b4-5c6d-7e8f-9a0b-1c2d3e4f5061 step 2",
)
@path_argument("replica")
@click.argument("table")
@click.argument("key")
@click.argument("field")
@click.argument("value")
@staff_option
@second_options
def resolve(
    out: Output,
    replica: Path,
    table: str,
    key: str,
    field: str,
    value: str,
    staff: str | None,
    second: str | None,
    pin_file: str | None,
) -> None:
    from syncgov.storage import resolving

    with Replica.open(replica) as opened:
        bring_second(opened, second, pin_file)
        name = _field_name(opened.registers.get(table), field)
        seq = resolving.resolve(opened, table, key, name, read_value(opened, (table, key, name), value), staff)
    out.line(
        f"已裁定，#{seq} 待上传：syncgov sync {replica}", f"decided as #{seq}; send it with `syncgov sync {replica}`"
    )
    out.result({"seq": seq, "table": table, "key": key, "field": name})


def _field_name(register: Register | None, text: str) -> str:
    """Return the field that a person means: its name, its label, or one of its columns."""
    if text in (PRESENCE, *PRESENCE_LABEL.values()):
        return PRESENCE
    if register is None:
        return text
    labels = {f.label: f.name for f in register.fields} | {c.name: f.name for f in register.fields for c in f.columns}
    return text if register.find(text) is not None else labels.get(text, text)


def read_value(opened: Replica, place: tuple[str, str, str], text: str) -> Value:
    """Return the value that *text* is for a field in conflict; of a group it is the number of a version, or JSON."""
    if place[2] == PRESENCE:
        if text.lower() not in _KEEP:
            raise InputError("应为 保留 或 删除", "must be `keep` or `delete`")
        return _KEEP[text.lower()]
    register = opened.registers.get(place[0])
    declared = register.find(place[2]) if register is not None else None
    if declared is None:
        return text  # there is no such conflict; `resolve` says so
    if not declared.group:
        return convert(declared.columns[0], text)
    values = head_values(opened, *place)
    if text.isdecimal():
        if not 1 <= int(text) <= len(values):
            raise InputError(f"编号应为 1 至 {len(values)}", f"the number must be 1 to {len(values)}")
        return values[int(text) - 1]
    return _group(declared, text)


def _group(declared: Field, text: str) -> Value:
    try:
        found = json.loads(text)
    except ValueError:
        found = text
    if not isinstance(found, dict) and found is not None:
        raise InputError(
            f"“{declared.label}”由几栏组成：请写 conflicts 列出的编号，或 JSON 对象",
            f"{declared.name} is a group: give the number that `conflicts` lists, or a JSON object",
        )
    return None if found is None else {c.name: None for c in declared.columns} | found


@command(
    root,
    (
        "重新提交被退回的变更，可同时改正；不写编号则列出可以重新提交的。",
        "Send refused changes again, corrected; without numbers, list those that can be sent.",
    ),
    "syncgov resubmit my.db",
    "syncgov resubmit my.db 7 --set grid_id=620502007001001 --staff W001",
)
@path_argument("replica")
@click.argument("seqs", type=click.IntRange(min=1), nargs=-1, metavar="[SEQ]...")
@click.option(
    "--set", "corrections", multiple=True, metavar="COLUMN=VALUE", help=both("改正一栏，可多次。", "Correct a column.")
)
@staff_option
@second_options
def resubmit(
    out: Output,
    replica: Path,
    seqs: tuple[int, ...],
    corrections: tuple[str, ...],
    staff: str | None,
    second: str | None,
    pin_file: str | None,
) -> None:
    from syncgov.storage import resubmitting

    with Replica.open(replica) as opened:
        if not seqs and not corrections:
            _list_resubmittable(out, opened)
            return
        bring_second(opened, second, pin_file)
        values = {}
        for pair in corrections:
            name, equals, text = pair.partition("=")
            if not equals or len(seqs) != 1:
                raise InputError("应写成：一个编号，--set 栏=值", "write one number, and --set COLUMN=VALUE")
            register, column = resubmitting.correctable(opened, seqs[0], name)
            values[name] = convert(next(c for c in register.columns if c.name == column), text)
        done = resubmitting.resubmit(opened, seqs, staff, values)
    for one in done:
        out.line(f"#{one.seq} 已重新提交为 #{one.new_seq}，待上传", f"#{one.seq} will be sent again as #{one.new_seq}")
    out.result({"resubmitted": [[one.seq, one.new_seq] for one in done]})


def _list_resubmittable(out: Output, opened: Replica) -> None:
    from syncgov.storage.resubmitting import resubmittable

    found = resubmittable(opened, language())
    out.result({"changes": found})
    if not found:
        out.line("没有可以重新提交的变更", "nothing to send again")
    for change in found[:MAX_LISTED]:
        print_change(out, change)


@command(
    root,
    (
        "补签：由主管把停用终端的文件里没有送达的变更重新签名。",
        "Sign anew what a revoked device's file holds and could not deliver.",
    ),
    "syncgov adopt supervisor.db lost-device.db --staff W100",
)
@path_argument("replica")
@path_argument("file")
@staff_option
@second_options
def adopt(out: Output, replica: Path, file: Path, staff: str | None, second: str | None, pin_file: str | None) -> None:
    from syncgov.storage import adopting

    with Replica.open(replica) as opened:
        bring_second(opened, second, pin_file)
        done = adopting.adopt(opened, file, staff)
    print_adopted(out, done)
    out.result(adopted_result(done))
    leave(FOUND if done.left else DONE)


def adopted_result(done: Adopted) -> dict[str, object]:
    """Return what an adoption did, for machines."""
    return {
        "device": done.device,
        "signed": done.signed,
        "known": done.known,
        "left": [{"seq": seq, "problem": error_words(error)} for seq, error in done.left],
        "unsigned": done.unsigned,
    }


def print_adopted(out: Output, done: Adopted) -> None:
    """Print what an adoption did."""
    out.line(
        f"补签 {len(done.signed)} 条，此前已处理 {len(done.known)} 条，不能补签 {len(done.left)} 条",
        f"adopted {len(done.signed)}, already there {len(done.known)}, not possible {len(done.left)}",
    )
    for seq, new, label in done.signed[:MAX_LISTED]:
        out.text(f"  {f'#{seq} → ' if seq else ''}#{new}  {label}")
    for seq, error in done.left:
        number = f"#{seq}：" if seq else ""
        out.warn(f"  {number}{error.zh}", f"  {number}{error.en}")
    if done.unsigned:
        out.warn(
            f"另有 {done.unsigned} 行没有签名，说不清是谁写的，没有补签",
            f"{done.unsigned} rows were never signed; nobody can say by whom, so they were left",
        )


@command(
    root,
    (
        "重新登记本终端：新密钥；没有送达的变更用新密钥重新签名，旧文件保留为 .old。",
        "Enrol this device again: a new key, under which undelivered work is signed; the old file is kept as .old.",
    ),
    "syncgov rejoin my.db --code 2345-6789-ABCD",
    "syncgov rejoin my.db --code 2345-6789-ABCD --by-file",
)
@path_argument("replica")
@click.option("--by-file", is_flag=True, help=both("没有网：用文件办理。", "Without a line: by carried files."))
@path_option("--bundle", "invitation", zh="用文件办理，并用这份邀请文件。", en="By file, with this invitation.")
@click.option("--code", required=True, help=both("管理员给的新登记码。", "A new code from the administrator."))
@staff_option
def rejoin(out: Output, replica: Path, by_file: bool, invitation: Path | None, code: str, staff: str | None) -> None:
    from syncgov.cli.bundle import rejoin_by_file
    from syncgov.sync import reenrolment

    if by_file or invitation is not None:
        return rejoin_by_file(out, replica, replica, code, staff, invitation)
    print_reenrolled(out, reenrolment.rejoin(replica, code, staff, progress=out.progress()))


def enrol_again(out: Output, replica: Path, code: str, old: Path, staff: str | None) -> None:
    """`join --from`: enrol into a new file, with the undelivered work of an old one."""
    from syncgov.sync import reenrolment

    print_reenrolled(out, reenrolment.join_from(replica, code, old, staff, progress=out.progress()))


def print_again(out: Output, old_device: str, device: str, kept: Path) -> None:
    """Say which device is now which, and where the old file is."""
    out.line(
        f"已重新登记：终端 {old_device[:SHORT_KEY]} → {device[:SHORT_KEY]}；旧文件保留为 {kept}",
        f"enrolled again: device {old_device[:SHORT_KEY]} is now {device[:SHORT_KEY]}; old file: {kept}",
    )


def result_again(out: Output, done: "Reenrolled | Rejoined") -> None:
    """Give the result of a re-enrolment for machines; work that was left behind is an exit code of its own."""
    found = {"device": done.device, "old_device": done.old_device, "kept": str(done.kept)}
    synced = getattr(done, "synced", None)
    out.result(found | {"adopted": adopted_result(done.adopted), "synced": synced})
    leave(FOUND if done.adopted.left else DONE)


def print_reenrolled(out: Output, done: "Reenrolled") -> None:
    """Print what a re-enrolment did, and give its result."""
    print_again(out, done.old_device, done.device, done.kept)
    print_adopted(out, done.adopted)
    if done.synced is None:
        out.warn("还没有上传，有网时请 sync", "not sent yet; run `syncgov sync` when there is a line")
    result_again(out, done)
