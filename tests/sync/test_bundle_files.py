"""Files in bundles: a community that is served by file alone gets its photos to the centre, and never a lost bundle."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncgov.centre import bundles
from syncgov.centre import files as centre_files
from syncgov.centre.bundles import Replied
from syncgov.core import bundle, wire
from syncgov.core.bundle import FilePart
from syncgov.core.wire_files import MAX_PARTS
from syncgov.errors import FormatError
from syncgov.storage import file_queue
from syncgov.storage.attaching import attach
from syncgov.storage.file_queue import FileStage, blobs, row_files, waiting
from syncgov.storage.replica import Replica
from syncgov.sync.bundle import next_pull, own_recipient, pack, receive, seal_request
from tests.attaching import add, make_world, picture
from tests.carrying import carry, offline_device
from tests.helpers import World, a_task, insert, update

LARGE = (1400, 1000)  # about 90 KB


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre whose tasks have files, and a worker's device that is never online."""
    with make_world(tmp_path) as found:
        offline_device(found, "pen")
        yield found


@pytest.fixture
def pen(world: World) -> Replica:
    """The worker's device."""
    return world.replicas["pen"]


@pytest.fixture
def task(pen: Replica) -> str:
    """A task that is written, not signed yet."""
    return insert(pen, "task", a_task())


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set how many bytes go into one bundle."""
    return lambda size: monkeypatch.setattr(bundle, "FILL_BYTES", size)


def stored(world: World) -> set[str]:
    """Return the whole files of the centre."""
    return set(centre_files.file_store(world.centre).names())


def large(pen: Replica, task: str) -> str:
    """Attach a photo that takes several small bundles; returns its SHA-256."""
    return attach(pen, "task", task, picture(1, LARGE), phase="before").sha256


def states(replied: Replied) -> list[str]:
    """Return what a bundle's files became: a state or a code."""
    return [each.result.code or each.result.state for each in replied.files]


def sent_by(world: World, pen: Replica, *parts: FilePart) -> Replied:
    """Return what the centre answers to a request with these pieces, which no honest device makes."""
    request = bundle.Request(
        None, None, next_pull(pen), wire.Push([]), own_recipient(pen.key_file.key), [], list(parts)
    )
    data = seal_request(request, pen.key_file.key, pen.charter, pen.meta.get("recipient"))
    return bundles.receive(world.centre, data)


def test_photos_go_with_their_rows_and_receipts_come_back(world: World, pen: Replica, task: str) -> None:
    """One way there and back: rows accepted, files stored, nothing left to send."""
    for seed in range(3):
        add(pen, task, seed)
    packed = pack(pen)
    assert (packed.changes, packed.files, packed.files_left) == (1, 6, 0)
    replied = bundles.receive(world.centre, packed.data)
    assert states(replied) == ["stored"] * 6
    assert {each.stage for each in row_files(pen)} == {FileStage.QUEUED}  # nothing counts before the reply is here
    received = receive(pen, replied.reply)
    assert (received.done.accepted, received.done.files.stored, received.done.files.left) == (1, 6, 0)
    assert stored(world) == set(blobs(pen).names())
    assert {each.stage for each in row_files(pen)} == {FileStage.STORED}
    assert pack(pen).files == 0


def test_a_carrier_sees_nothing_of_a_photo(pen: Replica, task: str) -> None:
    """Neither its bytes, nor as base64, nor its name."""
    one = large(pen, task)
    data = pack(pen).data
    photo = blobs(pen).read(one)
    assert len(data) > len(photo) * 3 // 4
    for part in (photo[600:640], base64.b64encode(photo[600:690])[:60], one.encode()):
        assert part not in data


def test_a_file_goes_on_over_several_bundles(
    world: World, pen: Replica, task: str, narrow: Callable[[int], None]
) -> None:
    """A piece in each; the device is told how far it is; no bundle is larger than its limit."""
    one = large(pen, task)
    carry(world, pen)  # the row and, as there is room, everything
    assert one in stored(world)
    other = insert(pen, "task", a_task())
    two = attach(pen, "task", other, picture(7, LARGE), phase="before").sha256
    narrow(30_000)
    percents, sizes = [], []
    for _ in range(20):
        packed = pack(pen)
        sizes.append(len(packed.data))
        receive(pen, bundles.receive(world.centre, packed.data).reply)
        (left,) = [each for each in row_files(pen) if each.key == row_of(pen, two)]
        percents.append(left.percent)
        if left.stage is FileStage.STORED:
            break
        assert left.stage in (FileStage.QUEUED, FileStage.SENDING)
    assert 4 <= len(percents) < 20
    assert percents == sorted(percents)
    assert max(sizes) < 40_000
    assert {one, two} < stored(world)


def row_of(pen: Replica, sha256: str) -> str:
    """Return the key of the row that names a file."""
    return str(pen.conn.execute("SELECT id FROM photo WHERE sha256 = ?", (sha256,)).fetchone()[0])


def test_changesets_come_first(world: World, pen: Replica, task: str, narrow: Callable[[int], None]) -> None:
    """As long as changesets wait for room there are no files; then the files follow their rows."""
    for seed in range(2):
        add(pen, task, seed)
    pen.commit()
    for _ in range(3):
        insert(pen, "task", a_task())
        pen.commit()
    narrow(2_500)
    packed = pack(pen)
    assert packed.left > 0
    assert (packed.files, packed.files_left) == (0, 4)
    receive(pen, bundles.receive(world.centre, packed.data).reply)
    narrow(24 << 20)
    done = carry(world, pen)
    assert states(done.replied) == ["stored"] * 4
    assert done.received.done.accepted > 0


def test_carried_twice_and_out_of_order(world: World, pen: Replica, task: str, narrow: Callable[[int], None]) -> None:
    """Two bundles under way, the later one first, each twice; replies in any order: every file once, nothing waits."""
    one = large(pen, task)
    narrow(60_000)
    first = pack(pen)
    update(pen, "task", task, title="换了灯")
    second = pack(pen)
    assert first.files == second.files == 1
    replies = [bundles.receive(world.centre, data).reply for data in (second.data, first.data, second.data, first.data)]
    seen = [receive(pen, reply).state for reply in (replies[3], replies[0], replies[2], replies[1])]
    assert "taken" in seen
    for _ in range(9):
        if not waiting(pen):
            break
        carry(world, pen)
    assert waiting(pen) == []
    assert one in stored(world)
    assert world.centre.ledger.conn.execute("SELECT count(*) FROM _sg_blob WHERE sha256 = ?", (one,)).fetchone() == (1,)


def test_a_lost_reply_loses_nothing(world: World, pen: Replica, task: str) -> None:
    """The same pieces go again and are there already; then the receipt comes."""
    add(pen, task)
    bundles.receive(world.centre, pack(pen).data)  # its reply is lost
    again = carry(world, pen)
    assert states(again.replied) == ["stored", "stored"]
    assert again.received.done.files.left == 0


def test_a_reply_that_comes_late_still_tells_of_files(world: World, pen: Replica, task: str) -> None:
    """Older by its pages, it changes nothing but the queue: what is stored stays stored."""
    add(pen, task)
    bundled = bundles.receive(world.centre, pack(pen).data)
    receive(pen, bundled.reply)
    pen.conn.execute("UPDATE _sg_file SET stored = NULL, sent = 0")  # as if this were the first to tell
    received = receive(pen, bundled.reply)
    assert received.state == "older"
    assert received.done.files.stored == 2
    assert waiting(pen) == []


def test_a_bundle_that_is_cut_brings_no_file_and_loses_none(world: World, pen: Replica, task: str) -> None:
    """Refused as a whole; the next one brings all."""
    large(pen, task)
    data = pack(pen).data
    for end in (len(data) - 1, len(data) // 2):
        with pytest.raises(FormatError):
            bundles.receive(world.centre, data[:end])
    assert stored(world) == set()
    assert states(carry(world, pen).replied) == ["stored", "stored"]


def test_a_damaged_file_is_told_and_stops_nothing(world: World, pen: Replica, task: str) -> None:
    """Its row is accepted, the other files are stored; once it is whole again, it goes."""
    bad, good = large(pen, task), add(pen, task, 2).sha256
    path = blobs(pen).path(bad)
    whole = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(whole[:-10] + b"0123456789")
    done = carry(world, pen)
    assert done.received.done.accepted == 1
    assert sorted(states(done.replied)) == ["hash", "stored", "stored", "stored"]
    assert (bad in stored(world), good in stored(world)) == (False, True)
    (told,) = [each for each in row_files(pen) if each.why]
    assert "指纹不符" in told.why
    path.write_bytes(whole)
    assert states(carry(world, pen).replied) == ["stored"]
    assert bad in stored(world)


def test_a_missing_file_is_told_and_stops_nothing(world: World, pen: Replica, task: str) -> None:
    """Somebody deleted it beside the replica: said, left out, asked for in each bundle after the others."""
    gone = large(pen, task)
    add(pen, task, 2)
    blobs(pen).path(gone).unlink()
    done = carry(world, pen)
    assert states(done.replied) == ["stored"] * 3
    assert [each.sha256 for each in waiting(pen)] == [gone]
    assert [each for each in row_files(pen) if each.why]
    blobs(pen).path(gone).write_bytes(b"")
    assert pack(pen).files == 0


def test_what_no_device_sends_is_refused_piece_by_piece(world: World, pen: Replica, task: str) -> None:
    """Impossible numbers, a file that no row names, another size, too many pieces: the rest of the bundle counts."""
    add(pen, task)
    carry(world, pen)
    photo = sorted(stored(world))[0]
    size = centre_files.file_store(world.centre).size(photo)
    bad = [
        FilePart("../../etc/passwd", 3, 0, b"abc"), FilePart(photo, size, -1, b""), FilePart(photo, 2, 0, b"abc"),
        FilePart(photo, 1 << 40, 0, b""), FilePart("ab" * 32, 3, 0, b"abc"), FilePart(photo, size + 1, 0, b"x"),
    ]  # fmt: skip
    replied = sent_by(world, pen, *bad, FilePart(photo, size, 0, b""))
    assert states(replied) == ["format", "format", "format", "limit", "unknown-file", "size", "stored"]
    many = sent_by(world, pen, *[FilePart(photo, size, 0, b"")] * (MAX_PARTS + 2))
    assert states(many) == ["stored"] * MAX_PARTS + ["limit"] * 2
    assert receive(pen, many.reply).state in ("taken", "older")


def test_a_centre_that_has_less_is_believed(
    world: World, pen: Replica, task: str, narrow: Callable[[int], None]
) -> None:
    """It lost what had arrived: the device goes back to where the centre says, and the file still comes whole."""
    one = large(pen, task)
    narrow(60_000)
    carry(world, pen)
    assert waiting(pen)[0].sent > 0
    centre_files.file_store(world.centre).forget(pen.dev, one)
    carry(world, pen)
    assert {each.sha256: each.sent for each in waiting(pen)}[one] == 0
    for _ in range(9):
        carry(world, pen)
    assert one in stored(world)


def test_an_answer_about_files_that_is_nonsense_is_told(world: World, pen: Replica, task: str) -> None:
    """An offset beyond the end is noted nowhere, and the reply is taken all the same."""
    add(pen, task)
    from syncgov.core.wire_files import PutResult
    from syncgov.sync.bundle_files import note_files

    pen.commit()
    name = waiting(pen)[0].sha256
    told = note_files(pen, [bundle.FileResult(name, PutResult(state="partial", offset=1 << 40))])
    assert told.note is not None
    assert file_queue.waiting(pen)[0].sent == 0
