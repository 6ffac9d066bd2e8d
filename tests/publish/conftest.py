"""One published place for all tests that only read it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
