"""The portal's own search: what can be found, and the index of it as small files below `find/`.

The index says which cards may hold the words; the page then reads those cards' texts and shows the ones that do. So
the answer is what reading everything would give. Source: decisions, "Portal".
"""

import html
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import yaml

from portal import records, text
from portal.errors import PortalError
from portal.maps import write_map
from portal.markup import Page
from portal.model import COMMUNITY, Row
from portal.shards import LONG_TEXT, PER_FILE, PER_LONG, Shards, edition_of, encode, hash_of
from portal.site import Site
from portal.spill import Spill
from portal.timeline import Way
from portal.wording import terms

FORMAT = 2  # of the files below find/
FOLDER = "find"

Record: TypeAlias = tuple[str, object]  # address, what is shown

_TAG = re.compile(r"<[^>]*>")
_TARGET = re.compile(r"\]\([^)]*\)|\{[#.][^}]*\}")
_SCRIPT = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """Something that can be found. `parts`: the texts that are searched, each on its own."""

    kind: str
    title: str
    note: str
    address: str
    parts: tuple[str, ...]

    def card(self, number: int) -> list[object]:
        """Return it as the page reads it; a long text stands elsewhere, named by its number."""
        long = sum(map(len, self.parts)) > LONG_TEXT
        return [self.kind, self.title, self.note, self.address, number if long else list(self.parts)]

    @property
    def is_long(self) -> bool:
        """Tell whether the text stands apart from the card."""
        return sum(map(len, self.parts)) > LONG_TEXT


def write_index(site: Site, pages: Iterable[Page], content: Path, out: Path) -> int:
    """Write the index and the records below *out* and return how many documents can be found.

    Args:
        pages: the generated pages that belong to no register; they are found by their title and first words.
        content: the folder of hand-written pages.
    """
    with (
        tempfile.TemporaryDirectory(prefix=".find.", dir=out.parent) as scratch,
        closing(Spill(Path(scratch) / "spill.db")) as spill,
    ):
        return _write(site, spill, _collect(spill, _found(site, pages, content)), out)


def _collect(spill: Spill, found: Iterable[tuple[Document, Record | None]]) -> int:
    """Put everything that can be found into *spill* and return the number of documents."""
    total = 0
    for number, (document, record) in enumerate(found):
        spill.post(number, terms("\n".join(document.parts)))
        spill.add_card(number, encode(document.card(number)))
        if document.is_long:
            spill.add_pair("x", number // PER_LONG, str(number), encode(list(document.parts)))
        if record is not None:
            spill.add_pair("m", hash_of(record[0]), record[0], encode(record[1]))
        total = number + 1
    return total


def _write(site: Site, spill: Spill, total: int, out: Path) -> int:
    state = (site.meta.get(name, "") for name in ("origin", "size", "root", "as_of"))
    edition = edition_of(chain([str(FORMAT), *state], spill.cards()))
    shards = Shards(out, edition)
    shards.write_long(spill)
    shards.write_cards(spill.cards())
    write_map(site, shards)
    start = {
        "edition": edition,
        "docs": total,
        "perCard": PER_FILE,
        "perLong": PER_LONG,
        "terms": shards.write_terms(spill),
        "records": shards.write_records(spill),
        "lists": [[register.layout.nav, f"{site.list_path(register)}.html"] for register in site.listed],
        "asOf": site.as_of,
    }
    (out / "start.js").write_text(f"syncgovStart({encode(start)})\n", encoding="utf-8")
    return total


def documents(site: Site, pages: Iterable[Page], content: Path) -> Iterator[Document]:
    """Yield all that can be found, in the order in which it is shown: guides, then pages, then the newest matters."""
    for document, _ in _found(site, pages, content):
        yield document


def _found(site: Site, pages: Iterable[Page], content: Path) -> Iterator[tuple[Document, Record | None]]:
    """Yield each document and, of a row that the page for all records shows, its address and record."""
    places = [row for item in site.listed if item.layout.place for row in site.source.rows(item)]
    for kind in ("row", "list"):
        if kind == "list":
            for document in _pages(pages, content, {site.page_of(row) for row in places}):
                yield document, None
        for register in site.listed:
            if register.layout.page == kind:
                for row, way in records.records(site, register):
                    shown = (site.record_name(row), records.record(site, row, way)) if kind == "list" else None
                    yield _row(site, row, way), shown


def _row(site: Site, row: Row, way: Way | None) -> Document:
    register = row.register
    number = row.number or records.temporary_number(row)
    place = site.community(row.community) if row.community and not register.layout.place else ""
    state = site.show(row, register.timeline.state) if register.timeline else ""
    lamp = way.lamp.label if way else ""
    note = " · ".join(part for part in (text.shorten(number), place, state, lamp) if part)
    named = " ".join(dict.fromkeys([*records.numbers(row), *([] if row.number else [row.key])]))
    parts = [part for name in register.searched if (part := own_text(site, row, name))]
    parts += [part for part in (named, place, _labels(site, row)) if part]
    title = text.shorten(site.title(row), text.TITLE_LIMIT)
    return Document(register.layout.nav, title, note, site.page_of(row), tuple(parts))


def own_text(site: Site, row: Row, column: str) -> str:
    """Return the words of one searched column, the members of a list one a line; '' where nothing is disclosed."""
    value = row.values.get(column)
    if value is None or row.withheld(column):
        return ""
    if row.register.columns[column].type == "list":
        return "\n".join(_strings(site.items(row, column)))
    return str(value)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _labels(site: Site, row: Row) -> str:
    """Return the words for the codes and references of the summary, one a line."""
    register = row.register
    coded = [
        name for name in register.layout.summary
        if name != COMMUNITY and row.values.get(name) is not None
        and (name in register.codes or (name in register.columns and register.columns[name].ref))
    ]  # fmt: skip
    return "\n".join(site.show(row, name) for name in coded)


# pages that are no row's -------------------------------------------------------------------------------------------


def _pages(pages: Iterable[Page], content: Path, told: Collection[str]) -> Iterator[Document]:
    """Yield the pages that show no row; *told*: the addresses of those that do."""
    for page in pages:
        if page.search and _address(page.path) not in told:
            first = page.body.split("\n## ", 1)[0]
            yield Document("网页", page.title, "", _address(page.path), (page.title, plain(first)))
    for path in sorted(content.rglob("*.md")):
        front, body = _front_matter(path)
        if front.get("find") is False:
            continue
        title = next((line[2:].strip() for line in body.splitlines() if line.startswith("# ")), path.stem)
        yield Document("网页", title, "", _address(path.relative_to(content).as_posix()), (plain(body),))


def _address(path: str) -> str:
    return path.removesuffix(".md") + ".html"


def _front_matter(path: Path) -> tuple[dict[str, object], str]:
    """Return what stands between the lines of a page's front matter, and the rest.

    Raises:
        PortalError: it cannot be read; names file, line and remedy.
    """
    raw = path.read_bytes()
    try:
        source = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _bad(path, line, "不是 UTF-8 文字，请另存为 UTF-8", "not UTF-8; save it as UTF-8") from error
    head, mark, body = source.removeprefix("---\n").partition("\n---\n")
    if not source.startswith("---\n"):
        return {}, source
    if not mark:
        raise _bad(path, 1, "开头的 --- 块没有结束，请补一行 ---", "the front matter does not end; add a line ---")
    try:
        front = yaml.safe_load("\n" + head)  # as many lines as there are above it in the file
    except yaml.YAMLError as error:
        at = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or str(error)
        line = at.line + 1 if at is not None else 1
        raise _bad(path, line, f"不是有效的 YAML（{why}），请检查缩进、冒号和引号",
                   f"not valid YAML ({why}); check indentation, colons and quotes") from error  # fmt: skip
    if not isinstance(front, dict):
        raise _bad(path, 2, "每行应写“名称: 值”", "write `name: value` lines")
    return front, body


def _bad(path: Path, line: int, zh: str, en: str) -> PortalError:
    return PortalError(f"{path.name} 第 {line} 行：{zh}", f"{path.name}:{line}: {en}")


def plain(markdown: str) -> str:
    """Return the words of a page's source, without tags, scripts and addresses."""
    without = _TAG.sub(" ", _SCRIPT.sub(" ", _TARGET.sub(" ", markdown)))
    return html.unescape(without).strip()
