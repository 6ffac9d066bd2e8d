"""Datasette plugin for a published folder: every page of a sorted table is ordered alike, so that none loses a row.

Datasette 0.65 orders rows of one value by their keys from the second page of a table on, but not on the first: a row
could be on neither. Its hooks reach the conditions of a query, not its order; so the query's text is completed.
"""

from contextvars import ContextVar
from functools import wraps
from typing import Any

from datasette.database import Database
from datasette.utils import escape_sqlite, tilde_decode
from datasette.views.table import TableView

_completed: ContextVar[tuple[str, str] | None] = ContextVar(
    "completed", default=None
)  # an order, and what it should be


async def complete_order(datasette: Any, request: Any) -> tuple[str, str] | None:
    """Return the end of a first page's query, and the same with the table's keys; None where it is not sorted."""
    table = tilde_decode(request.url_vars["table"])
    try:
        db = datasette.get_database(route=tilde_decode(request.url_vars["database"]))
    except KeyError:
        return None
    if not await db.table_exists(table):  # another error, or a ready query
        return None
    keys = ", ".join(escape_sqlite(key) for key in await db.primary_keys(table))
    described = datasette.table_metadata(db.name, table)
    asked = [request.args.get(name) for name in ("_sort", "_sort_desc")]
    up, down = asked if any(asked) else [described.get(name) for name in ("sort", "sort_desc")]
    if not keys or bool(up) == bool(down) or "_next" in request.args:
        return None
    order = f"order by {escape_sqlite(up)}" if up else f"order by {escape_sqlite(down)} desc"
    return f"{order} limit ", f"{order}, {keys} limit "


def _ordered(data: Any) -> Any:
    @wraps(data)
    async def ordered(view: Any, request: Any, *given: Any, **named: Any) -> Any:
        token = _completed.set(await complete_order(view.ds, request))
        try:
            return await data(view, request, *given, **named)
        finally:
            _completed.reset(token)

    return ordered


def _completing(execute: Any) -> Any:
    @wraps(execute)
    async def completing(db: Any, sql: str, *given: Any, **named: Any) -> Any:
        order = _completed.get()
        return await execute(db, sql.replace(*order) if order else sql, *given, **named)

    return completing


if not hasattr(TableView.data, "__wrapped__"):  # once, however many servers a process has
    TableView.data = _ordered(TableView.data)
    Database.execute = _completing(Database.execute)
