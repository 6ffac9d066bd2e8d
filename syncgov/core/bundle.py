"""Bundles: what a device and its centre have to say to each other, as files that whoever carries them cannot read.

    syncgov-bundle@v1 request log.example/street
    age-encryption.org/v1 …

The pure format: labels, the invitation, what is signed inside the seal. `storage.sealing` seals and opens.

Source: protocol page, section 14.
"""

import hashlib
import re
import zlib
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec

from syncgov.core import wire
from syncgov.core.canonical import MAX_INT, b64u, decode_as, encode_unchecked, unb64u
from syncgov.core.charter import MAX_CHARTER_BYTES, Charter, open_charter
from syncgov.core.keys import SigningKey, device_id, verify_typed
from syncgov.core.note import MAX_NOTE_BYTES, open_note, sign_note
from syncgov.core.statement import format_envelope, is_device_id, parse_envelope
from syncgov.core.wire_files import PutResult
from syncgov.errors import FormatError, LimitError, SignatureError

Kind = Literal["invitation", "request", "reply"]

MAGIC = b"syncgov-bundle@v1 "
BUNDLE_TYPE = "application/vnd.syncgov.bundle.v1+json"
MAX_LABEL_BYTES = 1200  # a key name is below 1 KiB
MAX_BUNDLE_BYTES = 40 << 20  # 32 MiB that do not pack at all, header and seal
MAX_INVITATION_BYTES = MAX_CHARTER_BYTES + MAX_NOTE_BYTES + 1024
FILL_BYTES = 24 << 20  # what is put into one bundle, unpacked; a reader takes wire.MAX_UNPACKED_BYTES

_RECIPIENT_LINE = "syncgov-recipient@v1"
_LABEL = re.compile(r"syncgov-bundle@v1 (invitation|request|reply) ([^\s+]+)(?: ([0-9a-f]{32}))?")
_RECIPIENT = re.compile("age1[02-9ac-hj-np-z]{58}")  # X25519 only; its checksum is checked by the age library

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Label:
    """The readable first line: what the file is and for whom. Proves nothing; what is signed repeats it.

    `dev` is the device a reply is for, empty otherwise.
    """

    kind: Kind
    origin: str
    dev: str = ""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sender signs; members in canonical order.

    `first`, `last`: own changesets inside, 0 if none. `size`: the log size that the sender speaks from.
    """

    dev: str
    first: int
    kind: Literal["request", "reply"]
    last: int
    origin: str
    public: str
    sha256: str
    size: int
    v: Literal[1]


class FilePart(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A piece of a file: SHA-256, whole length, where the piece begins, its bytes (in JSON base64)."""

    sha256: str
    total: int
    offset: int
    data: bytes


class FileResult(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """What became of a piece of the file with this SHA-256."""

    sha256: str
    result: PutResult


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What a device would send over the network, and to whom the answer is to be sealed."""

    join: wire.Join | None
    own: wire.Own | None
    pull: wire.Pull
    push: wire.Push
    recipient: str
    staff_keys: list[wire.StaffKeyRequest] = msgspec.field(default_factory=list)
    files: list[FilePart] = msgspec.field(default_factory=list)
    v: Literal[1] = 1


class Reply(msgspec.Struct, forbid_unknown_fields=True):
    """The answers to one request; `pull` is what was asked, `recipient` the centre's signed note."""

    join: wire.JoinAnswer | None
    own: wire.PullAnswer | None
    pages: list[wire.PullAnswer]
    pull: wire.Pull
    push: wire.PushAnswer
    recipient: str
    staff_keys: list[wire.StaffKeyAnswer] = msgspec.field(default_factory=list)
    files: list[FileResult] = msgspec.field(default_factory=list)
    v: Literal[1] = 1


class _Invitation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    charter: msgspec.Raw
    recipient: str
    v: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a device that is never online needs to know of a centre before it can ask to join."""

    raw_charter: bytes
    charter: Charter
    recipient_note: str


# -- the label --------------------


def format_bundle_file(label: Label, content: bytes) -> bytes:
    """Return the bytes of a bundle file.

    Raises:
        FormatError: an origin with spaces, or a device that does not belong there.
    """
    line = f"syncgov-bundle@v1 {label.kind} {label.origin}{' ' if label.dev else ''}{label.dev}"
    if _parse_label(line.encode()) != label:
        raise FormatError("bundle", "impossible label")
    return line.encode() + b"\n" + content


def split_bundle_file(data: bytes) -> tuple[Label, bytes]:
    """Return label and content.

    Raises:
        LimitError, FormatError: larger than a bundle may be, or not a bundle.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise LimitError("bundle", f"{len(data)} bytes, at most {MAX_BUNDLE_BYTES} are allowed")
    end = data.find(b"\n", 0, MAX_LABEL_BYTES)
    if not data.startswith(MAGIC) or end < 0:
        raise FormatError("bundle", "it does not begin as a bundle")
    return _parse_label(data[:end]), data[end + 1 :]


def _parse_label(line: bytes) -> Label:
    try:
        found = _LABEL.fullmatch(line.decode())
    except UnicodeDecodeError as error:
        raise FormatError("bundle", "its label is not UTF-8") from error
    if found is None or len(line) >= MAX_LABEL_BYTES or (found[1] == "reply") != (found[3] is not None):
        raise FormatError("bundle", "not a label of this version")
    return Label(msgspec.convert(found[1], Kind), found[2], found[3] or "")


# -- the invitation --------------------


def sign_recipient(origin: str, recipient: str, log_key: SigningKey) -> str:
    """Return the signed note by which a centre says to whom bundles for it are sealed."""
    return sign_note(f"{_RECIPIENT_LINE}\n{origin}\n{check_recipient(recipient)}\n", origin, log_key)


def verify_recipient(note: str, charter: Charter) -> str:
    """Return the age recipient in a note by the charter's log.

    Raises:
        FormatError: not such a note, or another centre's. SignatureError: not signed by the log.
    """
    lines = open_note(note, [charter.log]).text.split("\n")
    if len(lines) != 4 or lines[:2] != [_RECIPIENT_LINE, charter.origin] or lines[3]:
        raise FormatError("recipient", "not the three lines of a recipient note of this centre")
    return check_recipient(lines[2])


def check_recipient(text: str) -> str:
    """Return *text* if it has the form of an X25519 age recipient, else raise FormatError."""
    if _RECIPIENT.fullmatch(text) is None:
        raise FormatError("recipient", "not an age recipient of type X25519")
    return text


def format_invitation(raw_charter: bytes, recipient_note: str) -> bytes:
    """Return the file that a centre gives to devices which are never online. It holds nothing secret."""
    content = encode_unchecked(_Invitation(msgspec.Raw(raw_charter), recipient_note))
    return format_bundle_file(Label("invitation", open_charter(raw_charter).origin), content)


def open_invitation(label: Label, content: bytes) -> Invitation:
    """Return the invitation, its charter and recipient verified against each other.

    This does not prove that the centre is the right one: its root keys must be compared with those on paper.

    Raises:
        FormatError, SignatureError, NotAllowedError: malformed, or not signed as a charter and a recipient must be.
    """
    parsed = decode_as(content, _Invitation, max_bytes=MAX_INVITATION_BYTES, what="invitation")
    raw_charter = bytes(parsed.charter)
    charter = open_charter(raw_charter)
    verify_recipient(parsed.recipient, charter)
    if label != Label("invitation", charter.origin):
        raise FormatError("invitation", "its label names another centre than its charter")
    return Invitation(raw_charter, charter, parsed.recipient)


# -- what is inside the seal --------------------


def sign_bundle(label: Label, header: Header, message: Request | Reply, key: SigningKey) -> bytes:
    """Return what is sealed: envelope LF packed message. `public` and `sha256` of *header* are filled in."""
    packed = _pack(wire.format_message(message))
    digest = b64u(hashlib.sha256(packed).digest())
    whole = msgspec.structs.replace(header, public=b64u(key.public), sha256=digest)
    _check_header(whole, label)
    payload = encode_unchecked(whole)
    return format_envelope(BUNDLE_TYPE, payload, [(key.id, key.sign_typed(BUNDLE_TYPE, payload))]) + b"\n" + packed


def open_bundle(label: Label, plain: bytes) -> tuple[Header, bytes]:
    """Return the signed header and the packed message, checked against it; whose key signed is for the caller to judge.

    Raises:
        FormatError: malformed, cut short, or not what the label says. SignatureError: not signed by the key it names.
    """
    head, _, packed = plain.partition(b"\n")
    envelope = parse_envelope(head, BUNDLE_TYPE)
    header = decode_as(envelope.payload, Header, max_bytes=len(head), what="bundle header")
    public = unb64u(header.public, 32)
    if [key_id for key_id, _sig in envelope.signatures] != [device_id(public)]:
        raise SignatureError(device_id(public))
    verify_typed(public, BUNDLE_TYPE, envelope.payload, envelope.signatures[0][1])
    _check_header(header, label)
    if b64u(hashlib.sha256(packed).digest()) != header.sha256:
        raise FormatError("bundle", "its content is not what its header says")
    return header, packed


def _check_header(header: Header, label: Label) -> None:
    ordered = 0 <= header.first <= header.last <= MAX_INT and (header.first > 0 or header.last == 0)
    if not ordered or not 0 <= header.size <= MAX_INT or not is_device_id(header.dev):
        raise FormatError("bundle header", "a member is out of its range")
    dev = header.dev if header.kind == "reply" else ""
    if label != Label(header.kind, header.origin, dev):
        raise FormatError("bundle", "its label says something else than its header")
    if header.kind == "request" and device_id(unb64u(header.public, 32)) != header.dev:
        raise SignatureError(header.dev)


def _pack(raw: bytes) -> bytes:
    if len(raw) > wire.MAX_UNPACKED_BYTES:
        raise LimitError("bundle", f"{len(raw)} bytes unpacked, at most {wire.MAX_UNPACKED_BYTES} are allowed")
    packer = zlib.compressobj(6, wbits=31)
    return packer.compress(raw) + packer.flush()


def unpack(packed: bytes, kind: type[T]) -> T:
    """Return the message in packed bytes.

    Raises:
        LimitError, FormatError: grows too large, not gzip, or not such a message.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        raw = unpacker.decompress(packed, wire.MAX_UNPACKED_BYTES)
    except zlib.error as error:
        raise FormatError("bundle", f"not gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise LimitError("bundle", f"unpacks to more than {wire.MAX_UNPACKED_BYTES} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise FormatError("bundle", "its content is cut short, or something follows it")
    return wire.parse_message(raw, kind, "bundle")
