"""Bundles at the centre: what is taken, what is refused and in which words, and the key to which one seals."""

import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pyrage
import pytest

from syncgov.centre import bundles
from syncgov.centre.centre import Centre
from syncgov.core import bundle, wire
from syncgov.core.age_identity import age_identity
from syncgov.core.keys import SigningKey
from syncgov.errors import (
    FormatError,
    InputError,
    NotAllowedError,
    RollbackError,
    SignatureError,
    StorageError,
    SyncgovError,
    UnknownDeviceError,
)
from syncgov.storage import sealing
from syncgov.storage.keyfile import load_key
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from syncgov.sync.bundle import PULL_LIMIT, pack, receive
from tests.carrying import carry, offline_device, opened, relabelled
from tests.helpers import DRAFT, ManualClock, World, a_task, insert, tables
from tests.registers import registers


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre."""
    with World.make(tmp_path) as found:
        yield found


@pytest.fixture
def pen(world: World) -> Replica:
    """A device with one record that the centre does not have yet."""
    replica = offline_device(world, "pen")
    insert(replica, "task", a_task())
    return replica


def refused(world: World, data: bytes, error: type[SyncgovError]) -> SyncgovError:
    """Assert that the centre refuses *data* with exactly *error* and logs nothing."""
    size = world.centre.ledger.size
    with pytest.raises(SyncgovError) as caught:
        bundles.receive(world.centre, data)
    assert type(caught.value) is error, caught.value
    assert caught.value.zh
    assert world.centre.ledger.size == size
    return caught.value


def forge(
    world: World,
    replica: Replica,
    key: SigningKey,
    change: Callable[[bundle.Request], bundle.Request] = lambda request: request,
    **members: str | int,
) -> bytes:
    """Return the request of *replica* as somebody else may change and sign it; sealing needs no secret."""
    label, content = bundle.split_bundle_file(pack(replica).data)
    plain = sealing.unseal(content, bundles._identity(world.centre))
    header, packed = bundle.open_bundle(label, plain)
    message = change(bundle.unpack(packed, bundle.Request))
    signed = bundle.sign_bundle(label, msgspec.structs.replace(header, dev=key.id, **members), message, key)
    recipient = bundle.verify_recipient(bundles.recipient_note(world.centre), world.centre.charter)
    return bundle.format_bundle_file(label, sealing.seal(signed, recipient))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Centre]:
    """Another centre."""
    draft = replace(DRAFT, origin="log.example/else")
    made = Centre.init(tmp_path / "elsewhere", draft, registers(), clock=ManualClock())
    yield made
    made.close()


# -- to whom --------------------


def test_a_bundle_for_another_centre_is_refused_by_name(
    world: World, pen: Replica, elsewhere: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both names are said, and nothing was opened."""
    data = pack(pen).data
    monkeypatch.setattr(sealing, "unseal", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(InputError) as caught:
        bundles.receive(elsewhere, data)
    assert "log.example/else" in caught.value.zh
    assert world.centre.charter.origin in caught.value.zh


def test_a_bundle_with_another_name_on_it_cannot_be_opened(world: World, pen: Replica, elsewhere: Centre) -> None:
    """Whoever writes the other centre's name on it gains nothing."""
    with pytest.raises(InputError) as caught:
        bundles.receive(elsewhere, relabelled(pack(pen).data, origin="log.example/else"))
    assert "another key" in caught.value.en


def test_files_of_another_kind_are_refused_by_name(world: World, pen: Replica) -> None:
    """A reply and an invitation belong to devices."""
    reply = bundles.receive(world.centre, pack(pen).data).reply
    assert pen.dev[:8] in refused(world, reply, InputError).zh
    assert "join --bundle" in refused(world, bundles.invitation(world.centre), InputError).zh
    refused(world, b"SQLite format 3\0", FormatError)


def test_a_request_with_another_kind_on_it_is_refused(world: World, pen: Replica) -> None:
    """The signed header says what it is."""
    reply = bundles.receive(world.centre, pack(pen).data).reply
    refused(world, relabelled(reply, kind="request", dev=""), InputError)


# -- from whom --------------------


def test_a_stranger_is_refused(world: World, pen: Replica) -> None:
    """The recipient is public: anybody can seal, but only enrolled devices are heard."""
    refused(world, forge(world, pen, SigningKey(b"s" * 32)), UnknownDeviceError)


def test_a_device_cannot_speak_for_another(world: World, pen: Replica) -> None:
    """Another's changesets in its own bundle are not authentic; the others in it would still be taken."""
    other = offline_device(world, "other")
    done = bundles.receive(world.centre, forge(world, pen, other.key_file.key))
    assert [(result.state, result.code) for result in done.results] == [("rejected", "not-allowed")]
    assert own_changesets(pen)
    assert carry(world, pen).received.done.accepted == 1


def test_a_request_to_join_for_another_key_is_refused(world: World, pen: Replica) -> None:
    """A join overheard and put into one's own bundle."""
    victim, thief = SigningKey(b"v" * 32), SigningKey(b"t" * 32)
    message = wire.sign_join(world.code("worker"), world.centre.charter.origin, victim)
    stolen = forge(world, pen, thief, lambda request: msgspec.structs.replace(request, join=message))
    refused(world, stolen, SignatureError)


def test_a_revoked_device_gets_no_reply(world: World, pen: Replica) -> None:
    """What it brings is logged as refused, as over the network; nothing is sealed to it any more."""
    world.centre.write("device", [(pen.dev, {"reason": "lost", "last_good_seq": 0})])
    size = world.centre.ledger.size
    with pytest.raises(NotAllowedError):
        bundles.receive(world.centre, pack(pen).data)
    assert world.centre.ledger.size == size + 1
    assert world.leaf(-1).verdict == "refused:revoked"


def test_one_bad_entry_does_not_hold_up_the_others(world: World, pen: Replica) -> None:
    """It is rejected alone, and the device is told."""
    insert(pen, "task", a_task(title="第二件"))

    def damage(request: bundle.Request) -> bundle.Request:
        first = msgspec.structs.replace(request.push.entries[0], body=request.push.entries[1].body)
        return msgspec.structs.replace(request, push=wire.Push([first, *request.push.entries[1:]]))

    done = bundles.receive(world.centre, forge(world, pen, pen.key_file.key, damage))
    assert [result.state for result in done.results] == ["rejected", "waiting"]
    received = receive(pen, done.reply)
    assert [seq for seq, _why in received.done.rejected] == [1]
    assert received.done.waiting == 1
    assert carry(world, pen).received.done.accepted == 2


# -- the log --------------------


def test_a_centre_that_has_lost_entries_takes_nothing(world: World, pen: Replica) -> None:
    """The device has seen more: said before anything is logged, because its work would be judged wrongly."""
    size = world.centre.ledger.size + 5
    ahead = forge(
        world,
        pen,
        pen.key_file.key,
        lambda request: msgspec.structs.replace(request, pull=wire.Pull(size, PULL_LIMIT, size, 0)),
    )
    refused(world, ahead, RollbackError)


@pytest.mark.parametrize("ask", [(5, 1, 9, 0), (0, 0, 0, 0), (-1, 5, -1, 0), (3, 5, 0, 2)])
def test_numbers_that_contradict_each_other_are_refused(world: World, pen: Replica, ask: tuple[int, ...]) -> None:
    """As over the network; the request is answered by an error, not by a wrong page."""
    after, limit, size, target = ask
    bad = wire.Pull(after, limit, size, target)
    data = forge(world, pen, pen.key_file.key, lambda r: msgspec.structs.replace(r, pull=bad, push=wire.Push([])))
    with pytest.raises((FormatError, RollbackError)):
        bundles.receive(world.centre, data)


def test_asking_for_a_time_before_the_certificate_ends(world: World, pen: Replica) -> None:
    """A target below the device's own certificate has nothing for it, and no endless pages."""
    early = wire.Pull(0, PULL_LIMIT, 0, 1)
    data = forge(world, pen, pen.key_file.key, lambda request: msgspec.structs.replace(request, pull=early))
    done = bundles.receive(world.centre, data)
    assert (done.sent, len(opened(pen.key_file.key, done.reply)[1].pages)) == (0, 1)


def test_a_server_and_a_carrier_at_the_same_time(world: World, pen: Replica) -> None:
    """`receive` opens the centre beside a running server; both see each other's entries."""
    online = world.device("online")
    data = pack(pen).data
    second = Centre(world.folder / "centre", clock=world.clock)
    try:
        reply = bundles.receive(second, data).reply
        insert(online, "task", a_task(title="同时"))
        assert world.sync(online).accepted == 1
        assert bundles.receive(second, data).results[0].verdict == "accepted"
    finally:
        second.close()
    assert receive(pen, reply).done.accepted == 1
    carry(world, pen)
    assert len(tables(pen)["task"]) == len(tables(online)["task"]) == 2


# -- the key --------------------


def test_the_key_is_made_once_and_only_the_owner_reads_it(world: World, pen: Replica) -> None:
    """In the form that age-keygen writes; every note names the same recipient."""
    path = world.folder / "centre" / "keys" / bundles.AGE_KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    comment, identity = path.read_text(encoding="utf-8").splitlines()
    assert comment == f"# public key: {pyrage.x25519.Identity.from_str(identity).to_public()}"
    second = Centre(world.folder / "centre", clock=world.clock)
    try:
        assert bundles.recipient_note(second) == bundles.recipient_note(world.centre)
    finally:
        second.close()


def test_the_key_is_not_derived_from_another(world: World) -> None:
    """Whoever gets the log key can sign, but not read what devices sealed."""
    keys = world.folder / "centre" / "keys"
    bundles.invitation(world.centre)
    text = (keys / bundles.AGE_KEY).read_text(encoding="utf-8")
    for name in ("log", "registrar"):
        assert age_identity(load_key(keys / f"{name}.key").key.seed) not in text


def test_a_damaged_key_is_said(world: World, pen: Replica) -> None:
    """It is never replaced in silence: bundles under way could not be opened any more."""
    path = world.folder / "centre" / "keys" / bundles.AGE_KEY
    data, text = pack(pen).data, path.read_text(encoding="utf-8")
    for damaged in ("", text[:-5], text + text, "\n\n"):
        path.write_text(damaged, encoding="utf-8")
        refused(world, data, StorageError)
        assert path.read_text(encoding="utf-8") == damaged


def test_a_new_key_reaches_devices_with_the_invitation(world: World, pen: Replica) -> None:
    """After the key was lost: what was sealed to it is refused in words; the new invitation mends it."""
    data = pack(pen).data
    (world.folder / "centre" / "keys" / bundles.AGE_KEY).unlink()
    assert "invitation" in refused(world, data, InputError).en
    receive(pen, bundles.invitation(world.centre))
    assert carry(world, pen).received.done.accepted == 1
