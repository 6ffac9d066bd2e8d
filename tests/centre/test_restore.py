"""Backups, and a centre that comes back: with the same tree, or not at all."""

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from syncgov.centre.backup import backup, unpack
from syncgov.centre.centre import Centre
from syncgov.centre.closing import close_log
from syncgov.centre.enrolment import enrol
from syncgov.centre.restore import Missing, Sources, restore
from syncgov.errors import ForkError, InputError, LogError, LostEntriesError, NotAllowedError, RemoteError, StorageError
from syncgov.publish.publish import publish
from syncgov.storage.replica import Replica
from syncgov.sync import joining
from tests.helpers import AREA, URL, WEST, World, insert, lasting_folder, new_key, row, update
from tests.recovering import assert_sound, burn, leaves_of, revive, root_keys, titles, work


class Place:
    """A street with three devices, last night's backup, and work since; `out` was published in between."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder / "w")
        self.pen, self.desk, self.west = (self.world.reopen(name) for name in ("pen", "desk", "west"))
        self.backup, self.out = folder / "night.backup", folder / "out"
        with zipfile.ZipFile(self.backup) as archive:
            self.made = int(json.loads(archive.read("manifest.json"))["size"])
        self.leaves = [leaf.raw for leaf in self.world.leaves()]

    @classmethod
    def make(cls, folder: Path) -> "Place":
        """Make one from nothing."""
        with World.make(folder / "w") as world:
            pen, desk = world.device("pen"), world.device("desk", "desk", (AREA,))
            west = world.device("west", areas=[WEST])
            work(world, pen, "一")
            backup(world.centre.path, folder / "night.backup", world.clock())
            (second,) = work(world, pen, "二")
            publish(world.centre, folder / "out", portal=False)
            insert(pen, "contact", {"id": new_key(1), "task_id": second, "phone": "000-0000001"})
            (third,) = work(world, pen, "三")
            world.sync(desk)
            update(desk, "task", third, kind="b", secret="内情")
            for device in (desk, pen, west):
                world.sync(device)
        return cls(folder)

    def key(self, title: str) -> str:
        """Return the key of a task."""
        return str(self.pen.conn.execute("SELECT id FROM task WHERE title = ?", (title,)).fetchone()[0])

    def devices(self) -> tuple[Path, Path]:
        """Return the files of both devices."""
        return self.pen.path, self.desk.path


@cache
def _template() -> Path:
    folder = lasting_folder()
    Place.make(folder).world.close()
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a street with last night's backup and a day's work since."""
    shutil.copytree(_template(), tmp_path / "street")
    return Place(tmp_path / "street")


def assert_goes_on(place: Place) -> World:
    """Open the restored centre; assert that it is the same log, for devices too; returns the world."""
    world = revive(place.world)
    assert [leaf.raw for leaf in world.leaves()] == place.leaves
    for replica in (place.pen, place.desk):
        done = world.sync(replica)
        assert (done.refused, done.rejected, done.problems) == ([], [], [])
    work(world, place.pen, "四")
    world.sync(place.desk)
    assert titles(place.desk) == titles(place.pen) == ["一", "三", "二", "四"]
    found = row(place.desk, "task", place.key("三"))
    assert found is not None
    assert (found["kind"], found["secret"]) == ("b", "内情")
    assert_sound(world)
    return world


def test_last_nights_copy_and_the_second_copy_give_the_same_log(place: Place) -> None:
    """Nothing is lost, devices notice nothing, the next checkpoint extends the last one."""
    centre = burn(place.world, keep=["copy.log"])
    done = restore(centre, place.backup, Sources())
    assert (done.complete, done.before, done.size, done.missing) == (True, place.made, len(place.leaves), [])
    assert sorted(path.name for path in (centre / "keys").iterdir()) == ["age.key", "log.key", "registrar.key"]
    assert not (centre / ".restoring").exists()
    assert_goes_on(place).close()


def test_a_second_copy_on_another_disk(place: Place, tmp_path: Path) -> None:
    """`--copy` names it; the centre gets a copy of its own again."""
    shutil.copy(place.world.centre.path / "copy.log", tmp_path / "second")
    centre = burn(place.world)
    assert restore(centre, place.backup, Sources(copy=tmp_path / "second")).complete
    assert_goes_on(place).close()


def test_a_database_put_back_by_hand_names_the_command_and_is_repaired_in_place(place: Place) -> None:
    """`serve` on an old database says `syncgov restore`; that needs nothing but what lies in the folder."""
    folder = place.world.folder / "unpacked"
    unpack(place.backup, folder)
    lost = place.world.centre.path
    burn(place.world, keep=["copy.log", "charter.json"])
    shutil.copytree(lost.with_name("lost") / "keys", lost / "keys")
    shutil.copy(folder / "central.db", lost / "central.db")
    with pytest.raises(StorageError, match=f"syncgov restore {lost}"):
        Centre(lost, clock=place.world.clock)
    assert restore(lost, None, Sources()).complete
    assert (lost / "central.db.before").is_file()
    assert_goes_on(place).close()


def test_without_the_second_copy_published_folder_and_devices_are_enough(place: Place) -> None:
    """The public part comes from the folder, the rest from the devices; what nobody has is listed."""
    centre = burn(place.world)
    done = restore(centre, place.backup, Sources(published=place.out, devices=place.devices()))
    assert (done.complete, done.size) == (True, len(place.leaves))
    # who wrote a row of the registrar's own is told to nobody: that one value is gone, and named
    registrar = place.world.centre.registrar.id
    assert {(each.device, each.hidden) for each in done.incomplete} == {(registrar, 1)}
    assert_goes_on(place).close()


def test_an_old_backup_over_a_newer_database_takes_nothing_back(place: Place) -> None:
    """What the database in place still holds is a source too, and its checkpoint counts."""
    centre = place.world.centre.path
    place.world.wire.client.__exit__(None, None, None)
    place.world.centre.close()
    (centre / "copy.log").unlink()
    done = restore(centre, place.backup, Sources())
    assert (done.complete, done.before, done.size, done.incomplete) == (True, place.made, len(place.leaves), [])
    assert_goes_on(place).close()


def test_what_is_missing_is_listed_and_nothing_is_restored(place: Place) -> None:
    """A device that may not see the lost entries proves that they were signed; the folder alone ends where it ends."""
    centre = burn(place.world)
    with pytest.raises(LostEntriesError, match=r"--to-close[^$]*syncgov close-log") as lost:
        restore(centre, place.backup, Sources(devices=[place.west.path]))
    missing = [each for each in lost.value.missing if isinstance(each, Missing)]
    assert len(missing) >= 3
    assert {(each.device, each.hidden) for each in missing} == {("", 0)}
    assert {each.index for each in missing} <= set(range(place.made, len(place.leaves)))
    assert not (centre / "central.db").exists()
    assert not (centre / ".restoring").exists()
    shutil.rmtree(centre)
    done = restore(centre, place.backup, Sources(published=place.out))
    assert done.complete  # the folder knows of no newer checkpoint
    assert done.size < len(place.leaves)


def test_a_backup_alone_is_not_enough(place: Place) -> None:
    """Nobody can know what was signed after it: refused, with the two commands."""
    centre = burn(place.world)
    with pytest.raises(LostEntriesError, match=r"--to-close[^$]*syncgov close-log"):
        restore(centre, place.backup, Sources())
    assert not (centre / "central.db").exists()


def test_a_centre_kept_for_closing_does_not_serve(place: Place) -> None:
    """What is left is put in place, but opens only to be closed."""
    centre = burn(place.world)
    done = restore(centre, place.backup, Sources(devices=[place.west.path]), to_close=True)
    assert (done.complete, done.size, done.signed) == (False, place.made, len(place.leaves))
    with pytest.raises(StorageError, match="syncgov close-log"):
        Centre(centre, clock=place.world.clock)
    closed = close_log(centre, root_keys(centre.with_name("lost")), clock=place.world.clock)
    assert (closed.kept, closed.lost) == (place.made, len(place.leaves) - place.made)


def test_sources_of_another_log_are_refused(place: Place, tmp_path: Path) -> None:
    """Another centre's copy, folder or replica is told from this one's, and nothing changes."""
    other = Place.make(tmp_path)
    centre = burn(place.world)
    theirs = other.world.centre.path
    for sources in (
        Sources(copy=theirs / "copy.log"),
        Sources(published=other.out),
        Sources(devices=[other.pen.path]),
        Sources(published=tmp_path),
        Sources(devices=[place.backup]),
    ):
        with pytest.raises(InputError):
            restore(centre, place.backup, sources)
        assert not (centre / "central.db").exists()
    other.world.close()


def cut(data: bytes) -> bytes:
    """Return the first half."""
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    """Return the bytes with one of them changed, inside the database."""
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [cut, flipped, lambda _data: b"", lambda data: data[:-3]])
def test_a_damaged_backup_is_refused(place: Place, damage: Callable[[bytes], bytes]) -> None:
    """Cut short, or with a byte changed: it is said, and the folder stays as it is."""
    centre = burn(place.world, keep=["copy.log"])
    place.backup.write_bytes(damage(place.backup.read_bytes()))
    with pytest.raises(InputError, match="not a whole backup"):
        restore(centre, place.backup, Sources())
    assert [path.name for path in centre.iterdir()] == ["copy.log"]


@pytest.mark.parametrize(
    ("name", "data"), [("charter.json", b"{}"), ("keys/../../escaped", b"x"), ("roots/root-1.key", b"x")]
)
def test_a_backup_whose_members_were_exchanged_is_refused(place: Place, name: str, data: bytes) -> None:
    """A member that the manifest does not vouch for is refused, wherever its name leads."""
    centre = burn(place.world, keep=["copy.log"])
    other = place.backup.with_name("other.backup")
    with zipfile.ZipFile(place.backup) as old, zipfile.ZipFile(other, "w") as new:
        for member in old.namelist():
            if member != name:
                new.writestr(member, old.read(member))
        new.writestr(name, data)
    with pytest.raises(InputError, match="not a whole backup"):
        restore(centre, other, Sources())
    assert [path.name for path in centre.iterdir()] == ["copy.log"]


def test_a_backup_is_private_whole_and_consistent(place: Place, tmp_path: Path) -> None:
    """Mode 0600, no root keys, no left-overs, and nothing but a whole log in it, while the centre writes on."""
    assert place.backup.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(place.backup) as archive:
        keys = {f"keys/{name}.key" for name in ("age", "log", "registrar")}
        assert set(archive.namelist()) == {"manifest.json", "central.db", "charter.json"} | keys
    assert not list(place.backup.parent.glob(".night*"))
    with pytest.raises(StorageError, match="exists already"):
        backup(place.world.centre.path, place.backup, 0)
    bare = backup(place.world.centre.path, tmp_path, 7, keys=False)
    assert (bare.signed, bare.size, bare.bytes) == (len(place.leaves), len(place.leaves), bare.file.stat().st_size)
    assert bare.file == tmp_path / "syncgov-7.backup"
    centre = burn(place.world, keep=["copy.log"])
    with pytest.raises(StorageError, match=r"log\.key"):
        restore(centre, bare.file, Sources())
    place.world.centre.close()


def test_codes_handed_out_before_are_void(place: Place) -> None:
    """A code may have been used since the backup; after a restoration none of the old ones works."""
    code = enrol(place.world.centre, "worker", [AREA])[0]
    later = place.backup.with_name("later.backup")
    backup(place.world.centre.path, later, 0)
    centre = burn(place.world, keep=["copy.log"])
    restore(centre, later, Sources())
    with revive(place.world) as world:
        used = world.centre.ledger.conn.execute("SELECT used FROM _sg_code WHERE used = 'restored'").fetchall()
        assert len(used) == 1
        with pytest.raises(NotAllowedError), world.line():
            joining.join(world.folder / "late.db", URL, code, clock=world.clock)


def test_a_restoration_does_not_touch_a_serving_centre(place: Place) -> None:
    """While another process has the database open, nothing is replaced."""
    with pytest.raises(StorageError, match="stop the server"):
        restore(place.world.centre.path, place.backup, Sources())
    place.world.close()


def test_a_centre_that_signs_another_tree_is_caught(place: Place) -> None:
    """An operator who puts the old database back and deletes the second copy is found out by the next sync."""
    folder = place.world.folder / "unpacked"
    unpack(place.backup, folder)
    centre = burn(place.world)
    shutil.copytree(centre.with_name("lost") / "keys", centre / "keys")
    for name in ("central.db", "charter.json"):
        shutil.copy(folder / name, centre / name)
    world = revive(place.world)
    with pytest.raises((LogError, RemoteError)):
        world.sync(place.pen)  # the log is shorter than the one it has seen
    other = world.device("other")
    for number in range(len(place.leaves)):
        work(world, other, str(number))
    with pytest.raises(ForkError):
        world.sync(place.desk)
    assert titles(place.desk) == ["一", "三", "二"]  # nothing of it was taken
    world.close()


def test_the_centre_signs_no_tree_that_denies_its_own_checkpoint(place: Place) -> None:
    """If the database no longer leads to the checkpoint in it, nothing more is signed."""
    path = place.world.centre.path
    place.world.close()
    conn = sqlite3.connect(path / "central.db", isolation_level=None)
    conn.execute("UPDATE _sg_hash SET hash = zeroblob(32) WHERE level = 0 AND n = 1")
    conn.execute("UPDATE _sg_hash SET hash = zeroblob(32) WHERE level > 0")
    conn.execute("UPDATE _sg_meta SET value = value - 1 WHERE key = 'size'")
    conn.execute("DELETE FROM _sg_leaf WHERE idx = (SELECT max(idx) FROM _sg_leaf)")
    conn.close()
    (path / "copy.log").unlink()
    before = leaves_of(path)
    with pytest.raises(StorageError, match="nothing was signed"):
        Centre(path, clock=place.world.clock)
    assert leaves_of(path) == before


def test_devices_keep_what_they_sent(place: Place) -> None:
    """Own bodies stay whole on the device after their verdict: they are what a centre is rebuilt from."""
    with Replica.open(place.pen.path) as again:
        found = again.conn.execute("SELECT count(*), min(length(body)) FROM _sg_own WHERE idx IS NOT NULL").fetchone()
    assert found[0] >= 3
    assert found[1] > 0
