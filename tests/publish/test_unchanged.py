"""What is not new is not published, built or written again; what is new, or damaged, is."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from syncgov.publish import publish as publishing
from syncgov.publish import unchanged
from syncgov.publish.folder import lock_path
from syncgov.publish.publish import publish
from tests.helpers import DAY_MS
from tests.publish.place import Place


def traces(out: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of every file: a file that was written again has others."""
    found = {str(path.relative_to(out)): path.stat() for path in out.rglob("*") if path.is_file()}
    return {name: (info.st_ino, info.st_mtime_ns) for name, info in found.items()}


def test_a_second_publication_touches_nothing(own_place: Place) -> None:
    """Nothing is logged, no file is written, and what is told is the same."""
    first, before, size = own_place.published, traces(own_place.out), own_place.world.centre.ledger.size
    again = own_place.publish()
    assert again.unchanged
    assert not first.unchanged
    assert traces(own_place.out) == before
    assert own_place.world.centre.ledger.size == size
    told = ("tables", "withheld", "erased", "figures", "checkpoint", "rows")
    assert [getattr(again, name) for name in told] == [getattr(first, name) for name in told]


def a_row(place: Place) -> None:
    place.world.centre.write("crew", [("9", {"name": "新班"})])


def midnight(place: Place) -> None:
    place.clock.forward(DAY_MS)


def a_file_edited(place: Place) -> None:
    (place.out / "data" / "lamp.csv").write_text("nothing")


def a_file_lost(place: Place) -> None:
    next((place.out / "log" / "proofs").rglob("*.json")).unlink()


def a_file_added(place: Place) -> None:
    (place.out / "portal").mkdir()
    (place.out / "portal" / "index.html").write_text("not ours")


def the_note_lost(place: Place) -> None:
    lock_path(place.out).unlink()


def something_waits(place: Place) -> None:
    with closing(sqlite3.connect(place.world.centre.path / "central.db")) as conn, conn:
        kinds = [row[2] for row in conn.execute("PRAGMA table_info(_sg_waiting)")]
        values = [{"TEXT": "x", "INTEGER": 1, "BLOB": b"x"}[kind] for kind in kinds]
        conn.execute(f"INSERT INTO _sg_waiting VALUES ({', '.join('?' * len(values))})", values)


@pytest.mark.parametrize(
    "change", [a_row, midnight, a_file_edited, a_file_lost, a_file_added, the_note_lost, something_waits]
)
def test_any_change_is_published(own_place: Place, change: Callable[[Place], None]) -> None:
    """The log, the day, what the centre declares, the folder: each makes a new publication, and a whole folder."""
    change(own_place)
    done = own_place.publish()
    assert not done.unchanged
    assert (own_place.out / "data" / "lamp.csv").read_text() != "nothing"
    assert not (own_place.out / "portal").exists()
    assert own_place.publish().unchanged


def test_other_settings_and_another_program_publish(own_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address, a new edition of the program, and whoever asks for it."""
    centre, out = own_place.world.centre, own_place.out
    assert not publish(centre, out, portal=False, again=True).unchanged
    assert publish(centre, out, portal=False).unchanged
    monkeypatch.setattr(publishing, "_build_portal", lambda new, address: None)
    for address in ("", "https://a.example/"):
        assert not publish(centre, out, address=address).unchanged
        assert publish(centre, out, address=address).unchanged
    monkeypatch.setattr(unchanged, "program", lambda *packages: "another")
    assert not publish(centre, out, address="https://a.example/").unchanged


def test_a_crash_before_the_note_publishes_again(own_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder stands, but nobody wrote down what it was made from: it is not trusted."""

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    a_row(own_place)
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "note", dies)
        with pytest.raises(KeyboardInterrupt):
            own_place.publish()
    assert not own_place.publish().unchanged


def test_files_that_stay_the_same_keep_their_times(own_place: Place) -> None:
    """A web server, and whoever copies the folder, sees which files are new."""
    out = own_place.out
    for path in out.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(0, 1_000_000_000))
    a_row(own_place)
    own_place.publish()
    old = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.stat().st_mtime < 2}
    assert {"log/charter.json", "data/lamp.csv", "index.html"} <= old
    assert not {"log/checkpoint", "data/crew.csv", "public.db", "SHA256SUMS", "log/files"} & old
