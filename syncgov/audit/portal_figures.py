"""The figures on the portal's pages: every text marked `data-figure` says what public.db's figure says."""

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path

from syncgov.audit.folder import names_below, read_text
from syncgov.audit.report import Progress, Report
from syncgov.errors import FormatError

PORTAL = "portal"
MAX_PAGE_BYTES = 16 << 20  # one page; the longest history is far below
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


def check_portal(out: Path, figures: Mapping[str, str], report: Report, progress: Progress) -> None:
    """Compare every marked text of every page with *figures* (id -> text).

    Findings: portal.
    """
    pages = sorted(name for name in _pages(out))
    if not pages:
        report.add("portal", "公开文件夹里没有网站", "the folder has no portal", path=PORTAL)
    for done, name in enumerate(pages):
        if done % 100 == 0:
            progress("portal", done, len(pages))
        try:
            html = read_text(out, name, MAX_PAGE_BYTES)
        except FormatError as error:
            report.add("portal", f"网页 {name} 读不了：{error.zh}", f"page {name}: {error.en}", path=name)
            continue
        report.counts["pages"] += 1
        if "data-figure" not in html.lower():
            continue
        for figure, text in marked_figures(html):
            report.counts["portal_figures"] += 1
            wanted = figures.get(figure)
            if text.strip() != wanted:
                zh = f"网页 {name} 上的数字 {figure} 是“{text.strip()[:60]}”，应为“{wanted}”"
                en = f"page {name}: figure {figure} reads {text.strip()[:60]!r}, must read {wanted!r}"
                report.add("portal", zh, en, key=figure, path=name)


def _pages(out: Path) -> Iterator[str]:
    for name in names_below(out, PORTAL):
        if name.endswith((".html", ".htm")):
            yield name
    if (out / "index.html").is_file():
        yield "index.html"
