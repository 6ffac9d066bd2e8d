"""What is measured. Both sides of a ratio run in turn, in one process, on the same data."""

import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from syncgov.core.canonical import unb64u
from syncgov.core.commitment import Value, open_body
from syncgov.core.keys import pae
from syncgov.core.statement import CHANGESET_TYPE, Leaf, parse_leaf, verify_changeset
from syncgov.core.wire import Pull, PullAnswer
from syncgov.storage.connection import connect, transaction
from syncgov.storage.merging import merge_pulled
from syncgov.storage.replica import Replica
from syncgov.storage.schema import PROTOCOL_TABLES, columns_for, table_sql
from syncgov.storage.state import FoldItem, fold
from syncgov.sync.client import verify_page
from tests.helpers import AREA, World, a_task, insert, new_key
from tests.registers import register_set

ROUNDS = 5
COLUMNS: dict[str, Value] = {**a_task(), "urgency": 1}


@dataclass(frozen=True)
class Ratio:
    """One line of the table. `ours` and `theirs` are changesets or rows a second, medians of the rounds."""

    row: str
    what: str
    against: str
    target: float
    count: int
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """How fast ours is, theirs being 1."""
        return self.ours / self.theirs


def side_by_side(count: int, ours: Callable[[int], None], theirs: Callable[[int], None]) -> tuple[float, float]:
    """Return the median rates of both, run in turn; each is called with the number of the round."""
    rates: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        order = [(rates[0], ours), (rates[1], theirs)]
        for side, run in reversed(order) if number % 2 else order:
            started = time.perf_counter()
            run(number)
            side.append(count / (time.perf_counter() - started))
    return statistics.median(rates[0]), statistics.median(rates[1])


def log_of(folder: Path, count: int) -> tuple[list[tuple[Leaf, bytes]], PullAnswer, list[Path]]:
    """Return leaves and bodies of *count* one-row changesets, a pull answer with them, and devices to merge it."""
    with World.make(folder / "log") as world:
        pen = world.device("pen")
        readers = [world.device(f"reader{number}", "desk", (AREA,)) for number in range(ROUNDS)]
        size = world.centre.ledger.size
        for reader in readers:
            world.sync(reader)
        for number in range(count):
            insert(pen, "task", {"id": new_key(number), **COLUMNS})
        assert world.sync(pen).accepted == count
        found = [(parse_leaf(leaf), bytes(body)) for _i, leaf, body in world.centre.ledger.entries(size, size + count)]
        answer = world.transport(readers[0]).post("/v1/pull", Pull(size, count, size, 0), PullAnswer)
        assert len(answer.entries) == count
        assert len(answer.keys) == 1
        return found, answer, [reader.path for reader in readers]


def merging(folder: Path, count: int) -> Sequence[Ratio]:
    """Row 3: one-row changesets verified and folded, one core, against bare verification of their signatures."""
    entries, answer, readers = log_of(folder, count)
    registers = register_set()
    public = unb64u(next(iter(answer.keys.values())), 32)
    raws = [leaf.raw for leaf, _body in entries]
    bodies = [body for _leaf, body in entries]
    messages = [leaf.changeset.envelope for leaf, _body in entries]
    signed = [(pae(CHANGESET_TYPE, e.payload), e.signatures[0][1]) for e in messages]

    folded = [connect(folder / f"fold{number}.db", create=True) for number in range(ROUNDS)]
    for conn in folded:
        conn.executescript(PROTOCOL_TABLES)

    def bare(_number: int) -> None:
        key = Ed25519PublicKey.from_public_bytes(public)
        for message, signature in signed:
            key.verify(signature, message)

    def ours(number: int) -> None:
        conn = folded[number]
        with transaction(conn):
            items = []
            for index, (raw, raw_body) in enumerate(zip(raws, bodies, strict=True)):
                leaf = parse_leaf(raw)
                verify_changeset(leaf.changeset, public)
                body = open_body(raw_body, leaf.changeset.statement)
                writes = [write for _position, write in body.disclosed()]
                items.append(FoldItem(index, leaf.changeset.statement.dot, *leaf.effective, writes))
            assert len(fold(conn, items, registers)) == count

    def pulled(number: int) -> None:
        with Replica.open(readers[number]) as replica:
            assert merge_pulled(replica, verify_page(replica, answer, replica.seen.size)).received == count

    what = "one-row changesets verified and folded, one core"
    against = "bare Ed25519 verifications, same library"
    first = Ratio("3", what, against, 0.6, count, *side_by_side(count, ours, bare))
    for conn in folded:
        conn.close()
    what = "the same as a replica does it: inclusion proofs, tables, leaves kept"
    return first, Ratio("3+", what, against, 0.0, count, *side_by_side(count, pulled, bare))


def writing(folder: Path, count: int) -> Sequence[Ratio]:
    """Row 4: write and sign one row with synchronous=FULL, against a plain transaction of the same row."""
    with World.make(folder / "writing") as world:
        path = world.device("pen").path
    plain = connect(folder / "plain.db", create=True)
    register = register_set()["task"]
    plain.execute(table_sql(register, columns_for(register, None), "task"))
    replica = Replica.open(path)
    names = ", ".join(COLUMNS)
    sql = f"INSERT INTO task ({names}) VALUES ({', '.join('?' * len(COLUMNS))})"
    values = [*COLUMNS.values()]
    for conn in (plain, replica.conn):
        assert conn.execute("PRAGMA synchronous").fetchone() == (2,)
        assert conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    def theirs(_number: int) -> None:
        for _ in range(count):
            _plainly(plain, sql, values)

    def ours(_number: int) -> None:
        for _ in range(count):
            with replica.change() as db:
                db.conn.execute(sql, values)

    def two_steps(_number: int) -> None:
        for _ in range(count):
            _plainly(replica.conn, sql, values)
            replica.commit()

    against = "plain SQLite transaction of the same row"
    first = Ratio(
        "4", "local write + sign, 1 row, synchronous=FULL", against, 0.3, count, *side_by_side(count, ours, theirs)
    )
    what = "the same in two transactions: another program writes, commit signs"
    second = Ratio("4+", what, against, 0.0, count, *side_by_side(count, two_steps, theirs))
    signed = replica.conn.execute("SELECT count(*) FROM _sg_own").fetchone()
    assert signed == (2 * ROUNDS * count,)
    replica.close()
    plain.close()
    return first, second


def _plainly(conn: sqlite3.Connection, sql: str, values: Sequence[object]) -> None:
    conn.execute("BEGIN IMMEDIATE")
    conn.execute(sql, values)
    conn.execute("COMMIT")
