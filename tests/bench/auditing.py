"""Row 6: auditing a published log of one-row changesets, on all cores."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import syncgov.audit.audit as auditing
import syncgov.audit.folder as loading
from syncgov.core.commitment import Body, open_body
from syncgov.core.keys import pae
from syncgov.core.statement import CHANGESET_TYPE, Statement, parse_leaf
from syncgov.publish.publish import publish
from tests.audit.street import write_pages
from tests.bench.data import log, make_world, one_row, pen_of, signed_by
from tests.bench.ratio import Ratio, Stopwatch, rates

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


def _audit(out: Path, charter: Path, watch: Stopwatch) -> float:
    """Audit once, all of it; returns the seconds without those of opening bodies and of what follows from the log."""
    digests = 0.0

    def opened(raw: bytes, st: Statement) -> Body:
        nonlocal digests
        started = time.perf_counter()
        try:
            return open_body(raw, st)
        finally:
            digests += time.perf_counter() - started

    derived = 0.0

    def published(*args: Any) -> None:
        nonlocal derived
        started = time.perf_counter()
        check_published(*args)
        derived += time.perf_counter() - started

    check_published = auditing._check_published
    started = time.perf_counter()
    with mock.patch.object(loading, "open_body", opened), mock.patch.object(auditing, "_check_published", published):
        report = auditing.audit(out, charter)
    whole = time.perf_counter() - started
    assert report.ok, report.findings[:3]
    watch.add({"log": whole - digests - derived, "field digests": digests, "public.db, figures, proofs": derived})
    return whole - digests - derived
