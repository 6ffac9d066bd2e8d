"""One page per row: a summary, the declared sections, the evidence."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from portal import diagrams, drawing, markup, text
from portal.markup import Page
from portal.model import COMMUNITY, Register, Row, Section
from portal.site import Site, joined


def row_pages(site: Site, register: Register) -> Iterator[Page]:
    """Yield a page for each row of a register that declares them."""
    if register.layout.page == "row":
        for row in site.source.rows(register):
            yield row_page(site, row)


def row_page(site: Site, row: Row) -> Page:
    """Return the page of one row."""
    register = row.register
    path = site.row_path(row)
    back = markup.link(path, site.list_path(register) + ".html", f"← {register.layout.nav}", "sg-back")
    marks = site.badges(row).strip()
    parts = [
        f"{back} {marks}".rstrip(),
        markup.facts(_facts(site, path, row)),
        *(section(site, row, spec) for spec in register.layout.sections),
        _others(site, row),
        _evidence(site, path, row),
    ]
    return Page(f"{path}.md", text.shorten(site.title(row), text.TITLE_LIMIT), markup.sections(*parts))


def _facts(site: Site, path: str, row: Row) -> Iterator[tuple[str, str]]:
    """Yield number, community and summary columns, those that say something."""
    layout = row.register.layout
    if row.number:
        yield row.register.key_label or "编号", text.esc(row.number)
    if row.community in site.communities:
        where = markup.link(path, site.community_path(row.community) + ".html", site.community(row.community))
        yield site.label(row.register, COMMUNITY), where
    elsewhere = {*layout.title, COMMUNITY, *(spec.column for spec in layout.sections)}
    for name in layout.summary:
        if name == layout.review and site.is_past_review(row):
            yield (
                site.label(row.register, name),
                f"{text.esc(site.show(row, name, prose=True))} {site.review_mark(row)}",
            )
        elif name not in elsewhere and (row.values.get(name) is not None or row.withheld(name)):
            yield site.label(row.register, name), text.esc(site.show(row, name, prose=True), line=False)
    if row.values.get("_updated"):
        yield "更新时间", text.esc(site.show(row, "_updated", prose=True))


def _others(site: Site, row: Row) -> str:
    """Return the public columns that stand nowhere else on the page."""
    layout = row.register.layout
    told = {*layout.title, *layout.summary, *layout.badges, *(spec.column for spec in layout.sections)}
    names = [name for name in row.register.columns if name not in told and row.values.get(name) is not None]
    pairs = [(site.label(row.register, name), text.esc(site.show(row, name, prose=True), line=False)) for name in names]
    return f"## 其他\n\n{markup.facts(pairs)}" if pairs else ""


def section(site: Site, row: Row, spec: Section) -> str:
    """Return one section with its heading; an empty one says so, a withheld one too."""
    label = spec.label or site.label(row.register, spec.column)
    shown = site.show(row, spec.column, prose=True)
    told = shown in (text.WITHHELD, text.ERASED, text.NOTHING)
    content = text.esc(shown) if told else _WRITERS[spec.kind](site, row, spec)
    return f"## {text.esc(label)}\n\n{content}"


def _text(site: Site, row: Row, spec: Section) -> str:
    shown = site.show(row, spec.column, prose=True)
    return "\n\n".join(text.esc(part, line=False) for part in re.split(r"\n\s*\n", text.clean(shown)) if part.strip())


def _list(site: Site, row: Row, spec: Section) -> str:
    return "\n".join(f"- {item_html(entry, spec.members)}" for entry in site.items(row, spec.column))


def _steps(site: Site, row: Row, spec: Section) -> str:
    """Return a numbered list; of an object the first member is the step, the others follow in words."""
    listed = "\n".join(f"1. {item_html(entry, spec.members)}" for entry in site.items(row, spec.column))
    entries = [entry for entry in site.items(row, spec.column) if isinstance(entry, dict)]
    if not spec.diagram or not entries:
        return listed
    label = spec.label or site.label(row.register, spec.column)
    drawn = diagrams.steps([_charted(entry, spec) for entry in entries], f"steps-{spec.column}", label)
    items = "\n".join(f"<li>{item_html(entry, spec.members)}</li>" for entry in entries)
    return drawing.beside(drawn, f"<ol>\n{items}\n</ol>")


def _charted(entry: Mapping[str, Any], spec: Section) -> list[str]:
    """Return what a flow chart's box says: the step, then one note with the other members."""
    first, *others = spec.diagram
    said = [(spec.members.get(name, ""), member(entry, name)) for name in others]
    notes = [f"{label}：{told}" if label else told for label, told in said if told != text.NOTHING]
    return [member(entry, first), *notes]


def item_html(entry: Any, members: Mapping[str, str]) -> str:
    """Return one entry of a list: of an object the first member stands out, the others follow in words."""
    if not isinstance(entry, dict):
        return text.esc(joined(entry))
    order = members or {str(name): "" for name in entry}
    said = [(label, words) for name, label in order.items() if (words := member(entry, name)) != text.NOTHING]
    if not said:
        return text.NOTHING
    (_, first), *rest = said
    notes = "；".join((f"{text.esc(label)}：" if label else "") + text.esc(words) for label, words in rest)
    return f"<strong>{text.esc(first)}</strong>" + (f'<br><span class="sg-note">{notes}</span>' if notes else "")


def member(entry: Mapping[str, Any], name: str) -> str:
    """Return the words for one member of a list's object."""
    value = entry.get(name)
    if value is None or value == "":
        return text.NOTHING
    if isinstance(value, bool):
        return "是" if value else "否"
    return joined(value)


def _table(site: Site, row: Row, spec: Section) -> str:
    entries = [entry if isinstance(entry, dict) else {"": entry} for entry in site.items(row, spec.column)]
    names = spec.members or {str(name): str(name) for entry in entries for name in entry}
    lines = [[text.esc(member(entry, name)) for name in names] for entry in entries]
    return markup.table(list(names.values()), lines)


def _phone(site: Site, row: Row, spec: Section) -> str:
    """Return the number as a link that dials."""
    shown = site.show(row, spec.column)
    digits = re.sub(r"[^0-9+]", "", shown)
    return markup.anchor(f"tel:{digits}", shown, "sg-phone") if digits else text.esc(shown)


_WRITERS = {"text": _text, "list": _list, "steps": _steps, "table": _table, "phone": _phone}


def _evidence(site: Site, path: str, row: Row) -> str:
    """Return the box with the proof, how to check it, and the row in Datasette."""
    links = [
        site.evidence(path, row),
        site.check_link(path, row),
        markup.link(path, "verify.html", "怎样核验"),
        site.datasette(path, "全部字段和历史", row.register, row.key),
    ]
    return "## 证据\n\n" + "　".join(part for part in links if part)
