"""Receipts: a leaf, its path and a checkpoint in one text."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core import note, proof
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint
from syncgov.core.tree import MemoryTree, inclusion_path, leaf_hash
from syncgov.errors import FormatError, LimitError, ProofError, SignatureError, SyncgovError

LOG = SigningKey(b"L" * 32)
ORIGIN = "log.example/street"
VKEY = note.format_vkey(ORIGIN, LOG.public)
LEAVES = [b"leaf %d" % i for i in range(13)]
TREE = MemoryTree(map(leaf_hash, LEAVES))
CHECKPOINT = Checkpoint(ORIGIN, TREE.size, TREE.root())
SIGNED = note.sign_checkpoint(CHECKPOINT, LOG)


def receipt(index: int) -> str:
    """Return the receipt of one of the leaves."""
    return proof.format_receipt(index, inclusion_path(index, TREE.size, TREE.get), SIGNED)


def refused(error: type[SyncgovError], text: str, leaf: bytes = LEAVES[6]) -> None:
    """Assert that `verify_receipt` raises exactly *error*."""
    with pytest.raises(error) as caught:
        proof.verify_receipt(text, leaf, VKEY)
    assert type(caught.value) is error


def test_a_receipt_has_these_bytes() -> None:
    """Header, index, one hash a line, blank line, the checkpoint as it was signed."""
    path = inclusion_path(6, 13, TREE.get)
    lines = ["c2sp.org/tlog-proof@v1", "index 6", *(b64encode(item).decode() for item in path), "", SIGNED]
    assert receipt(6) == "\n".join(lines)


def test_each_leaf_has_a_receipt() -> None:
    """Every receipt parses to its parts and verifies its own leaf, and no other."""
    for index, leaf in enumerate(LEAVES):
        text = receipt(index)
        path = tuple(inclusion_path(index, TREE.size, TREE.get))
        assert proof.parse_receipt(text) == proof.Receipt(index, path, SIGNED)
        assert proof.verify_receipt(text, leaf, VKEY) == CHECKPOINT
        refused(ProofError, text, b"another leaf")


def test_a_log_of_one_leaf_has_a_receipt_without_hashes() -> None:
    """Zero path lines are a valid receipt."""
    signed = note.sign_checkpoint(Checkpoint(ORIGIN, 1, leaf_hash(b"x")), LOG)
    text = proof.format_receipt(0, [], signed)
    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example")
    assert proof.verify_receipt(text, b"x", VKEY).size == 1


def test_every_single_byte_change_is_refused() -> None:
    """Each byte, replaced by each of many others: never accepted, never another error than a named one."""
    raw = receipt(6).encode()
    done = 0
    for at in range(len(raw)):
        for new in {0, 10, 32, 43, 48, 55, 61, 65, 97, raw[at] ^ 1, raw[at] ^ 32, raw[at] ^ 128} - {raw[at]}:
            try:
                text = (raw[:at] + bytes([new]) + raw[at + 1 :]).decode()
            except UnicodeDecodeError:
                continue
            with pytest.raises((FormatError, SignatureError, ProofError)):
                proof.verify_receipt(text, LEAVES[6], VKEY)
            done += 1
    assert done > 3000


@given(st.integers(0, 12), st.data())
def test_one_character_changed_is_another_receipt(index: int, data: st.DataObject) -> None:
    """A changed or cut receipt is refused, or parses to something else that is written again in the same way."""
    text = receipt(index)
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda character: character != text[at]))
    for other in (text[:at] + new + text[at + 1 :], text[:at]):
        try:
            parsed = proof.parse_receipt(other)
        except FormatError:
            continue
        assert parsed != proof.parse_receipt(text)
        assert proof.format_receipt(parsed.index, parsed.path, parsed.checkpoint) == other


HEAD, _, _ = receipt(6).partition("\n\n")
HEADER, INDEX, *PATH = HEAD.split("\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        HEADER,
        HEAD,
        f"{HEAD}\n",
        f"{HEAD}\n\n",
        f"{HEADER}\n\n{SIGNED}",
        f"{HEAD}\n{SIGNED}",
        f"{HEAD}\n\n\n{SIGNED}",
        f"\n{receipt(6)}",
        f"{receipt(6)}\n",
        receipt(6)[:-1],
        receipt(6).replace("@v1", "@v2"),
        receipt(6).replace("index 6", "index 06"),
        receipt(6).replace("index 6", "index  6"),
        receipt(6).replace("index 6", "index -6"),
        receipt(6).replace("index 6", "index ６"),
        receipt(6).replace("index 6", f"index {2**53}"),
        receipt(6).replace("index 6", "INDEX 6"),
        receipt(6).replace("index 6", "6"),
        receipt(6).replace("\nindex", "\nextra YWJj\nindex"),
        receipt(6).replace(PATH[0], PATH[0][:-1]),
        receipt(6).replace(PATH[0], PATH[0] + " "),
        receipt(6).replace(PATH[0], "YWJj"),
        receipt(6).replace("\n", "\r\n"),
        receipt(6).replace("\n13\n", "\n013\n"),
        "\ud800" + receipt(6),
    ],
)
def test_malformed_receipts_are_refused(text: str) -> None:
    """Each spelling that the formatter would not write."""
    with pytest.raises(FormatError) as caught:
        proof.parse_receipt(text)
    assert type(caught.value) is FormatError


def test_well_formed_but_false_receipts_are_refused() -> None:
    """Another index, a path cut, longer or reordered, another log's checkpoint."""
    refused(ProofError, receipt(6).replace("index 6", "index 7"))
    refused(ProofError, receipt(6).replace("index 6", "index 13"))
    refused(ProofError, receipt(6).replace(f"{PATH[0]}\n", ""))
    refused(ProofError, receipt(6).replace(PATH[0], f"{PATH[0]}\n{PATH[0]}"))
    refused(ProofError, receipt(6).replace(f"{PATH[0]}\n{PATH[1]}", f"{PATH[1]}\n{PATH[0]}"))
    path = inclusion_path(6, 13, TREE.get)
    foreign = note.sign_checkpoint(CHECKPOINT, SigningKey(b"F" * 32))
    refused(SignatureError, proof.format_receipt(6, path, foreign))
    other_root = note.sign_checkpoint(Checkpoint(ORIGIN, 13, TREE.root(12)), LOG)
    refused(ProofError, proof.format_receipt(6, path, other_root))


def test_limits() -> None:
    """63 hashes fit; 64 and an overlong text do not; the longest checkpoint still fits."""
    hashes = [b"h" * 32] * proof.MAX_PATH_HASHES
    assert len(proof.parse_receipt(proof.format_receipt(0, hashes, SIGNED)).path) == 63
    with pytest.raises(LimitError):
        proof.format_receipt(0, [*hashes, b"h" * 32], SIGNED)
    with pytest.raises(LimitError):
        proof.parse_receipt(receipt(6).replace(PATH[0], "\n".join(PATH[:1] * 64)))
    with pytest.raises(LimitError):
        proof.parse_receipt("x" * (proof.MAX_RECEIPT_BYTES + 1))
    filler = (note.MAX_NOTE_BYTES - len(SIGNED.encode()) - 8) // 4 * 3
    longest = f"{SIGNED}— a {b64encode(bytes(filler)).decode()}\n"
    assert note.MAX_NOTE_BYTES - 8 < len(longest.encode()) <= note.MAX_NOTE_BYTES
    text = proof.format_receipt(2**53 - 1, hashes, longest)
    assert proof.parse_receipt(text).checkpoint == longest


def test_invalid_values_are_not_written() -> None:
    """The formatter refuses what the parser would refuse."""
    for index, path, checkpoint in (
        (-1, [], SIGNED),
        (2**53, [], SIGNED),
        (0, [b"short"], SIGNED),
        (0, [], "not a checkpoint"),
        (0, [], note.sign_note("not a checkpoint\n", ORIGIN, LOG)),
    ):
        with pytest.raises(FormatError):
            proof.format_receipt(index, path, checkpoint)
