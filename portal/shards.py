"""An index as many small script files, so that a page loads only those that it needs, from a folder of files too.

A page opened from a USB stick may not fetch, but it may load scripts: each file calls `syncgovPart` with its data.
No file grows with the number of rows; there are more of them instead.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from portal.spill import Spill

# Of a file, on average. A query loads one file of terms for each pair of characters, which hardly gets smaller by
# packing; a matter's page loads one of records, which packs to a sixth. Fewer files than that would weigh on readers.
TERM_BYTES = 16_000
RECORD_BYTES = 64_000
INLINE_IDS = 512  # a term with more rows than that has them in files of their own
CHUNK_IDS = 16_384  # rows of one such file, a character or two each; the browser knows the number too
PER_FILE = 32  # cards of one file
LONG_TEXT = 600  # characters: the text of a card with more does not stand in it
PER_LONG = 4  # cards whose long texts share a file

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# What a script may not hold as it is: the end of the script, and line ends of old engines.
_IN_SCRIPT = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def shard_of(text: str, files: int) -> int:
    """Return which of *files* (a power of two) holds *text*."""
    return hash_of(text) & files - 1


def hash_of(text: str) -> int:
    """Return the number that spreads *text* over files: FNV-1a over its UTF-16 units, 32 bits, folded."""
    found = 0x811C9DC5
    for unit in memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H"):
        found = (found ^ unit) * 0x01000193 & 0xFFFFFFFF
    return found ^ found >> 16


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


def files_for(total: int, mean: int) -> int:
    """Return how many files hold *total* bytes at *mean* bytes or fewer each on average: a power of two."""
    files = 1
    while files * mean < total:
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

    def write_terms(self, spill: Spill) -> int:
        """Write the index and return the number of its files: term -> its rows, or `[[first row, part], ...]`."""
        part = 0
        for term, ids in spill.postings():
            if len(ids) <= INLINE_IDS:
                spill.add_pair("t", hash_of(term), term, encode(encode_ids(ids)))
                continue
            chunks: list[tuple[int, int]] = []
            for start in range(0, len(ids), CHUNK_IDS):
                self.write(f"p/{part}", encode(encode_ids(ids[start : start + CHUNK_IDS])))
                chunks.append((ids[start], part))
                part += 1
            spill.add_pair("t", hash_of(term), term, encode(chunks))
        return self._spread(spill, "t", TERM_BYTES)

    def write_records(self, spill: Spill) -> int:
        """Write the records by their addresses and return the number of files."""
        return self._spread(spill, "m", RECORD_BYTES)

    def write_cards(self, cards: Iterable[str]) -> None:
        """Write the cards, so many a file."""
        for number, batch in enumerate(batches(cards, PER_FILE)):
            self.write(f"c/{number}", f"[{','.join(batch)}]")

    def write_long(self, spill: Spill) -> None:
        """Write the long texts by the numbers of their cards, those of neighbours in one file."""
        for file, texts in spill.by_hash("x"):
            self.write(f"x/{file}", f"[{','.join(f'[{name},{text}]' for name, text in texts)}]")

    def _spread(self, spill: Spill, kind: str, mean: int) -> int:
        files = files_for(spill.total(kind), mean)
        empty = 0
        for file, pairs in spill.by_hash(kind, files - 1):
            for number in range(empty, file):
                self.write(f"{kind}/{number}", "[]")
            self.write(f"{kind}/{file}", f"[{','.join(f'[{encode(name)},{text}]' for name, text in pairs)}]")
            empty = file + 1
        for number in range(empty, files):
            self.write(f"{kind}/{number}", "[]")
        return files


def edition_of(parts: Iterable[str]) -> str:
    """Return the short name of one state of the data."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return found.hexdigest()[:12]


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield *items* in order, *size* at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
