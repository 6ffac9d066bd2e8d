"""Erasing at the centre and on devices: gone everywhere, nobody else's fields change, nothing brings it back."""

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from syncgov.centre import bundles
from syncgov.centre import erasing as centre_erasing
from syncgov.centre.centre import Centre
from syncgov.centre.hiding import Waiting, erase, erasure_status
from syncgov.centre.intake import authenticate
from syncgov.centre.restore import Sources, restore
from syncgov.core.commitment import open_body
from syncgov.core.merge import ERASED
from syncgov.core.statement import parse_leaf
from syncgov.errors import InputError
from syncgov.fsck import fsck
from syncgov.storage import erasing as storage_erasing
from syncgov.storage.adopting import adopt
from syncgov.storage.connection import connect, transaction
from syncgov.storage.erasing import erased_paths, load_erasures
from syncgov.storage.ledger import Ledger
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from syncgov.storage.resubmitting import resubmit
from syncgov.storage.state import field_state, load_row
from syncgov.sync.bundle import pack, receive
from tests.erasing import CANARY, Street, assert_copy_is_the_log, assert_folds_agree, paths_of, plant, sync_all
from tests.helpers import ManualClock, World, a_task, insert, lasting_folder, row, states, tables, update


@cache
def template() -> tuple[Path, str, str]:
    """Plant once; tests work on copies. Returns the folder, and the keys of the record and its child."""
    folder = lasting_folder() / "street"
    with World.make(folder) as world:
        made = plant(world)
    return folder, made.task, made.contact


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    """A street with the canary in it."""
    folder, task, contact = template()
    shutil.copytree(folder, tmp_path / "street")
    with World(tmp_path / "street") as world:
        yield Street(world, task, contact, {name: world.reopen(name) for name in ("ada", "bob", "desk")})


def parsed(replica: Replica) -> dict[tuple[str, str], object]:
    """Return the stored heads of every row without the order in which the fields were folded."""
    return {place: json.loads(state) for place, state in states(replica).items()}


def heads(street: Street, name: str) -> list[object]:
    """Return the values of the heads of a field of the record at the centre."""
    raw = load_row(street.world.centre.ledger.conn, ("task", street.task)).fields[name]
    return [head.value for head in field_state(raw).heads]


def test_an_erased_record_is_in_no_file_of_centre_and_synced_devices(street: Street) -> None:
    """Fields of every class, an older value, a conflict, a child, a note and what was refused: gone after one sync."""
    assert len(street.holders()) >= 5  # the search finds it before
    done = erase(street.world.centre, "task", street.task, [], "request")
    assert {"title", "secret", "tags", "kind", "name", "phone", "note", "started_on"} == set(done.fields)
    assert street.holders(below="centre") == set()
    assert len(street.holders()) >= 3  # each device until its next sync
    sync_all(street.world, *street.devices.values())
    assert street.holders() == set()


def test_the_rest_of_the_record_and_of_everything_stays(street: Street) -> None:
    """Presence, place, state and other records are what they were; the erased fields show nothing."""
    ada, bob, desk = street.devices.values()
    other = insert(ada, "task", a_task(title="别的", secret="别的内情", urgency=3))
    sync_all(street.world, ada, bob, desk)
    before = {name: [r for r in rows if r[0] != street.task] for name, rows in tables(desk).items()}
    erase(street.world.centre, "task", street.task, [], "request")
    sync_all(street.world, ada, bob, desk)
    shown = row(desk, "task", street.task)
    assert shown is not None
    assert {name for name, value in shown.items() if value is not None} == {"id", "place", "state"}
    after = {name: [r for r in rows if r[0] != street.task] for name, rows in tables(desk).items()}
    assert after["task"] == before["task"]
    assert row(ada, "task", other) is not None
    assert tables(ada) == tables(bob)
    assert states(ada) == states(bob)
    assert heads(street, "title") == [ERASED, ERASED]
    assert not desk.conn.execute("SELECT 1 FROM conflict WHERE key = ?", (street.task,)).fetchall()
    assert_folds_agree(street.world.centre.ledger)
    assert_copy_is_the_log(street.world)


@pytest.mark.parametrize("name", ["centre", "ada.db", "bob.db", "desk.db"])
def test_fsck_is_content_with_an_erasure(street: Street, name: str) -> None:
    """Before the device has heard of it, afterwards, and after a new value."""
    ada, bob, desk = street.devices.values()
    erase(street.world.centre, "task", street.task, [], "request")
    assert not fsck(street.world.folder / name).findings
    sync_all(street.world, ada, bob, desk)
    assert not fsck(street.world.folder / name).findings
    update(ada, "task", street.task, title="新写的")
    sync_all(street.world, ada, bob, desk)
    assert not fsck(street.world.folder / name).findings


def test_one_field_is_erased_alone(street: Street) -> None:
    """Every logged write of it, also one that was replaced and one that was refused; its neighbours stay."""
    done = erase(street.world.centre, "task", street.task, ["title"], "law")
    assert (done.fields, done.writes, done.rows) == (("title",), 4, 1)
    sync_all(street.world, *street.devices.values())
    shown = row(street.devices["desk"], "task", street.task)
    assert shown is not None
    assert (shown["title"], shown["secret"], shown["started_on"]) == (None, f"内情{CANARY}", "2026-11-20")
    assert f"task/{street.task}/title" not in set(paths_of(street.world.centre.ledger, ("task", street.task)))
    assert set(erased_paths(street.world.centre.ledger.conn)) == {f"task/{street.task}/title"}
    assert len(load_erasures(street.devices["desk"].conn)) == 4


def test_a_note_is_erased_by_its_changeset(street: Street) -> None:
    """The note goes; who wrote stays."""
    dot = f"{street.devices['ada'].dev}.1"
    done = erase(street.world.centre, "_changeset", dot, ["note"], "error")
    assert (done.fields, done.writes) == (("note",), 1)
    assert street.holders(f"备注{CANARY}", below="centre") == set()
    with pytest.raises(InputError, match="who wrote"):
        erase(street.world.centre, "_changeset", dot, ["by"], "error")


@pytest.mark.parametrize(
    ("table", "key", "fields", "reason", "words"),
    [
        ("tsak", None, [], "request", "no register named tsak"),
        ("device", None, [], "request", "system register"),
        ("task", "0", [], "request", "has no row 0"),
        ("task", "a\nb", [], "request", "not a key"),
        ("task", None, ["titel"], "request", "has no field titel"),
        ("task", None, ["_community"], "request", "skeleton"),
        ("task", None, ["step"], "request", "stays"),
        ("task", None, ["place"], "request", "stays"),
        ("task", None, ["state"], "request", "name its group step"),
        ("task", None, ["days"], "request", "nothing was ever written"),
        ("task", None, ["title"], "because", "no reason because"),
        ("_changeset", "x.1", ["note"], "request", "no changeset"),
    ],
)  # fmt: skip
def test_a_wrong_request_erases_nothing(
    street: Street, table: str, key: str | None, fields: list[str], reason: str, words: str
) -> None:
    """It is named, and neither log nor database changes."""
    size = street.world.centre.ledger.size
    with pytest.raises(InputError, match=words):
        erase(street.world.centre, table, street.task if key is None else key, fields, reason)
    assert street.world.centre.ledger.size == size
    assert street.holders(below="centre")


def test_the_parent_of_a_child_stays(street: Street) -> None:
    """Nobody could say whose child it is."""
    with pytest.raises(InputError, match="stays"):
        erase(street.world.centre, "contact", street.contact, ["task_id"], "request")


def test_what_is_erased_cannot_be_erased_again(street: Street) -> None:
    """Until somebody writes a new value, which then goes like the first."""
    centre, ada = street.world.centre, street.devices["ada"]
    erase(centre, "task", street.task, ["title"], "request")
    with pytest.raises(InputError, match="erased before"):
        erase(centre, "task", street.task, ["title"], "request")
    street.world.sync(ada)
    update(ada, "task", street.task, title=f"又写{CANARY}")
    street.world.sync(ada)
    assert heads(street, "title") == [f"又写{CANARY}"]
    assert erase(centre, "task", street.task, ["title"], "error").writes == 1
    assert heads(street, "title") == [ERASED]
    street.world.sync(ada)
    assert street.holders(f"又写{CANARY}") == set()
    assert_folds_agree(centre.ledger)


def test_a_late_device_cannot_bring_it_back(street: Street) -> None:
    """Written without having heard of the erasure: accepted as judged, its value never kept, and named in the log."""
    centre, (ada, bob, _desk) = street.world.centre, street.devices.values()
    update(bob, "task", street.task, title=f"晚{CANARY}", urgency=2)
    bob.commit()
    erase(centre, "task", street.task, ["title"], "law")
    size = centre.ledger.size
    done = street.world.sync(bob)
    assert done.accepted == 1
    assert centre.ledger.size == size + 2
    late = load_erasures(centre.ledger.conn)[-1]
    assert (late.slot[0], late.path, late.reason) == ((bob.dev, 3), f"task/{street.task}/title", "law")
    assert street.holders(f"晚{CANARY}") == set()  # nor on the device that wrote it
    street.world.sync(ada)
    assert row(ada, "task", street.task)["urgency"] == 2  # type: ignore[index]  # its other fields count
    assert row(ada, "task", street.task)["title"] is None  # type: ignore[index]
    assert_folds_agree(centre.ledger)
    assert_copy_is_the_log(street.world)
    for name in ("centre", "bob.db", "ada.db"):
        assert not fsck(street.world.folder / name).findings


def test_a_late_refused_value_is_not_kept_either(street: Street) -> None:
    """Nobody may write this there; the refusal is logged without the value."""
    centre, bob = street.world.centre, street.devices["bob"]
    erase(centre, "task", street.task, ["title"], "law")
    update(bob, "task", street.task, state="rework", reason="dup", title=f"晚{CANARY}")
    assert len(street.world.sync(bob).refused) == 1
    assert street.holders(f"晚{CANARY}") == set()


def test_a_new_value_survives_a_late_one(street: Street) -> None:
    """Whoever has seen the erasure writes an ordinary value; one that arrives later without that changes nothing."""
    centre, (ada, bob, desk) = street.world.centre, street.devices.values()
    update(bob, "task", street.task, title=f"晚{CANARY}")
    bob.commit()
    erase(centre, "task", street.task, ["title"], "request")
    street.world.sync(ada)
    update(ada, "task", street.task, title="新写的")
    ada.commit()  # it has seen the erasure, not the late row that follows
    street.world.sync(bob)
    sync_all(street.world, ada, bob, desk)
    for replica in (ada, bob, desk):
        assert row(replica, "task", street.task)["title"] == "新写的"  # type: ignore[index]
        assert not replica.conn.execute("SELECT 1 FROM conflict WHERE field = 'title'").fetchall()
    assert set(heads(street, "title")) == {"新写的", ERASED}
    assert_folds_agree(centre.ledger)
    for name in ("centre", "bob.db", "ada.db"):
        assert not fsck(street.world.folder / name).findings


def test_a_waiting_changeset_loses_the_value_and_is_judged_without_it(street: Street) -> None:
    """One that waits when the erasure is made, and one that begins to wait afterwards; both are accepted in the end."""
    centre, bob = street.world.centre, street.devices["bob"]
    update(bob, "task", street.task, urgency=5)
    bob.commit()
    for number in range(2):
        update(bob, "task", street.task, title=f"等{number}{CANARY}", days=number)
        bob.commit()
    first, second, third = [authenticate(centre.ledger, e, b) for _s, e, b in own_changesets(bob)]
    assert centre.push([second])[0].index is None
    done = erase(centre, "task", street.task, [], "request")
    assert done.waiting == 1
    assert centre.push([third])[0].index is None
    assert street.holders(f"等0{CANARY}", below="centre") == street.holders(f"等1{CANARY}", below="centre") == set()
    assert not fsck(centre.path).findings
    centre.push([first])
    assert centre.ledger.conn.execute("SELECT count(*) FROM _sg_waiting").fetchone() == (0,)
    assert [leaf.verdict for leaf in street.world.leaves()[-6:]].count("accepted") == 6
    street.world.sync(bob)
    assert row(bob, "task", street.task)["days"] == 1  # type: ignore[index]
    assert street.holders(f"等0{CANARY}") == street.holders(f"等1{CANARY}") == set()
    assert_folds_agree(centre.ledger)
    assert not fsck(centre.path).findings


def test_a_restored_old_replica_loses_it_with_its_next_sync(street: Street) -> None:
    """The copy of last week holds the value again; the log does not forget."""
    folder, (_ada, bob, desk) = street.world.folder, street.devices.values()
    sync_all(street.world, bob, desk)
    desk.close()
    shutil.copy(folder / "desk.db", folder / "old")
    desk = street.world.reopen("desk")
    erase(street.world.centre, "task", street.task, [], "request")
    sync_all(street.world, bob, desk)
    desk.close()
    shutil.copy(folder / "old", folder / "desk.db")
    (folder / "old").unlink()
    assert "desk.db" in street.holders()
    desk = street.world.reopen("desk")
    street.world.sync(desk)
    assert not any("desk" in name for name in street.holders())
    assert row(desk, "task", street.task) == row(bob, "task", street.task)
    assert not fsck(folder / "desk.db").findings


def test_a_device_that_joins_later_gets_nothing_of_it(street: Street) -> None:
    """Its fold is that of the others."""
    erase(street.world.centre, "task", street.task, [], "request")
    sync_all(street.world, *street.devices.values())
    new = street.world.device("new")
    assert parsed(new) == parsed(street.devices["ada"])
    assert street.holders() == set()
    assert not fsck(street.world.folder / "new.db").findings


def test_a_record_that_comes_back_into_the_area_comes_without_it(street: Street) -> None:
    """A device that lost the record before the erasure gets its history later: erased writes keep their place."""
    ada, bob, desk = street.devices.values()
    update(desk, "task", street.task, place="101002")
    sync_all(street.world, desk, ada, bob)
    assert row(ada, "task", street.task) is None
    erase(street.world.centre, "task", street.task, [], "request")
    sync_all(street.world, desk, ada)
    update(desk, "task", street.task, place="101001")
    sync_all(street.world, desk, ada)
    raw = load_row(ada.conn, ("task", street.task)).fields["title"]
    assert {head.value for head in field_state(raw).heads} == {ERASED}
    assert not fsck(street.world.folder / "ada.db").findings
    assert street.holders(below="ada") == set()


def test_a_bundle_carries_the_erasure_and_cannot_bring_it_back(street: Street) -> None:
    """A request packed before, a reply packed before: neither undoes it; the next reply takes the value away."""
    centre, bob = street.world.centre, street.devices["bob"]
    receive(bob, bundles.invitation(centre))
    update(bob, "task", street.task, title=f"包{CANARY}")
    request = pack(bob).data
    erase(centre, "task", street.task, [], "request")
    reply = bundles.receive(centre, request).reply
    assert street.holders(f"包{CANARY}", below="centre") == set()
    assert receive(bob, reply).state == "taken"
    assert street.holders(below="bob") == set()
    bundles.receive(centre, request)  # carried twice
    assert street.holders(below="centre") == set()
    (erased,) = [e for e in erasure_status(centre).erasures if e.table == "task"]
    assert bob.dev in {device.device for device in erased.waiting}  # it has not said so yet
    bundles.receive(centre, pack(bob).data)
    (erased,) = [e for e in erasure_status(centre).erasures if e.table == "task"]
    assert bob.dev not in {device.device for device in erased.waiting}


def test_the_backlog_of_a_lost_device_cannot_bring_it_back(street: Street) -> None:
    """A supervisor signs anew what its file holds, but nothing that was written before the erasure was known."""
    bob, desk = street.devices["bob"], street.devices["desk"]
    update(bob, "task", street.task, title=f"丢{CANARY}", kind="a")
    bob.commit()
    erase(street.world.centre, "task", street.task, ["title"], "request")
    street.world.sync(desk)
    bob.close()
    done = adopt(desk, street.world.folder / "bob.db")
    street.world.reopen("bob")
    assert len(done.signed) == 2  # the one that was refused, and the one that was never sent
    street.world.sync(desk)
    assert row(desk, "task", street.task)["title"] is None  # type: ignore[index]
    assert street.holders(f"丢{CANARY}", below="desk") == street.holders(f"丢{CANARY}", below="centre") == set()


def test_values_kept_aside_go_too(street: Street) -> None:
    """What somebody wrote and never signed loses the erased columns, and nothing else."""
    ada = street.devices["ada"]
    ada.conn.execute(
        "INSERT INTO _sg_held VALUES ('task', ?, 0, ?, 'test')", (street.task, f'{{"title": "{CANARY}", "days": 4}}')
    )
    erase(street.world.centre, "task", street.task, ["title"], "request")
    street.world.sync(ada)
    assert ada.conn.execute("SELECT columns FROM _sg_held").fetchall() == [('{"days": 4}',)]


def test_free_pages_that_another_program_left_are_written_over(street: Street) -> None:
    """Most programs leave deleted bytes in a file; after the sync that erases there are none."""
    path = street.world.folder / "ada.db"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA secure_delete=OFF")
        other.execute("CREATE TABLE scratch(x)")
        other.executemany("INSERT INTO scratch VALUES (?)", [(CANARY * 50,)] * 40)
        other.execute("DROP TABLE scratch")
    other.close()
    ada = street.world.reopen("ada")
    erase(street.world.centre, "task", street.task, [], "request")
    street.world.sync(ada)
    assert not ada.has_unsigned()
    assert not any("ada" in name for name in street.holders())


def test_steps_and_reviews_go_on_after_an_erasure(street: Street) -> None:
    """The state stays; a decision about an erased review field needs nobody, and a write over it is an ordinary one."""
    ada, bob, desk = street.devices.values()
    erase(street.world.centre, "task", street.task, [], "request")
    sync_all(street.world, ada, bob, desk)
    update(desk, "task", street.task, state="accepted", due="2026-12-01")
    update(bob, "task", street.task, kind="c")
    for replica in (desk, bob):
        done = street.world.sync(replica)
        assert (done.accepted, done.refused) == (1, [])
    sync_all(street.world, ada, desk)
    shown = row(ada, "task", street.task)
    assert shown is not None
    assert (shown["state"], shown["kind"], shown["title"]) == ("accepted", "c", None)
    assert_folds_agree(street.world.centre.ledger)


def test_the_centre_knows_who_has_not_acknowledged(street: Street) -> None:
    """Each device until it has said that it folded the erasure; one that joined afterwards is not asked."""
    erase(street.world.centre, "task", street.task, ["title"], "request")
    (found,) = erasure_status(street.world.centre).erasures
    devices = {name: replica.dev for name, replica in street.devices.items()}
    assert {each.device for each in found.waiting} == set(devices.values())
    street.world.sync(street.devices["ada"])
    street.world.device("new")
    (found,) = erasure_status(street.world.centre).erasures
    assert {each.device for each in found.waiting} == {devices["bob"], devices["desk"]}
    assert all(isinstance(each, Waiting) and each.folded < found.index for each in found.waiting)
    assert (found.table, found.key, found.fields, found.reason) == ("task", street.task, ("title",), "request")
    sync_all(street.world, *street.devices.values())
    (found,) = erasure_status(street.world.centre).erasures
    assert found.waiting == ()


def test_a_running_centre_hears_of_an_erasure_by_another_process(street: Street) -> None:
    """What it remembers in memory, and the second copy that it holds open, are the new ones."""
    world, (ada, bob, _desk) = street.world, street.devices.values()
    update(bob, "task", street.task, title=f"晚{CANARY}")
    other = Centre(world.folder / "centre", clock=ManualClock())
    erase(other, "task", street.task, [], "request")
    other.close()
    world.sync(bob)
    update(ada, "task", street.task, urgency=1)
    world.sync(ada)
    assert_copy_is_the_log(world)
    assert street.holders(below="centre") == set()
    assert not fsck(world.folder / "centre").findings


def test_a_file_that_another_program_holds_is_cleaned_later(street: Street) -> None:
    """The value is out of every table at once; free space follows when the program has let go."""
    ada = street.devices["ada"]
    with Replica.open(street.world.folder / "ada.db", clock=ManualClock()) as reader:
        ada.conn.execute("PRAGMA busy_timeout=1")
        reader.conn.execute("BEGIN")
        reader.conn.execute("SELECT count(*) FROM task").fetchone()
        erase(street.world.centre, "task", street.task, [], "request")
        street.world.sync(ada)
        assert ada.meta.get_int("scrub") == 1
        assert any("clean" in en for _zh, en in fsck(street.world.folder / "ada.db").notes)
    street.world.sync(ada)
    assert ada.meta.get_int("scrub") == 0
    assert not any("ada" in name for name in street.holders())


def test_what_two_clones_signed_under_one_number_is_erased_from_both(street: Street) -> None:
    """The second is refused as a fork; its row names the leaf, because the dot names the first."""
    folder, bob = street.world.folder, street.devices["bob"]
    bob.close()
    for suffix in ("", ".key"):
        shutil.copy(folder / f"bob.db{suffix}", folder / f"clone.db{suffix}")
    bob, clone = street.world.reopen("bob"), street.world.reopen("clone")
    for replica, words in ((bob, "甲"), (clone, "乙")):
        update(replica, "task", street.task, title=f"{words}叉{CANARY}")
        street.world.sync(replica)
    assert street.world.leaf(-1).verdict == "refused:fork"
    erase(street.world.centre, "task", street.task, ["title"], "request")
    assert any(one.leaf is not None for one in load_erasures(street.world.centre.ledger.conn))
    assert street.holders(f"叉{CANARY}", below="centre") == set()
    assert not fsck(folder / "centre").findings
    for replica in (bob, clone):
        street.world.sync(replica)
    assert street.holders(f"叉{CANARY}") == set()


def test_refused_work_that_was_erased_is_not_sent_again(street: Street) -> None:
    """Its other values are; with nothing left it says why."""
    bob = street.devices["bob"]
    erase(street.world.centre, "task", street.task, ["title"], "request")
    street.world.sync(bob)
    assert resubmit(bob, [2], corrections={"state": "reported"})
    street.world.sync(bob)
    assert row(bob, "task", street.task)["title"] is None  # type: ignore[index]


def test_a_centre_put_together_from_a_backup_and_newer_entries_follows_its_log(street: Street) -> None:
    """The backup holds the value; the entries that follow say that it is erased, and the next start obeys."""
    world, bob = street.world, street.devices["bob"]
    centre = world.centre.path
    world.centre.ledger.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(centre / "central.db", world.folder / "backup")
    size = world.centre.ledger.size
    update(bob, "task", street.task, title=f"晚{CANARY}")
    bob.commit()
    erase(world.centre, "task", street.task, [], "request")
    world.sync(bob)
    expected = parsed_centre(world.centre.ledger)
    newer = list(world.centre.ledger.entries(size, world.centre.ledger.size))
    world.centre.close()
    for path in centre.glob("central.db*"):
        path.unlink()
    (world.folder / "backup").rename(centre / "central.db")
    conn = connect(centre / "central.db")
    ledger = Ledger(conn)
    with transaction(conn):
        for _index, raw, raw_body in newer:
            leaf = parse_leaf(raw)
            ledger.append(leaf, raw_body, open_body(raw_body, leaf.changeset.statement))
    conn.close()
    world.centre = Centre(centre, clock=ManualClock())
    assert street.holders(below="centre") == set()
    assert parsed_centre(world.centre.ledger) == expected
    assert_folds_agree(world.centre.ledger)
    assert_copy_is_the_log(world)
    assert not fsck(centre).findings


def parsed_centre(ledger: Ledger) -> dict[str, object]:
    """Return the stored heads of every task and contact."""
    return {key: stored.fields for table in ("task", "contact") for key, stored in ledger.rows(table)}


def test_another_process_waits_while_the_second_copy_is_made_anew(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody appends and signs between the new file's taking its name and the end of the work on it.

    Otherwise the process that erases would sign the smaller tree that it knows, and devices would see a log shrink.
    """
    path = street.world.centre.path / "copy.log"
    tried: list[str] = []

    def other_process(descriptor: int) -> None:
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                tried.append("locked")
            except BlockingIOError:
                tried.append("waits")
        os.close(descriptor)

    monkeypatch.setattr("syncgov.centre.copy.overwrite", other_process)
    erase(street.world.centre, "task", street.task, [], "request")
    assert tried == ["waits"]
    assert_copy_is_the_log(street.world)


def test_an_erasure_during_the_cleaning_is_cleaned_too(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process erases between this one's cleaning and its note of it: the note does not count for both."""
    centre = street.world.centre
    real = storage_erasing.scrub

    def slow(conn: sqlite3.Connection) -> bool:
        done = real(conn)
        monkeypatch.setattr("syncgov.centre.erasing.scrub", lambda _conn: False)  # the other one is held up
        with closing(Centre(centre.path, clock=ManualClock())) as other:
            erase(other, "contact", street.contact, ["phone"], "request")
        return done

    monkeypatch.setattr("syncgov.centre.erasing.scrub", slow)
    erase(centre, "task", street.task, ["title"], "request")
    assert erasure_status(centre).unfinished
    monkeypatch.setattr("syncgov.centre.erasing.scrub", real)
    centre_erasing.finish_scrub(centre.ledger)
    assert not erasure_status(centre).unfinished


def test_a_table_dropped_during_the_cleaning_is_noticed(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cleaning a device's file changes the mark of its form, but hides nobody else's change of it."""
    ada = street.devices["ada"]
    erase(street.world.centre, "task", street.task, ["title"], "request")
    real = storage_erasing.scrub

    def disturbed(conn: sqlite3.Connection) -> bool:
        done = real(conn)
        with closing(sqlite3.connect(ada.path)) as other:
            other.execute("DROP TABLE payment")
        return done

    monkeypatch.setattr(storage_erasing, "scrub", disturbed)
    street.world.sync(ada)
    assert ada.schema_changed()
    assert any("payment" in error.en for _row, error in ada.commit().problems)


def test_a_database_that_a_restoration_set_aside_is_named(street: Street) -> None:
    """It holds what is erased later, and nobody cleans it: whoever erases is told to delete it."""
    path = street.world.centre.path
    assert erasure_status(street.world.centre).kept == ()
    street.world.centre.close()
    restore(path, None, Sources())
    street.world.centre = Centre(path, clock=ManualClock())
    erase(street.world.centre, "task", street.task, [], "request")
    assert erasure_status(street.world.centre).kept == ("central.db.before",)
    assert [place for place in street.holders(below="centre") if "before" not in place] == []
