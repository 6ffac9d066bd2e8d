"""SQLite's own system calls as steps, through `sqlite3_vfs.xSetSystemCall`; ctypes alone, nothing to build or mount."""

import _sqlite3
import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

_METHODS = """xOpen xDelete xAccess xFullPathname xDlOpen xDlError xDlSym xDlClose xRandomness xSleep xCurrentTime
xGetLastError xCurrentTimeInt64 xSetSystemCall xGetSystemCall xNextSystemCall""".split()
_INT, _PLACE = ctypes.c_int, ctypes.c_void_p
_GET = ctypes.CFUNCTYPE(_PLACE, _PLACE, ctypes.c_char_p)
_SET = ctypes.CFUNCTYPE(_INT, _PLACE, ctypes.c_char_p, _PLACE)


def _call(*types: Any) -> Any:
    return ctypes.CFUNCTYPE(*types, use_errno=True)


_SIGNATURES = {
    b"open": _call(_INT, ctypes.c_char_p, _INT, _INT),
    b"pwrite": _call(ctypes.c_ssize_t, _INT, _PLACE, ctypes.c_size_t, ctypes.c_int64),
    b"pwrite64": _call(ctypes.c_ssize_t, _INT, _PLACE, ctypes.c_size_t, ctypes.c_int64),
    b"write": _call(ctypes.c_ssize_t, _INT, _PLACE, ctypes.c_size_t),
    b"ftruncate": _call(_INT, _INT, ctypes.c_int64),
    b"unlink": _call(_INT, ctypes.c_char_p),
}


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("iVersion", _INT),
        ("szOsFile", _INT),
        ("mxPathname", _INT),
        ("pNext", _PLACE),
        ("zName", ctypes.c_char_p),
        ("pAppData", _PLACE),
        *((name, _PLACE) for name in _METHODS),
    )


class Steps(Protocol):
    """What `tests.crash.steps.Steps` is."""

    def before(self, kind: str) -> None: ...
    def torn(self, kind: str) -> bool: ...
    def counts(self, path: object) -> bool: ...


@cache
def _vfs() -> Any:
    """Return the VFS of the very SQLite that Python uses."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    return library.sqlite3_vfs_find(None)


@contextmanager
def watched(steps: Steps) -> Iterator[None]:
    """Tell *steps* of what SQLite does to its files inside this block."""
    vfs = _vfs()
    place = ctypes.cast(vfs, _PLACE)
    get, put = _GET(vfs.contents.xGetSystemCall), _SET(vfs.contents.xSetSystemCall)
    kept = []
    try:
        for name, signature in _SIGNATURES.items():
            address = get(place, name)
            if address is None:
                continue  # this build uses another of the three ways to write
            hook = signature(_HOOKS[name](steps, signature(address)))
            kept.append((name, hook))
            assert put(place, name, ctypes.cast(hook, _PLACE)) == 0
        yield
    finally:
        for name, _hook in kept:
            put(place, name, None)  # the original


def _guarded(steps: Steps, kind: str, path: object) -> bool:
    """Tell of a step; returns whether it may go on."""
    if not steps.counts(path):
        return True
    try:
        steps.before(kind)
    except OSError as error:
        ctypes.set_errno(error.errno or errno.EIO)
        return False
    return True


def _open(steps: Steps, real: Callable[..., int]) -> Callable[..., int]:
    def call(path: bytes, flags: int, mode: int) -> int:
        creates = flags & os.O_CREAT and not os.path.exists(path)
        return real(path, flags, mode) if not creates or _guarded(steps, "db open", os.fsdecode(path)) else -1

    return call


def _write(steps: Steps, real: Callable[..., int]) -> Callable[..., int]:
    def call(descriptor: int, data: int, length: int, *offset: int) -> int:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not _guarded(steps, "db write", path):
            return -1
        if length > 1 and steps.counts(path) and steps.torn("db torn"):
            length //= 2
        return real(descriptor, data, length, *offset)

    return call


def _truncate(steps: Steps, real: Callable[..., int]) -> Callable[..., int]:
    def call(descriptor: int, size: int) -> int:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        return real(descriptor, size) if _guarded(steps, "db truncate", path) else -1

    return call


def _unlink(steps: Steps, real: Callable[..., int]) -> Callable[..., int]:
    def call(path: bytes) -> int:
        return real(path) if _guarded(steps, "db unlink", os.fsdecode(path)) else -1

    return call


_HOOKS = {
    b"open": _open,
    b"pwrite": _write,
    b"pwrite64": _write,
    b"write": _write,
    b"ftruncate": _truncate,
    b"unlink": _unlink,
}
