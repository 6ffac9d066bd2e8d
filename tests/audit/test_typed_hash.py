"""The hash of a notice-board sheet, typed in again: any writing of it, any earlier size, and nothing else."""

from pathlib import Path

import pytest

from syncgov.audit.folder import load_log
from syncgov.audit.report import Report
from syncgov.audit.typed_hash import find_hash, parse_typed
from syncgov.errors import AuditError, InputError

ROOT = bytes(range(32))
GROUPS = " ".join(ROOT.hex()[at : at + 4] for at in range(0, 64, 4))


@pytest.mark.parametrize(
    "typed",
    [
        ROOT.hex(),
        GROUPS,
        GROUPS.upper(),
        GROUPS.replace(" ", "-"),
        f"  {GROUPS}\n".replace(" ", "\u3000"),
        "".join(chr(ord(sign) + 0xFEE0) for sign in ROOT.hex().upper()),
    ],
)
def test_any_way_of_writing_is_understood(typed: str) -> None:
    """Groups, capitals, hyphens, wide spaces and the wide letters of Chinese keyboards all mean the same."""
    assert parse_typed(typed) == ROOT


@pytest.mark.parametrize(
    ("typed", "said"), [(GROUPS[:-1], "63 digits"), ("", "0 digits"), (GROUPS.replace("0a", "0O"), "sign 22, 'o'")]
)
def test_what_is_no_hash_is_told(typed: str, said: str) -> None:
    """Too short, or a letter O for a nought: the message says which sign, or how many there are."""
    with pytest.raises(InputError, match=said):
        parse_typed(typed)


def test_every_earlier_size_is_found(street: Path) -> None:
    """A sheet of any day holds: the root of each size of the log is found under that size."""
    out = street / "out"
    log = load_log(out, Report())
    assert log is not None
    sizes = [1, 2, log.tree.size // 2, log.tree.size - 1, log.tree.size]
    for size in sizes:
        found = find_hash(out, log.tree.root(size).hex())
        assert (found.size, found.now) == (size, log.tree.size)
    assert find_hash(out, log.tree.root().hex(), street / "centre" / "charter.json").size == log.tree.size


def test_another_hash_and_a_damaged_folder_are_refused(street: Path) -> None:
    """A hash that the log never had, and a log with a changed byte, verify nothing."""
    out = street / "out"
    log = load_log(out, Report())
    assert log is not None
    root = log.tree.root()
    with pytest.raises(AuditError, match="never had this hash"):
        find_hash(out, bytes([root[0] ^ 1, *root[1:]]).hex())
    bundle = next((out / "log" / "tile" / "entries").rglob("*.p/*"), None)
    assert bundle is not None
    data = bytearray(bundle.read_bytes())
    data[-3] ^= 1
    bundle.write_bytes(bytes(data))
    with pytest.raises(AuditError, match="run `syncgov audit`"):
        find_hash(out, root.hex())
