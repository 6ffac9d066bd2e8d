"""环比 and 同比: the newest whole month against the one before and the one a year before, with their cases."""

from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import comparing
from portal.model import MONTH, Figure, Part

TODAY = "2026-11-22T10:00:00+08:00"


def figure(kind: str) -> Figure:
    """Return a figure of *kind*."""
    return Figure("f", "r", "上报", 1, None, "1", "件", "", "select 1", "", kind)


def part(month: str, n: int | None, d: int | None = None) -> Part:
    """Return a month's part."""
    return Part("f", MONTH, month, n, d, f"{n}/{d}")


def test_both_months_stand_beside_each_other() -> None:
    """What is running is not compared; each side says what it is and is marked for the auditor."""
    months = [part(month, n) for month, n in (("2025-10", 40), ("2026-09", 60), ("2026-10", 50), ("2026-11", 9))]
    found = unescape(comparing.comparison(figure("count"), months, TODAY))
    assert found.count("<tr><td") == 2
    assert "-16.7%" in found
    assert "+25.0%" in found
    assert 'data-figure="f/_month/2026-11"' not in found
    assert found.count('data-figure="f/_month/2026-10"') == 2


@pytest.mark.parametrize(
    "months", [[], [part("2026-11", 5)], [part("2026-10", 5)], [part("2026-10", 5), part("2026-08", 5)]]
)
def test_without_two_periods_nothing_is_compared(months: list[Part]) -> None:
    """One month alone, or two that do not belong together."""
    assert comparing.comparison(figure("count"), months, TODAY) == ""


def test_durations_and_ratios_are_not_compared() -> None:
    """Only counts and rates."""
    months = [part("2026-09", 60, 2), part("2026-10", 50, 2)]
    assert comparing.comparison(figure("duration"), months, TODAY) == ""


@pytest.mark.parametrize(
    ("kind", "newest", "base", "told"),
    [
        ("count", (3, None), (2, None), "+50.0%"),
        ("count", (2, None), (3, None), "-33.3%"),
        ("count", (2001, None), (2000, None), "+0.1%"),  # 0.05 is rounded away from zero
        ("count", (1999, None), (2000, None), "-0.1%"),
        ("count", (2, None), (2, None), "0.0%"),
        ("count", (2, None), (0, None), "—"),
        ("count", (None, None), (2, None), "—"),
        ("rate", (45, 50), (40, 50), "+10.0 个百分点"),
        ("rate", (1, 3), (45, 50), "-56.7 个百分点（件数少）"),
        ("rate", (0, 0), (45, 50), "—"),
        ("rate", (45, 50), (0, 0), "—"),
    ],
)
def test_how_much_more(
    kind: str, newest: tuple[int | None, int | None], base: tuple[int | None, int | None], told: str
) -> None:
    """Percent of a count, percent points of a rate; nothing is divided by zero; few cases are said to be few."""
    assert comparing.change(kind, part("2026-10", *newest), part("2026-09", *base)) == told


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_swapped_periods_change_the_sign(n: int, d: int) -> None:
    """Of two rates of one base."""
    there = comparing.change("rate", part("a", min(n, d), d), part("b", d, d))
    back = comparing.change("rate", part("b", d, d), part("a", min(n, d), d))
    assert there.replace("-", "+") == back
