"""Handlers see what their unit is responsible for: serving, gaining, losing, judging, publishing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.audit.audit import Report, audit
from syncgov.audit.folder import load_log
from syncgov.audit.walk import Walk
from syncgov.centre.certificates import renew
from syncgov.centre.enrolment import enrol
from syncgov.core.register import parse_register
from syncgov.core.trust import judge
from syncgov.errors import InputError, NotAllowedError
from syncgov.publish.publish import publish
from syncgov.storage.capture import FieldWrite
from syncgov.storage.replica import Replica
from syncgov.storage.rights import require_writable
from syncgov.storage.status import status
from tests.audit.street import write_pages
from tests.helpers import AREA, EAST, WEST, World, a_task, held_bytes, insert, row, update
from tests.registers import TASK, registers

WATER, POWER = "water", "power"
SECRET = "只给经办单位看的内情"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre with two units."""
    with World.make(tmp_path) as found:
        found.centre.write("notice", [(WATER, {"text": "水务所"}), (POWER, {"text": "供电所"})])
        yield found


def unit(world: World, name: str, *units: str, areas: tuple[str, ...] = ()) -> Replica:
    """Return a device of some units."""
    return world.device(name, areas=areas, units=units)


@pytest.fixture
def water(world: World) -> Replica:
    """A handler of the water works."""
    return unit(world, "water", WATER)


@pytest.fixture
def east(world: World) -> Replica:
    """A worker in the east, who reports."""
    return world.device("east", areas=(EAST,))


@pytest.fixture
def desk(world: World) -> Replica:
    """The desk, which dispatches."""
    return world.device("desk", "desk", (AREA,))


def report_and_dispatch(world: World, east: Replica, desk: Replica, owner: str | None = WATER) -> str:
    """Report a task with a contact in the east, and give it to a unit; returns its key."""
    key = insert(east, "task", a_task(secret=SECRET))
    world.sync(east)
    insert(east, "contact", {"task_id": key, "phone": "000-00007777"})
    world.sync(east)
    world.sync(desk)
    dispatch(world, desk, key, owner)
    return key


def dispatch(world: World, desk: Replica, key: str, owner: str | None) -> None:
    """Give a task to a unit."""
    update(desk, "task", key, state="accepted", due="2026-12-01", owner=owner)
    world.sync(desk)


def files_hold(replica: Replica, text: str) -> bool:
    """Whether the text is anywhere in a replica's files."""
    replica.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return text.encode() in held_bytes(replica)


def test_a_unit_gets_what_it_is_given(world: World, water: Replica, east: Replica, desk: Replica) -> None:
    """Row, history and children come with the dispatch, not before; another unit gets nothing."""
    power = unit(world, "power", POWER)
    key = insert(east, "task", a_task(secret=SECRET))
    insert(east, "contact", {"task_id": key, "phone": "000-00007777"})
    world.sync(east)
    world.sync(desk)
    for each in (water, power):
        world.sync(each)
        assert not files_hold(each, SECRET)
    dispatch(world, desk, key, WATER)
    for each in (water, power):
        world.sync(each)
    assert row(water, "task", key) == row(desk, "task", key)
    assert water.conn.execute("SELECT phone FROM contact").fetchall() == [("000-00007777",)]
    assert row(power, "task", key) is None
    assert not files_hold(power, SECRET)
    late = unit(world, "late", POWER, WATER)
    assert row(late, "task", key) == row(desk, "task", key)


def test_a_unit_handles_it(world: World, water: Replica, east: Replica, desk: Replica) -> None:
    """Its writes, and those of children, are accepted though no area of the device covers the record."""
    key = report_and_dispatch(world, east, desk)
    world.sync(water)
    update(water, "task", key, title="已到现场")
    insert(water, "contact", {"task_id": key, "phone": "000-1"})
    done = world.sync(water)
    assert (done.accepted, done.refused) == (1, [])
    world.sync(east)
    found = row(east, "task", key)
    assert found is not None
    assert found["title"] == "已到现场"


def test_what_is_taken_away_goes(world: World, water: Replica, east: Replica, desk: Replica) -> None:
    """After pending work was judged: row, children, leaves, free pages, write-ahead log."""
    power = unit(world, "power", POWER)
    key = report_and_dispatch(world, east, desk)
    world.sync(water)
    assert files_hold(water, SECRET)
    update(water, "task", key, title="离线时写的")
    dispatch(world, desk, key, POWER)
    done = world.sync(water)
    assert (done.accepted, done.refused) == (1, [])
    assert row(water, "task", key) is None
    assert water.conn.execute("SELECT count(*) FROM contact").fetchone() == (0,)
    for text in (SECRET, "000-00007777"):
        assert not files_hold(water, text)
    world.sync(desk)
    world.sync(power)
    assert row(power, "task", key) == row(desk, "task", key)
    dispatch(world, desk, key, None)
    world.sync(power)
    assert row(power, "task", key) is None
    assert not files_hold(power, SECRET)


def test_work_after_the_loss_is_refused(world: World, water: Replica, east: Replica, desk: Replica) -> None:
    """A copy of the file that kept the row may not go on writing it once it has folded the loss."""
    key = report_and_dispatch(world, east, desk)
    world.sync(water)
    dispatch(world, desk, key, POWER)
    world.sync(water)
    insert(water, "contact", {"task_id": key, "phone": "000-2"})
    assert [code for _seq, code in world.sync(water).refused] == ["refused:area"]
    why = next(change.why for change in status(water).changes)
    assert "责任单位" in why


def test_unit_and_area_overlap(world: World, east: Replica, desk: Replica) -> None:
    """Losing one of two reasons to see a record is no loss; both lost is. Overlapping prefixes do no harm."""
    both = unit(world, "both", WATER, areas=(EAST, f"{EAST}0001", "1010"))
    key = report_and_dispatch(world, east, desk)
    world.sync(both)
    dispatch(world, desk, key, POWER)
    world.sync(both)
    assert row(both, "task", key) == row(desk, "task", key)
    update(desk, "task", key, owner=WATER, place=f"{WEST}1")
    world.sync(desk)
    world.sync(both)
    assert row(both, "task", key) == row(desk, "task", key)
    renew(world.centre, both.dev, areas=(EAST,))
    world.sync(both)
    assert row(both, "task", key) == row(desk, "task", key)
    dispatch(world, desk, key, None)
    world.sync(both)
    assert row(both, "task", key) is None


def test_sixteen_areas_with_overlaps(world: World, east: Replica, desk: Replica) -> None:
    """As many prefixes as a certificate holds: each record once, in any of them; a seventeenth is refused."""
    key = insert(east, "task", a_task(place=f"{EAST}0005"))
    world.sync(east)
    areas = (EAST, *(f"{EAST}{n:04}" for n in range(15)))
    many = world.device("many", areas=areas)
    assert [found for (found,) in many.conn.execute("SELECT id FROM task")] == [key]
    update(many, "task", key, title="十六个区域")
    assert world.sync(many).accepted == 1
    with pytest.raises(InputError):
        enrol(world.centre, "worker", (*areas, WEST))


def test_a_device_that_changes_units(world: World, water: Replica, east: Replica, desk: Replica) -> None:
    """It pulls anew: what the new unit has comes, what the old one has goes."""
    key = report_and_dispatch(world, east, desk)
    other = report_and_dispatch(world, east, desk, POWER)
    world.sync(water)
    assert renew(world.centre, water.dev, units=(POWER,)).units == (POWER,)
    world.sync(water)
    assert row(water, "task", key) is None
    assert row(water, "task", other) == row(desk, "task", other)


def test_of_two_units_the_first_has_it_until_it_is_decided(world: World, east: Replica, desk: Replica) -> None:
    """Two dispatches at once: what shows counts, the first to arrive, until somebody decides."""
    second = world.device("second", "desk", (AREA,))
    devices = {name: unit(world, name, name) for name in (WATER, POWER)}
    key = insert(east, "task", a_task())
    for each in (east, desk, second):
        world.sync(each)
    update(desk, "task", key, state="accepted", due="2026-12-01", owner=WATER)
    update(second, "task", key, state="accepted", due="2026-12-01", owner=POWER)
    for each in (desk, second, desk):
        world.sync(each)
    for each in devices.values():
        world.sync(each)
    assert [row(each, "task", key) is not None for each in devices.values()] == [True, False]
    update(desk, "task", key, state="accepted", due="2026-12-01", owner=POWER)
    assert world.sync(desk).accepted == 1
    for name, each in devices.items():
        world.sync(each)
        assert (row(each, "task", key) is not None) == (name == POWER)


def test_an_edition_may_name_the_unit_later(tmp_path: Path) -> None:
    """With the edition that says `owner`, records that name a unit already come to its devices."""
    old = [parse_register(TASK.replace("owner: owner\n", ""), "task.yml")]
    old += [each for each in registers() if each.name != "task"]
    with World.make(tmp_path, old) as world:
        world.centre.write("notice", [(WATER, {"text": "水务所"})])
        east, desk = world.device("east"), world.device("desk", "desk", (AREA,))
        with pytest.raises(InputError):
            world.device("early", areas=(), units=(WATER,))
        key = report_and_dispatch(world, east, desk)
        world.centre.write("register", [("task", {"text": TASK.replace("version: 1", "version: 2")})])
        water = unit(world, "water", WATER)
        assert row(water, "task", key) == row(desk, "task", key)


def test_a_unit_must_be_registered(world: World) -> None:
    """A certificate names units that are there; somebody without a unit needs an area."""
    for areas, units in (((), ("nobody",)), ((), ()), ((EAST,), tuple(f"u{n}" for n in range(17)))):
        with pytest.raises(InputError):
            enrol(world.centre, "worker", areas, units=units)


def test_the_device_says_it_in_words(world: World, water: Replica, east: Replica, desk: Replica) -> None:
    """Status names the units; the rights check lets a unit's record be written, not moved."""
    key = report_and_dispatch(world, east, desk)
    world.sync(water)
    assert (status(water).areas, status(water).units) == ((), (WATER,))
    place = FieldWrite(("task", key), "place", EAST, (), False)
    require_writable(water, [place])
    with pytest.raises(NotAllowedError, match="units water"):
        require_writable(water, [FieldWrite(("task", key), "place", WEST, (), False)])


def test_the_audit_judges_by_unit(world: World, water: Replica, east: Replica, desk: Replica, tmp_path: Path) -> None:
    """Accepted and refused writes of a unit's device are judged again from the published folder, not declared."""
    key = report_and_dispatch(world, east, desk)
    world.sync(water)
    update(water, "task", key, title="已到现场")
    assert world.sync(water).accepted == 1
    dispatch(world, desk, key, POWER)
    world.sync(water)
    insert(water, "contact", {"task_id": key, "phone": "000-2"})
    assert world.sync(water).refused
    publish(world.centre, tmp_path / "out", portal=False)
    write_pages(tmp_path / "out", {})
    report = audit(tmp_path / "out", tmp_path / "centre" / "charter.json")
    assert report.ok, report.findings
    walk = Walk(load_log(tmp_path / "out", Report()), Report())  # type: ignore[arg-type]
    walk.run(lambda *_args: None)
    (accepted, refused) = [n for n, leaf in enumerate(walk.log.leaves) if leaf.changeset.statement.dev == water.dev]
    judged = []
    for index in (accepted, refused):
        leaf = walk.log.leaves[index]
        body = walk.log.body(index)
        judged.append(judge(leaf.changeset.statement, body, received=leaf.received, index=index, ledger=walk.ledger))
    assert judged[0].verdict == "accepted"
    assert "area" not in judged[0].declared
    assert "area" in judged[1].declared  # whose contact it was is private
