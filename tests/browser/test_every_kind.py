"""What every kind of page keeps: no barrier, no other host, nothing sideways, little weight, words without scripts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from playwright.sync_api import Browser

from tests.browser.axe import violations
from tests.browser.browsing import Opened, recording
from tests.browser.conftest import Street
from tests.browser.kinds import Kind, page_kinds

pytestmark = pytest.mark.browser

PHONE, DESK = 390, 1280  # pixels wide
FIRST_PAGE = 200_000  # bytes, compressed: what a village network bears
ALONE = ("sheet", "404")  # kinds without the theme
SEARCHING = ("find", "record", "map")  # kinds whose content stands in the files of the search
ANY_PAGE = 150_000  # the same of every other kind; the longest texts are the heaviest


@contextmanager
def visited(
    browser: Browser, street: Street, kind: Kind, width: int, scheme: Literal["light", "dark"]
) -> Iterator[Opened]:
    """Open *kind* with an empty cache, as somebody does who comes for the first time."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    seen = recording(context.new_page(), street.base)
    kind.open(seen.page, street.address)
    yield seen
    context.close()


def faults(seen: Opened, width: int) -> list[object]:
    """Return all that is wrong with the page as it is shown."""
    wide = seen.page.evaluate("document.scrollingElement.scrollWidth")
    headings = seen.page.locator("h1").count()
    return [
        *violations(seen.page),
        *(f"asked {url}" for url in seen.elsewhere()),
        *(f"{answer.status} {answer.url}" for answer in seen.answers if answer.status >= 400),
        *seen.errors,
        *([f"{wide} px wide"] if wide > width else []),
        *([f"{headings} headings"] if headings != 1 else []),
    ]


def test_every_kind_on_a_phone_by_day(browser: Browser, street: Street) -> None:
    """axe finds nothing, no other host is asked, nothing is wider than a phone, and each page is light."""
    weights: dict[str, int] = {}
    for kind in page_kinds(street.portal):
        with visited(browser, street, kind, PHONE, "light") as seen:
            assert faults(seen, PHONE) == [], kind.name
            weights[kind.name] = seen.weight()
            searched = [url for url in seen.asked if url.endswith(".js") and "/find" in url]
            assert bool(searched) == kind.name.startswith(SEARCHING), f"{kind.name}: search loads on use"
    assert weights["index"] <= FIRST_PAGE, weights
    assert max(weights.values()) <= ANY_PAGE, weights
    assert min(weights[kind] for kind in weights if kind not in ALONE) > FIRST_PAGE // 4, "what was weighed?"


def test_every_kind_on_a_desk_by_night(browser: Browser, street: Street) -> None:
    """The same in dark mode on a wide screen; the other two of the four are looked at by `make shots`."""
    kinds = page_kinds(street.portal)
    for kind in kinds:
        with visited(browser, street, kind, DESK, "dark") as seen:
            assert faults(seen, DESK) == [], kind.name
            if kind.name not in ALONE:
                assert seen.page.evaluate("document.body.dataset.mdColorScheme") == "slate", kind.name
    assert len(kinds) > 35


# What the page says, without white space and without what a script draws beside it.
WORDS = """() => {
  document.querySelectorAll('#sg-map-app, noscript').forEach(each => each.remove());
  return [...document.querySelectorAll('article, main, body')][0].innerText.replace(/\\s+/g, '');
}"""
INSTEAD = {"find": "index.html", "record": "index.html", "check": ""}  # kind -> where its words lead


def test_every_kind_is_read_without_scripts(browser: Browser, street: Street) -> None:
    """The same words with and without, lists complete; the three that need scripts say so and lead on."""
    context = browser.new_context(viewport={"width": PHONE, "height": 900}, java_script_enabled=False)
    plain, full = context.new_page(), browser.new_page(viewport={"width": PHONE, "height": 900})
    read = 0
    for kind in page_kinds(street.portal):
        if kind.name.startswith(tuple(INSTEAD)):
            continue
        for page in (plain, full):
            kind.open(page, street.address)
        said, wanted = plain.evaluate(WORDS), full.evaluate(WORDS)
        assert said == wanted, kind.name
        assert len(said) > 50, kind.name
        read += 1
    assert read > 30
    for name, target in INSTEAD.items():
        plain.goto(f"{street.address}{name}.html")
        told = plain.locator("#sg-unready")
        told.wait_for()
        assert "脚本" in told.inner_text(), name
        if target:
            told.locator(f"a[href='{target}']").click()
            assert plain.locator("h1").is_visible()
    full.close()
    context.close()
