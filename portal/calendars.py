"""The disclosure calendar: what was due, what was made public in time, late or not yet, by community and by month.

Which dates count is declared in a register's portal block (`calendar`). Pages hold a year; their length does not grow.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from portal import markup, text
from portal.markup import Page
from portal.model import Register
from portal.site import Site
from portal.tables import row_table

MONTHS = 12  # named one by one; what was due before is one line
LISTED = 50  # rows of one state on a community's page
STATES = {
    "on_time": "按时公开",
    "late": "逾期公开",
    "overdue": "逾期未公开",
    "pending": "未到期",
    "open": "未写应公开日期",
}
_LISTED = ("overdue", "pending", "late")  # what somebody may want to ask about

Counts: TypeAlias = Mapping[str, Counter[str]]
"""line -> state -> number."""


def registers(site: Site) -> list[Register]:
    """Return the registers that declare a calendar whose columns are published."""
    return [each for each in site.listed if each.layout.calendar and set(each.layout.calendar.values()) <= each.present]


def calendar_pages(site: Site) -> Iterator[Page]:
    """Yield the index and a page for each community; nothing where no register has a calendar."""
    found = registers(site)
    if not found:
        return
    codes: set[str] = set()
    parts = []
    for register in found:
        counted = site.source.calendar(register, _today(site))
        codes |= {community for community, _month, _state, _number in counted}
        parts += [f"## {text.esc(register.layout.nav)}", *_register(site, counted)]
    yield Page("calendar.md", "公开日历", markup.sections(_intro(site), *parts), menu=True, toc=False)
    for code in sorted(codes):
        yield _community_page(site, found, code)


def _today(site: Site) -> str:
    return site.meta.get("as_of", "")[: len("2026-11-21")]


def _intro(site: Site) -> str:
    return (
        f"{text.esc(site.as_of)}。按各条记录写明的应公开日期统计：应公开日期当天或以前公开的为按时，以后公开的为逾期公开，"
        "过了应公开日期还没有公开日期的为逾期未公开。没有登记的事项不在其中。"
    )


def _register(site: Site, counted: Sequence[tuple[str, str, str, int]]) -> Iterator[str]:
    """Yield a register's tables: by community, by month."""
    by_community: dict[str, Counter[str]] = {}
    for community, _month, state, number in counted:
        by_community.setdefault(community, Counter())[state] += number
    lines = {
        markup.link("calendar.md", site.calendar_path(code) + ".html", site.community(code)): states
        for code, states in by_community.items()
    }
    yield "### 按社区"
    yield _table("社区", lines)
    yield "### 按月份"
    yield _table("应公开的月份", _by_month(counted))


def _by_month(counted: Sequence[tuple[str, str, str, int]]) -> Counts:
    """Return the months by their words, the newest first; the earlier ones together, then what has none."""
    months = sorted({month for _community, month, _state, _number in counted if month}, reverse=True)
    words = {month: text.month(month) for month in months[:MONTHS]} | {"": "未写"}
    found: dict[str, Counter[str]] = {text.esc(word): Counter() for word in (*words.values(), "更早")}
    for _community, month, state, number in counted:
        found[text.esc(words.get(month, "更早"))][state] += number
    late_lines = {line: found[line] for line in ("更早", "未写") if found.get(line)}
    return {line: states for line, states in found.items() if states and line not in late_lines} | late_lines


def _table(heading: str, lines: Counts) -> str:
    cells = [
        [line, text.number(states.total()), *(text.number(states[state]) for state in STATES)]
        for line, states in lines.items()
    ]
    return markup.table([heading, "合计", *STATES.values()], cells) if cells else "现在没有内容。"


def _community_page(site: Site, found: Sequence[Register], code: str) -> Page:
    """Return one community's calendar: its months, and the rows that are late."""
    path = site.calendar_path(code)
    parts = [markup.link(path, "calendar.html", "← 公开日历", "sg-back"), _intro(site)]
    for register in found:
        counted = [line for line in site.source.calendar(register, _today(site)) if line[0] == code]
        if counted:
            parts += [f"## {text.esc(register.layout.nav)}", _table("应公开的月份", _by_month(counted))]
            parts += _rows(site, path, register, code)
    title = f"{site.community(code)}：公开日历"
    return Page(f"{path}.md", title, markup.sections(*parts), search=False, toc=False)


def _rows(site: Site, path: str, register: Register, code: str) -> Iterator[str]:
    for state in _LISTED:
        rows = site.source.dated(register, _today(site), state, code, LISTED)
        if rows:
            yield f"### {STATES[state]}" + (f"（最早的 {LISTED} 条）" if len(rows) == LISTED else "")
            yield row_table(site, path, rows)
