"""Clones, restored files, revoked devices: what is told, and that enrolling again or adopting loses nothing."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from syncgov.centre.certificates import revoke
from syncgov.errors import FormatError, InputError, NotAllowedError, SignatureError, StorageError, TransportError
from syncgov.storage.adopting import adopt
from syncgov.storage.conflicts import conflicts
from syncgov.storage.keyfile import key_path, store_key
from syncgov.storage.replica import Replica
from syncgov.storage.status import Stage, status
from syncgov.sync.reenrolment import Reenrolled, join_from, rejoin
from tests.helpers import DAY_MS, EAST, WEST, ManualClock, World, a_task, insert, row, update


@pytest.fixture
def world(tmp_path: Path):
    """A centre with the small registers."""
    with World.make(tmp_path / "world") as made:
        yield made


def copy(world: World, name: str, to: str, *, key: bool = True) -> Path:
    """Copy a closed replica, with its key or without; returns the copy."""
    world.replicas.pop(name).close()
    source, target = world.folder / f"{name}.db", world.folder / f"{to}.db"
    shutil.copy(source, target)
    if key:
        shutil.copy(key_path(source), key_path(target))
    return target


def restore(copied: Path, path: Path) -> None:
    """Put a copy of a replica file back, as a backup program would; its key file is not part of the backup."""
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    shutil.copy(copied, path)


def again(world: World, name: str, code: str = "", areas: tuple[str, ...] = (EAST,)) -> Reenrolled:
    """Enrol a device again, in place."""
    if name in world.replicas:
        world.replicas.pop(name).close()
    with world.line():
        done = rejoin(world.folder / f"{name}.db", code or world.code("worker", areas), clock=world.clock)
    world.reopen(name)
    return done


def titles(replica: Replica) -> list[str]:
    """Return the titles that a device shows."""
    return sorted(title for (title,) in replica.conn.execute("SELECT title FROM task"))


def stages(replica: Replica) -> list[tuple[Stage, str]]:
    """Return where the unsettled changes of a device stand."""
    return [(change.stage, change.code) for change in status(replica).changes]


def test_two_copies_of_one_device(world: World) -> None:
    """Cloned file and key: the second one is a fork, is told so, and both go on under new keys without loss."""
    first = world.device("first")
    key = insert(first, "task", a_task(title="共同"))
    world.sync(first)
    copy(world, "first", "second")
    first, second = world.reopen("first"), world.reopen("second")
    insert(first, "task", a_task(title="甲的"))
    world.sync(first)
    theirs = insert(second, "task", a_task(title="乙的"))
    second.commit()
    update(second, "task", theirs, title="乙改过")
    update(second, "task", key, kind="b")
    insert(second, "task", a_task(title="乙未签名"))
    second.commit()
    world.sync(second)
    assert stages(second) == [(Stage.REFUSED, "fork")] + [(Stage.REFUSED, "revoked")] * 3
    assert "rejoin" in status(second).changes[0].remedy
    insert(first, "task", a_task(title="甲后来的"))
    world.sync(first)
    assert stages(first) == [(Stage.REFUSED, "fork")]  # its number had been used by the copy
    for name, count in (("second", 4), ("first", 1)):
        done = again(world, name)
        assert (len(done.adopted.signed), done.adopted.left) == (count, [])
        assert done.synced is not None
        assert done.synced.accepted == count
    for replica in world.replicas.values():
        world.sync(replica)
        assert titles(replica) == sorted(["共同", "甲的", "乙改过", "乙未签名", "甲后来的"])
        assert conflicts(replica) == []
        assert stages(replica) == []
    found = row(second := world.replicas["second"], "task", key)
    assert found is not None
    assert found["kind"] == "b"
    assert second.dev != done.old_device


def test_a_file_copied_without_its_key_cannot_sign(world: World) -> None:
    """It is told what is missing; the original is not disturbed."""
    first = world.device("first")
    insert(first, "task", a_task())
    world.sync(first)
    copied = copy(world, "first", "copy", key=False)
    with pytest.raises(StorageError, match="no key file"):
        Replica.open(copied)
    first = world.reopen("first")
    insert(first, "task", a_task())
    assert world.sync(first).accepted == 1


def test_a_restored_file_takes_its_own_entries_back(world: World) -> None:
    """An older file with the newer key: everything is at the centre, nothing is a fork."""
    first = world.device("first")
    copied = copy(world, "first", "backup", key=False)
    first = world.reopen("first")
    insert(first, "task", a_task(title="之后"))
    world.sync(first)
    world.replicas.pop("first").close()
    restore(copied, world.folder / "first.db")
    first = world.reopen("first")
    insert(first, "task", a_task(title="恢复后"))
    with pytest.raises(StorageError, match="older"):
        first.commit()
    assert world.sync(first).refused == []
    assert titles(first) == ["之后", "恢复后"]
    assert all(leaf.accepted for leaf in world.leaves())


def test_a_restored_file_whose_lost_work_nobody_has(world: World) -> None:
    """What was signed and lost may be anywhere: the device enrols again, with what was written since unsigned."""
    first = world.device("first")
    key = insert(first, "task", a_task(title="早先"))
    world.sync(first)
    copied = copy(world, "first", "backup", key=False)
    first = world.reopen("first")
    update(first, "task", key, title="丢失的")
    first.commit()
    first.mark_durable()
    world.replicas.pop("first").close()
    restore(copied, world.folder / "first.db")
    first = world.reopen("first")
    insert(first, "task", a_task(title="新写的"))
    update(first, "task", key, kind="b")
    with pytest.raises(NotAllowedError, match="enrol again"):
        world.sync(first)
    done = again(world, "first")
    assert (len(done.adopted.signed), done.adopted.left) == (2, [])
    assert done.synced is not None
    assert (done.synced.accepted, done.synced.refused) == (2, [])
    first = world.replicas["first"]
    assert titles(first) == ["新写的", "早先"]
    found = row(first, "task", key)
    assert found is not None
    assert found["kind"] == "b"
    with closing(sqlite3.connect(done.kept)) as conn:
        assert conn.execute("SELECT count(*) FROM task").fetchone() == (2,)


def test_a_device_restored_with_its_key_is_no_fork(world: World) -> None:
    """File and key from one backup: the next sync shows what was signed since, takes it back, and the chain goes on."""
    first = world.device("first")
    copied = copy(world, "first", "backup")
    first = world.reopen("first")
    key = insert(first, "task", a_task(title="之后"))
    world.sync(first)
    update(first, "task", key, kind="b")
    world.sync(first)
    world.replicas.pop("first").close()
    restore(copied, world.folder / "first.db")
    shutil.copy(key_path(copied), key_path(world.folder / "first.db"))
    first = world.reopen("first")
    assert world.sync(first).refused == []
    assert titles(first) == ["之后"]
    insert(first, "task", a_task(title="恢复后"))
    assert world.sync(first).accepted == 1
    assert titles(first) == ["之后", "恢复后"]
    assert (status(first).delivered, stages(first)) == (3, [])
    assert all(leaf.accepted for leaf in world.leaves())


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_an_honest_power_loss_after_a_push_is_no_fork(world: World, cut: int) -> None:
    """The key file stands behind the replica, or the answer to the push is lost: the next sync goes on."""
    first = world.device("first")
    insert(first, "task", a_task())
    world.sync(first)
    old = first.key_file
    insert(first, "task", a_task())
    world.wire.reset()
    world.wire.cut_at, world.wire.cut_answer = cut, True
    with pytest.raises(TransportError):
        world.sync(first)
    world.wire.reset()
    # the disk kept the older key file: it was replaced, and the new name did not survive
    store_key(old.path, old.key, old.seq, old.hash)
    first = world.reopen("first")
    insert(first, "task", a_task())
    done = world.sync(first)
    assert done.refused == []
    assert (status(first).delivered, stages(first)) == (3, [])
    assert all(leaf.accepted for leaf in world.leaves())


def test_a_revoked_device_enrols_again(world: World) -> None:
    """Its backlog was refused, or never left it; under the new key it arrives, and the file is kept."""
    first = world.device("first", staff=("S1", "S2"))
    key = insert(first, "task", a_task(title="早"))
    world.sync(first, "S1")
    update(first, "task", key, title="停用后")
    first.commit("S2")
    revoke(world.centre, first.dev, "retired")
    with pytest.raises(NotAllowedError):
        world.sync(first)
    insert(first, "task", a_task(title="再写"))
    first.commit("S1")
    world.replicas.pop("first").close()
    with world.line():
        done = rejoin(world.folder / "first.db", world.code("worker", staff=("S1", "S2")), clock=world.clock)
    assert [seq for seq, _new, _label in done.adopted.signed] == [2, 3]
    first = world.reopen("first")
    assert titles(first) == ["停用后", "再写"]
    who = first.conn.execute("SELECT by FROM _sg_leaf WHERE dev = ? AND accepted ORDER BY idx", (first.dev,)).fetchall()
    assert who == [("S2",), ("S1",)]
    assert done.kept == world.folder / "first.db.old"
    assert key_path(done.kept).exists()
    assert world.sync(first).requests > 0


def test_what_cannot_be_signed_is_named_and_stays_in_the_old_file(world: World) -> None:
    """A row that lacks what the register demands does not hinder the others."""
    first = world.device("first")
    insert(first, "task", a_task(title="好的"))
    insert(first, "task", {"place": EAST, "title": "没有日期", "state": "reported"})
    done = again(world, "first")
    assert titles(world.replicas["first"]) == ["好的"]
    assert [seq for seq, _error in done.adopted.left] == [0]
    with closing(sqlite3.connect(done.kept)) as conn:
        assert conn.execute("SELECT count(*) FROM task").fetchone() == (2,)


def test_join_from_an_old_file(world: World) -> None:
    """The same into a new file: the old one is renamed, and what was accepted is not signed again."""
    first = world.device("first")
    insert(first, "task", a_task(title="已送达"))
    world.sync(first)
    insert(first, "task", a_task(title="未上传"))
    world.replicas.pop("first").close()
    old, new = world.folder / "first.db", world.folder / "new.db"
    with world.line():
        done = join_from(new, world.code("worker"), old, clock=world.clock)
    assert (done.kept.name, old.exists(), len(done.adopted.signed)) == ("first.db.old", False, 1)
    assert titles(world.reopen("new")) == ["已送达", "未上传"]
    with world.line():
        assert rejoin(new, world.code("worker"), clock=world.clock).kept.name == "new.db.old"
    world.replicas.pop("new").close()
    with world.line():
        assert rejoin(new, world.code("worker"), clock=world.clock).kept.name == "new.db.old2"
    assert titles(world.reopen("new")) == ["已送达", "未上传"]


@pytest.mark.parametrize("step", range(11))
def test_a_rejoin_can_die_anywhere_and_be_repeated(world: World, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Cut at any request, or between any two renames: repeating the command ends it, and nothing is there twice."""
    first = world.device("first")
    insert(first, "task", a_task(title="已送达"))
    world.sync(first)
    insert(first, "task", a_task(title="未上传"))
    first.commit()
    revoke(world.centre, first.dev)
    world.replicas.pop("first").close()
    code = world.code("worker")
    died = False
    if step < 7:
        world.wire.reset()
        world.wire.cut_at, world.wire.cut_answer = step + 1, True
        with world.line():
            try:
                died = rejoin(world.folder / "first.db", code, clock=world.clock).synced is None
            except TransportError:
                died = True
        world.wire.reset()
    else:
        left = [step - 7]

        def replace(old: Path, new: Path) -> None:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            old.rename(new)

        with world.line(), monkeypatch.context() as patch:
            patch.setattr("syncgov.sync.reenrolment.os.replace", replace)
            with pytest.raises(KeyboardInterrupt):
                rejoin(world.folder / "first.db", code, clock=world.clock)
        died = True
    assert died
    fresh = world.folder / "first.db.new"
    if fresh.exists() or key_path(fresh).exists() or not (world.folder / "first.db.old").exists():
        with world.line():
            rejoin(world.folder / "first.db", code, clock=world.clock)
    first = world.reopen("first")
    world.sync(first)
    assert titles(first) == ["已送达", "未上传"]
    assert stages(first) == []
    assert sum(leaf.changeset.statement.dev == first.dev for leaf in world.leaves()) == 1
    assert not fresh.exists()
    assert (world.folder / "first.db.old").exists()


# -- adoption ---------------------------------------------------------------------------------------------------------


def stolen(world: World, **device: object) -> tuple[Path, str]:
    """Return the file of a device that was revoked with work on it, and its id."""
    thief = world.device("thief", **device)  # type: ignore[arg-type]
    key = insert(thief, "task", a_task(title="早先"))
    world.sync(thief)
    made = insert(thief, "task", a_task(title="没送到"))
    thief.commit(note="现场核实")
    update(thief, "task", made, kind="b")
    update(thief, "task", key, title="改过")
    thief.commit()
    revoke(world.centre, thief.dev)
    with pytest.raises(NotAllowedError):
        world.sync(thief)
    insert(thief, "task", a_task(title="没签名"))
    return copy(world, "thief", "found", key=False), thief.dev


def test_a_supervisor_adopts_the_backlog(world: World) -> None:
    """Own key, own role; the note says from which device and number; nothing is adopted twice, by anybody."""
    file, dev = stolen(world)
    boss, other = world.device("boss", staff=("S9",)), world.device("other")
    done = adopt(boss, file)
    assert [seq for seq, _new, _label in done.signed] == [2, 3, 4]
    assert (done.device, done.left, done.known, done.unsigned) == (dev, [], [], 1)
    assert world.sync(boss).accepted == 3
    assert titles(boss) == ["改过", "没送到"]
    notes = world.centre.ledger.conn.execute("SELECT body FROM _sg_leaf WHERE dev = ? ORDER BY idx", (boss.dev,))
    raw = [bytes(body).decode() for (body,) in notes]
    for text, seq in zip(raw, (2, 3, 4), strict=True):
        assert f"补签 {dev}.{seq} " in text
    assert "现场核实" in raw[0]
    assert adopt(boss, file).known == [2, 3, 4]
    with pytest.raises(InputError, match="sync"):
        adopt_with_older(world, file)
    world.sync(other)
    again = adopt(other, file)
    assert (again.signed, again.known) == ([], [2, 3, 4])
    assert conflicts(boss) == []


def adopt_with_older(world: World, file: Path) -> None:
    """Adopt with a replica that has folded less than the file's owner had."""
    replica = world.device("older")
    replica.meta.set(size=0)
    adopt(replica, file)


def test_what_a_supervisor_may_not_write_stays(world: World) -> None:
    """Another area, a column of another role: named with its reason; the rest is adopted."""
    thief = world.device("thief", areas=(EAST, WEST))
    insert(thief, "task", a_task(title="西边", place=WEST))
    thief.commit()
    insert(thief, "task", a_task(title="秘密", secret="内情"))
    thief.commit()
    insert(thief, "task", a_task(title="东边"))
    thief.commit()
    revoke(world.centre, thief.dev)
    file = copy(world, "thief", "found", key=False)
    chief = world.device("chief", "chief")
    done = adopt(chief, file)
    assert [seq for seq, _new, _label in done.signed] == [3]
    assert [seq for seq, _error in done.left] == [1, 2]
    assert WEST in done.left[0][1].en
    assert world.sync(chief).refused == []


def test_changes_of_records_elsewhere_stay(world: World) -> None:
    """A record that the supervisor does not hold is left with its child; a change over others' work is adopted."""
    thief, other = world.device("thief", areas=(EAST, WEST)), world.device("other")
    west = insert(thief, "task", a_task(place=WEST))
    world.sync(thief)
    east = insert(other, "task", a_task())
    world.sync(other)
    world.sync(thief)
    update(thief, "task", west, title="西边改过")
    update(thief, "task", east, title="东边改过")
    insert(thief, "contact", {"task_id": west, "name": "甲"})
    thief.commit()
    revoke(world.centre, thief.dev)
    file = copy(world, "thief", "found", key=False)
    boss = world.device("boss", staff=("S1", "S2"))
    with pytest.raises(NotAllowedError, match="--staff"):
        adopt(boss, file)
    done = adopt(boss, file, "S1")
    assert (len(done.signed), len(done.left)) == (1, 1)
    assert world.sync(boss).refused == []
    assert titles(boss) == ["东边改过"]
    assert conflicts(boss) == []


def test_there_must_be_something_to_enrol_again(world: World) -> None:
    """A name that is no replica is said to be so, before a code is used up."""
    with pytest.raises(StorageError, match="no such file"):
        rejoin(world.folder / "nothing.db", "code")


def test_work_that_the_centre_took_is_not_adopted(world: World) -> None:
    """The push was accepted and its answer lost; the device does not know, the log does."""
    thief = world.device("thief")
    insert(thief, "task", a_task(title="送到了"))
    world.wire.reset()
    world.wire.cut_at = 3  # nonce, push, pull
    with pytest.raises(TransportError):
        world.sync(thief)
    world.wire.reset()
    logged = world.leaf(-1).changeset.statement.dev == thief.dev
    insert(thief, "task", a_task(title="没送到"))
    thief.commit()
    file = copy(world, "thief", "found", key=False)
    boss = world.device("boss")
    done = adopt(boss, file)
    assert (done.known, [seq for seq, *_rest in done.signed]) == (([1], [2]) if logged else ([], [1, 2]))
    assert logged
    world.sync(boss)
    assert titles(boss) == ["没送到", "送到了"]


def test_a_later_write_of_others_stays_visible(world: World) -> None:
    """Adopted values replace only what their author had seen."""
    thief, other = world.device("thief"), world.device("other")
    key = insert(thief, "task", a_task())
    world.sync(thief)
    update(thief, "task", key, title="旧终端写的")
    thief.commit()
    revoke(world.centre, thief.dev)
    file = copy(world, "thief", "found", key=False)
    world.sync(other)
    update(other, "task", key, title="后来写的")
    world.sync(other)
    boss = world.device("boss")
    assert len(adopt(boss, file).signed) == 1
    world.sync(boss)
    (conflict,) = conflicts(boss)
    assert {version.value for version in conflict.versions} == {"旧终端写的", "后来写的"}


def test_a_changed_file_is_not_adopted(world: World, tmp_path: Path) -> None:
    """Values or keys that a thief put in: the signature says no, and nothing is written."""
    file, _dev = stolen(world)
    boss = world.device("boss")
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        body = conn.execute("SELECT body FROM _sg_own WHERE seq = 3").fetchone()[0]
        conn.execute("UPDATE _sg_own SET body = ? WHERE seq = 2", (body,))
    with pytest.raises(FormatError):
        adopt(boss, file)
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        conn.execute("DELETE FROM _sg_row WHERE tbl = 'device'")
    with pytest.raises(SignatureError):
        adopt(boss, file)
    assert boss.conn.execute("SELECT count(*) FROM _sg_own").fetchone() == (0,)
    insert(boss, "task", a_task())
    boss.commit()
    with pytest.raises(InputError, match="own file"):
        adopt(boss, boss.path)
    (tmp_path / "no.db").write_bytes(b"")
    with pytest.raises(StorageError):
        adopt(boss, tmp_path / "no.db")


def test_a_file_of_another_centre_is_not_adopted(world: World, tmp_path: Path) -> None:
    """Its values belong elsewhere."""
    from syncgov.centre.centre import Centre
    from syncgov.centre.drafting import Draft
    from tests.registers import registers

    Centre.init(tmp_path / "there" / "centre", Draft("别处", "log.example/other", "101"), registers()).close()
    with World(tmp_path / "there") as there:
        stranger = there.device("stranger")
        insert(stranger, "task", a_task())
        stranger.commit()
        path = copy(there, "stranger", "copied", key=False)
        boss = world.device("boss")
        with pytest.raises(InputError, match="another centre"):
            adopt(boss, path)


def test_an_old_revocation_does_not_hinder(world: World) -> None:
    """Months later a file turns up in a drawer; it is adopted as on the first day."""
    assert isinstance(world.clock, ManualClock)
    file, _dev = stolen(world)
    world.clock.forward(200 * DAY_MS)
    boss = world.device("boss")
    assert len(adopt(boss, file).signed) == 3
    assert world.sync(boss).refused == []
