"""The index of communities and each community's page."""

import re
from collections.abc import Sequence

from portal import calendars, charts, markup, text
from portal.lists import is_split
from portal.maps import map_link
from portal.markup import Page
from portal.model import COMMUNITY, Nearby, Register, Row
from portal.sheets import sheet_links
from portal.site import Site
from portal.tables import merged, row_table

GLANCE = 10  # rows of each register on a community's page
OPEN = 15  # rows of such a table that stand open; longer ones are folded up
_WHOLE = re.compile(r"[ -~]{1,14}")  # a telephone number or a code
NEARBY = 200  # rows of a table that a register declares for it: grids, posts, telephones


def communities_page(site: Site) -> Page:
    """Return the index of communities, with the number of rows of each register."""
    path = "community/index"
    counts = {item.name: site.source.counts(item) for item in site.listed}
    listed = [item for item in site.listed if counts[item.name].keys() & site.communities.keys()]
    lines = [
        [
            markup.link(path, site.community_path(code) + ".html", name),
            *(text.number(counts[item.name].get(code, 0)) for item in listed),
        ]
        for code, name in site.communities.items()
    ]
    headings = ["社区", *(item.layout.nav for item in listed)]
    body = markup.table(headings, lines) if lines else "现在没有社区的公开内容。"
    return Page(
        f"{path}.md",
        "社区",
        markup.sections(f"各社区公开的条数，{site.as_of}。", map_link(site, path), body),
        toc=False,
    )


def community_page(site: Site, code: str) -> Page:
    """Return one community's page: what it is, its figures, what registers declare for it, their newest rows."""
    path = site.community_path(code)
    parts = [_community_facts(site, path, code), map_link(site, path, code), sheet_links(site, path, code)]
    parts.append(_figures(site, path, code))
    for register in _by_order(site):
        if register.layout.nearby is not None:
            parts.append(_nearby(site, path, register, register.layout.nearby, code))
    parts.append(calendars.glance(site, path, code))
    for register in site.listed:
        number = site.source.counts(register).get(code, 0)
        if number and not register.layout.place:
            parts.append(_glance(site, path, register, code, number))
    parts.append(_withheld(site, path, code))
    return Page(f"{path}.md", site.community(code), markup.sections(*parts), toc=False)


def _by_order(site: Site) -> list[Register]:
    return sorted(site.registers.values(), key=lambda item: (item.layout.order, item.name))


def _figures(site: Site, path: str, code: str) -> str:
    """Return the figures that are given by community, as cards; each leads to the others' of the same figure."""
    known = {item.id: item for item in site.figures}
    cards = [
        (markup.link(path, f"figure/{part.figure}.html", known[part.figure].label), charts.part_mark(part))
        for part in site.source.parts(COMMUNITY, code)
        if part.figure in known
    ]
    return markup.sections("## 数字", f"{text.esc(site.as_of)}。", markup.cards(cards)) if cards else ""


def _nearby(site: Site, path: str, register: Register, nearby: Nearby, code: str) -> str:
    """Return the block that a register declares for communities: rows counted by a code, and a table."""
    counts = site.source.nearby_counts(register, code)
    order = list(register.codes.get(nearby.count_by, ()))
    ranked = sorted(counts.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))
    told = "；".join(
        f"{site.words(register, nearby.count_by, value) if value else '没有写明'} {text.number(count)}"
        for value, count in ranked
    )
    rows = site.source.nearby(register, code, NEARBY) if nearby.columns else []
    if not told and not rows:
        return ""
    lines = merged(site, rows, nearby.columns) if nearby.merged else _lines(site, rows, nearby.columns)
    shown = [at for at in range(len(nearby.columns)) if any(line[at] != text.NOTHING for line in lines)]
    headings = [site.told_label(register, nearby.columns[at]) for at in shown]
    table = markup.table(headings, [[_cell(line[at]) for at in shown] for line in lines], "sg-compact") if rows else ""
    if len(lines) > OPEN:
        table = f"<details><summary>全部 {len(lines)} 条</summary>\n{table}\n</details>"
    return markup.sections(f"## {text.esc(nearby.title)}", f"{text.esc(told)}。" if told else "", table)


def _lines(site: Site, rows: Sequence[Row], columns: Sequence[str]) -> list[list[str]]:
    return [[site.told(row, name) for name in columns] for row in rows]


def _cell(words: str) -> str:
    """Return a cell; a telephone number or a code stays on one line, also on a phone."""
    shown = text.esc(text.shorten(words))
    return f'<span class="sg-whole">{shown}</span>' if _WHOLE.fullmatch(words) else shown


def _glance(site: Site, path: str, register: Register, code: str, number: int) -> str:
    rows = site.source.rows(register, community=code, limit=GLANCE)
    target = site.list_path(register, code if is_split(site, register) else "") + ".html"
    all_of_it = markup.link(path, target, f"{register.layout.nav}：全部 {text.number(number)} 条")
    return markup.sections(
        f"## {text.esc(register.layout.nav)}",
        row_table(site, path, rows, [COMMUNITY]),
        all_of_it if number > GLANCE else "",
    )


def _withheld(site: Site, path: str, code: str) -> str:
    """Return how many values of this community's rows are withheld."""
    registers = [item for item in site.registers.values() if COMMUNITY in item.present]
    number = sum(site.source.withheld_in(item, code) for item in registers)
    link = markup.link(path, "withheld.html", "为什么，有哪些")
    return f"## 不予公开\n\n本社区的记录里有 {text.number(number)} 条含有不予公开的内容。{link}"


def _community_facts(site: Site, path: str, code: str) -> str:
    """Return what the register that names the communities says about this one."""
    for register in site.listed:
        row = site.source.find(register, code) if register.layout.place else None
        if row is None:
            continue
        shown = [name for name in register.layout.summary if row.values.get(name) is not None or row.withheld(name)]
        pairs = [(site.label(register, name), text.esc(site.show(row, name, prose=True))) for name in shown]
        return markup.facts([("代码", text.esc(code)), *pairs, ("证据", site.evidence(path, row))])
    return ""
