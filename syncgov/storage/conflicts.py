"""What clashes, in words: who wrote what, when and on which device, what shows, and whether somebody must decide.

Source: protocol page, section 12.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from syncgov.core.commitment import Dot
from syncgov.core.disputes import REVOCATION, is_disputed, last_good_seqs
from syncgov.core.merge import workflow_of
from syncgov.core.register_model import Register
from syncgov.core.workflow import needs_review
from syncgov.storage.labels import field_of, record_label
from syncgov.storage.replica import Replica
from syncgov.storage.state import StoredRow, load_row
from syncgov.storage.wording import PRESENCE_LABEL, Language, presence_words, value_words

Place = tuple[str, str, str]  # table, key, field


@dataclass(frozen=True, slots=True)
class Version:
    """One of the values that clash: what, who, when (effective, ms UTC), on which device, and whether it shows.

    `disputed`: signed after the last changeset of a revoked device that is beyond doubt.
    """

    value: str
    person: str | None
    device: str
    own: bool
    at: int
    index: int
    shows: bool
    disputed: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field with more than one value.

    Attributes:
        resolvers: the roles that may decide.
        decision: whether somebody must decide; else the register's rule has chosen, and the next write ends it.
        decided: the value that this device has decided on and not yet synced, in words; empty: none.
        versions: in log order; people name one by its number, from 1.
    """

    table: str
    key: str
    field: str
    label: str
    field_label: str
    shows: str
    resolvers: tuple[str, ...]
    decision: bool
    decided: str
    versions: tuple[Version, ...]


def conflicts(replica: Replica, language: Language = "zh") -> list[Conflict]:
    """Return every field that has more than one value; those that need a decision first."""
    last_good = last_good_of(replica)
    found = [_conflict(replica, place, stored, last_good, language) for place, stored in _places(replica)]
    return sorted(found, key=lambda c: (not c.decision, c.table, c.key, c.field))


def count_conflicts(replica: Replica) -> tuple[int, int]:
    """Return how many fields wait for somebody's decision, and in how many the register's rule has chosen."""
    needed = [must_decide(replica.registers.get(p[0]), s, p[2]) for p, s in _places(replica) if p[2] not in s.own]
    return sum(needed), len(needed) - sum(needed)


def _places(replica: Replica) -> Iterator[tuple[Place, StoredRow]]:
    """Yield the fields that clash; the skeleton follows its fields, and of a deleted record nothing matters."""
    found = replica.conn.execute("SELECT DISTINCT tbl, key, field FROM _sg_conflict ORDER BY tbl, key, field")
    for table, key, name in found.fetchall():
        stored = load_row(replica.conn, (table, key))
        if name == "_alive" or (not name.startswith("_") and stored.shown("_alive", None) is True):
            yield (table, key, name), stored


def must_decide(register: Register | None, stored: StoredRow, name: str) -> bool:
    """Return whether only a person can settle this field. Source: protocol page, section 12."""
    declared = register.find(name) if register is not None else None
    if declared is None:
        return False  # presence: a record lives while anybody keeps it
    workflow = workflow_of(register, name)
    if workflow is not None:
        return needs_review(workflow, [head[5] for head in stored.fields[name][0]])
    return declared.merge == "review"


def resolvers(register: Register | None, name: str) -> frozenset[str]:
    """Return the roles that may decide about a field; about presence, those that make and delete rows."""
    declared = register.find(name) if register is not None else None
    if declared is not None:
        return declared.resolve or declared.write
    return register.write if register is not None else frozenset()


def last_good_of(replica: Replica) -> dict[str, int]:
    """Return device id -> last seq beyond doubt, of the revoked devices that this replica knows of."""
    found = replica.conn.execute("SELECT key FROM _sg_row WHERE tbl = 'device'").fetchall()
    rows = ((dev, load_row(replica.conn, ("device", dev))) for (dev,) in found)
    return last_good_seqs((dev, {REVOCATION: row.shown(REVOCATION, None)}) for dev, row in rows)


def _conflict(
    replica: Replica, place: Place, stored: StoredRow, last_good: dict[str, int], language: Language
) -> Conflict:
    table, key, name = place
    declared = field_of(replica, table, name)
    register = replica.registers.get(table)

    def words(text: str) -> str:
        value = json.loads(text)
        return presence_words(value, language) if name == "_alive" else value_words(declared, value, language)

    lines = replica.conn.execute(
        "SELECT value, shows, staff, device, seq, at, idx FROM conflict "
        "WHERE register = ? AND key = ? AND field = ? ORDER BY idx",
        place,
    ).fetchall()
    versions = []
    for value, shows, person, dev, seq, at, index in lines:
        dot: Dot = (dev, seq)
        mark = is_disputed(last_good, dot)
        versions.append(Version(words(value), person, dev, dev == replica.dev, at, index, value == shows, mark))
    return Conflict(
        table,
        key,
        name,
        record_label(replica, (table, key)),
        declared.label if declared is not None else PRESENCE_LABEL[language],
        words(lines[0][1]),
        tuple(sorted(resolvers(register, name))),
        must_decide(register, stored, name),
        words(json.dumps(stored.own[name][0])) if name in stored.own else "",
        tuple(versions),
    )
