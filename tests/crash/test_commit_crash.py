"""Whatever the moment of death: nothing written is lost, nothing acknowledged is missing, no dot is used twice."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.centre.copy import SecondCopy
from syncgov.core.statement import parse_leaf
from syncgov.storage.replica import Replica
from tests.crash.die_at import reopened
from tests.helpers import AREA, World, a_task, insert, new_key, tables, update

DIE_AT = Path(__file__).with_name("die_at.py")
TITLES = ["一", "二"]
MEMORY = Path("/dev/shm")


def killed(base: Path, action: str, at_least: int) -> list[Path]:
    """Kill *action* before each of its statements; returns the folders it left, the last by a process that lived."""
    work = base.with_name("work")
    command = [sys.executable, str(DIE_AT), str(base), str(work), action]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    attempts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [k for k, _status in attempts] == list(range(1, len(attempts) + 1))
    assert {status for _k, status in attempts[:-1]} == {-signal.SIGKILL}  # each of them really died
    assert attempts[-1][1] == 0, done.stderr
    assert len(attempts) > at_least  # not vacuous
    return [work / str(k) for k, _status in attempts]


def assert_whole(world: World) -> None:
    """Assert that the centre's two copies agree and that no dot was logged twice."""
    ledger = world.centre.ledger
    copy = SecondCopy(world.centre.path / "copy.log")
    assert list(copy.read()) == [(leaf, body) for _index, leaf, body in ledger.entries(0, ledger.size)]
    copy.close()
    dots = [parse_leaf(leaf).changeset.statement.dot for _index, leaf, _body in ledger.entries(0, ledger.size)]
    assert len(dots) == len(set(dots))
    assert {leaf.verdict for leaf in world.leaves()} == {"accepted"}


def assert_recovers(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Reopen, sync, and assert that every title arrived once; returns the device's tables."""
    with reopened(folder) as world:
        pen = world.replicas["pen"]
        assert {title for (title,) in pen.conn.execute("SELECT title FROM task")} >= set(TITLES)
        done = world.sync(pen)
        assert (done.refused, done.rejected, done.problems) == ([], [], [])
        assert not pen.has_unsigned()
        assert not pen.conn.execute("SELECT seq FROM _sg_own WHERE idx IS NULL").fetchall()
        assert_whole(world)
        seqs = [st.seq for st in (leaf.changeset.statement for leaf in world.leaves()) if st.dev == pen.dev]
        assert seqs == list(range(1, len(seqs) + 1))
        found = world.centre.ledger.conn.execute("SELECT title FROM task ORDER BY title").fetchall()
        assert sorted(title for (title,) in found) == sorted({title for (title,) in found})
        assert {title for (title,) in found} >= set(TITLES)
        return tables(pen)


def street(base: Path, rows: int = 2) -> World:
    """Return a world with the device `pen` on which rows, each with a child, wait to be signed."""
    world = World.make(base)
    pen = world.device("pen")
    for number, title in enumerate(TITLES[:rows]):
        insert(pen, "task", {"id": new_key(number), **a_task(title=title)})
        insert(pen, "contact", {"id": new_key(10 + number), "task_id": new_key(number), "phone": "000-0000001"})
    return world


@pytest.fixture
def base() -> Iterator[Path]:
    """Where a test makes its world. Memory serves: killing a process proves nothing about disks."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder) / "base"


def test_commit_killed_before_every_statement(base: Path) -> None:
    """Either nothing is signed or everything is; the rows are in their tables in both cases."""
    signed = set()
    street(base).close()
    for folder in killed(base, "commit", 10):
        with Replica.open(folder / "pen.db") as pen:
            count = pen.conn.execute("SELECT count(*) FROM _sg_own").fetchone()[0]
            assert pen.has_unsigned() == (count == 0)
            assert pen.meta.get_int("last_seq") == count
            signed.add(count)
        assert_recovers(folder)
    assert signed == {0, 2}


def test_commit_of_a_rebuilt_table_killed_before_every_statement(base: Path) -> None:
    """The same while triggers and checks are put in order after another program's `transform`."""
    world = street(base)
    program = [sys.executable, "-m", "sqlite_utils", "transform", str(world.replicas["pen"].path), "task"]
    subprocess.run([*program, "--default", "title", "x"], check=True)
    world.close()
    for folder in killed(base, "commit", 30):
        assert_recovers(folder)
        with Replica.open(folder / "pen.db") as again:
            triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'task'"
            assert again.conn.execute(triggers).fetchone() == (3,)


def test_sync_killed_before_every_statement(base: Path) -> None:
    """Sign, push, pull and merge: after the next sync every device has what it would have had without the death."""
    with street(base) as world:
        pen, desk = world.replicas["pen"], world.device("desk", "desk", (AREA,))
        world.sync(pen)
        world.sync(desk)
        update(desk, "task", new_key(0), kind="a", secret="内情")
        update(desk, "task", new_key(1), kind="b")
        world.sync(desk)
        update(pen, "task", new_key(1), kind="c", urgency=2)  # a conflict
        insert(pen, "task", {"id": new_key(3), **a_task(title="四")})
    found = [assert_recovers(folder) for folder in killed(base, "sync", 40)]
    assert all(each == found[-1] for each in found)
    assert found[-1]["conflict"]


def test_push_killed_before_every_statement(base: Path) -> None:
    """What the centre acknowledged is in its log, at the index it named, in both copies, below a signed checkpoint."""
    with street(base) as world:
        world.replicas["pen"].commit()
    acknowledged = set()
    for folder in killed(base, "push", 60):
        file = folder / "acknowledged"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        with reopened(folder) as world:
            assert_whole(world)
            ledger = world.centre.ledger
            assert world.centre.checkpoint(ledger).size == ledger.size
            for seq, index, verdict in lines:
                leaf = ledger.leaf(index)
                assert (leaf.changeset.statement.dot, leaf.verdict) == ((world.replicas["pen"].dev, seq), verdict)
        acknowledged.add(len(lines))
        assert_recovers(folder)
    assert acknowledged == {0, 1, 2}
