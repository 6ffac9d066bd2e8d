"""The commands about registers and foreign data: register check, register show, import open311."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from syncgov.cli.app import (
    BAD_INPUT,
    Group,
    Output,
    command,
    leave,
    numbered,
    path_argument,
    path_option,
    root,
    staff_option,
)
from syncgov.cli.centre import require_centre
from syncgov.cli.words import both, say
from syncgov.core.register import RegisterSet
from syncgov.core.register_edition import check_edition
from syncgov.core.register_model import Field, Register
from syncgov.errors import InputError, RegisterError, SyncgovError
from syncgov.storage.figures import check_registers
from syncgov.storage.files import builtin_folder, read_register, system_registers
from syncgov.storage.replica import Replica
from syncgov.storage.schema import key_column

_REGISTER_HELP = both("登记册：检查、查看。", "Registers: check, show.")
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_IMPORT_HELP = both("导入其他系统的数据。", "Bring in data of other systems.")


@root.group("register", cls=Group, help=_REGISTER_HELP, short_help=_REGISTER_HELP)
def register_group() -> None:
    """Commands about registers."""


@root.group("import", cls=Group, help=_IMPORT_HELP, short_help=_IMPORT_HELP)
def import_group() -> None:
    """Importers."""


@command(
    register_group,
    ("检查登记册文件：有错时指出文件、行和改法。", "Check register files: names file, line and remedy."),
    "syncgov register check examples/trees/street_tree.yml",
    "syncgov register check street_tree.yml --centre centre",
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@path_option(
    "--centre", zh="并对照这个中心现用的版本：能否换成新版。", en="Also as new editions of this centre's registers."
)
def check(out: Output, files: tuple[Path, ...], centre: Path | None) -> None:
    found: list[tuple[Path, Register]] = []
    problems: list[SyncgovError] = []
    for path in files:
        try:
            found.append((path, read_register(path)))
        except (RegisterError, InputError) as error:
            problems.append(error)
    if not problems:
        try:
            check_registers(_with_references(found))
        except RegisterError as error:
            problems.append(error)
    if centre is not None:
        problems += _editions(centre, found)
    for path, register in [] if problems else found:
        columns = len(register.columns)
        out.line(
            f"{path.name}：{register.label}，{columns} 栏，可用",
            f"{path.name}: {register.label}, {columns} columns, good",
        )
    for problem in problems:
        out.problem(problem)
    out.result(
        {"good": not problems, "registers": [r.name for _path, r in found], "problems": [p.en for p in problems]}
    )
    if problems:
        leave(BAD_INPUT)


def _editions(centre: Path, found: list[tuple[Path, Register]]) -> Iterator[RegisterError]:
    """Yield why files cannot follow the editions that a centre has."""
    from syncgov.centre.centre import Centre

    require_centre(centre)
    with closing(Centre(centre)) as opened:
        present = opened.ledger.registers(opened.ledger.size)
        for _path, register in found:
            try:
                if register.name in present:
                    check_edition(present[register.name], register)
            except RegisterError as error:
                yield error


def _with_references(found: list[tuple[Path, Register]]) -> list[Register]:
    """Return the registers, the system's own, and those they refer to: from the same folder, else built in."""
    registers = [*system_registers(), *(register for _path, register in found)]
    named = {register.name for register in registers}
    folders = [*dict.fromkeys(path.parent for path, _register in found), builtin_folder()]
    wanted = [name for register in registers for name in _references(register)]
    while wanted:
        name = wanted.pop()
        place = next((folder / f"{name}.yml" for folder in folders if (folder / f"{name}.yml").is_file()), None)
        if name in named or place is None:
            continue  # a reference that leads nowhere is what check_set reports
        register = read_register(place)
        registers.append(register)
        named.add(name)
        wanted += _references(register)
    return registers


def _references(register: Register) -> Iterator[str]:
    """Yield the registers that columns and workflow refer to, and every word of the figures' SQL: some are tables."""
    yield from (column.ref for column in register.columns if column.ref is not None)
    if "sensitive" in register.portal:
        yield register.portal["sensitive"]["listed"]
    if register.workflow is not None and register.workflow.photos is not None:
        yield register.workflow.photos.register
    for figure in register.figures:
        yield from _WORD.findall(f"{figure.n} {figure.d}")


@command(
    register_group,
    ("查看登记册：有哪些栏，谁能看、谁能写，怎样流转。", "Show a register: columns, who reads and writes, steps."),
    "syncgov register show event",
    "syncgov register show examples/trees/street_tree.yml",
    "syncgov register show event --replica my.db",
)
@click.argument("name", metavar="NAME|FILE")
@click.option(
    "--replica", type=click.Path(path_type=Path), help=both("按这个副本现用的登记册。", "As active in this replica.")
)
def show(out: Output, name: str, replica: Path | None) -> None:
    register = _find(name, replica)
    out.line(f"{register.label}（{register.name}，第 {register.version} 版）", f"{register.label} ({register.name})")
    if register.help:
        out.text(register.help)
    out.line(
        f"主键 {key_column(register)}；新增、删除：{numbered(sorted(register.write))}",
        f"key {key_column(register)}; made and deleted by {numbered(sorted(register.write))}",
    )
    for line in _field_lines(register):
        out.text(line)
    for step in register.workflow.transitions if register.workflow is not None else ():
        line = f"  {step.name}：{numbered(sorted(step.sources))} → {step.target}  {numbered(sorted(step.roles))}"
        out.text(line)
    out.result(_as_json(register))


def _find(name: str, replica: Path | None) -> Register:
    if replica is not None:
        with Replica.open(replica) as opened:
            return _in_set(name, opened.registers)
    if Path(name).suffix == ".yml":
        return read_register(Path(name))
    builtin = {path.stem: path for path in builtin_folder().rglob("*.yml")}
    if name not in builtin:
        raise _unknown(name, builtin)
    return read_register(builtin[name])


def _in_set(name: str, registers: RegisterSet) -> Register:
    if name not in registers:
        raise _unknown(name, registers)
    return registers[name]


def _unknown(name: str, known: Mapping[str, Any]) -> InputError:
    names = sorted(known)
    return InputError(f"没有登记册 {name}，可用：{'、'.join(names)}", f"no register {name}; known: {', '.join(names)}")


_CLASSES = {"public": ("公开", "public"), "internal": ("内部", "internal"), "private": ("个人", "private")}


def _field_lines(register: Register) -> Iterator[str]:
    for declared in register.fields:
        for column in declared.columns:
            parts = [f"  {column.name}", column.label, column.type, say(*_CLASSES[declared.klass]), *_notes(declared)]
            codes = " ".join(f"{choice.code}={choice.label}" for choice in column.choices)
            yield "  ".join([*parts, codes]).rstrip()


def _notes(declared: Field) -> Iterator[str]:
    if declared.required:
        yield say("必填", "required")
    if declared.merge != "last":
        yield declared.merge
    yield numbered(sorted(declared.write))


def _as_json(register: Register) -> dict[str, Any]:
    columns = [
        {
            "name": column.name,
            "label": column.label,
            "type": column.type,
            "class": declared.klass,
            "field": declared.name,
            "merge": declared.merge,
            "required": declared.required,
            "write": sorted(declared.write),
            "ref": column.ref,
            "choices": {choice.code: choice.label for choice in column.choices},
        }
        for declared in register.fields
        for column in declared.columns
    ]
    return {
        "register": register.name,
        "version": register.version,
        "label": register.label,
        "key": register.key,
        "parent": register.parent_register,
        "write": sorted(register.write),
        "columns": columns,
    }


@command(
    import_group,
    (
        "导入 Open311（GeoReport v2 JSON）服务请求及其办理时间线。",
        "Import Open311 GeoReport v2 requests with timelines.",
    ),
    "syncgov import open311 requests.json my.db",
)
@path_argument("file")
@path_argument("replica")
@staff_option
@click.option(
    "--table", default=None, help=both("写入哪个登记册，默认 service_request。", "Register; default service_request.")
)
def open311(out: Output, file: Path, replica: Path, staff: str | None, table: str | None) -> None:
    from syncgov.importers import open311 as importer

    with Replica.open(replica) as opened:
        done = importer.import_open311(file, opened, staff, table or importer.TABLE)
    out.line(
        f"{done.requests} 件，其中 {done.changesets} 件是新的或有变化，已签名；用 sync 上传",
        f"{done.requests} requests, {done.changesets} new or changed and signed; run `syncgov sync` to send them",
    )
    if done.left_out:
        out.line(f"没有导入的成员：{numbered(done.left_out)}", f"members left out: {numbered(done.left_out)}")
    out.result(done)
