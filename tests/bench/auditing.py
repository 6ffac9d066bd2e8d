"""Row 6: auditing a published log of one-row changesets, on all cores."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import syncgov.audit.audit as auditing
import syncgov.audit.folder as loading
from syncgov.audit.walk import Walk
from syncgov.core.keys import pae
from syncgov.core.statement import CHANGESET_TYPE, parse_leaf
from syncgov.publish.publish import publish
from tests.audit.street import write_pages
from tests.bench.data import log, make_world, one_row, pen_of, signed_by
from tests.bench.ratio import Ratio, Stopwatch, rates

DIGESTS = "field digests"
LOADING = "entries, tree, leaves"
DERIVED = "public.db, figures, proofs (not counted)"

Signed = tuple[bytes, bytes]  # message, signature


def bare(public: bytes, signed: Sequence[Signed]) -> int:
    """Verify signatures with the library alone; runs in a process of its own."""
    key = Ed25519PublicKey.from_public_bytes(public)
    for message, signature in signed:
        key.verify(signature, message)
    return len(signed)


def audited(folder: Path, count: int) -> Iterator[Ratio]:
    """A log of *count* one-row changesets, published, against bare verification of their signatures."""
    with make_world(folder) as world:
        pen = pen_of(world)
        log(world, signed_by(pen, range(count), one_row))
        publish(world.centre, folder / "out", portal=False)
        ledger = world.centre.ledger
        leaves = [parse_leaf(raw) for _i, raw, _b in ledger.entries(0, ledger.size)]
        charter = world.centre.path / "charter.json"
    write_pages(folder / "out", {})  # of a portal only the figures are audited; this one has none
    envelopes = [leaf.changeset.envelope for leaf in leaves if leaf.changeset.statement.dev == pen.key.id]
    signed = [(pae(CHANGESET_TYPE, each.payload), each.signatures[0][1]) for each in envelopes]
    cores = os.cpu_count() or 1
    watch = Stopwatch()
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        parts = [signed[start::cores] for start in range(cores)]

        def theirs(_number: int) -> None:
            assert sum(pool.map(bare, [pen.key.public] * cores, parts)) == count

        def ours(_number: int) -> float:
            return _audit(folder / "out", charter, watch)

        theirs(0)  # the processes start before anything is measured
        measured = rates(count, ours, theirs)
    what = "audit of one-row changesets: entries, tree, signatures, chains, verdicts, fold; all cores; digests apart"
    against = f"bare verification of their signatures, {cores} processes"
    yield Ratio("6", what, against, 0.6, "changesets/s", count, *measured, parts=watch.medians())


class _Laps:
    """Seconds by name, of functions that are called while it is in force."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def timed(self, name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return *run* with its seconds added up under *name*."""

        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return run(*args, **kwargs)
            finally:
                self.seconds[name] += time.perf_counter() - started

        return call


def _audit(out: Path, charter: Path, watch: Stopwatch) -> float:
    """Audit once, all of it; returns the seconds without those of opening bodies and of what follows from the log."""
    laps = _Laps()
    with ExitStack() as stack:
        for where, name, label in (
            (loading, "open_body", DIGESTS),
            (auditing, "load_log", LOADING),
            (Walk, "run", "chains, verdicts, fold"),
            (auditing, "_check_published", DERIVED),
        ):
            stack.enter_context(mock.patch.object(where, name, laps.timed(label, getattr(where, name))))
        started = time.perf_counter()
        report = auditing.audit(out, charter)
        whole = time.perf_counter() - started
    assert report.ok, report.findings[:3]
    counted = whole - laps.seconds[DIGESTS] - laps.seconds[DERIVED]
    laps.seconds[LOADING] -= laps.seconds[DIGESTS]
    rest = whole - sum(laps.seconds.values())
    watch.add({"counted": counted, **laps.seconds, "the rest: start and end of the processes": rest})
    return counted
