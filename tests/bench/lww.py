"""Last writer wins in plain SQL, with Python's own sqlite3: no signature, no conflict is noticed.

Both kinds take one JSON text a hundred rows, as they would be received, and leave the rows in the table that programs
read. `Fields` decides field by field, as syncgov does; `RowsOnly` decides by whole rows and so loses one of two
concurrent edits of different fields of a row.
"""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from syncgov.core.commitment import Value
from syncgov.storage.connection import connect, transaction

NAMES = ("record", "name", "place", "amount", "day")

_TABLE = "CREATE TABLE item (id TEXT PRIMARY KEY, record TEXT, name TEXT, place TEXT, amount INTEGER, day TEXT) STRICT"
_CLOCK = """CREATE TABLE clock (
    id TEXT, field TEXT, at INTEGER, dev TEXT, value ANY, PRIMARY KEY (id, field)) STRICT, WITHOUT ROWID"""
_MERGE_FIELDS = """
INSERT INTO clock
SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4 FROM json_each(?1) AS e WHERE true
ON CONFLICT (id, field) DO UPDATE SET at = excluded.at, dev = excluded.dev, value = excluded.value
WHERE (excluded.at, excluded.dev) > (at, dev)"""
_SHOW_FIELDS = """
INSERT INTO item
SELECT id, max(value) FILTER (WHERE field = 'record'), max(value) FILTER (WHERE field = 'name'),
    max(value) FILTER (WHERE field = 'place'), max(value) FILTER (WHERE field = 'amount'),
    max(value) FILTER (WHERE field = 'day')
FROM clock WHERE id IN (SELECT e.value ->> 0 FROM json_each(?1) AS e) GROUP BY id
ON CONFLICT (id) DO UPDATE SET record = excluded.record, name = excluded.name, place = excluded.place,
    amount = excluded.amount, day = excluded.day"""
_ROW_TABLE = """CREATE TABLE item (id TEXT PRIMARY KEY, record TEXT, name TEXT, place TEXT, amount INTEGER, day TEXT,
    at INTEGER, dev TEXT) STRICT"""
_MERGE_ROWS = """
INSERT INTO item SELECT e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4, e.value ->> 5,
    e.value ->> 6, e.value ->> 7 FROM json_each(?1) AS e WHERE true
ON CONFLICT (id) DO UPDATE SET record = excluded.record, name = excluded.name, place = excluded.place,
    amount = excluded.amount, day = excluded.day, at = excluded.at, dev = excluded.dev
WHERE (excluded.at, excluded.dev) > (at, dev)"""

Row = tuple[str, dict[str, Value], int, str]  # key, columns, at (ms), device


class Fields:
    """The newest write of each field wins."""

    def __init__(self, path: Path) -> None:
        self.conn: sqlite3.Connection = connect(path, create=True)
        self.conn.execute(_TABLE)
        self.conn.execute(_CLOCK)

    @staticmethod
    def batch(rows: Sequence[Row]) -> str:
        """Return what is received for some rows."""
        return json.dumps([[key, name, at, dev, columns[name]] for key, columns, at, dev in rows for name in NAMES])

    def merge(self, batches: Sequence[str]) -> None:
        """Merge all batches in one transaction."""
        with transaction(self.conn):
            for text in batches:
                self.conn.execute(_MERGE_FIELDS, (text,))
                self.conn.execute(_SHOW_FIELDS, (text,))


class RowsOnly:
    """The newest write of each row wins."""

    def __init__(self, path: Path) -> None:
        self.conn: sqlite3.Connection = connect(path, create=True)
        self.conn.execute(_ROW_TABLE)

    @staticmethod
    def batch(rows: Sequence[Row]) -> str:
        """Return what is received for some rows."""
        return json.dumps([[key, *(columns[name] for name in NAMES), at, dev] for key, columns, at, dev in rows])

    def merge(self, batches: Sequence[str]) -> None:
        """Merge all batches in one transaction."""
        with transaction(self.conn):
            for text in batches:
                self.conn.execute(_MERGE_ROWS, (text,))
