"""What a device is sent: its areas, its roles' fields; what it gains and loses when a record moves."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from syncgov.centre import serving
from syncgov.core.note import verify_checkpoint
from syncgov.core.wire import Own, Pull, PullAnswer, Push, PushAnswer, PushEntry
from syncgov.errors import TransportError
from syncgov.storage import merging, state
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from syncgov.sync import client
from tests.helpers import AREA, EAST, WEST, World, a_task, held_bytes, insert, row, update

SECRET = "不可外传的内情"
PHONE = "000-00007777"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre without devices."""
    with World.make(tmp_path) as found:
        yield found


@pytest.fixture
def east(world: World) -> Replica:
    """A worker in the east."""
    return world.device("east", areas=(EAST,))


@pytest.fixture
def west(world: World) -> Replica:
    """A worker in the west."""
    return world.device("west", areas=(WEST,))


@pytest.fixture
def desk(world: World) -> Replica:
    """The desk sees everything."""
    return world.device("desk", "desk", (AREA,))


def ask(world: World, replica: Replica, size: int = 0, limit: int = 1000, after: int | None = None) -> PullAnswer:
    """Return what the centre answers to a pull, without merging it."""
    message = Pull(after or 0, limit, size, 0)
    return world.transport(replica).post("/v1/pull", message, PullAnswer)


def purge_wal(replica: Replica) -> None:
    """Fold the write-ahead log into the file, as every close does."""
    replica.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def contains(replica: Replica, text: str) -> bool:
    """Whether the text is anywhere in a replica's files."""
    purge_wal(replica)
    return text.encode() in held_bytes(replica)


# -- fields --------------------


def test_a_device_never_receives_a_hidden_field(world: World, east: Replica, desk: Replica) -> None:
    """A chief in the same area gets the row without the private field: not on the wire, not in the file."""
    chief, viewer = world.device("chief", "chief"), world.device("viewer", "viewer")
    key = insert(east, "task", a_task(secret=SECRET))
    insert(east, "contact", {"task_id": key, "phone": PHONE})
    world.sync(east)
    seen: list[bytes] = []
    world.wire.tamper = lambda _path, body: seen.append(body) or body  # type: ignore[func-returns-value]
    for each in (chief, viewer):
        world.sync(each)
        found = row(each, "task", key)
        assert found is not None
        assert found["title"] == "路灯不亮"
        assert not contains(each, SECRET)
        assert not contains(each, PHONE)
    assert seen
    assert not any(SECRET.encode() in body or PHONE.encode() in body for body in seen)
    world.wire.reset()
    world.sync(desk)
    assert contains(desk, SECRET)
    assert contains(desk, PHONE)


def test_who_wrote_is_internal(world: World) -> None:
    """The author goes to whoever may read internal fields of the record, not to others."""
    pen, chief = world.device("pen", staff=("S-4711",)), world.device("chief", "chief")
    insert(pen, "payment", {"amount": 5})
    world.sync(pen)
    world.sync(chief)
    assert chief.conn.execute("SELECT amount FROM payment").fetchall() == [(5,)]
    assert chief.conn.execute("SELECT by FROM _sg_leaf WHERE dev = ?", (pen.dev,)).fetchall() == [(None,)]
    insert(pen, "task", a_task())
    world.sync(pen)
    world.sync(chief)
    assert chief.conn.execute("SELECT by FROM _sg_leaf WHERE tbl = 'task'").fetchall() == [("S-4711",)]


def test_other_devices_certificates_are_not_sent(world: World, east: Replica, west: Replica) -> None:
    """A device gets its own certificate, whole; of others only the keys it needs."""
    keys = {key for (key,) in east.conn.execute("SELECT key FROM _sg_row WHERE tbl = 'device'")}
    assert keys == {east.dev}
    assert set(ask(world, east).keys) <= {world.centre.registrar.id}


# -- areas --------------------


def test_a_device_gets_the_rows_of_its_areas(world: World, east: Replica, west: Replica, desk: Replica) -> None:
    """Prefixes; registers without an area go to everybody; a child goes with its record."""
    keys = {}
    for place, pen in ((EAST, east), (WEST, west)):
        keys[place] = insert(pen, "task", a_task(place=place))
        insert(pen, "contact", {"task_id": keys[place], "phone": PHONE})
        world.sync(pen)
    world.centre.write("notice", [("n", {"text": "停水"})])
    for each in (east, west, desk):
        world.sync(each)
        assert each.conn.execute("SELECT text FROM notice").fetchall() == [("停水",)]
    found = {name: {key for (key,) in r.conn.execute("SELECT id FROM task")} for name, r in world.replicas.items()}
    assert found == {"east": {keys[EAST]}, "west": {keys[WEST]}, "desk": set(keys.values())}
    parents = {
        name: {k for (k,) in r.conn.execute("SELECT task_id FROM contact")} for name, r in world.replicas.items()
    }
    assert parents == found


def test_an_area_is_a_prefix_and_no_pattern(world: World, east: Replica) -> None:
    """A device of 101001 does not get 1010019… by mistake of a wildcard, nor 101002."""
    inner = insert(east, "task", a_task(place=f"{EAST}0001"))
    world.sync(east)
    other = world.device("other", areas=(f"{EAST}0001", f"{WEST}9"))
    assert {key for (key,) in other.conn.execute("SELECT id FROM task")} == {inner}
    assert {e.index for e in ask(world, other).entries} < set(range(world.centre.ledger.size))


def test_refused_changesets_of_others_are_not_sent(world: World, east: Replica, desk: Replica) -> None:
    """Their author hears of the refusal; nobody else gets their content."""
    insert(east, "task", a_task(place=WEST, title="被退回的标题"))
    world.sync(east)
    world.sync(desk)
    assert not contains(desk, "被退回的标题")


def test_a_device_is_not_told_of_records_elsewhere(world: World, east: Replica, west: Replica, desk: Replica) -> None:
    """Not even that they exist: what is made, edited or moved outside its areas leaves no trace in an answer."""
    size = east.seen.size
    key = insert(west, "task", a_task(place=WEST))
    world.sync(west)
    world.sync(desk)
    update(desk, "task", key, place=f"{WEST}7")
    world.sync(desk)
    answer = ask(world, east, size)
    assert answer.target == world.centre.ledger.size
    assert (answer.purge, answer.entries, answer.keys) == ([], [], {})


# -- moving --------------------


def make_and_move(world: World, east: Replica, desk: Replica, target: str = WEST) -> str:
    """Make a task in the east with a secret and a contact, let all know it, and move it away."""
    key = insert(east, "task", a_task(secret=SECRET))
    insert(east, "contact", {"task_id": key, "phone": PHONE})
    world.sync(east)
    update(east, "task", key, urgency=2)
    world.sync(east)
    world.sync(desk)
    update(desk, "task", key, place=target)
    world.sync(desk)
    return key


def test_a_record_that_moves_in_comes_with_its_history(
    world: World, east: Replica, west: Replica, desk: Replica
) -> None:
    """Every accepted leaf of it, those of its children too; the row is whole."""
    key = make_and_move(world, east, desk)
    world.sync(west)
    found = row(west, "task", key)
    assert found == row(desk, "task", key)
    assert found is not None
    assert (found["place"], found["urgency"], found["secret"]) == (WEST, 2, SECRET)
    assert west.conn.execute("SELECT phone FROM contact").fetchall() == [(PHONE,)]


def test_a_record_that_was_elsewhere_for_long_comes_with_its_history(
    world: World, east: Replica, west: Replica, desk: Replica
) -> None:
    """Its leaves lie below what the device has folded: they are sent again, of this record only."""
    key = insert(east, "task", a_task(title="搬来的", kind="a"))
    insert(east, "task", a_task(title="不搬的"))
    world.sync(east)
    for each in (west, desk):
        world.sync(each)
    size = west.seen.size
    update(desk, "task", key, place=WEST)
    world.sync(desk)
    assert world.sync(west).received == 2
    assert west.conn.execute("SELECT count(*) FROM _sg_leaf WHERE idx < ? AND tbl = 'task'", (size,)).fetchone() == (1,)
    assert [title for (title,) in west.conn.execute("SELECT title FROM task")] == ["搬来的"]
    assert row(west, "task", key) == row(desk, "task", key)


def test_a_record_that_moves_out_is_purged(world: World, east: Replica, desk: Replica) -> None:
    """Row, children, heads, leaves and bodies; nothing of it is left in the file."""
    mate = world.device("mate", areas=(EAST,))
    key = make_and_move(world, east, desk)
    world.sync(mate)  # the mate never had it: made and moved between its two syncs
    for each in (mate, east):
        world.sync(each)
        assert row(each, "task", key) is None
        assert each.conn.execute("SELECT count(*) FROM contact").fetchone() == (0,)
        for text in (SECRET, PHONE):
            assert not contains(each, text), (each.path.name, text)


def test_many_records_leave_at_the_price_of_one(
    world: World, east: Replica, desk: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is moved elsewhere: each child row is looked at once, not once for each record that goes."""
    keys = [insert(east, "task", a_task()) for _ in range(6)]
    for key in keys:
        insert(east, "contact", {"task_id": key, "phone": PHONE})
    world.sync(east)
    world.sync(desk)
    for key in keys[1:]:
        update(desk, "task", key, place=WEST)
    world.sync(desk)
    looked: list[str] = []
    real = state.load_row
    monkeypatch.setattr(merging, "load_row", lambda conn, row: looked.append(row[0]) or real(conn, row))  # type: ignore[func-returns-value]
    world.sync(east)
    assert east.conn.execute("SELECT task_id FROM contact").fetchall() == [(keys[0],)]
    assert looked.count("contact") == len(keys)


def test_a_purge_that_a_reader_holds_up_is_finished_later(world: World, east: Replica, desk: Replica) -> None:
    """Another program reads the file: the bytes stay in the write-ahead log only until it has let go."""
    key = insert(east, "task", a_task(secret=SECRET))
    world.sync(east)
    world.sync(desk)
    update(desk, "task", key, place=WEST)
    world.sync(desk)
    with Replica.open(east.path) as reader:
        east.conn.execute("PRAGMA busy_timeout=1")
        reader.conn.execute("BEGIN")
        reader.conn.execute("SELECT count(*) FROM task").fetchone()
        world.sync(east)
        assert row(east, "task", key) is None
        assert SECRET.encode() in held_bytes(east)
    world.sync(east)
    assert SECRET.encode() not in held_bytes(east)


def test_a_record_that_others_had_is_purged(world: World, east: Replica, desk: Replica) -> None:
    """Also from a device that only received it, when a child came in a changeset of its own."""
    mate = world.device("mate", areas=(EAST,))
    key = insert(east, "task", a_task(secret=SECRET))
    world.sync(east)
    insert(east, "contact", {"task_id": key, "phone": PHONE})
    world.sync(east)
    for each in (mate, desk):
        world.sync(each)
    assert contains(mate, PHONE)
    update(desk, "task", key, place=WEST)
    world.sync(desk)
    world.sync(mate)
    assert row(mate, "task", key) is None
    for text in (SECRET, PHONE):
        assert not contains(mate, text), text


def test_made_and_moved_between_two_syncs(world: World, east: Replica, west: Replica, desk: Replica) -> None:
    """A device that slept meanwhile has neither the moved row nor a part of it; the new area has all of it."""
    sleeper = world.device("sleeper", areas=(EAST,))
    key = make_and_move(world, east, desk)
    world.sync(sleeper)
    assert row(sleeper, "task", key) is None
    assert not contains(sleeper, SECRET)
    late = world.device("late", areas=(WEST,))
    for each in (west, late):
        world.sync(each)
        assert row(each, "task", key) == row(desk, "task", key), each.path.name


def test_an_own_write_and_a_move_in_one_pull(world: World, east: Replica, desk: Replica) -> None:
    """The device's own edit was accepted, then the record moved away: nothing of it comes back."""
    key = insert(east, "task", a_task())
    world.sync(east)
    world.sync(desk)
    update(east, "task", key, title="最后一改")
    east.commit()
    transport = world.transport(east)
    entries = [PushEntry(msgspec.Raw(body), msgspec.Raw(env)) for _seq, env, body in own_changesets(east)]
    assert transport.post("/v1/push", Push(entries), PushAnswer).results[0].verdict == "accepted"
    world.sync(desk)
    update(desk, "task", key, place=WEST)
    world.sync(desk)
    done = world.sync(east)
    assert done.accepted == 1
    assert row(east, "task", key) is None
    assert not east.conn.execute("SELECT * FROM conflict").fetchall()


def test_away_and_back(world: World, east: Replica, desk: Replica) -> None:
    """A record that returns is whole again, with its children and what this device itself had written."""
    mate = world.device("mate", areas=(EAST,))
    key = make_and_move(world, east, desk)
    for each in (east, mate):
        world.sync(each)
    update(desk, "task", key, place=EAST)
    world.sync(desk)
    for each in (east, mate):
        world.sync(each)
        assert row(each, "task", key) == row(desk, "task", key)
        assert each.conn.execute("SELECT phone FROM contact").fetchall() == [(PHONE,)]
    update(east, "task", key, title="回来以后")
    assert world.sync(east).accepted == 1


def test_away_and_back_between_two_syncs(world: World, east: Replica, desk: Replica) -> None:
    """For a device that slept meanwhile nothing happened but the edits."""
    key = make_and_move(world, east, desk)
    update(desk, "task", key, place=EAST, title="去而复返")
    world.sync(desk)
    world.sync(east)
    assert row(east, "task", key) == row(desk, "task", key)
    assert not east.conn.execute("SELECT * FROM conflict").fetchall()


def test_a_move_within_the_area_is_no_move(world: World, east: Replica, desk: Replica) -> None:
    """From one grid of the device to another: the row stays, nothing is sent twice."""
    key = make_and_move(world, east, desk, f"{EAST}0002")
    answer = ask(world, east, east.seen.size)
    assert answer.purge == []
    assert len(answer.entries) == 1
    world.sync(east)
    assert row(east, "task", key) == row(desk, "task", key)


def test_unsigned_work_on_a_row_that_moves_out(world: World, east: Replica, desk: Replica) -> None:
    """What was written before the purge is signed and judged, not lost without a word."""
    key = insert(east, "task", a_task())
    world.sync(east)
    world.sync(desk)
    update(desk, "task", key, place=WEST)
    world.sync(desk)
    update(east, "task", key, title="还没同步")
    done = world.sync(east)
    assert (done.signed, done.accepted) == (1, 1)
    assert row(east, "task", key) is None
    world.sync(desk)
    found = row(desk, "task", key)
    assert found is not None
    assert found["title"] == "还没同步"


def test_a_device_that_moves_gets_the_rows_of_its_new_area(world: World, east: Replica, west: Replica) -> None:
    """After a reassignment: what is there already comes, what was left behind goes."""
    here, there = insert(east, "task", a_task()), insert(west, "task", a_task(place=WEST))
    world.sync(east)
    world.sync(west)
    world.centre.write("device", [(east.dev, {"areas": [WEST]})])
    world.sync(east)
    assert row(east, "task", there) == row(west, "task", there)
    assert row(east, "task", here) is None


# -- pages --------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_together_are_the_whole(world: World, east: Replica, desk: Replica, limit: int) -> None:
    """Any page size gives the same entries, each once, in log order, and ends at the target."""
    for number in range(6):
        insert(east, "task", a_task(title=f"第{number}件"))
    world.sync(east)
    whole = ask(world, desk)
    found, after = [], 0
    while after < whole.target:
        page = ask(world, desk, 0, limit, after)
        assert len(page.entries) <= limit
        assert page.next > after
        found += page.entries
        after = page.next
    assert [e.index for e in found] == [e.index for e in whole.entries]
    assert [bytes(e.leaf) for e in found] == [bytes(e.leaf) for e in whole.entries]
    checkpoint = verify_checkpoint(whole.checkpoint, world.centre.charter.log)
    assert (whole.next, whole.target) == (checkpoint.size, checkpoint.size)


@pytest.mark.parametrize(("limit", "page_bytes"), [(1, 1 << 20), (3, 1 << 20), (500, 1), (500, 5000)])
def test_a_gained_history_comes_in_pages_too(
    world: World,
    east: Replica,
    west: Replica,
    desk: Replica,
    limit: int,
    page_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By number and by bytes, each entry once, in log order; the purge comes with the first page alone."""
    key = insert(east, "task", a_task(secret=SECRET))
    away = insert(west, "task", a_task(place=WEST))
    world.sync(west)
    world.sync(east)
    for number in range(4):
        update(east, "task", key, title=f"第{number}次")
        world.sync(east)
    world.sync(desk)
    world.sync(west)
    update(desk, "task", key, place=WEST)
    update(desk, "task", away, place=EAST)
    world.sync(desk)
    size = west.seen.size
    whole = ask(world, west, size)
    assert [e.index < size for e in whole.entries].count(True) == 5
    monkeypatch.setattr(serving, "MAX_PAGE_BYTES", page_bytes)
    found, purges, after = [], [], 0
    while after < whole.target:
        page = ask(world, west, size, limit, after)
        assert len(page.entries) <= limit
        assert sum(len(bytes(e.leaf)) + len(bytes(e.body)) for e in page.entries[:-1]) <= page_bytes
        assert page.next > after
        found += page.entries
        purges.append(page.purge)
        after = page.next
    assert [bytes(e.leaf) for e in found] == [bytes(e.leaf) for e in whole.entries]
    assert [e.index for e in found] == sorted(e.index for e in found)
    assert purges == [whole.purge, *([[]] * (len(purges) - 1))]
    assert whole.purge == [("task", away)]
    assert (len(purges) > 1) == (limit < 500 or page_bytes < 10_000)


@pytest.mark.parametrize("cut_at", [1, 2, 3])
def test_a_gained_history_that_is_cut_off_goes_on(
    world: World, east: Replica, west: Replica, desk: Replica, cut_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it shows before all of it is there; a repeated sync asks for the rest."""
    key = make_and_move(world, east, desk)
    monkeypatch.setattr(client, "PULL_LIMIT", 1)
    world.wire.reset()
    world.wire.cut_at = cut_at + 1  # the first request fetches a nonce
    with pytest.raises(TransportError):
        world.sync(west)
    assert row(west, "task", key) is None
    world.wire.reset()
    world.sync(west)
    assert row(west, "task", key) == row(desk, "task", key)
    assert west.conn.execute("SELECT phone FROM contact").fetchall() == [(PHONE,)]


def test_own_entries_come_whole(world: World, east: Replica, desk: Replica) -> None:
    """`/v1/own` gives a device its own changesets with their bodies, in order, and nobody else's."""
    for number in range(3):
        insert(east, "task", a_task(title=f"第{number}件", secret=SECRET))
        east.commit()
    world.sync(east)
    answer = world.transport(east).post("/v1/own", Own(1), PullAnswer)
    assert [e.index for e in answer.entries] == sorted(e.index for e in answer.entries)
    assert len(answer.entries) == 2
    assert all(SECRET.encode() in bytes(e.body) for e in answer.entries)
    assert world.transport(desk).post("/v1/own", Own(0), PullAnswer).entries == []
