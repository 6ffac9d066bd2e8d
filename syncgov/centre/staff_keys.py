"""Keys of persons at the centre: codes, registration, their end; and a person who leaves.

Source: protocol page, sections 8 and 10.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from syncgov.centre.centre import Centre
from syncgov.centre.enrolment import CERTIFICATE_DAYS, is_fresh, new_code, stored_code, use_code
from syncgov.core import wire
from syncgov.core.canonical import unb64u
from syncgov.core.commitment import Value
from syncgov.core.keys import device_id
from syncgov.core.staff_keys import STAFF_KEYS
from syncgov.core.trust_view import DAY_MS
from syncgov.errors import FormatError, InputError, NotAllowedError, SignatureError
from syncgov.storage.connection import transaction
from syncgov.storage.ledger import Ledger

MAX_PERSON = 100  # as in the system registers
REASONS = ("replaced", "left", "lost", "misuse")
_PSEUDONYM_BYTES = 4  # 4 000 persons have different ones; a clash is looked for all the same


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered key, for the administrator: times in ms UTC; `ended` is empty while it counts."""

    key: str
    person: str
    pseudonym: str
    device: str
    valid_from: int
    valid_to: int
    ended: str


@dataclass(frozen=True, slots=True)
class Left:
    """What a person's leaving changed.

    Attributes:
        devices: whose list of people the person is no longer on. keys: that were ended.
        alone: devices that nobody else may use; they are unchanged and wait for a decision.
    """

    person: str
    devices: tuple[str, ...]
    keys: tuple[str, ...]
    alone: tuple[str, ...]


def invite(centre: Centre, person: str) -> str:
    """Return a one-time code with which *person* can have a key registered that a device made.

    Raises:
        InputError: no person, or a name that is too long.
    """
    if not 1 <= len(person) <= MAX_PERSON:
        raise InputError(f"人员编号应为 1 至 {MAX_PERSON} 个字符", f"a person's id has 1 to {MAX_PERSON} characters")
    code = new_code()
    with centre.lock, transaction(centre.ledger.conn):
        # a code without roles enrols nothing: it is good for this person's key alone
        values = (stored_code(code), "[]", "[]", "[]", json.dumps([person]), centre.clock())
        sql = "INSERT INTO _sg_code(hash, roles, areas, units, staff, made) VALUES (?, ?, ?, ?, ?, ?)"
        centre.ledger.conn.execute(sql, values)
    return code


def register(centre: Centre, dev: str, request: wire.StaffKeyRequest) -> str:
    """Register a key that device *dev* made for a person, and end the one that it replaces; returns the key id.

    Raises:
        SignatureError: the key did not sign the request. FormatError: no key.
        NotAllowedError: a bad code, somebody else's, or a person who may not use the device.
    """
    public = unb64u(request.public, 32)
    wire.verify_staff_key(request, dev, centre.charter.origin, public, unb64u(request.proof, 64))
    key_id = device_id(public)
    ledger = centre.ledger
    with centre.lock:
        found = ledger.conn.execute(
            "SELECT roles, staff, made, used FROM _sg_code WHERE hash = ?", (stored_code(request.code),)
        ).fetchone()
        if found is not None and found[3] == key_id:
            return key_id  # the answer got lost; asking again changes nothing
        if found is None or json.loads(found[0]) or found[3] is not None or not is_fresh(centre, found[2]):
            raise NotAllowedError(
                "人员密钥的登记码无效、已用过或已过期，请向管理员要新的",
                "the code for a staff key is unknown, used or too old; ask for a new one",
            )
        _require_person(ledger, dev, request.person, json.loads(found[1]))
        if ledger.certificate(key_id, ledger.size) is not None or ledger.staff_key(key_id, ledger.size) is not None:
            raise NotAllowedError("这把密钥已经登记", "this key is registered already")
        now = centre.clock()
        columns: dict[str, Value] = {
            "public_key": request.public,
            "pseudonym": _pseudonym(ledger, request.person),
            "valid_from": now,
            "valid_to": now + CERTIFICATE_DAYS * DAY_MS,
            "person": request.person,
            "made_on": dev,
        }
        old = [each.key for each in keys(ledger, request.person) if each.device == dev and not each.ended]
        rows: list[tuple[str, dict[str, Value]]] = [(key_id, columns)]
        rows += [(each, {"ended": "replaced"}) for each in old]
        centre.write(STAFF_KEYS, rows, also=lambda: use_code(ledger, request.code, key_id))
    return key_id


def answer(centre: Centre, dev: str, request: wire.StaffKeyRequest) -> wire.StaffKeyAnswer:
    """Return what became of a request; a refusal is an answer, so that nothing else of a sync fails with it."""
    key_id = ""
    try:
        key_id = device_id(unb64u(request.public, 32))
        register(centre, dev, request)
    except (FormatError, SignatureError, NotAllowedError) as error:
        return wire.StaffKeyAnswer(key=key_id, state="refused", code=error.code, detail=error.en, detail_zh=error.zh)
    return wire.StaffKeyAnswer(key=key_id, state="registered")


def _require_person(ledger: Ledger, dev: str, person: str, invited: Sequence[str]) -> None:
    certificate = ledger.certificate(dev, ledger.size)
    if certificate is None or certificate.revoked:
        raise NotAllowedError("这台终端已停用", "this device is revoked")
    allowed = certificate.staff
    if person not in invited:
        raise NotAllowedError(
            f"这个登记码不是给 {person} 的，请向管理员核对", f"this code was not given to {person}; ask the registrar"
        )
    if allowed and person not in allowed:
        raise NotAllowedError(
            f"{person} 不在这台终端的使用人员里，请管理员先用 renew 加入",
            f"{person} may not use this device; have the person added with `syncgov renew` first",
        )


def _pseudonym(ledger: Ledger, person: str) -> str:
    """The same for all keys of a person, so that the public can follow a signer without knowing who it is."""
    everybody = keys(ledger)
    for each in everybody:
        if each.person == person and each.pseudonym:
            return each.pseudonym
    taken = {each.pseudonym for each in everybody}
    while True:
        made = f"代号 {secrets.token_hex(_PSEUDONYM_BYTES)}"
        if made not in taken:
            return made


def keys(ledger: Ledger, person: str | None = None) -> list[Registered]:
    """Return the registered keys, of *person* or of everybody, by key id."""
    found = []
    for key_id, stored in ledger.rows(STAFF_KEYS):
        key = ledger.staff_key(key_id, ledger.size)
        if key is None or (person is not None and key.person != person):
            continue
        pseudonym, device = (stored.shown(name, None) for name in ("pseudonym", "made_on"))
        names = (str(pseudonym or ""), str(device or ""))
        found.append(Registered(key_id, key.person or "", *names, key.valid_from, key.valid_to, key.ended))
    return found


def end(centre: Centre, person: str, reason: str) -> tuple[str, ...]:
    """End all keys of a person that still count; returns their ids.

    Args:
        reason: `replaced` and `left` let count what was signed before and is on its way; `lost` and `misuse` do not.

    Raises:
        InputError: the person has no key that counts.
    """
    with centre.lock:
        found = tuple(each.key for each in keys(centre.ledger, person) if not each.ended)
        if not found:
            raise InputError(f"{person} 没有在用的密钥", f"{person} has no key that is in use")
        centre.write(STAFF_KEYS, [(each, {"ended": reason}) for each in found])
    return found


def leave(centre: Centre, person: str) -> Left:
    """Take a person off every device and end the person's keys.

    What was written before and is on its way counts for the charter's grace days. A device that nobody else may use
    keeps its list: an empty one would open it to everybody.

    Raises:
        InputError: nobody knows the person.
    """
    with centre.lock:
        ledger = centre.ledger
        shared, alone = [], []
        for dev, stored in ledger.rows("device"):
            people = stored.shown("people", None)
            if not isinstance(people, list) or person not in people or stored.shown("revocation", None) is not None:
                continue
            rest: list[Value] = [each for each in people if each != person]
            shared.append((dev, rest)) if rest else alone.append(dev)
        ended = tuple(each.key for each in keys(ledger, person) if not each.ended)
        if not shared and not alone and not ended:
            raise InputError(f"没有终端或密钥属于 {person}", f"no device or key is {person}'s")
        centre.write("device", [(dev, {"people": rest}) for dev, rest in shared])
        centre.write(STAFF_KEYS, [(each, {"ended": "left"}) for each in ended])
    return Left(person, tuple(dev for dev, _rest in shared), ended, tuple(alone))
