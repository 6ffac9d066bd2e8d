"""Open311 GeoReport v2, read only, live from public.db: the static answers of `open311/v2`, with GeoReport's filters.

Source: wiki.open311.org/GeoReport_v2; protocol page, section 9.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from datasette import hookimpl
from datasette.utils.asgi import Response

from syncgov.core import open311
from syncgov.core.public_rows import BEIJING, Table
from syncgov.core.register import RegisterSet, parse_register

DATABASE = "public"
MAX_IDS = 100  # of one question

_TYPES = {"json": "application/json; charset=utf-8", "xml": "text/xml; charset=utf-8"}
_SOURCES: WeakKeyDictionary[Any, open311.Source | None] = WeakKeyDictionary()  # public.db never changes while served
_STATES = ("open", "closed")


class _RefusedError(Exception):
    """A question that is answered with an error: HTTP status, what is wrong."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


@hookimpl  # type: ignore[untyped-decorator]
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Answer below `/open311/v2/`."""
    return [(r"^/open311/v2/(?P<name>[^/]+(?:/[^/]+)?)\.(?P<kind>json|xml)$", answer)]


async def answer(request: Any, datasette: Any) -> Any:
    """Return one answer, or GeoReport's list of errors."""
    name, kind = request.url_vars["name"], request.url_vars["kind"]
    status, root = 200, "service_requests"
    try:
        meta = await _meta(datasette)
        if request.args.get("jurisdiction_id", meta["area"]) not in ("", meta["area"]):
            raise _RefusedError(404, "jurisdiction_id provided was not found")
        root, value = await _value(name, request, datasette, meta)
    except _RefusedError as error:
        status, root, value = error.status, "errors", [{"code": error.status, "description": str(error)}]
    body = open311.format_answer(root, value, kind).decode()
    headers = {"access-control-allow-origin": "*", "x-content-type-options": "nosniff"}
    return Response(body, status=status, headers=headers, content_type=_TYPES[kind])


async def _meta(datasette: Any) -> Mapping[str, str]:
    found = await datasette.get_database(DATABASE).execute("SELECT key, value FROM meta")
    return dict(tuple(row) for row in found.rows)


async def _value(name: str, request: Any, datasette: Any, meta: Mapping[str, str]) -> tuple[str, Any]:
    """Return the root element and what is in it."""
    if request.method != "GET":
        raise _RefusedError(405, "read only")
    source = await _source(datasette)
    if source is None:
        raise _RefusedError(404, "no requests are published here")
    if name == "discovery":
        return "discovery", open311.discovery(meta, datasette.absolute_url(request, "/open311/v2/"))
    if name == "services":
        return "services", open311.services(source)
    kind, _, number = name.partition("/")
    if kind != "requests":
        raise _RefusedError(404, "not found")
    where, values = ([f'"{source.number}" = ?'], [_plain(number)]) if number else _filters(source, request.args)
    found = await _requests(source, datasette, where, values)
    if number and not found:
        raise _RefusedError(404, "service_request_id provided was not found")
    return "service_requests", found


async def _requests(source: open311.Source, datasette: Any, where: Sequence[str], values: Sequence[str]) -> list[Any]:
    condition = " AND ".join(where) or "true"
    sql = f'SELECT * FROM "{source.register}" WHERE {condition} ORDER BY rowid DESC LIMIT {open311.MAX_REQUESTS}'
    # a function, because the row limit of the pages is lower than GeoReport's
    found = await datasette.get_database(DATABASE).execute_fn(lambda conn: _rows(conn, sql, values))
    return [open311.request(source, row) for row in found]


def _rows(conn: Any, sql: str, values: Sequence[str] = ()) -> list[dict[str, Any]]:
    cursor = conn.execute(sql, values)
    names = [each[0] for each in cursor.description]
    return [dict(zip(names, tuple(row), strict=True)) for row in cursor]


def _filters(source: open311.Source, args: Any) -> tuple[list[str], list[str]]:
    """Return conditions and values; numbers override everything else."""
    if numbers := [each for each in (args.get("service_request_id") or "").split(",") if each]:
        return [_among(source.number, numbers)], numbers
    where: list[str] = []
    values: list[str] = []
    for name, sign in (("start_date", ">="), ("end_date", "<=")):
        if given := args.get(name):
            where.append(f'"_created" {sign} ?')
            values.append(_beijing(name, given))
    if codes := [each for each in (args.get("service_code") or "").split(",") if each]:
        where.append(_among(source.columns["service"], codes))
        values += codes
    states = {each for each in (args.get("status") or "").split(",") if each}
    if states - set(_STATES):
        raise _RefusedError(400, "status must be open or closed")
    if len(states) == 1:
        done = _among(source.columns["closed"], sorted(source.closed))
        where.append(done if "closed" in states else f"({done}) IS NOT true")
        values += sorted(source.closed)
    return where, values


def _among(column: str, values: Sequence[str]) -> str:
    if len(values) > MAX_IDS:
        raise _RefusedError(400, f"more than {MAX_IDS} values")
    return f'"{column}" IN ({", ".join("?" * len(values))})'


def _beijing(name: str, given: str) -> str:
    try:
        # a plus sign in an address stands for a space
        moment = datetime.fromisoformat(given.strip().replace(" ", "+"))
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=BEIJING)
        return moment.astimezone(BEIJING).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        raise _RefusedError(400, f"{name} must be a time such as 2026-11-21T00:00:00Z") from None


def _plain(name: str) -> str:
    """Return the number that a static file is named after."""
    raw = re.sub(rb"~([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), name.encode())
    return raw.decode(errors="replace")


# -- the source -----------------------------------------------------------------------------------------------------


async def _source(datasette: Any) -> open311.Source | None:
    """Return what the registers in public.db declare, read once."""
    if datasette not in _SOURCES:
        _SOURCES[datasette] = await datasette.get_database(DATABASE).execute_fn(_read_source)
    return _SOURCES[datasette]


def _read_source(conn: Any) -> open311.Source | None:
    rows = _rows(conn, "SELECT name, text FROM register")
    registers = RegisterSet(parse_register(row["text"], row["name"]) for row in rows)
    register = open311.find_register(registers)
    if register is None:
        return None
    agency = register.portal["open311"].get("agency")
    named = {c.ref for c in register.columns if c.name == agency and c.ref is not None}
    named |= {name for name, each in registers.items() if each.portal.get("place")}
    tables = {name: _table(conn, name) for name in sorted(named & registers.keys())}
    return open311.make_source(register, tables, registers)


def _table(conn: Any, name: str) -> Table:
    rows = _rows(conn, f'SELECT * FROM "{name}"')
    names = list(rows[0]) if rows else ["key"]
    return Table(tuple((each, "") for each in names), ("key",), [tuple(row.values()) for row in rows])
