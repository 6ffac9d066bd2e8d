"""The page of all figures with how each is counted, and of each figure that is broken down a page with charts."""

from collections.abc import Iterator

from portal import charts, markup, text
from portal.markup import Page
from portal.model import Figure
from portal.site import Site

INDEX = "figures.md"


def figure_path(figure: Figure) -> str:
    """Return the path of a figure's page, without its ending."""
    return f"figure/{figure.id}"


def figures_page(site: Site) -> Page:
    """Return every figure with its numerator, denominator, formula and SQL."""
    found = site.figures
    broken = site.source.breakdowns()
    lines = [
        [_name(item, item.id in broken), f"{markup.figure(item)} {text.esc(item.unit)}", _count(item.n), _count(item.d)]
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
    body = markup.sections(intro, table, "## 一个一个说怎么算", how, *(_explained(site, item) for item in found))
    return Page(INDEX, "数字怎么算", body, menu=True)


def _name(figure: Figure, is_broken: bool) -> str:
    if not is_broken:
        return text.esc(figure.label)
    return markup.link(INDEX, f"{figure_path(figure)}.html", figure.label)


def _count(value: int | None) -> str:
    return text.NOTHING if value is None else text.number(value)


def _explained(site: Site, figure: Figure) -> str:
    """Return what a figure means, in words and as SQL, folded up."""
    summary = f"<summary>{text.esc(figure.label)}：{markup.figure(figure)}</summary>"
    return f"<details>{summary}\n{_formula(figure)}\n</details>"


def _formula(figure: Figure) -> str:
    note = f"<p>{text.esc(figure.note)}</p>\n" if figure.note else ""
    sides = (("分子 n", figure.sql_n), ("分母 d", figure.sql_d)) if figure.sql_d else (("查询语句", figure.sql_n),)
    return note + "\n".join(f"<p>{label}：</p>{_code(sql)}" for label, sql in sides if sql)


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
            yield _breakdown_page(site, figure, charted)


def _breakdown_page(site: Site, figure: Figure, charted: list[str]) -> Page:
    path = f"{figure_path(figure)}.md"
    back = markup.link(path, "figures.html", "← 数字怎么算", "sg-back")
    unit = text.esc(figure.unit)
    facts = [("全部", f'<strong class="sg-big">{markup.figure(figure)}</strong> {unit}'.rstrip())]
    facts += [("怎么算", text.esc(figure.note))] if figure.note else []
    folded = f"<details><summary>查询语句</summary>\n{_formula(figure)}\n</details>"
    body = markup.sections(back, f"{text.esc(site.as_of)}。", markup.facts(facts), *charted, "## 查询语句", folded)
    return Page(path, figure.label, body, search=False, toc=False)
