"""The registrar's own writing: a row, as a signed changeset. Source: protocol page, sections 7 and 8."""

import secrets
from collections.abc import Mapping

from syncgov.core.commitment import Value
from syncgov.core.register import parse_register
from syncgov.core.register_edition import check_edition
from syncgov.core.register_model import Register
from syncgov.errors import InputError
from syncgov.storage import capture
from syncgov.storage.ledger import Ledger
from syncgov.storage.state import RowKey, StoredRow, load_row


def sign_row(
    ledger: Ledger, row: RowKey, columns: Mapping[str, Value] | None, author: capture.Author
) -> capture.Signed | None:
    """Return the changeset that gives a row these columns (None: deletes it); None if that changes nothing.

    Columns that are not named stay as they are.

    Raises:
        InputError: no such register, or a row it does not allow; names row and column.
    """
    registers = ledger.registers(ledger.size)
    register = registers.get(row[0])
    if register is None:
        raise InputError(f"没有登记册 {row[0]}", f"no register named {row[0]}")
    stored = load_row(ledger.conn, row)
    if columns is not None:
        columns = _complete(register, stored, columns)
        _check_edition(row, stored, columns)
    change = capture.diff_row(register, row, columns, stored)
    if change is None:
        return None
    writes = capture.field_writes(register, change, stored)
    return capture.sign_writes(writes, author, registers, secrets.token_bytes(32))


def _check_edition(row: RowKey, stored: StoredRow, columns: Mapping[str, Value]) -> None:
    """Say in words, with file and line, why a verdict would refuse a new edition of a register."""
    old, new = stored.shown("text", None), columns.get("text")
    if row[0] == "register" and isinstance(old, str) and isinstance(new, str):
        check_edition(parse_register(old, f"{row[1]}.yml"), parse_register(new, f"{row[1]}.yml"))


def _complete(register: Register, stored: StoredRow, columns: Mapping[str, Value]) -> dict[str, Value]:
    """Return all columns of the row: those given, the others as they are."""
    known = {c.name for c in register.columns}
    unknown = sorted(set(columns) - known)
    if unknown:
        raise InputError(
            f"{register.label} 没有这些栏：{'、'.join(unknown)}", f"{register.name} has no columns {', '.join(unknown)}"
        )
    result: dict[str, Value] = {}
    for declared in register.fields:
        result.update(declared.columns_of(stored.local(declared.name, register)))
    return {**result, **columns}
