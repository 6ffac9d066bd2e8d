"""Every step at which a process can die and a disk can be full: SQL statements, and operations on files.

Python's own calls (`open`, `write`, `os.replace` …) are replaced inside a block; those of SQLite go through its table
of system calls (`sqlite3_vfs.xSetSystemCall`, which SQLite has for its own tests). Nothing in the product knows of it.
"""

import builtins
import errno
import io
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from tests.crash import sqlite_calls

# "torn": half of the bytes of a write are in the file. "db": what SQLite does with its files.
KINDS = ("sql", "open", "write", "torn", "fsync", "rename", "unlink", "mkdir", "truncate", "db open", "db write",
         "db torn", "db truncate", "db unlink")  # fmt: skip


def _makes(path: Any, flags: int) -> bool:
    """Whether this `open` makes or empties a file; any other changes nothing."""
    return bool(flags & os.O_TRUNC or (flags & os.O_CREAT and not os.path.exists(path)))


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


class Steps:
    """What happens at each step. Subclasses decide; a step is told its kind before it is done.

    Args:
        part: only files whose path has this part count.
    """

    def __init__(self, part: str) -> None:
        self.part = part
        self._paused = threading.local()

    def before(self, kind: str) -> None:
        """Called before a step."""

    def torn(self, kind: str) -> bool:
        """Called before half of a write: whether the write must end there."""
        return False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the block do as it likes."""
        self._paused.now = True
        try:
            yield
        finally:
            self._paused.now = False

    def counts(self, path: object) -> bool:
        """Whether a step on *path* is one of ours."""
        return not getattr(self._paused, "now", False) and self.part in os.fspath(path)  # type: ignore[call-overload]


def no_space() -> OSError:
    """Return what a full disk answers."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def watched(steps: Steps) -> Iterator[None]:
    """Tell *steps* of every step inside this block, in all threads."""
    with ExitStack() as stack:
        opened = _watch_open(steps)
        for module in (builtins, io):
            stack.enter_context(mock.patch.object(module, "open", opened))
        for name, kind in (("rename", "rename"), ("replace", "rename"), ("unlink", "unlink"), ("remove", "unlink"),
                           ("mkdir", "mkdir"), ("rmdir", "unlink")):  # fmt: skip
            stack.enter_context(mock.patch.object(os, name, _told(steps, kind, getattr(os, name))))
        stack.enter_context(mock.patch.object(os, "open", _watch_os_open(steps)))
        stack.enter_context(mock.patch.object(os, "fsync", _watch_fsync(steps)))
        stack.enter_context(mock.patch.object(sqlite3, "connect", _watch_connect(steps)))
        stack.enter_context(sqlite_calls.watched(steps))
        yield


def _told(steps: Steps, kind: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any, *args: Any, **named: Any) -> Any:
        where = path
        if named.get("dir_fd") is not None:  # `shutil.rmtree` names a file by its folder's descriptor
            where = f"{_path_of(named['dir_fd'])}/{os.fspath(path)}"
        if steps.counts(where):
            steps.before(kind)
        return real(path, *args, **named)

    return call


def _watch_os_open(steps: Steps) -> Callable[..., int]:
    real = os.open

    def call(path: Any, flags: int, *args: Any, **named: Any) -> int:
        if _makes(path, flags) and steps.counts(path):
            steps.before("open")
        return real(path, flags, *args, **named)

    return call


def _watch_fsync(steps: Steps) -> Callable[[Any], None]:
    real = os.fsync

    def call(file: Any) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        if steps.counts(_path_of(descriptor)):
            steps.before("fsync")
        real(file)

    return call


def _watch_connect(steps: Steps) -> Callable[..., sqlite3.Connection]:
    real = sqlite3.connect

    def call(path: Any, *args: Any, **named: Any) -> sqlite3.Connection:
        conn = real(path, *args, **named)
        conn.set_trace_callback(lambda _sql: steps.before("sql") if steps.counts(path) else None)
        return conn

    return call


class _Raw(io.FileIO):
    """A file whose writes are steps, below all buffers."""

    steps: Steps

    def write(self, data: Any) -> int:
        data = bytes(data)
        path = _path_of(self.fileno())
        if self.steps.counts(path):
            self.steps.before("write")
            if len(data) > 1 and self.steps.torn("torn"):
                return super().write(data[: len(data) // 2])
        return super().write(data)

    def truncate(self, size: int | None = None, /) -> int:
        if self.steps.counts(_path_of(self.fileno())):
            self.steps.before("truncate")
        return super().truncate(size)


def _watch_open(steps: Steps) -> Callable[..., Any]:
    real = io.open

    def call(file: Any, mode: str = "r", buffering: int = -1, encoding: str | None = None, errors: str | None = None,
             newline: str | None = None, closefd: bool = True, opener: Any = None) -> Any:  # fmt: skip
        if not set(mode) & set("wax+"):
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int) and ("w" in mode or not os.path.exists(file)) and steps.counts(file):
            steps.before("open")
        raw = _Raw(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        raw.steps = steps
        if buffering == 0:
            return raw
        buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)

    return call
