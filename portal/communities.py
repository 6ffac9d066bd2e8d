"""The index of communities and each community's page."""

from portal import markup, text
from portal.lists import is_split
from portal.markup import Page
from portal.model import COMMUNITY, Register
from portal.site import Site
from portal.tables import row_table

GLANCE = 10  # rows of each register on a community's page


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
    target = site.list_path(register, code if is_split(site, register) else "") + ".html"
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
