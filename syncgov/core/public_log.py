"""The public part of a log: what is disclosed, what is withheld, what it folds to.

Source: protocol page, sections 9 and 12.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from syncgov.core.commitment import Dot, Path, Write, parse_path
from syncgov.core.fold import HIDING_TABLES, FoldWrite, RowKey, Slot, Withheld, fold_leaf, withheld_slots
from syncgov.core.merge import HeadValue, RowState
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Leaf

PublicState: TypeAlias = Mapping[RowKey, RowState]
RegistersAt: TypeAlias = Callable[[int], RegisterSet]


@dataclass(frozen=True, slots=True)
class PublicLeaf:
    """A leaf and those of its public writes that are disclosed, with their positions."""

    index: int
    leaf: Leaf
    writes: tuple[tuple[int, Write], ...] = ()


@dataclass(frozen=True, slots=True)
class PublicWrite:
    """An accepted public write; its value is WITHHELD or ERASED where it is not disclosed."""

    index: int
    position: int
    leaf: Leaf
    raw_path: str
    path: Path
    value: HeadValue
    over: tuple[Dot, ...]

    @property
    def row(self) -> RowKey:
        """The row that it writes to."""
        return (self.path.table, self.path.key)


def public_writes(leaves: Iterable[PublicLeaf], hidden: Mapping[Slot, Withheld]) -> Iterator[PublicWrite]:
    """Yield every accepted public write in log order, disclosed or withheld; of the two, disclosed counts.

    A write that is neither is left out: that the log has such a hole is for the auditor to say.
    """
    for each in leaves:
        if not each.leaf.accepted:
            continue
        st = each.leaf.changeset.statement
        disclosed = dict(each.writes)
        for position in range(st.pub):
            write = disclosed.get(position)
            named = hidden.get((st.dot, position)) if write is None else None
            if write is not None:
                yield PublicWrite(each.index, position, each.leaf, write.path, parse_path(write.path), *write[1:])
            elif named is not None:
                path = parse_path(named.path)
                yield PublicWrite(each.index, position, each.leaf, named.path, path, named.value, named.over)


def fold_public(leaves: Sequence[PublicLeaf], registers_at: RegistersAt) -> dict[RowKey, RowState]:
    """Return the state that the public part of a log folds to.

    Args:
        leaves: all leaves, in order.
        registers_at: the register set that is active for the leaf at an index.
    """
    return fold_writes(public_writes(leaves, hidden_slots(leaves, registers_at)), registers_at)


def hidden_slots(leaves: Iterable[PublicLeaf], registers_at: RegistersAt) -> dict[Slot, Withheld]:
    """Return what the log withholds or erases."""
    hiding = (write for write in public_writes(leaves, {}) if write.path.table in HIDING_TABLES)
    return withheld_slots(fold_writes(hiding, registers_at))


def fold_writes(writes: Iterable[PublicWrite], registers_at: RegistersAt) -> dict[RowKey, RowState]:
    """Fold accepted writes, in log order, with the reference fold."""
    state: dict[RowKey, RowState] = {}
    for index, group in groupby(writes, key=lambda write: write.index):
        together = list(group)
        plain = [FoldWrite(write.raw_path, write.value, write.over) for write in together]
        fold_leaf(state, index, together[0].leaf, plain, registers_at(index))
    return state


def slot_key(slot: Slot) -> str:
    """Return the key of the row that withholds the write in *slot*: `<device id>.<seq>.<position>`."""
    (dev, seq), position = slot
    return f"{dev}.{seq}.{position}"
