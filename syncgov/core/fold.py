"""The reference fold of a log: accepted writes, as far as they are disclosed, to rows. Pure.

It is slow and plain on purpose: `storage` has a fast fold, and a property test keeps the two equal.
Source: protocol page, sections 9 (withholding) and 12.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from syncgov.core.commitment import META_TABLE, Body, Dot, parse_path
from syncgov.core.merge import (
    ERASED,
    WITHHELD,
    FieldState,
    Head,
    HeadValue,
    Hidden,
    RowState,
    declared_field,
    fold_write,
    shown,
    workflow_of,
)
from syncgov.core.register import SYSTEM_NAMES, RegisterSet
from syncgov.core.statement import Leaf, is_device_id
from syncgov.errors import FormatError

RowKey: TypeAlias = tuple[str, str]
Slot: TypeAlias = tuple[Dot, int]  # a changeset and a position in it

ERASURES, WITHHOLDINGS = "erasure", "withholding"
HIDING_TABLES = (WITHHOLDINGS, ERASURES)  # system registers whose rows name writes that are not disclosed


@dataclass(frozen=True, slots=True)
class FoldWrite:
    """A write to fold: a disclosed one, or one whose value the log withholds or has erased."""

    path: str
    value: HeadValue
    over: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Withheld:
    """A write that an accepted row of `table` (withholding or erasure) names."""

    table: str
    key: str
    path: str
    over: tuple[Dot, ...]
    reason: str

    @property
    def value(self) -> Hidden:
        """What stands in the place of the value."""
        return ERASED if self.table == ERASURES else WITHHELD


def fold_leaf(
    state: dict[RowKey, RowState], index: int, leaf: Leaf, writes: Iterable[FoldWrite], registers: RegisterSet
) -> set[RowKey]:
    """Fold one accepted changeset into *state*; return the rows it touched.

    Args:
        registers: the set active at *index*.
    """
    st = leaf.changeset.statement
    effective = leaf.effective
    touched = set()
    for write in writes:
        table, key, name = parse_path(write.path)
        if table == META_TABLE:
            continue
        register = registers.get(table)
        row = state.setdefault((table, key), RowState())
        head = Head(st.dev, st.seq, index, *effective, write.value)
        declared, workflow = declared_field(register, name), workflow_of(register, name)
        row.fields[name] = fold_write(row.fields.get(name, FieldState()), head, write.over, declared, workflow)
        touched.add((table, key))
    return touched


def public_part(leaf: Leaf, body: Body, hidden: Mapping[Slot, Withheld]) -> Iterator[tuple[int, FoldWrite]]:
    """Yield (position, write) of the public writes of *leaf*: the disclosed ones, and those that the log withholds."""
    st = leaf.changeset.statement
    for position, write in enumerate(body.writes[: st.pub]):
        if write is not None:
            yield position, FoldWrite(*write)
        elif (named := hidden.get((st.dot, position))) is not None:
            yield position, FoldWrite(named.path, named.value, named.over)


def withheld_slots(state: Mapping[RowKey, RowState]) -> dict[Slot, Withheld]:
    """Return what the living rows of the withholding and erasure registers in *state* name.

    Rows that do not name a write, or one of the skeleton or of a system register, withhold nothing: otherwise totals,
    and who may write, would be unknown.
    """
    found: dict[Slot, Withheld] = {}
    for table, key in sorted(row for row, fields in state.items() if row[0] in HIDING_TABLES and fields.alive):
        slot, named = parse_slot(key), named_write(table, key, state[table, key])
        if slot is not None and named is not None:
            found.setdefault(slot, named)
    return found


def hiding_rows(state: Mapping[RowKey, RowState]) -> dict[tuple[str, Dot], RowKey]:
    """Return (path, changeset) -> the living row that withholds or erases that write."""
    return {(named.path, slot[0]): (named.table, named.key) for slot, named in withheld_slots(state).items()}


def parse_slot(key: str) -> Slot | None:
    """Return the slot that the key of a row of HIDING_TABLES names, None if it is not of that form."""
    dev, _, rest = key.partition(".")
    seq, _, position = rest.partition(".")
    if not is_device_id(dev) or not (_is_number(seq) and _is_number(position)):
        return None
    return (dev, int(seq)), int(position)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 16 and str(int(text)) == text


def named_write(table: str, key: str, row: RowState) -> Withheld | None:
    """Return what a row of HIDING_TABLES says, None if it names nothing that may be hidden."""
    path, over, reason = (shown(row.fields.get(name, FieldState()), None, None) for name in ("path", "over", "reason"))
    dots = [] if over is None else over
    if not isinstance(path, str) or not isinstance(dots, list) or not all(map(_is_dot, dots)):
        return None
    try:
        parts = parse_path(path)
    except FormatError:
        return None
    if parts.field.startswith("_") or parts.table in SYSTEM_NAMES:
        return None
    return Withheld(table, key, path, tuple((dev, seq) for dev, seq in dots), str(reason))


def _is_dot(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and is_device_id(value[0])
        and type(value[1]) is int
    )
