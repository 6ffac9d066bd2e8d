"""The list pages of a register. Their weight does not grow with the register."""

from collections.abc import Iterator, Sequence

from portal import markup, text
from portal.flows import flow_link
from portal.markup import Page
from portal.model import COMMUNITY, Register, Row
from portal.site import Site
from portal.tables import grouped

WHOLE_LIMIT = 60  # rows on one page; more cards are too long a way to scroll on a phone
NOWHERE = "none"  # stands in an address for rows without a community


def register_pages(site: Site, register: Register) -> Iterator[Page]:
    """Yield the list pages of a register: all in one, or an index by community and each community's."""
    if not is_split(site, register):
        yield from _part(site, register, None)
        return
    yield _index(site, register)
    for code in site.source.counts(register):
        yield from _part(site, register, code)


def is_split(site: Site, register: Register) -> bool:
    """Tell whether a register has list pages by community."""
    return register.count > WHOLE_LIMIT and len(site.source.counts(register)) > 1


def _index(site: Site, register: Register) -> Page:
    path = site.list_path(register)
    lines = [
        [_part_link(site, register, path, code), text.number(number)]
        for code, number in site.source.counts(register).items()
    ]
    body = markup.sections(_intro(site, register, path), markup.table(["社区", "条数"], lines))
    return _page(path, register.layout.nav, body)


def _part_link(site: Site, register: Register, page: str, code: str) -> str:
    return markup.link(page, site.list_path(register, code or NOWHERE) + ".html", site.community(code))


def _page(path: str, title: str, body: str) -> Page:
    return Page(f"{path}.md", title, body, search=False, toc=False)


def _intro(site: Site, register: Register, page: str) -> str:
    words = register.layout.intro or register.help
    count = f"共 {text.number(register.count)} 条，{text.esc(site.as_of)}。"
    more = [count, flow_link(page, register), site.datasette(page, "查询、筛选和下载", register)]
    return markup.sections(text.esc(words), " ".join(part for part in more if part))


def _part(site: Site, register: Register, code: str | None) -> Iterator[Page]:
    """Yield the pages of one community, or of the whole register (None): the newest rows, or leaves with all rows."""
    if register.layout.page == "list" and (code is not None or register.count > WHOLE_LIMIT):
        rows = site.source.rows(register, community=code, limit=register.layout.limit)
        yield _leaf(site, register, code, rows, 1, 1)
        return
    rows = site.source.rows(register, community=code, first=register.layout.group_by)
    total = max(1, -(-len(rows) // WHOLE_LIMIT))
    for number in range(1, total + 1):
        leaf = rows[(number - 1) * WHOLE_LIMIT : number * WHOLE_LIMIT]
        yield _leaf(site, register, code, leaf, number, total)


def _leaf(site: Site, register: Register, code: str | None, rows: Sequence[Row], number: int, total: int) -> Page:
    place = "" if code is None else code or NOWHERE
    path = site.list_path(register, place, number)
    groups = [name for name in register.layout.group_by if any(row.values.get(name) != code for row in rows)]
    title = register.layout.nav if code is None else f"{site.community(code)}：{register.layout.nav}"
    body = markup.sections(
        _intro(site, register, path) if code is None else _part_intro(site, register, code, path),
        _newest(site, register, code, len(rows)) if total == 1 else "",
        grouped(site, path, rows, groups),
        _turn(site, register, place, number, total),
    )
    return _page(path, title + (f"（第 {number} 页）" if number > 1 else ""), body)


def _part_intro(site: Site, register: Register, code: str, path: str) -> str:
    count = text.number(site.source.counts(register)[code])
    back = markup.link(path, site.list_path(register) + ".html", f"← {register.layout.nav}", "sg-back")
    query = site.datasette(path, "查询全部", register, **{COMMUNITY: code}) if code else ""
    return markup.sections(back, f"{text.esc(site.as_of)}，共 {count} 条。 {query}")


def _newest(site: Site, register: Register, code: str | None, shown: int) -> str:
    """Return the words that tell that not all rows are shown."""
    count = register.count if code is None else site.source.counts(register)[code]
    return f"下面是最新的 {text.number(shown)} 条。" if shown < count else ""


def _turn(site: Site, register: Register, place: str, number: int, total: int) -> str:
    """Return the links to the leaves before and after."""
    if total == 1:
        return ""
    path = site.list_path(register, place, number)
    links = [f"第 {number} 页，共 {total} 页"]
    for there, words in ((number - 1, "上一页"), (number + 1, "下一页")):
        if 1 <= there <= total:
            links.append(markup.link(path, site.list_path(register, place, there) + ".html", words))
    return "　".join(links)
