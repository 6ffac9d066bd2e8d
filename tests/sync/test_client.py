"""A device against centres that lie, lines that are cut, and its own wrong clock."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncgov.core import wire
from syncgov.core.canonical import b64, b64u
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, sign_checkpoint, verify_checkpoint
from syncgov.core.statement import CHANGESET_TYPE, format_envelope, format_leaf, parse_leaf
from syncgov.core.tree import MemoryTree, consistency_path, inclusion_path, leaf_hash
from syncgov.errors import (
    CommitmentError,
    ForkError,
    FormatError,
    NotAllowedError,
    ProofError,
    RemoteError,
    RollbackError,
    SignatureError,
    StorageError,
    SyncgovError,
    TransportError,
)
from syncgov.storage.keyfile import key_path, load_key
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from syncgov.sync import client, joining
from syncgov.sync.transport import HttpTransport
from tests.helpers import AREA, DAY_MS, NOW_MS, URL, ManualClock, World, a_task, everything, insert, row, served, update

Answer = wire.PullAnswer


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre, a worker's device, and a desk that has something to pull."""
    with World.make(tmp_path) as found:
        pen, desk = found.device("pen"), found.device("desk", "desk", (AREA,))
        for number in range(5):
            insert(pen, "task", a_task(title=f"第{number}件"))
        found.sync(pen)
        assert desk.seen.size < found.centre.ledger.size
        yield found


@pytest.fixture
def desk(world: World) -> Replica:
    """The device that is lied to."""
    return world.replicas["desk"]


def lie(world: World, change: Callable[[Answer], Answer | None]) -> None:
    """Let the answer to every pull be changed on its way; None leaves it."""

    def tamper(path: str, body: bytes) -> bytes:
        if path != "/v1/pull":
            return body
        answer = wire.parse_message(body, Answer, "answer")
        return wire.format_message(change(answer) or answer)

    world.wire.tamper = tamper


def refused(world: World, desk: Replica, error: type[SyncgovError], change: Callable[[Answer], Answer | None]) -> None:
    """Assert that the lie raises exactly *error*, changes nothing in the replica, and that the truth still works."""
    before = everything(desk)
    lie(world, change)
    with pytest.raises(SyncgovError) as caught:
        world.sync(desk)
    assert type(caught.value) is error, caught.value
    assert caught.value.zh
    assert everything(desk) == before
    world.wire.reset()
    assert world.sync(desk).received == 5
    assert desk.seen.size == world.centre.ledger.size


def with_first(**members: Any) -> Callable[[Answer], Answer]:
    """Return a lie about the first entry of a page."""

    def change(answer: Answer) -> Answer:
        first = msgspec.structs.replace(answer.entries[0], **members)
        return msgspec.structs.replace(answer, entries=[first, *answer.entries[1:]])

    return change


class Liar:
    """An operator who signs what he likes: the real log key over another history."""

    def __init__(self, world: World, drop: int | None = None, replace: tuple[int, bytes] | None = None) -> None:
        self.leaves = [leaf.raw for leaf in world.leaves()]
        if drop is not None:
            del self.leaves[drop]
        if replace is not None:
            self.leaves[replace[0]] = replace[1]
        self.tree = MemoryTree(map(leaf_hash, self.leaves))
        self.key = load_key(world.folder / "centre" / "keys" / "log.key").key
        self.origin = world.centre.charter.origin

    def answer(self, honest: Answer, size: int) -> Answer:
        """Return the honest answer in terms of the other history, with proofs that fit it."""
        entries = [
            msgspec.structs.replace(
                entry,
                leaf=msgspec.Raw(self.leaves[entry.index]),
                path=[b64(h) for h in inclusion_path(entry.index, self.tree.size, self.tree.get)],
            )
            for entry in honest.entries
            if entry.index < self.tree.size
        ]
        return msgspec.structs.replace(
            honest,
            checkpoint=sign_checkpoint(Checkpoint(self.origin, self.tree.size, self.tree.root()), self.key),
            consistency=[b64(h) for h in consistency_path(size, self.tree.size, self.tree.get)],
            entries=entries,
            next=self.tree.size,
            target=self.tree.size,
        )


# -- a lying centre --------------------


def test_a_shrunk_log(world: World, desk: Replica) -> None:
    """An older checkpoint, however well signed."""
    old = world.centre.ledger.root(3)
    key = load_key(world.folder / "centre" / "keys" / "log.key").key
    checkpoint = sign_checkpoint(Checkpoint(world.centre.charter.origin, 3, old), key)
    answer = {"checkpoint": checkpoint, "target": 3, "next": 3, "entries": [], "consistency": []}
    refused(world, desk, RollbackError, lambda a: msgspec.structs.replace(a, **answer))


def test_a_forked_log(world: World, desk: Replica) -> None:
    """A past entry replaced, everything signed and proven anew: not what this device has seen."""
    index = desk.seen.size - 1
    leaf = parse_leaf(world.leaf(index).raw)
    other = format_leaf(leaf.changeset.envelope.raw, floor=leaf.floor, received=leaf.received + 1, verdict=leaf.verdict)
    liar = Liar(world, replace=(index, other))
    refused(world, desk, ForkError, lambda a: liar.answer(a, desk.seen.size))


def test_a_forked_log_of_the_same_size(world: World, desk: Replica) -> None:
    """Nothing new, but another root."""
    world.sync(desk)
    before = everything(desk)
    index = desk.seen.size - 1
    leaf = world.leaf(index)
    other = format_leaf(leaf.changeset.envelope.raw, floor=leaf.floor, received=leaf.received, verdict="refused:area")
    liar = Liar(world, replace=(index, other))
    lie(world, lambda a: liar.answer(a, desk.seen.size))
    with pytest.raises(ForkError):
        world.sync(desk)
    assert everything(desk) == before


@pytest.mark.parametrize("lie_about_the_key", [False, True])
def test_a_forged_changeset(world: World, desk: Replica, lie_about_the_key: bool) -> None:
    """The operator writes in a device's name with a key of his own, logs it, signs the log and proves it."""
    forger = SigningKey(b"f" * 32)
    leaf = world.leaf(-5)
    payload = leaf.changeset.envelope.payload
    signature = (leaf.changeset.statement.dev, forger.sign_typed(CHANGESET_TYPE, payload))
    envelope = format_envelope(CHANGESET_TYPE, payload, [signature])
    other = format_leaf(envelope, floor=leaf.floor, received=leaf.received, verdict=leaf.verdict)
    liar = Liar(world, replace=(world.centre.ledger.size - 5, other))

    def change(answer: Answer) -> Answer:
        forged = liar.answer(answer, desk.seen.size)
        keys = {leaf.changeset.statement.dev: b64u(forger.public)}
        alone = [each for each in forged.entries if bytes(each.leaf) == other]
        assert len(alone) == 1
        return msgspec.structs.replace(forged, keys=keys, entries=alone) if lie_about_the_key else forged

    refused(world, desk, SignatureError, change)


def test_a_verdict_changed_afterwards(world: World, desk: Replica) -> None:
    """The leaf says what the log does not."""
    forged = bytes(world.leaf(-5).raw).replace(b'"accepted"', b'"refused:area"')
    refused(world, desk, ProofError, with_first(leaf=msgspec.Raw(forged)))


def test_wrong_proofs(world: World, desk: Replica) -> None:
    """Another path, a path too short, another index, no consistency."""
    refused(world, desk, ProofError, with_first(path=[b64(bytes(32))]))


def test_no_path(world: World, desk: Replica) -> None:
    """A leaf without proof is not in the log."""
    refused(world, desk, ProofError, with_first(path=[]))


def test_another_index(world: World, desk: Replica) -> None:
    """A leaf stands where it stands."""
    refused(world, desk, ProofError, with_first(index=desk.seen.size + 1))


def test_no_consistency(world: World, desk: Replica) -> None:
    """Without a proof the log did not grow from what was seen."""
    refused(world, desk, ForkError, lambda a: msgspec.structs.replace(a, consistency=[]))


def test_a_wrong_body(world: World, desk: Replica) -> None:
    """The body of another changeset."""

    def swap(answer: Answer) -> Answer:
        one, two, *rest = answer.entries
        swapped = [msgspec.structs.replace(one, body=two.body), msgspec.structs.replace(two, body=one.body)]
        return msgspec.structs.replace(answer, entries=[*swapped, *rest])

    refused(world, desk, CommitmentError, swap)


def test_a_changed_value(world: World, desk: Replica) -> None:
    """A value of a field changed by whoever carried it."""

    def change(answer: Answer) -> Answer:
        body = bytes(answer.entries[0].body)
        changed = body.replace("件".encode(), "个".encode())
        assert changed != body
        return with_first(body=msgspec.Raw(changed))(answer)

    refused(world, desk, CommitmentError, change)


def test_a_body_withheld(world: World, desk: Replica) -> None:
    """`null` stands for own changesets only."""
    refused(world, desk, ProofError, with_first(body=msgspec.Raw(b"null")))


def test_a_wrong_key(world: World, desk: Replica) -> None:
    """A key under another device's id, and no key."""
    other = b64u(SigningKey(b"x" * 32).public)
    pen = world.replicas["pen"].dev
    refused(world, desk, SignatureError, lambda a: msgspec.structs.replace(a, keys={pen: other}))


def test_no_key(world: World, desk: Replica) -> None:
    """Without the key nothing can be checked, so nothing is taken."""
    refused(world, desk, SignatureError, lambda a: msgspec.structs.replace(a, keys={}))


def test_a_checkpoint_of_somebody_else(world: World, desk: Replica) -> None:
    """Signed by another key, or for another log."""
    root = world.centre.ledger.root(world.centre.ledger.size)
    checkpoint = Checkpoint(world.centre.charter.origin, world.centre.ledger.size, root)
    forged = sign_checkpoint(checkpoint, SigningKey(b"x" * 32))
    refused(world, desk, SignatureError, lambda a: msgspec.structs.replace(a, checkpoint=forged))


def test_a_target_without_checkpoint(world: World, desk: Replica) -> None:
    """The size to fold up to must be signed."""
    refused(world, desk, ProofError, lambda a: msgspec.structs.replace(a, target=a.target - 1))


def test_an_answer_that_leads_nowhere(world: World, desk: Replica) -> None:
    """A centre that never lets a pull end is noticed, not obeyed for ever."""
    asked = []

    def circle(answer: Answer) -> Answer:
        asked.append(answer)
        assert len(asked) < 20, "the device asks for ever"
        return msgspec.structs.replace(answer, next=desk.seen.size, entries=[])

    lie(world, circle)
    with pytest.raises(SyncgovError):
        world.sync(desk)


def test_an_answer_that_is_none(world: World, desk: Replica) -> None:
    """Cut JSON, HTML of some gateway, nothing."""
    before = everything(desk)
    for body in (b"", b"<html>login</html>", b'{"checkpoint":"', b"[]", b"\xff"):
        world.wire.tamper = lambda path, good, body=body: body if path == "/v1/pull" else good
        with pytest.raises(FormatError):
            world.sync(desk)
        assert everything(desk) == before


def test_what_a_push_answers_settles_nothing(world: World) -> None:
    """`logged` without a leaf and its proof is only what the centre says: the changeset is pushed again."""
    pen = world.replicas["pen"]
    insert(pen, "task", a_task(title="不见了"))

    def tamper(path: str, body: bytes) -> bytes:
        if path == "/v1/push":
            result = wire.PushResult(seq=6, state="logged", index=3, verdict="accepted")
            return wire.format_message(wire.PushAnswer("no checkpoint at all", [result]))
        return body

    honest, world.wire.tamper = world.wire.tamper, tamper
    done = world.sync(pen)
    assert done.accepted == 1  # by the pull's proof
    assert pen.conn.execute("SELECT idx FROM _sg_own WHERE seq = 6").fetchone()[0] > 3
    world.wire.tamper = honest


def test_a_changeset_that_is_said_to_be_logged_and_withheld_is_noticed(world: World) -> None:
    """The centre acknowledged it below the size that it now proves, and does not give the leaf."""
    pen = world.replicas["pen"]
    insert(pen, "task", a_task(title="不见了"))
    lie(
        world,
        lambda a: msgspec.structs.replace(a, entries=[e for e in a.entries if pen.dev.encode() not in bytes(e.leaf)]),
    )
    with pytest.raises(ForkError, match="withholds"):
        world.sync(pen)
    assert [title for (title,) in pen.conn.execute("SELECT title FROM task WHERE title = '不见了'")] == ["不见了"]
    assert own_changesets(pen)


# -- lines --------------------


@pytest.mark.parametrize("cut_answer", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4])  # nonce, two pushes, pull
def test_a_cut_connection(world: World, monkeypatch: pytest.MonkeyPatch, at: int, cut_answer: bool) -> None:
    """Cut before or after any request: an error that says what to do; the next sync finishes, nothing is doubled."""
    monkeypatch.setattr(client, "PUSH_BATCH", 2)
    pen = world.replicas["pen"]
    for number in range(4):
        insert(pen, "task", a_task(title=f"又{number}件"))
    world.wire.reset()
    world.wire.cut_at, world.wire.cut_answer = at, cut_answer
    with pytest.raises(TransportError) as caught:
        world.sync(pen)
    assert "sync" in caught.value.zh
    world.wire.reset()
    world.sync(pen)
    mine = [leaf for leaf in world.leaves() if leaf.changeset.statement.dev == pen.dev]
    assert [leaf.changeset.statement.seq for leaf in mine] == list(range(1, 10))
    assert {leaf.verdict for leaf in mine} == {"accepted"}
    assert not pen.conn.execute("SELECT * FROM _sg_own WHERE idx IS NULL").fetchall()


def test_an_interrupted_pull_goes_on_where_it_stopped(
    world: World, desk: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that came are not asked for again, the size counts only when all are there, nothing comes twice."""
    monkeypatch.setattr(client, "PULL_LIMIT", 2)
    seen = desk.seen
    asked: list[int] = []
    world.wire.reset()
    world.wire.cut_at = 3  # nonce, first page, cut
    with pytest.raises(TransportError):
        world.sync(desk)
    assert desk.seen == seen
    pen = world.replicas["pen"]
    world.wire.reset()
    insert(pen, "task", a_task(title="中途来的"))
    world.sync(pen)
    lie(world, lambda answer: asked.extend(entry.index for entry in answer.entries))
    world.sync(desk)
    assert len(asked) == len(set(asked)) == 3
    assert desk.conn.execute("SELECT count(*) FROM task").fetchone() == (5,)
    assert desk.seen.size == world.centre.ledger.size - 1
    assert world.sync(desk).received == 1
    assert desk.seen.size == world.centre.ledger.size


def test_an_edit_after_an_interrupted_pull(world: World, desk: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever shows in the tables may be edited at any time: the edit counts, in order, without a conflict."""
    monkeypatch.setattr(client, "PULL_LIMIT", 2)
    world.sync(desk)
    pen = world.replicas["pen"]
    keys = [key for (key,) in pen.conn.execute("SELECT id FROM task ORDER BY id")]
    for key in keys:
        update(pen, "task", key, title="一改")
        pen.commit()
    world.sync(pen)
    world.wire.reset()
    world.wire.cut_at = 3
    with pytest.raises(TransportError):
        world.sync(desk)
    world.wire.reset()
    shown = [key for (key,) in desk.conn.execute("SELECT id FROM task WHERE title = '一改'")]
    for key in shown or keys[:1]:
        update(desk, "task", key, title="二改")
    done = [world.sync(desk), world.sync(desk)]
    assert [each.refused for each in done] == [[], []]
    assert sum(each.accepted for each in done) == max(1, len(shown))


def test_a_write_between_two_pages(world: World, desk: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes while pages come in: it is signed before they are merged, and nothing else was seen."""
    world.sync(desk)
    pen = world.replicas["pen"]
    (key,) = pen.conn.execute("SELECT min(id) FROM task").fetchone()
    for number in range(5):
        update(pen, "task", key, urgency=number)
        pen.commit()
    world.sync(pen)
    monkeypatch.setattr(client, "PULL_LIMIT", 2)
    pages: list[int] = []

    def writing(path: str, body: bytes) -> bytes:
        if path == "/v1/pull":
            pages.append(len(body))
            if len(pages) == 2:
                update(desk, "task", key, title="边收边写")
        return body

    world.wire.tamper = writing
    world.sync(desk)
    assert len(pages) > 2
    world.wire.reset()
    assert world.sync(desk).accepted == 1
    found = row(desk, "task", key)
    assert found is not None
    assert (found["title"], found["urgency"]) == ("边收边写", 4)
    assert not desk.conn.execute("SELECT * FROM conflict").fetchall()


def test_a_centre_that_is_not_there(world: World, desk: Replica) -> None:
    """Nothing listens: the error names the address and keeps everything."""
    before = everything(desk)
    with pytest.raises(TransportError):
        client.sync(desk, url="http://127.0.0.1:9")
    assert everything(desk) == before


def test_a_centre_restarted_between_two_requests(world: World) -> None:
    """Nonces of the old process are no good any more; the transport takes a fresh one by itself."""
    pen = world.replicas["pen"]
    transport = world.transport(pen)
    ask = wire.Pull(pen.seen.size, 10, pen.seen.size, 0)
    transport.post("/v1/pull", ask, Answer)
    assert isinstance(world.clock, ManualClock)
    world.clock.forward(DAY_MS)
    transport.post("/v1/pull", ask, Answer)


def test_problems_have_their_classes(world: World, desk: Replica) -> None:
    """What the centre refuses is told apart: not allowed, another problem, busy."""
    with pytest.raises(NotAllowedError):
        _post(world, desk, "/v1/join", wire.sign_join("ABCD", "x", desk.key_file.key))
    with pytest.raises(RemoteError) as caught:
        _post(world, desk, "/v1/pull", wire.Pull(99, 1, 99, 0))
    assert (caught.value.problem, caught.value.status) == ("rollback", 409)


def _post(world: World, desk: Replica, path: str, message: msgspec.Struct) -> None:
    if path == "/v1/join":
        message = wire.sign_join("ABCD", world.centre.charter.origin, desk.key_file.key)
    world.transport(desk).post(path, message, Answer)


# -- joining --------------------


def test_join_is_not_repeated_over_a_replica(world: World, desk: Replica) -> None:
    """A file that is there is not written over."""
    with world.line(), pytest.raises(StorageError):
        joining.join(desk.path, URL, world.code("worker"))


def test_a_join_that_was_cut_goes_on(world: World, tmp_path: Path) -> None:
    """The key is kept; with the same code the same certificate comes back."""
    code, path = world.code("worker"), tmp_path / "late.db"
    world.wire.reset()
    world.wire.cut_at, world.wire.cut_answer = 2, True
    with world.line(), pytest.raises(TransportError):
        joining.join(path, URL, code)
    assert not path.exists()
    key = load_key(key_path(path)).key.id
    size = world.centre.ledger.size
    world.wire.reset()
    with world.line():
        late = joining.join(path, URL, code)
    world.replicas["late"] = late
    assert late.dev == key
    assert world.centre.ledger.size == size
    world.sync(late)
    assert late.roles == {"worker"}


@pytest.mark.parametrize("what", ["charter", "checkpoint", "entry"])
def test_a_join_to_a_liar(world: World, tmp_path: Path, what: str) -> None:
    """Another charter, a checkpoint by another key, another's certificate: no replica is made."""
    other = world.leaf(-1)

    def tamper(path: str, body: bytes) -> bytes:
        if path == "/v1/charter" and what == "charter":
            return body.replace(b'"sig":"', b'"sig":"AAAA', 1)
        if path != "/v1/join":
            return body
        answer = wire.parse_message(body, wire.JoinAnswer, "answer")
        if what == "checkpoint":
            found = verify_checkpoint(answer.checkpoint, world.centre.charter.log)
            return wire.format_message(wire.JoinAnswer(sign_checkpoint(found, SigningKey(bytes(32))), answer.entry))
        if what == "entry":
            entry = msgspec.structs.replace(answer.entry, leaf=msgspec.Raw(other.raw))
            return wire.format_message(wire.JoinAnswer(answer.checkpoint, entry))
        return body

    world.wire.tamper = tamper
    path = tmp_path / "victim.db"
    with world.line(), pytest.raises((FormatError, SignatureError, ProofError)):
        joining.join(path, URL, world.code("worker"))
    assert not path.exists()


# -- clocks, and the real thing --------------------


@pytest.mark.parametrize("wrong", [-NOW_MS, 365 * DAY_MS])
def test_wrong_clocks_are_accepted(world: World, desk: Replica, wrong: int) -> None:
    """1970 and next year: accepted, effective within the receipts, and an honest later edit wins."""
    broken = world.device("broken", clock=ManualClock(NOW_MS + wrong))
    assert isinstance(world.clock, ManualClock)
    world.clock.forward(60_000)
    key = insert(broken, "task", a_task(title="钟不准"))
    broken.conn.execute("UPDATE _sg_touched SET at = ?", (broken.clock(),))
    assert world.sync(broken).accepted == 1
    leaf = world.leaf(-1)
    assert leaf.floor <= leaf.effective[0] <= leaf.received
    world.sync(desk)
    world.clock.forward(60_000)
    update(desk, "task", key, title="钟准")
    assert world.sync(desk).accepted == 1
    world.sync(broken)
    found = row(broken, "task", key)
    assert found is not None
    assert found["title"] == "钟准"
    assert not broken.conn.execute("SELECT * FROM conflict").fetchall()


def test_the_same_over_real_http(tmp_path: Path) -> None:
    """A centre in a process of its own, on loopback: join, write, sync, receive."""
    with World.make(tmp_path) as made:
        codes = [made.code("worker"), made.code("desk", (AREA,))]
    with served(tmp_path / "centre") as url:
        pen = joining.join(tmp_path / "pen.db", url, codes[0])
        desk = joining.join(tmp_path / "desk.db", url, codes[1])
        with pen, desk:
            client.sync(pen)
            key = insert(pen, "task", a_task(secret="内情"))
            done = client.sync(pen)
            assert (done.signed, done.pushed, done.accepted) == (1, 1, 1)
            client.sync(desk)
            assert row(desk, "task", key) == row(pen, "task", key)
            transport = HttpTransport(url)
            assert verify_checkpoint(transport.get("/v1/checkpoint").decode(), pen.charter.log).size == done.size
            transport.close()
