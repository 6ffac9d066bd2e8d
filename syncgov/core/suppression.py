"""Small numbers that could point at a person: which cells of a table must not be published. Source: DOMAIN 5.5.

Pure: counts in, names out. Used for the totals of sensitive codes, which only the centre can count.
"""

from collections.abc import Mapping

SMALLEST = 5  # the smallest number of a sensitive kind that is published
TOTAL = ""  # the name of the sum among the names of the cells


def hidden_cells(counts: Mapping[str, int]) -> frozenset[str]:
    """Return the names of the cells of *counts* that must not be published beside their sum.

    Cells of 1 to 4 are hidden. So that the sum and the other cells do not give them away, the smallest of the others
    (all of that size) are hidden too; where there is none, the sum (`TOTAL`). Then also a reader who knows this rule is
    left with more than one possibility for each hidden cell: small and not small could change places. A zero stays:
    nobody is behind it.
    """
    small = frozenset(name for name, count in counts.items() if 0 < count < SMALLEST)
    if not small:
        return frozenset()
    others = {name: count for name, count in counts.items() if count >= SMALLEST}
    if not others:
        return small | {TOTAL}
    least = min(others.values())
    return small | {name for name, count in others.items() if count == least}
