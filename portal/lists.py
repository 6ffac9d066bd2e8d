"""Pages that list rows: one or more per register, one per community. Their weight does not grow with the register."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from portal import markup, text
from portal.markup import Page
from portal.model import COMMUNITY, Register, Row
from portal.site import Site

WHOLE_LIMIT = 100  # rows: a register with more is split; 100 cards are already a long way to scroll on a phone
GLANCE = 10  # rows of each register on a community's page


def row_table(site: Site, page: str, rows: Sequence[Row], leave_out: Sequence[str] = ()) -> str:
    """Return a table of rows of one register: title, summary columns, evidence."""
    if not rows:
        return "现在没有内容。"
    register = rows[0].register
    columns = [name for name in register.layout.summary if name not in (*register.layout.title, *leave_out)]
    numbered = any(row.number for row in rows)
    heading = "、".join(site.label(register, name) for name in register.layout.title if name in register.columns)
    headings = [
        heading or register.label,
        *([register.key_label or "编号"] if numbered else []),
        *(site.label(register, c) for c in columns),
    ]

    def cells(row: Row) -> list[str]:
        number = [text.esc(text.shorten(row.number) or text.NOTHING)] if numbered else []
        shown = [text.esc(text.shorten(site.show(row, name))) for name in columns]
        return [row_name(site, page, row), *number, *shown, site.evidence(page, row)]

    return markup.table([*headings, "证据"], map(cells, rows), "sg-table sg-rows")


def row_name(site: Site, page: str, row: Row) -> str:
    """Return the title of *row*, linked to its page if it has one, with its marks."""
    title = text.shorten(site.title(row))
    if row.register.layout.page != "row":
        return text.esc(title) + site.badges(row)
    return markup.link(page, site.row_path(row) + ".html", title) + site.badges(row)


def grouped(site: Site, page: str, rows: Sequence[Row], groups: Sequence[str], level: int = 2) -> str:
    """Return tables under headings, one level of headings for each column of *groups*; groups come in row order."""
    if not groups or not rows:
        return row_table(site, page, rows, rows[0].register.layout.group_by if rows else ())
    first, *rest = groups
    ordered = sorted(rows, key=lambda row: _rank(row, first))
    parts = []
    for title, members in groupby(ordered, key=lambda row: site.show(row, first)):
        inner = grouped(site, page, list(members), rest, level + 1)
        parts.append(f"{'#' * level} {text.esc(text.shorten(title))}\n\n{inner}")
    return markup.sections(*parts)


def _rank(row: Row, column: str) -> tuple[int, str]:
    """Return where a row's group stands: codes as declared, others by value, nothing last."""
    value = row.values.get(column)
    if value is None or value == "":
        return (1_000_000, "")
    declared = list(row.register.codes.get(column, ()))
    return (declared.index(value) if value in declared else 100_000, str(value))


def register_pages(site: Site, register: Register) -> Iterator[Page]:
    """Yield the list pages of a register: one, or leaves, or one for each community."""
    if register.count <= WHOLE_LIMIT:
        yield _whole(site, register)
    elif register.layout.page == "row":
        yield from _leaves(site, register)
    else:
        yield from _by_community(site, register)


def _intro(site: Site, register: Register, page: str) -> str:
    words = register.layout.intro or register.help
    count = f"共 {text.number(register.count)} 条，{site.as_of}。"
    return markup.sections(text.esc(words), count + _more(site, register, page))


def _more(site: Site, register: Register, page: str, community: str = "", label: str = "查询、筛选和下载") -> str:
    query = {COMMUNITY: community} if community else {}
    found = site.datasette(page, label, register, **query)
    return f" {found}" if found else ""


def _whole(site: Site, register: Register) -> Page:
    path = site.list_path(register)
    body = grouped(site, path, site.source.rows(register), register.layout.group_by)
    return Page(
        f"{path}.md", register.layout.nav, markup.sections(_intro(site, register, path), body), search=False, toc=False
    )


def _leaves(site: Site, register: Register) -> Iterator[Page]:
    """Yield list pages of WHOLE_LIMIT rows each, so that every row's page is reached by links."""
    first = next(iter(register.layout.group_by), "")
    rows = site.source.rows(register, first=first)
    total = -(-len(rows) // WHOLE_LIMIT)
    for number in range(1, total + 1):
        path = site.list_path(register, number=number)
        part = rows[(number - 1) * WHOLE_LIMIT : number * WHOLE_LIMIT]
        body = grouped(site, path, part, register.layout.group_by)
        nav = _turn(site, register, path, number, total)
        title = register.layout.nav + (f"（第 {number} 页）" if number > 1 else "")
        yield Page(
            f"{path}.md", title, markup.sections(_intro(site, register, path), body, nav), search=False, toc=False
        )


def _turn(site: Site, register: Register, path: str, number: int, total: int) -> str:
    links = [f"第 {number} 页，共 {total} 页"]
    for there, words in ((number - 1, "上一页"), (number + 1, "下一页")):
        if 1 <= there <= total:
            links.append(markup.link(path, site.list_path(register, number=there) + ".html", words))
    return "　".join(links)


def _by_community(site: Site, register: Register) -> Iterator[Page]:
    """Yield an index by community and, for each, its newest rows."""
    counts = site.source.counts(register)
    path = site.list_path(register)
    lines = [
        [
            markup.link(path, site.list_path(register, code or "none") + ".html", site.community(code)),
            text.number(number),
        ]
        for code, number in counts.items()
    ]
    body = markup.table(["社区", "条数"], lines)
    yield Page(
        f"{path}.md", register.layout.nav, markup.sections(_intro(site, register, path), body), search=False, toc=False
    )
    for code, number in counts.items():
        yield _newest(site, register, code, number)


def _newest(site: Site, register: Register, code: str, number: int) -> Page:
    path, limit = site.list_path(register, code or "none"), register.layout.limit
    rows = site.source.rows(register, community=code, limit=limit)
    groups = [name for name in register.layout.group_by if name != COMMUNITY]
    told = f"{site.as_of}共 {text.number(number)} 条" + (f"，下面是最新的 {limit} 条。" if number > limit else "。")
    intro = told + _more(site, register, path, code, "查询全部")
    title = f"{site.community(code)}：{register.layout.nav}"
    return Page(f"{path}.md", title, markup.sections(intro, grouped(site, path, rows, groups)), search=False, toc=False)


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
    return Page(f"{path}.md", "社区", markup.sections(f"各社区公开的条数，{site.as_of}。", body), toc=False)


def community_page(site: Site, code: str) -> Page:
    """Return one community's page: what it is, and the newest rows of each register."""
    path = site.community_path(code)
    parts = [_community_facts(site, path, code)]
    for register in site.listed:
        number = site.source.counts(register).get(code, 0)
        if number:
            parts.append(_glance(site, path, register, code, number))
    return Page(f"{path}.md", site.community(code), markup.sections(*parts), toc=False)


def _glance(site: Site, path: str, register: Register, code: str, number: int) -> str:
    rows = site.source.rows(register, community=code, limit=GLANCE)
    split = register.count > WHOLE_LIMIT and register.layout.page == "list"
    target = site.list_path(register, code if split else "") + ".html"
    all_of_it = markup.link(path, target, f"{register.layout.nav}：全部 {text.number(number)} 条")
    return markup.sections(
        f"## {text.esc(register.layout.nav)}",
        row_table(site, path, rows, [COMMUNITY]),
        all_of_it if number > GLANCE else "",
    )


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
