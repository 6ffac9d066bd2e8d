"""The files that rows name: whole, of the right size, none that nothing names. Source: protocol page, section 17."""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from syncgov.core.attachment import Attachment, is_hash
from syncgov.core.register_model import Register
from syncgov.fsck.derived import Context
from syncgov.fsck.opening import quote
from syncgov.fsck.report import Fix
from syncgov.fsck.tables import column_names

_HASH = re.compile(rb"[0-9a-f]{64}")


def check_files(folder: Path, context: Context) -> None:
    """Findings: file-missing, file-damaged, file-size, file-orphan."""
    report = context.report
    sizes = dict(_named(context))
    present = {path.name: path for path in folder.glob("[0-9a-f][0-9a-f]/*") if is_hash(path.name)}
    listed = _listed(context.conn, centre=context.centre)
    for sha256 in sorted(name for name, needed in listed.items() if needed and name not in present):
        report.add("file-missing", sha256)
    others = set() if context.centre else _others(context)
    for sha256, path in sorted(present.items()):
        report.counts["files"] += 1
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            only_copy = context.centre or listed.get(sha256, False)
            report.add("file-damaged", sha256, fix=None if only_copy else _unlink(path))
        elif sha256 not in sizes and sha256 not in others and not context.unknown:
            report.add("file-orphan", sha256, fix=_unlink(path))
        elif sizes.get(sha256) not in (None, path.stat().st_size):
            report.add("file-size", sha256, f"{path.stat().st_size} ≠ {sizes[sha256]}")
    coming = len(sizes.keys() - present.keys() - listed.keys())
    if context.centre and coming:
        report.note(f"{coming} 个附件还没有传到中心", f"{coming} files have not reached the centre yet")


def _named(context: Context) -> Iterator[tuple[str, int | None]]:
    """Yield the files that rows name, by the log alone, with their length; None for thumbnails."""
    refold = context.refold
    for row in refold.state.keys() | refold.overlay.keys():
        register = refold.newest.get(row[0])
        if register is None or register.attachment is None:
            continue
        columns = refold.columns(row, register)
        attachment = register.attachment
        for name in attachment.hash_columns:
            value = columns.get(name)
            if isinstance(value, str) and is_hash(value):
                size = columns.get(attachment.bytes) if name == attachment.sha256 else None
                yield value, size if isinstance(size, int) else None


def _listed(conn: sqlite3.Connection, *, centre: bool) -> dict[str, bool]:
    """Return the files that the file's own list has: whether each must be here."""
    if centre:
        return {sha256: True for (sha256,) in conn.execute("SELECT sha256 FROM _sg_blob")}
    return dict(conn.execute("SELECT sha256, stored IS NULL FROM _sg_file").fetchall())


def _others(context: Context) -> set[str]:
    """What a replica names beside the log: on its way, refused, kept aside, not signed yet."""
    conn = context.conn
    found = {sha256 for (sha256,) in conn.execute("SELECT sha256 FROM _sg_file WHERE stored IS NULL")}
    for sql in ("SELECT body FROM _sg_own", "SELECT CAST(columns AS BLOB) FROM _sg_held"):
        found |= {match.decode() for (raw,) in conn.execute(sql) for match in _HASH.findall(raw)}
    for name, columns in context.columns.items():
        register: Register = context.refold.newest[name]
        attachment: Attachment | None = register.attachment
        wanted = attachment.hash_columns if attachment is not None else ()
        for column in {c.name for c in columns} & set(wanted) & set(column_names(conn, name)):
            found |= {str(value) for (value,) in conn.execute(f"SELECT {quote(column)} FROM {quote(name)}")}
    return found


def _unlink(path: Path) -> Fix:
    return lambda _conn: path.unlink(missing_ok=True)
