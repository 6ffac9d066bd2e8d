"""The second durable copy of every leaf and body: an append-only file. Source: protocol page, section 6.

Record: u32be length, leaf, u32be length, body. A record that a power loss cut short is cut off: the database has it.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from syncgov.errors import StorageError

_LENGTH = struct.Struct(">I")


class SecondCopy:
    """An append-only file of (leaf, body), in log order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "ab+")  # noqa: SIM115 - kept open for the life of the centre
        self.count = self._repair()

    def _repair(self) -> int:
        """Count the records, and cut off an incomplete last one."""
        size = os.fstat(self._file.fileno()).st_size
        offset = count = 0
        while (end := self._record_end(offset, size)) is not None:
            offset, count = end, count + 1
        if offset != size:
            self._file.truncate(offset)
            os.fsync(self._file.fileno())
        return count

    def _record_end(self, offset: int, size: int) -> int | None:
        for _part in range(2):
            if offset + _LENGTH.size > size:
                return None
            self._file.seek(offset)
            offset += _LENGTH.size + _LENGTH.unpack(self._file.read(_LENGTH.size))[0]
        return offset if offset <= size else None

    def append(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Write (leaf, body) records and wait until they are on disk."""
        parts = []
        added = 0
        for leaf, body in records:
            parts += [_LENGTH.pack(len(leaf)), leaf, _LENGTH.pack(len(body)), body]
            added += 1
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.write(b"".join(parts))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StorageError(f"第二份副本写不进去：{error}", f"cannot write the second copy: {error}") from error
        self.count += added

    def read(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (leaf, body) from the first record on."""
        with self._path.open("rb") as file:
            while head := file.read(_LENGTH.size):
                leaf = file.read(_LENGTH.unpack(head)[0])
                yield leaf, file.read(_LENGTH.unpack(file.read(_LENGTH.size))[0])

    def close(self) -> None:
        """Close the file."""
        self._file.close()
