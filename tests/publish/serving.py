"""`syncgov browse` as people start it: a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its address without a slash at the end, its process id, where its complaints go."""

    url: str
    pid: int
    complaints: Path


@contextmanager
def browsing(out: Path, *options: str) -> Iterator[Served]:
    """Run `syncgov browse` over *out* on any free port until the block ends."""
    complaints = out.with_name(f"{out.name}.stderr")
    command = [sys.executable, "-m", "syncgov", "browse", str(out), "--port", "0", "--json", *options]
    with (
        open(complaints, "wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            yield Served(str(told["data"]).removesuffix("/public"), int(told["pid"]), complaints)
        finally:
            process.terminate()
