"""Reading a published folder: every file within a named limit, every bad file a finding. Source: protocol page 6, 9."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from syncgov.audit.report import Report
from syncgov.core.canonical import decode_as
from syncgov.core.charter import MAX_CHARTER_BYTES, Charter, open_charter
from syncgov.core.commitment import MAX_BODY_BYTES, Body, open_body
from syncgov.core.note import MAX_NOTE_BYTES, Checkpoint, verify_checkpoint
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.core.succession import Charters, charter_document
from syncgov.core.tree import (
    MAX_BUNDLE_BYTES,
    TILE_WIDTH,
    MemoryTree,
    bundle_path,
    bundles,
    format_tile,
    index_path,
    leaf_hash,
    parse_bundle,
    tile_hashes,
    tile_path,
    tiles,
)
from syncgov.errors import FormatError, InputError, SyncgovError

CHARTER_FILE = "log/charter.json"
CHECKPOINT_FILE = "log/checkpoint"
TILE_FOLDER = "log/tile"
DISCLOSED_FOLDER = "log/disclosed"
MAX_ENTRIES = 50_000_000  # 40 GB of entries: more than one machine audits
MAX_LINE_BYTES = MAX_BODY_BYTES + 64  # the body, and `{"body":…,"index":…}` around it
MAX_DISCLOSED_BYTES = TILE_WIDTH * MAX_LINE_BYTES
MAX_NAMED_ENTRIES = 10  # of entries that differ from their tile


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: msgspec.Raw
    index: int


@dataclass(frozen=True, slots=True)
class Log:
    """A log as it was published, its tree recomputed. `bodies`: index -> body, only of leaves with a disclosed line.

    `charter` is the folder's: the one in force at the checkpoint; `charters` are all that the log holds.
    """

    charter_raw: bytes
    charter: Charter
    charters: Charters
    checkpoint_text: str
    checkpoint: Checkpoint
    entries: tuple[bytes, ...]
    tree: MemoryTree
    leaves: tuple[Leaf, ...]
    bodies: dict[int, Body]
    damaged: frozenset[int]

    def body(self, index: int) -> Body:
        """Return the body as far as it is disclosed."""
        found = self.bodies.get(index)
        return found if found is not None else hidden_body(self.leaves[index].changeset.statement.n)


def hidden_body(count: int) -> Body:
    """Return a body of which nothing is known; its digests are not."""
    return Body((None,) * count, (None,) * count, ())


def read_file(out: Path, name: str, max_bytes: int) -> bytes:
    """Return the bytes of file *name* (a relative path with slashes) of the folder.

    Raises:
        FormatError: missing, unreadable, or larger than *max_bytes*; names the file.
    """
    path = out.joinpath(*name.split("/"))
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise FormatError(name, error.strerror or "unreadable") from error
    if len(data) > max_bytes:
        raise FormatError(name, f"more than {max_bytes} bytes")
    return data


def read_text(out: Path, name: str, max_bytes: int) -> str:
    """Return a file's text; FormatError if it is not UTF-8."""
    try:
        return read_file(out, name, max_bytes).decode()
    except UnicodeDecodeError as error:
        raise FormatError(name, "not UTF-8") from error


def check_utf8(raw: bytes, what: str) -> None:
    """Raise FormatError unless *raw* is UTF-8: a parser that keeps parts raw does not look into them."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise FormatError(what, "not UTF-8") from error


def names_below(out: Path, name: str) -> set[str]:
    """Return the relative paths of all files below folder *name*."""
    return {path.relative_to(out).as_posix() for path in (out / name).rglob("*") if not path.is_dir()}


def load_log(out: Path, report: Report) -> Log | None:
    """Return the log in the folder, with everything that can be checked of one part alone; None if it cannot be read.

    Findings: charter, checkpoint, tile, tile-surplus, entry, root, leaf, disclosed, commitment.
    """
    found = _load_charter(out, report)
    checkpoint = None if found is None else _load_checkpoint(out, found[1], report)
    if found is None or checkpoint is None:
        return None
    entries = _load_entries(out, checkpoint[1].size, report)
    if entries is None:
        return None
    tree = MemoryTree(map(leaf_hash, entries))
    if not _check_root(out, entries, tree, checkpoint[1], report):
        return None
    _check_tiles(out, tree, report)
    leaves = _parse_leaves(entries, report)
    if leaves is None:
        return None
    bodies, damaged = load_disclosed(out, leaves, report)
    charters = _find_charters(found[0], leaves, bodies, report)
    return Log(*found, charters, *checkpoint, tuple(entries), tree, leaves, bodies, damaged)


def _find_charters(raw: bytes, leaves: tuple[Leaf, ...], bodies: dict[int, Body], report: Report) -> Charters:
    """Return the log's charters; with none disclosed, the folder's own counts. Findings: charter."""
    documents = ((i, charter_document(body)) for i, body in sorted(bodies.items()) if leaves[i].accepted)
    found = [(index, document) for index, document in documents if document is not None]
    try:
        charters = Charters(found[0][1] if found else raw)
        for index, document in found:
            charters.take(document, index)
    except SyncgovError as error:
        zh, en = f"日志里的章程不成立：{error.zh}", f"a charter in the log does not hold: {error.en}"
        report.add("charter", zh, en, path=CHARTER_FILE)
        return Charters(raw)
    return charters


def _load_charter(out: Path, report: Report) -> tuple[bytes, Charter] | None:
    try:
        raw = read_file(out, CHARTER_FILE, MAX_CHARTER_BYTES)
        return raw, open_charter(raw)
    except SyncgovError as error:
        report.add("charter", f"{CHARTER_FILE} 不成立：{error.zh}", f"{CHARTER_FILE}: {error.en}", path=CHARTER_FILE)
        return None


def _load_checkpoint(out: Path, charter: Charter, report: Report) -> tuple[str, Checkpoint] | None:
    try:
        text = read_text(out, CHECKPOINT_FILE, MAX_NOTE_BYTES)
        checkpoint = verify_checkpoint(text, charter.log)
        if checkpoint.size > MAX_ENTRIES:
            raise FormatError(CHECKPOINT_FILE, f"more than {MAX_ENTRIES} entries")
        return text, checkpoint
    except SyncgovError as error:
        report.add(
            "checkpoint",
            f"{CHECKPOINT_FILE} 不成立：{error.zh}",
            f"{CHECKPOINT_FILE}: {error.en}",
            path=CHECKPOINT_FILE,
        )
        return None


def _load_entries(out: Path, size: int, report: Report) -> list[bytes] | None:
    """Return all entries, None if a bundle is missing or broken."""
    entries: list[bytes] = []
    whole = True
    for n, width in bundles(size):
        name = f"log/{bundle_path(n, width)}"
        try:
            found = parse_bundle(read_file(out, name, MAX_BUNDLE_BYTES))
            if len(found) != width:
                raise FormatError(name, f"{len(found)} entries, not {width}")
            entries += found
        except SyncgovError as error:
            whole = False
            report.add("tile", f"条目文件 {name} 缺失或损坏：{error.zh}", f"entry bundle {name}: {error.en}", path=name)
    return entries if whole else None


def _check_root(out: Path, entries: list[bytes], tree: MemoryTree, checkpoint: Checkpoint, report: Report) -> bool:
    """Whether the entries are those of the checkpoint; if not, name those that the level-0 tiles contradict."""
    if tree.root() == checkpoint.root:
        return True
    named = 0
    for n, width in bundles(len(entries)):
        name, wanted = f"log/{tile_path(0, n, width)}", format_tile(tile_hashes(0, n, width, tree.get))
        try:
            found = read_file(out, name, len(wanted))
        except FormatError:
            continue
        for i in range(width):
            if found[32 * i : 32 * i + 32] != wanted[32 * i : 32 * i + 32] and named < MAX_NAMED_ENTRIES:
                named += 1
                index, bundle = TILE_WIDTH * n + i, f"log/{bundle_path(n, width)}"
                report.add(
                    "entry",
                    f"第 {index} 条日志与哈希文件 {name} 不符：有一个被改过",
                    f"leaf {index} in {bundle} is not the one that {name} hashes",
                    index=index,
                    path=bundle,
                )
    if not named:
        report.add(
            "root",
            "由条目重算的根与检查点不同",
            "the root of the entries is not the checkpoint's",
            path=CHECKPOINT_FILE,
        )
    return False


def _check_tiles(out: Path, tree: MemoryTree, report: Report) -> None:
    """Every hash tile is there, byte for byte, and nothing else."""
    expected = {f"log/{bundle_path(n, width)}" for n, width in bundles(tree.size)}
    for level, n, width in tiles(tree.size):
        name = f"log/{tile_path(level, n, width)}"
        expected.add(name)
        wanted = format_tile(tile_hashes(level, n, width, tree.get))
        try:
            if read_file(out, name, len(wanted)) != wanted:
                raise FormatError(name, "not the hashes of the entries")
        except FormatError as error:
            report.add("tile", f"哈希文件 {name} 缺失或不符：{error.zh}", f"hash tile {name}: {error.en}", path=name)
    report.counts["tiles"] = len(expected)
    for name in sorted(names_below(out, TILE_FOLDER) - expected):
        report.add("tile-surplus", f"多出文件 {name}", f"{name} belongs to no tile of this log", path=name)


def _parse_leaves(entries: list[bytes], report: Report) -> tuple[Leaf, ...] | None:
    leaves = []
    for index, raw in enumerate(entries):
        try:
            check_utf8(raw, f"leaf {index}")
            leaves.append(parse_leaf(raw))
        except SyncgovError as error:
            report.add("leaf", f"第 {index} 条日志不合格式：{error.zh}", f"leaf {index}: {error.en}", index=index)
    report.counts["entries"] = len(entries)
    return tuple(leaves) if len(leaves) == len(entries) else None


def load_disclosed(out: Path, leaves: tuple[Leaf, ...], report: Report) -> tuple[dict[int, Body], frozenset[int]]:
    """Return index -> body, and the indexes whose line is damaged. Source: protocol page, section 9.

    Findings: disclosed, commitment.
    """
    bodies: dict[int, Body] = {}
    damaged: set[int] = set()
    expected = set()
    for n, width in bundles(len(leaves)):
        name = f"{DISCLOSED_FOLDER}/{index_path(n)}"
        expected.add(name)
        if not out.joinpath(*name.split("/")).exists():
            continue  # then no leaf of this bundle may have public writes
        try:
            lines = read_file(out, name, MAX_DISCLOSED_BYTES).split(b"\n")
            if lines[-1] == b"":
                lines.pop()
        except FormatError as error:
            report.add("disclosed", f"{name} 损坏：{error.zh}", f"{name}: {error.en}", path=name)
            damaged |= set(range(TILE_WIDTH * n, TILE_WIDTH * n + width))
            continue
        _read_lines(name, lines, range(TILE_WIDTH * n, TILE_WIDTH * n + width), leaves, bodies, damaged, report)
    for name in sorted(names_below(out, DISCLOSED_FOLDER) - expected):
        report.add("disclosed", f"多出文件 {name}", f"{name} belongs to no entry of this log", path=name)
    return bodies, frozenset(damaged)


def _read_lines(
    name: str,
    lines: list[bytes],
    within: range,
    leaves: tuple[Leaf, ...],
    bodies: dict[int, Body],
    damaged: set[int],
    report: Report,
) -> None:
    """Read the lines of one file; a line that cannot be read stands for no leaf, so all that lack one are damaged."""
    last = within.start - 1
    unreadable = False
    for number, raw in enumerate(lines, 1):
        index = None
        try:
            check_utf8(raw, f"{name}:{number}")
            line = decode_as(raw, _Line, max_bytes=MAX_LINE_BYTES, what=f"{name}:{number}")
            index = line.index
            if index not in within or index <= last:
                raise FormatError(f"{name}:{number}", f"index {index} is out of order or not of this file")
            last = index
            bodies[index] = open_body(bytes(line.body), leaves[index].changeset.statement)
        except SyncgovError as error:
            code = "commitment" if error.code == "commitment" else "disclosed"
            zh, en = f"{name} 第 {number} 行不成立：{error.zh}", f"{name} line {number}: {error.en}"
            report.add(code, zh, en, index=index, path=name)
            unreadable = unreadable or index is None or index not in within
            damaged |= set() if index is None else {index}
    if unreadable:
        damaged |= set(within).difference(bodies)


def require_folder(out: Path) -> None:
    """Raise InputError unless *out* is a folder; what is not in it is for the audit to find."""
    if not out.is_dir():
        raise InputError(f"没有文件夹 {out}", f"there is no folder {out}")


def load_trusted_charter(path: Path) -> Charter:
    """Return the charter in a file that the auditor holds.

    Raises:
        InputError: it cannot be read, or is not a charter signed by its roots.
    """
    try:
        return open_charter(read_file(path.parent, path.name, MAX_CHARTER_BYTES))
    except SyncgovError as error:
        raise InputError(f"{path} 不是章程：{error.zh}", f"{path} is not a charter: {error.en}") from error
