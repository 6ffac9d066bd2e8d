"""The record about the record: figures and how they are counted, the log, conflicts, what is withheld."""

from collections.abc import Iterator
from itertools import groupby

from portal import markup, text, words
from portal.markup import Page
from portal.model import Head
from portal.site import Site

CONFLICTS_SHOWN = 50  # fields; all of them are one query away


def figures_page(site: Site) -> Page:
    """Return every figure with its numerator, denominator, note and SQL."""
    found = site.figures
    lines = [
        [text.esc(item.label), markup.figure(item), _count(item.n), _count(item.d), text.esc(item.note) or text.NOTHING]
        for item in found
    ]
    table = markup.table(["名称", "数字", "分子 n", "分母 d", "说明"], lines)
    queries = [_query(item.label, [item.sql_n, item.sql_d]) for item in found if item.sql_n]
    intro = (
        f"{text.esc(site.as_of)}。每个比率都写明分子和分母；分母为零时写“—”。"
        "下面的查询语句可以在公开库 public.db 上原样运行，核对这里的数字。"
    )
    return Page("figures.md", "数字怎么算", markup.sections(intro, table, "## 查询语句", *queries), menu=True)


def _count(value: int | None) -> str:
    return text.NOTHING if value is None else text.number(value)


def _query(label: str, statements: list[str]) -> str:
    code = "\n".join(_code(sql) for sql in statements if sql)
    return f"<details><summary>{text.esc(label)}</summary>\n{code}\n</details>"


def _code(sql: str) -> str:
    """Return SQL in a `pre` block: line by line, because a blank line would end the HTML block."""
    lines = [text.esc(line) or "&nbsp;" for line in sql.strip().split("\n")]
    return f"<pre><code>{chr(10).join(lines)}</code></pre>"


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
    body = markup.sections(intro, log, "## 采纳与未采纳", table, _declared(site), *_conflicts(site))
    return Page("data.md", "数据与冲突", body, menu=True)


def _declared(site: Site) -> str:
    lines = [
        [text.esc(label), text.number(value), markup.badge("由中心声明", "declared")]
        for label, value in site.source.declared()
    ]
    if not lines:
        return ""
    told = "下面的数字要用不公开的内容才能算出，外人无法重算，只能由中心声明。"
    return markup.sections("## 由中心声明的数字", told, markup.table(["名称", "数字", "依据"], lines))


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
    """Return what is withheld, counted by reason and by register."""
    found = site.source.withheld()
    by_reason: dict[str, int] = {}
    for _, _, reason, count in found:
        by_reason[reason] = by_reason.get(reason, 0) + count
    lines = [[text.esc(words.withholding(reason)), text.number(count)] for reason, count in by_reason.items()]
    detail = [
        [
            text.esc(_register_label(site, name)),
            text.esc(_field_label(site, name, field)),
            text.esc(words.withholding(reason)),
            text.number(count),
        ]
        for name, field, reason, count in found
    ]
    intro = (
        "居民的姓名、电话、住址和上门走访的内容从来不进入公开库，公开日志里只有它们的加盐摘要。"
        "本来应当公开、但暂时或依法不公开的内容，逐项记入日志，写明理由，页面上显示“不予公开”，"
        "不会悄悄拿掉，也不会用旧的内容顶替。"
    )
    if not lines:
        return Page(
            "withheld.md",
            "不予公开的内容",
            markup.sections(intro, f"{text.esc(site.as_of)}，没有应公开而不予公开的内容。"),
        )
    body = markup.sections(
        intro,
        f"{text.esc(site.as_of)}，共 {text.number(sum(by_reason.values()))} 项。",
        markup.table(["理由", "项数"], lines),
        "## 在哪些登记册",
        markup.table(["登记册", "内容", "理由", "项数"], detail),
    )
    return Page("withheld.md", "不予公开的内容", body, menu=True)


def _register_label(site: Site, name: str) -> str:
    return site.registers[name].label if name in site.registers else name


def _field_label(site: Site, name: str, field: str) -> str:
    return site.field_label(site.registers[name], field) if name in site.registers else field
