"""The commands of sync by file: bundle and receive, and what join does with an invitation."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from syncgov.cli.app import Output, command, numbered, path_argument, path_option, root, staff_option
from syncgov.cli.field import leave_with, print_change, problem_list, tell_files, tell_joined, tell_people
from syncgov.cli.words import language, say
from syncgov.core.canonical import unb64u
from syncgov.core.keys import device_id
from syncgov.storage.replica import Replica
from syncgov.storage.status import status
from syncgov.storage.wording import SHORT_KEY

if TYPE_CHECKING:
    from syncgov.sync.bundle import Packed, Received

# what a reply that changes nothing says
_NOTHING = {
    "recipient": ("已记下中心的收件密钥，可以 bundle 了", "the centre's recipient is known now; bundle works"),
    "older": (
        "这个回包较旧，本机已经是更新的状态，没有改动",
        "an older reply: this replica is further already, nothing changed",
    ),
    "unfit": (
        "这个回包接不上本机现在的状态（收下过另一个回包，或副本是恢复的），没有改动；什么都没有丢，请再打包一次",
        "this reply does not continue this replica (another reply was taken before it, or the replica was restored); "
        "nothing changed and nothing is lost: bundle again",
    ),
}


@command(
    root,
    (
        "打包：把 sync 要说的话封进一个文件，由人带到中心，带的人看不了。对中心运行时写出邀请文件。",
        "Seal what sync would say into a file for somebody to carry, who cannot read it. Of a centre: its invitation.",
    ),
    "syncgov bundle my.db /media/usb/to-centre.bundle",
    "syncgov bundle centre invitation.bundle",
)
@click.argument("target", type=click.Path(path_type=Path), metavar="REPLICA|CENTRE")
@path_argument("file")
@staff_option
def bundle(out: Output, target: Path, file: Path, staff: str | None) -> None:
    from syncgov.storage.sealing import check_target

    check_target(file)
    if (target / "central.db").is_file():
        _invite(out, target, file)
    else:
        _pack(out, target, file, staff)


def _invite(out: Output, centre: Path, file: Path) -> None:
    from syncgov.centre import bundles
    from syncgov.centre.centre import Centre
    from syncgov.storage.sealing import write_bundle_file

    with closing(Centre(centre)) as opened:
        data = bundles.invitation(opened)
        origin, roots = opened.charter.origin, _root_ids(opened.charter.roots)
    write_bundle_file(file, data)
    out.line(
        f"{file}：邀请文件，可给任何终端，没有秘密。终端上：syncgov join 副本 --bundle 文件 --code 码",
        f"{file}: an invitation for any device, nothing in it is secret. There: syncgov join REPLICA --bundle FILE "
        "--code CODE",
    )
    out.line(
        "登记码口头告知，不要写进文件；根密钥：" + numbered(roots), "tell codes by voice; root keys: " + numbered(roots)
    )
    out.result({"file": file, "kind": "invitation", "origin": origin, "roots": roots})


def _pack(out: Output, replica: Path, file: Path, staff: str | None) -> None:
    from syncgov.storage.sealing import write_bundle_file
    from syncgov.sync.bundle import pack
    from syncgov.sync.bundle_join import is_joining, pack_join
    from syncgov.sync.bundle_rejoin import working_file

    replica = working_file(replica)
    if is_joining(replica):
        packed = pack_join(replica)
    else:
        with Replica.open(replica) as opened:
            packed = pack(opened, staff)
    write_bundle_file(file, packed.data)
    if packed.joining:
        out.line(f"{file}：登记申请", f"{file}: a request to join")
    else:
        signed = len(packed.committed.signed)
        out.line(
            f"{file}：签名 {signed} · 装入 {packed.changes} 条；收到回包之前都算未送达",
            f"{file}: signed {signed}, {packed.changes} inside; none counts as delivered before the reply is here",
        )
    _tell_packed_files(out, packed)
    if packed.left:
        out.warn(
            f"还有 {packed.left} 条装不下，收到回包后再打包一次",
            f"{packed.left} more did not fit: bundle again after the reply",
        )
    out.line(
        "带到中心：syncgov receive 中心 文件 --reply 回包",
        "carry it to the centre: syncgov receive CENTRE FILE --reply REPLY",
    )
    problems = problem_list(packed.committed.problems)
    out.result(
        {"file": file, "kind": "request", "joining": packed.joining, "changes": packed.changes}
        | {"first": packed.first, "last": packed.last, "left": packed.left, "problems": problems}
        | {"files": packed.files, "file_bytes": packed.file_bytes, "files_left": packed.files_left}
    )
    leave_with(out, packed.committed.problems)


def _tell_packed_files(out: Output, packed: "Packed") -> None:
    """Say what of the waiting files went in."""
    if packed.files or packed.files_left:
        size = f"{packed.file_bytes / 1_000_000:.1f} MB"
        left = (
            f"；另有 {packed.files_left} 个没有装完，收到回包后再打包一次",
            f"; {packed.files_left} more wait for the next",
        )
        zh, en = left if packed.files_left else ("", "")
        out.line(f"附件 {packed.files} 个（{size}）{zh}", f"{packed.files} files ({size}){en}")


@command(
    root,
    (
        "收下带来的文件。中心：入账并写出回包；终端：收下回包，或收下邀请文件里的收件密钥。重复收下不会有影响。",
        "Take a file that was carried here. A centre logs it and writes the reply; a device takes the reply, or an "
        "invitation. Taking it twice changes nothing.",
    ),
    "syncgov receive centre to-centre.bundle --reply to-device.bundle",
    "syncgov receive my.db to-device.bundle",
)
@click.argument("target", type=click.Path(path_type=Path), metavar="REPLICA|CENTRE")
@path_argument("file")
@path_option("--reply", zh="中心：回包写到这里。", en="At a centre: where the reply goes.")
@staff_option
def receive(out: Output, target: Path, file: Path, reply: Path | None, staff: str | None) -> None:
    at_centre = (target / "central.db").is_file()
    if at_centre != (reply is not None):
        raise click.UsageError(say("中心需要 --reply，终端不需要", "a centre needs --reply, a device does not take it"))
    if reply is not None:
        _reply(out, target, file, reply)
    else:
        _receive(out, target, file, staff)


def _reply(out: Output, centre: Path, file: Path, reply: Path) -> None:
    from syncgov.centre import bundles
    from syncgov.centre.centre import Centre
    from syncgov.storage.sealing import check_target, read_bundle_file, write_bundle_file

    check_target(reply)
    data = read_bundle_file(file)
    with closing(Centre(centre)) as opened:
        done = bundles.receive(opened, data)
    write_bundle_file(reply, done.reply)
    counts = {state: sum(r.state == state for r in done.results) for state in ("logged", "waiting", "rejected")}
    refused = sum(r.verdict is not None and r.verdict.startswith("refused:") for r in done.results)
    joined = ("，已登记", ", enrolled now") if done.joined else ("", "")
    out.line(
        f"终端 {done.dev[:SHORT_KEY]}{joined[0]}：收到 {len(done.results)} 条，入账 {counts['logged']}"
        f"（其中被退回 {refused}）· 待处理 {counts['waiting']} · 不真实 {counts['rejected']}",
        f"device {done.dev[:SHORT_KEY]}{joined[1]}: {len(done.results)} changes, {counts['logged']} logged "
        f"({refused} of them refused), {counts['waiting']} waiting, {counts['rejected']} not authentic",
    )
    stored = sum(each.result.state == "stored" for each in done.files)
    if done.files:
        out.line(f"附件：收到 {len(done.files)} 个，已存 {stored}", f"files: {len(done.files)} came, {stored} stored")
    out.line(
        f"{reply}：回包，内有 {done.sent} 条；带回终端：syncgov receive 副本 文件",
        f"{reply}: the reply with {done.sent} entries; carry it back: syncgov receive REPLICA FILE",
    )
    if done.more:
        out.warn("回包装不下全部内容，终端收下后要再打包一次", "not all fitted: the device must bundle once more")
    out.result(
        {"device": done.dev, "joined": done.joined, "refused": refused, "sent": done.sent, "more": done.more}
        | counts
        | {"results": msgspec.to_builtins(done.results), "files": msgspec.to_builtins(done.files), "reply": reply}
    )


def _receive(out: Output, replica: Path, file: Path, staff: str | None) -> None:
    from syncgov.storage.sealing import read_bundle_file
    from syncgov.sync.bundle import receive
    from syncgov.sync.bundle_join import is_joining, receive_first
    from syncgov.sync.bundle_rejoin import is_rejoining, working_file

    data = read_bundle_file(file)
    replica = working_file(replica)
    if is_rejoining(replica):
        return _receive_again(out, replica, data, staff)
    if is_joining(replica):
        opened, done = receive_first(replica, data)
        with opened:
            tell_joined(out, opened, done.done)
    else:
        with Replica.open(replica) as opened:
            done = receive(opened, data, staff)
            _tell(out, opened, done)
    if done.more:
        out.warn("中心还有内容没有装下：请再打包一次", "the centre has more than fitted: bundle again")


def _receive_again(out: Output, work: Path, data: bytes, staff: str | None) -> None:
    """Take a reply for a device that enrols again; when all has come, its old file's work is signed anew."""
    from syncgov.cli.resolve import print_adopted, print_again, result_again
    from syncgov.sync.bundle import receive
    from syncgov.sync.bundle_join import is_joining, receive_first
    from syncgov.sync.bundle_rejoin import complete

    if is_joining(work):
        opened, done = receive_first(work, data)
        opened.close()
    elif work.exists():  # else an earlier try died while the files changed places; `complete` goes on there
        with Replica.open(work) as opened:
            done = receive(opened, data, staff)
    if work.exists() and done.more:
        out.line("中心还有内容没有装下：请再打包一次", "the centre has more than fitted: bundle again")
        out.result({"state": done.state, "more": True})
        return
    rejoined = complete(work, staff)
    print_again(out, rejoined.old_device, rejoined.device, rejoined.kept)
    print_adopted(out, rejoined.adopted)
    out.line("补签的内容还没有送出：请再打包一次", "what was signed anew is not sent yet: bundle again")
    result_again(out, rejoined)


def _tell(out: Output, replica: Replica, done: "Received") -> None:
    if done.state in _NOTHING:
        out.line(*_NOTHING[done.state])
        tell_files(out, done.done.files)
        out.result({"state": done.state, "files": asdict(done.done.files)})
        return
    found = status(replica, language())
    synced = done.done
    refused = [*synced.refused, *synced.rejected]
    out.line(
        f"已接受 {synced.accepted} · 被退回 {len(refused)} · 待处理 {synced.waiting} · 收到 {synced.received} · "
        f"冲突待裁定 {found.conflicts}",
        f"accepted {synced.accepted}, refused {len(refused)}, waiting {synced.waiting}, received {synced.received}, "
        f"conflicts {found.conflicts}",
    )
    tell_people(out, synced)
    tell_files(out, synced.files)
    seqs = {seq for seq, _why in refused}
    for change in found.changes:
        if change.seq in seqs:
            print_change(out, change)
    out.result(asdict(synced) | {"state": done.state, "more": done.more, "conflicts": found.conflicts})


def join_by_invitation(out: Output, replica: Path, file: Path, code: str) -> None:
    """Keep an invitation and a code; `bundle` then writes the request to join."""
    from syncgov.storage.sealing import read_bundle_file
    from syncgov.sync.bundle_join import accept_invitation

    charter = accept_invitation(replica, read_bundle_file(file), code)
    roots = _root_ids(charter.roots)
    out.line(f"“{charter.name}”（{charter.origin}）的邀请", f"invitation of {charter.name!r} ({charter.origin})")
    out.line(
        f"根密钥：{numbered(roots)}；与纸面公布的不同就不要继续",
        f"root keys: {numbered(roots)}; do not go on if they differ from those published on paper",
    )
    out.line(
        f"下一步：syncgov bundle {replica} 文件，带到中心；带回的回包用 syncgov receive {replica} 文件 收下",
        f"next: syncgov bundle {replica} FILE, carry it to the centre; then syncgov receive {replica} REPLY",
    )
    out.result({"centre": charter.name, "origin": charter.origin, "roots": roots, "joining": True})


def rejoin_by_file(
    out: Output, replica: Path, old: Path, code: str, staff: str | None, invitation: Path | None
) -> None:
    """Keep a new code for the device of an old file; `bundle` then writes the request to enrol again."""
    from syncgov.storage.sealing import read_bundle_file
    from syncgov.sync.bundle_rejoin import begin

    data = None if invitation is None else read_bundle_file(invitation)
    charter = begin(replica, code, old, staff, invitation=data)
    out.line(
        f"下一步：syncgov bundle {replica} 文件，带到“{charter.name}”；回包用 syncgov receive {replica} 文件 收下",
        f"next: syncgov bundle {replica} FILE, carry it to {charter.name!r}; then syncgov receive {replica} REPLY",
    )
    out.result({"centre": charter.name, "origin": charter.origin, "joining": True})


def _root_ids(roots: list[str]) -> list[str]:
    return [device_id(unb64u(text, 32)) for text in roots]
