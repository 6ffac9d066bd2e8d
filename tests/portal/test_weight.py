"""The weight of what a reader loads does not grow with the number of matters: ten times the rows, pages as before."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from portal import feeds, find, pages, sheets
from portal.shards import TERM_BYTES
from portal.site import Site
from portal.source import open_source
from tests.portal.public_db import AS_OF, EAST, WEST, make_public_db

SMALL, FACTOR = 260, 10  # more than any page shows at once, and ten times that
GROWTH = 1_000  # bytes that a page of any kind may gain: a longer number here, one more link there
LONGER = 1.05  # and where every row shows a number that has one more digit
NO_CONTENT = Path(__file__).parent / "none"


def grow(path: Path, matters: int) -> Path:
    """Write a public.db with so many matters of two places and five months, a quarter of them in conflict."""
    make_public_db(path, hostile=[])
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("BEGIN")
        for number in range(matters):
            key, place = f"{number:08x}-0000-7000-8000-00000000000a", (EAST, WEST)[number % 2]
            day = f"2026-{7 + number % 5:02}-{1 + number % 28:02}"
            row = (key, f"{number} 号灯杆不亮", "done", day, place, number % 4 == 0, place, day[:7],
                   f"{day}T10:00:00+08:00", f"{day}T11:00:00+08:00", "step" if number % 4 == 1 else "",
                   f"log/proofs/lamp/{key}.json")  # fmt: skip
            conn.execute(
                "INSERT INTO lamp(key, place, state, due, ward, _conflict, _community, _month, _created, _updated, "
                "_withheld, _evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
            )  # fmt: skip
            idx = 10_000 + number * 2
            conn.execute(
                "INSERT INTO history(idx, position, register, key, field, value, withheld, erased, received, device, "
                "shown, disputed) VALUES (?, 0, 'lamp', ?, 'step', ?, 0, 0, ?, 'o1', 1, 0)",
                (idx, key, '{"state": "done"}', f"{day}T11:00:00+08:00"),
            )
            if number % 4 == 0:
                heads = [(at, value, value == "done") for at, value in ((idx, "done"), (idx + 1, "void"))]
                conn.executemany(
                    "INSERT INTO conflict VALUES ('lamp', ?, 'step', ?, ?, ?, ?, 'o1')",
                    [(key, at, f'{{"state": "{value}"}}', shown, AS_OF) for at, value, shown in heads],
                )
            if number % 4 == 1:
                hidden = (1_000 + number, f"lamp/{key}/step", "lamp", key, "step", "withholding", "review", "[]")
                conn.execute("INSERT INTO withheld VALUES (?, ?, ?, ?, ?, ?, ?, ?)", hidden)
        conn.executemany("INSERT INTO errand(key, name, aspect) VALUES (?, ?, ?)", _errands(matters))
        conn.execute("COMMIT")
    return path


def _errands(matters: int) -> Iterator[tuple[str, str, str]]:
    for number in range(matters // 2):
        yield f"E-{number:05}", f"第 {number} 项", ("zz", "aa")[number % 2]


def weights(site: Site, folder: Path) -> Mapping[str, int]:
    """Return the bytes of the heaviest of each kind of page, feed, sheet and part of the index."""
    found = [(page.path, len(page.markdown().encode())) for page in pages.generate(site)]
    found += [(path, len(data)) for path, data in feeds.feeds(site)]
    found += [(path, len(text.encode())) for path, text in sheets.site_sheets(site)]
    find.write_index(site, pages.others(site), NO_CONTENT, folder)
    found += [(f"find/{path.relative_to(folder)}", path.stat().st_size) for path in folder.rglob("*.js")]
    heaviest: dict[str, int] = {}
    for path, size in found:
        kind = re.sub(r"\d+", "0", re.sub(r"k-[^/.]+", "k", path)).replace("index-0", "index")
        heaviest[kind] = max(size, heaviest.get(kind, 0))
    return heaviest


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The weights with few rows and with ten times as many."""
    both = []
    for matters in (SMALL, SMALL * FACTOR):
        folder = tmp_path_factory.mktemp("weight")
        with open_source(grow(folder / "public.db", matters)) as source:
            both.append(weights(Site(source), folder / "find"))
    return both[0], both[1]


def test_no_page_grows_with_the_number_of_rows(measured: tuple[Mapping[str, int], Mapping[str, int]]) -> None:
    """Every kind of page, feed and sheet."""
    small, large = ({kind: size for kind, size in each.items() if "find/" not in kind} for each in measured)
    assert small.keys() == large.keys()
    grown = {kind: (small[kind], large[kind]) for kind in large if large[kind] > small[kind] * LONGER + GROWTH}
    assert not grown
    assert {"index.md", "community/0.md", "r/lamp/index.md", "r/lamp/c-0.md", "data.md", "news.md"} <= large.keys()
    assert {"figures.md", "withheld.md", "feed/all.xml", "r/errand/k.md", "r/errand/index.md"} <= large.keys()


def test_no_part_of_the_index_grows(measured: tuple[Mapping[str, int], Mapping[str, int]]) -> None:
    """There are more files instead, and none is larger than a query may load."""
    small, large = ({kind: size for kind, size in each.items() if "find/" in kind} for each in measured)
    assert {"find/start.js", "find/t/0.js", "find/c/0.js", "find/m/0.js"} <= small.keys() & large.keys()
    assert large["find/start.js"] < small["find/start.js"] + 100
    assert large["find/c/0.js"] < 1.2 * small["find/c/0.js"]
    assert large["find/t/0.js"] < 4 * TERM_BYTES
    assert max(large.values()) < 160_000
