"""`syncgov attach`, and what `sync` and `status` say of files."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from syncgov.cli import root
from syncgov.storage.replica import Replica
from tests.attaching import add, cut_files, make_world, picture
from tests.helpers import World, a_task, insert


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A worker's device with a task."""
    with make_world(tmp_path) as found:
        pen = found.device("pen")
        insert(pen, "task", a_task())
        found.sync(pen)
        yield found


@pytest.fixture
def pen(world: World) -> Replica:
    return world.replicas["pen"]


def run(*arguments: object, locale: str = "zh_CN.UTF-8") -> Result:
    """Run a command as a person with that locale would."""
    return CliRunner().invoke(root, [str(a) for a in arguments], env={"LC_ALL": locale})


def task_of(pen: Replica) -> str:
    return str(pen.conn.execute("SELECT id FROM task").fetchone()[0])


def test_a_worker_adds_a_photo_and_follows_it(world: World, pen: Replica, tmp_path: Path) -> None:
    """attach, commit, sync over a bad line, status, sync, status, --get."""
    photo = tmp_path / "IMG_0001.JPG"
    photo.write_bytes(picture(exif=True))
    added = run("attach", pen.path, "task", task_of(pen), photo, "--phase", "before")
    assert added.exit_code == 0
    assert "待签名" in added.output
    assert "位置" in added.output
    assert "附件：待上传 1 · 上传中 0 · 已存 0" in run("status", pen.path).output
    assert run("commit", pen.path).exit_code == 0
    assert cut_files(world, pen) is not None
    pen.conn.execute("UPDATE _sg_file SET sent = bytes * 4 / 10")
    shown = run("status", pen.path).output
    assert "上传中 1" in shown
    assert "上传中 39%" in shown or "上传中 40%" in shown
    with world.line():
        done = run("sync", pen.path)
        assert done.exit_code == 0
        assert "附件：已存 2 · 待上传 0" in done.output
        got = run("attach", pen.path, "task", task_of(pen), "--get", tmp_path / "out")
    assert "已存 1" in run("status", pen.path).output
    (path,) = (tmp_path / "out").iterdir()
    assert path.name.startswith("before-")
    assert path.name in got.output
    found = json.loads(run("status", pen.path, "--json").output)
    assert [(each["stage"], each["percent"]) for each in found["files"]] == [("stored", 100)]


def test_a_sync_whose_files_are_cut_off_is_done_all_the_same(world: World, pen: Replica) -> None:
    """Exit code 0, and a line that says what waits."""
    add(pen, task_of(pen))
    world.wire.reset()
    world.wire.cut_at = 4
    with world.line():
        done = run("sync", pen.path)
    assert done.exit_code == 0
    assert "附件：已存 0 · 待上传 2" in done.output
    assert "下次同步接着传" in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("task", "KEY"), 2, "give a FILE"),
        (("task", "KEY", "photo.jpg", "--get", "out"), 2, "give a FILE"),
        (("task", "KEY", "--get", "out", "--phase", "before"), 2, "takes no --phase"),
        (("task", "KEY", "photo.jpg", "--small"), 2, "--small goes with"),
        (("task", "KEY", "nothing.jpg"), 65, "cannot read"),
        (("task", "KEY", "empty.jpg"), 65, "is empty"),
        (("task", "nobody", "photo.jpg"), 65, "check the key"),
        (("notice", "KEY", "photo.jpg"), 65, "can have no files"),
        (("task", "KEY", "photo.jpg", "--phase", "later"), 65, "known: before, after"),
        (("task", "KEY", "text.jpg"), 65, "no photo that can be used"),
    ],
)
def test_what_cannot_be_added_is_told_with_its_exit_code(
    world: World,
    pen: Replica,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    """And nothing is added."""
    monkeypatch.chdir(tmp_path)
    for name, data in (("photo.jpg", picture()), ("empty.jpg", b""), ("text.jpg", b"hello")):
        (tmp_path / name).write_bytes(data)
    done = run("attach", pen.path, *(task_of(pen) if a == "KEY" else a for a in arguments), locale="C.UTF-8")
    assert (done.exit_code, words in done.output) == (code, True), done.output
    assert pen.conn.execute("SELECT count(*) FROM photo").fetchone() == (0,)


def test_json_says_what_was_added(pen: Replica, tmp_path: Path) -> None:
    """One object; quiet otherwise."""
    (tmp_path / "a.png").write_bytes(picture(form="PNG"))
    found = json.loads(run("attach", pen.path, "task", task_of(pen), tmp_path / "a.png", "--json").output)
    assert (found["kind"], found["phase"], found["media_type"], found["cleaned"]) == ("photo", None, "image/jpeg", True)
    assert run("attach", pen.path, "task", task_of(pen), tmp_path / "a.png", "-q").output == ""


def test_photos_go_by_bundle(world: World, pen: Replica, tmp_path: Path) -> None:
    """bundle, receive, receive: each says what became of the files, for people and for machines."""
    add(pen, task_of(pen))
    there, back = tmp_path / "there.bundle", tmp_path / "back.bundle"
    packed = run("bundle", pen.path, there)
    assert packed.exit_code == 0
    assert "附件 2 个（0.0 MB）" in packed.output
    assert json.loads(run("bundle", pen.path, there, "--json").output)["files_left"] == 0
    taken = run("receive", world.centre.path, there, "--reply", back)
    assert "附件：收到 2 个，已存 2" in taken.output
    assert "附件：已存 2 · 待上传 0" in run("receive", pen.path, back).output
    again = json.loads(run("receive", world.centre.path, there, "--reply", back, "--json").output)
    assert [result["state"] for _name, result in again["files"]] == ["stored", "stored"]
    assert "已存 1" in run("status", pen.path).output
