"""Datasette plugin for a published folder: what one visitor may ask, so that the next one is still answered.

Arbitrary SQL is off by the settings of `syncgov browse`. What is left, and stopped here before it reaches Datasette:
parameters that nobody needs (`_where`, `_through`, `_facet`, `_trace`, `_ttl`, `_timelimit`, other search tables),
filters by patterns (with `%` as a wildcard, "contains 50%" would find what does not contain it), conditions that
Datasette passes over or answers with an error of its own, internal pages, huge addresses. And below Datasette: how long
a value may be, how much memory SQLite may take. Works with Datasette 0.65.
"""

import json
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote_to_bytes

from datasette import Response, hookimpl
from datasette.database import QueryInterrupted
from datasette.plugins import pm
from datasette.utils.asgi import BadRequest, Base400
from datasette.views.base import DatasetteError

MAX_ADDRESS_BYTES = 4096  # path and query; a page's own links stay below, because long texts are not sortable
MAX_PARAMETERS = 30
MAX_VALUE = 500  # characters of one condition
MAX_SEARCH = 100  # of the words that are searched
MAX_LISTED = 50  # values of `in`
MAX_DIGITS = 18  # of a number: SQLite's are 64 bits
MAX_HEAP_BYTES = 256_000_000  # of SQLite in this process, all connections

SLOW = "the query took too long"

# (limit of sqlite3_limit, its value)
_LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, 5_000_000),  # of one value: a single query could take gigabytes
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 200_000),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 4 * MAX_VALUE),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
)
_OPERATORS = frozenset(
    "exact not contains startswith endswith gt gte lt lte in notin date isnull notnull isblank notblank".split()
)
_PATTERNS = frozenset({"contains", "startswith", "endswith"})
_ORDERS = frozenset({"gt", "gte", "lt", "lte"})
_PARAMETERS = re.compile(
    "_(next|size|sort|sort_desc|sort_by_desc|labels?|shape|nl|dl|header|json|col|nocol|nocount|nofacet|nosuggest|"
    "blob_column|blob_hash|hide_sql|show_sql|show_hidden|search(_.*)?|filter_(column|op|value)(_[0-9]+)?)"
)
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_STATIC = ("/portal", "/log", "/data")
_OPEN311 = "/open311/"  # answers what it does not take in GeoReport's own form
_SAFE = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'self'",
}

_LOG = logging.getLogger(__name__)

Scope: TypeAlias = dict[str, Any]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Any, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered: HTTP status, and for programs in English."""

    status: int
    told: str


def refuse(method: str, path: str, raw_path: bytes, query: bytes) -> Refusal | None:
    """Return why a request is refused, None if Datasette may have it.

    Args:
        path: below the prefix, decoded. raw_path: as it was sent.
    """
    if len(raw_path) + len(query) > MAX_ADDRESS_BYTES:
        return Refusal(414, f"longer than {MAX_ADDRESS_BYTES} bytes")
    if path.startswith("//") or _CONTROL.search(path):
        return Refusal(404, "not found")
    if path.startswith(_OPEN311):
        return None if _is_text(query) else Refusal(400, "control characters")
    if method not in ("GET", "HEAD"):
        return Refusal(405, "read only")
    if path.startswith("/-/") and not path.startswith("/-/static"):
        return Refusal(404, "not found")
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")
    barred = [name for name, _value in pairs if _is_barred(name)]
    if barred:
        return Refusal(403, f"{barred[0]} is not allowed; whole tables are in the folder data")
    told = next(_wrong(pairs), None)
    return Refusal(400, told) if told else None


def _is_text(query: bytes) -> bool:
    return not _CONTROL.search(unquote_to_bytes(query).decode("utf-8", "replace"))


def _is_special(name: str) -> bool:
    """Tell whether Datasette takes a parameter for its own, not for a column's name and a filter."""
    return name.startswith("_") and "__" not in name


def _is_barred(name: str) -> bool:
    return name == "sql" or (_is_special(name) and not _PARAMETERS.fullmatch(name))


def _wrong(pairs: list[tuple[str, str]]) -> Iterator[str]:
    """Yield what is wrong with the parameters."""
    if len(pairs) > MAX_PARAMETERS:
        yield f"more than {MAX_PARAMETERS} parameters"
    for name, value in pairs:
        if _CONTROL.search(name) or _CONTROL.search(value):
            yield "control characters"
        if _is_special(name):
            if name.startswith("_search") and len(value) > MAX_SEARCH:
                yield f"{name} is longer than {MAX_SEARCH} characters"
        elif len(value) > MAX_VALUE:
            yield f"{name} is longer than {MAX_VALUE} characters"
        if "__" in name:
            yield from _wrong_filter(name.rpartition("__")[2], value)


def _wrong_filter(operator: str, value: str) -> Iterator[str]:
    if operator not in _OPERATORS:
        yield f"no such filter: {operator}"
    if operator in _PATTERNS and "%" in value:
        yield "a part of a text must not have %"
    if operator in _ORDERS and value.isdigit() and (len(value) > MAX_DIGITS or not value.isascii()):
        yield "not a number"
    if operator in ("in", "notin") and (value.startswith("[") or value.count(",") >= MAX_LISTED):
        yield f"at most {MAX_LISTED} values, between commas"


@hookimpl  # type: ignore[untyped-decorator]
def asgi_wrapper(datasette: Any) -> Callable[[App], App]:
    """Stand before Datasette."""

    def wrap(app: App) -> App:
        async def guarded(scope: Scope, receive: Any, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            base = datasette.setting("base_url")
            path = scope["path"]
            if base != "/" and path.startswith(base):
                path = "/" + path[len(base) :]
            raw = (scope.get("raw_path") or path.encode()).partition(b"?")[0]
            send = _safe(send, base, path)
            found = refuse(scope["method"], path, raw, scope.get("query_string", b""))
            if found is None:
                await app(scope, receive, send)
                return
            await datasette.invoke_startup()
            answer = await _answer(datasette, path, found)
            await answer.asgi_send(send)

        return guarded

    return wrap


def _safe(send: Send, base: str, path: str) -> Send:
    """Return *send* with headers that keep a page within itself, and redirects that stay below the prefix."""
    html_of_ours = not path.startswith(_STATIC)
    prefix = base.encode()

    def below(location: bytes) -> bytes:
        outside = location.startswith(b"/") and not location.startswith(prefix)
        return prefix + location[1:] if outside else location

    async def sent(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            given = _SAFE if html_of_ours else {b"x-content-type-options": b"nosniff"}
            kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in given]
            headers = [(name, below(value) if name.lower() == b"location" else value) for name, value in kept]
            message = {**message, "headers": [*headers, *given.items()]}
        await send(message)

    return sent


async def _answer(datasette: Any, path: str, found: Refusal) -> Any:
    """Return the refusal as a page, or as JSON where that was asked for."""
    headers = {"allow": "GET, HEAD"} if found.status == 405 else {}
    if path.endswith(".json"):
        body = json.dumps({"ok": False, "error": found.told, "status": found.status, "title": None})
        return Response(body, status=found.status, headers=headers, content_type="application/json; charset=utf-8")
    page = await datasette.render_template(
        "error.html", {"status": found.status, "title": None, "error": found.told, "ok": False}
    )
    return Response(page, status=found.status, headers=headers, content_type="text/html; charset=utf-8")


@hookimpl  # type: ignore[untyped-decorator]
def filters_from_request(request: Any, database: str, table: str, datasette: Any) -> Any:
    """Refuse a condition that would be passed over in silence: SQLite takes an unknown column for a text."""

    async def check() -> None:
        known = {*await datasette.get_database(database).table_columns(table), "rowid"}
        for name in request.args:
            column = name.rpartition("__")[0] if "__" in name else name
            if not _is_special(name) and column not in known:
                raise BadRequest(f"no such column: {column}")
        if "_search" in request.args and not datasette.table_metadata(database, table).get("fts_table"):
            raise BadRequest("this table has no search")

    return check


# Datasette's own answer to an exception prints every 404 with all variables, by `rich` where that is installed: a
# second of work for each wrong address.
if pm.has_plugin("datasette.handle_exception"):
    pm.unregister(name="datasette.handle_exception")


@hookimpl  # type: ignore[untyped-decorator]
def handle_exception(datasette: Any, request: Any, exception: Exception) -> Any:
    """Call a visitor's mistake by its name, and note what is nobody's mistake but ours."""
    found = _refusal(exception)
    if found.status >= 500:
        _LOG.error("%s", request.path, exc_info=exception)

    async def answer() -> Any:
        return await _answer(datasette, request.path, found)

    return answer


@hookimpl  # type: ignore[untyped-decorator]
def forbidden(datasette: Any, request: Any, message: str) -> Any:
    """Answer what Datasette's permissions refuse."""

    async def answer() -> Any:
        return await _answer(datasette, request.path, Refusal(403, message))

    return answer


def _refusal(exception: Exception) -> Refusal:
    if isinstance(exception, QueryInterrupted):
        return Refusal(400, SLOW)
    if isinstance(exception, Base400):
        return Refusal(exception.status, str(exception.args[0]))
    if isinstance(exception, DatasetteError):
        slow = exception.title == "SQL Interrupted"
        # a column that cannot be sorted is a 500 for Datasette
        return Refusal(400 if exception.status == 500 else exception.status, SLOW if slow else exception.message)
    return Refusal(500, "internal error")


@hookimpl  # type: ignore[untyped-decorator]
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Bound what a query may take."""
    for limit, value in _LIMITS:
        conn.setlimit(limit, value)
    conn.execute(f"PRAGMA hard_heap_limit = {MAX_HEAP_BYTES}")
