"""Datasette plugin for a published folder: exact Chinese search, labels instead of codes, links to the evidence.

It stands alone: copy this folder beside public.db and metadata.json, and start Datasette with `--plugins-dir`.
Works with Datasette 0.65.
"""

import html
import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from datasette import Response, hookimpl

PLUGIN = "syncgov"  # under this name metadata.json holds the labels of each table
WITHHELD = "不予公开"
ERASED = "已删除"

BEIJING = timezone(timedelta(hours=8))

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00")
_EVIDENCE = re.compile(r"log/proofs/[a-z][a-z0-9_]*/[A-Za-z0-9_.~-]+\.json")
# signs that turn the direction of what follows: a cell of a row would turn the cells beside it
_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CHINESE = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(f"[{_CHINESE}]+|[^\\W{_CHINESE}]+")


class Safe(str):
    """Text that is HTML already."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def zh_fts(query: str) -> str:
    """Return the FTS5 query that finds the words of *query* exactly, in an index of character pairs.

    Each word becomes one phrase. A word that ends in a single Chinese character ends in a prefix.
    """
    phrases = [_phrase(word) for word in unicodedata.normalize("NFKC", query).split()]
    return " ".join(phrase for phrase in phrases if phrase) or '""'


def _phrase(word: str) -> str:
    tokens: list[str] = []
    prefix = False
    runs = _RUNS.findall(word.replace('"', " "))
    for number, run in enumerate(runs):
        last = number == len(runs) - 1
        if not re.match(f"[{_CHINESE}]", run):
            tokens.append(run)
            continue
        pairs = [run[i : i + 2] for i in range(len(run))]
        # the last character alone is in the index only where a run ends, which at the end of a word nobody knows
        prefix = last and len(run) == 1
        tokens += pairs[:-1] if last and len(run) > 1 else pairs
    return f'"{" ".join(tokens)}"{"*" if prefix else ""}' if tokens else ""


@hookimpl(trylast=True)  # type: ignore[untyped-decorator]
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Replace Datasette's own escape_fts, which knows words only between spaces."""
    conn.create_function("escape_fts", 1, zh_fts)


@hookimpl  # type: ignore[untyped-decorator]
def render_cell(
    row: sqlite3.Row, value: Any, column: str, table: str | None, database: str, datasette: Any
) -> str | None:
    """Show evidence as a link, codes by their labels, lists as lists, and say what is withheld or erased."""
    if column == "_evidence" and isinstance(value, str) and _EVIDENCE.fullmatch(value):
        return Safe(f'<a href="{html.escape(datasette.urls.path("/" + value))}">签名证据</a>')
    settings = datasette.plugin_config(PLUGIN, database=database, table=table) or {}
    if value is None:
        field = settings.get("fields", {}).get(column)
        return _hidden(row, field) if field else None
    if isinstance(value, int):
        return _number(value, column, settings)
    if not isinstance(value, str):
        return None  # a reference, whose label Datasette shows
    if column in ("_withheld", "_erased"):
        labels = settings.get("field_labels", {})
        return "、".join(labels.get(name, name) for name in value.split(",")) or None
    label: str | None = settings.get("labels", {}).get(column, {}).get(value)
    if label is not None:
        return label
    if _TIME.fullmatch(value):
        return value[:16].replace("T", " ")
    if value.startswith("["):
        found = _list(value, settings.get("members", {}).get(column, {}))
        if found is not None:
            return found
    return _TURNS.sub("", value) if _TURNS.search(value) else None


def _number(value: int, column: str, settings: Mapping[str, Any]) -> str | None:
    """Return a number as people read it: a code's label, yes or no, money, a day, or with its unit."""
    label: str | None = settings.get("labels", {}).get(column, {}).get(str(value))
    if label is not None:
        return label
    if column in settings.get("booleans", ()):
        return "是" if value else "否"
    if column in settings.get("money", ()):
        return f"{'-' if value < 0 else ''}{abs(value) // 100:,}.{abs(value) % 100:02d} 元"
    if column in settings.get("milliseconds", ()):
        try:
            return datetime.fromtimestamp(value / 1000, BEIJING).strftime("%Y-%m-%d %H:%M")
        except (OverflowError, ValueError):
            return None
    unit = settings.get("units", {}).get(column)
    return f"{value:,} {unit}" if unit else None


def _hidden(row: sqlite3.Row, field: str) -> str | None:
    """Return what stands in the place of a field's value that does not show."""
    for column, words in (("_withheld", WITHHELD), ("_erased", ERASED)):
        names = row[column] if column in row.keys() else None  # noqa: SIM118 - sqlite3.Row has no `in`
        if field in (names or "").split(","):
            return words
    return None


def _list(text: str, members: Mapping[str, str]) -> str | None:
    try:
        items = json.loads(text)
    except ValueError:
        return None
    if not isinstance(items, list) or not items:
        return None
    return Safe(
        "<ol>" + "".join(f"<li>{html.escape(_TURNS.sub('', _plain(item, members)))}</li>" for item in items) + "</ol>"
    )


def _plain(item: Any, members: Mapping[str, str]) -> str:
    if isinstance(item, dict):
        named = [name for name in members if name in item] or list(item)
        return "；".join(f"{members.get(n, n)}：{_plain(item[n], {})}" for n in named if item[n] not in (None, ""))
    if isinstance(item, list):
        return "、".join(_plain(part, {}) for part in item)
    if isinstance(item, bool):
        return "是" if item else "否"
    return "" if item is None else str(members.get(str(item), item))


@hookimpl  # type: ignore[untyped-decorator]
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Lead the bare address of the portal to its first page: static folders have none."""
    return [(r"^/portal/?$", portal)]


def portal(datasette: Any) -> Any:
    """Redirect to the portal's first page."""
    return Response.redirect(datasette.urls.path("/portal/index.html"))
