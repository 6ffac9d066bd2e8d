"""A replica: what it pulled, what it signed, what it shows. Source: protocol page, section 13."""

import json
import sqlite3
from contextlib import suppress
from pathlib import Path

from syncgov.core.canonical import b64u
from syncgov.core.charter import Charter, open_charter
from syncgov.core.commitment import Body
from syncgov.core.fold import RowKey
from syncgov.core.note import verify_checkpoint
from syncgov.core.statement import EMPTY_ROOT, Leaf, parse_leaf
from syncgov.errors import SyncgovError
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
from syncgov.fsck.erased import STORE_BODY, ErasedWrites, check_left, note_unfinished
from syncgov.fsck.files import check_files
from syncgov.fsck.opening import Settings, execute
from syncgov.fsck.own import OwnChain, check_chain, check_overlay, check_verdicts, read_key
from syncgov.fsck.refold import DEVICES, REGISTERS, Entry, Refold
from syncgov.fsck.report import Fix, Report

_STORE_OWN = "UPDATE _sg_own SET body = ? WHERE seq = ?"


def check_replica(
    path: Path, conn: sqlite3.Connection, settings: Settings, report: Report, rebuild: Fix | None
) -> None:
    """Check everything in the order in which one thing rests on another."""
    key = read_key(path.with_name(path.name + ".key"), report)
    charter = read_charter(settings, report)
    if charter is None:
        return
    size = _check_checkpoint(conn, settings, charter, report)
    chain = check_chain(conn, settings, size, key, report)
    refold = Refold(settings.text("charter").encode())
    refold.erased = ErasedWrites.read(conn, refold.newest)
    _Walk(conn, size, chain, refold, report).run()
    refold.finish(_roles(refold, _device(refold, chain.dev)))
    _check_own_erased(conn, chain, refold.erased, report)
    note_unfinished(conn, report)
    if key is not None and refold.versions and refold.key(key.key.id, size) is None and key.key.id == chain.dev:
        report.add("key-other", path.name + ".key", key.key.id)
    for seq, own in sorted(chain.changesets.items()):
        if own.index is None and own.changeset.second is not None:
            check_second(own.changeset, refold.staff_key(own.changeset.second), f"_sg_own {seq}", report)
    _check_pulled(conn, chain, refold, report)
    _check_merging(conn, report)
    if report.suspect:
        report.note(
            "签名的内容有损坏，没有核对由它得出的表",
            "what was signed is damaged; the tables that follow from it were not compared",
        )
        return
    if settings.number("rebased"):
        report.note(
            "原来的日志已结束，新日志还没有同步下来，没有核对各表：请先 sync",
            "the log was closed and the next one is not pulled yet; tables were not compared: sync first",
        )
        return
    context = _context(conn, settings, refold, chain.dev, report)
    context.rebuild = rebuild if key is not None else None  # the writer opens no replica without its key
    check_overlay(context, chain)
    check_states(context)
    check_conflicts(context)
    system = any(table in (DEVICES, REGISTERS) for table, _key in context.unknown)
    if settings.text("cookie") and not system:  # without a cookie nothing was synced yet and there are no tables
        check_tables(context)
    check_files(path.with_name(path.name + ".files"), context)
    _note_unsigned(context)


def _check_checkpoint(conn: sqlite3.Connection, settings: Settings, charter: Charter, report: Report) -> int:
    """Return the folded size. Findings: checkpoint, meta."""
    size, root = settings.number("size"), settings.text("root")
    text = settings.text("checkpoint")
    if not text:
        if (size, root) != (0, EMPTY_ROOT):
            report.add("checkpoint", "_sg_meta checkpoint")
        return size
    try:
        checkpoint = verify_checkpoint(text, _log_of(settings, text, charter))
    except SyncgovError as error:
        report.add("checkpoint", "_sg_meta checkpoint", error.en)
        return size
    if (checkpoint.size, b64u(checkpoint.root)) != (size, root):
        sql = "UPDATE _sg_meta SET value = ? WHERE key = ?"
        fix = execute((sql, (str(checkpoint.size), "size")), (sql, (b64u(checkpoint.root), "root")))
        newest = conn.execute("SELECT coalesce(max(idx), -1) FROM _sg_leaf").fetchone()[0]
        fits = newest < checkpoint.size  # else the checkpoint is the older of the two
        report.add("meta", "_sg_meta size, root", f"{size} ≠ {checkpoint.size}", fix=fix if fits else None)
    return checkpoint.size


def _log_of(settings: Settings, checkpoint: str, charter: Charter) -> str:
    """Return the log key of the checkpoint: after the log was closed, the old one stands until the next pull."""
    for each in json.loads(settings.text("closed") or "[]"):
        if each["checkpoint"] == checkpoint:
            return open_charter(str(each["charter"]).encode()).log
    return charter.log


class _Walk:
    """Reads every log entry that the replica holds, and folds it."""

    def __init__(self, conn: sqlite3.Connection, size: int, chain: OwnChain, refold: Refold, report: Report) -> None:
        self._conn, self._size = conn, size
        self._chain, self._refold, self._report = chain, refold, report
        self._own: dict[int, tuple[bytes, str]] = {}
        self._unknown = 0

    def run(self) -> None:
        """Findings: leaf, leaf-missing, leaf-columns, signature, body, register, own-verdict, own."""
        for stored in stored_entries(self._conn):
            self._report.counts["entries"] += 1
            leaf = read_leaf(stored, self._report)
            if leaf is not None:
                self._entry(stored, leaf)
        for index, name, error in self._refold.unusable:
            self._report.add("register", f"{name} ({index})", error.en)
        if not self._report.suspect:
            check_verdicts(self._chain, self._own, self._report)
            self._check_enrolment()
        if self._unknown:
            self._report.note(
                f"{self._unknown} 条的签名没有核对：副本不存别的终端的公钥",
                f"{self._unknown} signatures were not checked: a replica does not keep other devices' keys",
            )

    def _entry(self, stored: Stored, leaf: Leaf) -> None:
        st = leaf.changeset.statement
        if stored.index >= self._size:
            self._report.add("meta", stored.where, f"size {self._size}")
        body = self._body(stored, leaf)
        entry = Entry(stored.index, leaf, body)
        with suppress(SyncgovError):  # the replica holds the newest one; whether it may, its own sync has checked
            self._refold.take_charter(entry)
        self._signature(stored, leaf)
        if body is not None and stored.body is not None:
            left = self._refold.erased.left(stored.index, leaf, body)
            check_left(stored.where, body, left, (STORE_BODY, stored.index), self._report)
        record = self._refold.record(entry)
        self._refold.see(entry)
        beside: dict[str, str | None] = {"by": entry.by} if body is not None else {}
        if record is not None and stored.record is not None and record != stored.record:
            beside |= {"tbl": record[0], "key": record[1]}
        check_columns(stored, entry, self._report, beside=beside)
        if st.dev == self._chain.dev:
            self._own[stored.index] = (leaf.changeset.envelope.raw, leaf.verdict)
        if leaf.accepted and body is not None:
            self._refold.take(entry, record)

    def _signature(self, stored: Stored, leaf: Leaf) -> None:
        dev = leaf.changeset.statement.dev
        public = self._refold.key(dev, stored.index)
        if public is None and dev == self._chain.dev:
            public = self._chain.public
        if public is None:
            self._unknown += 1
        else:
            check_signature(leaf, public, stored.where, self._report)
        second = leaf.changeset.second
        if second is not None:
            check_second(leaf.changeset, self._refold.staff_key(second), stored.where, self._report)

    def _body(self, stored: Stored, leaf: Leaf) -> Body | None:
        if stored.body is not None:
            return read_body(stored.body, leaf.changeset.statement, stored.where, self._report)
        st = leaf.changeset.statement
        own = self._chain.changesets.get(st.seq) if st.dev == self._chain.dev else None
        if own is not None and own.changeset.envelope.raw == leaf.changeset.envelope.raw:
            return own.body
        if st.dev != self._chain.dev:
            self._report.add("body", stored.where, "NULL")
        return None

    def _check_enrolment(self) -> None:
        first = self._chain.changesets.get(1)
        index = self._refold.enrolment(self._chain.dev)
        if first is None or index is None:
            return
        found = self._conn.execute("SELECT leaf FROM _sg_leaf WHERE idx = ?", (index,)).fetchone()
        leaf = read_leaf(Stored(index, found[0], None, "", 0, 0, None, None, None, None), self._report)
        if leaf is not None and first.changeset.statement.prev != leaf.changeset.envelope.hash:
            self._report.add("own", "_sg_own 1", "prev")


def _check_pulled(conn: sqlite3.Connection, chain: OwnChain, refold: Refold, report: Report) -> None:
    """What waits for the rest of a pull; nothing is lost by pulling it again. Findings: pulled."""
    trial = Report("replica")
    for index, raw, body in conn.execute("SELECT idx, leaf, body FROM _sg_pulled ORDER BY idx"):
        stored = Stored(index, raw, body, "", 0, 0, None, None, None, None)
        leaf = read_leaf(stored, trial)
        if leaf is None:
            continue
        st = leaf.changeset.statement
        public = chain.public if st.dev == chain.dev else refold.key(st.dev, index)
        if public is not None:
            check_signature(leaf, public, stored.where, trial)
        second = leaf.changeset.second
        if second is not None and (public := refold.staff_key(second)) is not None:
            check_second(leaf.changeset, public, stored.where, trial)
        if body is not None:
            read_body(body, st, stored.where, trial)
    if not trial.ok:
        sql = "UPDATE _sg_meta SET value = ? WHERE key = ?"
        again = (("", "pulling"), ("0", "after"), ("0", "target"), ("[]", "purge"))
        fix = execute(("DELETE FROM _sg_pulled", ()), *((sql, values) for values in again))
        report.add("pulled", "_sg_pulled", fix=fix)


def _check_merging(conn: sqlite3.Connection, report: Report) -> None:
    """Writes under the mark left no hint: after its removal the next commit must compare every row."""
    if conn.execute("SELECT count(*) FROM _sg_merging").fetchone()[0]:
        compare_all = "UPDATE _sg_meta SET value = '0' WHERE key = 'cookie'"
        report.add("merging", "_sg_merging", fix=execute(("DELETE FROM _sg_merging", ()), (compare_all, ())))


def _device(refold: Refold, dev: str) -> str:
    """Without key file and own changesets: a replica holds the certificate of its own device."""
    return dev or next((key for table, key in refold.versions if table == DEVICES), "")


def _roles(refold: Refold, dev: str) -> frozenset[str]:
    roles = refold.value((DEVICES, dev), "roles", None)
    return frozenset(map(str, roles)) if isinstance(roles, list) else frozenset()


def _check_own_erased(conn: sqlite3.Connection, chain: OwnChain, erased: ErasedWrites, report: Report) -> None:
    """Own changesets that have a verdict, accepted or refused. Findings: erased-left."""
    for seq, own in sorted(chain.changesets.items()):
        if own.index is None or own.body is None:
            continue
        found = conn.execute("SELECT leaf FROM _sg_leaf WHERE idx = ?", (own.index,)).fetchone()
        if found is not None:
            left = erased.left(own.index, parse_leaf(bytes(found[0])), own.body)
            check_left(f"_sg_own {seq}", own.body, left, (_STORE_OWN, seq), report)


def _context(conn: sqlite3.Connection, settings: Settings, refold: Refold, dev: str, report: Report) -> Context:
    columns = columns_of(refold, _roles(refold, _device(refold, dev)))
    touched: set[RowKey] = set(conn.execute("SELECT tbl, key FROM _sg_touched").fetchall())
    cookie = conn.execute("PRAGMA schema_version").fetchone()[0]
    hints = cookie == settings.number("cookie") and not any(f.code == "merging" for f in report.findings)
    return Context(conn, refold, report, columns, skip=touched, hints=hints, unsigned=len(touched))


def _note_unsigned(context: Context) -> None:
    if context.unsigned:
        context.report.note(
            f"{context.unsigned} 行的修改还没有签名，请运行 syncgov commit",
            f"{context.unsigned} rows were changed and are not signed yet; run `syncgov commit`",
        )
    held = context.conn.execute("SELECT count(*) FROM _sg_held").fetchone()[0]
    if held:
        context.report.note(
            f"{held} 行没有签名的值另存着，用 syncgov status 查看",
            f"the values of {held} rows that were never signed are kept aside; see `syncgov status`",
        )
