"""Small cells cannot be computed from what is published of the same table, not even by somebody who knows the rule."""

from functools import cache
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from syncgov.core.suppression import SMALLEST, TOTAL, hidden_cells

Published = tuple[tuple[int | None, ...], int | None]


def published(cells: tuple[int, ...]) -> Published:
    """Return what a reader sees: the cells, None where hidden, and the sum."""
    counts = {f"c{at}": count for at, count in enumerate(cells)}
    hidden = hidden_cells(counts)
    shown = tuple(None if name in hidden else count for name, count in counts.items())
    return shown, None if TOTAL in hidden else sum(cells)


@cache
def possible(columns: int, most: int) -> dict[Published, list[tuple[int, ...]]]:
    """Return every table of so many cells by what a reader would see of it."""
    found: dict[Published, list[tuple[int, ...]]] = {}
    for cells in product(range(most + 1), repeat=columns):
        found.setdefault(published(cells), []).append(cells)
    return found


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_no_hidden_cell_is_the_difference_of_published_ones(cells: list[int]) -> None:
    """Beside a published sum at least two cells are hidden, and what they share is more than the small ones."""
    shown, total = published(tuple(cells))
    hidden = [count for count, seen in zip(cells, shown, strict=True) if seen is None]
    assert all(seen == 0 or seen >= SMALLEST for seen in shown if seen is not None)
    if total is not None and hidden:
        assert len(hidden) >= 2
        assert sum(hidden) >= SMALLEST
        assert len(set(hidden)) > 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_who_knows_the_rule_is_left_with_more_than_one_answer(cells: list[int]) -> None:
    """Of all tables that would be published in the same way, each hidden cell has at least two different values."""
    same = possible(len(cells), 9)[published(tuple(cells))]
    shown, _total = published(tuple(cells))
    for at, seen in enumerate(shown):
        assert len({table[at] for table in same}) >= (1 if seen is not None else 2), (cells, at)


def test_without_small_cells_nothing_is_hidden() -> None:
    """Zero and five are published."""
    assert hidden_cells({"a": 0, "b": SMALLEST, "c": 70}) == frozenset()
    assert hidden_cells({}) == frozenset()


def test_the_sum_is_hidden_only_where_no_other_cell_is_left() -> None:
    """A small one beside zeros would be the sum itself."""
    assert hidden_cells({"a": 3, "b": 0}) == {"a", TOTAL}
    assert hidden_cells({"a": 3, "b": 9, "c": 12}) == {"a", "b"}
    assert hidden_cells({"a": 3, "b": 9, "c": 9, "d": 12}) == {"a", "b", "c"}
