"""What stands in a changeset: registers, values, one record, skeleton. Pure. Protocol page, section 11, steps 8–10."""

import re
from collections.abc import Mapping

from syncgov.core.canonical import b64u
from syncgov.core.commitment import META_TABLE, Value, Write, meta_path, parse_path
from syncgov.core.merge import same
from syncgov.core.register import RegisterSet, parse_register
from syncgov.core.register_edition import check_edition
from syncgov.core.register_model import Register
from syncgov.core.succession import CHARTER_ROW, DOCUMENT
from syncgov.core.trust_case import MAX_META_CHARS, Case, RefusedError, is_new, refuse_unless
from syncgov.core.trust_view import RowKey
from syncgov.errors import InputError, RegisterError, SyncgovError

_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def record_of(registers: RegisterSet, row: RowKey, parent_key: str | None) -> RowKey | None:
    """Return the record that *row* belongs to: itself, or its parent's row; None when the parent is not known."""
    register = registers[row[0]]
    if register.parent is None or register.parent_register is None:
        return row
    return None if parent_key is None else (register.parent_register, parent_key)


def check_register_set(case: Case) -> None:
    """Step 8."""
    refuse_unless(b64u(case.registers.digest) == case.st.reg, "register")


def check_rows(case: Case) -> None:
    """Step 9: registers and fields exist, values fit, presence is written, all is one record."""
    case.declared |= set() if case.whole else {"values"}
    own_by = meta_path(case.st.dot, "by")
    metas = {own_by, meta_path(case.st.dot, "note")}
    for position, write in case.body.disclosed():
        path = parse_path(write.path)
        if path.table == META_TABLE:
            refuse_unless(write.path in metas and not write.over and _is_short_text(write.value), "value")
            continue
        refuse_unless(path.table in case.registers, "register")
        case.rows.setdefault((path.table, path.key), {})[path.field] = (position, write)
    found = case.body.find(own_by)
    refuse_unless(found is not None or not case.whole, "value")
    case.by = None if found is None else found.value
    refuse_unless(bool(case.rows) or not case.whole, "value")
    for row, writes in case.rows.items():
        _check_values(case, row, writes)
    _check_one_record(case)


def _is_key(value: Value) -> bool:
    return isinstance(value, str) and value != ""


def _is_short_text(value: Value) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= MAX_META_CHARS)


def _check_values(case: Case, row: RowKey, writes: Mapping[str, tuple[int, Write]]) -> None:
    register = case.registers[row[0]]
    alive = writes.get("_alive")
    refuse_unless(alive is not None or not case.whole, "value")
    for name, (position, write) in writes.items():
        if name == "_alive":
            refuse_unless(isinstance(write.value, bool), "value")
        elif not name.startswith("_"):
            declared = register.find(name)
            refuse_unless(declared is not None, "value")
            assert declared is not None
            if position in case.erased:
                continue
            refuse_unless(write.value is not None or not declared.required, "value")
            try:
                declared.check(write.value)
            except InputError as error:
                raise RefusedError("value") from error
    if case.whole and is_new(case, writes):
        refuse_unless(register.key != "uuid" or _UUID.fullmatch(row[1]) is not None, "value")
        for declared in register.fields:
            refuse_unless(not declared.required or declared.name in writes, "value")
    if row[0] == CHARTER_ROW[0]:
        _check_charter(case, row, writes)
    if row[0] == "register" and "text" in writes:
        _check_register_text(case, row[1], writes["text"][1].value)


def _check_charter(case: Case, row: RowKey, writes: Mapping[str, tuple[int, Write]]) -> None:
    """A charter stands in one row, replaces the one in force, and is signed by the roots of that one."""
    alive, document = writes.get("_alive"), case.body.find(DOCUMENT)
    refuse_unless(row == CHARTER_ROW and (alive is None or alive[1].value is True), "value")
    if document is None:
        refuse_unless(not case.whole, "value")
        return
    heads = {head.dot for head in case.ledger.heads(row, "document")}
    refuse_unless(heads <= set(document.over), "value")
    try:
        case.ledger.charters.accept(str(document.value).encode(), case.index)
    except SyncgovError as error:
        raise RefusedError("value") from error


def _check_register_text(case: Case, name: str, text: Value) -> None:
    """A definition must be usable, else everybody's work stops at it, and hold what rows hold by the present ones."""
    try:
        register = parse_register(str(text), f"{name}.yml")
        refuse_unless(register.name == name and not register.system, "value")
        for head in case.ledger.heads(("register", name), "text"):
            if isinstance(head.value, str):
                check_edition(parse_register(head.value, f"{name}.yml"), register)
    except RegisterError as error:
        raise RefusedError("value") from error


def _check_one_record(case: Case) -> None:
    records = set()
    for row, writes in case.rows.items():
        register = case.registers[row[0]]
        parents: set[Value] = set()
        if register.parent is not None:
            written = writes.get(register.parent)
            # a child may not be taken from one record to another: both its old and its new record count
            parents = {p for p in (written[1].value if written else None, case.ledger.parent(row)) if _is_key(p)}
            refuse_unless(bool(parents) or not case.whole, "value")
        found = {record_of(case.registers, row, p if isinstance(p, str) else None) for p in parents or {None}}
        records |= found - {None}
    refuse_unless(len(records) <= 1, "value")
    case.record = next(iter(records), None)


def check_classes(case: Case) -> None:
    """Step 10: public writes stand first, and the skeleton says what the private fields say."""
    for row, writes in case.rows.items():
        register = case.registers[row[0]]
        for name, (position, _write) in writes.items():
            refuse_unless((register.class_of(name) == "public") == (position < case.st.pub), "skeleton")
        _check_skeleton(case, register, writes)
    for position, write in case.body.disclosed():
        refuse_unless(not write.path.startswith(META_TABLE) or position >= case.st.pub, "skeleton")


def _check_skeleton(case: Case, register: Register, writes: Mapping[str, tuple[int, Write]]) -> None:
    sources = register.skeleton.sources() if register.skeleton is not None else {}
    for name in writes:
        refuse_unless(not name.startswith("_") or name == "_alive" or name in sources, "skeleton")
    for name, (column, length) in sources.items():
        declared = register.column_field(column)
        source = writes.get(declared.name)
        derived = writes.get(name)
        if source is not None and source[0] in case.erased:
            refuse_unless(derived is not None, "skeleton")
        elif source is not None:
            text = declared.columns_of(source[1].value).get(column)
            expected = text[:length] if isinstance(text, str) else None
            refuse_unless(derived is not None and same(derived[1].value, expected), "skeleton")
        elif derived is not None:
            refuse_unless(not case.whole, "skeleton")
            case.declared.add("skeleton")
