"""The portal: its pages are there, and every text marked `data-figure` says what public.db's figure says.

Other text of the pages is not read: whoever wants to be sure looks into public.db.
"""

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path

from syncgov.audit.folder import names_below, read_text
from syncgov.audit.report import Progress, Report
from syncgov.core.public_rows import Table
from syncgov.core.publication import published_registers
from syncgov.core.register import Register, RegisterSet
from syncgov.errors import FormatError

PORTAL = "portal"
HOME = f"{PORTAL}/index.html"
FIGURE_PAGE = f"{PORTAL}/figures.html"
HEADLINES = 8  # figures that the first page shows where no register names any
FIXED_PAGES = (
    "index.html",
    HOME,
    FIGURE_PAGE,
    *(f"{PORTAL}/{name}.html" for name in "about community/index complain data decisions".split()),
    *(f"{PORTAL}/{name}.html" for name in "spec/protocol verify withheld withstand".split()),
)
LAST_IN_MENU = 500  # place of a register whose portal block names none
MAX_PAGE_BYTES = 16 << 20  # one page; the longest history is far below
_NOT_READ = (
    "网页上除标明的数字以外的文字、记录自己的网页在不在，以及 metadata.json 和数据说明里的文字；以公开库为准",
    "text of pages beside the marked figures, whether each record's own page is there, and the words that describe the "
    "data; public.db counts",
)
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


class FigureParser(HTMLParser):
    """Collects (figure id, text) of the elements of a page that are marked."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []
        self._open: list[tuple[str, int, list[str]]] = []  # figure id, depth, text so far
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter an element."""
        marked = dict(attrs).get("data-figure")
        if tag in _VOID:
            if marked is not None:
                self.found.append((marked, ""))
            return
        self._depth += 1
        if "data-figure" in dict(attrs):
            self._open.append((marked or "", self._depth, []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter an element; browsers ignore the slash of one that is not void."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if tag in _VOID:
            return
        if self._open and self._open[-1][1] >= self._depth:
            self._finish()
        self._depth = max(self._depth - 1, 0)

    def handle_data(self, data: str) -> None:
        """Take text."""
        for _id, _depth, texts in self._open:
            texts.append(data)

    def close(self) -> None:
        """End the page; what is still open ends with it."""
        super().close()
        while self._open:
            self._finish()

    def _finish(self) -> None:
        name, _depth, texts = self._open.pop()
        self.found.append((name, "".join(texts)))


def marked_figures(html: str) -> list[tuple[str, str]]:
    """Return (figure id, text) of everything marked `data-figure` on a page."""
    parser = FigureParser()
    parser.feed(html)
    parser.close()
    return parser.found


def headlines(figures: Table, registers: RegisterSet) -> list[str]:
    """Return the ids of the first page's figures, in the order of the menus, those of registers without pages last.

    They are those that registers with pages name; if none does, the first few. Source: protocol page, section 9.
    """
    paged = [each for each in published_registers(registers) if each.portal.get("page", "none") != "none"]
    chosen = {name for each in paged for name in each.portal.get("headlines", ())}
    order = {each.name: _place(each) for each in published_registers(registers) if each.portal}
    names = [name for name, _kind in figures.columns]
    rows = [dict(zip(names, row, strict=True)) for row in figures.rows]
    rows.sort(key=lambda row: (row["register"] not in order, order.get(str(row["register"]), (0, ""))))
    return [str(row["id"]) for row in rows if row["id"] in chosen] or [str(row["id"]) for row in rows[:HEADLINES]]


def _place(register: Register) -> tuple[int, str]:
    place = register.portal.get("order", LAST_IN_MENU)
    return (place if isinstance(place, int) else LAST_IN_MENU, register.name)


def part_texts(parts: Table) -> dict[str, str]:
    """Return the texts of a figure's parts by the mark that stands on pages: `figure/columns/values`."""
    at = [name for name, _kind in parts.columns].index("text")
    return {"/".join(map(str, row[:3])): str(row[at]) for row in parts.rows}


def check_portal(
    out: Path, tables: Mapping[str, Table], registers: RegisterSet, report: Report, progress: Progress
) -> None:
    """The fixed pages are there, the figures stand where they must, and every marked text of every page is right.

    Args:
        tables: `figure` and `figure_part`.

    Findings: portal.
    """
    figures, parts = tables["figure"], part_texts(tables["figure_part"])
    names = [name for name, _kind in figures.columns]
    texts = {str(row[names.index("id")]): str(row[names.index("text")]) for row in figures.rows}
    report.counts["figures"] = len(texts)
    report.skip(*_NOT_READ)
    if not (out / PORTAL).is_dir():
        report.add("portal", "公开文件夹里没有网站", "the folder has no portal", path=PORTAL)
        return
    pages = sorted(_pages(out))
    for name in sorted(set(FIXED_PAGES).difference(pages)):
        report.add("portal", f"缺少网页 {name}", f"page {name} is missing", path=name)
    marked: dict[str, set[str]] = {}
    for done, name in enumerate(pages):
        if done % 100 == 0:
            progress("portal", done, len(pages))
        marked[name] = _check_page(out, name, parts | texts, report)
    for name, wanted in ((FIGURE_PAGE, list(texts)), (HOME, headlines(figures, registers))):
        for figure in wanted:
            if name in marked and figure not in marked[name]:
                zh, en = f"网页 {name} 上没有数字 {figure}", f"page {name} lacks figure {figure}"
                report.add("portal", zh, en, key=figure, path=name)


def _check_page(out: Path, name: str, texts: Mapping[str, str], report: Report) -> set[str]:
    """Compare the marked texts of a page; return the ids that stand there."""
    try:
        html = read_text(out, name, MAX_PAGE_BYTES)
    except FormatError as error:
        report.add("portal", f"网页 {name} 读不了：{error.zh}", f"page {name}: {error.en}", path=name)
        return set(texts)
    report.counts["pages"] += 1
    found = marked_figures(html) if "data-figure" in html.lower() else []
    for figure, text in found:
        report.counts["portal_figures"] += 1
        wanted = texts.get(figure)
        if text.strip() != wanted:
            zh = f"网页 {name} 上的数字 {figure} 是“{text.strip()[:60]}”，应为“{wanted}”"
            en = f"page {name}: figure {figure} reads {text.strip()[:60]!r}, must read {wanted!r}"
            report.add("portal", zh, en, key=figure, path=name)
    return {figure for figure, _text in found}


def _pages(out: Path) -> Iterator[str]:
    for name in names_below(out, PORTAL):
        if name.endswith((".html", ".htm")):
            yield name
    if (out / "index.html").is_file():
        yield "index.html"
