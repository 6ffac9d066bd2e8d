"""Receipts: the proof, in one text that needs no network, that a leaf is in the log.

A receipt looks like this: inclusion path from the leaf's sibling upward, a blank line, the checkpoint as it was signed.

    c2sp.org/tlog-proof@v1
    index 811
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=

    example.org/log
    812
    …

The optional `extra` line of the format is refused: it is not authenticated, and nothing here would read it.

Source: c2sp.org/tlog-proof; protocol page, section 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from syncgov.core.canonical import MAX_INT, b64, unb64
from syncgov.core.note import (
    MAX_NOTE_BYTES,
    Checkpoint,
    check_text,
    parse_checkpoint,
    parse_decimal,
    parse_note,
    verify_checkpoint,
)
from syncgov.core.tree import HASH_BYTES, leaf_hash, verify_inclusion
from syncgov.errors import FormatError, LimitError

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PATH_HASHES = 63  # c2sp.org/tlog-witness allows no more; a tree of 2^53 leaves needs 53
MAX_RECEIPT_BYTES = MAX_NOTE_BYTES + 4096  # the checkpoint, 63 lines of 45 bytes, two lines before them


@dataclass(frozen=True, slots=True)
class Receipt:
    """The parsed form of a receipt; nothing in it is verified."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: str


def format_receipt(index: int, path: Sequence[bytes], checkpoint_text: str) -> str:
    """Return the receipt of leaf *index*.

    Args:
        path: the inclusion path in the tree of the checkpoint's size.
        checkpoint_text: a signed checkpoint; it is copied as it is.

    Raises:
        LimitError: more than 63 hashes.
        FormatError: an impossible index, a hash that is not 32 bytes, or something else than a signed checkpoint.
    """
    if not 0 <= index <= MAX_INT or any(len(value) != HASH_BYTES for value in path):
        raise FormatError("receipt", "impossible index, or a hash that is not 32 bytes")
    _check_path_length(len(path))
    parse_checkpoint(parse_note(checkpoint_text).text)
    lines = [HEADER, f"index {index}", *map(b64, path), "", checkpoint_text]
    return "\n".join(lines)


def parse_receipt(text: str) -> Receipt:
    """Return the parts of a receipt; exactly what `format_receipt` writes is accepted.

    Raises:
        LimitError: longer than a receipt may be, or more than 63 hashes.
        FormatError: not a receipt.
    """
    check_text(text, "receipt", MAX_RECEIPT_BYTES)
    head, _, checkpoint = text.partition("\n\n")
    header, index, *path = head.split("\n") if "\n" in head else (head, "")
    if header != HEADER or not index.startswith("index "):
        raise FormatError("receipt", f"it does not begin with {HEADER} and an index")
    _check_path_length(len(path))
    hashes = tuple(unb64(line, HASH_BYTES) for line in path)
    parse_checkpoint(parse_note(checkpoint).text)
    return Receipt(parse_decimal(index.removeprefix("index "), "receipt"), hashes, checkpoint)


def _check_path_length(length: int) -> None:
    if length > MAX_PATH_HASHES:
        raise LimitError("receipt", f"{length} hashes, at most {MAX_PATH_HASHES} are allowed")


def verify_receipt(text: str, leaf: bytes, vkey: str) -> Checkpoint:
    """Return the checkpoint under which *leaf* is in the log of *vkey*, at the index that the receipt names.

    Raises:
        LimitError: longer than a receipt may be.
        FormatError: not a receipt.
        SignatureError: the checkpoint is not signed by that key.
        ProofError: the path does not lead from the leaf to the checkpoint's root.
    """
    receipt = parse_receipt(text)
    checkpoint = verify_checkpoint(receipt.checkpoint, vkey)
    verify_inclusion(leaf_hash(leaf), receipt.index, checkpoint.size, receipt.path, checkpoint.root)
    return checkpoint
