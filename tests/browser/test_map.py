"""The map as people use it: phone and desk, server and files, filters, keyboard, no drawing; and English pages."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from portal.build import build
from tests.browser.browsing import Opened, opened
from tests.portal.mapped_db import PHONE, WEST_LAMPS, make_mapped_db
from tests.portal.public_db import EAST, HOSTILE, LAMPS, WEST

pytestmark = pytest.mark.browser

PHONE_WIDTH, DESK = 390, 1280
OPEN_WEST = 22  # lamps that are out


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder with a map and hostile rows."""
    folder = tmp_path_factory.mktemp("published")
    build(make_mapped_db(folder / "public.db"), folder / "portal")
    return folder


def shown(browser: Browser, base: str, width: int, page: str = "map.html") -> Opened:
    """Open the map and wait until it stands."""
    seen = opened(browser, base, width)
    seen.page.goto(base + page)
    seen.page.wait_for_selector("#sg-map-list h2")
    return seen


def clean(seen: Opened, width: int) -> None:
    """Nothing was asked of another host, nothing failed, nothing scrolls sideways; then close the page."""
    assert seen.elsewhere() == []
    assert seen.errors == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.evaluate("window.hacked") is None
    seen.page.close()


@pytest.mark.parametrize("width", [PHONE_WIDTH, DESK])
@pytest.mark.parametrize("how", ["files", "address"])
def test_a_click_on_an_area_lists_its_matters(
    browser: Browser, how: str, width: int, request: pytest.FixtureRequest
) -> None:
    """Community, then grid: who looks after it, the work telephone, and the community's matters with their pages."""
    seen = shown(browser, request.getfixturevalue(how), width)
    page = seen.page
    assert page.locator("path.sg-area").count() == 2
    expect(page.locator(".sg-area-label")).to_have_text(
        [f"东坡{LAMPS + len(HOSTILE) - WEST_LAMPS}", f"西苑{WEST_LAMPS}"]
    )
    page.locator("path.sg-area").first.click()
    expect(page.locator("#sg-map-list h2")).to_have_text("东坡社区")
    expect(page.locator("#sg-map-list h2")).to_be_focused()
    expect(page.locator(".sg-area-label")).to_have_text(["1", "2"])  # the third has no outline that can be drawn
    expect(page.locator("#sg-map-list ol li")).to_have_count(20)
    page.locator("path.sg-area").first.click()
    expect(page.locator("#sg-map-list")).to_contain_text(f"WG101 {PHONE}")
    assert "事情只公开到社区" in page.inner_text("#sg-map-list")
    assert page.locator("path.sg-area--picked").count() == 1
    page.locator("#sg-map-list .sg-map-units button", has_text="2").click()
    expect(page.locator("#sg-map-list")).to_contain_text(HOSTILE[0])
    assert page.url.endswith(f"map.html#{EAST}")
    page.locator("#sg-map-list ol a").first.click()
    page.wait_for_selector(".sg-facts")
    assert "号灯杆" in page.inner_text("h1")
    clean(seen, width)


def test_filters_count_and_list_alike(browser: Browser, address: str) -> None:
    """The list has what the filter says, portion by portion to its end, and the drawing the same numbers."""
    seen = shown(browser, address, DESK)
    page = seen.page
    page.select_option("#sg-map-filter-0", label="办理中")
    expect(page.locator(".sg-area-label strong")).to_have_text(["22", str(OPEN_WEST)])
    assert page.inner_text("#sg-map-status") == f"路灯维修：{22 + OPEN_WEST} 条。"
    page.locator("#sg-map-list button", has_text="西苑社区").click()
    expect(page.locator("#sg-map-list ol li")).to_have_count(20)
    page.click("#sg-map-list > button.sg-button")
    expect(page.locator("#sg-map-list ol li")).to_have_count(OPEN_WEST)
    assert page.evaluate("document.activeElement === document.querySelectorAll('#sg-map-list ol a')[20]")
    expect(page.locator("#sg-map-list > button.sg-button")).to_be_hidden()
    states = page.locator("#sg-map-list ol .sg-found-note").all_inner_texts()
    assert all(note.startswith("办理中") for note in states)
    assert len(set(page.locator("#sg-map-list ol a").evaluate_all("all => all.map(a => a.href)"))) == OPEN_WEST
    page.select_option("#sg-map-filter-0", label="全部")
    expect(page.locator("#sg-map-status")).to_contain_text(f"{WEST_LAMPS} 条")
    clean(seen, DESK)


def test_a_published_place_is_a_point(browser: Browser, address: str) -> None:
    """It is drawn when its matter is listed; all others have none."""
    seen = shown(browser, address, DESK, f"map.html#{WEST}")
    expect(seen.page.locator("#sg-map-list ol li")).to_have_count(20)
    while (
        seen.page.locator("path.sg-point").count() == 0
        and seen.page.locator("button.sg-button:visible", has_text="再看").count()
    ):
        before = seen.page.locator("#sg-map-list ol li").count()
        seen.page.click("#sg-map-list > button.sg-button")
        expect(seen.page.locator("#sg-map-list ol li")).not_to_have_count(before)
    assert seen.page.locator("path.sg-point").count() == 1
    clean(seen, DESK)


def test_keyboard_alone_goes_down_and_up(browser: Browser, files: str) -> None:
    """The list does all that the drawing does: a community, one of its grids, and back to all."""
    seen = shown(browser, files, PHONE_WIDTH)
    page = seen.page
    for words in ("东坡社区", "1", "← 全部社区"):
        page.locator("#sg-map-list button", has_text=re.compile(f"^{words}$")).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#sg-map-list h2")).to_be_focused()
    expect(page.locator("#sg-map-list h2")).to_have_text("全部社区")
    assert page.url.endswith("map.html")
    clean(seen, PHONE_WIDTH)


def test_the_list_stays_when_nothing_can_be_drawn(browser: Browser, address: str) -> None:
    """The drawing's script does not come: the list alone does it. A part that does not come is told."""
    seen = opened(browser, address, PHONE_WIDTH)
    page = seen.page
    page.route("**/leaflet.js", lambda route: route.abort())
    page.goto(f"{address}map.html#{EAST}")
    page.wait_for_selector("#sg-map-list ol li")
    assert not page.locator("#sg-map-drawing").is_visible()
    page.route("**/find/g/0-*", lambda route: route.abort())
    page.locator("#sg-map-list button", has_text="全部社区").click()
    page.locator("#sg-map-list button", has_text="西苑社区").click()
    page.wait_for_function("document.querySelector('#sg-map-status').textContent.includes('没有取到')")
    assert seen.elsewhere() == []
    page.close()


def test_without_scripts_a_table_says_the_same(browser: Browser, files: str) -> None:
    """Each community with its numbers, and the link to its page."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files + "map.html")
    assert not page.locator("#sg-map-app").is_visible()
    rows = page.locator("article table tbody tr")
    assert rows.count() == 2
    assert f"{WEST_LAMPS}" in rows.nth(1).inner_text()
    page.locator("article table a", has_text="西苑社区").click()
    assert page.inner_text("h1") == "西苑社区"
    context.close()


def test_each_language_leads_to_the_other(browser: Browser, files: str) -> None:
    """The same page in the other language, where there is one; English pages are marked as such and search alike."""
    seen = opened(browser, files, PHONE_WIDTH)
    page = seen.page
    page.goto(files + "complain.html")
    page.click(".sg-language")
    assert page.url.endswith("en/complain.html")
    assert page.get_attribute("html", "lang") == "en"
    assert page.inner_text("h1") == "How to complain"
    page.click(".sg-language")
    assert page.url.endswith("/complain.html")
    assert page.get_attribute("html", "lang") == "zh-CN"
    for name, other in (("map.html", "en/index.html"), ("en/glossary.html", "portal/index.html")):
        page.goto(files + name)
        page.click(".sg-language")
        assert page.url.endswith(other)
    page.goto(files + "en/find.html")
    page.fill("#sg-find-words", "西苑社区")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sg-found li")
    assert page.url.endswith("find.html?q=%E8%A5%BF%E8%8B%91%E7%A4%BE%E5%8C%BA")
    clean(seen, PHONE_WIDTH)
