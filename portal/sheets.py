"""Sheets for the notice board (公示栏) of a community: one month on one printed page, checkable from the paper alone.

A sheet is a page of its own without the site's frame, in one file: it can be printed from any browser, or mailed.
"""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote as percent

import segno

from portal import charts, markup, text
from portal.model import COMMUNITY, MONTH, SHEET_KINDS, Register, Row, Sheet
from portal.rows import item_html
from portal.site import Site
from portal.tables import merged

PAPERS = {"A4": 1.0, "A3": 1.414}  # how much larger than on A4 everything is
MONTHS = 3  # newest ones whose sheets stand on the site; `syncgov sheet` makes any
ROWS = 24  # of one table: more do not fit on a page
HASH_GROUP = 4
BOTH = f"{COMMUNITY} {MONTH}"
_NONE = {True: "本月没有", False: "不分月"}  # what stands for a figure without a part of that month
_CSS = Path(__file__).resolve().parent / "sheet.css"


def sheet_path(site: Site, code: str, month: str) -> str:
    """Return the path of a sheet."""
    return f"sheet/{site.community_path(code).rpartition('/')[2]}-{month}.html"


def months(site: Site) -> list[str]:
    """Return the months with figures by community, oldest first."""
    return sorted({part.part.partition(" ")[2] for part in site.source.parts(BOTH)})


def site_sheets(site: Site) -> Iterator[tuple[str, str]]:
    """Yield path and HTML of the sheets that stand on the site: of each community the newest months."""
    for month in months(site)[-MONTHS:]:
        for code in site.communities:
            yield sheet_path(site, code, month), sheet(site, code, month)


def sheet_links(site: Site, page: str, code: str) -> str:
    """Return the links from a community's page to its sheets."""
    newest = reversed(months(site)[-MONTHS:])
    links = [markup.link(page, sheet_path(site, code, month), text.month(month)) for month in newest]
    return "公示栏（可打印）：" + "　".join(links) if links else ""


def sheet(site: Site, code: str, month: str, paper: str = "A4") -> str:
    """Return the HTML of one sheet."""
    name, when = site.community(code), text.month(month)
    declared = [item for item in site.registers.values() if item.layout.sheet is not None]
    ordered = sorted(declared, key=lambda item: (item.layout.order, item.name))
    blocks = {item.name: _block(site, item, code, month) for item in ordered}
    shown = {show: [blocks[item.name] for item in ordered if _shows(item) == show] for show in SHEET_KINDS}
    right = [*shown["nearby"], _foot(site, code)]
    columns = "\n".join(f"<div>\n{_joined(column)}\n</div>" for column in (shown["one"], right) if _joined(column))
    parts = [_head(site, name, when), _figures(site, code, month), *shown["month"], *shown["merged"]]
    body = _joined([*parts, f'<div class="pair">\n{columns}\n</div>'])
    page = f"@page {{ size: {paper}; margin: {10 * PAPERS[paper]:.0f}mm; }}\n:root {{ --size: {PAPERS[paper]}; }}"
    return (
        '<!doctype html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text.esc(name)}公示栏 {text.esc(when)}</title>\n"
        f"<style>\n{_CSS.read_text(encoding='utf-8')}{page}\n</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


def _joined(parts: Sequence[str]) -> str:
    return "\n".join(part for part in parts if part)


def _shows(register: Register) -> str:
    return register.layout.sheet.show if register.layout.sheet is not None else ""


def _head(site: Site, name: str, when: str) -> str:
    simulated = site.meta.get("simulated") == "1"
    demo = (
        '<p class="sg-notice">演示数据：记录由程序模拟生成，不是真实的政务信息，电话不能拨打</p>\n' if simulated else ""
    )
    how = '<p class="screen note">打印：电脑按 Ctrl+P；手机用浏览器菜单里的“打印”。</p>\n'
    told = f"{text.esc(site.meta.get('name', ''))}　{text.esc(when)}　{text.esc(site.as_of)}"
    return f"{how}{demo}<header>\n<h1>{text.esc(name)}公示栏</h1>\n<p>{told}</p>\n</header>"


def _figures(site: Site, code: str, month: str) -> str:
    """Return the figures of the month beside those of the whole time."""
    of_month = {part.figure: part for part in site.source.parts(BOTH, f"{code} {month}")}
    monthly = {figure for figure, columns in site.source.breakdowns().items() if MONTH in columns}
    whole = {part.figure: part for part in site.source.parts(COMMUNITY, code)}
    lines = [
        (item, charts.part_mark(of_month[item.id]) if item.id in of_month else _NONE[item.id in monthly])
        for item in site.figures
        if item.id in whole
    ]
    rows = [
        f"<tr><td>{text.esc(item.label)}</td><td>{told}</td><td>{charts.part_mark(whole[item.id])}</td></tr>"
        for item, told in lines
    ]
    head = '<tr><th scope="col">项目</th><th scope="col">本月发生的</th><th scope="col">累计</th></tr>'
    half = -(-len(rows) // 2)
    tables = [
        f"<table>\n<thead>{head}</thead>\n<tbody>\n{_joined(part)}\n</tbody>\n</table>"
        for part in (rows[:half], rows[half:])
        if part
    ]
    note = '<p class="note">括号内为分子/分母；“—”表示分母为零。</p>'
    return f'<h2>数字</h2>\n<div class="pair figures">\n{_joined(tables)}\n</div>\n{note}' if lines else ""


def _block(site: Site, register: Register, code: str, month: str) -> str:
    """Return what a register declares for sheets."""
    declared = register.layout.sheet or Sheet("", "month")
    title = f"<h2>{text.esc(declared.title)}</h2>"
    if declared.show == "one":
        row = _of_month(site, register, month)
        return f"{title}\n{_one(site, row, declared.columns)}" if row else ""
    if declared.show == "month":
        rows = site.source.in_month(register, code, month, ROWS + 1)
        return f"{title}\n{_table(site, register, rows, declared.columns) if rows else '<p>本月没有。</p>'}"
    if declared.show == "merged":
        lines = merged(site, site.source.nearby(register, code), declared.columns)
        return _people(title, site.told_label(register, declared.columns[-1]), lines)
    rows = site.source.nearby(register, code, ROWS + 1)
    return f"{title}\n{_table(site, register, rows, declared.columns)}" if rows else ""


def _people(title: str, label: str, lines: Sequence[Sequence[str]]) -> str:
    """Return lines in two columns, which is how many telephones fit on a page; *label* is that of their last words."""
    told = [f"{' '.join(head)}：{label} {tail}" for *head, tail in lines[: 2 * ROWS]]
    items = "\n".join(f"<li>{text.esc(line)}</li>" for line in told)
    more = '<p class="note">还有一些写不下，见网站。</p>' if len(lines) > 2 * ROWS else ""
    return f'{title}\n<ul class="people">\n{items}\n</ul>\n{more}' if lines else ""


def _table(site: Site, register: Register, rows: Sequence[Row], columns: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{text.esc(site.told_label(register, name))}</th>' for name in columns)
    lines = [
        "".join(f"<td>{text.esc(text.shorten(site.told(row, name)))}</td>" for name in columns) for row in rows[:ROWS]
    ]
    cells = "\n".join(f"<tr>{line}</tr>" for line in lines)
    more = '<p class="note">还有一些写不下，见网站。</p>' if len(rows) > ROWS else ""
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{cells}\n</tbody>\n</table>\n{more}"


def _of_month(site: Site, register: Register, month: str) -> Row | None:
    """Return the row whose turn it is: each month another, all of them in turn."""
    rows = site.source.rows(register)
    year, number = month.split("-")
    return rows[(int(year) * 12 + int(number)) % len(rows)] if rows else None


def _one(site: Site, row: Row, columns: Sequence[str]) -> str:
    parts = [f"<h3>{text.esc(site.title(row))}</h3>"]
    for name in columns:
        shown, label = site.show(row, name), text.esc(site.label(row.register, name))
        items = site.items(row, name) if row.register.columns[name].type == "list" else []
        if any(isinstance(item, dict) for item in items):
            spec = next((each for each in row.register.layout.sections if each.column == name), None)
            lines = "".join(f"<li>{item_html(item, spec.members if spec else {})}</li>" for item in items)
            parts.append(f"<p>{label}：</p>\n<ol>{lines}</ol>")
        elif shown != text.NOTHING:
            parts.append(f"<p>{label}：{text.esc(shown)}</p>")
    return "\n".join(parts)


def _foot(site: Site, code: str) -> str:
    """Return the QR code and the hash, and what each is good for."""
    root = base64.b64decode(site.meta.get("root", "")).hex()
    groups = "".join(f"<span>{root[at : at + HASH_GROUP]}</span>" for at in range(0, len(root), HASH_GROUP))
    address = page_address(site, code)
    if address:
        what, content = "扫码看本社区的网页", address
    else:
        what, content = (
            "二维码里是日志名、条数和根哈希",
            "\n".join(site.meta.get(key, "") for key in ("origin", "size", "root")),
        )
    drawn = segno.make(content, error="m").svg_inline(border=4, omitsize=True)
    size = text.number(int(site.meta.get("size") or 0))
    return (
        f'<footer>\n<div class="qr" role="img" aria-label="二维码：{text.attribute(what)}">{drawn}</div>\n<div>\n'
        f'<h2>校验码</h2>\n<p class="hash">{groups}</p>\n</div>\n'
        f'<p class="note">{what}' + (f"：{text.esc(address)}" if address else "。") + "</p>\n"
        f'<p class="note">校验码代表截至今天的全部 {size} 条签名记录，改一个字、少一条都会不同。抄下或拍下它，'
        "以后用 syncgov verify --hash 核对（也可请人代办），就知道今天的记录有没有被改过。</p>\n</footer>"
    )


def page_address(site: Site, code: str) -> str:
    """Return the address of a community's page on the web, "" where the site's is not known."""
    if not site.address:
        return ""
    return f"{site.address.rstrip('/')}/{percent(site.community_path(code))}.html"
