"""有争议: what a revoked device wrote after its last good changeset is marked for the public, and changes nothing."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from portal import pages
from portal.site import Site
from portal.source import open_source
from syncgov.audit.audit import audit
from syncgov.audit.portal_figures import FIXED_PAGES
from syncgov.centre.certificates import revoke
from syncgov.publish.publish import publish
from tests.helpers import EAST, World, a_task, insert, update

Cells = list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thief wrote two tasks and one title after changeset 2; another device replaced the title of one of them."""
    folder = tmp_path_factory.mktemp("street")
    with World.make(folder) as world:
        thief, honest = world.device("thief"), world.device("honest", areas=(EAST,))
        keys = [insert(thief, "task", a_task(title=title, kind="a")) for title in ("甲", "乙", "丙")]
        world.sync(thief)
        order = [key for _seq, key in thief.conn.execute("SELECT seq, key FROM _sg_own ORDER BY seq")]
        assert sorted(order) == sorted(keys)
        update(thief, "task", order[0], title="贼改的")
        world.sync(thief)
        world.sync(honest)
        update(honest, "task", order[2], title="核实过")
        update(honest, "task", order[1], kind="b")
        world.sync(honest)
        publish(world.centre, folder / "before", portal=False)
        revoke(world.centre, thief.dev, last_good=1)
        publish(world.centre, folder / "out", portal=False)
        (folder / "thief").write_text(thief.dev, encoding="utf-8")
    for name in FIXED_PAGES:
        path = folder / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("<html></html>", encoding="utf-8")
    return folder


def query(street: Path, sql: str, out: str = "out") -> Cells:
    """Return rows of a published database."""
    with closing(sqlite3.connect(street / out / "public.db")) as conn:
        return conn.execute(sql).fetchall()


def test_leaves_and_writes_are_marked(street: Path) -> None:
    """From the changeset after the last good one on, this device's alone."""
    dev = (street / "thief").read_text(encoding="utf-8")
    marked = query(street, "SELECT device, seq FROM leaf WHERE disputed ORDER BY seq")
    assert marked == [(dev, 2), (dev, 3), (dev, 4)]
    found = query(street, "SELECT DISTINCT device, idx IN (SELECT idx FROM leaf WHERE disputed), disputed FROM history")
    assert all(inside == mark for _dev, inside, mark in found)
    assert query(street, "SELECT count(*) FROM history WHERE disputed") != [(0,)]
    assert query(street, "SELECT count(*) FROM history WHERE disputed", "before") == [(0,)]


def test_rows_are_marked_by_what_stands(street: Path) -> None:
    """A row counts the fields in which a disputed write stands; what somebody wrote over counts no more."""
    fields: dict[str, int] = dict(query(street, "SELECT title, _disputed FROM task"))
    whole = query(
        street,
        "SELECT t.title, count(*) FROM history AS h JOIN task AS t ON t.key = h.key "
        "WHERE h.register = 'task' AND h.disputed AND h.shown GROUP BY t.title",
    )
    assert fields == dict(whole)
    assert all(isinstance(n, int) and n > 0 for n in fields.values())
    assert len(set(fields.values())) > 1


def test_a_mark_changes_no_value_and_no_total(street: Path) -> None:
    """Before and after the revocation the rows say the same."""
    sql = "SELECT key, title, kind, state, _updated FROM task ORDER BY key"
    assert query(street, sql) == query(street, sql, "before")


def test_the_audit_derives_the_marks(street: Path, tmp_path: Path) -> None:
    """A mark that is taken away, or added, is found in each table that has it."""
    charter = street / "centre" / "charter.json"
    assert audit(street / "out", charter).ok
    for number, sql in enumerate(
        (
            "UPDATE leaf SET disputed = 0",
            "UPDATE history SET disputed = 0",
            "UPDATE task SET _disputed = 0",
            "UPDATE leaf SET disputed = 1 WHERE idx = 0",
        )
    ):
        out = tmp_path / str(number)
        shutil.copytree(street / "out", out)
        with closing(sqlite3.connect(out / "public.db")) as conn, conn:
            conn.execute(sql)
        report = audit(out, charter)
        assert "cell" in {finding.code for finding in report.findings}, sql


def test_the_portal_says_so(street: Path) -> None:
    """The page on the data counts them and says what it means; rows carry the mark; nothing of it before."""
    said = []
    for name in ("out", "before"):
        with open_source(street / name / "public.db") as source:
            site = Site(source)
            body = "".join(page.body for page in pages.generate(site))
            found = [source.find(site.registers["task"], str(key)) for (key,) in query(street, "SELECT key FROM task")]
            marks = [site.evidence("data.md", row) for row in found if row is not None]
            said.append((body.count("条已采纳的写入有争议"), sum("有争议" in mark for mark in marks)))
    assert said == [(1, 3), (0, 0)]
