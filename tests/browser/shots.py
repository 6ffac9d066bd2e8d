"""`make shots`: every kind of page at 390 and 1280 px, light and dark, in large type, printed; for somebody to look at.

    python -m tests.browser.shots PORTAL OUT_FOLDER

PORTAL is the `portal` folder of a published one. Of pages that are alike the longest is taken. What axe finds in any of
the pictures is printed, and the exit code is then 1.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import pypdfium2
from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

from portal.print_sheets import print_sheets
from portal.site import Site
from portal.source import open_source
from tests.browser.axe import violations
from tests.browser.browsing import CHROMIUM, FLAGS, serving
from tests.browser.kinds import page_kinds

WIDTHS = (390, 1280)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
HEIGHT = 900
MAX_HEIGHT = 4000  # px: nobody looks at more of one page
LARGE = "document.documentElement.classList.add('sg-large')"
PAPER_SCALE = 1.6  # pixels a point
ADDRESS = "https://town.example/portal"  # in the codes of the sheets
FLAWED = 1  # exit code when axe found something


def shoot(portal: Path, out: Path) -> tuple[int, list[str]]:
    """Write the pictures; return how many, and what axe found."""
    out.mkdir(parents=True, exist_ok=True)
    taken, flaws = 0, []
    with sync_playwright() as running, serving(portal.resolve().parent) as base:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        for width in WIDTHS:
            for scheme in SCHEMES:  # the theme keeps the scheme that a page had when it was opened
                page = browser.new_page(
                    viewport={"width": width, "height": HEIGHT}, color_scheme=scheme, reduced_motion="reduce"
                )
                for kind in page_kinds(portal):
                    kind.open(page, f"{base}{portal.name}/")
                    name = f"{kind.name}-{width}{'-dark' if scheme == 'dark' else ''}"
                    flaws += [f"{name}: {each.rule} {each.places}" for each in violations(page)]
                    taken += _pictures(page, out / name, scheme == "light")
                page.close()
        taken += _menu(browser, f"{base}{portal.name}/", out) + _sheets(browser, portal, out)
        browser.close()
    return taken, flaws


def _pictures(page: Page, target: Path, is_large: bool) -> int:
    """Write a picture of the page, and one in large type where that is wanted; return how many."""
    for number, name in enumerate([f"{target.name}.png", *([f"{target.name}-large.png"] if is_large else [])]):
        if number:
            page.evaluate(LARGE)
        size = page.viewport_size or {"width": 0, "height": 0}
        high = min(MAX_HEIGHT, int(page.evaluate("document.documentElement.scrollHeight")))
        clip: FloatRect = {"x": 0, "y": 0, "width": size["width"], "height": high}
        page.screenshot(path=target.parent / name, clip=clip, full_page=True)
    return 1 + is_large


def _menu(browser: Browser, address: str, out: Path) -> int:
    """Write a picture of the menu of a phone, open; return how many."""
    page = browser.new_page(viewport={"width": WIDTHS[0], "height": HEIGHT}, reduced_motion="reduce")
    page.goto(address + "index.html")
    page.get_by_role("button", name="菜单").click()
    page.screenshot(path=out / f"menu-{WIDTHS[0]}.png")
    page.close()
    return 1


def _sheets(browser: Browser, portal: Path, out: Path) -> int:
    """Print the fullest sheet on both papers and write pictures of the paper; return how many."""
    taken = 0
    for paper in ("A4", "A3"):
        with open_source(portal.parent / "public.db") as source:
            written = print_sheets(Site(source, address=ADDRESS), out / paper, "", "", paper)
        page = browser.new_page()
        page.goto(max(written, key=lambda path: path.stat().st_size).resolve().as_uri())
        with closing(pypdfium2.PdfDocument(page.pdf(prefer_css_page_size=True))) as document:
            for number, leaf in enumerate(document, start=1):
                leaf.render(scale=PAPER_SCALE).to_pil().save(out / f"paper-{paper}-{number}.png")
                taken += 1
        page.close()
    return taken


def main(arguments: Sequence[str]) -> int:
    """Take the pictures; return the exit code."""
    if len(arguments) != 2 or not Path(arguments[0]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    taken, flaws = shoot(Path(arguments[0]), Path(arguments[1]))
    print(*flaws, f"{taken} pictures in {arguments[1]}", sep="\n")
    return FLAWED if flaws else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
