"""Files of rows, on disk by their SHA-256: beside a replica in `<replica>.files`, in a centre in `CENTRE/files`.

    ab/abcd…        a whole file, named by its SHA-256
    partial/<who>-abcd…   what has arrived of one

A whole file is durable before anybody is told of it. Source: protocol page, section 17.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from syncgov.core.attachment import is_hash, require_hash
from syncgov.errors import InputError, StorageError
from syncgov.storage.files import sync_folder, write_atomic

MAX_PARTIAL = 64  # unfinished files of one sender; the oldest makes room
_PARTIAL = "partial"


def files_folder(path: Path) -> Path:
    """Return the folder of the files that belong to the replica at *path*."""
    return path.with_name(path.name + ".files")


class BlobStore:
    """One folder of files. Made when the first file comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Return where the file lies, or would lie."""
        return self.folder / require_hash(sha256)[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the whole file is here."""
        return self.path(sha256).is_file()

    def names(self) -> Iterator[str]:
        """Yield the SHA-256 of every whole file, ascending."""
        yield from sorted(each.name for each in self.folder.glob("[0-9a-f][0-9a-f]/*") if is_hash(each.name))

    def put(self, data: bytes) -> str:
        """Keep *data*, durably; returns its SHA-256. What is here already is not written again.

        Raises:
            StorageError: the disk is full, or cannot be written.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        if not path.is_file():
            with _translated(path):
                _make(path.parent)
                write_atomic(path, data, mode=0o600)
        return sha256

    def read(self, sha256: str, offset: int = 0, limit: int | None = None) -> bytes:
        """Return bytes of a file from *offset* on.

        Raises:
            InputError: it is not here.
        """
        try:
            with self.path(sha256).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if limit is None else limit)
        except FileNotFoundError as error:
            raise InputError(f"没有文件 {sha256[:8]}", f"no file {sha256[:8]}") from error

    def size(self, sha256: str) -> int:
        """Return the length of a file in bytes; 0 if it is not here."""
        with suppress(FileNotFoundError):
            return self.path(sha256).stat().st_size
        return 0

    def take(self, path: Path, sha256: str) -> None:
        """Move a file in that lies on the same disk, is durable, and was found whole; it replaces what is here."""
        target = self.path(sha256)
        with _translated(target):
            _make(target.parent)
            os.replace(path, target)
            sync_folder(target.parent)

    def remove(self, sha256: str) -> None:
        """Unlink a file, if it is here."""
        self.path(sha256).unlink(missing_ok=True)

    # -- what has arrived of a file --------------------

    def received(self, sender: str, sha256: str) -> int:
        """Return how many bytes of a file have arrived from *sender*."""
        with suppress(FileNotFoundError):
            return self._partial(sender, sha256).stat().st_size
        return 0

    def append(self, sender: str, sha256: str, offset: int, data: bytes) -> int:
        """Add bytes at *offset*, if that is where the file ends; returns how many have arrived now.

        Raises:
            StorageError: the disk is full, or cannot be written.
        """
        path = self._partial(sender, sha256)
        here = self.received(sender, sha256)
        if offset != here:
            return here
        with _translated(path):
            _make(path.parent)
            if here == 0:
                self._make_room(sender)
            with open(path, "ab", opener=_private) as file:
                file.write(data)
        return here + len(data)

    def finish(self, sender: str, sha256: str) -> bytes | None:
        """Return the whole file if what has arrived is it; otherwise forget what has arrived. `keep` follows."""
        path = self._partial(sender, sha256)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == sha256:
            return data
        path.unlink()
        return None

    def keep(self, sender: str, names: Iterable[str]) -> None:
        """Make what has arrived, and was found whole, files; durable when this returns. Waits for the disk once."""
        moves = [(self._partial(sender, sha256), self.path(sha256)) for sha256 in names]
        with _translated(self.folder):
            for partial, path in moves:
                _make(path.parent)
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
            for partial, path in moves:
                os.replace(partial, path)
            for folder in {path.parent for _partial, path in moves}:
                sync_folder(folder)

    def forget(self, sender: str, sha256: str) -> None:
        """Drop what has arrived of a file."""
        self._partial(sender, sha256).unlink(missing_ok=True)

    def partials(self) -> Iterator[tuple[Path, str]]:
        """Yield (path, SHA-256) of what has arrived of files."""
        for path in sorted((self.folder / _PARTIAL).glob("*")):
            name = path.name.rpartition("-")[2]
            if is_hash(name):
                yield path, name

    def _partial(self, sender: str, sha256: str) -> Path:
        return self.folder / _PARTIAL / f"{sender}-{require_hash(sha256)}"

    def _make_room(self, sender: str) -> None:
        mine = sorted((self.folder / _PARTIAL).glob(f"{sender}-*"), key=lambda path: path.stat().st_mtime_ns)
        for path in mine[: max(0, len(mine) + 1 - MAX_PARTIAL)]:
            path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make(folder: Path) -> None:
    """Make a folder that others on this machine cannot read, durably."""
    if not folder.is_dir():
        _make_parents(folder)


def _make_parents(folder: Path) -> None:
    top = folder.parent
    if not top.is_dir():
        top.mkdir(mode=0o700, exist_ok=True)
        sync_folder(top.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(top)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, StorageError) as found:
        error = found if isinstance(found, OSError) else found.__cause__
        if not isinstance(error, OSError):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                "存储空间已满，文件没有保存；请清理后重试，已签名的内容没有丢失",
                "the disk is full and the file was not kept; free some space and try again, nothing signed is lost",
            ) from error
        raise StorageError(f"无法写入 {path}：{error.strerror}", f"cannot write {path}: {error.strerror}") from error
