"""Open data: every published table as CSV and JSON, with a Frictionless package. Source: protocol page, section 9."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from syncgov.core.public_rows import Cell, Table, public_columns
from syncgov.core.publication import published_registers
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Column, Register
from syncgov.publish.catalogue import catalogue, licence_text
from syncgov.publish.metadata import OWN_COLUMNS, PLAIN_TABLES, meta_values
from syncgov.publish.static_log import write_file

# A spreadsheet takes a text that begins so for a formula; an apostrophe before it makes it a text again (OWASP). A text
# that begins with an apostrophe gets one too, so that a program takes away one wherever there is one.
_FORMULA = tuple("=+-@\t\r＝＋－＠")
_GUARD = "'"
_BOM = "\ufeff"  # without it the usual office programs read Chinese as something else


def write_open_data(
    folder: Path, tables: Mapping[str, Table], registers: RegisterSet, metadata: Mapping[str, Any]
) -> None:
    """Write the tables of every register and those that explain them, with everything that describes them.

    `<table>.csv`, `excel/<table>.csv` (the same after a byte order mark), `<table>.json`, `datapackage.json`,
    `dcat.jsonld`, `LICENSE.txt`.
    """
    known = {each.name: each for each in published_registers(registers)}
    resources = []
    for name in (*known, *PLAIN_TABLES):
        data = csv_bytes(tables[name])
        write_file(folder / f"{name}.csv", data)
        write_file(folder / "excel" / f"{name}.csv", _BOM.encode() + data)
        write_file(folder / f"{name}.json", json_bytes(tables[name], known.get(name)))
        resources.append(_resource(name, data, tables, known))
    meta = meta_values(tables)
    package = {
        "name": "syncgov-public",
        "title": metadata["title"],
        "description": metadata["description"],
        "profile": "tabular-data-package",
        "licenses": [{"name": metadata["license"], "path": metadata["license_url"], "title": metadata["license"]}],
        "sources": [{"title": metadata["source"]}],
        "created": meta["as_of"],
        "resources": resources,
    }
    _write_json(folder / "datapackage.json", package)
    _write_json(folder / "dcat.jsonld", catalogue(package, meta))
    write_file(folder / "LICENSE.txt", licence_text(metadata, meta).encode())


def _write_json(path: Path, value: Any) -> None:
    write_file(path, json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n")


def csv_bytes(table: Table) -> bytes:
    """Return a table as RFC 4180 CSV, UTF-8, without texts that a spreadsheet would run."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(name for name, _kind in table.columns)
    writer.writerows([_guarded(value) for value in row] for row in table.rows)
    return text.getvalue().encode()


def _guarded(value: Cell) -> Cell:
    runs = isinstance(value, str) and (value.startswith(_GUARD) or value.lstrip(" \u3000\n").startswith(_FORMULA))
    return f"{_GUARD}{value}" if runs else value


def json_bytes(table: Table, register: Register | None) -> bytes:
    """Return a table as a JSON array with one object, and one line, for each row: exact values, nothing guarded."""
    types = {c.name: c.type for c in public_columns(register)} if register is not None else {}
    names = [name for name, _kind in table.columns]
    rows = (dict(zip(names, map(_exact, row, [types.get(n, "") for n in names]), strict=True)) for row in table.rows)
    return ("[" + ",".join("\n" + json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n").encode()


def _exact(value: Cell, kind: str) -> Any:
    if value is None:
        return None
    if kind == "boolean" and value in (0, 1):
        return bool(value)
    return json.loads(value) if kind == "list" and isinstance(value, str) and value.startswith("[") else value


# -- the package ----------------------------------------------------------------------------------------------------
# A register may have said something else when a row was written. The package promises only what all rows hold.


def _resource(name: str, data: bytes, tables: Mapping[str, Table], known: Mapping[str, Register]) -> dict[str, Any]:
    table, register = tables[name], known.get(name)
    columns = {c.name: c for c in public_columns(register)} if register is not None else {}
    values = dict(zip((each for each, _kind in table.columns), map(list, zip(*table.rows, strict=True)), strict=False))
    schema: dict[str, Any] = {
        "fields": [_field(each, kind, columns.get(each), values.get(each, [])) for each, kind in table.columns],
        "primaryKey": list(table.key),
        "missingValues": [""],
    }
    if register is not None:
        keys = [
            {"fields": [column], "reference": {"resource": _slug(other), "fields": ["key"]}}
            for column, other in _references(register, table, known)
            if set(values.get(column, [])) - {None} <= {row[0] for row in tables[other].rows}
        ]
        schema |= {"foreignKeys": keys} if keys else {}
    return {
        "name": _slug(name),
        "title": register.label if register is not None else PLAIN_TABLES[name],
        **({"description": register.help} if register is not None and register.help else {}),
        "path": f"{name}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": len(data),
        "hash": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "schema": schema,
    }


def _slug(name: str) -> str:
    return name.replace("_", "-")


def _references(register: Register, table: Table, known: Mapping[str, Register]) -> Iterator[tuple[str, str]]:
    """Yield (column, register whose key it holds), the community among them."""
    yield from ((c.name, c.ref) for c in public_columns(register) if c.ref is not None and c.ref in known)
    places = [each.name for each in known.values() if each.portal.get("place")]
    if places and "_community" in dict(table.columns):
        yield "_community", places[0]


def _field(name: str, kind: str, column: Column | None, values: list[Cell]) -> dict[str, Any]:
    stored = "integer" if kind == "INTEGER" and all(isinstance(v, int | None) for v in values) else "string"
    if column is None:
        moment = "datetime" if name in ("_created", "_updated", "received") else stored
        return {"name": name, "type": moment} | ({"title": OWN_COLUMNS[name]} if name in OWN_COLUMNS else {})
    told, holds = _TYPES.get(column.type, (stored, _always))
    field: dict[str, Any] = {"name": name, "type": told if all(map(holds, values)) else stored, "title": column.label}
    if field["type"] == "boolean":
        field |= {"trueValues": ["1"], "falseValues": ["0"]}
    if column.unit:
        field |= {"title": f"{column.label}（{column.unit}）", "unit": column.unit}
    if column.help:
        field["description"] = column.help
    codes = {each.code: each.label for each in column.choices}
    if codes and {str(value) for value in values if value is not None} <= codes.keys():
        field["constraints"] = {"enum": [int(code) if field["type"] == "integer" else code for code in codes]}
        field["labels"] = codes
    return field


def _always(_value: Cell) -> bool:
    return True


def _is(parse: Callable[[str], object]) -> Callable[[Cell], bool]:
    """Return whether a value is nothing, or a text that *parse* takes."""

    def holds(value: Cell) -> bool:
        try:
            return value is None or (isinstance(value, str) and parse(value) is not None)
        except ValueError:
            return False

    return holds


def _array(text: str) -> object:
    found = json.loads(text)
    return found if isinstance(found, list) else None


_TYPES: Mapping[str, tuple[str, Callable[[Cell], bool]]] = {
    "boolean": ("boolean", lambda value: value in (None, 0, 1)),
    "date": ("date", _is(date.fromisoformat)),
    "datetime": ("datetime", _is(datetime.fromisoformat)),
    "list": ("array", _is(_array)),
}
