"""Erasing and withholding as an administrator types them, against a running centre."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers import served
from tests.leaks import holders
from tests.test_cli import CHINESE, EVENT, Street, answer, code, good, new_centre, run, write_sql

CANARY = "鹮貉隼鹀标题7Q2M9XW3A"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory):
    """One real centre process for all tests of this file."""
    centre = new_centre(tmp_path_factory.mktemp("street"))
    with served(centre) as url:
        yield Street(centre, url)


def joined(street: Street, path: Path) -> Path:
    """Return a device that has joined."""
    good("join", path, "--url", street.url, "--code", code(street.centre, "grid_worker"))
    return path


def written(street: Street, path: Path) -> str:
    """Write an event with the canary as its title and sync; returns its key."""
    write_sql(path, EVENT.replace("路灯不亮", CANARY))
    good("sync", path)
    with closing(sqlite3.connect(path)) as conn:
        return str(conn.execute("SELECT id FROM event WHERE title = ?", (CANARY,)).fetchone()[0])


def files(folder: Path) -> list[Path]:
    """Return every file of a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_erase_status_and_the_next_sync(street: Street, tmp_path: Path) -> None:
    """While the centre serves: gone there at once, on the device with its next sync; `status` names who has not yet."""
    path = joined(street, tmp_path / "one.db")
    key = written(street, path)
    done = answer("erase", street.centre, "event", key, "--reason", "request")
    assert (done["table"], done["key"], done["reason"], done["rows"]) == ("event", key, "request", 1)
    assert "title" in done["fields"]
    assert done["devices"] == 1
    assert holders([CANARY], files(street.centre))[CANARY] == set()
    text = run("status", street.centre, env=CHINESE).output
    assert f"删除 event {key}" in text
    assert "本人要求" in text
    assert "还没有清除" in text
    assert "早于这次删除的备份" in text
    good("sync", path)
    assert holders([CANARY], files(tmp_path))[CANARY] == set()
    (found,) = [each for each in answer("status", street.centre)["erasures"] if each["key"] == key]
    assert found["waiting"] == []
    assert "所有终端都已清除" in run("status", street.centre, env=CHINESE).output
    again = run("erase", street.centre, "event", key, "title", "--reason", "law", env=CHINESE)
    assert again.exit_code == 65
    assert "已经删除" in again.output


def test_withhold_and_lift(street: Street, tmp_path: Path) -> None:
    """A reason or --lift, one of them."""
    path = joined(street, tmp_path / "two.db")
    key = written(street, path)
    desk = tmp_path / "desk.db"
    good("join", desk, "--url", street.url, "--code", code(street.centre, "publisher"))
    write_sql(desk, f"UPDATE event SET title_public = '公开的标题' WHERE id = '{key}'")
    good("sync", desk)
    text = run("withhold", street.centre, "event", key, "--reason", "privacy", env=CHINESE)
    assert text.exit_code == 0, text.output
    assert "不予公开" in text.output
    assert answer("withhold", street.centre, "event", key, "--lift")["writes"] >= 1
    assert run("withhold", street.centre, "event", key).exit_code == 2
    assert run("withhold", street.centre, "event", key, "--lift", "--reason", "law").exit_code == 2


@pytest.mark.parametrize(
    ("args", "exit_code", "words"),
    [
        (("erase", "event", "x", "--reason", "because"), 2, "because"),
        (("erase", "event", "x"), 2, "--reason"),
        (("erase", "event", "x", "--reason", "law"), 65, "没有 x"),
        (("erase", "nothing", "x", "--reason", "law"), 65, "没有登记册 nothing"),
        (("erase", "device", "x", "--reason", "law"), 65, "系统登记册"),
        (("withhold", "event", "x", "title", "--reason", "law"), 65, "没有 x"),
    ],
)
def test_wrong_requests_say_what_is_wrong(street: Street, args: tuple[str, ...], exit_code: int, words: str) -> None:
    """With the exit code of its kind; nothing is logged."""
    size = answer("status", street.centre)["size"]
    done = run(args[0], street.centre, *args[1:], env=CHINESE)
    assert (done.exit_code, words in done.output) == (exit_code, True), done.output
    assert answer("status", street.centre)["size"] == size


def test_a_folder_that_is_no_centre(tmp_path: Path) -> None:
    """It is named; nothing is made in it."""
    for name in ("status", "erase"):
        args = () if name == "status" else ("event", "x", "--reason", "law")
        assert run(name, tmp_path, *args).exit_code == 74
    assert not files(tmp_path)
