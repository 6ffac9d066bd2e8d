"""Adding files on a device: the row, the queue, the folder beside the replica; and what nothing names any more."""

import errno
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.errors import InputError, NotAllowedError, StorageError
from syncgov.storage import blobs as blobs_module
from syncgov.storage.attaching import attach, attachments_of, files_of
from syncgov.storage.blobs import MAX_PARTIAL, BlobStore, files_folder
from syncgov.storage.connection import transaction
from syncgov.storage.file_queue import FileStage, blobs, drop_unreferenced, enqueue, row_files, waiting
from syncgov.storage.replica import Replica
from syncgov.storage.resubmitting import resubmit
from tests.attaching import CAMERA_CANARY, GPS_CANARY, add, cut_files, pen_world, picture
from tests.helpers import AREA, EAST, WEST, World, a_task, held_bytes, insert, row, update


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre whose tasks have files, and a worker's device."""
    with pen_world(tmp_path) as found:
        yield found


def names(replica: Replica) -> set[str]:
    return set(blobs(replica).names())


def erase(conn: sqlite3.Connection, key: str, *fields: str) -> None:
    """Take values out of a row of files, as an erasure does."""
    state = json.loads(conn.execute("SELECT state FROM _sg_row WHERE tbl = 'photo' AND key = ?", (key,)).fetchone()[0])
    for name in fields:
        del state[name]
        conn.execute(f"UPDATE photo SET {name} = NULL WHERE id = ?", (key,))
    sql = "UPDATE _sg_row SET state = ? WHERE tbl = 'photo' AND key = ?"
    conn.execute(sql, (json.dumps(state).encode(), key))


def test_a_photo_becomes_a_row_that_the_next_commit_signs(world: World, pen: Replica, task: str) -> None:
    """By ordinary SQL, in the same changeset as its record."""
    done = add(pen, task)
    found = row(pen, "photo", done.key)
    assert found is not None
    assert (found["task_id"], found["sha256"], found["bytes"]) == (task, done.sha256, done.bytes)
    assert (found["kind"], found["phase"], found["media_type"]) == ("photo", "before", "image/jpeg")
    assert names(pen) == {found["sha256"], found["small"]}
    assert blobs(pen).size(done.sha256) == done.bytes
    assert pen.commit().signed == [(1, ("task", task))]
    assert world.sync(pen).accepted == 1


def test_no_canary_of_the_camera_stays_on_the_device(pen: Replica, task: str) -> None:
    """Neither in the files beside the replica nor in the replica."""
    raw = picture(exif=True)
    attach(pen, "task", task, raw, phase="after")
    pen.commit()
    everything = held_bytes(pen) + b"".join(p.read_bytes() for p in files_folder(pen.path).rglob("*") if p.is_file())
    assert len(everything) > 5000
    for canary in (GPS_CANARY, CAMERA_CANARY):
        assert canary.encode() in raw
        assert canary.encode() not in everything


def test_the_same_photo_twice_is_one_file(pen: Replica, task: str) -> None:
    """Two rows, one file, one place in the queue."""
    one, other = add(pen, task, 5), add(pen, task, 5, "after")
    assert one.sha256 == other.sha256
    assert one.key != other.key
    assert len(names(pen)) == 2
    pen.commit()
    assert len(waiting(pen)) == 2  # photo and thumbnail


def test_a_document_is_kept_as_it_is(pen: Replica, task: str) -> None:
    """And told so: nothing was cleaned."""
    raw = b"%PDF-1.4\n" + b"x" * 100
    done = attach(pen, "task", task, raw)
    assert (done.kind, done.media_type, done.cleaned) == ("paper", "application/pdf", False)
    assert blobs(pen).read(done.sha256) == raw
    assert (row(pen, "photo", done.key) or {})["small"] is None


@pytest.mark.parametrize(
    ("raw", "options", "words"),
    [
        (b"OggS" + bytes(50), {}, "takes no audio/ogg"),
        (picture(), {"kind": "paper"}, "takes no image/jpeg"),
        (picture(), {"kind": "film"}, "no kind 'film'"),
        (picture(), {"phase": "later"}, "no phase 'later'; known: before, after"),
        (b"%PDF-" + bytes(600_000), {}, "larger than 0.6 MB"),
        (b"MZ" + bytes(50), {}, "no photo that can be used"),
    ],
)
def test_what_the_register_does_not_take_is_refused_in_words(
    pen: Replica, task: str, raw: bytes, options: dict[str, str], words: str
) -> None:
    """And leaves nothing behind."""
    with pytest.raises(InputError, match=words) as caught:
        attach(pen, "task", task, raw, **options)
    assert caught.value.zh
    assert not names(pen)
    assert pen.conn.execute("SELECT count(*) FROM photo").fetchone() == (0,)


def test_a_record_has_only_so_many_files(pen: Replica, task: str) -> None:
    """Four here; another record has its own four."""
    for seed in range(4):
        add(pen, task, seed)
    with pytest.raises(InputError, match="4 files already"):
        add(pen, task, 9)
    add(pen, insert(pen, "task", a_task()), 9)


def test_only_records_that_are_here_get_files(world: World, pen: Replica, task: str) -> None:
    """Unknown key, unknown register, a register without files, a role that may not."""
    with pytest.raises(InputError, match="is here; check the key"):
        add(pen, "no-such-key")
    with pytest.raises(InputError, match="no register named"):
        attachments_of(pen, "nothing")
    with pytest.raises(InputError, match="can have no files"):
        attachments_of(pen, "payment")
    assert attachments_of(pen, "photo") == attachments_of(pen, "task")
    world.sync(pen)
    viewer = world.device("chief", "chief")
    with pytest.raises(NotAllowedError, match="only desk, worker may"):
        add(viewer, task)


def test_a_full_disk_is_told_and_nothing_is_half_there(
    pen: Replica, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row without its file; afterwards it works."""

    def full(path: Path, _data: bytes, *, mode: int) -> None:
        error = OSError(errno.ENOSPC, "No space left on device")
        raise StorageError(f"无法写入 {path}", f"cannot write {path}") from error

    monkeypatch.setattr(blobs_module, "write_atomic", full)
    with pytest.raises(StorageError) as caught:
        add(pen, task)
    assert "存储空间已满" in caught.value.zh
    assert "disk is full" in caught.value.en
    assert pen.conn.execute("SELECT count(*) FROM photo").fetchone() == (0,)
    assert not row_files(pen)
    monkeypatch.undo()
    add(pen, task)
    assert pen.commit().signed


def test_files_are_private_to_their_owner(pen: Replica, task: str) -> None:
    """Others on this machine can read neither folder nor files."""
    done = add(pen, task)
    path = blobs(pen).path(done.sha256)
    assert path.stat().st_mode & 0o077 == 0
    assert files_folder(pen.path).stat().st_mode & 0o077 == 0


# -- what nothing names --------------------


def test_a_row_that_was_never_signed_takes_its_file_along(pen: Replica, task: str) -> None:
    """The worker deleted it before commit."""
    done, kept = add(pen, task, 1), add(pen, task, 2)
    pen.conn.execute("DELETE FROM photo WHERE id = ?", (done.key,))
    gone = drop_unreferenced(pen)
    assert done.sha256 in gone
    assert names(pen) == {kept.sha256, (row(pen, "photo", kept.key) or {})["small"]}
    assert {each.key for each in row_files(pen)} == {kept.key}


def test_an_erased_row_takes_its_file_and_thumbnail_along(world: World, pen: Replica, task: str) -> None:
    """Also from the queue, sent or not; a file that another row names stays."""
    done, shared, other = add(pen, task, 1), add(pen, task, 2), add(pen, task, 2, "after")
    world.sync(pen)
    small = (row(pen, "photo", done.key) or {})["small"]
    with transaction(pen.conn):
        erase(pen.conn, done.key, "sha256", "small")
        erase(pen.conn, shared.key, "sha256", "small")
    assert set(drop_unreferenced(pen)) == {done.sha256, small}
    assert other.sha256 in names(pen)
    assert not blobs(pen).path(done.sha256).exists()


def test_an_erased_row_whose_file_was_not_sent_yet_is_not_sent(world: World, pen: Replica, task: str) -> None:
    """The row is here and names nothing any more."""
    done = add(pen, task)
    assert cut_files(world, pen) is not None
    assert len(waiting(pen)) == 2
    with transaction(pen.conn):
        erase(pen.conn, done.key, "sha256", "small")
    drop_unreferenced(pen)
    assert not waiting(pen)
    assert not names(pen)


def test_a_purged_record_takes_its_files_along_when_they_are_sent(world: World, pen: Replica, task: str) -> None:
    """What the worker photographed reaches the centre although the record has left his area meanwhile."""
    desk = world.device("desk", "desk", (AREA,))
    done = add(pen, task)
    assert cut_files(world, pen) is not None
    world.sync(desk)
    update(desk, "task", task, place=WEST)
    world.sync(desk)
    assert cut_files(world, pen) is not None  # the record goes; the line breaks again before the files
    assert row(pen, "photo", done.key) is None
    assert done.sha256 in names(pen)
    assert world.sync(pen).files.stored == 2
    assert not names(pen)
    assert (world.centre.path / "files" / done.sha256[:2] / done.sha256).is_file()


def test_a_refused_row_keeps_its_file_until_it_is_sent_again(world: World, pen: Replica) -> None:
    """Resubmitting finds it; the old changeset counts no more."""
    task = insert(pen, "task", a_task(place=WEST))
    done = add(pen, task)
    assert world.sync(pen).refused == [(1, "refused:area")]
    assert drop_unreferenced(pen) == []
    assert done.sha256 in names(pen)
    resubmit(pen, [1], None, {"place": EAST})
    assert world.sync(pen).accepted == 1
    assert row_files(pen)[0].stage is FileStage.STORED
    key = pen.conn.execute("SELECT id FROM photo").fetchone()[0]
    with transaction(pen.conn):
        erase(pen.conn, key, "sha256", "small")
    assert done.sha256 in drop_unreferenced(pen)


def test_a_dropped_table_is_no_reason_to_drop_files(world: World, pen: Replica, task: str) -> None:
    """Other programs do such things; the rows come back, and so must the photos."""
    done = add(pen, task)
    world.sync(pen)
    pen.conn.execute("DROP TABLE photo")
    assert drop_unreferenced(pen) == []
    pen.commit()
    assert row(pen, "photo", done.key) is not None
    assert done.sha256 in names(pen)


def test_where_a_file_stands_is_told_in_words(world: World, pen: Replica, task: str) -> None:
    """待上传, 上传中 with percent, 已存; file and thumbnail count as one."""
    add(pen, task)
    (found,) = row_files(pen)
    assert (found.stage, found.percent) == (FileStage.QUEUED, 0)
    with transaction(pen.conn):
        pen.conn.execute("UPDATE _sg_file SET sent = bytes / 2")
    (found,) = row_files(pen)
    assert (found.stage, found.stage.label("zh")) == (FileStage.SENDING, "上传中")
    assert 40 < found.percent <= 50
    world.sync(pen)
    (found,) = row_files(pen)
    assert (found.stage, found.percent, found.stage.label("zh")) == (FileStage.STORED, 100, "已存")


def test_a_file_added_again_is_asked_about_again(world: World, pen: Replica, task: str) -> None:
    """The centre may have dropped it meanwhile."""
    done = add(pen, task)
    world.sync(pen)
    with transaction(pen.conn):
        enqueue(pen.conn, ("photo", done.key), done.sha256, done.bytes)
    assert [each.stored for each in waiting(pen)] == []  # its row must be signed first
    pen.commit()
    add(pen, task, 0, "after")
    pen.commit()
    assert {each.sha256 for each in waiting(pen)} >= {done.sha256}


def test_the_files_of_a_record_have_names_for_people(pen: Replica, task: str) -> None:
    """Phase and end of the key; thumbnails say so."""
    done = add(pen, task)
    attach(pen, "task", task, b"%PDF-1.4")
    found = {each.name for each in files_of(pen, "task", task)}
    assert f"before-{done.key[-12:]}.jpg" in found
    assert any(name.startswith("file-") and name.endswith(".pdf") for name in found)
    assert [each.name for each in files_of(pen, "task", task, small=True)] == [f"before-{done.key[-12:]}-small.jpg"]


def test_a_sender_has_only_so_many_unfinished_files(tmp_path: Path) -> None:
    """The oldest makes room; another sender's stay."""
    store = BlobStore(tmp_path / "files")
    store.append("other", "f" * 64, 0, b"x")
    for number in range(MAX_PARTIAL + 3):
        store.append("one", f"{number:064x}", 0, b"x")
    assert len(list(store.partials())) == MAX_PARTIAL + 1
    assert store.received("other", "f" * 64) == 1
    assert store.received("one", f"{0:064x}") == 0
    with pytest.raises(InputError):
        store.path("../../etc/passwd")
