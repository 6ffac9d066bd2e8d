"""A log closed by the roots: devices go on with the next one and lose nothing, acknowledged or not."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from syncgov.audit.audit import audit
from syncgov.centre import bundles
from syncgov.centre.backup import backup
from syncgov.centre.chartering import Changes, replace_charter
from syncgov.centre.closing import Closed, close_log, next_origin
from syncgov.centre.restore import Sources, restore
from syncgov.core.canonical import b64u
from syncgov.core.charter import open_charter, sign_charter
from syncgov.core.keys import SigningKey
from syncgov.errors import ForkError, InputError, NotAllowedError, RemoteError, TransportError
from syncgov.fsck import fsck
from syncgov.publish.publish import publish
from syncgov.storage.rebasing import rebase
from syncgov.storage.replica import Replica
from syncgov.storage.status import status
from syncgov.sync import bundle, reenrolment
from tests.helpers import AREA, ORIGIN, WEST, World, a_task, everything, insert, row, tables, update
from tests.recovering import assert_sound, burn, revive, root_keys, titles, work


class Street:
    """A street whose last night's backup is all that is left; the devices know more."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.world = World.make(folder / "w")
        self.pen, self.desk = self.world.device("pen"), self.world.device("desk", "desk", (AREA,))
        self.west = self.world.device("west", areas=[WEST])
        work(self.world, self.pen, "一")
        self.world.sync(self.desk)
        shutil.copy(self.world.centre.path / "charter.json", folder / "first.json")
        self.backup = folder / "night.backup"
        backup(self.world.centre.path, self.backup, 0)
        self.kept = self.world.centre.ledger.size
        (self.second,) = work(self.world, self.pen, "二", "三")[:1]
        self.world.sync(self.desk)
        update(self.desk, "task", self.second, kind="b", secret="内情")
        self.world.sync(self.desk)
        insert(self.pen, "task", a_task(title="四"))
        self.pen.commit()  # signed on top of what is going to be lost, not sent
        publish(self.world.centre, folder / "old", portal=False)
        self.world.sync(self.west)
        self.size = self.world.centre.ledger.size
        self.centre = self.world.centre.path
        self.roots = root_keys(self.centre)

    def close(self, *devices: Replica) -> Closed:
        """Lose everything but the backup, close the log, and open the next one."""
        burn(self.world)
        restore(self.centre, self.backup, Sources(devices=[replica.path for replica in devices]), to_close=True)
        done = close_log(self.centre, self.roots, clock=self.world.clock)
        self.world = revive(self.world)
        return done


def dots_of(replica: Replica) -> list[tuple[int, str | None]]:
    """Return (seq, verdict) of all that a device signed."""
    return replica.conn.execute("SELECT seq, verdict FROM _sg_own ORDER BY seq").fetchall()


def test_devices_lose_nothing_when_a_log_is_closed(tmp_path: Path) -> None:
    """Acknowledged and pending work is in the next log after one sync each, under the same numbers."""
    street = Street(tmp_path)
    signed = [seq for seq, _verdict in dots_of(street.pen)]
    before = tables(street.desk)["task"]
    done = street.close()
    assert (done.closed, done.origin, done.kept) == (ORIGIN, next_origin(ORIGIN), street.kept)
    world = street.world
    sent = world.sync(street.pen)
    assert (sent.refused, sent.rejected, sent.pushed) == ([], [], 3)
    assert titles(street.pen) == ["一", "三", "二", "四"]
    sent = world.sync(street.desk)
    assert (sent.refused, sent.rejected, sent.pushed) == ([], [], 1)
    found = row(street.desk, "task", street.second)
    assert found is not None
    assert (found["kind"], found["secret"]) == ("b", "内情")
    assert [line for line in tables(street.desk)["task"] if line[1] != "四"][: len(before)]
    assert set(before) <= set(tables(street.desk)["task"])
    assert dots_of(street.pen) == [(seq, "accepted") for seq in signed]
    for replica in (street.pen, street.desk):
        world.sync(replica)
        assert replica.charter == world.centre.charter
    work(world, street.pen, "五")
    world.sync(street.desk)
    assert titles(street.desk) == titles(street.pen)
    assert not street.desk.conn.execute("SELECT * FROM conflict").fetchall()
    assert_sound(world)
    world.close()


def test_old_and_new_log_are_audited(tmp_path: Path) -> None:
    """The old folder still holds; the new one begins with it, and says what was closed and lost."""
    street = Street(tmp_path)
    closed = street.close(street.west)  # it knows what was signed, and may not see what was lost
    assert (closed.kept, closed.lost) == (street.kept, street.size - street.kept)
    world = street.world
    for replica in (street.pen, street.desk, street.pen):
        world.sync(replica)
    publish(world.centre, tmp_path / "new", portal=False)
    for name in ("old", "new"):
        (tmp_path / name / "portal").mkdir()
    old = audit(tmp_path / "old", tmp_path / "first.json")
    new = audit(tmp_path / "new", tmp_path / "first.json", replica=street.pen.path)
    assert {finding.code for finding in (*old.findings, *new.findings)} <= {"portal"}
    assert old.notes == []
    assert [closed.root in en for _zh, en in new.notes] == [True]
    assert new.counts["lost"] == closed.lost
    checkpoint = str(tmp_path / "old" / "log" / "checkpoint")
    assert not audit(tmp_path / "new", None, since=checkpoint).has("since")
    world.close()


def test_an_auditor_with_a_later_checkpoint_contradicts_a_closing_that_hides_it(tmp_path: Path) -> None:
    """Roots that say fewer entries were signed than somebody holds a checkpoint for are found out."""
    street = Street(tmp_path)
    street.close()  # nobody told the operator what was signed since the backup
    publish(street.world.centre, tmp_path / "new", portal=False)
    report = audit(tmp_path / "new", tmp_path / "first.json", since=str(tmp_path / "old" / "log" / "checkpoint"))
    assert report.has("since")
    street.world.close()


def test_a_closing_that_the_roots_did_not_sign_is_not_followed(tmp_path: Path) -> None:
    """A centre that closes its log on its own convinces no device, and nothing on the device changes."""
    street = Street(tmp_path)
    street.close()
    charters = [each.raw for each in street.world.centre.ledger.charters.of_log]
    thief = SigningKey(bytes([9]) * 32)
    own = msgspec.structs.replace(open_charter(charters[-1]), roots=[b64u(thief.public)])
    before = everything(street.pen)
    with pytest.raises(NotAllowedError):
        rebase(street.pen, [charters[0], sign_charter(own, [thief])])
    assert everything(street.pen) == before
    assert not rebase(street.pen, charters[:1])
    assert everything(street.pen) == before
    street.world.close()


def test_an_interrupted_rebase_goes_on(tmp_path: Path) -> None:
    """Cut at each request, every other one after it had its effect: the next whole sync brings everything home once."""
    street = Street(tmp_path)
    street.close()
    street.world.close()
    cuts = 0
    for number in range(2, 40):
        shutil.copytree(street.centre.parent, tmp_path / str(number))
        with World(tmp_path / str(number), clock=street.world.clock) as world:
            pen, desk = world.reopen("pen"), world.reopen("desk")
            world.wire.cut_at, world.wire.cut_answer = number, number % 2 == 1
            try:
                world.sync(pen)
            except TransportError:
                cuts += 1
            else:
                break
            assert titles(pen) == ["一", "三", "二", "四"]
            insert(pen, "task", a_task(title="断"))
            pen.commit()
            assert fsck(pen.path).findings == []
            world.wire.reset()
            done = world.sync(pen)
            world.sync(desk)
            assert (done.refused, done.rejected) == ([], [])
            assert titles(pen) == titles(desk) == ["一", "三", "二", "四", "断"]
            assert_sound(world)
    assert cuts >= 5


def test_work_on_top_of_what_another_device_lost_waits_for_a_person(tmp_path: Path) -> None:
    """If the other device comes later, the changeset is refused with its values kept, never silently dropped."""
    street = Street(tmp_path)
    street.close()
    done = street.world.sync(street.desk)  # before the pen, whose task it changed, is back
    assert len(done.refused) == 1
    found = status(street.desk, "zh")
    assert [(label, value) for change in found.changes for label, value in change.values if value == "内情"]
    street.world.sync(street.pen)
    street.world.sync(street.desk)
    assert "二" in titles(street.desk)
    assert_sound(street.world)
    street.world.close()


def test_a_device_whose_enrolment_was_lost_enrols_again(tmp_path: Path) -> None:
    """It joined after the backup: `rejoin` brings all its work home under a new key."""
    street = Street(tmp_path)
    late = street.world.device("late")
    work(street.world, late, "新来的")
    street.close()
    with pytest.raises(RemoteError, match="unknown-device"):
        street.world.sync(late)
    assert late.charter == street.world.centre.charter
    late.close()
    code = street.world.code("worker")
    with street.world.line():
        again = reenrolment.rejoin(tmp_path / "w" / "late.db", code, clock=street.world.clock)
    assert again.synced is not None
    assert not again.synced.refused
    late = street.world.reopen("late")
    assert "新来的" in titles(late)
    street.world.sync(street.desk)
    assert "新来的" in titles(street.desk)
    street.world.close()


def test_a_leaf_that_was_kept_cannot_be_exchanged(tmp_path: Path) -> None:
    """What was pulled before the closing is compared with what is pulled after it."""
    street = Street(tmp_path)
    street.close()
    street.pen.conn.execute("UPDATE _sg_leaf SET leaf = x'00' WHERE idx = 1")
    with pytest.raises(ForkError):
        street.world.sync(street.pen)
    street.world.close()


def test_bundles_follow_with_a_new_invitation(tmp_path: Path) -> None:
    """A bundle for the closed log is refused by name; after the new invitation nothing is lost."""
    pytest.importorskip("pyrage")
    street = Street(tmp_path)
    bundle.receive(street.pen, bundles.invitation(street.world.centre))
    late = bundle.pack(street.pen)
    backup(street.world.centre.path, tmp_path / "later.backup", 0)  # it holds the age key
    (tmp_path / "later.backup").replace(street.backup)
    work(street.world, street.pen, "末")
    insert(street.pen, "task", a_task(title="路上"))
    street.close()
    with pytest.raises(InputError, match="closed log"):
        bundles.receive(street.world.centre, late.data)
    assert bundle.receive(street.pen, bundles.invitation(street.world.centre)).state == "recipient"
    for _round in (1, 2):
        reply = bundles.receive(street.world.centre, bundle.pack(street.pen).data)
        bundle.receive(street.pen, reply.reply)
    assert not street.pen.conn.execute("SELECT seq FROM _sg_own WHERE verdict IS NOT 'accepted'").fetchall()
    street.world.sync(street.desk)
    assert titles(street.desk) == ["一", "三", "二", "四", "末", "路上"]
    assert_sound(street.world)
    street.world.close()


def test_an_invitation_after_several_charters_still_serves(tmp_path: Path) -> None:
    """A new charter of the same log is followed when it is pulled; an invitation tells the recipient alone."""
    pytest.importorskip("pyrage")
    with World.make(tmp_path / "w") as world:
        pen = world.device("pen")
        for days in (3, 4):
            replace_charter(world.centre, Changes(grace_days=days), root_keys(world.centre.path))
        assert bundle.receive(pen, bundles.invitation(world.centre)).state == "recipient"
        bundle.receive(pen, bundles.receive(world.centre, bundle.pack(pen).data).reply)
        assert pen.charter == world.centre.charter
        assert_sound(world)


def test_a_log_is_closed_twice(tmp_path: Path) -> None:
    """The third log continues the second; a device that slept through both follows in one sync."""
    street = Street(tmp_path)
    street.close()
    street.world.sync(street.pen)
    street.world.close()
    again = close_log(street.centre, street.roots, clock=street.world.clock)
    assert (again.origin, again.lost) == (f"{ORIGIN}/3", 0)
    street.world = revive(street.world)
    for name in ("pen", "desk"):
        replica = street.world.reopen(name)
        done = street.world.sync(replica)
        assert (done.refused, done.rejected) == ([], [])
    assert titles(street.world.replicas["desk"]) == ["一", "三", "二", "四"]
    assert len(json.loads(street.world.replicas["pen"].meta.get("closed"))) == 2
    assert_sound(street.world)
    street.world.close()


def test_closing_needs_the_roots_and_another_name(tmp_path: Path) -> None:
    """Too few roots, a stranger's key, or a name used before: nothing is closed."""
    street = Street(tmp_path)
    street.world.close()
    with pytest.raises(NotAllowedError):
        close_log(street.centre, [SigningKey(bytes(32))], clock=street.world.clock)
    with pytest.raises(InputError):
        close_log(street.centre, street.roots, origin=ORIGIN, clock=street.world.clock)
    street.world = revive(street.world)
    assert street.world.centre.charter.origin == ORIGIN
    street.world.close()
