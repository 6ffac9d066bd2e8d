"""Any program may write the tables; what reaches the log is the difference to what stood there, and all of it."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from syncgov.core.commitment import parse_body, parse_path
from syncgov.core.statement import parse_changeset
from syncgov.errors import InputError, NotAllowedError, StorageError
from syncgov.storage.replica import Replica
from syncgov.sync.client import sync
from syncgov.sync.joining import join
from tests.helpers import AREA, EAST, World, a_task, everything, insert, new_key, row, served, update


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre without devices."""
    with World.make(tmp_path) as found:
        yield found


@pytest.fixture
def pen(world: World) -> Replica:
    """A worker's device."""
    return world.device("pen")


def signed(replica: Replica) -> list[dict[str, Any]]:
    """Return `table/key/field` -> value of every own changeset, protocol fields and authors left out."""
    found = []
    for envelope, raw in replica.conn.execute("SELECT envelope, body FROM _sg_own ORDER BY seq"):
        body = parse_body(raw, parse_changeset(envelope).statement.pub)
        writes = [(parse_path(w.path), w.value) for _p, w in body.disclosed()]
        found.append({"/".join(p): value for p, value in writes if p.field not in ("by", "_community", "_month")})
    return found


def new(replica: Replica, **columns: Any) -> str:
    """Insert and sign a task."""
    key = insert(replica, "task", a_task(**columns))
    assert not replica.commit().problems
    return key


# -- insert, update, delete --------------------


def test_an_insert_is_one_changeset(pen: Replica) -> None:
    """Every filled column, the group as one field, and the presence; nothing for empty columns."""
    key = new(pen, urgency=2, done=1, tags='["a","乙"]')
    (writes,) = signed(pen)
    step = {"state": "reported", "owner": None, "due": None, "reason": None}
    assert {path.split("/")[2]: value for path, value in writes.items()} == {
        "_alive": True,
        "place": EAST,
        "started_on": "2026-11-20",
        "title": "路灯不亮",
        "urgency": 2,
        "done": True,
        "tags": ["a", "乙"],
        "step": step,
    }
    assert {path.split("/")[1] for path in writes} == {key}


def test_an_update_writes_what_changed(pen: Replica) -> None:
    """The changed field and the presence, nothing else; each replaces the head before."""
    key = new(pen)
    update(pen, "task", key, title="路灯坏了", place=EAST)
    pen.commit()
    assert signed(pen)[1] == {f"task/{key}/_alive": True, f"task/{key}/title": "路灯坏了"}
    raw = pen.conn.execute("SELECT body FROM _sg_own WHERE seq = 2").fetchone()[0]
    title = parse_body(raw, 2).find(f"task/{key}/title")
    assert title is not None
    assert title.over == ((pen.dev, 1),)


def test_nothing_is_written_for_an_unchanged_value(pen: Replica) -> None:
    """Writing the same again, or changing and changing back, signs nothing."""
    key = new(pen)
    update(pen, "task", key, title="路灯不亮")
    assert pen.has_unsigned()
    assert not pen.commit().signed
    update(pen, "task", key, title="x")
    update(pen, "task", key, title="路灯不亮")
    assert not pen.commit().signed
    assert not pen.has_unsigned()
    assert len(signed(pen)) == 1


def test_a_row_that_came_and_went_is_nothing(pen: Replica) -> None:
    """Inserted and deleted between two commits."""
    key = insert(pen, "task", a_task())
    pen.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    assert not pen.commit().signed


def test_a_delete_writes_the_presence_only(pen: Replica) -> None:
    """The row leaves the table; its fields stay in the log."""
    key = new(pen)
    pen.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    pen.commit()
    assert signed(pen)[1] == {f"task/{key}/_alive": False}
    assert row(pen, "task", key) is None


def test_a_deleted_key_can_be_inserted_again(pen: Replica, world: World) -> None:
    """The row is restored; what the new insert leaves empty is emptied."""
    key = new(pen, urgency=2)
    pen.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    pen.commit()
    assert insert(pen, "task", {"id": key, **a_task(title="又坏了")}) == key
    pen.commit()
    assert signed(pen)[2] == {
        f"task/{key}/_alive": True,
        f"task/{key}/title": "又坏了",
        f"task/{key}/urgency": None,
    }
    assert world.sync(pen).accepted == 3
    assert row(pen, "task", key) is not None


def test_insert_or_replace_is_an_update(pen: Replica) -> None:
    """SQLite deletes and inserts; what is signed is the difference."""
    key = new(pen, urgency=2, secret="内情")
    columns = {"id": key, **a_task(title="新")}
    pen.conn.execute(
        f"INSERT OR REPLACE INTO task ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        [*columns.values()],
    )
    pen.commit()
    assert signed(pen)[1] == {
        f"task/{key}/_alive": True,
        f"task/{key}/title": "新",
        f"task/{key}/urgency": None,
        f"task/{key}/secret": None,
    }


def test_a_key_update_is_a_delete_and_an_insert(pen: Replica) -> None:
    """Nobody loses the old row without a signed word."""
    key = new(pen)
    other = new_key(1)
    update(pen, "task", key, id=other)
    assert len(pen.commit().signed) == 2
    by_key = {next(iter(writes)).split("/")[1]: writes for writes in signed(pen)[1:]}
    assert by_key[key] == {f"task/{key}/_alive": False}
    assert by_key[other][f"task/{other}/title"] == "路灯不亮"


def test_one_changeset_a_record_with_its_children(pen: Replica) -> None:
    """A task and its contacts are signed together, two tasks apart."""
    with pen.change() as db:
        one, two = new_key(1), new_key(2)
        db.table("task").insert_all([{"id": one, **a_task()}, {"id": two, **a_task(title="井盖")}])
        db.table("contact").insert_all(
            [{"task_id": one, "phone": "000-0000001"}, {"task_id": one, "phone": "000-0000002"}]
        )
    found = signed(pen)
    assert len(found) == 2
    tables = [sorted({path.split("/")[0] for path in writes}) for writes in found]
    assert sorted(tables) == [["contact", "task"], ["task"]]


# -- refusing, and keeping --------------------


@pytest.mark.parametrize(
    "columns",
    [
        {"urgency": "viel"},
        {"urgency": 1.5},
        {"kind": "z"},
        {"title": b"\x00\x01"},
        {"title": "字" * 41},
        {"started_on": "2026-02-30"},
        {"started_on": "20.11.2026"},
        {"seen_at": "2026-11-21 14:05"},
        {"done": 2},
        {"tags": "a"},
        {"tags": '{"a":1}'},
        {"due": "tomorrow"},
        {"id": ""},
    ],
)
def test_the_table_refuses_wrong_values_at_the_write(pen: Replica, columns: dict[str, Any]) -> None:
    """STRICT and CHECK stop them before anything has to be signed."""
    with pytest.raises(sqlite3.IntegrityError):
        insert(pen, "task", {**a_task(), **columns})
    assert not pen.has_unsigned()


def test_required_fields_are_named_and_the_row_is_kept(pen: Replica) -> None:
    """An incomplete row waits in its table, does not stop others, and is signed when it is complete."""
    key = insert(pen, "task", {"place": EAST, "state": "reported"})
    whole = insert(pen, "task", a_task())
    done = pen.commit()
    assert [record for _seq, record in done.signed] == [("task", whole)]
    ((bad, error),) = done.problems
    assert bad == ("task", key)
    assert "标题" in error.zh
    assert "日期" in error.zh
    assert row(pen, "task", key) is not None
    assert pen.has_unsigned()
    update(pen, "task", key, title="补上", started_on="2026-11-21")
    assert [record for _seq, record in pen.commit().signed] == [("task", key)]


def test_what_the_table_cannot_check_is_named_at_the_commit(pen: Replica) -> None:
    """A list whose items are too long: register, key and column are named; the row stays."""
    key = insert(pen, "task", a_task(tags=json.dumps(["x"] * 6)))
    ((bad, error),) = pen.commit().problems
    assert bad == ("task", key)
    assert key in error.en
    assert "tags" in error.en
    assert row(pen, "task", key) is not None


def test_text_is_signed_in_nfc(pen: Replica, world: World) -> None:
    """Other programs type as they please; the signed form is one, and the table follows it after the sync."""
    key = new(pen, title="Cafe\u0301")
    assert signed(pen)[0][f"task/{key}/title"] == "Caf\u00e9"
    assert world.sync(pen).accepted == 1
    found = row(pen, "task", key)
    assert found is not None
    assert found["title"] == "Caf\u00e9"
    assert not pen.commit().signed


def test_bad_utf_8_is_named_and_does_not_stop_others(pen: Replica) -> None:
    """A value that is no text is reported with register and key; other rows are signed."""
    key = insert(pen, "task", a_task(started_on="2026-11-19"))
    pen.conn.execute("UPDATE task SET title = CAST(x'c328' AS TEXT) WHERE id = ?", (key,))
    whole = insert(pen, "task", a_task())
    done = pen.commit()
    assert [record for _seq, record in done.signed] == [("task", whole)]
    ((bad, error),) = done.problems
    assert bad == ("task", key)
    assert isinstance(error, InputError)
    assert key in error.zh
    assert pen.conn.execute("SELECT hex(title) FROM task WHERE id = ?", (key,)).fetchone() == ("C328",)


def test_a_key_of_bad_utf_8_does_not_stop_others(pen: Replica) -> None:
    """Somebody's broken key must not keep everybody's work from being signed."""
    columns = a_task()
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    pen.conn.execute(f"INSERT INTO task (id, {names}) VALUES (CAST(x'c328' AS TEXT), {marks})", [*columns.values()])
    whole = insert(pen, "task", a_task())
    done = pen.commit()
    assert [record for _seq, record in done.signed] == [("task", whole)]
    assert len(done.problems) == 1


def test_keys_by_default_are_uuid_7(pen: Replica) -> None:
    """Plain SQL gets time-ordered keys without knowing of it."""
    keys = [insert(pen, "task", a_task()) for _ in range(50)]
    assert len(set(keys)) == 50
    for key in keys:
        assert len(key) == 36
        assert [key[i] for i in (8, 13, 18, 23)] == ["-"] * 4
        assert key[14] == "7"
        assert key[19] in "89ab"
        assert int(key.replace("-", ""), 16) > 0
    milliseconds = [int(key.replace("-", "")[:12], 16) for key in keys]
    assert milliseconds == sorted(milliseconds)


# -- programs that rebuild the tables --------------------


def sqlite_utils_command(replica: Replica, *words: str, text: str | None = None) -> None:
    """Run the command line of sqlite-utils on a replica's file in a process of its own."""
    command = [sys.executable, "-m", "sqlite_utils", words[0], str(replica.path), *words[1:]]
    subprocess.run(command, check=True, input=text, text=True, capture_output=True)


def test_transform_drops_the_triggers_and_nothing_is_missed(pen: Replica) -> None:
    """After `sqlite-utils transform` an update is found all the same, and the triggers come back."""
    key = new(pen)
    sqlite_utils_command(pen, "transform", "task", "--default", "title", "x")
    names = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'task'"
    assert pen.conn.execute(names).fetchone() == (0,)
    update(pen, "task", key, title="没有触发器")
    other = insert(pen, "task", a_task())
    assert len(pen.commit().signed) == 2
    assert signed(pen)[1][f"task/{key}/title"] == "没有触发器"
    assert pen.conn.execute(names).fetchone() == (3,)
    update(pen, "task", other, title="有触发器")
    assert len(pen.commit().signed) == 1
    with pytest.raises(sqlite3.IntegrityError):
        update(pen, "task", other, kind="z")


def test_transform_and_delete(pen: Replica) -> None:
    """A row that is missing without any hint was deleted."""
    key, other = new(pen), new(pen)
    sqlite_utils_command(pen, "transform", "task", "--rename", "title", "caption", "--rename", "caption", "title")
    pen.conn.execute("DELETE FROM task WHERE id = ?", (key,))
    pen.commit()
    assert signed(pen)[-1] == {f"task/{key}/_alive": False}
    assert row(pen, "task", other) is not None


@pytest.mark.parametrize("plain_sql", [False, True])
def test_a_dropped_column_is_not_a_change(pen: Replica, plain_sql: bool) -> None:
    """The column comes back with its values; other changes of the row are signed."""
    key = new(pen, urgency=2)
    if plain_sql:
        pen.conn.execute("ALTER TABLE task DROP COLUMN urgency")
    else:
        sqlite_utils_command(pen, "transform", "task", "--drop", "urgency")
    update(pen, "task", key, title="新")
    pen.commit()
    assert signed(pen)[1] == {f"task/{key}/_alive": True, f"task/{key}/title": "新"}
    found = row(pen, "task", key)
    assert found is not None
    assert (found["urgency"], found["title"]) == (2, "新")


def test_a_dropped_column_of_a_group_is_not_a_change(pen: Replica) -> None:
    """Half a group is no value."""
    key = new(pen, reason="dup")
    sqlite_utils_command(pen, "transform", "task", "--drop", "reason")
    update(pen, "task", key, state="closed", title="新")
    pen.commit()
    assert signed(pen)[1] == {f"task/{key}/_alive": True, f"task/{key}/title": "新"}
    found = row(pen, "task", key)
    assert found is not None
    assert found["reason"] == "dup"


def test_a_renamed_column_is_a_dropped_one(pen: Replica) -> None:
    """Under another name nobody knows it: its value stands as it was signed."""
    key = new(pen, urgency=2)
    pen.conn.execute("ALTER TABLE task RENAME COLUMN urgency TO hurry")
    pen.conn.execute("UPDATE task SET hurry = 7, title = '新' WHERE id = ?", (key,))
    pen.commit()
    assert signed(pen)[1] == {f"task/{key}/_alive": True, f"task/{key}/title": "新"}
    found = row(pen, "task", key)
    assert found is not None
    assert found["urgency"] == 2


def test_an_added_column_goes_away(pen: Replica) -> None:
    """A column that no register declares is not signed and does not stay."""
    key = new(pen)
    pen.conn.execute("ALTER TABLE task ADD COLUMN colour TEXT")
    pen.conn.execute("UPDATE task SET colour = 'red', title = '新' WHERE id = ?", (key,))
    pen.commit()
    assert signed(pen)[1] == {f"task/{key}/_alive": True, f"task/{key}/title": "新"}
    found = row(pen, "task", key)
    assert found is not None
    assert "colour" not in found


def test_a_dropped_table_comes_back(pen: Replica) -> None:
    """`DROP TABLE` is not the deletion of every row."""
    key = new(pen)
    pen.conn.execute("DROP TABLE task")
    assert pen.has_unsigned()
    assert not pen.commit().signed
    found = row(pen, "task", key)
    assert found is not None
    assert found["title"] == "路灯不亮"
    update(pen, "task", key, title="新")
    assert len(pen.commit().signed) == 1


def test_a_dropped_table_comes_back_with_unsigned_rows_of_others(pen: Replica) -> None:
    """What was written elsewhere in the same breath is signed."""
    new(pen)
    pen.conn.execute("DROP TABLE contact")
    insert(pen, "task", a_task())
    assert len(pen.commit().signed) == 1


def test_an_incomplete_row_survives_a_transform(pen: Replica) -> None:
    """A row that cannot be signed yet is not lost when the table is put in order."""
    key = insert(pen, "task", {"place": EAST, "title": "半张表"})
    sqlite_utils_command(pen, "transform", "task", "--default", "title", "x")
    done = pen.commit()
    assert [bad for bad, _error in done.problems] == [("task", key)]
    held = pen.conn.execute("SELECT columns FROM _sg_held WHERE key = ?", (key,)).fetchall()
    assert row(pen, "task", key) is not None or "半张表" in held[0][0]


# -- change() --------------------


def test_change_is_all_or_nothing(pen: Replica) -> None:
    """A block with an error, or with a row that cannot be signed, leaves nothing behind."""

    def block(*rows: dict[str, Any]) -> None:
        with pen.change() as db:
            for each in rows:
                db.table("task").insert(each)

    before = everything(pen)
    with pytest.raises(InputError):
        block(a_task(), {"place": EAST})
    with pytest.raises(StorageError, match="kind"):
        block(a_task(), a_task(kind="z"))
    assert everything(pen) == before


def test_change_does_not_sign_for_somebody_else(pen: Replica) -> None:
    """Earlier writes must be committed by whoever made them."""
    insert(pen, "task", a_task())
    with pytest.raises(NotAllowedError), pen.change():
        pytest.fail("never entered")
    pen.commit()
    with pen.change(note="雨") as db:
        assert isinstance(db, sqlite_utils.Database)
        db.table("task").insert(a_task())
    assert len(signed(pen)) == 2


def test_a_shared_device_asks_who_wrote(world: World) -> None:
    """With several people nothing is signed without a name, and only with one of theirs."""
    shared = world.device("shared", staff=("S1", "S2"))
    insert(shared, "task", a_task())
    for staff in (None, "S3"):
        with pytest.raises(NotAllowedError):
            shared.commit(staff)
    assert shared.has_unsigned()
    assert len(shared.commit("S2").signed) == 1
    assert world.sync(shared, "S2").accepted == 1


# -- a process that never imports syncgov --------------------

WRITER = """
import json, sqlite3, subprocess, sys
import sqlite_utils
path, key = sys.argv[1:]
db = sqlite_utils.Database(path)
task = {"place": "101001", "started_on": "2026-11-20", "state": "reported"}
db["task"].insert({**task, "title": "一"})
db["task"].insert({**task, "id": key, "title": "二"})
db["task"].transform(defaults={"title": "x"})
db["task"].update(key, {"title": "二改"})
db["task"].insert({**task, "title": "三"})
db.close()
shell = "INSERT INTO task(place, started_on, state, title) VALUES('101001', '2026-11-20', 'reported', '四');" \\
    "INSERT OR REPLACE INTO task(id, place, started_on, state, title, urgency)" \\
    f" VALUES('{key}', '101001', '2026-11-20', 'reported', '二再改', 3);"
subprocess.run(["sqlite3", path, shell], check=True)
assert not [name for name in sys.modules if name.startswith("syncgov")]
"""


def test_rows_of_other_programs_reach_another_replica_signed(tmp_path: Path) -> None:
    """sqlite-utils and the sqlite3 shell write, also after `transform` and with `INSERT OR REPLACE`; real HTTP."""
    with World.make(tmp_path) as world:
        codes = [world.code("worker"), world.code("desk", (AREA,))]
    key = new_key(7)
    with served(tmp_path / "centre") as url:
        pen, desk = (join(tmp_path / f"{name}.db", url, code) for name, code in zip("pd", codes, strict=True))
        with pen, desk:
            sync(pen)
            sync(desk)
            program = [sys.executable, "-I", "-c", WRITER, str(pen.path), key]
            subprocess.run(program, check=True, cwd=tmp_path)
            done = sync(pen)
            assert (done.signed, done.accepted, done.refused, done.problems) == (4, 4, [], [])
            assert sync(desk).received == 4
            found = dict(desk.conn.execute("SELECT title, urgency FROM task").fetchall())
            assert found == {"一": None, "二再改": 3, "三": None, "四": None}
            authors = desk.conn.execute("SELECT DISTINCT dev FROM _sg_leaf WHERE tbl = 'task'").fetchall()
            assert authors == [(pen.dev,)]
