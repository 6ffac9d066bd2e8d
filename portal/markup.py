"""The few pieces of HTML that the pages share. Every argument named `text` is untrusted and escaped here."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote as percent

from portal.model import Figure
from portal.text import attribute, esc, plain_title


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown page.

    Attributes:
        path: ends in .md.
        search: whether the search box finds it.
        menu: whether its neighbours stand at the side.
        toc: whether its headings do.
    """

    path: str
    title: str
    body: str
    search: bool = True
    menu: bool = False
    toc: bool = True

    def markdown(self) -> str:
        """Return the file's text: front matter, heading, body."""
        lines = ["---", f"title: {json.dumps(plain_title(self.title), ensure_ascii=False)}"]
        hidden = [name for name, shown in (("navigation", self.menu), ("toc", self.toc)) if not shown]
        lines += ["hide:", *(f"  - {name}" for name in hidden)] if hidden else []
        return "\n".join([*lines, "---", "", f"# {esc(self.title)}", "", self.body.strip(), ""])


def up(path: str) -> str:
    """Return the way from the page at *path* to the portal's root."""
    return "../" * path.count("/")


def href(page: str, target: str) -> str:
    """Return the relative address of *target* (a path below the portal's root, may begin with ..) on *page*."""
    return up(page) + percent(target, safe="/._-~")


def link(page: str, target: str, text: str, css: str = "") -> str:
    """Return a link to a file of the published folder."""
    return anchor(href(page, target), text, css)


def anchor(address: str, text: str, css: str = "") -> str:
    """Return a link to an address that is already a URL."""
    style = f' class="{css}"' if css else ""
    return f'<a href="{attribute(address)}"{style}>{esc(text)}</a>'


def badge(text: str, kind: str) -> str:
    """Return a small mark that carries its meaning as text."""
    return f'<span class="sg-badge sg-{kind}">{esc(text)}</span>'


def unbroken(text: str) -> str:
    """Return a short text that stays on one line where there is room."""
    return f'<span class="sg-unbroken">{esc(text)}</span>'


def figure(item: Figure) -> str:
    """Return a figure marked so that an auditor can compare it with public.db."""
    return f'<span data-figure="{attribute(item.id)}">{esc(item.text)}</span>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], css: str = "sg-table") -> str:
    """Return a table that becomes a list of cards on a phone.

    Args:
        headings: untrusted texts.
        rows: cells that are HTML already.
    """
    labels = [esc(text) for text in headings]
    head = "".join(f'<th scope="col">{label}</th>' for label in labels)
    body = "\n".join(_line(labels, cells) for cells in rows)
    inner = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="sg-tablewrap"><table class="{css}">{inner}</table></div>'


def _line(labels: Sequence[str], cells: Sequence[str]) -> str:
    return (
        "<tr>"
        + "".join(f'<td data-label="{label}">{cell}</td>' for label, cell in zip(labels, cells, strict=True))
        + "</tr>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return label and value (HTML already) one below the other."""
    rows = "\n".join(f'<tr><th scope="row">{esc(label)}</th><td>{value}</td></tr>' for label, value in pairs)
    return f'<table class="sg-facts"><tbody>\n{rows}\n</tbody></table>' if rows else ""


def cards(items: Iterable[tuple[str, str]]) -> str:
    """Return a grid of (link, note) cards; both are HTML already."""
    return (
        '<ul class="sg-cards">\n' + "\n".join(f"<li>{head}<span>{note}</span></li>" for head, note in items) + "\n</ul>"
    )


def sections(*parts: str) -> str:
    """Join blocks with the blank lines that Markdown wants; empty ones drop out."""
    return "\n\n".join(part for part in parts if part)
