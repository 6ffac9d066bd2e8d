"""A new charter at the centre: a stolen registrar is shut out, everybody follows, and the audit tells."""

import secrets
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from syncgov.audit.audit import audit
from syncgov.audit.prove import verify_proof_file
from syncgov.centre.centre import NEW_REGISTRAR, Centre
from syncgov.centre.chartering import Changes, replace_charter
from syncgov.centre.drafting import Draft
from syncgov.centre.intake import authenticate
from syncgov.core.canonical import b64u
from syncgov.core.charter import open_charter, sign_charter
from syncgov.core.commitment import Value
from syncgov.core.keys import SigningKey
from syncgov.core.statement import envelope_hash
from syncgov.errors import FormatError, InputError, NotAllowedError, UnknownDeviceError
from syncgov.publish.publish import publish
from syncgov.storage import capture
from syncgov.storage.keyfile import load_key
from syncgov.storage.state import load_row
from tests.helpers import AREA, ManualClock, World
from tests.recovering import assert_sound, root_keys, titles, work
from tests.registers import registers


def signed_row(
    centre: Centre, key: SigningKey, table: str, name: str, columns: dict[str, Value], prev: str = ""
) -> str:
    """Push a registrar's row signed by *key*; returns the verdict."""
    ledger = centre.ledger
    found = ledger.registers(ledger.size)
    stored = load_row(ledger.conn, (table, name))
    change = capture.diff_row(found[table], (table, name), columns, stored)
    assert change is not None
    old, centre.registrar = centre.registrar, key
    author = centre._author()
    centre.registrar = old
    if prev:
        author = replace(author, seq=1, prev=prev)
    writes = capture.field_writes(found[table], change, stored)
    signed = capture.sign_writes(writes, author, found, secrets.token_bytes(32))
    (outcome,) = centre.push([authenticate(ledger, signed.envelope, signed.raw_body)])
    return str(outcome.verdict)


def test_a_stolen_registrar_is_shut_out(tmp_path: Path) -> None:
    """After the new charter whatever the thief signs is refused; the centre goes on under a fresh key."""
    with World.make(tmp_path / "w") as world:
        pen, desk = world.device("pen"), world.device("desk", "desk", (AREA,))
        work(world, pen, "一")
        stolen, first = world.centre.registrar, world.centre.ledger.charters.newest
        done = replace_charter(world.centre, Changes(new_registrar=True), root_keys(world.centre.path))
        assert done.revoked == (stolen.id,)
        assert done.registrars == (world.centre.registrar.id,) != (stolen.id,)
        assert load_key(world.centre.path / "keys" / "registrar.key").key.id == world.centre.registrar.id
        assert not (world.centre.path / "keys" / NEW_REGISTRAR).exists()
        bringing = world.leaf(-1).changeset.statement
        newest = world.centre.ledger.charters.newest
        assert (bringing.dev, bringing.seq, bringing.prev) == (world.centre.registrar.id, 1, newest.hash)
        rights: dict[str, Value] = {"roles": ["chief"], "areas": [AREA], "valid_from": 0, "valid_to": 2**52}
        thief = {**rights, "public_key": b64u(stolen.public)}
        assert signed_row(world.centre, stolen, "device", "0" * 32, thief) == "refused:revoked"
        assert world.centre.ledger.certificate("0" * 32, world.centre.ledger.size) is None
        assert signed_row(world.centre, stolen, "charter", "1", {"document": first.raw.decode()}) == "refused:revoked"
        assert world.centre.ledger.charters.newest == newest
        work(world, pen, "二")
        world.sync(desk)
        late = world.device("late")  # enrolled by the fresh registrar
        assert titles(late) == titles(desk) == ["一", "二"]
        assert [replica.charter for replica in (pen, desk, late)] == [newest.charter] * 3
        assert_sound(world)


def test_the_audit_follows_and_tells(tmp_path: Path) -> None:
    """Whoever holds the first charter can check everything; the change is said in words."""
    with World.make(tmp_path / "w") as world:
        pen = world.device("pen")
        work(world, pen, "一")
        shutil.copy(world.centre.path / "charter.json", tmp_path / "first.json")
        replace_charter(world.centre, Changes(new_registrar=True, grace_days=3), root_keys(world.centre.path))
        work(world, pen, "二")
        publish(world.centre, tmp_path / "out", portal=False)
        (tmp_path / "out" / "portal").mkdir()
        for charter in (tmp_path / "first.json", world.centre.path / "charter.json", None):
            report = audit(tmp_path / "out", charter, replica=pen.path)
            assert {finding.code for finding in report.findings} <= {"portal"}
            assert report.counts["charters"] == 2
            assert report.counts["proofs"] > 0
            assert len(report.notes) == 1
        found = sorted((tmp_path / "out" / "log" / "proofs").rglob("*.json"))
        assert found
        for path in found:
            assert verify_proof_file(path, tmp_path / "first.json").charter == world.centre.charter
            assert b'"charters":[' in path.read_bytes()
        other = Centre.init(
            tmp_path / "other", Draft("别的", "log.example/other", AREA), registers(), clock=world.clock
        )
        other.close()
        report = audit(tmp_path / "out", tmp_path / "other" / "charter.json")
        assert report.has("charter-other")


def three(tmp_path: Path) -> Centre:
    """Return a centre with two roots of three needed."""
    return Centre.init(tmp_path / "c", Draft("测试", "log.example/three", AREA, 3, 2), registers(), clock=ManualClock())


def test_too_few_roots_change_nothing(tmp_path: Path) -> None:
    """One of two needed roots, or a stranger's key, signs no charter; nothing is logged."""
    centre = three(tmp_path)
    roots = root_keys(centre.path)
    size = centre.ledger.size
    for keys in ([roots[0]], [roots[0], roots[0]], [roots[0], SigningKey(bytes(32))]):
        with pytest.raises(NotAllowedError):
            replace_charter(centre, Changes(grace_days=3), keys)
    assert (centre.ledger.size, centre.charter.grace_days) == (size, 14)
    replace_charter(centre, Changes(grace_days=3), [roots[0], roots[2]])
    assert (centre.ledger.size, centre.charter.grace_days) == (size + 1, 3)
    centre.close()


def test_a_thief_cannot_write_a_charter(tmp_path: Path) -> None:
    """A registrar's own key logs no charter that the roots have not signed: old, forged, in another row or deleted."""
    centre = three(tmp_path)
    roots, thief = root_keys(centre.path), centre.registrar
    first = centre.ledger.charters.newest
    replace_charter(centre, Changes(grace_days=3), roots)
    held = centre.ledger.charters.newest
    forged = msgspec.structs.replace(held.charter, previous=held.hash, grace_days=99)
    single = msgspec.structs.replace(forged, roots=held.charter.roots[:1], threshold=1)
    for raw in (first.raw, sign_charter(single, roots[:1])):
        assert signed_row(centre, thief, "charter", "1", {"document": raw.decode()}) == "refused:value"
    good = sign_charter(forged, roots)
    assert signed_row(centre, thief, "charter", "2", {"document": good.decode()}) == "refused:value"
    with pytest.raises(InputError, match="refused:value"):
        centre.write("charter", [("1", None)])
    assert centre.ledger.charters.newest == held
    stranger = SigningKey(bytes([9]) * 32)
    named = msgspec.structs.replace(forged, registrars=[b64u(stranger.public)])
    too_few = sign_charter(msgspec.structs.replace(named, threshold=1), roots[:1])
    with pytest.raises(UnknownDeviceError):
        signed_row(centre, stranger, "charter", "1", {"document": too_few.decode()}, envelope_hash(too_few))
    centre.close()


def test_a_charter_without_a_registrar_or_without_a_change_is_refused(tmp_path: Path) -> None:
    """What would leave the centre without a voice, or says nothing new, is told before anything is signed."""
    centre = three(tmp_path)
    roots = root_keys(centre.path)
    wrong = (Changes(), Changes(remove=(centre.registrar.id,)), Changes(remove=("00000000",)), Changes(add=("x",)))
    for changes in wrong:
        with pytest.raises((InputError, FormatError)):
            replace_charter(centre, changes, roots)
    extra = SigningKey(bytes([8]) * 32)
    done = replace_charter(centre, Changes(add=(b64u(extra.public),)), roots)
    assert set(done.registrars) == {centre.registrar.id, extra.id}
    assert replace_charter(centre, Changes(remove=(extra.id[:8],)), roots).revoked == (extra.id,)
    centre.close()


def test_a_power_loss_between_log_and_key_file_is_finished(tmp_path: Path) -> None:
    """If the charter is logged and the key file is not yet replaced, the next start replaces it."""
    centre = three(tmp_path)
    old = (centre.path / "keys" / "registrar.key").read_bytes()
    charter = (centre.path / "charter.json").read_bytes()
    replace_charter(centre, Changes(new_registrar=True), root_keys(centre.path))
    fresh = centre.registrar.id
    centre.close()
    shutil.move(centre.path / "keys" / "registrar.key", centre.path / "keys" / NEW_REGISTRAR)
    (centre.path / "keys" / "registrar.key").write_bytes(old)
    (centre.path / "charter.json").write_bytes(charter)
    again = Centre(centre.path, clock=ManualClock())
    assert again.registrar.id == fresh
    assert open_charter((again.path / "charter.json").read_bytes()) == again.charter
    assert again.write("register", [(registers()[0].name, {"text": registers()[0].text + "\n"})])
    again.close()
