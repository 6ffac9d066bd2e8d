"""Which writes are a record's public face: its rows, their heads, and what is needed to believe them.

Source: protocol page, section 9 (proof file).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from syncgov.core.commitment import Dot, format_path
from syncgov.core.fold import RowKey, hiding_rows
from syncgov.core.merge import FieldState, Hidden, is_conflict, standing
from syncgov.core.merge import shown as shown_value
from syncgov.core.public_log import PublicState
from syncgov.core.register import RegisterSet
from syncgov.core.staff_keys import STAFF_KEYS

CERTIFICATE_TABLE = "device"
REGISTER_TABLE = "register"


def children_of(registers: RegisterSet, state: PublicState) -> dict[RowKey, list[RowKey]]:
    """Return row -> its child rows, ascending, as far as the public state shows the parent."""
    found: dict[RowKey, list[RowKey]] = defaultdict(list)
    for row in sorted(state):
        register = registers.get(row[0])
        if register is None or register.parent is None or register.parent_register is None:
            continue
        field = register.column_field(register.parent)
        shown = shown_value(state[row].fields.get(field.name, FieldState()), field, None)
        parent = None if isinstance(shown, Hidden) else field.columns_of(shown).get(register.parent)
        if isinstance(parent, str):
            found[register.parent_register, parent].append(row)
    return dict(found)


def choose_writes(
    state: PublicState,
    rows: Sequence[RowKey],
    registrars: Collection[str],
    second_of: Callable[[int], str | None],
    hiding: Mapping[tuple[str, Dot], RowKey] | None = None,
) -> dict[int, frozenset[str]]:
    """Return log index -> paths: the writes that a proof of *rows* discloses, in log order.

    Args:
        state: the public fold, system registers included.
        registrars: device ids that the charter names; they need no certificate.
        second_of: log index -> the id of the staff key that signed too, None if none did.
        hiding: as `hiding_rows` gives it for *state*, if it is there already.
    """
    wanted: dict[int, set[str]] = defaultdict(set)
    authors: set[str] = set()
    hiding = hiding_rows(state) if hiding is None else hiding
    for row in rows:
        authors |= _take_heads(state, row, wanted)
        for saying in _hiding(state, row, hiding):
            authors |= _take_heads(state, saying, wanted)
        states = state[row].fields.values() if row in state else ()
        if any(is_conflict(each.heads) for each in states if each.heads):
            _take_heads(state, (REGISTER_TABLE, row[0]), wanted)
    for dev in authors.difference(registrars):
        _take_heads(state, (CERTIFICATE_TABLE, dev), wanted)
    for key_id in {second_of(index) for index in sorted(wanted)} - {None}:
        _take_heads(state, (STAFF_KEYS, str(key_id)), wanted)
    return {index: frozenset(wanted[index]) for index in sorted(wanted)}


def _take_heads(state: PublicState, row: RowKey, wanted: dict[int, set[str]]) -> set[str]:
    """Add the heads of a row; return the devices that wrote them."""
    authors = set()
    for name, field in (state[row].fields if row in state else {}).items():
        heads = standing(field.heads)
        if any(isinstance(head.value, Hidden) for head in heads):
            continue
        for head in heads:
            wanted[head.index].add(format_path(row[0], row[1], name))
            authors.add(head.dev)
    return authors


def _hiding(state: PublicState, row: RowKey, hiding: Mapping[tuple[str, Dot], RowKey]) -> Iterator[RowKey]:
    """Yield the rows of the log that say why a field of *row* does not show."""
    for name, field in (state[row].fields if row in state else {}).items():
        path = format_path(row[0], row[1], name)
        for head in standing(field.heads):
            saying = hiding.get((path, head.dot)) if isinstance(head.value, Hidden) else None
            if saying is not None:
                yield saying
