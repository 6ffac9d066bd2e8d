"""What an erasure covers: which fields, which writes, from which log position on. Pure.

Source: protocol page, section 18.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from syncgov.core.commitment import META_TABLE, Dot, parse_path
from syncgov.core.fold import ERASURES, RowKey, Slot, named_write, parse_slot
from syncgov.core.merge import RowState
from syncgov.core.register import SYSTEM_NAMES, RegisterSet
from syncgov.core.register_model import Field, Register

NOTE = "note"  # the only meta field that is erased: who wrote (`by`) is what separation of duties rests on

Place: TypeAlias = tuple[int, int]  # index of a changeset's leaf, and the size of the log that its device had seen


@dataclass(frozen=True, slots=True)
class Erasure:
    """A row of register `erasure`.

    Attributes:
        slot: the write that it names. leaf: the index of the write's leaf, if another leaf has the same dot.
        index: of the leaf that logged this row.
    """

    slot: Slot
    leaf: int | None
    path: str
    over: tuple[Dot, ...]
    reason: str
    index: int

    @property
    def row(self) -> RowKey:
        """The row that the write wrote to."""
        return parse_path(self.path)[:2]


def erasure_key(dot: Dot, position: int, leaf: int | None = None) -> str:
    """Return the key of an erasure: `<device id>.<seq>.<position>`, and `.<leaf>` where the dot names another leaf."""
    tail = "" if leaf is None else f".{leaf}"
    return f"{dot[0]}.{dot[1]}.{position}{tail}"


def parse_erasure(key: str, row: RowState) -> Erasure | None:
    """Return what a living row of register `erasure` says; None if it names no write, or one that stays."""
    slot, leaf = parse_slot(key), None
    if slot is None:
        head, _, tail = key.rpartition(".")
        slot = parse_slot(head)
        if slot is None or not (tail.isascii() and tail.isdecimal() and len(tail) <= 16 and str(int(tail)) == tail):
            return None
        leaf = int(tail)
    named = named_write(ERASURES, key, row) if row.alive else None
    if named is None:
        return None
    index = max(head.index for head in row.fields["path"].heads)
    return Erasure(slot, leaf, named.path, named.over, named.reason, index)


def erasures(state: Mapping[RowKey, RowState]) -> list[Erasure]:
    """Return the erasures in a folded state, in the order of their own leaves."""
    found = (parse_erasure(key, row) for (table, key), row in state.items() if table == ERASURES)
    return sorted((one for one in found if one is not None), key=lambda one: one.index)


def standing_erasures(found: Iterable[Erasure], place_of: Callable[[Erasure], Place | None]) -> dict[str, int]:
    """Return path -> the greatest index of an erasure that was ordered: writes that had not seen it are erased.

    A row that names a write which came after such an erasure without having seen it was written on arrival: it does
    not stand for itself, else it would take what others wrote between the two, having seen the first.

    Args:
        found: in the order of their own leaves.
        place_of: where the named write stands; None if that is not known here: a partial replica holds no changeset
            that was refused, but of what was erased with it at the time it holds another, or nothing at all.
    """
    stands: dict[str, int] = {}
    for one in found:
        place = place_of(one)
        if one.path not in stands or (place is not None and not is_late(stands, one.path, place)):
            stands[one.path] = one.index
    return stands


def is_late(stands: Mapping[str, int], path: str, place: Place) -> bool:
    """Whether a write was logged after an erasure of its path, and had not seen it."""
    before = stands.get(path)
    return before is not None and place[0] > before >= place[1]


def is_covered(stands: Mapping[str, int], path: str, place: Place) -> bool:
    """Whether a write of *path* is erased: it was logged before the erasure, or had not seen it."""
    index = stands.get(path)
    return index is not None and (place[0] < index or place[1] <= index)


def may_be_erased(register: Register, field: Field) -> bool:
    """Whether values of a field may be erased. Source: protocol page, section 18.

    The state of the workflow, the area, the responsible unit and the parent stay, as the skeleton does: without them
    nobody could say what became of a record, who answers for it, and who may read what is left.
    """
    bearing = {name for name in (register.area, register.owner, register.parent) if name is not None}
    is_state = register.workflow is not None and register.workflow.field == field.name
    return not register.system and not is_state and not bearing & {column.name for column in field.columns}


def is_erasable(path: str, registers: RegisterSet) -> bool:
    """Whether an erasure may name *path* under *registers*."""
    table, _key, name = parse_path(path)
    if table == META_TABLE:
        return name == NOTE
    register = registers.get(table)
    field = register.find(name) if register is not None else None
    return register is not None and field is not None and table not in SYSTEM_NAMES and may_be_erased(register, field)
