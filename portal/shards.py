"""An index as many small script files, so that a page loads only those that it needs, from a folder of files too.

A page opened from a USB stick may not fetch, but it may load scripts: each file calls `syncgovPart` with its data.
No file grows with the number of rows; there are more of them instead.
"""

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MEAN_BYTES = 8_000  # of a file of terms or records, on average: half a second on a village network
INLINE_IDS = 512  # a term with more rows than that has them in files of their own
CHUNK_IDS = 4096  # rows of one such file, at most three characters each in practice
PER_FILE = 32  # cards of one file
LONG_TEXT = 600  # characters: the text of a card with more stands in a file of its own

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# What a script may not hold as it is: the end of the script, and line ends of old engines.
_IN_SCRIPT = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def shard_of(text: str, files: int) -> int:
    """Return which of *files* (a power of two) holds *text*: FNV-1a over its UTF-16 units, 32 bits."""
    found = 0x811C9DC5
    for unit in memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H"):
        found = (found ^ unit) * 0x01000193 & 0xFFFFFFFF
    return (found ^ found >> 16) & files - 1


def encode_ids(ids: Sequence[int]) -> str:
    """Return ascending numbers as text: gaps, five bits a character, the lowest first, plus 32 while more follow."""
    out, before = [], -1
    for number in ids:
        gap, before = number - before - 1, number
        while gap >= 32:
            out.append(_DIGITS[32 + (gap & 31)])
            gap >>= 5
        out.append(_DIGITS[gap])
    return "".join(out)


def files_for(total: int) -> int:
    """Return how many files hold *total* bytes at the mean size: a power of two."""
    files = 1
    while files * MEAN_BYTES < total:
        files *= 2
    return files


def encode(data: Any) -> str:
    """Return *data* as JSON that may stand in a script."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign, safe in _IN_SCRIPT.items():
        text = text.replace(sign, safe)
    return text


class Shards:
    """A folder of parts, each a script file.

    Args:
        edition: stands in every file, so that a page never mixes files of two publications.
    """

    def __init__(self, folder: Path, edition: str) -> None:
        self._folder = folder
        self._edition = edition

    def write(self, name: str, text: str) -> None:
        """Write one part, whose data is *text* as `encode` gives it."""
        path = self._folder / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'syncgovPart("{self._edition}","{name}",{text})\n', encoding="utf-8")

    def write_terms(self, postings: Mapping[str, "array[int]"]) -> int:
        """Write the index and return the number of its files: term -> its rows, or `[[first row, part], ...]`."""
        entries: dict[str, str | list[tuple[int, int]]] = {}
        part = 0
        for term in sorted(postings):
            ids = postings[term]
            if len(ids) <= INLINE_IDS:
                entries[term] = encode_ids(ids)
                continue
            chunks: list[tuple[int, int]] = []
            for start in range(0, len(ids), CHUNK_IDS):
                self.write(f"p/{part}", encode(encode_ids(ids[start : start + CHUNK_IDS])))
                chunks.append((ids[start], part))
                part += 1
            entries[term] = chunks
        total = sum(len(term) * 3 + 6 + (len(found) if isinstance(found, str) else 12 * len(found))
                    for term, found in entries.items())  # fmt: skip
        return self._spread("t", total, ((term, encode(found)) for term, found in entries.items()))

    def write_records(self, records: Sequence[tuple[str, str]]) -> int:
        """Write (address, encoded record) pairs and return the number of files."""
        return self._spread("m", sum(len(address) + 2 * len(told) for address, told in records), records)

    def _spread(self, kind: str, total: int, pairs: Iterable[tuple[str, str]]) -> int:
        files = files_for(total)
        buckets: list[list[str]] = [[] for _ in range(files)]
        for name, text in pairs:
            buckets[shard_of(name, files)].append(f"[{encode(name)},{text}]")
        for number, bucket in enumerate(buckets):
            self.write(f"{kind}/{number}", f"[{','.join(bucket)}]")
        return files


def edition_of(parts: Iterable[str]) -> str:
    """Return the short name of one state of the data."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return found.hexdigest()[:12]


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield *items* in order, *size* at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
