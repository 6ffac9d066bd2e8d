"""Every base table of public.db, as a pure function of the public part of the log.

`publish` writes them, `audit` makes them again and compares. Source: protocol page, section 9.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from syncgov.core.canonical import b64
from syncgov.core.charter import open_charter
from syncgov.core.commitment import Value, Write, parse_path
from syncgov.core.disputes import is_disputed
from syncgov.core.fold import Slot, Withheld, withheld_slots
from syncgov.core.merge import ERASED, WITHHELD, same, shown
from syncgov.core.note import parse_checkpoint, parse_note
from syncgov.core.obligations import TABLE as OBLIGATION
from syncgov.core.obligations import empty_obligations, obligations
from syncgov.core.public_log import (
    PublicLeaf,
    PublicState,
    PublicWrite,
    fold_public,
    public_writes,
    slot_key,
)
from syncgov.core.public_rows import (
    Cell,
    Table,
    evidence_path,
    format_json,
    format_time,
    last_good,
    lives,
    make_table,
    plain,
    public_columns,
    rows_table,
    shown_in,
    split_fields,
)
from syncgov.core.register import Register, RegisterSet
from syncgov.core.register_model import Figure
from syncgov.core.statement import PROTOCOL_VERSION
from syncgov.core.workdays import WorkCalendar, working_calendar

__all__ = [
    "PublicLeaf",
    "PublicLog",
    "PublicState",
    "Table",
    "empty_tables",
    "evidence_path",
    "figure_rows",
    "fold_public",
    "newest_publication",
    "part_rows",
    "public_tables",
    "published_registers",
    "search_columns",
]

# System registers with a table of their own; what the others say is in `register`, `withheld`, `declared` and `meta`.
SYSTEM_TABLES = ("device", "staff_key")
_META = "key value"
MONTH = "_month"
NEWEST_MONTHS = 13  # of a breakdown by month and something else: a year, and the same month of the year before


@dataclass(frozen=True, slots=True)
class PublicLog:
    """What the tables are made from.

    Attributes:
        charter: the signed envelope. checkpoint: the signed note.
        leaves: every leaf below the checkpoint, in order.
        registers: the register set active at the checkpoint's size.
    """

    charter: bytes
    checkpoint: str
    leaves: Sequence[PublicLeaf]
    registers: RegisterSet


def public_tables(log: PublicLog, state: PublicState) -> dict[str, Table]:
    """Return the base tables by name. The figures are not among them: see `figure_rows`.

    Args:
        state: what the public part folds to, as `fold_public` gives it.
    """
    hidden = withheld_slots(state)
    writes = list(public_writes(log.leaves, hidden))
    registers = published_registers(log.registers)
    known = lives(writes)
    rows = {each.name: rows_table(each, state, known) for each in registers}
    working = working_calendar(registers, rows)
    meta = _meta(log, state)
    (today,) = (str(value)[: len("2026-11-22")] for key, value in meta.rows if key == "as_of")
    return {
        "meta": meta,
        **_declarations(registers),
        "leaf": _leaves(log, last_good(state), working),
        "history": _history(writes, log.registers, state),
        "conflict": _conflicts(registers, log.leaves, state),
        "withheld": _withheld(hidden, log.leaves),
        "declared": _declared(state),
        OBLIGATION: obligations(registers, rows, working, today),
        **rows,
    }


def empty_tables(registers: RegisterSet) -> dict[str, Table]:
    """Return the base tables by name as they are without any row, which is what the SQL of a figure may ask."""
    known = published_registers(registers)
    tables = {
        "meta": make_table(_META, "key", ()),
        **_declarations(known),
        "leaf": _leaves(PublicLog(b"", "", (), registers), {}, WorkCalendar({}, {})),
        "history": _history((), registers, {}),
        "conflict": _conflicts(known, (), {}),
        "withheld": _withheld({}, ()),
        "declared": _declared({}),
        OBLIGATION: empty_obligations(),
        **{each.name: rows_table(each, {}, {}) for each in known},
    }
    return {name: replace(table, rows=[]) for name, table in tables.items()}


def published_registers(registers: RegisterSet) -> list[Register]:
    """Return the registers that get a table, by name: those whose rows the public may count."""
    wanted = (each for each in registers.values() if not each.system or each.name in SYSTEM_TABLES)
    return [each for each in wanted if each.row_class == "public"]


def search_columns(register: Register) -> list[str]:
    """Return the columns with words that people search for; the outline of an area is none."""
    if register.system:
        return []
    texts = (c for c in public_columns(register) if c.type in ("text", "list") and c.ref is None)
    return [c.name for c in texts if c.name != register.outline]


# -- the log --------------------------------------------------------------------------------------------------------


def _meta(log: PublicLog, state: PublicState) -> Table:
    charter = open_charter(log.charter)
    checkpoint = parse_checkpoint(parse_note(log.checkpoint).text)
    _key, newest = newest_publication(state)
    as_of = newest.get("as_of")
    as_of_ms = as_of if isinstance(as_of, int) else 0
    values = {
        "name": charter.name,
        "origin": charter.origin,
        "area": charter.area,
        "as_of": format_time(as_of_ms),
        "as_of_ms": str(as_of_ms),
        "size": str(checkpoint.size),
        "root": b64(checkpoint.root),
        "simulated": "1" if charter.simulated else "0",
        "protocol_version": str(PROTOCOL_VERSION),
        "checkpoint": log.checkpoint,
        "charter": log.charter.decode(),
    }
    return make_table(_META, "key", values.items())


def newest_publication(state: PublicState) -> tuple[str, dict[str, Value]]:
    """Return key and fields of the publication that was logged last; ("", {}) before the first."""
    rows = {key: row for (table, key), row in state.items() if table == "publication" and row.alive}
    if not rows:
        return "", {}
    key = max(rows, key=lambda key: max(head.index for field in rows[key].fields.values() for head in field.heads))
    return key, {name: plain(shown(field, None, None)) for name, field in rows[key].fields.items()}


def _declared(state: PublicState) -> Table:
    """What only the centre can know, as its newest publication says."""
    items = newest_publication(state)[1].get("declared")
    rows: dict[str, tuple[Cell, ...]] = {}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("value"), int):
            rows.setdefault(item["name"], (item["name"], int(item["value"]), _text(item, "label"), _text(item, "note")))
    return make_table("name value:INTEGER label note", "name", rows.values())


def _text(item: Mapping[str, Any], name: str) -> str:
    found = item.get(name)
    return found if isinstance(found, str) else ""


def _leaves(log: PublicLog, doubt: Mapping[str, int], working: WorkCalendar) -> Table:
    """Return every leaf; `delay`: seconds from signing to receipt, `worked`: working seconds by then."""
    rows = []
    for each in log.leaves:
        st = each.leaf.changeset.statement
        record = _record(each.writes, log.registers)
        mark = int(each.leaf.accepted and is_disputed(doubt, st.dot))
        received = each.leaf.received
        times = (max(0, received - st.at) // 1000, working.worked(received))
        rows.append((each.index, format_time(received), *st.dot, each.leaf.verdict, *record, mark, *times))
    columns = "idx:INTEGER received device seq:INTEGER verdict register key disputed:INTEGER"
    return make_table(f"{columns} delay:INTEGER worked:INTEGER", "idx", rows)


def _record(writes: Iterable[tuple[int, Write]], registers: RegisterSet) -> tuple[str | None, str | None]:
    """Return the row that a changeset is about: that of a register without a parent, if it wrote to one."""
    first: tuple[str | None, str | None] = (None, None)
    for _position, write in writes:
        path = parse_path(write.path)
        register = registers.get(path.table)
        if register is not None and register.parent is None:
            return (path.table, path.key)
        if first[0] is None:
            first = (path.table, path.key)
    return first


def _history(writes: Iterable[PublicWrite], registers: RegisterSet, state: PublicState) -> Table:
    """Every accepted public write; `shown` where it is a head and what it says is what shows."""
    rows, doubt = [], last_good(state)
    for write in writes:
        path = write.path
        row = state[write.row]
        is_head = any(head.index == write.index for head in row.fields[path.field].heads)
        shows = is_head and same(shown_in(row, registers.get(path.table), path.field), write.value)
        rows.append(
            (
                write.index,
                write.position,
                *path,
                format_json(write.value),
                int(write.value is WITHHELD),
                int(write.value is ERASED),
                format_time(write.leaf.received),
                write.leaf.changeset.statement.dev,
                int(shows),
                int(is_disputed(doubt, write.leaf.changeset.statement.dot)),
            )
        )
    columns = "idx:INTEGER position:INTEGER register key field value withheld:INTEGER erased:INTEGER"
    return make_table(f"{columns} received device shown:INTEGER disputed:INTEGER", "idx position", rows)


def _conflicts(registers: Sequence[Register], leaves: Sequence[PublicLeaf], state: PublicState) -> Table:
    """Every head of every field whose heads differ, of living rows."""
    known, doubt = {each.name: each for each in registers}, last_good(state)
    rows: list[tuple[Cell, ...]] = []
    for row in sorted(state):
        register = known.get(row[0])
        if register is None or not state[row].alive:
            continue
        for name in split_fields(register, state[row]):
            shows = shown_in(state[row], register, name)
            for head in sorted(state[row].fields[name].heads, key=lambda head: head.index):
                said = (format_json(head.value), int(same(head.value, shows)))
                received = format_time(leaves[head.index].leaf.received)
                mark = int(is_disputed(doubt, head.dot))
                rows.append((*row, name, head.index, *said, received, head.dev, mark))
    columns = "register key field idx:INTEGER value shown:INTEGER received device disputed:INTEGER"
    return make_table(columns, "register key field idx", rows)


def _withheld(hidden: Mapping[Slot, Withheld], leaves: Sequence[PublicLeaf]) -> Table:
    """What is withheld or erased; rows that name a write that is not there, or is disclosed, hide nothing.

    `kind`: the register whose row says so.
    """
    known = {each.leaf.changeset.statement.dot: each for each in leaves if each.leaf.accepted}
    rows: list[tuple[Cell, ...]] = []
    for slot in sorted(hidden):
        leaf = known.get(slot[0])
        if leaf is None or slot[1] >= leaf.leaf.changeset.statement.pub or slot[1] in dict(leaf.writes):
            continue
        named = hidden[slot]
        rows.append((len(rows) + 1, named.path, *parse_path(named.path), named.table, named.reason, slot_key(slot)))
    return make_table("id:INTEGER path register key field kind reason dot", "id", rows)


# -- declarations ---------------------------------------------------------------------------------------------------


def _declarations(registers: Sequence[Register]) -> dict[str, Table]:
    """Tables `register`, `column` and `label`."""
    register_rows: list[tuple[Cell, ...]] = []
    column_rows: list[tuple[Cell, ...]] = []
    label_rows: list[tuple[Cell, ...]] = []
    for each in registers:
        portal = json.dumps(dict(each.portal), ensure_ascii=False, sort_keys=True)
        register_rows.append((each.name, each.label, each.version, each.help, each.text, portal, 1))
        searched = search_columns(each)
        for position, column in enumerate(public_columns(each)):
            described = (column.label, column.type, column.unit, column.help, position, int(column.name in searched))
            column_rows.append((each.name, column.name, *described))
            label_rows += [(each.name, column.name, c.code, c.label, i) for i, c in enumerate(column.choices)]
    return {
        "register": make_table("name label version:INTEGER help text portal skeleton:INTEGER", "name", register_rows),
        "column": make_table(
            "register name label type unit help position:INTEGER public_text:INTEGER", "register name", column_rows
        ),
        "label": make_table("register column code label position:INTEGER", "register column code", label_rows),
    }


def figure_rows(registers: RegisterSet, ask: Callable[[str], Any]) -> Table:
    """Return table `figure`.

    Args:
        ask: runs one SELECT over the other tables and returns its first value, None without a row.
    """
    rows: list[tuple[Cell, ...]] = []
    for register in published_registers(registers):
        for figure in register.figures:
            n, d = ask(figure.n), ask(figure.d) if figure.d else None
            text = figure.format(n, d)
            described = (figure.unit, figure.note, len(rows), figure.n, figure.d or None)
            rows.append((figure.id, register.name, figure.label, figure.kind, _number(n, figure), d, text, *described))
    columns = "id register label kind n:INTEGER d:INTEGER text unit note position:INTEGER sql_n sql_d"
    return make_table(columns, "id", rows)


def part_rows(registers: RegisterSet, tables: Mapping[str, Table], ask: Callable[[str], Any]) -> Table:
    """Return table `figure_part`: every figure once more over each part of its register that it is declared by.

    Args:
        tables: the base tables; their rows say which parts there are.
        ask: as of `figure_rows`.
    """
    rows: list[tuple[Cell, ...]] = []
    for register in published_registers(registers):
        for figure in register.figures:
            for columns in figure.by:
                for part in _parts(tables[figure.of or register.name], columns):
                    restrict = _restriction(figure.of or register.name, columns, part)
                    n, d = ask(restrict + figure.n), ask(restrict + figure.d) if figure.d else None
                    name = (figure.id, " ".join(columns), " ".join(map(str, part)))
                    rows.append((*name, _number(n, figure), d, figure.format(n, d), len(rows)))
    return make_table("figure by part n:INTEGER d:INTEGER text position:INTEGER", "figure by part", rows)


def _parts(table: Table, columns: Sequence[str]) -> list[tuple[Cell, ...]]:
    """Return the values of *columns* together that occur, in order; rows without one are in no part.

    Months stand last in `columns` by custom; of a breakdown by two columns only the newest months are kept, so that the
    number of parts does not grow with the years.
    """
    names = [name for name, _kind in table.columns]
    if not set(columns) <= set(names):
        return []
    places = [names.index(column) for column in columns]
    found = {tuple(row[place] for place in places) for row in table.rows}
    whole = sorted((part for part in found if None not in part), key=lambda part: tuple(map(str, part)))
    if len(columns) == 1 or MONTH not in columns:
        return whole
    at = columns.index(MONTH)
    newest = sorted({str(part[at]) for part in whole})[-NEWEST_MONTHS:]
    return [part for part in whole if part[at] in newest]


def _restriction(table: str, columns: Sequence[str], part: Sequence[Cell]) -> str:
    """Return the WITH clause that stands before a figure's SQL, so that it sees only one part of its table."""
    quoted = [f"{_quote(name)} = {_literal(value)}" for name, value in zip(columns, part, strict=True)]
    name = _quote(table)
    return f"WITH {name} AS (SELECT * FROM main.{name} WHERE {' AND '.join(quoted)}) "


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Cell) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _number(n: Any, figure: Figure) -> Cell:
    return n if figure.kind != "text" and isinstance(n, int) else None
