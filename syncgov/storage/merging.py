"""Merging a pulled page into a replica: verified entries in, tables and verdicts out.

Source: protocol page, sections 10 and 12.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from syncgov.core.canonical import b64u
from syncgov.core.commitment import meta_path
from syncgov.core.succession import charter_document, follow
from syncgov.errors import ForkError
from syncgov.storage.connection import collector_paused, quote, transaction
from syncgov.storage.erasing import apply_erasures, finish_scrub
from syncgov.storage.file_queue import drop_unreferenced
from syncgov.storage.own_chain import own_body, record_of_entry
from syncgov.storage.pulling import Entry, Page, pulled_purge, require_state, staged_entries
from syncgov.storage.replica import Replica
from syncgov.storage.schema import key_column, show_rows
from syncgov.storage.state import FoldItem, RowKey, StoredRow, fold, load_row, store_rows

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
        entries = [*staged_entries(replica), *page.entries]
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
        children = _children_of(replica, purge)
        for record in purge:
            _purge(replica, record, children.get(record, ()))
        if purge or replica.meta.get_int("anew"):
            replica.meta.raise_flag("scrub")  # kept until it is done: a power loss may come between
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
    record = record_of_entry(replica, entry)
    body = entry.body if entry.body is not None else own_body(replica, entry.leaf)
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
            record = record_of_entry(replica, entry)
            replica.conn.execute("UPDATE _sg_leaf SET tbl = ?, key = ? WHERE idx = ?", (*record, entry.index))


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
    body = entry.body if entry.body is not None else own_body(replica, entry.leaf)
    if body is None:
        return None
    writes = [write for _position, write in body.disclosed()]
    return FoldItem(entry.index, st.dot, *entry.leaf.effective, writes)


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


def _children_of(replica: Replica, records: Sequence[RowKey]) -> dict[RowKey, list[RowKey]]:
    """Return record -> its child rows; each child row is looked at once, however many records go."""
    found: dict[RowKey, list[RowKey]] = {record: [] for record in records}
    tables = {table for table, _key in records}
    for child in replica.registers.values():
        if child.parent is None or child.parent_register not in tables:
            continue
        keys = replica.conn.execute("SELECT key FROM _sg_row WHERE tbl = ?", (child.name,)).fetchall()
        for (key,) in keys:
            parent = load_row(replica.conn, (child.name, key)).shown(child.parent, child)
            if isinstance(parent, str) and (child.parent_register, parent) in found:
                found[child.parent_register, parent].append((child.name, key))
    return found


def _purge(replica: Replica, record: RowKey, children: Iterable[RowKey]) -> None:
    """Take a record and its children off this device; secure_delete and a truncated WAL remove the bytes."""
    for child in children:
        _purge_row(replica, child)
    _purge_row(replica, record)
    replica.conn.execute("DELETE FROM _sg_leaf WHERE tbl = ? AND key = ?", record)
    replica.conn.execute("UPDATE _sg_own SET body = x'' WHERE idx IS NOT NULL AND tbl = ? AND key = ?", record)


def _purge_row(replica: Replica, row: RowKey) -> None:
    replica.conn.execute("DELETE FROM _sg_row WHERE tbl = ? AND key = ?", row)
    replica.conn.execute("DELETE FROM _sg_conflict WHERE tbl = ? AND key = ?", row)
    if row[0] in replica.columns:
        key = quote(key_column(replica.registers[row[0]]))
        replica.conn.execute(f"DELETE FROM {quote(row[0])} WHERE {key} = ?", (row[1],))
