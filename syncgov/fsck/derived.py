"""What a file derives from its log: merged states, conflicts, register tables. Compared with the refold."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from syncgov.core.fold import RowKey
from syncgov.core.merge import is_conflict, standing
from syncgov.core.register_model import Column, Register
from syncgov.fsck.opening import execute
from syncgov.fsck.refold import REGISTERS, Refold, equal, raw_state
from syncgov.fsck.report import Fix, Report
from syncgov.fsck.tables import Row, Trial, key_name, readable, rewrite_row, stored_rows, to_sql

Blob = dict[str, Any]


@dataclass(slots=True)
class Context:
    """What the checks of derived things share.

    Attributes:
        columns: table name to the columns that this file has of it.
        skip: rows that cannot be compared: unsigned changes.
        rebuild: gives every register table its declared form; None if nobody passed the writer's own function.
        hints: whether each change of a row since the last commit must have left a hint.
        unsigned: rows that differ from what was signed and may be somebody's work.
        unknown: rows whose entries are not all held, so that nobody can say what they must show.
    """

    conn: sqlite3.Connection
    refold: Refold
    report: Report
    columns: Mapping[str, Sequence[Column]]
    skip: set[RowKey] = field(default_factory=set)
    rebuild: Fix | None = None
    hints: bool = True
    unsigned: int = 0
    unknown: set[RowKey] = field(default_factory=set)

    @property
    def centre(self) -> bool:
        """Whether this is a centre, where no program writes register tables."""
        return self.report.kind == "centre"


def read_blob(raw: bytes | None) -> Blob | None:
    """Return a JSON object that the writer stored, None if it is not one."""
    try:
        return msgspec.json.decode(raw or b"{}", type=Blob)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def check_states(context: Context) -> None:
    """Findings: state, state-left."""
    conn, refold, report = context.conn, context.refold, context.report
    stored = {(t, k): (state, own) for t, k, state, own in conn.execute("SELECT tbl, key, state, own FROM _sg_row")}
    for row in sorted(stored.keys() | refold.state.keys()):
        if row in context.skip and context.centre:
            continue
        report.counts["states"] += 1
        expected = raw_state(refold.state[row]) if row in refold.state else {}
        if row not in stored:
            fix = _store_state(row, expected) if context.centre else None
            report.add("state" if context.centre else "state-left", _place(row), fix=fix)
            if fix is None:
                context.unknown.add(row)
            continue
        found = read_blob(stored[row][0])
        if found is None or not (equal(found, expected) or _equal_before(context, row, found, expected)):
            fix = _store_state(row, expected) if _may_rewrite(context, row, found) else None
            report.add("state", _place(row), ", ".join(_differing(found, expected)), fix=fix)
            if fix is None:
                context.unknown.add(row)
        if context.centre and stored[row][1] is not None:
            sql = "UPDATE _sg_row SET own = NULL WHERE tbl = ? AND key = ?"
            report.add("overlay", _place(row), fix=execute((sql, row)))


def _equal_before(context: Context, row: RowKey, found: Blob, expected: Blob) -> bool:
    """A replica that was given a record late folded it under the registers that it had then; only `before` shows it."""
    upgraded = len(context.refold.versions.get((REGISTERS, row[0]), ())) > 1
    if context.centre or not upgraded or found.keys() != expected.keys():
        return False
    pairs = [(found[name], wanted) for name, wanted in expected.items()]
    return all(
        equal(here, wanted) or (isinstance(here, list) and len(here) == len(wanted) == 2 and equal(here[0], wanted[0]))
        for here, wanted in pairs
    )


def _may_rewrite(context: Context, row: RowKey, found: Blob | None) -> bool:
    """A replica has no tree that proves that its entries are all there: what stands there may be all that is left.

    So only a row is rewritten of which every head, and every write that was replaced, is of an entry that is held.
    """
    if context.centre:
        return True
    if row in context.refold.gaps:
        return False
    if found is None:
        return True
    try:
        return {head[2] for fields in found.values() for head in fields[0]} <= context.refold.indexes
    except (TypeError, IndexError, KeyError):
        return True


def _differing(found: Blob | None, expected: Blob) -> list[str]:
    if found is None:
        return ["JSON"]
    return sorted(name for name in found.keys() | expected.keys() if not equal(found.get(name), expected.get(name)))


def _store_state(row: RowKey, state: Blob) -> Fix:
    sql = "INSERT INTO _sg_row(tbl, key, state) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state"
    return execute((sql, (*row, msgspec.json.encode(state))))


def check_conflicts(context: Context) -> None:
    """Findings: conflict."""
    found: dict[tuple[str, str], list[list[Any]]] = {}
    for table, key, *line in context.conn.execute("SELECT * FROM _sg_conflict ORDER BY tbl, key, field, idx"):
        found.setdefault((table, key), []).append([*line[:5], *map(_json, line[5:])])
    for row in sorted(found.keys() | context.refold.state.keys()):
        if row in context.unknown or (row in context.skip and context.centre):
            continue
        expected = _conflict_lines(context.refold, row)
        context.report.counts["conflicts"] += len(expected)
        if not equal(found.get(row, []), expected):
            context.report.add("conflict", _place(row), fix=_rewrite_conflict(row, expected))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _conflict_lines(refold: Refold, row: RowKey) -> list[list[Any]]:
    register = refold.newest.get(row[0])
    lines = []
    for name, state in sorted(refold.state[row].fields.items()) if row in refold.state else ():
        if not is_conflict(state.heads):
            continue
        shows = refold.value(row, name, register)
        lines += [[name, h.index, h.dev, h.seq, h.at, h.value, shows] for h in standing(state.heads)]
    return lines


def _rewrite_conflict(row: RowKey, lines: list[list[Any]]) -> Fix:
    statements: list[tuple[str, tuple[object, ...]]] = [("DELETE FROM _sg_conflict WHERE tbl = ? AND key = ?", row)]
    for *line, value, shows in lines:
        texts = (json.dumps(value, ensure_ascii=False), json.dumps(shows, ensure_ascii=False))
        statements.append(("INSERT INTO _sg_conflict VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, *line, *texts)))
    return execute(*statements)


# -- register tables --------------------


def check_tables(context: Context) -> None:
    """Findings: table-missing, table-form, table-column, trigger, row."""
    trials = {}
    for name, columns in context.columns.items():
        trials[name] = Trial(context.conn, context.refold.newest[name], columns)
    try:
        forms = {name: _form(trial, context.centre) for name, trial in trials.items()}
        context.hints = context.hints and not any(forms.values())
        whole = [name for name, form in forms.items() if not any(c.startswith("table") for c, _detail in form)]
        for name in context.columns:
            if not trials[name].missing:
                _check_rows(context, context.refold.newest[name], trials[name], named=name in whole)
        safe = context.centre or not context.unsigned
        for name, form in forms.items():
            for code, detail in form:
                fix = context.rebuild if safe and code != "table-column" else None
                context.report.add(code, name, detail, fix=fix)
    finally:
        for trial in trials.values():
            trial.close()


def _form(trial: Trial, centre: bool) -> list[tuple[str, str]]:
    """Return (code, detail) of what is wrong with a table's declaration."""
    if trial.missing:
        return [("table-missing", "")]
    extra = trial.extra()
    if extra:
        return [("table-column", ", ".join(extra))]
    problem = trial.problem()
    if problem is not None:
        return [("table-form", problem)]
    return [] if centre else [("trigger", event) for event in trial.broken_triggers()]


def _check_rows(context: Context, register: Register, trial: Trial, *, named: bool) -> None:
    """Compare every row; a row that the table cannot take may show something older."""
    columns = context.columns[register.name]
    refold = context.refold
    wanted = {key for table, key in refold.state.keys() | refold.overlay.keys() if table == register.name}
    expected = {key: refold.columns((register.name, key), register) for key in wanted if _shows(refold, register, key)}
    found = dict(stored_rows(context.conn, register, columns))
    for key in sorted(found.keys() | expected.keys()):
        if (register.name, key) in context.skip | context.unknown:
            continue
        context.report.counts["rows"] += 1
        here, must = found.get(key), expected.get(key)
        differing = _differing_columns(columns, here, must)
        if not differing:
            continue
        shown = None if must is None else {c.name: must[c.name] for c in columns}
        if shown is not None and named and not _fits(trial, register, key, shown):
            _check_unshown(context, register.name, key, here)
            continue
        if named and context.hints:
            fix = rewrite_row(register, key, here, shown, keep=not context.centre)
            context.report.add("row", f"{register.name} {key}", ", ".join(differing), fix=fix)
        else:
            context.unsigned += 1


def _check_unshown(context: Context, table: str, key: str, here: Row | None) -> None:
    """A row that its table cannot hold must be noted, or the next commit takes its absence for a deletion."""
    sql = "SELECT 1 FROM _sg_unshown WHERE tbl = ? AND key = ?"
    if here is None and context.conn.execute(sql, (table, key)).fetchone() is None:
        fix = execute(("INSERT INTO _sg_unshown VALUES (?, ?)", (table, key)))
        context.report.add("unshown", f"{table} {key}", fix=fix)


def _shows(refold: Refold, register: Register, key: str) -> bool:
    return refold.alive((register.name, key))


def _differing_columns(columns: Sequence[Column], here: Row | None, must: Row | None) -> list[str]:
    """Return the names of the columns that differ; one word if the row should be there, or not, as a whole."""
    if here is None or must is None:
        return [] if here is must else ["-" if here is None else "+"]
    return [c.name for c in columns if c.name in here and not equal(readable(c, here[c.name]), must[c.name])]


def _fits(trial: Trial, register: Register, key: str, shown: Row) -> bool:
    return trial.accepts({key_name(register): key, **{name: to_sql(value) for name, value in shown.items()}})


def _place(row: RowKey) -> str:
    return f"{row[0]} {row[1]}"


def columns_of(refold: Refold, roles: frozenset[str] | None) -> dict[str, list[Column]]:
    """Return table name to the columns that it has for *roles* (None: all, as at the centre)."""
    found = {}
    for name, register in refold.newest.items():
        fields = register.fields if roles is None else register.readable(roles)
        columns = [column for each in fields for column in each.columns]
        if columns:
            found[name] = columns
    return found
