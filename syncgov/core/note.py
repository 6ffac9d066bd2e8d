"""Signed notes, and the checkpoint, which is one: the log's size and root, signed by the log.

A checkpoint looks like this (the last line is a signature; others may follow):

    example.org/log
    812
    nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=

    — example.org/log hI2DJ…1roloI=

Every parser accepts exactly what the formatter beside it writes.

Source: c2sp.org/signed-note, c2sp.org/tlog-checkpoint; protocol page, section 6.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from syncgov.core import keys
from syncgov.core.canonical import MAX_INT, b64, unb64
from syncgov.core.tree import EMPTY_ROOT, HASH_BYTES
from syncgov.errors import FormatError, LimitError, SignatureError

MAX_NOTE_BYTES = 128 * 1024  # 16 signatures must be accepted; the longest known kind takes nearly 7 kB of base64
MAX_VKEY_BYTES = 1024  # a key name is a host and a path
KEY_ID_BYTES = 4
ED25519 = b"\x01"  # the only signature type that is signed or verified; others count as unknown keys

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIGNATURE_LINE = re.compile("\u2014 ([^ \n]+) ([A-Za-z0-9+/=]+)")
_VKEY = re.compile(r"([^+\n]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")
_DECIMAL = re.compile("0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The parsed form of a vkey."""

    name: str
    id: bytes
    public: bytes


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line. `value` is what follows the key id; its length depends on the key's type."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and at least one signature."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log says of itself: its origin, the number of its entries, their root hash."""

    origin: str
    size: int
    root: bytes


def key_id(name: str, public: bytes) -> bytes:
    """Return the first 4 bytes of SHA-256(name || LF || 0x01 || public key)."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:KEY_ID_BYTES]


def format_vkey(name: str, public: bytes) -> str:
    """Return `<name>+<hex key id>+<b64(0x01 || public key)>`."""
    _check_name(name)
    if len(public) != 32:
        raise FormatError("vkey", "the public key is not 32 bytes")
    return f"{name}+{key_id(name, public).hex()}+{b64(ED25519 + public)}"


def parse_vkey(text: str) -> VerifierKey:
    """Return the key of a vkey.

    Raises:
        LimitError: more than 1 KiB.
        FormatError: not the form above, another type than Ed25519, or a key id that is not the key's.
    """
    check_text(text, "vkey", MAX_VKEY_BYTES)
    match = _VKEY.fullmatch(text)
    if match is None:
        raise FormatError("vkey", "not <name>+<key id>+<base64>")
    name, key = match[1], unb64(match[3], 1 + 32)
    if text != format_vkey(name, key[1:]):
        raise FormatError("vkey", "not an Ed25519 key, or its key id does not belong to it")
    return VerifierKey(name, bytes.fromhex(match[2]), key[1:])


def format_note(note: Note) -> str:
    """Return the text, a blank line, and the signature lines.

    Raises:
        LimitError: longer than a note may be.
        FormatError: not a note: no signature, control characters, a text without a final newline, an invalid key name.
    """
    if not note.text.endswith("\n") or not note.signatures:
        raise FormatError("note", "the text has no final newline, or there is no signature")
    lines = []
    for signature in note.signatures:
        _check_name(signature.name)
        if len(signature.key_id) != KEY_ID_BYTES or not signature.value:
            raise FormatError("note", "a signature is too short")
        lines.append(f"\u2014 {signature.name} {b64(signature.key_id + signature.value)}\n")
    text = f"{note.text}\n{''.join(lines)}"
    check_text(text, "note", MAX_NOTE_BYTES)
    return text


def parse_note(text: str) -> Note:
    """Return a note whose signatures are *not* verified.

    Raises:
        LimitError: longer than a note may be.
        FormatError: not a signed note.
    """
    check_text(text, "note", MAX_NOTE_BYTES)
    end = text.rfind("\n\n") + 1
    if not end or not text.endswith("\n"):
        raise FormatError("note", "no blank line before the signatures, or no final newline")
    return Note(text[:end], tuple(_parse_signature(line) for line in text[end + 1 : -1].split("\n")))


def _parse_signature(line: str) -> NoteSignature:
    match = _SIGNATURE_LINE.fullmatch(line)
    if match is None:
        raise FormatError("note", "a signature line is not: em dash, name, base64")
    _check_name(match[1])
    blob = unb64(match[2])
    if len(blob) <= KEY_ID_BYTES:
        raise FormatError("note", "a signature is too short")
    return NoteSignature(match[1], blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


def sign_note(text: str, name: str, key: keys.SigningKey) -> str:
    """Return the note that *key*, under *name*, makes of *text*."""
    signature = NoteSignature(name, key_id(name, key.public), key.sign(text.encode()))
    return format_note(Note(text, (signature,)))


def open_note(note: str, vkeys: Iterable[str]) -> Note:
    """Return the note with the valid signatures of known keys, each key once; those of unknown keys are left out.

    Raises:
        FormatError: not a signed note.
        SignatureError: a known key's signature is not valid, or there is none of a known key.
    """
    parsed = parse_note(note)
    known = {(key.name, key.id): key for key in map(parse_vkey, vkeys)}
    valid: dict[tuple[str, bytes], NoteSignature] = {}
    for signature in parsed.signatures:
        which = (signature.name, signature.key_id)
        if which in known:
            _verify(known[which], parsed.text, signature.value)
            valid.setdefault(which, signature)
    if not valid:
        raise SignatureError(", ".join(_label(key) for key in known.values()))
    return Note(parsed.text, tuple(valid.values()))


def _verify(key: VerifierKey, text: str, signature: bytes) -> None:
    try:
        keys.verify(key.public, text.encode(), signature)
    except SignatureError as error:
        raise SignatureError(_label(key)) from error


def _label(key: VerifierKey) -> str:
    return f"{key.name}+{key.id.hex()}"


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """Return the unsigned text of a checkpoint: origin, size and root, a line each."""
    _check_checkpoint(checkpoint)
    return f"{checkpoint.origin}\n{checkpoint.size}\n{b64(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint of an unsigned text. Extension lines are refused: nobody could audit them.

    Raises:
        FormatError: not exactly the three lines, or an empty log with another root than SHA-256("").
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise FormatError("checkpoint", "not three lines")
    checkpoint = Checkpoint(lines[0], parse_decimal(lines[1], "checkpoint"), unb64(lines[2], HASH_BYTES))
    _check_checkpoint(checkpoint)
    return checkpoint


def _check_checkpoint(checkpoint: Checkpoint) -> None:
    _check_name(checkpoint.origin)
    check_text(checkpoint.origin, "checkpoint", MAX_NOTE_BYTES)
    if not 0 <= checkpoint.size <= MAX_INT or len(checkpoint.root) != HASH_BYTES:
        raise FormatError("checkpoint", "impossible size, or a root that is not 32 bytes")
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise FormatError("checkpoint", "an empty log with the root of another")


def sign_checkpoint(checkpoint: Checkpoint, key: keys.SigningKey) -> str:
    """Return the signed checkpoint; the key's name is the origin."""
    return sign_note(format_checkpoint(checkpoint), checkpoint.origin, key)


def verify_checkpoint(text: str, vkey: str) -> Checkpoint:
    """Return the checkpoint that the log of *vkey* signed.

    Raises:
        LimitError: longer than a note may be.
        FormatError: not a signed checkpoint, or one with another origin than the key's name.
        SignatureError: not signed by that key.
    """
    checkpoint = parse_checkpoint(open_note(text, [vkey]).text)
    if checkpoint.origin != parse_vkey(vkey).name:
        raise FormatError("checkpoint", "its origin is not the name of the key that signed it")
    return checkpoint


def parse_decimal(text: str, what: str) -> int:
    """Return a decimal number from 0 to 2^53−1, written without leading zeros."""
    if _DECIMAL.fullmatch(text) is None or int(text) > MAX_INT:
        raise FormatError(what, "not a decimal number from 0 to 2^53−1 without leading zeros")
    return int(text)


def check_text(text: str, what: str, max_bytes: int) -> None:
    """Raise LimitError or FormatError unless *text* is at most *max_bytes* of UTF-8 without controls except newline."""
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        raise FormatError(what, "lone surrogate") from error
    if length > max_bytes:
        raise LimitError(what, f"{length} bytes, at most {max_bytes} are allowed")
    if _CONTROL.search(text):
        raise FormatError(what, "control character")


def _check_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() for character in name):
        raise FormatError("key name", "empty, or with a space or a plus sign")
