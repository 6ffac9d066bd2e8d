"""What an erasure names, what it covers, what may be erased, and how erased heads fold."""

import pytest

from syncgov.core.erasure import (
    Erasure,
    erasure_key,
    is_covered,
    is_erasable,
    parse_erasure,
    standing_erasures,
)
from syncgov.core.merge import (
    ERASED,
    FieldState,
    Head,
    HeadValue,
    RowState,
    declared_field,
    fold_write,
    is_conflict,
    shown,
    standing,
)
from syncgov.core.register import RegisterSet, parse_register
from tests.registers import TASK, register_set

DEV = "a" * 32
PATH = "task/k/title"


def head(index: int, value: HeadValue) -> Head:
    """Return a head of the changeset at an index."""
    return Head(DEV, index + 1, index, index, 0, value)


def row(path: object = PATH, alive: bool = True, over: object = None) -> RowState:
    """Return a row of register `erasure`."""
    values: dict[str, HeadValue] = {"_alive": alive, "path": path, "over": over or [], "reason": "law"}  # type: ignore[dict-item]
    return RowState({name: FieldState((head(9, value),)) for name, value in values.items()})


@pytest.mark.parametrize("leaf", [None, 7])
def test_a_key_names_a_slot_and_perhaps_a_leaf(leaf: int | None) -> None:
    """What is formatted parses to the same."""
    key = erasure_key((DEV, 3), 5, leaf)
    found = parse_erasure(key, row(over=[[DEV, 1]]))
    assert found == Erasure(((DEV, 3), 5), leaf, PATH, ((DEV, 1),), "law", 9)


@pytest.mark.parametrize(
    ("key", "state"),
    [
        (f"{DEV}.3", row()),
        (f"{DEV}.3.05", row()),
        (f"{DEV}.3.5.x", row()),
        (f"{DEV}.3.5.07", row()),
        (f"{DEV}.3.5", row(alive=False)),
        (f"{DEV}.3.5", row(path="task")),
        (f"{DEV}.3.5", row(path=7)),
        (f"{DEV}.3.5", row(path="task/k/_alive")),
        (f"{DEV}.3.5", row(path="device/k/roles")),
        (f"{DEV}.3.5", row(over=[["x", 1]])),
    ],
)
def test_a_row_that_names_no_write_erases_nothing(key: str, state: RowState) -> None:
    """Skeleton and system registers included."""
    assert parse_erasure(key, state) is None


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("task/k/title", True),
        ("task/k/secret", True),
        ("task/k/started_on", True),
        ("task/k/place", False),
        ("task/k/step", False),
        ("task/k/_alive", False),
        ("task/k/nothing", False),
        ("contact/k/phone", True),
        ("contact/k/task_id", False),
        ("device/k/people", False),
        ("nothing/k/title", False),
        (f"_changeset/{DEV}.1/note", True),
        (f"_changeset/{DEV}.1/by", False),
    ],
)
def test_which_paths_may_be_erased(path: str, may: bool) -> None:
    """State, area, parent, skeleton, system registers and who wrote stay."""
    assert is_erasable(path, register_set()) is may


def test_the_responsible_unit_stays() -> None:
    """Also where it is a field of its own: it says who may read and write what is left."""
    text = TASK.replace("owner: owner\n", "owner: unit\n").replace(
        "fields:\n", "fields:\n  unit: {label: 单位, type: text, class: internal}\n", 1
    )
    registers = RegisterSet([parse_register(text, "task.yml")])
    assert registers["task"].owner == "unit"
    assert not is_erasable("task/k/unit", registers)
    assert is_erasable("task/k/title", registers)


def test_a_row_written_on_arrival_does_not_stand_for_itself() -> None:
    """It names a write that had not seen the erasure before it; an order for a newer write does."""

    def erasure(seq: int, index: int) -> Erasure:
        return Erasure(((DEV, seq), 0), None, PATH, (), "law", index)

    places = {1: (4, 2), 2: (12, 6), 3: (20, 15)}  # leaf and what its device had seen

    def stands(*found: Erasure) -> dict[str, int]:
        return standing_erasures(found, lambda one: places.get(one.slot[0][1]))

    assert stands(erasure(1, 10)) == {PATH: 10}
    assert stands(erasure(1, 10), erasure(2, 13)) == {PATH: 10}
    assert stands(erasure(1, 10), erasure(2, 13), erasure(3, 30)) == {PATH: 30}
    assert stands(erasure(9, 10)) == {PATH: 10}  # not held here
    assert stands(erasure(1, 10), erasure(9, 13)) == {PATH: 10}


@pytest.mark.parametrize(
    ("place", "covered"), [((4, 2), True), ((12, 10), True), ((12, 11), False), ((9, 9), True), ((11, 11), False)]
)
def test_what_an_erasure_covers(place: tuple[int, int], covered: bool) -> None:
    """Everything before it, and what came later without having seen it."""
    assert is_covered({PATH: 10}, PATH, place) is covered
    assert not is_covered({PATH: 10}, "task/k/kind", place)


@pytest.mark.parametrize("name", ["title", "kind", "urgency", "days"])
def test_an_erased_head_stands_back(name: str) -> None:
    """Under every rule: it never shows and never clashes while another head stands; alone it shows as erased."""
    declared = declared_field(register_set()["task"], name)
    state = FieldState()
    for index in range(2):
        state = fold_write(state, head(index, ERASED), (), declared, None)
    assert len(state.heads) == 2
    assert shown(state, declared, None) is ERASED
    for value in ("b", 1):
        new = fold_write(state, head(2, value), (), declared, None)
        new = fold_write(new, head(3, ERASED), (), declared, None)
        assert len(new.heads) == 4
        assert not is_conflict(new.heads)
        assert [each.value for each in standing(new.heads)] == [value]
        assert shown(new, declared, None) == value
