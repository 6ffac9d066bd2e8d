"""The centre at a glance, and what one device sees: compared with what the devices really hold."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.centre.certificates import renew, revoke
from syncgov.centre.overview import overview, view_as
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from tests.helpers import AREA, DAY_MS, EAST, WEST, World, a_task, insert, update

SECRET = "不该在概览里"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A street at work: rows in two areas, a dispatched one, children, a refusal, a conflict, something waiting."""
    with World.make(tmp_path) as found:
        _work(found)
        yield found


def _work(world: World) -> None:
    world.centre.write("notice", [("water", {"text": "水务所"})])
    east, west = world.device("east", areas=(EAST,)), world.device("west", areas=(WEST,), staff=("S1",))
    desk = world.device("desk", "desk", (AREA,))
    world.device("water", areas=(), units=("water",))
    world.device("chief", "chief", (EAST,))
    key = insert(east, "task", a_task(secret=SECRET, title="路灯"))
    insert(east, "contact", {"task_id": key, "phone": "000-1"})
    insert(east, "task", a_task(place=WEST))
    world.sync(east)
    insert(west, "task", a_task(place=WEST))
    insert(west, "payment", {"amount": 5})
    for each in (west, desk, world.replicas["chief"]):
        world.sync(each, "S1" if each is west else None)
    update(desk, "task", key, state="accepted", due="2026-12-01", owner="water", kind="a")
    update(east, "task", key, kind="b")
    for each in (desk, east, *world.replicas.values()):
        world.sync(each, "S1" if each is west else None)


def _held_rows(replica: Replica, name: str) -> int:
    return int(replica.conn.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])


@pytest.mark.parametrize("name", ["east", "west", "desk", "water", "chief"])
def test_the_view_is_what_the_device_holds(world: World, name: str) -> None:
    """Registers, their columns and numbers of rows are those of its replica."""
    replica = world.replicas[name]
    found = view_as(world.centre, replica.dev[:9])
    assert {each.name for each in found.registers} == set(replica.columns)
    for each in found.registers:
        assert each.rows == _held_rows(replica, each.name), each.name
        labels = {f.label for f in replica.registers[each.name].readable(replica.roles)}
        assert set(each.read) == labels
        assert set(each.write) <= labels
    assert sum(each.rows for each in found.registers if each.name == "task") > 0


def test_who_may_write_what(world: World) -> None:
    """By the field's roles; the workflow's field by the roles of its transitions; never the system's registers."""
    views = {
        name: {r.name: set(r.write) for r in view_as(world.centre, world.replicas[name].dev).registers}
        for name in ("east", "chief", "desk")
    }
    assert "内情" in views["east"]["task"]
    assert "进度" in views["east"]["task"]
    assert "内情" not in views["chief"]["task"]
    assert "contact" not in views["chief"]
    assert all(not views[name]["device"] for name in views)
    assert "日期" not in views["desk"]["task"]


def test_refusals_and_conflicts_in_words(world: World) -> None:
    """Why, what to do, and which record; conflicts only of records that the device sees."""
    east = view_as(world.centre, world.replicas["east"].dev)
    assert (east.refused, [one.code for one in east.refusals]) == (1, ["area"])
    assert "负责区域" in east.refusals[0].why
    english = view_as(world.centre, world.replicas["east"].dev, "en").refusals[0]
    assert "areas" in english.why
    assert [(each.field, each.values, each.decision) for each in east.conflicts] == [("kind", 2, True)]
    assert "路灯" in east.conflicts[0].label
    assert view_as(world.centre, world.replicas["water"].dev).conflicts == east.conflicts
    assert view_as(world.centre, world.replicas["west"].dev).conflicts == ()
    assert SECRET not in repr((east, english, overview(world.centre)))


def test_the_overview_counts(world: World) -> None:
    """Every device with its rights, its place in the log, and when it was heard of last."""
    world.code("worker")
    found = overview(world.centre)
    lines = {line.device: line for line in found.devices}
    assert {each.dev for each in world.replicas.values()} == set(lines)
    assert (found.size, found.codes, found.waiting) == (world.centre.ledger.size, 1, 0)
    west = lines[world.replicas["west"].dev]
    assert (west.areas, west.units, west.people, west.state) == ((WEST,), (), ("S1",), "valid")
    assert (west.logged, west.last) == (2, world.clock())
    assert 0 < west.folded < found.size
    assert lines[world.replicas["chief"].dev].last is None


def test_what_waits_names_what_is_missing(world: World) -> None:
    """A changeset without its predecessor, and the number that is needed."""
    from syncgov.centre.intake import authenticate

    east = world.replicas["east"]
    logged = view_as(world.centre, east.dev).line.logged
    for title in ("一", "二"):
        insert(east, "task", a_task(title=title))
        east.commit()
    _seq, envelope, body = own_changesets(east)[1]
    world.centre.push([authenticate(world.centre.ledger, envelope, body)])
    found = view_as(world.centre, east.dev)
    assert (found.line.waiting, found.missing) == (1, logged + 1)
    assert overview(world.centre).waiting == 1


def test_the_states_of_a_certificate(world: World) -> None:
    """Expiring within a month, expired, revoked; the last two are sent nothing of others."""
    devices = {name: replica.dev for name, replica in world.replicas.items()}
    renew(world.centre, devices["east"], days=29)
    renew(world.centre, devices["west"], days=1)
    revoke(world.centre, devices["chief"])
    world.clock.forward(2 * DAY_MS)  # type: ignore[attr-defined]
    states = {line.device: line.state for line in overview(world.centre).devices}
    wanted = {"east": "expiring", "west": "expired", "chief": "revoked", "desk": "valid", "water": "valid"}
    assert states == {devices[name]: state for name, state in wanted.items()}
    for name in ("west", "chief"):
        assert view_as(world.centre, devices[name]).registers == ()


def test_nobody_else(world: World) -> None:
    """An unknown device is named, the registrar has no view of its own."""
    with pytest.raises(InputError):
        view_as(world.centre, "0123456789")
    with pytest.raises(NotAllowedError):
        view_as(world.centre, world.centre.registrar.id)
