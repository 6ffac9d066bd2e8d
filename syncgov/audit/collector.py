"""Python's search for cycles, held back while a great many values are made that have none."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Hold back the search for cycles within the block.

    A merge or an audit makes hundreds of thousands of values and no cycle among them; the search would go over all of
    them again and again, a third of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
