"""Sync by file alone: rounds, and what happens to files on their way."""

import base64
import shutil
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyrage
import pytest

from syncgov.centre import bundles, serving
from syncgov.centre.serving import certificate_message
from syncgov.core import bundle, wire
from syncgov.core.age_identity import age_identity
from syncgov.core.canonical import b64
from syncgov.core.keys import SigningKey
from syncgov.errors import (
    ForkError,
    FormatError,
    InputError,
    NotAllowedError,
    ProofError,
    RollbackError,
    SignatureError,
    StorageError,
    SyncgovError,
)
from syncgov.storage import sealing
from syncgov.storage.keyfile import key_path, load_key
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from syncgov.sync import bundle as packing
from syncgov.sync.bundle import pack, receive
from syncgov.sync.bundle_join import accept_invitation, joining_path, pack_join, receive_first
from tests.carrying import carry, changed, log_key, offline_device, opened, relabelled
from tests.helpers import (
    AREA,
    WEST,
    World,
    a_task,
    everything,
    held_bytes,
    insert,
    row,
    states,
    tables,
    update,
)

FALSE = SigningKey(b"f" * 32)  # the key of somebody who is not the centre
PLANTED = "李某某欠薪一事"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre whose server nobody can reach."""
    with World.make(tmp_path) as found:
        yield found
        assert "online" in found.replicas or not found.wire.paths


@pytest.fixture
def pen(world: World) -> Replica:
    """A device that has joined by file."""
    return offline_device(world, "pen")


def nothing_changes(world: World, replica: Replica, data: bytes, error: type[SyncgovError]) -> SyncgovError:
    """Assert that the device refuses *data* with exactly *error* and that its file stays as it was."""
    before = everything(replica)
    with pytest.raises(SyncgovError) as caught:
        receive(replica, data)
    assert type(caught.value) is error, caught.value
    assert caught.value.zh
    assert everything(replica) == before
    return caught.value


# -- rounds --------------------


def test_a_community_works_by_bundle_only(world: World) -> None:
    """Join, write, carry, for several rounds: verdicts come, others' rows come, and no request was ever sent."""
    pen, desk = offline_device(world, "pen"), offline_device(world, "desk", "desk", (AREA,))
    assert pen.roles == {"worker"}
    keys = []
    for number in range(3):
        keys.append(insert(pen, "task", a_task(title=f"第{number}件", secret=PLANTED)))
        there = carry(world, pen)
        assert [result.verdict for result in there.replied.results] == ["accepted"]
        assert there.received.done.accepted == 1
        assert carry(world, desk).received.done.received == 1
        update(desk, "task", keys[-1], state="accepted", due="2026-12-01")
        assert carry(world, desk).received.done.accepted == 1
        assert carry(world, pen).received.done.received == 1
        assert row(pen, "task", keys[-1])["state"] == "accepted"  # type: ignore[index]
    assert not own_changesets(pen)
    assert pen.seen.size == desk.seen.size == world.centre.ledger.size
    assert tables(pen)["task"] == tables(desk)["task"]
    assert world.wire.paths == []


def test_a_bundle_brings_what_the_network_brings(world: World, pen: Replica) -> None:
    """A device that syncs over the line and one that never does hold the same."""
    online = world.device("online")
    for number in range(4):
        insert(online if number % 2 else pen, "task", a_task(title=f"{number}"))
        world.sync(online)
        carry(world, pen)
    world.sync(online)
    assert len(tables(pen)["task"]) == 4
    assert (tables(pen), states(pen), pen.seen) == (tables(online), states(online), online.seen)


def test_a_refusal_arrives_with_its_reason(world: World, pen: Replica) -> None:
    """What is not allowed comes back as refused and shows nowhere else."""
    key = insert(pen, "task", a_task(place=WEST))
    there = carry(world, pen)
    assert there.received.done.refused == [(1, "refused:area")]
    assert row(pen, "task", key) is None
    assert not own_changesets(pen)


def test_a_reply_in_many_pages_and_files(world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit comes with the next bundle; nothing half-pulled shows before."""
    online = world.device("online")
    for number in range(9):
        insert(online, "task", a_task(title=f"{number}"))
    world.sync(online)
    monkeypatch.setattr(packing, "PULL_LIMIT", 2)
    monkeypatch.setattr(bundle, "FILL_BYTES", 10_000)
    rounds = 0
    while (there := carry(world, pen)).received.more:
        rounds += 1
        assert there.replied.more
        assert there.received.state == "taken"
        assert not tables(pen)["task"]
    assert rounds >= 2
    assert len(tables(pen)["task"]) == 9


def test_changes_that_do_not_fit_go_with_the_next_bundle(
    world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the chain, and the device says how many are left."""
    monkeypatch.setattr(bundle, "FILL_BYTES", 10_000)
    for number in range(20):
        insert(pen, "task", a_task(title=f"{number}"))
    first = pack(pen)
    assert (first.first, first.last, first.changes) == (1, first.changes, 20 - first.left)
    assert 0 < first.left < 20
    while own_changesets(pen):
        carry(world, pen)
    assert len(tables(pen)["task"]) == 20


def test_new_areas_and_roles_arrive_by_file(world: World, pen: Replica) -> None:
    """The centre says `reset` and sends everything anew, in the same reply."""
    online = world.device("online", areas=(WEST,))
    insert(online, "task", a_task(place=WEST))
    world.sync(online)
    carry(world, pen)
    assert not tables(pen)["task"]
    world.centre.write("device", [(pen.dev, {"areas": [WEST]})])
    reply = bundles.receive(world.centre, pack(pen).data).reply
    assert [page.reset for page in opened(pen.key_file.key, reply)[1].pages] == [True, False]
    assert receive(pen, reply).state == "taken"
    assert len(tables(pen)["task"]) == 1


def test_a_reply_that_was_cut_off_while_it_was_received_goes_on(
    world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program dies between two pages; the same file again, and all is there."""
    online = world.device("online")
    for number in range(5):
        insert(online, "task", a_task(title=f"{number}"))
    world.sync(online)
    monkeypatch.setattr(packing, "PULL_LIMIT", 2)
    reply = bundles.receive(world.centre, pack(pen).data).reply
    assert len(opened(pen.key_file.key, reply)[1].pages) == 3
    with monkeypatch.context() as patch:
        patch.setattr(packing, "merge_pulled", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            receive(pen, reply)
    assert not tables(pen)["task"]
    assert receive(pen, reply).state == "taken"
    assert len(tables(pen)["task"]) == 5


def test_a_shared_device_needs_to_know_who_wrote(world: World, tmp_path: Path) -> None:
    """As with sync: unsigned work of several possible people is not bundled."""
    shared = world.device("online", staff=("A", "B"))
    receive(shared, bundles.invitation(world.centre))
    insert(shared, "task", a_task())
    with pytest.raises(NotAllowedError):
        pack(shared)
    assert pack(shared, "A").changes == 1


# -- nothing is lost --------------------


def test_a_bundle_marks_nothing_as_delivered(world: World, pen: Replica) -> None:
    """Lost files lose nothing: everything without a verdict goes into every bundle."""
    insert(pen, "task", a_task())
    lost = pack(pen)
    assert lost.changes == 1
    assert pen.conn.execute("SELECT sent, idx FROM _sg_own").fetchall() == [(None, None)]
    insert(pen, "task", a_task(title="又一件"))
    bundles.receive(world.centre, pack(pen).data)  # its reply is lost
    assert [seq for seq, _envelope, _body in own_changesets(pen)] == [1, 2]
    there = carry(world, pen)
    assert there.received.done.accepted == 2
    assert len(tables(pen)["task"]) == 2


def test_the_key_file_remembers_before_a_bundle_leaves(world: World, pen: Replica) -> None:
    """A replica restored after that cannot sign the same dot again."""
    insert(pen, "task", a_task())
    pack(pen)
    assert pen.key_file.seq == 1


def test_a_restored_replica_gets_its_own_back_by_file(world: World, pen: Replica, tmp_path: Path) -> None:
    """Two records were carried after the copy was made; the reply brings them back, no dot is used twice."""
    pen.close()
    shutil.copy(pen.path, tmp_path / "copy.db")
    pen = world.reopen("pen")
    keys = [insert(pen, "task", a_task(title=f"{number}")) for number in range(2)]
    bundles.receive(world.centre, pack(pen).data)
    pen.close()
    for suffix in ("-wal", "-shm"):
        pen.path.with_name(pen.path.name + suffix).unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy.db", pen.path)
    pen = world.reopen("pen")
    third = insert(pen, "task", a_task(title="恢复之后"))
    reply = bundles.receive(world.centre, pack(pen).data).reply
    assert receive(pen, reply).state == "taken"
    assert {line[0] for line in tables(pen)["task"]} == {*keys, third}
    assert receive(pen, reply).state == "older"
    assert carry(world, pen).received.done.accepted == 1
    assert not any(leaf.verdict == "refused:fork" for leaf in world.leaves())


def test_a_device_restored_with_its_key_gets_its_own_back_by_file(world: World) -> None:
    """The reply shows that it has signed more than it knows: nothing is folded, and the next bundle asks for it."""
    pen = offline_device(world, "pen")
    path = pen.path
    pen.close()
    for each in (path, key_path(path)):
        shutil.copy(each, f"{each}.backup")
    pen = world.reopen("pen")
    key = insert(pen, "task", a_task(title="之后"))
    assert carry(world, pen).received.done.accepted == 1
    world.replicas.pop("pen").close()
    for each in (path, key_path(path)):
        shutil.copy(f"{each}.backup", each)
    pen = world.reopen("pen")
    before = everything(pen)
    assert carry(world, pen).received.state == "unfit"
    assert everything(pen) == before
    assert carry(world, pen).received.state == "taken"
    assert row(pen, "task", key) is not None
    update(pen, "task", key, title="恢复后")
    assert carry(world, pen).received.done.accepted == 1
    assert all(leaf.accepted for leaf in world.leaves())


def test_a_long_restore_takes_several_bundles(
    world: World, pen: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until all of its own is back nothing is folded over it and nothing new is signed."""
    pen.close()
    shutil.copy(pen.path, tmp_path / "copy.db")
    pen = world.reopen("pen")
    for number in range(3):
        insert(pen, "task", a_task(title=f"{number}"))
    bundles.receive(world.centre, pack(pen).data)
    pen.close()
    shutil.copy(tmp_path / "copy.db", pen.path)
    pen = world.reopen("pen")
    monkeypatch.setattr(serving, "MAX_PULL", 1)
    monkeypatch.setattr(packing, "PULL_LIMIT", 1)
    for _file in range(2):
        received = carry(world, pen).received
        assert (received.state, received.more) == ("taken", True)
        assert not tables(pen)["task"]
    assert not carry(world, pen).received.more
    assert len(tables(pen)["task"]) == 3


def test_a_restored_replica_whose_bundle_is_on_its_way_waits_for_it(world: World, pen: Replica, tmp_path: Path) -> None:
    """The centre lacks what the key file remembers: said in words; when the older bundle has arrived, all is well."""
    pen.close()
    shutil.copy(pen.path, tmp_path / "copy.db")
    pen = world.reopen("pen")
    insert(pen, "task", a_task())
    under_way = pack(pen).data
    pen.close()
    shutil.copy(tmp_path / "copy.db", pen.path)
    pen = world.reopen("pen")
    reply = bundles.receive(world.centre, pack(pen).data).reply
    assert "on its way" in nothing_changes(world, pen, reply, NotAllowedError).en
    bundles.receive(world.centre, under_way)
    assert carry(world, pen).received.state == "taken"
    assert len(tables(pen)["task"]) == 1


# -- twice, late, out of order --------------------


def test_a_request_that_is_carried_twice_changes_nothing(world: World, pen: Replica) -> None:
    """The second time the centre logs nothing, and its reply says the same."""
    insert(pen, "task", a_task())
    data = pack(pen).data
    first, size = bundles.receive(world.centre, data), world.centre.ledger.size
    second = bundles.receive(world.centre, data)
    assert world.centre.ledger.size == size
    assert opened(pen.key_file.key, first.reply)[1] == opened(pen.key_file.key, second.reply)[1]
    assert receive(pen, second.reply).done.accepted == 1


def test_a_reply_that_is_received_twice_changes_nothing(world: World, pen: Replica) -> None:
    """The second time it is old, and that is no error."""
    insert(pen, "task", a_task())
    reply = bundles.receive(world.centre, pack(pen).data).reply
    receive(pen, reply)
    before = everything(pen)
    assert receive(pen, reply).state == "older"
    assert everything(pen) == before


def test_an_older_reply_after_a_newer_one_does_nothing(world: World, pen: Replica) -> None:
    """Two bundles are under way, the second is answered first."""
    insert(pen, "task", a_task())
    first = pack(pen).data
    insert(pen, "task", a_task(title="第二件"))
    second = pack(pen).data
    old = bundles.receive(world.centre, first).reply
    new = bundles.receive(world.centre, second).reply
    assert receive(pen, new).done.accepted == 2
    before = everything(pen)
    assert receive(pen, old).state == "older"
    assert everything(pen) == before


def test_a_later_request_that_arrives_first(world: World, pen: Replica) -> None:
    """Each bundle holds all that has no verdict: the later one needs nothing of the earlier."""
    insert(pen, "task", a_task())
    first = pack(pen).data
    insert(pen, "task", a_task(title="第二件"))
    reply = bundles.receive(world.centre, pack(pen).data).reply
    late = bundles.receive(world.centre, first)
    assert [result.state for result in late.results] == ["logged"]
    assert receive(pen, reply).done.accepted == 2
    assert receive(pen, late.reply).state == "older"


def test_a_newer_reply_to_an_older_state_asks_for_another_bundle(world: World, pen: Replica) -> None:
    """Replies are received in order, but both answer the same state: the second does not fit, nothing is lost."""
    insert(pen, "task", a_task())
    first = pack(pen).data
    insert(pen, "task", a_task(title="第二件"))
    second = pack(pen).data
    replies = [bundles.receive(world.centre, data).reply for data in (first, second)]
    assert receive(pen, replies[0]).done.accepted == 1
    before = everything(pen)
    assert receive(pen, replies[1]).state == "unfit"
    assert everything(pen) == before
    assert carry(world, pen).received.done.accepted == 1


def test_online_again_between_bundle_and_reply(world: World) -> None:
    """A reply that the network has overtaken is old."""
    online = world.device("online")
    receive(online, bundles.invitation(world.centre))
    insert(online, "task", a_task())
    reply = bundles.receive(world.centre, pack(online).data).reply
    assert world.sync(online).accepted == 1
    assert receive(online, reply).state == "older"


# -- cut, forged, misdirected --------------------


def test_a_file_that_is_cut_short_is_refused(world: World, pen: Replica) -> None:
    """Wherever the copy broke off, neither side changes anything, and the whole file still works."""
    insert(pen, "task", a_task())
    request, size = pack(pen).data, world.centre.ledger.size
    for length in [*range(0, len(request), 97), len(request) - 1]:
        with pytest.raises(FormatError):
            bundles.receive(world.centre, request[:length])
    assert world.centre.ledger.size == size
    reply = bundles.receive(world.centre, request).reply
    for length in [*range(0, len(reply), 211), len(reply) - 1]:
        nothing_changes(world, pen, reply[:length], FormatError)
    assert receive(pen, reply).done.accepted == 1


def test_a_file_that_was_changed_is_refused(world: World, pen: Replica) -> None:
    """A flipped bit in the sealed part, in either direction."""
    insert(pen, "task", a_task())
    request = pack(pen).data
    reply = bundles.receive(world.centre, request).reply
    size = world.centre.ledger.size
    for data, start in ((request, request.index(b"\n") + 1), (reply, reply.index(b"\n") + 1)):
        for at in range(start, len(data), 53):
            broken = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
            with pytest.raises((FormatError, InputError)):
                bundles.receive(world.centre, broken) if data is request else receive(pen, broken)
    assert world.centre.ledger.size == size
    assert own_changesets(pen)


def test_a_reply_for_another_device_is_refused_by_name(world: World, pen: Replica) -> None:
    """Before it is opened, which would fail."""
    other = offline_device(world, "other")
    reply = bundles.receive(world.centre, pack(other).data).reply
    assert other.dev[:8] in nothing_changes(world, pen, reply, InputError).zh
    nothing_changes(world, pen, relabelled(reply, dev=pen.dev), InputError)


def test_a_file_of_another_centre_or_kind_is_refused_by_name(world: World, pen: Replica) -> None:
    """A device says what the file is and what it needs."""
    reply = bundles.receive(world.centre, pack(pen).data).reply
    error = nothing_changes(world, pen, relabelled(reply, origin="log.example/else"), InputError)
    assert "log.example/else" in error.zh
    assert "a bundle for the centre" in nothing_changes(world, pen, pack(pen).data, InputError).en
    nothing_changes(world, pen, b"PK\x03\x04", FormatError)


def test_a_reply_that_the_log_did_not_sign_is_refused(world: World, pen: Replica) -> None:
    """The device's recipient is no secret to the centre's staff; the log key is what counts."""
    reply = bundles.receive(world.centre, pack(pen).data).reply
    nothing_changes(world, pen, changed(pen.key_file.key, reply, FALSE), SignatureError)


def test_a_centre_cannot_lie_in_a_file_either(world: World, pen: Replica) -> None:
    """Whatever the log key signs is checked: wrong proof, shrunk log, endless pages, a recipient not its own."""
    insert(pen, "task", a_task())
    reply = bundles.receive(world.centre, pack(pen).data).reply

    def without_proof(message: bundle.Reply) -> bundle.Reply:
        message.pages[0].entries[0].path[0] = b64(b"\0" * 32)
        return message

    def rolled_back(message: bundle.Reply) -> bundle.Reply:
        page = msgspec.structs.replace(message.pages[0], target=1, next=1, entries=[], consistency=[])
        return msgspec.structs.replace(message, pages=[page])

    def endless(message: bundle.Reply) -> bundle.Reply:
        page = msgspec.structs.replace(message.pages[0], next=message.pull.after)
        return msgspec.structs.replace(message, pages=[page, page])

    def misleading(message: bundle.Reply) -> bundle.Reply:
        other = bundle.sign_recipient(world.centre.charter.origin, packing.own_recipient(pen.key_file.key), FALSE)
        return msgspec.structs.replace(message, recipient=other)

    def withholding(message: bundle.Reply) -> bundle.Reply:
        return msgspec.structs.replace(message, pages=[msgspec.structs.replace(message.pages[0], entries=[])])

    lies = {without_proof: ProofError, rolled_back: RollbackError, endless: ProofError, misleading: SignatureError}
    for change, error in lies.items():
        lie = changed(pen.key_file.key, reply, log_key(world), change)
        with pytest.raises(error):
            receive(pen, lie)
        assert own_changesets(pen)
    assert receive(pen, reply).done.accepted == 1
    insert(pen, "task", a_task())
    reply = bundles.receive(world.centre, pack(pen).data).reply
    with pytest.raises(ForkError, match="withholds"):
        receive(pen, changed(pen.key_file.key, reply, log_key(world), withholding))


# -- the carrier --------------------


def spellings(text: str) -> list[bytes]:
    """Return the ways in which a text could lie in a file unsealed."""
    raw = text.encode()
    hexadecimal, base = raw.hex().encode(), base64.b64encode(raw)[2:-4]
    return [raw, text.encode("unicode-escape"), hexadecimal, base, base64.b64encode(b"x" + raw)[4:-4]]


def readable(data: bytes) -> Iterator[bytes]:
    """Yield the file, and whatever unpacks from any place in it."""
    yield data
    for wbits, mark in ((31, b"\x1f\x8b"), (15, b"\x78")):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            try:
                yield zlib.decompressobj(wbits=wbits).decompress(data[at:])
            except zlib.error:
                continue


def finds(data: bytes, text: str) -> bool:
    """Whether somebody who holds *data* finds *text* in it."""
    return any(spelling in part for part in readable(data) for spelling in spellings(text))


def test_the_carrier_cannot_read_a_bundle(world: World, pen: Replica) -> None:
    """He holds both files, every public key and a key of his own; the planted words are in neither file for him."""
    insert(pen, "task", a_task(title=PLANTED, secret=PLANTED))
    request = pack(pen).data
    other = offline_device(world, "other")
    assert finds(held_bytes(pen), PLANTED)
    bundles.receive(world.centre, request)
    reply = bundles.receive(world.centre, pack(other).data).reply
    for data in (request, reply):
        assert not finds(data, PLANTED)
        label, content = bundle.split_bundle_file(data)
        carriers = [str(pyrage.x25519.Identity.generate())]
        for public in (pen.key_file.key.public, other.key_file.key.public, log_key(world).public):
            carriers.append(age_identity(public))  # public keys in the place of secrets
        for identity in carriers:
            with pytest.raises(InputError):
                sealing.unseal(content, identity)
        assert label.origin == world.centre.charter.origin
    # the same search finds it for those to whom the files are sealed
    _label, content = bundle.split_bundle_file(request)
    assert any(
        finds(part, PLANTED) for part in sealing.unseal(content, bundles._identity(world.centre)).split(b"\n", 1)
    )
    receive(other, reply)
    assert finds(held_bytes(other), PLANTED)


def test_two_bundles_of_the_same_content_do_not_look_alike(world: World, pen: Replica) -> None:
    """A carrier cannot tell whether anything is new; only how long it is."""
    one, two = pack(pen).data, pack(pen).data
    assert one != two
    end = one.index(b"\n")
    assert one[:end] == two[:end]
    assert pen.dev.encode() not in one


# -- joining --------------------


@pytest.fixture
def asked(world: World, tmp_path: Path) -> Path:
    """A device that has accepted an invitation; its replica does not exist yet."""
    path = tmp_path / "new.db"
    accept_invitation(path, bundles.invitation(world.centre), world.code("worker"))
    return path


def test_the_code_waits_in_a_file_of_its_owner_only(asked: Path) -> None:
    """Key and begun join are readable by their owner only; a replica is not there before the reply."""
    assert not asked.exists()
    for path in (joining_path(asked), key_path(asked)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lost_join_is_asked_again(world: World, asked: Path) -> None:
    """With the same key and code: the centre answers with the same certificate."""
    bundles.receive(world.centre, pack_join(asked).data)
    size = world.centre.ledger.size
    reply = bundles.receive(world.centre, pack_join(asked).data).reply
    assert world.centre.ledger.size == size
    replica, _received = receive_first(asked, reply, clock=world.clock)
    with replica:
        assert replica.roles == {"worker"}
        assert not joining_path(asked).exists()
        assert receive(replica, reply).state == "older"
        assert pack(replica).data


def test_a_code_joins_one_device(world: World, asked: Path, tmp_path: Path) -> None:
    """Whoever overheard it comes too late; no reply is made."""
    bundles.receive(world.centre, pack_join(asked).data)
    code = msgspec.json.decode(joining_path(asked).read_bytes())["code"]
    thief = tmp_path / "thief.db"
    accept_invitation(thief, bundles.invitation(world.centre), code)
    size = world.centre.ledger.size
    with pytest.raises(NotAllowedError):
        bundles.receive(world.centre, pack_join(thief).data)
    assert world.centre.ledger.size == size


def test_the_reply_to_another_join_makes_no_replica(world: World, asked: Path, pen: Replica) -> None:
    """Neither somebody else's certificate nor a reply without one."""
    with pytest.raises(InputError):
        receive_first(asked, bundles.receive(world.centre, pack(pen).data).reply)
    reply = bundles.receive(world.centre, pack_join(asked).data).reply
    key, others = load_key(key_path(asked)).key, offline_device(world, "others").dev
    index = world.centre.ledger.conn.execute("SELECT idx FROM _sg_version WHERE key = ?", (others,)).fetchone()[0]

    def with_anothers(message: bundle.Reply) -> bundle.Reply:
        text = world.centre.ledger.meta.get("checkpoint")
        entry = certificate_message(world.centre.ledger, index, world.centre.ledger.size, others)
        return msgspec.structs.replace(message, join=wire.JoinAnswer(text, entry))

    def without(message: bundle.Reply) -> bundle.Reply:
        return msgspec.structs.replace(message, join=None)

    for change, error in ((with_anothers, ProofError), (without, InputError)):
        with pytest.raises(error):
            receive_first(asked, changed(key, reply, log_key(world), change))
    for length in (0, 40, len(reply) // 2, len(reply) - 1):
        with pytest.raises(FormatError):
            receive_first(asked, reply[:length])
    assert not asked.exists()
    assert joining_path(asked).exists()


def test_an_invitation_does_not_touch_a_replica(world: World, pen: Replica) -> None:
    """A device joins once."""
    with pytest.raises(StorageError):
        accept_invitation(pen.path, bundles.invitation(world.centre), "2345-6789-ABCD")


def test_the_key_of_a_lost_replica_is_kept(world: World, pen: Replica) -> None:
    """It has signed; a join over it would be refused at the centre, after a long way."""
    insert(pen, "task", a_task())
    pack(pen)
    pen.close()
    pen.path.unlink()
    key = key_path(pen.path).read_bytes()
    with pytest.raises(StorageError):
        accept_invitation(pen.path, bundles.invitation(world.centre), "2345-6789-ABCD")
    assert key_path(pen.path).read_bytes() == key


def test_a_device_that_joined_online_can_make_bundles_at_once(world: World) -> None:
    """Its first sync asks for the centre's recipient, the later ones do not."""
    online = world.device("online")
    insert(online, "task", a_task())
    assert carry(world, online).received.done.accepted == 1
    world.wire.reset()
    world.sync(online)
    assert "/v1/recipient" not in world.wire.paths


def test_the_recipient_is_the_logs_word(world: World) -> None:
    """A note that the charter's log did not sign is not kept; what the sync brought is."""
    false = bundle.sign_recipient(world.centre.charter.origin, packing.own_recipient(FALSE), FALSE)
    world.wire.tamper = lambda path, body: false.encode() if path == "/v1/recipient" else body
    with pytest.raises(SignatureError):
        world.device("online")
    world.wire.reset()
    found = world.replicas["online"]
    assert found.seen.size == world.centre.ledger.size
    assert found.meta.get("recipient") == ""
    world.sync(found)
    assert found.meta.get("recipient") == bundles.recipient_note(world.centre)


def test_a_centre_without_bundles(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No recipient is no reason that a sync fails; without it the device says what to do, an invitation helps."""
    monkeypatch.setitem(sys.modules, "pyrage", None)
    online = world.device("online")
    assert "/v1/recipient" in world.wire.paths
    monkeypatch.undo()
    with pytest.raises(InputError):
        pack(online)
    assert receive(online, bundles.invitation(world.centre)).state == "recipient"
    insert(online, "task", a_task())
    assert carry(world, online).received.done.accepted == 1


def test_the_invitation_of_a_false_centre_is_not_taken(world: World, pen: Replica) -> None:
    """Same origin, other log key: the recipient stays the one that the charter's log signed."""
    from syncgov.centre.centre import Centre
    from tests.helpers import DRAFT
    from tests.registers import registers

    false = Centre.init(world.folder / "false", DRAFT, registers(), clock=world.clock)
    try:
        nothing_changes(world, pen, bundles.invitation(false), InputError)
    finally:
        false.close()


def test_a_bundle_overwrites_bundles_only(tmp_path: Path, pen: Replica) -> None:
    """A slip of the hand does not cost somebody's database."""
    target = tmp_path / "out.bundle"
    for _twice in range(2):
        sealing.write_bundle_file(target, pack(pen).data)
    precious = tmp_path / "precious.db"
    precious.write_bytes(b"SQLite format 3\0")
    for path in (precious, tmp_path):
        with pytest.raises(StorageError):
            sealing.write_bundle_file(path, b"")
    assert precious.read_bytes() == b"SQLite format 3\0"
