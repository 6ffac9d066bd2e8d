"""A refusal names guard, field, step, person: found out on the device, in plain words."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.storage import staff_file
from syncgov.storage.status import Change, status
from tests.helpers import WEST, World, a_task, insert, update
from tests.signers import CLERK, reported, strict_world


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staff_file, "SCRYPT_N", 2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre where voiding a task takes two persons."""
    with strict_world(tmp_path / "world") as made:
        yield made


def refused(world: World, name: str, staff: str | None = None, language: str = "zh") -> Change:
    """Sync a device and return its only refused change."""
    replica = world.replicas[name]
    world.sync(replica, staff)
    (change,) = status(replica, "en" if language == "en" else "zh").changes
    return change


def test_a_missing_column_is_named(world: World) -> None:
    """受理 without a deadline: the step and the column's label; in English too."""
    desk = world.device("desk", "desk", ["101"], staff=[CLERK])
    key = reported(world, desk)
    update(desk, "task", key, state="accepted")
    change = refused(world, "desk", CLERK)
    assert change.code == "guard"
    assert "“受理”须填“期限”" in change.why
    assert "needs 'due'" in status(desk, "en").changes[0].why
    update(desk, "task", key, state="rejected")
    world.sync(desk, CLERK)
    assert "“不受理”须填“理由”" in status(desk).changes[-1].why


def test_the_other_person_is_named(world: World) -> None:
    """Whoever reported may not close; or nobody was named."""
    worker = world.device("pair", "worker", staff=["甲", "乙"])
    key = insert(worker, "task", a_task())
    world.sync(worker, "甲")
    update(worker, "task", key, state="closed")
    assert "“办结”须由另一人办理，上一步也是 甲 办的" in refused(world, "pair", "甲").why
    lone = world.device("lone", "worker")
    world.sync(lone)
    update(lone, "task", key, state="closed")
    assert "须写明填报人" in refused(world, "lone").why


def test_a_step_that_does_not_exist_says_from_where_to_where(world: World) -> None:
    """Also for a new record."""
    worker = world.device("worker", "worker")
    key = insert(worker, "task", a_task())
    world.sync(worker)
    update(worker, "task", key, state="accepted", due="2026-12-01")
    assert "不能从“报”到“受理”" in refused(world, "worker").why
    insert(worker, "task", a_task(state="closed"))
    world.sync(worker)
    assert "不能从“（新建）”到“办结”" in status(worker).changes[-1].why


def test_a_late_extension_names_the_deadline_that_had_passed(world: World) -> None:
    """A device that does not ask before it signs."""
    desk = world.device("desk", "desk", ["101"], staff=[CLERK])
    key = reported(world, desk)
    update(desk, "task", key, state="accepted", due="2026-11-17")
    world.sync(desk, CLERK)
    update(desk, "task", key, due="2026-12-17")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("syncgov.storage.replica.require_in_time", lambda *_: None)
        desk.commit(CLERK)
    assert "“延期”须在原期限（2026-11-17）届满前提出" in refused(world, "desk", CLERK).why


def test_a_field_of_another_role_is_named(world: World) -> None:
    """By its label."""
    chief = world.device("chief", "chief")
    key = insert(chief, "task", a_task())
    world.sync(chief)
    desk = world.device("desk", "desk", ["101"])
    update(desk, "task", key, urgency=2)
    change = refused(world, "desk")
    assert (change.code, "“紧急”" in change.why) == ("role", True)


def test_where_nothing_more_is_known_the_general_words_stand(world: World) -> None:
    """An area needs no detail."""
    worker = world.device("worker", "worker")
    insert(worker, "task", a_task(place=WEST))
    assert refused(world, "worker").why == "这条记录不在本终端的负责区域内，也不归本终端的责任单位"
