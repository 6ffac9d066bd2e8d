"""`SHA256SUMS` and `log/files`: what this publication consists of. Source: protocol page, section 9."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from syncgov.core.file_list import LIST_PATH, NOTE_PATH, UNLISTED, format_list
from syncgov.publish.static_log import write_file


def write_list(folder: Path, sign: Callable[[str], str]) -> None:
    """Write the list of every file in *folder*, and the note that *sign* makes of the list's hexadecimal SHA-256."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    data = format_list({name: _digest(path) for name, path in paths.items() if name not in UNLISTED})
    write_file(folder / LIST_PATH, data)
    write_file(folder / NOTE_PATH, sign(hashlib.sha256(data).hexdigest()).encode())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
