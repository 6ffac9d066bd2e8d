"""What the tests of the demo share besides the demo itself, which is in tests/conftest.py."""

import shutil
from pathlib import Path

import pytest

from syncgov.demo.run import Ran
from syncgov.demo.summary import format_summary, summarise


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
