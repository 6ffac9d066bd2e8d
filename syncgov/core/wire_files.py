"""Messages that carry files. Source: protocol page, section 17.

An upload is a JSON header, LF, and the bytes of its parts one after the other. A part without bytes asks how far the
file has got.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from syncgov.core.attachment import MAX_FILE_BYTES, is_hash
from syncgov.errors import FormatError, LimitError

MAX_PARTS = 256  # files of one request
MAX_HEADER_BYTES = 65_536
MAX_CHUNK_BYTES = 1 << 20  # bytes of one request, or of one answer; a village line needs a minute for it


class Part(NamedTuple):
    """A piece of a file: its SHA-256, its whole length, and where the piece begins and how long it is."""

    sha256: str
    total: int
    offset: int
    length: int


class PutHeader(msgspec.Struct, forbid_unknown_fields=True):
    """What stands before the bytes of an upload."""

    parts: list[Part]
    v: Literal[1] = 1


class PutResult(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What became of one part: `stored`, `partial` (the centre has `offset` bytes), or `refused` (code, detail)."""

    code: str | None = None
    detail: str | None = None
    detail_zh: str | None = None
    offset: int = 0
    state: Literal["stored", "partial", "refused"]


class PutAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """One result a part."""

    results: list[PutResult]
    v: Literal[1] = 1


class Get(msgspec.Struct, forbid_unknown_fields=True):
    """Ask for bytes of a file; the answer is these bytes, with Content-Range."""

    limit: int
    offset: int
    sha256: str
    v: Literal[1] = 1


def format_put(parts: Sequence[tuple[str, int, int, bytes]]) -> bytes:
    """Return an upload of (SHA-256, whole length, offset, bytes)."""
    header = PutHeader([Part(sha256, total, offset, len(data)) for sha256, total, offset, data in parts])
    return msgspec.json.encode(header) + b"\n" + b"".join(data for _s, _t, _o, data in parts)


def parse_put(raw: bytes) -> list[tuple[Part, bytes]]:
    """Return the parts of an upload with their bytes.

    Raises:
        FormatError, LimitError: not such a message, too much at once, numbers that contradict each other.
    """
    end = raw.find(b"\n", 0, MAX_HEADER_BYTES)
    if end < 0:
        raise FormatError("upload", "no header line")
    if len(raw) - end - 1 > MAX_CHUNK_BYTES:
        raise LimitError("upload", f"more than {MAX_CHUNK_BYTES} bytes")
    try:
        header = msgspec.json.decode(raw[:end], type=PutHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError("upload", str(error)) from error
    if len(header.parts) > MAX_PARTS:
        raise LimitError("upload", f"more than {MAX_PARTS} parts")
    return _split(header.parts, raw, end + 1)


def _split(parts: Sequence[Part], raw: bytes, place: int) -> list[tuple[Part, bytes]]:
    found = []
    for part in parts:
        check_part(part)
        found.append((part, raw[place : place + part.length]))
        place += part.length
    if place != len(raw):
        raise FormatError("upload", "more or fewer bytes than the header says")
    return found


def check_part(part: Part) -> None:
    """Raise FormatError or LimitError if the numbers of a part are none, or contradict each other."""
    if not is_hash(part.sha256) or part.total < 1 or part.offset < 0 or part.length < 0:
        raise FormatError("upload", "a hash, a length or an offset is none")
    if part.total > MAX_FILE_BYTES:
        raise LimitError("upload", f"a file of more than {MAX_FILE_BYTES} bytes")
    if part.offset + part.length > part.total:
        raise FormatError("upload", "a part goes beyond the end of its file")


def content_range(offset: int, length: int, total: int) -> str:
    """Return the header that says which bytes of a file an answer holds (RFC 9110, section 14.4)."""
    return f"bytes {offset}-{offset + length - 1}/{total}"


def total_of(header: str) -> int:
    """Return the whole length in a `Content-Range`, else raise FormatError."""
    total = header.rpartition("/")[2]
    if not header.startswith("bytes ") or not (total.isascii() and total.isdecimal()) or int(total) > MAX_FILE_BYTES:
        raise FormatError("answer of the centre", "Content-Range is missing or wrong")
    return int(total)
