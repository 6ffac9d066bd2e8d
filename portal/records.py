"""What the one page for all records shows of a row: plain texts that its script puts in place."""

import re
from collections.abc import Iterator
from typing import Any

from portal import text, timeline
from portal.model import COMMUNITY, Register, Row, Section
from portal.rows import member
from portal.site import Site, joined
from portal.timeline import Way

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){4}[0-9a-f]{8}")
TEMPORARY = "临时编号"


def temporary_number(row: Row) -> str:
    """Return the number that a worker can tell before the centre has given one, '' for rows without numbers.

    It is the end of the record's key, so it is known where and when the record is made. Source: protocol, section 9.
    """
    if "_no" not in row.values or not _UUID.fullmatch(row.key):
        return ""
    return f"临-{row.key[-8:-4]}-{row.key[-4:]}"


def numbers(row: Row) -> list[str]:
    """Return each form in which people type the number of *row*."""
    found = [row.number] if row.number else []
    if row.community and row.number.startswith(row.community):
        found.append(row.number[len(row.community) :])  # day and ordinal: what a neighbour needs to say
    temporary = temporary_number(row)
    return [*found, temporary, temporary.replace("临", "").replace("-", "")] if temporary else found


def records(site: Site, register: Register) -> Iterator[tuple[Row, Way | None]]:
    """Yield each listed row of a register with its way."""
    line = register.timeline
    for row in site.source.each(register):
        yield row, timeline.way(site, row, line, site.source.steps(register, line.field, row.key)) if line else None


def record(site: Site, row: Row, found: Way | None) -> dict[str, Any]:
    """Return the record of *row* for the page; every text is untrusted, every address made here."""
    register = row.register
    sections = [_section(site, row, spec) for spec in register.layout.sections]
    told: dict[str, Any] = {
        "title": text.shorten(site.title(row), text.TITLE_LIMIT),
        "kind": register.layout.nav,
        "list": site.list_path(register) + ".html",
        "marks": _marks(site, row),
        "facts": list(_facts(site, row)),
        "sections": [each for each in sections if each],
        "evidence": row.evidence,
    }
    if found is not None:
        told["lamp"] = [found.lamp.kind, found.lamp.label]
        told["why"] = list(found.why)
        told["steps"] = [
            [each.name, each.received, each.who, each.unit, each.due, each.lamp.kind, each.lamp.label, each.reason]
            for each in found.stages
        ]
    return {name: _cleaned(value) for name, value in told.items()}


def _cleaned(value: Any) -> Any:
    """Return texts without signs that act on what stands beside them; the script puts them in as they are."""
    if isinstance(value, list):
        return [_cleaned(part) for part in value]
    return text.clean(value) if isinstance(value, str) else value


def _marks(site: Site, row: Row) -> list[str]:
    marks = [site.label(row.register, name) for name in row.register.layout.badges if row.values.get(name)]
    late = ["已过复审日期"] if site.is_past_review(row) else []
    return [*marks, *late, *(["冲突待裁定"] if row.conflict else []), *(["有争议"] if row.disputed else [])]


def _facts(site: Site, row: Row) -> Iterator[list[str]]:
    """Yield label, text and, where there is a page, its address: numbers, place, the declared summary, the rest."""
    layout = row.register.layout
    if row.number:
        yield [row.register.key_label or "编号", row.number]
    if temporary := temporary_number(row):
        yield [TEMPORARY, temporary]
    if row.community:
        place = site.community(row.community)
        known = row.community in site.communities
        yield ["社区", place, *([site.community_path(row.community) + ".html"] if known else [])]
    elsewhere = {*layout.title, COMMUNITY, *layout.badges, *(spec.column for spec in layout.sections)}
    for name in dict.fromkeys([*layout.summary, *row.register.columns]):
        if name not in elsewhere and (row.values.get(name) is not None or row.withheld(name)):
            yield [site.label(row.register, name), site.show(row, name, prose=True)]
    if row.values.get("_updated"):
        yield ["更新时间", site.show(row, "_updated", prose=True)]


def _section(site: Site, row: Row, spec: Section) -> list[Any] | None:
    """Return heading and content: a text, or the items of a list."""
    label = spec.label or site.label(row.register, spec.column)
    shown = site.show(row, spec.column, prose=True)
    if shown == text.NOTHING:
        return [label, "没有公开的内容。"] if row.register.timeline else None
    if spec.kind in ("text", "phone") or shown in (text.WITHHELD, text.ERASED):
        return [label, text.clean(shown)]
    return [label, [_item(entry, spec) for entry in site.items(row, spec.column)]]


def _item(entry: Any, spec: Section) -> str:
    if not isinstance(entry, dict):
        return joined(entry)
    order = spec.members or {str(name): "" for name in entry}
    said = [(label, member(entry, name)) for name, label in order.items() if member(entry, name) != text.NOTHING]
    return "；".join(f"{label}：{words}" if label else words for label, words in said)
