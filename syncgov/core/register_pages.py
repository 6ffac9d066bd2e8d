"""The figures and the portal block of a register file: what the public sees of it. Source: protocol page, section 9."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal, cast

from syncgov.core.register_model import Column, Field, Figure, Skeleton
from syncgov.core.register_yaml import Item, Table

KINDS = ("count", "rate", "ratio", "duration", "text")
DECIMALS = {"rate": 1, "ratio": 2, "duration": 1}  # where the file says nothing
MAX_SQL = 4000
PAGES = ("row", "list", "none")  # a page for each row, only lists of them, or only its part of a community's page
SECTION_KINDS = ("steps", "list", "table", "text", "phone")
# columns that every published table may have
PUBLISHED_COLUMNS = ("key", "_no", "_community", "_month", "_created", "_updated")

_FIGURE_KEYS = "id label unit kind n d decimals note by of".split()
_PORTAL_KEYS = (
    "nav page order intro title group_by summary sections badges where limit place community sheet review "
    "calendar open311 timeline map working schedule counts sensitive headlines"
).split()
_PERIODS = ("month", "quarter")  # what comes again; beside `once`, and `case`: each time something was formed
_MAX_WITHIN = 250  # working days: about a year
# what GeoReport asks for -> types of the columns that may say it
_OPEN311: Mapping[str, tuple[str, ...]] = {
    "service": ("code",),
    "description": ("text",),
    "notes": ("text",),
    "agency": ("text", "code"),
    "expected": ("date", "datetime"),
    "lat": ("coordinate",),
    "long": ("coordinate",),
}
# rows of the month; each month another row; those of the community's page; these, with one line for all rows that
# differ in the last column alone
SHEET_KINDS = ("month", "one", "nearby", "merged")
_COMMUNITY_KEYS = "title columns where count_by area merged".split()
_MAP_ROLES = ("outline", "filter", "area")  # a register has one of them
MAX_FILTERS = 2  # of the map: the page counts each pair of codes
# tables that a figure may be broken down over instead of its register's -> columns to break down by
DERIVED: Mapping[str, tuple[str, ...]] = {"obligation": ("_community", "_month")}
MAX_TOGETHER = 2  # columns of one breakdown; more make tables that nobody reads
_STEP_COLUMNS = ("due", "unit", "reason")
_COLUMN = ("公开列", "public column")
_SELECT = re.compile(r"select\s", re.IGNORECASE)
_ID = re.compile(r"[a-z][a-z0-9_]{0,62}")


def parse_figures(items: Collection[Item], fields: Collection[Field], skeleton: Skeleton | None) -> tuple[Figure, ...]:
    """Return the figures of a list; a breakdown is by public codes of *fields*, or by community and month."""
    parts = [c.name for field in fields if field.klass == "public" for c in field.columns if c.choices]
    parts += list(skeleton.sources()) if skeleton is not None else []
    figures: list[Figure] = []
    for item in items:
        table = item.table(_FIGURE_KEYS, ["id", "label", "kind", "n"])
        of = table["of"].one_of(DERIVED, ("表", "table")) if "of" in table else ""
        known = DERIVED[of] if of else parts
        figure = replace(_figure(table), by=tuple(_breakdown(each, known) for each in table.items("by")), of=of)
        table["id"].unless(
            _ID.fullmatch(figure.id) is not None and figure.id not in {other.id for other in figures},
            (f"指标编号“{figure.id}”不合规或重复", f"figure id {figure.id!r} is malformed or repeated"),
            ("用小写字母、数字和下划线，各不相同。", "Use lower-case letters, digits and _, each id once."),
        )
        figures.append(figure)
    return tuple(figures)


def _breakdown(item: Item, parts: Collection[str]) -> tuple[str, ...]:
    """Return the columns of one breakdown."""
    names = tuple(each.one_of(parts, ("分组列", "column to break down by")) for each in _one_or_more(item))
    item.unless(
        1 <= len(names) <= MAX_TOGETHER and len(set(names)) == len(names),
        ("一次按一列或两列分组，列不重复", "a breakdown is by one column or by two different ones"),
        ("写成 category 或 [_community, _month]。", "Write category, or [_community, _month]."),
    )
    return names


def _figure(table: Table) -> Figure:
    kind = cast(
        Literal["count", "rate", "ratio", "duration", "text"],
        table["kind"].one_of(KINDS, ("指标类型", "kind of figure")),
    )
    divided = kind in DECIMALS
    table.at("d").unless(
        divided == ("d" in table),
        (
            "rate、ratio、duration 要有分母 d，其他没有",
            "rate, ratio and duration have a divisor d, the others have none",
        ),
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


def parse_portal(item: Item, fields: Collection[Field], figures: Collection[Figure] = ()) -> dict[str, Any]:
    """Return the portal block as plain JSON values; all columns that it names are published.

    `nav`: name in the menu, `order`: place there; `page`: row, list or none; `intro`: text above the list; `title`,
    `group_by`, `summary`: columns; `badges`: boolean columns whose label marks a row; `where`: column -> codes, only
    such rows are listed; `limit`: rows shown of each part of a long list; `place`: the keys are the codes that other
    registers have as community; `timeline`: columns of the workflow's field that say `due`, `unit` and `reason` of a
    step, and the states in which the deadline is `paused`; `sections`: parts of a row's page, `{column, as, label,
    members, diagram}`, with the members of a list's objects and their labels, and those that a flow chart of the steps
    shows; `community`: what a community's page shows of the register, see `_community`; `sheet`: what a notice-board
    sheet shows of it, `{title, show, columns}`; `review`: the date column after which nobody vouches for a row's
    content any more; `calendar`: `{due, done, formed, item, period}`, see `_calendar`; `schedule`: of a catalogue, see
    `_schedule`; `working`: `{worked, free, hours}`, the lists of a working calendar whose keys are years; `counts`:
    of a register that is not published, see `_counts`; `sensitive`: see `_sensitive`; `open311`:
    `{service, closed: {column: codes}, …}`, the columns from which GeoReport requests are made; `map`: see `_map`;
    `headlines`: ids of *figures* that the first page shows.
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
    if "calendar" in table:
        portal["calendar"] = _calendar(table["calendar"], columns)
    if "schedule" in table:
        portal["schedule"] = _schedule(table["schedule"], columns)
    if "sensitive" in table:
        portal["sensitive"] = _sensitive(table["sensitive"], fields)
    if "counts" in table:
        portal["counts"] = _counts(table.items("counts"), fields)
    if "working" in table:
        lists = table["working"].table(("worked", "free", "hours"), ("worked", "free", "hours"))
        portal["working"] = {name: _typed(lists[name], columns, "list") for name in ("worked", "free", "hours")}
    if "open311" in table:
        portal["open311"] = _open311(table["open311"], columns)
    if "community" in table:
        portal["community"] = _community(table["community"], columns, known)
    if "sheet" in table:
        portal["sheet"] = _sheet(table["sheet"], columns, known)
    if "headlines" in table:
        ids = [figure.id for figure in figures]
        portal["headlines"] = [each.one_of(ids, ("指标", "figure")) for each in table.items("headlines")]
    if "review" in table:
        portal["review"] = _typed(table["review"], columns, "date")
    if "map" in table:
        portal["map"] = _map(table["map"], columns, known, place=portal["place"])
    return portal


def _map(item: Item, columns: Mapping[str, Column], known: Collection[str], *, place: bool) -> dict[str, Any]:
    """Return what the map shows of a register; it never shows more than its public columns.

    Of the register of places `outline`: a text column with the area as GeoJSON (`Polygon` or `MultiPolygon`). Of a
    register of matters `filter`: one or two code columns; its rows belong to their community, and stand at a point too
    if `lat` and `long` name columns. Of other registers `area`, a column with the key of a place, and the `columns`
    that are told of it.
    """
    table = item.table((*_MAP_ROLES, "lat", "long", "columns"), ())
    roles = [name for name in _MAP_ROLES if name in table]
    item.unless(
        len(roles) == 1 and (roles == ["outline"]) == place,
        ("map 应写 outline（只用于 place: true）、filter、area 中的一个", "`map` has one of outline (of places only), "
         "filter, area"),
        ("写成 map: {filter: [状态列]}。", "Write `map: {filter: [column]}`."),
    )  # fmt: skip
    if place:
        return {"outline": _typed(table["outline"], columns, "text")}
    if "area" in table:
        told = [_shown(each, columns, known) for each in table.items("columns")]
        return {"area": table["area"].one_of(columns, _COLUMN), "columns": told}
    filters = [_typed(each, columns, "code") for each in _one_or_more(table["filter"])]
    table["filter"].unless(
        1 <= len(filters) <= MAX_FILTERS,
        (f"filter 应写一到 {MAX_FILTERS} 列", f"`filter` takes one to {MAX_FILTERS} columns"),
        ("删去多余的列。", "Delete the others."),
    )
    at = {name: _typed(table[name], columns, "coordinate") for name in ("lat", "long") if name in table}
    item.unless(len(at) != 1, ("lat 与 long 须成对", "`lat` and `long` belong together"), ("补上。", "Add the other."))
    return {"filter": filters, **at}


def _shown(item: Item, columns: Mapping[str, Column], known: Collection[str]) -> str:
    """Return a column that a table shows, or `column.other`: what the row that *column* refers to has in `other`."""
    name, dot, other = item.text().partition(".")
    if not dot:
        return item.one_of(known, _COLUMN)
    item.unless(
        name in columns and columns[name].ref is not None and _ID.fullmatch(other) is not None,
        (f"“{name}”不是引用别的登记册的列", f"{name!r} is not a column that refers to a register"),
        ("写成 引用列.那边的列。", "Write `column.column of the other register`."),
    )
    return f"{name}.{other}"


def _calendar(item: Item, columns: Mapping[str, Column]) -> dict[str, str]:
    """Return the dates `due`, `done` and `formed`, the catalogue's `item` and the `period` of an act."""
    table = item.table(("due", "done", "formed", "item", "period"), ("due", "done"))
    found = {name: _typed(table[name], columns, "date") for name in ("due", "done", "formed") if name in table}
    found |= {name: _typed(table[name], columns, "text") for name in ("item", "period") if name in table}
    if "item" in found:
        table["item"].unless(
            columns[found["item"]].ref is not None,
            (f"列“{found['item']}”没有指向公开目录", f"column {found['item']!r} refers to no catalogue"),
            ("写上 ref: 目录登记册。", "Give it `ref: catalogue`."),
        )
    return found


def _sensitive(item: Item, fields: Collection[Field]) -> dict[str, str]:
    """Return the code column whose codes may be sensitive, the register that lists the codes, and its flag.

    The column is a public field of its own that no merge rule depends on: its writes can be withheld.
    """
    table = item.table(("column", "listed", "flag"), ("column", "listed", "flag"))
    own = {f.name: f.columns[0] for f in fields if f.klass == "public" and not f.group and f.merge != "state"}
    return {
        "column": _typed(table["column"], own, "code"),
        "listed": table["listed"].text(60),
        "flag": table["flag"].text(60),
    }


def _counts(items: Collection[Item], fields: Collection[Field]) -> list[dict[str, Any]]:
    """Return what the centre counts over rows that are not published: `{id, label, unit, sum: column, where}`."""
    columns = {c.name: c for field in fields if field.klass != "private" for c in field.columns}
    found: list[dict[str, Any]] = []
    for item in items:
        table = item.table(("id", "label", "unit", "sum", "where"), ("id", "label"))
        name = table["id"].text(60)
        table["id"].unless(
            _ID.fullmatch(name) is not None and name not in {each["id"] for each in found},
            (f"合计编号“{name}”不合规或重复", f"count id {name!r} is malformed or repeated"),
            ("用小写字母、数字和下划线，各不相同。", "Use lower-case letters, digits and _, each id once."),
        )
        found.append({"id": name, "label": table["label"].text(40), "unit": table.text("unit", "", 20)})
        found[-1]["sum"] = _typed(table["sum"], columns, "integer") if "sum" in table else ""
        found[-1]["where"] = _where(table["where"], columns) if "where" in table else {}
    return found


def _schedule(item: Item, columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return how often items of a catalogue are due: `rule`: code column, `level`: text column, `rules`: by code.

    A rule: `{every: month or quarter, after: months after its end, day}`, `{every: once, within: working days}`, or
    `{every: case, within: working days}` after something was formed. What is due when nobody can tell has no rule.
    """
    table = item.table(("rule", "level", "rules"), ("rule", "rules"))
    found: dict[str, Any] = {"rule": _typed(table["rule"], columns, "code")}
    if "level" in table:
        found["level"] = _typed(table["level"], columns, "text")
    codes = [choice.code for choice in columns[found["rule"]].choices]
    found["rules"] = {key.one_of(codes, ("代码", "code")): _rule(value) for key, value in table["rules"].pairs()}
    return found


def _rule(item: Item) -> dict[str, Any]:
    table = item.table(("every", "after", "day", "within"), ("every",))
    every = table["every"].one_of((*_PERIODS, "once", "case"), ("周期", "period"))
    if every in _PERIODS:
        table = item.table(("every", "after", "day"), ("every", "after", "day"))
        return {"every": every, "after": table["after"].integer(0, 12), "day": table["day"].integer(1, 31)}
    table = item.table(("every", "within"), ("every", "within"))
    return {"every": every, "within": table["within"].integer(1, _MAX_WITHIN)}


def _community(item: Item, columns: Mapping[str, Column], known: Collection[str]) -> dict[str, Any]:
    """Return what a community's page shows of a register.

    `title`; `columns` of the table; `where` as above; `count_by`: a code column, rows are counted by it; `area`: a
    column with an area code, where rows of wider areas belong to all communities within them; `merged`: one line for
    all rows that differ in the last column alone.
    """
    table = item.table(_COMMUNITY_KEYS, ["title"])
    block: dict[str, Any] = {
        "title": table["title"].text(20),
        "columns": [_shown(each, columns, known) for each in table.items("columns")],
        "where": _where(table["where"], columns) if "where" in table else {},
    }
    if "merged" in table:
        block["merged"] = table.boolean("merged")
    if "count_by" in table:
        block["count_by"] = _typed(table["count_by"], columns, "code")
    if "area" in table:
        block["area"] = _typed(table["area"], columns, "text")
    return block


def _sheet(item: Item, columns: Mapping[str, Column], known: Collection[str]) -> dict[str, Any]:
    table = item.table(("title", "show", "columns"), ("title", "show", "columns"))
    return {
        "title": table["title"].text(20),
        "show": table["show"].one_of(SHEET_KINDS, ("公示栏内容", "content of a sheet")),
        "columns": [_shown(each, columns, known) for each in table.items("columns")],
    }


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


def _open311(item: Item, columns: Mapping[str, Column]) -> dict[str, Any]:
    table = item.table((*_OPEN311, "closed"), ("service", "closed"))
    closed = _where(table["closed"], columns)
    table["closed"].unless(
        len(closed) == 1,
        ("closed 应写一列和它的代码", "`closed` takes one column with its codes"),
        ("写成 closed: {列名: [代码]}。", "Write `closed: {column: [code]}`."),
    )
    found: dict[str, Any] = {"closed": closed}
    for name, types in _OPEN311.items():
        if name in table:
            column = columns[table[name].one_of(columns, _COLUMN)]
            table[name].unless(
                column.type in types,
                (f"列“{column.name}”的类型不能作 {name}", f"column {column.name!r} cannot be {name}"),
                (f"换一个 {'、'.join(types)} 列。", f"Take a column of type {', '.join(types)}."),
            )
            found[name] = column.name
    return found


def _where(item: Item, columns: Mapping[str, Column]) -> dict[str, list[str]]:
    where = {}
    for key, values in item.pairs():
        column = columns[_typed(key, columns, "code")]
        codes = [choice.code for choice in column.choices]
        where[column.name] = [each.one_of(codes, ("代码", "code")) for each in values.items()]
    return where


def _section(item: Item, columns: Mapping[str, Column]) -> dict[str, Any]:
    table = item.table(("column", "as", "label", "members", "diagram"), ("column", "as"))
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
    if "diagram" in table:
        section["diagram"] = [each.one_of(labels, ("成员", "member")) for each in table.items("diagram")]
    return section | ({"members": {name: labels[name] for name in wanted}} if labels else {})
