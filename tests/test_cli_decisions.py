"""Deciding, sending again, revoking, enrolling again: the commands as people type them."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers import served
from tests.test_cli import AREA, CHINESE, EVENT, GRID, Street, answer, code, good, new_centre, run, write_sql


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory):
    """One real centre process for all tests of this file."""
    centre = new_centre(tmp_path_factory.mktemp("street"))
    with served(centre) as url:
        yield Street(centre, url)


def joined(street: Street, path: Path, role: str = "grid_worker", *people: str) -> Path:
    """Return a device that has joined."""
    good("join", path, "--url", street.url, "--code", code(street.centre, role, *people))
    return path


def device(path: Path) -> str:
    """Return the id of a replica's device."""
    return str(answer("status", path)["device"])


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Return the rows of a query on a replica."""
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(sql).fetchall()


def test_a_conflict_is_decided_as_conflicts_says(street: Street, tmp_path: Path) -> None:
    """The line that `conflicts` prints works once the value is filled in; a device without the role gets 77."""
    one, two = joined(street, tmp_path / "one.db"), joined(street, tmp_path / "two.db")
    desk = joined(street, tmp_path / "desk.db", "operator")
    write_sql(one, EVENT.replace("路灯不亮", "裁定一件"))
    for path in (one, two, desk):
        good("sync", path)
    for path, kind in ((one, "anquan"), (two, "jiaotong")):
        write_sql(path, f"UPDATE event SET category = '{kind}', title = '{kind}' WHERE title = '裁定一件'")
        good("sync", path)
    good("sync", desk)
    text = run("conflicts", desk, env=CHINESE).output
    assert "由 综治平台操作员 裁定" in text
    assert text.index("类别") < text.index("不需要裁定") < text.index("标题")
    line = re.search(r"裁定：syncgov (resolve .*) 值$", text, re.MULTILINE)
    assert line is not None
    good("sync", one)
    assert "resolve" not in run("conflicts", one).output
    words = line.group(1).split()
    refused = run(words[0], one, *words[2:], "安全生产", env=CHINESE)
    assert refused.exit_code == 77
    assert "只能由综治平台操作员办理，本终端的岗位是网格员" in refused.stderr
    assert good(*words, "安全生产").output
    assert "已在本终端裁定为 安全生产" in run("conflicts", desk, env=CHINESE).output
    for path in (desk, one, two):
        good("sync", path)
    assert [c["field"] for c in answer("conflicts", two)["conflicts"]] == ["title"]
    assert (answer("status", two)["conflicts"], answer("status", two)["minor"]) == (0, 1)
    assert run(*words, "安全生产").exit_code == 65


def test_groups_are_decided_by_number(street: Street, tmp_path: Path) -> None:
    """`step 2` is the second of the listed versions."""
    worker = joined(street, tmp_path / "worker.db")
    desks = [joined(street, tmp_path / f"desk{n}.db", "operator") for n in range(2)]
    write_sql(worker, EVENT.replace("路灯不亮", "两种结论"))
    for path in (worker, *desks):
        good("sync", path)
    key = query(worker, "SELECT id FROM event WHERE title = '两种结论'")[0][0]
    write_sql(desks[0], f"UPDATE event SET state = 'accepted', due = '2026-12-01' WHERE id = '{key}'")
    write_sql(desks[1], f"UPDATE event SET state = 'rejected', reason = 'mistaken' WHERE id = '{key}'")
    for path in (*desks, desks[0]):
        good("sync", path)
    (found,) = [c for c in answer("conflicts", desks[0])["conflicts"] if c["key"] == key]
    assert (found["field"], found["decision"], len(found["versions"])) == ("step", True, 2)
    assert run("resolve", desks[0], "event", str(key), "step", "3").exit_code == 65
    assert run("resolve", desks[0], "event", str(key), "step", "accepted").exit_code == 65
    good("resolve", desks[0], "event", str(key), "state", "2")
    for path in (desks[0], worker):
        good("sync", path)
    assert query(worker, f"SELECT state, reason FROM event WHERE id = '{key}'") == [("rejected", "mistaken")]


def test_refused_work_is_listed_corrected_and_sent(street: Street, tmp_path: Path) -> None:
    """Without numbers: the list; with --set: corrected; status says what it has become."""
    path = joined(street, tmp_path / "my.db")
    write_sql(path, EVENT.replace(GRID, f"{AREA}009001"))
    good("sync", path)
    assert "不在本终端的负责区域内" in run("resubmit", path, env=CHINESE).output
    assert [c["seq"] for c in answer("resubmit", path)["changes"]] == [1]
    assert run("resubmit", path, "1").exit_code == 77
    assert run("resubmit", path, "1", "--set", "grid_id").exit_code == 65
    assert run("resubmit", path, "--set", f"grid_id={GRID}").exit_code == 65
    assert answer("resubmit", path, "1", "--set", f"grid_id={GRID}") == {"resubmitted": [[1, 2]]}
    good("sync", path)
    text = run("status", path, env=CHINESE).output
    assert "#1 已重新提交为 #2" in text
    assert "被退回 0 条" in text
    assert "没有可以重新提交的变更" in run("resubmit", path, env=CHINESE).output


def test_a_stolen_device_is_revoked_and_its_work_adopted(street: Street, tmp_path: Path) -> None:
    """The thief is told; a chief adopts the backlog from the file that was found; doing it twice adopts nothing."""
    thief, chief = joined(street, tmp_path / "thief.db"), joined(street, tmp_path / "chief.db", "grid_chief")
    write_sql(thief, EVENT.replace("路灯不亮", "被偷之前"))
    good("sync", thief)
    write_sql(thief, EVENT.replace("路灯不亮", "没送到的"))
    good("commit", thief)
    done = answer("revoke", street.centre, device(thief)[:8], "--last-good", "0", "--reason", "misuse")
    assert (done["logged"], done["disputed"]) == (1, 1)
    told = run("sync", thief, env=CHINESE)
    assert told.exit_code == 77
    assert "停用" in told.stderr
    shutil.copy(thief, tmp_path / "found.db")
    good("sync", chief)
    adopted = answer("adopt", chief, tmp_path / "found.db")
    assert [line[0] for line in adopted["signed"]] == [2]
    assert answer("sync", chief)["accepted"] == 1
    assert "此前已处理 1 条" in run("adopt", chief, tmp_path / "found.db", env=CHINESE).output
    assert query(chief, "SELECT count(*) FROM event WHERE title = '没送到的'") == [(1,)]
    assert run("renew", street.centre, device(thief)).exit_code == 77


def test_a_revoked_device_rejoins_and_a_certificate_is_renewed(street: Street, tmp_path: Path) -> None:
    """Two commands with a new code: in place, or into another file; renewing says until when."""
    path = joined(street, tmp_path / "my.db")
    write_sql(path, EVENT.replace("路灯不亮", "停用时未传"))
    good("commit", path)
    old = device(path)
    good("revoke", street.centre, old, "--reason", "retired")
    done = answer("rejoin", path, "--code", code(street.centre))
    assert (done["old_device"], done["kept"]) == (old, f"{path}.old")
    assert len(done["adopted"]["signed"]) == 1
    assert done["synced"]["accepted"] == 1
    new = tmp_path / "new.db"
    text = good("join", new, "--code", code(street.centre), "--from", path).output
    assert "enrolled again" in text
    assert not path.exists()
    renewed = run("renew", street.centre, device(new)[:9], "--staff", "W7", "--days", "10", env=CHINESE).output
    assert "网格员" in renewed
    assert "有效至" in renewed
    good("sync", new)
    assert answer("status", new)["people"] == ["W7"]
    assert query(new, "SELECT count(*) FROM event WHERE title = '停用时未传'") == [(1,)]


def test_a_centre_is_looked_at_and_a_unit_is_enrolled(street: Street, tmp_path: Path) -> None:
    """`status CENTRE` lists devices, `--as` shows one of them; a handler of a unit needs no area."""
    worker = joined(street, tmp_path / "worker.db")
    dev = device(worker)
    found = answer("status", street.centre)
    assert dev in {line["device"] for line in found["devices"]}
    assert found["size"] > 0
    text = run("status", street.centre, env=CHINESE).output
    assert dev[:8] in text
    assert "网格员" in text
    view = answer("status", street.centre, "--as", dev[:10])
    assert view["line"]["device"] == dev
    assert {each["name"] for each in view["registers"]} >= {"event", "visit"}
    shown = run("status", street.centre, "--as", dev, env=CHINESE).output
    assert "可填：" in shown
    assert "情况描述（内部）" in shown
    assert run("status", worker, "--as", dev).exit_code == 2
    assert run("status", street.centre, "--as", "00000000").exit_code == 65
    assert run("status", tmp_path).exit_code == 74
    assert run("enrol", street.centre, "--role", "handler").exit_code == 65
    assert run("enrol", street.centre, "--role", "handler", "--unit", "nobody").exit_code == 65
    (tmp_path / "org.json").write_text('[{"code": "U1", "name": "水务所"}]', encoding="utf-8")
    good("load", street.centre, "org", tmp_path / "org.json")
    given = answer("enrol", street.centre, "--role", "handler", "--unit", "U1")
    assert (given["areas"], given["units"]) == ([], ["U1"])
    handler = tmp_path / "handler.db"
    good("join", handler, "--url", street.url, "--code", given["codes"][0])
    assert "责任单位 U1" in run("status", handler, env=CHINESE).output
    assert answer("renew", street.centre, device(handler), "--no-unit", "--area", AREA)["units"] == []
