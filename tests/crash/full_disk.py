"""A disk that is full from some write on, for Python and for SQLite. No mount is needed; see `tests.crash.steps`."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from syncgov.cli.app import STORAGE, exit_code
from syncgov.errors import StorageError
from tests.crash.matrix import MEMORY
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.steps import Steps, no_space, watched

NEEDS_SPACE = ("open", "write", "mkdir", "db open", "db write")


class Full(Steps):
    """A disk that is full from its k-th write on (0: never), until `emptied`. Half of that write still fits."""

    def __init__(self, part: str, k: int) -> None:
        super().__init__(part)
        self.k = k
        self.writes = 0
        self.refused = 0

    def before(self, kind: str) -> None:
        """Count writes, and refuse them."""
        if kind not in NEEDS_SPACE:
            return
        self.writes += 1
        if self.k and self.writes >= self.k + (kind in ("write", "db write")):
            self.refused += 1
            raise no_space()

    def torn(self, kind: str) -> bool:
        """Let half of the first write through that has no room."""
        return bool(self.k) and self.writes == self.k

    def emptied(self) -> None:
        """Somebody made space."""
        self.k = 0


def attempt(scenario: Scenario, folder: Path, k: int) -> tuple[Full, list[Any], StorageError | None]:
    """Do the work on a disk that is full from the k-th write on. Any other error than ours ends the test."""
    steps, said = Full(scenario.part, k), list[Any]()
    try:
        with watched(steps):
            scenario.act(folder, said.append)
    except StorageError as error:
        return steps, said, error
    return steps, said, None


def filled(name: str, moments: int = 0) -> tuple[int, int]:
    """Let the disk become full at evenly spread writes of a scenario, and check what is left when there is space again.

    Args:
        moments: at so many writes; 0: at each.

    Returns:
        how often the disk was full, and how often the work failed for it.
    """
    scenario = SCENARIOS[name]
    done = told = 0
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        folder = Path(place)
        scenario.prepare(folder / "made")
        shutil.copytree(folder / "made", folder / "base")
        shutil.copytree(folder / "base", folder / "0")
        writes = attempt(scenario, folder / "0", 0)[0].writes
        for k in sorted({1 + i * (writes - 1) // max(1, (moments or writes) - 1) for i in range(moments or writes)}):
            shutil.copytree(folder / "base", folder / str(k))
            steps, said, failed = attempt(scenario, folder / str(k), k)
            try:
                done += steps.refused > 0
                if failed is not None:
                    told += 1
                    _assert_clear(failed)
                scenario.check(folder / str(k), said)
            except BaseException as error:
                error.add_note(f"{name}, the disk full from write {k} of {writes} on")
                raise
            shutil.rmtree(folder / str(k))
    return done, told


def _assert_clear(error: StorageError) -> None:
    assert "存储空间已满" in error.zh, error.zh
    assert "清理" in error.zh, error.zh
    assert "disk is full" in error.en, error.en
    assert "ake space" in error.en, error.en
    assert exit_code(error) == STORAGE
