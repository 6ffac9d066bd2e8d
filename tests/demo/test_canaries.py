"""Private strings that the story plants are where they belong, and nowhere else."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from syncgov.demo.canaries import Canary
from syncgov.demo.devices import device_path
from syncgov.demo.run import Ran
from syncgov.storage.files import builtin_folder, read_register
from tests.leaks import forms, holders


def files_of(folder: Path) -> list[Path]:
    """Every file below *folder*."""
    return [path for path in folder.rglob("*") if path.is_file()]


def replica_files(ran: Ran, index: int) -> list[Path]:
    """The replica of a device, with its WAL."""
    path = device_path(ran.folder, index)
    return [p for p in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")) if p.exists()]


def may_see(ran: Ran, canary: Canary, index: int) -> bool:
    """Whether a device's certificate lets it have the field that holds the canary."""
    device = ran.story.place.devices[index]
    register = read_register(builtin_folder() / f"{canary.register}.yml")
    declared = register.column_field(canary.column)
    inside = canary.grid.startswith(device.areas) or owner_of(ran, canary) in device.units
    return inside and register.may_read(device.roles, declared.klass)


def owner_of(ran: Ran, canary: Canary) -> str | None:
    """The unit that is responsible for the record in the end, or for the one that it belongs to."""
    register, key = read_register(builtin_folder() / f"{canary.register}.yml"), canary.key
    with closing(sqlite3.connect(ran.centre / "central.db")) as conn:
        if register.parent is not None:
            (key,) = conn.execute(f'SELECT "{register.parent}" FROM "{register.name}" WHERE id = ?', [key]).fetchone()
        found = conn.execute("SELECT owner FROM event WHERE id = ?", [key]).fetchone()
    return None if found is None else found[0]


def test_the_search_finds_every_form() -> None:
    """The searcher itself is tried, else the tests below could pass by being blind."""
    import base64
    import json

    text = "鹮貉隼鹀K7Q2M9XW3A"
    for shift in range(3):
        packed = base64.b64encode(b"xyz"[:shift] + text.encode() + b"tail")
        assert any(needle in packed for needle in forms(text))
    assert any(needle in json.dumps(f"a{text}b").encode() for needle in forms(text))


def test_authors_have_their_canaries(ran: Ran) -> None:
    """Else the other test would find nothing because nothing was planted."""
    assert len(ran.story.canaries) >= 5
    for canary in ran.story.canaries:
        assert holders([canary.text], replica_files(ran, canary.device_index))[canary.text], canary


def test_nothing_published_holds_a_canary(ran: Ran) -> None:
    """No file of the published folder, in any encoding."""
    found = holders([c.text for c in ran.story.canaries], files_of(ran.public))
    assert {text: paths for text, paths in found.items() if paths} == {}


def test_no_device_holds_what_it_may_not_see(ran: Ran) -> None:
    """Neither the replica nor its WAL or free pages."""
    texts = [c.text for c in ran.story.canaries]
    looked = 0
    for device in ran.story.place.devices:
        held = holders(texts, replica_files(ran, device.index))
        for canary in ran.story.canaries:
            if not may_see(ran, canary, device.index) and device.index != canary.device_index:
                assert not held[canary.text], (device, canary)
                looked += 1
    assert looked > 500


def test_a_unit_has_its_events_and_no_others(ran: Ran) -> None:
    """The handlers of a street's unit hold what it is responsible for, wherever in the street that is."""
    held = 0
    for device in [each for each in ran.story.place.devices if each.units]:
        assert device.areas == ()
        with closing(sqlite3.connect(device_path(ran.folder, device.index))) as conn:
            owners = [owner for (owner,) in conn.execute("SELECT owner FROM event")]
        assert set(owners) <= set(device.units), device.label
        held += len(owners)
    with closing(sqlite3.connect(ran.centre / "central.db")) as conn:
        units = [each for device in ran.story.place.devices for each in device.units]
        marks = ", ".join("?" * len(units))
        (owned,) = conn.execute(f"SELECT count(*) FROM event WHERE owner IN ({marks})", units).fetchone()
    assert owned * 3 // 4 <= held <= owned + 5
    assert owned > 10


def test_no_photo_and_no_hash_of_one_is_published(ran: Ran) -> None:
    """The centre has dozens; of the published folder's files none names one or holds its bytes."""
    photos = {path.name: path.read_bytes() for path in (ran.centre / "files").glob("??/*")}
    assert len(photos) > 40
    heads = {data[600:700] for data in photos.values()}
    published = files_of(ran.public)
    assert len(published) > 100
    for path in published:
        data = path.read_bytes()
        assert not {found.decode() for found in re.findall(rb"[0-9a-f]{64}", data)} & photos.keys(), path
        if path.suffix not in (".md", ".html", ".json", ".js", ".css"):
            assert not any(head in data for head in heads), path
