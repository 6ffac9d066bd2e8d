"""Fixtures and settings that every test folder shares."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from syncgov.demo.run import Ran
    from syncgov.storage.replica import Replica
    from tests.helpers import World

ROOT = Path(__file__).resolve().parents[1]

# A slow machine is not a wrong result, so there is no deadline anywhere; CI runs more examples, always the same ones.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), max_examples=500, derandomize=True, print_blob=True)
# where only the verdict counts (make mutations, make guards), the smallest example is not looked for
settings.register_profile("broken", settings.get_profile("local"), phases=[Phase.explicit, Phase.generate])
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public vectors and data: $SYNCGOV_SHARED, or `shared` beside the repository."""
    folder = Path(os.environ.get("SYNCGOV_SHARED") or ROOT.parent / "shared")
    if folder.is_dir():
        return folder
    message = f"{folder} does not exist; set SYNCGOV_SHARED to the folder that holds vectors/ and data/"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def pen(world: "World") -> "Replica":
    """The worker's device in the test's own world."""
    return world.replicas["pen"]


@pytest.fixture
def task(pen: "Replica") -> str:
    """A task that is written on the worker's device and not signed yet."""
    from tests.helpers import a_task, insert

    return insert(pen, "task", a_task())


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Ran"]:
    """A whole small demo, run once for all tests that look at its result: 60 events, 45 of them closed."""
    from syncgov.demo.run import run_demo

    folder = tmp_path_factory.mktemp("demo") / "data"
    yield run_demo(folder, seed=7, events=60, closed=45)
    shutil.rmtree(folder)
