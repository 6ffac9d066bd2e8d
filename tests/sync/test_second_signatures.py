"""Second signatures over a line and in bundles: keys registered, steps signed twice, everybody can check them."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from syncgov.centre import bundles, staff_keys
from syncgov.core.canonical import b64, unb64
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint
from syncgov.core.statement import CHANGESET_TYPE, format_envelope, format_leaf
from syncgov.core.tree import leaf_hash
from syncgov.core.wire import EntryMessage
from syncgov.errors import NotAllowedError, PinError, SignatureError
from syncgov.fsck.check import fsck
from syncgov.storage import cosigning, staff_file
from syncgov.storage.adopting import adopt
from syncgov.storage.resubmitting import resubmit
from syncgov.storage.status import status
from syncgov.sync import bundle, reenrolment
from syncgov.sync.checking import verify_entry
from tests.helpers import World, a_task, insert, row, update
from tests.signers import CHIEF, CLERK, PIN, bring, give_key, reported, shared_desk, strict_world, void


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staff_file, "SCRYPT_N", 2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre where voiding a task takes two persons."""
    with strict_world(tmp_path / "world") as made:
        yield made


def test_a_key_is_in_use_after_one_sync(world: World) -> None:
    """Before that it waits, and signs nothing; afterwards it is not sent again."""
    desk = world.device("desk", "desk", ["101"], staff=[CLERK, CHIEF])
    made = cosigning.add(desk, CHIEF, staff_keys.invite(world.centre, CHIEF), PIN)
    assert [(each.state, each.person) for each in cosigning.list_keys(desk)] == [("pending", CHIEF)]
    key = reported(world, desk)
    assert cosigning.list_keys(desk)[0].state == "in use"
    assert cosigning.pending(desk) == []
    world.wire.paths.clear()
    bring(desk)
    void(desk, key)
    assert world.sync(desk, CLERK).accepted == 1
    assert "/v1/staff-key" not in world.wire.paths
    assert world.leaf(-1).changeset.second == made.id


def test_a_key_that_is_not_registered_yet_signs_nothing(world: World) -> None:
    """What waits stays unsigned in its table, with the reason in words; other rows are signed."""
    desk = world.device("desk", "desk", ["101"], staff=[CLERK, CHIEF])
    key, other = reported(world, desk), reported(world, desk)
    cosigning.add(desk, CHIEF, staff_keys.invite(world.centre, CHIEF), PIN)
    bring(desk)
    void(desk, key)
    update(desk, "task", other, title="另一件")
    done = desk.commit(CLERK)
    assert len(done.signed) == 1
    ((place, error),) = done.problems
    assert place == ("task", key)
    assert "还没有登记" in error.zh
    assert world.sync(desk, CLERK).accepted == 1  # and registers the key
    assert len(desk.commit(CLERK).signed) == 1


def test_a_step_for_two_says_so_before_it_is_signed(world: World) -> None:
    """Without a second person nothing of it is signed; status says who must; a sync goes on with the rest."""
    desk = shared_desk(world)
    key = reported(world, desk)
    void(desk, key)
    ((_place, error),) = desk.commit(CLERK).problems
    assert isinstance(error, NotAllowedError)
    assert "作废" in error.zh
    assert "--second" in error.zh
    (change,) = status(desk).changes
    assert "另一人" in change.remedy
    done = world.sync(desk, CLERK)
    assert (done.pushed, len(done.problems)) == (0, 1)
    assert row(desk, "task", key)["state"] == "void"  # type: ignore[index]
    bring(desk)
    assert world.sync(desk, CLERK).accepted == 1


@pytest.mark.parametrize("by", [CHIEF, None])
def test_the_second_person_is_another_one_who_is_named(world: World, by: str | None) -> None:
    """On a device of nobody in particular, too."""
    desk = world.device("desk", "desk", ["101"])
    give_key(world, desk, CHIEF)
    key = reported(world, desk)
    bring(desk)
    void(desk, key)
    ((_place, error),) = desk.commit(by).problems
    assert "以外的人" in error.zh


def test_a_key_that_ended_signs_nothing_once_the_device_has_heard(world: World) -> None:
    """And a person who left neither."""
    desk = shared_desk(world)
    key = reported(world, desk)
    bring(desk)
    staff_keys.end(world.centre, CHIEF, "lost")
    world.sync(desk, CLERK)
    assert cosigning.list_keys(desk)[0].state == "ended"
    void(desk, key)
    ((_place, error),) = desk.commit(CLERK).problems
    assert "已停用" in error.zh
    staff_keys.leave(world.centre, CHIEF)
    world.sync(desk, CLERK)
    ((_place, error),) = desk.commit(CLERK).problems
    assert "使用人员" in error.zh


def test_a_forgotten_pin_costs_a_new_code_and_nothing_else(world: World) -> None:
    """What the old key signed and is on its way counts; the new key replaces it after a sync."""
    desk = shared_desk(world)
    key, other = reported(world, desk), reported(world, desk)
    bring(desk)
    void(desk, key)
    desk.commit(CLERK)
    desk.second = None
    with pytest.raises(PinError):
        bring(desk, CHIEF, "000999")
    cosigning.add(desk, CHIEF, staff_keys.invite(world.centre, CHIEF), "161803")
    assert world.sync(desk, CLERK).accepted == 1
    assert [each.state for each in cosigning.list_keys(desk)] == ["ended", "in use"]
    bring(desk, CHIEF, "161803")
    void(desk, other)
    assert world.sync(desk, CLERK).accepted == 1


def test_a_refused_request_is_told_and_hinders_no_sync(world: World) -> None:
    """A wrong code: the work goes, the reason is said once and stays in the list."""
    desk = world.device("desk", "worker", staff=[CLERK])
    cosigning.add(desk, CLERK, "WRON-GCOD-EXXX", PIN)
    insert(desk, "task", a_task())
    done = world.sync(desk, CLERK)
    assert done.accepted == 1
    assert [("登记码" in why) for _key, why in done.keys_refused] == [True]
    assert (cosigning.list_keys(desk)[0].state, world.sync(desk, CLERK).keys_refused) == ("refused", [])


def test_a_lost_answer_is_asked_for_again(world: World) -> None:
    """The centre registered the key, the device did not hear it: the next sync settles it."""
    desk = world.device("desk", "desk", staff=[CHIEF])
    cosigning.add(desk, CHIEF, staff_keys.invite(world.centre, CHIEF), PIN)
    world.wire.paths.clear()
    world.wire.cut_at, world.wire.cut_answer = 2, True
    with pytest.raises(Exception, match="centre"):
        world.sync(desk, CHIEF)
    world.wire.reset()
    assert not world.sync(desk, CHIEF).keys_refused
    assert cosigning.list_keys(desk)[0].state == "in use"


def test_a_line_that_swaps_a_second_signature_is_found(world: World) -> None:
    """A replica checks both signatures of what it pulls, under keys that prove themselves; nothing is folded."""
    desk, worker = shared_desk(world), world.device("worker")
    key = reported(world, desk)
    bring(desk)
    void(desk, key)
    world.sync(desk, CLERK)
    size = worker.seen.size

    def lie(path: str, body: bytes) -> bytes:
        answer = msgspec.json.decode(body)
        for entry in answer.get("entries", ()):
            signatures = entry["leaf"]["envelope"]["signatures"]
            if len(signatures) > 1:
                signatures[1]["sig"] = b64(bytes(reversed(unb64(signatures[1]["sig"], 64))))
        return msgspec.json.encode(answer)

    world.wire.tamper = lie
    with pytest.raises(Exception, match="inclusion"):
        world.sync(worker)  # the tree covers it
    world.wire.tamper = _without_staff_keys
    with pytest.raises(SignatureError):
        world.sync(worker)
    assert worker.seen.size == size
    world.wire.reset()
    world.sync(worker)
    assert row(worker, "task", key)["state"] == "void"  # type: ignore[index]


def test_a_second_signature_that_the_centre_forged_is_found(world: World) -> None:
    """A tree that covers it proves nothing: the device checks the person's signature itself."""
    desk = shared_desk(world)
    key = reported(world, desk)
    signer = bring(desk)
    void(desk, key)
    world.sync(desk, CLERK)
    true, forged = world.leaf(-1), SigningKey(b"s" * 32)
    envelope = true.changeset.envelope
    second = (signer.key.id, forged.sign_typed(CHANGESET_TYPE, envelope.payload))
    false = format_envelope(CHANGESET_TYPE, envelope.payload, [envelope.signatures[0], second])
    keys = {desk.dev: desk.key_file.key.public, signer.key.id: signer.key.public}
    lie = format_leaf(false, floor=true.floor, received=true.received, verdict=true.verdict)
    for raw in (true.raw, lie):
        checkpoint = Checkpoint(world.centre.charter.origin, 1, leaf_hash(raw))
        message = EntryMessage(msgspec.Raw(b"null"), 0, msgspec.Raw(raw), [])
        if raw == true.raw:
            assert verify_entry(message, checkpoint, keys, desk.dev).leaf == true
        else:
            with pytest.raises(SignatureError):
                verify_entry(message, checkpoint, keys, desk.dev)


def _without_staff_keys(path: str, body: bytes) -> bytes:
    answer = msgspec.json.decode(body)
    seconds = {
        signatures[1]["keyid"]
        for entry in answer.get("entries", ())
        if len(signatures := entry["leaf"]["envelope"]["signatures"]) > 1
    }
    answer["keys"] = {key: value for key, value in answer.get("keys", {}).items() if key not in seconds}
    return msgspec.json.encode(answer)


def test_a_restored_copy_fetches_what_was_signed_twice(world: World, tmp_path: Path) -> None:
    """The own entries come back with both signatures checked."""
    desk = shared_desk(world)
    key = reported(world, desk)
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        desk.conn.backup(copy)
    copy.close()
    bring(desk)
    void(desk, key)
    world.sync(desk, CLERK)
    desk.close()
    for side in ("", "-wal", "-shm"):
        desk.path.with_name(desk.path.name + side).unlink(missing_ok=True)
    (tmp_path / "copy.db").rename(desk.path)
    again = world.reopen("desk")
    assert again.is_older_than_key
    world.sync(again, CLERK)
    assert row(again, "task", key)["state"] == "void"  # type: ignore[index]


def test_a_refused_void_is_sent_again_with_a_second_signature(world: World) -> None:
    """The refusal names the step and what it lacked; `resubmit` signs with whoever has entered the PIN."""
    desk = shared_desk(world)
    key = reported(world, desk)
    void(desk, key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("syncgov.storage.replica.choose_second", lambda *_: None)
        desk.commit(CLERK)
    assert world.sync(desk, CLERK).refused == [(1, "refused:guard")]
    (change,) = status(desk).changes
    assert "“作废”须由第二人签名" in change.why
    with pytest.raises(NotAllowedError):
        resubmit(desk, [1], CLERK)
    bring(desk)
    resubmit(desk, [1], CLERK)
    assert world.sync(desk, CLERK).accepted == 1


def test_adopted_work_needs_its_second_signature_anew(world: World) -> None:
    """The supervisor signs with an own key; the old second signature was over the old statement."""
    desk, other = shared_desk(world), shared_desk(world, "other")
    key = reported(world, desk)
    bring(desk)
    void(desk, key)
    desk.commit(CLERK)
    world.sync(other, CLERK)
    done = adopt(other, desk.path, CLERK)
    assert [("第二人" in error.zh) for _seq, error in done.left] == [True]
    bring(other)
    assert len(adopt(other, desk.path, CLERK).signed) == 1
    assert world.sync(other, CLERK).accepted == 1


@pytest.mark.parametrize("in_place", [True, False])
def test_persons_keep_their_keys_when_the_device_enrols_again(world: World, in_place: bool) -> None:
    """A key is bound to its person: the PIN of before signs under the new device key."""
    desk = shared_desk(world)
    key = reported(world, desk)
    code = world.code("desk", ["101"], [CLERK, CHIEF])
    path = desk.path if in_place else world.folder / "new.db"
    desk.close()
    with world.line():
        if in_place:
            reenrolment.rejoin(path, code, CLERK, clock=world.clock)
        else:
            reenrolment.join_from(path, code, desk.path, CLERK, clock=world.clock)
    again = world.reopen("desk" if in_place else "new")
    assert again.dev != desk.dev
    bring(again)
    void(again, key)
    assert world.sync(again, CLERK).accepted == 1


def test_a_staff_key_whose_row_was_deleted_stops_nobodys_sync(world: World) -> None:
    """Whoever pulls later still gets the key with which the old signature is checked."""
    desk = shared_desk(world)
    key = reported(world, desk)
    bring(desk)
    void(desk, key)
    world.sync(desk, CLERK)
    world.centre.write("staff_key", [(each.key, None) for each in staff_keys.keys(world.centre.ledger)])
    late = world.device("late")
    assert row(late, "task", key)["state"] == "void"  # type: ignore[index]
    other = reported(world, desk)
    void(desk, other)
    ((_place, error),) = desk.commit(CLERK).problems
    assert "还没有登记" in error.zh


# -- by file --------------------


def test_a_key_is_registered_by_bundle_and_signs_in_the_next(world: World) -> None:
    """The same messages in a sealed file; taken twice they change nothing."""
    desk = world.device("desk", "desk", ["101"], staff=[CLERK, CHIEF])
    key = reported(world, desk)
    assert bundle.receive(desk, bundles.invitation(world.centre)).state == "recipient"
    cosigning.add(desk, CHIEF, staff_keys.invite(world.centre, CHIEF), PIN)
    cosigning.add(desk, CLERK, "WRON-GCOD-EXXX", PIN)
    packed = bundle.pack(desk, CLERK).data
    bundles.receive(world.centre, packed)
    received = bundle.receive(desk, bundles.receive(world.centre, packed).reply)
    assert received.state == "taken"
    assert len(received.done.keys_refused) == 1
    assert {each.person: each.state for each in cosigning.list_keys(desk)} == {CHIEF: "in use", CLERK: "refused"}
    bring(desk)
    void(desk, key)
    reply = bundles.receive(world.centre, bundle.pack(desk, CLERK).data)
    assert [result.verdict for result in reply.results] == ["accepted"]
    assert bundle.receive(desk, reply.reply).done.accepted == 1


# -- fsck --------------------


def test_fsck_accepts_second_signatures_and_finds_a_damaged_one(world: World) -> None:
    """At the centre, in the log of a replica, and in what waits to be sent."""
    desk, worker = shared_desk(world), world.device("worker")
    key, other = reported(world, desk), reported(world, desk)
    bring(desk)
    void(desk, key)
    world.sync(desk, CLERK)
    world.sync(worker)
    void(desk, other)
    desk.commit(CLERK)
    desk.mark_durable()
    paths = [world.folder / "centre", worker.path, desk.path]
    world.close()
    for path in paths:
        report = fsck(path)
        assert report.ok, (path, report.findings)
    _damage(paths[0] / "central.db", "_sg_leaf", "leaf")
    _damage(paths[1], "_sg_leaf", "leaf")
    _damage(paths[2], "_sg_own", "envelope")
    for path in paths:
        assert "signature" in {finding.code for finding in fsck(path).findings}, path


def _damage(path: Path, table: str, column: str) -> None:
    """Swap the last second signature for another well-formed one."""
    conn = sqlite3.connect(path)
    found = conn.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid DESC").fetchall()
    for number, raw in found:
        content = msgspec.json.decode(raw)
        signatures = content.get("envelope", content)["signatures"]
        if len(signatures) > 1:
            old = signatures[1]["sig"].encode()
            new = b64(bytes(reversed(unb64(old.decode(), 64)))).encode()
            conn.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (raw.replace(old, new), number))
            conn.commit()
            conn.close()
            return
    raise AssertionError("no second signature there")
