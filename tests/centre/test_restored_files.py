"""Attachments of a centre that comes back: from the backup, from its own folder, from devices, from a closed log."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.centre import files
from syncgov.centre.backup import backup, unpack
from syncgov.centre.closing import close_log
from syncgov.centre.restore import Restored, Sources, restore
from syncgov.errors import InputError
from syncgov.storage.blobs import files_folder
from syncgov.storage.file_queue import blobs, waiting
from syncgov.storage.replica import Replica
from tests.attaching import add, make_world
from tests.helpers import World, a_task, insert
from tests.recovering import assert_sound, burn, revive, root_keys


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A task with a photo and its thumbnail at the centre, and last night's backup of both."""
    with make_world(tmp_path / "w") as found:
        pen = found.device("pen")
        add(pen, insert(pen, "task", a_task()))
        assert found.sync(pen).files.stored == 2
        backup(found.centre.path, tmp_path / "night.backup", found.clock())
        yield found


@pytest.fixture
def pen(world: World) -> Replica:
    """The device that took the photos."""
    return world.replicas["pen"]


def stored(world: World) -> set[str]:
    """Return the whole files at the centre; each is noted."""
    noted = world.centre.ledger.conn.execute("SELECT sha256 FROM _sg_blob").fetchall()
    names = set(files.file_store(world.centre).names())
    assert {sha256 for (sha256,) in noted} == names
    return names


def one_more(world: World, pen: Replica) -> str:
    """Bring another photo after the backup; returns its SHA-256."""
    (key,) = pen.conn.execute("SELECT id FROM task").fetchone()
    done = add(pen, key, 1, "after")
    assert world.sync(pen).files.stored == 2
    return done.sha256


def restored(world: World, tmp_path: Path, sources: Sources, *keep: str, to_close: bool = False) -> Restored:
    """Lose the centre and restore it from the backup."""
    return restore(burn(world, keep=keep), tmp_path / "night.backup", sources, to_close=to_close)


def test_a_backup_holds_the_attachments(world: World, pen: Replica, tmp_path: Path) -> None:
    """Each under its SHA-256; they are back with the database, private to the centre."""
    names = set(blobs(pen).names())
    assert len(names) == 2
    with zipfile.ZipFile(tmp_path / "night.backup") as archive:
        assert {name[-64:] for name in archive.namelist() if name.startswith("files/")} == names
    done = restored(world, tmp_path, Sources(), "copy.log")
    assert (done.complete, done.files, done.files_missing) == (True, 2, 0)
    again = revive(world)
    assert stored(again) == names
    folder = again.centre.path / "files"
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}
    assert_sound(again)
    again.close()


def test_a_photo_newer_than_the_backup_comes_from_a_device(world: World, pen: Replica, tmp_path: Path) -> None:
    """What lies beside a replica is compared with its name; without the device it is counted as missing."""
    later = one_more(world, pen)
    done = restored(world, tmp_path, Sources(), "copy.log")
    assert (done.complete, done.files, done.files_missing) == (True, 2, 2)
    found = files_folder(pen.path) / later[:2] / later
    whole = found.read_bytes()
    found.write_bytes(whole[:-2] + b"xx")
    shutil.copy(tmp_path / "w" / "lost" / "copy.log", world.centre.path / "copy.log")
    (world.centre.path / "central.db").unlink()
    done = restore(world.centre.path, tmp_path / "night.backup", Sources(devices=[pen.path]))
    assert (done.files, done.files_missing) == (3, 1)
    found.write_bytes(whole)
    (world.centre.path / "central.db").unlink()
    done = restore(world.centre.path, tmp_path / "night.backup", Sources(devices=[pen.path]))
    assert (done.files, done.files_missing) == (4, 0)
    again = revive(world)
    assert stored(again) == set(blobs(pen).names())
    assert_sound(again)
    again.close()


def test_files_that_outlived_the_database_stay_and_are_noted(world: World, pen: Replica, tmp_path: Path) -> None:
    """Only the database was lost: newer photos lie in the folder still."""
    one_more(world, pen)
    world.wire.client.__exit__(None, None, None)
    world.centre.close()
    (world.centre.path / "central.db").unlink()
    done = restore(world.centre.path, tmp_path / "night.backup", Sources())
    assert (done.complete, done.files, done.files_missing) == (True, 4, 0)
    again = revive(world)
    assert stored(again) == set(blobs(pen).names())
    assert_sound(again)
    again.close()


@pytest.mark.parametrize("outlived", [False, True])
def test_after_a_closed_log_devices_bring_their_photos_again(
    world: World, pen: Replica, tmp_path: Path, outlived: bool
) -> None:
    """Rows and photos newer than the backup are gone; the device sends both to the next log, once."""
    one_more(world, pen)
    lost = world.centre.path.with_name("lost")
    folder = burn(world)
    if outlived:
        shutil.copytree(lost / "files", folder / "files")
    assert not restore(folder, tmp_path / "night.backup", Sources(), to_close=True).complete
    close_log(folder, root_keys(lost), clock=world.clock)
    again = revive(world)
    done = again.sync(pen)
    assert (bool(done.closed), done.files.stored, done.files.left) == (True, 4, 0)
    assert stored(again) == set(blobs(pen).names())
    assert not waiting(pen)
    assert again.sync(pen).files.stored == 0
    assert_sound(again)
    again.close()


def test_a_damaged_attachment_is_named_and_does_not_hinder_the_backup(
    world: World, pen: Replica, tmp_path: Path
) -> None:
    """Of yesterday's backup it is whole."""
    broken, whole = sorted(blobs(pen).names())
    files.file_store(world.centre).path(broken).write_bytes(b"broken")
    done = backup(world.centre.path, tmp_path / "next.backup", world.clock())
    assert (done.files, done.damaged) == (1, (broken,))
    unpack(tmp_path / "next.backup", tmp_path / "unpacked")
    assert [path.name for path in (tmp_path / "unpacked" / "files").rglob("*") if path.is_file()] == [whole]


@pytest.mark.parametrize("name", ["files/ab/../../../x", "files/ab/" + "ab" * 32, "files/x"])
def test_a_backup_with_a_foreign_file_in_it_is_refused(world: World, tmp_path: Path, name: str) -> None:
    """A member must lie where its SHA-256 says; nothing is written anywhere else."""
    with zipfile.ZipFile(tmp_path / "night.backup") as archive:
        members = {each: archive.read(each) for each in archive.namelist()}

    manifest = json.loads(members["manifest.json"])
    manifest["files"][name] = hashlib.sha256(b"x").hexdigest()
    with zipfile.ZipFile(tmp_path / "bad.backup", "w") as archive:
        for each, data in {**members, "manifest.json": json.dumps(manifest).encode(), name: b"x"}.items():
            archive.writestr(each, data)
    with pytest.raises(InputError):
        unpack(tmp_path / "bad.backup", tmp_path / "unpacked")
    assert not [path for path in tmp_path.rglob("x") if path.is_file()]
