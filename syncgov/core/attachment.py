"""Files that rows stand for: what a register declares, and what a file may be. Source: protocol page, section 17."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from syncgov.errors import InputError

MAX_FILE_BYTES = 32 << 20  # what a register may allow at most: half an hour of speech, a long scan
MAX_THUMBNAIL_BYTES = 65_536
MAX_FILES = 200  # of one record
PHOTO = "image/jpeg"  # every photo is stored as this
# media type -> what a file of it begins with: (offset, bytes); the first that fits counts
_SIGNATURES: Mapping[str, tuple[tuple[int, bytes], ...]] = {
    PHOTO: ((0, b"\xff\xd8\xff"),),
    "application/pdf": ((0, b"%PDF-"),),
    "audio/ogg": ((0, b"OggS"),),
    "audio/mpeg": ((0, b"ID3"), (0, b"\xff\xfb"), (0, b"\xff\xf3"), (0, b"\xff\xf2")),
    "audio/amr": ((0, b"#!AMR"),),
    "audio/mp4": ((4, b"ftypM4A"), (4, b"ftypmp4"), (4, b"ftypisom"), (4, b"ftyp3gp")),
    "audio/wav": ((8, b"WAVE"),),
}
MEDIA_TYPES = tuple(_SIGNATURES)
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Attachment:
    """The columns of a register whose rows stand for files, and the limits.

    Attributes:
        sha256: column with the file's SHA-256. bytes: its length. media_type: column with the media type.
        kind: column with the kind. thumbnail, phase: columns, where declared.
        accept: code of the kind -> media types.
        max_bytes: of one file. max_files: rows of one record.
    """

    sha256: str
    bytes: str
    media_type: str
    kind: str
    thumbnail: str | None
    phase: str | None
    accept: Mapping[str, tuple[str, ...]]
    max_bytes: int
    max_files: int

    def kind_of(self, media_type: str) -> str | None:
        """Return the first kind that accepts a media type, None if none does."""
        return next((kind for kind, types in self.accept.items() if media_type in types), None)

    @property
    def hash_columns(self) -> tuple[str, ...]:
        """The columns that name files."""
        return (self.sha256,) if self.thumbnail is None else (self.sha256, self.thumbnail)


def media_type_of(data: bytes) -> str | None:
    """Return the media type that the first bytes of a file say, None if it is none of ours."""
    for media_type, signatures in _SIGNATURES.items():
        if any(data[offset : offset + len(mark)] == mark for offset, mark in signatures):
            return media_type
    return None


def is_hash(value: object) -> bool:
    """Return whether *value* is a SHA-256 as rows write it."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def require_hash(value: str) -> str:
    """Return *value* if it may be the name of a file, else raise InputError."""
    if not is_hash(value):
        raise InputError("附件编号应是 64 位十六进制", "a file is named by 64 lower-case hexadecimal digits")
    return value


def hashes_in(attachment: Attachment, values: Mapping[str, object]) -> Iterator[str]:
    """Yield the files that a row's columns name."""
    for column in attachment.hash_columns:
        value = values.get(column)
        if isinstance(value, str) and is_hash(value):
            yield value
