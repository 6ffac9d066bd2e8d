"""Hostile rows of a whole published folder in a real browser, on a phone: nothing of a row runs, no page breaks."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.browsing import Opened, opened
from tests.publish.hostile_place import SIGNED, HostilePlace, make_hostile_place
from tests.publish.test_hostile_rows import TURNS

pytestmark = pytest.mark.browser

PHONE = 390  # pixels wide
TRIED = ("script", "handler", "controls", "long-latin", "svg", "quotes", "terminal")  # the others: test_find.py
WITHIN = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> HostilePlace:
    """The place, published with its site."""
    return make_hostile_place(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def address(place: HostilePlace) -> Iterator[str]:
    """The folder as `syncgov browse` serves it."""
    program = (
        "import sys; from pathlib import Path; from syncgov.publish.browse import browse; "
        f"browse(Path({str(place.out)!r}), 0, ready=lambda port: print(port, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.terminate()


def tried(place: HostilePlace) -> list[str]:
    """Return the keys of the lamps that are opened one by one."""
    return [key for key, words in place.lamps.items() if words in {SIGNED[name] for name in TRIED}]


def harmless(seen: Opened) -> str:
    """Assert that the page that stands there is whole; return its text."""
    assert seen.page.evaluate("window.hacked") is None, seen.page.url
    assert seen.page.evaluate(WITHIN) <= PHONE, seen.page.url
    text = seen.page.locator("body").inner_text()
    assert not TURNS.search(text), seen.page.url
    return text


def test_records_and_their_check_stay_text(browser: Browser, address: str, place: HostilePlace) -> None:
    """The page that a script fills, and the page that checks a proof, which shows what the file says."""
    seen = opened(browser, address, PHONE)
    for key in tried(place):
        seen.page.goto(f"{address}portal/record.html?{key}#lamp/{key}")
        seen.page.wait_for_selector(".sg-facts")
        harmless(seen)
        seen.page.goto(f"{address}portal/check.html?{key}#../log/proofs/lamp/{key}.json")
        seen.page.wait_for_selector("#sg-check-result:not([hidden]):not(.sg-verdict--busy)")
        assert "核对通过" in harmless(seen)
    assert (seen.errors, seen.elsewhere()) == ([], [])
    seen.page.close()


def test_datasette_stays_text(browser: Browser, address: str, place: HostilePlace) -> None:
    """Tables and rows in Datasette."""
    seen = opened(browser, address, PHONE)
    for path in ("lamp?_size=100", "crew?_size=100", *(f"lamp/{key}" for key in tried(place))):
        seen.page.goto(f"{address}public/{path}")
        assert seen.page.locator("h1").count() == 1
        harmless(seen)
    assert (seen.errors, seen.elsewhere()) == ([], [])
    seen.page.close()
