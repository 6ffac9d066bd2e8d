"""One file on one device: who it is, what it refuses to open, and how overlays and conflicts show."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.core.canonical import b64u
from syncgov.errors import ForkError, NotAllowedError, StorageError
from syncgov.storage.keyfile import key_path, load_key
from syncgov.storage.replica import Replica
from tests.helpers import (
    AREA,
    DAY_MS,
    EAST,
    NOW_MS,
    ManualClock,
    World,
    a_task,
    insert,
    row,
    tables,
    update,
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre without devices."""
    with World.make(tmp_path) as found:
        yield found


def shown(replica: Replica, key: str, column: str) -> object:
    """Return one value of a task."""
    found = row(replica, "task", key)
    assert found is not None
    return found[column]


def copy(replica: Replica, target: Path, *, key: bool) -> Path:
    """Copy a replica's file as a backup program would, with or without its key file."""
    with sqlite3.connect(target) as conn:
        replica.conn.backup(conn)
    conn.close()
    if key:
        shutil.copy(key_path(replica.path), key_path(target))
    return target


# -- opening --------------------


def test_what_is_no_replica_is_not_opened(tmp_path: Path, world: World) -> None:
    """Nothing there, not SQLite, another database, no key, a damaged key, another version: named, and not changed."""
    good = world.device("good").path
    missing = tmp_path / "missing.db"
    text = tmp_path / "text.db"
    text.write_text("not a database" * 100)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as conn:
        conn.execute("CREATE TABLE t (x)")
    conn.close()
    no_key = copy(world.replicas["good"], tmp_path / "no_key.db", key=False)
    bad_key = copy(world.replicas["good"], tmp_path / "bad_key.db", key=False)
    key_path(bad_key).write_text('{"seed":"x"}')
    future = copy(world.replicas["good"], tmp_path / "future.db", key=True)
    with sqlite3.connect(future) as conn:
        conn.execute("UPDATE _sg_meta SET value = '2' WHERE key = 'schema'")
    conn.close()
    for path in (missing, text, other, no_key, bad_key, future):
        with pytest.raises(StorageError) as caught:
            Replica.open(path)
        assert type(caught.value) is StorageError, path
    assert not missing.exists()
    Replica.open(good).close()


def test_the_key_file_is_for_its_owner_only(world: World) -> None:
    """Mode 0600, and the key in it is the device's."""
    pen = world.device("pen")
    path = key_path(pen.path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path).key.id == pen.dev
    assert b64u(load_key(path).key.seed).encode() not in pen.path.read_bytes()


def test_a_device_has_the_columns_of_its_roles(world: World) -> None:
    """Private fields have no column on a device that may not read them; unreadable registers have no table."""
    chief, desk = world.device("chief", "chief"), world.device("desk", "desk", (AREA,))
    assert "secret" not in [c.name for c in chief.columns["task"]]
    assert "secret" in [c.name for c in desk.columns["task"]]
    names = {name for (name,) in chief.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "contact" not in names
    assert "notice" in names


# -- own writes that have no verdict --------------------


def test_pending_work_shows_on_top_and_a_refusal_brings_back_what_was(world: World) -> None:
    """The own device shows the own value until the verdict; a refused one stays readable in `_sg_own`."""
    pen, desk = world.device("pen"), world.device("desk", "desk", (AREA,))
    key = insert(pen, "task", a_task())
    world.sync(pen)
    world.sync(desk)
    update(desk, "task", key, tags='["x"]')
    desk.commit()
    assert shown(desk, key, "tags") == '["x"]'
    done = world.sync(desk)
    assert done.refused == [(1, "refused:role")]
    assert shown(desk, key, "tags") is None
    verdict, body = desk.conn.execute("SELECT verdict, body FROM _sg_own WHERE seq = 1").fetchone()
    assert verdict == "refused:role"
    assert b'["x"]' in body


def test_three_own_writes_in_a_row(world: World) -> None:
    """A write over an own pending one repeats what that replaced; after the verdicts one head is left."""
    pen = world.device("pen")
    key = insert(pen, "task", a_task())
    pen.commit()
    for title in ("一", "二", "三"):
        update(pen, "task", key, title=title)
        pen.commit()
    assert shown(pen, key, "title") == "三"
    assert world.sync(pen).accepted == 4
    assert shown(pen, key, "title") == "三"
    assert not pen.conn.execute("SELECT * FROM conflict").fetchall()


def test_a_refused_write_in_the_middle_leaves_one_head(world: World) -> None:
    """What stands on a refused write replaces what that one wanted to replace."""
    pen, desk = world.device("pen"), world.device("desk", "desk", (AREA,))
    key = insert(pen, "task", a_task())
    world.sync(pen)
    world.sync(desk)
    update(desk, "task", key, title="一", tags='["not mine"]')
    desk.commit()
    update(desk, "task", key, title="二")
    desk.commit()
    done = world.sync(desk)
    assert (done.accepted, [seq for seq, _why in done.refused]) == (1, [1])
    assert shown(desk, key, "title") == "二"
    assert not desk.conn.execute("SELECT * FROM conflict").fetchall()


def test_unsigned_writes_survive_a_merge(world: World) -> None:
    """What is written while a sync runs is signed first, then merged as a concurrent write."""
    pen, desk = world.device("pen"), world.device("desk", "desk", (AREA,))
    key = insert(pen, "task", a_task(kind="a"))
    world.sync(pen)
    world.sync(desk)
    update(pen, "task", key, kind="b")
    update(desk, "task", key, kind="c", urgency=None)
    world.sync(desk)
    world.sync(pen)
    world.sync(desk)
    assert tables(pen)["conflict"] == tables(desk)["conflict"]
    assert shown(pen, key, "kind") == "c"  # the first to arrive stands until the desk decides
    assert {value for (value,) in pen.conn.execute("SELECT value FROM conflict")} == {'"b"', '"c"'}


def test_the_conflict_view_says_what_who_when(world: World) -> None:
    """Each head with its author, device, number and time; resolving it ends the conflict everywhere."""
    pen, desk = world.device("pen", staff=("S1",)), world.device("desk", "desk", (AREA,), ("S9",))
    key = insert(pen, "task", a_task(kind="a"))
    world.sync(pen)
    world.sync(desk)
    update(pen, "task", key, kind="b")
    update(desk, "task", key, kind="c")
    for each in (pen, desk, pen):
        world.sync(each)
    sql = "SELECT register, key, field, value, shows, staff, device, seq FROM conflict ORDER BY staff"
    assert desk.conn.execute(sql).fetchall() == [
        ("task", key, "kind", '"b"', '"b"', "S1", pen.dev, 2),
        ("task", key, "kind", '"c"', '"b"', "S9", desk.dev, 1),
    ]
    update(desk, "task", key, kind="a")
    assert world.sync(desk).accepted == 1
    world.sync(pen)
    assert shown(pen, key, "kind") == "a"
    for each in (pen, desk):
        assert not each.conn.execute(sql).fetchall()


def test_a_concurrent_edit_keeps_a_deleted_row(world: World) -> None:
    """A row lives while any presence is true; the deletion is a conflict, not a loss."""
    pen, desk = world.device("pen"), world.device("desk", "desk", (AREA,))
    key = insert(pen, "task", a_task())
    world.sync(pen)
    world.sync(desk)
    pen.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    update(desk, "task", key, title="还在")
    world.sync(desk)
    world.sync(pen)
    world.sync(desk)
    for each in (pen, desk):
        assert shown(each, key, "title") == "还在"
        assert {field for (field,) in each.conn.execute("SELECT field FROM conflict")} == {"_alive"}


# -- clocks --------------------


@pytest.mark.parametrize(("wrong", "effective"), [(-NOW_MS, "floor"), (365 * DAY_MS, "received")])
def test_a_wrong_clock_counts_within_the_receipts(world: World, wrong: int, effective: str) -> None:
    """1970 counts as the newest leaf it had seen, next year as the receipt; neither is refused nor drags others on."""
    clock = ManualClock(NOW_MS + wrong)
    pen, desk = world.device("pen", clock=clock), world.device("desk", "desk", (AREA,))
    assert isinstance(world.clock, ManualClock)
    world.clock.forward(5_000)
    insert(pen, "task", a_task())
    pen.conn.execute("UPDATE _sg_touched SET at = ?", (clock.now,))  # SQLite's own clock is as wrong as the device's
    assert world.sync(pen).accepted == 1
    leaf = world.leaf(-1)
    assert leaf.floor == NOW_MS
    assert leaf.received == NOW_MS + 5_000
    assert leaf.effective[0] == {"floor": leaf.floor, "received": leaf.received}[effective]
    world.sync(desk)
    assert desk.meta.get_int("clock_at") <= leaf.received


# -- copies --------------------


def test_a_restored_replica_fetches_its_own_entries(world: World, tmp_path: Path) -> None:
    """Older than its key file: it signs nothing, takes back what the centre has, and goes on without a fork."""
    pen = world.device("pen")
    backup = copy(pen, tmp_path / "backup.db", key=False)
    keys = [insert(pen, "task", a_task(title=title)) for title in ("一", "二")]
    world.sync(pen)
    pen.close()
    shutil.copy(backup, pen.path)
    for suffix in ("-wal", "-shm"):
        pen.path.with_name(pen.path.name + suffix).unlink(missing_ok=True)
    pen = world.reopen("pen")
    third = insert(pen, "task", a_task(title="三"))
    with pytest.raises(StorageError, match="older than its key file"):
        pen.commit()
    assert row(pen, "task", third) is not None
    world.sync(pen)
    assert [row(pen, "task", key) is not None for key in (*keys, third)] == [True] * 3
    assert world.leaf(-1).verdict == "accepted"
    assert [st.seq for st in (leaf.changeset.statement for leaf in world.leaves()) if st.dev == pen.dev] == [1, 2, 3]


def test_a_restored_replica_whose_work_never_arrived_must_enrol_again(world: World, tmp_path: Path) -> None:
    """A dot that may have left the device is never used a second time."""
    pen = world.device("pen")
    backup = copy(pen, tmp_path / "backup.db", key=False)
    insert(pen, "task", a_task())
    world.wire.cut_at = len(world.wire.paths) + 2  # the push never arrives
    with pytest.raises(Exception, match="cannot reach"):
        world.sync(pen)
    world.wire.reset()
    pen.close()
    shutil.copy(backup, pen.path)
    for suffix in ("-wal", "-shm"):
        pen.path.with_name(pen.path.name + suffix).unlink(missing_ok=True)
    pen = world.reopen("pen")
    with pytest.raises(NotAllowedError, match="enrol again"):
        world.sync(pen)


def test_two_copies_in_use_are_noticed(world: World, tmp_path: Path) -> None:
    """When both have signed, what the centre has does not continue the older copy."""
    pen = world.device("pen")
    insert(pen, "task", a_task())
    pen.commit()
    clone_path = copy(pen, tmp_path / "clone.db", key=True)
    insert(pen, "task", a_task())
    world.sync(pen)
    shutil.copy(key_path(pen.path), key_path(clone_path))
    clone = world.reopen("clone")
    clone.conn.execute("UPDATE _sg_meta SET value = ? WHERE key = 'last_hash'", (b64u(bytes(32)),))
    with pytest.raises(ForkError):
        world.sync(clone)


def test_held_values_can_be_read(world: World) -> None:
    """What a merge had to put aside is kept as JSON."""
    pen, desk = world.device("pen"), world.device("desk", "desk", (AREA,))
    key = insert(pen, "task", a_task())
    world.sync(pen)
    world.sync(desk)
    update(pen, "task", key, tags=json.dumps(["x"] * 6), title="放不下")  # cannot be signed
    update(desk, "task", key, title="新")
    world.sync(desk)
    assert world.sync(pen).problems
    ((why, columns),) = pen.conn.execute("SELECT why, columns FROM _sg_held WHERE key = ?", (key,)).fetchall()
    assert json.loads(columns)["title"] == "放不下"
    assert why
    assert shown(pen, key, "title") == "新"
    assert shown(pen, key, "place") == EAST
