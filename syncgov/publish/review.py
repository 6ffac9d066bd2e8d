"""Texts for the public that nobody has approved: what sets off a detector is withheld, in the log."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from syncgov.core.commitment import Path, Value, Write, parse_path
from syncgov.core.public_log import slot_key
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import REGISTRAR, Register
from syncgov.publish.detectors import MIN_KNOWN_DIGITS, Match, find_matches
from syncgov.publish.snapshot import Entry, Snapshot
from syncgov.storage.connection import quote
from syncgov.storage.ledger import Ledger
from syncgov.storage.schema import key_column
from syncgov.storage.state import load_row

Hit = tuple[str, Mapping[str, Value]]  # key and columns of a withholding
_OFFICIAL = re.compile(rf"[^\s@]+@[^\s@]+|[+(]?\d(?:[\s()-]{{0,2}}\d){{{MIN_KNOWN_DIGITS - 1},}}")


class Reader:
    """Reads texts for the public with what the centre knows: the record's own contacts, official telephones."""

    def __init__(self, ledger: Ledger, registers: RegisterSet) -> None:
        self._ledger = ledger
        self._registers = registers

    def matches(self, path: Path, text: str) -> tuple[Match, ...]:
        """Return what a person has to look at in *text*, as the value of *path*."""
        return find_matches(text, list(self._private_texts(path)), self.official)

    def is_hit(self, path: Path, text: str) -> bool:
        """Whether there is anything to look at."""
        return bool(self.matches(path, text))

    @cached_property
    def official(self) -> frozenset[str]:
        """Telephones, e-mail addresses and codes in public columns that the registrar alone fills, no free text."""
        return frozenset(self._official_texts())

    def _official_texts(self) -> Iterator[str]:
        for register in self._registers.values():
            if register.system or register.key != "natural":
                continue
            typed = (f for f in register.fields if f.klass == "public" and not f.free_text and f.write <= {REGISTRAR})
            names = [key_column(register)]
            texts = (c for f in typed for c in f.columns if c.type == "text" and c.ref is None)
            names += [c.name for c in texts if c.name != register.outline]  # whose numbers are no telephones
            sql = f"SELECT {', '.join(map(quote, names))} FROM {quote(register.name)}"
            for row in self._ledger.conn.execute(sql):
                for value in row:
                    yield from _OFFICIAL.findall(value) if isinstance(value, str) else ()

    def _private_texts(self, path: Path) -> Iterator[str]:
        """Yield the short private texts of the record: names, telephones and addresses that must not be copied."""
        own = self._registers.get(path.table)
        if own is None:
            return
        yield from _texts(self._ledger, own, key_column(own), path.key)
        for child in self._registers.children(path.table):
            yield from _texts(self._ledger, child, str(child.parent), path.key)


def find_hits(snapshot: Snapshot, start: int) -> list[Hit]:
    """Return the withholdings that accepted public free texts from leaf *start* on need.

    A text that was ever withheld is left alone: deleting its withholding is how a person approves it.
    """
    reader = Reader(snapshot.ledger, snapshot.registers)
    return [hit for entry in snapshot.entries(start) if entry.leaf.accepted for hit in _hits(snapshot, entry, reader)]


def _hits(snapshot: Snapshot, entry: Entry, reader: Reader) -> Iterator[Hit]:
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
        if not load_row(snapshot.ledger.conn, ("withholding", key)).fields and reader.is_hit(path, write.value):
            yield key, withholding(write)


def withholding(write: Write, reason: str = "review") -> dict[str, Value]:
    """Return the columns of the row that withholds *write*. Source: protocol page, section 9."""
    return {"path": write.path, "over": [list(dot) for dot in write.over], "reason": reason}


def _texts(ledger: Ledger, register: Register, column: str, key: str) -> Iterator[str]:
    fields = (each for each in register.fields if each.klass == "private" and not each.free_text)
    names = [c.name for each in fields for c in each.columns if c.type == "text" and c.ref is None]
    if not names:
        return
    sql = f"SELECT {', '.join(map(quote, names))} FROM {quote(register.name)} WHERE {quote(column)} = ?"
    for row in ledger.conn.execute(sql, (key,)):
        yield from (value for value in row if isinstance(value, str))
