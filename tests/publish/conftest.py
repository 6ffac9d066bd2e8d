"""One published place for all tests that only read it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.street import write_pages
from tests.publish.place import Place, make_place


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place to look at; tests that change something use `own_place`."""
    made = make_place(tmp_path_factory.mktemp("place"))
    yield made
    made.world.close()


@pytest.fixture
def own_place(tmp_path: Path) -> Iterator[Place]:
    """A place of the test's own."""
    made = make_place(tmp_path)
    yield made
    made.world.close()


@pytest.fixture
def out(place: Place, tmp_path: Path) -> Path:
    """A whole folder that may be damaged."""
    (tmp_path / "centre").symlink_to(place.world.centre.path)
    shutil.copytree(place.out, tmp_path / "out")
    write_pages(tmp_path / "out", {})
    return tmp_path / "out"
