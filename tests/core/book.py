"""A log in memory, and devices that write into it whatever they like: the simulator behind the tests of verdicts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from syncgov.core.canonical import b64u
from syncgov.core.charter import Charter, sign_charter
from syncgov.core.commitment import Body, Dot, Value, Write, format_path, make_body, meta_path, parse_body, redact
from syncgov.core.keys import SigningKey
from syncgov.core.merge import Head, HeadValue
from syncgov.core.note import format_vkey
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import REGISTRAR
from syncgov.core.statement import Seen, Statement
from syncgov.core.succession import Charters
from syncgov.core.tree import root_of_inputs
from syncgov.core.trust import Judgement, judge
from syncgov.core.trust_case import Beside
from syncgov.core.trust_view import DAY_MS, Area, Certificate, Logged, RowKey, StaffKey
from tests.registers import register_set

REGISTERS = register_set()
EAST, WEST = "101001", "101002"
NOW = 1_795_000_000_000
SIZE = 20  # leaves in the log when a test's changeset arrives
Cell = tuple[Value, tuple[Dot, ...]]

_LOG, _ROOT, _REGISTRAR = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3))
CHARTER = Charter(
    area="101",
    backup_days=30,
    grace_days=14,
    issued=NOW,
    log=format_vkey("log.example", _LOG.public),
    name="测试",
    origin="log.example",
    quorum="none",
    registrars=[b64u(_REGISTRAR.public)],
    roots=[b64u(_ROOT.public)],
    simulated=True,
    threshold=1,
    v=1,
    witnesses=[],
)


def device(
    number: int, *roles: str, areas: tuple[str, ...] = (EAST,), staff: tuple[str, ...] | None = ()
) -> Certificate:
    """Return a certificate; `staff` () is anybody."""
    key = SigningKey(bytes([100 + number]) * 32)
    return Certificate(
        key.id, key.public, frozenset(roles), areas, NOW - DAY_MS, NOW + DAY_MS, staff, False, NOW - DAY_MS
    )


def staff_key(number: int, person: str) -> StaffKey:
    """Return a person's key that is in force."""
    key = SigningKey(bytes([200 + number]) * 32)
    return StaffKey(key.id, key.public, NOW - DAY_MS, NOW + DAY_MS, person, "", NOW - DAY_MS)


WORKER = device(1, "worker", staff=("S1", "S2"))
MATE = device(2, "worker")
WESTERNER = device(3, "worker", areas=(WEST,))
CHIEF = device(4, "chief")
DESK = device(5, "desk", areas=("101",))
VIEWER = device(6, "viewer")
OFFICE = replace(device(7, REGISTRAR, areas=("",)), dev=_REGISTRAR.id, public_key=_REGISTRAR.public)


@dataclass(frozen=True)
class Change:
    """What somebody signs. `rows`: row -> field -> (value, over).

    Attributes:
        misplaced: paths that stand in the wrong class. extra: writes as they are, in the part that is not public.
        hidden: paths that are not disclosed to the judge. second: id of the staff key that signs too.
        erased: paths whose value was erased while the changeset waited.
    """

    who: Certificate
    rows: Mapping[RowKey, Mapping[str, Cell]]
    by: Value = "S1"
    seq: int = 50
    seen: int = SIZE
    reg: str = b64u(REGISTERS.digest)
    misplaced: frozenset[str] = frozenset()
    extra: tuple[Write, ...] = ()
    hidden: frozenset[str] = frozenset()
    erased: frozenset[str] = frozenset()
    signs_by: bool = True
    second: str | None = None
    at: int = NOW

    def make(self) -> tuple[Statement, Body]:
        """Return statement and body."""
        parts: tuple[list[Write], list[Write]] = ([], list(self.extra))
        for (table, key), cells in self.rows.items():
            for name, (value, over) in cells.items():
                path = format_path(table, key, name)
                parts[_is_public(table, name) == (path in self.misplaced)].append(Write(path, value, over))
        if self.signs_by:
            path = meta_path((self.who.dev, self.seq), "by")
            parts[path not in self.misplaced].append(Write(path, self.by, ()))
        _raw, body = make_body(*parts, bytes(32))
        pub = len(parts[0])
        if self.hidden:
            body = parse_body(redact(body, lambda _position, write: write.path not in self.hidden), pub)
        return self._statement(body, pub), body

    def _statement(self, body: Body, pub: int) -> Statement:
        root = b64u(root_of_inputs(body.digests))
        seen = Seen(b64u(bytes(32)), self.seen)
        return Statement(
            self.at, self.who.dev, len(body.writes), b64u(bytes(32)), pub, self.reg, root, seen, self.seq, 0, 1
        )


def _is_public(table: str, name: str) -> bool:
    register = REGISTERS.get(table)
    known = register is not None and (name.startswith("_") or register.find(name) is not None)
    return known and register is not None and register.class_of(name) == "public"


def uid(name: str) -> str:
    """Return a key for a short name: rows of devices have UUIDs."""
    return f"01900000-0000-7000-8000-{name.encode().hex():0>12}"


@dataclass
class Book:
    """Implements `core.trust_view.Ledger` from lists in memory."""

    received: int = NOW
    certificates: dict[str, list[tuple[int, Certificate]]] = field(default_factory=dict)
    areas: dict[RowKey, list[tuple[int, str]]] = field(default_factory=dict)
    owners: dict[RowKey, list[tuple[int, HeadValue]]] = field(default_factory=dict)
    parents: dict[RowKey, str] = field(default_factory=dict)
    entries: dict[Dot, Logged] = field(default_factory=dict)
    charter: Charter = CHARTER
    charters: Charters = field(default_factory=lambda: Charters(sign_charter(CHARTER, [_ROOT])))

    def seen_size(self, st: Statement) -> int:
        return st.seen.size

    staff_keys: dict[str, list[tuple[int, StaffKey]]] = field(default_factory=dict)
    floors: dict[int, int] = field(default_factory=dict)
    register_set: RegisterSet = field(default_factory=lambda: REGISTERS)

    def staff_key(self, key_id: str, size: int) -> StaffKey | None:
        found = [one for index, one in self.staff_keys.get(key_id, []) if index < size]
        return found[-1] if found else None

    def floor(self, size: int) -> int:
        return self.floors.get(size, 0)

    def certificate(self, dev: str, size: int) -> Certificate | None:
        found = [one for index, one in self.certificates.get(dev, []) if index < size]
        return found[-1] if found else None

    def registers(self, size: int) -> RegisterSet:
        return self.register_set

    def area(self, record: RowKey, size: int) -> Area | None:
        found = [code for index, code in self.areas.get(record, []) if index < size]
        return Area(found[-1], True) if found else None

    def owner(self, record: RowKey, size: int) -> HeadValue:
        found = [unit for index, unit in self.owners.get(record, []) if index < size]
        return found[-1] if found else None

    def parent(self, row: RowKey) -> str | None:
        return self.parents.get(row)

    def exists(self, row: RowKey) -> bool:
        path = format_path(*row, "_alive")
        return any(entry.accepted and entry.body.find(path) is not None for entry in self.entries.values())

    def children(self, record: RowKey, table: str) -> list[RowKey]:
        return sorted(row for row, parent in self.parents.items() if row[0] == table and parent == record[1])

    def heads(self, row: RowKey, name: str) -> tuple[Head, ...]:
        return ()  # what depends on present heads is tried through the real intake, in tests/centre/test_bypasses.py

    def replaced(self, row: RowKey, name: str, dot: Dot, size: int) -> bool:
        return False

    def logged(self, dot: Dot) -> Logged | None:
        return self.entries.get(dot)

    # -- what a test says about the past --------------------

    def enrol(self, *certificates: Certificate, index: int = 0) -> None:
        """Let certificates be in force from leaf *index*."""
        for one in certificates:
            self.certificates.setdefault(one.dev, []).append((index, one))

    def log(self, change: Change, index: int, *, accepted: bool = True) -> Dot:
        """Put a changeset into the past, whatever a judge would say; returns its dot."""
        st, body = change.make()
        self.entries[st.dot] = Logged(index, accepted, (NOW - 1000 + index, 0), st, body)
        for row, cells in change.rows.items():
            if accepted and row[0] == "task" and "place" in cells:
                self.areas.setdefault(row, []).append((index, str(cells["place"][0])))
            if accepted and row[0] == "contact" and "task_id" in cells:
                self.parents[row] = str(cells["task_id"][0])
        return st.dot

    def judge(self, change: Change) -> Judgement:
        """Return the verdict on a changeset that arrives now."""
        st, body = change.make()
        gone = frozenset(p for p, write in body.disclosed() if write.path in change.erased)
        writes = (Write(w.path, None, w.over) if p in gone and w is not None else w for p, w in enumerate(body.writes))
        body = Body(tuple(writes), body.salts, body.digests)
        return judge(st, body, received=self.received, index=SIZE, ledger=self, beside=Beside(change.second, gone))

    def reason(self, change: Change) -> str:
        """Return the reason of refusal, `` if accepted; nothing may be left undecided when all is disclosed."""
        judgement = self.judge(change)
        assert change.hidden or not judgement.declared
        return judgement.reason


def step(state: str | None, **columns: Value) -> dict[str, Value]:
    """Return a value of the field `step`."""
    return {"state": state, "owner": None, "due": None, "reason": None, **columns}


def cells(over: Iterable[Dot] = (), /, **fields: Value) -> dict[str, Cell]:
    """Return fields that all replace the same heads."""
    return {name: (value, tuple(sorted(over))) for name, value in fields.items()}


def new_task(key: str = "t", place: str = EAST, /, **fields: Value) -> dict[RowKey, dict[str, Cell]]:
    """Return the writes of a whole new task."""
    community = str(fields.get("place", place))[:3]
    plain: dict[str, Value] = {
        "_alive": True,
        "_community": community,
        "_month": "2026-11",
        "place": place,
        "started_on": "2026-11-20",
        "title": "路灯不亮",
        "step": step("reported"),
    }
    return {("task", uid(key)): cells(**{**plain, **fields})}


def edit_task(
    alive_over: Dot, over: Iterable[Dot] = (), key: str = "t", **fields: Value
) -> dict[RowKey, dict[str, Cell]]:
    """Return the writes of an edit: presence over *alive_over*, the fields over *over* (default: the same)."""
    return {("task", uid(key)): {"_alive": (True, (alive_over,)), **cells(over or (alive_over,), **fields)}}


def new_contact(parent: Value = "t", key: str = "c", over: Iterable[Dot] = ()) -> dict[RowKey, dict[str, Cell]]:
    """Return the writes of a contact of a task."""
    return {
        ("contact", uid(key)): {
            "_alive": (True, tuple(over)),
            **cells(over, task_id=uid(parent) if isinstance(parent, str) else parent, phone="000-0000001"),
        }
    }
