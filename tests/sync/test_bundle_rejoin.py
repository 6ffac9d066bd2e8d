"""A device that is never online enrols again: cloned, restored or revoked, nothing that was written on it is lost."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.centre import bundles
from syncgov.centre.certificates import revoke
from syncgov.errors import InputError, StorageError
from syncgov.storage.replica import Replica
from syncgov.storage.status import Stage, status
from syncgov.sync import bundle_rejoin, reenrolment
from syncgov.sync.bundle_join import is_joining, pack_join, receive_first
from syncgov.sync.bundle_rejoin import Rejoined, begin, complete, is_rejoining, working_file
from tests.carrying import carry, offline_device
from tests.helpers import World, a_task, insert


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre."""
    with World.make(tmp_path) as found:
        yield found


@pytest.fixture
def old(world: World) -> Path:
    """A never-online device with one accepted task, one that is signed and not sent, one not signed."""
    pen = offline_device(world, "pen")
    insert(pen, "task", a_task(title="送到了"))
    carry(world, pen)
    insert(pen, "task", a_task(title="签了没送"))
    pen.commit()
    insert(pen, "task", a_task(title="没有签"))
    world.replicas.pop("pen").close()
    return world.folder / "pen.db"


def round_trip(world: World, path: Path) -> None:
    """One way to the centre and back for a device that enrols again, up to the take-over."""
    work = working_file(path)
    reply = bundles.receive(world.centre, pack_join(work).data).reply
    receive_first(work, reply, clock=world.clock)[0].close()


def titles(replica: Replica) -> list[str]:
    """Return the titles that a device shows."""
    return sorted(title for (title,) in replica.conn.execute("SELECT title FROM task"))


def delivered(world: World, path: Path) -> Replica:
    """Carry what was signed anew; return the replica."""
    replica = Replica.open(path, clock=world.clock)
    world.replicas["again"] = replica
    assert carry(world, replica).received.done.accepted == 2
    return replica


def check(world: World, path: Path, done: Rejoined, kept: Path) -> None:
    """All of the old file's work is the new device's, sent and accepted."""
    assert done.kept == kept
    assert done.device != done.old_device
    assert [len(done.adopted.signed), done.adopted.left] == [2, []]
    replica = delivered(world, path)
    assert replica.dev == done.device
    assert titles(replica) == ["没有签", "签了没送", "送到了"]
    assert status(replica).count(Stage.UNSENT) == 0
    assert not is_rejoining(path)


def test_in_place(world: World, old: Path) -> None:
    """`rejoin --by-file`: the replica keeps its name, the old file becomes `.old`; no invitation is needed."""
    begin(old, world.code("worker"), old, clock=world.clock)
    assert working_file(old) == old.with_name("pen.db.new")
    assert is_joining(working_file(old))
    round_trip(world, old)
    check(world, old, complete(working_file(old), clock=world.clock), old.with_name("pen.db.old"))
    assert working_file(old) == old
    assert {p.name for p in world.folder.glob("pen.db*")} >= {"pen.db", "pen.db.key", "pen.db.old", "pen.db.old.key"}
    assert not list(world.folder.glob("pen.db.new*"))


def test_into_another_file(world: World, old: Path) -> None:
    """`join NEW --from OLD --bundle`: the old file is kept beside."""
    path = world.folder / "other.db"
    begin(path, world.code("worker"), old, invitation=bundles.invitation(world.centre), clock=world.clock)
    assert working_file(path) == path
    round_trip(world, path)
    check(world, path, complete(path, clock=world.clock), old.with_name("pen.db.old"))


def test_a_revoked_device(world: World, old: Path) -> None:
    """It gets no reply any more; under a new key its backlog goes through."""
    with Replica.open(old, clock=world.clock) as pen:
        revoke(world.centre, pen.dev)
    begin(old, world.code("worker"), old, clock=world.clock)
    round_trip(world, old)
    check(world, old, complete(working_file(old), clock=world.clock), old.with_name("pen.db.old"))


@pytest.mark.parametrize("step", ["take_over", "keep", "finish"])
def test_a_death_at_each_step_is_made_good(world: World, old: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power fails before or after each of the last steps: repeating them ends where it should, nothing twice."""
    begin(old, world.code("worker"), old, clock=world.clock)
    round_trip(world, old)
    real = getattr(bundle_rejoin, step)

    def dying(*args: object, **options: object) -> object:
        real(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_rejoin, step, dying)
    with pytest.raises(KeyboardInterrupt):
        complete(working_file(old), clock=world.clock)
    monkeypatch.undo()
    if working_file(old) != old:
        complete(working_file(old), clock=world.clock)
    replica = delivered(world, old)
    assert titles(replica) == ["没有签", "签了没送", "送到了"]
    assert old.with_name("pen.db.old").exists()
    assert working_file(old) == old


def test_the_line_comes_back_meanwhile(world: World, old: Path) -> None:
    """Begun by file, ended by `rejoin` over the network: the same new key, no traces."""
    begin(old, world.code("worker"), old, clock=world.clock)
    round_trip(world, old)
    with Replica.open(old, clock=world.clock) as pen:
        pen.meta.set(url="http://centre.invalid")
    with Replica.open(working_file(old), clock=world.clock) as fresh:
        dev = fresh.dev
        fresh.meta.set(url="http://centre.invalid")
    with world.line():
        done = reenrolment.rejoin(old, "unused", clock=world.clock)
    assert (done.device, working_file(old)) == (dev, old)
    assert not list(world.folder.glob("pen.db.new*"))


def test_an_online_device_goes_by_file_and_back(world: World) -> None:
    """It knows the centre's recipient from its syncs; afterwards it knows the centre's address still."""
    online = world.device("pen")
    insert(online, "task", a_task(title="离线了"))
    world.replicas.pop("pen").close()
    path = world.folder / "pen.db"
    begin(path, world.code("worker"), path, clock=world.clock)
    round_trip(world, path)
    complete(working_file(path), clock=world.clock)
    again = world.reopen("pen")
    assert world.sync(again).accepted == 1


def test_what_is_refused(world: World, old: Path) -> None:
    """No such file; something in the way; another centre's invitation; no recipient known: nothing is begun."""
    code = world.code("worker")
    with pytest.raises(StorageError):
        begin(world.folder / "none.db", code, world.folder / "none.db")
    taken = world.folder / "taken.db"
    shutil.copy(old, taken)
    with pytest.raises(StorageError):
        begin(taken, code, old)
    with Replica.open(old, clock=world.clock) as pen:
        pen.meta.set(recipient="")
    with pytest.raises(InputError):
        begin(old, code, old)
    assert working_file(old) == old
    assert not list(world.folder.glob("*.from"))
