"""No vector of another project lies unread: each file belongs to a family that a test goes through, file by file."""

from pathlib import Path

# where -> the tests that read every file of it
READ_BY = {
    "wycheproof_ed25519_test.json": "tests/core/test_keys.py",
    "lowpoints.txt": "tests/core/test_keys.py",
    "c2sp_signed_note_example.json": "tests/core/test_note.py",
    "jcs/README.md": "",  # where they come from
    "jcs/input/*.json": "tests/core/test_canonical.py",
    "jcs/output/*.json": "tests/core/test_canonical.py",
    "jcs/outhex/*.txt": "tests/core/test_canonical.py",
    "merkle/inclusion/**/*.json": "tests/core/test_tree.py",
    "merkle/consistency/**/*.json": "tests/core/test_tree.py",
}


def test_every_shared_vector_is_read(shared: Path) -> None:
    """A file that is new there is a file that no test reads yet."""
    folder = shared / "vectors"
    read: set[Path] = set()
    for pattern, test in READ_BY.items():
        found = set(folder.glob(pattern))
        assert found, pattern
        read |= found
        place = pattern.partition("*")[0].rstrip("/")
        if test:
            assert f"vectors/{place}" in (Path(__file__).resolve().parents[2] / test).read_text(encoding="utf-8")
    assert {path for path in folder.rglob("*") if path.is_file()} == read
    assert len(read) > 100
