"""The disclosure calendar: what was due, what was made public in time, late or not yet, by community and by month.

Which dates count is declared in a register's portal block (`calendar`). Where it names a catalogue, what the catalogue
asks for is counted, also what was never published (table `obligation`). Pages hold a year; their length does not grow.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from portal import markup, text
from portal.markup import Page
from portal.model import Obligation, Register
from portal.site import Site
from portal.tables import row_table

MONTHS = 12  # named one by one; what was due before is one line
LISTED = 50  # rows of one state on a community's page
GLANCE = 8  # overdue ones on the community's own page
STATES = {
    "on_time": "按时公开",
    "late": "逾期公开",
    "overdue": "逾期未公开",
    "pending": "未到期",
    "open": "未写应公开日期",
}
_LISTED = ("overdue", "pending", "late")  # what somebody may want to ask about
_RULES = {"rule": "按目录", "own": "按记录"}

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
        counted = _counted(site, register)
        codes |= {community for community, _month, _state, _number in counted}
        parts += [f"## {text.esc(register.layout.nav)}", *_register(site, counted)]
        catalogue = site.source.catalogued(register)
        if catalogue is not None:
            parts += ["### 按事项", _by_item(site, catalogue)]
    yield Page("calendar.md", "公开日历", markup.sections(_intro(site, found), *parts), menu=True, toc=False)
    for code in sorted(codes):
        yield _community_page(site, found, code)


def _counted(site: Site, register: Register) -> list[tuple[str, str, str, int]]:
    """Return (community, month, state, number): of what the catalogue asks for, else of the register's rows."""
    if site.source.catalogued(register) is not None:
        return site.source.obligation_counts()
    return site.source.calendar(register, _today(site))


def _today(site: Site) -> str:
    return site.meta.get("as_of", "")[: len("2026-11-21")]


def _intro(site: Site, found: Sequence[Register]) -> str:
    told = (
        f"{text.esc(site.as_of)}。应公开日期当天或以前公开的为按时，以后公开的为逾期公开，"
        "过了应公开日期还没有公开的为逾期未公开。"
    )
    if any(site.source.catalogued(each) is not None for each in found):
        return told + (
            "公开目录写明每月、每季度或长期公开的事项，从进入目录起每个社区、每一期都算，从未公开的也算；"
            "有了才公开的事项（例如一次执法决定），形成以后没有登记的，这里看不到。"
        )
    return told + "按各条记录写明的应公开日期统计；没有登记的事项不在其中。"


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


def _by_item(site: Site, catalogue: Register) -> str:
    """Return the table by items of the catalogue, in its order; also of items of which nothing was due."""
    counts: dict[str, Counter[str]] = {}
    for item, state, number in site.source.obligations_by_item():
        counts.setdefault(item, Counter())[state] += number
    for row in site.source.rows(catalogue):
        counts.setdefault(row.key, Counter())
    names = site.source.names(catalogue)
    return _table("事项", {text.esc(f"{names.get(item, item)}（{item}）"): counts[item] for item in sorted(counts)})


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
    """Return one community's calendar: its months, and what is late."""
    path = site.calendar_path(code)
    parts = [markup.link(path, "calendar.html", "← 公开日历", "sg-back"), _intro(site, found)]
    for register in found:
        counted = [line for line in _counted(site, register) if line[0] == code]
        if counted:
            parts += [f"## {text.esc(register.layout.nav)}", _table("应公开的月份", _by_month(counted))]
            parts += _rows(site, path, register, code)
    title = f"{site.community(code)}：公开日历"
    return Page(f"{path}.md", title, markup.sections(*parts), search=False, toc=False)


def _rows(site: Site, path: str, register: Register, code: str) -> Iterator[str]:
    catalogue = site.source.catalogued(register)
    for state in _LISTED:
        if catalogue is not None:
            due = site.source.obligations(code, state, LISTED)
            count, told = len(due), obligation_table(site, path, register, catalogue, due) if due else ""
        else:
            rows = site.source.dated(register, _today(site), state, code, LISTED)
            count, told = len(rows), row_table(site, path, rows)
        if count:
            yield f"### {STATES[state]}" + (f"（最早的 {LISTED} 条）" if count == LISTED else "")
            yield told


def obligation_table(
    site: Site, path: str, register: Register, catalogue: Register, found: Sequence[Obligation]
) -> str:
    """Return a table of what was due: item, period, until when and by whose rule, when it was published."""
    names = site.source.names(catalogue)
    lines = [
        [
            text.esc(text.shorten(names.get(each.item, each.item))),
            text.esc(text.period(each.period)),
            markup.unbroken(each.due or text.NOTHING),
            text.esc(_RULES.get(each.source, each.source)),
            _done(site, path, register, each),
        ]
        for each in found
    ]
    return markup.table(["事项", "期间", "应公开", "依据", "公开"], lines)


def _done(site: Site, path: str, register: Register, each: Obligation) -> str:
    row = site.source.find(register, each.key) if each.key else None
    shown = markup.unbroken(each.done or text.NOTHING)
    return markup.anchor(markup.up(path) + site.page_of(row), each.done or "查看") if row is not None else shown


def glance(site: Site, path: str, code: str) -> str:
    """Return the block on a community's own page: how much was due, in time, overdue; the oldest overdue ones."""
    parts = []
    for register in registers(site):
        states: Counter[str] = Counter()
        for community, _month, state, number in _counted(site, register):
            if community == code:
                states[state] += number
        if not states:
            continue
        told = "，".join(f"{STATES[state]} {text.number(states[state])}" for state in STATES if states[state])
        more = markup.link(path, site.calendar_path(code) + ".html", "各月和各项")
        parts += [f"## {text.esc(register.layout.nav)}：应公开和逾期", f"{text.esc(site.as_of)}：{told}。{more}"]
        catalogue = site.source.catalogued(register)
        due = site.source.obligations(code, "overdue", GLANCE) if catalogue is not None else []
        if catalogue is not None and due:
            parts += [f"逾期未公开的（最早的 {len(due)} 项）：", obligation_table(site, path, register, catalogue, due)]
    return markup.sections(*parts) if parts else ""
