"""Keys of persons at the command line: codes, PINs from files and standard input, two signatures, leaving."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from syncgov.cli import root
from syncgov.storage import staff_file
from tests.helpers import served
from tests.test_cli import CHINESE, ENGLISH, EVENT, Street, answer, code, good, new_centre, run, write_sql

PIN, OTHER = "271828", "161803"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staff_file, "SCRYPT_N", 2)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """One real centre process for all tests of this file."""
    centre = new_centre(tmp_path_factory.mktemp("street"))
    with served(centre) as url:
        yield Street(centre, url)


@pytest.fixture
def desk(street: Street, tmp_path: Path) -> Path:
    """An operator's device that two persons share, with one event on it."""
    worker = tmp_path / "worker.db"
    good("join", worker, "--url", street.url, "--code", code(street.centre))
    write_sql(worker, EVENT)
    good("sync", worker)
    path = tmp_path / "desk.db"
    good("join", path, "--url", street.url, "--code", code(street.centre, "operator", "P1", "P2"))
    return path


def typed(text: str, *arguments: str | Path, chinese: bool = False) -> tuple[int, str]:
    """Run a command and type *text*; return exit code and all output."""
    done = CliRunner(env=CHINESE if chinese else ENGLISH).invoke(root, list(map(str, arguments)), input=text)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def pin_file(folder: Path, pin: str) -> Path:
    """Return a file with a PIN."""
    path = folder / f"pin-{pin}"
    path.write_text(pin + "\n", encoding="utf-8")
    return path


def add_key(street: Street, path: Path, person: str = "P2") -> str:
    """Give a person a key with PIN, registered; returns its id."""
    one_time = answer("staff", street.centre, "code", "--staff", person)["code"]
    pins = pin_file(path.parent, PIN)
    made = answer("staff", path, "add", "--staff", person, "--code", one_time, "--pin-file", pins)
    good("sync", path, "--staff", person)
    return str(made["key"])


def void_one(path: Path) -> None:
    """Void the newest event, as any program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute(
            "UPDATE event SET state = 'void', reason = 'mistaken' WHERE id = (SELECT id FROM event WHERE "
            "state = 'reported' ORDER BY id DESC LIMIT 1)"
        )


def test_a_key_is_made_with_a_code_and_a_pin_typed_twice(street: Street, desk: Path) -> None:
    """The PIN is not shown; two different ones are asked for again; a too easy one is refused with 65."""
    one_time = str(answer("staff", street.centre, "code", "--staff", "P2")["code"])
    assert re.fullmatch("(?:[2-9A-Z]{4}-){2}[2-9A-Z]{4}", one_time)
    add = ("staff", desk, "add", "--staff", "P2", "--code", one_time)
    assert typed("123456\n123456\n", *add)[0] == 65
    exit_code, text = typed(f"{PIN}\n{OTHER}\n{PIN}\n{PIN}\n", *add, chinese=True)
    assert exit_code == 0
    assert "P2" in text
    assert PIN not in text
    assert answer("staff", desk, "list")["keys"][0]["state"] == "pending"
    good("sync", desk, "--staff", "P1")
    assert [key["state"] for key in answer("staff", desk, "list")["keys"]] == ["in use"]
    (found,) = answer("staff", street.centre, "list", "--staff", "P2")["keys"][-1:]
    assert found["person"] == "P2"
    assert found["pseudonym"] in good("staff", street.centre, "list").output


def test_voiding_takes_two_persons(street: Street, desk: Path) -> None:
    """Alone: 77 and in words what is missing, nothing signed; with the other's PIN from a file or typed: signed."""
    add_key(street, desk)
    void_one(desk)
    alone = run("commit", desk, "--staff", "P1", env=CHINESE)
    assert alone.exit_code == 77
    assert "“作废”须由第二人签名" in alone.output
    assert answer("status", desk)["counts"]["unsigned"] == 1
    assert (
        run("commit", desk, "--staff", "P2", "--second", "P2", "--pin-file", pin_file(desk.parent, PIN)).exit_code == 77
    )
    exit_code, text = typed(f"{PIN}\n", "commit", desk, "--staff", "P1", "--second", "P2")
    assert (exit_code, "signed 1" in text) == (0, True)
    assert PIN not in text
    assert answer("sync", desk, "--staff", "P1")["accepted"] == 1


def test_a_sync_signs_twice_too(street: Street, desk: Path) -> None:
    """`sync --second` commits, and the PIN may come through a pipe."""
    add_key(street, desk)
    void_one(desk)
    exit_code, text = typed(f"{PIN}\n", "sync", desk, "--staff", "P1", "--second", "P2", "--pin-file", "-", "--json")
    assert exit_code == 0
    assert json.loads(text)["accepted"] == 1


def test_a_wrong_pin_says_how_often_and_loses_nothing(street: Street, desk: Path) -> None:
    """77 with the count; the fourth makes wait; what was written stays unsigned in its table."""
    add_key(street, desk)
    void_one(desk)
    wrong = pin_file(desk.parent, OTHER)
    for count in (1, 2, 3, 4):
        done = run("commit", desk, "--staff", "P1", "--second", "P2", "--pin-file", wrong, env=CHINESE)
        assert done.exit_code == 77
        assert f"已连续输错 {count} 次" in done.output
        assert ("秒后再试" in done.output) == (count == 4)
    right = run("commit", desk, "--staff", "P1", "--second", "P2", "--pin-file", pin_file(desk.parent, PIN))
    assert (right.exit_code, "try again in" in right.output) == (77, True)
    assert "4 wrong PINs" in good("staff", desk, "list").output
    assert answer("status", desk)["counts"]["unsigned"] == 1


def test_a_pin_is_changed_with_the_old_one(street: Street, desk: Path) -> None:
    """Both by file, both by pipe; the wrong old one is refused; no PIN is ever an argument."""
    add_key(street, desk)
    old, new = pin_file(desk.parent, PIN), pin_file(desk.parent, OTHER)
    change = ("staff", desk, "pin", "--staff", "P2")
    assert run(*change, "--pin-file", new, "--new-pin-file", old).exit_code == 77
    good(*change, "--pin-file", old, "--new-pin-file", new)
    assert typed(f"{OTHER}\n{PIN}\n", *change, "--pin-file", "-", "--new-pin-file", "-")[0] == 0
    assert typed(f"{PIN}\n{OTHER}\n{OTHER}\n", *change)[0] == 0
    assert typed(f"{OTHER}\n", "commit", desk, "--second", "P2", "--staff", "P1")[0] == 0
    assert not any("pin" in name and "file" not in name for name in _options("staff"))


def _options(name: str) -> list[str]:
    return [option for parameter in root.commands[name].params for option in parameter.opts]


def test_misuse_of_the_command_is_said(street: Street, desk: Path) -> None:
    """Actions of the other side, nobody named, no code, no key, a PIN for nobody."""
    assert run("staff", desk, "code", "--staff", "P2").exit_code == 2
    assert run("staff", street.centre, "add", "--staff", "P2").exit_code == 2
    assert run("staff", desk, "pin").exit_code == 2
    assert run("staff", desk, "add", "--staff", "P2").exit_code == 2
    assert run("commit", desk, "--pin-file", "-").exit_code == 2
    assert run("commit", desk, "--staff", "P1", "--second", "P2").exit_code == 77
    assert run("staff", desk, "pin", "--staff", "P2").exit_code == 77
    assert run("staff", desk, "add", "--staff", "P9", "--code", "x", "--pin-file", "-").exit_code == 77
    missing = run("staff", desk, "add", "--staff", "P2", "--code", "x", "--pin-file", desk.parent / "none")
    assert missing.exit_code == 65
    assert "no keys of persons" in good("staff", desk, "list").output


def test_a_wrong_code_is_told_by_the_sync(street: Street, desk: Path) -> None:
    """And by the list, until a good one replaces it."""
    pins = pin_file(desk.parent, PIN)
    good("staff", desk, "add", "--staff", "P2", "--code", "WRON-GCOD-EXXX", "--pin-file", pins)
    assert "登记码无效" in run("sync", desk, "--staff", "P1", env=CHINESE).output
    assert "登记被拒" in run("staff", desk, "list", env=CHINESE).output
    add_key(street, desk)
    assert [key["state"] for key in answer("staff", desk, "list")["keys"]] == ["refused", "in use"]


def test_a_person_who_leaves_is_gone_from_the_device_and_the_others_are_told(street: Street, desk: Path) -> None:
    """One command at the centre; a device of her own waits for a decision and is named, exit 1."""
    add_key(street, desk)
    done = answer("staff", street.centre, "leave", "--staff", "P2")
    assert len(done["keys"]) >= 1
    text = run("sync", desk, "--staff", "P1", env=CHINESE).output
    assert "P2 已不再使用本终端" in text
    assert [key["state"] for key in answer("staff", desk, "list")["keys"]] == ["ended"]
    assert run("commit", desk, "--staff", "P2").exit_code in (0, 77)
    alone = desk.parent / "alone.db"
    good("join", alone, "--url", street.url, "--code", code(street.centre, "operator", "P5"))
    left = run("staff", street.centre, "leave", "--staff", "P5")
    assert (left.exit_code, "nobody else uses device" in left.output) == (1, True)
    assert run("staff", street.centre, "leave", "--staff", "P9").exit_code == 65


def test_a_lost_key_is_ended_and_a_person_taken_off_one_device(street: Street, desk: Path) -> None:
    """`staff CENTRE end`, and `renew --without`."""
    add_key(street, desk)
    assert len(answer("staff", street.centre, "end", "--staff", "P2", "--reason", "lost")["keys"]) == 1
    device = str(answer("status", desk)["device"])
    assert answer("renew", street.centre, device, "--without", "P2")["people"] == ["P1"]
    assert run("renew", street.centre, device, "--without", "P1").exit_code == 65
