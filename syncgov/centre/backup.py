"""A consistent copy of a centre in one file, while it serves. Source: protocol page, section 16.

A zip archive: `manifest.json` (size, checkpoint, SHA-256 of every member), `central.db`, `charter.json`, `keys/*`,
`files/ab/abcd…` (attachments). Root keys are never in it; the second copy neither: it stands for itself.
"""

import hashlib
import os
import secrets
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from syncgov.core.attachment import is_hash
from syncgov.core.note import parse_checkpoint, parse_note
from syncgov.errors import InputError, StorageError
from syncgov.storage.blobs import BlobStore
from syncgov.storage.connection import connect, translate
from syncgov.storage.files import sync_folder
from syncgov.storage.ledger import Ledger

DATABASE = "central.db"
MANIFEST = "manifest.json"
FILES = "files"
KEYS = ("log.key", "registrar.key", "age.key")
_CHUNK = 1 << 20


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup says of itself: ms UTC, entries, the checkpoint in it, member name -> hexadecimal SHA-256."""

    checkpoint: str
    files: dict[str, str]
    made: int
    origin: str
    size: int
    v: Literal[1] = 1


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup that is on disk. `size`: entries of the log in it; `signed`: of them below the checkpoint.

    `files`: attachments in it; `damaged`: those that are not what their name says, and therefore not in it.
    """

    file: Path
    size: int
    signed: int
    root: str
    bytes: int
    keys: bool
    files: int
    damaged: tuple[str, ...] = ()


def backup(centre: Path, target: Path, now_ms: int, *, keys: bool = True) -> BackedUp:
    """Write a backup of the centre to the file *target*, or into the folder *target*; mode 0600, whole or not at all.

    Args:
        keys: whether log, registrar and age key are in it; without them the backup alone cannot continue the log.

    Raises:
        StorageError: no centre, the target exists already, or it cannot be written.
    """
    if not (centre / DATABASE).is_file():
        raise StorageError(f"{centre} 不是中心文件夹", f"{centre} is not a centre")
    file = target / f"syncgov-{now_ms}.backup" if target.is_dir() else target
    if file.exists():
        raise StorageError(f"{file} 已经存在，请换一个文件名", f"{file} exists already; choose another name")
    try:
        with _beside(file) as database, _beside(file) as archive:
            copy_database(centre / DATABASE, database)
            files, damaged = _files(centre)
            manifest = _write(centre, {DATABASE: database, **files}, archive, now_ms, keys=keys)
            os.replace(archive, file)
            sync_folder(file.parent.absolute())
    except OSError as error:
        raise StorageError(f"备份写不进去：{error}", f"cannot write the backup: {error}") from error
    signed = parse_checkpoint(parse_note(manifest.checkpoint).text)
    size = file.stat().st_size
    return BackedUp(file, manifest.size, signed.size, signed.root.hex(), size, keys, len(files), tuple(damaged))


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    path = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def copy_database(source: Path, copy: Path) -> None:
    """Copy a database that others may be writing into; the copy is one file, with no log beside it.

    Raises:
        StorageError: one of them cannot be read or written.
    """
    try:
        with closing(connect(source)) as old, closing(sqlite3.connect(copy, isolation_level=None)) as new:
            old.backup(new)
            new.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise translate(error) from error


def _files(centre: Path) -> tuple[dict[str, Path], list[str]]:
    """Return member -> path of the attachments, and the damaged ones. Looked for after the database was copied.

    So nothing that its rows name as arrived is missing; what came since is only of use if its row is found again.
    """
    store = BlobStore(centre / FILES)
    found, damaged = {}, []
    for sha256 in store.names():
        if _digest(store.path(sha256)) == sha256:
            found[_member(sha256)] = store.path(sha256)
        else:
            damaged.append(sha256)
    return found, damaged


def _member(sha256: str) -> str:
    return f"{FILES}/{sha256[:2]}/{sha256}"


def _write(centre: Path, members: dict[str, Path], archive: Path, now_ms: int, *, keys: bool) -> Manifest:
    with closing(sqlite3.connect(members[DATABASE], isolation_level=None)) as conn:
        ledger = Ledger(conn)
        charter, size, checkpoint = ledger.charters.newest, ledger.size, ledger.meta.get("checkpoint")
    own = {f"keys/{name}": centre / "keys" / name for name in KEYS if keys and (centre / "keys" / name).is_file()}
    members = own | members
    digests = {name: _digest(path) for name, path in members.items()}
    digests["charter.json"] = hashlib.sha256(charter.raw).hexdigest()
    manifest = Manifest(checkpoint, digests, now_ms, charter.charter.origin, size)
    with archive.open("wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
            made.writestr(MANIFEST, msgspec.json.encode(manifest))
            made.writestr("charter.json", charter.raw)
            for name, path in members.items():
                # attachments are packed already
                made.write(path, name, zipfile.ZIP_STORED if name.startswith(f"{FILES}/") else None)
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(file: Path, folder: Path) -> Manifest:
    """Unpack a backup into the empty *folder* and compare every checksum.

    Raises:
        InputError: not a backup, cut short or damaged; another backup is needed.
        StorageError: it cannot be read, or there is no space.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
            names = {*manifest.files, MANIFEST}
            allowed = {DATABASE, "charter.json", MANIFEST, *(f"keys/{name}" for name in KEYS)}
            allowed |= {_member(d) for n, d in manifest.files.items() if n.startswith(f"{FILES}/") and is_hash(d)}
            if set(archive.namelist()) != names or not {DATABASE, "charter.json"} <= names <= allowed:
                raise _damaged(file, "its members are not those that it names")
            for name, digest in manifest.files.items():
                if _extract(archive, name, folder / name) != digest:
                    raise _damaged(file, f"{name} has another checksum")
    except FileNotFoundError as error:
        raise StorageError(f"找不到备份 {file}", f"no such backup: {file}") from error
    except (zipfile.BadZipFile, KeyError, EOFError, zlib.error, msgspec.MsgspecError, ValueError) as error:
        raise _damaged(file, str(error)) from error
    except OSError as error:
        raise StorageError(f"备份读不了：{error}", f"the backup cannot be read: {error}") from error
    return manifest


def _extract(archive: zipfile.ZipFile, name: str, path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with archive.open(name) as source, open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
        while part := source.read(_CHUNK):
            digest.update(part)
            made.write(part)
        made.flush()
        os.fsync(made.fileno())
    return digest.hexdigest()


def _damaged(file: Path, why: str) -> InputError:
    return InputError(
        f"{file} 不是完整的备份（被截断或损坏），请用另一份备份：{why}",
        f"{file} is not a whole backup (cut short or damaged); use another one: {why}",
    )
