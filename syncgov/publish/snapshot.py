"""One consistent view of a centre's log, taken while the centre goes on working. Source: protocol page, section 6."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from syncgov.core.commitment import Body, Value, open_body
from syncgov.core.note import Checkpoint, parse_checkpoint, parse_note
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.core.tree import MemoryTree, leaf_hash
from syncgov.errors import LogError, StorageError
from syncgov.storage.ledger import Ledger

_ATTEMPTS = 100  # times 50 ms: the checkpoint follows the leaves within one fsync
_PAUSE_S = 0.05

Rows = Sequence[tuple[str, Mapping[str, Value] | None]]
Progress = Callable[[str, int, int], None]


class Centre(Protocol):
    """What publication needs of a centre."""

    @property
    def clock(self) -> Callable[[], int]:
        """Gives ms UTC."""
        ...

    def reader(self) -> Ledger:
        """Return a ledger for reading."""
        ...

    def write(self, table: str, rows: Rows) -> list[int]:
        """Write rows as the registrar; returns the indexes of the new leaves."""
        ...

    def sign_list(self, checkpoint: Checkpoint, digest: str) -> str:
        """Return the log's note over the list of files."""
        ...

    def note_published(self, folder: Path, size: int) -> None:
        """Remember that a published folder shows the log up to *size*."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf with its full body."""

    index: int
    leaf: Leaf
    body: Body


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The log below one signed checkpoint, and the centre's tables at that moment; good inside `take_snapshot`."""

    ledger: Ledger
    charter: bytes
    checkpoint_text: str
    checkpoint: Checkpoint
    registers: RegisterSet

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self.checkpoint.size

    def registers_at(self, size: int) -> RegisterSet:
        """Return the register set active at *size*."""
        return self.ledger.registers(size)

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """Yield the entries from *start* on, in order."""
        for index, raw, raw_body in self.ledger.entries(start, self.size):
            leaf = parse_leaf(raw)
            yield Entry(index, leaf, open_body(raw_body, leaf.changeset.statement))

    def entry(self, index: int) -> Entry:
        """Return one entry."""
        ((_index, raw, raw_body),) = self.ledger.entries(index, index + 1)
        leaf = parse_leaf(raw)
        return Entry(index, leaf, open_body(raw_body, leaf.changeset.statement))

    def tree(self) -> MemoryTree:
        """Return the tree of the leaves; LogError if its root is not the checkpoint's."""
        tree = MemoryTree(leaf_hash(raw) for _index, raw, _body in self.ledger.entries(0, self.size))
        if tree.size != self.size or tree.root() != self.checkpoint.root:
            raise LogError("中心日志与检查点不一致，不能公开", "the log does not lead to its checkpoint; not published")
        return tree


@contextmanager
def take_snapshot(ledger: Ledger) -> Iterator[Snapshot]:
    """Give a consistent view of everything below the newest checkpoint.

    Raises:
        StorageError: the centre is so busy that no checkpoint covers its log.
    """
    conn = ledger.conn
    try:
        text, checkpoint = _begin(ledger)
        yield Snapshot(
            ledger=ledger,
            charter=ledger.charters.newest.raw,
            checkpoint_text=text,
            checkpoint=checkpoint,
            registers=ledger.registers(checkpoint.size),
        )
    finally:
        if conn.in_transaction:
            conn.execute("ROLLBACK")


def _begin(ledger: Ledger) -> tuple[str, Checkpoint]:
    """Begin a read transaction at a moment when the newest checkpoint covers the whole log."""
    for _attempt in range(_ATTEMPTS):
        ledger.conn.execute("BEGIN")
        text = ledger.meta.get("checkpoint")
        checkpoint = parse_checkpoint(parse_note(text).text)
        if checkpoint.size == ledger.size:
            return text, checkpoint
        ledger.conn.execute("ROLLBACK")
        time.sleep(_PAUSE_S)
    raise StorageError("中心正忙，稍后再公开", "the centre is busy; publish again later")
