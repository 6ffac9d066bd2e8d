"""From the YAML text of a register to the register; every error has its line.

Source: protocol page, sections 7 and 9.
"""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, cast

from syncgov.core.attachment_parse import parse_attachment
from syncgov.core.register_fields import CLASSES, Context, parse_fields, parse_name, parse_roles
from syncgov.core.register_model import EVERYBODY, REGISTRAR, Column, Field, Register, Skeleton
from syncgov.core.register_pages import parse_figures, parse_portal
from syncgov.core.register_yaml import MAX_REGISTER_CHARS, Item, Table, read_yaml
from syncgov.core.workflow import Workflow
from syncgov.core.workflow_parse import parse_workflow, transition_roles

__all__ = ["MAX_REGISTER_CHARS", "SYSTEM_NAMES", "parse_register"]

SYSTEM_NAMES = frozenset({"charter", "register", "device", "staff_key", "erasure", "withholding", "publication"})
# Tables of the published file and of SQLite itself; a register of that name could not be published.
RESERVED_NAMES = frozenset(
    (
        "meta column label figure figure_part leaf history conflict withheld declared obligation"
        " sqlite_master sqlite_schema"
    ).split()
)


_KEYS = (
    "register version label help system key key_label area owner parent skeleton immutable number write read fields"
    " workflow figures portal attachment"
).split()
_WORKFLOW_KEYS = "field state precedence review resolve steps open closed transitions".split()
_WORKFLOW_OPTIONS = ["photos"]


@lru_cache(maxsize=512)  # the same texts are parsed again for every register set of a log
def parse_register(text: str, filename: str) -> Register:
    """Return the register that *text* declares.

    Args:
        filename: only for messages.

    Raises:
        RegisterError: names file, line, what is wrong and the remedy.
    """
    top = read_yaml(text, filename).table(_KEYS, "register version label key skeleton write read fields".split())
    name, system = _register_name(top)
    read = _read(top["read"])
    workflow = _workflow_table(top)
    moves = transition_roles(workflow) if workflow is not None else frozenset()
    context = Context(parse_roles(top["write"]), read, moves, workflow)
    fields = parse_fields(top["fields"], context)
    columns = {column.name: column for field in fields for column in field.columns}
    skeleton = _skeleton(top["skeleton"], columns)
    figures = parse_figures(top.items("figures"), fields, skeleton)
    register = Register(
        name=name,
        version=top["version"].integer(1, 10**6),
        label=top["label"].text(40),
        help=top.text("help"),
        system=system,
        key=cast(Literal["uuid", "natural"], top["key"].one_of(("uuid", "natural"), ("主键类型", "kind of key"))),
        key_label=top.text("key_label", "编号", 40),
        parent=_column(top, "parent", columns) if "parent" in top else None,
        parent_register=columns[top["parent"].text()].ref if "parent" in top else None,
        area=_column(top, "area", columns) if "area" in top else None,
        skeleton=skeleton,
        immutable=top.boolean("immutable"),
        write=context.write,
        read=read,
        fields=fields,
        workflow=_workflow(workflow, fields, top),
        figures=figures,
        portal=MappingProxyType(parse_portal(top["portal"], fields, figures) if "portal" in top else {}),
        text=text,
        number=top.boolean("number"),
        owner=_column(top, "owner", columns) if "owner" in top else None,
        file=filename,
        attachment=parse_attachment(top, columns, fields) if "attachment" in top else None,
    )
    _check_whole(top, register)
    return register


def _register_name(top: Table) -> tuple[str, bool]:
    name, system = parse_name(top["register"], ("登记册名", "register name")), top.boolean("system")
    top["register"].unless(
        name not in RESERVED_NAMES and not name.startswith("sqlite_") and re.search(r"_fts(_|$)", name) is None,
        (f"“{name}”是保留的表名", f"{name!r} is the name of a table of the system"),
        ("换一个名字。", "Choose another name."),
    )
    top.at("system").unless(
        system == (name in SYSTEM_NAMES),
        ("系统登记册由协议规定", "system registers are fixed by the protocol"),
        ("换一个名字，删去 system。", "Choose another name and leave out `system`."),
    )
    return name, system


def _read(item: Item) -> Mapping[str, frozenset[str]]:
    table = item.table(CLASSES)
    everybody = frozenset({EVERYBODY})
    read: dict[str, frozenset[str]] = {"public": everybody}
    for klass, roles in table.members.items():
        if klass == "public":
            one = [each.text() for each in roles.items()]
            roles.unless(
                one == [EVERYBODY],
                ("公开字段人人可读", "everybody reads public fields"),
                ("写成 ['*']，或把字段改为 internal。", "Write ['*'], or make the fields internal."),
            )
        else:
            read[klass] = parse_roles(roles)
    return MappingProxyType(read)


def _column(table: Table, member: str, columns: Mapping[str, Column], types: Collection[str] = ("text", "code")) -> str:
    name = table[member].one_of(columns, ("列", "column"))
    table[member].unless(
        columns[name].type in types,
        (f"列“{name}”的类型不能用作 {member}", f"column {name!r} has a type that cannot serve as {member}"),
        (f"用类型为 {'、'.join(types)} 的列。", f"Take a column of type {', '.join(types)}."),
    )
    return name


def _skeleton(item: Item, columns: Mapping[str, Column]) -> Skeleton | None:
    if item.is_text("none"):
        return None
    table = item.table(("community", "prefix", "month"))
    item.unless(
        ("community" in table) == ("prefix" in table),
        ("community 与 prefix 须成对", "community and prefix belong together"),
        ("两个都写，或都不写。", "Write both or neither."),
    )
    community = _column(table, "community", columns) if "community" in table else None
    month = _column(table, "month", columns, ("date", "datetime")) if "month" in table else None
    return Skeleton(community, table.integer("prefix", 0, 1, 64), month)


def _workflow_table(top: Table) -> Table | None:
    if "workflow" not in top:
        return None
    table = top["workflow"].table([*_WORKFLOW_KEYS, *_WORKFLOW_OPTIONS], _WORKFLOW_KEYS)
    names = [key.text() for key, _value in top["fields"].pairs()]
    table["field"].one_of(names, ("字段", "field"))
    return table


def _workflow(table: Table | None, fields: Collection[Field], top: Table) -> Workflow | None:
    if table is None:
        return None
    name = table["field"].text()
    top.at("immutable").unless(
        not top.boolean("immutable"),
        ("不可改的行没有流程", "immutable rows have no workflow"),
        ("删去其一。", "Delete one of the two."),
    )
    return parse_workflow(table, next(field for field in fields if field.name == name), parse_roles)


def _check_whole(top: Table, register: Register) -> None:
    """What only shows when all parts are there."""
    top.at("write").unless(
        register.key == "uuid" or register.system or register.write == {REGISTRAR},
        ("自然主键的登记册只由登记员新增", "rows with natural keys are made by the registrar alone"),
        ("改为 write: [registrar]，或 key: uuid。", "Use `write: [registrar]`, or `key: uuid`."),
    )
    top.at("area").unless(
        register.parent is None or register.area is None,
        ("area 与 parent 只能有一个", "area and parent exclude each other"),
        ("子登记册随父登记册分片，删去 area。", "A child goes with its parent; delete `area`."),
    )
    top.at("parent").unless(
        register.parent is None or register.parent_register is not None,
        ("parent 列没有 ref", "the parent column has no `ref`"),
        ("在该列写明 ref: 登记册名。", "Add `ref: register` to that column."),
    )
    top.at("owner").unless(
        register.owner is None or register.area is not None,
        ("owner 要与 area 同用", "owner goes with area"),
        (
            "写明 area，或删去 owner：没有 area 的登记册人人可见。",
            "Name an `area`, or delete `owner`: rows without area go to everybody.",
        ),
    )
    for member, column in (("area", register.area), ("parent", register.parent)):
        top.at(member).unless(
            column is None or register.column_field(column).required,
            (f"“{column}”须必填", f"{column!r} must be required"),
            ("在该字段加 required: true。", "Add `required: true` to that field."),
        )
    skeleton = register.skeleton
    top.at("number").unless(
        not register.number or (skeleton is not None and None not in (skeleton.community, skeleton.month)),
        ("编号需要 skeleton 的社区和月份", "numbers need the skeleton's community and month"),
        ("补全 skeleton，或删去 number。", "Complete `skeleton`, or delete `number`."),
    )
    public = [field.name for field in register.fields if field.klass == "public"]
    top["skeleton"].unless(
        skeleton is not None or not public,
        (f"没有 skeleton 就不能有公开字段“{''.join(public[:1])}”", "public fields need a skeleton"),
        ("写 skeleton: {}，或改字段类别。", "Write `skeleton: {}`, or change the class of the fields."),
    )
