"""Backup, restore, close-log and charter as people type them, with devices on a real line."""

import shutil
from pathlib import Path

import pytest

from tests.helpers import served
from tests.test_cli import CHINESE, EVENT, answer, code, good, new_centre, run, write_sql


def joined(centre: Path, url: str, path: Path) -> Path:
    """Return a device that has joined and synced."""
    good("join", path, "--url", url, "--code", code(centre))
    good("sync", path)
    return path


@pytest.fixture
def centre(tmp_path: Path) -> Path:
    """Return a new centre."""
    return new_centre(tmp_path)


def lose(centre: Path, *keep: str) -> Path:
    """Lose the centre's folder but for some files; returns the root key, which lay elsewhere."""
    shutil.move(centre, centre.with_name("lost"))
    centre.mkdir()
    for name in keep:
        shutil.copy(centre.with_name("lost") / name, centre / name)
    return centre.with_name("lost") / "roots" / "root-1.key"


def test_last_nights_backup_and_the_second_copy(centre: Path, tmp_path: Path) -> None:
    """While serving a backup is made; afterwards the device syncs as if nothing had happened."""
    night = tmp_path / "night.backup"
    with served(centre) as url:
        pen = joined(centre, url, tmp_path / "pen.db")
        made = answer("backup", centre, night)
        write_sql(pen, EVENT)
        good("sync", pen)
        assert run("backup", centre, night).exit_code == 74
    assert (made["file"], made["signed"], made["keys"]) == (str(night), made["size"], True)
    lose(centre, "copy.log")
    done = answer("restore", centre, "--from", night)
    assert (done["complete"], done["before"], done["size"]) == (True, made["size"], made["size"] + 1)
    with served(centre) as url:
        write_sql(pen, EVENT)
        good("sync", pen, "--url", url)
        assert answer("status", pen)["changes"] == []
    assert good("fsck", centre).exit_code == 0
    assert good("fsck", pen).exit_code == 0


def test_what_cannot_be_restored_names_the_two_commands_and_they_work(centre: Path, tmp_path: Path) -> None:
    """Everything since the backup is lost: refused with 74, then the two commands, then devices bring it back."""
    night = tmp_path / "night.backup"
    with served(centre) as url:
        pen = joined(centre, url, tmp_path / "pen.db")
        good("backup", centre, night)
        write_sql(pen, EVENT, EVENT.replace("路灯不亮", "积水"))
        good("sync", pen)
    write_sql(pen, EVENT.replace("路灯不亮", "未送"))
    good("commit", pen)
    root_key = lose(centre)
    refused = run("restore", centre, "--from", night, env=CHINESE)
    assert refused.exit_code == 74
    assert f"syncgov restore {centre}" in refused.stderr
    assert f"syncgov close-log {centre} --root-key" in refused.stderr
    assert not (centre / "central.db").exists()
    assert answer("restore", centre, "--from", night, "--to-close")["complete"] is False
    started = run("serve", centre)
    assert started.exit_code == 74
    assert "close-log" in started.stderr
    assert run("close-log", centre, "--root-key", centre / "keys" / "log.key").exit_code == 77
    closed = answer("close-log", centre, "--root-key", root_key)
    assert closed["origin"] == f"{closed['closed']}/2"
    with served(centre) as url:
        assert "已由根密钥结束" in run("sync", pen, "--url", url, env=CHINESE).output
        assert answer("status", pen)["changes"] == []
        other = joined(centre, url, tmp_path / "other.db")
        assert answer("status", other)["size"] == answer("status", pen)["size"] + 1
    assert good("fsck", centre).exit_code == 0
    assert good("fsck", pen).exit_code == 0


def test_a_damaged_backup_is_65(centre: Path, tmp_path: Path) -> None:
    """Cut short on a full stick: said in words."""
    night = tmp_path / "night.backup"
    good("backup", centre, night)
    night.write_bytes(night.read_bytes()[:-100])
    lose(centre, "copy.log")
    refused = run("restore", centre, "--from", night, env=CHINESE)
    assert refused.exit_code == 65
    assert "不是完整的备份" in refused.stderr
    assert run("restore", centre, "--from", tmp_path / "none").exit_code == 74


def test_a_new_charter_under_a_running_server(centre: Path, tmp_path: Path) -> None:
    """The registrar is replaced while the server runs: devices follow, new ones enrol, the old key is worth nothing."""
    root_key = shutil.move(centre / "roots" / "root-1.key", tmp_path / "root.key")
    with served(centre) as url:
        pen = joined(centre, url, tmp_path / "pen.db")
        assert run("charter", centre, "--new-registrar", "--root-key", centre / "keys" / "log.key").exit_code == 77
        assert run("charter", centre, "--root-key", root_key).exit_code == 65
        assert run("charter", centre, "--new-registrar").exit_code == 2
        done = answer("charter", centre, "--new-registrar", "--grace-days", "3", "--root-key", root_key)
        assert len(done["revoked"]) == len(done["registrars"]) == 1
        late = joined(centre, url, tmp_path / "late.db")  # enrolled by the server, which had the old key in memory
        good("sync", pen)
        write_sql(late, EVENT)
        good("sync", late)
    assert good("fsck", centre).exit_code == 0
    assert good("fsck", pen).exit_code == 0
