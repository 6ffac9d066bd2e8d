"""Which writes the public gets to see, and what they fold to. Source: protocol page, section 9, rules 1 to 3."""

import re
from collections import defaultdict
from collections.abc import Mapping

from syncgov.core.charter import Charter
from syncgov.core.commitment import Dot, Path, Value, Write, parse_path
from syncgov.core.fold import HIDING_TABLES, Slot, Withheld, withheld_slots
from syncgov.core.merge import FieldState, Hidden, RowState
from syncgov.core.public_log import PublicLeaf, PublicWrite, fold_writes, public_writes
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Register
from syncgov.core.register_parse import SYSTEM_NAMES
from syncgov.errors import InputError
from syncgov.publish.snapshot import Entry, Snapshot
from syncgov.storage.ledger import Ledger
from syncgov.storage.state import RowKey, StoredRow, field_state, load_row

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CODE = re.compile(r"[0-9A-Za-z_-]{1,64}")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


def hidden_writes(ledger: Ledger) -> dict[Slot, Withheld]:
    """Return what the log withholds or erases."""
    rows = {(table, key): _state(row) for table in HIDING_TABLES for key, row in ledger.rows(table)}
    return withheld_slots(rows)


def _state(row: StoredRow) -> RowState:
    return RowState({name: field_state(raw) for name, raw in row.fields.items()})


def public_leaf(entry: Entry, registers: RegisterSet, hidden: Mapping[Slot, Withheld], charter: Charter) -> PublicLeaf:
    """Return the leaf with the writes that are disclosed.

    Of an accepted leaf these are its public writes that nothing withholds; of a refused one skeleton and step, as far
    as they hold nothing but codes: what a device wrote wrongly was never meant for the public.

    Args:
        registers: the set active at `seen`, under which it was written.
    """
    st = entry.leaf.changeset.statement
    registrar = charter.registrar_key(st.dev) is not None
    kept = []
    for position, write in entry.body.disclosed():
        path = parse_path(write.path)
        register = registers.get(path.table)
        if position >= st.pub or register is None or not _is_public(register, path.field):
            continue
        if entry.leaf.accepted:
            shown = not covers(hidden.get((st.dot, position)), path, write)
        else:
            shown = (register.key == "uuid" or registrar) and _is_harmless(register, path, write, charter.area)
        if shown:
            kept.append((position, write))
    return PublicLeaf(entry.index, entry.leaf, tuple(kept))


def _is_public(register: Register, field: str) -> bool:
    known = field.startswith("_") or register.find(field) is not None
    return known and register.class_of(field) == "public"


def covers(named: Withheld | None, path: Path, write: Write) -> bool:
    """Whether a withholding hides *write*: it names it exactly, and it may be hidden at all."""
    if named is None or path.field.startswith("_") or path.table in SYSTEM_NAMES:
        return False
    return named.path == write.path and named.over == write.over


def _is_harmless(register: Register, path: Path, write: Write, area: str) -> bool:
    """Whether a write of a refused changeset says nothing but codes, dates and references."""
    if register.key == "uuid" and not _UUID.fullmatch(path.key):
        return False
    value = write.value
    if path.field == "_alive":
        return isinstance(value, bool)
    if path.field == "_community":
        return value is None or (isinstance(value, str) and _is_place(value, area))
    if path.field == "_month":
        return value is None or (isinstance(value, str) and _MONTH.fullmatch(value) is not None)
    return register.workflow is not None and path.field == register.workflow.field and _is_step(register, path, value)


def _is_place(value: str, area: str) -> bool:
    """Whether it is an area code near the charter's, not for example a telephone number in the wrong column."""
    return _CODE.fullmatch(value) is not None and (value.startswith(area) or area.startswith(value))


def _is_step(register: Register, path: Path, value: Value) -> bool:
    declared = register.field(path.field)
    try:
        declared.check(value)
    except InputError:
        return False
    columns = declared.columns_of(value)
    texts = [
        str(columns[c.name]) for c in declared.columns if c.type in ("text", "list") and columns[c.name] is not None
    ]
    return all(_CODE.fullmatch(text) for text in texts)


def public_state(
    snapshot: Snapshot, leaves: list[PublicLeaf], hidden: Mapping[Slot, Withheld]
) -> dict[RowKey, RowState]:
    """Return the public state: the centre's own heads, as far as they are disclosed.

    A path with withheld writes, or some that were written before its field became public, is folded again from what the
    public can see: only so can the public come to the same result.
    """
    writes = list(public_writes(leaves, hidden))
    known: dict[str, set[Dot]] = defaultdict(set)
    odd: set[str] = set()
    for write in writes:
        seen = known[write.raw_path]
        if isinstance(write.value, Hidden) or not seen.issuperset(write.over):
            odd.add(write.raw_path)
        seen.add(write.leaf.changeset.statement.dot)
    state = _stored_state(snapshot, writes, known, odd)
    again = fold_writes((w for w in writes if w.raw_path in odd), snapshot.registers_at)
    for row, folded in again.items():
        state.setdefault(row, RowState()).fields.update(folded.fields)
    return state


def _stored_state(
    snapshot: Snapshot, writes: list[PublicWrite], known: Mapping[str, set[Dot]], odd: set[str]
) -> dict[RowKey, RowState]:
    """Return the stored heads of every path that is not odd; paths with undisclosed heads are added to *odd*."""
    state: dict[RowKey, RowState] = {}
    loaded: dict[RowKey, StoredRow] = {}
    for path, raw_path in dict.fromkeys((w.path, w.raw_path) for w in writes):
        row = (path.table, path.key)
        if row not in loaded:
            loaded[row] = load_row(snapshot.ledger.conn, row)
        raw = loaded[row].fields.get(path.field)
        field = field_state(raw) if raw is not None else FieldState()
        if not field.heads or not known[raw_path].issuperset(head.dot for head in field.heads):
            odd.add(raw_path)
        if raw_path not in odd:
            state.setdefault(row, RowState()).fields[path.field] = field
    return state
