"""The Merkle tree against a naive RFC 6962 implementation, public vectors and the tile rules."""

import json
from base64 import b64decode
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core import tree
from syncgov.core.tree import MemoryTree, verify_consistency, verify_inclusion
from syncgov.errors import ForkError, FormatError, LimitError, ProofError, RollbackError

SIZE = 70
INPUTS = [b"leaf %d" % i for i in range(SIZE)]
HASHES = [tree.leaf_hash(item) for item in INPUTS]
FULL = MemoryTree(HASHES)

# The definitions of RFC 6962 section 2.1, word for word.


def split(n: int) -> int:
    """k, the largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(d: Sequence[bytes]) -> bytes:
    """MTH(D[n]) of section 2.1."""
    if not d:
        return sha256(b"").digest()
    if len(d) == 1:
        return sha256(b"\0" + d[0]).digest()
    k = split(len(d))
    return sha256(b"\1" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of section 2.1.1."""
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: Sequence[bytes], b: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of section 2.1.2."""
    if m == len(d):
        return [] if b else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


ROOTS = [mth(INPUTS[:n]) for n in range(SIZE + 1)]


def flip(data: bytes, bit: int = 0) -> bytes:
    """Return *data* with one bit of its first byte changed."""
    return bytes([data[0] ^ 1 << bit]) + data[1:]


def counting(get: tree.GetHash) -> tuple[tree.GetHash, list[tuple[int, int]]]:
    """Return *get* and the list of what it was asked for."""
    asked: list[tuple[int, int]] = []

    def counted(level: int, n: int) -> bytes:
        asked.append((level, n))
        return get(level, n)

    return counted, asked


def test_every_root_agrees_with_the_definition() -> None:
    """Roots from stored subtrees, from leaf hashes and from inputs are those of RFC 6962, for each past size."""
    for size in range(SIZE + 1):
        assert FULL.root(size) == tree.tree_hash(HASHES[:size]) == tree.root_of_inputs(INPUTS[:size]) == ROOTS[size]
    assert FULL.size == SIZE
    assert FULL.root() == ROOTS[SIZE]
    assert MemoryTree().root() == tree.EMPTY_ROOT == ROOTS[0]


def test_append_returns_each_completed_subtree_once() -> None:
    """After n appends the stored subtrees are exactly the perfect ones below n."""
    stored: dict[tuple[int, int], bytes] = {}
    for index, value in enumerate(HASHES):
        for level, n, subtree in tree.append(index, value, lambda level, n: stored[level, n]):
            assert (level, n) not in stored
            stored[level, n] = subtree
    assert set(stored) == {(level, n) for level in range(7) for n in range(SIZE >> level)}
    for (level, n), value in stored.items():
        assert value == mth(INPUTS[n << level : (n + 1) << level])


def test_every_inclusion_proof() -> None:
    """Each (index, size) up to 70: the proof is the defined one, verifies, and takes few look-ups."""
    done = 0
    for size in range(1, SIZE + 1):
        for index in range(size):
            get, asked = counting(FULL.get)
            proof = tree.inclusion_path(index, size, get)
            assert proof == path(index, INPUTS[:size])
            assert len(asked) <= 2 * size.bit_length()
            verify_inclusion(HASHES[index], index, size, proof, ROOTS[size])
            done += 1
    assert done == SIZE * (SIZE + 1) // 2


def test_every_consistency_proof() -> None:
    """Each pair of sizes up to 70: the proof is the defined one, verifies, and takes few look-ups."""
    done = 0
    for new in range(1, SIZE + 1):
        for old in range(1, new + 1):
            get, asked = counting(FULL.get)
            proof = tree.consistency_path(old, new, get)
            assert proof == subproof(old, INPUTS[:new], True)
            assert len(asked) <= 3 * new.bit_length()
            verify_consistency(old, ROOTS[old], new, ROOTS[new], proof)
            done += 1
    assert done == SIZE * (SIZE + 1) // 2


def test_every_tree_extends_the_empty_one() -> None:
    """From size 0 the proof is empty; the empty root must be the real one, and anything in the proof is refused."""
    for new in range(SIZE + 1):
        assert tree.consistency_path(0, new, FULL.get) == []
        verify_consistency(0, tree.EMPTY_ROOT, new, ROOTS[new], [])
    with pytest.raises(ProofError):
        verify_consistency(0, ROOTS[1], 5, ROOTS[5], [])
    with pytest.raises(ProofError):
        verify_consistency(0, tree.EMPTY_ROOT, 5, ROOTS[5], [ROOTS[1]])


def refused(verify: Callable[..., None], *arguments: Any) -> int:
    """Assert that *verify* raises exactly ProofError."""
    with pytest.raises(ProofError) as caught:
        verify(*arguments)
    assert type(caught.value) is ProofError
    return 1


def test_altered_inclusion_proofs_are_refused() -> None:
    """Another leaf, index, root, or one hash changed, lost, doubled or reordered: each is refused."""
    done = 0
    for size in (1, 2, 3, 7, 8, 37, 64, 70):
        for index in {0, size // 2, size - 1}:
            proof, root, leaf = tree.inclusion_path(index, size, FULL.get), ROOTS[size], HASHES[index]
            done += refused(verify_inclusion, flip(leaf), index, size, proof, root)
            done += refused(verify_inclusion, leaf, index, size, proof, flip(root, 7))
            done += refused(verify_inclusion, leaf, index, size, [*proof, root], root)
            done += refused(verify_inclusion, leaf, index, size, [root, *proof], root)
            done += refused(verify_inclusion, leaf, size, size, proof, root)
            done += refused(verify_inclusion, leaf, -1, size, proof, root)
            done += refused(verify_inclusion, leaf, index, 2 * size, proof, root)
            done += refused(verify_inclusion, leaf[:-1], index, size, proof, root)
            for i in range(len(proof)):
                done += refused(verify_inclusion, leaf, index, size, proof[:i] + proof[i + 1 :], root)
                done += refused(
                    verify_inclusion, leaf, index, size, [*proof[:i], flip(proof[i]), *proof[i + 1 :]], root
                )
                done += refused(verify_inclusion, leaf, index, size, [*proof[:i], b"", *proof[i:]], root)
            for other in range(size):
                if other != index:
                    done += refused(verify_inclusion, leaf, other, size, proof, root)
    assert done > 700


def test_altered_consistency_proofs_are_refused() -> None:
    """Another root on either side, or one hash changed, lost or added: each is refused."""
    done = 0
    for old, new in [(1, 2), (1, 70), (3, 7), (4, 8), (6, 8), (8, 13), (32, 64), (37, 70), (64, 70), (69, 70)]:
        proof, first, second = tree.consistency_path(old, new, FULL.get), ROOTS[old], ROOTS[new]
        done += refused(verify_consistency, old, flip(first), new, second, proof)
        done += refused(verify_consistency, old, first, new, flip(second), proof)
        done += refused(verify_consistency, old, second, new, first, proof)
        done += refused(verify_consistency, old, first, new, second, [*proof, second])
        done += refused(verify_consistency, old, first, new, second, [first, *proof])
        done += refused(verify_consistency, old, first, new, second, [])
        done += refused(verify_consistency, old, first, 4 * new, second, proof)
        done += refused(verify_consistency, -1, first, new, second, proof)
        for i in range(len(proof)):
            done += refused(verify_consistency, old, first, new, second, proof[:i] + proof[i + 1 :])
            altered = [*proof[:i], flip(proof[i]), *proof[i + 1 :]]
            done += refused(verify_consistency, old, first, new, second, altered)
    assert done > 100


def test_a_proof_of_another_size_is_refused() -> None:
    """Hashes that lead to the right roots, but not by the way that the claimed sizes prescribe."""
    first_four = [ROOTS[4], tree.tree_hash(HASHES[4:6])]
    refused(verify_inclusion, HASHES[7], 0, 1, [HASHES[6], *first_four[::-1]], ROOTS[8])
    refused(verify_consistency, 3, ROOTS[7], 4, ROOTS[8], [HASHES[6], HASHES[7], *first_four[::-1]])
    verify_consistency(7, ROOTS[7], 8, ROOTS[8], [HASHES[6], HASHES[7], *first_four[::-1]])


def test_hashes_cut_at_another_place_are_refused() -> None:
    """Two hashes shifted against each other give the same node; only their lengths give them away."""
    both = HASHES[0] + HASHES[1]
    refused(verify_inclusion, both[:16], 0, 2, [both[16:]], ROOTS[2])
    refused(verify_consistency, 1, both[:16], 2, ROOTS[2], [both[16:]])
    verify_inclusion(both[:32], 0, 2, [both[32:]], ROOTS[2])


def test_a_shrunken_log_is_a_rollback() -> None:
    """A smaller new tree has its own error, with both sizes."""
    with pytest.raises(RollbackError):
        verify_consistency(8, ROOTS[8], 7, ROOTS[7], [])


def test_two_roots_of_one_size_are_a_fork() -> None:
    """Two roots of one size have their own error; equal ones need no proof and take none."""
    verify_consistency(8, ROOTS[8], 8, ROOTS[8], [])
    with pytest.raises(ForkError):
        verify_consistency(8, ROOTS[8], 8, ROOTS[7], [])
    refused(verify_consistency, 8, ROOTS[8], 8, ROOTS[8], [ROOTS[8]])
    refused(verify_consistency, 8, b"short", 8, b"short", [])


def vectors(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, content) of every vector below *folder*."""
    return [(str(file), json.loads(file.read_text())) for file in sorted(folder.rglob("*.json"))]


def accepts(verify: Callable[[], None]) -> bool:
    """Return whether *verify* returns; the only error it may raise is of the log."""
    try:
        verify()
    except (ProofError, ForkError, RollbackError):
        return False
    return True


def test_inclusion_vectors(shared: Path) -> None:
    """The probes of transparency-dev/merkle: each is accepted or refused as it says."""
    seen = {True: 0, False: 0}
    for name, case in vectors(shared / "vectors/merkle/inclusion"):
        proof = [b64decode(item) for item in case["proof"] or []]
        leaf, root = b64decode(case["leafHash"]), b64decode(case["root"])
        good = accepts(lambda: verify_inclusion(leaf, case["leafIdx"], case["treeSize"], proof, root))  # noqa: B023
        assert good != case["wantErr"], name
        seen[good] += 1
    assert sum(seen.values()) == len(vectors(shared / "vectors/merkle/inclusion"))
    assert seen[True] >= 2
    assert seen[False] >= 40


def test_consistency_vectors(shared: Path) -> None:
    """The probes of transparency-dev/merkle: each is accepted or refused as it says."""
    seen = {True: 0, False: 0}
    for name, case in vectors(shared / "vectors/merkle/consistency"):
        proof = [b64decode(item) for item in case["proof"] or []]
        old, new = b64decode(case["root1"]), b64decode(case["root2"])
        good = accepts(lambda: verify_consistency(case["size1"], old, case["size2"], new, proof))  # noqa: B023
        assert good != case["wantErr"], name
        seen[good] += 1
    assert sum(seen.values()) == len(vectors(shared / "vectors/merkle/consistency"))
    assert seen[True] >= 3
    assert seen[False] >= 35


def test_misuse_is_a_value_error() -> None:
    """Proofs of leaves or sizes that do not exist cannot be asked for."""
    for misuse, message in (
        (lambda: tree.inclusion_path(3, 3, FULL.get), "no leaf 3"),
        (lambda: tree.inclusion_path(-1, 3, FULL.get), "no leaf -1"),
        (lambda: tree.consistency_path(4, 3, FULL.get), "does not begin"),
        (lambda: tree.consistency_path(-1, 3, FULL.get), "does not begin"),
        (lambda: tree.root_from(-1, FULL.get), "negative size"),
        (lambda: tree.index_path(-1), "negative number"),
        (lambda: tree.tile_path(64, 0), "tile level 64"),
        (lambda: tree.tile_path(-1, 0), "tile level -1"),
        (lambda: tree.tile_path(0, 0, 0), "tile width 0"),
        (lambda: tree.bundle_path(0, 257), "tile width 257"),
    ):
        with pytest.raises(ValueError, match=message):
            misuse()


def test_tile_paths_are_those_of_the_specification() -> None:
    """Numbers in groups of three digits, the width only on partial tiles."""
    assert tree.tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tree.tile_path(63, 0, 255) == "tile/63/000.p/255"
    assert tree.tile_path(1, 1000, 1) == "tile/1/x001/000.p/1"
    assert tree.bundle_path(999, 256) == "tile/entries/999"
    assert tree.bundle_path(1000, 12) == "tile/entries/x001/000.p/12"
    assert tree.index_path(7) == "007"


def test_tiles_of_the_specifications_examples() -> None:
    """70 000 leaves: 273 full and three partial tiles; 256: one full and a partial one above it."""
    found = list(tree.tiles(70_000))
    assert sum(1 for level, _, width in found if (level, width) == (0, 256)) == 273
    assert [tile for tile in found if tile[0] or tile[2] < 256] == [(0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)]
    assert list(tree.tiles(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(tree.tiles(0)) == []
    assert list(tree.bundles(513)) == [(0, 256), (1, 256), (2, 1)]


def test_tiles_hold_the_hashes_that_the_specification_names() -> None:
    """Each hash of each tile of a tree of 600 leaves is MTH(D[(n·256+i)·256^l : (n·256+i+1)·256^l])."""
    inputs = [b"%d" % i for i in range(600)]
    memory = MemoryTree(map(tree.leaf_hash, inputs))
    for level, n, width in tree.tiles(600):
        hashes = tree.tile_hashes(level, n, width, memory.get)
        step = 256**level
        wanted = [mth(inputs[(n * 256 + i) * step : (n * 256 + i + 1) * step]) for i in range(width)]
        assert hashes == wanted
        assert tree.parse_tile(tree.format_tile(hashes)) == hashes


@given(st.binary(max_size=200))
def test_a_tile_parser_accepts_only_what_is_written(data: bytes) -> None:
    """Any bytes: refused, or written again byte for byte."""
    try:
        hashes = tree.parse_tile(data)
    except FormatError:
        assert not data or len(data) % 32
    else:
        assert tree.format_tile(hashes) == data


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=12), st.data())
def test_a_bundle_with_one_byte_changed_is_another_bundle(entries: list[bytes], data: st.DataObject) -> None:
    """Round trip; a changed byte is refused or gives other entries; a cut one never gives the same."""
    bundle = tree.format_bundle(entries)
    assert tree.parse_bundle(bundle) == entries
    at = data.draw(st.integers(0, len(bundle) - 1))
    changed = bundle[:at] + bytes([bundle[at] ^ data.draw(st.integers(1, 255))]) + bundle[at + 1 :]
    for other in (changed, bundle[:at], bundle + bundle[: at + 1]):
        try:
            parsed = tree.parse_bundle(other)
        except FormatError:
            continue
        assert parsed != entries
        assert tree.format_bundle(parsed) == other


def test_bundle_limits() -> None:
    """An entry of 65 535 bytes and 256 entries fit; one more of either does not, whole or cut."""
    largest = b"x" * tree.MAX_ENTRY_BYTES
    assert tree.parse_bundle(tree.format_bundle([largest])) == [largest]
    assert tree.parse_bundle(b"\0\0" * 256) == [b""] * 256
    assert tree.parse_tile(tree.format_tile(HASHES[:1])) == HASHES[:1]
    assert tree.parse_bundle(tree.format_bundle([largest] * 256)) == [largest] * 256
    assert len(tree.format_bundle([largest] * 256)) == tree.MAX_BUNDLE_BYTES
    with pytest.raises(LimitError):
        tree.format_bundle([largest + b"x"])
    with pytest.raises(LimitError):
        tree.parse_bundle(bytes(tree.MAX_BUNDLE_BYTES + 1))
    with pytest.raises(LimitError):
        tree.parse_tile(bytes(tree.MAX_TILE_BYTES + 32))
    for wrong in (b"", b"\0", b"\0\1", b"\0\0\0", b"\0\0" * 257, b"\0\2x", b"\0\0" * 256 + b"\0"):
        with pytest.raises(FormatError) as caught:
            tree.parse_bundle(wrong)
        assert type(caught.value) is FormatError
    for entries in ([], [b""] * 257):
        with pytest.raises(FormatError):
            tree.format_bundle(entries)
    for hashes in ([], [b"x" * 31], HASHES * 4):
        with pytest.raises(FormatError):
            tree.format_tile(hashes)
