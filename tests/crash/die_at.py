"""Run a scenario on copies of a folder and SIGKILL it at its first, second, third … step.

usage: die_at.py BASE WORK SCENARIO PER_KIND [KIND]

One process imports everything once; each attempt is a fork of it that works on WORK/<k>, a copy of BASE, and dies just
before step k (see `tests.crash.steps`). A first run that lives tells how many steps there are. Prints one JSON line an
attempt: [k, kind, exit status or minus the signal]; k = 0 is the run that lives.

Args:
    PER_KIND: at most so many kills of each kind, evenly spread over the run; 0: every step.
    KIND: only steps of this kind.
"""

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script

from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.steps import KINDS, Steps, watched
from tests.registers import register_set

ACKNOWLEDGED = "acknowledged"  # in the folder of an attempt: what the scenario was told before it died
MAX_STEPS = 20_000  # more would mean that the scenario never ends


class Deadly(Steps):
    """Dies before step *k* (0: never), and says of what kind each step was."""

    def __init__(self, part: str, k: int, tell: Callable[[str], None]) -> None:
        super().__init__(part)
        self._k = k
        self._seen = 0
        self._half = False
        self._tell = tell
        self._lock = threading.Lock()

    def before(self, kind: str) -> None:
        """Die if this is the step, or the one after half a write."""
        if self._count(kind) or self._half:
            os.kill(os.getpid(), signal.SIGKILL)

    def torn(self, kind: str) -> bool:
        """End the write half-way if this is the step."""
        self._half = self._count(kind)
        return self._half

    def _count(self, kind: str) -> bool:
        with self._lock:
            self._seen += 1
            if self._k == 0 or self._seen == self._k:
                self._tell(kind)
            return self._seen == self._k


def attempt(scenario: Scenario, folder: Path, k: int) -> tuple[list[str], int]:
    """Run *scenario* in a child that dies at step k; returns the kinds that it told, and how it ended."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        status = 1
        try:
            steps = Deadly(scenario.part, k, lambda kind: _say(theirs, kind))
            with (folder / ACKNOWLEDGED).open("wb", buffering=0) as file, watched(steps):
                scenario.act(folder, lambda said: _acknowledge(file.fileno(), said))
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        told = [KINDS[byte] for byte in pipe.read()]
    _pid, status = os.waitpid(child, 0)
    return told, os.waitstatus_to_exitcode(status)


def _say(pipe: int, kind: str) -> None:
    os.write(pipe, bytes([KINDS.index(kind)]))


def _acknowledge(descriptor: int, said: object) -> None:
    os.write(descriptor, json.dumps(said).encode() + b"\n")


def choose(kinds: Sequence[str], per_kind: int, only: str) -> list[int]:
    """Return the steps at which to die, from 1: all, or of each kind some that are evenly spread."""
    chosen = []
    for kind in [only] if only else KINDS:
        places = [k for k, each in enumerate(kinds, 1) if each == kind]
        some = min(per_kind or len(places), len(places))
        chosen += [places[(2 * i + 1) * len(places) // (2 * some)] for i in range(some)]
    return sorted(chosen)


def main(base: Path, work: Path, name: str, per_kind: int, only: str = "") -> None:
    """Live once, then die again and again."""
    register_set()  # parsed once, here, and remembered by every child
    scenario = SCENARIOS[name]
    shutil.copytree(base, work / "0")
    kinds, status = attempt(scenario, work / "0", 0)
    print(json.dumps([0, "", status]), flush=True)
    if len(kinds) > MAX_STEPS:
        raise SystemExit(f"still alive after {MAX_STEPS} steps")
    for k in choose(kinds, per_kind, only):
        sys.stdin.readline()  # whoever checks the attempts is not too far behind
        shutil.copytree(base, work / str(k))
        told, status = attempt(scenario, work / str(k), k)
        print(json.dumps([k, told[0] if told else "", status]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), *sys.argv[5:])
