"""Where time comes from: a parameter of the Python API, and of no command."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def wall_clock() -> int:
    """Return the machine's time, ms UTC."""
    return time.time_ns() // 1_000_000
