"""A full disk at any write: a clear StorageError, nothing acknowledged lost, work goes on when there is space again.

Here at a few writes of each scenario; `make crash` does it at each.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner

from syncgov.centre.intake import authenticate
from syncgov.cli.app import STORAGE, root
from syncgov.errors import StorageError
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from tests.crash.full_disk import Full, filled
from tests.crash.matrix import MEMORY
from tests.crash.scenarios import SCENARIOS, before_pack, reopened, signed, whole
from tests.crash.steps import watched

MOMENTS = 4


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory: what is tested is not whether fsync works."""
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        yield Path(place)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_full_disk_is_told_and_loses_nothing(name: str) -> None:
    """The error is ours and says what to do, and everything works afterwards."""
    done, told = filled(name, MOMENTS)
    assert done >= MOMENTS - 1
    assert told >= 2


def test_a_running_centre_goes_on_when_there_is_space(folder: Path) -> None:
    """Without a restart: every changeset that was not acknowledged is taken when it is pushed again."""
    signed(folder / "made")
    refused = []
    for k in range(1, 60, 6):
        shutil.copytree(folder / "made", folder / str(k))
        steps = Full("centre", 0)
        with watched(steps), reopened(folder / str(k)) as world:  # files that it opens now count too
            incoming = [
                authenticate(world.centre.ledger, envelope, body)
                for _seq, envelope, body in own_changesets(world.replicas["pen"])
            ]
            steps.k = steps.writes + k
            for _again in range(2):  # it stays full
                try:
                    world.centre.push(incoming)
                except StorageError as error:
                    refused.append(error.zh)
            steps.emptied()
            outcomes = world.centre.push(incoming)
            assert [outcome.verdict for outcome in outcomes] == ["accepted", "accepted"]
            whole(world)
            assert world.sync(world.replicas["pen"]).accepted == 2
        shutil.rmtree(folder / str(k))
    assert len(refused) >= 10
    assert all("存储空间已满" in zh for zh in refused)


def test_a_second_copy_without_space_is_completed_when_there_is_some(folder: Path) -> None:
    """Its disk alone is full: nobody gets an answer, and what the database holds already is not logged twice."""
    signed(folder / "made")
    steps = Full("copy.log", 0)
    with watched(steps), reopened(folder / "made") as world:
        size = world.centre.ledger.size
        incoming = [
            authenticate(world.centre.ledger, envelope, body)
            for _seq, envelope, body in own_changesets(world.replicas["pen"])
        ]
        steps.k = steps.writes + 1
        for _again in range(2):
            with pytest.raises(StorageError, match="the disk is full") as caught:
                world.centre.push(incoming)
            assert "存储空间已满" in caught.value.zh
        assert world.centre.checkpoint(world.centre.ledger).size == size
        steps.emptied()
        assert [outcome.verdict for outcome in world.centre.push(incoming)] == ["accepted", "accepted"]
        assert world.centre.ledger.size == size + 2
        whole(world)


@pytest.mark.parametrize("command", ["commit", "bundle"])
def test_the_command_line_says_it_and_leaves_with_74(folder: Path, command: str) -> None:
    """Words and exit code of a program that somebody has started, and the same command works afterwards."""
    before_pack(folder / "made")
    replica = folder / "made" / "pen.db"
    with Replica.open(replica) as pen:
        pen.meta.set(recipient=(folder / "made" / "recipient").read_text())
    arguments = [command, str(replica), *([str(folder / "made" / "out")] if command == "bundle" else [])]
    with watched(Full("made", 3)):
        failed = CliRunner().invoke(root, arguments)
    assert failed.exit_code == STORAGE, failed.output
    assert "清理出空间后重试" in failed.stderr or "ake space and try again" in failed.stderr
    assert CliRunner().invoke(root, arguments).exit_code == 0
