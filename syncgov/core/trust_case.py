"""One changeset before its judge, and what several steps ask about it. Pure. Source: protocol page, section 11."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from syncgov.core.commitment import Body, Value, Write
from syncgov.core.fold import FoldWrite
from syncgov.core.merge import Head
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Statement
from syncgov.core.succession import Charters, charter_document
from syncgov.core.trust_view import DAY_MS, Certificate, Ledger, Logged, RowKey
from syncgov.errors import SyncgovError

MAX_META_CHARS = 2000  # who wrote, and a note


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of a changeset apart from its body and leaf.

    Attributes:
        second: the id of the staff key whose signature stands beside the device's and verifies, None if there is none.
        erased: positions in the body with null for a value that was erased while the changeset waited.
    """

    second: str | None = None
    erased: frozenset[int] = frozenset()


class RefusedError(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Case:
    """One changeset before its judge."""

    st: Statement
    body: Body
    received: int
    index: int
    ledger: Ledger
    registers: RegisterSet
    certificate: Certificate
    earlier: Certificate | None
    whole: bool  # every write is disclosed
    second: str | None  # id of the staff key that signed too; that its signature verifies is step 3
    erased: frozenset[int]  # positions whose value is gone; everything else of those writes is known
    second_person: str | None = None  # whose key that is; None: nobody's, or not disclosed
    rebased: bool = False  # it was signed on top of a log that was closed since; see `Ledger.seen_size`
    rows: dict[RowKey, dict[str, tuple[int, Write]]] = field(default_factory=dict)
    by: Value = None
    record: RowKey | None = None
    declared: set[str] = field(default_factory=set)

    @property
    def is_named(self) -> bool:
        """Whether the charter that it writes names its own device: so a new registrar begins."""
        return new_registrar(self.ledger.charters, self.body, self.index, self.st.dev) is not None

    @property
    def is_registrar(self) -> bool:
        """Whether a charter itself names this device's key; a role in a certificate is not that."""
        return self.ledger.charters.registrar(self.st.dev, self.index) is not None or self.is_named


def new_registrar(charters: Charters, body: Body, index: int, dev: str) -> bytes | None:
    """Return the key of *dev* if *body* writes a charter that may come into force at *index* and names it."""
    document = charter_document(body)
    if document is None:
        return None
    try:
        return charters.accept(document, index).registrar_key(dev)
    except SyncgovError:
        return None


def refuse_unless(condition: bool, reason: str) -> None:
    if not condition:
        raise RefusedError(reason)


def is_new(case: Case, writes: Mapping[str, tuple[int, Write]]) -> bool:
    """Whether the row is made by this changeset: its presence replaces no accepted one (a refused one is none)."""
    alive = writes.get("_alive")
    if alive is None or alive[1].value is not True:
        return False
    heads = replaced_heads(case, alive[1])
    return heads is not None and not heads


def grace_ms(case: Case) -> int:
    return case.ledger.charter.grace_days * DAY_MS


def replaced_heads(case: Case, write: Write) -> list[Head] | None:
    """The accepted writes in `over` that no other accepted write there replaces; None if one is not disclosed."""
    found: list[tuple[Logged, FoldWrite]] = []
    for dot in write.over:
        logged = case.ledger.logged(dot)
        if logged is None or not logged.accepted:
            continue
        replaced = logged.find(write.path)
        if replaced is None:
            return None
        found.append((logged, replaced))
    gone = {dot for _logged, other in found for dot in other.over}
    return [
        Head(logged.statement.dev, logged.statement.seq, logged.index, *logged.effective, other.value)
        for logged, other in sorted(found, key=lambda item: item[0].index)
        if logged.statement.dot not in gone
    ]
