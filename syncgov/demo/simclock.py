"""A clock that the demo sets: shared by the centre's process and the devices' processes."""

from collections.abc import Callable
from multiprocessing.sharedctypes import Synchronized
from typing import Any


class SimulatedClock:
    """Milliseconds UTC in shared memory. Picklable to child processes only."""

    def __init__(self, context: Any, start_ms: int) -> None:
        self._value: Synchronized[int] = context.Value("q", start_ms)

    def set(self, ms: int) -> None:
        """Set the time; it may only go forward."""
        with self._value.get_lock():
            self._value.value = max(self._value.value, ms)

    def __call__(self) -> int:
        """Return the time."""
        return self._value.value


def at_minute(day_ms: int, minute: int) -> Callable[[], int]:
    """Return a device's clock that stands at *minute* of the day that begins at *day_ms*."""
    return lambda: day_ms + minute * 60_000
