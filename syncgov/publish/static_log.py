"""The log as static files: checkpoint, charter, tiles, disclosed bodies, proofs.

Source: protocol page, sections 6 and 9.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from syncgov.core.canonical import encode_unchecked
from syncgov.core.commitment import Body, redact
from syncgov.core.fold import RowKey
from syncgov.core.public_log import PublicLeaf, PublicState
from syncgov.core.public_rows import evidence_path
from syncgov.core.record_prover import Prover
from syncgov.core.tree import (
    TILE_WIDTH,
    GetHash,
    MemoryTree,
    bundle_path,
    bundles,
    format_bundle,
    format_tile,
    index_path,
    tile_hashes,
    tile_path,
    tiles,
)
from syncgov.publish.snapshot import Entry, Snapshot

_CACHED_BODIES = 4096  # about 20 MB; certificates and registers are proven again and again


class _Line(msgspec.Struct, frozen=True):
    body: msgspec.Raw
    index: int


def write_file(path: Path, data: bytes) -> None:
    """Write a file of the folder that is being made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_head(folder: Path, snapshot: Snapshot) -> None:
    """Write `checkpoint` and `charter.json`."""
    write_file(folder / "checkpoint", snapshot.checkpoint_text.encode())
    write_file(folder / "charter.json", snapshot.charter)


def write_tiles(folder: Path, snapshot: Snapshot, get: GetHash) -> None:
    """Write every hash tile and every entry bundle."""
    for level, n, width in tiles(snapshot.size):
        write_file(folder / tile_path(level, n, width), format_tile(tile_hashes(level, n, width, get)))
    for n, width in bundles(snapshot.size):
        start = n * TILE_WIDTH
        leaves = [raw for _index, raw, _body in snapshot.ledger.entries(start, start + width)]
        write_file(folder / bundle_path(n, width), format_bundle(leaves))


class DisclosedWriter:
    """Writes `disclosed/<N>`: a canonical line for each leaf with disclosed writes, a file for each entry bundle."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "disclosed"
        self._lines: list[bytes] = []
        self._bundle = 0

    def add(self, entry: Entry, public: PublicLeaf) -> None:
        """Write the next leaf."""
        if entry.index // TILE_WIDTH != self._bundle:
            self.finish()
            self._bundle = entry.index // TILE_WIDTH
        if public.writes:
            self._lines.append(encode_unchecked(_Line(msgspec.Raw(redacted(entry.body, public)), entry.index)) + b"\n")

    def finish(self) -> None:
        """Write the file that was begun; one without lines too, so that a missing file is seen."""
        write_file(self._folder / index_path(self._bundle), b"".join(self._lines))
        self._lines = []


def redacted(body: Body, public: PublicLeaf) -> bytes:
    """Return the body as it is published."""
    kept = {position for position, _write in public.writes}
    return redact(body, lambda position, _write: position in kept)


def write_proofs(
    out: Path,
    snapshot: Snapshot,
    tree: MemoryTree,
    state: PublicState,
    rows: Sequence[RowKey],
    step: Callable[[int, int], None],
) -> None:
    """Write one proof file for each of *rows*, children included."""

    @lru_cache(maxsize=_CACHED_BODIES)
    def entry(index: int) -> tuple[bytes, Body]:
        found = snapshot.entry(index)
        return found.leaf.raw, found.body

    earlier = [each.raw for each in snapshot.ledger.charters.of_log[:-1]]
    parts = (snapshot.checkpoint_text, entry, tree.get, state, snapshot.registers)
    prover = Prover(snapshot.charter, *parts, earlier=earlier)
    for number, row in enumerate(rows, 1):
        write_file(out / evidence_path(*row), prover.prove(*row))
        step(number, len(rows))
