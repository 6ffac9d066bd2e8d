"""Merging a pulled page into a replica: verified entries in, tables and verdicts out.

Source: protocol page, sections 10 and 12.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from syncgov.core.canonical import b64u
from syncgov.core.commitment import Body, meta_path, open_body, parse_path
from syncgov.core.note import Checkpoint
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.core.succession import charter_document, follow
from syncgov.errors import ForkError, StorageError
from syncgov.storage.connection import collector_paused, quote, transaction
from syncgov.storage.erasing import apply_erasures, finish_scrub
from syncgov.storage.file_queue import drop_unreferenced
from syncgov.storage.keyfile import store_key
from syncgov.storage.replica import Replica
from syncgov.storage.schema import key_column, show_rows
from syncgov.storage.state import FoldItem, RowKey, StoredRow, fold, load_row, store_rows


@dataclass(frozen=True, slots=True)
class Entry:
    """A log entry as pulled and verified; the body is None for the device's own changesets."""

    index: int
    leaf: Leaf
    body: Body | None
    raw_body: bytes | None


@dataclass(slots=True)
class Page:
    """One verified page of a pull.

    Attributes:
        after: where the next page starts; `target`: the size that is being folded up to.
        checkpoint: of size `target`, with its text.
        purge: records that this device may no longer hold.
        state: what the replica had pulled when this page was asked for; another program may have synced since.
    """

    entries: Sequence[Entry]
    after: int
    target: int
    checkpoint: Checkpoint
    checkpoint_text: str
    purge: Sequence[RowKey] = ()
    state: tuple[int, ...] | None = None

    @property
    def last(self) -> bool:
        """Whether everything up to the target has arrived."""
        return self.after >= self.target


Changed = dict[RowKey, StoredRow | None]
"""Rows that may show otherwise now, as they are stored; None: not read yet."""


@dataclass(slots=True)
class Merged:
    """What a merge brought.

    Attributes:
        accepted, refused: own verdicts. received: entries of others. people_left: who may no longer use the device.
        erased: values that were erased here.
    """

    accepted: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)
    received: int = 0
    people_left: list[str] = field(default_factory=list)
    erased: int = 0


def pull_state(replica: Replica) -> tuple[int, ...]:
    """Return how far the replica has pulled: folded size, kept pages up to, their target, whether all anew."""
    return tuple(replica.meta.get_int(name) for name in ("size", "after", "target", "anew"))


def require_state(replica: Replica, state: tuple[int, ...] | None) -> None:
    """Return if nobody else has synced this file since *state*; two syncs at once must not mix their pages.

    Raises:
        StorageError: somebody has.
    """
    if state is not None and pull_state(replica) != state:
        raise StorageError(
            "另一个程序正在同步这个副本：请等它结束后再同步，本机内容没有丢失",
            "another program is syncing this replica: wait until it is done and sync again; nothing is lost",
        )


def stage_page(replica: Replica, page: Page) -> None:
    """Keep a page that is not the last: a pull that is cut off goes on there, and nothing half-pulled ever shows."""
    with transaction(replica.conn):
        require_state(replica, page.state)
        replica.conn.executemany(
            "INSERT OR REPLACE INTO _sg_pulled VALUES (?, ?, ?)",
            [(entry.index, entry.leaf.raw, entry.raw_body) for entry in page.entries],
        )
        purge = [*pulled_purge(replica), *page.purge]
        replica.meta.set(pulling=page.checkpoint_text, after=page.after, target=page.target, purge=json.dumps(purge))


def pulled_purge(replica: Replica) -> list[RowKey]:
    """Return the records that the pages kept so far take away."""
    return [(table, key) for table, key in json.loads(replica.meta.get("purge", "[]"))]


def start_over(replica: Replica, page: Page) -> None:
    """Note that all is pulled anew up to the checkpoint of *page*: the device's areas or roles have changed."""
    with transaction(replica.conn):
        require_state(replica, page.state)
        replica.conn.execute("DELETE FROM _sg_pulled")
        replica.meta.set(pulling=page.checkpoint_text, after=0, target=page.target, purge="[]", anew=1)


def merge_pulled(replica: Replica, page: Page, staff: str | None = None) -> Merged:
    """Fold the last page and those kept before it into the replica, in one transaction; unsigned work is signed first.

    Raises:
        NotAllowedError: somebody wrote between commit and merge, and several people use this device.
        StorageError: another program has synced this file since the page was asked for.
    """
    done = Merged()
    with collector_paused(), transaction(replica.conn):
        require_state(replica, page.state)
        replica.refresh()
        if replica.has_unsigned():
            replica.commit_within(staff)
        people = replica.staff
        replica.conn.execute("INSERT OR IGNORE INTO _sg_merging VALUES (1)")
        entries = [*_staged(replica), *page.entries]
        if replica.meta.get_int("anew"):
            _require_same(replica, entries)
        changed: Changed = dict.fromkeys(_forget_all(replica)) if replica.meta.get_int("anew") else {}
        fresh = [e for e in entries if _store_leaf(replica, e, done)]
        changed |= _fold_entries(replica, fresh)
        changed |= _settle_own(replica, fresh)
        _follow_charters(replica, fresh)
        _name_records(replica, fresh)
        _show(replica, changed)
        emptied, done.erased = apply_erasures(replica, [(entry.leaf, entry.body) for entry in fresh])
        _show(replica, dict.fromkeys(emptied))
        purge = [*pulled_purge(replica), *page.purge]
        for record in purge:
            _purge(replica, record)
        if purge or replica.meta.get_int("anew"):
            replica.meta.set(scrub=1)  # kept until it is done: a power loss may come between
        replica.conn.execute("DELETE FROM _sg_pulled")
        replica.meta.set(checkpoint=page.checkpoint_text, size=page.target, root=b64u(page.checkpoint.root))
        replica.meta.set(pulling="", after=page.target, target=page.target, purge="[]", anew=0, rebased=0)
        replica.conn.execute("DELETE FROM _sg_merging")
        if replica.staff:
            done.people_left = [person for person in people if person not in replica.staff]
    if done.erased:
        finish_scrub(replica)
    elif replica.meta.get_int("scrub"):
        replica.scrub()
    drop_unreferenced(replica)
    return done


def _follow_charters(replica: Replica, entries: Sequence[Entry]) -> None:
    """Take a new charter if the roots of the one held have signed it; else nothing of the pull is taken."""
    bodies = (entry.body for entry in sorted(entries, key=lambda e: e.index) if entry.leaf.accepted and entry.body)
    documents = [document for body in bodies if (document := charter_document(body)) is not None]
    replica.take_charter(follow(replica.meta.get("charter").encode(), documents))


def _staged(replica: Replica) -> list[Entry]:
    found = replica.conn.execute("SELECT idx, leaf, body FROM _sg_pulled ORDER BY idx").fetchall()
    entries = []
    for index, raw, raw_body in found:
        leaf = parse_leaf(raw)
        body = None if raw_body is None else open_body(raw_body, leaf.changeset.statement)
        entries.append(Entry(index, leaf, body, raw_body))
    return entries


def _require_same(replica: Replica, entries: Sequence[Entry]) -> None:
    """What is pulled anew must be, index by index, what was there before.

    Raises:
        ForkError: another leaf stands where this device has seen one.
    """
    held = dict(replica.conn.execute("SELECT idx, leaf FROM _sg_leaf").fetchall())
    wrong = [entry.index for entry in entries if held.get(entry.index, entry.leaf.raw) != entry.leaf.raw]
    if wrong:
        raise ForkError(
            f"中心给出的第 {wrong[0]} 条与本机见过的不同，请保存本机文件并联系审计人员",
            f"entry {wrong[0]} is not the one that this device has seen; keep this file and tell an auditor",
        )


def _forget_all(replica: Replica) -> set[RowKey]:
    """Drop all that was pulled, not what this device wrote and has no verdict on; returns the rows that there were."""
    rows = replica.conn.execute("SELECT tbl, key FROM _sg_row").fetchall()
    replica.conn.execute("DELETE FROM _sg_leaf")
    replica.conn.execute("DELETE FROM _sg_conflict")
    replica.conn.execute("DELETE FROM _sg_row WHERE own IS NULL")
    replica.conn.execute("UPDATE _sg_row SET state = x'7b7d'")
    return set(rows)


def _store_leaf(replica: Replica, entry: Entry, done: Merged) -> bool:
    """Keep the entry; returns False if it is here already."""
    st = entry.leaf.changeset.statement
    own = st.dev == replica.dev
    record = _record_of(replica, entry)
    body = entry.body if entry.body is not None else _own_body(replica, entry.leaf)
    by = body.find(meta_path(st.dot, "by")) if body is not None else None
    stored = replica.conn.execute(
        "INSERT OR IGNORE INTO _sg_leaf(idx, leaf, body, dev, seq, accepted, tbl, key, by) VALUES (?,?,?,?,?,?,?,?,?)",
        (
            entry.index,
            entry.leaf.raw,
            entry.raw_body,
            *st.dot,
            entry.leaf.accepted,
            *record,
            by.value if by is not None and isinstance(by.value, str) else None,
        ),
    )
    if stored.rowcount == 0:
        return False
    if own:
        (done.accepted.append(st.seq) if entry.leaf.accepted else done.refused.append((st.seq, entry.leaf.verdict)))
    else:
        done.received += 1
    return True


def _name_records(replica: Replica, entries: Sequence[Entry]) -> None:
    """Note the record of changesets of child rows alone, now that the fold knows whose children they are."""
    nameless = {index for (index,) in replica.conn.execute("SELECT idx FROM _sg_leaf WHERE tbl IS NULL")}
    for entry in entries:
        if entry.index in nameless:
            record = _record_of(replica, entry)
            replica.conn.execute("UPDATE _sg_leaf SET tbl = ?, key = ? WHERE idx = ?", (*record, entry.index))


def _record_of(replica: Replica, entry: Entry) -> tuple[str | None, str | None]:
    st = entry.leaf.changeset.statement
    if entry.body is None:
        found = replica.conn.execute("SELECT tbl, key FROM _sg_own WHERE seq = ?", (st.seq,)).fetchone()
        return (None, None) if found is None else (found[0], found[1])
    for _position, write in entry.body.disclosed():
        path = parse_path(write.path)
        register = replica.registers.get(path.table)
        if register is None:
            continue
        if register.parent is None or register.parent_register is None:
            return (path.table, path.key)
        written = entry.body.find(write.path[: -len(path.field)] + register.parent)
        stored = load_row(replica.conn, (path.table, path.key))
        parent = written.value if written is not None else stored.local(register.parent, register)
        if isinstance(parent, str):
            return (register.parent_register, parent)
    return (None, None)


def _fold_entries(replica: Replica, entries: Sequence[Entry]) -> Changed:
    """Fold in log order; a new register definition counts for what follows it."""
    changed: Changed = {}
    batch: list[FoldItem] = []
    for entry in sorted(entries, key=lambda e: e.index):
        item = _fold_item(replica, entry)
        if item is None:
            continue
        batch.append(item)
        if any(w.path.startswith(("register/", f"device/{replica.dev}/")) for w in item.writes):
            changed |= _fold_batch(replica, batch)
            batch = []
            changed |= dict.fromkeys(_take_registers(replica))
    return changed | _fold_batch(replica, batch)


def _take_registers(replica: Replica) -> set[RowKey]:
    """Follow new definitions; returns the rows that may show otherwise now (a merge rule may have changed)."""
    before = {name: register.digest for name, register in replica.registers.items()}
    replica.load_registers()
    replica.repair_tables()
    changed = [n for n, register in replica.registers.items() if n in before and before[n] != register.digest]
    rows = (replica.conn.execute("SELECT tbl, key FROM _sg_row WHERE tbl = ?", (n,)).fetchall() for n in changed)
    return {(table, key) for found in rows for table, key in found}


def _fold_batch(replica: Replica, batch: list[FoldItem]) -> Changed:
    if not batch:
        return {}
    newest = max((item.at, item.tick) for item in batch)
    if newest > (replica.meta.get_int("clock_at"), replica.meta.get_int("clock_tick")):
        replica.meta.set(clock_at=newest[0], clock_tick=newest[1])
    return {**fold(replica.conn, batch, replica.registers)}


def _fold_item(replica: Replica, entry: Entry) -> FoldItem | None:
    st = entry.leaf.changeset.statement
    if not entry.leaf.accepted:
        return None
    body = entry.body if entry.body is not None else _own_body(replica, entry.leaf)
    if body is None:
        return None
    writes = [write for _position, write in body.disclosed()]
    return FoldItem(entry.index, st.dot, *entry.leaf.effective, writes)


def _own_body(replica: Replica, leaf: Leaf) -> Body | None:
    st = leaf.changeset.statement
    found = replica.conn.execute("SELECT body, envelope FROM _sg_own WHERE seq = ?", (st.seq,)).fetchone()
    if st.dev != replica.dev or found is None or found[1] != leaf.changeset.envelope.raw or not found[0]:
        return None
    return open_body(found[0], st)


def _settle_own(replica: Replica, entries: Sequence[Entry]) -> Changed:
    """Take verdicts on own changesets: their overlay goes, the accepted state shows."""
    changed: Changed = {}
    for entry in entries:
        st = entry.leaf.changeset.statement
        if st.dev != replica.dev:
            continue
        raw = entry.leaf.changeset.envelope.raw
        found = replica.conn.execute(
            "SELECT body FROM _sg_own WHERE seq = ? AND envelope = ? AND idx IS NULL", (st.seq, raw)
        ).fetchone()
        if found is None:
            continue
        replica.conn.execute(
            "UPDATE _sg_own SET idx = ?, verdict = ? WHERE seq = ?", (entry.index, entry.leaf.verdict, st.seq)
        )
        changed |= _drop_overlay(replica, st.seq, replica.own_writes(found[0], st.pub))
    return changed


def _drop_overlay(replica: Replica, seq: int, rows: Iterable[RowKey]) -> Changed:
    touched: dict[RowKey, StoredRow] = {}
    for row in rows:
        if row not in touched:
            touched[row] = stored = load_row(replica.conn, row)
            stored.own = {name: own for name, own in stored.own.items() if own[1][1] != seq}
    store_rows(replica.conn, touched)
    return {**touched}


def _show(replica: Replica, changed: Changed) -> None:
    replica.hold(changed.keys() & replica.unsigned_rows().keys(), "merged")
    rows = {key: load_row(replica.conn, key) if row is None else row for key, row in changed.items()}
    show_rows(replica.conn, rows, replica.registers, replica.columns)


def _purge(replica: Replica, record: RowKey) -> None:
    """Take a record and its children off this device; secure_delete and a truncated WAL remove the bytes."""
    children = [r for r in replica.registers.values() if r.parent_register == record[0]]
    for child in children:
        keys = replica.conn.execute("SELECT key FROM _sg_row WHERE tbl = ?", (child.name,)).fetchall()
        for (key,) in keys:
            stored = load_row(replica.conn, (child.name, key))
            if child.parent is not None and stored.shown(child.parent, child) == record[1]:
                _purge_row(replica, (child.name, key))
    _purge_row(replica, record)
    replica.conn.execute("DELETE FROM _sg_leaf WHERE tbl = ? AND key = ?", record)
    replica.conn.execute("UPDATE _sg_own SET body = x'' WHERE idx IS NOT NULL AND tbl = ? AND key = ?", record)


def _purge_row(replica: Replica, row: RowKey) -> None:
    replica.conn.execute("DELETE FROM _sg_row WHERE tbl = ? AND key = ?", row)
    replica.conn.execute("DELETE FROM _sg_conflict WHERE tbl = ? AND key = ?", row)
    if row[0] in replica.columns:
        key = quote(key_column(replica.registers[row[0]]))
        replica.conn.execute(f"DELETE FROM {quote(row[0])} WHERE {key} = ?", (row[1],))


def own_changesets(replica: Replica) -> list[tuple[int, bytes, bytes]]:
    """Return (seq, envelope, body) of the own changesets that have no verdict yet, in order."""
    rows = replica.conn.execute("SELECT seq, envelope, body FROM _sg_own WHERE idx IS NULL ORDER BY seq").fetchall()
    return [(seq, envelope, body) for seq, envelope, body in rows]


def learn_chain(replica: Replica, page: Page) -> bool:
    """Let the key file remember what this device has signed and this replica does not know; returns whether there is.

    So a replica that was restored together with its key, or a copy that has not written yet, is noticed before it
    uses a number twice. Source: protocol page, section 13.
    """
    own = [e.leaf.changeset for e in page.entries if e.leaf.changeset.statement.dev == replica.dev]
    seq, last = replica.meta.get_int("last_seq"), replica.meta.get("last_hash")
    for changeset in sorted(own, key=lambda each: each.statement.seq):
        if (changeset.statement.seq, changeset.statement.prev) == (seq + 1, last):
            seq, last = changeset.statement.seq, changeset.envelope.hash
    if seq <= replica.key_file.seq or seq == replica.meta.get_int("last_seq"):
        return False
    replica.key_file = store_key(replica.key_file.path, replica.key_file.key, seq, last)
    return True


def restore_own(replica: Replica, entries: Sequence[Entry]) -> None:
    """Take back own changesets that this copy of the replica does not have; their verdicts come with the next pull.

    Raises:
        ForkError: they do not continue this replica's chain: two copies of it have signed.
    """
    with transaction(replica.conn):
        for entry in entries:
            st = entry.leaf.changeset.statement
            if (st.seq, st.prev) != (replica.meta.get_int("last_seq") + 1, replica.meta.get("last_hash")):
                raise ForkError(
                    "中心里本终端的记录与这个副本接不上，可能有两份副本在用；请停用并重新登记",
                    "the centre's entries of this device do not continue this copy; stop using it and enrol again",
                )
            replica.conn.execute(
                "INSERT INTO _sg_own(seq, envelope, body, sent, tbl, key) VALUES (?, ?, ?, 'logged', ?, ?)",
                (st.seq, entry.leaf.changeset.envelope.raw, entry.raw_body, *_record_of(replica, entry)),
            )
            replica.meta.set(last_seq=st.seq, last_hash=entry.leaf.changeset.envelope.hash)
