"""What is not public is found in nothing that is published."""

from pathlib import Path

import msgspec
import pytest

from syncgov.core import wire
from tests.leaks import holders
from tests.publish.place import Place
from tests.publish.reading import cells


def files(folder: Path) -> list[Path]:
    """Return every file below *folder*."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_private_strings_are_in_no_published_file(place: Place) -> None:
    """Fields, authors, notes, certificates' people, refused and withheld texts, in every encoding."""
    texts = [place.canaries[name] for name in place.canaries if name not in ("waiting", "spot")]
    published = files(place.out)
    assert len(published) > 20
    assert {text: found for text, found in holders(texts, published).items() if found} == {}


def test_the_strings_are_where_they_belong(place: Place) -> None:
    """The search finds what it looks for: the author's replica and the centre hold the strings."""
    texts = [place.canaries[name] for name in ("inside", "caller", "name", "person", "refused_words", "withheld")]
    kept = holders(texts, files(place.world.folder / "centre"))
    written = holders(texts, [place.world.folder / "east.db", place.world.folder / "east.db-wal"])
    assert all(kept.values())
    assert all(written.values())


@pytest.mark.parametrize("suffix", [".key", "central.db"])
def test_no_key_or_central_file_is_published(place: Place, suffix: str) -> None:
    """The folder holds what publication makes, nothing that lies about in the centre."""
    assert not [path for path in files(place.out) if path.name.endswith(suffix)]


def test_a_waiting_changeset_is_only_counted(own_place: Place) -> None:
    """What has no leaf yet shows as a number that the centre declares."""
    world = own_place.world
    east = world.replicas["east"]
    for text in ("先写的", own_place.canaries["waiting"]):
        east.conn.execute("UPDATE lamp SET words = ? WHERE id = ?", (text, own_place.keys[0]))
        east.commit(own_place.canaries["person"])
    last = east.conn.execute("SELECT envelope, body FROM _sg_own ORDER BY seq DESC LIMIT 1").fetchone()
    transport = world.transport(east)
    entry = wire.PushEntry(msgspec.Raw(last[1]), msgspec.Raw(last[0]))
    answer = transport.post("/v1/push", wire.Push([entry]), wire.PushAnswer)
    assert [result.state for result in answer.results] == ["waiting"]
    own_place.publish()
    assert cells(own_place.out, "SELECT value FROM declared WHERE name = 'waiting'") == [(1,)]
    text = own_place.canaries["waiting"]
    assert holders([text], files(own_place.out)) == {text: set()}
