"""Intake: order, repetition, forks, revocation, time; and what is stored where before anything is answered."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.centre import intake
from syncgov.centre.centre import Centre
from syncgov.centre.copy import SecondCopy
from syncgov.centre.intake import Outcome, authenticate
from syncgov.core.canonical import b64u
from syncgov.core.commitment import make_body, open_body
from syncgov.core.keys import SigningKey
from syncgov.core.note import verify_checkpoint
from syncgov.core.statement import (
    CHANGESET_TYPE,
    Seen,
    format_envelope,
    format_statement,
    parse_changeset,
    sign_statement,
)
from syncgov.core.tree import root_of_inputs
from syncgov.errors import (
    CommitmentError,
    LimitError,
    SignatureError,
    StorageError,
    UnknownDeviceError,
    UnknownKeyError,
)
from syncgov.storage import ledger_view
from syncgov.storage.keyfile import key_path
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from tests.helpers import AREA, DAY_MS, EAST, WEST, ManualClock, World, a_task, insert, row, update

Entry = tuple[bytes, bytes]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre without devices."""
    with World.make(tmp_path) as found:
        yield found


@pytest.fixture
def pen(world: World) -> Replica:
    """A worker's device."""
    return world.device("pen")


def write(replica: Replica, *titles: str) -> list[Entry]:
    """Write and sign a task a title; returns the (envelope, body) of all that wait."""
    for title in titles:
        insert(replica, "task", a_task(title=title))
        replica.commit()
    return [(envelope, body) for _seq, envelope, body in own_changesets(replica)]


def push(world: World, *entries: Entry) -> list[Outcome]:
    """Push authentic entries."""
    return world.centre.push([authenticate(world.centre.ledger, *entry) for entry in entries])


def verdicts(world: World, replica: Replica) -> list[tuple[int, str]]:
    """Return (seq, verdict) of a device's leaves, in log order."""
    found = [(leaf.changeset.statement, leaf.verdict) for leaf in world.leaves()]
    return [(st.seq, verdict) for st, verdict in found if st.dev == replica.dev]


def resigned(replica: Replica, entry: Entry, **members: object) -> Entry:
    """Return the entry with other members of its statement, signed again by the device itself."""
    st = parse_changeset(entry[0]).statement
    content = {name: getattr(st, name) for name in st.__struct_fields__}
    return sign_statement(type(st)(**{**content, **members}), replica.key_file.key), entry[1]


# -- authentic or not --------------------


def test_what_is_not_authentic_is_refused_before_the_log(world: World, pen: Replica) -> None:
    """An unknown device, another's signature, a second signature by nobody knows whom, another body."""
    one, two = write(pen, "一", "二")
    st = parse_changeset(one[0]).statement
    stranger = SigningKey(b"s" * 32)
    ledger = world.centre.ledger
    foreign = sign_statement(
        type(st)(**{**{n: getattr(st, n) for n in st.__struct_fields__}, "dev": stranger.id}), stranger
    )
    with pytest.raises(UnknownDeviceError):
        authenticate(ledger, foreign, one[1])
    with pytest.raises(UnknownKeyError):
        authenticate(ledger, sign_statement(st, pen.key_file.key, stranger), one[1])
    forged = one[0].replace(b'"sig":"', b'"sig":"AAAA')
    with pytest.raises(Exception, match="malformed"):
        authenticate(ledger, forged, one[1])
    with pytest.raises(CommitmentError):
        authenticate(ledger, one[0], two[1])


# -- order and repetition --------------------


def test_a_successor_waits_for_its_predecessor(world: World, pen: Replica) -> None:
    """Third, second, first: two wait without a leaf, then all three are logged in the order of the chain."""
    one, two, three = write(pen, "一", "二", "三")
    size = world.centre.ledger.size
    assert push(world, three, two) == [Outcome(None, None)] * 2
    assert world.centre.ledger.size == size
    assert push(world, one) == [Outcome(size, "accepted")]
    assert verdicts(world, pen) == [(1, "accepted"), (2, "accepted"), (3, "accepted")]
    assert world.centre.ledger.conn.execute("SELECT count(*) FROM _sg_waiting").fetchone() == (0,)
    assert world.sync(pen).accepted == 3


def test_waiting_survives_a_restart(world: World, pen: Replica) -> None:
    """What waits is in the database, not in memory."""
    one, two = write(pen, "一", "二")
    push(world, two)
    with_restart = Centre(world.folder / "centre", clock=world.clock)
    with_restart.push([authenticate(with_restart.ledger, *one)])
    with_restart.close()
    assert verdicts(world, pen) == [(1, "accepted"), (2, "accepted")]


def test_waiting_has_a_limit(world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device cannot fill the centre with successors of nothing."""
    monkeypatch.setattr(intake, "MAX_WAITING", 2)
    entries = write(pen, "一", "二", "三", "四")
    push(world, *entries[2:])
    with pytest.raises(LimitError):
        push(world, entries[1])
    push(world, entries[0])
    push(world, entries[1])
    assert verdicts(world, pen) == [(n, "accepted") for n in (1, 2, 3, 4)]


def test_waiting_has_a_limit_in_bytes(world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few large ones fill a disk as well as many small ones."""
    entries = write(pen, "一", "二", "三", "四")
    monkeypatch.setattr(intake, "MAX_WAITING_BYTES", sum(map(len, entries[2])) + len(entries[3][1]) - 1)
    push(world, entries[2])
    with pytest.raises(LimitError):
        push(world, entries[3])
    push(world, *entries)
    assert verdicts(world, pen) == [(n, "accepted") for n in (1, 2, 3, 4)]


def test_an_edit_of_many_rows_reads_what_it_replaces_once(
    world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large changeset over a large one: its body is parsed a few times, not once for each of its writes."""
    key = insert(pen, "task", a_task())
    for number in range(120):
        insert(pen, "contact", {"task_id": key, "name": "张" * 40, "phone": f"000-{number}"})
    world.sync(pen)
    pen.conn.execute("UPDATE contact SET name = '李'")
    world.centre.ledger.forget()
    parsed: list[int] = []
    real = open_body
    monkeypatch.setattr(ledger_view, "open_body", lambda *given: parsed.append(1) or real(*given))  # type: ignore[func-returns-value]
    assert world.sync(pen).accepted == 1
    assert 1 <= len(parsed) <= 3


def test_an_edit_over_several_large_changesets_reads_each_once(
    world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and numbers came in different large changesets: an edit of both does not parse them in turn, row by row."""
    key = insert(pen, "task", a_task())
    for number in range(60):
        insert(pen, "contact", {"task_id": key, "name": "张" * 80, "phone": f"000-{number}"})
    world.sync(pen)
    pen.conn.execute("UPDATE contact SET name = ?", ("李" * 80,))
    world.sync(pen)
    pen.conn.execute("UPDATE contact SET name = '王', phone = '0'")
    world.centre.ledger.forget()
    parsed: list[int] = []
    real = open_body
    monkeypatch.setattr(ledger_view, "open_body", lambda *given: parsed.append(1) or real(*given))  # type: ignore[func-returns-value]
    assert world.sync(pen).accepted == 1
    assert 2 <= len(parsed) <= 6


def test_the_same_twice_is_the_same_answer(world: World, pen: Replica) -> None:
    """Repeated, in another batch, out of order: each entry has one leaf."""
    entries = write(pen, "一", "二", "三")
    first = push(world, *entries)
    size = world.centre.ledger.size
    assert push(world, *entries[::-1]) == first[::-1]
    assert push(world, entries[1], entries[1]) == [first[1]] * 2
    assert world.centre.ledger.size == size


def test_a_batch_is_judged_one_after_the_other(world: World) -> None:
    """One refused changeset does not take its neighbours with it."""
    pen = world.device("pen")
    for title, place in (("好", EAST), ("不在本区", WEST), ("也好", EAST)):
        insert(pen, "task", a_task(title=title, place=place))
        pen.commit()
    done = world.sync(pen)
    assert (done.accepted, done.refused) == (2, [(2, "refused:area")])
    titles = {title for (title,) in world.centre.ledger.conn.execute("SELECT title FROM task")}
    assert titles == {"好", "也好"}


def test_what_stands_on_a_refused_changeset_is_judged_by_itself(world: World) -> None:
    """A refusal is a leaf: the chain has no hole, and its successors go on."""
    desk, pen = world.device("desk", "desk", (AREA,)), world.device("pen")
    key = insert(pen, "task", a_task())
    world.sync(pen)
    world.sync(desk)
    update(desk, "task", key, tags='["x"]')
    desk.commit()
    update(desk, "task", key, title="新")
    desk.commit()
    world.sync(desk)
    assert verdicts(world, desk) == [(1, "refused:role"), (2, "accepted")]


# -- forks --------------------


def clone(world: World, pen: Replica) -> Replica:
    """Return a second device with the same file and the same key, as a backup program makes it."""
    target = world.folder / "clone.db"
    with sqlite3.connect(target) as conn:
        pen.conn.backup(conn)
    conn.close()
    shutil.copy(key_path(pen.path), key_path(target))
    return world.reopen("clone")


def test_the_second_of_a_dot_is_a_fork(world: World, pen: Replica) -> None:
    """A cloned device: the first to arrive counts, the second is kept as evidence, and the device is stopped."""
    other = clone(world, pen)
    first = write(pen, "原件")
    second = write(other, "副本")
    later = write(other, "副本又写")[1:]
    assert push(world, *first)[0].verdict == "accepted"
    assert push(world, *second)[0].verdict == "refused:fork"
    assert push(world, *later)[0].verdict == "refused:revoked"
    assert push(world, *write(pen, "原件又写")[1:])[0].verdict in ("refused:revoked", "refused:fork")
    assert push(world, *first)[0].verdict == "accepted"  # known already
    titles = {title for (title,) in world.centre.ledger.conn.execute("SELECT title FROM task")}
    assert titles == {"原件"}
    evidence = [leaf for leaf in world.leaves() if leaf.verdict == "refused:fork"]
    assert evidence[0].changeset.envelope.raw == second[0][0]


def test_another_past_is_a_fork(world: World, pen: Replica) -> None:
    """The next number with another `prev`: two histories under one name."""
    one, two = write(pen, "一", "二")
    push(world, one)
    assert push(world, resigned(pen, two, prev=b64u(bytes(32))))[0].verdict == "refused:fork"
    assert push(world, two)[0].verdict in ("refused:revoked", "refused:fork")


def test_a_first_changeset_with_another_past_is_a_fork(world: World, pen: Replica) -> None:
    """Also the first one must continue the enrolment; the device is stopped, and its dot is not given twice."""
    (one,) = write(pen, "一")
    assert push(world, resigned(pen, one, prev=b64u(bytes(32))))[0].verdict == "refused:fork"
    assert push(world, one)[0].verdict != "accepted"
    assert not [verdict for _seq, verdict in verdicts(world, pen) if verdict == "accepted"]


def test_a_fork_does_not_wait(world: World, pen: Replica) -> None:
    """A waiting changeset whose predecessor turns out to be another one is a fork when its turn comes."""
    other = clone(world, pen)
    one, _two = write(pen, "一", "二")
    _other_one, other_two = write(other, "甲", "乙")
    push(world, other_two)
    push(world, one)
    assert verdicts(world, pen) == [(1, "accepted"), (2, "refused:fork")]


# -- what the device had seen --------------------


def test_a_past_that_this_log_does_not_have(world: World, pen: Replica) -> None:
    """`seen` beyond the log, or with another root, or smaller than before in the chain."""
    one, two = write(pen, "一", "二")
    size = world.centre.ledger.size
    root = b64u(world.centre.ledger.root(size))
    assert push(world, resigned(pen, one, seen=Seen(root, size + 7)))[0].verdict == "refused:over"
    prev = world.leaf(-1).changeset.envelope.hash
    assert push(world, resigned(pen, two, prev=prev, seen=Seen(b64u(bytes(32)), size)))[0].verdict == "refused:over"


def test_a_shrinking_past(world: World, pen: Replica) -> None:
    """Whoever has seen 6 leaves has not seen only 5 afterwards."""
    one, two = write(pen, "一", "二")
    assert push(world, one)[0].verdict == "accepted"
    seen = parse_changeset(one[0]).statement.seen.size
    smaller = Seen(b64u(world.centre.ledger.root(seen - 1)), seen - 1)
    assert push(world, resigned(pen, two, seen=smaller))[0].verdict == "refused:over"


# -- revoked, expired, reassigned --------------------


def test_a_revoked_device(world: World, pen: Replica) -> None:
    """What arrives after the revocation is refused and visible; what arrived before stands."""
    one, two = write(pen, "一", "二")
    push(world, one)
    world.centre.write("device", [(pen.dev, {"reason": "lost", "last_good_seq": 1})])
    assert push(world, two)[0].verdict == "refused:revoked"
    assert verdicts(world, pen) == [(1, "accepted"), (2, "refused:revoked")]


def test_an_expired_device(world: World, pen: Replica) -> None:
    """Validity counts by the centre's receipt, so the device's clock does not matter."""
    one, two = write(pen, "一", "二")
    assert isinstance(world.clock, ManualClock)
    world.clock.forward(729 * DAY_MS)
    assert push(world, one)[0].verdict == "accepted"
    world.clock.forward(2 * DAY_MS)
    assert push(world, two)[0].verdict == "refused:expired"
    world.centre.write("device", [(pen.dev, {"valid_to": world.clock.now + DAY_MS})])
    assert push(world, *write(pen, "三")[2:])[0].verdict == "accepted"


@pytest.mark.parametrize(("days", "verdict"), [(14, "accepted"), (15, "refused:area")])
def test_honest_work_of_a_reassigned_worker(world: World, days: int, verdict: str) -> None:
    """Written in the old area before the device heard of it: counts while the days of grace last."""
    pen = world.device("pen")
    (one,) = write(pen, "在东边写的")
    world.centre.write("device", [(pen.dev, {"areas": [WEST]})])
    assert isinstance(world.clock, ManualClock)
    world.clock.forward(days * DAY_MS)
    assert push(world, one)[0].verdict == verdict


def test_the_new_area_counts_at_once(world: World) -> None:
    """After the sync in which the device heard of it, the old area is not its any more."""
    pen = world.device("pen")
    world.centre.write("device", [(pen.dev, {"areas": [WEST]})])
    world.sync(pen)
    for place in (WEST, EAST):
        insert(pen, "task", a_task(place=place))
        pen.commit()
    world.sync(pen)
    assert dict(verdicts(world, pen)) == {1: "accepted", 2: "refused:area"}


def test_an_old_register_set(world: World, pen: Replica) -> None:
    """Work written under the declarations at `seen` is judged by these; a claim of other ones is refused."""
    one, two = write(pen, "一", "二")
    text = world.centre.ledger.registers(world.centre.ledger.size)["notice"].text.replace("version: 1", "version: 2")
    world.centre.write("register", [("notice", {"text": text})])
    assert push(world, one)[0].verdict == "accepted"
    new = b64u(world.centre.ledger.registers(world.centre.ledger.size).digest)
    assert push(world, resigned(pen, two, reg=new))[0].verdict == "refused:register"


def test_a_time_with_another_offset_breaks_nothing(world: World, pen: Replica) -> None:
    """What the register's type allows and the table does not must not stop the centre."""
    insert(pen, "task", a_task(seen_at="2026-11-20T10:00:00+08:00"))
    pen.commit()
    ((envelope, raw),) = write(pen)
    st = parse_changeset(envelope).statement
    writes = [w for _position, w in open_body(raw, st).disclosed()]
    tokyo = "2026-11-20T11:00:00+09:00"
    whole = [w._replace(value=tokyo) if w.path.endswith("/seen_at") else w for w in writes]
    raw, body = make_body(whole[: st.pub], whole[st.pub :], bytes(32))
    (outcome,) = push(world, resigned(pen, (envelope, raw), root=b64u(root_of_inputs(body.digests))))
    assert outcome.verdict in ("accepted", "refused:value")
    stored = world.centre.ledger.conn.execute("SELECT seen_at FROM task").fetchall()
    assert stored == ([(tokyo,)] if outcome.verdict == "accepted" else [])


# -- second copy, checkpoint --------------------


def test_everything_is_in_the_second_copy_before_the_checkpoint(world: World, pen: Replica) -> None:
    """Leaf and body of every entry, in log order."""
    push(world, *write(pen, "一", "二"))
    ledger = world.centre.ledger
    copy = SecondCopy(world.folder / "centre" / "copy.log")
    copied = list(copy.read())
    copy.close()
    assert copied == [(leaf, body) for _index, leaf, body in ledger.entries(0, ledger.size)]
    checkpoint = verify_checkpoint(ledger.meta.get("checkpoint"), world.centre.charter.log)
    assert (checkpoint.size, checkpoint.root) == (ledger.size, ledger.root(ledger.size))


def test_a_copy_that_was_cut_is_completed_at_the_next_start(world: World, pen: Replica) -> None:
    """A power loss within the last record: the database has it still."""
    push(world, *write(pen, "一", "二"))
    path = world.folder / "centre" / "copy.log"
    whole = path.read_bytes()
    assert len(whole) > 2000
    for cut in (1, 100, 2000):
        path.write_bytes(whole[:-cut])
        Centre(world.folder / "centre", clock=world.clock).close()
        assert path.read_bytes() == whole


def test_an_older_database_is_not_served(tmp_path: Path) -> None:
    """A centre restored from a backup would sign a second history; it does not start."""
    with World.make(tmp_path) as world:
        folder, clock = world.centre.path, world.clock
        with sqlite3.connect(tmp_path / "backup.db") as conn:
            world.centre.ledger.conn.backup(conn)
        conn.close()
        world.centre.write("notice", [("n", {"text": "停水"})])
    for suffix in ("", "-wal", "-shm"):
        (folder / f"central.db{suffix}").unlink(missing_ok=True)
    shutil.move(tmp_path / "backup.db", folder / "central.db")
    with pytest.raises(StorageError, match="older than its second copy"):
        Centre(folder, clock=clock)


def test_the_registrar_cannot_be_impersonated(world: World, pen: Replica) -> None:
    """A worker's key under the registrar's name does not verify."""
    ((envelope, body),) = write(pen, "一")
    st = parse_changeset(envelope).statement
    content = {**{name: getattr(st, name) for name in st.__struct_fields__}, "dev": world.centre.registrar.id}
    payload = format_statement(type(st)(**content))
    signature = pen.key_file.key.sign_typed(CHANGESET_TYPE, payload)
    fake = format_envelope(CHANGESET_TYPE, payload, [(world.centre.registrar.id, signature)])
    with pytest.raises(SignatureError):
        authenticate(world.centre.ledger, fake, body)


def test_a_row_of_a_refused_changeset_is_nowhere(world: World, pen: Replica) -> None:
    """Not in the central table, not on another device, not in the own table; its values are kept for the author."""
    desk = world.device("desk", "desk", (AREA,))
    key = insert(pen, "task", a_task(place=WEST))
    world.sync(pen)
    world.sync(desk)
    assert row(desk, "task", key) is None
    assert row(pen, "task", key) is None
    assert world.centre.ledger.conn.execute("SELECT count(*) FROM task").fetchone() == (0,)
    assert pen.conn.execute("SELECT verdict FROM _sg_own").fetchall() == [("refused:area",)]
