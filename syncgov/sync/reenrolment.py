"""Enrolling a device again: a new key, and under it all that the old key could not bring home.

For a device that is stopped (cloned, restored) or revoked. The old file is kept as `NAME.old`. Every step can be
cut off and repeated. Source: protocol page, sections 8 and 13.
"""

import itertools
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from syncgov.errors import StorageError, TransportError
from syncgov.storage.adopting import Adopted, take_over
from syncgov.storage.clock import Clock, wall_clock
from syncgov.storage.file_queue import carry_files
from syncgov.storage.files import sync_folder, write_atomic
from syncgov.storage.keyfile import key_path, load_key
from syncgov.storage.replica import Replica
from syncgov.storage.staff_file import staff_path
from syncgov.sync import client, joining
from syncgov.sync.client import Progress, Synced

_SIDES = ("-wal", "-shm", ".files")  # SQLite's own files beside a database that some program still holds; photos


@dataclass(slots=True)
class Reenrolled:
    """What a re-enrolment did. `kept` is the old file; `synced` is None if the line broke after all was signed."""

    device: str
    old_device: str
    kept: Path
    adopted: Adopted
    synced: Synced | None


def rejoin(
    path: Path, code: str, staff: str | None = None, *, clock: Clock = wall_clock, progress: Progress | None = None
) -> Reenrolled:
    """Enrol the device of the replica at *path* again, in place; the old file becomes `<path>.old`.

    Raises:
        NotAllowedError: a bad code, or unsigned work on a shared device without *staff*.
        TransportError: the centre cannot be reached; nothing has changed, repeat it later.
    """
    fresh = path.with_name(path.name + ".new")
    if finish(path, fresh):  # an earlier try died between two renames; all was signed
        kept = kept_files(path)[-1]
        return _sent(path, load_key(key_path(kept)).key.id, kept, Adopted(), clock, progress)
    if not path.exists():
        raise StorageError(f"找不到文件 {path}", f"no such file: {path}")
    old_device, adopted = _carry(fresh, code, path, staff, clock, progress)
    kept = keep(path)
    finish(path, fresh)
    return _sent(path, old_device, kept, adopted, clock, progress)


def join_from(
    path: Path,
    code: str,
    old: Path,
    staff: str | None = None,
    *,
    clock: Clock = wall_clock,
    progress: Progress | None = None,
) -> Reenrolled:
    """Enrol again into a new file at *path*, with the work of the replica at *old*, which becomes `<old>.old`."""
    if path == old:
        return rejoin(path, code, staff, clock=clock, progress=progress)
    old_device, adopted = _carry(path, code, old, staff, clock, progress)
    _take_staff_keys(path, old)
    kept = keep(old)
    return _sent(path, old_device, kept, adopted, clock, progress)


def _take_staff_keys(path: Path, old: Path) -> None:
    """Persons keep their keys and PINs: a staff key is bound to its person, not to the device."""
    if staff_path(old).exists() and not staff_path(path).exists():
        write_atomic(staff_path(path), staff_path(old).read_bytes(), mode=0o600)


def _carry(
    path: Path, code: str, old: Path, staff: str | None, clock: Clock, progress: Progress | None
) -> tuple[str, Adopted]:
    """Join (unless an earlier try did), fetch the log, and sign the old file's work under the new key."""
    with Replica.open(old, clock=clock) as other:
        # a file older than its key may sign nothing more; what is written in it is taken over as it stands
        problems = [] if other.is_older_than_key else other.commit(staff).problems
        url, old_device = other.meta.get("url"), other.dev
        joined = Replica.open(path, clock=clock) if path.exists() else joining.join(path, url, code, clock=clock)
        with closing(joined):
            client.sync(joined, staff, progress=progress)
            adopted = take_over(joined, other, staff)
            carry_files(joined, other)
            adopted.left += [(0, error) for _row, error in problems]
    return old_device, adopted


def _sent(
    path: Path, old_device: str, kept: Path, adopted: Adopted, clock: Clock, progress: Progress | None
) -> Reenrolled:
    with Replica.open(path, clock=clock) as joined:
        try:
            synced = client.sync(joined, progress=progress)
        except TransportError:
            synced = None  # all is signed and safe; it goes with the next sync
        return Reenrolled(joined.dev, old_device, kept, adopted, synced)


def kept_files(path: Path) -> list[Path]:
    """Return the old files that are kept of a replica, oldest first: `.old`, `.old2`, …"""
    names = (path.with_name(f"{path.name}.old{number if number > 1 else ''}") for number in itertools.count(1))
    return [*itertools.takewhile(Path.exists, names)]


def keep(path: Path) -> Path:
    """Rename a replica and its key to the first free `.old`; returns the new name of the replica."""
    number = len(kept_files(path)) + 1
    kept = path.with_name(f"{path.name}.old{number if number > 1 else ''}")
    _move(path, kept)
    os.replace(key_path(path), key_path(kept))
    sync_folder(path.parent)
    return kept


def finish(path: Path, fresh: Path) -> bool:
    """Put the fresh replica in the old one's place if that has gone; returns whether anything was left to do."""
    done = False
    if fresh.exists() and not path.exists():
        if key_path(path).exists():
            os.replace(key_path(path), key_path(kept_files(path)[-1]))
        _move(fresh, path)
        done = True
    if not fresh.exists() and path.exists() and key_path(fresh).exists() and not key_path(path).exists():
        os.replace(key_path(fresh), key_path(path))
        sync_folder(path.parent)
        done = True
    for suffix in (".from", ".joining") if done else ():  # of one that was begun by file
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    return done


def _move(old: Path, new: Path) -> None:
    for side in _SIDES:
        beside = old.with_name(old.name + side)
        if beside.exists():
            os.replace(beside, new.with_name(new.name + side))
    os.replace(old, new)
    sync_folder(old.parent)
