"""What is killed, and what must hold afterwards: one line of `SCENARIOS` each.

Every check opens the folder again, as after a restart, does the work once more and lets `whole` look at everything.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from syncgov.audit.audit import audit
from syncgov.centre import bundles, hiding
from syncgov.centre.copy import SecondCopy
from syncgov.centre.intake import authenticate
from syncgov.core.canonical import b64u
from syncgov.core.keys import SigningKey
from syncgov.core.merge import ERASED
from syncgov.core.note import parse_checkpoint, parse_note
from syncgov.core.statement import parse_leaf
from syncgov.errors import StorageError
from syncgov.fsck.check import fsck
from syncgov.publish import publish as publishing
from syncgov.storage.keyfile import load_key, store_key
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from syncgov.storage.state import field_state, load_row
from syncgov.sync import joining
from syncgov.sync.bundle import pack, receive
from syncgov.sync.bundle_join import accept_invitation, is_joining, pack_join, receive_first
from tests.audit.street import build_street, write_portal
from tests.erasing import CANARY, assert_folds_agree
from tests.helpers import AREA, EAST, URL, ManualClock, World, a_task, insert, new_key, tables, update
from tests.leaks import holders

Acknowledge = Callable[[Any], None]
TITLES = ("一", "二")


@dataclass(frozen=True)
class Scenario:
    """Work that a death may cut short.

    Attributes:
        part: the files that count have this in their path. prepare: makes the folder.
        act: does the work, and says what was acknowledged to somebody. check: gets the folder and what was said;
            what it returns must be the same whenever the process died. at_least: kills of a whole matrix.
        sample: kills of each kind in the ordinary tests.
    """

    part: str
    prepare: Callable[[Path], None]
    act: Callable[[Path, Acknowledge], None]
    check: Callable[[Path, Sequence[Any]], object]
    at_least: int
    sample: int = 1


@contextmanager
def reopened(folder: Path) -> Iterator[World]:
    """Open the centre and the devices of a folder."""
    with World(folder, clock=ManualClock()) as world:
        for path in sorted(folder.glob("*.db")):
            world.reopen(path.stem)
        yield world


def remember(world: World) -> None:
    """Note the tree that everybody has seen; it may only grow."""
    ledger = world.centre.ledger
    (world.folder / "before.json").write_text(json.dumps([ledger.size, b64u(ledger.root(ledger.size))]))


def whole(world: World) -> None:
    """Assert that nothing is lost, double or shorter: both copies, the tree, the dots; the devices follow the log."""
    ledger = world.centre.ledger
    size, root = json.loads((world.folder / "before.json").read_text())
    assert ledger.size >= size
    assert b64u(ledger.root(size)) == root
    assert parse_checkpoint(parse_note(ledger.meta.get("checkpoint")).text).size == ledger.size
    copy = SecondCopy(world.centre.path / "copy.log")
    assert list(copy.read()) == [(leaf, body) for _index, leaf, body in ledger.entries(0, ledger.size)]
    copy.close()
    leaves = [parse_leaf(leaf) for _index, leaf, _body in ledger.entries(0, ledger.size)]
    dots = [leaf.changeset.statement.dot for leaf in leaves]
    assert len(dots) == len(set(dots))
    for dev in {dev for dev, _seq in dots}:
        assert [seq for each, seq in dots if each == dev] == list(range(1, sum(each == dev for each, _ in dots) + 1))
    assert "refused:fork" not in {leaf.verdict for leaf in leaves}
    for replica in world.replicas.values():
        assert b64u(ledger.root(replica.seen.size)) == replica.seen.root
        assert replica.key_file.seq <= replica.meta.get_int("last_seq")
    assert [
        f for path in (world.centre.path, *(r.path for r in world.replicas.values())) for f in fsck(path).findings
    ] == []


def delivered(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Sync `pen` after the restart, and assert that every title arrived once; returns the device's tables."""
    with reopened(folder) as world:
        pen = world.replicas["pen"]
        done = world.sync(pen)
        assert (done.refused, done.rejected, done.problems) == ([], [], [])
        assert not pen.has_unsigned()
        assert not pen.conn.execute("SELECT seq FROM _sg_own WHERE idx IS NULL").fetchall()
        found = [title for (title,) in world.centre.ledger.conn.execute("SELECT title FROM task ORDER BY title")]
        assert len(found) == len(set(found))
        assert {*TITLES} <= {*found}
        assert {*TITLES} <= {title for (title,) in pen.conn.execute("SELECT title FROM task")}
        whole(world)
        return tables(pen)


# -- the device --------------------


def street(base: Path) -> World:
    """Return a world with the device `pen` on which two rows, each with a child, wait to be signed."""
    world = World.make(base)
    pen = world.device("pen")
    for number, title in enumerate(TITLES):
        insert(pen, "task", {"id": new_key(number), **a_task(title=title)})
        insert(pen, "contact", {"id": new_key(10 + number), "task_id": new_key(number), "phone": "000-0000001"})
    remember(world)
    return world


def unsigned(base: Path) -> None:
    """Two records wait."""
    street(base).close()


def transformed(base: Path) -> None:
    """They wait in a table that another program has rebuilt, without triggers and checks."""
    unsigned(base)
    program = [sys.executable, "-m", "sqlite_utils", "transform", str(base / "pen.db"), "task"]
    subprocess.run([*program, "--default", "title", "x"], check=True)


def signed(base: Path) -> None:
    """Two changesets wait to be pushed."""
    with street(base) as world:
        world.replicas["pen"].commit()


def disputed(base: Path) -> None:
    """The desk has changed what the pen changes too."""
    with street(base) as world:
        pen, desk = world.replicas["pen"], world.device("desk", "desk", (AREA,))
        world.sync(pen)
        world.sync(desk)
        update(desk, "task", new_key(0), kind="a", secret="内情")
        update(desk, "task", new_key(1), kind="b")
        world.sync(desk)
        update(pen, "task", new_key(1), kind="c", urgency=2)  # a conflict
        insert(pen, "task", {"id": new_key(3), **a_task(title="四")})
        remember(world)


def commit(folder: Path, acknowledge: Acknowledge) -> None:
    """Sign what waits on the device `pen`."""
    with Replica.open(folder / "pen.db", clock=ManualClock()) as pen:
        for seq, _record in pen.commit().signed:
            acknowledge(seq)


def check_commit(folder: Path, acknowledged: Sequence[Any]) -> object:
    """Either nothing is signed or everything is; the rows are in their tables in both cases."""
    with Replica.open(folder / "pen.db") as pen:
        count = pen.conn.execute("SELECT count(*) FROM _sg_own").fetchone()[0]
        assert count in (0, 2)
        assert count >= len(acknowledged)
        assert pen.has_unsigned() == (count == 0)
        assert pen.meta.get_int("last_seq") == count
    found = delivered(folder)
    with Replica.open(folder / "pen.db") as pen:
        triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'task'"
        assert pen.conn.execute(triggers).fetchone() == (3,)
    return found


def sync(folder: Path, acknowledge: Acknowledge) -> None:
    """Sign, push and merge on the device `pen`."""
    with reopened(folder) as world:
        acknowledge(world.sync(world.replicas["pen"]).size)


def check_sync(folder: Path, acknowledged: Sequence[Any]) -> object:
    """What was folded stays folded; in the end every device has what it would have had without the death."""
    with Replica.open(folder / "pen.db") as pen:
        assert pen.seen.size >= max(acknowledged, default=0)
    return delivered(folder)


def restored(base: Path) -> None:
    """The replica is last night's copy; its key file, and the centre, remember more."""
    with street(base) as world:
        pen = world.replicas["pen"]
        pen.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(pen.path, base / "night")
        world.sync(pen)
        remember(world)
    (base / "night").replace(base / "pen.db")


def check_recovery(folder: Path, acknowledged: Sequence[Any]) -> object:
    """The rows that the copy thought unsigned are signed again under new numbers only where they differ."""
    check_sync(folder, acknowledged)
    return None


def keys(base: Path) -> None:
    """A key file."""
    base.mkdir()
    store_key(base / "pen.db.key", SigningKey(b"k" * 32), 0, "")


def write_keys(folder: Path, acknowledge: Acknowledge) -> None:
    """Let it remember later and later signatures."""
    for seq in (1, 2, 3):
        store_key(folder / "pen.db.key", SigningKey(b"k" * 32), seq, f"hash {seq}")
        acknowledge(seq)


def check_keys(folder: Path, acknowledged: Sequence[Any]) -> object:
    """The key is there, whole, and its memory is never behind what was sent."""
    found = load_key(folder / "pen.db.key")
    assert found.key.seed == b"k" * 32
    assert found.seq >= max(acknowledged, default=0)
    assert found.hash == (f"hash {found.seq}" if found.seq else "")
    assert (folder / "pen.db.key").stat().st_mode & 0o777 == 0o600
    return None


# -- the centre --------------------


def push(folder: Path, acknowledge: Acknowledge) -> None:
    """Push the changesets of `pen` one by one at the centre."""
    with reopened(folder) as world:
        for _seq, envelope, body in own_changesets(world.replicas["pen"]):
            one = authenticate(world.centre.ledger, envelope, body)
            (outcome,) = world.centre.push([one])
            acknowledge([one.changeset.statement.seq, outcome.index, outcome.verdict])


def check_push(folder: Path, acknowledged: Sequence[Any]) -> object:
    """What was acknowledged is in the log at the index that was named, in both copies, below a signed checkpoint."""
    with reopened(folder) as world:
        whole(world)
        for seq, index, verdict in acknowledged:
            leaf = world.centre.ledger.leaf(index)
            assert (leaf.changeset.statement.dot, leaf.verdict) == ((world.replicas["pen"].dev, seq), verdict)
    return delivered(folder)


def published(base: Path) -> None:
    """A street that was published, and has worked since."""
    base.mkdir()
    build_street(base)
    with reopened(base) as world:
        world.centre.write("notice", [("n3", {"text": "通知三"})])
        remember(world)


def publish(folder: Path, acknowledge: Acknowledge) -> None:
    """Publish anew. The portal, a process of its own, is replaced by one that writes its pages here."""
    with reopened(folder) as world, mock.patch.object(publishing, "_build_portal", _pages):
        acknowledge(publishing.publish(world.centre, folder / "out").checkpoint.size)


def _pages(new: Path, _address: str) -> None:
    import sqlite3

    conn = sqlite3.connect(new / "public.db")
    figures = dict(conn.execute("SELECT id, text FROM figure"))
    conn.close()
    write_portal(new, figures["task_all"], figures["task_rate"])


def check_publish(folder: Path, acknowledged: Sequence[Any]) -> object:
    """The folder is the old one or the new one and never a mixture; its audit is whole; the next publication works.

    Most deaths leave one of few states; each is looked at once.
    """
    out = folder / "out"
    with reopened(folder) as world:
        whole(world)
        size = world.centre.ledger.size
    if out.exists():
        log = parse_checkpoint(parse_note((out / "log/checkpoint").read_text()).text)
        assert log.size >= max(acknowledged, default=0)
    state = (_digest(out), size, tuple(sorted(path.name[: len(".out.new")] for path in folder.glob(".out.*"))))
    if state not in _LOOKED_AT:
        if out.exists():
            _assert_audited(folder)
        publish(folder, lambda _size: None)
        _assert_audited(folder)
        assert [path.name for path in folder.glob(".out.*")] == [".out.lock"]
        _LOOKED_AT.add(state)
    return None


_LOOKED_AT: set[tuple[str, int, tuple[str, ...]]] = set()


def _digest(out: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(out.rglob("*")):
        found.update(f"{path.relative_to(out)} ".encode() + (path.read_bytes() if path.is_file() else b""))
    return found.hexdigest()


def _assert_audited(folder: Path) -> None:
    report = audit(folder / "out", folder / "centre" / "charter.json")
    assert report.ok, report.findings


# -- by file --------------------


def carried(base: Path) -> None:
    """A bundle for the centre, with two changesets."""
    with street(base) as world:
        pen = world.replicas["pen"]
        pen.meta.set(recipient=bundles.recipient_note(world.centre))
        (base / "to-centre").write_bytes(pack(pen).data)


def answered(base: Path) -> None:
    """The reply is here: two verdicts, and what the desk has done."""
    with street(base) as world:
        pen, desk = world.replicas["pen"], world.device("desk", "desk", (AREA,))
        insert(desk, "task", {"id": new_key(7), **a_task(title="七")})
        world.sync(desk)
        pen.meta.set(recipient=bundles.recipient_note(world.centre))
        (base / "to-device").write_bytes(bundles.receive(world.centre, pack(pen).data).reply)
        remember(world)


def pack_bundle(folder: Path, acknowledge: Acknowledge) -> None:
    """Sign, remember and pack on the device."""
    with Replica.open(folder / "pen.db", clock=ManualClock()) as pen:
        pen.meta.set(recipient=(folder / "recipient").read_text())
        acknowledge(pack(pen).last)


def before_pack(base: Path) -> None:
    """Two rows wait, and the centre has said to whom to seal."""
    with street(base) as world:
        (base / "recipient").write_text(bundles.recipient_note(world.centre))


def check_pack(folder: Path, acknowledged: Sequence[Any]) -> object:
    """No byte leaves the device before the key file knows of it."""
    with Replica.open(folder / "pen.db") as pen:
        assert max(acknowledged, default=0) <= pen.key_file.seq <= pen.meta.get_int("last_seq")
    return delivered(folder)


def receive_at_centre(folder: Path, acknowledge: Acknowledge) -> None:
    """Take what a carrier brought."""
    with reopened(folder) as world:
        for result in bundles.receive(world.centre, (folder / "to-centre").read_bytes()).results:
            acknowledge([result.seq, result.index, result.verdict])


def receive_at_device(folder: Path, acknowledge: Acknowledge) -> None:
    """Take the reply."""
    with Replica.open(folder / "pen.db", clock=ManualClock()) as pen:
        acknowledge(receive(pen, (folder / "to-device").read_bytes()).done.size)


def check_received(folder: Path, acknowledged: Sequence[Any]) -> object:
    """Taking it again brings the device to the same place."""
    with Replica.open(folder / "pen.db", clock=ManualClock()) as pen:
        assert pen.seen.size >= max(acknowledged, default=0)
        receive(pen, (folder / "to-device").read_bytes())
    return delivered(folder)


# -- joining --------------------


def invited(base: Path) -> None:
    """A code was told, an invitation carried."""
    with World.make(base) as world:
        (base / "code").write_text(world.code("worker", (EAST,)))
        (base / "invitation").write_bytes(bundles.invitation(world.centre))
        remember(world)


def join(folder: Path, acknowledge: Acknowledge) -> None:
    """Join over the network."""
    code = (folder / "code").read_text()
    with (
        reopened(folder) as world,
        world.line(),
        joining.join(folder / "pen.db", URL, code, clock=ManualClock()) as pen,
    ):
        acknowledge(pen.dev)


def check_join(folder: Path, acknowledged: Sequence[Any]) -> object:
    """Whoever cannot open the replica joins again with the same code; there is one device with one key."""
    try:
        Replica.open(folder / "pen.db").close()
    except StorageError:
        assert not acknowledged
        join(folder, acknowledged.append if isinstance(acknowledged, list) else print)
    _works(folder, acknowledged)
    return None


def _works(folder: Path, acknowledged: Sequence[Any]) -> None:
    """Assert that the device that joined is the one that was told, and that it can work."""
    with reopened(folder) as world:
        pen = world.replicas["pen"]
        assert [*acknowledged] in ([], [pen.dev])
        world.sync(pen)
        insert(pen, "task", a_task(title="新"))
        assert world.sync(pen).accepted == 1
        found = world.centre.ledger.conn.execute("SELECT count(*) FROM _sg_row WHERE tbl = 'device'").fetchone()
        assert found == (1,)
        whole(world)


def ask_to_join(folder: Path, acknowledge: Acknowledge) -> None:
    """Take the invitation and make the request."""
    accept_invitation(folder / "pen.db", (folder / "invitation").read_bytes(), (folder / "code").read_text())
    data = pack_join(folder / "pen.db").data
    acknowledge(load_key(folder / "pen.db.key").key.id)
    (folder / "to-centre").write_bytes(data)


def check_asked(folder: Path, acknowledged: Sequence[Any]) -> object:
    """Asking again is with the same key."""
    ask_to_join(folder, lambda _dev: None)
    with reopened(folder) as world:
        reply = bundles.receive(world.centre, (folder / "to-centre").read_bytes()).reply
        with receive_first(folder / "pen.db", reply, clock=ManualClock())[0] as pen:
            pen.meta.set(url=URL)
    _works(folder, acknowledged)
    return None


def asked(base: Path) -> None:
    """The reply to a request is here."""
    invited(base)
    ask_to_join(base, lambda _dev: None)
    with reopened(base) as world:
        (base / "to-device").write_bytes(bundles.receive(world.centre, (base / "to-centre").read_bytes()).reply)


def receive_joined(folder: Path, acknowledge: Acknowledge) -> None:
    """Make the replica from the reply."""
    with receive_first(folder / "pen.db", (folder / "to-device").read_bytes(), clock=ManualClock())[0] as pen:
        acknowledge(pen.dev)


def check_joined(folder: Path, acknowledged: Sequence[Any]) -> object:
    """Taking the reply again ends in the same replica, and it can make bundles."""
    if is_joining(folder / "pen.db"):
        receive_joined(folder, lambda _dev: None)
    else:
        receive_at_device(folder, lambda _size: None)
    with Replica.open(folder / "pen.db", clock=ManualClock()) as pen:
        assert pack(pen).data
        pen.meta.set(url=URL)
    _works(folder, acknowledged)
    return None


# -- erasing --------------------


def written(base: Path) -> None:
    """The title of the first record holds the canary, at the centre and on the device."""
    with street(base) as world:
        pen = world.replicas["pen"]
        update(pen, "task", new_key(0), title=CANARY)
        world.sync(pen)
        remember(world)


def erase_title(folder: Path, acknowledge: Acknowledge) -> None:
    """Erase it at the centre."""
    with reopened(folder) as world:
        acknowledge(hiding.erase(world.centre, "task", new_key(0), ["title"], "request").writes)


def check_erased(folder: Path, acknowledged: Sequence[Any]) -> object:
    """The order is in the log with all its consequences after the next start, or nothing has happened."""
    with reopened(folder) as world:
        ledger = world.centre.ledger
        raw = load_row(ledger.conn, ("task", new_key(0))).fields["title"]
        done = {head.value for head in field_state(raw).heads} == {ERASED}
        assert done or not acknowledged
        assert_folds_agree(ledger)
        assert ledger.conn.execute("SELECT count(*) FROM _sg_scrub").fetchone() == (0,)
        assert ledger.meta.get_int("scrub") == 0
        whole(world)
    assert _holds(folder, "centre") == (not done)
    if not done:
        erase_title(folder, lambda _count: None)
    return None


def told(base: Path) -> None:
    """The centre has erased it; the device has not heard."""
    written(base)
    erase_title(base, lambda _count: None)
    with reopened(base) as world:
        remember(world)


def check_told(folder: Path, acknowledged: Sequence[Any]) -> object:
    """It knows the value and has not heard, or has lost it; the next sync finishes what was begun."""
    with reopened(folder) as world:
        pen = world.replicas["pen"]
        world.sync(pen)
        assert pen.meta.get_int("scrub") == 0
        assert not pen.has_unsigned()
        assert pen.conn.execute("SELECT title FROM task WHERE id = ?", (new_key(0),)).fetchone() == (None,)
        whole(world)
    assert not _holds(folder, "pen")
    return None


def _holds(folder: Path, below: str) -> bool:
    """Whether a file below a folder, or with a name that begins so, holds the canary."""
    files = [p for p in folder.rglob("*") if p.is_file() and str(p.relative_to(folder)).startswith(below)]
    return bool(holders([CANARY], files)[CANARY])


SCENARIOS = {
    "commit": Scenario("pen.db", unsigned, commit, check_commit, 60),
    "commit of a rebuilt table": Scenario("pen.db", transformed, commit, check_commit, 100),
    "merge": Scenario("pen.db", disputed, sync, check_sync, 150),
    "recovery": Scenario("pen.db", restored, sync, check_recovery, 100),
    "key file": Scenario("pen.db", keys, write_keys, check_keys, 12),
    "intake": Scenario("centre", signed, push, check_push, 150),
    "publish": Scenario("", published, publish, check_publish, 1000),
    "pack": Scenario("pen.db", before_pack, pack_bundle, check_pack, 60),
    "receive at the centre": Scenario("centre", carried, receive_at_centre, check_push, 150),
    "receive at the device": Scenario("pen.db", answered, receive_at_device, check_received, 100),
    "join": Scenario("pen.db", invited, join, check_join, 40),
    "ask to join by file": Scenario("pen.db", invited, ask_to_join, check_asked, 8),
    "join by file": Scenario("pen.db", asked, receive_joined, check_joined, 60),
    "erase": Scenario("centre", written, erase_title, check_erased, 150),
    "hear of an erasure": Scenario("pen.db", told, sync, check_told, 100),
}
