"""A new charter, signed by the roots: registrars, days, name, area. Source: protocol page, section 8."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from syncgov.centre.centre import NEW_REGISTRAR, Centre
from syncgov.core.canonical import unb64u
from syncgov.core.charter import Charter, key_text, sign_charter
from syncgov.core.keys import SigningKey, device_id
from syncgov.core.succession import succeed
from syncgov.errors import FormatError, InputError
from syncgov.storage.keyfile import load_key, store_key

MIN_PREFIX = 8  # hexadecimal digits of a device id that people read to each other


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new charter says otherwise; None stays. `add`: public keys (b64u); `remove`: beginnings of device ids.

    `new_registrar`: this centre gets a new registrar key, and its present one is removed.
    """

    name: str | None = None
    area: str | None = None
    grace_days: int | None = None
    backup_days: int | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    new_registrar: bool = False


@dataclass(frozen=True, slots=True)
class Chartered:
    """The charter in force now; `revoked`: registrars whose later changesets are refused."""

    index: int
    origin: str
    registrars: tuple[str, ...]
    revoked: tuple[str, ...]


def load_roots(files: Sequence[Path]) -> list[SigningKey]:
    """Return the root keys in *files*; StorageError names one that cannot be read."""
    return [load_key(path).key for path in files]


def replace_charter(centre: Centre, changes: Changes, roots: Sequence[SigningKey]) -> Chartered:
    """Log a new charter; it is in force from its leaf on. Repeating it after a power loss changes nothing more.

    Raises:
        InputError: nothing changes, no registrar is left, or a key that is no registrar's.
        NotAllowedError: too few of the roots in force have signed.
    """
    with centre.lock:
        held = centre.ledger.charters.newest
        fresh = fresh_registrar(centre) if changes.new_registrar else None
        charter = _changed(centre, held.charter, changes, fresh)
        if charter == held.charter:
            raise InputError("新章程与现行章程相同，没有写入", "the new charter says what the present one says")
        charter = msgspec.structs.replace(charter, previous=held.hash, closes=msgspec.UNSET, issued=centre.clock())
        raw = sign_charter(charter, roots)
        succeed(held.raw, raw)
        writer = fresh if fresh is not None else centre.registrar
        if fresh is None and charter.registrar_key(writer.id) is None:
            raise InputError(
                "新章程去掉了本中心的登记密钥，请同时用 --new-registrar",
                "the new charter removes this centre's own registrar; use --new-registrar",
            )
        centre.write_charter(raw, writer)
        before = {device_id(unb64u(text, 32)) for text in held.charter.registrars}
        now = [device_id(unb64u(text, 32)) for text in charter.registrars]
    return Chartered(centre.ledger.size - 1, charter.origin, tuple(now), tuple(sorted(before.difference(now))))


def fresh_registrar(centre: Centre) -> SigningKey:
    """Return the registrar key of the next charter; it is on disk before anything names it."""
    path = centre.path / "keys" / NEW_REGISTRAR
    if path.is_file():  # an earlier try died before its charter was logged
        return load_key(path).key
    return store_key(path, SigningKey(secrets.token_bytes(32)), 0, "").key


def _changed(centre: Centre, held: Charter, changes: Changes, fresh: SigningKey | None) -> Charter:
    ids = {device_id(unb64u(text, 32)): text for text in held.registrars}
    gone = {_find(ids, prefix) for prefix in changes.remove}
    gone |= {centre.registrar.id} if fresh is not None else set()
    kept = [text for dev, text in ids.items() if dev not in gone]
    added = [key_text(fresh.public)] if fresh is not None else []
    registrars = [*kept, *(text for text in (*changes.add, *added) if text not in kept)]
    for text in changes.add:
        try:
            unb64u(text, 32)
        except FormatError as error:
            raise InputError(f"{text} 不是公钥", f"{text} is not a public key: {error.en}") from error
    if not registrars:
        raise InputError("至少要有一个登记密钥", "at least one registrar must be left")
    plain = {"name": changes.name, "area": changes.area}
    days = {"grace_days": changes.grace_days, "backup_days": changes.backup_days}
    members = {name: value for name, value in {**plain, **days}.items() if value is not None}
    return msgspec.structs.replace(held, registrars=registrars, **members)


def _find(ids: dict[str, str], prefix: str) -> str:
    found = [dev for dev in ids if dev.startswith(prefix.strip().lower())]
    if len(prefix.strip()) < MIN_PREFIX or len(found) != 1:
        known = "、".join(dev[:MIN_PREFIX] for dev in ids)
        raise InputError(
            f"{prefix} 不是章程里的登记终端；现有：{known}", f"{prefix} is no registrar of the charter; known: {known}"
        )
    return found[0]
