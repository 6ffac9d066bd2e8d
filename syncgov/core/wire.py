"""Messages between device and centre. Source: protocol page, sections 8 and 10."""

import hashlib
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from syncgov.core.canonical import b64u, encode
from syncgov.core.keys import SigningKey, verify_typed
from syncgov.errors import FormatError, LimitError

REQUEST_TYPE = "application/vnd.syncgov.request.v1+json"
STAFF_KEY_TYPE = "application/vnd.syncgov.staff-key.v1+json"
JOIN_TYPE = "application/vnd.syncgov.join.v1+json"
MAX_REQUEST_BYTES = 8 << 20  # a day of 1 000 visits is about 2 MiB packed
MAX_UNPACKED_BYTES = 32 << 20  # what packed bytes may grow to
MAX_PULL = 1000  # entries a page; about 2 MiB
MAX_PUSH = 32_768  # entries; 24 MiB, what a bundle fills, hold some 20 000 real ones, or a million empty ones
AUTHORIZATION = "Syncgov"  # scheme of the request signature
NONCE_HEADER = "Replay-Nonce"  # RFC 8555 section 6.5

T = TypeVar("T")


class PushEntry(msgspec.Struct, forbid_unknown_fields=True):
    """A changeset with its full body."""

    body: msgspec.Raw
    envelope: msgspec.Raw


class Push(msgspec.Struct, forbid_unknown_fields=True):
    """What a device sends, in the order of its chain."""

    entries: Annotated[list[PushEntry], msgspec.Meta(max_length=MAX_PUSH)]
    v: Literal[1] = 1


class PushResult(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What became of one entry: `logged` (index, verdict), `waiting`, or `rejected` (code, detail)."""

    code: str | None = None
    detail: str | None = None
    index: int | None = None
    seq: int
    state: Literal["logged", "waiting", "rejected"]
    verdict: str | None = None


class PushAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """One result an entry, and the checkpoint that covers them."""

    checkpoint: str
    results: list[PushResult]
    v: Literal[1] = 1


class Pull(msgspec.Struct, forbid_unknown_fields=True):
    """Ask for leaves from `after` (first 0) on, to get from the folded `size` to `target` (0: the newest)."""

    after: int
    limit: int
    size: int
    target: int
    v: Literal[1] = 1


class Own(msgspec.Struct, forbid_unknown_fields=True):
    """Ask for the device's own logged entries after `after`, whole: its replica was restored from an older copy."""

    after: int
    v: Literal[1] = 1


class EntryMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A log entry, its body redacted (`null`: the device has it), and its inclusion path (b64)."""

    body: msgspec.Raw
    index: int
    leaf: msgspec.Raw
    path: list[str]


class PullAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A page of entries; `keys` maps device ids to b64u public keys.

    `reset`: the device's areas or roles have changed since its size; it begins again at 0, towards the same target.
    """

    checkpoint: str
    consistency: list[str]
    entries: list[EntryMessage]
    keys: dict[str, str]
    next: int
    purge: list[tuple[str, str]]
    reset: bool
    target: int
    v: Literal[1] = 1


class Join(msgspec.Struct, forbid_unknown_fields=True):
    """A one-time code, the new public key (b64u) and its signature over both (b64u)."""

    code: str
    proof: str
    public: str
    v: Literal[1] = 1


class CharterList(msgspec.Struct, forbid_unknown_fields=True):
    """Every charter of the log, the first one first."""

    charters: list[msgspec.Raw]
    v: Literal[1] = 1


class JoinAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The certificate's log entry."""

    checkpoint: str
    entry: EntryMessage
    v: Literal[1] = 1


class StaffKeyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A one-time code, whose key it is, the key (b64u) and its own signature over these, device and origin (b64u)."""

    code: str
    person: str
    proof: str
    public: str
    v: Literal[1] = 1


class StaffKeyAnswer(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What became of a key: `registered` in the log, or `refused` (code, detail in Chinese and English)."""

    code: str | None = None
    detail: str | None = None
    detail_zh: str | None = None
    key: str
    state: Literal["registered", "refused"]
    v: Literal[1] = 1


def format_message(message: msgspec.Struct) -> bytes:
    """Return the JSON of a message."""
    return msgspec.json.encode(message)


def parse_message(data: bytes, kind: type[T], what: str) -> T:
    """Return the message in *data*.

    Raises:
        LimitError, FormatError: too large, or not such a message.
    """
    if len(data) > MAX_UNPACKED_BYTES:
        raise LimitError(what, f"more than {MAX_UNPACKED_BYTES} bytes")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(what, str(error)) from error


def request_bytes(dev: str, nonce: str, origin: str, method: str, path: str, body: bytes) -> bytes:
    """Return what a signed request signs; *body* as sent."""
    digest = b64u(hashlib.sha256(body).digest())
    members: dict[str, Any] = {
        "body": digest,
        "dev": dev,
        "method": method,
        "nonce": nonce,
        "origin": origin,
        "path": path,
    }
    return encode(members)


def sign_join(code: str, origin: str, key: SigningKey) -> Join:
    """Return the request by which *key* enrols with a one-time code."""
    payload = encode({"code": code, "origin": origin, "public": b64u(key.public)})
    return Join(code, b64u(key.sign_typed(JOIN_TYPE, payload)), b64u(key.public))


def verify_join(join: Join, origin: str, public: bytes, proof: bytes) -> Join:
    """Return *join* if the key that wants in has signed it; SignatureError otherwise."""
    verify_typed(public, JOIN_TYPE, encode({"code": join.code, "origin": origin, "public": join.public}), proof)
    return join


def sign_staff_key(code: str, person: str, dev: str, origin: str, key: SigningKey) -> StaffKeyRequest:
    """Return the request by which a person's new *key* on device *dev* is to be registered."""
    request = StaffKeyRequest(code, person, "", b64u(key.public))
    request.proof = b64u(key.sign_typed(STAFF_KEY_TYPE, _staff_key_bytes(request, dev, origin)))
    return request


def verify_staff_key(request: StaffKeyRequest, dev: str, origin: str, public: bytes, proof: bytes) -> StaffKeyRequest:
    """Return *request* if the key in it has signed it for that device; SignatureError otherwise."""
    verify_typed(public, STAFF_KEY_TYPE, _staff_key_bytes(request, dev, origin), proof)
    return request


def _staff_key_bytes(request: StaffKeyRequest, dev: str, origin: str) -> bytes:
    members = {"code": request.code, "dev": dev, "origin": origin, "person": request.person, "public": request.public}
    return encode({**members})
