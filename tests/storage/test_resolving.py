"""Deciding conflicts: who may, what is written, where it is gone, and what opens it again."""

import json
from pathlib import Path

import pytest

from syncgov.core.commitment import Value
from syncgov.core.disputes import disputed, last_good_seqs
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.conflicts import Conflict, conflicts
from syncgov.storage.replica import Replica
from syncgov.storage.resolving import head_values, resolve
from syncgov.storage.status import status
from syncgov.storage.wording import role_words
from tests.helpers import World, a_task, insert, row, update

STEP = {"state": "reported", "owner": None, "due": None, "reason": None}


@pytest.fixture
def world(tmp_path: Path):
    """A centre with the small registers."""
    with World.make(tmp_path / "world") as made:
        yield made


def clash(world: World, column: str, one: Value, two: Value) -> str:
    """Let two devices write one column before either syncs; returns the key."""
    first, second = world.device("one"), world.device("two")
    key = insert(first, "task", a_task(kind="a", urgency=1))
    world.sync(first)
    world.sync(second)
    update(first, "task", key, **{column: one})
    update(second, "task", key, **{column: two})
    world.sync(first)
    world.sync(second)
    return key


def only(replica: Replica) -> Conflict:
    """Return the single conflict that a device knows of."""
    found = conflicts(replica)
    assert len(found) == 1, found
    return found[0]


def sync_all(world: World) -> None:
    """Sync every device twice: once to send, once to hear of the others."""
    for _ in range(2):
        for replica in world.replicas.values():
            world.sync(replica)


@pytest.mark.parametrize("value", ["b", "c", "a"])
def test_a_decision_ends_the_conflict_everywhere(world: World, value: str) -> None:
    """Whatever is chosen, a value of the two, the one that shows, or a third: after the next syncs all show it."""
    key = clash(world, "kind", "b", "c")
    desk = world.device("desk", "desk")
    assert only(desk).decision
    seq = resolve(desk, "task", key, "kind", value)
    assert only(desk).decided == {"a": "甲", "b": "乙", "c": "丙"}[value]
    assert status(desk).conflicts == 0
    sync_all(world)
    assert desk.conn.execute("SELECT verdict FROM _sg_own WHERE seq = ?", (seq,)).fetchone() == ("accepted",)
    for replica in world.replicas.values():
        assert conflicts(replica) == []
        assert status(replica).conflicts == 0
        found = row(replica, "task", key)
        assert found is not None
        assert found["kind"] == value


def test_a_late_head_opens_it_again(world: World) -> None:
    """Who decided had not seen what a third device wrote before: it is a conflict again."""
    late = world.device("late")
    key = clash(world, "kind", "b", "c")
    world.sync(late)  # it has seen the record and the clash
    desk = world.device("desk", "desk")
    fresh = world.device("fresh", "desk")
    resolve(fresh, "task", key, "kind", "a")  # offline, before the other decision
    resolve(desk, "task", key, "kind", "b")
    world.sync(desk)
    assert conflicts(desk) == []
    world.sync(fresh)
    sync_all(world)
    for replica in world.replicas.values():
        assert {version.value for version in only(replica).versions} == {"甲", "乙"}
    resolve(desk, "task", key, "kind", "c")
    sync_all(world)
    assert all(conflicts(replica) == [] for replica in world.replicas.values())


def test_review_fields_only_by_the_role(world: World) -> None:
    """The device says so before it signs, and names who may; the centre would have refused it too."""
    key = clash(world, "kind", "b", "c")
    one = world.reopen("one")
    world.sync(one)
    with pytest.raises(NotAllowedError, match="only desk may decide"):
        resolve(one, "task", key, "kind", "b")
    update(one, "task", key, kind="c")  # an ordinary edit over both values: the centre judges it
    done = world.sync(one)
    assert [why for _seq, why in done.refused] == ["refused:review"]


def test_low_importance_ones_stand_apart(world: World) -> None:
    """`last`, `max` and `min` have chosen a value: listed after those that need a decision, and not counted."""
    one, two = world.device("one"), world.device("two")
    key = insert(one, "task", a_task(kind="a", urgency=1))
    world.sync(one)
    world.sync(two)
    update(one, "task", key, kind="b", urgency=3, title="甲写的")
    update(two, "task", key, kind="c", urgency=2, title="乙写的")
    sync_all(world)
    found = conflicts(one)
    assert [(c.field, c.decision) for c in found] == [("kind", True), ("title", False), ("urgency", False)]
    assert (status(one).conflicts, status(one).minor) == (1, 2)
    assert found[0].resolvers == ("desk",)
    resolve(one, "task", key, "urgency", 3)  # the value that shows: an ordinary capture would write nothing
    sync_all(world)
    assert [c.field for c in conflicts(two)] == ["kind", "title"]


def steps(world: World) -> tuple[Replica, str]:
    """Return a desk, and a task that another desk has accepted and a third rejected at the same time."""
    worker = world.device("worker")
    key = insert(worker, "task", a_task())
    world.sync(worker)
    one, two = world.device("one", "desk"), world.device("two", "desk")
    update(one, "task", key, state="accepted", due="2026-12-01")
    update(two, "task", key, state="rejected", reason="dup")
    world.sync(one)
    world.sync(two)
    return world.device("desk", "desk"), key


def test_a_review_pair_of_steps_is_settled_to_one_of_its_values(world: World) -> None:
    """A group is chosen by number; the role decides; nothing else than the two may be written."""
    desk, key = steps(world)
    conflict = only(desk)
    assert conflict.decision
    assert conflict.shows == "状态 受理，期限 2026-12-01"
    values = head_values(desk, "task", key, "step")
    assert [json.dumps(v, sort_keys=True) for v in values] == [
        json.dumps(STEP | {"state": "accepted", "due": "2026-12-01"}, sort_keys=True),
        json.dumps(STEP | {"state": "rejected", "reason": "dup"}, sort_keys=True),
    ]
    with pytest.raises(InputError, match="number"):
        resolve(desk, "task", key, "step", STEP | {"state": "closed"})
    worker = world.reopen("worker")
    world.sync(worker)
    with pytest.raises(NotAllowedError):
        resolve(worker, "task", key, "step", values[0])
    resolve(desk, "task", key, "step", values[1])
    sync_all(world)
    assert all(conflicts(replica) == [] for replica in world.replicas.values())
    found = row(worker, "task", key)
    assert found is not None
    assert found["state"] == "rejected"


def test_steps_that_the_rule_settles_go_on_with_a_next_step(world: World) -> None:
    """No pair for review: precedence shows one; deciding is the next allowed step, anything else is explained."""
    worker = world.device("worker", staff=["甲"])
    key = insert(worker, "task", a_task())
    world.sync(worker)
    one, two = world.device("one", "desk", staff=["乙"]), world.device("two", "desk", staff=["丙"])
    update(one, "task", key, state="accepted", due="2026-12-01")
    update(two, "task", key, state="closed")
    world.sync(one)
    world.sync(two)
    world.sync(one)
    assert not only(one).decision
    accepted, closed = head_values(one, "task", key, "step")
    with pytest.raises(NotAllowedError, match="next step"):
        resolve(one, "task", key, "step", closed)
    with pytest.raises(NotAllowedError):
        resolve(one, "task", key, "step", accepted)
    resolve(one, "task", key, "step", STEP | {"state": "rework", "reason": "bad"})
    sync_all(world)
    assert all(conflicts(replica) == [] for replica in world.replicas.values())


def test_a_deletion_against_an_edit(world: World) -> None:
    """Whether a record stays is decided apart from what its fields say."""
    one, two = world.device("one"), world.device("two")
    keys = [insert(one, "task", a_task(kind="a")) for _ in range(2)]
    world.sync(one)
    world.sync(two)
    for key in keys:
        one.conn.execute("DELETE FROM task WHERE id = ?", (key,))
        update(two, "task", key, kind="b")
    sync_all(world)
    with pytest.raises(InputError, match="true"):
        resolve(one, "task", keys[0], "_alive", "yes")
    resolve(one, "task", keys[0], "_alive", False)
    resolve(one, "task", keys[1], "_alive", True)
    sync_all(world)
    for replica in (one, two):
        assert conflicts(replica) == []
        assert (row(replica, "task", keys[0]), row(replica, "task", keys[1]) is not None) == (None, True)


def test_a_decision_about_a_field_leaves_presence_alone(world: World) -> None:
    """Somebody wants the record gone: the conflict about that stays until it is decided itself."""
    three = world.device("three")
    key = clash(world, "kind", "b", "c")
    one = world.reopen("one")
    world.sync(three)
    three.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    update(one, "task", key, title="还在")
    sync_all(world)
    desk = world.device("desk", "desk")
    assert {c.field for c in conflicts(desk)} == {"kind", "_alive"}
    resolve(desk, "task", key, "kind", "b")
    sync_all(world)
    assert [c.field for c in conflicts(desk)] == ["_alive"]


def test_the_skeleton_follows_its_field(world: World) -> None:
    """Two places: one conflict, not two; the public community agrees with the decision."""
    one, two = world.device("one", "worker", ["101001", "101003"]), world.device("two", "worker", ["101"])
    key = insert(two, "task", a_task())
    world.sync(two)
    world.sync(one)
    update(two, "task", key, place="101002")
    update(one, "task", key, place="101003")
    desk = world.device("desk", "desk", ["101"])
    sync_all(world)
    with pytest.raises(InputError, match="empty"):
        resolve(desk, "task", key, "place", None)
    assert only(desk).field == "place"
    resolve(desk, "task", key, "place", "101003")
    sync_all(world)
    assert conflicts(desk) == []
    assert desk.conn.execute("SELECT count(*) FROM _sg_conflict").fetchone() == (0,)


def test_what_cannot_be_decided(world: World) -> None:
    """No conflict, an unknown table, a value that the register does not know, unsigned writes that wait."""
    key = clash(world, "kind", "b", "c")
    desk = world.device("desk", "desk")
    for table, field in (("task", "title"), ("task", "nothing"), ("nothing", "kind")):
        with pytest.raises(InputError, match="not in conflict"):
            resolve(desk, table, key, field, "b")
    with pytest.raises(InputError):
        resolve(desk, "task", key, "kind", "zz")
    with pytest.raises(InputError):
        resolve(desk, "task", key, "_alive", True)
    update(desk, "task", key, title="未签名")
    with pytest.raises(NotAllowedError, match="commit"):
        resolve(desk, "task", key, "kind", "b")
    assert desk.conn.execute("SELECT count(*) FROM _sg_own").fetchone() == (0,)


def test_deciding_twice_before_a_sync(world: World) -> None:
    """The second decision replaces the first one."""
    key = clash(world, "kind", "b", "c")
    desk = world.device("desk", "desk")
    resolve(desk, "task", key, "kind", "b")
    resolve(desk, "task", key, "kind", "c")
    sync_all(world)
    assert all(conflicts(replica) == [] for replica in world.replicas.values())
    found = row(desk, "task", key)
    assert found is not None
    assert found["kind"] == "c"


def test_conflicts_of_a_deleted_record_matter_no_more(world: World) -> None:
    """Nobody is asked to decide about what is gone."""
    key = clash(world, "kind", "b", "c")
    one = world.reopen("one")
    world.sync(one)
    one.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    sync_all(world)
    assert conflicts(one) == []
    assert (status(one).conflicts, status(one).minor) == (0, 0)
    with pytest.raises(InputError, match="deleted"):
        resolve(one, "task", key, "kind", "b")


def test_roles_in_words() -> None:
    """Shipped roles have names; somebody's own role goes by its code."""
    assert (role_words("operator"), role_words("operator", "en")) == ("综治平台操作员", "operator")
    assert role_words("gardener") == "gardener"


def test_disputed_changesets() -> None:
    """Those after the last one beyond doubt; a revocation that names none disputes nothing."""
    rows: list[tuple[str, dict[str, Value]]] = [
        ("a" * 32, {"revocation": {"reason": "lost", "last_good_seq": 2}}),
        ("b" * 32, {"revocation": {"reason": "lost", "last_good_seq": None}}),
        ("c" * 32, {"revocation": None}),
        ("d" * 32, {}),
    ]
    last_good = last_good_seqs(rows)
    assert last_good == {"a" * 32: 2}
    dots = [(dev * 32, seq) for dev in "abc" for seq in (1, 2, 3)]
    assert disputed(last_good, dots) == [("a" * 32, 3)]
