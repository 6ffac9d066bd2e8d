"""Other programs rename, drop, vacuum, lock and damage: each is told in words, nothing signed is lost, work goes on."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.errors import StorageError
from syncgov.fsck.check import fsck
from syncgov.storage.keyfile import load_key
from syncgov.storage.replica import Replica
from syncgov.storage.status import status
from syncgov.sync import client
from tests.helpers import World, a_task, insert, new_key, row, update

OLD, NEW = new_key(0), new_key(1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre, and a device `pen` whose first task was accepted and whose second is not signed."""
    with World.make(tmp_path) as made:
        pen = made.device("pen")
        insert(pen, "task", {"id": OLD, **a_task(title="旧")})
        made.sync(pen)
        insert(pen, "task", {"id": NEW, **a_task(title="新")})
        yield made


@pytest.fixture
def pen(world: World) -> Replica:
    """The device."""
    return world.replicas["pen"]


def told(pen: Replica) -> list[str]:
    """Commit, and return what is said in both languages."""
    problems = [error for _row, error in pen.commit().problems]
    assert all(error.en for error in problems)
    return [error.zh for error in problems]


def titles(pen: Replica) -> set[object]:
    """Return the titles that the table shows."""
    return {title for (title,) in pen.conn.execute("SELECT title FROM task")}


def test_a_dropped_table_with_unsigned_rows(world: World, pen: Replica) -> None:
    """It is made again from what is signed; each change that went with it is named once; the next commit is quiet."""
    pen.conn.execute("DROP TABLE task")
    assert "改名" in str([change.why for change in status(pen).changes])
    table, lost = told(pen)
    assert "表 task 被其他程序删除，已按签名的内容重建" in table
    assert NEW in lost
    assert "重新填写" in lost
    assert titles(pen) == {"旧"}
    assert told(pen) == []
    insert(pen, "task", {"id": NEW, **a_task(title="又写")})
    assert world.sync(pen).accepted == 1


def test_every_table_dropped_at_once(world: World, pen: Replica) -> None:
    """Also in a sync: all come back, what the centre has is not deleted."""
    for name in pen.columns:
        pen.conn.execute(f'DROP TABLE "{name}"')
    assert len(world.sync(pen).problems) >= len(pen.columns)
    assert titles(pen) == {"旧"}
    assert world.centre.ledger.conn.execute("SELECT title FROM task").fetchall() == [("旧",)]
    assert fsck(pen.path).findings == []


def test_a_renamed_table_gets_its_name_back(world: World, pen: Replica) -> None:
    """What was written under either name is signed."""
    pen.conn.execute("ALTER TABLE task RENAME TO 任务表")
    pen.conn.execute("UPDATE 任务表 SET title = '改' WHERE id = ?", (OLD,))
    assert told(pen) == ["任务：表 task 被其他程序改名为 任务表，已改回，内容都在"]
    assert titles(pen) == {"改", "新"}
    assert world.sync(pen).accepted == 2
    assert fsck(pen.path).findings == []


def test_a_view_in_the_place_of_a_table(world: World, pen: Replica) -> None:
    """The error says which view to drop; then the table has its name and its rows back."""
    pen.conn.execute("ALTER TABLE task RENAME TO base")
    pen.conn.execute("CREATE VIEW task AS SELECT * FROM base")
    with pytest.raises(StorageError, match="DROP VIEW task") as caught:
        world.sync(pen)
    assert "DROP VIEW task" in caught.value.zh
    pen.conn.execute("DROP VIEW task")
    world.sync(pen)
    assert titles(pen) == {"旧", "新"}


def test_dropped_triggers_miss_nothing(world: World, pen: Replica) -> None:
    """An update without a hint is found, and the triggers are there again."""
    for name in [n for (n,) in pen.conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
        pen.conn.execute(f'DROP TRIGGER "{name}"')
    update(pen, "task", OLD, title="改")
    assert told(pen) == []
    assert world.sync(pen).accepted == 2
    assert fsck(pen.path).findings == []


def test_vacuum_changes_nothing(world: World, pen: Replica) -> None:
    """Neither hints nor rows, nor what is signed."""
    pen.conn.execute("VACUUM")
    assert told(pen) == []
    assert titles(pen) == {"旧", "新"}
    assert world.sync(pen).accepted == 1


def test_a_replaced_row_of_bad_utf_8_in_nfd(world: World, pen: Replica) -> None:
    """INSERT OR REPLACE with text that no Unicode program wrote waits; composed differently it is signed composed."""
    columns = "id, place, started_on, title, state"
    other = sqlite3.connect(pen.path, isolation_level=None)
    sql = f"INSERT OR REPLACE INTO task ({columns}) VALUES (?, '101001', '2026-11-20', CAST(? AS TEXT), 'reported')"
    other.execute(sql, (NEW, b"\xff\xfe"))
    other.execute(sql, (OLD, "e\u0301"))
    other.close()
    (why,) = told(pen)
    assert "不是 UTF-8" in why
    update(pen, "task", NEW, title="好")
    assert world.sync(pen).accepted == 2
    assert titles(pen) == {"é", "好"}


def test_another_program_that_holds_the_file(world: World, pen: Replica) -> None:
    """Whoever is in a transaction makes a sync wait, then fail in words; when it is done, everything is as it was."""
    other = sqlite3.connect(pen.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE task SET title = '同时' WHERE id = ?", (OLD,))
    pen.conn.execute("PRAGMA busy_timeout=20")
    with pytest.raises(StorageError, match="in use by another program") as caught:
        world.sync(pen)
    assert "被其他程序占用" in caught.value.zh
    other.execute("COMMIT")
    other.close()
    assert world.sync(pen).accepted == 2
    assert titles(pen) == {"同时", "新"}


@pytest.mark.parametrize("at", range(1, 5))
def test_two_programs_sync_one_replica_at_once(
    world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Between any two answers another program syncs: one may be told to wait; nothing shrinks, all is accepted."""
    monkeypatch.setattr(client, "PULL_LIMIT", 1)  # several pages
    mate = world.device("mate")
    for number in (4, 5):
        insert(mate, "task", {"id": new_key(number), **a_task(title=str(number))})
    world.sync(mate)
    answers = []
    with Replica.open(pen.path, clock=world.clock) as other:

        def between(path: str, body: bytes) -> bytes:
            answers.append(path)
            if len(answers) == at:
                world.wire.tamper = None
                update(mate, "task", new_key(5), kind="b")
                world.sync(mate)
                insert(other, "task", {"id": new_key(6), **a_task(title="6")})
                world.sync(other)
            return body

        world.wire.tamper = between
        with contextlib.suppress(StorageError):
            assert world.sync(pen).rejected == []
        assert len(answers) == at  # it did come between
        assert pen.seen.size >= other.seen.size
        insert(pen, "task", {"id": new_key(7), **a_task(title="7")})
        done = world.sync(pen)
        assert (done.refused, done.rejected, done.problems) == ([], [], [])
        assert titles(pen) == {"旧", "新", "4", "5", "6", "7"}
        assert (row(pen, "task", new_key(5)) or {})["kind"] == "b"
        assert load_key(pen.key_file.path).seq == pen.meta.get_int("last_seq")
    assert fsck(pen.path).findings == []
    assert {leaf.verdict for leaf in world.leaves()} == {"accepted"}


def test_the_second_of_two_syncs_is_told_to_wait(world: World, pen: Replica) -> None:
    """It takes nothing that does not fit any more, and says so."""
    with Replica.open(pen.path, clock=world.clock) as other:

        def between(path: str, body: bytes) -> bytes:
            if path == "/v1/pull":
                world.wire.tamper = None
                world.sync(other)
            return body

        world.wire.tamper = between
        with pytest.raises(StorageError, match="syncing this replica") as caught:
            world.sync(pen)
        assert "另一个程序正在同步这个副本" in caught.value.zh
    assert pen.seen.size == world.centre.ledger.size


def test_the_key_file_never_goes_back(world: World, pen: Replica) -> None:
    """While another program writes, nobody puts an older end of the chain into the file; later it has the newest."""
    pen.commit()
    pen.conn.execute("PRAGMA busy_timeout=20")
    before = load_key(pen.key_file.path).seq
    with Replica.open(pen.path, clock=world.clock) as other:
        other.conn.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="in use by another program"):
            pen.mark_durable()
        assert load_key(pen.key_file.path).seq == before
        other.conn.execute("ROLLBACK")
        insert(other, "task", {"id": new_key(8), **a_task()})
        other.commit()
        other.mark_durable()
        pen.mark_durable()
        assert load_key(pen.key_file.path).seq == other.meta.get_int("last_seq") > before
        assert not pen.is_older_than_key


def test_a_table_of_the_system_is_dropped(world: World, pen: Replica) -> None:
    """The error says what to do; the centre has what was delivered."""
    pen.conn.execute("DROP TABLE _sg_own")
    with pytest.raises(StorageError, match="fsck") as caught:
        world.sync(pen)
    assert "系统自己的表" in caught.value.zh
    assert row(pen, "task", NEW) is not None
    assert world.centre.ledger.conn.execute("SELECT title FROM task").fetchall() == [("旧",)]


def test_damaged_pages(world: World, pen: Replica) -> None:
    """Not a byte is written over; the error says to keep the file."""
    pen.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pen.close()
    data = bytearray(pen.path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    pen.path.write_bytes(data)
    with pytest.raises(StorageError, match="damaged") as caught:
        Replica.open(pen.path)
    assert "文件已损坏" in caught.value.zh
    assert pen.path.read_bytes() == data


def test_a_read_only_file(world: World, pen: Replica) -> None:
    """Permissions and write protection are named."""
    pen.conn.execute("PRAGMA query_only=ON")
    with pytest.raises(StorageError, match="read-only") as caught:
        pen.commit()
    assert "只读" in caught.value.zh


def test_sqlite_utils_transform_of_a_renamed_column_and_table(world: World, pen: Replica) -> None:
    """`transform` on a table that was renamed: without triggers it is a dropped one; what is signed comes back."""
    pen.conn.execute("ALTER TABLE task RENAME TO work")
    program = [sys.executable, "-m", "sqlite_utils", "transform", str(pen.path), "work", "--rename", "title", "name"]
    subprocess.run(program, check=True)
    assert any("表 task 被其他程序删除" in line for line in told(pen))
    assert titles(pen) == {"旧"}
    # the other program's table is not ours to delete: what was typed there is still there
    assert {name for (name,) in pen.conn.execute("SELECT name FROM work")} == {"旧", "新"}
