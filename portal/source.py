"""Reading public.db, read-only. All SQL of the portal is here."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from portal.errors import PortalError
from portal.model import (
    COMMUNITY,
    MONTH,
    Column,
    Figure,
    Head,
    Layout,
    Nearby,
    Obligation,
    Part,
    Register,
    Row,
    Step,
    parse_flow,
    parse_layout,
    parse_timeline,
)

OBLIGATION = "obligation"  # the table of what had to be made public
PROTOCOL_VERSION = "1"  # of the public.db that these pages understand


_UPGRADE = ("请先升级：pip install --upgrade syncgov", "upgrade first: pip install --upgrade syncgov")
_AGAIN = ("请重新公开：syncgov publish 中心 公开文件夹", "publish again: syncgov publish CENTRE PUBLIC")


def quote(name: str) -> str:
    """Return *name* as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def open_source(path: Path) -> Iterator["Source"]:
    """Open public.db read-only.

    Raises:
        PortalError: not a file, not such a database, or one of another version.
    """
    if not path.is_file():
        raise PortalError(
            f"找不到 {path}；请先运行 syncgov publish", f"no such file: {path}; run syncgov publish first"
        )
    conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    conn.row_factory = sqlite3.Row
    try:
        yield Source(conn)
    except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
        raise PortalError(
            f"{path} 不是可用的公开库：{error}；{_AGAIN[0]}", f"{path} is not a usable public.db: {error}; {_AGAIN[1]}"
        ) from error
    finally:
        conn.close()


class Source:
    """The published database, as the pages ask it."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._counts: dict[str, Mapping[str, int]] = {}
        self.meta: Mapping[str, str] = {row["key"]: row["value"] or "" for row in conn.execute("SELECT * FROM meta")}
        version = self.meta.get("protocol_version")
        if version != PROTOCOL_VERSION:
            newer = bool(version) and str(version).isdecimal() and int(str(version)[:9]) > int(PROTOCOL_VERSION)
            remedy = _UPGRADE if newer else _AGAIN
            raise PortalError(
                f"公开库 public.db 是协议第 {version or '？'} 版的，本程序只认第 {PROTOCOL_VERSION} 版；{remedy[0]}",
                f"public.db is of protocol version {version or '?'}, these pages need {PROTOCOL_VERSION}; {remedy[1]}",
            )
        self.registers: Mapping[str, Register] = {item.name: item for item in self._registers()}
        self.places: Mapping[str, str] = self._places()

    # registers ------------------------------------------------------------------------------------------------------

    def _registers(self) -> Iterator[Register]:
        """Yield the registers that have a public table."""
        for row in self._conn.execute("SELECT * FROM register ORDER BY name").fetchall():
            present = self._present(row["name"])
            if not present:
                continue
            block = json.loads(row["portal"] or "null") or {}
            layout = parse_layout(row["name"], row["label"], block)
            declared = _declared(row["name"], row["text"] or "")
            codes = self._codes(row["name"])
            fields = {name: spec for name, spec in declared.get("fields", {}).items() if isinstance(spec, dict)}
            yield Register(
                name=row["name"],
                label=row["label"],
                help=row["help"] or "",
                columns=self._columns(row["name"], fields),
                codes=codes,
                groups={name: tuple(spec.get("group") or (name,)) for name, spec in fields.items()},
                key_label=str(declared.get("key_label") or "编号") if declared.get("key") == "natural" else "",
                layout=layout,
                paged=bool(block) and layout.page != "none",
                flow=parse_flow(declared, codes),
                present=present,
                count=self._count(row["name"], layout),
                timeline=parse_timeline(block, declared.get("workflow") or {}),
                searched=self._searched(row["name"]),
            )

    def _count(self, table: str, layout: Layout) -> int:
        where, codes = _where(layout)
        count: int = self._conn.execute(f"SELECT count(*) FROM {quote(table)} WHERE {where}", codes).fetchone()[0]
        return count

    def _present(self, table: str) -> frozenset[str]:
        return frozenset(row[0] for row in self._conn.execute("SELECT name FROM pragma_table_info(?)", [table]))

    def _columns(self, register: str, fields: Mapping[str, Any]) -> Mapping[str, Column]:
        refs = _refs(fields)
        sql = 'SELECT name, label, type, unit, help FROM "column" WHERE register = ? ORDER BY position'
        return {
            row["name"]: Column(
                row["name"],
                row["label"],
                row["type"],
                row["unit"] or "",
                row["help"] or "",
                refs.get(row["name"]),
            )
            for row in self._conn.execute(sql, [register])
        }

    def _searched(self, register: str) -> tuple[str, ...]:
        sql = 'SELECT name FROM "column" WHERE register = ? AND public_text ORDER BY position'
        return tuple(row["name"] for row in self._conn.execute(sql, [register]))

    def _codes(self, register: str) -> Mapping[str, Mapping[str, str]]:
        codes: dict[str, dict[str, str]] = {}
        sql = 'SELECT "column", code, label FROM label WHERE register = ? ORDER BY position'
        for column, code, text in self._conn.execute(sql, [register]):
            codes.setdefault(column, {})[code] = text
        return codes

    # rows -----------------------------------------------------------------------------------------------------------

    def rows(
        self, register: Register, community: str | None = None, limit: int = -1, first: Sequence[str] = ()
    ) -> list[Row]:
        """Return the listed rows: by key where each has a page, else the newest first.

        Args:
            community: only those of this community ('': of none).
            limit: how many at most; -1: all.
            first: columns to sort by before.
        """
        return list(self.each(register, community, limit, first))

    def each(
        self, register: Register, community: str | None = None, limit: int = -1, first: Sequence[str] = ()
    ) -> Iterator[Row]:
        """Yield what `rows` returns, one at a time: there may be more than memory holds."""
        where, codes = _where(register.layout)
        if community is not None:
            where, codes = f"{where} AND coalesce({self._column(register, COMMUNITY)}, '') = ?", [*codes, community]
        order = ['"key"'] if register.layout.page == "row" else [f"{self._column(register, '_created')} DESC", '"key"']
        order = [f"{quote(name)} NULLS LAST" for name in first if name in register.present] + order
        sql = f"SELECT * FROM {quote(register.name)} WHERE {where} ORDER BY {', '.join(order)} LIMIT ?"
        return (Row(register, dict(row)) for row in self._conn.execute(sql, [*codes, limit]))

    def nearby(self, register: Register, community: str, limit: int = -1) -> list[Row]:
        """Return the rows that a community's page shows of a register, by key."""
        where, given = _nearby_where(register, community)
        area = register.layout.nearby.area if register.layout.nearby else ""
        order = f"length({quote(area)}) DESC, " if area else ""  # the community's own before those of wider areas
        sql = f'SELECT * FROM {quote(register.name)} WHERE {where} ORDER BY {order}"key" LIMIT ?'
        return [Row(register, dict(row)) for row in self._conn.execute(sql, [*given, limit])]

    def nearby_counts(self, register: Register, community: str) -> dict[str, int]:
        """Return the number of a community's rows by the code that its page counts by; '' where there is no code."""
        nearby = register.layout.nearby
        if nearby is None or nearby.count_by not in register.present:
            return {}
        where, given = _nearby_where(register, community)
        column = f"coalesce({quote(nearby.count_by)}, '')"
        sql = f"SELECT {column}, count(*) FROM {quote(register.name)} WHERE {where} GROUP BY 1 ORDER BY 1"
        return dict(self._conn.execute(sql, given).fetchall())

    def in_month(self, register: Register, community: str, month: str, limit: int) -> list[Row]:
        """Return a community's rows of one month, by key."""
        if not {COMMUNITY, MONTH} <= register.present:
            return []
        sql = f"""
            SELECT * FROM {quote(register.name)} WHERE {quote(COMMUNITY)} = ? AND {quote(MONTH)} = ?
            ORDER BY "key" LIMIT ?"""
        return [Row(register, dict(row)) for row in self._conn.execute(sql, [community, month, limit])]

    def _column(self, register: Register, name: str) -> str:
        return quote(name) if name in register.present else "NULL"

    def find(self, register: Register, key: str) -> Row | None:
        """Return the row with *key*, if it lives."""
        found = self._conn.execute(f'SELECT * FROM {quote(register.name)} WHERE "key" = ?', [key]).fetchone()
        return Row(register, dict(found)) if found else None

    def newest(self, registers: Sequence[Register], limit: int, community: str | None = None) -> list[Row]:
        """Return the listed rows that changed last, the newest first, across *registers*.

        Args:
            community: only those of this community.
            limit: how many at most.
        """
        found: list[Row] = []
        for register in registers:
            where, codes = _where(register.layout)
            if community is not None:
                where, codes = f"{where} AND {self._column(register, COMMUNITY)} = ?", [*codes, community]
            sql = f"""SELECT * FROM {quote(register.name)} WHERE {where}
                ORDER BY {self._column(register, "_updated")} DESC, "key" LIMIT ?"""
            found += [Row(register, dict(row)) for row in self._conn.execute(sql, [*codes, limit])]
        found.sort(
            key=lambda row: str(row.values.get("_updated") or ""), reverse=True
        )  # stable: registers stay in order
        return found[:limit]

    def steps(self, register: Register, field: str, key: str) -> list[Step]:
        """Return what was written to *field* of a row, in log order; what was erased is no step."""
        sql = """
            SELECT value, received, device FROM history
            WHERE register = ? AND "key" = ? AND field = ? AND NOT erased ORDER BY idx, position"""
        found = self._conn.execute(sql, [register.name, key, field])
        return [Step(_json(row["value"]), row["received"], row["device"]) for row in found]

    def roles(self) -> Mapping[str, frozenset[str]]:
        """Return the roles that each device holds, by device id."""
        if not self._present("device"):
            return {}
        found = self._conn.execute('SELECT "key", roles FROM device').fetchall()
        return {row["key"]: frozenset(_json(row["roles"]) or ()) for row in found}

    def counts(self, register: Register) -> Mapping[str, int]:
        """Return the number of listed rows by community code; '' for rows without one."""
        if register.name not in self._counts:
            where, codes = _where(register.layout)
            column = f"coalesce({self._column(register, COMMUNITY)}, '')"
            sql = f"SELECT {column}, count(*) FROM {quote(register.name)} WHERE {where} GROUP BY 1 ORDER BY 1"
            self._counts[register.name] = dict(self._conn.execute(sql, codes).fetchall())
        return self._counts[register.name]

    def tally(self, register: Register, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return (community, value of each of *columns*, number) of the listed rows; '' where there is no community."""
        where, codes = _where(register.layout)
        wanted = ", ".join([f"coalesce({self._column(register, COMMUNITY)}, '')", *map(quote, columns)])
        groups = ", ".join(str(at + 1) for at in range(len(columns) + 1))
        sql = f"SELECT {wanted}, count(*) FROM {quote(register.name)} WHERE {where} GROUP BY {groups} ORDER BY {groups}"
        return [tuple(row) for row in self._conn.execute(sql, codes)]

    def names(self, register: Register) -> Mapping[str, str]:
        """Return the title of each row by its key, for columns that refer to it."""
        columns = [name for name in register.layout.title if name in register.present]
        wanted = ", ".join(['"key"', *map(quote, columns)])
        found = self._conn.execute(f"SELECT {wanted} FROM {quote(register.name)}")
        return {row[0]: " ".join(str(part) for part in row[1:] if part is not None) or row[0] for row in found}

    def _places(self) -> Mapping[str, str]:
        """Return the name of every area that a listed row belongs to, by code."""
        codes = {code for register in self.registers.values() for code in self.counts(register)} - {""}
        names: dict[str, str] = {}
        for register in self.registers.values():
            if register.layout.place:
                names |= self.names(register)
        return {code: names.get(code) or code for code in sorted(codes)}

    # the calendar ---------------------------------------------------------------------------------------------------

    def calendar(self, register: Register, today: str) -> list[tuple[str, str, str, int]]:
        """Return (community, month, state, number) of a register with a calendar; `""` where there is none of these.

        States: `on_time`, `late`, `overdue` (not yet public), `pending`, `open` (no day was set).
        """
        place = f"coalesce({self._column(register, COMMUNITY)}, '')"
        sql = f"""SELECT {place}, coalesce(substr(_due, 1, 7), ''), _state, count(*)
            FROM ({self._dated(register)}) GROUP BY 1, 2, 3 ORDER BY 1, 2 DESC, 3"""
        return [tuple(row) for row in self._conn.execute(sql, {"today": today})]

    def catalogued(self, register: Register) -> Register | None:
        """Return the catalogue that a register's acts are of, if `obligation` tells what of it was due."""
        column = register.columns.get(register.layout.calendar.get("item", ""))
        known = self.registers.get(column.ref or "") if column is not None else None
        return known if self._present(OBLIGATION) else None

    def obligation_counts(self) -> list[tuple[str, str, str, int]]:
        """Return (community, month, state, number) of all that was due; `""` where there is none of these."""
        sql = """
            SELECT coalesce(_community, ''), coalesce(_month, ''), state, count(*) FROM obligation
            GROUP BY 1, 2, 3 ORDER BY 1, 2 DESC, 3"""
        return [tuple(row) for row in self._conn.execute(sql)]

    def obligations(self, community: str, state: str, limit: int) -> list[Obligation]:
        """Return what was due in a community and is in one state, the longest due first."""
        sql = """
            SELECT item, place, period, source, coalesce(due, ''), coalesce(done, ''), state, key FROM obligation
            WHERE coalesce(_community, '') = ? AND state = ? ORDER BY due, item, period, key LIMIT ?"""
        return [Obligation(*row) for row in self._conn.execute(sql, [community, state, limit])]

    def obligations_by_item(self) -> list[tuple[str, str, int]]:
        """Return (item, state, number) of all that was due."""
        sql = "SELECT item, state, count(*) FROM obligation GROUP BY 1, 2 ORDER BY 1, 2"
        return [tuple(row) for row in self._conn.execute(sql)]

    def dated(self, register: Register, today: str, state: str, community: str, limit: int) -> list[Row]:
        """Return the rows in one state of the calendar, those due first before the others."""
        sql = f"""SELECT * FROM ({self._dated(register)}) WHERE _state = :state
            AND coalesce({self._column(register, COMMUNITY)}, '') = :community ORDER BY _due, "key" LIMIT :limit"""
        values = {"today": today, "state": state, "community": community, "limit": limit}
        return [Row(register, dict(row)) for row in self._conn.execute(sql, values)]

    def _dated(self, register: Register) -> str:
        """Return the query of a register's rows with `_due` and `_state`, which no register can declare."""
        due, done = (self._column(register, register.layout.calendar[name]) for name in ("due", "done"))
        state = f"""CASE WHEN {due} IS NULL THEN 'open' WHEN {done} <= {due} THEN 'on_time'
            WHEN {done} IS NOT NULL THEN 'late' WHEN {due} < :today THEN 'overdue' ELSE 'pending' END"""
        return f"SELECT {due} AS _due, {state} AS _state, * FROM {quote(register.name)}"

    # the record about the record ------------------------------------------------------------------------------------

    def figures(self) -> list[Figure]:
        """Return the published figures in order."""
        sql = """
            SELECT id, coalesce(register, ''), label, n, d, text,
                coalesce(unit, ''), coalesce(note, ''), coalesce(sql_n, ''), coalesce(sql_d, ''), kind
            FROM figure ORDER BY position, id"""
        return [Figure(*row) for row in self._conn.execute(sql)]

    def parts(self, by: str, part: str = "") -> list[Part]:
        """Return the figures broken down by the columns *by* (separated by spaces), in order.

        Args:
            part: only this one; "": all.
        """
        sql = """
            SELECT figure, "by", part, n, d, text FROM figure_part
            WHERE "by" = ? AND (? = '' OR part = ?) ORDER BY position"""
        return [Part(*row) for row in self._conn.execute(sql, [by, part, part])]

    def breakdowns(self) -> dict[str, list[str]]:
        """Return the columns that each figure is broken down by, one at a time, in order."""
        found: dict[str, list[str]] = {}
        sql = 'SELECT figure, "by" FROM figure_part WHERE instr("by", \' \') = 0 GROUP BY 1, 2 ORDER BY min(position)'
        for figure, by in self._conn.execute(sql):
            found.setdefault(figure, []).append(by)
        return found

    def verdicts(self) -> list[tuple[str, int]]:
        """Return each verdict of the log with its number, the most frequent first."""
        return self._pairs("SELECT verdict, count(*) FROM leaf GROUP BY 1 ORDER BY 2 DESC, 1")

    def withheld(self, kind: str) -> list[tuple[str, str, str, int]]:
        """Return (register, field, reason, number) of what is hidden: *kind* is `withholding` or `erasure`."""
        sql = """
            SELECT register, field, reason, count(*) FROM withheld WHERE kind = ?
            GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3"""
        return [tuple(row) for row in self._conn.execute(sql, (kind,))]

    def withheld_in(self, register: Register, community: str) -> int:
        """Return the number of a community's rows that show at least one field as withheld."""
        where = f"{quote(COMMUNITY)} = ? AND coalesce(_withheld, '') <> ''"
        sql = f"SELECT count(*) FROM {quote(register.name)} WHERE {where}"
        return int(self._conn.execute(sql, [community]).fetchone()[0])

    def declared(self) -> list[tuple[str, int, str]]:
        """Return (label, value, unit or note) of the figures that only the centre can know."""
        return [tuple(row) for row in self._conn.execute("SELECT label, value, note FROM declared ORDER BY rowid")]

    def disputed(self) -> int:
        """Return the number of accepted log entries that are in dispute."""
        return int(self._conn.execute("SELECT count(*) FROM leaf WHERE disputed").fetchone()[0])

    def conflicts(self) -> tuple[int, int]:
        """Return the numbers of fields in conflict and of their rows."""
        sql = (
            "SELECT count(*), count(DISTINCT register || char(0) || key) FROM "
            "(SELECT DISTINCT register, key, field FROM conflict)"
        )
        fields, rows = self._conn.execute(sql).fetchone()
        return fields, rows

    def conflict_heads(self, limit: int) -> list[Head]:
        """Return the competing values of the newest *limit* fields in conflict, each field's together."""
        sql = """
            SELECT c.register, c.key, c.field, c.value, c.shown, c.received FROM conflict AS c
            JOIN (SELECT register, key, field, max(idx) AS newest FROM conflict GROUP BY 1, 2, 3
                  ORDER BY newest DESC LIMIT ?) AS n USING (register, key, field)
            ORDER BY n.newest DESC, c.register, c.key, c.field, c.idx"""
        return [
            Head(row[0], row[1], row[2], _json(row[3]), bool(row[4]), str(row[5]))
            for row in self._conn.execute(sql, [limit])
        ]

    def _pairs(self, sql: str) -> list[tuple[str, int]]:
        return [(row[0], row[1]) for row in self._conn.execute(sql)]


def _where(layout: Layout) -> tuple[str, list[str]]:
    """Return the condition that a row is listed, and its arguments."""
    parts = [f"{quote(column)} IN ({', '.join('?' * len(codes))})" for column, codes in layout.where.items()]
    return " AND ".join(parts) or "true", [code for codes in layout.where.values() for code in codes]


def _nearby_where(register: Register, community: str) -> tuple[str, list[str]]:
    """Return the condition that a row stands on the page of *community*, and its arguments."""
    nearby = register.layout.nearby or Nearby("")
    parts = [f"{quote(column)} IN ({', '.join('?' * len(codes))})" for column, codes in nearby.where.items()]
    given = [code for codes in nearby.where.values() for code in codes]
    if nearby.area:
        area = quote(nearby.area)
        return " AND ".join([*parts, f"{area} <> '' AND substr(?, 1, length({area})) = {area}"]), [*given, community]
    if COMMUNITY not in register.present:
        return "false", []
    return " AND ".join([*parts, f"{quote(COMMUNITY)} = ?"]), [*given, community]


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _declared(name: str, text: str) -> Mapping[str, Any]:
    """Return what a register's text says: the columns of a group, what a column refers to, the key's name."""
    try:
        parsed = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PortalError(
            f"公开库里登记册 {name} 的文本读不出来：{error}", f"text of register {name} in public.db: {error}"
        ) from error
    return parsed if isinstance(parsed, dict) else {}


def _refs(fields: Mapping[str, Any]) -> Mapping[str, str]:
    """Return, by column, the register that it refers to."""
    parts = {
        column: part for name, spec in fields.items() for column, part in (spec.get("group") or {name: spec}).items()
    }
    return {column: part["ref"] for column, part in parts.items() if isinstance(part, dict) and "ref" in part}
