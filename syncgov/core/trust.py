"""Verdicts: whether an authentic changeset takes part in the fold. Pure. Source: protocol page, section 11, steps 7–16.

The centre judges with every field open. An auditor judges again with what is disclosed; what could not be looked at is
returned as `declared`, never guessed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from syncgov.core.canonical import b64u
from syncgov.core.commitment import META_TABLE, Body, Value, Write, meta_path, parse_path
from syncgov.core.fold import FoldWrite
from syncgov.core.guards import empty_columns, is_before_expiry
from syncgov.core.merge import WITHHELD, FieldState, Head, HeadValue, Hidden, is_conflict, same, shown, workflow_of
from syncgov.core.photo_guard import ALIVE, columns_that_count, is_certain, missing_photos, photo_register
from syncgov.core.register import RegisterSet, parse_register
from syncgov.core.register_edition import check_edition
from syncgov.core.register_model import Register
from syncgov.core.staff_keys import is_in_force
from syncgov.core.statement import ACCEPTED, Seen, Statement, effective_time
from syncgov.core.succession import CHARTER_ROW, DOCUMENT, Charters, charter_document
from syncgov.core.trust_view import DAY_MS, Area, Certificate, Ledger, Logged, RowKey, registrar_certificate
from syncgov.core.workflow import PHOTO_GUARD, Photos, Transition, Workflow, find_transition, needs_review
from syncgov.errors import InputError, RegisterError, SyncgovError

MAX_HEADS = 64  # so many people never write one field at once; more would only make everybody's changesets large
MAX_META_CHARS = 2000  # who wrote, and a note
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and the checks for which undisclosed inputs were needed (empty at the centre)."""

    verdict: str
    declared: frozenset[str] = frozenset()

    @property
    def reason(self) -> str:
        """The refusal code, empty if accepted."""
        return "" if self.verdict == ACCEPTED else self.verdict.removeprefix("refused:")


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of a changeset apart from its body and leaf.

    Attributes:
        second: the id of the staff key whose signature stands beside the device's and verifies, None if there is none.
        erased: positions in the body with null for a value that was erased while the changeset waited.
    """

    second: str | None = None
    erased: frozenset[int] = frozenset()


class _RefusedError(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class _Case:
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


def judge(
    st: Statement, body: Body, *, received: int, index: int, ledger: Ledger, beside: Beside | None = None
) -> Judgement:
    """Return the verdict on an authentic changeset that is next in its device's chain.

    Args:
        body: as far as it is known; hidden writes make checks `declared`.
        received: ms UTC, as in the leaf. index: the leaf's.
        beside: what is known apart from body and leaf.

    Source: protocol page, section 11, steps 7 to 16.
    """
    size = ledger.seen_size(st)
    rebased = size != st.seen.size
    if rebased:
        st = msgspec.structs.replace(st, seen=Seen(st.seen.root, size))
    public = new_registrar(ledger.charters, body, index, st.dev)
    certificate = ledger.certificate(st.dev, index) if public is None else registrar_certificate(st.dev, public)
    assert certificate is not None, "step 2 comes before this"
    registers = ledger.registers(size)
    earlier = ledger.certificate(st.dev, size)
    whole = all(w is not None for w in body.writes)
    known = beside or Beside()
    signed = (known.second, known.erased)
    case = _Case(st, body, received, index, ledger, registers, certificate, earlier, whole, *signed, rebased=rebased)
    try:
        for step in _STEPS:
            step(case)
    except _RefusedError as refusal:
        return Judgement(f"refused:{refusal.reason}", frozenset(case.declared))
    return Judgement(ACCEPTED, frozenset(case.declared))


def new_registrar(charters: Charters, body: Body, index: int, dev: str) -> bytes | None:
    """Return the key of *dev* if *body* writes a charter that may come into force at *index* and names it."""
    document = charter_document(body)
    if document is None:
        return None
    try:
        return charters.accept(document, index).registrar_key(dev)
    except SyncgovError:
        return None


def record_of(registers: RegisterSet, row: RowKey, parent_key: str | None) -> RowKey | None:
    """Return the record that *row* belongs to: itself, or its parent's row; None when the parent is not known."""
    register = registers[row[0]]
    if register.parent is None or register.parent_register is None:
        return row
    return None if parent_key is None else (register.parent_register, parent_key)


def _refuse_unless(condition: bool, reason: str) -> None:
    if not condition:
        raise _RefusedError(reason)


def _check_device(case: _Case) -> None:
    """Step 7."""
    certificate = case.certificate
    _refuse_unless(not certificate.revoked, "revoked")
    _refuse_unless(certificate.valid_from <= case.received <= certificate.valid_to, "expired")


def _check_register_set(case: _Case) -> None:
    """Step 8."""
    _refuse_unless(b64u(case.registers.digest) == case.st.reg, "register")


def _check_rows(case: _Case) -> None:
    """Step 9: registers and fields exist, values fit, presence is written, all is one record."""
    case.declared |= set() if case.whole else {"values"}
    own_by = meta_path(case.st.dot, "by")
    metas = {own_by, meta_path(case.st.dot, "note")}
    for position, write in case.body.disclosed():
        path = parse_path(write.path)
        if path.table == META_TABLE:
            _refuse_unless(write.path in metas and not write.over and _is_short_text(write.value), "value")
            continue
        _refuse_unless(path.table in case.registers, "register")
        case.rows.setdefault((path.table, path.key), {})[path.field] = (position, write)
    found = case.body.find(own_by)
    _refuse_unless(found is not None or not case.whole, "value")
    case.by = None if found is None else found.value
    _refuse_unless(bool(case.rows) or not case.whole, "value")
    for row, writes in case.rows.items():
        _check_values(case, row, writes)
    _check_one_record(case)


def _is_key(value: Value) -> bool:
    return isinstance(value, str) and value != ""


def _is_short_text(value: Value) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= MAX_META_CHARS)


def _check_values(case: _Case, row: RowKey, writes: Mapping[str, tuple[int, Write]]) -> None:
    register = case.registers[row[0]]
    alive = writes.get("_alive")
    _refuse_unless(alive is not None or not case.whole, "value")
    for name, (position, write) in writes.items():
        if name == "_alive":
            _refuse_unless(isinstance(write.value, bool), "value")
        elif not name.startswith("_"):
            declared = register.find(name)
            _refuse_unless(declared is not None, "value")
            assert declared is not None
            if position in case.erased:
                continue
            _refuse_unless(write.value is not None or not declared.required, "value")
            try:
                declared.check(write.value)
            except InputError as error:
                raise _RefusedError("value") from error
    if case.whole and _is_new(case, writes):
        _refuse_unless(register.key != "uuid" or _UUID.fullmatch(row[1]) is not None, "value")
        for declared in register.fields:
            _refuse_unless(not declared.required or declared.name in writes, "value")
    if row[0] == CHARTER_ROW[0]:
        _check_charter(case, row, writes)
    if row[0] == "register" and "text" in writes:
        _check_register_text(case, row[1], writes["text"][1].value)


def _is_new(case: _Case, writes: Mapping[str, tuple[int, Write]]) -> bool:
    """Whether the row is made by this changeset: its presence replaces no accepted one (a refused one is none)."""
    alive = writes.get("_alive")
    if alive is None or alive[1].value is not True:
        return False
    heads = _heads(case, alive[1])
    return heads is not None and not heads


def _check_charter(case: _Case, row: RowKey, writes: Mapping[str, tuple[int, Write]]) -> None:
    """A charter stands in one row, replaces the one in force, and is signed by the roots of that one."""
    alive, document = writes.get("_alive"), case.body.find(DOCUMENT)
    _refuse_unless(row == CHARTER_ROW and (alive is None or alive[1].value is True), "value")
    if document is None:
        _refuse_unless(not case.whole, "value")
        return
    heads = {head.dot for head in case.ledger.heads(row, "document")}
    _refuse_unless(heads <= set(document.over), "value")
    try:
        case.ledger.charters.accept(str(document.value).encode(), case.index)
    except SyncgovError as error:
        raise _RefusedError("value") from error


def _check_register_text(case: _Case, name: str, text: Value) -> None:
    """A definition must be usable, else everybody's work stops at it, and hold what rows hold by the present ones."""
    try:
        register = parse_register(str(text), f"{name}.yml")
        _refuse_unless(register.name == name and not register.system, "value")
        for head in case.ledger.heads(("register", name), "text"):
            if isinstance(head.value, str):
                check_edition(parse_register(head.value, f"{name}.yml"), register)
    except RegisterError as error:
        raise _RefusedError("value") from error


def _check_one_record(case: _Case) -> None:
    records = set()
    for row, writes in case.rows.items():
        register = case.registers[row[0]]
        parents: set[Value] = set()
        if register.parent is not None:
            written = writes.get(register.parent)
            # a child may not be taken from one record to another: both its old and its new record count
            parents = {p for p in (written[1].value if written else None, case.ledger.parent(row)) if _is_key(p)}
            _refuse_unless(bool(parents) or not case.whole, "value")
        found = {record_of(case.registers, row, p if isinstance(p, str) else None) for p in parents or {None}}
        records |= found - {None}
    _refuse_unless(len(records) <= 1, "value")
    case.record = next(iter(records), None)


def _check_classes(case: _Case) -> None:
    """Step 10: public writes stand first, and the skeleton says what the private fields say."""
    for row, writes in case.rows.items():
        register = case.registers[row[0]]
        for name, (position, _write) in writes.items():
            _refuse_unless((register.class_of(name) == "public") == (position < case.st.pub), "skeleton")
        _check_skeleton(case, register, writes)
    for position, write in case.body.disclosed():
        _refuse_unless(not write.path.startswith(META_TABLE) or position >= case.st.pub, "skeleton")


def _check_skeleton(case: _Case, register: Register, writes: Mapping[str, tuple[int, Write]]) -> None:
    sources = register.skeleton.sources() if register.skeleton is not None else {}
    for name in writes:
        _refuse_unless(not name.startswith("_") or name == "_alive" or name in sources, "skeleton")
    for name, (column, length) in sources.items():
        declared = register.column_field(column)
        source = writes.get(declared.name)
        derived = writes.get(name)
        if source is not None and source[0] in case.erased:
            _refuse_unless(derived is not None, "skeleton")
        elif source is not None:
            text = declared.columns_of(source[1].value).get(column)
            expected = text[:length] if isinstance(text, str) else None
            _refuse_unless(derived is not None and same(derived[1].value, expected), "skeleton")
        elif derived is not None:
            _refuse_unless(not case.whole, "skeleton")
            case.declared.add("skeleton")


def _check_roles(case: _Case) -> None:
    """Step 11."""
    roles = case.certificate.roles
    for row, writes in case.rows.items():
        register = case.registers[row[0]]
        others = [name for name in writes if not name.startswith("_")]
        for name in others:
            declared = register.field(name)
            _refuse_unless(not register.system or case.is_registrar, "role")
            # who may move a workflow is said by its transitions
            _refuse_unless(workflow_of(register, name) is not None or bool(declared.write & roles), "role")
            _refuse_unless(register.may_read(roles, declared.klass), "role")
        alive = writes.get("_alive")
        if alive is not None and (alive[1].value is False or (not others and case.whole) or _is_back(case, alive[1])):
            _refuse_unless(bool(register.write & roles), "role")
            _refuse_unless(not register.system or case.is_registrar, "role")
    _check_staff(case)
    _check_second(case)


def _is_back(case: _Case, alive: Write) -> bool:
    """Whether a deleted row is made to live again."""
    heads = _heads(case, alive)
    return bool(heads) and alive.value is True and not any(h.value is True for h in heads or [])


def _check_staff(case: _Case) -> None:
    staff = case.certificate.staff
    if staff is None or (case.by is None and not case.whole):
        case.declared.add("person")
    else:
        _refuse_unless(_may_use(case, case.by), "person")


def _may_use(case: _Case, person: Value) -> bool:
    """Whether somebody may use the device now, or might when this was signed, for the grace days after the change."""
    certificate, earlier = case.certificate, case.earlier
    if not certificate.staff or person in certificate.staff:
        return True
    if earlier is None or earlier.staff is None or earlier.staff == certificate.staff:
        return False
    on_its_way = case.received - certificate.since <= _grace_ms(case)
    return on_its_way and (not earlier.staff or person in earlier.staff)


def _grace_ms(case: _Case) -> int:
    return case.ledger.charter.grace_days * DAY_MS


def _check_second(case: _Case) -> None:
    """Step 11, second signature: of a key in force, whose owner may use the device and is not who wrote."""
    if case.second is None:
        return
    key = case.ledger.staff_key(case.second, case.index)
    earlier = case.ledger.staff_key(case.second, case.st.seen.size)
    _refuse_unless(key is not None and is_in_force(key, earlier, case.received, _grace_ms(case)), "second")
    assert key is not None
    if key.person is None:
        case.declared.add("second")
        return
    # somebody who is not named cannot be shown to be another person
    _refuse_unless(key.person != "" and case.by is not None and key.person != case.by, "second")
    _refuse_unless(_may_use(case, key.person), "second")
    case.second_person = key.person


def _check_area(case: _Case) -> None:
    """Step 12: the old area and the new one lie in the device's areas; a unit's own record may lie anywhere."""
    if case.record is None:
        case.declared.add("area")
        return
    register = case.registers[case.record[0]]
    if register.area is None or case.is_registrar:
        return
    # a record that the device itself made after `seen` has an area only now
    old = case.ledger.area(case.record, case.st.seen.size) or case.ledger.area(case.record, case.index)
    new = _new_area(case, register)
    if old is None and new is None and case.whole:
        # a child of a record that this log position does not know
        _refuse_unless(False, "area")
    # as at `seen`: what was taken from the unit meanwhile was its own when the device wrote
    unit = case.ledger.owner(case.record, case.st.seen.size) if register.owner is not None else None
    if old is not None:
        _require_cover(case, old, unit)
    if new is not None and new != old:
        _require_cover(case, new, None)  # whoever handles a record does not move it elsewhere
    elif new is not None and not new.exact and _covers(case.certificate.areas, new) is not True:
        case.declared.add("area")  # two places of one community: what is disclosed does not tell them apart
    if old is None and new is None and not _is_of(unit, case.certificate):
        case.declared.add("area")


def _new_area(case: _Case, register: Register) -> Area | None:
    assert case.record is not None and register.area is not None
    writes = case.rows.get(case.record, {})
    written = writes.get(register.column_field(register.area).name)
    if written is not None:
        value = register.column_field(register.area).columns_of(written[1].value).get(register.area)
        _refuse_unless(isinstance(value, str) and value != "", "value")
        return Area(str(value), True)
    community = writes.get("_community")
    if community is not None and isinstance(community[1].value, str):
        return Area(community[1].value, False)
    return None


def _require_cover(case: _Case, area: Area, unit: HeadValue) -> None:
    covers = _reaches(case.certificate, area, unit)
    before, within_grace = case.earlier, case.received - case.certificate.since <= _grace_ms(case)
    if covers is not True and before is not None and within_grace and _is_reassigned(before, case.certificate):
        earlier = _reaches(before, area, unit)
        covers = True if earlier is True else None if covers is None or earlier is None else False
    _refuse_unless(covers is not False, "area")
    if covers is None:
        case.declared.add("area")


def _is_reassigned(earlier: Certificate, now: Certificate) -> bool:
    return (earlier.areas, earlier.units) != (now.areas, now.units)


def _reaches(certificate: Certificate, area: Area, unit: HeadValue) -> bool | None:
    """Whether a record in *area*, handled by *unit*, is the device's to write; None: that is not disclosed."""
    covers = _covers(certificate.areas, area)
    if covers is True or _is_of(unit, certificate):
        return True
    return None if unit is WITHHELD and certificate.units else covers


def _is_of(unit: HeadValue, certificate: Certificate) -> bool:
    return isinstance(unit, str) and unit in certificate.units


def _covers(prefixes: Iterable[str], area: Area) -> bool | None:
    """True: certainly inside; False: certainly outside; None: it depends on the undisclosed part."""
    prefixes = list(prefixes)
    if any(area.code.startswith(prefix) for prefix in prefixes):
        return True
    if not area.exact and any(prefix.startswith(area.code) for prefix in prefixes):
        return None
    return False


def _check_over(case: _Case) -> None:
    """Step 13."""
    for row_writes in case.rows.values():
        for _position, write in row_writes.values():
            for dot in write.over:
                if dot[0] == case.st.dev and dot[1] >= case.st.seq:
                    raise _RefusedError("over")
                logged = case.ledger.logged(dot)
                earlier = logged is not None and (
                    case.rebased or dot[0] == case.st.dev or logged.index < case.st.seen.size
                )
                _refuse_unless(earlier, "over")
                assert logged is not None
                if logged.find(write.path) is None:
                    _refuse_unless(not logged.whole, "over")
                    case.declared.add("over")
            path = parse_path(write.path)
            heads = case.ledger.heads((path.table, path.key), path.field)
            _refuse_unless(len(heads) - len(write.over) < MAX_HEADS, "over")


def _check_frozen(case: _Case) -> None:
    """Step 14: immutable rows, review fields, withdrawals."""
    for row, writes in case.rows.items():
        register = case.registers[row[0]]
        alive = writes.get("_alive")
        if register.immutable and alive is not None:
            _refuse_unless(not alive[1].over and alive[1].value is True, "immutable")
            _refuse_unless(not case.ledger.exists(row), "immutable")
        for name, (_position, write) in writes.items():
            if not name.startswith("_") and register.field(name).merge == "review":
                heads = _heads(case, write)
                if heads is None:
                    case.declared.add("transition")
                settles = (heads is not None and is_conflict(heads)) or _settles(case, row, name, write)
                _refuse_unless(not settles or bool(register.field(name).resolve & case.certificate.roles), "review")


def _settles(case: _Case, row: RowKey, name: str, write: Write) -> bool:
    """Whether a conflict that is there now would be gone, be it by naming one head after the other."""
    present = case.ledger.heads(row, name)
    if any(isinstance(head.value, Hidden) for head in present):
        case.declared.add("transition")  # an auditor cannot say what stood there; at the centre nothing is hidden
    if not present or not is_conflict(present):
        return False
    left = [head.value for head in present if head.dot not in write.over]
    return all(same(value, write.value) for value in left)


def _heads(case: _Case, write: Write) -> list[Head] | None:
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


def _check_workflow(case: _Case) -> None:
    """Step 15."""
    for row, writes in case.rows.items():
        workflow = case.registers[row[0]].workflow
        if workflow is not None and workflow.field in writes:
            _check_transition(case, row, workflow, writes[workflow.field][1])
        elif workflow is not None:
            _refuse_unless(not (case.whole and _is_new(case, writes)), "transition")


def _check_transition(case: _Case, row: RowKey, workflow: Workflow, write: Write) -> None:
    register = case.registers[row[0]]
    heads = _heads(case, write)
    if heads is None:
        case.declared.add("transition")
        return
    # a step that was already replaced when the writer looked is not where the record stood
    size = case.st.seen.size
    standing = [h for h in heads if not case.ledger.replaced(row, workflow.field, h.dot, size)]
    heads = standing or heads
    values = [h.value for h in heads]
    roles = case.certificate.roles
    if is_conflict(heads) and needs_review(workflow, values):
        _refuse_unless(bool(workflow.resolve & roles) and any(same(write.value, v) for v in values), "review")
        return
    source = shown(FieldState(tuple(heads)), register.field(workflow.field), workflow)
    transition = find_transition(workflow, workflow.state(source), str(workflow.state(write.value)), roles)
    _refuse_unless(transition is not None, "transition")
    assert transition is not None
    _check_guards(case, transition, write, (heads, source))


def _check_guards(case: _Case, transition: Transition, write: Write, before: tuple[list[Head], HeadValue]) -> None:
    """Step 15, guards; *before* is what the step replaces: heads, and the value that they show."""
    heads, source = before
    _refuse_unless(not empty_columns(transition, write.value), "guard")
    if "before_expiry" in transition.guards:
        effective_ms, _tick = effective_time(case.st, _floor(case), case.received)
        _refuse_unless(is_before_expiry(source, effective_ms), "guard")
    if "second_signature" in transition.guards:
        _refuse_unless(case.second is not None, "guard")
    if "other_person" in transition.guards:
        hidden = case.by is None and not case.whole
        _refuse_unless(not _wrote_before(case, heads, case.by, hidden=hidden), "guard")
        if "second_signature" in transition.guards:
            hidden = case.second_person is None
            _refuse_unless(not _wrote_before(case, heads, case.second_person, hidden=hidden), "guard")
    if PHOTO_GUARD in transition.guards:
        _check_photos(case, parse_path(write.path)[:2])


def _floor(case: _Case) -> int:
    return min(case.ledger.floor(case.st.seen.size), case.received)


def _wrote_before(case: _Case, heads: list[Head], person: Value, *, hidden: bool) -> bool:
    """Whether *person* made one of the steps that are replaced; *hidden*: who it is is not disclosed."""
    for head in heads:
        logged = case.ledger.logged(head.dot)
        author = logged.body.find(meta_path(head.dot, "by")) if logged is not None else None
        if author is None or hidden:
            case.declared.add("guard")
        elif author.value is None or person is None or author.value == person:
            return True  # somebody who is not named cannot be shown to be another person
    return False


def _check_photos(case: _Case, record: RowKey) -> None:
    """A photo before and one after, accepted or in this changeset. Source: protocol page, section 17."""
    workflow = case.registers[record[0]].workflow
    photos = workflow.photos if workflow is not None else None
    register = photo_register(photos, case.registers) if photos is not None else None
    _refuse_unless(register is not None, "guard")
    assert photos is not None and register is not None
    rows = [_photo_row(case, row, photos, register) for row in _photo_rows(case, record, register.name)]
    if missing_photos(photos, register, record[1], rows):
        hidden = any(write is None for write in case.body.writes[: case.st.pub])
        _refuse_unless(not case.whole and (hidden or not is_certain(photos, register, rows)), "guard")
        case.declared.add("guard")


def _photo_rows(case: _Case, record: RowKey, table: str) -> list[RowKey]:
    own = {row for row in case.rows if row[0] == table}
    return sorted(own.union(case.ledger.children(record, table)))


def _photo_row(case: _Case, row: RowKey, photos: Photos, register: Register) -> dict[str, object]:
    """What a child row shows with this changeset."""
    writes = case.rows.get(row, {})
    values: dict[str, object] = {}
    for column in columns_that_count(photos, register):
        declared = register.column_field(column)
        written = writes.get(declared.name)
        heads = case.ledger.heads(row, declared.name)
        value = written[1].value if written is not None else shown(FieldState(heads), declared, None)
        values[column] = WITHHELD if isinstance(value, Hidden) else declared.columns_of(value).get(column)
    alive = writes.get(ALIVE)
    heads = case.ledger.heads(row, ALIVE)
    values[ALIVE] = alive[1].value if alive is not None else any(head.value is True for head in heads)
    return values


_STEPS = (
    _check_device,
    _check_register_set,
    _check_rows,
    _check_classes,
    _check_roles,
    _check_area,
    _check_over,
    _check_frozen,
    _check_workflow,
)
