"""The guard `photo_before_after`: at the centre, for an auditor, and on the device before it signs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.core.commitment import Value, open_body, parse_body, redact
from syncgov.core.merge import WITHHELD
from syncgov.core.photo_guard import is_certain, missing_photos, photo_register
from syncgov.core.register import RegisterSet
from syncgov.core.trust import Judgement, judge
from syncgov.core.trust_view import RowKey
from syncgov.storage import replica as replica_module
from syncgov.storage.connection import connect
from syncgov.storage.ledger import Ledger
from syncgov.storage.replica import Replica
from syncgov.storage.status import status
from tests.attaching import PHOTO, add, pen_world, registers
from tests.helpers import AREA, World, a_task, insert, update

PUBLIC_PHOTO = (
    PHOTO.replace("skeleton: none", "skeleton: {}")
    .replace("read: {internal:", "read: {public: ['*'], internal:")
    .replace("text, class: internal, ref: task", "text, class: public, ref: task")
    .replace("code, class: internal", "code, class: public")
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre whose tasks are closed with photos alone."""
    with pen_world(tmp_path) as found:
        yield found


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose program does not look before it signs."""
    monkeypatch.setattr(replica_module, "require_photos", lambda *_: None)


@pytest.mark.parametrize(
    ("phases", "reason"),
    [
        ((), "guard"),
        (("before",), "guard"),
        (("after",), "guard"),
        ((None, "before"), "guard"),
        (("before", "after"), ""),
    ],
)
@pytest.mark.usefixtures("careless")
def test_the_centre_demands_both_photos(
    world: World, pen: Replica, phases: tuple[str | None, ...], reason: str
) -> None:
    """Accepted before; a step over what the device itself wrote earlier counts them too."""
    key = insert(pen, "task", a_task())
    for seed, phase in enumerate(phases):
        add(pen, key, seed, phase)
    pen.commit()
    update(pen, "task", key, state="closed")
    done = world.sync(pen)
    assert done.refused == ([(2, f"refused:{reason}")] if reason else [])


@pytest.mark.usefixtures("careless")
def test_a_refusal_names_the_photo_that_was_missing(world: World, pen: Replica) -> None:
    """And not the one that came in the same changeset."""
    key = insert(pen, "task", a_task())
    world.sync(pen)
    update(pen, "task", key, state="closed")
    add(pen, key, 1, "before")
    assert len(world.sync(pen).refused) == 1
    (change,) = status(pen).changes
    assert change.why.endswith("“办结”缺少处置后照片")
    assert "处置前" not in change.why


@pytest.mark.usefixtures("careless")
def test_photos_of_the_same_changeset_count(world: World, pen: Replica) -> None:
    """The worker writes, photographs, and signs once."""
    key = insert(pen, "task", a_task())
    world.sync(pen)
    update(pen, "task", key, state="closed")
    add(pen, key, 1, "before")
    add(pen, key, 2, "after")
    done = world.sync(pen)
    assert (done.signed, done.refused, done.accepted) == (1, [], 1)


@pytest.mark.usefixtures("careless")
def test_photos_of_another_record_or_kind_or_refused_do_not_count(world: World, pen: Replica) -> None:
    """Nor does a paper in the right phase."""
    key, other = insert(pen, "task", a_task()), insert(pen, "task", a_task())
    add(pen, key, 1, "before")
    add(pen, other, 2, "after")
    columns: dict[str, Value] = {
        "task_id": key,
        "sha256": "0" * 64,
        "bytes": 9,
        "media_type": "application/pdf",
        "kind": "paper",
        "phase": "after",
    }
    insert(pen, "photo", columns)
    pen.commit()
    update(pen, "task", key, state="closed")
    assert [why for _seq, why in world.sync(pen).refused] == ["refused:guard"]


def test_a_device_says_what_is_missing_before_it_signs(world: World, pen: Replica) -> None:
    """By the names that people know; the photos themselves are signed, and the step when both are there."""
    key = insert(pen, "task", a_task())
    world.sync(pen)
    update(pen, "task", key, state="closed")
    ((_row, error),) = pen.commit().problems
    assert "缺少处置前照片、处置后照片" in error.zh
    assert "--phase before --phase after" in error.en
    add(pen, key, 1, "before")
    done = pen.commit()
    assert [seq for seq, _record in done.signed] == [2]
    assert "缺少处置后照片" in done.problems[0][1].zh
    assert "处置前" not in done.problems[0][1].zh
    add(pen, key, 2, "after")
    done = pen.commit()
    assert not done.problems
    assert world.sync(pen).refused == []
    assert world.centre.ledger.conn.execute("SELECT state FROM task").fetchall() == [("closed",)]


def test_steps_without_the_condition_and_devices_that_see_no_photos_are_left_alone(world: World, pen: Replica) -> None:
    """What a device cannot know it leaves to the centre."""
    desk = world.device("desk", "desk", (AREA,))
    key = insert(pen, "task", a_task())
    world.sync(pen)
    world.sync(desk)
    update(desk, "task", key, state="accepted", due="2026-12-01")
    assert not desk.commit().problems
    del desk.columns["photo"]
    update(desk, "task", key, state="closed")
    assert not desk.commit().problems


class Outsider(Ledger):
    """Sees of the log what is public: here no photo."""

    public: tuple[RowKey, ...] = ()

    def children(self, record: RowKey, table: str) -> list[RowKey]:
        return [row for row in super().children(record, table) if row in self.public]


def judged_again(world: World, *, hide: str = "photo/") -> Judgement:
    """Judge the last leaf again without what is not public."""
    ledger = Outsider(connect(world.centre.path / "central.db"))
    index = ledger.size - 1
    ((_i, _leaf, raw),) = ledger.entries(index, index + 1)
    leaf = ledger.leaf(index)
    st = leaf.changeset.statement
    body = open_body(raw, st)
    cut = redact(body, lambda position, write: position < st.pub and not write.path.startswith(hide))
    return judge(st, parse_body(cut, st.pub), received=leaf.received, index=index, ledger=ledger)


@pytest.mark.usefixtures("careless")
@pytest.mark.parametrize("photos", [True, False])
def test_an_auditor_who_sees_no_photos_calls_it_declared(world: World, pen: Replica, photos: bool) -> None:
    """Whatever the centre said; nothing is guessed."""
    key = insert(pen, "task", a_task())
    if photos:
        add(pen, key, 1, "before")
        add(pen, key, 2, "after")
    world.sync(pen)
    update(pen, "task", key, state="closed")
    assert bool(world.sync(pen).refused) is not photos
    again = judged_again(world)
    assert again.verdict == "accepted"
    assert "guard" in again.declared


def test_public_photos_leave_nothing_to_guess() -> None:
    """Where all that counts is public, and nothing of it withheld, somebody outside judges as the centre does."""
    found = RegisterSet(registers(PUBLIC_PHOTO))
    workflow = found["task"].workflow
    assert workflow is not None and workflow.photos is not None  # noqa: PT018
    register = photo_register(workflow.photos, found)
    assert register is not None
    row = {"_alive": True, "task_id": "t", "phase": "before", "kind": "photo"}
    assert is_certain(workflow.photos, register, [row])
    assert not is_certain(workflow.photos, register, [{**row, "phase": WITHHELD}])
    assert not is_certain(workflow.photos, RegisterSet(registers())["photo"], [row])
    assert missing_photos(workflow.photos, register, "t", [row]) == ("after",)
    for other in ({"_alive": False}, {"task_id": "u"}, {"kind": "paper"}, {"phase": None}):
        assert missing_photos(workflow.photos, register, "t", [{**row, **other}]) == ("before", "after")
    assert photo_register(workflow.photos, RegisterSet(())) is None
