"""The signed list of everything that one publication holds: `SHA256SUMS` and the note `log/files`.

The list has one line for each file of the folder, in the form of sha256sum, ascending by path. The note binds the list
to the checkpoint:

    syncgov-files@v1
    example.org/log
    812
    nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=
    <hexadecimal SHA-256 of SHA256SUMS>

    — example.org/log hI2DJ…1roloI=

Source: c2sp.org/signed-note; protocol page, section 9.
"""

import re
from collections.abc import Mapping

from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, format_checkpoint, open_note, parse_checkpoint, sign_note
from syncgov.errors import FormatError

LIST_PATH = "SHA256SUMS"
NOTE_PATH = "log/files"
UNLISTED = frozenset({LIST_PATH, NOTE_PATH})  # the list cannot hold its own hash, nor that of what names its hash
LABEL = "syncgov-files@v1"
MAX_LIST_BYTES = 1 << 30  # 5 million files

_LINE = re.compile(r"([0-9a-f]{64})  ([^\\\x00-\x1f\x7f]+)")
_HEX = re.compile(r"[0-9a-f]{64}")


def format_list(digests: Mapping[str, str]) -> bytes:
    """Return the list of path -> hexadecimal SHA-256.

    Raises:
        FormatError: a path that sha256sum would not write as it is, or that no list holds.
    """
    data = "".join(f"{digests[path]}  {path}\n" for path in sorted(digests)).encode()
    if parse_list(data) != dict(digests):
        raise FormatError(LIST_PATH, "two paths that cannot be told apart")
    return data


def parse_list(data: bytes) -> dict[str, str]:
    """Return path -> hexadecimal SHA-256; exactly what `format_list` writes is accepted.

    Raises:
        FormatError: names the line.
    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(LIST_PATH, "not UTF-8") from error
    if lines.pop():
        raise FormatError(LIST_PATH, "the last line has no end")
    found: dict[str, str] = {}
    last = ""
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] <= last or match[2] in UNLISTED:
            raise FormatError(LIST_PATH, f"line {number} is not: hash, two spaces, a path after the one before")
        last = match[2]
        found[last] = match[1]
    return found


def sign_list(checkpoint: Checkpoint, digest: str, key: SigningKey) -> str:
    """Return the note by which the log says what it published at *checkpoint*; *digest* is that of the list."""
    if _HEX.fullmatch(digest) is None:
        raise FormatError(NOTE_PATH, "not a hexadecimal SHA-256")
    return sign_note(f"{LABEL}\n{format_checkpoint(checkpoint)}{digest}\n", checkpoint.origin, key)


def verify_list_note(text: str, vkey: str) -> tuple[Checkpoint, str]:
    """Return checkpoint and digest of a note that the log of *vkey* signed.

    Raises:
        FormatError: not such a note.
        SignatureError: not signed by that key.
    """
    label, _, rest = open_note(text, [vkey]).text.partition("\n")
    head, _, digest = rest.removesuffix("\n").rpartition("\n")
    if label != LABEL or _HEX.fullmatch(digest) is None or not rest.endswith("\n"):
        raise FormatError(NOTE_PATH, "not label, checkpoint and hash")
    return parse_checkpoint(f"{head}\n"), digest
