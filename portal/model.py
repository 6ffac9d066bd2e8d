"""What a page is made from: registers, their columns and portal blocks, rows. Values only, no SQL and no Markdown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from portal.errors import PortalError

Cell: TypeAlias = Any  # a SQLite value, or what its JSON text says

PAGE_KINDS = ("row", "list", "none")
SECTION_KINDS = ("text", "list", "steps", "table", "phone")
SHEET_KINDS = ("month", "one", "nearby", "merged")
COMMUNITY = "_community"
MONTH = "_month"
NEWEST = 50  # rows shown of each part of a split register, unless it says otherwise; the rest is a query away


@dataclass(frozen=True, slots=True)
class Column:
    """One public column. `ref`: the register whose key it holds."""

    name: str
    label: str
    type: str
    unit: str = ""
    help: str = ""
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One heading of a row's page.

    Attributes:
        members: those of a list's objects that are shown, with labels, in order.
        diagram: those that a flow chart shows, the step first; none: no chart.
    """

    column: str
    kind: str
    label: str
    members: Mapping[str, str] = field(default_factory=dict)
    diagram: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Nearby:
    """What a community's page shows of a register.

    Attributes:
        columns: of its table; none: no table.
        where: only rows with one of these codes in that column.
        count_by: rows are counted by this code column; "": not.
        area: column with an area code; a row belongs to the communities within its area. "": by `_community`.
        merged: one line for all rows that differ in the last column alone.
    """

    title: str
    columns: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    count_by: str = ""
    area: str = ""
    merged: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a notice-board sheet shows of a register.

    Attributes:
        show: `month` (the community's rows of that month), `one` (each month another row) or `nearby` (as its page).
    """

    title: str
    show: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed step, as the register's workflow declares it."""

    name: str
    sources: tuple[str, ...]
    target: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the `timeline` of a portal block and the workflow say of a matter's way.

    Attributes:
        field: the field whose history is the way. state: its column with the state's code.
        due, unit, reason: its columns with deadline, responsible unit and reason; '' where there is none.
        open, closed: states under way and done. paused: those in which the deadline stands still.
    """

    field: str
    state: str
    due: str
    unit: str
    reason: str
    open: frozenset[str]
    closed: frozenset[str]
    paused: frozenset[str]
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A register's `portal` block.

    Attributes:
        page: `row` (a page for each row), `list` (list pages only) or `none` (only its part of a community's page).
        order: place in the menus, ascending.
        badges: boolean columns that mark a row with their label.
        where: only rows with one of these codes in that column are listed.
        limit: rows shown of each part of a register that is split.
        place: the rows are the places: key a community's code, title its name.
        calendar: `due` and `done`: the dates by which and on which something was made public; none: no calendar.
            `item`: its column with the key in a catalogue, whose items are also due where nothing was published.
        nearby: what a community's page shows of it; None: its newest rows.
        sheet: what a notice-board sheet shows of it; None: nothing.
        review: date column after which a row's content is no longer vouched for; "": none.
        map: what the map shows of it: `outline`, `filter` or `area` with their columns; none: nothing.
        working: the rows are the years of the working calendar.
        headlines: ids of its figures on the first page.
    """

    nav: str
    page: str
    order: int
    title: tuple[str, ...]
    intro: str = ""
    group_by: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    badges: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limit: int = NEWEST
    place: bool = False
    calendar: Mapping[str, str] = field(default_factory=dict)
    nearby: Nearby | None = None
    sheet: Sheet | None = None
    review: str = ""
    map: Mapping[str, Any] = field(default_factory=dict)
    working: bool = False
    headlines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """One transition of a workflow: from one of `sources` (none: from any state) to `target`."""

    name: str
    sources: tuple[str, ...]
    target: str
    roles: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """A register's workflow; `states` in the order in which the register declares them."""

    states: Mapping[str, str]
    moves: tuple[Move, ...]
    closed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Register:
    """One register as public.db describes it.

    Attributes:
        codes: column -> code -> label.
        groups: field -> its columns.
        key_label: what people call the key; '' where the key is a random number that nobody reads.
        paged: it has pages; the others only lend their rows' names.
        present: columns of its table.
        count: its listed rows.
        timeline: how a row comes from report to result; None where the register declares none.
        searched: columns with words that people search for.
    """

    name: str
    label: str
    help: str
    columns: Mapping[str, Column]
    codes: Mapping[str, Mapping[str, str]]
    groups: Mapping[str, tuple[str, ...]]
    key_label: str
    layout: Layout
    paged: bool
    present: frozenset[str]
    count: int
    flow: Flow | None = None
    timeline: Timeline | None = None
    searched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One published row."""

    register: Register
    values: Mapping[str, Cell]

    @property
    def key(self) -> str:
        return str(self.values["key"])

    @property
    def number(self) -> str:
        """What people call this row by: its public number, or its key where that has a meaning."""
        return str(self.values.get("_no") or (self.key if self.register.key_label else ""))

    @property
    def community(self) -> str:
        return str(self.values.get(COMMUNITY) or "")

    @property
    def evidence(self) -> str:
        return str(self.values.get("_evidence") or "")

    @property
    def conflict(self) -> bool:
        return bool(self.values.get("_conflict"))

    @property
    def disputed(self) -> bool:
        """Tell whether a stopped device wrote something here after its last change beyond doubt."""
        return bool(self.values.get("_disputed"))

    def withheld(self, column: str) -> bool:
        """Tell whether the field that *column* belongs to is not disclosed: withheld, or erased."""
        return self._is_among("_withheld", column) or self.erased(column)

    def erased(self, column: str) -> bool:
        """Tell whether the field that *column* belongs to is erased."""
        return self._is_among("_erased", column)

    def _is_among(self, names: str, column: str) -> bool:
        hidden = str(self.values.get(names) or "").split(",")
        return any(column == name or column in self.register.groups.get(name, ()) for name in hidden)


@dataclass(frozen=True, slots=True)
class Step:
    """One published write of the field that holds the state. `value`: None where it is withheld."""

    value: Cell
    received: str
    device: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A published figure; `text` is what every page prints, unchanged."""

    id: str
    register: str
    label: str
    n: int | None
    d: int | None
    text: str
    unit: str
    note: str
    sql_n: str
    sql_d: str
    kind: str = "count"


@dataclass(frozen=True, slots=True)
class Part:
    """A figure over one part of its register: `by` names the columns, `part` their values."""

    figure: str
    by: str
    part: str
    n: int | None
    d: int | None
    text: str

    @property
    def mark(self) -> str:
        """What marks it on a page, so that an auditor can compare it with public.db."""
        return f"{self.figure}/{self.by}/{self.part}"


@dataclass(frozen=True, slots=True)
class Obligation:
    """What had to be made public: an item of a catalogue (its key), where, for which period, and what became of it.

    Attributes:
        source: `rule` (the catalogue says when it is due) or `own` (the act of disclosure itself).
        key: of the act; '' without one.
    """

    item: str
    place: str
    period: str
    source: str
    due: str
    done: str
    state: str
    key: str


@dataclass(frozen=True, slots=True)
class Head:
    """One of the competing values of a conflict."""

    register: str
    key: str
    field: str
    value: Cell
    shown: bool
    received: str


def parse_layout(name: str, label: str, block: Mapping[str, Any]) -> Layout:
    """Return the portal block of register *name*.

    Raises:
        PortalError: a page or section kind that does not exist, or a value of the wrong shape.
    """
    page = block.get("page", "list")
    if page not in PAGE_KINDS:
        raise _bad_block(name, "page", page, PAGE_KINDS)
    return Layout(
        nav=str(block.get("nav") or label),
        page=page,
        order=int(block.get("order", 500)),
        title=_names(block.get("title")) or ("name",),
        intro=str(block.get("intro") or ""),
        group_by=_names(block.get("group_by")),
        summary=_names(block.get("summary")),
        sections=tuple(_section(name, entry) for entry in block.get("sections") or ()),
        badges=_names(block.get("badges")),
        where={column: tuple(codes) for column, codes in (block.get("where") or {}).items()},
        limit=int(block.get("limit", NEWEST)),
        place=bool(block.get("place")),
        calendar=_calendar(name, block.get("calendar") or {}),
        nearby=_nearby(block["community"]) if block.get("community") else None,
        sheet=_sheet(name, block["sheet"]) if block.get("sheet") else None,
        review=str(block.get("review") or ""),
        map=block.get("map") or {},
        working=bool(block.get("working")),
        headlines=tuple(block.get("headlines") or ()),
    )


def parse_timeline(block: Mapping[str, Any], workflow: Mapping[str, Any]) -> Timeline | None:
    """Return the way of a register's rows, from the portal block's `timeline` and the register's workflow."""
    declared = block.get("timeline")
    if not declared or not workflow:
        return None
    return Timeline(
        field=str(workflow.get("field")),
        state=str(workflow.get("state") or workflow.get("field")),
        due=str(declared.get("due") or ""),
        unit=str(declared.get("unit") or ""),
        reason=str(declared.get("reason") or ""),
        open=frozenset(_names(workflow.get("open"))),
        closed=frozenset(_names(workflow.get("closed"))),
        paused=frozenset(_names(declared.get("paused"))),
        transitions=tuple(
            Transition(str(each["name"]), _names(each["from"]), str(each["to"]), frozenset(_names(each.get("roles"))))
            for each in workflow.get("transitions") or ()
        ),
    )


def _nearby(block: Mapping[str, Any]) -> Nearby:
    return Nearby(
        title=str(block.get("title") or ""),
        columns=_names(block.get("columns")),
        where={column: tuple(codes) for column, codes in (block.get("where") or {}).items()},
        count_by=str(block.get("count_by") or ""),
        area=str(block.get("area") or ""),
        merged=bool(block.get("merged")),
    )


def _sheet(name: str, block: Mapping[str, Any]) -> Sheet:
    if block.get("show") not in SHEET_KINDS:
        raise _bad_block(name, "sheet.show", block.get("show"), SHEET_KINDS)
    return Sheet(str(block.get("title") or ""), str(block["show"]), _names(block.get("columns")))


def parse_flow(declared: Mapping[str, Any], codes: Mapping[str, Mapping[str, str]]) -> Flow | None:
    """Return the workflow of a register's text; None where it has none.

    Args:
        codes: column -> code -> label.
    """
    block = declared.get("workflow")
    if not isinstance(block, dict):
        return None
    moves = tuple(
        Move(
            str(entry.get("name") or ""),
            () if entry.get("from") == "any" else _names(entry.get("from")),
            str(entry.get("to") or ""),
            _names(entry.get("roles")),
            _names(entry.get("guards")),
        )
        for entry in block.get("transitions") or ()
        if isinstance(entry, dict)
    )
    return Flow(codes.get(str(block.get("state")), {}), moves, _names(block.get("closed")))


def _section(name: str, entry: Mapping[str, Any]) -> Section:
    kind = entry.get("as", "text")
    if kind not in SECTION_KINDS or "column" not in entry:
        raise _bad_block(name, "sections", kind, SECTION_KINDS)
    return Section(
        str(entry["column"]),
        kind,
        str(entry.get("label") or ""),
        entry.get("members") or {},
        _names(entry.get("diagram")),
    )


def _calendar(name: str, entry: Mapping[str, Any]) -> Mapping[str, str]:
    known = ("due", "done", "formed", "item", "period")
    if entry and not {"due", "done"} <= set(entry) <= set(known):
        raise _bad_block(name, "calendar", sorted(entry), known)
    return {key: str(column) for key, column in entry.items()}


def _names(value: Any) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value)


def _bad_block(name: str, key: str, got: object, known: tuple[str, ...]) -> PortalError:
    return PortalError(
        f"登记册 {name} 的 portal.{key} 写着 {got!r}；可以写：{'、'.join(known)}。请改登记册文件后重新发布",
        f"register {name}: portal.{key} is {got!r}; use one of {', '.join(known)}, then publish again",
    )
