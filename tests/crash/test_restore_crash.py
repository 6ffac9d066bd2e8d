"""Whatever the moment of death, a restored or closed centre is in the old or in the new state, and goes on."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.centre.backup import backup
from syncgov.centre.centre import Centre
from syncgov.centre.restore import Sources, restore
from syncgov.errors import StorageError
from syncgov.storage.keyfile import load_key
from tests.crash.die_anywhere import do_close, do_restore
from tests.helpers import ManualClock, World
from tests.recovering import leaves_of, work

MEMORY = Path("/dev/shm")
DIE = Path(__file__).with_name("die_anywhere.py")


@pytest.fixture
def base() -> Iterator[Path]:
    """Where a test makes its world. Memory serves: killing a process proves nothing about disks."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder) / "base"


def lost_centre(base: Path, *, whole: bool) -> list[bytes]:
    """Make a folder with last night's backup and a burnt centre; returns the leaves that there were."""
    with World.make(base) as world:
        pen = world.device("pen")
        work(world, pen, "一")
        backup(world.centre.path, base / "night.backup", 0)
        work(world, pen, "二", "三")
        leaves = [leaf.raw for leaf in world.leaves()]
    shutil.move(base / "centre" / "roots", base / "roots")
    shutil.move(base / "centre" / "copy.log", base / "copy.log")
    shutil.rmtree(base / "centre")
    (base / "centre").mkdir()
    if whole:
        shutil.move(base / "copy.log", base / "centre" / "copy.log")
    else:
        (base / "copy.log").unlink()
        restore(base / "centre", base / "night.backup", Sources(), to_close=True)
    return leaves


def killed(base: Path, action: str, at_least: int) -> list[Path]:
    """Kill *action* before its steps; returns the folders that it left."""
    work_folder = base.with_name("work")
    command = [sys.executable, str(DIE), str(base), str(work_folder), action]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    attempts = [json.loads(line) for line in done.stdout.splitlines()]
    assert attempts[0] == ["alive", "", 0], done.stderr
    assert {status for _step, _event, status in attempts[1:]} == {-signal.SIGKILL}  # each of them really died
    assert len(attempts) > at_least
    return [work_folder / step for step, _event, _status in attempts]


def test_restore_killed_at_every_step(base: Path) -> None:
    """There is no database, or the whole one; repeating the command gives the same log."""
    wanted = lost_centre(base, whole=True)
    old = new = 0
    for folder in killed(base, "restore", 30):
        if (folder / "centre" / "central.db").exists():
            new += 1
        else:
            old += 1
            do_restore(folder)
        assert leaves_of(folder / "centre") == wanted
        with_centre = Centre(folder / "centre", clock=ManualClock())
        assert with_centre.checkpoint(with_centre.ledger).size == with_centre.copied == len(wanted)
        with_centre.close()
    assert old > 20
    assert new >= 1


def test_close_log_killed_at_every_step(base: Path) -> None:
    """The old log is not served, or the new one is; repeating the command ends in one and the same next log."""
    lost_centre(base, whole=False)
    kept = leaves_of(base / "centre")
    old = new = 0
    folders = killed(base, "close", 20)
    for folder in folders:
        try:
            Centre(folder / "centre", clock=ManualClock()).close()
            new += 1
        except StorageError as error:
            old += "close-log" in error.en
        do_close(folder)
        found = leaves_of(folder / "centre")
        assert (found[:-1], len(found)) == (kept, len(kept) + 1)
        centre = Centre(folder / "centre", clock=ManualClock())
        assert (centre.charter.origin.endswith("/2"), len(centre.ledger.charters.of_log)) == (True, 2)
        assert centre.checkpoint(centre.ledger).origin == centre.charter.origin
        assert centre.charter.registrar_key(load_key(folder / "centre" / "keys" / "registrar.key").key.id) is not None
        assert centre.write("publication", []) == []
        centre.close()
    assert old > 10
    assert new > 3
    assert old + new == len(folders)
