"""fsck finds each planted damage by its code, repairs what can lose nothing, and leaves the rest as it is."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from syncgov.cli import root
from syncgov.cli.fsck import rebuild
from syncgov.core.register import Register, parse_register
from syncgov.errors import RegisterError, StorageError
from syncgov.fsck import Report, fsck, refold
from syncgov.fsck.words import SUSPECT, WHAT
from syncgov.storage.replica import Replica
from tests.fsck.damages import CENTRE, DAMAGES, FIELD, Damage, database, run, street
from tests.helpers import ManualClock, World, a_task, insert, row
from tests.registers import TASK


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fresh copy of the street."""
    shutil.copytree(street(), tmp_path / "street")
    return tmp_path / "street"


def codes(report: Report) -> set[str]:
    """Return the codes of what was found."""
    return {finding.code for finding in report.findings}


def content(folder: Path, target: str) -> dict[str, object]:
    """Return everything that a target holds: SQL of its database, bytes of the other files."""
    found: dict[str, object] = {}
    try:
        with closing(sqlite3.connect(f"file:{database(folder, target)}?mode=ro", uri=True)) as conn:
            found["sql"] = list(conn.iterdump())
    except sqlite3.DatabaseError:
        found["sql"] = database(folder, target).read_bytes()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith((".db", "-wal", "-shm")):
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


@pytest.mark.parametrize("target", [CENTRE, FIELD, "bob.db", "desk.db", "late.db"])
def test_a_clean_file_has_no_finding(folder: Path, target: str) -> None:
    """An honest street, with conflicts, refusals, a purge, an upgrade and unsent work, is in order."""
    before = content(folder, target)
    report = fsck(folder / target)
    assert not report.findings
    assert report.counts["entries"] > 8
    assert report.counts["rows"] > 8
    assert content(folder, target) == before


def test_the_list_of_damages_is_long_and_covers_every_code() -> None:
    """Each kind of finding that can be planted is planted."""
    planted = {damage.code for damage in DAMAGES}
    assert len(DAMAGES) >= 60
    files = {"file-missing", "file-damaged", "file-size", "file-orphan"}  # test_files.py
    assert set(WHAT) - planted == {"register", "unshown"} | files  # below
    assert set(WHAT) >= SUSPECT


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: f"{d.target}: {d.name}")
def test_each_damage_is_found_by_its_code(folder: Path, damage: Damage) -> None:
    """A damage is named, and nothing else is; looking changes nothing."""
    damage.plant(folder)
    before = content(folder, damage.target)
    report = fsck(folder / damage.target, rebuild=rebuild)
    assert damage.code in codes(report)
    extra = codes(report) - {damage.code} - damage.also
    if damage.code not in SUSPECT:
        assert not extra
    assert damage.repairable == all(finding.repairable for finding in report.findings)
    assert content(folder, damage.target) == before
    for finding in report.findings:
        assert finding.zh != finding.en
        assert finding.where in finding.zh


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d.repairable], ids=lambda d: f"{d.target}: {d.name}")
def test_what_can_be_repaired_is_clean_afterwards(folder: Path, damage: Damage) -> None:
    """After --repair nothing is found, and everything signed is as it was."""
    signed = _signed(folder, damage.target)
    damage.plant(folder)
    report = fsck(folder / damage.target, repair=True, rebuild=rebuild)
    assert not report.findings
    assert damage.code in {finding.code for finding in report.repaired}
    assert not fsck(folder / damage.target).findings
    assert _signed(folder, damage.target) == signed


@pytest.mark.parametrize("damage", [d for d in DAMAGES if not d.repairable], ids=lambda d: f"{d.target}: {d.name}")
def test_what_cannot_be_repaired_stays_untouched(folder: Path, damage: Damage) -> None:
    """Where something could be lost, --repair writes nothing."""
    damage.plant(folder)
    before = content(folder, damage.target)
    report = fsck(folder / damage.target, repair=True, rebuild=rebuild)
    assert damage.code in codes(report)
    assert content(folder, damage.target) == before


def _signed(folder: Path, target: str) -> list[object]:
    """Return what is signed: leaves, bodies, own changesets, the second copy."""
    found: list[object] = []
    with closing(sqlite3.connect(database(folder, target))) as conn:
        found += conn.execute("SELECT idx, leaf, body FROM _sg_leaf ORDER BY idx").fetchall()
        if target == CENTRE:
            found.append((folder / CENTRE / "copy.log").read_bytes())
        else:
            found += conn.execute("SELECT seq, envelope, body FROM _sg_own ORDER BY seq").fetchall()
    return found


def test_a_repaired_row_keeps_what_stood_there(folder: Path) -> None:
    """A value that nobody signed is kept aside, not signed and not lost."""
    path = folder / FIELD
    run(path, "UPDATE payment SET amount = 777", "DELETE FROM _sg_touched")
    fsck(path, repair=True, rebuild=rebuild)
    with Replica.open(path, clock=ManualClock()) as replica:
        ((held,),) = replica.conn.execute("SELECT columns FROM _sg_held").fetchall()
        assert json.loads(held) == {"amount": 777}
        assert replica.conn.execute("SELECT amount FROM payment").fetchall() == [(1200,)]
        assert not replica.commit().signed


def test_work_under_a_forgotten_merge_mark_is_signed_by_the_next_commit(folder: Path) -> None:
    """The mark silenced the triggers: what was written meanwhile is work, not damage."""
    path = folder / FIELD
    run(path, "INSERT INTO _sg_merging VALUES (1)", "INSERT INTO payment(amount) VALUES (5)")
    report = fsck(path, repair=True, rebuild=rebuild)
    assert not report.findings
    assert any("commit" in en for _zh, en in report.notes)
    with Replica.open(path, clock=ManualClock()) as replica:
        assert len(replica.commit().signed) == 1
    assert not fsck(path).findings


def test_tables_are_not_rebuilt_over_unsigned_work(folder: Path) -> None:
    """With changes that only a commit can sign, the table is left to the commit."""
    path = folder / FIELD
    run(path, "DROP TRIGGER _sg_task_update", "UPDATE task SET title = '没人看见' WHERE title = '新的一件'")
    report = fsck(path, repair=True, rebuild=rebuild)
    assert codes(report) == {"trigger"}
    assert "syncgov commit" in report.findings[0].en
    with Replica.open(path, clock=ManualClock()) as replica:
        assert len(replica.commit().signed) == 1
    assert not fsck(path).findings


def test_unsigned_and_foreign_things_are_no_damage(folder: Path) -> None:
    """Rows that wait for a commit, another program's tables, and bad UTF-8 are notes, not findings."""
    path = folder / FIELD
    run(path, "INSERT INTO payment(amount) VALUES (3)", "CREATE TABLE mine (x)", "CREATE INDEX i ON task (title)")
    run(path, "UPDATE task SET title = CAST(x'ff' AS TEXT) WHERE title = '新的一件'")
    report = fsck(path)
    assert not report.findings
    assert report.notes


def test_a_replica_that_has_only_joined_is_in_order(tmp_path: Path) -> None:
    """Before the first sync there are no tables yet."""
    with World.make(tmp_path) as world, world.line():
        from syncgov.sync import joining

        joining.join(tmp_path / "new.db", "http://centre.invalid", world.code("worker"), clock=world.clock).close()
        assert not fsck(tmp_path / "new.db").findings


def test_a_restored_replica_is_told_what_to_do(tmp_path: Path) -> None:
    """An older copy beside a newer key file: fetch first; after the sync all is well."""
    with World.make(tmp_path) as world:
        ada = world.device("ada")
        ada.close()
        shutil.copy(tmp_path / "ada.db", tmp_path / "backup.db")
        ada = world.reopen("ada")
        insert(ada, "task", a_task())
        world.sync(ada)
        ada.close()
        for side in ("-wal", "-shm"):
            (tmp_path / f"ada.db{side}").unlink(missing_ok=True)
        os.replace(tmp_path / "backup.db", tmp_path / "ada.db")
        report = fsck(tmp_path / "ada.db")
        assert codes(report) == {"key-ahead"}
        assert "syncgov sync" in report.findings[0].en
        world.sync(world.reopen("ada"))
        assert not fsck(tmp_path / "ada.db").findings


def test_a_replica_without_its_key_is_still_read(tmp_path: Path) -> None:
    """Which device it is, and what that may read, is known from the certificate; only the key is missing."""
    with World.make(tmp_path) as world:
        world.device("ada", "viewer")
    (tmp_path / "ada.db.key").unlink()
    assert codes(fsck(tmp_path / "ada.db")) == {"key-missing"}


def test_a_running_centre_can_be_checked(tmp_path: Path) -> None:
    """Open connections and a write-ahead log do not disturb, and intake goes on afterwards."""
    with World.make(tmp_path) as world:
        ada = world.device("ada")
        key = insert(ada, "task", a_task())
        world.sync(ada)
        assert not fsck(tmp_path / "centre").findings
        assert not fsck(tmp_path / "ada.db").findings
        insert(ada, "payment", {"amount": 1})
        assert world.sync(ada).accepted
        assert row(ada, "task", key) is not None


def test_a_row_that_its_table_cannot_hold_must_be_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edition of another program dropped a code that a row has: no finding, until the note of it is lost."""
    for place in ("syncgov.core.trust_values.check_edition", "syncgov.centre.registrar.check_edition"):
        monkeypatch.setattr(place, lambda *_editions: None)
    with World.make(tmp_path) as world:
        ada = world.device("ada")
        key = insert(ada, "task", a_task(kind="b"))
        world.sync(ada)
        text = TASK.replace("version: 1", "version: 2").replace("b: 乙, c: 丙", "c: 丙")
        world.centre.write("register", [("task", {"text": text})])
        world.sync(ada)
        assert row(ada, "task", key) is None
    path = tmp_path / "ada.db"
    assert not fsck(path).findings
    assert not fsck(tmp_path / "centre").findings
    run(path, "DELETE FROM _sg_unshown")
    assert codes(fsck(path)) == {"unshown"}
    assert not fsck(path, repair=True).findings


def test_a_register_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log may hold a register of a newer program."""
    shutil.copytree(street(), tmp_path / "street")

    def newer(text: str, filename: str) -> Register:
        if filename == "payment.yml":
            raise RegisterError(filename, 1, "unknown key", "Upgrade")
        return parse_register(text, filename)

    monkeypatch.setattr(refold, "parse_register", newer)
    report = fsck(tmp_path / "street" / CENTRE)
    assert "register" in codes(report)
    assert report.suspect


def test_a_lost_entry_is_not_repaired_away(folder: Path) -> None:
    """What a lost entry had replaced must not come back as a conflict, in table or list."""
    path = folder / FIELD
    with Replica.open(path, clock=ManualClock()) as replica:
        before = replica.conn.execute("SELECT * FROM task").fetchall()
    run(path, "DELETE FROM _sg_leaf WHERE CAST(body AS TEXT) LIKE '%乙说%'")
    report = fsck(path, repair=True, rebuild=rebuild)
    assert codes(report) == {"state"}
    with Replica.open(path, clock=ManualClock()) as replica:
        assert replica.conn.execute("SELECT * FROM task").fetchall() == before


@pytest.mark.parametrize("name", ["nothing.db", "noise.db", "other.db", "centre/central.db", "empty"])
def test_what_cannot_be_read_is_an_error(folder: Path, name: str) -> None:
    """No file, no database, not ours: 74, not a list of findings."""
    (folder / "noise.db").write_bytes(os.urandom(8192))
    (folder / "empty").mkdir()
    run(folder / "other.db", "CREATE TABLE t (x)")
    with pytest.raises(StorageError):
        fsck(folder / name)
    assert CliRunner().invoke(root, ["fsck", str(folder / name)]).exit_code == 74


def test_the_command_says_what_it_found(folder: Path) -> None:
    """0 clean, 1 with findings, JSON for machines, sentences for people."""
    assert CliRunner().invoke(root, ["fsck", str(folder / CENTRE)]).exit_code == 0
    run(database(folder, CENTRE), "UPDATE payment SET amount = 1")
    found = CliRunner().invoke(root, ["fsck", str(folder / CENTRE), "--json"])
    assert found.exit_code == 1
    (finding,) = json.loads(found.stdout)["findings"]
    assert (finding["code"], finding["repairable"]) == ("row", True)
    told = CliRunner(env={"LC_ALL": "zh_CN.UTF-8"}).invoke(root, ["fsck", str(folder / CENTRE)])
    assert "fsck --repair" in told.stdout
    repaired = CliRunner().invoke(root, ["fsck", str(folder / CENTRE), "--repair", "--json"])
    assert repaired.exit_code == 0
    assert [f["code"] for f in json.loads(repaired.stdout)["repaired"]] == ["row"]
