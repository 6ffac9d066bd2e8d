"""The key file beside a replica: the device's private key and how far its chain has surely been signed.

A cloned or restored replica does not take the key file's memory back with it, so an older replica is noticed.
Source: protocol page, section 13.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from syncgov.core.canonical import MAX_INT, b64u, unb64u
from syncgov.core.keys import SigningKey
from syncgov.errors import StorageError
from syncgov.storage.files import write_atomic


class _File(msgspec.Struct, forbid_unknown_fields=True):
    hash: str
    seed: str
    seq: Annotated[int, msgspec.Meta(ge=0, le=MAX_INT)]
    v: Literal[1]


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A device key and the last (seq, envelope hash) that was durable before anything was sent. `hash` is b64u."""

    path: Path
    key: SigningKey
    seq: int
    hash: str


def key_path(replica: Path) -> Path:
    """Return where the key of a replica is kept."""
    return replica.with_name(replica.name + ".key")


def load_key(path: Path) -> KeyFile:
    """Return the key file at *path*; StorageError if it is missing or damaged."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
        return KeyFile(path, SigningKey(unb64u(found.seed, 32)), found.seq, found.hash)
    except OSError as error:
        raise StorageError(f"找不到密钥文件 {path}", f"no key file: {path}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise StorageError(f"密钥文件 {path} 已损坏", f"damaged key file: {path}") from error


def store_key(path: Path, key: SigningKey, seq: int, last_hash: str) -> KeyFile:
    """Write a key file, readable by its owner only."""
    data = msgspec.json.encode(_File(last_hash, b64u(key.seed), seq, 1))
    write_atomic(path, data, mode=0o600)
    return KeyFile(path, key, seq, last_hash)
