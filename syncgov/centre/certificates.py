"""Certificates over time: revoking a device, renewing one. Source: protocol page, sections 8 and 11."""

from collections.abc import Sequence
from dataclasses import dataclass

from syncgov.centre.centre import Centre
from syncgov.centre.enrolment import CERTIFICATE_DAYS, check_grant
from syncgov.centre.staff_keys import keys
from syncgov.core.commitment import Dot, Value
from syncgov.core.disputes import REVOCATION, disputed, last_good_seqs
from syncgov.core.staff_keys import STAFF_KEYS
from syncgov.core.trust_view import DAY_MS
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.ledger import Ledger
from syncgov.storage.state import load_row

MIN_PREFIX = 8  # hexadecimal digits of a device id that people read to each other
MAX_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Revoked:
    """A device that is revoked from the leaf at `index` on (None: it was already, in the same words).

    `disputed`: how many of its accepted changesets came after the last one beyond doubt.
    """

    device: str
    index: int | None
    logged: int
    disputed: int


@dataclass(frozen=True, slots=True)
class Renewed:
    """A certificate after its renewal. `index` is None if nothing changed."""

    device: str
    index: int | None
    roles: tuple[str, ...]
    areas: tuple[str, ...]
    units: tuple[str, ...]
    people: tuple[str, ...]
    valid_to: int


def revoke(centre: Centre, device: str, reason: str = "lost", last_good: int | None = None) -> Revoked:
    """Revoke a device: what arrives later is refused. Its earlier changesets stay; later than *last_good*: 有争议.

    Args:
        device: its id, or a unique beginning of it.
        reason: a code of the certificate's revocation. last_good: the last seq that is beyond doubt.

    Raises:
        InputError: no such device, or a seq that it has not reached.
        NotAllowedError: a registrar of the charter: only the roots can replace it.
    """
    with centre.lock:
        ledger = centre.ledger
        dev = find_device(centre, device)
        chain = ledger.chain(dev)
        logged = 0 if chain is None else chain.seq
        if last_good is not None and not 0 <= last_good <= logged:
            raise InputError(
                f"终端 {dev[:MIN_PREFIX]} 在日志里只到第 {logged} 条", f"the log holds only {logged} entries of {dev}"
            )
        columns: dict[str, Value] = {"reason": reason}
        columns |= {"last_good_seq": last_good} if last_good is not None else {}
        written = centre.write("device", [(dev, columns)])
        marked = disputed_dots(ledger, dev)
    return Revoked(dev, written[0] if written else None, logged, len(marked))


def renew(
    centre: Centre,
    device: str,
    *,
    roles: Sequence[str] = (),
    areas: Sequence[str] = (),
    units: Sequence[str] | None = None,
    staff: Sequence[str] | None = None,
    without: Sequence[str] = (),
    days: int = CERTIFICATE_DAYS,
) -> Renewed:
    """Write a device's certificate anew: valid for *days* from now, with other rights where given (no units: []).

    Persons *without* may no longer use it, and the keys that they have on it end.

    Key and chain stay. Offline work of a reassigned device is judged by its old areas and units for the charter's
    grace days.

    Raises:
        InputError: no such device, unknown roles or units, foreign areas.
        NotAllowedError: a revoked device enrols again; a registrar of the charter has no certificate.
    """
    if not 1 <= days <= MAX_DAYS:
        raise InputError(f"有效期应为 1 至 {MAX_DAYS} 天", f"days must be 1 to {MAX_DAYS}")
    with centre.lock:
        dev = find_device(centre, device)
        certificate = centre.ledger.certificate(dev, centre.ledger.size)
        assert certificate is not None, "it was just found"
        if certificate.revoked:
            raise NotAllowedError(
                f"终端 {dev[:MIN_PREFIX]} 已停用，不能续期；请发新登记码，让它用 syncgov rejoin 重新登记",
                f"device {dev} is revoked and cannot be renewed; give it a new code for `syncgov rejoin`",
            )
        columns: dict[str, Value] = {"valid_to": centre.clock() + days * DAY_MS}
        kept = certificate.units if units is None else units
        check_grant(centre, roles or sorted(certificate.roles), areas or certificate.areas, kept)
        columns |= {"roles": list(roles)} if roles else {}
        columns |= {"areas": list(areas)} if areas else {}
        columns |= {"units": list(units)} if units is not None else {}
        columns |= {"people": list(staff)} if staff is not None else {}
        if without:
            columns["people"] = _without(dev, list(staff or certificate.staff or ()), without)
        written = centre.write("device", [(dev, columns)])
        gone = [each for each in keys(centre.ledger) if each.device == dev and each.person in without]
        centre.write(STAFF_KEYS, [(each.key, {"ended": "left"}) for each in gone if not each.ended])
        now = centre.ledger.certificate(dev, centre.ledger.size)
    assert now is not None
    people = now.staff or ()
    index, held = written[0] if written else None, tuple(sorted(now.roles))
    return Renewed(dev, index, held, now.areas, now.units, people, now.valid_to)


def _without(dev: str, people: list[str], gone: Sequence[str]) -> list[Value]:
    unknown = [person for person in gone if person not in people]
    if unknown:
        raise InputError(
            f"{'、'.join(unknown)} 不在终端 {dev[:MIN_PREFIX]} 的使用人员里",
            f"{', '.join(unknown)} is not among the people of device {dev}",
        )
    rest: list[Value] = [person for person in people if person not in gone]
    if not rest:
        raise InputError(
            f"终端 {dev[:MIN_PREFIX]} 会没有人可用：请用 --staff 写明新的使用人员，或用 syncgov revoke 停用",
            f"nobody would be left on device {dev}: name the new people with --staff, or `syncgov revoke` it",
        )
    return rest


def find_device(centre: Centre, device: str) -> str:
    """Return the id of the enrolled device that begins with *device*.

    Raises:
        InputError: too short, unknown, or several begin so. NotAllowedError: a registrar of the charter.
    """
    prefix = device.strip().lower()
    if len(prefix) < MIN_PREFIX:
        raise InputError(f"终端编号至少写 {MIN_PREFIX} 位", f"give at least {MIN_PREFIX} digits of the device id")
    ledger = centre.ledger
    if centre.registrar.id.startswith(prefix):
        raise NotAllowedError(
            "这是章程写明的登记终端，只能由根密钥持有人用新章程更换",
            "this is a registrar named by the charter; only the roots can replace it, in a new charter",
        )
    found = [key for key, stored in ledger.rows("device") if key.startswith(prefix) and stored.alive]
    if not found:
        raise InputError(f"没有终端 {device}", f"no device {device}")
    if len(found) > 1:
        ids = "、".join(found)
        raise InputError(f"有 {len(found)} 台终端以 {device} 开头：{ids}", f"{device} is ambiguous: {ids}")
    return found[0]


def disputed_dots(ledger: Ledger, dev: str) -> list[Dot]:
    """Return the accepted changesets of a device that came after its last one beyond doubt, in log order."""
    last_good = last_good_seqs([(dev, {REVOCATION: load_row(ledger.conn, ("device", dev)).shown(REVOCATION, None)})])
    found = ledger.conn.execute("SELECT dev, seq FROM _sg_leaf WHERE dev = ? AND accepted ORDER BY idx", (dev,))
    return disputed(last_good, found.fetchall())
