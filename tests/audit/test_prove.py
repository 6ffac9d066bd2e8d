"""One record's proof, made from the published folder, checked from its file."""

import json
import shutil
from pathlib import Path

import pytest

from syncgov.audit.prove import prove, verify_proof_file
from syncgov.core.record_proof_model import NOT_PROVEN, OWN_CHARTER_MISSING
from syncgov.errors import AuditError, FormatError, SyncgovError
from tests.audit.street import build_street


def proofs(folder: Path) -> list[Path]:
    """Return the published proof files."""
    return sorted((folder / "out/log/proofs").rglob("*.json"))


def test_prove_makes_the_published_files(pristine: Path) -> None:
    """The folder alone gives, byte for byte, what the centre published."""
    found = proofs(pristine)
    assert {path.parent.name for path in found} >= {"task", "remark", "notice", "device"}
    for path in found:
        made = json.loads(path.read_bytes())
        assert prove(pristine / "out", made["table"], made["key"]) == path.read_bytes()


def test_every_published_proof_verifies(pristine: Path) -> None:
    """With the charter: what is shown, who wrote it, and what stays unproven."""
    for path in proofs(pristine):
        proof = verify_proof_file(path, pristine / "centre/charter.json")
        assert proof.fields
        assert proof.not_proven[-len(NOT_PROVEN) :] == NOT_PROVEN
        assert OWN_CHARTER_MISSING not in proof.not_proven
        assert OWN_CHARTER_MISSING in verify_proof_file(path).not_proven


def test_a_conflict_is_shown_with_both_sides(pristine: Path) -> None:
    """The winner by the register's rule, and the loser beside it."""
    found = [verify_proof_file(path) for path in proofs(pristine) if path.parent.name == "task"]
    fields = {(field.key, field.field): field for proof in found for field in proof.fields}
    split = [field for field in fields.values() if field.conflict]
    assert {field.field for field in split} >= {"step", "title", "kind"}
    step = next(field for field in split if field.field == "step")
    assert step.known
    assert isinstance(step.value, dict)
    assert step.value["state"] == "rework"
    assert len(step.writes) == 2
    # until somebody decides, `kind` shows what stood before, which is no longer among the heads
    assert not next(field for field in split if field.field == "kind").known


def test_a_withheld_text_is_not_in_the_proof(pristine: Path) -> None:
    """A field that is withheld is left out, the rest of the row is proven."""
    found = [verify_proof_file(path) for path in proofs(pristine) if path.parent.name == "remark"]
    shown = [{field.field for field in proof.fields} for proof in found]
    assert sorted("words" in fields for fields in shown) == [False, True]
    assert all("task_id" in fields for fields in shown)


def test_children_are_proven_with_their_record(pristine: Path) -> None:
    """The proof of a task holds its remarks."""
    rows = [verify_proof_file(path).rows for path in proofs(pristine) if path.parent.name == "task"]
    assert sum(len(each) for each in rows) > len(rows)
    assert any(row[0] == "remark" for each in rows for row in each)


def test_another_streets_proof_is_refused(pristine: Path, tmp_path: Path) -> None:
    """A proof under another charter proves nothing to whoever holds this one."""
    build_street(tmp_path)
    path = proofs(tmp_path)[0]
    verify_proof_file(path)
    with pytest.raises(AuditError):
        verify_proof_file(path, pristine / "centre/charter.json")


def test_what_is_not_there_cannot_be_proven(pristine: Path, street: Path) -> None:
    """An unknown record, a damaged folder, and no file are named."""
    with pytest.raises(AuditError):
        prove(pristine / "out", "task", "nobody")
    with pytest.raises(AuditError):
        prove(pristine / "out", "contact", "nobody")
    shutil.rmtree(street / "out/log/tile")
    with pytest.raises(AuditError):
        prove(street / "out", "task", "nobody")
    with pytest.raises(FormatError):
        verify_proof_file(street / "nothing.json")


def test_every_changed_byte_of_a_proof_is_found(pristine: Path, tmp_path: Path) -> None:
    """Nothing in a proof file is decoration."""
    whole = max(
        proofs(pristine), key=lambda path: path.stat().st_size if path.parent.name == "notice" else 0
    ).read_bytes()
    path = tmp_path / "proof.json"
    charter = pristine / "centre/charter.json"
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
        with pytest.raises(SyncgovError):
            verify_proof_file(path, charter)
