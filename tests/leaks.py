"""Search files for a private string in every form in which it could have leaked."""

import base64
import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path


def forms(text: str) -> set[bytes]:
    """Return the bytes to look for: UTF-8, UTF-16, JSON escapes of both cases, base64 at its three alignments."""
    raw = text.encode()
    escaped = json.dumps(text)[1:-1]
    found = {
        raw,
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        escaped.encode(),
        escaped.replace("\\u", "\\U").encode(),
    }
    found.add("".join(f"\\u{ord(c):04X}" if ord(c) > 127 else c for c in text).encode())
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # drop the characters that the neighbouring bytes take part in
            found.add(encode(b"\0" * shift + raw)[-(-8 * shift // 6) : len(base64.b64encode(b"\0" * shift + raw)) - 4])
    return found


def contents(path: Path) -> Iterator[bytes]:
    """Yield what a file holds: its bytes, what it unpacks to, and every cell if it is a database."""
    raw = path.read_bytes()
    yield raw
    yield from _members(raw)
    if raw[:1] == b"\x78":
        with suppress(zlib.error):
            yield zlib.decompress(raw)
    if raw.startswith(b"SQLite format 3\0"):
        yield from _cells(path)


def _members(raw: bytes) -> Iterator[bytes]:
    """Yield what every gzip member in a file unpacks to, wherever it begins."""
    start = raw.find(b"\x1f\x8b\x08")
    while start >= 0:
        with suppress(zlib.error):
            yield zlib.decompressobj(wbits=31).decompress(raw[start:])
        start = raw.find(b"\x1f\x8b\x08", start + 1)


def _cells(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        names = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in db.execute(f'SELECT * FROM "{name}"'):
                yield "\n".join(str(cell) for cell in row).encode()
                yield from (cell for cell in row if isinstance(cell, bytes))


def holders(texts: list[str], files: list[Path]) -> dict[str, set[Path]]:
    """Return text -> the files that hold it in any form."""
    wanted = {text: forms(text) for text in texts}
    found: dict[str, set[Path]] = {text: set() for text in texts}
    for path in files:
        for content in contents(path):
            for text, needles in wanted.items():
                if path not in found[text] and any(needle in content for needle in needles):
                    found[text].add(path)
    return found
