"""Keys of persons: on a device (add, pin, list), at the centre (code, list, end, leave)."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncgov.cli.app import FOUND, Output, command, leave, numbered, root
from syncgov.cli.pins import pin_file_option, read_pin
from syncgov.cli.words import both, say
from syncgov.storage import cosigning
from syncgov.storage.replica import Replica
from syncgov.storage.wording import SHORT_KEY, time_words

if TYPE_CHECKING:
    from syncgov.centre.staff_keys import Left

DEVICE_ACTIONS = ("add", "pin", "list")
CENTRE_ACTIONS = ("code", "list", "end", "leave")
ACTIONS = tuple(dict.fromkeys((*DEVICE_ACTIONS, *CENTRE_ACTIONS)))
_STATES = {
    "pending": ("等待登记，同步后生效", "waiting to be registered; sync"),
    "refused": ("登记被拒", "refused"),
    "in use": ("在用", "in use"),
    "ended": ("已停用", "ended"),
}


@command(
    root,
    (
        "人员密钥。终端：add 生成（要登记码和 PIN）、pin 换 PIN、list；中心：code 发码、list、end 停用、leave 离岗。",
        "Keys of persons. On a device: add (takes a code, sets a PIN), pin (changes it), list. At the centre: code, "
        "list, end (ends a person's keys), leave (a person leaves).",
    ),
    "syncgov staff centre code --staff W001",
    "syncgov staff my.db add --staff W001 --code 2345-6789-ABCD",
    "syncgov staff my.db pin --staff W001",
    "syncgov staff centre leave --staff W001",
)
@click.argument("path", type=click.Path(path_type=Path), metavar="REPLICA|CENTRE")
@click.argument("action", type=click.Choice(ACTIONS))
@click.option("--staff", "person", metavar="ID", help=both("人员编号。", "The person's id."))
@click.option(
    "--code", help=both("add：管理员给这个人的登记码。", "add: the code that the registrar gave this person.")
)
@pin_file_option("--pin-file", "add 的新 PIN、pin 的旧 PIN 从文件读", "The PIN (of `pin` the old one) from a file")
@pin_file_option("--new-pin-file", "pin 的新 PIN 从文件读", "pin: the new PIN from a file")
@click.option(
    "--reason",
    type=click.Choice(("replaced", "lost", "misuse")),
    default="lost",
    show_default=True,
    help=both("end：换新、遗失、违规使用。", "end: why."),
)
def staff(
    out: Output,
    path: Path,
    action: str,
    person: str | None,
    code: str | None,
    pin_file: str | None,
    new_pin_file: str | None,
    reason: str,
) -> None:
    at_centre = (path / "central.db").is_file()
    if action not in (CENTRE_ACTIONS if at_centre else DEVICE_ACTIONS):
        where = say("终端" if not at_centre else "中心", "a device" if not at_centre else "a centre")
        raise click.UsageError(say(f"{action} 不能用于{where}", f"{action} is not for {where}"))
    if person is None and action != "list":
        raise click.UsageError(say("请用 --staff 写明人员编号", "say who with --staff"))
    if at_centre:
        _at_centre(out, path, action, person, reason)
    elif action == "add":
        _add(out, path, str(person), code, pin_file)
    elif action == "pin":
        _pin(out, path, str(person), pin_file, new_pin_file)
    else:
        _list(out, path, person)


def _add(out: Output, path: Path, person: str, code: str | None, pin_file: str | None) -> None:
    if not code:
        raise click.UsageError(say("add 需要 --code：管理员给的登记码", "add needs --code from the registrar"))
    with Replica.open(path) as replica:
        replica.person(person)
        pin = read_pin(pin_file, say(f"为 {person} 设 PIN（至少 6 位）", f"a PIN for {person} (6 or more)"), twice=True)
        made = cosigning.add(replica, person, code, pin)
    out.line(
        f"已为 {person} 生成密钥 {made.id[:SHORT_KEY]}；下次同步（或打包）时登记，登记后可用于第二签名",
        f"made key {made.id[:SHORT_KEY]} for {person}; the next sync (or bundle) registers it, then it can sign",
    )
    out.line(
        "PIN 无法找回：忘了就要新登记码，再 add 一次；已签名的内容不受影响",
        "a PIN cannot be recovered: with a new code, add again; what is signed stays as it is",
    )
    out.result({"key": made.id, "person": person, "state": "pending"})


def _pin(out: Output, path: Path, person: str, old_file: str | None, new_file: str | None) -> None:
    with Replica.open(path) as replica:
        cosigning.key_of(replica, person)
        old = read_pin(old_file, say(f"{person} 现在的 PIN", f"present PIN of {person}"))
        new = read_pin(new_file, say("新 PIN（至少 6 位）", "new PIN (6 or more)"), twice=True)
        key = cosigning.change_pin(replica, person, old, new)
    out.line(f"{person} 的 PIN 已换", f"the PIN of {person} is changed")
    out.result({"key": key, "person": person})


def _list(out: Output, path: Path, person: str | None) -> None:
    with Replica.open(path) as replica:
        found = [each for each in cosigning.list_keys(replica) if person in (None, each.person)]
    if not found:
        out.line("本终端没有人员密钥", "no keys of persons on this device")
    for each in found:
        wrong = say(f"，连续输错 {each.wrong} 次", f", {each.wrong} wrong PINs") if each.wrong else ""
        problem = f"：{each.problem}" if each.state == "refused" else ""
        state = f"{say(*_STATES[each.state])}{problem}{wrong}"
        out.text(f"{each.person}  {each.key[:SHORT_KEY]}  {state}  {time_words(each.made)}")
    out.result({"keys": [asdict(each) for each in found]})


# -- at the centre --------------------


def _at_centre(out: Output, path: Path, action: str, person: str | None, reason: str) -> None:
    from syncgov.centre import staff_keys
    from syncgov.centre.centre import Centre

    with closing(Centre(path)) as centre:
        if action == "list":
            found = staff_keys.keys(centre.ledger, person)
            for each in found:
                ended = say("已停用", "ended") if each.ended else say("在用", "in use")
                device = f"{say('终端', 'device')} {each.device[:SHORT_KEY]}"
                out.text(f"{each.person}  {each.pseudonym}  {each.key[:SHORT_KEY]}  {device}  {ended}")
            out.result({"keys": found})
        elif action == "code":
            code = staff_keys.invite(centre, str(person))
            out.data(code)
            out.line(
                f"只给 {person} 本人，14 天内有效。在其终端上：syncgov staff 副本 add --staff {person} --code {code}",
                f"for {person} alone, good for 14 days: syncgov staff REPLICA add --staff {person} --code {code}",
            )
            out.result({"code": code, "person": person})
        elif action == "end":
            ended_keys = staff_keys.end(centre, str(person), reason)
            out.line(f"已停用 {person} 的 {len(ended_keys)} 把密钥", f"ended {len(ended_keys)} keys of {person}")
            out.result({"person": person, "keys": ended_keys, "reason": reason})
        else:
            _leave(out, staff_keys.leave(centre, str(person)))


def _leave(out: Output, done: "Left") -> None:
    out.line(
        f"{done.person} 离岗：已从 {len(done.devices)} 台终端去掉，停用密钥 {len(done.keys)} 把；"
        "此前签名、还没送达的内容在宽限期内仍会被接受",
        f"{done.person} leaves: taken off {len(done.devices)} devices, {len(done.keys)} keys ended; what was signed "
        "before and is on its way counts within the grace days",
    )
    if done.alone:
        names = numbered([dev[:SHORT_KEY] for dev in done.alone])
        out.warn(
            f"终端 {names} 只有 {done.person} 一人使用，没有改动：请用 renew --staff 写明接任者，或用 revoke 停用",
            f"nobody else uses device {names}; it is unchanged: name the successor with `renew --staff`, or `revoke`",
        )
    out.result(done)
    if done.alone:
        leave(FOUND)
