"""For the administrator: the centre at a glance, and what one device sees. Source: protocol page, sections 8 to 12."""

from collections.abc import Iterator
from dataclasses import dataclass

from syncgov.centre.centre import Centre
from syncgov.centre.certificates import find_device
from syncgov.centre.serving import Audience
from syncgov.core.merge import workflow_of
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Field, Register
from syncgov.core.trust_values import record_of
from syncgov.core.trust_view import DAY_MS, Certificate
from syncgov.storage.conflicts import must_decide
from syncgov.storage.connection import quote
from syncgov.storage.ledger import Ledger
from syncgov.storage.refusals import refusal
from syncgov.storage.state import RowKey, load_row
from syncgov.storage.wording import Language, record_words, value_words

EXPIRING_DAYS = 30  # a month's notice: the staff check is monthly at most streets
MAX_REFUSALS = 50  # the newest ones are told one by one; the rest is counted


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """One device in the overview. Times are ms UTC by the centre's clock.

    Attributes:
        logged: its last changeset in the log; `folded`: the log size that it had folded when it wrote that.
        last: when its newest changeset came, None before the first. waiting: changesets without their predecessor.
        state: `valid`, `expiring`, `expired`, `revoked`, or `stopped` (one number was used twice).
    """

    device: str
    roles: tuple[str, ...]
    areas: tuple[str, ...]
    units: tuple[str, ...]
    people: tuple[str, ...]
    valid_to: int
    state: str
    logged: int
    folded: int
    last: int | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Overview:
    """A centre at a glance. `codes`: enrolment codes that nobody has used."""

    name: str
    origin: str
    size: int
    waiting: int
    codes: int
    devices: tuple[DeviceLine, ...]


@dataclass(frozen=True, slots=True)
class RegisterView:
    """A register as a device has it: how many rows, and which fields it may read and write."""

    name: str
    label: str
    rows: int
    read: tuple[str, ...]
    write: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RefusalLine:
    """A changeset that was refused: its number, the record as people call it, why, and what the worker can do."""

    seq: int
    table: str
    key: str
    label: str
    code: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ConflictLine:
    """A field with several values, of a record that the device sees. `decision`: somebody must decide."""

    table: str
    key: str
    field: str
    label: str
    field_label: str
    shows: str
    values: int
    decision: bool


@dataclass(frozen=True, slots=True)
class View:
    """What one device sees, as of now.

    Attributes:
        missing: the number that the waiting changesets lack, 0 if none waits.
        refused: how many were refused in all; `refusals` are the newest.
    """

    line: DeviceLine
    registers: tuple[RegisterView, ...]
    missing: int
    refused: int
    refusals: tuple[RefusalLine, ...]
    conflicts: tuple[ConflictLine, ...]


def overview(centre: Centre) -> Overview:
    """Return the state of a centre and of its devices, by device id."""
    ledger, now = centre.reader(), centre.clock()
    devices = [found for (dev,) in _devices(ledger) if (found := _line(ledger, dev, now)) is not None]
    return Overview(
        name=centre.charter.name,
        origin=centre.charter.origin,
        size=ledger.size,
        waiting=sum(each.waiting for each in devices),
        codes=_count(ledger, "SELECT count(*) FROM _sg_code WHERE used IS NULL"),
        devices=tuple(devices),
    )


def view_as(centre: Centre, device: str, language: Language = "zh") -> View:
    """Return what a device sees, what waits from it, and what was refused.

    Args:
        device: its id, or a unique beginning of it.

    Raises:
        InputError: no such device. NotAllowedError: a registrar of the charter, which sees everything.
    """
    ledger = centre.reader()
    dev = find_device(centre, device)
    line, certificate = _line(ledger, dev, centre.clock()), ledger.certificate(dev, ledger.size)
    assert line is not None
    assert certificate is not None
    gets = line.state not in ("revoked", "expired")  # such a device is sent nothing of others any more
    registers = ledger.registers(ledger.size)
    audience = Audience(ledger, certificate, expired=not gets)
    views = [_register_view(ledger, certificate, registers, name) for name in audience.tables(registers)]
    refused = _count(ledger, "SELECT count(*) FROM _sg_leaf WHERE dev = ? AND NOT accepted", dev)
    return View(
        line=line,
        registers=tuple(views),
        missing=line.logged + 1 if line.waiting else 0,
        refused=refused,
        refusals=tuple(_refusals(ledger, dev, language)),
        conflicts=tuple(_conflicts(ledger, audience, certificate, language)),
    )


# -- devices --------------------


def _devices(ledger: Ledger) -> list[tuple[str]]:
    return ledger.conn.execute("SELECT DISTINCT key FROM _sg_version WHERE tbl = 'device' ORDER BY key").fetchall()


def _line(ledger: Ledger, dev: str, now_ms: int) -> DeviceLine | None:
    certificate, chain = ledger.certificate(dev, ledger.size), ledger.chain(dev)
    if certificate is None:
        return None
    newest = ledger.conn.execute("SELECT max(idx) FROM _sg_leaf WHERE dev = ?", (dev,)).fetchone()[0]
    return DeviceLine(
        device=dev,
        roles=tuple(sorted(certificate.roles)),
        areas=certificate.areas,
        units=certificate.units,
        people=certificate.staff or (),
        valid_to=certificate.valid_to,
        state=_state(certificate, chain is not None and chain.stopped, now_ms),
        logged=0 if chain is None else chain.seq,
        folded=0 if chain is None else chain.seen,
        last=None if newest is None else ledger.received(newest),
        waiting=_count(ledger, "SELECT count(*) FROM _sg_waiting WHERE dev = ?", dev),
    )


def _state(certificate: Certificate, stopped: bool, now_ms: int) -> str:
    if certificate.revoked:
        return "revoked"
    if stopped:
        return "stopped"
    left_ms = certificate.valid_to - now_ms
    return "expired" if left_ms < 0 else "expiring" if left_ms < EXPIRING_DAYS * DAY_MS else "valid"


def _count(ledger: Ledger, sql: str, *values: str | int) -> int:
    return int(ledger.conn.execute(sql, values).fetchone()[0])


# -- registers --------------------


def _register_view(ledger: Ledger, certificate: Certificate, registers: RegisterSet, name: str) -> RegisterView:
    register = registers[name]
    read = register.readable(certificate.roles)
    return RegisterView(
        name=name,
        label=register.label,
        rows=_rows(ledger, certificate, registers, register),
        read=tuple(each.label for each in read),
        write=tuple(each.label for each in read if _may_write(register, each, certificate)),
    )


def _may_write(register: Register, field: Field, certificate: Certificate) -> bool:
    workflow = workflow_of(register, field.name)
    roles = field.write if workflow is None else {role for step in workflow.transitions for role in step.roles}
    return not register.system and not certificate.roles.isdisjoint(roles)


def _rows(ledger: Ledger, certificate: Certificate, registers: RegisterSet, register: Register) -> int:
    """Return how many rows of a register the device gets, by what the central tables show."""
    if register.name == "device":  # its own certificate, and whose revocation everybody hears of
        return _count(ledger, "SELECT count(*) FROM device WHERE code = ? OR reason IS NOT NULL", certificate.dev)
    root = registers.root_of(register.name)
    condition, values = _inside(root, certificate)
    source = quote(register.name)
    if register.parent is not None:
        source += f" AS child JOIN {quote(root.name)} AS root ON root.{_key(root)} = child.{quote(register.parent)}"
    return _count(ledger, f"SELECT count(*) FROM {source} WHERE {condition}", *values)


def _key(register: Register) -> str:
    return "id" if register.key == "uuid" else "code"


def _inside(root: Register, certificate: Certificate) -> tuple[str, list[str]]:
    if root.area is None:
        return "1", []
    area = quote(root.area)
    parts = [f"substr({area}, 1, length(?)) = ?" for _prefix in certificate.areas]
    values = [prefix for prefix in certificate.areas for _twice in range(2)]
    if root.owner is not None and certificate.units:
        parts.append(f"{quote(root.owner)} IN ({', '.join('?' * len(certificate.units))})")
        values += certificate.units
    return f"({' OR '.join(parts) or '0'})", values


# -- refusals and conflicts --------------------


def _refusals(ledger: Ledger, dev: str, language: Language) -> Iterator[RefusalLine]:
    found = ledger.conn.execute(
        "SELECT idx, seq, tbl, key FROM _sg_leaf WHERE dev = ? AND NOT accepted ORDER BY idx DESC LIMIT ?",
        (dev, MAX_REFUSALS),
    ).fetchall()
    for index, seq, table, key in reversed(found):
        verdict = ledger.leaf(index).verdict
        why, remedy = refusal(verdict).words(language)
        label = _label(ledger, (table, key)) if table is not None else ""
        yield RefusalLine(seq, table or "", key or "", label, verdict.removeprefix("refused:"), why, remedy)


def _conflicts(
    ledger: Ledger, audience: Audience, certificate: Certificate, language: Language
) -> Iterator[ConflictLine]:
    registers = ledger.registers(ledger.size)
    visible = set(audience.tables(registers))
    found = ledger.conn.execute(
        "SELECT tbl, key, field, count(*) FROM _sg_conflict WHERE field NOT LIKE '\\_%' ESCAPE '\\' "
        "GROUP BY tbl, key, field ORDER BY tbl, key, field"
    ).fetchall()
    for table, key, name, heads in found:
        register = registers.get(table)
        declared = register.find(name) if register is not None else None
        if register is None or declared is None or table not in visible:
            continue
        record = record_of(registers, (table, key), ledger.parent((table, key)))
        stored = load_row(ledger.conn, (table, key))
        readable = register.may_read(certificate.roles, declared.klass) and stored.alive
        if record is not None and readable and audience.sees(record, ledger.size):
            shows = value_words(declared, stored.shown(name, register), language)
            decision = must_decide(register, stored, name)
            label = _label(ledger, (table, key))
            yield ConflictLine(table, key, name, label, declared.label, shows, heads, decision)


def _label(ledger: Ledger, row: RowKey) -> str:
    register = ledger.registers(ledger.size).get(row[0])
    stored = load_row(ledger.conn, row)
    columns = {}
    for declared in register.fields if register is not None else ():
        if declared.name in stored.fields:
            columns.update(declared.columns_of(stored.shown(declared.name, register)))
    return record_words(register, *row, columns)
