"""Sending refused work again: the values that were kept, corrected, over what the record shows now.

Source: protocol page, sections 6 and 11.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncgov.core.commitment import Value, parse_body
from syncgov.core.register_model import Register
from syncgov.core.statement import parse_changeset
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.capture import FieldWrite, RowChange, field_writes
from syncgov.storage.connection import transaction
from syncgov.storage.labels import own_writes
from syncgov.storage.refusals import refusal
from syncgov.storage.replica import Replica
from syncgov.storage.rights import record_of_row, require_signed, require_writable
from syncgov.storage.state import RowKey, StoredRow, load_row
from syncgov.storage.status import Change, Stage, resubmitted, status
from syncgov.storage.wording import Language

# the device itself is the reason: its work goes on under another key
OTHER_KEY = frozenset({"fork", "revoked", "rejected"})


@dataclass(frozen=True, slots=True)
class Resubmitted:
    """A refused changeset and the new one that says the same, corrected."""

    seq: int
    new_seq: int
    record: RowKey


def resubmittable(replica: Replica, language: Language = "zh") -> list[Change]:
    """Return the refused changes that can be sent again, in the order in which they were written."""
    refused = (change for change in status(replica, language).changes if change.stage is Stage.REFUSED)
    return [change for change in refused if change.code not in OTHER_KEY and change.values]


def resubmit(
    replica: Replica,
    seqs: Sequence[int],
    staff: str | None = None,
    corrections: Mapping[str, Value] | None = None,
) -> list[Resubmitted]:
    """Write the values of refused changesets again, over what their records show now; all or none.

    Args:
        corrections: column -> value, instead of what was refused; for one changeset only. A column of the record, or
            `register.column` for a child's.

    Raises:
        InputError: no such refused changeset, or values that still do not fit.
        NotAllowedError: this device may not write them, or it is the device that was refused.
    """
    if corrections and len(seqs) != 1:
        raise InputError("改正的值只能用于一条变更，请写明编号", "corrections are for one change; give its number")
    with transaction(replica.conn):
        require_signed(replica)
        return [_resubmit(replica, seq, staff, corrections or {}) for seq in sorted(set(seqs))]


def _resubmit(replica: Replica, seq: int, staff: str | None, corrections: Mapping[str, Value]) -> Resubmitted:
    _require_refused(replica, seq)
    rows = _changes(replica, seq)
    if not rows:
        raise InputError(f"#{seq} 的内容已从本终端清除", f"the content of #{seq} has been purged from this device")
    if not any(change.fields for change in rows.values()) and _is_emptied(replica, seq):
        raise InputError(f"#{seq} 的内容已依法删除", f"the content of #{seq} has been erased")
    _correct(replica, rows, seq, corrections)
    writes: list[FieldWrite] = []
    for row, change in rows.items():
        register = replica.registers[row[0]]
        stored = load_row(replica.conn, row)
        _check(register, change, stored)
        writes += field_writes(register, change, stored)
    require_writable(replica, writes)
    records = {record_of_row(replica, row, writes) for row in rows}
    if len(records) != 1:
        raise InputError(f"#{seq} 的各行不属于同一条记录", f"the rows of #{seq} are not of one record")
    (record,) = records
    new_seq = replica.sign(record, writes, staff, f"重新提交 #{seq}")
    replica.meta.set(resubmitted=json.dumps({**resubmitted(replica), seq: new_seq}))
    return Resubmitted(seq, new_seq, record)


def _require_refused(replica: Replica, seq: int) -> None:
    found = replica.conn.execute("SELECT coalesce(verdict, sent, '') FROM _sg_own WHERE seq = ?", (seq,)).fetchone()
    verdict = "" if found is None else str(found[0])
    code = verdict.removeprefix("refused:")
    if code in OTHER_KEY:
        why, _remedy = refusal(verdict).words("zh")
        raise NotAllowedError(
            f"#{seq} 被退回是因为{why}；请用 syncgov rejoin 重新登记，或由主管用 syncgov adopt 补签",
            f"#{seq} was refused because of this device ({code}); enrol again with `syncgov rejoin`, or let a "
            "supervisor `syncgov adopt` it",
        )
    again = resubmitted(replica).get(seq)
    if again is not None:
        raise InputError(f"#{seq} 已重新提交为 #{again}", f"#{seq} was sent again as #{again}")
    if not verdict.startswith("refused:"):
        raise InputError(f"#{seq} 没有被退回", f"#{seq} was not refused")


def _is_emptied(replica: Replica, seq: int) -> bool:
    """Whether something of an own changeset was erased: a body of one's own is whole otherwise."""
    envelope, raw_body = replica.conn.execute("SELECT envelope, body FROM _sg_own WHERE seq = ?", (seq,)).fetchone()
    return None in parse_body(raw_body, parse_changeset(envelope).statement.pub).writes


def _changes(replica: Replica, seq: int) -> dict[RowKey, RowChange]:
    """Return what the changeset wrote, row by row; the skeleton is made anew."""
    rows: dict[RowKey, RowChange] = {}
    for path, write in own_writes(replica, seq):
        register = replica.registers.get(path.table)
        if register is None:
            raise InputError(f"登记册 {path.table} 已不在", f"register {path.table} is gone")
        change = rows.setdefault((path.table, path.key), RowChange((path.table, path.key), True))
        if path.field == "_alive":
            change.alive = write.value is True
        elif register.find(path.field) is not None:
            change.fields[path.field] = write.value
    return rows


def _correct(replica: Replica, rows: Mapping[RowKey, RowChange], seq: int, corrections: Mapping[str, Value]) -> None:
    for name, value in corrections.items():
        row, column = _target(replica, rows, name)
        register = replica.registers[row[0]]
        declared = register.column_field(column)
        stored = load_row(replica.conn, row)
        before = rows[row].fields.get(declared.name, stored.local(declared.name, register))
        rows[row].fields[declared.name] = declared.value({**declared.columns_of(before), column: value})


def correctable(replica: Replica, seq: int, name: str) -> tuple[Register, str]:
    """Return register and column that a correction `column` or `register.column` of a changeset means.

    Raises:
        InputError: the changeset has no such row, or its register no such column.
    """
    row, column = _target(replica, _changes(replica, seq), name)
    return replica.registers[row[0]], column


def _target(replica: Replica, rows: Mapping[RowKey, RowChange], name: str) -> tuple[RowKey, str]:
    table, _, column = name.rpartition(".")
    fitting = [row for row in rows if table in ("", row[0])]
    if table == "":  # a bare name means the record itself, not its children
        fitting.sort(key=lambda row: replica.registers[row[0]].parent is not None)
    for row in fitting:
        if any(each.name == column for each in replica.registers[row[0]].columns):
            return row, column
    raise InputError(f"这条变更里没有栏 {name}", f"this change has no column {name}")


def _check(register: Register, change: RowChange, stored: StoredRow) -> None:
    for name, value in change.fields.items():
        register.field(name).check(value)
    known = {**stored.fields, **stored.own}
    required = (f for f in register.fields if f.required and change.alive)
    needed = (f for f in required if f.name in change.fields or f.name not in known)
    missing = [f.label for f in needed if change.fields.get(f.name) is None]
    if missing:
        names = "、".join(missing)
        raise InputError(
            f"{register.label} {change.row[1]} 不在中心：缺少 {names}；请先重新提交新建它的那一条",
            f"{register.name} {change.row[1]} is not at the centre ({names}); first resubmit the change that made it",
        )
