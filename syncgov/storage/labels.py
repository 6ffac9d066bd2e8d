"""What people call the records and fields of a replica, and what its own changesets wrote."""

import sqlite3
from collections.abc import Iterator

from syncgov.core.commitment import META_TABLE, Path, Value, Write, open_body, parse_path
from syncgov.core.register_model import Field, Register
from syncgov.core.statement import parse_changeset
from syncgov.storage.connection import quote
from syncgov.storage.replica import Replica
from syncgov.storage.schema import key_column
from syncgov.storage.state import RowKey, load_row
from syncgov.storage.wording import record_words


def field_of(replica: Replica, table: str, name: str) -> Field | None:
    """Return what the registers declare about a field, None for one that they do not know."""
    register = replica.registers.get(table)
    return register.find(name) if register is not None else None


def own_writes(replica: Replica, seq: int) -> Iterator[tuple[Path, Write]]:
    """Yield (path, write) of what own changeset *seq* wrote to records.

    Nothing is left of a changeset whose record was purged from this device.
    """
    envelope, raw = replica.conn.execute("SELECT envelope, body FROM _sg_own WHERE seq = ?", (seq,)).fetchone()
    if not raw:
        return
    for _position, write in open_body(raw, parse_changeset(envelope).statement).disclosed():
        path = parse_path(write.path)
        if path.table != META_TABLE:
            yield path, write


def written(replica: Replica, seq: int) -> Iterator[tuple[str, str, str, Value]]:
    """Yield (table, key, field, value) of what own changeset *seq* wrote, protocol fields left out."""
    for path, write in own_writes(replica, seq):
        if not path.field.startswith("_"):
            yield path.table, path.key, path.field, write.value


def record_label(replica: Replica, record: RowKey, seq: int | None = None) -> str:
    """Return what people call a record: as this device shows it, else as changeset *seq* wrote it."""
    register = replica.registers.get(record[0])
    if register is None:
        return record_words(None, *record, {})
    stored = load_row(replica.conn, record)
    columns = _shown_columns(replica, register, record[1])
    for declared in register.fields:
        if declared.name in stored.fields or declared.name in stored.own:
            columns.update(declared.columns_of(stored.local(declared.name, register)))
    if seq is not None and not stored.fields and not stored.own:
        for table, key, name, value in written(replica, seq):
            found = register.find(name)
            if (table, key) == record and found is not None:
                columns.update(found.columns_of(value))
    return record_words(register, *record, columns)


def _shown_columns(replica: Replica, register: Register, key: str) -> dict[str, Value]:
    """Return the row as it stands in the table, whoever wrote it there and whether it is signed or not."""
    if register.name not in replica.columns:
        return {}
    sql = f"SELECT * FROM {quote(register.name)} WHERE {quote(key_column(register))} = ?"
    factory = replica.conn.text_factory
    replica.conn.text_factory = lambda raw: raw.decode(errors="replace")  # other programs may have written no text
    try:
        cursor = replica.conn.execute(sql, (key,))
        found = cursor.fetchone()
    except (sqlite3.OperationalError, UnicodeError):
        return {}  # another program dropped the table or its key; the next commit repairs it
    finally:
        replica.conn.text_factory = factory
    return {} if found is None else dict(zip((part[0] for part in cursor.description), found, strict=True))
