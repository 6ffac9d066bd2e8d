"""The browser: one a file, because its event loop must not outlive it; and a real published folder on a web server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from syncgov.demo.run import Ran
from tests.browser.browsing import CHROMIUM, FLAGS, serving


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield found
        found.close()


@dataclass(frozen=True, slots=True)
class Street:
    """The demo's published folder, served below a prefix: `base` is the server, `address` the portal on it."""

    public: Path
    charter: Path
    base: str

    @property
    def portal(self) -> Path:
        """The folder of the pages."""
        return self.public / "portal"

    @property
    def address(self) -> str:
        """The address of the pages."""
        return f"{self.base}{self.public.name}/portal/"


@pytest.fixture(scope="module")
def street(ran: Ran) -> Iterator[Street]:
    """A street's year, published; nobody changes it."""
    with serving(ran.public.parent) as base:
        yield Street(ran.public, ran.centre / "charter.json", base)


@pytest.fixture(scope="module")
def files(published: Path) -> str:
    """The portal of the file's own `published` folder, as files."""
    return (published / "portal").as_uri() + "/"


@pytest.fixture(scope="module")
def address(published: Path) -> Iterator[str]:
    """The same portal on a web server."""
    with serving(published) as base:
        yield f"{base}portal/"
