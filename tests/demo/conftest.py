"""A whole small demo, run once for all tests that look at its result."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.demo.run import Ran, run_demo
from syncgov.demo.summary import format_summary, summarise


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """A finished demo: 60 events, 45 of them closed."""
    folder = tmp_path_factory.mktemp("demo") / "data"
    yield run_demo(folder, seed=7, events=60, closed=45)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def summary(ran: Ran) -> dict[str, object]:
    """Its summary as values."""
    return summarise(ran)


@pytest.fixture(scope="session")
def summary_text(summary: dict[str, object]) -> str:
    """Its summary as people see it."""
    return format_summary(summary)


@pytest.fixture
def public(ran: Ran, tmp_path: Path) -> Path:
    """A copy of the published folder, to be damaged."""
    return Path(shutil.copytree(ran.public, tmp_path / "public"))
