"""The second durable copy of every leaf and body: an append-only file. Source: protocol page, section 6.

Record: u32be length, leaf, u32be length, body. A record that a power loss cut short is cut off: the database has it.
"""

import fcntl
import logging
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from syncgov.errors import StorageError
from syncgov.storage.files import storage_error, sync_folder

logger = logging.getLogger(__name__)

_LENGTH = struct.Struct(">I")
_CHUNK_BYTES = 1 << 20


class SecondCopy:
    """An append-only file of (leaf, body), in log order. Several processes may append, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.touch(mode=0o600)
            # without a buffer: what a full disk did not take must not be written later, among other records
            self._file = open(path, "ab+", buffering=0)  # noqa: SIM115 - kept open for the life of the centre
        except OSError as error:
            raise storage_error(path, error) from error
        self._end = 0
        self._count = 0

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the file alone; gives the number of its records, those of other processes included."""
        self._lock_newest()
        try:
            self._read_on()
            yield self._count
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _lock_newest(self) -> None:
        """Take the lock of the file that has the name now: another process may have put a new one in its place."""
        while True:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            here, there = os.fstat(self._file.fileno()), os.stat(self._path)
            if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
                return
            self._file.close()
            self._file = open(self._path, "ab+", buffering=0)  # noqa: SIM115 - kept open for the life of the centre
            self._end = self._count = 0

    def rewrite(self, replacements: Mapping[int, tuple[bytes, bytes]]) -> None:
        """Put the (leaf, body) of some records in the place of what stands there, durably; call while holding `locked`.

        The file is made anew beside the old one and takes its name when it is whole; then the old one is overwritten,
        as far as the file system allows. All other records stay as they are, byte by byte. The new file is locked
        before it has the name: whoever waits for the old one's lock must not append before the caller is done.

        Raises:
            StorageError: a record holds another leaf, or the disk is full; nothing has changed.
        """
        new = self._path.with_name(f".{self._path.name}.new")
        old = os.open(self._path, os.O_WRONLY)
        try:
            self._write_new(new, replacements)
            self._take(new)
            sync_folder(self._path.parent)  # before the old one is overwritten: a power loss may bring its name back
        except (OSError, StorageError) as error:
            new.unlink(missing_ok=True)
            os.close(old)
            if isinstance(error, StorageError):
                raise
            raise storage_error(self._path, error) from error
        overwrite(old)
        self._read_on()

    def _take(self, new: Path) -> None:
        """Give *new* the name, and go on with it, locked."""
        file = open(new, "ab+", buffering=0)  # noqa: SIM115 - kept open for the life of the centre
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.replace(new, self._path)
        except OSError:
            file.close()
            raise
        self._file.close()
        self._file, self._end, self._count = file, 0, 0

    def _write_new(self, new: Path, replacements: Mapping[int, tuple[bytes, bytes]]) -> None:
        new.unlink(missing_ok=True)  # of an attempt that was cut off
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for index, (leaf, body) in enumerate(self.read()):
                if index in replacements:
                    if replacements[index][0] != leaf:
                        raise StorageError(
                            f"第二份副本的第 {index} 条与数据库不同，请运行 syncgov fsck",
                            f"record {index} of the second copy is not the database's; run `syncgov fsck`",
                        )
                    body = replacements[index][1]
                file.write(b"".join((_LENGTH.pack(len(leaf)), leaf, _LENGTH.pack(len(body)), body)))
            file.flush()
            os.fsync(file.fileno())

    def _read_on(self) -> None:
        """Count what was appended since, and cut off an incomplete last record."""
        size = os.fstat(self._file.fileno()).st_size
        while (end := self._record_end(self._end, size)) is not None:
            self._end, self._count = end, self._count + 1
        if self._end != size:
            try:
                self._file.truncate(self._end)
                os.fsync(self._file.fileno())
            except OSError as error:
                raise storage_error(self._path, error) from error

    def _record_end(self, offset: int, size: int) -> int | None:
        for _part in range(2):
            if offset + _LENGTH.size > size:
                return None
            length = _LENGTH.unpack(os.pread(self._file.fileno(), _LENGTH.size, offset))[0]
            if length == 0:  # neither leaf nor body is ever empty: zeros are what a power loss leaves
                return None
            offset += _LENGTH.size + length
        return offset if offset <= size else None

    def append(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Write (leaf, body) records and wait until they are on disk; call while holding `locked`.

        Raises:
            StorageError: no space, or no longer writable; the next `locked` cuts off what was begun.
        """
        parts = []
        for leaf, body in records:
            parts += [_LENGTH.pack(len(leaf)), leaf, _LENGTH.pack(len(body)), body]
        left = memoryview(b"".join(parts))
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise storage_error(self._path, error) from error
        self._read_on()

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (leaf, body) from the first record on."""
        return read_copy(self._path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _part(file: BinaryIO) -> bytes:
    head = file.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
    data = file.read(length)
    return data if len(data) == length else b""


def read_copy(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield (leaf, body) of a second copy that nobody writes; a record that was cut short ends it.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            while True:
                leaf, body = _part(file), _part(file)
                if not leaf or not body:  # neither is ever empty: the record was cut short
                    return
                yield leaf, body
    except OSError as error:
        raise storage_error(path, error) from error


def overwrite(descriptor: int) -> None:
    """Fill a file that has lost its name with zeros and close it."""
    try:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= os.write(descriptor, bytes(min(left, _CHUNK_BYTES)))
        os.fsync(descriptor)
    except OSError:  # a full disk: the file has no name any more and goes with its last reader
        logger.warning("the old second copy could not be overwritten")
    finally:
        os.close(descriptor)
