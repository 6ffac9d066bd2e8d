"""Datasette plugin for a published folder: what stands on the page of one row: readable cells, evidence, history.

Source: protocol page, section 9 (tables `history`, `leaf`, `device`).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from datasette import hookimpl
from datasette.utils import tilde_encode
from markupsafe import Markup

NEWEST = 200  # log entries of one row's history that its page shows
ALIVE = "_alive"

_PLAIN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # as the portal names its pages
_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # signs that turn the reading direction
_QUOTED = '"'
_HISTORY = """
    SELECT idx, received, device, field, value, withheld, erased, shown, disputed FROM history
    WHERE register = :register AND "key" = :key AND idx >= coalesce((SELECT min(idx) FROM (
      SELECT DISTINCT idx FROM history WHERE register = :register AND "key" = :key ORDER BY idx DESC LIMIT :newest)), 0)
    ORDER BY idx, position"""
_COUNT = 'SELECT count(DISTINCT idx) FROM history WHERE register = :register AND "key" = :key'


@hookimpl  # type: ignore[untyped-decorator]
def prepare_jinja2_environment(env: Any, datasette: Any) -> None:
    """Give the templates `sg_row`; it needs `sg` of the plugin beside this one."""

    async def sg_row(database: str, table: str, keys: Sequence[str], row: Any) -> dict[str, Any]:
        return await _Teller(datasette, env.globals["sg"], database, table).tell(keys, row)

    env.globals["sg_row"] = sg_row


class _Teller:
    """Tells one row."""

    def __init__(self, datasette: Any, pages: Any, database: str, table: str) -> None:
        self._urls, self._pages, self._name, self._table = datasette.urls, pages, database, table
        self._db = datasette.get_database(database)
        self._settings = pages.settings(database, table)
        self._roles_of = (datasette.plugin_config("syncgov") or {}).get("roles", {})

    async def tell(self, keys: Sequence[str], row: Any) -> dict[str, Any]:
        """Return title, marks, cells, addresses and history of a row."""
        values = {cell["column"]: cell["raw"] for cell in row}
        found = await self._db.foreign_keys_for_table(self._table)
        refs = {each["column"]: each["other_table"] for each in found}
        history = await self._history(keys) if self._settings.get("history") else []
        parts = [part for each in history for part in each["parts"]]
        wanted = [*values.items(), *((part["column"], part["value"]) for part in parts)]
        names = await self._names(refs, wanted)
        for part in parts:
            hidden = part["value"] is None and part["marks"]
            part["shown"] = "" if hidden else self._shown({}, part["column"], part["value"], refs, names)
        evidence = str(values.get("_evidence") or "")
        return {
            "title": self._title(keys, values),
            "marks": list(_marks(values)),
            "cells": list(self._cells(values, refs, names)),
            "evidence": self._urls.path("/" + evidence) if evidence else "",
            "check": self._urls.path(f"/portal/check.html#{quote('../' + evidence, safe='/~.')}"),
            "page": self._page(keys, values),
            "history": history,
            "more": await self._more(keys, len(history)),
        }

    def _title(self, keys: Sequence[str], values: Mapping[str, Any]) -> str:
        said = [str(values[name]) for name in self._settings.get("title", ()) if values.get(name)]
        number = str(values.get("_no") or ", ".join(keys))
        told = _TURNS.sub("", " ".join(said) or number)
        return f"{self._pages.table_label(self._name, self._table)}：{told}"

    def _cells(self, values: Mapping[str, Any], refs: Mapping[str, str], names: Any) -> Iterator[dict[str, Any]]:
        described = dict(self._pages.columns(self._name, self._table))
        for name, value in values.items():
            yield {
                "name": name,
                "label": self._pages.column(self._name, self._table, name),
                "help": described.get(name, ""),
                "shown": self._shown(values, name, value, refs, names),
            }

    def _shown(self, row: Any, column: str, value: Any, refs: Mapping[str, str], names: Any) -> Any:
        """Return a cell; a reference is a link to what it refers to, by its name."""
        name = names.get((refs.get(column), value)) if isinstance(value, str) else None
        if name is None:
            return self._pages.cell(self._name, self._table, row, column, value)
        address = self._urls.row(self._name, refs[column], tilde_encode(value))
        return Markup('<a href="{}">{}</a>').format(address, _TURNS.sub("", name))

    async def _names(
        self, refs: Mapping[str, str], wanted: Iterable[tuple[str, Any]]
    ) -> dict[tuple[str | None, Any], str]:
        """Return (table, key) -> name of each row that is referred to and exists."""
        keys: dict[str, set[str]] = {}
        for column, value in wanted:
            if column in refs and isinstance(value, str) and value:
                keys.setdefault(refs[column], set()).add(value)
        found: dict[tuple[str | None, Any], str] = {}
        for table, asked in keys.items():
            label = await self._db.label_column_for_table(table) or "key"
            places = ", ".join(f":k{n}" for n in range(len(asked)))
            sql = f'SELECT "key", {_quoted(label)} FROM {_quoted(table)} WHERE "key" IN ({places})'
            rows = await self._db.execute(sql, {f"k{n}": key for n, key in enumerate(sorted(asked))})
            found |= {(table, each[0]): str(each[1] or each[0]) for each in rows.rows}
        return found

    # history --------------------------------------------------------------------------------------------------------

    async def _history(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return the newest log entries that wrote to the row, the earliest first, each with what it wrote."""
        asked = {"register": self._table, "key": keys[0], "newest": NEWEST}
        entries: dict[int, dict[str, Any]] = {}
        for each in (await self._db.execute(_HISTORY, asked)).rows:
            entry = entries.setdefault(each["idx"], _entry(each))
            if each["field"] != ALIVE:
                entry["parts"] += self._parts(each)
            elif each["value"] != "true":
                entry["parts"].append(_part(each, ALIVE, "记录", "已撤下"))
        known = await self._devices({entry["device"] for entry in entries.values()})
        for entry in entries.values():
            certified = entry["device"] in known  # a device without certificate that is accepted is the charter's
            roles = "、".join(self._role(role) for role in known.get(entry["device"], ()))
            entry["roles"] = roles if certified else f"{self._role('registrar')}（章程指定）"
            entry["device_link"] = self._urls.row(self._name, "device", entry["device"]) if certified else ""
        return list(entries.values())

    def _role(self, code: str) -> str:
        return str(self._roles_of.get(code, code))

    def _parts(self, write: Any) -> Iterator[dict[str, Any]]:
        """Yield the columns that one write fills."""
        fields: Mapping[str, str] = self._settings.get("fields", {})
        columns = [column for column, field in fields.items() if field == write["field"]] or [write["field"]]
        if write["value"] is None:
            label = self._settings.get("field_labels", {}).get(write["field"])
            yield _part(write, "", label or self._pages.column(self._name, self._table, columns[0]), None)
            return
        value = json.loads(write["value"])
        written = value if len(columns) > 1 and isinstance(value, dict) else {columns[0]: value}
        for column, each in written.items():
            if len(columns) == 1 or each is not None:
                yield _part(write, column, self._pages.column(self._name, self._table, column), _stored(each))

    async def _devices(self, devices: set[str]) -> dict[str, Sequence[str]]:
        """Return the roles of each device that is published."""
        if not devices or not await self._db.table_exists("device"):
            return {}
        places = ", ".join(f":d{n}" for n in range(len(devices)))
        sql = f'SELECT "key", roles FROM device WHERE "key" IN ({places})'
        rows = await self._db.execute(sql, {f"d{n}": key for n, key in enumerate(sorted(devices))})
        return {each["key"]: json.loads(each["roles"] or "[]") for each in rows.rows}

    async def _more(self, keys: Sequence[str], shown: int) -> str:
        """Return the address of the whole history, '' where it is shown."""
        if shown < NEWEST:
            return ""
        count = await self._db.execute(_COUNT, {"register": self._table, "key": keys[0]})
        if count.rows[0][0] <= shown:
            return ""
        return f"{self._urls.query(self._name, 'row_history')}?register={quote(self._table)}&key={quote(keys[0])}"

    def _page(self, keys: Sequence[str], values: Mapping[str, Any]) -> str:
        """Return the address of the row's page on the portal, '' where it has none."""
        kind, wanted = self._settings.get("page", ""), self._settings.get("page_where", {})
        if not kind or any(str(values.get(column)) not in codes for column, codes in wanted.items()):
            return ""
        if kind == "row":
            slug = keys[0] if _PLAIN_KEY.fullmatch(keys[0]) else _hashed(keys[0])
            return str(self._urls.path(f"/portal/r/{self._table}/k-{quote(slug)}.html"))
        return str(self._urls.path(f"/portal/record.html#{quote(f'{self._table}/{keys[0]}', safe='/')}"))


def _entry(write: Any) -> dict[str, Any]:
    received = str(write["received"])[:16].replace("T", " ")
    return {"index": write["idx"], "received": received, "device": str(write["device"]), "parts": []}


def _part(write: Any, column: str, label: str, value: Any) -> dict[str, Any]:
    marks = ["不予公开"] * bool(write["withheld"]) + ["已删除"] * bool(write["erased"])
    marks += ["有争议"] * bool(write["disputed"]) + ["现在的值"] * bool(write["shown"] and not marks)
    return {"label": label, "column": column, "value": value, "marks": marks}


def _stored(value: Any) -> Any:
    """Return a value of the log as its column stores it."""
    if isinstance(value, bool):
        return int(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _marks(values: Mapping[str, Any]) -> Iterator[str]:
    if values.get("_conflict"):
        yield "冲突待裁定"
    if values.get("_disputed"):
        yield "有争议"


def _quoted(name: str) -> str:
    return _QUOTED + name.replace(_QUOTED, _QUOTED * 2) + _QUOTED


def _hashed(key: str) -> str:
    return "_" + hashlib.sha256(key.encode()).hexdigest()[:20]
