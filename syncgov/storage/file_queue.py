"""The files of a replica: which wait to be sent, how far each has got, and which nothing refers to any more.

The queue knows nothing of the network; a sync works it off. Source: protocol page, section 17.
"""

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from syncgov.storage.blobs import BlobStore, files_folder
from syncgov.storage.connection import quote, transaction
from syncgov.storage.replica import Replica
from syncgov.storage.schema import MARK_SIGNED
from syncgov.storage.state import RowKey
from syncgov.storage.wording import Language

_HASH = re.compile(rb'"([0-9a-f]{64})')  # a file's name wherever JSON holds one


class FileStage(StrEnum):
    """Where a file stands. The value is what machines read; `label` is for people."""

    QUEUED = "queued"
    SENDING = "sending"
    STORED = "stored"

    def label(self, language: Language) -> str:
        """Return the word of the interface."""
        return _STAGES[self][0 if language == "zh" else 1]


_STAGES = {
    FileStage.QUEUED: ("待上传", "queued"),
    FileStage.SENDING: ("上传中", "sending"),
    FileStage.STORED: ("已存", "stored"),
}


@dataclass(frozen=True, slots=True)
class Queued:
    """One file on its way: `sent` of `bytes`. `why`: what the centre said, if it does not take it."""

    sha256: str
    row: RowKey
    bytes: int
    sent: int
    stored: bool
    why: str


@dataclass(frozen=True, slots=True)
class RowFiles:
    """The files of one row of attachments, with the thumbnail, for people. `percent` of the bytes is at the centre."""

    table: str
    key: str
    stage: FileStage
    bytes: int
    percent: int
    why: str = ""


def blobs(replica: Replica) -> BlobStore:
    """Return the files beside a replica."""
    return BlobStore(files_folder(replica.path))


def enqueue(conn: sqlite3.Connection, row: RowKey, sha256: str, size: int) -> None:
    """Let a file wait to be sent; call inside a transaction. A file that was sent before is asked about again.

    One that is on its way for a signed row goes on: this row may never be signed.
    """
    conn.execute(
        "INSERT INTO _sg_file(sha256, tbl, key, bytes) VALUES (?, ?, ?, ?) ON CONFLICT(sha256) DO UPDATE SET "
        "tbl = excluded.tbl, key = excluded.key, sent = 0, stored = NULL, signed = 0, why = NULL "
        "WHERE stored IS NOT NULL OR signed = 0",
        (sha256, *row, size),
    )


def waiting(replica: Replica) -> list[Queued]:
    """Return the files of signed rows that the centre does not have yet, oldest first."""
    return list(_all(replica, "WHERE stored IS NULL AND signed = 1"))


def _all(replica: Replica, where: str = "") -> Iterator[Queued]:
    found = replica.conn.execute(
        f"SELECT sha256, tbl, key, bytes, sent, stored IS NOT NULL, why FROM _sg_file {where} ORDER BY n"
    ).fetchall()
    for sha256, table, key, size, sent, stored, why in found:
        yield Queued(sha256, (table, key), size, sent, bool(stored), why or "")


def note_sent(replica: Replica, sha256: str, sent: int) -> None:
    """Remember how much of a file the centre has."""
    replica.conn.execute("UPDATE _sg_file SET sent = ?, why = NULL WHERE sha256 = ?", (sent, sha256))


def note_stored(replica: Replica, sha256: str) -> None:
    """Remember that the centre holds the whole file."""
    sql = "UPDATE _sg_file SET sent = bytes, stored = ?, why = NULL WHERE sha256 = ?"
    replica.conn.execute(sql, (replica.clock(), sha256))


def note_refused(replica: Replica, sha256: str, why: str) -> None:
    """Remember why the centre does not take a file; the next sync tries again."""
    replica.conn.execute("UPDATE _sg_file SET why = ?, sent = 0 WHERE sha256 = ?", (why, sha256))


def forget(replica: Replica, sha256: str) -> None:
    """Take a file from the queue, whose row is gone from here and from the centre."""
    replica.conn.execute("DELETE FROM _sg_file WHERE sha256 = ?", (sha256,))


def has_row(replica: Replica, each: Queued) -> bool:
    """Whether the replica still holds the row of a queued file."""
    return replica.conn.execute("SELECT 1 FROM _sg_row WHERE tbl = ? AND key = ?", each.row).fetchone() is not None


def row_files(replica: Replica) -> tuple[RowFiles, ...]:
    """Return how far the files of each row are, oldest first."""
    rows: dict[RowKey, list[Queued]] = {}
    for each in _all(replica):
        rows.setdefault(each.row, []).append(each)
    return tuple(_row_files(row, files) for row, files in rows.items())


def _row_files(row: RowKey, files: Sequence[Queued]) -> RowFiles:
    size, sent = sum(f.bytes for f in files), sum(f.bytes if f.stored else f.sent for f in files)
    why = next((f.why for f in files if f.why), "")
    if all(f.stored for f in files):
        return RowFiles(*row, FileStage.STORED, size, 100)
    stage = FileStage.SENDING if sent else FileStage.QUEUED
    return RowFiles(*row, stage, size, min(99, 100 * sent // size if size else 0), why)


# -- what nothing refers to --------------------


def drop_unreferenced(replica: Replica) -> list[str]:
    """Unlink the files that no row here names: erased, purged, or never signed; returns their SHA-256.

    A file that waits to be sent stays until it is, although its row has left this device; unless the row is here and
    no longer names it: then it was erased. A file that cannot be removed now is removed next time.
    """
    store = blobs(replica)
    names = set(store.names())
    queued = replica.conn.execute("SELECT count(*) FROM _sg_file").fetchone()[0]
    if not names and not queued and not any(store.partials()):
        return []
    with transaction(replica.conn):  # so that no row is inserted between looking and unlinking
        kept = _referenced(replica) | _unsent(replica)
        gone = sorted(names - kept)
        known = {sha256 for (sha256,) in replica.conn.execute("SELECT sha256 FROM _sg_file")}
        replica.conn.executemany("DELETE FROM _sg_file WHERE sha256 = ?", [(s,) for s in sorted(known - kept)])
        for sha256 in gone:
            with suppress(OSError):
                store.remove(sha256)
        for path, sha256 in store.partials():  # of a download that was cut off
            if sha256 not in kept:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
    return gone


def _referenced(replica: Replica) -> set[str]:
    """The files that anything here names: rows, what was written on top, what is unsigned, refused or kept aside."""
    conn = replica.conn
    sources = [
        "SELECT state FROM _sg_row",
        "SELECT own FROM _sg_row WHERE own IS NOT NULL",
        "SELECT CAST(columns AS BLOB) FROM _sg_held",
    ]
    found = {match for sql in sources for (raw,) in conn.execute(sql) for match in _HASH.findall(raw)}
    again = {int(seq) for seq in json.loads(replica.meta.get("resubmitted", "{}"))}
    for seq, body in conn.execute("SELECT seq, body FROM _sg_own WHERE coalesce(verdict, '') <> 'accepted'"):
        if seq not in again:
            found.update(_HASH.findall(body))
    return {match.decode() for match in found} | set(_in_tables(replica))


def _in_tables(replica: Replica) -> Iterator[str]:
    present = {name for (name,) in replica.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name, columns in replica.columns.items():
        attachment = replica.registers[name].attachment
        if attachment is None or name not in present:
            continue
        here = {row[1] for row in replica.conn.execute(f"PRAGMA table_info({quote(name)})")}
        for column in set(attachment.hash_columns) & {c.name for c in columns} & here:
            sql = f"SELECT {quote(column)} FROM {quote(name)} WHERE {quote(column)} IS NOT NULL"
            yield from (str(value) for (value,) in replica.conn.execute(sql).fetchall())


def _unsent(replica: Replica) -> set[str]:
    """Files on their way whose rows have left this device."""
    found = replica.conn.execute(
        "SELECT sha256 FROM _sg_file AS f WHERE stored IS NULL AND signed = 1 "
        "AND NOT EXISTS (SELECT 1 FROM _sg_row AS r WHERE r.tbl = f.tbl AND r.key = f.key)"
    )
    return {sha256 for (sha256,) in found}


def carry_files(replica: Replica, other: Replica) -> int:
    """Bring the files that *other* could not send into *replica*, which takes its place; returns how many."""
    store, old = blobs(replica), blobs(other)
    carried = 0
    for each in _all(other, "WHERE stored IS NULL"):
        if old.has(each.sha256):
            store.put(old.read(each.sha256))
            with transaction(replica.conn):
                enqueue(replica.conn, each.row, each.sha256, each.bytes)
                replica.conn.execute(MARK_SIGNED)
            carried += 1
    return carried
