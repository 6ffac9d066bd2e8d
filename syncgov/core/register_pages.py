"""The figures and the portal block of a register file: what the public sees of it. Source: protocol page, section 9."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal, cast

from syncgov.core.register_model import Column, Field, Figure
from syncgov.core.register_yaml import Item, Table

KINDS = ("count", "rate", "ratio", "text")
DECIMALS = {"rate": 1, "ratio": 2}  # where the file says nothing
MAX_SQL = 4000
PAGES = ("row", "list")  # a page for each row, or only lists of them
SECTION_KINDS = ("steps", "list", "table", "text", "phone")
# columns that every published table may have
PUBLISHED_COLUMNS = ("key", "_no", "_community", "_month", "_created", "_updated")

_FIGURE_KEYS = "id label unit kind n d decimals note".split()
_PORTAL_KEYS = "nav page order intro title group_by summary sections badges where limit place timeline".split()
_STEP_COLUMNS = ("due", "unit", "reason")
_COLUMN = ("公开列", "public column")
_SELECT = re.compile(r"select\s", re.IGNORECASE)
_ID = re.compile(r"[a-z][a-z0-9_]{0,62}")


def parse_figures(items: Collection[Item]) -> tuple[Figure, ...]:
    """Return the figures of a list."""
    figures: list[Figure] = []
    for item in items:
        table = item.table(_FIGURE_KEYS, ["id", "label", "kind", "n"])
        figure = _figure(table)
        table["id"].unless(
            _ID.fullmatch(figure.id) is not None and figure.id not in {other.id for other in figures},
            (f"指标编号“{figure.id}”不合规或重复", f"figure id {figure.id!r} is malformed or repeated"),
            ("用小写字母、数字和下划线，各不相同。", "Use lower-case letters, digits and _, each id once."),
        )
        figures.append(figure)
    return tuple(figures)


def _figure(table: Table) -> Figure:
    kind = cast(Literal["count", "rate", "ratio", "text"], table["kind"].one_of(KINDS, ("指标类型", "kind of figure")))
    divided = kind in DECIMALS
    table.at("d").unless(
        divided == ("d" in table),
        ("rate、ratio 要有分母 d，其他没有", "rate and ratio have a divisor d, the others have none"),
        ("补上或删去 d。", "Add or delete `d`."),
    )
    table.at("decimals").unless(
        divided or "decimals" not in table,
        (f"{kind} 没有小数位", f"{kind} has no decimals"),
        ("删去 decimals。", "Delete `decimals`."),
    )
    return Figure(
        id=table["id"].text(),
        label=table["label"].text(60),
        unit=table.text("unit", "", 20),
        kind=kind,
        n=_sql(table["n"]),
        d=_sql(table["d"]) if divided else "",
        decimals=table.integer("decimals", DECIMALS.get(kind, 0), 0, 6),
        note=table.text("note"),
    )


def _sql(item: Item) -> str:
    sql = item.text(MAX_SQL).strip()
    item.unless(
        _SELECT.match(sql) is not None and ";" not in sql,
        ("应是一条 SELECT 语句，不含分号", "one SELECT statement without semicolon is expected"),
        ("写成 SELECT count(*) FROM …。", "Write SELECT count(*) FROM …."),
    )
    return sql


def parse_portal(item: Item, fields: Collection[Field]) -> dict[str, Any]:
    """Return the portal block as plain JSON values; all columns that it names are published.

    `nav`: name in the menu, `order`: place there; `page`: row or list; `intro`: text above the list; `title`,
    `group_by`, `summary`: columns; `badges`: boolean columns whose label marks a row; `where`: column -> codes, only
    such rows are listed; `limit`: rows shown of each part of a long list; `place`: the keys are the codes that other
    registers have as community; `timeline`: columns of the workflow's field that say `due`, `unit` and `reason` of a
    step, and the states in which the deadline is `paused`; `sections`: parts of a row's page, `{column, as, label,
    members}`, with the members of a list's objects and their labels.
    """
    table = item.table(_PORTAL_KEYS, ["nav", "page"])
    columns = {c.name: c for field in fields if field.klass == "public" for c in field.columns}
    known = [*columns, *PUBLISHED_COLUMNS]
    portal: dict[str, Any] = {
        "nav": table["nav"].text(20),
        "page": table["page"].one_of(PAGES, ("页面形式", "kind of page")),
        "order": table.integer("order", 500, 0, 999),
        "place": table.boolean("place"),
    }
    table.item.unless(
        portal["page"] != "row" or "title" in table,
        ("每行一页须有 title", "a page for each row needs `title`"),
        ("写明作标题的列：title: 列名。", "Name the column that is the title: `title: column`."),
    )
    for name in ("title", "group_by", "summary"):
        if name in table:
            portal[name] = [each.one_of(known, _COLUMN) for each in _one_or_more(table[name])]
    if "intro" in table:
        portal["intro"] = table["intro"].text(2000)
    if "limit" in table:
        portal["limit"] = table["limit"].integer(1, 10_000)
    portal["badges"] = [_typed(each, columns, "boolean") for each in table.items("badges")]
    portal["where"] = _where(table["where"], columns) if "where" in table else {}
    portal["sections"] = [_section(each, columns) for each in table.items("sections")]
    if "timeline" in table:
        portal["timeline"] = _timeline(table["timeline"], fields)
    return portal


def _timeline(item: Item, fields: Collection[Field]) -> dict[str, Any]:
    """Return the columns and codes of a timeline; all belong to the public field that the workflow moves."""
    steps = [field for field in fields if field.merge == "state" and field.klass == "public"]
    item.unless(
        bool(steps),
        ("没有公开的办理进度，就没有时间线", "there is no timeline without a public field that a workflow moves"),
        ("删去 timeline。", "Delete `timeline`."),
    )
    columns = {column.name: column for column in steps[0].columns}
    table = item.table(("due", "unit", "reason", "paused"), ())
    found: dict[str, Any] = {
        name: table[name].one_of(columns, ("办理进度的列", "column of the step"))
        for name in _STEP_COLUMNS
        if name in table
    }
    codes = [choice.code for column in columns.values() for choice in column.choices]
    if "paused" in table:
        found["paused"] = [each.one_of(codes, ("状态", "state")) for each in table["paused"].items()]
    if "due" in found:
        table["due"].unless(
            columns[found["due"]].type == "date",
            (f"列“{found['due']}”不是日期", f"column {found['due']!r} is not a date"),
            ("换一个日期列。", "Take a column of type date."),
        )
    return found


def _one_or_more(item: Item) -> tuple[Item, ...]:
    return (item,) if item.is_scalar() else item.items()


def _typed(item: Item, columns: Mapping[str, Column], kind: str) -> str:
    name = item.one_of(columns, _COLUMN)
    item.unless(
        columns[name].type == kind,
        (f"列“{name}”不是 {kind}", f"column {name!r} is not of type {kind}"),
        (f"换一个 {kind} 列。", f"Take a {kind} column."),
    )
    return name


def _where(item: Item, columns: Mapping[str, Column]) -> dict[str, list[str]]:
    where = {}
    for key, values in item.pairs():
        column = columns[_typed(key, columns, "code")]
        codes = [choice.code for choice in column.choices]
        where[column.name] = [each.one_of(codes, ("代码", "code")) for each in values.items()]
    return where


def _section(item: Item, columns: Mapping[str, Column]) -> dict[str, Any]:
    table = item.table(("column", "as", "label", "members"), ("column", "as"))
    column = columns[table["column"].one_of(columns, _COLUMN)]
    kind = table["as"].one_of(SECTION_KINDS, ("显示方式", "way to show"))
    table["as"].unless(
        (kind in ("steps", "list", "table")) == (column.type == "list"),
        (f"列“{column.name}”的类型不能显示为 {kind}", f"column {column.name!r} cannot be shown as {kind}"),
        ("列表用 steps、list、table，其他用 text、phone。", "Lists: steps, list, table; others: text, phone."),
    )
    section: dict[str, Any] = {"column": column.name, "as": kind, "label": table.text("label", column.label, 40)}
    labels = {each.code: each.label for each in column.items}
    wanted = [each.one_of(labels, ("成员", "member")) for each in table.items("members")] or list(labels)
    return section | ({"members": {name: labels[name] for name in wanted}} if labels else {})
