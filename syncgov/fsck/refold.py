"""The log folded once more with the reference fold, and what follows from it. Source: protocol page, sections 7–12.

Nothing here reads what the writer derived: states, areas, versions and register sets come from leaves and bodies.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from syncgov.core.canonical import encode_unchecked, unb64u
from syncgov.core.commitment import META_TABLE, Body, Dot, Value, meta_path, parse_path
from syncgov.core.fold import FoldWrite, RowKey, fold_leaf
from syncgov.core.keys import device_id
from syncgov.core.merge import (
    ERASED,
    FieldState,
    HeadValue,
    Hidden,
    RowState,
    declared_field,
    is_conflict,
    shown,
    workflow_of,
)
from syncgov.core.register import Register, RegisterSet, parse_register
from syncgov.core.statement import Leaf, Statement
from syncgov.core.succession import CHARTER_ROW, Charters, charter_document, counted_seen
from syncgov.errors import FormatError, RegisterError
from syncgov.fsck.erased import ErasedWrites

DEVICES, REGISTERS, STAFF_KEYS = "device", "register", "staff_key"
_VERSIONED = (*CHARTER_ROW[:1], DEVICES, REGISTERS, STAFF_KEYS)  # their rows are kept version by version
Fields: TypeAlias = dict[str, HeadValue]
Own: TypeAlias = dict[str, tuple[Value, Dot, tuple[Dot, ...]]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A log entry; the body is None where this file does not hold it."""

    index: int
    leaf: Leaf
    body: Body | None

    @property
    def by(self) -> str | None:
        """Who wrote it, as far as that is known."""
        write = self.body.find(meta_path(self.leaf.changeset.statement.dot, "by")) if self.body is not None else None
        return write.value if write is not None and isinstance(write.value, str) else None


@cache
def system_registers() -> tuple[Register, ...]:
    """Return the registers that belong to the protocol version, from the package."""
    folder = resources.files("syncgov") / "registers" / "system"
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".yml")), key=lambda each: each.name)
    return tuple(parse_register(each.read_text(encoding="utf-8"), each.name) for each in files)


class Refold:
    """Takes the entries in log order.

    Attributes:
        charters: of the log, by position.
        state: the heads of every row. overlay: what the own device wrote on top that has no verdict.
        versions: what a certificate's or register's row showed: (index, fields or None, received).
        areas: where a record was: (index, area). owners: whose it was: (index, unit or None).
        unusable: register texts that do not parse.
        indexes: of the entries that were folded.
        erased: what the log erases; set it before the first entry.
        gaps: rows of which a folded write replaces one that is not held; of an entry that is missing, or was refused.
    """

    def __init__(self, charter: bytes, root_at: Callable[[int], str | None] = lambda _size: None) -> None:
        self.charters = Charters(charter)
        self._root_at = root_at
        self.state: dict[RowKey, RowState] = {}
        self.overlay: dict[RowKey, Own] = {}
        self.versions: dict[RowKey, list[tuple[int, Fields | None, int]]] = {}
        self.areas: dict[RowKey, list[tuple[int, str]]] = {}
        self.owners: dict[RowKey, list[tuple[int, str | None]]] = {}
        self.unusable: list[tuple[int, str, RegisterError]] = []
        self.indexes: set[int] = set()
        self.gaps: set[RowKey] = set()
        self.erased = ErasedWrites()
        self._again: dict[str, list[tuple[int, Leaf, FoldWrite]]] = {}
        self._dots: set[Dot] = set()
        self._sets: list[tuple[int, RegisterSet]] = [(-1, RegisterSet(system_registers()))]

    def seen_size(self, st: Statement) -> int:
        """Return the size that `seen` counts for; less than it says only where a log was closed."""
        return counted_seen(st.seen, self.charters.closings, self._root_at)

    def take_charter(self, entry: Entry) -> None:
        """Put the charter that an accepted entry writes, if any, in force; call before its signature is checked.

        Raises:
            SyncgovError: it does not replace the one before it.
        """
        document = None if entry.body is None or not entry.leaf.accepted else charter_document(entry.body)
        if document is not None:
            self.charters.take(document, entry.index)

    def registers(self, size: int) -> RegisterSet:
        """Return the register set that the leaves below *size* say."""
        return self._sets[bisect_left(self._sets, size, key=lambda pair: pair[0]) - 1][1]

    @property
    def newest(self) -> RegisterSet:
        """The register set that all leaves say."""
        return self._sets[-1][1]

    def key(self, dev: str, size: int) -> bytes | None:
        """Return the public key of a device as the charter, or the leaves below *size*, say."""
        public = self.charters.publics.get(dev)
        if public is not None:
            return public
        for index, fields, _received in reversed(self.versions.get((DEVICES, dev), [])):
            text = fields.get("public_key") if fields is not None else None
            if index < size and isinstance(text, str):
                return _public(dev, text)
        return None

    def staff_key(self, key_id: str) -> bytes | None:
        """Return the public key of a person's key, as the leaves so far say; None if none registers it."""
        for _index, fields, _received in reversed(self.versions.get((STAFF_KEYS, key_id), [])):
            text = fields.get("public_key") if fields is not None else None
            if isinstance(text, str):
                return _public(key_id, text)
        return None

    def enrolment(self, dev: str) -> int | None:
        """Return the index of the leaf that enrolled a device."""
        versions = self.versions.get((DEVICES, dev))
        return versions[0][0] if versions else None

    def record(self, entry: Entry) -> RowKey | None:
        """Return the record that an entry writes to, None if that is not known; call before `take`."""
        if entry.body is None:
            return None
        registers = self.registers(self.seen_size(entry.leaf.changeset.statement))
        for _position, write in entry.body.disclosed():
            path = parse_path(write.path)
            register = registers.get(path.table)
            if path.table == META_TABLE or register is None:
                continue
            if register.parent is None or register.parent_register is None:
                return (path.table, path.key)
            written = entry.body.find(write.path[: -len(path.field)] + register.parent)
            row = (path.table, path.key)
            parent = written.value if written is not None else self._parent(row, entry.index)
            return (register.parent_register, parent) if isinstance(parent, str) else None
        return None

    def _parent(self, row: RowKey, index: int) -> HeadValue:
        register = self.registers(index).get(row[0])
        return None if register is None or register.parent is None else self.value(row, register.parent, register)

    def see(self, entry: Entry) -> None:
        """Note that an entry is held; call for each, accepted or not, before `take`."""
        self._dots.add(entry.leaf.changeset.statement.dot)

    def take(self, entry: Entry, record: RowKey | None) -> str | None:
        """Fold an accepted entry; return the area of its record."""
        assert entry.body is not None
        self.indexes.add(entry.index)
        registers = self.registers(entry.index)
        writes = [FoldWrite(*write) for _position, write in entry.body.disclosed()]
        self.gaps |= {parse_path(write.path)[:2] for write in writes if not self._dots.issuperset(write.over)}
        for write in self.erased.writes(entry.index, entry.body) if self.erased.named else ():
            if write.path in self.erased.paths:
                self._again.setdefault(write.path, []).append((entry.index, entry.leaf, write))
        touched = fold_leaf(self.state, entry.index, entry.leaf, writes, registers)
        for row in sorted(touched):
            if row[0] in _VERSIONED:
                fields = self._fields(row, registers[row[0]]) if self.alive(row) else None
                self.versions.setdefault(row, []).append((entry.index, fields, entry.leaf.received))
        if any(table == REGISTERS for table, _key in touched):
            self._sets.append((entry.index, self._active(entry.index)))
            names = {key for table, key in touched if table == REGISTERS}
            for row in [each for each in self.state if each[0] in names]:
                self._take_owner(entry.index, row, self.newest)
        if record is None:
            return None
        self._take_owner(entry.index, record, registers)
        return self._take_area(entry.index, record, registers)

    def _take_owner(self, index: int, record: RowKey, registers: RegisterSet) -> None:
        register = registers.get(record[0])
        owner = None if register is None else self._text(record, register, register.owner)
        history = self.owners.setdefault(record, [])
        if owner != (history[-1][1] if history else None):
            history.append((index, owner))

    def _text(self, record: RowKey, register: Register, column: str | None) -> str | None:
        if column is None:
            return None
        declared = register.column_field(column)
        value = self.value(record, declared.name, register)
        text = declared.columns_of(value).get(column)  # type: ignore[arg-type]  # nothing here is withheld
        return text if isinstance(text, str) else None

    def finish(self, roles: frozenset[str] | None) -> None:
        """Fold again what is erased: it keeps its place. Call when every entry was taken.

        Args:
            roles: of the device whose replica this is, which sees its own fields only; None at a centre.
        """
        for path, writes in self._again.items():
            table, key, name = parse_path(path)
            register = self.newest.get(table)
            if register is None:
                continue
            readable = register.fields if roles is None else register.readable(roles)
            if name not in {each.name for each in readable}:
                continue
            alone: dict[RowKey, RowState] = {}
            for index, leaf, write in writes:
                fold_leaf(alone, index, leaf, [write], self.newest)
            self.state.setdefault((table, key), RowState()).fields[name] = alone[table, key].fields[name]

    def _take_area(self, index: int, record: RowKey, registers: RegisterSet) -> str | None:
        register = registers.get(record[0])
        area = None if register is None else self._text(record, register, register.area)
        if area is None:
            return None
        history = self.areas.setdefault(record, [])
        if not history or history[-1][1] != area:
            history.append((index, area))
        return area

    def _fields(self, row: RowKey, register: Register) -> Fields:
        return {each.name: self.value(row, each.name, register) for each in register.fields}

    def _active(self, index: int) -> RegisterSet:
        found = []
        for row, state in self.state.items():
            text = shown(state.fields.get("text", FieldState()), None, None) if row[0] == REGISTERS else None
            if self.alive(row) and isinstance(text, str):
                try:
                    found.append(parse_register(text, f"{row[1]}.yml"))
                except RegisterError as error:
                    self.unusable.append((index, row[1], error))
        return RegisterSet((*system_registers(), *found))

    # -- what shows --------------------

    def value(self, row: RowKey, name: str, register: Register | None) -> HeadValue:
        """Return what the accepted writes of a field show."""
        state = self.state[row].fields.get(name) if row in self.state else None
        if state is None:
            return None
        if name == "_alive":
            return any(head.value is True for head in state.heads)
        value = shown(state, declared_field(register, name), workflow_of(register, name))
        return None if isinstance(value, Hidden) else value

    def local(self, row: RowKey, name: str, register: Register | None) -> HeadValue:
        """Return what this device shows: its own write without verdict, else the accepted one."""
        own = self.overlay.get(row, {}).get(name)
        return own[0] if own is not None else self.value(row, name, register)

    def alive(self, row: RowKey) -> bool:
        """Whether a row shows on this device."""
        return self.local(row, "_alive", None) is True

    def columns(self, row: RowKey, register: Register) -> dict[str, Any]:
        """Return what each column of a row shows."""
        result: dict[str, Any] = {}
        for declared in register.fields:
            result.update(declared.columns_of(self.local(row, declared.name, register)))  # type: ignore[arg-type]
        return result


def _public(dev: str, text: str) -> bytes | None:
    try:
        public = unb64u(text, 32)
    except FormatError:
        return None
    return public if device_id(public) == dev else None


def raw_state(state: RowState) -> dict[str, list[Any]]:
    """Return the form in which a file keeps a row's heads: `{field: [[head, …], before?]}`."""
    return {name: _raw_field(field) for name, field in state.fields.items()}


def _raw_field(field: FieldState) -> list[Any]:
    heads = [
        [h.dev, h.seq, h.index, h.at, h.tick, *([None, 1] if h.value is ERASED else [h.value])] for h in field.heads
    ]
    return [heads, field.before] if is_conflict(field.heads) else [heads]


def equal(a: Any, b: Any) -> bool:
    """Whether two JSON values are the same (true is not 1, the order of members is nothing)."""
    if a is b:
        return True
    try:
        return encode_unchecked(a) == encode_unchecked(b)
    except (FormatError, TypeError):
        return False
