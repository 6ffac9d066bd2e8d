"""Dark mode and large type in a headless Chromium: kept, set before anything is painted, readable; and paper."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from portal.build import build
from tests.browser.browsing import opened, serving
from tests.portal.public_db import EAST, make_public_db

pytestmark = pytest.mark.browser

PHONE = 390
DRAWN = ("r/lamp/flow.html", "figure/lamp_rate.html", "r/errand/k-BS-01.html")
LATE = "record.html#lamp/lamp-000"  # its lamps are drawn by a script
READABLE = 4.5  # contrast of text, WCAG AA

# Every text, with the contrast between its colour and the nearest ground behind it that is not transparent.
CONTRASTS = """() => {
  const part = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
  const rgba = c => { const n = c.match(/[\\d.]+/g).map(Number); return [...n.slice(0, 3), n[3] ?? 1] };
  const bright = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 0.9) return c;
    }
    return [255, 255, 255, 1];
  };
  const texts = 'article :is(p, td, th, li, a, h1, h2, summary, text, .sg-badge, .sg-note), .sg-find > *';
  return [...document.querySelectorAll(texts)].map(e => {
    const style = getComputedStyle(e), svg = e.tagName === 'text';
    const ink = rgba(svg ? style.fill : style.color), behind = ground(svg ? e.closest('figure') : e);
    const mixed = ink.slice(0, 3).map((v, i) => v * ink[3] + behind[i] * (1 - ink[3]));
    const [low, high] = [bright(mixed), bright(behind)].sort((a, b) => a - b);
    return [(high + 0.05) / (low + 0.05), e.tagName, e.textContent.slice(0, 30)];
  });
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The portal of a small public.db on a local web server."""
    folder: Path = tmp_path_factory.mktemp("published")
    build(make_public_db(folder / "public.db", hostile=["x"]), folder / "portal")
    with serving(folder) as base:
        yield f"{base}portal/"


def scheme(page: Page) -> str:
    """Return which colours the page has."""
    return str(page.evaluate("document.body.dataset.mdColorScheme"))


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_text_can_be_read(browser: Browser, address: str, mode: str) -> None:
    """Contrast of all text in the article, drawings included, in both modes."""
    page = browser.new_page(color_scheme=mode)  # type: ignore[arg-type]
    for name in ("index.html", "figures.html", f"community/{EAST}.html", *DRAWN, LATE):
        page.goto(address + name)
        if name == LATE:
            page.wait_for_selector(".sg-lamp--late")
        found = page.evaluate(CONTRASTS)
        assert len(found) > 10
        assert not [each for each in found if each[0] < READABLE], name
    assert scheme(page) == {"light": "default", "dark": "slate"}[mode]
    page.close()


def test_the_choice_of_dark_is_kept(browser: Browser, address: str) -> None:
    """One click on the switch; the next page is dark from its first frame on."""
    page = browser.new_page(color_scheme="light")
    page.goto(address + "index.html")
    page.locator("label[for=__palette_1]").click()
    assert scheme(page) == "slate"
    kept = page.evaluate("Object.values(localStorage).join()")
    assert "slate" in kept
    page.add_init_script(
        "new MutationObserver((_, watch) => { if (document.body) { watch.disconnect();"
        "requestAnimationFrame(() => { window.first = document.body.dataset.mdColorScheme }) } })"
        ".observe(document, {childList: true, subtree: true})"
    )
    page.goto(address + "figures.html")
    assert page.evaluate("window.first") == "slate"
    page.close()


def test_large_type_is_kept_and_fits_a_phone(browser: Browser, address: str) -> None:
    """The button has a name and a state, makes everything larger, survives the next page; nothing scrolls sideways."""
    seen = opened(browser, address, PHONE)
    seen.page.goto(address + "index.html")
    size = "parseFloat(getComputedStyle(document.querySelector('article p')).fontSize)"
    before = seen.page.evaluate(size)
    button = seen.page.get_by_role("button", name="大字")
    button.focus()
    seen.page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert seen.page.evaluate(size) >= 1.2 * before
    for name in ("figures.html", f"community/{EAST}.html", f"sheet/{EAST}-2026-11.html", *DRAWN):
        seen.page.goto(address + name)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= PHONE, name
    assert seen.page.evaluate(size) >= 1.2 * before
    assert seen.page.get_by_role("button", name="大字").get_attribute("aria-pressed") == "true"
    assert seen.page.evaluate("localStorage.getItem('sg-large')") == "1"
    assert seen.errors == []
    seen.page.close()


def test_drawings_are_pictures_with_names(browser: Browser, address: str) -> None:
    """A screen reader meets one picture with a title for each drawing, and the same words in a table or list."""
    page = browser.new_page()
    for name in DRAWN:
        page.goto(address + name)
        pictures = page.locator("article [role=img]")
        assert pictures.count() >= 1
        assert all(
            page.get_by_role("img", name=title).count() for title in page.locator("svg > title").all_text_contents()
        )
        assert page.locator(".sg-said :is(table, ol)").count() == pictures.count()
    page.close()


def test_dark_pages_are_printed_in_black_on_white(browser: Browser, address: str) -> None:
    """Paper is white whatever the screen is."""
    page = browser.new_page(color_scheme="dark")
    page.goto(address + DRAWN[0])
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.querySelector('svg text')).fill") == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.querySelector('article p')).color") == "rgb(0, 0, 0)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    page.close()
