"""What is erased or withheld, seen from the published folder: counted, proven, audited, and nowhere to be found."""

from pathlib import Path

import pytest

from syncgov.audit.audit import audit
from syncgov.audit.prove import prove
from syncgov.audit.report import Report
from syncgov.centre.hiding import Hidden, erase, erasure_status, lift, withhold
from syncgov.core.commitment import Value, Write, open_body
from syncgov.core.record_proof import verify_record_proof
from syncgov.core.record_proof_model import HIDDEN_MISSING, RecordProof
from syncgov.core.statement import Leaf
from syncgov.errors import InputError
from syncgov.fsck import fsck
from tests.helpers import update
from tests.leaks import holders
from tests.publish.place import Place
from tests.publish.reading import cells, row

TEXT = "东门光伏组件路灯不亮，已换灯泡"


def audited(place: Place) -> Report:
    """Publish and audit; of the folder's own parts only the portal is not made here."""
    place.publish()
    report = audit(place.out, place.world.centre.path / "charter.json")
    assert {finding.code for finding in report.findings} == {"portal"}
    return report


def proof(place: Place, key: str) -> RecordProof:
    """Return the verified proof of a lamp."""
    return verify_record_proof(prove(place.out, "lamp", key), place.world.centre.charter)


def erased_words(place: Place) -> Hidden:
    """Erase the words for the public of the first lamp."""
    return erase(place.world.centre, "lamp", place.keys[0], ["words"], "request")


def test_an_erased_public_field_is_gone_and_says_so(own_place: Place) -> None:
    """Column null, name in `_erased`, reason counted; figures and the other rows are what they were."""
    before = cells(own_place.out, "SELECT id, text FROM figure ORDER BY id")
    others = cells(own_place.out, "SELECT * FROM lamp WHERE key <> ? ORDER BY key", own_place.keys[0])
    erased_words(own_place)
    report = audited(own_place)
    shown = row(own_place.out, "lamp", own_place.keys[0])
    assert (shown["words"], shown["_erased"], shown["_withheld"], shown["kind"]) == (None, "words", "", "bulb")
    assert holders([TEXT], [p for p in own_place.out.rglob("*") if p.is_file()])[TEXT] == set()
    assert cells(own_place.out, "SELECT id, text FROM figure ORDER BY id") == before
    assert cells(own_place.out, "SELECT * FROM lamp WHERE key <> ? ORDER BY key", own_place.keys[0]) == others
    hidden = cells(own_place.out, "SELECT register, field, kind, reason FROM withheld ORDER BY id")
    assert ("lamp", "words", "erasure", "request") in hidden
    assert (report.counts["erased"], report.counts["erasures"]) == (1, 1)
    assert ("erased", "request", f"lamp/{own_place.keys[0]}/words") in report.hidden


def test_a_whole_record_is_erased_with_its_caller(own_place: Place) -> None:
    """Private strings go from the centre too; the audit of what is left is whole, and the state still shows."""
    c = own_place.canaries
    texts = [c["inside"], c["caller"], c["name"], TEXT]
    erase(own_place.world.centre, "lamp", own_place.keys[0], [], "law")
    report = audited(own_place)
    assert row(own_place.out, "lamp", own_place.keys[0])["state"] == "done"
    assert report.counts["erased"] == 4  # kind, words, parts, cost
    for name in ("east", "desk"):
        own_place.world.sync(own_place.world.replicas[name], c["person"] if name == "east" else c["by2"])
    files = [path for path in own_place.world.folder.rglob("*") if path.is_file()]
    assert holders(texts, files) == {text: set() for text in texts}
    assert not fsck(own_place.world.centre.path).findings


def test_a_proof_says_what_is_erased(own_place: Place) -> None:
    """`prove` and `verify` go on for the other fields, and name the erased one with its reason."""
    erased_words(own_place)
    audited(own_place)
    found = proof(own_place, own_place.keys[0])
    assert [(h.field, h.erased, h.reason) for h in found.hidden] == [("words", True, "request")]
    assert HIDDEN_MISSING in found.not_proven
    assert "words" not in {field.field for field in found.fields}
    assert {"kind", "cost", "step"} <= {field.field for field in found.fields}


def test_a_value_written_afterwards_is_public_again(own_place: Place) -> None:
    """It replaces the erased one; the proof proves it."""
    erased_words(own_place)
    east = own_place.world.replicas["east"]
    own_place.world.sync(east, own_place.canaries["person"])
    update(east, "lamp", own_place.keys[0], words="新的说明")
    own_place.world.sync(east, own_place.canaries["person"])
    audited(own_place)
    shown = row(own_place.out, "lamp", own_place.keys[0])
    assert (shown["words"], shown["_erased"]) == ("新的说明", "")
    assert not proof(own_place, own_place.keys[0]).hidden


def test_a_folder_older_than_an_erasure_is_named(own_place: Place) -> None:
    """Until it is published again."""
    erased_words(own_place)
    (found,) = erasure_status(own_place.world.centre).erasures
    assert [Path(folder) for folder in found.stale] == [own_place.out]
    own_place.publish()
    (found,) = erasure_status(own_place.world.centre).erasures
    assert found.stale == ()


def test_a_withheld_text_comes_back_when_that_is_lifted(own_place: Place) -> None:
    """Only the publication changes: the centre keeps the text, `_withheld` names the field."""
    done = withhold(own_place.world.centre, "lamp", own_place.keys[0], ["words"], "privacy")
    assert (done.fields, done.writes, done.reason) == (("words",), 1, "privacy")
    report = audited(own_place)
    shown = row(own_place.out, "lamp", own_place.keys[0])
    assert (shown["words"], shown["_withheld"], shown["_erased"]) == (None, "words", "")
    assert holders([TEXT], [p for p in own_place.out.rglob("*") if p.is_file()])[TEXT] == set()
    assert ("withheld", "privacy", f"lamp/{own_place.keys[0]}/words") in report.hidden
    assert [(h.field, h.erased, h.reason) for h in proof(own_place, own_place.keys[0]).hidden] == [
        ("words", False, "privacy")
    ]
    with pytest.raises(InputError, match="withheld already"):
        withhold(own_place.world.centre, "lamp", own_place.keys[0], [], "privacy")
    assert lift(own_place.world.centre, "lamp", own_place.keys[0], []).writes == 1
    audited(own_place)
    assert row(own_place.out, "lamp", own_place.keys[0])["words"] == TEXT
    with pytest.raises(InputError, match="is withheld"):
        lift(own_place.world.centre, "lamp", own_place.keys[0], ["words"])


def test_an_erased_text_can_be_neither_withheld_nor_lifted_back(own_place: Place) -> None:
    """A withholding that stood before is overruled; lifting it brings nothing back."""
    withhold(own_place.world.centre, "lamp", own_place.keys[0], ["words"], "privacy")
    erased_words(own_place)
    lift(own_place.world.centre, "lamp", own_place.keys[0], ["words"])
    with pytest.raises(InputError, match="nothing to withhold"):
        withhold(own_place.world.centre, "lamp", own_place.keys[0], ["words"], "privacy")
    audited(own_place)
    assert row(own_place.out, "lamp", own_place.keys[0])["_erased"] == "words"


@pytest.mark.parametrize("name", ["kind", "inside", "step"])
def test_only_public_free_text_is_withheld(own_place: Place, name: str) -> None:
    """Codes, private texts and the state are refused by name."""
    with pytest.raises(InputError, match="no public free text"):
        withhold(own_place.world.centre, "lamp", own_place.keys[0], [name], "law")


def test_an_auditor_finds_a_write_that_an_erasure_should_cover(own_place: Place) -> None:
    """An operator who erases one of two values to let the other show is found out."""
    world = own_place.world
    rows = cells(
        own_place.out,
        "SELECT idx, position FROM history WHERE key = ? AND field = 'words' ORDER BY idx",
        own_place.keys[1],
    )
    assert len(rows) == 3
    index, position = rows[-1]
    dev, seq = world.leaf(index).changeset.statement.dot
    (entry,) = world.centre.ledger.entries(index, index + 1)
    path = f"lamp/{own_place.keys[1]}/words"
    over = next(w.over for _p, w in _body(world.leaf(index), entry[2]) if w.path == path)
    columns: dict[str, Value] = {"path": path, "over": [list(dot) for dot in over], "reason": "law"}
    world.centre.write("erasure", [(f"{dev}.{seq}.{position}", columns)])
    own_place.publish()
    found = audit(own_place.out, world.centre.path / "charter.json").findings
    assert {finding.code for finding in found if finding.path == path} == {"erasure"}


def _body(leaf: Leaf, raw: bytes) -> list[tuple[int, Write]]:
    return list(open_body(raw, leaf.changeset.statement).disclosed())
