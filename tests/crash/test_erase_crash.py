"""Whatever the moment of death while something is erased: it is there, or it goes everywhere without a new order."""

from pathlib import Path

from syncgov.centre.hiding import erase
from syncgov.core.merge import ERASED
from syncgov.fsck import fsck
from syncgov.storage.state import field_state, load_row
from tests.crash.die_at import reopened
from tests.crash.test_commit_crash import assert_whole, base, killed, street
from tests.erasing import assert_folds_agree
from tests.helpers import World, new_key, update
from tests.leaks import holders

CANARY = "鹮貉隼鹀CANARY7Q2M9XW3A"

__all__ = ["base"]  # the fixture


def written(base: Path) -> World:
    """Return a world in which the title of the first record holds the canary."""
    world = street(base, rows=1)
    pen = world.replicas["pen"]
    update(pen, "task", new_key(0), title=CANARY)
    world.sync(pen)
    return world


def held(folder: Path, below: str) -> bool:
    """Return whether a file below a folder, or with a name that begins so, holds the canary."""
    files = [p for p in folder.rglob("*") if p.is_file() and str(p.relative_to(folder)).startswith(below)]
    return bool(holders([CANARY], files)[CANARY])


def test_erase_killed_before_every_statement_and_file_operation(base: Path) -> None:
    """The order is in the log with all its consequences after the next start, or nothing has happened."""
    written(base).close()
    outcomes = set()
    for folder in killed(base, "erase", 100):
        with reopened(folder) as world:
            ledger = world.centre.ledger
            raw = load_row(ledger.conn, ("task", new_key(0))).fields["title"]
            done = {head.value for head in field_state(raw).heads} == {ERASED}
            outcomes.add(done)
            assert_whole(world)
            assert_folds_agree(ledger)
            assert ledger.conn.execute("SELECT count(*) FROM _sg_scrub").fetchone() == (0,)
            assert ledger.meta.get_int("scrub") == 0
        assert held(folder, "centre") == (not done)
        if int(folder.name) % 5 == 0:
            assert not fsck(folder / "centre").findings
    assert outcomes == {True, False}


def test_a_device_killed_while_it_hears_of_an_erasure(base: Path) -> None:
    """It knows the value and has not heard, or has lost it; the next sync finishes what was begun."""
    with written(base) as world:
        erase(world.centre, "task", new_key(0), ["title"], "request")
    seen = set()
    for folder in killed(base, "hear", 40):
        with reopened(folder) as world:
            pen = world.replicas["pen"]
            seen.add(pen.meta.get_int("scrub"))
            world.sync(pen)
            assert pen.meta.get_int("scrub") == 0
            assert not pen.has_unsigned()
            assert pen.conn.execute("SELECT title FROM task WHERE id = ?", (new_key(0),)).fetchone() == (None,)
        assert not held(folder, "pen")
        if int(folder.name) % 5 == 0:
            assert not fsck(folder / "pen.db").findings
    assert seen == {0, 1}
