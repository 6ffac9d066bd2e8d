"""The kinds of page of a portal: the one list from which pictures, axe, weight, width and the rest take their pages.

A page of a name that no line of ALIKE fits is a kind of its own, so a new page is looked at without a line here; a line
is for pages that are many and alike, or that show something only with an address or after a click.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

# Of pages that are alike the longest stands for all: {} is what tells them apart.
ALIKE = (
    "community/{}.html",
    "calendar/c-{}.html",
    "figure/{}.html",
    "sheet/{}.html",
    "r/*/c-{}.html",
    "r/*/k-{}.html",
    "r/*/index-{}.html",
)
ALONE = ("community/index.html",)  # fits a line above, but is another kind
# Pages that show something only when the address says what, and what is there when they are done.
SHOWING = {"find.html": "#sg-found li", "record.html": "#sg-record .sg-facts", "check.html": ".sg-verdict--valid"}
WORD = "社区"  # stands in every portal


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of page: a name for files, its address below the portal, and what is there when it is shown."""

    name: str
    address: str
    done: str = "h1"

    def open(self, page: Page, base: str) -> None:
        """Open it in *page*, anew, and wait until it is shown."""
        page.goto("about:blank")  # else another fragment of the same page would not load
        page.goto(base + self.address)
        page.wait_for_selector(self.done)


def page_kinds(portal: Path) -> list[Kind]:
    """Return a kind for all pages of the built *portal*, the empty forms of pages that show something included."""
    longest: dict[str, Path] = {}
    for path in sorted(portal.rglob("*.html")):
        name = kind_of(path.relative_to(portal).as_posix())
        if name not in longest or path.stat().st_size > longest[name].stat().st_size:
            longest[name] = path
    plain = [Kind(name, path.relative_to(portal).as_posix()) for name, path in longest.items()]
    return [*plain, *_showing(portal)]


def kind_of(path: str) -> str:
    """Return the name of the kind of the page at *path*."""
    if path not in ALONE:
        for line in ALIKE:
            pattern = re.escape(line).replace(r"\*", "([^/]+)").replace(r"\{\}", "[^/]+")
            if found := re.fullmatch(pattern, path):
                line = line.replace("*", found.group(1)) if found.groups() else line
                return line.replace("-{}", "").replace("/{}", "").removesuffix(".html").replace("/", "_")
    return path.removesuffix(".html").replace("/", "_")


def _showing(portal: Path) -> Iterator[Kind]:
    """Yield the pages with something to show: words found, a late matter and another, a record that is checked."""
    yield Kind("find_words", f"find.html?q={WORD}", SHOWING["find.html"])
    shown = records(portal)
    for name, found in (
        ("late", [each for each in shown if each.why]),
        ("plain", [each for each in shown if not each.why]),
    ):
        if found:
            yield Kind(f"record_{name}", found[0].address, SHOWING["record.html"])
    proofs = [each.evidence for each in shown if (portal.parent / each.evidence).is_file()]
    if proofs:
        yield Kind("check_valid", f"check.html#../{proofs[0]}", SHOWING["check.html"])


@dataclass(frozen=True, slots=True)
class Record:
    """What the page for all records shows of a row; a step is name, date, who, unit, due, lamp, its words, reason."""

    key: str
    address: str
    title: str
    facts: dict[str, str]
    lamp: Sequence[str]
    why: Sequence[str]
    steps: Sequence[Sequence[str]]
    evidence: str

    @property
    def is_late(self) -> bool:
        """Whether it is a matter with a number, and late."""
        return bool(self.lamp) and self.lamp[0] == "late" and "编号" in self.facts


def records(portal: Path) -> list[Record]:
    """Return what the page for all records can show, in the order of their names."""
    parts = [path.read_text(encoding="utf-8") for path in sorted((portal / "find" / "m").glob("*.js"))]
    told = sorted(
        (each for part in parts for each in json.loads(part.split(",", 2)[2].removesuffix(")\n"))),
        key=lambda each: each[0],
    )
    return [
        Record(
            key=name.partition("/")[2], address=f"record.html#{name}", title=found["title"],
            facts={fact[0]: fact[1] for fact in found["facts"]},
            lamp=found.get("lamp") or (), why=found.get("why") or (), steps=found.get("steps") or (),
            evidence=found["evidence"] or "-",
        )
        for name, found in told
    ]  # fmt: skip
