"""Files at the centre: hostile uploads, who may bring and who may have, and what nothing names any more."""

import errno
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from syncgov.centre import files
from syncgov.centre.certificates import revoke
from syncgov.core.wire_files import MAX_CHUNK_BYTES, Get, PutAnswer, PutResult, format_put, total_of
from syncgov.errors import NotAllowedError, RemoteError
from syncgov.storage.connection import transaction
from syncgov.storage.file_queue import blobs
from syncgov.storage.replica import Replica
from syncgov.sync.files import GET, PUT
from tests.attaching import add, cut_files, make_world, picture
from tests.helpers import AREA, EAST, WEST, World, a_task, insert, row, update
from tests.storage.test_attaching import erase


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A photo whose row is in the log and whose bytes are not at the centre yet."""
    with make_world(tmp_path) as found:
        pen = found.device("pen")
        add(pen, insert(pen, "task", a_task()))
        assert cut_files(found, pen) is not None
        yield found


@pytest.fixture
def pen(world: World) -> Replica:
    """The device that took the photo."""
    return world.replicas["pen"]


def photo_of(pen: Replica) -> tuple[str, bytes, str, str]:
    """Return SHA-256, bytes, thumbnail's SHA-256 and key of the only photo."""
    key, sha256, small = pen.conn.execute("SELECT id, sha256, small FROM photo").fetchone()
    return sha256, blobs(pen).read(sha256), small, key


def put(world: World, replica: Replica, *parts: tuple[str, int, int, bytes]) -> list[PutResult]:
    """Send parts as they are."""
    return world.transport(replica).put(PUT, format_put(parts), PutAnswer).results


def one(world: World, replica: Replica, sha256: str, total: int, offset: int, data: bytes) -> PutResult:
    """Send one part."""
    (result,) = put(world, replica, (sha256, total, offset, data))
    return result


def stored(world: World) -> set[str]:
    """Return the whole files at the centre."""
    return set(files.file_store(world.centre).names())


def test_a_file_is_stored_when_its_last_part_has_come(world: World, pen: Replica) -> None:
    """Parts in order; the note in the central database comes with it; repeating changes nothing."""
    sha256, data, _small, _key = photo_of(pen)
    half = len(data) // 2
    assert one(world, pen, sha256, len(data), 0, b"").offset == 0
    first = one(world, pen, sha256, len(data), 0, data[:half])
    assert (first.state, first.offset) == ("partial", half)
    assert not stored(world)
    again = one(world, pen, sha256, len(data), 0, data[:half])
    assert (again.state, again.offset) == ("partial", half)
    assert one(world, pen, sha256, len(data), half, data[half:]).state == "stored"
    assert stored(world) == {sha256}
    assert one(world, pen, sha256, len(data), 0, data).state == "stored"
    found = world.centre.ledger.conn.execute("SELECT sha256, bytes, dev FROM _sg_blob").fetchall()
    assert found == [(sha256, len(data), pen.dev)]
    assert not list(files.file_store(world.centre).partials())


@pytest.mark.parametrize("offset", [1, 7, 500])
def test_a_part_in_the_wrong_place_changes_nothing(world: World, pen: Replica, offset: int) -> None:
    """The answer says where to go on."""
    sha256, data, _small, _key = photo_of(pen)
    result = one(world, pen, sha256, len(data), offset, data[offset : offset + 100])
    assert (result.state, result.offset) == ("partial", 0)
    one(world, pen, sha256, len(data), 0, data[:300])
    result = one(world, pen, sha256, len(data), offset, b"\0" * 100)
    assert (result.state, result.offset) == ("partial", 300)
    assert one(world, pen, sha256, len(data), 300, data[300:]).state == "stored"


def test_content_with_another_hash_is_not_stored(world: World, pen: Replica) -> None:
    """What had arrived is forgotten, so that the true file can come."""
    sha256, data, _small, _key = photo_of(pen)
    forged = picture(7)[: len(data)].ljust(len(data), b"\0")
    result = one(world, pen, sha256, len(data), 0, forged)
    assert (result.state, result.code) == ("refused", "hash")
    assert not stored(world)
    assert one(world, pen, sha256, len(data), 0, b"").offset == 0
    assert one(world, pen, sha256, len(data), 0, data).state == "stored"


@pytest.mark.parametrize("total", [1, -1, 10_000_000])
def test_a_file_of_another_size_than_its_row_says_is_refused(world: World, pen: Replica, total: int) -> None:
    """Before a byte is written."""
    sha256, data, _small, _key = photo_of(pen)
    result = one(world, pen, sha256, len(data) + total if total < 0 else total, 0, data[:1])
    assert (result.state, result.code) == ("refused", "size")
    assert not list(files.file_store(world.centre).partials())


def test_a_thumbnail_may_not_be_large(world: World, pen: Replica) -> None:
    """Its length is in no row."""
    _sha256, _data, small, _key = photo_of(pen)
    assert one(world, pen, small, 70_000, 0, b"\xff").code == "size"


def test_a_file_that_no_row_names_is_refused(world: World, pen: Replica) -> None:
    """Nobody can use the centre as a store."""
    data = picture(9)
    assert one(world, pen, hashlib.sha256(data).hexdigest(), len(data), 0, data).code == "unknown-file"


def test_a_row_without_verdict_or_refused_is_no_licence(world: World, pen: Replica) -> None:
    """Only what is in the log and accepted."""
    done = add(pen, insert(pen, "task", a_task(place=WEST)), 3)
    data = blobs(pen).read(done.sha256)
    assert one(world, pen, done.sha256, len(data), 0, data).code == "unknown-file"
    result = world.sync(pen)
    assert result.refused == [(2, "refused:area")]
    assert one(world, pen, done.sha256, len(data), 0, data).code == "unknown-file"
    assert done.sha256 not in stored(world)


@pytest.mark.parametrize(("role", "area"), [("worker", WEST), ("chief", EAST)])
def test_a_device_of_another_area_or_role_may_not_bring_it(world: World, pen: Replica, role: str, area: str) -> None:
    """Although it knows hash and bytes."""
    sha256, data, _small, _key = photo_of(pen)
    other = world.device("other", role, (area,))
    assert one(world, other, sha256, len(data), 0, data).code == "unknown-file"
    assert not stored(world)


def test_two_senders_do_not_disturb_each_other(world: World, pen: Replica) -> None:
    """One sends rubbish under the other's hash; each has its own unfinished file."""
    sha256, data, _small, _key = photo_of(pen)
    mate = world.device("mate")
    assert one(world, mate, sha256, len(data), 0, b"\0" * 400).offset == 400
    assert one(world, pen, sha256, len(data), 0, data[:300]).offset == 300
    assert one(world, pen, sha256, len(data), 300, data[300:]).state == "stored"
    assert one(world, mate, sha256, len(data), 400, b"\0").state == "stored"
    assert files.file_store(world.centre).read(sha256) == data


def test_a_photo_with_metadata_is_not_taken(world: World, pen: Replica) -> None:
    """Another program may have written the row; the camera's words stay out all the same."""
    raw = picture(exif=True)
    sha256 = hashlib.sha256(raw).hexdigest()
    task = pen.conn.execute("SELECT id FROM task").fetchone()[0]
    columns = {"task_id": task, "sha256": sha256, "bytes": len(raw), "media_type": "image/jpeg", "kind": "photo"}
    insert(pen, "photo", columns)
    world.sync(pen)
    assert one(world, pen, sha256, len(raw), 0, raw).code == "metadata"
    assert sha256 not in stored(world)


def test_a_program_called_a_document_is_not_taken(world: World, pen: Replica) -> None:
    """The first bytes must be those of the media type in the row."""
    raw = b"MZ" + bytes(100)
    sha256 = hashlib.sha256(raw).hexdigest()
    task = pen.conn.execute("SELECT id FROM task").fetchone()[0]
    columns = {"task_id": task, "sha256": sha256, "bytes": 102, "media_type": "application/pdf", "kind": "paper"}
    insert(pen, "photo", columns)
    world.sync(pen)
    assert one(world, pen, sha256, len(raw), 0, raw).code == "media-type"


def test_a_record_has_only_so_many_files_at_the_centre(world: World, pen: Replica) -> None:
    """Whatever rows a device signs: here six, of which four get their files."""
    task = pen.conn.execute("SELECT id FROM task").fetchone()[0]
    raws = [b"%PDF-" + bytes([n]) * 50 for n in range(6)]
    for raw in raws:
        sha256 = hashlib.sha256(raw).hexdigest()
        columns = {"task_id": task, "sha256": sha256, "bytes": 55, "media_type": "application/pdf", "kind": "paper"}
        insert(pen, "photo", columns)
    pen.commit()
    pen.conn.execute("DELETE FROM _sg_file")
    world.sync(pen)
    results = put(world, pen, *((hashlib.sha256(raw).hexdigest(), 55, 0, raw) for raw in raws))
    assert [r.state for r in results].count("stored") == 4
    assert [r.code for r in results].count("limit") == 2
    assert len(stored(world)) == 4


def test_a_revoked_device_brings_and_gets_nothing(world: World, pen: Replica) -> None:
    """A stolen phone may push evidence, not pictures."""
    sha256, data, _small, _key = photo_of(pen)
    revoke(world.centre, pen.dev, "lost")
    with pytest.raises(NotAllowedError):
        one(world, pen, sha256, len(data), 0, data)
    with pytest.raises(NotAllowedError):
        world.transport(pen).fetch(GET, Get(100, 0, sha256))


def test_an_unsigned_request_gets_nothing(world: World, pen: Replica) -> None:
    """As everywhere."""
    sha256, data, _small, _key = photo_of(pen)
    for path, body in (
        (PUT, format_put([(sha256, len(data), 0, data)])),
        (GET, msgspec.json.encode(Get(1, 0, sha256))),
    ):
        assert world.wire.client.post(path, content=body).status_code == 403
    assert not stored(world)


def test_a_full_disk_at_the_centre_is_told(world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part is refused with the reason, the request is not; later it works."""
    sha256, data, _small, _key = photo_of(pen)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("syncgov.storage.blobs.os.replace", full)
    result = one(world, pen, sha256, len(data), 0, data)
    assert (result.state, result.code) == ("refused", "storage")
    assert "存储空间已满" in (result.detail_zh or "")
    monkeypatch.undo()
    assert one(world, pen, sha256, len(data), 0, b"").state == "stored"
    assert stored(world) == {sha256}


# -- handing out --------------------


def test_who_may_read_the_row_gets_the_file_in_pieces(world: World, pen: Replica) -> None:
    """The desk of the whole area; with the whole length in the answer."""
    world.sync(pen)
    sha256, data, _small, _key = photo_of(pen)
    desk = world.device("desk", "desk", (AREA,))
    first, header = world.transport(desk).fetch(GET, Get(100, 0, sha256))
    assert (first, total_of(header)) == (data[:100], len(data))
    rest, _header = world.transport(desk).fetch(GET, Get(MAX_CHUNK_BYTES, 100, sha256))
    assert first + rest == data


@pytest.mark.parametrize(("role", "area"), [("worker", WEST), ("desk", WEST), ("chief", EAST), ("viewer", AREA)])
def test_others_get_nothing_and_learn_nothing(world: World, pen: Replica, role: str, area: str) -> None:
    """A file that is there and one that is not look the same."""
    world.sync(pen)
    sha256, _data, small, _key = photo_of(pen)
    other = world.device("other", role, (area,))
    said = []
    for name in (sha256, small, "0" * 64):
        with pytest.raises(NotAllowedError) as caught:
            world.transport(other).fetch(GET, Get(100, 0, name))
        said.append(caught.value.en)
    assert len(set(said)) == 1


def test_a_record_that_moves_takes_the_right_to_its_files_along(world: World, pen: Replica) -> None:
    """The old area loses it, the new one gets it."""
    world.sync(pen)
    sha256, _data, _small, _key = photo_of(pen)
    desk, west = world.device("desk", "desk", (AREA,)), world.device("west", "worker", (WEST,))
    task = desk.conn.execute("SELECT id FROM task").fetchone()[0]
    update(desk, "task", task, place=WEST)
    world.sync(desk)
    with pytest.raises(NotAllowedError):
        world.transport(pen).fetch(GET, Get(100, 0, sha256))
    assert world.transport(west).fetch(GET, Get(100, 0, sha256))[0]


def test_a_file_on_its_way_is_said_to_be_missing(world: World, pen: Replica) -> None:
    """To somebody who may read the row."""
    sha256, _data, _small, _key = photo_of(pen)
    with pytest.raises(RemoteError) as caught:
        world.transport(pen).fetch(GET, Get(100, 0, sha256))
    assert caught.value.problem == "missing-file"


@pytest.mark.parametrize("asked", [Get(0, 0, ""), Get(10, -1, ""), Get(10, 10**9, ""), Get(MAX_CHUNK_BYTES + 1, 0, "")])
def test_numbers_beyond_the_file_are_refused(world: World, pen: Replica, asked: Get) -> None:
    """And a name that is no hash is nobody's file."""
    world.sync(pen)
    sha256, _data, _small, _key = photo_of(pen)
    with pytest.raises(RemoteError) as caught:
        world.transport(pen).fetch(GET, Get(asked.limit, asked.offset, sha256))
    assert caught.value.problem == "format"
    with pytest.raises(NotAllowedError):
        world.transport(pen).fetch(GET, Get(10, 0, "../../keys/log.key"))


# -- what nothing names --------------------


def test_an_erased_row_takes_its_file_from_the_centre(world: World, pen: Replica) -> None:
    """File and thumbnail, also what has arrived of one; other files stay."""
    world.sync(pen)
    kept = add(pen, pen.conn.execute("SELECT id FROM task").fetchone()[0], 8)
    world.sync(pen)
    sha256, _data, small, key = photo_of(pen)
    assert files.drop_unreferenced(world.centre) == []
    with transaction(world.centre.ledger.conn):
        erase(world.centre.ledger.conn, key, "sha256", "small")
    files.file_store(world.centre).append(pen.dev, sha256, 0, b"x")
    assert set(files.drop_unreferenced(world.centre)) == {sha256, small}
    assert kept.sha256 in stored(world)
    assert len(stored(world)) == 2
    assert not list(files.file_store(world.centre).partials())
    assert world.centre.ledger.conn.execute("SELECT count(*) FROM _sg_blob").fetchone() == (2,)
    assert one(world, pen, sha256, 5, 0, b"x").code == "unknown-file"


def test_the_row_may_be_erased_while_the_last_part_arrives(
    world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is kept."""
    sha256, data, _small, key = photo_of(pen)
    real: Callable[..., None] = files._require_fit

    def erasing(*arguments: object) -> None:
        real(*arguments)
        with transaction(world.centre.ledger.conn):
            erase(world.centre.ledger.conn, key, "sha256", "small")

    monkeypatch.setattr(files, "_require_fit", erasing)
    assert one(world, pen, sha256, len(data), 0, data).code == "unknown-file"
    assert not stored(world)
    assert row(pen, "photo", key) is not None
