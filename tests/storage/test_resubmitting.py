"""Refused work that is sent again: corrected, over what stands now, said so in the status."""

from pathlib import Path

import pytest

from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.conflicts import conflicts
from syncgov.storage.replica import Replica
from syncgov.storage.resubmitting import correctable, resubmit, resubmittable
from syncgov.storage.status import Stage, status
from tests.helpers import DAY_MS, EAST, WEST, ManualClock, World, a_task, insert, row, update


@pytest.fixture
def world(tmp_path: Path):
    """A centre with the small registers."""
    with World.make(tmp_path / "world") as made:
        yield made


def refused(world: World, replica: Replica) -> list[int]:
    """Sync, and return the numbers that are 被退回 now."""
    world.sync(replica)
    return [change.seq for change in status(replica).changes if change.stage is Stage.REFUSED]


def test_a_corrected_record_is_taken(world: World) -> None:
    """A new record in the wrong area: with the right one it is there, under its own key, and no longer 被退回."""
    replica = world.device("worker")
    key = insert(replica, "task", a_task(place=WEST, kind="b"))
    assert refused(world, replica) == [1]
    assert [change.seq for change in resubmittable(replica)] == [1]
    with pytest.raises(NotAllowedError, match=WEST):
        resubmit(replica, [1])
    (done,) = resubmit(replica, [1], corrections={"place": EAST})
    assert (done.seq, done.new_seq, done.record) == (1, 2, ("task", key))
    found = row(replica, "task", key)
    assert found is not None
    assert (found["place"], found["kind"]) == (EAST, "b")
    found_status = status(replica)
    assert found_status.resubmitted == ((1, 2),)
    assert [change.stage for change in found_status.changes] == [Stage.UNSENT]
    assert refused(world, replica) == []
    assert status(replica).delivered == 1
    assert resubmittable(replica) == []


def test_it_is_written_over_what_stands_now(world: World) -> None:
    """Somebody else went on meanwhile: whoever sends again has seen it, so there is no conflict."""
    worker, desk = world.device("worker"), world.device("desk", "desk")
    key = insert(worker, "task", a_task())
    world.sync(worker)
    world.sync(desk)
    update(desk, "task", key, state="rejected", title="台账标题")  # the step lacks its reason
    assert refused(world, desk) == [1]
    update(worker, "task", key, title="别人的标题")
    world.sync(worker)
    world.sync(desk)
    with pytest.raises(InputError, match="no column"):
        resubmit(desk, [1], corrections={"nothing": "x"})
    resubmit(desk, [1], corrections={"reason": "dup"})
    assert refused(world, desk) == []
    world.sync(worker)
    for replica in (desk, worker):
        found = row(replica, "task", key)
        assert found is not None
        assert (found["title"], found["state"]) == ("台账标题", "rejected")
        assert conflicts(replica) == []


def test_groups_are_corrected_by_column(world: World) -> None:
    """A missing reason is added to the step that was refused; its other columns stay."""
    desk = world.device("desk", "desk")
    worker = world.device("worker")
    key = insert(worker, "task", a_task())
    world.sync(worker)
    world.sync(desk)
    update(desk, "task", key, state="rejected")
    assert refused(world, desk) == [1]
    register, column = correctable(desk, 1, "reason")
    assert (register.name, column) == ("task", "reason")
    resubmit(desk, [1], corrections={"reason": "dup"})
    assert refused(world, desk) == []
    found = row(desk, "task", key)
    assert found is not None
    assert (found["state"], found["reason"]) == ("rejected", "dup")


def test_a_cascade_is_explained_and_sent_again_in_order(world: World) -> None:
    """What was written on top of a refused record says so, and cannot go before it."""
    replica = world.device("worker")
    key = insert(replica, "task", a_task(place=WEST))
    replica.commit()
    update(replica, "task", key, title="第二稿")
    assert refused(world, replica) == [1, 2]
    first, second = resubmittable(replica)
    assert (first.built_on, second.built_on) == ((), (1,))
    assert "#1" in second.why
    assert "#1" in second.remedy
    assert "on top of #1" in resubmittable(replica, "en")[1].why
    with pytest.raises(InputError, match="first resubmit"):
        resubmit(replica, [2])
    resubmit(replica, [1], corrections={"place": EAST})
    assert resubmittable(replica)[0].built_on == ()
    resubmit(replica, [2])
    assert refused(world, replica) == []
    found = row(replica, "task", key)
    assert found is not None
    assert found["title"] == "第二稿"
    assert status(replica).resubmitted == ((1, 3), (2, 4))


def test_refused_again_is_listed_once(world: World) -> None:
    """The old one is marked, the new one is 被退回; it can be corrected in its turn."""
    desk, worker = world.device("desk", "desk"), world.device("worker")
    key = insert(worker, "task", a_task())
    world.sync(worker)
    world.sync(desk)
    update(desk, "task", key, state="rejected")
    assert refused(world, desk) == [1]
    resubmit(desk, [1])
    assert refused(world, desk) == [2]
    resubmit(desk, [2], corrections={"reason": "bad"})
    assert refused(world, desk) == []
    assert status(desk).resubmitted == ((1, 2), (2, 3))


def test_children_go_with_their_record(world: World) -> None:
    """A record and its child in one changeset are sent again as one; a child's column has its register's name."""
    replica = world.device("worker")
    key = insert(replica, "task", a_task(place=WEST))
    insert(replica, "contact", {"task_id": key, "name": "甲", "phone": "1"})
    assert refused(world, replica) == [1]
    with pytest.raises(InputError, match="one change"):
        resubmit(replica, [1, 2], corrections={"place": EAST})
    with pytest.raises(NotAllowedError):
        resubmit(replica, [1], corrections={"contact.phone": "2"})
    resubmit(replica, [1], corrections={"contact.phone": "2", "place": EAST})
    assert refused(world, replica) == []
    assert replica.conn.execute("SELECT task_id, phone FROM contact").fetchall() == [(key, "2")]


def test_after_a_renewal(world: World) -> None:
    """What came too late for the certificate is sent again when it is valid again."""
    from syncgov.centre.certificates import renew

    assert isinstance(world.clock, ManualClock)
    replica = world.device("worker")
    insert(replica, "task", a_task())
    world.clock.forward(731 * DAY_MS)
    assert refused(world, replica) == [1]
    assert resubmittable(replica)[0].code == "expired"
    renew(world.centre, replica.dev)
    world.sync(replica)
    resubmit(replica, [1])
    assert refused(world, replica) == []
    assert status(replica).delivered == 1


def test_what_cannot_be_sent_again(world: World) -> None:
    """Not refused, unknown, sent again already, or refused because of the device itself."""
    replica = world.device("worker")
    insert(replica, "task", a_task())
    insert(replica, "task", a_task(place=WEST))
    world.sync(replica)
    (bad,) = [change.seq for change in resubmittable(replica)]
    for seq in (99, 3 - bad):
        with pytest.raises(InputError, match="not refused"):
            resubmit(replica, [seq])
    resubmit(replica, [bad], corrections={"place": EAST})
    with pytest.raises(InputError, match="sent again as #3"):
        resubmit(replica, [bad])
    for verdict in ("refused:revoked", "refused:fork"):
        replica.conn.execute("UPDATE _sg_own SET idx = NULL, verdict = NULL, sent = ? WHERE seq = 3", (verdict,))
        with pytest.raises(NotAllowedError, match="rejoin"):
            resubmit(replica, [3])
        assert [change.code for change in status(replica).changes] == [verdict.removeprefix("refused:")]
        assert resubmittable(replica) == []


def test_purged_content_is_not_there_to_be_sent(world: World) -> None:
    """The record left this device's area: its refused change is still listed, without values."""
    replica = world.device("worker")
    insert(replica, "task", a_task(place=WEST))
    assert refused(world, replica) == [1]
    replica.conn.execute("UPDATE _sg_own SET body = x''")
    (change,) = status(replica).changes
    assert (change.seq, change.values) == (1, ())
    assert resubmittable(replica) == []
    with pytest.raises(InputError, match="purged"):
        resubmit(replica, [1])


def test_a_deletion_is_sent_again(world: World) -> None:
    """Who may not delete is told; the values of a refused deletion are just that the record goes."""
    desk, worker = world.device("desk", "desk"), world.device("worker")
    key = insert(worker, "task", a_task())
    world.sync(worker)
    world.sync(desk)
    desk.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    assert refused(world, desk) == [1]
    with pytest.raises(NotAllowedError, match="delete"):
        resubmit(desk, [1])


def test_unsigned_writes_are_not_mixed_in(world: World) -> None:
    """Somebody else's open work is committed first."""
    replica = world.device("worker")
    insert(replica, "task", a_task(place=WEST))
    assert refused(world, replica) == [1]
    insert(replica, "task", a_task())
    with pytest.raises(NotAllowedError, match="commit"):
        resubmit(replica, [1], corrections={"place": EAST})
