"""A new kind of record in another place is a YAML file and nothing else."""

import sqlite3
from contextlib import closing
from pathlib import Path

from syncgov.centre.centre import Centre
from syncgov.centre.drafting import Draft
from syncgov.centre.enrolment import enrol
from syncgov.publish.publish import publish
from syncgov.storage.files import read_registers
from syncgov.sync.client import sync
from syncgov.sync.joining import join
from tests.servers import running_centre

TREES = Path(__file__).parents[1] / "examples" / "trees"
TREE = "01900000-0000-7000-8000-000000000001"


def plain(path: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Run one statement as any program would."""
    with closing(sqlite3.connect(path, timeout=10)) as db:
        rows = db.execute(sql, values).fetchall()
        db.commit()
    return rows


def test_street_trees_from_the_yaml_alone(tmp_path: Path) -> None:
    """Table, sync, conflict view, public table and portal page, with no Python of their own."""
    centre = Centre.init(tmp_path / "centre", Draft("树木", "trees.example/log", "33"), read_registers(TREES))
    codes = [enrol(centre, "gardener", ["33"])[0] for _ in range(2)] + [enrol(centre, "inspector", ["33"])[0]]
    centre.close()
    with running_centre(tmp_path / "centre") as url:
        one, two, three = (join(tmp_path / f"{n}.db", url, code) for n, code in enumerate(codes))
        for replica in (one, two, three):
            sync(replica)
        insert_tree(one.path)
        assert sync(one).accepted == 1
        sync(two)
        assert plain(two.path, "SELECT species FROM street_tree") == [("国槐",)]
        plain(one.path, "UPDATE street_tree SET species = '银杏'")
        plain(two.path, "UPDATE street_tree SET species = '悬铃木'")
        for replica in (one, two, one, three):
            sync(replica)
        rows = plain(three.path, "SELECT field, count(*) FROM conflict GROUP BY field")
        assert rows == [("species", 2)]
        for replica in (one, two, three):
            replica.close()
    published(tmp_path)


def insert_tree(path: Path) -> None:
    """Write one tree with whatever columns the file declares as required."""
    plain(
        path,
        "INSERT INTO street_tree (id, district, planted_on, species, state) "
        "VALUES (?, '3301', '2026-03-12', '国槐', 'thirsty')",
        TREE,
    )


def published(folder: Path) -> None:
    """The public table and the page of the register are there."""
    centre = Centre(folder / "centre")
    publish(centre, folder / "public")
    centre.close()
    rows = plain(folder / "public" / "public.db", "SELECT key, species, _conflict FROM street_tree")
    assert rows == [(TREE, "悬铃木", 1)]
    pages = [p.read_text() for p in (folder / "public" / "portal").rglob("*.html")]
    assert any("悬铃木" in page for page in pages)
