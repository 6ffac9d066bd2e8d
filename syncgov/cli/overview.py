"""What `status` says of a centre: its devices, and what one of them sees."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from syncgov.cli.app import Output, numbered
from syncgov.cli.centre import require_centre
from syncgov.cli.hiding import print_erasures
from syncgov.cli.words import language, say
from syncgov.storage.wording import SHORT_KEY, reach_words, role_words, time_words

if TYPE_CHECKING:
    from syncgov.centre.overview import DeviceLine, RegisterView, View

_STATES = {
    "valid": ("有效", "valid"),
    "expiring": ("即将到期", "expiring"),
    "expired": ("已过期", "expired"),
    "revoked": ("已停用", "revoked"),
    "stopped": ("编号重复，已停止", "stopped: a number was used twice"),
}


def centre_status(out: Output, path: Path, device: str | None) -> None:
    """Print a centre at a glance or, with *device*, what that device sees."""
    from syncgov.centre.centre import Centre
    from syncgov.centre.hiding import erasure_status
    from syncgov.centre.overview import overview, view_as

    require_centre(path)
    with closing(Centre(path)) as opened:
        if device is not None:
            return _print_view(out, view_as(opened, device, language()))
        found, erasures = overview(opened), erasure_status(opened)
    out.result(asdict(found) | asdict(erasures))
    out.text(f"{found.name}  {found.origin}")
    out.line(
        f"日志 {found.size} 条 · 终端 {len(found.devices)} 台 · 待处理 {found.waiting} 条 · 未用的登记码 {found.codes}",
        f"{found.size} log entries, {len(found.devices)} devices, {found.waiting} waiting, {found.codes} unused codes",
    )
    for line in found.devices:
        _print_device(out, line)
    print_erasures(out, erasures)


def _print_device(out: Output, line: "DeviceLine") -> None:
    roles = numbered([role_words(role, language()) for role in line.roles])
    state = say(*_STATES[line.state])
    until, last = time_words(line.valid_to)[:10], time_words(line.last) if line.last is not None else "—"
    out.line(
        f"{line.device[:SHORT_KEY]}  {roles}  {reach_words(line.areas, line.units)}  {state}，至 {until}",
        f"{line.device[:SHORT_KEY]}  {roles}  {reach_words(line.areas, line.units, 'en')}  {state}, until {until}",
    )
    out.line(
        f"    最近送达 {last} · 已入账 {line.logged} 条 · 当时已看到日志 {line.folded} 条 · 待处理 {line.waiting} 条",
        f"    last heard of {last}, {line.logged} logged, had folded {line.folded} then, {line.waiting} waiting",
    )


def _print_view(out: Output, found: "View") -> None:
    out.result(asdict(found))
    _print_device(out, found.line)
    if not found.registers:
        out.line("这台终端不再收到任何内容", "this device is sent nothing any more")
    for register in found.registers:
        _print_register(out, register)
    if found.missing:
        out.line(
            f"待处理 {found.line.waiting} 条：缺它的第 {found.missing} 号变更",
            f"{found.line.waiting} waiting: its change {found.missing} is missing",
        )
    out.line(f"被退回 {found.refused} 条", f"{found.refused} refused")
    for one in found.refusals:
        out.line(
            f"  #{one.seq} {one.label}：{one.why}；{one.remedy}", f"  #{one.seq} {one.label}: {one.why}; {one.remedy}"
        )
    out.line(f"看得到的冲突 {len(found.conflicts)} 项", f"{len(found.conflicts)} conflicts that it sees")
    for each in found.conflicts:
        decide = say("，待裁定", ", to be decided") if each.decision else ""
        out.line(
            f"  {each.label} {each.field_label}：{each.values} 个值，现显示 {each.shows}{decide}",
            f"  {each.label} {each.field_label}: {each.values} values, shows {each.shows}{decide}",
        )


def _print_register(out: Output, register: "RegisterView") -> None:
    read, write = numbered(register.read), numbered(register.write) or say("无", "nothing")
    out.line(f"{register.label}（{register.name}）{register.rows} 行", f"{register.name}: {register.rows} rows")
    out.line(f"    可看：{read}", f"    reads: {read}")
    out.line(f"    可填：{write}", f"    writes: {write}")
