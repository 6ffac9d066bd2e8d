"""One-time enrolment codes, and devices that join with them. Source: protocol page, section 8."""

import hashlib
import json
import secrets
from collections.abc import Sequence

from syncgov.centre.centre import Centre
from syncgov.core.canonical import unb64u
from syncgov.core.commitment import Value
from syncgov.core.keys import device_id
from syncgov.core.register_model import REGISTRAR
from syncgov.core.trust_view import DAY_MS
from syncgov.core.wire import Join, verify_join
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.connection import transaction
from syncgov.storage.ledger import Ledger
from syncgov.storage.state import load_row

CODE_DAYS = 14  # long enough for a training day, short enough for a lost note
CERTIFICATE_DAYS = 730  # renewed at the yearly staff check; two years leave a year of slack
MAX_AREAS = 16
MAX_UNITS = 16
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # without look-alikes; 12 of 31 characters are 59 bits


def enrol(
    centre: Centre,
    roles: str | Sequence[str],
    areas: Sequence[str],
    staff: Sequence[str] = (),
    count: int = 1,
    units: Sequence[str] = (),
) -> list[str]:
    """Return *count* new one-time codes for devices of *roles* (one or several), for *staff* (none: all).

    Args:
        areas, units: a device gets the records that lie in its areas, and those that its units are responsible for.

    Raises:
        InputError: a role that no register knows, areas outside the charter's, a unit that is not registered.
    """
    wanted = [roles] if isinstance(roles, str) else list(roles)
    check_grant(centre, wanted, areas, units)
    ledger = centre.ledger
    codes = [new_code() for _ in range(count)]
    with centre.lock, transaction(ledger.conn):
        ledger.conn.executemany(
            "INSERT INTO _sg_code(hash, roles, areas, units, staff, made) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (stored_code(code), *(json.dumps(list(each)) for each in (wanted, areas, units, staff)), centre.clock())
                for code in codes
            ],
        )
    return codes


def new_code() -> str:
    """Return a random one-time code that people can read to each other."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))


def stored_code(code: str) -> str:
    """Return under what name a code is kept: not the code itself."""
    return hashlib.sha256(code.strip().upper().encode()).hexdigest()


def is_fresh(centre: Centre, made_ms: int) -> bool:
    """Whether a code that was made then is still good."""
    return centre.clock() - made_ms <= CODE_DAYS * DAY_MS


def use_code(ledger: Ledger, code: str, user: str) -> None:
    """Note by which device or key a code was used; call inside the transaction that writes what it was good for."""
    ledger.conn.execute("UPDATE _sg_code SET used = ? WHERE hash = ?", (user, stored_code(code)))


def check_grant(centre: Centre, roles: Sequence[str], areas: Sequence[str], units: Sequence[str] = ()) -> None:
    """Return if a certificate may be given for *roles* in *areas*, and for what *units* are responsible for.

    Raises:
        InputError: a role that no register knows, areas outside the charter's, a unit that is not registered.
    """
    known = known_roles(centre.ledger)
    unknown = sorted(set(roles) - known)
    if unknown or not roles:
        raise InputError(
            f"没有角色 {'、'.join(unknown)}，可用：{'、'.join(sorted(known))}",
            f"unknown roles {', '.join(unknown)}; known: {', '.join(sorted(known))}",
        )
    least = 0 if units else 1  # what its units are responsible for is enough for a device
    if not least <= len(areas) <= MAX_AREAS or not all(
        area.isalnum() and area.startswith(centre.charter.area) for area in areas
    ):
        raise InputError(
            f"区域应为 {least} 至 {MAX_AREAS} 个以 {centre.charter.area} 开头的代码",
            f"areas must be {least} to {MAX_AREAS} codes that begin with {centre.charter.area}",
        )
    _check_units(centre.ledger, units)


def _check_units(ledger: Ledger, units: Sequence[str]) -> None:
    registers = [each for each in ledger.registers(ledger.size).values() if each.owner is not None]
    columns = [column for each in registers for column in each.columns if column.name == each.owner]
    if units and not columns:
        raise InputError(
            "没有登记册声明责任单位（owner），不能按单位登记",
            "no register declares a responsible unit (`owner`); a device cannot be enrolled for units",
        )
    if len(units) > MAX_UNITS:
        raise InputError(f"责任单位最多 {MAX_UNITS} 个", f"at most {MAX_UNITS} units")
    tables = {column.ref for column in columns}
    known = [each for each in tables if each is not None]
    for unit in units:
        if None not in tables and not any(load_row(ledger.conn, (table, unit)).alive for table in known):
            raise InputError(f"没有登记责任单位 {unit}，请先 load", f"no unit {unit} is registered; load it first")


def known_roles(ledger: Ledger) -> set[str]:
    """Return every role that an active register names; registrars are named by the charter alone."""
    roles: set[str] = set()
    for register in ledger.registers(ledger.size).values():
        roles |= set(register.writers) | {role for group in register.read.values() for role in group}
        if register.workflow is not None:
            roles |= {role for step in register.workflow.transitions for role in step.roles}
    return roles - {"*", REGISTRAR}


def join(centre: Centre, request: Join) -> int:
    """Enrol the device that sent *request*; returns the index of its certificate's leaf.

    Raises:
        SignatureError: the key did not sign the request.
        NotAllowedError: a code that is unknown, used or too old.
    """
    public = unb64u(request.public, 32)
    verify_join(request, centre.charter.origin, public, unb64u(request.proof, 64))
    dev = device_id(public)
    ledger = centre.ledger
    with centre.lock:
        found = ledger.conn.execute(
            "SELECT roles, areas, units, staff, made, used FROM _sg_code WHERE hash = ?", (stored_code(request.code),)
        ).fetchone()
        if found is not None and found[5] == dev:
            return _enrolled_at(ledger, dev)  # the answer got lost; joining again with the same key changes nothing
        # a code without roles is for a person's key, not for a device
        if found is None or not json.loads(found[0]) or found[5] is not None or not is_fresh(centre, found[4]):
            raise NotAllowedError(
                "登记码无效、已用过或已过期，请向管理员要新的",
                "the enrolment code is unknown, used or too old; ask for a new one",
            )
        if ledger.certificate(dev, ledger.size) is not None:
            raise NotAllowedError("这台终端已经登记", "this device is enrolled already")
        row = (dev, _certificate(request, found, centre.clock()))
        index = centre.write("device", [row], also=lambda: use_code(ledger, request.code, dev))[0]
    return index


def _certificate(request: Join, code: Sequence[str], now_ms: int) -> dict[str, Value]:
    return {
        "public_key": request.public,
        "roles": json.loads(code[0]),
        "areas": json.loads(code[1]),
        "units": json.loads(code[2]),
        "people": json.loads(code[3]),
        "valid_from": now_ms,
        "valid_to": now_ms + CERTIFICATE_DAYS * DAY_MS,
    }


def _enrolled_at(ledger: Ledger, dev: str) -> int:
    found = ledger.conn.execute("SELECT min(idx) FROM _sg_version WHERE tbl = 'device' AND key = ?", (dev,)).fetchone()
    return int(found[0])
