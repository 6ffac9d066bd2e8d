"""A real centre on loopback for tests."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from syncgov.centre.serve import serve


def run_centre(path: str, channel: Any) -> None:
    """Serve in a child process and tell the port."""
    serve(Path(path), 0, ready=channel.send)


@contextmanager
def running_centre(path: Path) -> Iterator[str]:
    """Serve the centre at *path* while the block runs; gives its address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_centre, args=(str(path), theirs), daemon=True)
    process.start()
    try:
        assert ours.poll(30), "the centre did not start"
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
