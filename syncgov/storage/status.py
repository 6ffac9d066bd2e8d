"""What became of each change on this device, and what clashes, in words. Source: protocol page, sections 11 and 12."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from syncgov.core.commitment import META_TABLE, Dot, Value, parse_path
from syncgov.core.register_model import Field, Register
from syncgov.core.statement import Leaf, parse_changeset, parse_leaf
from syncgov.storage.merging import own_values
from syncgov.storage.refusals import REJECTED, refusal
from syncgov.storage.replica import Replica
from syncgov.storage.schema import key_column
from syncgov.storage.state import RowKey, load_row
from syncgov.storage.wording import Language, presence_words, record_words, value_words

CLOCK_TOLERANCE_MS = 600_000  # ten minutes: clocks of phones without network drift by less


class Stage(StrEnum):
    """Where a change of this device stands. The value is what machines read; `label` is for people."""

    UNSIGNED = "unsigned"
    UNSENT = "unsent"
    DELIVERED = "delivered"
    WAITING = "waiting"
    REFUSED = "refused"

    def label(self, language: Language) -> str:
        """Return the word of the interface."""
        return _STAGES[self][0 if language == "zh" else 1]


_STAGES: Mapping[Stage, tuple[str, str]] = {
    Stage.UNSIGNED: ("未签名", "not signed yet"),
    Stage.UNSENT: ("待上传", "to be sent"),
    Stage.DELIVERED: ("已送达", "delivered"),
    Stage.WAITING: ("待处理", "waiting"),
    Stage.REFUSED: ("被退回", "refused"),
}
_WAITS = {
    "zh": "中心还缺本终端更早的变更，补齐后自动处理；请再同步一次",
    "en": "the centre lacks an earlier change of this device and will go on once it is there; sync again",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change of this device that is not settled.

    Attributes:
        seq: the changeset's number, 0 if it is not signed yet. at: ms UTC by this device's clock.
        label: what people call the record. code: the refusal code.
        why, remedy: in words, where there is something to say.
        values: of a refused change what was written: (record's or child's field, value), in words.
    """

    stage: Stage
    seq: int
    table: str
    key: str
    label: str
    at: int
    code: str = ""
    why: str = ""
    remedy: str = ""
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """Values that were kept aside; `columns` is what the row held, as text."""

    table: str
    key: str
    at: int
    columns: str


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a replica, for its user.

    Attributes:
        centre: the charter's name. size: entries of the log that are folded in.
        delivered: own changesets with verdict accepted, or received by the centre and about to get one.
        corrected: refused changesets whose fields were all written again since.
        clock: a warning if this device's clock is wrong, else empty.
        rebuilt: another program changed the form of a table; only a commit finds out what was written since.
        held: values kept aside because their rows could not be signed before a sync wrote over them.
    """

    centre: str
    url: str
    device: str
    roles: tuple[str, ...]
    areas: tuple[str, ...]
    people: tuple[str, ...]
    size: int
    delivered: int
    corrected: int
    conflicts: int
    clock: str
    rebuilt: bool
    held: tuple[Held, ...]
    changes: tuple[Change, ...]

    def count(self, stage: Stage) -> int:
        """Return the number of changes at *stage*."""
        return self.delivered if stage is Stage.DELIVERED else sum(change.stage is stage for change in self.changes)


@dataclass(frozen=True, slots=True)
class Version:
    """One of the values that clash: what, who, when (effective, ms UTC), on which device, and whether it shows."""

    value: str
    person: str | None
    device: str
    own: bool
    at: int
    index: int
    shows: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field with more than one value. `resolvers`: the roles that may decide."""

    table: str
    key: str
    field: str
    label: str
    field_label: str
    shows: str
    resolvers: tuple[str, ...]
    versions: tuple[Version, ...]


def status(replica: Replica, language: Language = "zh") -> Status:
    """Return what became of everything that was written on this device."""
    certificate = replica.certificate()
    areas = certificate.shown("areas", None)
    refused, corrected = _refused(replica, language)
    return Status(
        centre=replica.charter.name,
        url=replica.meta.get("url"),
        device=replica.dev,
        roles=tuple(sorted(replica.roles)),
        areas=tuple(map(str, areas)) if isinstance(areas, list) else (),
        people=replica.staff,
        size=replica.seen.size,
        delivered=_delivered(replica),
        corrected=corrected,
        conflicts=replica.conn.execute(
            "SELECT count(*) FROM (SELECT DISTINCT tbl, key, field FROM _sg_conflict)"
        ).fetchone()[0],
        clock=_clock_warning(replica, language),
        rebuilt=replica.has_unsigned() and not replica.unsigned_rows(),
        held=tuple(
            Held(*row) for row in replica.conn.execute("SELECT tbl, key, at, columns FROM _sg_held ORDER BY at")
        ),
        changes=(*_unsigned(replica, language), *_on_the_way(replica, language), *refused),
    )


def _delivered(replica: Replica) -> int:
    found = replica.conn.execute(
        "SELECT count(*) FROM _sg_own WHERE verdict = 'accepted' OR (idx IS NULL AND sent = 'logged')"
    ).fetchone()
    return int(found[0])


def _unsigned(replica: Replica, language: Language) -> Iterator[Change]:
    for (table, key), at in sorted(replica.unsigned_rows().items(), key=lambda item: item[1]):
        label = _record_label(replica, (table, key))
        yield Change(Stage.UNSIGNED, 0, table, key, label, at, remedy=_SIGN[language])


_SIGN = {"zh": "运行 syncgov commit 签名", "en": "run `syncgov commit`"}


def _on_the_way(replica: Replica, language: Language) -> Iterator[Change]:
    found = replica.conn.execute(
        "SELECT seq, envelope, tbl, key, sent FROM _sg_own WHERE idx IS NULL AND sent IS NOT 'logged' ORDER BY seq"
    ).fetchall()
    for seq, envelope, table, key, sent in found:
        at = parse_changeset(envelope).statement.at
        label = _record_label(replica, (table, key))
        if sent == "waiting":
            yield Change(Stage.WAITING, seq, table, key, label, at, why=_WAITS[language])
        elif sent == "rejected":
            why, remedy = REJECTED.words(language)
            values = _values(replica, seq, language)
            yield Change(Stage.REFUSED, seq, table, key, label, at, "rejected", why, remedy, values)
        else:
            yield Change(Stage.UNSENT, seq, table, key, label, at)


def _refused(replica: Replica, language: Language) -> tuple[list[Change], int]:
    """Return the refused changes that nobody has corrected since, and how many were corrected."""
    found = replica.conn.execute(
        "SELECT seq, envelope, tbl, key, verdict FROM _sg_own WHERE verdict LIKE 'refused:%' ORDER BY seq"
    ).fetchall()
    changes = []
    for seq, envelope, table, key, verdict in found:
        if _is_corrected(replica, seq, (table, key)):
            continue
        at = parse_changeset(envelope).statement.at
        why, remedy = refusal(verdict).words(language)
        code = verdict.removeprefix("refused:")
        label = _record_label(replica, (table, key), seq)
        values = _values(replica, seq, language)
        changes.append(Change(Stage.REFUSED, seq, table, key, label, at, code, why, remedy, values))
    return changes, len(found) - len(changes)


def _is_corrected(replica: Replica, seq: int, record: RowKey) -> bool:
    """Whether later changesets of this device that were not refused wrote every field again."""
    wanted = {line[:3] for line in _written(replica, seq)}
    later = replica.conn.execute(
        "SELECT seq FROM _sg_own WHERE tbl = ? AND key = ? AND seq > ? AND coalesce(verdict, '') NOT LIKE 'refused:%' "
        "AND coalesce(sent, '') <> 'rejected'",
        (*record, seq),
    ).fetchall()
    for (number,) in later:
        wanted -= {line[:3] for line in _written(replica, number)}
    return bool(later) and not wanted


def _values(replica: Replica, seq: int, language: Language) -> tuple[tuple[str, str], ...]:
    lines = []
    for table, _key, name, value in _written(replica, seq):
        declared = _field(replica, table, name)
        label = declared.label if declared is not None else name
        lines.append((label, value_words(declared, value, language)))
    return tuple(lines)


def _written(replica: Replica, seq: int) -> Iterator[tuple[str, str, str, Value]]:
    """Yield (table, key, field, value) of what own changeset *seq* wrote to records."""
    for text, value in own_values(replica, seq).items():
        path = parse_path(text)
        if path.table != META_TABLE:
            yield (*path, value)  # type: ignore[misc]


def _field(replica: Replica, table: str, name: str) -> Field | None:
    register = replica.registers.get(table)
    return register.find(name) if register is not None else None


def _record_label(replica: Replica, record: RowKey, seq: int | None = None) -> str:
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
        for table, key, name, value in _written(replica, seq):
            found = register.find(name)
            if (table, key) == record and found is not None:
                columns.update(found.columns_of(value))
    return record_words(register, *record, columns)


def _shown_columns(replica: Replica, register: Register, key: str) -> dict[str, Value]:
    """Return the row as it stands in the table, whoever wrote it there and whether it is signed or not."""
    if register.name not in replica.columns:
        return {}
    try:
        cursor = replica.conn.execute(f'SELECT * FROM "{register.name}" WHERE "{key_column(register)}" = ?', (key,))
    except sqlite3.OperationalError:
        return {}  # another program dropped the table or its key; the next commit repairs it
    found = cursor.fetchone()
    return {} if found is None else dict(zip((part[0] for part in cursor.description), found, strict=True))


def _clock_warning(replica: Replica, language: Language) -> str:
    """Return a warning if this device wrote in the centre's future, or lives in the past of what it has received.

    A stamp never lies before what the device has seen, so a slow clock shows only by the wall.
    """
    own = _newest_leaf(replica, "WHERE dev = ?", replica.dev)
    if own is not None and own.changeset.statement.at > own.received + CLOCK_TOLERANCE_MS:
        return _CLOCK[language][0]
    newest = _newest_leaf(replica, "")
    late = newest is not None and replica.clock() < newest.received - CLOCK_TOLERANCE_MS
    return _CLOCK[language][1] if late else ""


def _newest_leaf(replica: Replica, where: str, *values: str) -> Leaf | None:
    sql = f"SELECT leaf FROM _sg_leaf {where} ORDER BY idx DESC LIMIT 1"
    found = replica.conn.execute(sql, values).fetchone()
    return None if found is None else parse_leaf(found[0])


_CLOCK = {
    "zh": ("本终端的时钟快了，请校准；记录不受影响", "本终端的时钟慢了，请校准；记录不受影响"),
    "en": ("this device's clock is ahead; set it (no record is lost)", "this device's clock is behind; set it"),
}


def conflicts(replica: Replica, language: Language = "zh") -> list[Conflict]:
    """Return every field that has more than one value, with its values in log order."""
    found: dict[tuple[str, str, str], list[tuple[str, str, str | None, Dot, int, int]]] = {}
    rows = replica.conn.execute(
        "SELECT register, key, field, value, shows, staff, device, seq, at, idx FROM conflict "
        "ORDER BY register, key, field, idx"
    )
    for table, key, name, value, shows, person, device, seq, at, index in rows:
        found.setdefault((table, key, name), []).append((value, shows, person, (device, seq), at, index))
    return [_conflict(replica, place, lines, language) for place, lines in found.items()]


def _conflict(
    replica: Replica,
    place: tuple[str, str, str],
    lines: list[tuple[str, str, str | None, Dot, int, int]],
    language: Language,
) -> Conflict:
    table, key, name = place
    declared = _field(replica, table, name)
    register = replica.registers.get(table)
    resolvers = declared.resolve if declared is not None else register.write if register is not None else frozenset()

    def words(text: str) -> str:
        value = json.loads(text)
        return presence_words(value, language) if name == "_alive" else value_words(declared, value, language)

    versions = [
        Version(words(value), person, dot[0], dot[0] == replica.dev, at, index, value == shows)
        for value, shows, person, dot, at, index in lines
    ]
    label = _record_label(replica, (table, key))
    field_label = declared.label if declared is not None else _PRESENCE_LABEL[language]
    return Conflict(table, key, name, label, field_label, words(lines[0][1]), tuple(sorted(resolvers)), tuple(versions))


_PRESENCE_LABEL = {"zh": "是否删除", "en": "deletion"}
