"""Datasette plugin for a published folder: its pages in plain Chinese, from templates of ours beside this file.

Datasette's own templates are English and made for people who know SQL; ours say what residents need, work without a
script, and name columns and codes by the labels that metadata.json holds. What Datasette says in Python (which rows,
which error) is said here again. Works with Datasette 0.65.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from datasette import Response, hookimpl
from datasette.plugins import pm
from datasette.utils import path_with_replaced_args, tilde_encode
from jinja2 import ChoiceLoader, FileSystemLoader
from markupsafe import Markup

HERE = Path(__file__).resolve().parent
PLUGIN = "syncgov"
MANY_CODES = 30  # a column with more codes is filtered by typing
_STYLE = (HERE / "syncgov.css").read_bytes()

# Filters of Datasette that people may choose; the guard refuses the others.
LOOKUPS = {
    "exact": "是",
    "not": "不是",
    "contains": "含有",
    "startswith": "开头是",
    "endswith": "结尾是",
    "gt": "大于",
    "gte": "不小于",
    "lt": "小于",
    "lte": "不大于",
    "in": "是其中之一（用逗号分开）",
    "notin": "不是其中任何一个（用逗号分开）",
    "date": "日期是",
    "isnull": "没有填",
    "notnull": "填了",
    "isblank": "是空的",
    "notblank": "不是空的",
}

_TROUBLE = {
    400: ("这个请求不能回答", "地址里的条件写得不对。请回到公开库，从页面上重新选择。"),
    403: ("不能这样查", "这里只回答已经写好的查询。需要全部数据时，请下载整张表，在自己的电脑上查。"),
    404: ("没有这一页", "地址写错了，或者这条记录不在公开库里。"),
    405: ("只能看，不能写", "公开库只供阅读。"),
    414: ("地址太长", "条件写得太多。请减少条件，或下载整张表。"),
    500: ("出错了", "这一页现在打不开。请稍后再试；一直打不开，请告诉网站的管理人员。"),
}
_TIMES = frozenset({"_created", "_updated", "received"})
SLOW = "the query took too long"  # as the guard says it
_SLOW = ("查得太久，已经停止", "条件太宽，一次查不完。请加一个条件，或下载整张表，在自己的电脑上查。")


class Pages:
    """What the templates ask for: labels from metadata.json, sentences, addresses."""

    style = f"/-/static-syncgov/{hashlib.sha256(_STYLE).hexdigest()[:12]}.css"

    def __init__(self, datasette: Any) -> None:
        self._datasette = datasette

    # labels ---------------------------------------------------------------------------------------------------------

    def title(self) -> str:
        """Return what the whole is called."""
        return str(self._datasette.metadata("title") or "公开库")

    def about(self) -> Mapping[str, str]:
        """Return licence, source and more of the whole."""
        names = ("license", "license_url", "source", "about", "about_url")
        return {name: str(self._datasette.metadata(name) or "") for name in names}

    def link(self, address: str) -> str:
        """Return an address of metadata: one on this host is below the prefix under which everything is served."""
        return str(self._datasette.urls.path(address)) if address.startswith("/") else address

    def database_label(self, database: str) -> str:
        """Return what people call the database."""
        return str(self._database(database).get("title") or database)

    def database_note(self, database: str) -> str:
        """Return what is in it."""
        return str(self._database(database).get("description") or "")

    def table_label(self, database: str, table: str) -> str:
        """Return what people call a table."""
        return str(self._table(database, table).get("title") or table)

    def table_note(self, database: str, table: str) -> str:
        """Return what a table holds."""
        return str(self._table(database, table).get("description") or "")

    def columns(self, database: str, table: str) -> list[tuple[str, str]]:
        """Return name and description of each described column."""
        return list((self._table(database, table).get("columns") or {}).items())

    def column(self, database: str, table: str, name: str) -> str:
        """Return what people call a column: its description up to the first full stop."""
        if name in ("Link", "rowid"):
            return "行" if name == "Link" else "行号"
        known = self.settings(database, table).get("names", {}).get(name)
        return str(known or (self._table(database, table).get("columns") or {}).get(name, name).partition("。")[0])

    def dumped(self, database: str, table: str) -> bool:
        """Tell whether the whole table lies as a file in the folder."""
        return bool(self.settings(database, table).get("dump"))

    def settings(self, database: str, table: str | None) -> Mapping[str, Any]:
        """Return what metadata.json holds of a table for these plugins."""
        return self._datasette.plugin_config(PLUGIN, database=database, table=table) or {}

    def _database(self, database: str) -> Mapping[str, Any]:
        return (self._datasette.metadata("databases") or {}).get(database) or {}

    def _table(self, database: str, table: str) -> Mapping[str, Any]:
        return (self._database(database).get("tables") or {}).get(table) or {}

    # cells ----------------------------------------------------------------------------------------------------------

    def cell(self, database: str, table: str | None, row: Any, column: str, value: Any) -> Any:
        """Return what stands in a cell, by the same hook that fills the tables."""
        given = {"row": row, "value": value, "column": column, "table": table, "database": database}
        for shown in pm.hook.render_cell(**given, datasette=self._datasette):
            if shown is not None and not inspect.isawaitable(shown):
                return shown
        return Markup('<span class="none">—</span>') if value is None or value == "" else str(value)

    def row_link(self, database: str, table: str, path: str) -> Markup:
        """Return the link to a row: its key, or a word where the key is only random digits."""
        keys = path.split(",")
        address = f"{self._datasette.urls.table(database, table)}/{','.join(map(tilde_encode, keys))}"
        if self.settings(database, table).get("random_keys"):
            return Markup('<a href="{}">查看<span class="unseen"> {}</span></a>').format(address, path)
        return Markup('<a href="{}">{}</a>').format(address, path)

    # tables ---------------------------------------------------------------------------------------------------------

    def lookups(self, filters: Any) -> list[tuple[str, str]]:
        """Return value and label of each filter that Datasette has and people may use."""
        return [
            (f"{key}__1" if plain else key, LOOKUPS[key]) for key, _said, plain in filters.lookups() if key in LOOKUPS
        ]

    def picks(self, database: str, table: str, request: Any) -> list[dict[str, Any]]:
        """Return for each column of codes a link a code, which filters by it or, where it does, no longer."""
        labels = self.settings(database, table).get("labels", {})
        return [
            {"label": self.column(database, table, column), "choices": list(_choices(request, column, codes))}
            for column, codes in labels.items()
            if 1 < len(codes) <= MANY_CODES
        ]

    def sentence(
        self, database: str, table: str, filters: Any, search: Any, sort: Any, sort_desc: Any, count: Any
    ) -> str:
        """Return how many rows are shown, which, and in which order."""
        said = [f"含有“{search}”"] if search else []
        said += [self._condition(database, table, *each) for each in filters.selections()]
        rows = "很多行" if count is None else f"共 {count:,} 行"
        order = ""
        if sort or sort_desc:
            ways = ("从新到旧", "从旧到新") if (sort or sort_desc) in _TIMES else ("从大到小", "从小到大")
            order = f"按“{self.column(database, table, sort or sort_desc)}”{ways[0 if sort_desc else 1]}"
        return "；".join(part for part in (f"{rows}{'：' if said else ''}{'，'.join(said)}", order) if part)

    def _condition(self, database: str, table: str, column: str, lookup: str, value: str) -> str:
        label = self.settings(database, table).get("labels", {}).get(column, {}).get(value)
        said = LOOKUPS.get(lookup, lookup).partition("（")[0]
        plain = lookup in ("isnull", "notnull", "isblank", "notblank")
        return f"“{self.column(database, table, column)}”{said}{'' if plain else f'“{label or value}”'}"

    def relative(self, address: str) -> str:
        """Return an address without host, so that a page is right under whatever name it was asked for."""
        parts = urlsplit(address)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    # queries --------------------------------------------------------------------------------------------------------

    def queries(self, queries: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
        """Return the queries in three lists: searches, figures, others."""
        found: dict[str, list[Mapping[str, Any]]] = {"search": [], "figures": [], "other": []}
        for query in queries:
            found[str(query.get("sort_of") or "other")].append({"title": query["name"], **query})
        return found

    def parameter(self, query: Mapping[str, Any], name: str) -> str:
        """Return what people call a parameter of a query."""
        return str((query.get("parameter_labels") or {}).get(name, name))

    def result_column(self, database: str, query: Mapping[str, Any], name: str) -> str:
        """Return what people call a column of a result."""
        known = (query.get("columns") or {}).get(name)
        return str(known or (self.column(database, query["of"], name) if query.get("of") else name))

    def result_row(self, database: str, query: Mapping[str, Any], row: Any) -> Iterator[Any]:
        """Yield the cells of a result; a query that gives whole rows of a table links to them."""
        table = query.get("of")
        for column in row.keys():  # noqa: SIM118 - sqlite3.Row iterates over its values
            if table and column == "key":
                yield self.row_link(database, table, str(row[column]))
            else:
                yield self.cell(database, table, row, column, row[column])

    def unanswered(self, values: Mapping[str, str]) -> bool:
        """Tell whether a query waits for its conditions."""
        return bool(values) and not any(values.values())

    # errors ---------------------------------------------------------------------------------------------------------

    def trouble(self, status: int, error: str) -> dict[str, str]:
        """Return in plain words what is wrong and what to do; what Datasette says in English is not repeated."""
        said = _SLOW if error == SLOW else _TROUBLE.get(status) or _TROUBLE[400 if status < 500 else 500]
        return {"title": said[0], "text": said[1]}


def _choices(request: Any, column: str, codes: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield label, address and whether it is chosen, of each code."""
    name = f"{column}__exact" if column.startswith("_") else column
    now = request.args.get(name)
    for code, label in codes.items():
        address = path_with_replaced_args(request, {name: None if now == code else code, "_next": None})
        yield {"label": label, "address": address, "chosen": now == code}


@hookimpl  # type: ignore[untyped-decorator]
def prepare_jinja2_environment(env: Any, datasette: Any) -> None:
    """Take our templates before Datasette's."""
    env.loader = ChoiceLoader([FileSystemLoader(HERE / "templates"), env.loader])
    env.globals["sg"] = Pages(datasette)


@hookimpl  # type: ignore[untyped-decorator]
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Serve the style sheet; its name changes with it, so that it may be kept for ever."""
    return [(re.escape(Pages.style) + "$", _style)]


def _style() -> Any:
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(_STYLE.decode(), content_type="text/css; charset=utf-8", headers=headers)
