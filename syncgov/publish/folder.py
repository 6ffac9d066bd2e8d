"""Replacing a published folder as a whole: readers see the old one or the new one, and a failure leaves the old one."""

import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncgov.errors import StorageError
from syncgov.storage.files import storage_error, sync_folder

_MARKS = ("public.db", "log/checkpoint")  # what every published folder has


@contextmanager
def replace_folder(out: Path) -> Iterator[Path]:
    """Give an empty folder beside *out*; when the block is done, it takes the place of *out*.

    Raises:
        StorageError: *out* is something else than a published folder, another publication is running, or it cannot be
            written.
    """
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            _tidy(out)
            _require_ours(out)
            new = _sibling(out, "new")
            new.mkdir()
            try:
                yield new
                os.sync()  # thousands of small files: one wait for all of them
                _swap(new, out)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise storage_error(out, error) from error


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    with open(lock_path(out), "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageError(
                f"{out} 正在由另一个进程公开，请等它结束", f"another process is publishing into {out}; wait for it"
            ) from error
        yield


def lock_path(out: Path) -> Path:
    """Return the file that is locked while folder *out* is replaced; it stays."""
    return out.with_name(f".{out.name}.lock")


def _sibling(out: Path, kind: str) -> Path:
    return out.with_name(f".{out.name}.{kind}-{secrets.token_hex(4)}")


def _tidy(out: Path) -> None:
    """Finish what a power loss cut short: bring back an old folder that was moved away, drop half-made ones."""
    name = glob.escape(out.name)
    old = sorted(out.parent.glob(f".{name}.old-*"))
    if old and not out.exists():
        os.rename(old.pop(), out)
    for left in (*old, *out.parent.glob(f".{name}.new-*")):
        shutil.rmtree(left, ignore_errors=True)


def _require_ours(out: Path) -> None:
    """Never delete a folder that publication did not make."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not all((out / mark).is_file() for mark in _MARKS):
        raise StorageError(
            f"{out} 不是公开文件夹，不能替换；请换一个位置", f"{out} is not a published folder; choose another place"
        )


def _swap(new: Path, out: Path) -> None:
    old = _sibling(out, "old")
    if out.exists():
        os.rename(out, old)
    try:
        os.rename(new, out)
    except OSError:
        if old.exists():
            os.rename(old, out)
        raise
    sync_folder(out.parent)
    shutil.rmtree(old, ignore_errors=True)
