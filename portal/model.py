"""What a page is made from: registers, their columns and portal blocks, rows. Values only, no SQL and no Markdown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from portal.errors import PortalError

Cell: TypeAlias = Any  # a SQLite value, or what its JSON text says

PAGE_KINDS = ("row", "list")
SECTION_KINDS = ("text", "list", "steps", "table", "phone")
COMMUNITY = "_community"
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
    """One heading of a row's page. `members`: those of a list's objects that are shown, with labels, in order."""

    column: str
    kind: str
    label: str
    members: Mapping[str, str] = field(default_factory=dict)


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
        page: `row` (a page for each row) or `list` (list pages only).
        order: place in the menus, ascending.
        badges: boolean columns that mark a row with their label.
        where: only rows with one of these codes in that column are listed.
        limit: rows shown of each part of a register that is split.
        place: the rows are the places: key a community's code, title its name.
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

    def withheld(self, column: str) -> bool:
        """Tell whether the field that *column* belongs to is not disclosed."""
        hidden = str(self.values.get("_withheld") or "").split(",")
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


def _section(name: str, entry: Mapping[str, Any]) -> Section:
    kind = entry.get("as", "text")
    if kind not in SECTION_KINDS or "column" not in entry:
        raise _bad_block(name, "sections", kind, SECTION_KINDS)
    return Section(str(entry["column"]), kind, str(entry.get("label") or ""), entry.get("members") or {})


def _names(value: Any) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(part) for part in value)


def _bad_block(name: str, key: str, got: object, known: tuple[str, ...]) -> PortalError:
    return PortalError(
        f"登记册 {name} 的 portal.{key} 写着 {got!r}；可以写：{'、'.join(known)}。请改登记册文件后重新发布",
        f"register {name}: portal.{key} is {got!r}; use one of {', '.join(known)}, then publish again",
    )
