"""What verdicts look at, from disclosed writes alone, in memory. Source: protocol page, sections 7, 8, 11 and 12."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from syncgov.core.canonical import unb64u
from syncgov.core.charter import Charter
from syncgov.core.commitment import Body, Dot, format_path
from syncgov.core.fold import FoldWrite, RowKey, fold_leaf
from syncgov.core.merge import (
    WITHHELD,
    FieldState,
    Head,
    HeadValue,
    Hidden,
    RowState,
    declared_field,
    shown,
    workflow_of,
)
from syncgov.core.register import Register, RegisterSet, parse_register
from syncgov.core.staff_keys import STAFF_KEYS, staff_key_from
from syncgov.core.statement import Leaf, Statement
from syncgov.core.succession import Charters, charter_document, counted_seen
from syncgov.core.trust_view import Area, Certificate, Logged, StaffKey, registrar_certificate
from syncgov.errors import FormatError, SyncgovError

DEVICES = "device"
REGISTERS = "register"


@cache
def system_registers() -> tuple[Register, ...]:
    """Return the registers that belong to the protocol version, from the package."""
    folder = resources.files("syncgov") / "registers" / "system"
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".yml")), key=lambda each: each.name)
    return tuple(parse_register(each.read_text(encoding="utf-8"), each.name) for each in files)


@lru_cache(maxsize=1024)
def parse_cached(text: str, filename: str) -> Register:
    """Return `parse_register(text, filename)`."""
    return parse_register(text, filename)


class _Versions:
    """What something was, by log index: (index, value, `received`), ascending."""

    def __init__(self) -> None:
        self._indexes: list[int] = []
        self._values: list[tuple[Any, int]] = []

    def add(self, index: int, value: Any, received: int) -> None:
        """Say that from *index* on it is *value*."""
        self._indexes.append(index)
        self._values.append((value, received))

    def below(self, size: int) -> tuple[Any, int] | None:
        """Return what the leaves below *size* say, and since when (ms UTC)."""
        place = bisect_left(self._indexes, size)
        return self._values[place - 1] if place else None

    @property
    def first(self) -> int:
        """The index of the first version."""
        return self._indexes[0]


class MemoryLedger:
    """The log as far as it was read and folded, for verdicts. `state` is the public fold so far.

    Args:
        charter: the first one of the log. root_at: size -> b64u root of the log, None beyond its end.
    """

    def __init__(self, charter: bytes, root_at: Callable[[int], str | None]) -> None:
        self.charters = Charters(charter)
        self._root_at = root_at
        self.state: dict[RowKey, RowState] = {}
        self.size = 0
        self._leaves: list[Leaf] = []
        self._logged: dict[Dot, Logged] = {}
        self._replaced: dict[tuple[str, Dot], int] = {}  # (path, dot) -> the first leaf that replaced it
        self._rows: dict[RowKey, _Versions] = {}
        self._children: dict[tuple[str, str], set[RowKey]] = {}  # (table, parent's key) -> rows
        self._areas: dict[RowKey, _Versions] = {}
        self._owners: dict[RowKey, _Versions] = {}
        self._sets: list[tuple[int, RegisterSet]] = [(-1, RegisterSet(system_registers()))]
        self.unusable: list[tuple[int, str, SyncgovError]] = []  # register texts that do not parse: index, name, why

    @property
    def charter(self) -> Charter:
        """The charter in force after the leaves so far."""
        return self.charters.newest.charter

    def seen_size(self, st: Statement) -> int:
        """The size that the statement's `seen` counts for; less than it says only where a log was closed."""
        return counted_seen(st.seen, self.charters.closings, self._root_at)

    def certificate(self, dev: str, size: int) -> Certificate | None:
        """The device's certificate as the leaves below *size* say; who may use it is not public."""
        registrar = self.charters.registrar(dev, size)
        if registrar is not None:
            return registrar_certificate(dev, registrar[0], revoked=not registrar[1])
        found = self._rows[DEVICES, dev].below(size) if (DEVICES, dev) in self._rows else None
        return None if found is None else found[0]

    def staff_key(self, key_id: str, size: int) -> StaffKey | None:
        """The staff key as the leaves below *size* say; whose it is is not public."""
        found = self._rows[STAFF_KEYS, key_id].below(size) if (STAFF_KEYS, key_id) in self._rows else None
        return None if found is None else staff_key_from(key_id, *found, disclosed=False)

    def floor(self, size: int) -> int:
        """`received` of leaf *size* − 1, ms UTC; 0 when *size* is 0 or beyond what was read."""
        return self.received(size - 1) if 0 < size <= self.size else 0

    def enrolment(self, dev: str) -> str | None:
        """Return b64u of the hash that the device's first `prev` must name."""
        named = self.charters.enrolment(dev)
        if named is not None:
            return named
        versions = self._rows.get((DEVICES, dev))
        return None if versions is None else self._leaves[versions.first].changeset.envelope.hash

    def registers(self, size: int) -> RegisterSet:
        """The register set active at *size*, system registers included."""
        place = bisect_left(self._sets, size, key=lambda pair: pair[0])
        return self._sets[place - 1][1]

    def area(self, record: RowKey, size: int) -> Area | None:
        """The record's area below *size*: exact where the area is public, else its community."""
        found = self._areas[record].below(size) if record in self._areas else None
        return None if found is None else found[0]

    def owner(self, record: RowKey, size: int) -> HeadValue:
        """The responsible unit that the record shows below *size*; WITHHELD if the register does not make it public."""
        found = self._owners[record].below(size) if record in self._owners else None
        if found is not None:
            value: HeadValue = found[0]
            return value
        register = self.registers(size).get(record[0])
        return None if register is None or register.owner is None or _is_public(register) else WITHHELD

    def parent(self, row: RowKey) -> str | None:
        """The shown parent key of a child row, None if it is not public."""
        register = self.registers(self.size).get(row[0])
        if register is None or register.parent is None:
            return None
        value = self._column(row, register, register.parent)
        return value if isinstance(value, str) else None

    def exists(self, row: RowKey) -> bool:
        """Whether an accepted leaf wrote the row's presence, as far as that is public."""
        return row in self.state and "_alive" in self.state[row].fields

    def children(self, record: RowKey, table: str) -> list[RowKey]:
        """Rows of *table* that were written as children of the record, as far as that is public."""
        return sorted(self._children.get((table, record[1]), ()))

    def heads(self, row: RowKey, name: str) -> tuple[Head, ...]:
        """The heads that the field has now, as far as it is public."""
        state = self.state.get(row)
        return state.fields[name].heads if state is not None and name in state.fields else ()

    def replaced(self, row: RowKey, name: str, dot: Dot, size: int) -> bool:
        """Whether an accepted write below *size* replaced the field's write by *dot*."""
        index = self._replaced.get((format_path(*row, name), dot))
        return index is not None and index < size

    def logged(self, dot: Dot) -> Logged | None:
        """The changeset first logged under *dot*."""
        return self._logged.get(dot)

    def place(self, dot: Dot, leaf: int | None) -> tuple[int, int] | None:
        """Return index and `seen` of a changeset: the first under *dot*, or that of *leaf*."""
        if leaf is not None:
            return (leaf, self.seen_size(self._leaves[leaf].changeset.statement)) if leaf < len(self._leaves) else None
        logged = self._logged.get(dot)
        return None if logged is None else (logged.index, self.seen_size(logged.statement))

    def received(self, index: int) -> int:
        """Return `received` of the leaf at *index*."""
        return self._leaves[index].received

    # -- reading on ---------------------------------------------------------------------------------------------------

    def append(self, leaf: Leaf, body: Body, writes: Iterable[FoldWrite]) -> None:
        """Take the next leaf, and fold *writes*, its public ones, if it was accepted."""
        index, st = self.size, leaf.changeset.statement
        self._leaves.append(leaf)
        self._logged.setdefault(st.dot, Logged(index, leaf.accepted, leaf.effective, st, body))
        if leaf.accepted:
            self._take_charter(body, index)
            registers = self.registers(index)
            for _position, write in body.disclosed():
                for dot in write.over:
                    self._replaced.setdefault((write.path, dot), index)
            touched = fold_leaf(self.state, index, leaf, writes, registers)
            for row in sorted(touched):
                self._keep(row, index, leaf.received, registers)
            if any(table == REGISTERS for table, _key in touched):
                self._sets.append((index, self._active()))
                self._keep_owners({key for table, key in touched if table == REGISTERS}, index, leaf.received)
        self.size = index + 1

    def _take_charter(self, body: Body, index: int) -> None:
        document = charter_document(body)
        if document is not None:
            with suppress(SyncgovError):  # then its verdict is wrong, which is a finding
                self.charters.take(document, index)

    def _keep(self, row: RowKey, index: int, received: int, registers: RegisterSet) -> None:
        register = registers.get(row[0])
        if register is None:
            return
        if row[0] in (REGISTERS, STAFF_KEYS):
            self._rows.setdefault(row, _Versions()).add(index, self._shown(row, register), received)
        if row[0] == DEVICES:
            fields = self._shown(row, register)
            certificate = None if fields is None else _certificate(row[1], fields, received)
            self._rows.setdefault(row, _Versions()).add(index, certificate, received)
        if register.parent is not None:
            parent = self._column(row, register, register.parent)
            if isinstance(parent, str):
                self._children.setdefault((row[0], parent), set()).add(row)
        if register.area is not None:
            area = self._area(row, register)
            if area is not None:
                self._areas.setdefault(row, _Versions()).add(index, area, received)

        self._keep_owner(row, index, received, register)

    def _keep_owner(self, row: RowKey, index: int, received: int, register: Register) -> None:
        if register.owner is None and row not in self._owners:
            return
        owner: HeadValue = None
        if register.owner is not None:
            owner = self._column(row, register, register.owner) if _is_public(register) else WITHHELD
        self._owners.setdefault(row, _Versions()).add(index, owner, received)

    def _keep_owners(self, names: set[str], index: int, received: int) -> None:
        """A new edition may name another column, or another rule for it."""
        registers = self.registers(index + 1)
        for row in [each for each in self.state if each[0] in names and each[0] in registers]:
            self._keep_owner(row, index, received, registers[row[0]])

    def _shown(self, row: RowKey, register: Register) -> dict[str, HeadValue] | None:
        if not self.state[row].alive:
            return None
        return {each.name: self._field(row, register, each.name) for each in register.fields}

    def _field(self, row: RowKey, register: Register, name: str) -> HeadValue:
        state = self.state[row].fields.get(name, FieldState()) if row in self.state else FieldState()
        return shown(state, declared_field(register, name), workflow_of(register, name))

    def _column(self, row: RowKey, register: Register, column: str) -> HeadValue:
        declared = register.column_field(column)
        value = self._field(row, register, declared.name)
        return value if isinstance(value, Hidden) else declared.columns_of(value)[column]

    def _area(self, row: RowKey, register: Register) -> Area | None:
        assert register.area is not None
        value = self._column(row, register, register.area)
        if isinstance(value, str):
            return Area(value, True)
        community = self._field(row, register, "_community")
        return Area(community, False) if isinstance(community, str) else None

    def _active(self) -> RegisterSet:
        found = []
        system = self._sets[0][1][REGISTERS]
        for row, state in self.state.items():
            text = self._field(row, system, "text") if row[0] == REGISTERS and state.alive else None
            if isinstance(text, str):
                try:
                    found.append(parse_cached(text, f"{row[1]}.yml"))
                except SyncgovError as error:
                    self.unusable.append((self.size, row[1], error))
        return RegisterSet((*system_registers(), *found))


def _certificate(dev: str, fields: dict[str, HeadValue], since: int) -> Certificate | None:
    roles, areas, units, public = (fields.get(name) for name in ("roles", "areas", "units", "public_key"))
    start, end = fields.get("valid_from"), fields.get("valid_to")
    if not (isinstance(roles, list) and isinstance(areas, list) and isinstance(public, str)):
        return None
    if not (isinstance(start, int) and isinstance(end, int)):
        return None
    revoked = fields.get("revocation") is not None
    try:
        key = unb64u(public, 32)
    except FormatError:
        return None
    prefixes, kept = tuple(map(str, areas)), tuple(map(str, units)) if isinstance(units, list) else ()
    return Certificate(dev, key, frozenset(map(str, roles)), prefixes, start, end, None, revoked, since, kept)


def _is_public(register: Register) -> bool:
    """Whether the register makes its responsible units public."""
    return register.owner is not None and register.column_field(register.owner).klass == "public"
