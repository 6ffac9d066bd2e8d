"""The file of staff keys beside a replica: private keys of persons, each locked by a PIN.

A PIN of six digits keeps colleagues away, not somebody who takes the file home and tries a million; against him the
registrar ends the key. Wrong PINs are counted in the file, and answered more and more slowly.

Source: protocol page, section 13.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from syncgov.core import wire
from syncgov.core.canonical import b64u, encode, unb64u
from syncgov.core.keys import SigningKey
from syncgov.errors import FormatError, InputError, NotAllowedError, PinError, StorageError
from syncgov.storage.files import write_atomic

MIN_PIN, MAX_PIN = 6, 64  # characters
SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 15, 8, 1  # 32 MiB and a tenth of a second; a phone of 2020 takes half a second
_MAX_N, _MAX_R, _MAX_P = 1 << 20, 16, 4  # what a file may ask of this machine: 2 GiB at most
STALE_S = 2.0  # a change of the file takes milliseconds
_PAUSE_S = 0.02
FREE_TRIES = 3  # wrong PINs in a row that cost no waiting
FIRST_WAIT_S, MAX_WAIT_S = 30, 3600


class Kdf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the PIN becomes the key of the lock: scrypt (RFC 7914)."""

    n: int
    p: int
    r: int
    salt: str
    name: Literal["scrypt"] = "scrypt"


class StaffKeyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One person's key on this device.

    Attributes:
        box: b64u of the seed, sealed with ChaCha20-Poly1305 under `nonce`; it is bound to person and public key.
        request: what is sent to have it registered, until the centre has answered; `problem`: why it refused.
        tries, tried: wrong PINs in a row, and when the last one was, ms UTC by this device's clock.
    """

    box: str
    id: str
    kdf: Kdf
    made: int
    nonce: str
    person: str
    problem: str
    public: str
    request: wire.StaffKeyRequest | None
    tried: int
    tries: int


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[StaffKeyEntry]
    v: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class SecondSigner:
    """A person and the unlocked key with which the person signs beside the device."""

    person: str
    key: SigningKey


def staff_path(replica: Path) -> Path:
    """Return where the staff keys of a replica are kept."""
    return replica.with_name(replica.name + ".staff")


def read_staff(path: Path) -> list[StaffKeyEntry]:
    """Return the keys in a file, oldest first; none if there is no file.

    Raises:
        StorageError: the file is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File).keys
    except FileNotFoundError:
        return []
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise StorageError(
            f"人员密钥文件 {path} 已损坏；请把它移开，用新登记码重新 syncgov staff add",
            f"damaged staff key file {path}; move it away and `syncgov staff add` with new codes",
        ) from error


@contextmanager
def _changing(path: Path) -> Iterator[list[StaffKeyEntry]]:
    """Give the entries to change; they are written, durably, at the end of the block. Two programs take turns."""
    mark = path.with_name(path.name + ".lock")  # a file, because not every device has locks on files
    _take_turn(mark)
    try:
        entries = read_staff(path)
        before = list(entries)
        yield entries
        if entries != before:
            write_atomic(path, msgspec.json.encode(_File(entries)), mode=0o600)
    finally:
        mark.unlink(missing_ok=True)


def _take_turn(mark: Path) -> None:
    for _attempt in range(round(STALE_S / _PAUSE_S)):
        try:
            os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            time.sleep(_PAUSE_S)
        else:
            return
    # nobody holds it so long: its program died
    mark.unlink(missing_ok=True)
    os.close(os.open(mark, os.O_WRONLY | os.O_CREAT, 0o600))


def find_key(path: Path, person: str, counts: Callable[[str], bool] = lambda _key_id: True) -> StaffKeyEntry:
    """Return the newest key of a person for which *counts* holds; if there is none, the newest at all.

    Raises:
        NotAllowedError: the person has none on this device.
    """
    found = [entry for entry in read_staff(path) if entry.person == person]
    found.sort(key=lambda entry: counts(entry.id))  # stable: among those that count the newest stays last
    if not found:
        raise NotAllowedError(
            f"{person} 在这台终端没有密钥；请向管理员要登记码，运行 syncgov staff add",
            f"{person} has no key on this device; ask for a code and run `syncgov staff add`",
        )
    return found[-1]


@dataclass(frozen=True, slots=True)
class Making:
    """For whom and where a key is made; `code` is what the registrar gave out for it."""

    person: str
    code: str
    dev: str
    origin: str
    now_ms: int


def add_key(path: Path, making: Making, pin: str) -> StaffKeyEntry:
    """Make a key locked by *pin*, with the request that registers it. An older key of the person stays in the file.

    Raises:
        InputError: a PIN that is too easy.
    """
    check_pin(pin)
    key = SigningKey(secrets.token_bytes(32))
    request = wire.sign_staff_key(making.code, making.person, making.dev, making.origin, key)
    kdf, nonce, box = _lock(key, making.person, pin)
    public = b64u(key.public)
    entry = StaffKeyEntry(box, key.id, kdf, making.now_ms, nonce, making.person, "", public, request, 0, 0)
    with _changing(path) as entries:
        # a key that no centre ever took is of no use once there is another
        entries[:] = [e for e in entries if e.person != making.person or e.request is None]
        entries.append(entry)
    return entry


def unlock(path: Path, key_id: str, pin: str, now_ms: int) -> SecondSigner:
    """Return the person and key of an entry.

    Raises:
        PinError: a wrong PIN, or one too soon after wrong ones. StorageError: the file is damaged.
    """
    entry = _count_try(path, key_id, now_ms)
    try:
        key = _open(entry, pin)
    except InvalidTag as error:
        raise PinError(entry.tries, _wait_s(entry.tries)) from error
    _change_entry(path, key_id, tries=0, tried=0)
    return SecondSigner(entry.person, key)


def change_pin(path: Path, key_id: str, old: str, new: str, now_ms: int) -> None:
    """Lock a key by another PIN.

    Raises:
        PinError: the old PIN is wrong. InputError: the new one is too easy.
    """
    check_pin(new)
    signer = unlock(path, key_id, old, now_ms)
    kdf, nonce, box = _lock(signer.key, signer.person, new)
    _change_entry(path, key_id, kdf=kdf, nonce=nonce, box=box)


def check_pin(pin: str) -> str:
    """Return *pin* if it is long enough and not one that everybody tries first, else raise InputError."""
    if not MIN_PIN <= len(pin) <= MAX_PIN:
        raise InputError(f"PIN 应为 {MIN_PIN} 至 {MAX_PIN} 位", f"a PIN has {MIN_PIN} to {MAX_PIN} characters")
    steps = {ord(b) - ord(a) for a, b in pairwise(pin)}
    if len(steps) == 1 and steps <= {0, 1, -1}:
        raise InputError("PIN 太简单：不要全同或连号", "too easy: not all the same, no straight sequence")
    return pin


def settle_request(path: Path, key_id: str, problem: str) -> None:
    """Note that the centre has answered; *problem* is why it did not take the key, empty if it did."""
    _change_entry(path, key_id, request=None, problem=problem)


def _change_entry(path: Path, key_id: str, **changes: object) -> None:
    with _changing(path) as entries:
        entries[:] = [msgspec.structs.replace(e, **changes) if e.id == key_id else e for e in entries]


def _count_try(path: Path, key_id: str, now_ms: int) -> StaffKeyEntry:
    """Count a try before it is made: whoever pulls the plug has used it up."""
    with _changing(path) as entries:
        place = next(number for number, entry in enumerate(entries) if entry.id == key_id)
        entry = entries[place]
        # a clock that was set back makes nobody wait longer than the wait itself
        since_s = max(0, now_ms - entry.tried) // 1000
        left_s = _wait_s(entry.tries) - since_s
        if left_s > 0:
            if now_ms < entry.tried:
                entries[place] = msgspec.structs.replace(entry, tried=now_ms)
        else:
            entries[place] = entry = msgspec.structs.replace(entry, tries=entry.tries + 1, tried=now_ms)
    if left_s > 0:
        raise PinError(entry.tries, left_s)
    return entry


def _wait_s(tries: int) -> int:
    """Return how long to wait after so many wrong PINs in a row: 30 s, a minute, … an hour."""
    over = tries - FREE_TRIES - 1
    return 0 if over < 0 else min(MAX_WAIT_S, FIRST_WAIT_S << min(over, 10))


def _lock(key: SigningKey, person: str, pin: str) -> tuple[Kdf, str, str]:
    kdf = Kdf(SCRYPT_N, SCRYPT_P, SCRYPT_R, b64u(secrets.token_bytes(16)))
    nonce = secrets.token_bytes(12)
    box = ChaCha20Poly1305(_derive(kdf, pin)).encrypt(nonce, key.seed, _bound(person, b64u(key.public)))
    return kdf, b64u(nonce), b64u(box)


def _open(entry: StaffKeyEntry, pin: str) -> SigningKey:
    try:
        nonce, box = unb64u(entry.nonce, 12), unb64u(entry.box)
        lock = ChaCha20Poly1305(_derive(entry.kdf, pin))
    except FormatError as error:
        raise StorageError(f"{entry.person} 的密钥已损坏", f"the key of {entry.person} is damaged") from error
    return SigningKey(lock.decrypt(nonce, box, _bound(entry.person, entry.public)))


def _derive(kdf: Kdf, pin: str) -> bytes:
    in_range = 2 <= kdf.n <= _MAX_N and 1 <= kdf.r <= _MAX_R and 1 <= kdf.p <= _MAX_P
    if not in_range or kdf.n & (kdf.n - 1):
        raise FormatError("staff key file", "scrypt parameters out of range")
    return Scrypt(salt=unb64u(kdf.salt), length=32, n=kdf.n, r=kdf.r, p=kdf.p).derive(pin.encode())


def _bound(person: str, public: str) -> bytes:
    return encode({"person": person, "public": public})
