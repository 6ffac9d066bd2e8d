"""The record about the record: the log, conflicts, what is withheld."""

from collections.abc import Iterator
from itertools import groupby

from portal import markup, text, words
from portal.markup import Page
from portal.model import Head
from portal.site import Site

CONFLICTS_SHOWN = 50  # fields; all of them are one query away
ERASED_INTRO = (
    "依法删除的内容不再存在：值和盐都已清除，签名和日志不受影响。删了哪一项、为什么，逐项记入日志，"
    "页面上显示“已删除”。不公开的内容也会依法删除，不计在这里，审计程序会把全部删除数出来。"
)


def data_page(site: Site) -> Page:
    """Return the page on the log: its size, verdicts, declared figures, conflicts."""
    verdicts = site.source.verdicts()
    size = text.number(int(site.meta.get("size") or 0))
    log = markup.facts(
        [
            ("日志规模", f"{size} 条"),
            ("根哈希", f"<code>{text.esc(site.meta.get('root', ''))}</code>"),
            ("检查点", markup.link("data.md", "../log/checkpoint", "查看签名的检查点")),
            ("截至", text.esc(site.as_of.removeprefix("截至"))),
        ]
    )
    table = markup.table(
        ["中心的裁定", "条数"], [[text.esc(words.verdict(code)), text.number(count)] for code, count in verdicts]
    )
    intro = (
        "每一次签名的写入，中心都记入一本只增不改的日志，并写明采纳还是不采纳、为什么。"
        "已采纳与未采纳之和等于日志规模。怎样自己核对，见" + markup.link("data.md", "verify.html", "怎样核验") + "。"
    )
    body = markup.sections(intro, log, "## 采纳与未采纳", table, _declared(site), *_disputed(site), *_conflicts(site))
    return Page("data.md", "数据与冲突", body, menu=True)


def _declared(site: Site) -> str:
    lines = [
        [text.esc(label), text.number(value), text.esc(note), markup.badge("由中心声明", "declared")]
        for label, value, note in site.source.declared()
    ]
    if not lines:
        return ""
    told = "下面的数字要用不公开的内容才能算出，外人无法重算，只能由中心声明。"
    return markup.sections("## 由中心声明的数字", told, markup.table(["名称", "数字", "单位和说明", "依据"], lines))


def _disputed(site: Site) -> Iterator[str]:
    """Yield the blocks on what a stopped device wrote after its last change beyond doubt."""
    count = site.source.disputed()
    if count:
        yield "## 有争议"
        yield (
            f"有 {text.number(count)} 条已采纳的写入有争议：写入的终端后来停用（例如遗失），"
            "它们在这台终端最后可信的变更之后。内容照样显示，标明“有争议”，由有权的人核实后重新写入。"
        )


def _conflicts(site: Site) -> Iterator[str]:
    """Yield the blocks on conflicts: what it means, how many, the newest."""
    fields, rows = site.source.conflicts()
    yield "## 冲突待裁定"
    yield (
        "两部终端在没有网络时改了同一项内容，就会有两个都签了名的不同值。两个值都保留，不会悄悄丢掉一个；"
        "页面先按登记册写明的规则显示其中一个，并标明“冲突待裁定”，直到有权的人裁定。"
    )
    yield f"现有 {text.number(fields)} 项内容、{text.number(rows)} 条记录存在冲突。" + (
        f"下面是最新的 {CONFLICTS_SHOWN} 项。" if fields > CONFLICTS_SHOWN else ""
    )
    heads = site.source.conflict_heads(CONFLICTS_SHOWN)
    lines = [
        _conflict(site, list(group))
        for _, group in groupby(heads, key=lambda head: (head.register, head.key, head.field))
    ]
    if lines:
        yield markup.table(["登记册", "记录", "内容", "现在显示", "其他写入的值"], lines)


def _conflict(site: Site, heads: list[Head]) -> list[str]:
    first = heads[0]
    register = site.registers.get(first.register)
    if register is None:
        return [text.esc(first.register), text.esc(first.key), text.esc(first.field), text.NOTHING, text.NOTHING]
    row = site.source.find(register, first.key)
    title = text.shorten(site.title(row)) if row else first.key
    said = [(head.shown, site.words(register, first.field, head.value)) for head in heads]
    shown = [value for is_shown, value in said if is_shown]
    others = list(dict.fromkeys(value for is_shown, value in said if not is_shown and value not in shown))
    return [
        text.esc(register.label),
        text.esc(title) + (f" {site.evidence('data.md', row)}" if row else ""),
        text.esc(site.field_label(register, first.field)),
        text.esc("／".join(dict.fromkeys(shown))) or "裁定前的值",
        text.esc("／".join(others)) or text.NOTHING,
    ]


def withheld_page(site: Site) -> Page:
    """Return what is withheld and what is erased, counted by reason and by register."""
    withheld, erased = _hidden(site, "withholding"), _hidden(site, "erasure")
    intro = (
        "居民的姓名、电话、住址和上门走访的内容从来不进入公开库，公开日志里只有它们的加盐摘要。"
        "本来应当公开、但暂时或依法不公开的内容，逐项记入日志，写明理由，页面上显示“不予公开”，"
        "不会悄悄拿掉，也不会用旧的内容顶替。"
    )
    none = f"{text.esc(site.as_of)}，没有应公开而不予公开的内容。"
    body = markup.sections(
        intro,
        *(withheld or [none]),
        *(["## 已删除的内容", ERASED_INTRO, *erased] if erased else []),
    )
    return Page("withheld.md", "不予公开的内容", body, menu=bool(withheld or erased))


def _hidden(site: Site, kind: str) -> list[str]:
    """Return the blocks that count what is hidden for one kind of reason; none if nothing is."""
    found = site.source.withheld(kind)
    by_reason: dict[str, int] = {}
    for _, _, reason, count in found:
        by_reason[reason] = by_reason.get(reason, 0) + count
    if not by_reason:
        return []
    said = words.erasure if kind == "erasure" else words.withholding
    lines = [[text.esc(said(reason)), text.number(count)] for reason, count in by_reason.items()]
    detail = [
        [
            text.esc(_register_label(site, name)),
            text.esc(_field_label(site, name, field)),
            text.esc(said(reason)),
            text.number(count),
        ]
        for name, field, reason, count in found
    ]
    return [
        f"{text.esc(site.as_of)}，共 {text.number(sum(by_reason.values()))} 项。",
        markup.table(["理由", "项数"], lines),
        "### 在哪些登记册" if kind == "erasure" else "## 在哪些登记册",
        markup.table(["登记册", "内容", "理由", "项数"], detail),
    ]


def _register_label(site: Site, name: str) -> str:
    return site.registers[name].label if name in site.registers else name


def _field_label(site: Site, name: str, field: str) -> str:
    return site.field_label(site.registers[name], field) if name in site.registers else field
