"""`SHA256SUMS` holds every file of the folder, and the log signs it."""

import subprocess
from pathlib import Path

import pytest

from syncgov.audit.audit import audit
from syncgov.core.charter import open_charter
from syncgov.core.file_list import LIST_PATH, NOTE_PATH, format_list, parse_list, sign_list, verify_list_note
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, format_checkpoint, format_vkey, sign_note, verify_checkpoint
from syncgov.core.tree import EMPTY_ROOT
from syncgov.errors import FormatError, SignatureError
from tests.publish.place import Place


def found(out: Path) -> set[tuple[str, str | None]]:
    """Return (code, path) of what an audit finds about files; the pages here are empty, which is another matter."""
    report = audit(out, out.parent / "centre/charter.json")
    assert report.counts["files"] or {"files"} <= {finding.code for finding in report.findings}
    return {(finding.code, finding.path) for finding in report.findings if finding.code in ("file", "files")}


def test_sha256sum_checks_the_folder(place: Place) -> None:
    """The ordinary program, as the documentation tells it: all files, and one."""
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", LIST_PATH], cwd=place.out, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    listed = parse_list((place.out / LIST_PATH).read_bytes())
    there = {path.relative_to(place.out).as_posix() for path in place.out.rglob("*") if path.is_file()}
    assert listed.keys() == there - {LIST_PATH, NOTE_PATH}
    assert {"public.db", "data/lamp.csv", "data/excel/lamp.csv", "log/checkpoint"} <= listed.keys()


def test_the_note_names_list_and_checkpoint(place: Place) -> None:
    """Signed by the charter's log key, at the very checkpoint of the folder."""
    vkey = open_charter((place.out / "log/charter.json").read_bytes()).log
    checkpoint, digest = verify_list_note((place.out / NOTE_PATH).read_text(encoding="utf-8"), vkey)
    assert checkpoint == verify_checkpoint((place.out / "log/checkpoint").read_text(encoding="utf-8"), vkey)
    said = subprocess.run(["sha256sum", LIST_PATH], cwd=place.out, capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == digest


def test_a_changed_missing_or_added_file_is_named(out: Path) -> None:
    """Any file, also those that no other check reads."""
    assert found(out) == set()
    (out / "metadata.json").write_text("{}")
    (out / "data/LICENSE.txt").write_text("none")
    (out / "index.html").unlink()
    (out / "extra.html").write_text("more")
    assert found(out) == {("file", name) for name in ("metadata.json", "data/LICENSE.txt", "index.html", "extra.html")}


@pytest.mark.parametrize("name", [LIST_PATH, NOTE_PATH])
def test_a_list_that_was_changed_with_the_file_is_found(out: Path, name: str) -> None:
    """Whoever changes a file can change its line, but not the signature; a missing list is found too."""
    text = (out / name).read_text(encoding="utf-8")
    (out / name).write_text(text.replace("0", "1", 1), encoding="utf-8")
    assert found(out) == {("files", name)}
    (out / name).unlink()
    assert found(out) == {("files", name)}


def test_the_note_of_another_checkpoint_is_found(place: Place, out: Path) -> None:
    """An old list cannot stand beside a new checkpoint."""
    old = sign_with_log(place, Checkpoint("example.invalid/log", 0, EMPTY_ROOT))
    (out / NOTE_PATH).write_text(old, encoding="utf-8")
    assert found(out) == {("files", NOTE_PATH)}


def sign_with_log(place: Place, checkpoint: Checkpoint) -> str:
    """Return the centre's note over an empty list at some checkpoint of its own origin."""
    origin = place.published.checkpoint.origin
    return place.world.centre.sign_list(Checkpoint(origin, checkpoint.size, checkpoint.root), "0" * 64)


def test_the_note_needs_its_label() -> None:
    """What the same key signs for another purpose is no list, whatever its lines."""
    key = SigningKey(bytes(32))
    vkey = format_vkey("example.invalid/log", key.public)
    checkpoint = Checkpoint("example.invalid/log", 0, EMPTY_ROOT)
    assert verify_list_note(sign_list(checkpoint, "0" * 64, key), vkey) == (checkpoint, "0" * 64)
    other = sign_note(f"syncgov-other@v1\n{format_checkpoint(checkpoint)}{'0' * 64}\n", checkpoint.origin, key)
    with pytest.raises(FormatError):
        verify_list_note(other, vkey)


def test_the_note_needs_the_right_key(place: Place) -> None:
    """A key of somebody else, and a note of another kind by the right key, are refused."""
    vkey = open_charter((place.out / "log/charter.json").read_bytes()).log
    with pytest.raises(SignatureError):
        verify_list_note(sign_list(place.published.checkpoint, "0" * 64, SigningKey(bytes(32))), vkey)
    with pytest.raises(FormatError):
        verify_list_note((place.out / "log/checkpoint").read_text(encoding="utf-8"), vkey)
    with pytest.raises(FormatError):
        verify_checkpoint((place.out / NOTE_PATH).read_text(encoding="utf-8"), vkey)


@pytest.mark.parametrize(
    "text",
    [
        f"{'0' * 64}  a",
        f"{'0' * 64} a\n",
        f"{'0' * 63}  a\n",
        f"{'A' * 64}  a\n",
        f"{'0' * 64}  b\n{'0' * 64}  a\n",
        f"{'0' * 64}  a\n{'0' * 64}  a\n",
        f"{'0' * 64}  a\\b\n",
        f"{'0' * 64}  a\rb\n",
        f"{'0' * 64}  {LIST_PATH}\n",
        f"\n{'0' * 64}  a\n",
    ],
)
def test_only_the_written_form_is_read(text: str) -> None:
    """Order, form and names are fixed, so that a list has one reading."""
    with pytest.raises(FormatError):
        parse_list(text.encode())


def test_a_name_that_sha256sum_writes_otherwise_is_refused() -> None:
    """It would escape a backslash and a line end."""
    with pytest.raises(FormatError):
        format_list({"a\nb": "0" * 64})
    assert parse_list(format_list({"b": "0" * 64, "甲/a b": "1" * 64})) == {"b": "0" * 64, "甲/a b": "1" * 64}
