"""Run an action on copies of a folder and SIGKILL it before its first, second, third … SQL statement.

usage: die_at.py BASE WORK ACTION

One process imports everything once; each attempt is a fork of it that works on WORK/<k>, a copy of BASE, and dies just
before statement k of the connection under test. Prints one JSON line an attempt: [k, exit status or minus the signal].
The last attempt is the first that lives. Nothing in the product knows of this.
"""

import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a script

from syncgov.centre import hiding
from syncgov.centre.intake import authenticate
from syncgov.storage.merging import own_changesets
from syncgov.storage.replica import Replica
from tests.helpers import ManualClock, World, new_key
from tests.registers import register_set

MAX_STATEMENTS = 2000  # more would mean that the action never ends


def arm(conn: sqlite3.Connection, k: int) -> Callable[[object], None]:
    """Let this process die just before the k-th statement from now on; returns what counts, for other operations."""
    seen = 0

    def count(_what: object) -> None:
        nonlocal seen
        seen += 1
        if seen == k:
            os.kill(os.getpid(), signal.SIGKILL)

    conn.set_trace_callback(count)
    return count


def arm_files(count: Callable[[object], None]) -> None:
    """Count the operations on files too: each is tried just before it happens."""
    for name in ("fsync", "replace", "open", "write", "fdopen", "unlink"):
        original = getattr(os, name)

        def counted(*args: Any, original: Callable[..., Any] = original, **named: Any) -> Any:
            count(original)
            return original(*args, **named)

        setattr(os, name, counted)


@contextmanager
def reopened(folder: Path) -> Iterator[World]:
    """Open the centre and the devices of a folder."""
    with World(folder, clock=ManualClock()) as world:
        for path in sorted(folder.glob("*.db")):
            world.reopen(path.stem)
        yield world


def commit(folder: Path, k: int) -> None:
    """Sign what waits on the device `pen`."""
    with Replica.open(folder / "pen.db", clock=ManualClock()) as pen:
        arm(pen.conn, k)
        pen.commit()


def sync(folder: Path, k: int) -> None:
    """Sign, push and merge on the device `pen`; its own statements are counted."""
    with reopened(folder) as world:
        pen = world.replicas["pen"]
        arm(pen.conn, k)
        world.sync(pen)


def push(folder: Path, k: int) -> None:
    """Push the changesets of `pen` one by one at the centre, and write down what was acknowledged."""
    with reopened(folder) as world:
        incoming = [
            authenticate(world.centre.ledger, envelope, body)
            for _s, envelope, body in own_changesets(world.replicas["pen"])
        ]
        arm(world.centre.ledger.conn, k)
        for one in incoming:
            (outcome,) = world.centre.push([one])
            with (folder / "acknowledged").open("a") as file:
                file.write(json.dumps([one.changeset.statement.seq, outcome.index, outcome.verdict]) + "\n")


def erase(folder: Path, k: int) -> None:
    """Erase the first record at the centre; SQL statements and file operations are counted together."""
    with reopened(folder) as world:
        count = arm(world.centre.ledger.conn, k)
        arm_files(count)
        hiding.erase(world.centre, "task", new_key(0), ["title"], "request")


def hear(folder: Path, k: int) -> None:
    """Sync the device `pen`, to which the centre has an erasure to tell."""
    sync(folder, k)


ACTIONS: dict[str, Callable[[Path, int], None]] = {
    "commit": commit,
    "sync": sync,
    "push": push,
    "erase": erase,
    "hear": hear,
}


def attempt(folder: Path, action: str, k: int) -> int:
    """Run *action* in a child that dies before statement k; returns its exit status, or minus the signal."""
    child = os.fork()
    if child == 0:
        ACTIONS[action](folder, k)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def main(base: Path, work: Path, action: str) -> None:
    """Attempt until one lives."""
    register_set()  # parsed once, here, and remembered by every child
    for k in range(1, MAX_STATEMENTS):
        folder = work / str(k)
        shutil.copytree(base, folder)
        status = attempt(folder, action, k)
        print(json.dumps([k, status]), flush=True)
        if status != -signal.SIGKILL:
            return
    raise SystemExit(f"still alive after {MAX_STATEMENTS} statements")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
