"""A pull under way: verified entries and pages, kept until the last one has come. Source: protocol page, section 10."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from syncgov.core.commitment import Body, open_body
from syncgov.core.note import Checkpoint
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.errors import StorageError
from syncgov.storage.connection import transaction
from syncgov.storage.replica import Replica
from syncgov.storage.state import RowKey


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


def staged_entries(replica: Replica) -> list[Entry]:
    found = replica.conn.execute("SELECT idx, leaf, body FROM _sg_pulled ORDER BY idx").fetchall()
    entries = []
    for index, raw, raw_body in found:
        leaf = parse_leaf(raw)
        body = None if raw_body is None else open_body(raw_body, leaf.changeset.statement)
        entries.append(Entry(index, leaf, body, raw_body))
    return entries
