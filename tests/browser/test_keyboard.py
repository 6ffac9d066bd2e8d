"""The resident's way without a pointer: Tab, Enter, Space and Escape reach everything, and one sees where one is."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.browsing import Opened, recording
from tests.browser.conftest import Street
from tests.browser.kinds import records

pytestmark = pytest.mark.browser

WIDTHS = {"phone": 390, "desk": 1280}
ENOUGH = 400  # keys; the longest of these pages has fewer places

# Where the keys are: which element, what it says, how far from the top; whether its line is seen and nothing covers it.
PLACE = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const shown = at.matches('.md-option') ? at.nextElementSibling : at;
  const box = shown.getBoundingClientRect(), style = getComputedStyle(shown);
  const middle = [box.left + box.width / 2, box.top + Math.min(box.height, innerHeight) / 2];
  const top = document.elementFromPoint(...middle);
  const lines = [...shown.getClientRects()].some(each => {
    const found = document.elementFromPoint(each.left + each.width / 2, each.top + each.height / 2);
    return found && (shown.contains(found) || found.contains(shown));
  });
  return {
    says: (at.getAttribute('aria-label') || at.textContent || at.id).trim().slice(0, 40),
    href: at.getAttribute('href') || '', id: at.id, inside: Boolean(at.closest('article')),
    y: box.top + scrollY, x: box.left,
    seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    free: lines || (top !== null && (shown.contains(top) || top.contains(shown))),
    line: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && style.opacity === '1',
  };
}"""
# What can have the focus and is there to be seen.
REACHABLE = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter(e => !e.disabled && e.getClientRects().length && getComputedStyle(e).visibility === 'visible'
    && (e.type !== 'radio' || e.checked)).length"""


@pytest.fixture(params=WIDTHS)
def seen(request: pytest.FixtureRequest, browser: Browser, street: Street) -> Iterator[Opened]:
    """A window of each width."""
    context = browser.new_context(viewport={"width": WIDTHS[request.param], "height": 900}, reduced_motion="reduce")
    yield recording(context.new_page(), street.base)
    context.close()


def tab(page: Page) -> dict[str, Any] | None:
    """Press Tab once and return where the keys are now, which must be seen; None at the end of the page."""
    page.keyboard.press("Tab")
    place: dict[str, Any] | None = page.evaluate(PLACE)
    assert place is None or (place["seen"] and place["free"] and place["line"]), place
    return place


def tab_to(page: Page, **wanted: str) -> dict[str, Any]:
    """Press Tab until the keys are where `says`, `id` or the end of `href` are as wanted."""
    for _ in range(ENOUGH):
        place = tab(page)
        assert place is not None, f"no {wanted} on {page.url}"
        if all(place[name].endswith(value) for name, value in wanted.items()):
            return place
    raise AssertionError(f"no {wanted} within {ENOUGH} keys on {page.url}")


def test_a_resident_reads_why_a_matter_is_late(seen: Opened, street: Street) -> None:
    """From the first page to the advice on complaining; on each page the menus can be skipped."""
    page = seen.page
    late = next(each for each in records(street.portal) if each.is_late)
    page.goto(street.address + "index.html")
    tab_to(page, id="sg-find-words")
    page.keyboard.type(late.facts["编号"])
    page.keyboard.press("Enter")
    page.wait_for_selector("#sg-found li")
    page.evaluate("document.activeElement.blur()")
    for wanted in ({"href": late.address}, {"says": "看怎样投诉"}):
        place = tab(page)
        assert place is not None
        assert place["says"] == "跳到正文"
        page.keyboard.press("Enter")
        place = tab(page)
        assert place is not None
        assert place["inside"], place
        if not all(place[name].endswith(value) for name, value in wanted.items()):
            tab_to(page, **wanted)
        page.keyboard.press("Enter")
        page.wait_for_selector(".sg-steps" if "href" in wanted else "h1:text('怎样投诉')")
    assert seen.errors == []


@pytest.mark.parametrize("name", ["index.html", "verify.html", "r/micro_power/index.html", "find.html?q=社区"])
def test_every_place_is_reached_in_order_and_left_again(seen: Opened, street: Street, name: str) -> None:
    """No trap: Tab goes through all that can be used, down the page, and out of it; Shift and Tab go back."""
    page = seen.page
    page.goto(street.address + name)
    page.wait_for_load_state("load")
    if "find" in name:
        page.wait_for_selector("#sg-found li")
    expected = page.evaluate(REACHABLE)
    places = []
    while (place := tab(page)) is not None:
        places.append(place)
        assert len(places) < ENOUGH, "a trap"
    assert len(places) == expected > 10
    down = [place["y"] for place in places if place["inside"]]
    assert all(after > before - 40 for before, after in pairwise(down)), down
    assert page.evaluate("[...document.querySelectorAll('[tabindex]')].filter(e => e.tabIndex > 0).length") == 0
    page.keyboard.press("Shift+Tab")
    last = page.evaluate(PLACE)
    assert last is not None
    assert last["says"] == places[-1]["says"]


def test_the_menu_of_a_phone_opens_and_closes(browser: Browser, street: Street) -> None:
    """Closed, nothing of it is in the way; Enter opens it and goes there; a section opens; Escape leaves it."""
    context = browser.new_context(viewport={"width": 390, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(street.address + "index.html")
    tab_to(page, says="菜单")
    menu = page.get_by_role("button", name="菜单")
    expect(menu).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.wait_for_function("document.activeElement.closest('.md-sidebar--primary')")
    tab_to(page, says="核验")
    page.keyboard.press("Enter")
    place = tab_to(page, says="怎样核验")
    page.keyboard.press("Escape")
    expect(menu).to_have_attribute("aria-expanded", "false")
    expect(menu).to_be_focused()
    assert place["href"] == "verify.html"
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(menu).to_be_hidden()  # the tabs are there
    context.close()


def test_the_switches_work_with_keys(seen: Opened, street: Street) -> None:
    """Enter on the switch for dark, Space on the one for large type."""
    page = seen.page
    page.goto(street.address + "index.html")
    tab_to(page, says="换成深色")
    page.keyboard.press("Enter")
    assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"
    tab_to(page, id="sg-type")
    page.keyboard.press("Space")
    assert page.evaluate("document.documentElement.classList.contains('sg-large')")
