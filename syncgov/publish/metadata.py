"""Datasette's metadata: datasette_metadata.yml, merged with what the registers and the finished public.db say."""

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from portal import words
from syncgov.core.public_rows import public_columns, public_fields
from syncgov.core.publication import Table, published_registers, search_columns
from syncgov.core.register import Register, RegisterSet
from syncgov.core.register_model import Column
from syncgov.errors import InputError

DATABASE = "public"  # the name that Datasette gives to public.db
PLUGIN = "syncgov"  # under which the plugin finds its settings

_PARAMETER = re.compile(r":([A-Za-z_]\w*)")
SORTABLE_LENGTH = 100  # characters; the address of the next page holds the value that it begins after
# The tables beside those of the registers that are published as files too, with what they are called.
PLAIN_TABLES = {
    "figure": "公布的数字",
    "figure_part": "公布的数字，分项",
    "label": "代码表",
    "column": "栏目",
    "withheld": "不予公开",
    "conflict": "冲突",
    "declared": "由中心声明",
    "obligation": "应公开事项",
}
OWN_COLUMNS = {
    "key": "主键",
    "_no": "编号",
    "_community": "社区",
    "_month": "月份",
    "_created": "首次记入日志",
    "_updated": "最近记入日志",
    "_withheld": "不予公开的字段",
    "_erased": "已删除的字段",
    "_conflict": "冲突待裁定的字段数",
    "_disputed": "有争议的字段数",
    "_evidence": "签名证据",
}


def template_path() -> Path:
    """Return datasette_metadata.yml: beside the portal's modules when installed, at the top of a checkout."""
    installed = Path(str(resources.files("portal"))) / "datasette_metadata.yml"
    return installed if installed.is_file() else installed.parents[1] / installed.name


def make_metadata(public_db: Path, tables: Mapping[str, Table], registers: RegisterSet) -> dict[str, Any]:
    """Return the metadata of a finished public.db.

    Queries of the template that this place's registers cannot answer are left out.

    Raises:
        InputError: the template cannot be used.
    """
    path = template_path()
    try:
        metadata: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        database = metadata["databases"][DATABASE]
        described, queries = database["tables"], database["queries"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"无法使用 {path}：{error}", f"cannot use {path}: {error}") from error
    known = published_registers(registers)
    dumped = {*PLAIN_TABLES, *(each.name for each in known)}
    database["tables"] = {name: spec for name, spec in described.items() if name in tables or name == "figure"}
    for register in known:
        own = _describe(register, {column for column, _kind in tables[register.name].columns})
        database["tables"][register.name] = _merged(own, database["tables"].get(register.name, {}))
    roles = _roles(known)
    for name, spec in database["tables"].items():
        plain = {"labels": _plain_labels(set(spec.get("columns", ())), registers), "dump": name in dumped}
        if name in registers:  # which has labels of its own
            plain = {"members": {"roles": roles} if "roles" in spec["columns"] else {}, "dump": True}
        spec["plugins"] = _merged({PLUGIN: plain}, spec.get("plugins", {}))
    with closing(sqlite3.connect(f"{public_db.absolute().as_uri()}?mode=ro", uri=True)) as conn:
        usable = {name: spec for name, spec in queries.items() if _runs(conn, spec["sql"])}
    database["queries"] = usable | dict(_figure_queries(known)) | dict(_search_queries(known))
    metadata["plugins"] = {PLUGIN: {"roles": roles}}
    meta = meta_values(tables)
    metadata["title"] = f"{meta['name']}公开库" + ("（演示数据）" if meta["simulated"] == "1" else "")
    metadata["description"] = f"{metadata.get('description', '')}截至 {meta['as_of'][:16].replace('T', ' ')}。"
    return metadata


def meta_values(tables: Mapping[str, Table]) -> dict[str, str]:
    """Return table `meta` as a mapping."""
    return {str(row[0]): str(row[1]) for row in tables["meta"].rows}


def format_metadata(metadata: Mapping[str, Any]) -> bytes:
    """Return the bytes of metadata.json."""
    return json.dumps(metadata, ensure_ascii=False, indent=1).encode() + b"\n"


def _runs(conn: sqlite3.Connection, sql: str) -> bool:
    """Whether a query can be prepared: its tables and columns are there."""
    parameters = dict.fromkeys(_PARAMETER.findall(sql), "")
    try:
        conn.create_function("escape_fts", 1, str)
        conn.execute(f"EXPLAIN {sql}", parameters)
    except sqlite3.OperationalError:
        return False
    return True


def _describe(register: Register, present: set[str]) -> dict[str, Any]:
    """Return title, columns, order and search of a register's table."""
    columns = {c.name: _column_text(c) for c in public_columns(register)}
    own = {name: text for name, text in OWN_COLUMNS.items() if name in present}
    long = {c.name for c in public_columns(register) if c.type == "list" or _is_long(c)}
    found: dict[str, Any] = {
        "title": register.label,
        "description": register.help,
        "columns": {**own, **columns, "key": register.key_label if register.key == "natural" else "主键"},
        "sortable_columns": sorted(present - long - {"_withheld", "_erased", "_evidence"}),
        "plugins": {PLUGIN: _plugin_settings(register)},
    }
    titles = [name for name in register.portal.get("title", ()) if name in columns]
    if titles:
        found["label_column"] = titles[0]
    if register.key == "uuid":
        found["sort_desc"] = "_created"
    if search_columns(register):
        found |= {"fts_table": f"{register.name}_fts", "fts_pk": "rowid"}
    return found


def _is_long(column: Column) -> bool:
    return column.type == "text" and column.max_length > SORTABLE_LENGTH


def _column_text(column: Column) -> str:
    unit = f"（{column.unit}）" if column.unit else ""
    return f"{column.label}{unit}{'。' + column.help if column.help else ''}"


def _plugin_settings(register: Register) -> dict[str, Any]:
    """Return what the plugins show a row with: labels of columns, codes and members, units, fields, its page."""
    columns, fields = public_columns(register), public_fields(register)
    portal = register.portal
    shown = portal.get("page", "list") if portal and not portal.get("place") else "none"
    found: dict[str, Any] = {
        "names": {c.name: c.label for c in columns},
        "labels": {c.name: {choice.code: choice.label for choice in c.choices} for c in columns if c.choices},
        "members": {c.name: {item.code: item.label for item in c.items} for c in columns if c.items},
        "fields": {c.name: each.name for each in fields for c in each.columns},
        "field_labels": {each.name: each.label for each in fields},
        "money": [c.name for c in columns if c.type == "money"],
        "booleans": [c.name for c in columns if c.type == "boolean"],
        "units": {c.name: c.unit for c in columns if c.unit and c.type == "integer"},
        "title": [name for name in portal.get("title", ()) if name in {c.name for c in columns}],
        "history": True,
    }
    if shown != "none":
        found |= {"page": shown, "page_where": portal.get("where") or {}}
    if register.key == "uuid":
        found["random_keys"] = True
    return found


def _plain_labels(columns: set[str], registers: RegisterSet) -> dict[str, dict[str, str]]:
    """Return the words for codes that the protocol gives, in the columns of a table that hold such codes."""
    verdicts = ("accepted", *(f"refused:{reason}" for reason in words.REFUSALS))
    fields = {each.name: each.label for register in registers.values() for each in public_fields(register)}
    known = {
        "register": {name: each.label for name, each in registers.items()},
        "verdict": {code: words.verdict(code) for code in verdicts},
        "field": fields | {"_alive": "记录本身"} | OWN_COLUMNS,
        "by": {c.name: c.label for register in registers.values() for c in public_columns(register)} | OWN_COLUMNS,
        "reason": words.ERASURES | words.WITHHOLDINGS | {"law": "法律规定"},
    }
    return {column: dict(codes) for column, codes in known.items() if column in columns}


def _roles(known: list[Register]) -> dict[str, str]:
    """Return what people call each role: by the code list that names it, else the usual words."""
    codes = {c.code: c.label for each in known for column in public_columns(each) for c in column.choices}
    roles = {role for each in known for role in each.write} | words.ROLES.keys()
    return {role: codes.get(role, words.role(role)) for role in sorted(roles)}


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return two trees as one; where both say something, *second* does."""
    found = dict(first)
    for name, value in second.items():
        both = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = _merged(found[name], value) if both else value
    return found


def _figure_queries(known: list[Register]) -> Iterator[tuple[str, dict[str, Any]]]:
    for register in known:
        for figure in register.figures:
            sql = f"SELECT ({figure.n}) AS n" + (f", ({figure.d}) AS d" if figure.d else "")
            note = f"{figure.note}公布的数字见“{PLAIN_TABLES['figure']}”表。"
            spec = {"title": f"{figure.label}怎么算", "description": note, "sql": sql, "sort_of": "figures"}
            yield f"figure_{figure.id}", spec | {"columns": {"n": "分子（或数量）", "d": "分母"}}


def _search_queries(known: list[Register]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a search of each register with texts, the newest first: much faster than the table's own sorted search."""
    for register in known:
        if search_columns(register):
            sql = (
                f'SELECT t.* FROM "{register.name}_fts" AS f JOIN "{register.name}" AS t ON t.rowid = f.rowid '
                f'WHERE f."{register.name}_fts" MATCH escape_fts(:q) ORDER BY f.rowid DESC LIMIT 100'
            )
            spec = {
                "title": f"查找{register.label}",
                "sql": sql,
                "params": ["q"],
                "parameter_labels": {"q": "要找的文字"},
            }
            yield f"search_{register.name}", spec | {"of": register.name, "sort_of": "search"}
