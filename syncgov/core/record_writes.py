"""Which writes are a record's public face: its rows, their heads, and what is needed to believe them.

Source: protocol page, section 9 (proof file).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from syncgov.core.commitment import format_path
from syncgov.core.fold import RowKey
from syncgov.core.merge import WITHHELD, FieldState, is_conflict
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
        parent = None if shown is WITHHELD else field.columns_of(shown).get(register.parent)
        if isinstance(parent, str):
            found[register.parent_register, parent].append(row)
    return dict(found)


def choose_writes(
    state: PublicState, rows: Sequence[RowKey], registrars: Collection[str], second_of: Callable[[int], str | None]
) -> dict[int, frozenset[str]]:
    """Return log index -> paths: the writes that a proof of *rows* discloses, in log order.

    Args:
        state: the public fold, system registers included.
        registrars: device ids that the charter names; they need no certificate.
        second_of: log index -> the id of the staff key that signed too, None if none did.
    """
    wanted: dict[int, set[str]] = defaultdict(set)
    authors: set[str] = set()
    for row in rows:
        authors |= _take_heads(state, row, wanted)
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
        if any(head.value is WITHHELD for head in field.heads):
            continue
        for head in field.heads:
            wanted[head.index].add(format_path(row[0], row[1], name))
            authors.add(head.dev)
    return authors
