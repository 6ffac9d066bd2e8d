"""Where entries that a centre lost may still be: its second copy, a published folder, devices' replicas.

Nothing here is believed: bodies are compared with what was signed, leaves with a signed checkpoint.
Source: protocol page, section 16.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from syncgov.core.commitment import Body, open_body, unite
from syncgov.core.note import MAX_NOTE_BYTES, Checkpoint, parse_checkpoint, parse_note, verify_checkpoint
from syncgov.core.statement import Leaf, parse_changeset, parse_leaf
from syncgov.core.tree import TILE_WIDTH, bundle_path, bundles, index_path, parse_bundle
from syncgov.errors import FormatError, InputError, SyncgovError


class _Line(msgspec.Struct, frozen=True):
    body: msgspec.Raw
    index: int


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint that somebody holds, and where."""

    checkpoint: Checkpoint
    where: str


@dataclass(slots=True)
class Found:
    """What the sources hold. Bodies are those of the leaf at an index, or of a dot that a device wrote itself."""

    leaves: dict[int, bytes] = field(default_factory=dict)
    bodies: dict[int, list[bytes]] = field(default_factory=dict)
    own: dict[tuple[str, int], bytes] = field(default_factory=dict)
    known: list[Known] = field(default_factory=list)

    def body(self, index: int, leaf: Leaf) -> bytes | None:
        """Return as much as anybody holds of the body of the leaf at *index*, None if nobody holds even its digests."""
        st = leaf.changeset.statement
        opened: list[Body] = []
        for raw in (*([self.own[st.dot]] if st.dot in self.own else []), *self.bodies.get(index, [])):
            try:
                body = open_body(raw, st)
            except FormatError:
                continue  # of a fork, or damaged: another source may be whole
            if all(write is not None for write in body.writes):
                return raw
            opened.append(body)
        return unite(opened) if opened else None


def read_published(out: Path, log: str, found: Found) -> int:
    """Take leaves, disclosed bodies and the checkpoint of a published folder; returns its size.

    Raises:
        InputError: no published folder of this log.
    """
    folder = out / "log"
    try:
        text = (folder / "checkpoint").read_bytes()[:MAX_NOTE_BYTES].decode()
        checkpoint = verify_checkpoint(text, log)
        found.known.append(Known(checkpoint, str(out)))
        for n, width in bundles(checkpoint.size):
            entries = parse_bundle((folder / bundle_path(n, width)).read_bytes())
            found.leaves |= {n * TILE_WIDTH + number: raw for number, raw in enumerate(entries)}
            disclosed = folder / "disclosed" / index_path(n)
            for raw in disclosed.read_bytes().splitlines() if disclosed.is_file() else ():
                line = msgspec.json.decode(raw, type=_Line)
                found.bodies.setdefault(line.index, []).append(bytes(line.body))
        return checkpoint.size
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError, SyncgovError) as error:
        why = error.en if isinstance(error, SyncgovError) else str(error)
        raise InputError(
            f"{out} 不是本中心的公开文件夹：{why}", f"{out} is no published folder of this log: {why}"
        ) from error


def read_devices(files: Sequence[Path], log: str, found: Found) -> None:
    """Take leaves, bodies and checkpoints of replicas; they are only read.

    Raises:
        InputError: no replica, or one of another log.
    """
    for path in files:
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as conn:
                _read_device(conn, path, log, found)
        except (sqlite3.Error, SyncgovError) as error:
            why = error.en if isinstance(error, SyncgovError) else str(error)
            raise InputError(
                f"{path} 不是本中心终端的副本：{why}", f"{path} is no replica of this log: {why}"
            ) from error


def read_old_database(path: Path, log: str, found: Found) -> bool:
    """Take what the centre's own old database still gives, and its checkpoint; returns whether it could be read."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as conn:
            text = conn.execute("SELECT value FROM _sg_meta WHERE key = 'checkpoint'").fetchone()
            checkpoint = verify_checkpoint(str(text[0]) if text is not None else "", log)
            for index, leaf, body in conn.execute("SELECT idx, leaf, body FROM _sg_leaf"):
                found.leaves[index] = bytes(leaf)
                found.bodies.setdefault(index, []).append(bytes(body))
    except (sqlite3.Error, SyncgovError, TypeError):  # damaged: that is why there is a restoration
        return False
    found.known.append(Known(checkpoint, str(path)))
    return True


def _read_device(conn: sqlite3.Connection, path: Path, log: str, found: Found) -> None:
    meta: Mapping[str, str] = dict(conn.execute("SELECT key, value FROM _sg_meta"))
    for name in ("checkpoint", "pulling"):
        if meta.get(name):
            found.known.append(Known(verify_checkpoint(meta[name], log), str(path)))
    for table in ("_sg_leaf", "_sg_pulled"):
        for index, leaf, body in conn.execute(f"SELECT idx, leaf, body FROM {table}"):
            found.leaves.setdefault(index, bytes(leaf))
            if body:
                found.bodies.setdefault(index, []).append(bytes(body))
    for envelope, body in conn.execute("SELECT envelope, body FROM _sg_own WHERE length(body) > 0"):
        found.own[parse_changeset(bytes(envelope)).statement.dot] = bytes(body)


def held_checkpoint(text: str) -> Checkpoint | None:
    """Return a checkpoint that the centre itself kept, None if it kept none."""
    return parse_checkpoint(parse_note(text).text) if text else None


def named_leaves(found: Found, start: int, end: int) -> Iterator[tuple[int, Leaf | None]]:
    """Yield (index, leaf or None) from *start* up to *end*."""
    for index in range(start, end):
        raw = found.leaves.get(index)
        try:
            yield index, None if raw is None else parse_leaf(raw)
        except FormatError:
            yield index, None
