"""The reference fold: what stays, what shows, and that the order of arrival matters only where it must."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core.commitment import Dot, Value
from syncgov.core.merge import (
    WITHHELD,
    FieldState,
    Head,
    HeadValue,
    RowState,
    declared_field,
    fold_write,
    is_conflict,
    same,
    shown,
    shown_row,
    workflow_of,
)
from tests.registers import register_set

TASK = register_set()["task"]
RULES = {"last": "title", "max": "urgency", "min": "days", "review": "kind", "state": "step"}


def head(dev: str, seq: int, index: int, value: HeadValue, at: int = 0, tick: int = 0) -> Head:
    """Return a head."""
    return Head(dev * 32, seq, index, at, tick, value)


def folded(rule: str, *writes: tuple[Head, tuple[Head, ...]]) -> tuple[FieldState, HeadValue]:
    """Fold writes of the field with *rule*; returns its state and what shows."""
    declared, workflow = declared_field(TASK, RULES[rule]), workflow_of(TASK, RULES[rule])
    state = FieldState()
    for one, over in writes:
        state = fold_write(state, one, [each.dot for each in over], declared, workflow)
    return state, shown(state, declared, workflow)


def step(state: str, owner: str | None = None) -> Value:
    """Return a value of the workflow's field."""
    return {"state": state, "owner": owner, "due": None, "reason": None}


# -- heads --------------------


def test_nothing_shows_nothing() -> None:
    """A field without heads is null, and no conflict."""
    for rule in RULES:
        assert folded(rule) == (FieldState(), None)


def test_a_write_over_all_heads_is_alone() -> None:
    """Whatever the clocks say."""
    a, b = head("a", 1, 0, "x", at=99), head("b", 1, 1, "y", at=50)
    c = head("c", 1, 2, "z", at=1)
    state, value = folded("last", (a, ()), (b, ()), (c, (a, b)))
    assert (state, value) == (FieldState((c,)), "z")


def test_heads_are_kept_in_log_order() -> None:
    """Each rule looks at all of them."""
    heads = [head(dev, 1, index, value) for index, (dev, value) in enumerate(zip("abc", "xyz", strict=True))]
    state, _value = folded("last", *((each, ()) for each in heads))
    assert state.heads == tuple(heads)


def test_one_write_of_a_device_does_not_replace_another_by_itself() -> None:
    """Only `over` replaces: a device that does not name its own earlier write leaves both."""
    state, _value = folded("last", (head("a", 1, 0, "x"), ()), (head("a", 2, 1, "y"), ()))
    assert is_conflict(state.heads)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1, True), (1, True, False), (0, False, False), (None, None, True), (None, False, False), ("1", 1, False),
        ([], [], True), ([], None, False), ({"a": 1}, {"a": 1}, True), ([1], [True], False),
        ({"a": 0}, {"a": False}, False), (WITHHELD, WITHHELD, True), (WITHHELD, None, False),
    ],
)  # fmt: skip
def test_values_are_equal_as_json(one: HeadValue, other: HeadValue, equal: bool) -> None:
    """True is not 1, and what is withheld is not nothing."""
    assert same(one, other) == same(other, one) == equal
    assert is_conflict([head("a", 1, 0, one), head("b", 1, 1, other)]) != equal


# -- what shows --------------------


def test_before_is_the_value_shown_at_the_split() -> None:
    """Not the first head's, not the last's: what people saw."""
    a, b, c, d = (head(dev, 1, index, value) for index, (dev, value) in enumerate(zip("abcd", "xyzw", strict=True)))
    state, value = folded("review", (a, ()), (b, (a,)), (c, (a,)), (d, (a,)))
    assert (state.before, value) == ("y", "y")
    back, value = folded("review", (a, ()), (b, (a,)), (c, (a,)), (head("e", 1, 3, "y"), (c,)))
    assert (back.before, value) == (None, "y")
    assert not is_conflict(back.heads)


@pytest.mark.parametrize(
    ("one", "other", "winner"),
    [
        (step("rework"), step("closed"), step("rework")),
        (step("closed"), step("accepted"), step("closed")),
        (step("reported"), step("rejected"), step("rejected")),
    ],
)
def test_states_show_by_precedence(one: Value, other: Value, winner: Value) -> None:
    """In either order of arrival, with either clock ahead."""
    for first, second in ((one, other), (other, one)):
        for at in (0, 9):
            _state, value = folded("state", (head("a", 1, 0, first, at=at), ()), (head("b", 1, 1, second, at=4), ()))
            assert value == winner


def test_states_that_need_a_person_show_what_was() -> None:
    """A marked pair, and two different owners; one owner beside none is no clash."""
    was = head("a", 1, 0, step("reported"))
    yes, no = head("b", 1, 1, step("accepted")), head("c", 1, 2, step("rejected"))
    assert folded("state", (was, ()), (yes, (was,)), (no, (was,)))[1] == step("accepted")
    assert folded("state", (was, ()), (no, (was,)), (yes, (was,)))[1] == step("rejected")
    one, two = head("b", 1, 1, step("accepted", "u1")), head("c", 1, 2, step("closed", "u2"))
    assert folded("state", (was, ()), (one, (was,)), (two, (was,)))[1] == step("accepted", "u1")
    free = head("c", 1, 2, step("closed"))
    assert folded("state", (was, ()), (one, (was,)), (free, (was,)))[1] == step("closed")


values: dict[str, list[Value]] = {
    "last": ["x", "y", None],
    "max": [None, 0, 5],
    "min": [None, 0, 5],
    "state": [step("closed"), step("rework")],
}


@given(st.sampled_from(sorted(values)), st.data())
def test_concurrent_writes_show_the_same_in_any_order_of_the_list(rule: str, data: st.DataObject) -> None:
    """Where no review is asked for, what shows depends on the heads and their times, not on how they came."""
    drawn = data.draw(st.lists(st.tuples(st.sampled_from(values[rule]), st.integers(0, 3)), min_size=1, max_size=4))
    heads = [head("abcd"[i], 1, i, value, at=at) for i, (value, at) in enumerate(drawn)]
    found = [folded(rule, *((each, ()) for each in order)) for order in permutations(heads)]
    assert {frozenset(each.dot for each in state.heads) for state, _value in found} == {frozenset(h.dot for h in heads)}
    assert all(value == found[0][1] for _state, value in found)


@given(st.sampled_from(sorted(RULES)), st.data())
def test_folding_the_same_write_again_changes_nothing_that_shows(rule: str, data: st.DataObject) -> None:
    """A write that names itself in `over` is itself: heads stay a set of dots."""
    choices: list[Value] = ["a", "b"] if rule == "review" else values[rule]
    drawn = data.draw(st.lists(st.sampled_from(choices), min_size=1, max_size=4))
    heads = [head("abcd"[i], 1, i, value) for i, value in enumerate(drawn)]
    once, value = folded(rule, *((each, ()) for each in heads))
    again, same_value = folded(rule, *((each, ()) for each in heads), (heads[-1], (heads[-1],)))
    assert {each.dot for each in again.heads} == {each.dot for each in once.heads}
    assert value == same_value


# -- rows --------------------


def row(**fields: list[tuple[Head, tuple[Head, ...]]]) -> RowState:
    """Fold a row."""
    found = RowState()
    for name, writes in fields.items():
        state = FieldState()
        for one, over in writes:
            dots: list[Dot] = [each.dot for each in over]
            state = fold_write(state, one, dots, declared_field(TASK, name), workflow_of(TASK, name))
        found.fields[name] = state
    return found


def test_a_row_lives_while_any_presence_is_true() -> None:
    """Deleted by one, edited by another at the same time: it lives, as a conflict."""
    made = head("a", 1, 0, True)
    gone, edited = head("b", 1, 1, False), head("c", 1, 2, True)
    assert not RowState().alive
    assert row(_alive=[(made, ())]).alive
    assert not row(_alive=[(made, ()), (gone, (made,))]).alive
    both = row(_alive=[(made, ()), (gone, (made,)), (edited, (made,))])
    assert both.alive
    assert is_conflict(both.fields["_alive"].heads)
    assert not row(_alive=[(made, ()), (gone, (made,)), (head("d", 1, 2, False), (made,))]).alive


def test_a_row_shows_its_declared_fields() -> None:
    """Only those that were ever written; protocol fields and unknown ones are kept, not shown."""
    state = row(
        title=[(head("a", 1, 0, "x"), ())], _month=[(head("a", 1, 0, "2026-11"), ())], later=[(head("a", 1, 0, 1), ())]
    )
    assert shown_row(state, TASK) == {"title": "x"}
    assert set(state.fields) == {"title", "_month", "later"}


def test_a_field_that_nobody_declares_merges_as_last() -> None:
    """It is folded in after an upgrade, so it must not be lost."""
    state = row(later=[(head("a", 1, 0, 1, at=5), ()), (head("b", 1, 1, 2, at=4), ())])
    assert shown(state.fields["later"], declared_field(TASK, "later"), workflow_of(TASK, "later")) == 1
    assert declared_field(None, "title") is None
    assert workflow_of(None, "step") is None
    assert workflow_of(TASK, "title") is None


def test_a_withheld_write_counts_and_says_nothing() -> None:
    """It takes the older value's place; it never lets the older value show."""
    a, b = head("a", 1, 0, "x"), head("b", 1, 1, WITHHELD)
    state, value = folded("last", (a, ()), (b, (a,)))
    assert value is WITHHELD
    assert len(state.heads) == 1
    assert folded("last", (a, ()), (b, (a,)), (head("c", 1, 2, "z"), (b,)))[1] == "z"
