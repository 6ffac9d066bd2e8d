"""Log entries as a file stores them: bytes, signature, content, and the columns beside them."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from syncgov.core.charter import Charter, open_charter
from syncgov.core.commitment import Body, open_body
from syncgov.core.fold import RowKey
from syncgov.core.statement import Changeset, Leaf, Statement, parse_leaf, verify_changeset, verify_second
from syncgov.errors import FormatError, SyncgovError
from syncgov.fsck.opening import Settings, execute
from syncgov.fsck.refold import Entry
from syncgov.fsck.report import Report

_SQL = "SELECT idx, leaf, body, dev, seq, accepted, tbl, key, area, by FROM _sg_leaf ORDER BY idx"


@dataclass(frozen=True, slots=True)
class Stored:
    """One row of `_sg_leaf`."""

    index: int
    leaf: bytes
    body: bytes | None
    dev: str
    seq: int
    accepted: int
    table: str | None
    key: str | None
    area: str | None
    by: str | None

    @property
    def where(self) -> str:
        """What a finding calls it."""
        return f"_sg_leaf {self.index}"

    @property
    def record(self) -> RowKey | None:
        """The record that the columns name."""
        return None if self.table is None or self.key is None else (self.table, self.key)


def stored_entries(conn: sqlite3.Connection) -> Iterator[Stored]:
    """Yield the log entries that the file holds, in order."""
    return (Stored(*row) for row in conn.execute(_SQL))


def read_charter(settings: Settings, report: Report) -> Charter | None:
    """Return the charter of the file. Findings: charter."""
    try:
        return open_charter(settings.text("charter").encode())
    except (SyncgovError, UnicodeError) as error:
        report.add("charter", "_sg_meta charter", str(error))
        return None


def read_leaf(stored: Stored, report: Report) -> Leaf | None:
    """Return the leaf. Findings: leaf."""
    try:
        return parse_leaf(bytes(stored.leaf))
    except FormatError as error:
        report.add("leaf", stored.where, error.en)
        return None


def read_body(raw: bytes, st: Statement, where: str, report: Report) -> Body | None:
    """Return the content if it is what the statement commits to. Findings: body."""
    report.counts["bodies"] += 1
    try:
        return open_body(bytes(raw), st)
    except FormatError as error:
        report.add("body", where, error.en)
        return None


def check_signature(leaf: Leaf, public: bytes | None, where: str, report: Report) -> None:
    """Findings: signature. A key that is not known is one."""
    report.counts["signatures"] += 1
    try:
        if public is None:
            report.add("signature", where, leaf.changeset.statement.dev)
        else:
            verify_changeset(leaf.changeset, public)
    except SyncgovError as error:
        report.add("signature", where, error.en)


def check_second(changeset: Changeset, public: bytes | None, where: str, report: Report) -> None:
    """Findings: signature. A second signature by a key that is not known is one."""
    if changeset.second is None:
        return
    report.counts["signatures"] += 1
    try:
        if public is None:
            report.add("signature", where, changeset.second)
        else:
            verify_second(changeset, public)
    except SyncgovError as error:
        report.add("signature", where, error.en)


def check_columns(stored: Stored, entry: Entry, report: Report, *, beside: dict[str, str | None]) -> None:
    """Findings: leaf-columns.

    Args:
        beside: what the columns that do not come from the leaf alone must hold.
    """
    st = entry.leaf.changeset.statement
    expected = {"dev": st.dev, "seq": st.seq, "accepted": int(entry.leaf.accepted), **beside}
    found = {"dev": stored.dev, "seq": stored.seq, "accepted": stored.accepted, "by": stored.by}
    found |= {"tbl": stored.table, "key": stored.key, "area": stored.area}
    wrong = [name for name, value in expected.items() if found[name] != value]
    if wrong:
        names = ", ".join(f"{name} = ?" for name in expected)
        fix = execute((f"UPDATE _sg_leaf SET {names} WHERE idx = ?", (*expected.values(), stored.index)))
        report.add("leaf-columns", stored.where, ", ".join(wrong), fix=fix)
