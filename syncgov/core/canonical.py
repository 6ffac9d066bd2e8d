"""The one byte form of every signed value: restricted RFC 8785. Source: protocol page, section 1."""

import binascii
import unicodedata
from typing import Any, TypeVar

import msgspec

from syncgov.errors import FormatError, LimitError

MAX_INT = 2**53 - 1
MAX_DEPTH = 16  # deeper input only serves to exhaust a reader's stack

T = TypeVar("T")

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_encode = msgspec.json.Encoder(order="deterministic").encode


def encode(value: Any) -> bytes:
    """Return the canonical bytes of *value*.

    Raises:
        FormatError: floats, integers beyond ±(2^53−1), member names that are not ASCII, strings that are not NFC.

    Source: RFC 8785 section 3.2; protocol page, section 1.
    """
    check_value(value)
    return encode_unchecked(value)


def encode_unchecked(value: Any) -> bytes:
    """Return the canonical bytes of a value that is known to be within the restrictions."""
    try:
        return _encode(value)
    except UnicodeEncodeError as error:
        raise FormatError("JSON", "lone surrogate in a string") from error


def decode(data: bytes, *, max_bytes: int, what: str = "JSON") -> Any:
    """Return the value of canonical bytes.

    Raises:
        LimitError: more than *max_bytes*.
        FormatError: not JSON, or not in canonical form.
    """
    value = _parse(data, Any, max_bytes, what)
    check_value(value)
    if _encode(value) != data:
        raise FormatError(what, "not in canonical form")
    return value


def decode_as(data: bytes, kind: type[T], *, max_bytes: int, what: str) -> T:
    """Like `decode`, into a msgspec.Struct whose members are typed narrowly enough to need no further check.

    The struct must forbid unknown fields; strings in it are still checked for NFC, as one text.
    """
    value: T = _parse(data, kind, max_bytes, what)
    if _encode(value) != data:
        raise FormatError(what, "not in canonical form")
    try:
        text = "" if data.isascii() else data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(what, "not UTF-8") from error
    if not unicodedata.is_normalized("NFC", text):
        # escapes can make the whole text look composed where no string of it is
        check_value(msgspec.json.decode(data))
    return value


def _parse(data: bytes, kind: Any, max_bytes: int, what: str) -> Any:
    if len(data) > max_bytes:
        raise LimitError(what, f"{len(data)} bytes, at most {max_bytes} are allowed")
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(what, str(error)) from error


def check_value(value: Any, depth: int = 0) -> None:
    """Raise FormatError unless *value* is within the restrictions of protocol page section 1."""
    if value is None or value is True or value is False:
        return
    if type(value) is str:
        if not value.isascii() and not unicodedata.is_normalized("NFC", value):
            raise FormatError("text", "not in Unicode NFC")
    elif type(value) is int:
        if not -MAX_INT <= value <= MAX_INT:
            raise FormatError("number", "beyond ±(2^53−1)")
    elif depth >= MAX_DEPTH:
        raise FormatError("JSON", f"nested deeper than {MAX_DEPTH}")
    elif isinstance(value, dict):
        for name, member in value.items():
            if not (type(name) is str and name.isascii()):
                raise FormatError("JSON", "member names must be ASCII")
            check_value(member, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_value(item, depth + 1)
    else:
        raise FormatError("JSON", f"{type(value).__name__} is not allowed")


def b64u(data: bytes) -> str:
    """Return base64url without padding (RFC 4648 section 5)."""
    return b64u_bytes(data).decode()


def b64u_bytes(data: bytes) -> bytes:
    """Return `b64u` text as ASCII bytes."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL, b"=")


def unb64u(text: str, length: int | None = None) -> bytes:
    """Return the bytes of `b64u` text, exactly *length* if given; only the one spelling that `b64u` writes."""
    raw = text.encode(errors="replace")
    try:
        data = binascii.a2b_base64(raw.translate(_FROM_URL) + b"=" * (-len(raw) % 4))
    except binascii.Error as error:
        raise FormatError("base64url", str(error)) from error
    # the decoder skips what is not of its alphabet; the comparison does not
    if b64u_bytes(data) != raw or (length is not None and len(data) != length):
        raise FormatError("base64url", "not the canonical spelling, or the wrong length")
    return data


def b64(data: bytes) -> str:
    """Return standard base64 with padding (RFC 4648 section 4)."""
    return binascii.b2a_base64(data, newline=False).decode()


def unb64(text: str, length: int | None = None) -> bytes:
    """Return the bytes of `b64` text, exactly *length* if given; only the one spelling that `b64` writes."""
    raw = text.encode(errors="replace")
    try:
        data = binascii.a2b_base64(raw)
    except binascii.Error as error:
        raise FormatError("base64", str(error)) from error
    if binascii.b2a_base64(data, newline=False) != raw or (length is not None and len(data) != length):
        raise FormatError("base64", "not the canonical spelling, or the wrong length")
    return data
