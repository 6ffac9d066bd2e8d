"""What this device has signed: what is unsent, and what this copy of the replica has forgotten. Protocol page, 13."""

from collections.abc import Sequence

from syncgov.core.commitment import Body, open_body, parse_path
from syncgov.core.statement import Leaf
from syncgov.errors import ForkError
from syncgov.storage.connection import transaction
from syncgov.storage.keyfile import store_key
from syncgov.storage.pulling import Entry, Page
from syncgov.storage.replica import Replica
from syncgov.storage.state import load_row


def record_of_entry(replica: Replica, entry: Entry) -> tuple[str | None, str | None]:
    """Return table and key of the record that an entry belongs to, as far as this replica can tell."""
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


def own_body(replica: Replica, leaf: Leaf) -> Body | None:
    """Return the body of a changeset that this device signed itself; None if it is another's, or was purged."""
    st = leaf.changeset.statement
    found = replica.conn.execute("SELECT body, envelope FROM _sg_own WHERE seq = ?", (st.seq,)).fetchone()
    if st.dev != replica.dev or found is None or found[1] != leaf.changeset.envelope.raw or not found[0]:
        return None
    return open_body(found[0], st)


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
                (st.seq, entry.leaf.changeset.envelope.raw, entry.raw_body, *record_of_entry(replica, entry)),
            )
            replica.meta.set(last_seq=st.seq, last_hash=entry.leaf.changeset.envelope.hash)
