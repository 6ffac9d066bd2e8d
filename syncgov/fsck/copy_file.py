"""The second copy of the log: every record compared with the database. Source: protocol page, section 6.

Record: u32be length, leaf, u32be length, body.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncgov.core.commitment import open_body, redact
from syncgov.core.statement import parse_leaf
from syncgov.errors import SyncgovError
from syncgov.fsck.erased import ErasedWrites
from syncgov.fsck.report import Fix, Report

LENGTH_BYTES = 4


@contextmanager
def held_still(path: Path) -> Iterator[int]:
    """Keep a running centre from appending during the block; gives the length of the file, 0 if it is not there."""
    if not path.is_file():
        yield 0
        return
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        try:
            yield os.fstat(file.fileno()).st_size
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def framed(leaf: bytes, body: bytes) -> bytes:
    """Return the record of one log entry."""
    return b"".join(len(part).to_bytes(LENGTH_BYTES, "big") + part for part in (leaf, body))


def check_copy(
    path: Path, length: int, conn: sqlite3.Connection, report: Report, *, repair: bool, erased: ErasedWrites
) -> None:
    """Findings: copy-cut, copy-short, copy-ahead, copy-record, copy-garbled, erased-left.

    Args:
        length: of the file when the database was looked at.
        repair: whether the database is whole, so that what is missing may be written from it.
    """

    def anew(inner: sqlite3.Connection) -> None:
        _write_anew(path, inner)

    data = path.read_bytes()[:length] if length else b""
    pending = {index for (index,) in conn.execute("SELECT idx FROM _sg_scrub")}  # the next start takes it out
    offset, count = 0, 0
    records = conn.execute("SELECT idx, leaf, body FROM _sg_leaf ORDER BY idx")
    for index, leaf, body in records:
        expected = framed(bytes(leaf), bytes(body or b""))
        here = data[offset : offset + len(expected)]
        if here != expected:
            end = _record_end(data, offset)
            if expected.startswith(_written(data, offset)):
                break  # the file ends here
            if end is None:
                report.add("copy-garbled", f"{path.name} {index}")
                return
            if index not in pending:
                _name_record(
                    f"{path.name} {index}",
                    (index, bytes(leaf), bytes(body or b"")),
                    data[offset:end],
                    erased,
                    report,
                    anew,
                )
            offset, count = end, count + 1
            continue
        offset, count = offset + len(expected), count + 1
        report.counts["copies"] += 1
    _check_end(path, (data, offset), count, conn, report, repair=repair)


def _name_record(
    where: str, entry: tuple[int, bytes, bytes], record: bytes, erased: ErasedWrites, report: Report, fix: Fix | None
) -> None:
    """Say what is wrong with a record that differs: one of the two may hold what has been erased.

    Args:
        entry: index, leaf and body in the database.
        fix: writes the file anew from the database.
    """
    index, leaf, body = entry
    start = LENGTH_BYTES + len(leaf)
    here, there = (_without_erased(index, leaf, raw, erased) for raw in (record[start + LENGTH_BYTES :], body))
    if record[LENGTH_BYTES:start] != leaf or here is None or there is None or here[0] != there[0]:
        report.add("copy-record", where)
    elif here[1]:  # what the database has left was named there
        report.add("erased-left", where, ", ".join(here[1]), fix=fix)


def _without_erased(index: int, leaf: bytes, raw: bytes, erased: ErasedWrites) -> tuple[bytes, list[str]] | None:
    """Return a body without what the log erases, and the paths that were still there."""
    try:
        parsed = parse_leaf(leaf)
        body = open_body(raw, parsed.changeset.statement)
    except SyncgovError:
        return None
    left = erased.left(index, parsed, body)
    paths = [write.path for position, write in body.disclosed() if position in left]
    return (redact(body, lambda position, _write: position not in left) if left else raw), paths


def _written(data: bytes, offset: int) -> bytes:
    """Return what stands from *offset* on without the zeros that a power loss leaves at the end of a file."""
    return data[offset:].rstrip(b"\x00")


def _record_end(data: bytes, offset: int) -> int | None:
    """Return where the record at *offset* ends by its own lengths, None if it does not."""
    for _part in range(2):
        head = data[offset : offset + LENGTH_BYTES]
        length = int.from_bytes(head, "big")
        offset += LENGTH_BYTES + length
        if len(head) < LENGTH_BYTES or length == 0 or offset > len(data):
            return None
    return offset


def _check_end(
    path: Path, rest: tuple[bytes, int], count: int, conn: sqlite3.Connection, report: Report, *, repair: bool
) -> None:
    data, offset = rest
    total = conn.execute("SELECT count(*) FROM _sg_leaf").fetchone()[0]
    if count < total or (len(data) > offset and not _written(data, offset)):

        def complete(inner: sqlite3.Connection) -> None:
            _complete(path, offset, count, inner)

        code = "copy-cut" if len(data) > offset else "copy-short"
        report.add(code, f"{path.name} {count}", f"{count}/{total}", fix=complete if repair else None)
    elif len(data) > offset:
        whole = _record_end(data, offset) is not None
        if whole:
            report.add("copy-ahead", f"{path.name} {count}")
        else:
            # nothing in the database belongs here: it may be the beginning of an entry that only this file has
            report.add("copy-garbled", f"{path.name} {count}")


def _complete(path: Path, offset: int, count: int, conn: sqlite3.Connection) -> None:
    """Cut an incomplete last record off, and write the records from number *count* on, durably."""
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(offset)
        for leaf, body in conn.execute("SELECT leaf, body FROM _sg_leaf WHERE idx >= ? ORDER BY idx", (count,)):
            file.write(framed(bytes(leaf), bytes(body or b"")))
        file.flush()
        os.fsync(file.fileno())


def _write_anew(path: Path, conn: sqlite3.Connection) -> None:
    """Put a file in the place of the copy that holds what the database holds, and nothing that was erased."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with path.open("rb") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for leaf, body in conn.execute("SELECT leaf, body FROM _sg_leaf ORDER BY idx"):
                file.write(framed(bytes(leaf), bytes(body or b"")))
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
