"""Two sides measured in turn, in one run, on the same data."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

ROUNDS = 5

Clock = Callable[[], float]  # seconds

Side = Callable[[int], float | None]
"""Runs one round, given its number; returns the seconds that count, or None: then all of it counts."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One line of the table.

    Attributes:
        row: the row of the design, with `+` behind what is measured beside it.
        goal: what `ratio` must reach, or stay below if `at_most`; 0: nothing.
        ours, theirs: medians of the rounds, in `unit`.
        parts: seconds or bytes of parts, as a breakdown.
    """

    row: str
    what: str
    against: str
    goal: float
    unit: str
    count: int
    ours: float
    theirs: float
    at_most: bool = False
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Ours, theirs being 1."""
        return self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if not self.goal:
            return None
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal


def side_by_side(ours: Side, theirs: Side, rounds: int | None = None) -> tuple[float, float]:
    """Return the median seconds of both, run in turn; each is first in about half of the rounds."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS if rounds is None else rounds):
        order = [(seconds[0], ours), (seconds[1], theirs)]
        for side, run in reversed(order) if number % 2 else order:
            started = time.perf_counter()
            said = run(number)
            side.append(time.perf_counter() - started if said is None else said)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def rates(count: int, ours: Side, theirs: Side) -> tuple[float, float]:
    """Return the median rates of both: *count* things a second."""
    first, second = side_by_side(ours, theirs)
    return count / first, count / second


class Stopwatch:
    """Adds up seconds by name, for a breakdown."""

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: dict[str, list[float]] = {}
        self._last = 0.0

    def start(self) -> None:
        """Begin a round."""
        self._last = self._clock()

    def lap(self, name: str) -> None:
        """Say that what ran since the last call was *name*."""
        now = self._clock()
        self.seconds.setdefault(name, []).append(now - self._last)
        self._last = now

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add what was measured elsewhere in one round."""
        for name, found in seconds.items():
            self.seconds.setdefault(name, []).append(found)

    def medians(self) -> dict[str, float]:
        """Return name -> median seconds of a round."""
        return {name: statistics.median(found) for name, found in self.seconds.items()}
