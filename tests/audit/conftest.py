"""One street for all tests of the audit; each damages a copy of its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.street import build_street


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the centre, the devices, and what was published in `out`."""
    folder = tmp_path_factory.mktemp("street")
    build_street(folder)
    return folder


@pytest.fixture
def street(pristine: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy that may be damaged."""
    copy = tmp_path / "street"
    shutil.copytree(pristine, copy)
    yield copy
    shutil.rmtree(copy)
