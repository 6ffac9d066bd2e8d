"""Deciding a conflict: an ordinary signed write over all heads, by a role that may.

Source: protocol page, section 12.
"""

from dataclasses import replace

from syncgov.core.commitment import Dot, Value
from syncgov.core.merge import same, workflow_of
from syncgov.core.register_model import Field, Register
from syncgov.core.workflow import find_transition, needs_review
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage.capture import FieldWrite, RowChange, field_writes
from syncgov.storage.connection import transaction
from syncgov.storage.replica import Replica
from syncgov.storage.rights import record_of_row, require_role, require_signed, require_writable
from syncgov.storage.state import RowKey, StoredRow, conflicts_of, load_row

PRESENCE = "_alive"


def resolve(
    replica: Replica, table: str, key: str, field: str, value: Value, staff: str | None = None, *, note: str = ""
) -> int:
    """Write *value* over all values of a field that clash, also if it is the one that shows; returns the seq.

    A value that arrives later was not decided about: the field is then in conflict again.

    Args:
        field: name of the field; `_alive` (true or false) decides whether the record stays.

    Raises:
        InputError: no such conflict, or a value that the register does not allow.
        NotAllowedError: this device's role may not decide, or unsigned writes wait.
    """
    with transaction(replica.conn):
        require_signed(replica)
        row = (table, key)
        register = replica.registers.get(table)
        stored = load_row(replica.conn, row)
        if register is None or field not in conflicts_of(stored):
            raise InputError(
                f"{table} {key} 的 {field} 没有冲突；用 syncgov conflicts 查看",
                f"{table} {key} {field} is not in conflict; see `syncgov conflicts`",
            )
        _require_right(replica, register, stored, field, value)
        writes = _writes(register, row, stored, field, value)
        require_writable(replica, writes)
        return replica.sign(record_of_row(replica, row), writes, staff, note)


def head_values(replica: Replica, table: str, key: str, field: str) -> list[Value]:
    """Return the values that clash, in log order: what people name by number."""
    raw = load_row(replica.conn, (table, key)).fields.get(field)
    return [] if raw is None else [head[5] for head in raw[0] if len(head) == 6]  # erased ones settle nothing


def _require_right(replica: Replica, register: Register, stored: StoredRow, name: str, value: Value) -> None:
    if name == PRESENCE:
        if not isinstance(value, bool):
            raise InputError("应为 true（保留）或 false（删除）", "must be true (keep) or false (delete)")
        require_role(replica, register.write, (f"{register.label}的去留", f"decide whether a {register.name} stays"))
        return
    declared = register.field(name)
    if stored.shown(PRESENCE, register) is not True:
        raise InputError("这条记录已删除，不需要裁定", "the record is deleted; there is nothing to decide")
    if value is None and declared.required:
        raise InputError(f"“{declared.label}”不能为空", f"{name} must not be empty")
    declared.check(value)
    if workflow_of(register, name) is not None:
        _require_step(replica, register, stored, declared, value)
    elif declared.merge == "review":
        require_role(replica, declared.resolve & declared.write, _decision(register, declared))


def _decision(register: Register, declared: Field) -> tuple[str, str]:
    return f"“{declared.label}”的冲突裁定", f"decide a conflict of {register.name}.{declared.name}"


def _require_step(replica: Replica, register: Register, stored: StoredRow, declared: Field, value: Value) -> None:
    """A pair for review is settled to one of its values; any other clash of steps ends with an allowed next step."""
    workflow = workflow_of(register, declared.name)
    assert workflow is not None, "only the field of a workflow comes here"
    values = _standing(stored, declared.name)
    if needs_review(workflow, values):
        require_role(replica, workflow.resolve, _decision(register, declared))
        if not any(same(value, each) for each in values):
            raise InputError(
                "只能在相互冲突的值中选一个，请写它的编号",
                "one of the values that clash must be chosen; give its number",
            )
        return
    shown = workflow.state(stored.local(declared.name, register))
    if find_transition(workflow, shown, str(workflow.state(value)), replica.roles) is None:
        raise NotAllowedError(
            "这个冲突已按办理规则显示一个状态，不需要裁定；直接办理下一步即可",
            "the rule of the workflow has settled this; go on with the next step that is allowed",
        )


def _standing(stored: StoredRow, name: str) -> list[Value]:
    """Return the values that no write replaces, this device's own pending one included."""
    pending = stored.own.get(name)
    gone = set() if pending is None else {(dot[0], dot[1]) for dot in pending[2]}
    values = [head[5] for head in stored.fields[name][0] if len(head) == 6 and (head[0], head[1]) not in gone]
    return values if pending is None else [*values, pending[0]]


def _writes(register: Register, row: RowKey, stored: StoredRow, name: str, value: Value) -> list[FieldWrite]:
    if name == PRESENCE:
        return [FieldWrite(row, name, value, _all_heads(stored, name), register.class_of(name) == "public")]
    made = field_writes(register, RowChange(row, True, {name: value}), stored)
    return [
        replace(write, over=_kept_heads(stored) if write.name == PRESENCE else _all_heads(stored, write.name))
        for write in made
    ]


def _all_heads(stored: StoredRow, name: str) -> tuple[Dot, ...]:
    """Return every head, also those that arrived after an own pending write: whoever decides has seen them."""
    heads = stored.fields[name][0] if name in stored.fields else []
    return tuple(sorted({*stored.over(name), *((head[0], head[1]) for head in heads)}))


def _kept_heads(stored: StoredRow) -> tuple[Dot, ...]:
    """Return the heads that keep the record: deciding about a field does not decide whether the record stays."""
    if PRESENCE in stored.own:
        return stored.over(PRESENCE)
    return tuple(sorted((head[0], head[1]) for head in stored.fields[PRESENCE][0] if head[5] is True))
