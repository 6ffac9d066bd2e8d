"""Texts for the public that nobody has approved: what sets off a detector is withheld, in the log."""

from collections.abc import Iterator, Mapping

from syncgov.core.commitment import Path, Value, Write, parse_path
from syncgov.core.public_log import slot_key
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Register
from syncgov.publish.detectors import find_sensitive
from syncgov.publish.snapshot import Entry, Snapshot
from syncgov.storage.connection import quote
from syncgov.storage.ledger import Ledger
from syncgov.storage.schema import key_column
from syncgov.storage.state import load_row

Hit = tuple[str, Mapping[str, Value]]  # key and columns of a withholding


def find_hits(snapshot: Snapshot, start: int) -> list[Hit]:
    """Return the withholdings that accepted public free texts from leaf *start* on need.

    A text that was ever withheld is left alone: deleting its withholding is how a person approves it.
    """
    return [hit for entry in snapshot.entries(start) if entry.leaf.accepted for hit in _hits(snapshot, entry)]


def _hits(snapshot: Snapshot, entry: Entry) -> Iterator[Hit]:
    st = entry.leaf.changeset.statement
    registers: RegisterSet | None = None
    for position, write in entry.body.disclosed():
        if position >= st.pub:
            return
        if not isinstance(write.value, str):
            continue
        registers = registers or snapshot.registers_at(snapshot.ledger.seen_size(st))
        path = parse_path(write.path)
        register = registers.get(path.table)
        declared = register.find(path.field) if register is not None else None
        if register is None or declared is None or not declared.free_text:
            continue
        key = slot_key((st.dot, position))
        if not load_row(snapshot.ledger.conn, ("withholding", key)).fields and _is_hit(snapshot, path, write):
            yield key, {"path": write.path, "over": [list(dot) for dot in write.over], "reason": "review"}


def _is_hit(snapshot: Snapshot, path: Path, write: Write) -> bool:
    text = str(write.value)
    return bool(find_sensitive(text)) or bool(find_sensitive(text, list(_private_texts(snapshot, path))))


def _private_texts(snapshot: Snapshot, path: Path) -> Iterator[str]:
    """Yield the short private texts of the record: names, telephones and addresses that must not be copied."""
    own = snapshot.registers.get(path.table)
    if own is None:
        return
    yield from _texts(snapshot.ledger, own, key_column(own), path.key)
    for child in snapshot.registers.children(path.table):
        yield from _texts(snapshot.ledger, child, str(child.parent), path.key)


def _texts(ledger: Ledger, register: Register, column: str, key: str) -> Iterator[str]:
    fields = (each for each in register.fields if each.klass == "private" and not each.free_text)
    names = [c.name for each in fields for c in each.columns if c.type == "text" and c.ref is None]
    if not names:
        return
    sql = f"SELECT {', '.join(map(quote, names))} FROM {quote(register.name)} WHERE {quote(column)} = ?"
    for row in ledger.conn.execute(sql, (key,)):
        yield from (value for value in row if isinstance(value, str))
