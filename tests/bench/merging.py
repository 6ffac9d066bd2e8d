"""Rows 1, 2 and 3: merging what others signed."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from syncgov.core import wire
from syncgov.core.commitment import open_body
from syncgov.core.keys import pae
from syncgov.core.statement import CHANGESET_TYPE, parse_leaf, verify_changeset
from syncgov.storage.connection import collector_paused, connect, transaction
from syncgov.storage.merging import merge_pulled
from syncgov.storage.replica import Replica
from syncgov.storage.schema import PROTOCOL_TABLES
from syncgov.storage.state import FoldItem, fold
from syncgov.sync.checking import verify_page
from tests.bench.data import RowsOf, hundred_rows, log, make_world, one_row, pen_of, register_set, signed_by
from tests.bench.lww import Fields, RowsOnly
from tests.bench.peer import Peer
from tests.bench.ratio import ROUNDS, Clock, Ratio, Stopwatch, rates
from tests.helpers import NOW_MS

PAGE = wire.MAX_PULL  # changesets at most


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one pull brings: the answer as it came over the line, unpacked, and devices that have not merged it."""

    raw: bytes
    answer: wire.PullAnswer
    readers: list[Path]
    public: bytes

    def parse(self) -> wire.PullAnswer:
        """Return the answer parsed anew."""
        return wire.parse_message(self.raw, wire.PullAnswer, "answer of the centre")


def pulled(folder: Path, count: int, rows_of: RowsOf, readers: int = 2 * ROUNDS) -> Pulled:
    """Return a pull of *count* changesets that a real centre took in and answers."""
    with make_world(folder) as world:
        pen = pen_of(world)
        devices = [world.device(f"reader{number}") for number in range(readers)]
        for each in devices:
            world.sync(each)
        size = world.centre.ledger.size
        log(world, signed_by(pen, range(count), rows_of))
        answer = world.transport(devices[0]).post("/v1/pull", wire.Pull(size, PAGE, size, 0), wire.PullAnswer)
        assert len(answer.entries) == count <= PAGE
        return Pulled(wire.format_message(answer), answer, [each.path for each in devices], pen.key.public)


class Merging:
    """Our side: each round on a replica of its own, as `sync` does it with an answer."""

    def __init__(self, found: Pulled, clock: Clock = time.perf_counter) -> None:
        self._found = found
        self._fresh = iter(found.readers)
        self._clock = clock
        self.watch = Stopwatch(clock)

    def __call__(self, _number: int) -> float:
        started = self._clock()
        count = len(self._found.answer.entries)
        with Replica.open(next(self._fresh)) as replica:
            self.watch.start()
            answer = self._found.parse()
            self.watch.lap("JSON")
            page = verify_page(replica, answer, replica.seen.size)
            self.watch.lap("verify")
            assert merge_pulled(replica, page).received == count
            self.watch.lap("fold, tables, commit")
        return self._clock() - started


def merging(folder: Path, changesets: int) -> Iterator[Ratio]:
    """Rows 1 and 2: a hundred child rows of one record to a changeset, from the bytes to the tables."""
    found = pulled(folder / "log", changesets, hundred_rows, readers=3 * ROUNDS)
    ours = Merging(found)
    count = changesets * 100
    what = "merge of signed 5-column rows, 100 to a changeset, verified and folded into the tables, all cores"
    with Peer("morango_merge.py", str(count)) as peer:
        stages: list[dict[str, float]] = []

        def morango(_number: int) -> float:
            stages.append(peer.round())
            return sum(stages[-1][name] for name in ("buffer", "dequeue", "deserialize"))

        measured = rates(count, ours, morango)
        parts = {f"Morango {name}": statistics.median(each[name] for each in stages) for name in stages[0]}
        against = f"Morango {peer.versions['morango']}, receiver: buffer, dequeue, deserialize"
        yield Ratio("1", what, against, 15, "rows/s", count, *measured, parts={**ours.watch.medians(), **parts})
    yield from _against_sql(folder, changesets, ours, what)


def _against_sql(folder: Path, changesets: int, ours: Merging, what: str) -> Iterator[Ratio]:
    rows = [[(key, columns, NOW_MS, "d" * 32) for (_t, key), columns in hundred_rows(n)] for n in range(changesets)]
    count = changesets * 100
    for row, goal, kind, how in (("2", 0.8, Fields, "each field by itself"), ("2+", 0.0, RowsOnly, "whole rows")):
        sides = [kind(folder / f"{kind.__name__}{number}.db") for number in range(ROUNDS)]
        batches = [kind.batch(each) for each in rows]

        def theirs(number: int, sides: Sequence[Fields | RowsOnly] = sides, batches: list[str] = batches) -> None:
            sides[number].merge(batches)

        against = f"set-based SQL last-writer-wins, {how}, sqlite3"
        yield Ratio(row, what, against, goal, "rows/s", count, *rates(count, ours, theirs))
        found = sides[0].conn.execute("SELECT count(*), max(amount) FROM item").fetchone()
        assert found == (count, count - 1)
        for each in sides:
            each.conn.close()


def one_core(folder: Path, count: int) -> Iterator[Ratio]:
    """Row 3: one-row changesets verified and folded, against bare verification of their signatures.

    Per core: processor time of this one thread counts, on both sides, not the wall's.
    """
    found = pulled(folder / "log", count, one_row)
    all_registers = register_set()
    entries = [(bytes(each.leaf), bytes(each.body)) for each in found.answer.entries]
    envelopes = [parse_leaf(raw).changeset.envelope for raw, _body in entries]
    signed = [(pae(CHANGESET_TYPE, each.payload), each.signatures[0][1]) for each in envelopes]
    folded = [connect(folder / f"fold{number}.db", create=True) for number in range(ROUNDS)]
    for conn in folded:
        conn.executescript(PROTOCOL_TABLES)
    watch = Stopwatch(time.process_time)

    def bare(_number: int) -> float:
        started = time.process_time()
        key = Ed25519PublicKey.from_public_bytes(found.public)
        for message, signature in signed:
            key.verify(signature, message)
        return time.process_time() - started

    def ours(number: int) -> float:
        with collector_paused():  # as a replica does
            started = time.process_time()
            run(number)
            return time.process_time() - started

    def run(number: int) -> None:
        watch.start()
        leaves = [parse_leaf(raw) for raw, _body in entries]
        watch.lap("parse leaves")
        for leaf in leaves:
            verify_changeset(leaf.changeset, found.public)
        watch.lap("signatures")
        pairs = zip(leaves, entries, strict=True)
        bodies = [open_body(raw_body, leaf.changeset.statement) for leaf, (_raw, raw_body) in pairs]
        watch.lap("bodies and digests")
        conn = folded[number]
        with transaction(conn):
            items = [
                FoldItem(index, leaf.changeset.statement.dot, *leaf.effective, [w for _p, w in body.disclosed()])
                for index, (leaf, body) in enumerate(zip(leaves, bodies, strict=True))
            ]
            assert len(fold(conn, items, all_registers)) == count
        watch.lap("fold")

    against = "bare Ed25519 verifications, same library"
    what = "one-row changesets verified and folded, per core (processor time)"
    measured = rates(count, ours, bare)
    yield Ratio("3", what, against, 0.6, "changesets/s", count, *measured, parts=watch.medians())
    for conn in folded:
        conn.close()
    whole = Merging(found, time.process_time)
    what = "the same as a replica does it: inclusion proofs, tables, leaves kept"
    measured = rates(count, whole, bare)
    yield Ratio("3+", what, against, 0.0, "changesets/s", count, *measured, parts=whole.watch.medians())
