"""Open data: every published table as CSV, described by a Frictionless datapackage.json."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from syncgov.core.public_rows import Cell, public_columns
from syncgov.core.publication import Table, published_registers
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Column, Register
from syncgov.publish.metadata import meta_values
from syncgov.publish.static_log import write_file

# A spreadsheet takes a text that begins so for a formula; a leading apostrophe makes it a text again (OWASP).
_FORMULA = tuple("=+-@\t\r＝＋－＠")
_SAFE = "'"
_BOM = "\ufeff"  # without it the usual office programs read Chinese as something else
_PLAIN_TABLES = ("figure", "figure_part", "label", "column", "withheld", "conflict", "declared")
_TYPES = {"boolean": "boolean", "date": "date", "list": "array", "datetime": "datetime"}


def write_open_data(
    folder: Path, tables: Mapping[str, Table], registers: RegisterSet, metadata: Mapping[str, Any]
) -> None:
    """Write `<table>.csv` of every register and of the tables that explain them, and `datapackage.json`."""
    known = {each.name: each for each in published_registers(registers)}
    resources = []
    for name in (*known, *_PLAIN_TABLES):
        data = csv_bytes(tables[name])
        write_file(folder / f"{name}.csv", data)
        resources.append(_resource(name, tables[name], data, known))
    package = {
        "name": "syncgov-public",
        "title": metadata["title"],
        "description": metadata["description"],
        "profile": "tabular-data-package",
        "licenses": [{"name": metadata["license"], "path": metadata["license_url"], "title": metadata["license"]}],
        "sources": [{"title": metadata["source"]}],
        "created": meta_values(tables)["as_of"],
        "resources": resources,
    }
    write_file(folder / "datapackage.json", json.dumps(package, ensure_ascii=False, indent=1).encode() + b"\n")


def csv_bytes(table: Table) -> bytes:
    """Return a table as RFC 4180 CSV, UTF-8 with a byte order mark, without texts that a spreadsheet would run."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(name for name, _kind in table.columns)
    writer.writerows([_cell(value) for value in row] for row in table.rows)
    return (_BOM + text.getvalue()).encode()


def _cell(value: Cell) -> Cell:
    return _SAFE + value if isinstance(value, str) and value.lstrip(" \u3000\n").startswith(_FORMULA) else value


def _resource(name: str, table: Table, data: bytes, known: Mapping[str, Register]) -> dict[str, Any]:
    register = known.get(name)
    columns = {c.name: c for c in public_columns(register)} if register is not None else {}
    schema: dict[str, Any] = {
        "fields": [_field(column, kind, columns.get(column)) for column, kind in table.columns],
        "primaryKey": list(table.key),
        "missingValues": [""],
    }
    references = list(_references(columns.values(), known))
    if references:
        schema["foreignKeys"] = references
    return {
        "name": name.replace("_", "-"),
        "title": register.label if register is not None else name,
        "path": f"{name}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": len(data),
        "hash": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "schema": schema,
    }


def _field(name: str, kind: str, column: Column | None) -> dict[str, Any]:
    if column is None:
        return {"name": name, "type": "integer" if kind == "INTEGER" else "string"}
    field: dict[str, Any] = {
        "name": name,
        "type": _TYPES.get(column.type, "integer" if kind == "INTEGER" else "string"),
        "title": column.label + (f"（{column.unit}）" if column.unit else ""),
    }
    if column.type == "boolean":
        field |= {"trueValues": ["1"], "falseValues": ["0"]}
    if column.help:
        field["description"] = column.help
    if column.choices:
        field["constraints"] = {"enum": [int(c.code) if kind == "INTEGER" else c.code for c in column.choices]}
    return field


def _references(columns: Iterable[Column], known: Mapping[str, Register]) -> Iterator[dict[str, Any]]:
    for column in columns:
        if column.ref in known and column.ref is not None:
            target = {"resource": column.ref.replace("_", "-"), "fields": ["key"]}
            yield {"fields": [column.name], "reference": target}
