"""The built portal in a headless Chromium: nothing scrolls sideways, nothing leaves the host, nothing hostile runs."""

import gzip
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from portal.build import build
from tests.browser.browsing import opened
from tests.portal.public_db import make_public_db

pytestmark = pytest.mark.browser

PHONE, DESK = 390, 1280  # pixels wide
SMALLEST = 16  # pixels: body text; marks beside it may be smaller
FIRST_PAGE = 200_000  # bytes over the wire, compressed


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder with public.db of hostile rows and the portal."""
    folder = tmp_path_factory.mktemp("published")
    build(make_public_db(folder / "public.db"), folder / "portal")
    return folder


def names(published: Path) -> list[str]:
    """Return the paths of all pages."""
    site = published / "portal"
    return sorted(str(path.relative_to(site)) for path in site.rglob("*.html"))


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_no_page_scrolls_sideways_or_leaves_the_host(
    browser: Browser, address: str, published: Path, width: int
) -> None:
    """Each page fits a phone and a desk, asks only its own host, and runs nothing of a hostile row."""
    seen = opened(browser, address, width)
    for name in names(published):
        seen.page.goto(address + name)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert seen.page.evaluate("window.hacked") is None, name
    assert seen.elsewhere() == []
    assert seen.errors == []
    assert len(seen.asked) > len(names(published))
    seen.page.close()


def test_text_is_large_enough(browser: Browser, address: str) -> None:
    """Body text is at least 16 px with lines at least 1.5 high, in a Chinese font stack."""
    seen = opened(browser, address, PHONE)
    for name in ("index.html", "r/errand/k-BS-01.html", "verify.html"):
        seen.page.goto(address + name)
        styles = seen.page.evaluate(
            """() => [...document.querySelectorAll('article p, article li, article td, article th')].map(e => {
                const s = getComputedStyle(e);
                return [parseFloat(s.fontSize), parseFloat(s.lineHeight) / parseFloat(s.fontSize), s.fontFamily]})"""
        )
        assert len(styles) > 5
        assert min(size for size, _, _ in styles) >= SMALLEST, name
        assert min(height for _, height, _ in styles) >= 1.5, name
        assert all(family.startswith('"PingFang SC", "Microsoft YaHei"') for _, _, family in styles)
    seen.page.close()


def test_pages_work_from_a_usb_stick(browser: Browser, published: Path) -> None:
    """Opened as files, the pages ask nobody for anything either."""
    base = (published / "portal").as_uri() + "/"
    seen = opened(browser, base, PHONE)
    for name in ("index.html", "r/errand/k-BS-01.html"):
        seen.page.goto(base + name)
        assert seen.page.locator("h1").count() == 1
    assert seen.elsewhere() == []
    seen.page.close()


def test_print_keeps_the_notice_and_drops_the_menus(browser: Browser, address: str) -> None:
    """On paper the notice on demonstration data and the as-of time stay, menus and the search box go."""
    seen = opened(browser, address, DESK)
    seen.page.emulate_media(media="print")
    seen.page.goto(address + "index.html")
    assert seen.page.locator(".sg-notice").is_visible()
    assert seen.page.locator(".md-copyright").is_visible()
    assert not seen.page.locator(".md-header").is_visible()
    assert not seen.page.locator(".sg-find").is_visible()
    seen.page.close()


def test_first_page_is_light(published: Path) -> None:
    """The first page with all that it loads fits the weight that a village network bears."""
    site = published / "portal"
    page = (site / "index.html").read_text(encoding="utf-8")
    loaded = set(re.findall(r'(?:src|href)="((?:assets|static)/[^"]+\.(?:css|js|png))"', page))
    assert len(loaded) >= 4
    weight = sum(len(gzip.compress((site / name).read_bytes())) for name in ["index.html", *loaded])
    assert weight <= FIRST_PAGE, weight
