"""What the worker is told: where each change stands, why it came back, what clashes."""

import ast
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from syncgov.core import trust
from syncgov.core.register import parse_register
from syncgov.storage.conflicts import conflicts
from syncgov.storage.refusals import REFUSALS, UNKNOWN, refusal
from syncgov.storage.status import Change, Stage, status
from syncgov.storage.wording import column_words, record_words, time_words, value_words
from tests.helpers import DAY_MS, EAST, ManualClock, World, a_task, insert, update
from tests.registers import registers as small_registers


@pytest.fixture
def world(tmp_path: Path):
    """A centre with the small registers."""
    with World.make(tmp_path / "world") as made:
        yield made


def only(changes: tuple[Change, ...]) -> Change:
    """Return the single change."""
    assert len(changes) == 1, changes
    return changes[0]


def test_a_change_goes_from_unsigned_to_delivered(world: World) -> None:
    """Unsigned, 待上传, 已送达: each step has its word, and the record its title."""
    replica = world.device("worker")
    insert(replica, "task", a_task())
    change = only(status(replica).changes)
    assert (change.stage, change.label, change.seq) == (Stage.UNSIGNED, "任务“路灯不亮”", 0)
    assert "commit" in change.remedy
    replica.commit()
    change = only(status(replica).changes)
    assert (change.stage, change.stage.label("zh"), change.seq) == (Stage.UNSENT, "待上传", 1)
    world.sync(replica)
    found = status(replica)
    assert (found.changes, found.delivered, found.count(Stage.DELIVERED)) == ((), 1, 1)
    assert (found.centre, found.roles, found.areas) == ("测试街道", ("worker",), (EAST,))


def test_a_change_that_the_centre_took_but_has_not_judged_here_is_delivered(world: World) -> None:
    """The answer to the push came, the pull did not: the worker need not worry."""
    replica = world.device("worker")
    insert(replica, "task", a_task())
    replica.commit()
    replica.conn.execute("UPDATE _sg_own SET sent = 'logged'")
    assert (status(replica).delivered, status(replica).changes) == (1, ())


def test_a_change_whose_predecessor_is_missing_is_waiting(world: World) -> None:
    """待处理 says what is missing and what happens next."""
    replica = world.device("worker")
    insert(replica, "task", a_task())
    replica.commit()
    replica.conn.execute("UPDATE _sg_own SET sent = 'waiting'")
    change = only(status(replica).changes)
    assert (change.stage.label("zh"), change.stage.label("en")) == ("待处理", "waiting")
    assert "更早" in change.why
    assert "earlier" in only(status(replica, "en").changes).why


def test_a_change_that_could_not_be_verified_keeps_its_values(world: World) -> None:
    """The centre stored nothing; the worker still sees what was written."""
    replica = world.device("worker")
    insert(replica, "task", a_task())
    replica.commit()
    replica.conn.execute("UPDATE _sg_own SET sent = 'rejected'")
    change = only(status(replica).changes)
    assert (change.stage, change.code) == (Stage.REFUSED, "rejected")
    assert ("标题", "路灯不亮") in change.values


def test_a_refused_change_says_why_what_to_do_and_what_was_written(world: World) -> None:
    """被退回: the reason in plain words, the values with the labels of fields and choices."""
    replica = world.device("worker")
    key = insert(replica, "task", a_task())
    world.sync(replica)
    update(replica, "task", key, state="accepted", due="2026-12-01")
    world.sync(replica)
    found = status(replica)
    change = only(found.changes)
    assert (change.stage.label("zh"), change.code, change.seq) == ("被退回", "transition", 2)
    why, remedy = REFUSALS["transition"].words("zh")
    assert (change.why, change.remedy) == (f"{why}：不能从“报”到“受理”", remedy)
    assert change.values == (("进度", "状态 受理，期限 2026-12-01"),)
    assert only(status(replica, "en").changes).why.startswith(REFUSALS["transition"].words("en")[0])
    assert found.delivered == 1


def test_a_refused_new_record_is_still_named(world: World) -> None:
    """Its row is gone from the table, its title comes from what was written."""
    replica = world.device("worker")
    insert(replica, "task", a_task(place="101002", title="不在本区"))
    world.sync(replica)
    change = only(status(replica).changes)
    assert (change.code, change.label) == ("area", "任务“不在本区”")
    assert replica.conn.execute("SELECT count(*) FROM task").fetchone() == (0,)


def test_a_refused_change_that_was_written_again_is_corrected(world: World) -> None:
    """It is counted apart and no longer asks for attention; one of two fields written again is not enough."""
    replica = world.device("worker", staff=["甲"])
    key = insert(replica, "task", a_task())
    world.sync(replica)
    update(replica, "task", key, title="新标题", state="accepted")
    world.sync(replica)
    update(replica, "task", key, title="新标题")
    world.sync(replica)
    assert (len(status(replica).changes), status(replica).corrected) == (1, 0)
    desk = world.device("desk", "desk", staff=["乙"])
    update(desk, "task", key, state="accepted", due="2026-12-01")
    world.sync(desk)
    world.sync(replica)
    update(replica, "task", key, state="closed")
    done = world.sync(replica)
    assert done.accepted == 1, done
    assert (status(replica).changes, status(replica).corrected) == ((), 1)


def test_every_reason_of_refusal_has_words() -> None:
    """No verdict that the centre can give leaves the worker without an explanation, in either language."""
    steps = sorted(Path(trust.__file__).parent.glob("trust*.py"))
    trees = [ast.parse(each.read_text(encoding="utf-8")) for each in steps]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    calls = [node for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    named = {
        argument.value
        for call in calls
        if getattr(call.func, "id", "") in ("refuse_unless", "RefusedError")
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert {"area", "role", "transition", "value"} <= named
    assert named | {"fork", "erased"} <= set(REFUSALS)
    for words in REFUSALS.values():
        assert all([*words.why, *words.remedy])
    assert refusal("refused:something-new") is UNKNOWN


def test_a_conflict_says_what_who_when_where_and_what_shows(world: World) -> None:
    """Two devices wrote before either had synced; both see both values in words."""
    one, two = world.device("one", staff=("S1",)), world.device("two", staff=("S2",))
    key = insert(one, "task", a_task(kind="a"))
    world.sync(one)
    world.sync(two)
    update(one, "task", key, kind="b")
    update(two, "task", key, kind="c")
    for replica in (one, two, one):
        world.sync(replica)
    (conflict,) = conflicts(one)
    assert (conflict.table, conflict.key, conflict.field) == ("task", key, "kind")
    assert (conflict.label, conflict.field_label, conflict.shows) == ("任务“路灯不亮”", "类别", "乙")
    assert conflict.resolvers == ("desk",)
    assert [(v.value, v.person, v.own, v.shows) for v in conflict.versions] == [
        ("乙", "S1", True, True),
        ("丙", "S2", False, False),
    ]
    assert [v.device for v in conflict.versions] == [one.dev, two.dev]
    assert [v.own for v in conflicts(two)[0].versions] == [False, True]
    assert status(one).conflicts == 1


def test_a_deletion_against_an_edit_is_told_in_words(world: World) -> None:
    """Presence is a conflict like any other; it is not called _alive."""
    one, two = world.device("one"), world.device("two")
    key = insert(one, "task", a_task())
    world.sync(one)
    world.sync(two)
    one.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    update(two, "task", key, title="还在")
    for replica in (one, two, one):
        world.sync(replica)
    found = {conflict.field: conflict for conflict in conflicts(one)}["_alive"]
    assert found.field_label == "是否删除"
    assert {v.value for v in found.versions} == {"保留这条记录", "删除这条记录"}
    assert found.shows == "保留这条记录"
    assert conflicts(one, "en")[0].field_label == "deletion"


@pytest.mark.parametrize(("days", "word"), [(365, "快"), (-365, "慢"), (0, "")])
def test_a_wrong_clock_is_flagged(world: World, days: int, word: str) -> None:
    """A year ahead or behind: a warning, no refusal."""
    other = world.device("other")
    insert(other, "task", a_task())
    world.sync(other)
    clock = ManualClock(world.centre.clock() + days * DAY_MS)
    replica = world.device("worker", clock=clock)
    insert(replica, "task", a_task())
    with closing(sqlite3.connect(replica.path, isolation_level=None)) as conn:
        conn.execute("UPDATE _sg_touched SET at = ?", (clock(),))
    assert world.sync(replica).accepted == 1
    assert (word in status(replica).clock) if word else status(replica).clock == ""


def test_a_rebuilt_or_dropped_table_is_mentioned(world: World) -> None:
    """Hints may be gone: the worker is told to commit, and nothing crashes."""
    replica = world.device("worker")
    key = insert(replica, "task", a_task())
    world.sync(replica)
    assert not status(replica).rebuilt
    update(replica, "task", key, state="accepted")
    world.sync(replica)
    replica.conn.execute("DROP TABLE task")
    found = status(replica)
    assert found.rebuilt
    assert only(found.changes).label == "任务“路灯不亮”"


def test_values_in_words() -> None:
    """Codes, groups, money, coordinates, booleans, times, lists, nothing."""
    task = next(register for register in small_registers() if register.name == "task")
    assert value_words(task.field("kind"), "b") == "乙"
    assert value_words(task.field("kind"), "zz") == "zz"
    assert value_words(task.field("done"), True) == "是"
    assert value_words(task.field("done"), False, "en") == "no"
    assert value_words(task.field("title"), None) == "（空）"
    assert value_words(task.field("tags"), ["甲", "乙"]) == '["甲", "乙"]'
    assert value_words(task.field("seen_at"), "2026-11-21T14:05:00+08:00") == "2026-11-21 14:05"
    assert value_words(None, {"a": 1}) == json.dumps({"a": 1})
    step = task.field("step").value({"state": "rejected", "reason": "dup"})
    assert value_words(task.field("step"), step, "en") == "状态 不受理, 理由 重复"
    assert time_words(0) == "1970-01-01 08:00"
    assert record_words(None, "gone", "0123456789", {}) == "gone 01234567"


def test_numbers_in_words() -> None:
    """分 become 元, microdegrees degrees, units are kept."""
    from syncgov.core.register_model import Column

    assert column_words(Column("m", "钱", "money"), 1205) == "12.05 元"
    assert column_words(Column("m", "钱", "money"), -5) == "-0.05 元"
    assert column_words(Column("c", "经度", "coordinate"), -87706295) == "-87.706295°"
    assert column_words(Column("n", "户数", "integer", unit="户"), 12) == "12 户"


def test_what_cannot_be_signed_says_why(world: World) -> None:
    """A required field that is empty, text that is no UTF-8: named in status, beside a row that is fine."""
    replica = world.device("worker")
    broken = insert(replica, "task", a_task())
    replica.conn.execute("UPDATE task SET title = CAST(x'e6fffe' AS TEXT) WHERE id = ?", (broken,))
    insert(replica, "task", {name: value for name, value in a_task().items() if name != "title"})
    insert(replica, "task", a_task(title="好"))
    replica.commit()
    found = status(replica).changes
    assert sorted(change.stage for change in found) == ["unsent", "unsigned", "unsigned"]
    reasons = " ".join(change.why for change in found)
    assert "UTF-8" in reasons
    assert "标题" in reasons


def test_a_row_written_and_taken_back_is_no_work(world: World) -> None:
    """Inserted and deleted before any commit: nothing waits."""
    replica = world.device("worker")
    key = insert(replica, "task", a_task())
    replica.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    assert status(replica).changes == ()


def test_a_record_has_a_temporary_number_before_anything_is_sent(tmp_path: Path) -> None:
    """What the worker tells the resident is known at once, and stays; registers without numbers have none."""
    known = {each.name: each for each in small_registers()}
    text = known["task"].text.replace("write:", "number: true\nwrite:", 1)
    known["task"] = parse_register(text, "task.yml")
    with World.make(tmp_path / "world", list(known.values())) as made:
        replica = made.device("worker")
        key = insert(replica, "task", a_task())
        told = only(status(replica).changes).number
        assert told == f"临-{key[-8:-4]}-{key[-4:]}"
        replica.commit()
        assert only(status(replica).changes).number == told
