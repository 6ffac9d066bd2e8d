"""A published folder with second signatures: what anybody can check of them, and what no operator gets past it."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from syncgov.audit.audit import audit
from syncgov.audit.prove import prove, verify_proof_file
from syncgov.audit.report import Report
from syncgov.centre import staff_keys
from syncgov.core.canonical import b64, unb64
from syncgov.core.keys import SigningKey
from syncgov.core.statement import CHANGESET_TYPE, format_envelope
from syncgov.errors import AuditError, ProofError
from syncgov.publish.publish import publish
from syncgov.storage import staff_file
from tests.audit.forging import Item, device_key, log_key, read_items, write_items
from tests.audit.street import write_pages
from tests.helpers import DAY_MS, ManualClock, World, update
from tests.registers import strict_registers
from tests.signers import CHIEF, CLERK, PIN, bring, reported, shared_desk, void


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A street where one task was voided by two persons, one extension came in time, one void too late."""
    folder = tmp_path_factory.mktemp("two")
    clock = ManualClock()
    with pytest.MonkeyPatch.context() as patch, World.make(folder, strict_registers(), clock) as world:
        patch.setattr(staff_file, "SCRYPT_N", 2)
        desk = shared_desk(world)
        voided, extended = reported(world, desk), reported(world, desk)
        update(desk, "task", extended, state="accepted", due="2026-11-30")
        world.sync(desk, CLERK)
        clock.forward(DAY_MS)
        update(desk, "task", extended, due="2026-12-20")
        world.sync(desk, CLERK)
        bring(desk)
        void(desk, voided)
        assert world.sync(desk, CLERK).accepted == 1
        void(desk, extended)
        desk.commit(CLERK)
        staff_keys.end(world.centre, CHIEF, "lost")
        assert world.sync(desk, CLERK).refused == [(4, "refused:second")]
        publish(world.centre, folder / "out", portal=False)
    write_pages(folder / "out", {})
    return folder


@pytest.fixture
def street(pristine: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy that may be forged."""
    copy = tmp_path / "street"
    shutil.copytree(pristine, copy)
    yield copy
    shutil.rmtree(copy)


def run(street: Path) -> Report:
    """Audit the published folder with the charter."""
    return audit(street / "out", street / "centre/charter.json")


def forged(street: Path, place: int, change: Callable[[Item], Item]) -> set[str]:
    """Publish the log anew with one item changed, signed by the real log key; return what is found at that place.

    What came later names roots of the log as it was, and is found too.
    """
    items = read_items(street / "out")
    items[place] = change(items[place])
    write_items(street / "out", items, log_key(street))
    return {finding.code for finding in run(street).findings if finding.index == place}


def voided(street: Path, verdict: str = "accepted") -> int:
    """Return where the log holds what two persons signed, with that verdict."""
    items = read_items(street / "out")
    (place,) = (i for i, item in enumerate(items) if len(signatures(item)) > 1 and item.verdict == verdict)
    return place


def signatures(item: Item) -> tuple[tuple[str, bytes], ...]:
    """Return the signatures of an item's envelope."""
    return item.leaf.changeset.envelope.signatures


def signed(item: Item, *pairs: tuple[str, bytes]) -> Item:
    """The same statement under other signatures."""
    payload = item.leaf.changeset.envelope.payload
    return replace(item, envelope=format_envelope(CHANGESET_TYPE, payload, list(pairs)))


def test_the_honest_folder_passes_and_both_signatures_are_counted(pristine: Path) -> None:
    """Whose the second key is stays with the centre and is counted as declared."""
    report = run(pristine)
    assert report.ok, report.findings
    items = read_items(pristine / "out")
    assert sum(len(signatures(item)) > 1 for item in items) == 2
    assert report.counts["signatures"] == len(items) + 2
    text = "".join(path.read_text(errors="replace") for path in (pristine / "out").rglob("*") if path.is_file())
    assert "代号 " in text
    for private in (f'"{CHIEF}"', f'"{CLERK}"', PIN):
        assert private not in text


def test_a_second_signature_that_does_not_verify_is_found(street: Path) -> None:
    """Also one by another key under the right name."""
    stranger = SigningKey(b"s" * 32)

    def change(item: Item) -> Item:
        first, second = signatures(item)
        other = stranger.sign_typed(CHANGESET_TYPE, item.leaf.changeset.envelope.payload)
        return signed(item, first, (second[0], other))

    assert "signature" in forged(street, voided(street), change)


def test_a_second_signature_by_an_unknown_key_is_found(street: Path) -> None:
    """It has no row in the register, and the verdict should have been another."""
    stranger = SigningKey(b"s" * 32)

    def change(item: Item) -> Item:
        other = stranger.sign_typed(CHANGESET_TYPE, item.leaf.changeset.envelope.payload)
        return signed(item, signatures(item)[0], (stranger.id, other))

    assert {"certificate", "verdict"} <= forged(street, voided(street), change)


def test_a_step_for_two_that_one_signed_is_found(street: Path) -> None:
    """The operator cannot let a void pass with the device's signature alone."""
    assert "verdict" in forged(street, voided(street), lambda item: signed(item, signatures(item)[0]))


def test_a_refused_second_signature_that_was_good_is_found_unless_a_private_reason_explains_it(street: Path) -> None:
    """`second` may be the person's fault, which only the centre knows; `guard` may not."""
    place = voided(street)
    assert "verdict" not in forged(street, place, lambda item: replace(item, verdict="refused:second"))
    assert "verdict" in forged(street, place, lambda item: replace(item, verdict="refused:guard"))


def test_a_key_that_had_ended_is_found(street: Path) -> None:
    """What a lost key signed was refused when it arrived; an operator who lets it pass is found."""
    late = voided(street, "refused:second")
    assert "verdict" in forged(street, late, lambda item: replace(item, verdict="accepted"))


def test_an_extension_after_the_deadline_that_was_accepted_is_found(street: Path) -> None:
    """From public data alone: the deadline before it, and the times in the leaf."""
    items = read_items(street / "out")
    late = next(i for i, item in enumerate(items) if item.body is not None and b"2026-12-20" in item.body)
    st = read_items(street / "out")[late].statement
    ms = items[late].received + 30 * DAY_MS
    key = device_key(street, "desk")
    assert "verdict" not in forged(
        street, late, lambda item: item.with_statement(key, msgspec.structs.replace(st, tick=1))
    )
    later = msgspec.structs.replace(st, at=ms)
    assert "verdict" in forged(street, late, lambda item: replace(item.with_statement(key, later), received=ms))


# -- proof files --------------------


def _void_proof(folder: Path) -> Path:
    for path in sorted((folder / "out/log/proofs/task").glob("*.json")):
        if b'"state":"void"' in path.read_bytes():
            return path
    raise AssertionError("no proof of the void task")


def test_the_proof_of_a_void_record_shows_the_second_signature(pristine: Path) -> None:
    """It names the staff key's registration; the folder alone makes the same bytes."""
    path = _void_proof(pristine)
    content = msgspec.json.decode(path.read_bytes())
    assert prove(pristine / "out", content["table"], content["key"]) == path.read_bytes()
    proof = verify_proof_file(path, pristine / "centre/charter.json")
    assert any("人员密钥" in zh for zh, _en in proof.proven)


def test_a_proof_with_another_second_signature_or_without_its_key_is_refused(pristine: Path, tmp_path: Path) -> None:
    """The staff key, its registration and its signature all belong to the proof."""
    whole = msgspec.json.decode(_void_proof(pristine).read_bytes())
    entry = next(e for e in whole["entries"] if len(e["leaf"]["envelope"]["signatures"]) > 1)
    second = entry["leaf"]["envelope"]["signatures"][1]
    path = tmp_path / "proof.json"
    public = whole["keys"].pop(second["keyid"])
    path.write_bytes(msgspec.json.encode(whole, order="sorted"))
    with pytest.raises(AuditError):
        verify_proof_file(path)
    whole["keys"][second["keyid"]] = public
    second["sig"] = b64(bytes(reversed(unb64(second["sig"], 64))))
    path.write_bytes(msgspec.json.encode(whole, order="sorted"))
    with pytest.raises(ProofError):
        verify_proof_file(path)  # the tree is over the leaf as it was
