"""Run an action on copies of a folder and SIGKILL it before file operations and SQL statements, one after the other.

usage: die_anywhere.py BASE WORK ACTION

As `die_at.py`, for actions that open databases and files of their own: every file operation counts, and of the SQL
statements every EVERY-th. Prints one JSON line an attempt: [step, event, exit status or minus the signal].
"""

import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script

from syncgov.centre.chartering import load_roots
from syncgov.centre.closing import close_log
from syncgov.centre.restore import Sources, restore
from tests.helpers import ManualClock
from tests.registers import register_set

EVERY = 24  # two log entries take about as many statements, all in one transaction
_FILES = frozenset({"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "sqlite3.connect"})


def arm(folder: Path, fatal: int, steps: list[str]) -> None:
    """Note every step below *folder* in *steps*; die just before number *fatal* (from 0)."""

    def step(name: str) -> None:
        if len(steps) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        steps.append(name)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _FILES and args and str(args[0]).removeprefix("file://").startswith(str(folder)):
            step(event)

    connect = sqlite3.connect

    def traced(*args: Any, **settings: Any) -> sqlite3.Connection:
        conn = connect(*args, **settings)
        conn.set_trace_callback(lambda _sql: step("sql"))
        return conn

    sqlite3.connect = traced  # type: ignore[assignment]
    sys.addaudithook(hook)


def do_restore(folder: Path) -> None:
    """Restore from last night's backup and the second copy."""
    restore(folder / "centre", folder / "night.backup", Sources())


def do_close(folder: Path) -> None:
    """Close the log of a centre that could not be restored whole."""
    close_log(folder / "centre", load_roots(sorted((folder / "roots").glob("*.key"))), clock=ManualClock())


ACTIONS: dict[str, Callable[[Path], None]] = {"restore": do_restore, "close": do_close}


def attempt(folder: Path, action: str, fatal: int) -> tuple[list[str], int]:
    """Run *action* in a child that dies before step *fatal*; returns the steps (if it lived) and its status."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        steps: list[str] = []
        arm(folder, fatal, steps)
        ACTIONS[action](folder)
        os.write(writing, json.dumps(steps).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _pid, status = os.waitpid(child, 0)
    return json.loads(told or b"[]"), os.waitstatus_to_exitcode(status)


def main(base: Path, work: Path, action: str) -> None:
    """Let it live once to count its steps, then kill it at each of those that count."""
    register_set()
    shutil.copytree(base, work / "alive")
    steps, status = attempt(work / "alive", action, -1)
    print(json.dumps(["alive", "", status]), flush=True)
    statements = 0
    for number, event in enumerate(steps):
        statements += event == "sql"
        if event == "sql" and statements % EVERY:
            continue
        folder = work / str(number)
        shutil.copytree(base, folder)
        _steps, status = attempt(folder, action, number)
        print(json.dumps([str(number), event, status]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
