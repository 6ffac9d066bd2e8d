"""The map: outlines that are drawn and those that are not, the table beside it, and parts that do not grow."""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from portal import communities, maps, pages, sheets
from portal.outlines import DRAWN_POINTS, MAX_POINTS, parse_outline, short_names
from portal.shards import Shards
from portal.site import Site
from portal.source import open_source
from tests.portal.mapped_db import PHONE, PLOTS, WEST_LAMPS, make_mapped_db, square
from tests.portal.public_db import EAST, HOSTILE, WEST, insert, make_public_db


@pytest.fixture(scope="module")
def public_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public.db with a map and hostile rows."""
    return make_mapped_db(tmp_path_factory.mktemp("public") / "public.db")


@pytest.fixture
def site(public_db: Path) -> Iterator[Site]:
    """The data of that public.db."""
    with open_source(public_db) as source:
        yield Site(source)


def parts_of(site: Site, folder: Path) -> dict[str, Any]:
    """Return the parts of the map by name."""
    maps.write_map(site, Shards(folder, "edition"))
    found = {}
    for path in folder.rglob("*.js"):
        match = re.fullmatch(r'syncgovPart\("edition","([^"]+)",(.*)\)\n', path.read_text(encoding="utf-8"), re.DOTALL)
        assert match is not None
        found[match[1]] = json.loads(match[2])
    return found


def test_polygons_are_read_and_turned() -> None:
    """Longitude comes first in GeoJSON, latitude in a drawing; several polygons and holes stay."""
    assert parse_outline(square(105, 34)) == [[[[34, 105], [34, 106], [35, 106], [35, 105], [34, 105]]]]
    ring = json.loads(square(0, 0))["coordinates"][0]
    hole = json.loads(square(0.25, 0.25, 0.5))["coordinates"][0]
    several = json.dumps({"type": "MultiPolygon", "coordinates": [[ring, hole], [ring]]})
    found = parse_outline(several)
    assert found is not None
    assert [len(polygon) for polygon in found] == [2, 1]


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{", '"Polygon"', '{"type":"Point","coordinates":[1,2]}', '{"type":"Polygon"}',
        '{"type":"Polygon","coordinates":[]}', '{"type":"Polygon","coordinates":[[]]}',
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}',  # not closed
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],[0,0]]]}',
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],[181,1],[0,0]]]}',
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,91],[0,0]]]}',
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,NaN],[0,0]]]}',
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],["1",1],[0,0]]]}',
        '{"type":"Polygon","coordinates":[[[0,0],[1,0],[true,1],[0,0]]]}',
        '{"type":"Polygon","coordinates":[[[0],[1,0],[1,1],[0]]]}',
        '{"type":["Polygon"],"coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}',
        '{"type":"Polygon","coordinates":' + "[" * 5000 + "]" * 5000 + "}",
        json.dumps({"type": "Polygon", "coordinates": [[[0, 0]] * (MAX_POINTS + 1)]}),
        *HOSTILE,
    ],
)  # fmt: skip
def test_what_is_no_outline_is_none(text: str) -> None:
    """Anything else than closed rings of places on the earth is not drawn, and breaks nothing."""
    assert parse_outline(text) is None


def test_a_careful_survey_weighs_no_more() -> None:
    """Thousands of points become few; the ring stays closed."""
    ring = [[at / 10_000, 0.0] for at in range(5_000)] + [[0.5, 1.0], [0.0, 0.0]]
    found = parse_outline(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert found is not None
    assert 100 < len(found[0][0]) <= DRAWN_POINTS + 2
    assert found[0][0][0] == found[0][0][-1]


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["莲亭社区第1网格", "莲亭社区第2网格", "莲亭社区第12网格"], ["1", "2", "12"]),
        (["东坡社区", "西苑社区"], ["东坡", "西苑"]),
        (["莲亭社区居委会", "红山社区居民委员会"], ["莲亭", "红山"]),
        (["社区甲居", "社区乙民"], ["甲居", "乙民"]),
        (["第10网格", "第11网格"], ["10", "11"]),
        (["甲", "甲乙"], ["甲", "甲乙"]),
        (["甲", "甲"], ["甲", "甲"]),
        (["只有一个"], ["只有一个"]),
        ([], []),
    ],
)
def test_names_are_told_apart_briefly(names: list[str], short: list[str]) -> None:
    """What all begin and end with is left out; a number stays whole; where nothing would be left the names stay."""
    assert short_names(names) == short


def test_the_page_has_the_numbers_without_scripts(site: Site) -> None:
    """Each community with its number by state; what belongs nowhere is told; it says that there is no base map."""
    body = maps.map_page(site).body
    assert f'<a href="community/{EAST}.html">东坡社区</a>' in body
    west = body[body.index("西苑社区</a>") :]
    assert f'data-label="条数">{WEST_LAMPS}<' in west
    assert "办理中 22、已修好 43" in west
    assert "另有 1 条不分社区" in body
    assert "没有底图" in body
    assert "不是真实的界线" in body
    assert "<noscript>" in body


def test_parts_hold_every_matter_once_in_the_order_of_the_filters(site: Site, tmp_path: Path) -> None:
    """The cells of the index say where each matter stands; each part is small; hostile texts are data."""
    parts = parts_of(site, tmp_path)
    index = parts["g/index"]
    assert [each[:2] for each in index["communities"]] == [[EAST, "东坡社区"], [WEST, "西苑社区"]]
    assert all(each[4] for each in index["communities"])
    (layer,) = index["layers"]
    assert layer["filters"] == [["状态", ["办理中", "等料", "已修好", "已作废", maps.NO_CODE]]]
    for at, code in enumerate((EAST, WEST)):
        names = [f"g/0-{at}-{number}" for number in range(sum(name.startswith(f"g/0-{at}-") for name in parts))]
        rows = [row for name in names for row in parts[name]]
        assert all(len(parts[name]) <= maps.PER_PART for name in names)
        assert len({row[2] for row in rows}) == len(rows) == sum(cell[2] for cell in layer["cells"][at])
        with closing(sqlite3.connect(site.source._conn.execute("PRAGMA database_list").fetchone()[2])) as conn:
            states = Counter(s for (s,) in conn.execute("SELECT state FROM lamp WHERE _community = ?", (code,)))
        assert {layer["filters"][0][1][a]: n for a, _b, n in layer["cells"][at] if a < 4} == {
            {"open": "办理中", "done": "已修好"}[state]: number
            for state, number in states.items()
            if state in ("open", "done")
        }
        assert [a for a, _b, _n in layer["cells"][at]] == sorted(a for a, _b, _n in layer["cells"][at])


def test_a_published_place_is_a_point_and_a_withheld_one_is_not(public_db: Path, tmp_path: Path) -> None:
    """Two coordinates as degrees; none where one of them is withheld."""

    def told() -> list[Any]:
        with open_source(public_db) as source:
            site = Site(source)
            (layer,) = (maps._layer(site, item) for item in maps.mapped(site))
            (item,) = maps.mapped(site)
            page = next(site.page_of(row) for row in site.source.rows(item) if row.key == "lamp-000")
            (found,) = (each for each in maps._rows(site, layer)[WEST] if each[2] == page)
            return found

    assert told()[3:] == [0.5, 1.5]
    with closing(sqlite3.connect(public_db)) as conn, conn:
        conn.execute("UPDATE lamp SET _withheld = 'lat' WHERE key = 'lamp-000'")
    assert told()[3:] == []
    with closing(sqlite3.connect(public_db)) as conn, conn:
        conn.execute("UPDATE lamp SET _withheld = '' WHERE key = 'lamp-000'")


def test_units_say_who_looks_after_them(site: Site, tmp_path: Path) -> None:
    """Name, short name, outline and notes with the work telephone; a bad outline is none."""
    parts = parts_of(site, tmp_path)
    first, second, third = parts["g/u-0"]
    assert first[:2] == ["东坡第1网格", "1"]
    assert first[3] == [f"WG101 {PHONE}"]
    assert second[3] == [f"{HOSTILE[0]} {PHONE}"]
    assert (bool(first[2]), bool(second[2]), third[2]) == (True, True, None)
    assert parts["g/u-1"] == []


def test_no_part_grows_with_the_matters(tmp_path: Path) -> None:
    """A thousand more matters make more parts, none larger; index and page stay."""
    path = make_mapped_db(tmp_path / "public.db", ())

    def weights(name: str) -> tuple[int, int, int]:
        with open_source(path) as source:
            site = Site(source)
            maps.write_map(site, Shards(tmp_path / name, "e"))
            sizes = {str(p.relative_to(tmp_path / name)): p.stat().st_size for p in (tmp_path / name).rglob("*.js")}
            return max(sizes.values()), sizes["g/index.js"], len(maps.map_page(site).body)

    before = weights("before")
    with closing(sqlite3.connect(path)) as conn, conn:
        for at in range(1000):
            insert(
                conn, "lamp", f"more-{at:04}", place=f"{at:03} 号灯杆", state="done", _community=EAST, _no=f"M-{at:04}"
            )
    after = weights("after")
    assert len(list((tmp_path / "after").rglob("0-0-*.js"))) >= 20
    assert all(late <= early * 1.05 for early, late in zip(before, after, strict=True)), (before, after)


def test_without_a_declaration_there_is_no_map(tmp_path: Path) -> None:
    """No page, no link, no parts."""
    with open_source(make_public_db(tmp_path / "public.db")) as source:
        site = Site(source)
        assert [page for page in pages.generate(site) if page.path == "map.md"] == []
        assert "map.html" not in pages.home_page(site).body
        assert parts_of(site, tmp_path / "parts") == {}


def test_work_telephones_stand_on_the_community_page_and_the_sheet(site: Site) -> None:
    """A column of the row that a column refers to; on paper one line for all plots of a person; the map is linked."""
    body = communities.community_page(site, EAST).body
    table = body[body.index("## 哪个网格找谁") :]
    cells = [("看护人", "WG101"), ("值班电话", PHONE), ("网格", "1、3")]
    assert re.sub(r"</?span[^>]*>", "", table).count("".join(f'<td data-label="{a}">{b}</td>' for a, b in cells)) == 1
    assert f'<span class="sg-whole">{PHONE}</span>' in table
    assert f'<a href="../map.html&#35;{EAST}">' in body
    sheet = sheets.sheet(site, EAST, "2026-11")
    assert f"<li>WG101 {PHONE}：网格 1、3</li>" in sheet
    assert "<script>" not in sheet
    assert "值班网格员" in sheet
    assert "值班网格员" not in sheets.sheet(site, WEST, "2026-11")
    assert len(PLOTS) == 3
