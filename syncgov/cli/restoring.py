"""The centre over time: backup, restore, close-log, charter."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncgov.cli.app import Output, command, path_argument, path_option, root
from syncgov.cli.centre import require_centre
from syncgov.cli.words import both, say
from syncgov.errors import LostEntriesError
from syncgov.storage.clock import wall_clock

if TYPE_CHECKING:
    from syncgov.centre.restore import Missing

MAX_LISTED = 50  # missing entries that are shown; the others are counted

_root_keys = click.option(
    "--root-key",
    "root_keys",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help=both("根密钥文件，可多次（几份由章程规定）。", "Root key file; repeat it as often as the charter demands."),
)


@command(
    root,
    ("备份中心，服务不用停；含密钥，请妥善保管。", "Back up a centre while it serves; it holds keys, keep it safe."),
    "syncgov backup centre usb/centre.backup",
    "syncgov backup centre usb --without-keys",
)
@path_argument("centre")
@path_argument("target")
@click.option("--without-keys", is_flag=True, help=both("不含密钥（另行保管时）。", "Leave the keys out (kept apart)."))
def backup(out: Output, centre: Path, target: Path, without_keys: bool) -> None:
    from syncgov.centre import backup as writer

    done = writer.backup(centre, target, wall_clock(), keys=not without_keys)
    out.line(
        f"已备份 {done.size} 条到 {done.file}（{done.bytes} 字节）；检查点 {done.signed} 条，根 {done.root[:16]}…",
        f"backed up {done.size} entries to {done.file} ({done.bytes} bytes); "
        f"checkpoint {done.signed}, root {done.root[:16]}…",
    )
    if done.files:
        out.line(f"含附件 {done.files} 个", f"it holds {done.files} attachments")
    for sha256 in done.damaged[:MAX_LISTED]:
        out.warn(
            f"附件 {sha256[:8]} 已损坏，没有放进备份（syncgov fsck 可查）",
            f"file {sha256[:8]} is damaged and not in the backup (see `syncgov fsck`)",
        )
    out.line(
        "里面有日志密钥和登记密钥：与中心分开保管，不要联网" if done.keys else "不含密钥：恢复时要先放回 keys 文件夹",
        "it holds the log key and the registrar key: keep it apart from the centre, offline"
        if done.keys
        else "it holds no keys: put them back into `keys` before restoring",
    )
    out.result(done)


@command(
    root,
    ("恢复中心：同一本日志接着写，补不齐就不签。", "Restore a centre: the same log goes on, or nothing is signed."),
    "syncgov restore centre --from usb/centre.backup",
    "syncgov restore centre --from usb/centre.backup --published public --devices a.db --devices b.db",
)
@path_argument("centre")
@path_option("--from", "source", zh="备份文件；不写则用文件夹里的数据库。", en="Backup; default: the database there.")
@path_option("--copy", zh="第二份副本；默认 CENTRE/copy.log。", en="Second copy; default: CENTRE/copy.log.")
@path_option("--published", zh="公开文件夹：补公开的部分。", en="Published folder, for what is public.")
@path_option("--devices", multiple=True, zh="终端的副本文件，可多次。", en="Replica of a device; may be repeated.")
@click.option("--to-close", is_flag=True, help=both("补不齐也留下，供 close-log。", "Keep what is left, to close."))
def restore(
    out: Output,
    centre: Path,
    source: Path | None,
    copy: Path | None,
    published: Path | None,
    devices: tuple[Path, ...],
    to_close: bool,
) -> None:
    from syncgov.centre import restore as restoring
    from syncgov.centre.centre import Centre

    try:
        done = restoring.restore(centre, source, restoring.Sources(copy, published, devices), to_close=to_close)
    except LostEntriesError as error:
        _list_missing(out, [each for each in error.missing if isinstance(each, restoring.Missing)])
        out.result({"complete": False, "missing": error.missing})
        raise
    if done.complete:
        with closing(Centre(centre)) as opened:  # brings second copy and checkpoint up
            named = opened.charter.registrar_key(opened.registrar.id) is not None
        out.line(
            f"已恢复：备份 {done.before} 条，找回 {done.size - done.before} 条，共 {done.size} 条，日志接着写",
            f"restored: {done.before} entries from the backup, {done.size - done.before} found, {done.size} in all",
        )
        if not named:
            out.warn(
                f"备份里的登记密钥已被后来的章程更换：请运行 syncgov charter {centre} --new-registrar --root-key …",
                f"a later charter replaced the registrar key in the backup: run `syncgov charter {centre} "
                "--new-registrar --root-key …`",
            )
    else:
        _list_missing(out, done.missing)
        out.line(
            f"只保留 {done.size} 条；接着运行 syncgov close-log {centre} --root-key …",
            f"{done.size} entries are kept; now run `syncgov close-log {centre} --root-key …`",
        )
    for each in done.incomplete[:MAX_LISTED]:
        out.line(
            f"第 {each.index} 条（终端 {each.device[:8]}）有 {each.hidden} 个非公开值没有找回",
            f"entry {each.index} (device {each.device[:8]}): {each.hidden} private values were not found",
        )
    if done.files_missing:
        out.line(
            f"附件：在 {done.files} 个，缺 {done.files_missing} 个（还没有上传，或已丢失；用 --devices 可从终端补）",
            f"attachments: {done.files} are here, {done.files_missing} are not (never brought, or lost; devices that "
            "still hold them may be named with --devices)",
        )
    out.line("以前发出的登记码已作废，请重新发", "enrolment codes handed out before are void; give out new ones")
    out.result(done)


def _list_missing(out: Output, missing: "Sequence[Missing]") -> None:
    for each in missing[:MAX_LISTED]:
        device = each.device[:8] or say("未知终端", "unknown device")
        out.line(f"缺第 {each.index} 条（{device}）", f"entry {each.index} is missing ({device})")
    if len(missing) > MAX_LISTED:
        rest = len(missing) - MAX_LISTED
        out.line(f"……还有 {rest} 条", f"… and {rest} more")


@command(
    root,
    ("由根密钥结束这本日志，接着开下一本。", "Let the roots close this log and open the next one."),
    "syncgov close-log centre --root-key usb/root-1.key",
    "syncgov close-log centre --origin log.example/street/2 --root-key usb1/root-1.key --root-key usb2/root-2.key",
)
@path_argument("centre")
@click.option("--origin", help=both("下一本日志的名称；默认加编号。", "Origin of the next log; default: numbered."))
@_root_keys
def close_log(out: Output, centre: Path, origin: str | None, root_keys: tuple[Path, ...]) -> None:
    from syncgov.centre import closing as ending
    from syncgov.centre.chartering import load_roots

    require_centre(centre)
    done = ending.close_log(centre, load_roots(root_keys), origin=origin)
    out.line(
        f"日志“{done.closed}”已结束：保留 {done.kept} 条，失去 {done.lost} 条；下一本是“{done.origin}”",
        f"closed {done.closed!r}: {done.kept} entries kept, {done.lost} lost; the next log is {done.origin!r}",
    )
    out.line(
        "终端下次同步时自动跟上，把失去的自己的变更再送一次；登记记录丢失的终端要重新登记（rejoin）",
        "devices follow at their next sync and send their lost changes again; those whose enrolment was lost `rejoin`",
    )
    out.line("请重新公开（publish），并公布新章程", "publish again, and make the new charter known")
    out.result(done)


@command(
    root,
    ("由根密钥签发新章程：更换登记密钥、天数、名称。", "Sign a new charter: registrars, days, name."),
    "syncgov charter centre --new-registrar --root-key usb/root-1.key",
    "syncgov charter centre --grace-days 7 --root-key usb1/root-1.key --root-key usb2/root-2.key",
)
@path_argument("centre")
@click.option(
    "--new-registrar",
    is_flag=True,
    help=both("本中心换登记密钥，旧的停用（失窃时）。", "New registrar key for this centre; the old one is revoked."),
)
@click.option("--add-registrar", "add", multiple=True, help=both("加登记公钥，可多次。", "Add a key; repeatable."))
@click.option("--remove-registrar", "remove", multiple=True, help=both("停用登记终端，可多次。", "Revoke; repeatable."))
@click.option("--grace-days", type=click.IntRange(0, 3650), help=both("调岗宽限天数。", "Days of grace."))
@click.option("--backup-days", type=click.IntRange(0, 3650), help=both("备份周期天数。", "Days a backup may be old."))
@click.option("--name", help=both("中心名称。", "Name of the centre."))
@click.option("--area", help=both("区域代码。", "Area code."))
@_root_keys
def charter(
    out: Output,
    centre: Path,
    new_registrar: bool,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    grace_days: int | None,
    backup_days: int | None,
    name: str | None,
    area: str | None,
    root_keys: tuple[Path, ...],
) -> None:
    from syncgov.centre.centre import Centre
    from syncgov.centre.chartering import Changes, load_roots, replace_charter

    require_centre(centre)
    changes = Changes(name, area, grace_days, backup_days, add, remove, new_registrar)
    with closing(Centre(centre)) as opened:
        done = replace_charter(opened, changes, load_roots(root_keys))
    revoked = say("、", ", ").join(dev[:8] for dev in done.revoked) or say("无", "none")
    out.line(
        f"新章程自第 {done.index} 条起生效；停用的登记终端：{revoked}",
        f"the new charter is in force from leaf {done.index} on; registrars revoked: {revoked}",
    )
    out.line(f"请公布新的 {centre / 'charter.json'}", f"make the new {centre / 'charter.json'} known")
    out.result(done)
