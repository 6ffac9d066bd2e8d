"""Matters as Open311 GeoReport v2 tells them: services, requests, discovery, as JSON and as XML.

Which register they come from and which columns say what is declared in the register's `portal: open311:`. Static files
and the live answers of `browse` are made here, and the audit makes them again. Source: wiki.open311.org/GeoReport_v2;
protocol page, section 9.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncgov.core.public_rows import Cell, Table, file_name, public_columns
from syncgov.core.publication import published_registers
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Register

FOLDER = "open311/v2"
MAX_REQUESTS = 1000  # of one answer, as GeoReport says
SPECIFICATION = "http://wiki.open311.org/GeoReport_v2"
FORMATS = ("json", "xml")

_ESCAPED = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", 0xFFFE: None, 0xFFFF: None}
_ESCAPED |= {point: None for point in range(0x20) if point not in (0x09, 0x0A)}  # no XML document can hold them
# the members of a list in XML
_ITEMS = {"services": "service", "service_requests": "request", "endpoints": "endpoint", "errors": "error"}
_ITEMS |= {"formats": "format"}


@dataclass(frozen=True, slots=True)
class Source:
    """What requests are made with.

    Attributes:
        register: its name. columns: what GeoReport asks for -> column of the register.
        closed: values of column `columns["closed"]` that mean that nothing more is done.
        number: column whose value is the request's number.
        services: code -> label. states, agencies, places: value -> words.
        description: what the register is.
    """

    register: str
    columns: Mapping[str, str]
    closed: frozenset[str]
    number: str
    services: Mapping[str, str]
    states: Mapping[str, str]
    agencies: Mapping[str, str]
    places: Mapping[str, str]
    description: str


def find_register(registers: RegisterSet) -> Register | None:
    """Return the register that declares `open311`; the set's check admits one only."""
    return next((each for each in published_registers(registers) if each.portal.get("open311")), None)


def make_source(register: Register, tables: Mapping[str, Table], registers: RegisterSet) -> Source:
    """Return the source that *register* declares, with the words of the other tables."""
    declared = register.portal["open311"]
    columns = {c.name: c for c in public_columns(register)}
    ((state, closed),) = declared["closed"].items()
    wanted = {name: column for name, column in declared.items() if name != "closed"} | {"closed": state}
    agency = columns.get(wanted.get("agency", ""))
    agencies = {c.code: c.label for c in agency.choices} if agency is not None else {}
    if agency is not None and agency.ref is not None and agency.ref in registers and agency.ref in tables:
        agencies = _titles(registers[agency.ref], tables[agency.ref])
    places = [each for each in published_registers(registers) if each.portal.get("place")]
    return Source(
        register=register.name,
        columns=wanted,
        closed=frozenset(closed),
        number="_no" if register.number else "key",
        services={c.code: c.label for c in columns[wanted["service"]].choices},
        states={c.code: c.label for c in columns[state].choices},
        agencies=agencies,
        places=_titles(places[0], tables[places[0].name]) if places else {},
        description=register.label,
    )


def _titles(register: Register, table: Table) -> dict[str, str]:
    """Return key -> title of each row of a register that others refer to."""
    names = [name for name, _kind in table.columns]
    wanted = [names.index(name) for name in register.portal.get("title", ("name",)) if name in names]
    key = names.index("key")
    return {str(row[key]): " ".join(str(row[i]) for i in wanted if row[i] is not None) for row in table.rows}


# -- values ---------------------------------------------------------------------------------------------------------


def services(source: Source) -> list[dict[str, Any]]:
    """Return the kinds of requests."""
    return [
        {
            "service_code": code,
            "service_name": label,
            "description": label,
            "metadata": False,
            "type": "realtime",
            "keywords": "",
            "group": source.description,
        }
        for code, label in source.services.items()
    ]


def request(source: Source, row: Mapping[str, Cell]) -> dict[str, Any]:
    """Return one request; what is not known, or not public, is None."""

    def cell(name: str) -> Cell:
        return row.get(source.columns.get(name, ""))

    service, state, agency = cell("service"), cell("closed"), cell("agency")
    place = row.get("_community")
    return {
        "service_request_id": str(row[source.number]),
        "status": "closed" if state in source.closed else "open",
        "status_notes": cell("notes") or source.states.get(str(state)),
        "service_name": source.services.get(str(service), service),
        "service_code": service,
        "description": cell("description"),
        "agency_responsible": source.agencies.get(str(agency), agency),
        "service_notice": None,
        "requested_datetime": row["_created"],
        "updated_datetime": row["_updated"],
        "expected_datetime": _moment(cell("expected")),
        "address": source.places.get(str(place), place),
        "address_id": place,
        "zipcode": None,
        "lat": _degrees(cell("lat")),
        "long": _degrees(cell("long")),
        "media_url": None,
    }


def _moment(value: Cell) -> Cell:
    """Return the last second of a day in Beijing; a time stays what it is."""
    return f"{value}T23:59:59+08:00" if isinstance(value, str) and len(value) == len("2026-11-21") else value


def _degrees(value: Cell) -> float | None:
    return value / 1_000_000 if isinstance(value, int) else None


def discovery(meta: Mapping[str, str], url: str) -> dict[str, Any]:
    """Return the description of the endpoint at *url*."""
    endpoint = {
        "specification": SPECIFICATION,
        "url": url,
        "changeset": meta["as_of"],
        "type": "test" if meta["simulated"] == "1" else "production",
        "formats": ["application/json", "text/xml"],
    }
    head = {"changeset": meta["as_of"], "contact": meta["name"], "key_service": "", "max_requests": MAX_REQUESTS}
    return {**head, "endpoints": [endpoint]}


# -- bytes ----------------------------------------------------------------------------------------------------------


def format_answer(name: str, value: Any, kind: str) -> bytes:
    """Return an answer as `json` or `xml`; in XML *name* is the root element."""
    if kind == "json":
        return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"
    return f'<?xml version="1.0" encoding="utf-8"?>\n{"".join(_xml(name, value))}\n'.encode()


def _xml(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        inner: Iterable[str] = (part for key, each in value.items() for part in _xml(key, each))
    elif isinstance(value, list):
        inner = (part for each in value for part in _xml(_ITEMS[name], each))
    else:
        inner = (_text(value),)
    yield f"<{name}>"
    yield from inner
    yield f"</{name}>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).translate(_ESCAPED)


def files(tables: Mapping[str, Table], registers: RegisterSet) -> Iterator[tuple[str, bytes]]:
    """Yield (path in the published folder, bytes) of every file; none where no register declares `open311`.

    `requests` holds the newest thousand, `requests-2` and so on those before, `requests/<number>` one.
    """
    register = find_register(registers)
    if register is None:
        return
    source = make_source(register, tables, registers)
    meta = {str(row[0]): str(row[1]) for row in tables["meta"].rows}
    yield from _both("discovery", "discovery", discovery(meta, "./"))
    yield from _both("services", "services", services(source))
    found = _newest_first(source, tables[register.name])
    for start in range(0, max(1, len(found)), MAX_REQUESTS):
        name = f"requests-{start // MAX_REQUESTS + 1}" if start else "requests"
        yield from _both(name, "service_requests", found[start : start + MAX_REQUESTS])
    for each in found:
        yield from _both(f"requests/{file_name(each['service_request_id'])}", "service_requests", [each])


def _newest_first(source: Source, table: Table) -> list[dict[str, Any]]:
    names = [name for name, _kind in table.columns]
    rows: Sequence[tuple[Cell, ...]] = table.rows  # the earliest first
    return [request(source, dict(zip(names, row, strict=True))) for row in reversed(rows)]


def _both(path: str, name: str, value: Any) -> Iterator[tuple[str, bytes]]:
    for kind in FORMATS:
        yield f"{FOLDER}/{path}.{kind}", format_answer(name, value, kind)
