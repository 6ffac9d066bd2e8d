"""Certificates over time: revoked devices, renewed ones, and which of their changesets are 有争议."""

from pathlib import Path

import pytest

from syncgov.centre.certificates import disputed_dots, find_device, renew, revoke
from syncgov.centre.hiding import erase, erasure_status
from syncgov.core.commitment import Value
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.conflicts import conflicts
from syncgov.storage.state import load_row, store_rows
from syncgov.storage.status import status
from tests.helpers import DAY_MS, EAST, WEST, ManualClock, World, a_task, held_bytes, insert, row, update
from tests.registers import TASK


@pytest.fixture
def world(tmp_path: Path):
    """A centre with the small registers."""
    with World.make(tmp_path / "world") as made:
        yield made


def test_the_backlog_of_a_revoked_device_is_refused_and_the_device_is_told(world: World) -> None:
    """What arrives after the revocation is in the log as refused; what came before stays."""
    thief = world.device("thief")
    insert(thief, "task", a_task(title="之前"))
    world.sync(thief)
    insert(thief, "task", a_task(title="之后"))
    thief.commit()
    done = revoke(world.centre, thief.dev[:8], "lost")
    assert (done.device, done.logged, done.disputed) == (thief.dev, 1, 0)
    with pytest.raises(NotAllowedError, match="revoked") as caught:
        world.sync(thief)
    assert "停用" in caught.value.zh
    leaf = world.leaf(-1)
    assert (leaf.changeset.statement.dot, leaf.verdict) == ((thief.dev, 2), "refused:revoked")
    titles = [title for (title,) in world.centre.ledger.conn.execute("SELECT title FROM task")]
    assert titles == ["之前"]
    assert thief.conn.execute("SELECT count(*) FROM task").fetchone() == (2,)  # nothing on it is lost


def test_revoking_says_why_in_the_certificate(world: World) -> None:
    """The row says the reason; doing it again in the same words makes no entry; a mark is not dropped by another."""
    device = world.device("worker")
    insert(device, "task", a_task())
    world.sync(device)
    first = revoke(world.centre, device.dev, "misuse", 0)
    assert first.index is not None
    assert revoke(world.centre, device.dev, "misuse").index is None
    revoke(world.centre, device.dev, "lost")
    stored = load_row(world.centre.ledger.conn, ("device", device.dev))
    assert stored.shown("revocation", None) == {"reason": "lost", "last_good_seq": 0}
    with pytest.raises(InputError):
        revoke(world.centre, device.dev, "holiday")


def test_later_entries_are_disputed_and_the_fold_does_not_change(world: World) -> None:
    """A mark is for people: tables stay as they were."""
    device = world.device("worker")
    for number in range(3):
        insert(device, "task", a_task(title=f"第{number}件"))
    world.sync(device)
    before = world.centre.ledger.conn.execute("SELECT * FROM task ORDER BY 1").fetchall()
    assert revoke(world.centre, device.dev, last_good=1).disputed == 2
    assert disputed_dots(world.centre.ledger, device.dev) == [(device.dev, 2), (device.dev, 3)]
    assert world.centre.ledger.conn.execute("SELECT * FROM task ORDER BY 1").fetchall() == before
    with pytest.raises(InputError, match="3 entries"):
        revoke(world.centre, device.dev, last_good=4)


def test_a_conflict_shows_which_value_is_disputed(world: World) -> None:
    """Where a replica knows of the revocation, the version carries the mark."""
    one, two = world.device("one"), world.device("two")
    key = insert(one, "task", a_task(kind="a"))
    world.sync(one)
    world.sync(two)
    update(one, "task", key, kind="b")
    update(two, "task", key, kind="c")
    for replica in (one, two):
        world.sync(replica)
    revoke(world.centre, one.dev, last_good=1)
    stored = load_row(world.centre.ledger.conn, ("device", one.dev))
    store_rows(two.conn, {("device", one.dev): stored})
    (conflict,) = conflicts(two)
    assert [(version.device, version.disputed) for version in conflict.versions] == [(one.dev, True), (two.dev, False)]


def test_a_renewed_device_goes_on_in_its_chain(world: World) -> None:
    """Key and chain stay, the new validity counts, nothing has to be enrolled again."""
    assert isinstance(world.clock, ManualClock)
    device = world.device("worker", staff=("S1",))
    insert(device, "task", a_task())
    world.sync(device)
    world.clock.forward(729 * DAY_MS)
    done = renew(world.centre, device.dev[:10], staff=("S1", "S2"), days=30)
    assert (done.roles, done.areas, done.people) == (("worker",), (EAST,), ("S1", "S2"))
    assert done.valid_to == world.clock.now + 30 * DAY_MS
    world.clock.forward(20 * DAY_MS)
    insert(device, "task", a_task())
    assert world.sync(device, "S1").accepted == 1
    assert device.staff == ("S1", "S2")
    insert(device, "task", a_task())
    assert world.sync(device, "S2").accepted == 1
    world.clock.forward(20 * DAY_MS)
    insert(device, "task", a_task())
    assert world.sync(device, "S2").refused == [(4, "refused:expired")]


def test_renewing_with_another_area_moves_the_device(world: World) -> None:
    """The rows of the new area come, those of the old one go."""
    device, other = world.device("worker"), world.device("other", areas=(WEST,))
    mine = insert(device, "task", a_task())
    theirs = insert(other, "task", a_task(place=WEST))
    world.sync(device)
    world.sync(other)
    renew(world.centre, device.dev, areas=(WEST,), roles=("worker", "chief"))
    world.sync(device)
    assert row(device, "task", mine) is None
    assert row(device, "task", theirs) is not None
    assert device.roles == {"worker", "chief"}


def test_what_is_not_renewed(world: World) -> None:
    """A revoked device enrols again; unknown roles, foreign areas and endless validity are refused."""
    device = world.device("worker")
    for wrong in ({"roles": ("nobody",)}, {"areas": ("999",)}, {"days": 0}):
        with pytest.raises(InputError):
            renew(world.centre, device.dev, **wrong)
    revoke(world.centre, device.dev)
    with pytest.raises(NotAllowedError, match="rejoin"):
        renew(world.centre, device.dev)


def test_a_device_is_found_by_the_beginning_of_its_id(world: World) -> None:
    """Eight digits at least; an unknown one, and the registrar of the charter, are said to be so."""
    device = world.device("worker")
    assert find_device(world.centre, f" {device.dev[:8].upper()} ") == device.dev
    with pytest.raises(InputError, match="at least 8"):
        find_device(world.centre, device.dev[:7])
    with pytest.raises(InputError, match="no device"):
        find_device(world.centre, "0" * 32)
    with pytest.raises(NotAllowedError, match="roots"):
        revoke(world.centre, world.centre.registrar.id)


def test_an_ambiguous_beginning_is_refused(world: World) -> None:
    """Nobody is revoked by mistake."""
    device = world.device("worker")
    twin = device.dev[:8] + "0" * 24
    columns: dict[str, Value] = {
        "public_key": "A" * 43,
        "roles": ["worker"],
        "areas": [EAST],
        "valid_from": 0,
        "valid_to": 1,
    }
    world.centre.write("device", [(twin, columns)])
    with pytest.raises(InputError, match="ambiguous"):
        find_device(world.centre, device.dev[:8])
    assert find_device(world.centre, device.dev[:9]) == device.dev


def test_a_device_says_which_records_are_in_dispute(world: World) -> None:
    """Whoever holds what a stolen device wrote after its last good changeset hears of it at the next sync."""
    thief, mate, far = world.device("thief"), world.device("mate"), world.device("far", areas=(WEST,))
    for title in ("甲", "乙"):
        insert(thief, "task", a_task(title=title))
        world.sync(thief)
    world.sync(mate)
    assert status(mate).doubtful == ()
    revoke(world.centre, thief.dev, last_good=1)
    for each in (mate, far):
        world.sync(each)
    assert status(mate).doubtful == ("任务“乙”",)
    assert status(far).doubtful == ()


def test_a_device_whose_certificate_had_run_out_catches_up_when_it_is_renewed(world: World) -> None:
    """Meanwhile it was sent nothing of others: a change, an erasure, a register. It misses none of them for ever."""
    assert isinstance(world.clock, ManualClock)
    late, mate = world.device("late"), world.device("mate")
    key = insert(late, "task", a_task(title="旧的标题", secret="旧的内情"))
    world.sync(late)
    world.sync(mate)
    world.clock.forward(731 * DAY_MS)
    renew(world.centre, mate.dev)
    world.sync(mate)
    update(mate, "task", key, urgency=5)
    world.sync(mate)
    erase(world.centre, "task", key, ["secret"], "request")
    world.centre.write("register", [("task", {"text": TASK.replace("version: 1", "version: 2")})])
    for _again in range(2):  # it folds what it is sent, and says so
        world.sync(late)
    assert row(late, "task", key) == {**row(mate, "task", key), "urgency": None, "secret": "旧的内情"}  # type: ignore[dict-item]
    assert late.dev in {each.device for each in erasure_status(world.centre).erasures[0].waiting}
    renew(world.centre, late.dev)
    world.sync(late)
    world.sync(mate)
    assert row(late, "task", key) == row(mate, "task", key)
    assert "旧的内情".encode() not in held_bytes(late)
    assert not erasure_status(world.centre).erasures[0].waiting
    update(late, "task", key, title="新的标题")
    assert world.sync(late).accepted == 1
