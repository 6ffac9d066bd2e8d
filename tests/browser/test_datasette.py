"""The public database in a headless Chromium: no barrier, nothing sideways on a phone, nothing from elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from tests.browser.axe import serious
from tests.browser.browsing import Opened, opened
from tests.publish.place import Place, make_place
from tests.publish.serving import browsing

pytestmark = pytest.mark.browser

PHONE, DESK = 390, 1280


@dataclass(frozen=True, slots=True)
class Site:
    """A running server and what it serves."""

    url: str
    place: Place

    def kinds(self) -> dict[str, str]:
        """Return one address of each kind of page, and how it begins."""
        key = self.place.keys[0]
        return {
            "/": "测试街道公开库",
            "/public": "公开库",
            "/public/lamp": "路灯",
            "/public/lamp?_search=灯&kind=bulb&_sort=state": "路灯",
            "/public/lamp?_search=没有": "路灯",
            f"/public/lamp/{key}": "路灯",
            "/public/search_lamp?q=灯": "查找路灯",
            "/public/verdicts": "中心的裁定",
            "/public/leaf?_size=3": "日志",
            "/public/nothing": "没有这一页",
        }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`syncgov browse` over a small place."""
    place = make_place(tmp_path_factory.mktemp("place"))
    with browsing(place.out) as running:
        yield Site(running.url, place)
    place.world.close()


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nobody_is_kept_out_of_any_page(browser: Browser, site: Site, width: int) -> None:
    """Nothing serious or critical for axe-core, folded parts open; no sideways scroll; no request to another host."""
    seen = opened(browser, site.url, width)
    kinds = site.kinds()
    if width == DESK:  # where only the wide parts look different
        kinds = {path: title for path, title in kinds.items() if path.startswith("/public/lamp")}
    for path, title in kinds.items():
        seen.page.goto(site.url + path)
        assert seen.page.locator("h1").inner_text().startswith(title)
        seen.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert serious(seen.page) == [], path
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert len(seen.asked) > len(kinds)
    assert (seen.elsewhere(), seen.errors) == ([], [])
    seen.page.close()


def test_a_dark_page_can_be_read(browser: Browser, site: Site) -> None:
    """Where the reader's machine asks for dark pages."""
    page = browser.new_page(color_scheme="dark")
    for path in ("/public/lamp", f"/public/lamp/{site.place.keys[0]}", "/public/nothing"):
        page.goto(site.url + path)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 29)"
        assert serious(page) == [], path
    page.close()


def test_a_wide_table_scrolls_in_its_own_box(browser: Browser, site: Site) -> None:
    """By touch and by the arrow keys; the box has a name."""
    page = browser.new_page(viewport={"width": PHONE, "height": 900})
    page.goto(f"{site.url}/public/lamp")
    box = page.get_by_role("region", name="路灯")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth")
    box.focus()
    page.keyboard.press("ArrowRight")
    for _ in range(100):  # a smooth scroll takes a moment
        if box.evaluate("e => e.scrollLeft"):
            break
        page.wait_for_timeout(50)
    assert box.evaluate("e => e.scrollLeft") > 0
    assert page.evaluate("document.documentElement.scrollLeft") == 0
    page.close()


def test_a_resident_finds_a_matter_and_its_history(browser: Browser, site: Site) -> None:
    """Real clicks: search, filter by a code, open the row, read who wrote what, take the evidence."""
    seen: Opened = opened(browser, site.url, PHONE)
    page = seen.page
    page.goto(f"{site.url}/public")
    page.get_by_role("link", name="路灯", exact=True).click()
    page.get_by_label("查找文字").fill("灯泡")
    page.get_by_role("button", name="查找").click()
    assert page.locator("#rows").inner_text().startswith("共 1 行：含有“灯泡”")
    page.get_by_text("按代码看").click()
    page.get_by_role("link", name="灯泡", exact=True).click()
    assert "“种类”是“灯泡”" in page.locator("#rows").inner_text()
    page.get_by_role("link", name="查看").first.click()
    assert page.locator(".history tbody tr").count() >= 2
    assert "worker" in page.locator(".history").inner_text()
    link = page.get_by_role("link", name="签名证据").last
    answer = page.request.get(site.url + str(link.get_attribute("href")))
    assert answer.json()
    assert seen.errors == []
    page.close()


def test_choosing_a_column_filters(browser: Browser, site: Site) -> None:
    """The form for one column: a condition, its value, an order."""
    page = browser.new_page(viewport={"width": PHONE, "height": 900})
    page.goto(f"{site.url}/public/lamp")
    page.get_by_text("按栏目筛选、排序").click()
    page.get_by_label("栏目").select_option(label="状态")
    page.get_by_label("条件").select_option(label="是")
    page.get_by_label("值").fill("done")
    page.get_by_label("排序").select_option(label="编号")
    page.get_by_role("button", name="筛选").click()
    assert page.locator("#rows").inner_text() == "共 1 行：“状态”是“已修好”；按“编号”从大到小"
    assert page.locator("tbody tr").count() == 1
    page.close()
