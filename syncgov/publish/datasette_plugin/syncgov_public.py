"""Datasette plugin for a published folder: exact Chinese search, labels instead of codes, links to the evidence.

It stands alone: copy this folder beside public.db and metadata.json, and start Datasette with `--plugins-dir`.
Works with Datasette 0.65.
"""

import html
import json
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from datasette import Response, hookimpl

PLUGIN = "syncgov"  # under this name metadata.json holds the labels of each table
MAX_VALUE_BYTES = 5_000_000  # of one SQL value: without it a single query can take gigabytes of memory
WITHHELD = "不予公开"
ERASED = "已删除"

_EVIDENCE = re.compile(r"log/proofs/[a-z][a-z0-9_]*/[A-Za-z0-9_.~-]+\.json")
_CHINESE = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS = re.compile(f"[{_CHINESE}]+|[^\\W{_CHINESE}]+")

# Datasette speaks English only. What its templates say and what to say instead; what is not there is skipped.
_WORDS = {
    "<html>": '<html lang="zh-CN">',
    '<section class="content">': '<section class="content" role="main">',
    ">home</a>": ">首页</a>",
    "Menu</title>": "菜单</title>",
    "Table actions</title>": "操作</title>",
    "Search:": "查找：",
    'value="Apply"': 'value="筛选"',
    'value="Run SQL"': 'value="查询"',
    'value="Export CSV"': 'value="下载 CSV"',
    "Advanced export": "下载",
    "This data as": "这些数据：",
    ">Next page<": ">下一页<",
    ">Queries</h2>": ">查询</h2>",
    ">Tables</h2>": ">表</h2>",
    "Query parameters": "查询条件",
    "Links from other tables": "其他表中的引用",
    "- remove filter -": "- 去掉 -",
    "Powered by": "软件：",
    "Data source:": "来源：",
    "Data license:": "许可：",
    "About:": "关于：",
    # tables by the name that people know
    "{{ table.name }}</a>{% if table.private %}": (
        "{{ (metadata.tables or {}).get(table.name, {}).get('title') or table.name }}</a>{% if table.private %}"
    ),
}


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
    """Replace Datasette's own escape_fts, which knows words only between spaces; bound what one value may take."""
    conn.create_function("escape_fts", 1, zh_fts)
    if hasattr(conn, "setlimit"):
        conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)


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
    label: str | None = settings.get("labels", {}).get(column, {}).get(str(value))
    if label is not None:
        return label
    if column in settings.get("money", ()) and isinstance(value, int):
        return f"{value // 100}.{value % 100:02d} 元" if value >= 0 else None
    if isinstance(value, str) and value.startswith("["):
        return _list(value, settings.get("members", {}).get(column, {}))
    return None


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
    return Safe("<ol>" + "".join(f"<li>{html.escape(_plain(item, members))}</li>" for item in items) + "</ol>")


def _plain(item: Any, members: Mapping[str, str]) -> str:
    if isinstance(item, dict):
        named = [name for name in members if name in item] or list(item)
        return "；".join(f"{members.get(n, n)}：{_plain(item[n], {})}" for n in named if item[n] not in (None, ""))
    if isinstance(item, list):
        return "、".join(_plain(part, {}) for part in item)
    return "" if item is None else str(item)


@hookimpl  # type: ignore[untyped-decorator]
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Lead the bare address of the portal to its first page: static folders have none."""
    return [(r"^/portal/?$", portal)]


def portal(datasette: Any) -> Any:
    """Redirect to the portal's first page."""
    return Response.redirect(datasette.urls.path("/portal/index.html"))


@hookimpl  # type: ignore[untyped-decorator]
def prepare_jinja2_environment(env: Any) -> None:
    """Say in the pages' language what the templates say in English, and what language that is."""
    for loader in _file_loaders(env.loader):
        _translate(loader)


def _file_loaders(loader: Any) -> Iterator[Any]:
    """Yield the loaders that read files, below those that choose between others."""
    inner = getattr(loader, "loaders", None) or getattr(loader, "mapping", None)
    if inner is None:
        yield loader
        return
    for each in inner.values() if isinstance(inner, dict) else inner:
        yield from _file_loaders(each)


def _translate(loader: Any) -> None:
    original = loader.get_source

    def get_source(environment: Any, template: str) -> tuple[str, Any, Any]:
        source, filename, fresh = original(environment, template)
        for english, chinese in _WORDS.items():
            source = source.replace(english, chinese)
        return source, filename, fresh

    loader.get_source = get_source
