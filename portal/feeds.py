"""Atom feeds (RFC 4287): of everything, of each register, of each community. What they hold is what public.db holds.

Their size does not grow. Ids depend on log, register and key alone, so that a reader knows an entry again.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import quote as percent
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape, quoteattr

from portal import text
from portal.model import Register, Row
from portal.site import Site

ENTRIES = 50  # of one feed; readers ask more often than so many things happen
_NEVER = "1970-01-01T00:00:00+00:00"


def feeds(site: Site) -> Iterator[tuple[str, bytes]]:
    """Yield (path, bytes) of every feed."""
    name = site.meta.get("name", "")
    yield _feed(site, site.feed_path(), name, site.source.newest(site.listed, ENTRIES))
    for register in site.listed:
        title = f"{name}：{register.layout.nav}"
        yield _feed(site, site.feed_path(register), title, site.source.newest([register], ENTRIES))
    for code, told in site.communities.items():
        rows = site.source.newest(site.listed, ENTRIES, community=code)
        yield _feed(site, site.feed_path(community=code), f"{name}：{told}", rows)


def _feed(site: Site, path: str, title: str, rows: Sequence[Row]) -> tuple[str, bytes]:
    as_of = _moment(site.meta.get("as_of"), _NEVER)
    updated = max(
        (_moment(row.values.get("_updated"), as_of) for row in rows), key=datetime.fromisoformat, default=as_of
    )
    own = percent(path.rpartition("/")[2], safe="/._-~")
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="zh-CN">',
        _element("id", _urn(site, f"/{path}")),  # no register has an empty name
        _element("title", _plain(title) or text.NOTHING),
        _element("updated", updated),
        f"<author>{_element('name', _plain(site.meta.get('name', '')) or text.NOTHING)}</author>",
        f'<link rel="self" type="application/atom+xml" href={quoteattr(own)}/>',
        '<link rel="alternate" type="text/html" href="../news.html"/>',
        *(["<subtitle>演示数据</subtitle>"] if site.meta.get("simulated") == "1" else []),
        *(part for row in rows for part in _entry(site, row, as_of)),
        "</feed>\n",
    ]
    return path, "\n".join(lines).encode()


def _entry(site: Site, row: Row, as_of: str) -> Iterator[str]:
    updated = _moment(row.values.get("_updated"), as_of)
    page = "../" + site.page_of(row)
    register: Register = row.register
    yield "<entry>"
    yield _element("id", _urn(site, f"{register.name}/{row.key}"))
    yield _element("title", _plain(site.title(row)) or text.NOTHING)
    yield _element("updated", updated)
    yield _element("published", _moment(row.values.get("_created"), updated))
    yield f'<link rel="alternate" type="text/html" href={quoteattr(page)}/>'
    yield f"<category term={quoteattr(register.name)} label={quoteattr(_plain(register.layout.nav))}/>"
    yield _element("summary", _summary(site, row))
    yield "</entry>"


def _summary(site: Site, row: Row) -> str:
    """Return the summary columns that say something, one after the other."""
    shown = [name for name in row.register.layout.summary if row.values.get(name) is not None or row.withheld(name)]
    return "；".join(f"{_plain(site.label(row.register, name))}：{_plain(site.show(row, name))}" for name in shown)


def _urn(site: Site, name: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, site.meta.get('origin', '') + '/' + name)}"


def _plain(value: str) -> str:
    """Return untrusted text on one line, without what no XML can hold and what turns the reading direction."""
    return text.shorten(value)


def _element(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"


def _moment(value: object, otherwise: str) -> str:
    """Return a time with its offset, as RFC 3339 writes it."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return otherwise
    return found.isoformat(timespec="seconds") if found.tzinfo is not None else otherwise
