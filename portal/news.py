"""What is new: the latest changes by day, and the feeds to follow them. Its length does not grow."""

from collections.abc import Iterator
from itertools import groupby

from portal import markup, text
from portal.markup import Page
from portal.model import COMMUNITY, Row
from portal.site import Site
from portal.tables import row_name

CHANGES = 100  # rows; about a week of a street


def news_page(site: Site) -> Page:
    """Return the page of the latest changes."""
    rows = site.source.newest(site.listed, CHANGES)
    intro = f"{text.esc(site.as_of)}，最近新增或更新的 {text.number(len(rows))} 条，按中心记入日志的时间排列。"
    days = (_day(site, day, list(found)) for day, found in groupby(rows, key=_day_of))
    body = markup.sections(intro, *days, "## 订阅", _feeds(site))
    return Page("news.md", "最新变化", body, menu=True, toc=False)


def _day_of(row: Row) -> str:
    return str(row.values.get("_updated") or "")[: len("2026-11-21")]


def _day(site: Site, day: str, rows: list[Row]) -> str:
    headings = ["内容", "登记册", "社区", "变化", "时间", "证据"]
    return f"## {text.esc(text.day(day, prose=True)) or text.NOTHING}\n\n" + markup.table(
        headings, [_line(site, row) for row in rows], "sg-table sg-rows"
    )


def _line(site: Site, row: Row) -> list[str]:
    register = row.register
    changed = "新增" if row.values.get("_created") == row.values.get("_updated") else "更新"
    number = f' <span class="sg-number">{text.esc(text.shorten(row.number))}</span>' if row.number else ""
    return [
        row_name(site, "news.md", row) + number,
        markup.link("news.md", site.list_path(register) + ".html", register.layout.nav),
        text.esc(site.show(row, COMMUNITY)),
        changed,
        markup.unbroken(site.show(row, "_updated")),
        site.evidence("news.md", row),
    ]


def _feeds(site: Site) -> str:
    told = (
        "用阅读器（Atom）订阅，有变化时会收到。全部变化、一类内容或一个社区，可以分别订阅；"
        "每个订阅只含最近 50 条，较早的请查网站。"
    )
    return markup.sections(told, markup.cards((link, "") for link in _feed_links(site)))


def _feed_links(site: Site) -> Iterator[str]:
    yield markup.link("news.md", site.feed_path(), "全部变化")
    for register in site.listed:
        yield markup.link("news.md", site.feed_path(register), register.layout.nav)
    for code, name in site.communities.items():
        yield markup.link("news.md", site.feed_path(community=code), name)
