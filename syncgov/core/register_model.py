"""What a register declares, as values. Source: protocol page, sections 7, 9 and 12."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Literal

from syncgov.core import values
from syncgov.core.attachment import Attachment
from syncgov.core.commitment import Value
from syncgov.core.workflow import Workflow
from syncgov.errors import InputError

Class = Literal["public", "internal", "private"]
Merge = Literal["last", "max", "min", "state", "review"]

EVERYBODY = "*"
REGISTRAR = "registrar"  # the role of the devices that the charter names
MONTH_LENGTH = len("2026-11")
ABSENT = "—"  # a figure that cannot be computed
HOUR = 3600  # seconds: durations are counted in seconds and shown in hours


@dataclass(frozen=True, slots=True)
class Choice:
    """One allowed code (of an integer: its decimal digits) and what people call it."""

    code: str
    label: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        type: text integer money coordinate boolean date datetime code list hash.
        max_length: of a text its code points, of a list its items.
        ref: the register whose keys it holds.
        items: members that objects in a list may have; none: the list holds anything short.
        least: the smallest number allowed.
    """

    name: str
    label: str
    type: str
    choices: tuple[Choice, ...] = ()
    max_length: int = 200
    ref: str | None = None
    unit: str = ""
    help: str = ""
    items: tuple[Choice, ...] = ()
    least: int | None = None

    def check(self, value: Value) -> None:
        """Return if *value* may stand in this column; None always may.

        Raises:
            InputError: names the column and what is expected.
        """
        if value is None:
            return
        problem = values.problem(self.type, value, self.max_length)
        if problem is None and self.choices and str(value) not in {choice.code for choice in self.choices}:
            allowed = "、".join(choice.code for choice in self.choices)
            problem = (f"应是以下之一：{allowed}", f"must be one of {allowed}")
        if problem is None and self.least is not None and isinstance(value, int) and value < self.least:
            problem = (f"不能小于 {self.least}", f"must not be less than {self.least}")
        if problem is None and self.items and isinstance(value, list):
            problem = values.object_problem(value, {item.code for item in self.items})
        if problem is not None:
            raise InputError(f"“{self.label}”（{self.name}）{problem[0]}", f"column {self.name} {problem[1]}")


@dataclass(frozen=True, slots=True)
class Field:
    """What is written, committed and merged as one: a column, or a group of columns.

    Attributes:
        columns: one column of the field's own name, unless `group`.
        write: roles that may write it; each may also read it.
        resolve: roles that may decide between simultaneous values.
    """

    name: str
    label: str
    klass: Class
    columns: tuple[Column, ...]
    group: bool = False
    merge: Merge = "last"
    write: frozenset[str] = frozenset()
    resolve: frozenset[str] = frozenset()
    required: bool = False
    free_text: bool = False
    help: str = ""

    def value(self, row: Mapping[str, Value]) -> Value:
        """Return the field's value in *row* (column name -> value); a group without any value is None."""
        if not self.group:
            return row.get(self.name)
        found = {column.name: row.get(column.name) for column in self.columns}
        return None if all(value is None for value in found.values()) else found

    def columns_of(self, value: Value) -> dict[str, Value]:
        """Return column name -> value for all columns of the field; the inverse of `value`."""
        if not self.group:
            return {self.name: value}
        found = value if isinstance(value, dict) else {}
        return {column.name: found.get(column.name) for column in self.columns}

    def check(self, value: Value) -> None:
        """Return if *value* may be written to this field; None may (whether it may stay empty, `required` says).

        Raises:
            InputError: a value of the wrong type, a group without exactly its columns, or with none filled.
        """
        if not self.group:
            self.columns[0].check(value)
        elif value is not None:
            if not isinstance(value, dict) or set(value) != {column.name for column in self.columns}:
                names = "、".join(column.name for column in self.columns)
                raise InputError(f"“{self.label}”须有各栏：{names}", f"field {self.name} must have exactly {names}")
            if self.value(value) is None:
                raise InputError(f"“{self.label}”各栏全空，应写 null", f"field {self.name} is empty; write null")
            for column in self.columns:
                column.check(value[column.name])


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The public part of every row: presence, and where declared its community and month.

    `_community` is the first `prefix` characters of column `community`, `_month` the first 7 of column `month`.
    """

    community: str | None
    prefix: int
    month: str | None

    def sources(self) -> dict[str, tuple[str, int]]:
        """Return skeleton field -> (column, characters), of the fields that are declared."""
        wanted = (("_community", self.community, self.prefix), ("_month", self.month, MONTH_LENGTH))
        return {name: (column, size) for name, column, size in wanted if column is not None}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that the public sees, by SQL over the published tables.

    Attributes:
        kind: `count` (n), `rate` (n/d in percent, shown with n/d), `ratio` (n/d), `duration` (n seconds in hours, shown
            with the number d of the cases that it is of), `text` (n).
        n, d: SELECT statements that give one value.
        decimals: of a rate, a ratio or a duration.
        by: columns of the register's table, alone or several together, by whose values the figure is also given.
        of: the derived table that `by` breaks down instead of the register's; "": the register's.
    """

    id: str
    label: str
    unit: str
    kind: Literal["count", "rate", "ratio", "duration", "text"]
    n: str
    d: str = ""
    decimals: int = 0
    note: str = ""
    by: tuple[tuple[str, ...], ...] = ()
    of: str = ""

    def format(self, n: int | str | None, d: int | None = None) -> str:
        """Return the text that shows this figure, rounded half up: `96.6% (544/563)`, `7.5 (n=544)`; without d `—`."""
        if n is None:
            return ABSENT
        if self.kind in ("count", "text"):
            return str(n)
        if not d or not isinstance(n, int):
            return ABSENT
        if self.kind == "ratio":
            return _half_up(n, d, self.decimals)
        if self.kind == "duration":
            return f"{_half_up(n, HOUR, self.decimals)} (n={d})"
        return f"{_half_up(100 * n, d, self.decimals)}% ({n}/{d})"


def _half_up(n: int, d: int, decimals: int) -> str:
    sign = "-" if (n < 0) != (d < 0) and n else ""
    scaled = (2 * abs(n) * 10**decimals + abs(d)) // (2 * abs(d))
    whole, rest = divmod(scaled, 10**decimals)
    return f"{sign}{whole}.{rest:0{decimals}d}" if decimals else f"{sign}{whole}"


@dataclass(frozen=True, slots=True)
class Register:
    """The declaration of one kind of record; one table.

    Attributes:
        key: `uuid` (devices make rows) or `natural` (the registrar does).
        parent: column with the key of the row of `parent_register` that this row belongs to; that row's area counts.
        area: column with the area code; neither parent nor area: every device gets the rows.
        owner: column with the key of the responsible unit: its devices get the record too, wherever it lies.
        write: roles that may make and delete rows, and write fields that say nothing else.
        read: class -> roles that may read it (`*`: everybody).
        portal: how its page looks: plain JSON values.
        text: the YAML itself, which is what the log holds.
        number: whether rows get a public number from community, date and ordinal.
        attachment: which columns describe a file, if each row stands for one.
        file: where the text was read from; only for messages.
    """

    name: str
    version: int
    label: str
    help: str
    system: bool
    key: Literal["uuid", "natural"]
    key_label: str
    parent: str | None
    parent_register: str | None
    area: str | None
    skeleton: Skeleton | None
    immutable: bool
    write: frozenset[str]
    read: Mapping[str, frozenset[str]] = attribute(compare=False)
    fields: tuple[Field, ...]
    workflow: Workflow | None = attribute(compare=False)
    figures: tuple[Figure, ...]
    portal: Mapping[str, Any] = attribute(compare=False)
    text: str
    number: bool = False
    owner: str | None = None
    file: str = attribute(default="", compare=False)
    attachment: Attachment | None = attribute(default=None, compare=False)
    _fields: Mapping[str, Field] = attribute(init=False, repr=False, compare=False)
    _by_column: Mapping[str, Field] = attribute(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_fields", {f.name: f for f in self.fields})
        object.__setattr__(self, "_by_column", {c.name: f for f in self.fields for c in f.columns})

    def field(self, name: str) -> Field:
        """Return the field called *name*; KeyError if there is none."""
        return self._fields[name]

    def find(self, name: str) -> Field | None:
        """Return the field called *name*, or None."""
        return self._fields.get(name)

    def class_of(self, name: str) -> Class:
        """Return the class of a field or, for a name that begins with `_`, of that part of the skeleton."""
        return self.row_class if name.startswith("_") else self._fields[name].klass

    def column_field(self, column: str) -> Field:
        """Return the field that the column called *column* belongs to; KeyError if there is none."""
        return self._by_column[column]

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in the order of the declaration."""
        return tuple(column for each in self.fields for column in each.columns)

    @property
    def outline(self) -> str | None:
        """The column with the outline of an area, which has numbers but no words; None where there is none."""
        found = self.portal.get("map", {}).get("outline")
        return found if isinstance(found, str) else None

    @property
    def digest(self) -> bytes:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).digest()

    @property
    def row_class(self) -> Class:
        """The class of `_alive`: public with a skeleton, otherwise internal."""
        return "internal" if self.skeleton is None else "public"

    @property
    def writers(self) -> frozenset[str]:
        """Every role that may write anything in a row, hence also its presence."""
        return self.write.union(*(each.write for each in self.fields))

    def may_read(self, roles: Collection[str], klass: str) -> bool:
        """Return whether one of *roles* may read fields of class *klass*."""
        readers = self.read.get(klass, frozenset())
        return EVERYBODY in readers or not readers.isdisjoint(roles)

    def may_withhold(self, name: str) -> bool:
        """Return whether writes of the public field *name* may be withheld: free text, and a code that is sensitive."""
        field = self._fields.get(name)
        if field is None or field.klass != "public":
            return False
        return field.free_text or name == (self.portal.get("sensitive") or {}).get("column")

    def readable(self, roles: Collection[str]) -> tuple[Field, ...]:
        """Return the fields that one of *roles* may read."""
        return tuple(each for each in self.fields if self.may_read(roles, each.klass))
