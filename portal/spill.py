"""What the index is made of while it is made, in a scratch file: more than fits into a small machine's memory.

A hundred thousand matters have ten million places of words. They are collected in runs of bounded size and come back
from SQLite in order; its sorting goes to disk by itself.
"""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

RUN = 250_000  # places of words held in memory at a time: some 40 MB if every word were new
_CACHE_KIB = 16_000  # of SQLite, for its pages and for sorting

_SCHEMA = """
CREATE TABLE posting (term TEXT, run INTEGER, ids BLOB);
CREATE TABLE card (number INTEGER PRIMARY KEY, text TEXT);
CREATE TABLE pair (kind TEXT, hash INTEGER, name TEXT, text TEXT);
"""


class Spill:
    """A scratch file with places of words, cards and named texts. Close it; the file is the caller's to delete."""

    def __init__(self, path: Path) -> None:
        self._conn = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}", "temp_store=FILE"):
            self._conn.execute(f"PRAGMA {setting}")
        self._conn.executescript(_SCHEMA)
        self._conn.execute("BEGIN")
        self._held: dict[str, array[int]] = {}
        self._places = self._runs = 0

    def close(self) -> None:
        """Close the file."""
        self._conn.close()

    def post(self, number: int, terms: Iterable[str]) -> None:
        """Note that card *number*, greater than those before it, holds *terms*."""
        for term in terms:
            self._held.setdefault(term, array("I")).append(number)
            self._places += 1
        if self._places >= RUN:
            self._flush()

    def _flush(self) -> None:
        rows = ((term, self._runs, ids.tobytes()) for term, ids in self._held.items())
        self._conn.executemany("INSERT INTO posting VALUES (?, ?, ?)", rows)
        self._held, self._places, self._runs = {}, 0, self._runs + 1

    def postings(self) -> Iterator[tuple[str, "array[int]"]]:
        """Yield each term with the cards that hold it, in order."""
        self._flush()
        rows = self._conn.execute("SELECT term, ids FROM posting ORDER BY term, run")
        for term, runs in groupby(rows, key=lambda row: str(row[0])):
            ids = array("I")
            for _term, found in runs:
                ids.frombytes(found)
            yield term, ids

    def add_card(self, number: int, text: str) -> None:
        """Keep the card *number*."""
        self._conn.execute("INSERT INTO card VALUES (?, ?)", (number, text))

    def cards(self) -> Iterator[str]:
        """Yield the cards in order."""
        return (text for (text,) in self._conn.execute("SELECT text FROM card ORDER BY number"))

    def add_pair(self, kind: str, hashed: int, name: str, text: str) -> None:
        """Keep a named text of a kind."""
        self._conn.execute("INSERT INTO pair VALUES (?, ?, ?, ?)", (kind, hashed, name, text))

    def total(self, kind: str) -> int:
        """Return about how many bytes the texts of a kind have, their names included."""
        size = "length(CAST(name AS BLOB)) + length(CAST(text AS BLOB))"
        found = self._conn.execute(f"SELECT coalesce(sum({size}), 0) FROM pair WHERE kind = ?", (kind,))
        return int(found.fetchone()[0])

    def by_hash(self, kind: str, mask: int = -1) -> Iterator[tuple[int, list[tuple[str, str]]]]:
        """Yield each masked hash that occurs, ascending, with its (name, text) pairs as they were added."""
        sql = "SELECT hash & ? AS file, name, text FROM pair WHERE kind = ? ORDER BY file, rowid"
        for file, found in groupby(self._conn.execute(sql, (mask, kind)), key=lambda row: int(row[0])):
            yield file, [(name, text) for _file, name, text in found]
