"""What axe-core finds wrong with the page that is open in the browser: rules of WCAG 2 and good practice.

The script comes from the package axe-playwright-python; nothing is fetched.
"""

from dataclasses import dataclass

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

SERIOUS = frozenset({"serious", "critical"})
OPTIONS = {"resultTypes": ["violations"]}  # the places of what passed are not told: half the time


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that the page breaks: its name, how bad that is (minor to critical), what it says, where (selectors)."""

    rule: str
    impact: str
    says: str
    places: tuple[str, ...]


def violations(page: Page) -> list[Violation]:
    """Return the rules that *page* breaks as it is shown now, in axe's order; an empty list is a page without fault.

    Raises:
        RuntimeError: axe did not look at the page: no rule passed and none was broken.
    """
    found = Axe().run(page, options=OPTIONS).response
    if not found["passes"] and not found["violations"]:
        raise RuntimeError(f"axe looked at nothing on {page.url}")
    return [
        Violation(
            rule=each["id"],
            impact=each["impact"] or "",
            says=each["help"],
            places=tuple(" ".join(map(str, node["target"])) for node in each["nodes"]),
        )
        for each in found["violations"]
    ]


def serious(page: Page) -> list[Violation]:
    """Return those of `violations` that keep people out: serious and critical ones."""
    return [each for each in violations(page) if each.impact in SERIOUS]
