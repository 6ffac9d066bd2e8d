"""The queue of files over the network: cut lines, resumption, nothing twice, and never a reason that a sync fails."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from syncgov.centre import files as centre_files
from syncgov.centre.centre import Centre
from syncgov.centre.enrolment import enrol
from syncgov.centre.hiding import erase
from syncgov.core.wire_files import PutAnswer, PutResult, format_put
from syncgov.errors import FormatError, NotAllowedError, ProofError, RemoteError
from syncgov.storage.attaching import attach
from syncgov.storage.file_queue import FileStage, blobs, row_files, waiting
from syncgov.storage.replica import Replica
from syncgov.sync import client, files, joining, reenrolment
from syncgov.sync.files import GET, PUT, fetch_files
from tests.attaching import GUARDED, add, cut_files, pen_world, picture, registers
from tests.helpers import AREA, DRAFT, EAST, WEST, World, a_task, insert, update
from tests.leaks import forms
from tests.servers import running_centre

LARGE = (1400, 1000)  # about 90 KB


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre whose tasks have files, and a worker's device."""
    with pen_world(tmp_path) as found:
        yield found


def stored(world: World) -> set[str]:
    return set(centre_files.file_store(world.centre).names())


def test_a_sync_sends_what_its_rows_name(world: World, pen: Replica, task: str) -> None:
    """One request asks, one brings the small ones together."""
    for seed in range(3):
        add(pen, task, seed)
    world.wire.reset()
    done = world.sync(pen)
    assert (done.accepted, done.files.stored, done.files.left, done.files.note) == (1, 6, 0, None)
    assert stored(world) == set(blobs(pen).names())
    assert world.wire.paths.count(PUT) == 2
    world.wire.reset()
    world.sync(pen)
    assert PUT not in world.wire.paths


@pytest.mark.parametrize("signed", [True, False])
def test_a_photo_goes_although_another_record_with_it_is_thrown_away(
    world: World, pen: Replica, task: str, signed: bool
) -> None:
    """One file, two records: the second is never signed, whether the first one was or not; its photo is sent."""
    first = attach(pen, "task", task, picture())
    if signed:
        pen.commit()
    other = insert(pen, "task", a_task())
    spare = attach(pen, "task", other, picture())
    assert spare.sha256 == first.sha256
    pen.conn.execute("DELETE FROM photo WHERE id = ?", (spare.key,))
    pen.conn.execute("DELETE FROM task WHERE id = ?", (other,))
    done = world.sync(pen)
    assert (done.accepted, done.files.stored, done.files.left) == (1, 2, 0)
    assert first.sha256 in stored(world)


def test_a_cut_line_goes_on_where_it_stopped(
    world: World, pen: Replica, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every request of a file in pieces: no byte that has arrived is sent again, and the sync itself is done."""
    monkeypatch.setattr(files, "CHUNK_BYTES", 8000)
    done = attach(pen, "task", task, picture(size=LARGE))
    assert done.bytes > 30_000
    sent: list[int] = []

    def counting(parts: Sequence[tuple[str, int, int, bytes]]) -> bytes:
        sent.extend(len(part[3]) for part in parts)
        return format_put(parts)

    monkeypatch.setattr(files, "format_put", counting)
    cuts, seen = 0, []
    while (waiting(pen) or not cuts) and cuts < 30:
        world.wire.reset()
        world.wire.cut_at = 6 if not cuts else 5  # a new nonce, the pull, one question, one piece
        result = world.sync(pen)
        cuts += 1
        if result.files.note is not None:
            assert "下次同步接着传" in result.files.note[0]
            seen.append(row_files(pen)[0])
    assert cuts > 4
    assert stored(world) == set(blobs(pen).names())
    assert {each.stage for each in seen} == {FileStage.SENDING}
    assert [each.percent for each in seen] == sorted(each.percent for each in seen)
    total = sum(blobs(pen).size(name) for name in blobs(pen).names())
    assert sum(sent) < total + 8000 * (cuts + 1)


def test_an_answer_that_is_lost_costs_nothing(world: World, pen: Replica, task: str) -> None:
    """The file arrived, the device does not know: it asks, and is told."""
    add(pen, task)
    world.wire.reset()
    world.wire.cut_at, world.wire.cut_answer = 5, True
    assert world.sync(pen).files.note is not None
    assert len(stored(world)) == 2
    assert len(waiting(pen)) == 2
    world.wire.reset()
    assert world.sync(pen).files.stored == 2
    assert world.wire.paths.count(PUT) == 1  # the question alone


def test_what_the_centre_has_is_not_sent(world: World, pen: Replica, task: str) -> None:
    """Another device sent the same photo before."""
    mate = world.device("mate")
    other = insert(mate, "task", a_task())
    add(mate, other, 5)
    world.sync(mate)
    add(pen, task, 5)
    world.wire.reset()
    assert world.sync(pen).files.stored == 2
    assert world.wire.paths.count(PUT) == 1


def test_a_missing_file_does_not_hold_up_the_others(world: World, pen: Replica, task: str) -> None:
    """Somebody emptied part of the folder; what is left goes, and status says what is missing."""
    one, other = add(pen, task, 1), add(pen, task, 2)
    blobs(pen).remove(one.sha256)
    done = world.sync(pen)
    assert other.sha256 in stored(world)
    assert (done.accepted, done.files.stored, done.files.left) == (1, 3, 1)
    assert "没有文件" in next(each.why for each in row_files(pen) if each.key == one.key)


def test_a_refusal_is_told_and_tried_again(world: World, pen: Replica, task: str) -> None:
    """A row that is refused: its file waits, and says why."""
    away = insert(pen, "task", a_task(place=WEST))
    done = add(pen, away)
    add(pen, task, 2)
    result = world.sync(pen)
    assert (result.files.stored, result.files.left, result.files.note) == (2, 2, None)
    (found,) = (each for each in row_files(pen) if each.key == done.key)
    assert found.stage is FileStage.QUEUED
    assert found.why


@pytest.mark.parametrize(
    "answer",
    [
        PutAnswer([]),
        PutAnswer([PutResult(state="partial", offset=10**9)] * 2),
        PutAnswer([PutResult(state="partial", offset=-1)] * 2),
        PutAnswer([PutResult(state="partial", offset=0)] * 2),
        PutAnswer([PutResult(state="refused")] * 2),
    ],
)
def test_a_centre_that_answers_nonsense_ends_the_queue_not_the_sync(
    world: World, pen: Replica, task: str, answer: PutAnswer
) -> None:
    """Nor can it keep a device busy for ever."""
    import msgspec

    add(pen, task)
    world.wire.reset()
    world.wire.tamper = lambda path, body: msgspec.json.encode(answer) if path == PUT else body
    done = world.sync(pen)
    assert (done.accepted, done.files.stored, done.files.left) == (1, 0, 2)
    assert len(world.wire.paths) < 12
    world.wire.reset()
    assert world.sync(pen).files.left == 0


def test_a_centre_without_files_does_not_break_a_sync(world: World, pen: Replica, task: str) -> None:
    """An older centre answers 404."""
    add(pen, task)
    real = world.wire.client.request

    def old(method: str, path: str, **more: object) -> object:
        return real(method, "/v0/nothing" if path == PUT else path, **more)  # type: ignore[arg-type]

    world.wire.client.request = old  # type: ignore[method-assign, assignment]
    done = world.sync(pen)
    assert done.accepted == 1
    assert done.files.note is not None


def test_files_come_on_demand_and_are_checked(world: World, pen: Replica, task: str) -> None:
    """The desk fetches what it wants to see; a sync alone brings none."""
    done = attach(pen, "task", task, picture(size=LARGE))
    world.sync(pen)
    desk = world.device("desk", "desk", (AREA,))
    assert not list(blobs(desk).names())
    with world.line():
        world.wire.tamper = lambda path, body: b"\0" * len(body) if path == GET else body
        with pytest.raises(ProofError):
            fetch_files(desk, [done.sha256])
        world.wire.reset()
        assert not list(blobs(desk).names())
        assert fetch_files(desk, [done.sha256]) == 1
        assert fetch_files(desk, [done.sha256]) == 0
    assert blobs(desk).read(done.sha256) == blobs(pen).read(done.sha256)
    assert world.sync(desk).files.stored == 0
    assert list(blobs(desk).names()) == [done.sha256]


def test_fetching_goes_on_where_it_stopped(
    world: World, pen: Replica, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces that arrived are kept; a stale beginning is thrown away."""
    done = attach(pen, "task", task, picture(size=LARGE))
    world.sync(pen)
    desk = world.device("desk", "desk", (AREA,))
    monkeypatch.setattr(files, "MAX_CHUNK_BYTES", 9000)
    world.wire.reset()
    world.wire.cut_at = 4
    with world.line(), pytest.raises(Exception, match="the line is cut"):
        fetch_files(desk, [done.sha256])
    assert blobs(desk).received(desk.dev, done.sha256) == 18_000
    world.wire.reset()
    with world.line():
        fetch_files(desk, [done.sha256])
    assert world.wire.paths.count(GET) == -(-(done.bytes - 18_000) // 9000)
    blobs(desk).remove(done.sha256)
    blobs(desk).append(desk.dev, done.sha256, 0, blobs(pen).read(done.sha256))
    with world.line():
        fetch_files(desk, [done.sha256])  # all had arrived, nobody had looked
    assert blobs(desk).has(done.sha256)


@pytest.mark.parametrize("whole", [True, False])
def test_an_erased_photo_leaves_no_part_of_itself(world: World, pen: Replica, task: str, whole: bool) -> None:
    """A download that was cut off holds most of a picture: it goes with the row, as the whole file does."""
    done = attach(pen, "task", task, picture(size=LARGE))
    world.sync(pen)
    desk = world.device("desk", "desk", (AREA,))
    if whole:
        with world.line():
            fetch_files(desk, [done.sha256])
    other = "0" * 64
    for name in (done.sha256, other):
        blobs(desk).append(desk.dev, name, 0, blobs(pen).read(done.sha256)[:9000])
    erase(world.centre, "task", task, [], "request")
    world.sync(desk)
    assert not list(blobs(desk).names())
    assert not list(blobs(desk).partials())


def test_who_may_not_see_the_row_fetches_nothing(world: World, pen: Replica, task: str) -> None:
    """And a file that has not reached the centre is said to be on its way."""
    done = add(pen, task)
    cut_files(world, pen)
    desk, west = world.device("desk", "desk", (AREA,)), world.device("west", "worker", (WEST,))
    with world.line():
        with pytest.raises(RemoteError) as caught:
            fetch_files(desk, [done.sha256])
        assert caught.value.problem == "missing-file"
        with pytest.raises(NotAllowedError):
            fetch_files(west, [done.sha256])


def test_a_device_that_enrols_again_takes_its_files_along(world: World, pen: Replica, task: str) -> None:
    """What the old key could not send goes under the new one."""
    done = add(pen, task)
    cut_files(world, pen)
    later = add(pen, task, 6, "after")
    pen.close()
    del world.replicas["pen"]
    with world.line():
        again = reenrolment.rejoin(world.folder / "pen.db", world.code("worker"), clock=world.clock)
    assert again.synced is not None
    fresh = world.reopen("pen")
    assert {done.sha256, later.sha256} <= stored(world)
    assert {done.sha256, later.sha256} <= set(blobs(fresh).names())
    assert not waiting(fresh)
    assert (world.folder / "pen.db.old.files").is_dir()


def test_a_photo_from_a_phone_to_the_desk_over_a_real_server(tmp_path: Path) -> None:
    """Two devices, sockets, pieces; the camera's canaries are in no file of centre or desk."""
    centre = Centre.init(tmp_path / "centre", DRAFT, registers())
    codes = [enrol(centre, role, (area,))[0] for role, area in (("worker", EAST), ("desk", AREA))]
    centre.close()
    with (
        running_centre(tmp_path / "centre") as url,
        joining.join(tmp_path / "pen.db", url, codes[0]) as pen,
        joining.join(tmp_path / "desk.db", url, codes[1]) as desk,
    ):
        client.sync(pen)
        key = insert(pen, "task", a_task())
        raw = picture(size=LARGE, exif=True)
        done = attach(pen, "task", key, raw, phase="before")
        attach(pen, "task", key, picture(2), phase="after")
        assert client.sync(pen).files.stored == 4
        client.sync(desk)
        assert fetch_files(desk, [done.sha256]) == 1
        update(desk, "task", key, state="closed")
        assert client.sync(desk).accepted == 1
    held = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(held) > 10
    for canary in ("SYNCGOV-GPS-CANARY", "SYNCGOV-CAMERA-CANARY"):
        assert canary.encode() in raw
        needles = forms(canary)
        assert not [path for path in held if any(needle in path.read_bytes() for needle in needles)]
    assert GUARDED.count("photo_before_after") == 1


def test_nothing_but_errors_of_ours_is_swallowed(world: World, pen: Replica, task: str) -> None:
    """A defect in the queue must be seen."""
    add(pen, task)
    world.wire.tamper = lambda path, body: b"not json" if path == PUT else body
    note = world.sync(pen).files.note
    assert note is not None
    assert "malformed" in note[1]
    assert issubclass(FormatError, Exception)
