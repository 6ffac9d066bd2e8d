"""The page of all figures with how each is counted, and of each figure that is broken down a page with charts."""

from collections.abc import Iterator

from portal import charts, comparing, markup, text
from portal.markup import Page
from portal.model import MONTH, Figure
from portal.site import Site

INDEX = "figures.md"
HOURS = 3600  # seconds
# Figures of grid governance that no register here has the data for: name, how it is counted, what is missing.
NOT_COUNTED = (
    ("回访率", "已回访 ÷ 应回访", "走访登记里有回访，但没有写明回访的是哪件事；回访的次数由中心声明，见“数据与冲突”"),
    ("走访覆盖率", "走访过的不同的户 ÷ 户数", "走访只记户数，不登记是哪一户；走访户次由中心声明，见“数据与冲突”"),
    (
        "签名验证通过率",
        "验证通过的签名 ÷ 全部",
        "签名不对的进不了日志，在这里数没有意义；由 syncgov audit 逐条核验，例外逐条列出",
    ),
    ("认领率、完成率", "认领 ÷ 发布；验收 ÷ 认领", "没有需求和认领的登记册"),
    ("资金到位率", "到位 ÷ 预算", "没有项目资金的登记册"),
    ("积分", "发放、兑换、结余", "没有积分的登记册"),
)


def figure_path(figure: Figure) -> str:
    """Return the path of a figure's page, without its ending."""
    return f"figure/{figure.id}"


def figures_page(site: Site) -> Page:
    """Return every figure with its numerator, denominator, formula and SQL."""
    found = site.figures
    broken = site.source.breakdowns()
    lines = [
        [
            _name(item, item.id in broken),
            f"{markup.figure(item)} {text.esc(item.unit)}",
            *(markup.unbroken(cell) for cell in (_numerator(item), _count(item.d))),
        ]
        for item in found
    ]
    table = markup.table(["名称", "数字", "分子 n", "分母 d"], lines, "sg-compact")
    intro = (
        f"{text.esc(site.as_of)}。每个比率都写明分子和分母；分母为零时写“—”，不写成 0% 或 100%。"
        "名称带链接的，点开有按社区、类别、月份的图和表。"
    )
    how = (
        "每个数字先说怎么算，再给出查询语句。语句可以在公开库 public.db 上原样运行，也就能核对这里的数字；"
        "`syncgov audit` 会从签名日志把它们全部重算一遍。"
    )
    explained = (_explained(site, item) for item in found)
    body = markup.sections(intro, table, "## 一个一个说怎么算", how, _working(site), *explained, *_not_counted(site))
    return Page(INDEX, "数字怎么算", body, menu=True)


def _working(site: Site) -> str:
    """Return for which years working time can be counted, as the place has declared them."""
    for register in site.registers.values():
        if register.layout.working:
            years = "、".join(sorted(row.key for row in site.source.rows(register)))
            told = f"登记了 {years} 年" if years else "一年都没有登记"
            return f"工作时间按{text.esc(register.label)}算，{text.esc(told)}；没有登记的年份不估算，有关的时长写“—”。"
    return ""


def _not_counted(site: Site) -> Iterator[str]:
    """Yield the block on figures that cannot be counted here; what a register of the place gives is left out."""
    there = {item.label for item in site.figures}
    lines = [[text.esc(cell) for cell in line] for line in NOT_COUNTED if line[0] not in there]
    if lines:
        yield "## 这里没有算的"
        yield "下面的数字别处常见，这里没有登记所需要的内容，所以不算，也不估。"
        yield markup.table(["名称", "怎么算", "为什么没有"], lines)


def _name(figure: Figure, is_broken: bool) -> str:
    if not is_broken:
        return text.esc(figure.label)
    return markup.link(INDEX, f"{figure_path(figure)}.html", figure.label)


def _numerator(item: Figure) -> str:
    """Return n; of a duration nothing, its seconds stand where it is explained."""
    return text.NOTHING if item.kind == "duration" else _count(item.n)


def _count(value: int | None) -> str:
    return text.NOTHING if value is None else text.number(value)


def _explained(site: Site, figure: Figure) -> str:
    """Return what a figure means, in words and as SQL, folded up."""
    summary = f"<summary>{text.esc(figure.label)}：{markup.figure(figure)}</summary>"
    return f"<details>{summary}\n{_formula(site, figure)}\n</details>"


def _formula(site: Site, figure: Figure) -> str:
    note = f"<p>{text.esc(figure.note)}</p>\n" if figure.note else ""
    note += (
        f"<p>{_sides(figure)}{text.esc(site.as_of)}。公开库的固定查询：<code>figure_{text.esc(figure.id)}</code></p>\n"
    )
    sides = (("分子 n", figure.sql_n), ("分母 d", figure.sql_d)) if figure.sql_d else (("查询语句", figure.sql_n),)
    return note + "\n".join(f"<p>{label}：</p>{_code(sql)}" for label, sql in sides if sql)


def _sides(figure: Figure) -> str:
    """Return n and d with what they are of."""
    if figure.kind == "duration":
        return f"n = {_count(figure.n)} 秒，除以 {HOURS} 得小时；共 d = {_count(figure.d)} 件。"
    return f"n = {_count(figure.n)}，d = {_count(figure.d)}。" if figure.sql_d else ""


def _code(sql: str) -> str:
    """Return SQL in a `pre` block: line by line, because a blank line would end the HTML block."""
    lines = [text.esc(line) or "&nbsp;" for line in sql.strip().split("\n")]
    return f'<pre tabindex="0"><code>{chr(10).join(lines)}</code></pre>'


def breakdown_pages(site: Site) -> Iterator[Page]:
    """Yield a page with charts for each figure that is broken down."""
    broken = site.source.breakdowns()
    parts = {by: site.source.parts(by) for by in {by for columns in broken.values() for by in columns}}
    for figure in site.figures:
        if figure.id in broken and figure.register in site.registers:
            chosen = [(by, [part for part in parts[by] if part.figure == figure.id]) for by in broken[figure.id]]
            charted = [charts.breakdown(site, figure, by, found) for by, found in chosen]
            months = next((found for by, found in chosen if by == MONTH), [])
            compared = comparing.comparison(figure, months, site.meta.get("as_of", ""))
            yield _breakdown_page(site, figure, [*charted, compared])


def _breakdown_page(site: Site, figure: Figure, charted: list[str]) -> Page:
    path = f"{figure_path(figure)}.md"
    back = markup.link(path, "figures.html", "← 数字怎么算", "sg-back")
    unit = text.esc(figure.unit)
    facts = [("全部", f'<strong class="sg-big">{markup.figure(figure)}</strong> {unit}'.rstrip())]
    facts += [("怎么算", text.esc(figure.note))] if figure.note else []
    folded = f"<details><summary>查询语句</summary>\n{_formula(site, figure)}\n</details>"
    body = markup.sections(back, f"{text.esc(site.as_of)}。", markup.facts(facts), *charted, "## 查询语句", folded)
    return Page(path, figure.label, body, search=False, toc=False)
