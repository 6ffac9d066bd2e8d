"""The charter: the root-signed document that says whose log this is. Source: protocol page, section 8."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from syncgov.core.canonical import b64u, decode_as, encode, unb64u
from syncgov.core.keys import SigningKey, device_id, verify_typed
from syncgov.core.note import parse_vkey
from syncgov.core.statement import Envelope, format_envelope, parse_envelope
from syncgov.errors import FormatError, NotAllowedError

CHARTER_TYPE = "application/vnd.syncgov.charter.v1+json"
MAX_CHARTER_BYTES = 65_536  # goes into the log as a field


class Closing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The log that a charter closes: its origin, last signed size and root (b64u), and what the next log begins with.

    `kept` leaves survive; `kept_root` is their root.
    """

    kept: int
    kept_root: str
    origin: str
    root: str
    size: int

    @property
    def lost(self) -> int:
        """How many leaves of the closed log were signed and did not survive."""
        return self.size - self.kept


class Charter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The payload; members in canonical order. Days are days of 86 400 s, `issued` is ms UTC, keys are b64u.

    `previous` is the hash of the charter that this one replaces, absent in the first; `closes` the log that it ends.
    """

    area: str
    backup_days: int
    closes: Closing | msgspec.UnsetType = msgspec.UNSET
    grace_days: int
    issued: int
    log: str
    name: str
    origin: str
    previous: str | msgspec.UnsetType = msgspec.UNSET
    quorum: Literal["none"]
    registrars: list[str]
    roots: list[str]
    simulated: bool
    threshold: int
    v: Literal[1]
    witnesses: list[str]

    def registrar_key(self, dev: str) -> bytes | None:
        """Return the public key of registrar device *dev*, or None if it is not one."""
        for text in self.registrars:
            public = unb64u(text, 32)
            if device_id(public) == dev:
                return public
        return None


def sign_charter(charter: Charter, roots: Sequence[SigningKey]) -> bytes:
    """Return the canonical envelope of *charter* signed by *roots*."""
    payload = encode(msgspec.to_builtins(charter))
    return format_envelope(CHARTER_TYPE, payload, [(k.id, k.sign_typed(CHARTER_TYPE, payload)) for k in roots])


def open_charter(raw: bytes) -> Charter:
    """Return the charter in *raw* after checking that enough of the roots it names have signed it.

    This proves that the document is whole, not that its roots are the right ones: compare their ids with what was
    published on paper.

    Raises:
        FormatError: malformed.
        NotAllowedError: fewer than `threshold` valid signatures by distinct roots.
    """
    envelope = parse_envelope(raw, CHARTER_TYPE, max_bytes=MAX_CHARTER_BYTES)
    charter = decode_as(envelope.payload, Charter, max_bytes=MAX_CHARTER_BYTES, what="charter")
    _check(charter)
    signers = valid_signers(envelope, charter)
    if len(signers) < charter.threshold:
        raise NotAllowedError(
            f"章程需要 {charter.threshold} 个根密钥签名，只有 {len(signers)} 个有效",
            f"the charter needs {charter.threshold} root signatures, {len(signers)} are valid",
        )
    return charter


def _check(charter: Charter) -> None:
    if isinstance(charter.previous, str):
        unb64u(charter.previous, 32)
    if isinstance(charter.closes, Closing):
        _check_closing(charter, charter.closes)
    keys = [unb64u(text, 32) for text in (*charter.roots, *charter.registrars)]
    if (
        parse_vkey(charter.log).name != charter.origin
        or not 1 <= charter.threshold <= len(set(charter.roots))
        or not charter.registrars
        or len(set(keys)) != len(keys)
        or not 0 <= charter.grace_days <= 3650
        or not 0 <= charter.backup_days <= 3650
    ):
        raise FormatError("charter", "origin, keys, threshold or days contradict each other")


def _check_closing(charter: Charter, closing: Closing) -> None:
    unb64u(closing.root, 32)
    unb64u(closing.kept_root, 32)
    if (
        not isinstance(charter.previous, str)
        or closing.origin == charter.origin
        or not 0 < closing.kept <= closing.size
        or (closing.kept == closing.size and closing.root != closing.kept_root)
    ):
        raise FormatError("charter", "what it says of the closed log is not possible")


def valid_signers(envelope: Envelope, charter: Charter) -> set[str]:
    """Return the ids of the roots of *charter* that have signed *envelope*; SignatureError if one of them is wrong."""
    roots = {device_id(unb64u(text, 32)): unb64u(text, 32) for text in charter.roots}
    valid = set()
    for key_id, signature in envelope.signatures:
        if key_id in roots:
            verify_typed(roots[key_id], CHARTER_TYPE, envelope.payload, signature)
            valid.add(key_id)
    return valid


def key_text(public: bytes) -> str:
    """Return the form in which the charter writes a public key."""
    return b64u(public)
