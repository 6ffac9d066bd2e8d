"""Durable files, and the registers that ship with the package."""

import errno
import os
import secrets
from contextlib import suppress
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from syncgov.core.register import Register, parse_register
from syncgov.errors import InputError, StorageError

MAX_REGISTER_BYTES = 65_536  # its text is one field of one changeset


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace *path* by *data*, durably: temporary file, fsync, rename, fsync of the folder.

    Raises:
        StorageError: it cannot be written; what was there is still there.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return our error for one of the file system's at *path*, saying what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"存储空间已满，无法写入 {path}：请清理出空间后重试，已有的内容没有丢失",
            f"the disk is full, cannot write {path}: make space and try again; nothing that was there is lost",
        )
    return StorageError(f"无法写入 {path}：{error.strerror}", f"cannot write {path}: {error.strerror or error}")


def sync_folder(folder: Path) -> None:
    """Make the entries of *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_registers(folder: Path) -> list[Register]:
    """Return the registers of the *.yml files in *folder*, by name.

    Raises:
        InputError: no folder, or no file in it.
        RegisterError: a file that cannot be used.
    """
    files = sorted(folder.glob("*.yml"))
    if not files:
        raise InputError(f"{folder} 里没有登记册文件（*.yml）", f"no register files (*.yml) in {folder}")
    return [read_register(path) for path in files]


def read_register(path: Path) -> Register:
    """Return the register in one file."""
    try:
        data = path.read_bytes()
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"无法读取 {path}：{error}", f"cannot read {path}: {error}") from error
    if len(data) > MAX_REGISTER_BYTES:
        raise InputError(f"{path} 超过 64 KiB", f"{path} is larger than 64 KiB")
    return parse_cached(text, str(path))


@lru_cache(maxsize=256)
def parse_cached(text: str, filename: str) -> Register:
    """Return `parse_register(text, filename)`; a server opens the same few texts thousands of times."""
    return parse_register(text, filename)


def builtin_folder() -> Path:
    """Return the folder of the registers that ship with the package."""
    return Path(str(resources.files("syncgov") / "registers"))


@cache
def system_registers() -> tuple[Register, ...]:
    """Return the registers that belong to the protocol version."""
    return tuple(read_registers(builtin_folder() / "system"))
