"""The commands erase and withhold, and what the status of a centre says of erasures."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncgov.cli.app import Output, command, numbered, path_argument, root
from syncgov.cli.centre import require_centre
from syncgov.cli.words import both, say
from syncgov.storage.wording import SHORT_KEY

if TYPE_CHECKING:
    from syncgov.centre.hiding import Erasures, ErasureStatus, Hidden

ERASE_REASONS = {
    "request": ("本人要求", "asked for by the person"),
    "expired": ("保存期满", "kept long enough"),
    "law": ("法律规定", "required by law"),
    "error": ("误录", "entered by mistake"),
}
WITHHOLD_REASONS = {
    "review": ("待审核", "to be reviewed"),
    "privacy": ("个人隐私", "privacy"),
    "law": ("法律规定", "required by law"),
}
COPIES = (
    ("早于这次删除的备份", "backups made before it"),
    ("别处存下的公开文件夹和镜像", "copies and mirrors of the public folder"),
    ("路上还没有送到的 U 盘包", "bundles that are still being carried"),
    ("终端重新登记时留下的 .old 旧文件", "`.old` files that devices kept when they enrolled again"),
    ("终端上另外复制、打印、截屏的内容", "what was copied from a device, printed or photographed"),
)
MAX_LISTED = 50  # devices of one erasure that are named one by one


@command(
    root,
    (
        "删除：把已写入的值从中心、公开文件夹和每台终端清除；签名和日志不变，不可恢复。",
        "Erase values everywhere. Signatures and log stay whole. It cannot be undone.",
    ),
    "syncgov erase centre event 0197f0a2-7c1e-7d52-9a77-0c5a3f0e9b11 --reason request",
    "syncgov erase centre event_contact 0197f0a2-7c1e-7d52-9a77-0c5a3f0e9b12 phone --reason request",
    "syncgov erase centre _changeset 3f9a1c0700112233445566778899aabb.12 note --reason error",
)
@path_argument("centre")
@click.argument("table")
@click.argument("key")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@click.option(
    "--reason",
    type=click.Choice(list(ERASE_REASONS)),
    required=True,
    help=both(
        "原因（公开）：本人要求、保存期满、法律规定、误录。", "Why, which is public: request, expired, law, error."
    ),
)
def erase(out: Output, centre: Path, table: str, key: str, fields: tuple[str, ...], reason: str) -> None:
    from syncgov.centre import hiding
    from syncgov.centre.centre import Centre

    require_centre(centre)
    with closing(Centre(centre)) as opened:
        done = hiding.erase(opened, table, key, fields, reason)
        found = hiding.erasure_status(opened)
    waiting = next((e.waiting for e in found.erasures if e.index == done.size - 1), ())
    out.line(
        f"已删除 {table} {key}：{done.rows} 行、{numbered(done.fields)}，共 {done.writes} 处写入",
        f"erased {table} {key}: {done.rows} rows, {numbered(done.fields)}, {done.writes} writes in all",
    )
    _tell_children(out, done, fields)
    out.line(
        f"中心已清除；{len(waiting)} 台终端下次同步时清除（syncgov status {centre}）；"
        f"公开文件夹要重新 publish 才会清除",
        f"gone here; {len(waiting)} devices lose it with their next sync (syncgov status {centre}); "
        "the public folder with the next publish",
    )
    out.line(f"够不到的副本：{_copies()}", f"copies that this cannot reach: {_copies()}")
    _warn_of_kept(out, found)
    out.result(asdict(done) | {"devices": len(waiting)})


def _tell_children(out: Output, done: "Hidden", fields: tuple[str, ...]) -> None:
    if not fields and done.rows > 1:
        out.line(
            f"连同下级记录 {done.rows - 1} 行一并删除", f"{done.rows - 1} child rows of the record were erased with it"
        )
    if done.waiting:
        out.line(f"另从 {done.waiting} 条待处理的变更里清除", f"taken out of {done.waiting} changesets that wait, too")


def _copies() -> str:
    return numbered([say(*words) for words in COPIES])


@command(
    root,
    (
        "不予公开：公开的文字从下次公开起显示“不予公开”；--lift 解除。",
        "Withhold public free texts from the next publication on; --lift ends it.",
    ),
    "syncgov withhold centre event 0197f0a2-7c1e-7d52-9a77-0c5a3f0e9b11 title_public --reason privacy",
    "syncgov withhold centre event 0197f0a2-7c1e-7d52-9a77-0c5a3f0e9b11 title_public --lift",
)
@path_argument("centre")
@click.argument("table")
@click.argument("key")
@click.argument("fields", nargs=-1, metavar="[FIELD]...")
@click.option(
    "--reason",
    type=click.Choice(list(WITHHOLD_REASONS)),
    help=both("原因（公开）：待审核、个人隐私、法律规定。", "Why, which is public: review, privacy, law."),
)
@click.option("--lift", is_flag=True, help=both("解除：恢复公开。", "End the withholding: public again."))
def withhold(
    out: Output, centre: Path, table: str, key: str, fields: tuple[str, ...], reason: str | None, lift: bool
) -> None:
    from syncgov.centre import hiding
    from syncgov.centre.centre import Centre

    if lift == (reason is not None):
        raise click.UsageError(say("--reason 和 --lift 要写一个，只写一个", "give one of --reason and --lift"))
    require_centre(centre)
    with closing(Centre(centre)) as opened:
        if reason is None:
            done = hiding.lift(opened, table, key, fields)
        else:
            done = hiding.withhold(opened, table, key, fields, reason)
    what = f"{table} {key} {numbered(done.fields)}"
    if lift:
        out.line(f"{what}：恢复公开 {done.writes} 处，下次 publish 起", f"{what}: {done.writes} public again")
    else:
        out.line(
            f"{what}：{done.writes} 处不予公开，下次 publish 起；之后新写的内容照常公开",
            f"{what}: {done.writes} writes withheld from the next publish on; what is written later is public",
        )
    out.result(done)


def print_erasures(out: Output, found: "Erasures") -> None:
    """Print who has not acknowledged which erasure."""
    for folder, size in found.published.items():
        out.line(f"公开文件夹 {folder}：到第 {size} 条", f"public folder {folder}: up to {size}")
    for each in found.erasures:
        _print_erasure(out, each)
    if found.erasures:
        out.line(f"够不到的副本：{_copies()}", f"copies that this cannot reach: {_copies()}")
        _warn_of_kept(out, found)
    if found.unfinished:
        out.warn(
            "还有程序占用着中心的数据库，空闲页没有清理完，请关闭后再运行一次",
            "another program holds the centre's database: its free space is not clean yet; close it and run this again",
        )


def _warn_of_kept(out: Output, found: "Erasures") -> None:
    if found.kept:
        names = "、".join(found.kept)
        out.warn(
            f"中心文件夹里还有恢复时留下的旧数据库：{names}，删除的内容可能还在里面；不再需要时请删掉这些文件",
            f"old databases that a restoration set aside still lie beside this one: {', '.join(found.kept)}; what was "
            "erased may still be in them: delete them when you need them no more",
        )


def _print_erasure(out: Output, each: "ErasureStatus") -> None:
    zh, en = ERASE_REASONS.get(each.reason, (each.reason, each.reason))
    names, late = numbered(each.fields), f"（其中迟到 {each.late} 处）" if each.late else ""
    out.line(
        f"删除 {each.table} {each.key}：{names}，{each.writes} 处{late}，{zh}，日志第 {each.index} 条",
        f"erased {each.table} {each.key}: {names}, {each.writes} writes ({each.late} late), {en}, leaf {each.index}",
    )
    if not each.waiting:
        out.line("    所有终端都已清除", "    every device has acknowledged")
    for device in each.waiting[:MAX_LISTED]:
        mark = say("，已停用，收不到通知", ", revoked, will not hear of it") if device.revoked else ""
        name = device.device[:SHORT_KEY]
        out.line(
            f"    终端 {name} 还没有清除（同步到第 {device.folded} 条{mark}）",
            f"    device {name} has not acknowledged (folded {device.folded}{mark})",
        )
    if len(each.waiting) > MAX_LISTED:
        rest = len(each.waiting) - MAX_LISTED
        out.line(f"    ……还有 {rest} 台，用 --json 查看", f"    … and {rest} more; see --json")
    for folder in each.stale:
        out.line(
            f"    公开文件夹 {folder} 早于这次删除，请重新 publish",
            f"    public folder {folder} is older: publish again",
        )
