"""Break one line of a copy of this tree and see which test fails: behind `make mutations` and `make guards`."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILED = 1  # what pytest returns if a test failed; anything else is an error of ours, not a finding
_KEPT_OUT = shutil.ignore_patterns("__pycache__", ".*", "build", "dist", "demo-data", "site", "bench")
MEMORY = Path("/dev/shm")
JOBS = min(2, os.cpu_count() or 1)


class StaleError(Exception):
    """A line that was to be broken is not there any more, or there several times."""


@dataclass(frozen=True, slots=True)
class Break:
    """One changed line, and the tests of which one must fail then.

    Attributes:
        name: for people. file: below the root.
        line: the text that stands there exactly once. becomes: what replaces it.
        tests: node ids or paths, as pytest takes them.
        after: a text that stands there once, too; then the first such line after it is meant.
        behind: a second guard behind the first one; both are taken away.
    """

    name: str
    file: str
    line: str
    becomes: str
    tests: tuple[str, ...]
    after: str = ""
    behind: "Break | None" = None

    def apply(self, folder: Path) -> None:
        """Break a copy of the tree."""
        (folder / self.file).write_text(self.text(folder), encoding="utf-8")
        if self.behind is not None:
            self.behind.apply(folder)

    def text(self, root: Path = ROOT) -> str:
        """Return the file with the line broken; raise StaleError if it is not there exactly once."""
        text = (root / self.file).read_text(encoding="utf-8")
        if self.after and text.count(self.after) != 1:
            raise StaleError(f"{self.file}: {self.after!r} stands there {text.count(self.after)} times, not once")
        start = text.index(self.after) + len(self.after) if self.after else 0
        found = text.count(self.line, start)
        if found < 1 or (found > 1 and not self.after) or self.line == self.becomes or "\n" in self.line.strip("\n"):
            raise StaleError(f"{self.file}: {self.line!r} stands there {found} times, not once")
        return text[:start] + text[start:].replace(self.line, self.becomes, 1)


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a break. `said`: the end of pytest's output."""

    broken: Break
    caught: bool
    why: str
    said: str = ""


@contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """Give a temporary copy of what tests need."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        folder = Path(name) / "tree"
        shutil.copytree(ROOT, folder, ignore=_KEPT_OUT)
        yield folder


def run_tests(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests of a copy in a process of its own; returns pytest's exit code and the end of what it said."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "CI": ""}
    environment.setdefault("SYNCGOV_SHARED", str(ROOT.parent / "shared"))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--hypothesis-profile=broken",
        *tests,
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout[-1500:] + done.stderr[-1500:]


def try_break(broken: Break) -> Found:
    """Break a copy and run the tests."""
    with copy_of_the_tree() as folder:
        try:
            broken.apply(folder)
        except StaleError as error:
            return Found(broken, False, f"stale: {error}")
        code, said = run_tests(folder, broken.tests)
    if code == FAILED:
        return Found(broken, True, _failed(said))
    return Found(broken, False, "SURVIVED" if code == 0 else f"pytest ended with {code}", said)


def _failed(said: str) -> str:
    names = [line.split(" - ")[0].split("::")[-1] for line in said.splitlines() if line.startswith("FAILED ")]
    return names[-1] if names else "failed"


def sound(tests: Sequence[str]) -> str:
    """Return the empty text if all *tests* pass in an unbroken copy, else what pytest said."""
    with copy_of_the_tree() as folder:
        code, said = run_tests(folder, tests)
    return "" if code == 0 else said


def report(breaks: Sequence[Break]) -> int:
    """Try all, print a table, and return the exit code: 1 if anything went unnoticed."""
    wrong = 0
    with ThreadPoolExecutor(JOBS) as pool:
        unbroken = pool.submit(sound, list(dict.fromkeys(test for each in breaks for test in each.tests)))
        for done in as_completed([pool.submit(try_break, each) for each in breaks]):
            found = done.result()
            wrong += not found.caught
            print(f"{'ok  ' if found.caught else 'FAIL'} {found.broken.name}\n       {found.why}", flush=True)
            if found.said:
                print(found.said)
        said = unbroken.result()
    print(f"{len(breaks) - wrong} of {len(breaks)} noticed")
    if said:
        print(f"but the tests do not pass as they are:\n{said}")
    return 1 if wrong or said else 0


def stale(breaks: Sequence[Break]) -> list[str]:
    """Return what is wrong with breaks that can no longer be made."""
    found = []
    for each in breaks:
        try:
            each.text()
        except (StaleError, OSError) as error:
            found.append(f"{each.name}: {error}")
    return found
