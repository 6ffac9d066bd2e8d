"""What a verdict may look at: certificates, areas, earlier changesets. Source: protocol page, sections 8 and 11.

The centre answers from SQLite, the audit from memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from syncgov.core.charter import Charter
from syncgov.core.commitment import Body, Dot
from syncgov.core.fold import FoldWrite
from syncgov.core.merge import Head, HeadValue
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import REGISTRAR
from syncgov.core.statement import Statement
from syncgov.core.succession import Charters

DAY_MS = 86_400_000
_FOREVER = 2**53  # later than any `received`
RowKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the log says about a device. Times are ms UTC by `received`; `since` is when this version was received.

    `areas` are code prefixes; `units` the keys of the responsible units whose records it handles, wherever they are.
    """

    dev: str
    public_key: bytes
    roles: frozenset[str]
    areas: tuple[str, ...]
    valid_from: int
    valid_to: int
    staff: tuple[str, ...] | None  # None: not disclosed
    revoked: bool
    since: int
    units: tuple[str, ...] = ()


def registrar_certificate(dev: str, public: bytes, *, revoked: bool = False) -> Certificate:
    """Return what a charter says about a device that it names as registrar; *revoked* if a later one does not."""
    return Certificate(dev, public, frozenset({REGISTRAR}), ("",), 0, _FOREVER, (), revoked, 0)


@dataclass(frozen=True, slots=True)
class StaffKey:
    """What the log says about a person's key. Times as in `Certificate`.

    Attributes:
        person: whose it is; None: not disclosed. `ended`: why it counts no more, empty while it does.
    """

    key_id: str
    public_key: bytes
    valid_from: int
    valid_to: int
    person: str | None
    ended: str
    since: int


class Area(NamedTuple):
    """An area code; not *exact* when only the public community is known and the real code is below it."""

    code: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Logged:
    """A changeset that is in the log, as far as its body is known."""

    index: int
    accepted: bool
    effective: tuple[int, int]
    statement: Statement
    body: Body
    erased: tuple[FoldWrite, ...] = ()  # what the log says of its writes that are erased

    def find(self, path: str) -> FoldWrite | None:
        """Return the write to *path*, disclosed or erased; None if it is not known."""
        write = self.body.find(path)
        if write is not None:
            return FoldWrite(*write)
        return next((one for one in self.erased if one.path == path), None)

    @property
    def whole(self) -> bool:
        """Whether every write is disclosed or known to be erased."""
        return sum(write is None for write in self.body.writes) == len(self.erased)


class Ledger(Protocol):
    """What a verdict may look at. The centre answers from SQLite, the audit from memory."""

    @property
    def charter(self) -> Charter:
        """The charter in force now."""
        ...

    @property
    def charters(self) -> Charters:
        """All charters so far, by position."""
        ...

    def seen_size(self, st: Statement) -> int:
        """The size that the statement's `seen` counts for; less than it says only where a log was closed."""
        ...

    def certificate(self, dev: str, size: int) -> Certificate | None:
        """The device's certificate as the leaves below *size* say."""
        ...

    def staff_key(self, key_id: str, size: int) -> StaffKey | None:
        """The staff key as the leaves below *size* say."""
        ...

    def floor(self, size: int) -> int:
        """`received` of leaf *size* − 1, ms UTC; 0 when *size* is 0."""
        ...

    def registers(self, size: int) -> RegisterSet:
        """The register set active at *size*, system registers included."""
        ...

    def area(self, record: RowKey, size: int) -> Area | None:
        """The record's area below *size*; None if the record has none or is not there yet."""
        ...

    def owner(self, record: RowKey, size: int) -> HeadValue:
        """The responsible unit that the record shows below *size*: None if there is none, WITHHELD if not known."""
        ...

    def parent(self, row: RowKey) -> str | None:
        """The shown parent key of a child row, None if not known."""
        ...

    def exists(self, row: RowKey) -> bool:
        """Whether an accepted leaf before this one wrote the row's presence."""
        ...

    def children(self, record: RowKey, table: str) -> Iterable[RowKey]:
        """Rows of *table* that show as children of the record before this leaf, as far as known."""
        ...

    def heads(self, row: RowKey, name: str) -> tuple[Head, ...]:
        """The heads that the field has now, as far as they are known."""
        ...

    def replaced(self, row: RowKey, name: str, dot: Dot, size: int) -> bool:
        """Whether an accepted write below *size* is known to have replaced the field's write by *dot*."""
        ...

    def logged(self, dot: Dot) -> Logged | None:
        """The changeset first logged under *dot*."""
        ...
