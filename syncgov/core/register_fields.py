"""The fields and columns of a register file. Source: protocol page, sections 7, 9 and 12."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

from syncgov.core.register_model import EVERYBODY, Choice, Class, Column, Field, Merge
from syncgov.core.register_yaml import Item, Table, nearest
from syncgov.core.values import TYPES

CLASSES: tuple[Class, ...] = ("public", "internal", "private")
MERGES: tuple[Merge, ...] = ("last", "max", "min", "state", "review")
RESERVED_COLUMNS = frozenset({"key", "id", "code", "rowid", "oid"})  # names of the primary key, ours and SQLite's
ORDERED_TYPES = frozenset({"integer", "money", "coordinate", "date", "datetime"})
GROUP_TYPES = frozenset({"code", "date", "datetime", "integer", "money", "boolean"})
MAX_COLUMNS = 200  # a changeset has at most 4096 writes; a form nobody can fill in has fewer
MAX_CHOICES = 500
MAX_LENGTHS = {"text": 200, "list": 100, "code": 64}  # where the file says nothing
MAX_LEAST = 10**9  # a register says 0 or 1; more than a thousand million is a slip
LONGEST = 200_000  # code points; the text of a register itself
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
CODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_FIELD_KEYS = "label class merge write resolve required free_text help".split()
_COLUMN_KEYS = "label type choices max_length ref unit help items min".split()


@dataclass(frozen=True, slots=True)
class Context:
    """What a field takes from the register around it."""

    write: frozenset[str]
    read: Mapping[str, frozenset[str]]
    moves: frozenset[str]  # roles of the workflow's transitions
    workflow: Table | None


def parse_roles(item: Item) -> frozenset[str]:
    """Return the roles of a list, at least one."""
    roles = [parse_name(each, ("角色", "role")) for each in item.items()]
    item.unless(bool(roles), ("至少要有一个角色", "at least one role is needed"), ("写成 [角色]。", "Write [role]."))
    return frozenset(roles)


def parse_name(item: Item, what: tuple[str, str]) -> str:
    value = item.text(200)
    item.unless(
        NAME.fullmatch(value) is not None,
        (f"{what[0]}“{value}”不合规", f"bad {what[1]} {value!r}"),
        ("用小写字母、数字和下划线，以字母开头。", "Use lower-case letters, digits and _, a letter first."),
    )
    return value


def parse_fields(item: Item, context: Context) -> tuple[Field, ...]:
    fields = tuple(_field(key, value, context) for key, value in item.pairs())
    item.unless(
        bool(fields), ("没有字段", "there are no fields"), ("至少声明一个字段。", "Declare one field at least.")
    )
    places = {key.node.value: value for key, value in item.pairs()}
    seen: set[str] = set()
    for field in fields:
        names = {field.name, *(column.name for column in field.columns)}
        for name in sorted(names & seen):
            places[field.name].fail(
                (f"列名“{name}”重复", f"column {name!r} is declared twice"), ("换一个列名。", "Choose another name.")
            )
        seen |= names
    item.unless(
        len(seen) <= MAX_COLUMNS,
        (f"超过 {MAX_COLUMNS} 列", f"more than {MAX_COLUMNS} columns"),
        ("拆成父子登记册。", "Make a child register."),
    )
    return fields


def _field(key: Item, item: Item, context: Context) -> Field:
    name = parse_name(key, ("字段名", "field name"))
    group = any(member.is_text("group") for member, _value in item.pairs())
    known = [*_FIELD_KEYS, "group"] if group else list(dict.fromkeys(_FIELD_KEYS + _COLUMN_KEYS))
    table = item.table(known, ["label", "class"] if group else ["label", "class", "type"])
    columns = _group(table) if group else (parse_column(name, key, table),)
    merge = cast(Merge, table["merge"].one_of(MERGES, ("合并规则", "merge rule"))) if "merge" in table else "last"
    field = Field(
        name=name,
        label=table["label"].text(40),
        klass=cast(Class, table["class"].one_of(CLASSES, ("公开类别", "class"))),
        columns=columns,
        group=group,
        merge=merge,
        write=_write(table, merge, context),
        resolve=_resolve(table, merge, context),
        required=table.boolean("required"),
        free_text=table.boolean("free_text"),
        help=table.text("help"),
    )
    _check_field(table, field, context)
    return field


def _write(table: Table, merge: Merge, context: Context) -> frozenset[str]:
    if "write" in table:
        return parse_roles(table["write"])
    return context.moves if merge == "state" else context.write


def _resolve(table: Table, merge: Merge, context: Context) -> frozenset[str]:
    if merge == "state" and context.workflow is not None:
        return parse_roles(context.workflow["resolve"])
    if "resolve" in table:
        return parse_roles(table["resolve"])
    if merge == "review":
        table.item.fail(
            ("合并规则 review 缺少 resolve", "merge rule review needs `resolve`"),
            ("写明由谁裁定：resolve: [角色]。", "Say who decides: `resolve: [role]`."),
        )
    return _write(table, merge, context)


def _group(table: Table) -> tuple[Column, ...]:
    columns = []
    for key, item in table["group"].pairs():
        members = item.table(_COLUMN_KEYS, ["label", "type"])
        column = parse_column(key.text(), key, members)
        members["type"].unless(
            column.type in GROUP_TYPES or (column.type == "text" and column.ref is not None),
            ("组内只放代码、引用、数和日期", "a group holds codes, references, numbers and dates"),
            ("把文字另设为一个字段，或加 ref。", "Make the text a field beside it, or add `ref`."),
        )
        columns.append(column)
    table["group"].unless(
        len(columns) > 1, ("组至少有两列", "a group has two columns at least"), ("改为普通字段。", "Use a plain field.")
    )
    return tuple(columns)


def parse_column(name: str, key: Item, table: Table) -> Column:
    """Return the column called *name*; *key* is the place of its name."""
    parse_name(key, ("列名", "column name"))
    key.unless(
        name not in RESERVED_COLUMNS,
        (f"“{name}”是保留的列名", f"{name!r} is a reserved column name"),
        ("换一个列名。", "Choose another name."),
    )
    kind = table["type"].one_of(TYPES, ("类型", "type"))
    _check_options(table, kind)
    default = MAX_LENGTHS.get(kind, 0)
    if kind == "text" and table.boolean("free_text"):
        default = 2000
    return Column(
        name=name,
        label=table["label"].text(40),
        type=kind,
        choices=_choices(table["choices"], kind) if "choices" in table else (),
        max_length=table.integer("max_length", default, 1, LONGEST),
        ref=parse_name(table["ref"], ("登记册名", "register name")) if "ref" in table else None,
        unit=table.text("unit", "", 20),
        help=table.text("help"),
        items=_choices(table["items"], "members") if "items" in table else (),
        least=table["min"].integer(0, MAX_LEAST) if "min" in table else None,
    )


_OPTIONS: Mapping[str, Collection[str]] = {
    "choices": ("code", "integer"),
    "max_length": ("text", "list"),
    "ref": ("text",),
    "items": ("list",),
    "free_text": ("text",),
    "unit": ("integer", "money", "list"),
    "min": ("integer", "money"),
}


def _check_options(table: Table, kind: str) -> None:
    for option, kinds in _OPTIONS.items():
        if option in table and kind not in kinds:
            table[option].fail(
                (f"类型 {kind} 不能有 {option}", f"type {kind} takes no {option}"),
                (f"删去它，或改用类型 {'、'.join(kinds)}。", f"Delete it, or use type {', '.join(kinds)}."),
            )
    table["type"].unless(
        kind != "code" or "choices" in table,
        ("类型 code 缺少 choices", "type code needs `choices`"),
        ("列出代码：choices: {a: 甲}。", "List the codes: `choices: {a: First}`."),
    )


def _choices(item: Item, kind: str) -> tuple[Choice, ...]:
    choices = []
    for key, label in item.pairs():
        code = str(key.integer(0, 10**6)) if kind == "integer" else key.text(200)
        key.unless(
            CODE.fullmatch(code) is not None and (kind != "members" or NAME.fullmatch(code) is not None),
            (f"代码“{code}”不合规", f"bad code {code!r}"),
            ("用英文字母、数字、_ . -；中文写在后面作标签。", "Use ASCII letters, digits, _ . -; the label follows."),
        )
        choices.append(Choice(code, label.text(100)))
    item.unless(
        1 <= len(choices) <= MAX_CHOICES,
        (f"应有 1 到 {MAX_CHOICES} 项", f"1 to {MAX_CHOICES} entries are expected"),
        ("补上，或改为引用另一登记册。", "Add some, or refer to another register."),
    )
    return tuple(choices)


def _check_field(table: Table, field: Field, context: Context) -> None:
    table["class"].unless(
        field.klass in context.read,
        (f"没有写明谁可读 {field.klass}", f"nobody may read class {field.klass}"),
        (f"在 read 中加上 {field.klass}: [角色]。", f"Add `{field.klass}: [role]` to `read`."),
    )
    readers = context.read[field.klass]
    for role in sorted(field.write - readers if EVERYBODY not in readers else ()):
        table.at("write").fail(
            (f"角色“{role}”可写但不可读“{field.name}”", f"role {role!r} may write but not read {field.name!r}"),
            nearest(role, readers),
        )
    for role in sorted(field.resolve - field.write):
        table.at("resolve").fail(
            (f"裁定者“{role}”不可写“{field.name}”", f"role {role!r} resolves but may not write {field.name!r}"),
            ("把它加进 write。", "Add it to `write`."),
        )
    ordered = not field.group and field.columns[0].type in ORDERED_TYPES
    table.at("merge").unless(
        field.merge not in ("max", "min") or ordered,
        (f"{field.merge} 只用于数和日期", f"{field.merge} is for numbers and dates"),
        ("改用 last，或换类型。", "Use `last`, or another type."),
    )
    declared = context.workflow is not None and context.workflow["field"].is_text(field.name)
    table.at("merge").unless(
        (field.merge == "state") == declared,
        ("合并规则 state 与 workflow 须成对", "merge rule state and `workflow` belong together"),
        ("workflow 的 field 写此字段，并用 merge: state。", "Name this field in `workflow`, with `merge: state`."),
    )
