"""`make shots`: every kind of page at 390 and 1280 px, for somebody to look at.

    python -m tests.browser.shots PORTAL OUT_FOLDER

PORTAL is the `portal` folder of a published one. Of pages that are alike one is taken.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.browsing import CHROMIUM, FLAGS

WIDTHS = (390, 1280)
HEIGHT = 900
MAX_HEIGHT = 4000  # px: nobody looks at more of one page
FIXED = ("index about check complain data decisions figures verify withheld community/index spec/protocol").split()


def page_kinds(portal: Path) -> Iterator[str]:
    """Yield the paths of one page of each kind, without ending."""
    yield from (name for name in FIXED if (portal / f"{name}.html").is_file())
    for folder in ("community", "figure", "sheet"):
        found = sorted(path for path in (portal / folder).glob("*.html") if path.stem != "index")
        yield from (f"{folder}/{path.stem}" for path in found[:1])
    for register in sorted((portal / "r").iterdir()):
        for pattern in ("index.html", "c-*.html", "k-*.html", "flow.html"):
            found = sorted(register.glob(pattern))
            yield from (f"r/{register.name}/{path.stem}" for path in found[:1])


def shoot(portal: Path, out: Path) -> int:
    """Write the pictures; return how many."""
    out.mkdir(parents=True, exist_ok=True)
    taken = 0
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
                for name in page_kinds(portal):
                    page.goto(f"{portal.resolve().as_uri()}/{name}.html")
                    high = min(MAX_HEIGHT, int(page.evaluate("document.documentElement.scrollHeight")))
                    target = out / f"{name.replace('/', '_')}-{width}{'-dark' if scheme == 'dark' else ''}.png"
                    page.screenshot(path=target, clip={"x": 0, "y": 0, "width": width, "height": high}, full_page=True)
                    taken += 1
                page.close()
        browser.close()
    return taken


def main(arguments: Sequence[str]) -> int:
    """Take the pictures; return the exit code."""
    if len(arguments) != 2 or not Path(arguments[0]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    print(f"{shoot(Path(arguments[0]), Path(arguments[1]))} pictures in {arguments[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
