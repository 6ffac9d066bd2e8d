"""Rows of one register as a table, or as tables under headings."""

import re
from collections.abc import Sequence
from itertools import groupby

from portal import markup, text
from portal.model import Row
from portal.outlines import short_names
from portal.site import Site

COLUMNS = 6  # summary columns in a list whose rows have a page of their own, where the others stand
_CODE = re.compile(r"[0-9A-Za-z-]{1,13}")  # a code or a telephone number, which nobody reads in two pieces
_UNBROKEN = ("boolean", "code", "date", "datetime", "integer", "money")  # values that read badly over two lines


def row_table(site: Site, page: str, rows: Sequence[Row], leave_out: Sequence[str] = ()) -> str:
    """Return a table of rows of one register: title, number, summary columns, evidence."""
    if not rows:
        return "现在没有内容。"
    register = rows[0].register
    columns = [name for name in register.layout.summary if name not in (*register.layout.title, *leave_out)]
    if register.layout.page == "row":
        columns = columns[:COLUMNS]
    titles = [site.label(register, name) for name in register.layout.title if name in register.columns]
    headings = ["、".join(titles) or register.label, register.key_label or "编号"]
    headings += [*(site.label(register, name) for name in columns), "证据"]
    cells = [_cells(site, page, row, columns) for row in rows]
    if not any(row.number for row in rows):
        headings, cells = _without_number(headings), [_without_number(line) for line in cells]
    return markup.table(headings, cells, "sg-table sg-rows")


def _cells(site: Site, page: str, row: Row, columns: Sequence[str]) -> list[str]:
    css = "sg-number sg-unbroken" if _CODE.fullmatch(row.number) else "sg-number"
    number = f'<span class="{css}">{text.esc(text.shorten(row.number) or text.NOTHING)}</span>'
    return [row_name(site, page, row), number, *(_cell(site, row, name) for name in columns), site.evidence(page, row)]


def _cell(site: Site, row: Row, column: str) -> str:
    shown = text.shorten(site.show(row, column))
    spec = row.register.columns.get(column)
    whole = (spec and spec.type in _UNBROKEN) or _CODE.fullmatch(shown)
    return markup.unbroken(shown) if whole else text.esc(shown)


def _without_number(line: list[str]) -> list[str]:
    return [line[0], *line[2:]]


def row_name(site: Site, page: str, row: Row) -> str:
    """Return the title of *row*, linked to the page that shows it, with its marks."""
    own = site.title(row) if row.register.layout.page == "row" else site.own_title(row)
    address = markup.up(page) + site.page_of(row)
    return markup.anchor(address, text.shorten(own or "（没有公开的标题）")) + site.badges(row)


def grouped(site: Site, page: str, rows: Sequence[Row], groups: Sequence[str], level: int = 2) -> str:
    """Return tables under headings, one level of headings for each column of *groups*."""
    if not groups or not rows:
        return row_table(site, page, rows, rows[0].register.layout.group_by if rows else ())
    first, *rest = groups
    ordered = sorted(rows, key=lambda row: _rank(row, first))
    parts = []
    for title, members in groupby(ordered, key=lambda row: site.show(row, first)):
        inner = grouped(site, page, list(members), rest, level + 1)
        parts.append(f"{'#' * level} {text.esc(text.shorten(title))}\n\n{inner}")
    return markup.sections(*parts)


def merged(site: Site, rows: Sequence[Row], columns: Sequence[str]) -> list[list[str]]:
    """Return one line for all rows that differ in the last of *columns* alone, which then tells them apart."""
    last = columns[-1]
    names = list(dict.fromkeys(site.told(row, last) for row in rows))
    short = dict(zip(names, short_names(names), strict=True))
    lines: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        lines.setdefault(tuple(site.told(row, name) for name in columns[:-1]), []).append(short[site.told(row, last)])
    return [[*head, "、".join(dict.fromkeys(tail))] for head, tail in lines.items()]


def _rank(row: Row, column: str) -> tuple[int, int, str]:
    """Return where a row's group stands: codes as declared, then others by value, then nothing."""
    value = str(row.values.get(column) or "")
    declared = list(row.register.codes.get(column, ()))
    if value in declared:
        return (0, declared.index(value), "")
    return (1 if value else 2, 0, value)
