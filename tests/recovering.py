"""Worlds in which a centre loses something: backups, root keys, and what must hold afterwards."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from syncgov.centre.chartering import load_roots
from syncgov.core.keys import SigningKey
from syncgov.core.statement import parse_leaf
from syncgov.fsck import fsck
from syncgov.storage.replica import Replica
from tests.helpers import World, a_task, insert


def root_keys(centre: Path) -> list[SigningKey]:
    """Return the root keys that `init` made."""
    return load_roots(sorted((centre / "roots").glob("*.key")))


def work(world: World, device: Replica, *titles: str) -> list[str]:
    """Write and sync one task a title; returns the keys."""
    keys = [insert(device, "task", a_task(title=title)) for title in titles]
    done = world.sync(device)
    assert not done.refused
    assert not done.rejected
    return keys


def titles(replica: Replica) -> list[str]:
    """Return the titles of the tasks that a device shows, sorted."""
    return sorted(title for (title,) in replica.conn.execute("SELECT title FROM task"))


def burn(world: World, *, keep: Iterable[str] = ()) -> Path:
    """Stop the centre and lose its folder, all but the files named in *keep*; returns the folder."""
    folder = world.centre.path
    world.wire.client.__exit__(None, None, None)
    world.centre.close()
    lost = folder.with_name("lost")
    shutil.rmtree(lost, ignore_errors=True)
    folder.rename(lost)
    folder.mkdir()
    for name in keep:
        shutil.copy(lost / name, folder / name)
    return folder


def revive(world: World) -> World:
    """Return the world again with its centre opened anew; devices stay open."""
    found = World(world.folder, clock=world.clock)
    found.replicas = world.replicas
    world.replicas = {}
    return found


def dots(world: World) -> list[tuple[str, int]]:
    """Return the dot of every leaf, in order."""
    return [leaf.changeset.statement.dot for leaf in world.leaves()]


def assert_sound(world: World) -> None:
    """Assert that centre and devices are whole, that no dot is used twice, and that the checkpoint covers the log."""
    assert len(dots(world)) == len(set(dots(world)))
    assert world.centre.checkpoint(world.centre.ledger).size == world.centre.ledger.size
    found = [fsck(world.centre.path), *(fsck(replica.path) for replica in world.replicas.values())]
    assert [(each.code, each.where, each.en) for report in found for each in report.findings] == []


def leaves_of(folder: Path) -> list[bytes]:
    """Return the leaves of a centre that is closed."""
    from contextlib import closing

    from syncgov.storage.connection import connect
    from syncgov.storage.ledger import Ledger

    with closing(connect(folder / "central.db")) as conn:
        ledger = Ledger(conn)
        return [parse_leaf(leaf).raw for _i, leaf, _b in ledger.entries(0, ledger.size)]
