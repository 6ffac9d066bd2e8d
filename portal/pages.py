"""Every page of the portal that is made from data, and the home page."""

from collections.abc import Iterator

from portal import calendars, communities, figures, flows, ledger, lists, maps, markup, news, rows, text
from portal.markup import Page
from portal.site import Site

SIMULATED = "演示数据：本站的记录由程序模拟生成，不是真实的政务信息，电话不能拨打。"

SIMULATED_EN = "Demonstration data: a program made all records of this site; they are no real government information."


def generate(site: Site) -> Iterator[Page]:
    """Yield every generated page."""
    yield home_page(site)
    for register in site.listed:
        yield from lists.register_pages(site, register)
        yield from rows.row_pages(site, register)
    yield from others(site)


def others(site: Site) -> Iterator[Page]:
    """Yield the generated pages that belong to no register."""
    yield communities.communities_page(site)
    if maps.mapped(site):
        yield maps.map_page(site)
    for code in site.communities:
        yield communities.community_page(site, code)
    yield from flows.flow_pages(site)
    yield figures.figures_page(site)
    yield from figures.breakdown_pages(site)
    yield ledger.data_page(site)
    yield ledger.withheld_page(site)
    yield news.news_page(site)
    yield from calendars.calendar_pages(site)


def name(site: Site) -> str:
    """Return the portal's name."""
    return site.meta.get("name") or "基层治理公开"


def home_page(site: Site) -> Page:
    """Return the first page: figures, registers, communities, how to check and complain."""
    registers = [
        (markup.link("index.md", site.list_path(item) + ".html", item.layout.nav), f"{text.number(item.count)} 条")
        for item in site.listed
    ]
    places = [
        (markup.link("index.md", site.community_path(code) + ".html", told), "")
        for code, told in site.communities.items()
    ]
    return Page(
        "index.md",
        f"{name(site)}：公开与监督",
        markup.sections(
            "您可以在这里查到社区办了什么事、办得怎样、有哪些规定、要带什么材料；每一条都有签名证据，您可以自己核对。",
            "查自己反映的事：在上面的查找框里写事件编号、网格员告诉您的临时编号，或者几个字、地点。",
            _figures(site),
            "## 查什么" if registers else "",
            markup.cards(registers) if registers else "",
            "## 您的社区" if places else "",
            markup.cards(places) if places else "",
            "## 跟进",
            markup.cards(_follow(site)),
            "## 信不信得过",
            markup.cards(_trust()),
        ),
    )


def _figures(site: Site) -> str:
    """Return the figures as cards; the words of a figure are exactly those of public.db."""
    found = site.figures
    items = [
        f'<li><span class="sg-label">{text.esc(item.label)}</span> <strong>{markup.figure(item)}</strong>'
        + (f' <span class="sg-unit">{text.esc(item.unit)}</span>' if _needs_unit(item.text, item.unit) else "")
        + "</li>"
        for item in site.headlines
    ]
    if not items:
        return ""
    told = f"{text.esc(site.as_of)}。" + markup.link("index.md", "figures.html", f"全部 {len(found)} 个数字和算法")
    return markup.sections("## 主要数字", '<ul class="sg-figures">\n' + "\n".join(items) + "\n</ul>", told)


def _needs_unit(shown: str, unit: str) -> bool:
    return bool(unit) and unit not in shown and shown != text.NOTHING


def _follow(site: Site) -> Iterator[tuple[str, str]]:
    if maps.mapped(site):
        yield markup.link("index.md", f"{maps.PATH}.html", "地图"), "各社区办了哪些事，办到哪一步"
    yield markup.link("index.md", "news.html", "最新变化"), "最近新增和更新了什么，可以订阅"
    if calendars.registers(site):
        yield markup.link("index.md", "calendar.html", "公开日历"), "什么该公开，公开了没有，有没有逾期"
    yield markup.link("index.md", "reuse.html", "数据怎么用"), "整份下载，接入别的系统"


def _trust() -> Iterator[tuple[str, str]]:
    yield markup.link("index.md", "verify.html", "怎样核验"), "自己动手核对，以及哪些核对不了"
    yield markup.link("index.md", "data.html", "数据与冲突"), "日志有多大，采纳了多少，有没有冲突"
    yield markup.link("index.md", "withheld.html", "不予公开的内容"), "有多少、为什么"
    yield markup.link("index.md", "complain.html", "怎样投诉"), "不满意时找谁"
