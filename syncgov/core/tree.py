"""The Merkle tree of the log: hashes, proofs and tiles.

A tree of any size is made of *perfect subtrees*: subtree (level, n) covers the leaves n·2^level … (n+1)·2^level − 1.
Once complete, its hash never changes. Whoever stores these hashes (a table, a list) passes a callback `get(level, n)`;
with it every root and every proof, of today's tree and of each earlier one, takes O(log size) look-ups.

Source: RFC 6962 section 2.1; RFC 9162 sections 2.1.3.2 and 2.1.4.2; c2sp.org/tlog-tiles; protocol page, section 6.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from syncgov.errors import ForkError, FormatError, LimitError, ProofError, RollbackError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

TILE_HEIGHT = 8  # levels of the tree in one tile
TILE_WIDTH = 1 << TILE_HEIGHT  # hashes in a full tile, entries in a full bundle
MAX_TILE_LEVEL = 63  # c2sp.org/tlog-tiles
MAX_TILE_BYTES = TILE_WIDTH * HASH_BYTES
MAX_ENTRY_BYTES = 0xFFFF  # its length is written in two bytes
MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)

GetHash = Callable[[int, int], bytes]
"""`get(level, n)` returns the hash of the complete perfect subtree *n* of 2^level leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """Return SHA-256(0x00 || leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes; SHA-256("") when there are none."""
    sha256 = hashlib.sha256
    row = list(leaf_hashes)
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []  # a node without a partner moves up as it is
        row = [sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)] + odd
    return row[0] if row else EMPTY_ROOT


def root_of_inputs(inputs: Iterable[bytes]) -> bytes:
    """Return the root of the tree whose leaf inputs are *inputs*."""
    sha256 = hashlib.sha256
    return tree_hash([sha256(b"\x00" + item).digest() for item in inputs])


def root_from(size: int, get: GetHash) -> bytes:
    """Return the root of the first *size* leaves."""
    if size < 0:
        raise ValueError("a tree has no negative size")
    return _range_root(0, size, get) if size else EMPTY_ROOT


def _range_root(start: int, count: int, get: GetHash) -> bytes:
    """Return the hash over *count* ≥ 1 leaves from *start*, a multiple of the largest power of two ≤ *count*."""
    parts = []
    for level in reversed(range(count.bit_length())):
        if count >> level & 1:
            parts.append(get(level, start >> level))
            start += 1 << level
    root = parts.pop()
    while parts:
        root = node_hash(parts.pop(), root)
    return root


def _split(count: int) -> int:
    """Return the largest power of two below *count* ≥ 2: how many leaves the left child has."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_path(index: int, size: int, get: GetHash) -> list[bytes]:
    """Return the proof that leaf *index* is in the tree of the first *size* leaves, the leaf's sibling first.

    Source: RFC 6962 section 2.1.1.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    path, start, count = [], 0, size
    while count > 1:
        left = _split(count)
        if index - start < left:
            path.append(_range_root(start + left, count - left, get))
            count = left
        else:
            path.append(_range_root(start, left, get))
            start, count = start + left, count - left
    return path[::-1]


def consistency_path(old_size: int, new_size: int, get: GetHash) -> list[bytes]:
    """Return the proof that the tree of *old_size* leaves begins that of *new_size*.

    It is empty if *old_size* is 0 or *new_size*.

    Source: RFC 6962 section 2.1.2.
    """
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {old_size} does not begin one of {new_size}")
    if old_size in (0, new_size):
        return []
    path, start, count = [], 0, new_size
    while start + count != old_size:
        left = _split(count)
        if old_size - start <= left:
            path.append(_range_root(start + left, count - left, get))
            count = left
        else:
            path.append(_range_root(start, left, get))
            start, count = start + left, count - left
    if start:  # otherwise the subtree reached is the old tree, whose root the verifier has
        path.append(_range_root(start, count, get))
    return path[::-1]


def append(size: int, leaf_hash: bytes, get: GetHash) -> list[tuple[int, int, bytes]]:
    """Return the perfect subtrees (level, n, hash) that leaf number *size* completes, from its own at level 0 upward.

    The caller stores all of them before it appends the next leaf.
    """
    completed = [(0, size, leaf_hash)]
    level, n, value = completed[0]
    while n & 1:
        value = node_hash(get(level, n - 1), value)
        level, n = level + 1, n >> 1
        completed.append((level, n, value))
    return completed


def verify_inclusion(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Return if *path* leads from leaf *index* to the *root* of a tree of *size* leaves.

    Raises:
        ProofError: it does not, or it is too long or too short, or the tree has no such leaf.

    Source: RFC 9162 section 2.1.3.2.
    """
    error = ProofError("inclusion")
    if not 0 <= index < size or not _all_hashes(leaf_hash, root, *path):
        raise error
    fn, sn, value = index, size - 1, leaf_hash
    for sibling in path:
        if sn == 0:
            raise error
        if fn & 1 or fn == sn:
            value = node_hash(sibling, value)
            fn, sn = _skip_levels_without_sibling(fn, sn)
        else:
            value = node_hash(value, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn or value != root:
        raise error


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Return if the tree of *new_size* leaves extends the tree of *old_size*; every tree extends the empty one.

    Raises:
        RollbackError: the new tree is smaller.
        ForkError: both have one size, but not one root.
        ProofError: *path* does not lead from the old root to the new one, or is too long or too short.

    Source: RFC 9162 section 2.1.4.2; for an old size of 0 c2sp.org/tlog-witness (the proof must be empty).
    """
    if new_size < old_size:
        raise RollbackError(old_size, new_size)
    error = ProofError("consistency")
    if old_size < 0 or not _all_hashes(old_root, new_root, *path) or (old_size == 0 and old_root != EMPTY_ROOT):
        raise error
    if old_size == new_size and old_root != new_root:
        raise ForkError(
            f"日志的前 {old_size} 条有两个版本，请联系管理员", f"two logs of {old_size} entries have different roots"
        )
    if old_size in (0, new_size):
        if path:
            raise error
    elif _roots_of_consistency(old_size, old_root, new_size, path) != (old_root, new_root):
        raise error


def _roots_of_consistency(
    old_size: int, old_root: bytes, new_size: int, path: Sequence[bytes]
) -> tuple[bytes, bytes] | None:
    """Return the two roots that *path* leads to, for 0 < old_size < new_size; None if it has a wrong length."""
    if old_size & (old_size - 1) == 0:  # step 2: the old root is itself a node of the new tree
        path = [old_root, *path]
    if not path:
        return None
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:  # step 4
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            fn, sn = _skip_levels_without_sibling(fn, sn)
        else:
            new = node_hash(new, sibling)
        fn, sn = fn >> 1, sn >> 1
    return None if sn else (old, new)


def _skip_levels_without_sibling(fn: int, sn: int) -> tuple[int, int]:
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _all_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)


class MemoryTree:
    """A tree in memory; `get` is the callback of the functions above."""

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for value in leaf_hashes:
            self.append(value)

    @property
    def size(self) -> int:
        """The number of leaves."""
        return len(self._levels[0])

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf."""
        for level, _, value in append(self.size, leaf_hash, self.get):
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(value)

    def get(self, level: int, n: int) -> bytes:
        """Return the hash of the perfect subtree *n* of 2^level leaves."""
        return self._levels[level][n]

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first *size* leaves; of all if not given."""
        return root_from(self.size if size is None else size, self.get)


def index_path(n: int) -> str:
    """Return *n* in groups of three digits, all but the last begun by `x`: 1234067 gives `x001/x234/067`."""
    if n < 0:
        raise ValueError("a tile has no negative number")
    groups = [f"{n % 1000:03d}"]
    while n := n // 1000:
        groups.append(f"x{n % 1000:03d}")
    return "/".join(reversed(groups))


def tile_path(level: int, n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a hash tile: `tile/<L>/<N>`, and `.p/<W>` if it is not full."""
    if not 0 <= level <= MAX_TILE_LEVEL:
        raise ValueError(f"tile level {level}, at most {MAX_TILE_LEVEL}")
    return f"tile/{level}/{index_path(n)}{_partial(width)}"


def bundle_path(n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of an entry bundle: `tile/entries/<N>`, and `.p/<W>` if it is not full."""
    return f"tile/entries/{index_path(n)}{_partial(width)}"


def _partial(width: int) -> str:
    if not 1 <= width <= TILE_WIDTH:
        raise ValueError(f"tile width {width}, from 1 to {TILE_WIDTH}")
    return "" if width == TILE_WIDTH else f".p/{width}"


def tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (level, n, width) of every hash tile of a tree of *size* leaves, level 0 first."""
    level = 0
    while count := size >> (TILE_HEIGHT * level):
        yield from ((level, n, width) for n, width in bundles(count))
        level += 1


def bundles(size: int) -> Iterator[tuple[int, int]]:
    """Yield (n, width) of every entry bundle of a tree of *size* leaves."""
    full, rest = divmod(size, TILE_WIDTH)
    yield from ((n, TILE_WIDTH) for n in range(full))
    if rest:
        yield full, rest


def tile_hashes(level: int, n: int, width: int, get: GetHash) -> list[bytes]:
    """Return the hashes of one tile, left to right."""
    return [get(TILE_HEIGHT * level, n * TILE_WIDTH + i) for i in range(width)]


def format_tile(hashes: Sequence[bytes]) -> bytes:
    """Return the bytes of a tile: 1 … 256 hashes, one after the other."""
    if not 1 <= len(hashes) <= TILE_WIDTH or not _all_hashes(*hashes):
        raise FormatError("tile", f"not 1 to {TILE_WIDTH} hashes")
    return b"".join(hashes)


def parse_tile(data: bytes) -> list[bytes]:
    """Return the hashes of a tile.

    Raises:
        LimitError: longer than a full tile.
        FormatError: empty, or not a whole number of hashes.
    """
    if len(data) > MAX_TILE_BYTES:
        raise LimitError("tile", f"{len(data)} bytes, at most {MAX_TILE_BYTES} are allowed")
    if not data or len(data) % HASH_BYTES:
        raise FormatError("tile", "empty, or not a whole number of hashes")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def format_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the bytes of an entry bundle: 1 … 256 times (u16be length || entry).

    Raises:
        LimitError: an entry of more than 65 535 bytes.
        FormatError: no entry, or more than 256.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise FormatError("entry bundle", f"{len(entries)} entries, from 1 to {TILE_WIDTH} are allowed")
    if max(map(len, entries)) > MAX_ENTRY_BYTES:
        raise LimitError("log entry", f"more than {MAX_ENTRY_BYTES} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes) -> list[bytes]:
    """Return the entries of a bundle.

    Raises:
        LimitError: more bytes than a bundle can have.
        FormatError: it ends inside an entry, is empty, or has more than 256 entries.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise LimitError("entry bundle", f"{len(data)} bytes, at most {MAX_BUNDLE_BYTES} are allowed")
    entries: list[bytes] = []
    offset = 0
    while offset < len(data) and len(entries) < TILE_WIDTH:
        start = offset + 2
        offset = start + int.from_bytes(data[offset:start], "big")
        entries.append(data[start:offset])
    if offset != len(data) or not entries:
        raise FormatError("entry bundle", f"not 1 to {TILE_WIDTH} whole entries")
    return entries
