"""What a lying operator, or a broken disk, could publish: a log written anew with any leaves, under any key."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from syncgov.core.canonical import encode_unchecked
from syncgov.core.commitment import Body, open_body
from syncgov.core.file_list import sign_list
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, parse_checkpoint, parse_note, sign_checkpoint
from syncgov.core.statement import Leaf, Statement, format_leaf, parse_leaf, sign_statement
from syncgov.core.tree import (
    TILE_WIDTH,
    MemoryTree,
    bundle_path,
    bundles,
    format_bundle,
    format_tile,
    index_path,
    leaf_hash,
    parse_bundle,
    tile_hashes,
    tile_path,
    tiles,
)
from syncgov.errors import SyncgovError
from syncgov.publish.file_list import write_list
from syncgov.storage.keyfile import load_key
from tests.helpers import ORIGIN


@dataclass(frozen=True)
class Item:
    """A leaf in parts, and its disclosed body as JSON text."""

    envelope: bytes
    floor: int
    received: int
    verdict: str
    body: bytes | None

    @property
    def leaf(self) -> Leaf:
        """The leaf."""
        return parse_leaf(format_leaf(self.envelope, floor=self.floor, received=self.received, verdict=self.verdict))

    @property
    def statement(self) -> Statement:
        """What its device signed."""
        return self.leaf.changeset.statement

    def with_statement(self, key: SigningKey, statement: Statement) -> "Item":
        """The same leaf around another statement, signed by *key*."""
        return replace(self, envelope=sign_statement(statement, key))


def read_items(out: Path) -> list[Item]:
    """Return the published log."""
    names = sorted((out / "log/disclosed").rglob("*"))
    lines = [line for name in names for line in name.read_bytes().splitlines()]
    bodies = {int(line[line.rindex(b'"index":') + 8 : -1]): line[8 : line.rindex(b',"index":')] for line in lines}
    entries = []
    size = int((out / "log/checkpoint").read_text(encoding="utf-8").split("\n")[1])
    for n, width in bundles(size):
        entries += parse_bundle((out / "log" / bundle_path(n, width)).read_bytes())
    leaves = [parse_leaf(raw) for raw in entries]
    return [
        Item(leaf.changeset.envelope.raw, leaf.floor, leaf.received, leaf.verdict, bodies.get(index))
        for index, leaf in enumerate(leaves)
    ]


def write_items(out: Path, items: Sequence[Item], key: SigningKey) -> None:
    """Publish *items* as the log, its checkpoint signed by *key*."""
    log = out / "log"
    for name in ("tile", "disclosed"):
        shutil.rmtree(log / name)
    raws = [item.leaf.raw for item in items]
    tree = MemoryTree(map(leaf_hash, raws))
    for level, n, width in tiles(len(raws)):
        _write(log / tile_path(level, n, width), format_tile(tile_hashes(level, n, width, tree.get)))
    for n, width in bundles(len(raws)):
        _write(log / bundle_path(n, width), format_bundle(raws[n * TILE_WIDTH : n * TILE_WIDTH + width]))
        write_lines(out, n, {i: items[i].body for i in range(n * TILE_WIDTH, n * TILE_WIDTH + width)})
    checkpoint = Checkpoint(ORIGIN, len(raws), tree.root())
    _write(log / "checkpoint", sign_checkpoint(checkpoint, key).encode())


def write_lines(out: Path, n: int, bodies: dict[int, bytes | None]) -> None:
    """Write one file of disclosed lines."""
    lines = [b'{"body":%s,"index":%d}\n' % (body, i) for i, body in bodies.items() if body is not None]
    _write(out / "log/disclosed" / index_path(n), b"".join(lines))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def seal(out: Path, key: SigningKey) -> None:
    """List and sign the files as they are now, which who holds the key can always do; no checkpoint, no list."""
    if not (out / "log/checkpoint").is_file():
        return
    try:
        checkpoint = parse_checkpoint(parse_note((out / "log/checkpoint").read_text(encoding="utf-8")).text)
    except (SyncgovError, UnicodeDecodeError):
        return
    write_list(out, lambda digest: sign_list(checkpoint, digest, key))


def log_key(street: Path) -> SigningKey:
    """Return the key that signs checkpoints."""
    return load_key(street / "centre/keys/log.key").key


def device_key(street: Path, name: str) -> SigningKey:
    """Return a device's key, or the registrar's."""
    path = street / "centre/keys/registrar.key" if name == "registrar" else street / f"{name}.db.key"
    return load_key(path).key


def full_body(street: Path, envelope: bytes) -> Body:
    """Return the whole body of a changeset, which only the centre has."""
    with closing(sqlite3.connect(street / "centre/central.db")) as conn:
        for raw, body in conn.execute("SELECT leaf, body FROM _sg_leaf"):
            leaf = parse_leaf(raw)
            if leaf.changeset.envelope.raw == envelope:
                return open_body(body, leaf.changeset.statement)
    raise AssertionError("the centre does not know this changeset")


def full_lines(body: Body) -> bytes:
    """Return a body with every slot disclosed."""
    slots = [[salt, *write] for salt, write in zip(body.salts, body.writes, strict=True) if write is not None]
    return encode_unchecked({"slots": slots, "v": 1})
