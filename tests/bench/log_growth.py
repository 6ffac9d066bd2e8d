"""Row 7: intake and tiles of the next 1 000 entries on a log ten times longer."""

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from syncgov.centre.centre import Centre
from syncgov.centre.intake import authenticate
from syncgov.core.tree import (
    TILE_HEIGHT,
    TILE_WIDTH,
    bundle_path,
    bundles,
    format_bundle,
    format_tile,
    tile_hashes,
    tile_path,
    tiles,
)
from syncgov.publish.static_log import write_file
from syncgov.storage.clock import Clock
from syncgov.storage.ledger import Ledger
from tests.bench.data import log, make_world, one_row, pen_of, signed_by
from tests.bench.ratio import Ratio, Stopwatch, side_by_side

FACTOR = 10
ADDED = 1000
Batch = Sequence[tuple[bytes, bytes]]


def growing(folder: Path, short: int) -> Iterator[Ratio]:
    """A log of *short* entries against one ten times as long; each round begins with a copy of the log."""
    added = ADDED
    sides = {
        "short": (folder / "short", *_make(folder / "short", short, added)),
        "long": (folder / "long", *_make(folder / "long", FACTOR * short, added)),
    }
    watches = {name: Stopwatch() for name in sides}

    def run(name: str, number: int) -> float:
        path, clock, changesets = sides[name]
        copy = folder / f"{name}{number}"
        shutil.copytree(path / "centre", copy)
        centre = Centre(copy, clock=clock)
        started = time.perf_counter()
        watches[name].start()
        before = centre.ledger.size
        centre.push([authenticate(centre.ledger, envelope, body) for envelope, body in changesets])
        watches[name].lap(f"{name}: intake")
        _write_new_tiles(copy / "tiles", centre.ledger, before)
        watches[name].lap(f"{name}: tiles")
        seconds = time.perf_counter() - started
        assert centre.ledger.size == before + added
        centre.close()
        shutil.rmtree(copy)
        return seconds

    ours, theirs = side_by_side(lambda n: run("long", n), lambda n: run("short", n))
    what = f"time of intake and tiles of the next {added} entries on a log of {FACTOR * short}"
    parts = {**watches["short"].medians(), **watches["long"].medians()}
    against = f"the same on a log of {short}"
    yield Ratio("7", what, against, 1.2, "s", added, ours, theirs, at_most=True, parts=parts)


def _make(folder: Path, count: int, added: int) -> tuple[Clock, Batch]:
    """Make a centre with *count* entries and the ones that follow, signed."""
    with make_world(folder) as world:
        pen = pen_of(world)
        log(world, signed_by(pen, range(count - world.centre.ledger.size), one_row))
        batch = [(s.envelope, s.raw_body) for s in signed_by(pen, range(count, count + added), one_row)]
        return world.clock, batch


def _write_new_tiles(folder: Path, ledger: Ledger, before: int) -> None:
    """Write the tiles and entry bundles that the entries from *before* on change."""
    size = ledger.size
    for level, n, width in tiles(size):
        if n * TILE_WIDTH + width << TILE_HEIGHT * level > before:
            write_file(folder / tile_path(level, n, width), format_tile(tile_hashes(level, n, width, ledger.hash_at)))
    for n, width in bundles(size):
        start = n * TILE_WIDTH
        if start + width > before:
            leaves = [raw for _index, raw, _body in ledger.entries(start, start + width)]
            write_file(folder / bundle_path(n, width), format_bundle(leaves))
