"""Row 4: writing on a device, as long as the person waits."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from syncgov.storage.connection import connect
from syncgov.storage.replica import Replica
from syncgov.storage.schema import columns_for, table_sql
from tests.bench.data import PARENT, make_world, parent_columns, register_set
from tests.bench.ratio import Ratio, rates


def writing(folder: Path, count: int) -> Iterator[Ratio]:
    """Write and sign one row with synchronous=FULL, against a plain transaction of the same row."""
    with make_world(folder / "world") as world:
        path = world.device("pen").path
    plain = connect(folder / "plain.db", create=True)
    register = register_set()[PARENT]
    plain.execute(table_sql(register, columns_for(register, None), PARENT))
    replica = Replica.open(path)
    columns = parent_columns(1)
    sql = f"INSERT INTO {PARENT} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    values = [*columns.values()]
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
    what = "local write + sign, 1 row, synchronous=FULL"
    yield Ratio("4", what, against, 0.3, "rows/s", count, *rates(count, ours, theirs))
    what = "the same in two transactions: another program writes, commit signs"
    yield Ratio("4+", what, against, 0.0, "rows/s", count, *rates(count, two_steps, theirs))
    (signed,) = replica.conn.execute("SELECT count(*) FROM _sg_own").fetchone()
    assert signed > 0
    assert signed % (2 * count) == 0
    replica.close()
    plain.close()


def _plainly(conn: sqlite3.Connection, sql: str, values: Sequence[object]) -> None:
    conn.execute("BEGIN IMMEDIATE")
    conn.execute(sql, values)
    conn.execute("COMMIT")
