"""The commands of sync by file, on real files, with no server anywhere."""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.test_cli import CHINESE, ENGLISH, EVENT, answer, code, good, new_centre, run, write_sql


@pytest.fixture
def centre(tmp_path: Path) -> Path:
    """A centre that is not served."""
    return new_centre(tmp_path / "street")


@pytest.fixture
def replica(centre: Path, tmp_path: Path) -> Path:
    """A grid worker's device that has joined by file."""
    path, invitation = tmp_path / "my.db", tmp_path / "invitation.bundle"
    good("bundle", centre, invitation)
    good("join", path, "--bundle", invitation, "--code", code(centre))
    carry(centre, path, tmp_path)
    return path


def carry(centre: Path, replica: Path, folder: Path) -> str:
    """Carry a bundle there and the reply back; returns what the device says."""
    good("bundle", replica, folder / "there.bundle")
    good("receive", centre, folder / "there.bundle", "--reply", folder / "back.bundle")
    return good("receive", replica, folder / "back.bundle").output


def test_a_grid_worker_without_any_line(centre: Path, replica: Path, tmp_path: Path) -> None:
    """Join, write, carry: accepted, and said so; the same reply again changes nothing, and that is no error."""
    write_sql(replica, EVENT)
    assert "1 inside" in good("bundle", replica, tmp_path / "there.bundle").output
    done = good("receive", centre, tmp_path / "there.bundle", "--reply", tmp_path / "back.bundle")
    assert "1 logged (0 of them refused)" in done.output
    assert "accepted 1" in good("receive", replica, tmp_path / "back.bundle").output
    again = run("receive", replica, tmp_path / "back.bundle", env=CHINESE)
    assert again.exit_code == 0
    assert "没有改动" in again.output
    with closing(sqlite3.connect(replica)) as conn:
        assert conn.execute("SELECT count(*) FROM event").fetchone() == (1,)


def test_join_by_file_says_each_next_step(centre: Path, tmp_path: Path) -> None:
    """Root keys to compare, then the command to run, then the tables that may be written."""
    path, invitation = tmp_path / "my.db", tmp_path / "invitation.bundle"
    made = answer("bundle", centre, invitation)
    told = good("join", path, "--bundle", invitation, "--code", code(centre)).output
    assert made["roots"][0] in told
    assert f"syncgov bundle {path}" in told
    assert "a request to join" in good("bundle", path, tmp_path / "there.bundle").output
    good("receive", centre, tmp_path / "there.bundle", "--reply", tmp_path / "back.bundle")
    assert "event" in good("receive", path, tmp_path / "back.bundle").output
    assert answer("status", path)["centre"] == "测试街道"


def test_every_command_speaks_json(centre: Path, replica: Path, tmp_path: Path) -> None:
    """What people read, machines get as an object."""
    write_sql(replica, EVENT)
    made = answer("bundle", replica, tmp_path / "there.bundle")
    assert (made["changes"], made["first"], made["last"], made["problems"]) == (1, 1, 1, [])
    done = answer("receive", centre, tmp_path / "there.bundle", "--reply", tmp_path / "back.bundle")
    assert (done["logged"], done["results"][0]["verdict"]) == (1, "accepted")
    assert answer("receive", replica, tmp_path / "back.bundle")["state"] == "taken"
    assert answer("receive", replica, tmp_path / "back.bundle")["state"] == "older"


def test_a_row_that_cannot_be_signed_is_named_and_the_others_go(replica: Path, tmp_path: Path) -> None:
    """As with commit: exit 65, the file is made all the same."""
    write_sql(replica, EVENT, EVENT.replace("'路灯不亮'", "CAST(x'ff' AS TEXT)"))
    done = run("bundle", replica, tmp_path / "there.bundle", "--json")
    assert done.exit_code == 65
    assert json.loads(done.stdout.splitlines()[0])["changes"] == 1


def test_mistakes_are_said_in_both_languages(centre: Path, replica: Path, tmp_path: Path) -> None:
    """The exit codes are those of every command."""
    good("bundle", replica, tmp_path / "there.bundle")
    other = new_centre(tmp_path / "other")
    cut = tmp_path / "cut.bundle"
    cut.write_bytes((tmp_path / "there.bundle").read_bytes()[:-1])
    reply = ("--reply", tmp_path / "never.bundle")
    cases = [
        (("receive", centre, tmp_path / "there.bundle"), 2),
        (("receive", replica, tmp_path / "there.bundle", *reply), 2),
        (("receive", centre, cut, *reply), 65),
        (("receive", centre, tmp_path / "nothing", *reply), 65),
        (("receive", replica, tmp_path / "there.bundle"), 65),
        (("receive", other, tmp_path / "there.bundle", *reply), 65),
        (("receive", centre, tmp_path / "there.bundle", "--reply", replica), 74),
        (("bundle", replica, replica), 74),
        (("bundle", tmp_path / "nobody.db", tmp_path / "x.bundle"), 74),
        (("join", tmp_path / "new.db", "--code", "x"), 2),
        (("join", tmp_path / "new.db", "--code", "x", "--url", "http://x", "--bundle", cut), 2),
        (("join", tmp_path / "new.db", "--code", "x", "--bundle", tmp_path / "there.bundle"), 65),
    ]
    for words, exit_code in cases:
        said = [run(*words, env=env) for env in (ENGLISH, CHINESE)]
        assert [done.exit_code for done in said] == [exit_code, exit_code], words
        assert said[0].stderr != said[1].stderr, words
        assert "Traceback" not in said[0].output
    assert not (tmp_path / "never.bundle").exists()


def test_without_the_age_library_the_remedy_is_named(
    replica: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field device may run without the extra: it says what to install."""
    monkeypatch.setitem(sys.modules, "pyrage", None)
    done = run("bundle", replica, tmp_path / "there.bundle")
    assert done.exit_code == 69
    assert "syncgov[bundle]" in done.stderr


def test_a_stopped_device_enrols_again_by_file(centre: Path, replica: Path, tmp_path: Path) -> None:
    """Revoked, without any line: a new code, three files carried, and its work is there under the new key."""
    write_sql(replica, EVENT)
    old = str(answer("status", replica)["device"])
    good("revoke", centre, old)
    told = good("rejoin", replica, "--code", code(centre), "--by-file").output
    assert f"syncgov bundle {replica}" in told
    assert "enrolled again" in carry(centre, replica, tmp_path)
    assert (tmp_path / "my.db.old").exists()
    assert str(answer("status", replica)["device"]) != old
    assert "accepted 1" in carry(centre, replica, tmp_path)
    assert run("rejoin", tmp_path / "none.db", "--code", "x", "--by-file").exit_code == 74
    other = tmp_path / "other.db"
    good("bundle", centre, tmp_path / "invitation.bundle")
    good("join", other, "--code", code(centre), "--from", replica, "--bundle", tmp_path / "invitation.bundle")
    assert answer("bundle", other, tmp_path / "there.bundle")["joining"] is True
    good("receive", centre, tmp_path / "there.bundle", "--reply", tmp_path / "back.bundle")
    done = answer("receive", other, tmp_path / "back.bundle")
    assert done["kept"].endswith("my.db.old2")
    assert done["device"] != done["old_device"]
