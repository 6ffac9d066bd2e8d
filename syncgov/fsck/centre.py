"""A centre: log, tree, second copy, chains, and everything derived. Source: protocol page, sections 6, 8, 11."""

import json
import sqlite3
from pathlib import Path

from syncgov.core.canonical import b64u
from syncgov.core.charter import Charter
from syncgov.core.commitment import Body, open_body
from syncgov.core.erasure import is_covered
from syncgov.core.note import Checkpoint, parse_vkey, verify_checkpoint
from syncgov.core.statement import Leaf, envelope_hash, parse_changeset, verify_changeset, verify_second
from syncgov.core.succession import InForce
from syncgov.core.tree import MemoryTree, leaf_hash
from syncgov.errors import FormatError, SyncgovError
from syncgov.fsck.chains import Chains
from syncgov.fsck.copy_file import check_copy
from syncgov.fsck.derived import Context, check_conflicts, check_states, check_tables, columns_of
from syncgov.fsck.entries import (
    Stored,
    check_columns,
    check_second,
    check_signature,
    read_body,
    read_charter,
    read_leaf,
    stored_entries,
)
from syncgov.fsck.erased import STORE_BODY, ErasedWrites, check_erased_index, check_left
from syncgov.fsck.files import check_files
from syncgov.fsck.histories import check_histories
from syncgov.fsck.opening import Settings, execute
from syncgov.fsck.own import read_key
from syncgov.fsck.refold import Entry, Refold
from syncgov.fsck.report import Fix, Report


def check_centre(
    folder: Path, conn: sqlite3.Connection, settings: Settings, report: Report, *, copied: int, rebuild: Fix | None
) -> None:
    """Check everything in the order in which one thing rests on another.

    Args:
        copied: the length of the second copy when the database was looked at.
    """
    charter = read_charter(settings, report)
    if charter is None:
        return
    walk = Walk(settings, report)
    refold = walk.refold
    refold.erased = ErasedWrites.read(conn, refold.newest)
    walk.run(conn)
    refold.finish(None)
    _check_files(folder, settings, refold.charters.newest, report)
    charter = refold.charters.newest.charter
    _check_tree(conn, settings, charter, walk.tree, report)
    check_copy(folder / "copy.log", copied, conn, report, repair=not report.suspect, erased=refold.erased)
    _check_waiting(conn, refold, walk.tree.size, report)
    check_erased_index(conn, refold.erased, report)
    if report.suspect:
        report.note(
            "日志有损坏，没有核对由它得出的表",
            "the log is damaged; the tables that follow from it were not compared",
        )
        return
    check_histories(conn, refold, walk.chains, walk.envelopes, report)
    context = Context(conn, refold, report, columns_of(refold, None), rebuild=rebuild)
    check_states(context)
    check_conflicts(context)
    check_tables(context)
    check_files(folder / "files", context)


def _check_files(folder: Path, settings: Settings, newest: InForce, report: Report) -> None:
    """Findings: charter, key-missing, key-other, meta."""
    text, charter = settings.text("charter"), newest.charter
    file = folder / "charter.json"
    if not file.is_file() or file.read_bytes() != newest.raw:
        report.add("charter", file.name)
    if settings.text("charter_hash") != envelope_hash(text.encode()):
        value = (envelope_hash(text.encode()),)
        fix = execute(("UPDATE _sg_meta SET value = ? WHERE key = 'charter_hash'", value))
        report.add("meta", "_sg_meta charter_hash", fix=fix)
    log = read_key(folder / "keys" / "log.key", report)
    if log is not None and log.key.public != parse_vkey(charter.log).public:
        report.add("key-other", "keys/log.key")
    registrar = read_key(folder / "keys" / "registrar.key", report)
    if registrar is not None and charter.registrar_key(registrar.key.id) is None:
        report.add("key-other", "keys/registrar.key")


class Walk:
    """Reads the log from the first entry on.

    Attributes:
        refold: of the entries so far. tree: over the leaves as they are. chains: of the devices.
        envelopes: hash -> index.
    """

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings, self._report = settings, report
        self.refold = self._refold = Refold(settings.text("charter").encode(), self._root_text)
        self._received: list[int] = []
        # private values that a restoration did not find
        self._lost: set[int] = set(json.loads(settings.text("incomplete") or "[]"))
        self.tree = MemoryTree()
        self.chains = Chains(self.refold, report)
        self.envelopes: dict[str, int] = {}

    def _root_text(self, size: int) -> str | None:
        return b64u(self.tree.root(size)) if size <= self.tree.size else None

    def run(self, conn: sqlite3.Connection) -> None:
        """Findings: leaf*, signature, body*, chain, register, meta."""
        self._note_lost()
        expected = 0
        for stored in stored_entries(conn):
            while expected < stored.index and not self._report.unnamed:
                self._report.add("leaf-missing", f"_sg_leaf {expected}")
                expected += 1
            expected = stored.index + 1
            self._report.counts["entries"] += 1
            self.tree.append(leaf_hash(bytes(stored.leaf)))
            leaf = read_leaf(stored, self._report)
            if leaf is not None and stored.index == self.tree.size - 1:
                self._entry(stored, leaf)
        size = self._settings.number("size")
        if size > expected:
            self._report.add("leaf-missing", f"_sg_leaf {expected}…{size - 1}")
        elif size < expected:
            fix = execute(("UPDATE _sg_meta SET value = ? WHERE key = 'size'", (str(expected),)))
            self._report.add("meta", "_sg_meta size", f"{size} ≠ {expected}", fix=fix)
        last = self._received[-1] if self._received else 0
        if not self._report.suspect and self._settings.number("received") != last:
            fix = execute(("UPDATE _sg_meta SET value = ? WHERE key = 'received'", (str(last),)))
            self._report.add("meta", "_sg_meta received", fix=fix)
        for index, name, error in self._refold.unusable:
            self._report.add("register", f"{name} ({index})", error.en)

    def _entry(self, stored: Stored, leaf: Leaf) -> None:
        report, refold, index = self._report, self._refold, stored.index
        st = leaf.changeset.statement
        self.envelopes[leaf.changeset.envelope.hash] = index
        self._check_times(stored, leaf)
        body = read_body(stored.body or b"", st, stored.where, report)
        entry = Entry(index, leaf, body)
        try:
            refold.take_charter(entry)
        except SyncgovError as error:
            report.add("charter", stored.where, error.en)
        check_signature(leaf, refold.key(st.dev, index), stored.where, report)
        second = leaf.changeset.second
        check_second(leaf.changeset, refold.staff_key(second) if second else None, stored.where, report)
        self.chains.take(leaf, stored.where)
        if body is None:
            return
        record = refold.record(entry) if leaf.verdict != "refused:register" else None
        refold.see(entry)
        area = refold.take(entry, record) if leaf.accepted else None
        table, key = record if record is not None else (None, None)
        check_columns(stored, entry, report, beside={"tbl": table, "key": key, "area": area, "by": entry.by})
        self._check_erased(stored, leaf, body)

    def _check_times(self, stored: Stored, leaf: Leaf) -> None:
        """`received` never goes back; `floor` is that of the newest leaf that the device had seen."""
        seen = self._refold.seen_size(leaf.changeset.statement)
        before = self._received[-1] if self._received else 0
        floor = self._received[seen - 1] if 0 < seen <= len(self._received) else 0
        if leaf.received < before or leaf.floor != min(floor, leaf.received):
            self._report.add("leaf-order", stored.where)
        self._received.append(leaf.received)

    def _check_erased(self, stored: Stored, leaf: Leaf, body: Body) -> None:
        """Findings: body-hidden, erased-left."""
        erased = self._refold.erased
        for position, write in enumerate(body.writes):
            if write is None and (stored.index, position) not in erased.named and stored.index not in self._lost:
                self._report.add("body-hidden", stored.where, str(position))
        left = erased.left(stored.index, leaf, body)
        check_left(stored.where, body, left, (STORE_BODY, stored.index), self._report)

    def _note_lost(self) -> None:
        if self._lost:
            self._report.note(
                f"{len(self._lost)} 条有非公开值在恢复时没有找回",
                f"private values of {len(self._lost)} entries were not found when the centre was restored",
            )


def _check_tree(
    conn: sqlite3.Connection, settings: Settings, charter: Charter, tree: MemoryTree, report: Report
) -> None:
    """Findings: checkpoint, checkpoint-behind, leaf-hash, leaf-missing, hash-tree."""
    checkpoint = _checkpoint(settings, charter, report)
    if checkpoint is None or report.suspect:
        return
    if checkpoint.size > tree.size:
        report.add("leaf-missing", f"_sg_leaf {tree.size}…{checkpoint.size - 1}")
        return
    if checkpoint.size < tree.size:
        report.add("checkpoint-behind", "_sg_meta checkpoint", f"{checkpoint.size} < {tree.size}")
    signed = tree.root(checkpoint.size) == checkpoint.root
    stored = {(level, n): bytes(value) for level, n, value in conn.execute("SELECT level, n, hash FROM _sg_hash")}
    for n in range(tree.size):
        if (not signed or n >= checkpoint.size) and stored.get((0, n)) != tree.get(0, n):
            report.add("leaf-hash", f"_sg_leaf {n}")
    if not signed:
        if not report.suspect:
            report.add("checkpoint", "_sg_meta checkpoint", b64u(checkpoint.root))
        return
    expected = {
        (level, n): tree.get(level, n) for level in range(tree.size.bit_length()) for n in range(tree.size >> level)
    }
    for place in sorted(expected.keys() | stored.keys()):
        report.counts["hashes"] += 1
        if stored.get(place) != expected.get(place):
            report.add("hash-tree", "_sg_hash {}/{}".format(*place), fix=_store_hash(place, expected.get(place)))


def _checkpoint(settings: Settings, charter: Charter, report: Report) -> Checkpoint | None:
    try:
        return verify_checkpoint(settings.text("checkpoint"), charter.log)
    except SyncgovError as error:
        report.add("checkpoint", "_sg_meta checkpoint", error.en)
        return None


def _store_hash(place: tuple[int, int], value: bytes | None) -> Fix:
    if value is None:
        return execute(("DELETE FROM _sg_hash WHERE level = ? AND n = ?", place))
    return execute(("INSERT OR REPLACE INTO _sg_hash VALUES (?, ?, ?)", (*place, value)))


def _check_waiting(conn: sqlite3.Connection, refold: Refold, size: int, report: Report) -> None:
    """Findings: waiting, erased-left."""
    for dev, seq, envelope, body, erased in conn.execute("SELECT dev, seq, envelope, body, erased FROM _sg_waiting"):
        report.counts["waiting"] += 1
        where = f"_sg_waiting {dev} {seq}"
        try:
            changeset = parse_changeset(bytes(envelope))
            public = refold.key(dev, size)
            if changeset.statement.dot != (dev, seq) or public is None:
                raise FormatError("dot", f"{dev}.{seq}")
            verify_changeset(changeset, public)
            if changeset.second is not None:
                verify_second(changeset, refold.staff_key(changeset.second) or b"")
            opened = open_body(bytes(body), changeset.statement)
            known = {position for position, _path, _over in json.loads(erased or "[]")}
            if {position for position, write in enumerate(opened.writes) if write is None} != known:
                raise FormatError("body", "redacted")
            place = (size, refold.seen_size(changeset.statement))
            stands = refold.erased.stands
            check_left(
                where, opened, {p for p, w in opened.disclosed() if is_covered(stands, w.path, place)}, None, report
            )
        except (SyncgovError, ValueError) as error:
            report.add("waiting", where, str(error))
    for code, *texts in conn.execute("SELECT hash, roles, areas, units, staff FROM _sg_code"):
        try:
            lists = [json.loads(text) for text in texts]
        except ValueError:
            lists = [None]
        if not all(isinstance(each, list) for each in lists):
            report.add("meta", f"_sg_code {code[:8]}")
