"""Registers: the declarations from which tables, checks, rights, merging and public pages come.

Source: protocol page, section 7.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NoReturn

from syncgov.core.canonical import b64u, encode
from syncgov.core.commitment import Value
from syncgov.core.register_model import (
    ABSENT,
    EVERYBODY,
    REGISTRAR,
    Choice,
    Class,
    Column,
    Field,
    Figure,
    Merge,
    Register,
    Skeleton,
)
from syncgov.core.register_parse import MAX_REGISTER_CHARS, SYSTEM_NAMES, parse_register
from syncgov.core.register_yaml import Words, item_at, nearest, problem
from syncgov.errors import RegisterError

__all__ = [
    "ABSENT",
    "EVERYBODY",
    "MAX_REGISTER_CHARS",
    "REGISTRAR",
    "SYSTEM_NAMES",
    "Choice",
    "Class",
    "Column",
    "Field",
    "Figure",
    "Merge",
    "Register",
    "RegisterError",
    "RegisterSet",
    "Skeleton",
    "Value",
    "check_roles",
    "check_set",
    "parse_register",
    "register_set_digest",
]


def register_set_digest(registers: Iterable[Register]) -> bytes:
    """Return the digest of a register set: SHA-256 of `canonical([[name, b64u(SHA-256(text))], …])`.

    Ascending by name; system registers are left out, they belong to the protocol version.
    Source: protocol page, section 7.
    """
    pairs = sorted([each.name, b64u(each.digest)] for each in registers if not each.system)
    return hashlib.sha256(encode(pairs)).digest()


class RegisterSet(Mapping[str, Register]):
    """Registers by name, in ascending order. Of two with one name the first counts: put the system's own first."""

    def __init__(self, registers: Iterable[Register]) -> None:
        self._registers: dict[str, Register] = {}
        for each in sorted(registers, key=lambda each: each.name):
            self._registers.setdefault(each.name, each)
        self.digest = register_set_digest(self._registers.values())

    def __getitem__(self, name: str) -> Register:
        return self._registers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._registers)

    def __len__(self) -> int:
        return len(self._registers)

    def children(self, name: str) -> tuple[Register, ...]:
        """Return the registers whose rows belong to rows of register *name*."""
        return tuple(each for each in self.values() if each.parent_register == name)

    def root_of(self, name: str) -> Register:
        """Return the register whose rows are the records that rows of register *name* belong to."""
        register = self[name]
        return register if register.parent_register is None else self[register.parent_register]


def check_set(registers: Iterable[Register]) -> None:
    """Return if *registers* fit together.

    Raises:
        RegisterError: a name or figure twice, a reference to a register that is not there, a parent that is a child,
            a list of sensitive codes that is none; `open311`, `working` or a calendar of a catalogue in two registers.
    """
    known: dict[str, Register] = {}
    for register in registers:
        if register.name in known:
            _fail(register, "register", register.name, ("登记册重名", "two registers have this name"))
        known[register.name] = register
    figures: set[str] = set()
    _check_only(known)
    for register in known.values():
        for column in register.columns:
            if column.ref is not None and column.ref not in known:
                _fail(register, "ref", column.ref, ("没有这个登记册", "there is no such register"), known)
        parent = known.get(register.parent_register or "")
        if register.parent is not None and parent is not None and parent.parent is not None:
            _fail(register, "parent", register.parent, ("上级本身是子登记册", "the parent is a child itself"))
        _check_photos(register, known)
        _check_told(register, known)
        _check_sensitive(register, known)
        for figure in register.figures:
            if figure.id in figures:
                _fail(register, "id", figure.id, ("指标编号重复", "two figures have this id"))
            figures.add(figure.id)


def _check_told(register: Register, known: Mapping[str, Register]) -> None:
    """What a table shows of another register's row is public there."""
    refs = {column.name: column.ref for column in register.columns}
    for block in ("community", "sheet", "map"):
        for shown in register.portal.get(block, {}).get("columns", ()):
            name, dot, other = shown.partition(".")
            target = known.get(refs.get(name) or "")
            if dot and target is not None:
                public = [c.name for field in target.fields if field.klass == "public" for c in field.columns]
                if other not in public:
                    what = (f"登记册 {target.name} 没有这个公开列", f"register {target.name} has no such public column")
                    _fail(register, "columns", other, what, public)


def _check_only(known: Mapping[str, Register]) -> None:
    """What one register of a set may declare: request numbers, working time and lines of a calendar could clash."""
    found = {
        "open311": [each for each in known.values() if each.portal.get("open311")],
        "working": [each for each in known.values() if each.portal.get("working")],
        "calendar.item": [each for each in known.values() if (each.portal.get("calendar") or {}).get("item")],
    }
    for name, registers in found.items():
        if len(registers) > 1:
            what = (f"{name} 只能由一个登记册声明", f"one register only may declare {name}")
            _fail(registers[1], "register", registers[1].name, what)


def _check_sensitive(register: Register, known: Mapping[str, Register]) -> None:
    """What says which codes are sensitive is a published list of them with a flag."""
    declared = register.portal.get("sensitive")
    listed = known.get(declared["listed"]) if declared else None
    if declared and listed is None:
        what = ("没有这个登记册", "there is no such register")
        _fail(register, "listed", declared["listed"], what, known)
    if declared and listed is not None:
        field = listed.find(declared["flag"])
        if field is None or field.klass != "public" or field.columns[0].type != "boolean" or listed.key != "natural":
            what = ("不是类别登记册的公开布尔列", "is no public boolean column of a list with natural keys")
            _fail(register, "flag", declared["flag"], what)


def _check_photos(register: Register, known: Mapping[str, Register]) -> None:
    """The guard `photo_before_after` counts rows that exist and codes that they can have."""
    photos = register.workflow.photos if register.workflow is not None else None
    if photos is None:
        return
    child = known.get(photos.register)
    if child is None or child.attachment is None or child.parent_register != register.name:
        what = ("不是本登记册的附件登记册", "these are not attachments of this register")
        _fail(register, "register", photos.register, what)
    wanted = [("before", child.attachment.phase, photos.before), ("after", child.attachment.phase, photos.after)]
    wanted += [("kind", child.attachment.kind, photos.kind)] if photos.kind else []
    for key, column, code in wanted:
        codes = {c.code for each in child.columns if each.name == column for c in each.choices}
        if code not in codes:
            what = (f"“{child.label}”没有代码 {code}", f"{child.name} has no code {code!r}")
            _fail(register, key, code, what, codes)


def check_roles(registers: Collection[Register]) -> None:
    """Return unless a role stands in one transition and nowhere else: that is a misspelt one.

    Not part of `check_set`: while registers arrive one by one, what names the role may be still to come.

    Raises:
        RegisterError: names the role and the one most like it.
    """
    known = {REGISTRAR}
    named: Counter[str] = Counter()
    for register in registers:
        plain = (each.write for each in register.fields if each.merge != "state")  # state: the transitions' own roles
        known = known.union(register.write, *register.read.values(), *plain)
        if register.workflow is not None:
            named.update(role for step in register.workflow.transitions for role in step.roles)
    for register in registers:
        steps = register.workflow.transitions if register.workflow is not None else ()
        for position, step in enumerate(steps):
            for role in sorted(step.roles - known):
                if named[role] == 1:
                    place = item_at(register.text, _file(register), "workflow", "transitions", position, "roles")
                    line = next(each for each in place.items() if each.is_text(role))
                    what = (f"角色“{role}”别处都没有", f"role {role!r} occurs nowhere else")
                    line.fail(what, nearest(role, known - {EVERYBODY}))


def _file(register: Register) -> str:
    return register.file or f"{register.name}.yml"


def _fail(register: Register, key: str, value: str, what: Words, known: Collection[str] = ()) -> NoReturn:
    place = re.search(rf"\b{key}:\s*['\"]?{re.escape(value)}\b", register.text)
    line = register.text.count("\n", 0, place.start()) + 1 if place is not None else 1
    remedy = nearest(value, known) if known else ("改正这一处。", "Change one of them.")
    raise problem(_file(register), line, (f"{what[0]}：{value}", f"{what[1]}: {value}"), remedy)
