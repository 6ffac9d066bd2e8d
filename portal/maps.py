"""The map of matters: outlines of the communities and grids, how many matters each community has, and which.

There is no base map and no picture from elsewhere: only what the registers publish is drawn. A matter stands in its
community, because nothing finer is public; one whose register publishes a place stands at that too. The page holds a
table of the same numbers; the map's data are parts beside those of the search, none of which grows with the matters.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote as percent

from portal import markup, text
from portal.markup import Page
from portal.model import Register, Row
from portal.outlines import Shape, parse_outline, short_names
from portal.shards import Shards, batches, encode
from portal.site import Site
from portal.text import NOTHING

PATH = "map"
PER_PART = 50  # matters in one part
NO_CODE = "没有写明"
NO_TITLE = "（没有公开的标题）"
INDEX = "g/index"
_DEGREE = 1_000_000  # microdegrees

Cell = tuple[int, int]  # which code of the first and of the second filter


@dataclass(frozen=True, slots=True)
class Layer:
    """The matters of one register, counted.

    Attributes:
        filters: label and codes' labels of each; the last of these stands for rows without a code.
        ranks: of each filter, code -> its place among the labels.
        cells: of each community, how many rows have which codes, in the order of the codes.
        nowhere: how many belong to no community.
    """

    register: Register
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    ranks: tuple[Mapping[str, int], ...]
    cells: Mapping[str, list[tuple[int, int, int]]]
    nowhere: int

    def cell(self, values: Sequence[Any]) -> Cell:
        """Return the places of the codes *values*, one for each filter."""
        found = [rank.get(str(value), len(rank)) for rank, value in zip(self.ranks, values, strict=True)]
        return found[0], found[1] if len(found) > 1 else 0


def mapped(site: Site) -> list[Register]:
    """Return the registers whose matters the map shows, in the order of the menus."""
    return [item for item in site.listed if "filter" in item.layout.map] if site.communities else []


def map_link(site: Site, page: str, community: str = "") -> str:
    """Return the link from *page* to the map, of one community or of all; '' where there is none."""
    if not mapped(site):
        return ""
    address = f"{markup.href(page, PATH)}.html" + (f"#{percent(community)}" if community else "")
    return markup.anchor(address, "在地图上看")


def map_page(site: Site) -> Page:
    """Return the page of the map; without scripts it is a table of the same numbers."""
    layers = [_layer(site, item) for item in mapped(site)]
    parts = [
        "各社区办了哪些事，办到哪一步。点图上的社区，或者点列表里的名字，看那里的事；再点网格，看由谁负责。",
        _app(),
        *(_table(site, layer) for layer in layers),
        _about(site),
    ]
    return Page(f"{PATH}.md", "地图", markup.sections(*parts), toc=False)


def _app() -> str:
    return (
        "<noscript><p>图和筛选要用到脚本。没有脚本时，请看下面的表，数目是一样的。</p></noscript>\n"
        '<link rel="stylesheet" href="static/leaflet/leaflet.css">\n'
        '<link rel="stylesheet" href="static/map.css">\n'
        '<div id="sg-map-app" hidden>\n<div id="sg-map-filters" class="sg-map-filters"></div>\n'
        '<div class="sg-map-both">\n<div id="sg-map-drawing">\n'
        '<div id="sg-map" class="sg-map" role="group" aria-label="示意图；旁边的列表有同样的内容"></div>\n'
        '<p id="sg-map-legend" class="sg-note"></p>\n</div>\n'
        '<div id="sg-map-side">\n<p id="sg-map-status" role="status" aria-live="polite"></p>\n'
        '<div id="sg-map-list"></div>\n</div>\n</div>\n</div>\n'
        '<script src="static/leaflet/leaflet.js"></script>\n<script src="static/find-core.js"></script>\n'
        '<script src="static/map.js"></script>'
    )


def _table(site: Site, layer: Layer) -> str:
    """Return the numbers of one register by community and by the first filter."""
    register = layer.register
    label, codes = layer.filters[0]
    lines = []
    for code, name in site.communities.items():
        counts: dict[int, int] = {}
        for first, _second, number in layer.cells[code]:
            counts[first] = counts.get(first, 0) + number
        told = "、".join(f"{text.esc(codes[first])} {text.number(number)}" for first, number in counts.items())
        place = markup.link(f"{PATH}.html", f"{site.community_path(code)}.html", name)
        lines.append([place, text.number(sum(counts.values())), told or NOTHING])
    nowhere = f"另有 {text.number(layer.nowhere)} 条不分社区，不在图上。" if layer.nowhere else ""
    headings = ["社区", "条数", f"按{label}"]
    all_of_it = markup.link(f"{PATH}.html", f"{site.list_path(register)}.html", f"{register.layout.nav}的列表")
    return markup.sections(f"## {text.esc(register.layout.nav)}", markup.table(headings, lines), nowhere + all_of_it)


def _about(site: Site) -> str:
    drawn = "边界是程序画的方格，不是真实的界线。" if site.meta.get("simulated") == "1" else "边界来自公开的登记册。"
    missing = [name for code, name in site.communities.items() if _outline(_place(site, code)) is None]
    without = f"没有可用边界、只在列表里的社区：{'、'.join(missing)}。" if missing else ""
    return markup.sections(
        "## 关于这张图",
        f"图上没有底图，只画社区和网格的界线，不从别的网站取任何内容；它是示意图，不能用来确定边界。{drawn}",
        "事情只公开到社区，不公开到网格、楼栋和住户，所以图上的数目都按社区算。" + text.esc(without),
    )


def write_map(site: Site, shards: Shards) -> None:
    """Write the parts of the map: an index, the units of each community, and the matters of each, some at a time."""
    layers = [_layer(site, item) for item in mapped(site)]
    if not layers:
        return
    notes = _notes(site)
    names = short_names(list(site.communities.values()))
    index = {
        "communities": [
            [code, name, short, f"{site.community_path(code)}.html", _outline(_place(site, code))]
            for (code, name), short in zip(site.communities.items(), names, strict=True)
        ],
        "layers": [
            {
                "name": layer.register.layout.nav,
                "filters": [[label, list(codes)] for label, codes in layer.filters],
                "cells": [layer.cells[code] for code in site.communities],
            }
            for layer in layers
        ],
        "per": PER_PART,
    }
    shards.write(INDEX, encode(index))
    for at, code in enumerate(site.communities):
        shards.write(f"g/u-{at}", encode(list(_units(site, code, notes))))
    for number, layer in enumerate(layers):
        for at, rows in enumerate(_rows(site, layer).values()):
            for part, batch in enumerate(batches(rows, PER_PART)):
                shards.write(f"g/{number}-{at}-{part}", encode(batch))


def _layer(site: Site, register: Register) -> Layer:
    columns = register.layout.map["filter"]
    codes = [register.codes.get(name, {}) for name in columns]
    layer = Layer(
        register,
        tuple(
            (site.label(register, name), (*found.values(), NO_CODE)) for name, found in zip(columns, codes, strict=True)
        ),
        tuple({code: at for at, code in enumerate(found)} for found in codes),
        {code: [] for code in site.communities},
        0,
    )
    counts: dict[str, dict[Cell, int]] = {}
    for community, *values, number in site.source.tally(register, columns):
        found = counts.setdefault(community, {})
        cell = layer.cell(values)
        found[cell] = found.get(cell, 0) + number
    cells = {code: [(*cell, n) for cell, n in sorted(counts.pop(code, {}).items())] for code in site.communities}
    return replace(layer, cells=cells, nowhere=sum(sum(found.values()) for found in counts.values()))


def _rows(site: Site, layer: Layer) -> Mapping[str, list[list[Any]]]:
    """Return what the map tells of the matters of each community: in the order of its cells, in one the newest first.

    There may be more whole rows than memory holds.
    """
    columns = layer.register.layout.map["filter"]
    rows: dict[str, list[tuple[Cell, list[Any]]]] = {code: [] for code in site.communities}
    for row in site.source.each(layer.register):
        if row.community in rows:
            rows[row.community].append((layer.cell([row.values.get(name) for name in columns]), _told(site, row)))
    for found in rows.values():
        found.sort(key=lambda each: each[0])  # stable
    return {code: [told for _, told in found] for code, found in rows.items()}


def _told(site: Site, row: Row) -> list[Any]:
    """Return title, number and address of a matter, and where it is if its register publishes that."""
    own = site.title(row) if row.register.layout.page == "row" else site.own_title(row)
    head = [text.shorten(own or NO_TITLE, text.TITLE_LIMIT), text.shorten(row.number), site.page_of(row)]
    columns = [row.register.layout.map[name] for name in ("lat", "long") if name in row.register.layout.map]
    at = [row.values.get(name) for name in columns if not row.withheld(name)]
    degrees = [part / _DEGREE for part in at if isinstance(part, int)]
    return [*head, *degrees] if len(degrees) == 2 else head


def _place(site: Site, code: str) -> Row | None:
    """Return the row that says what and where the area *code* is."""
    found = (site.source.find(item, code) for item in site.registers.values() if item.layout.place)
    return next((row for row in found if row is not None), None)


def _outline(row: Row | None) -> Shape | None:
    column = row.register.layout.map.get("outline") if row is not None else None
    if row is None or column is None or row.withheld(column):
        return None
    return parse_outline(str(row.values.get(column) or ""))


def _units(site: Site, community: str, notes: Mapping[str, Sequence[str]]) -> Iterator[list[Any]]:
    """Yield name, short name, outline and notes of each unit of a community."""
    register = next((item for item in site.registers.values() if item.layout.place), None)
    rows = site.source.nearby(register, community) if register is not None and register.layout.nearby else []
    rows = [row for row in rows if row.key != community]
    names = [site.title(row) for row in rows]
    for row, name, short in zip(rows, names, short_names(names), strict=True):
        yield [text.clean(name), text.clean(short), _outline(row), notes.get(row.key, [])]


def _notes(site: Site) -> Mapping[str, list[str]]:
    """Return what registers tell of a unit, by its code: who looks after it, and the work telephone."""
    found: dict[str, list[str]] = {}
    for register in sorted(site.registers.values(), key=lambda item: (item.layout.order, item.name)):
        if "area" not in register.layout.map:
            continue
        for row in site.source.rows(register):
            told = [site.told(row, name) for name in register.layout.map["columns"]]
            line = " ".join(part for part in told if part != NOTHING)
            found.setdefault(str(row.values.get(register.layout.map["area"])), []).append(text.clean(line))
    return found
