"""fsck finds what is wrong with files, at a device and at the centre, and repairs where nothing can be lost."""

from pathlib import Path

import pytest

from syncgov.cli.fsck import rebuild
from syncgov.fsck import Report, fsck
from syncgov.storage.blobs import BlobStore, files_folder
from tests.attaching import add, cut_files, make_world, picture
from tests.helpers import a_task, insert

CENTRE, FIELD = "centre", "pen.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One photo that is at the centre, one that waits on the device."""
    with make_world(tmp_path) as world:
        pen = world.device("pen")
        key = insert(pen, "task", a_task())
        add(pen, key, 1)
        world.sync(pen)
        add(pen, key, 2, "after")
        cut_files(world, pen)
    return tmp_path


def store_of(folder: Path, target: str) -> BlobStore:
    return BlobStore(folder / "centre" / "files" if target == CENTRE else files_folder(folder / target))


def check(folder: Path, target: str, *, repair: bool = False) -> Report:
    return fsck(folder / target, repair=repair, rebuild=rebuild)


def codes(report: Report) -> list[str]:
    return sorted(finding.code for finding in report.findings)


def waiting(folder: Path) -> str:
    """Return a file that is on the device alone."""
    return min(set(store_of(folder, FIELD).names()) - set(store_of(folder, CENTRE).names()))


@pytest.mark.parametrize("target", [CENTRE, FIELD])
def test_files_in_order_are_counted(folder: Path, target: str) -> None:
    """What has not arrived at the centre yet is no damage."""
    report = check(folder, target)
    assert not report.findings
    assert report.counts["files"] == (2 if target == CENTRE else 4)
    assert (target == CENTRE) == any("还没有传到中心" in zh for zh, _en in report.notes)


@pytest.mark.parametrize("target", [CENTRE, FIELD])
def test_a_damaged_file_is_found(folder: Path, target: str) -> None:
    """On a device it can be fetched again, at the centre it may be the only copy."""
    store = store_of(folder, target)
    name = min(set(store.names()) - {waiting(folder)} if target == CENTRE else set(store_of(folder, CENTRE).names()))
    store.path(name).write_bytes(b"\0" + store.read(name)[1:])
    (finding,) = check(folder, target).findings
    assert (finding.code, finding.repairable) == ("file-damaged", target == FIELD)
    assert len(check(folder, target, repair=True).repaired) == (target == FIELD)
    assert store.has(name) == (target == CENTRE)


def test_the_only_copy_of_a_file_is_never_removed(folder: Path) -> None:
    """It waits to be sent: damaged as it is, it stays."""
    store, name = store_of(folder, FIELD), waiting(folder)
    store.path(name).write_bytes(b"\0" + store.read(name)[1:])
    (finding,) = check(folder, FIELD, repair=True).findings
    assert (finding.code, finding.repairable) == ("file-damaged", False)
    assert store.has(name)


@pytest.mark.parametrize("target", [CENTRE, FIELD])
def test_a_missing_file_is_found(folder: Path, target: str) -> None:
    """At the centre what was stored, on the device what waits."""
    store = store_of(folder, target)
    store.remove(waiting(folder) if target == FIELD else min(store.names()))
    (finding,) = check(folder, target, repair=True).findings
    assert (finding.code, finding.repairable) == ("file-missing", False)
    assert "syncgov attach" in finding.en


def test_a_device_need_not_hold_what_the_centre_has(folder: Path) -> None:
    """It fetches it when somebody wants to see it."""
    for name in store_of(folder, CENTRE).names():
        store_of(folder, FIELD).remove(name)
    assert not check(folder, FIELD).findings


@pytest.mark.parametrize("target", [CENTRE, FIELD])
def test_a_file_that_nothing_names_is_found_and_removed(folder: Path, target: str) -> None:
    """The next merge would do the same."""
    name = store_of(folder, target).put(picture(30))
    assert codes(check(folder, target)) == ["file-orphan"]
    after = check(folder, target, repair=True)
    assert not after.findings
    assert [finding.where for finding in after.repaired] == [name]
    assert not store_of(folder, target).has(name)


@pytest.mark.parametrize("target", [CENTRE, FIELD])
def test_a_row_that_says_another_size_is_found(tmp_path: Path, target: str) -> None:
    """Whoever wrote it: the row cannot be changed, so people must know."""
    with make_world(tmp_path) as world:
        pen = world.device("pen")
        key = insert(pen, "task", a_task())
        done = add(pen, key, 1)
        pen.conn.execute("UPDATE photo SET bytes = bytes + 1 WHERE id = ?", (done.key,))
        world.sync(pen)
        store_of(tmp_path, CENTRE).put(picture_of(tmp_path, done.sha256))
    assert codes(check(tmp_path, target)) == ["file-size"]


def picture_of(folder: Path, sha256: str) -> bytes:
    return store_of(folder, FIELD).read(sha256)
