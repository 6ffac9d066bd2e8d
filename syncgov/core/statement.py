"""Statement, envelope and leaf: what a device signs and what the log keeps. Source: protocol page, sections 4 and 6."""

import hashlib
import re
from dataclasses import dataclass

import msgspec

from syncgov.core.canonical import b64, b64u, decode_as, encode_unchecked, unb64
from syncgov.core.keys import SigningKey, device_id, verify_typed
from syncgov.errors import FormatError, LimitError, SignatureError

PROTOCOL_VERSION = 1
CHANGESET_TYPE = "application/vnd.syncgov.changeset.v1+json"
MAX_ENVELOPE_BYTES = 4096  # a statement is about 500 bytes; two signatures and base64 stay below 2 KiB
MAX_LEAF_BYTES = 65_535  # tlog-tiles frames entries with a 16-bit length
MAX_WRITES = 4096  # about 100 child rows of 40 columns
MAX_TICK = 65_535
MAX_MS = 253_402_300_799_999  # end of the year 9999
EMPTY_ROOT = b64u(hashlib.sha256(b"").digest())

_HEX_ID = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")  # b64u of 32 bytes, in its one spelling


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Size and root (b64u) of the log that a device had completely folded."""

    root: str
    size: int


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a device signs; hashes are b64u text. Members are in canonical order (protocol page, section 4)."""

    at: int
    dev: str
    n: int
    prev: str
    pub: int
    reg: str
    root: str
    seen: Seen
    seq: int
    tick: int
    v: int

    @property
    def dot(self) -> tuple[str, int]:
        """The name of this changeset."""
        return (self.dev, self.seq)


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payload: str
    payloadType: str  # noqa: N815 - the name that DSSE gives
    signatures: list[_Signature]


class _Leaf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    envelope: msgspec.Raw
    floor: int
    received: int
    v: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed DSSE envelope; `raw` is what was received, `signatures` are (key id, 64 bytes), the device's first."""

    raw: bytes
    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    @property
    def hash(self) -> str:
        """b64u of SHA-256 of the envelope: what the next statement names as `prev`."""
        return envelope_hash(self.raw)


@dataclass(frozen=True, slots=True)
class Changeset:
    """An envelope whose payload is a well-formed statement. Nothing is verified yet."""

    envelope: Envelope
    statement: Statement

    @property
    def second(self) -> str | None:
        """The id of the staff key that signed beside the device, None if none did."""
        return self.envelope.signatures[1][0] if len(self.envelope.signatures) > 1 else None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A log leaf; times in ms UTC by the centre's clock. `verdict` is `accepted` or `refused:<code>`."""

    raw: bytes
    changeset: Changeset
    floor: int
    received: int
    verdict: str

    @property
    def accepted(self) -> bool:
        """Whether the changeset takes part in the fold."""
        return self.verdict == ACCEPTED

    @property
    def effective(self) -> tuple[int, int]:
        """(ms, tick) at which its writes count. Source: protocol page, section 6."""
        return effective_time(self.changeset.statement, self.floor, self.received)


def effective_time(st: Statement, floor: int, received: int) -> tuple[int, int]:
    """Return (ms, tick) at which a changeset's writes count. Source: protocol page, section 6."""
    if st.at < floor:
        return (floor, 0)
    if st.at > received:
        return (received, 0)
    return (st.at, st.tick)


ACCEPTED = "accepted"
REFUSALS = frozenset(
    "area erased expired fork guard immutable over person register review revoked role second skeleton".split()
) | {"transition", "value"}


def is_hash(text: str) -> bool:
    """Whether *text* is the b64u spelling of 32 bytes."""
    return _HASH.fullmatch(text) is not None


def is_device_id(text: str) -> bool:
    """Whether *text* has the form of a device id."""
    return _HEX_ID.fullmatch(text) is not None


def envelope_hash(raw: bytes) -> str:
    """Return b64u of the SHA-256 of an envelope's bytes."""
    return b64u(hashlib.sha256(raw).digest())


def format_statement(st: Statement) -> bytes:
    """Return the canonical bytes of a statement."""
    return encode_unchecked(st)


def parse_statement(payload: bytes) -> Statement:
    """Return the statement in *payload*.

    Raises:
        FormatError: not canonical, a member missing, unknown or out of its range.

    Source: protocol page, section 4.
    """
    st = decode_as(payload, Statement, max_bytes=MAX_ENVELOPE_BYTES, what="statement")
    in_range = (
        st.v == PROTOCOL_VERSION
        and 1 <= st.seq <= 2**53 - 1
        and 0 <= st.at <= MAX_MS
        and 0 <= st.tick <= MAX_TICK
        and 1 <= st.n <= MAX_WRITES
        and 0 <= st.pub <= st.n
        and 0 <= st.seen.size <= 2**53 - 1
    )
    hashes = (st.prev, st.reg, st.root, st.seen.root)
    if not in_range or not is_device_id(st.dev) or not all(map(is_hash, hashes)):
        raise FormatError("statement", "a member is out of its range")
    if st.seen.size == 0 and st.seen.root != EMPTY_ROOT:
        raise FormatError("statement", "the empty log has another root")
    return st


def format_envelope(payload_type: str, payload: bytes, signatures: list[tuple[str, bytes]]) -> bytes:
    """Return the canonical bytes of a DSSE envelope."""
    return encode_unchecked(
        _Envelope(b64(payload), payload_type, [_Signature(keyid, b64(sig)) for keyid, sig in signatures])
    )


def parse_envelope(raw: bytes, payload_type: str, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> Envelope:
    """Return the envelope in *raw*, which must be of *payload_type*; signatures are not verified.

    Raises:
        LimitError: more than *max_bytes*.
        FormatError: not a canonical DSSE envelope with one signature or more, or of another type.
    """
    parsed = decode_as(raw, _Envelope, max_bytes=max_bytes, what="envelope")
    if parsed.payloadType != payload_type or not parsed.signatures:
        raise FormatError("envelope", "another payload type, or no signature")
    signatures = tuple((s.keyid, unb64(s.sig, 64)) for s in parsed.signatures)
    return Envelope(raw, parsed.payloadType, unb64(parsed.payload), signatures)


def parse_changeset(raw: bytes) -> Changeset:
    """Return the changeset whose envelope is *raw*; signatures are not verified.

    Raises:
        FormatError: malformed, not signed first by its own device, with more than two signatures, or twice by one key.
    """
    envelope = parse_envelope(raw, CHANGESET_TYPE)
    st = parse_statement(envelope.payload)
    if envelope.signatures[0][0] != st.dev or len(envelope.signatures) > 2:
        raise FormatError("envelope", "the first signature is not the device's, or there are more than two")
    changeset = Changeset(envelope, st)
    if changeset.second is not None and (changeset.second == st.dev or not is_device_id(changeset.second)):
        raise FormatError("envelope", "the second signature must be another key's")
    return changeset


def sign_statement(st: Statement, key: SigningKey, staff_key: SigningKey | None = None) -> bytes:
    """Return the envelope of *st* signed by the device key and, if given, by a staff key."""
    payload = format_statement(st)
    keys = [key] if staff_key is None else [key, staff_key]
    return format_envelope(CHANGESET_TYPE, payload, [(k.id, k.sign_typed(CHANGESET_TYPE, payload)) for k in keys])


def verify_changeset(changeset: Changeset, public: bytes) -> Changeset:
    """Return *changeset* if the device signature verifies under *public*, else raise SignatureError."""
    envelope = changeset.envelope
    verify_typed(public, CHANGESET_TYPE, envelope.payload, envelope.signatures[0][1])
    return changeset


def verify_second(changeset: Changeset, public: bytes) -> Changeset:
    """Return *changeset* if its second signature verifies under *public*, whose id it must name.

    Raises:
        SignatureError: it does not, or another key is named. Call it only if there is a second signature.
    """
    envelope = changeset.envelope
    key_id, signature = envelope.signatures[1]
    if device_id(public) != key_id:
        raise SignatureError(key_id)
    verify_typed(public, CHANGESET_TYPE, envelope.payload, signature)
    return changeset


def format_leaf(envelope: bytes, *, floor: int, received: int, verdict: str) -> bytes:
    """Return the canonical bytes of a log leaf. Source: protocol page, section 6."""
    leaf = encode_unchecked(_Leaf(msgspec.Raw(envelope), floor, received, PROTOCOL_VERSION, verdict))
    if len(leaf) > MAX_LEAF_BYTES:
        raise LimitError("leaf", f"{len(leaf)} bytes, at most {MAX_LEAF_BYTES} are allowed")
    return leaf


def parse_leaf(raw: bytes) -> Leaf:
    """Return the leaf in *raw*.

    Raises:
        FormatError: not canonical, or with an unknown verdict.
    """
    parsed = decode_as(raw, _Leaf, max_bytes=MAX_LEAF_BYTES, what="leaf")
    known = parsed.verdict == ACCEPTED or (
        parsed.verdict.startswith("refused:") and parsed.verdict.removeprefix("refused:") in REFUSALS
    )
    if parsed.v != PROTOCOL_VERSION or not known or not 0 <= parsed.floor <= parsed.received <= MAX_MS:
        raise FormatError("leaf", "a member is out of its range")
    return Leaf(raw, parse_changeset(bytes(parsed.envelope)), parsed.floor, parsed.received, parsed.verdict)
