"""Persons' keys at the centre: who gets one, what their signatures are worth, how they end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.centre import staff_keys
from syncgov.centre.certificates import renew, revoke
from syncgov.centre.enrolment import join
from syncgov.centre.intake import Outcome, authenticate
from syncgov.core import wire
from syncgov.core.keys import SigningKey
from syncgov.core.statement import (
    CHANGESET_TYPE,
    format_envelope,
    parse_changeset,
    sign_statement,
)
from syncgov.errors import FormatError, InputError, NotAllowedError, SignatureError, UnknownKeyError
from syncgov.storage import cosigning, staff_file
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from syncgov.storage.resubmitting import resubmit
from syncgov.storage.status import status
from tests.helpers import DAY_MS, ORIGIN, World, a_task, insert, update
from tests.signers import CHIEF, CLERK, PIN, bring, give_key, reported, shared_desk, strict_world, void

Entry = tuple[bytes, bytes]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staff_file, "SCRYPT_N", 2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre where voiding a task takes two persons."""
    with strict_world(tmp_path / "world") as made:
        yield made


def request(world: World, dev: str, person: str, seed: int = 7, code: str | None = None) -> wire.StaffKeyRequest:
    """Return what a device would ask for a person, with a fresh code unless one is given."""
    code = code if code is not None else staff_keys.invite(world.centre, person)
    return wire.sign_staff_key(code, person, dev, ORIGIN, SigningKey(bytes([seed]) * 32))


def voided(world: World, desk: Replica) -> Entry:
    """Return a changeset by which clerk and chief void a task, signed on the device and not sent."""
    key = reported(world, desk)
    bring(desk)
    void(desk, key)
    assert not desk.commit(CLERK).problems
    _seq, envelope, body = own_changesets(desk)[-1]
    return envelope, body


def push(world: World, entry: Entry) -> str:
    """Push one entry; return its verdict."""
    (outcome,) = world.centre.push([authenticate(world.centre.ledger, *entry)])
    assert isinstance(outcome, Outcome)
    return str(outcome.verdict)


# -- registration --------------------


def test_a_key_is_registered_under_a_pseudonym_and_only_the_centre_knows_whose_it_is(world: World) -> None:
    """The public part of the row names nobody; the private one does; devices are not sent it."""
    desk = shared_desk(world)
    (found,) = staff_keys.keys(world.centre.ledger)
    assert (found.person, found.device, found.ended) == (CHIEF, desk.dev, "")
    assert found.pseudonym.startswith("代号 ")
    world.sync(desk, CLERK)
    raw = b"".join(body for (body,) in desk.conn.execute("SELECT body FROM _sg_leaf WHERE tbl = 'staff_key'"))
    assert found.pseudonym.encode() in raw
    assert f'"{CHIEF}"'.encode() not in raw  # as a value: two letters alone may occur in any digest
    key = world.centre.ledger.staff_key(found.key, world.centre.ledger.size)
    assert key is not None
    assert key.valid_to - key.valid_from == 730 * DAY_MS


def test_asking_again_changes_nothing(world: World) -> None:
    """The answer may get lost; the second time gives the same key and no new entry."""
    desk = world.device("desk", "desk")
    asked = request(world, desk.dev, CHIEF)
    first = staff_keys.register(world.centre, desk.dev, asked)
    size = world.centre.ledger.size
    assert staff_keys.register(world.centre, desk.dev, asked) == first
    assert world.centre.ledger.size == size


def test_a_code_is_good_once_for_its_person_for_fourteen_days_and_for_no_device(world: World) -> None:
    """Used, unknown, somebody else's, too old, or an enrolment code: refused in words, nothing is logged."""
    desk = world.device("desk", "desk")
    used = request(world, desk.dev, CHIEF)
    staff_keys.register(world.centre, desk.dev, used)
    size = world.centre.ledger.size
    old = staff_keys.invite(world.centre, CHIEF)
    for bad in (
        request(world, desk.dev, CHIEF, 8, used.code),
        request(world, desk.dev, CHIEF, 8, "NOSU-CHCO-DEXX"),
        request(world, desk.dev, CHIEF, 8, world.code("desk", staff=[CHIEF])),
        request(world, desk.dev, CLERK, 8, staff_keys.invite(world.centre, CHIEF)),
    ):
        with pytest.raises(NotAllowedError):
            staff_keys.register(world.centre, desk.dev, bad)
    world.clock.forward(14 * DAY_MS + 1)  # type: ignore[attr-defined]
    with pytest.raises(NotAllowedError, match="too old"):
        staff_keys.register(world.centre, desk.dev, request(world, desk.dev, CHIEF, 8, old))
    assert world.centre.ledger.size == size
    joining = wire.sign_join(staff_keys.invite(world.centre, CHIEF), ORIGIN, SigningKey(b"j" * 32))
    with pytest.raises(NotAllowedError):
        join(world.centre, joining)


def test_whoever_asks_has_the_key_and_may_use_the_device(world: World) -> None:
    """A request for another device, a key that somebody else has, a stranger on the device, a revoked device."""
    desk = world.device("desk", "desk", staff=[CLERK])
    other = world.device("other", "desk")
    with pytest.raises(SignatureError):
        staff_keys.register(world.centre, other.dev, request(world, desk.dev, CLERK))
    with pytest.raises(NotAllowedError, match="may not use"):
        staff_keys.register(world.centre, desk.dev, request(world, desk.dev, CHIEF))
    mine = wire.sign_staff_key(staff_keys.invite(world.centre, CLERK), CLERK, desk.dev, ORIGIN, desk.key_file.key)
    with pytest.raises(NotAllowedError, match="registered already"):
        staff_keys.register(world.centre, desk.dev, mine)
    staff_keys.register(world.centre, desk.dev, request(world, desk.dev, CLERK))
    with pytest.raises(NotAllowedError, match="registered already"):
        staff_keys.register(world.centre, other.dev, request(world, other.dev, CLERK))
    with pytest.raises(FormatError):
        staff_keys.register(world.centre, desk.dev, wire.StaffKeyRequest("c", CLERK, "A" * 86, "short"))
    revoke(world.centre, other.dev)
    assert staff_keys.answer(world.centre, other.dev, request(world, other.dev, CHIEF, 9)).state == "refused"
    with pytest.raises(InputError):
        staff_keys.invite(world.centre, "")


def test_a_new_key_ends_the_old_one_of_the_same_person_on_the_same_device(world: World) -> None:
    """Another person's, and the same person's on another device, go on; all of a person have one pseudonym."""
    desk, other = world.device("desk", "desk"), world.device("other", "desk")
    for dev, person, seed in ((desk.dev, CHIEF, 1), (other.dev, CHIEF, 2), (desk.dev, CLERK, 3), (desk.dev, CHIEF, 4)):
        staff_keys.register(world.centre, dev, request(world, dev, person, seed))
    ended = {each.key: each.ended for each in staff_keys.keys(world.centre.ledger)}
    ids = [SigningKey(bytes([seed]) * 32).id for seed in (1, 2, 3, 4)]
    assert [ended[key_id] for key_id in ids] == ["replaced", "", "", ""]
    assert len({each.pseudonym for each in staff_keys.keys(world.centre.ledger, CHIEF)}) == 1
    assert len({each.pseudonym for each in staff_keys.keys(world.centre.ledger)}) == 2


# -- what a second signature is worth --------------------


def test_two_persons_void_a_task(world: World) -> None:
    """Clerk writes, chief signs too; the centre accepts, and the leaf shows both signatures."""
    desk = shared_desk(world)
    entry = voided(world, desk)
    assert push(world, entry) == "accepted"
    assert world.leaf(-1).changeset.second is not None
    assert world.sync(desk, CLERK).accepted == 1


def test_without_a_second_signature_the_step_is_refused(world: World) -> None:
    """A device that does not ask is refused by the centre."""
    desk = shared_desk(world)
    envelope, body = voided(world, desk)
    alone = sign_statement(parse_changeset(envelope).statement, desk.key_file.key)
    assert push(world, (alone, body)) == "refused:guard"


def test_a_second_signature_that_is_not_good_is_not_taken(world: World) -> None:
    """Wrong key under the right name, another message's, swapped, doubled, three, unknown, cut: no leaf is made."""
    desk = shared_desk(world)
    envelope, body = voided(world, desk)
    changeset = parse_changeset(envelope)
    payload = changeset.envelope.payload
    device, second = changeset.envelope.signatures
    stranger = SigningKey(b"s" * 32)
    foreign = bring(desk).key.sign_typed(CHANGESET_TYPE, payload + b" ")
    size = world.centre.ledger.size
    cases: list[tuple[list[tuple[str, bytes]], type[Exception]]] = [
        ([device, (second[0], stranger.sign_typed(CHANGESET_TYPE, payload))], SignatureError),
        ([device, (second[0], foreign)], SignatureError),
        ([device, (second[0], bytes(64))], SignatureError),
        ([device, (stranger.id, stranger.sign_typed(CHANGESET_TYPE, payload))], UnknownKeyError),
        ([device, (device[0], second[1])], FormatError),
        ([device, device], FormatError),
        ([device, ("", second[1])], FormatError),
        ([second, device], FormatError),
        ([device, second, second], FormatError),
        ([(device[0], second[1]), second], SignatureError),
    ]
    for signatures, error in cases:
        with pytest.raises(error):
            push(world, (format_envelope(CHANGESET_TYPE, payload, signatures), body))
    assert world.centre.ledger.size == size
    assert push(world, (envelope, body)) == "accepted"


def test_another_devices_changeset_cannot_be_sent_with_a_borrowed_signature(world: World) -> None:
    """The second signature is over the statement, which names the device: it fits no other."""
    desk, other = shared_desk(world), world.device("other", "desk", ["101"])
    envelope, body = voided(world, desk)
    st = parse_changeset(envelope).statement
    content = {name: getattr(st, name) for name in st.__struct_fields__}
    theirs = type(st)(**{**content, "dev": other.dev})
    forged = parse_changeset(sign_statement(theirs, other.key_file.key))
    signatures = [forged.envelope.signatures[0], parse_changeset(envelope).envelope.signatures[1]]
    with pytest.raises(SignatureError):
        push(world, (format_envelope(CHANGESET_TYPE, forged.envelope.payload, signatures), body))


def test_the_same_person_twice_is_refused(world: World) -> None:
    """The chief cannot be both; nor can nobody."""
    desk = shared_desk(world)
    key = reported(world, desk)
    signer = bring(desk)
    void(desk, key)
    (done,) = desk.commit(CHIEF).problems
    assert isinstance(done[1], NotAllowedError)
    envelope, body = _forced(desk, CHIEF, signer.key)
    assert push(world, (envelope, body)) == "refused:second"


def _forced(replica: Replica, by: str | None, key: SigningKey) -> Entry:
    """Sign what waits as a device would that asks nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("syncgov.storage.replica.choose_second", lambda *_: staff_file.SecondSigner("?", key))
        patch.setattr(type(replica), "person", lambda *_: by)
        assert not replica.commit().problems
    _seq, envelope, body = own_changesets(replica)[-1]
    return envelope, body


def test_a_colleague_of_another_device_does_not_count(world: World) -> None:
    """A registered key in force, and a person who may not use this device."""
    desk = shared_desk(world)
    other = world.device("other", "desk", ["101"], staff=["X"])
    give_key(world, other, "X")
    stranger = cosigning.unlock(other, "X", PIN)
    key = reported(world, desk)
    void(desk, key)
    assert push(world, _forced(desk, CLERK, stranger.key)) == "refused:second"


@pytest.mark.parametrize(
    ("reason", "days", "verdict"),
    [("lost", 0, "second"), ("misuse", 0, "second"), ("replaced", 1, ""), ("replaced", 15, "second")],
)
def test_a_key_that_ended_while_the_work_was_on_its_way(world: World, reason: str, days: int, verdict: str) -> None:
    """Of a lost key nothing counts that arrives later; of a replaced one what was signed before, for the grace days."""
    desk = shared_desk(world)
    entry = voided(world, desk)
    staff_keys.end(world.centre, CHIEF, reason)
    world.clock.forward(days * DAY_MS)  # type: ignore[attr-defined]
    assert push(world, entry) == (f"refused:{verdict}" if verdict else "accepted")


def test_a_key_that_expired(world: World) -> None:
    """Two years without renewal, as with certificates; nothing is lost on the device."""
    desk = shared_desk(world)
    entry = voided(world, desk)
    renew(world.centre, desk.dev, days=1000)
    world.clock.forward(731 * DAY_MS)  # type: ignore[attr-defined]
    assert push(world, entry) == "refused:second"


# -- leaving --------------------


def test_a_person_who_leaves_is_taken_off_every_device_and_her_keys_end(world: World) -> None:
    """Work on its way counts for the grace days; what is written after the device has heard of it is refused."""
    desk = shared_desk(world)
    alone = world.device("alone", "desk", staff=[CHIEF])
    both = world.device("both", "worker", staff=[CHIEF, "W"])
    insert(both, "task", a_task(title="走前写的"))
    both.commit(CHIEF)
    done = staff_keys.leave(world.centre, CHIEF)
    assert set(done.devices) == {desk.dev, both.dev}
    assert (done.alone, len(done.keys)) == ((alone.dev,), 1)
    found = world.sync(both, "W")
    assert (found.accepted, found.people_left) == (1, [CHIEF])
    with pytest.raises(NotAllowedError):
        both.person(CHIEF)
    assert world.sync(both, "W").people_left == []
    assert world.centre.ledger.certificate(alone.dev, world.centre.ledger.size).staff == (CHIEF,)  # type: ignore[union-attr]
    with pytest.raises(InputError):
        staff_keys.leave(world.centre, "nobody")


def test_what_a_person_writes_after_leaving_is_refused(world: World) -> None:
    """Whoever goes on with a device that has heard of it, by a program that does not ask, is refused."""
    both = world.device("both", "worker", staff=[CHIEF, "W"])
    staff_keys.leave(world.centre, CHIEF)
    world.sync(both, "W")
    insert(both, "task", a_task())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(both), "person", lambda *_: CHIEF)
        both.commit(CHIEF)
    assert world.sync(both, "W").refused == [(1, "refused:person")]


def test_work_that_arrives_after_the_grace_days_is_refused_and_stays_on_the_device(world: World) -> None:
    """It can be sent again by a colleague."""
    both = world.device("both", "worker", staff=[CHIEF, "W"])
    insert(both, "task", a_task())
    both.commit(CHIEF)
    staff_keys.leave(world.centre, CHIEF)
    world.clock.forward(15 * DAY_MS)  # type: ignore[attr-defined]
    assert world.sync(both, "W").refused == [(1, "refused:person")]
    (change,) = status(both).changes
    assert change.why.endswith(f"填报人 {CHIEF}")
    resubmit(both, [1], "W")
    assert world.sync(both, "W").accepted == 1


def test_a_person_is_taken_off_one_device(world: World) -> None:
    """`renew --without`: the others stay, the person's keys on that device end; nobody left is refused."""
    desk, other = shared_desk(world), shared_desk(world, "other")
    done = renew(world.centre, desk.dev, without=[CHIEF])
    assert done.people == (CLERK,)
    ended = {each.device: each.ended for each in staff_keys.keys(world.centre.ledger)}
    assert ended == {desk.dev: "left", other.dev: ""}
    for gone in ([CHIEF], [CLERK]):
        with pytest.raises(InputError):
            renew(world.centre, desk.dev, without=gone)


def test_ending_keys_needs_one_that_is_in_use(world: World) -> None:
    """Else the administrator has mistaken the person."""
    shared_desk(world)
    assert len(staff_keys.end(world.centre, CHIEF, "lost")) == 1
    with pytest.raises(InputError):
        staff_keys.end(world.centre, CHIEF, "lost")
    with pytest.raises(InputError):
        staff_keys.end(world.centre, CLERK, "lost")


def test_an_extension_after_the_deadline_is_refused_by_the_centre(world: World) -> None:
    """The device says so before it signs; one that does not ask is refused."""
    desk = world.device("desk", "desk", ["101"], staff=[CLERK])
    key = reported(world, desk)
    update(desk, "task", key, state="accepted", due="2026-11-17")
    world.sync(desk, CLERK)
    update(desk, "task", key, due="2026-12-17")
    ((_row, error),) = desk.commit(CLERK).problems
    assert isinstance(error, NotAllowedError)
    assert "2026-11-17" in error.zh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("syncgov.storage.replica.require_in_time", lambda *_: None)
        desk.commit(CLERK)
    assert world.sync(desk, CLERK).refused == [(2, "refused:guard")]
