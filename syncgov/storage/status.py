"""What became of each change on this device, in words. Source: protocol page, section 11."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from syncgov.core.disputes import disputed
from syncgov.core.public_rows import temporary_number
from syncgov.core.statement import Leaf, parse_changeset, parse_leaf
from syncgov.storage.conflicts import count_conflicts, last_good_of
from syncgov.storage.file_queue import RowFiles, row_files
from syncgov.storage.labels import field_of, own_writes, record_label, written
from syncgov.storage.refusal_details import refusal_words
from syncgov.storage.refusals import REJECTED
from syncgov.storage.replica import Replica
from syncgov.storage.rights import reach
from syncgov.storage.state import RowKey
from syncgov.storage.wording import Language, value_words

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
        built_on: of a refused change the numbers of refused ones that it was written on top of.
        number: the temporary number of the record, by which people find it once it is published; '' without one.
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
    built_on: tuple[int, ...] = ()
    number: str = ""


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
        resubmitted: (number of a refused changeset, number under which it was sent again).
        conflicts: fields that wait for somebody's decision; `minor`: those in which the register's rule has chosen.
        disputed: own changesets after the last one that a revocation holds to be beyond doubt.
        doubtful: names of the records here that another, revoked device wrote to after its last good changeset.
        clock: a warning if this device's clock is wrong, else empty.
        rebuilt: another program changed the form of a table; only a commit finds out what was written since.
        files: how far the files are that were added on this device.
        held: values kept aside because their rows could not be signed before a sync wrote over them.
    """

    centre: str
    url: str
    device: str
    roles: tuple[str, ...]
    areas: tuple[str, ...]
    units: tuple[str, ...]
    people: tuple[str, ...]
    size: int
    delivered: int
    corrected: int
    resubmitted: tuple[tuple[int, int], ...]
    conflicts: int
    minor: int
    disputed: tuple[int, ...]
    doubtful: tuple[str, ...]
    clock: str
    rebuilt: bool
    held: tuple[Held, ...]
    changes: tuple[Change, ...]
    files: tuple[RowFiles, ...] = ()

    def count(self, stage: Stage) -> int:
        """Return the number of changes at *stage*."""
        return self.delivered if stage is Stage.DELIVERED else sum(change.stage is stage for change in self.changes)


def status(replica: Replica, language: Language = "zh") -> Status:
    """Return what became of everything that was written on this device."""
    areas, units = reach(replica)
    refused, corrected = _refused(replica, language)
    decisions, minor = count_conflicts(replica)
    return Status(
        centre=replica.charter.name,
        url=replica.meta.get("url"),
        device=replica.dev,
        roles=tuple(sorted(replica.roles)),
        areas=areas,
        units=units,
        people=replica.staff,
        size=replica.seen.size,
        delivered=_delivered(replica),
        corrected=corrected,
        resubmitted=tuple(sorted(resubmitted(replica).items())),
        conflicts=decisions,
        minor=minor,
        disputed=_disputed(replica),
        doubtful=tuple(_doubtful(replica)),
        clock=_clock_warning(replica, language),
        rebuilt=replica.has_unsigned() and not replica.unsigned_rows(),
        held=tuple(
            Held(*row) for row in replica.conn.execute("SELECT tbl, key, at, columns FROM _sg_held ORDER BY at")
        ),
        changes=tuple(
            _numbered(replica, change)
            for change in (*_unsigned(replica, language), *_on_the_way(replica, language), *refused)
        ),
        files=row_files(replica),
    )


def _delivered(replica: Replica) -> int:
    found = replica.conn.execute(
        "SELECT count(*) FROM _sg_own WHERE verdict = 'accepted' OR (idx IS NULL AND sent = 'logged')"
    ).fetchone()
    return int(found[0])


def _unsigned(replica: Replica, language: Language) -> Iterator[Change]:
    changed, problems = replica.examine()
    second = replica.awaits_second()
    for row, at in sorted(replica.unsigned_rows().items(), key=lambda item: item[1]):
        error = problems.get(row)
        label = record_label(replica, row)
        if error is not None:
            why = error.zh if language == "zh" else error.en
            yield Change(Stage.UNSIGNED, 0, *row, label, at, why=why, remedy=_CORRECT[language])
        elif row in changed:
            yield Change(Stage.UNSIGNED, 0, *row, label, at, remedy=(_SECOND if row in second else _SIGN)[language])


def _numbered(replica: Replica, change: Change) -> Change:
    register = replica.registers.get(change.table)
    return change if register is None else replace(change, number=temporary_number(register, change.key))


_SIGN = {"zh": "运行 syncgov commit 签名", "en": "run `syncgov commit`"}
_SECOND = {
    "zh": "由另一人运行 syncgov commit --second 人员编号，输入 PIN 签名",
    "en": "another person must sign: `syncgov commit --second ID`",
}
_CORRECT = {"zh": "改正后运行 syncgov commit", "en": "correct it, then run `syncgov commit`"}


def _on_the_way(replica: Replica, language: Language) -> Iterator[Change]:
    found = replica.conn.execute(
        "SELECT seq, envelope, tbl, key, sent FROM _sg_own WHERE idx IS NULL AND sent IS NOT 'logged' "
        "AND coalesce(sent, '') NOT LIKE 'refused:%' ORDER BY seq"
    ).fetchall()
    for seq, envelope, table, key, sent in found:
        at = parse_changeset(envelope).statement.at
        label = record_label(replica, (table, key))
        if sent == "waiting":
            yield Change(Stage.WAITING, seq, table, key, label, at, why=_WAITS[language])
        elif sent == "rejected":
            why, remedy = REJECTED.words(language)
            values = _values(replica, seq, language)
            yield Change(Stage.REFUSED, seq, table, key, label, at, "rejected", why, remedy, values)
        else:
            yield Change(Stage.UNSENT, seq, table, key, label, at)


# by a leaf, or by what the centre answered to a device that may no longer pull
_VERDICT = "coalesce(verdict, sent)"


def _refused(replica: Replica, language: Language) -> tuple[list[Change], int]:
    """Return the refused changes that nobody has corrected or sent again, and how many were corrected."""
    found = replica.conn.execute(
        f"SELECT seq, envelope, tbl, key, {_VERDICT} FROM _sg_own WHERE {_VERDICT} LIKE 'refused:%' ORDER BY seq"
    ).fetchall()
    again = resubmitted(replica)
    numbers = {line[0] for line in found} - set(again)
    changes, corrected = [], 0
    for seq, envelope, table, key, verdict in found:
        if seq in again:
            continue
        older = {new for old, new in again.items() if old < seq}  # sent again, but written before this one
        if _is_corrected(replica, seq, (table, key), older):
            corrected += 1
            continue
        why, remedy = refusal_words(replica, seq, verdict, language)
        built_on = tuple(sorted(_built_on(replica, seq) & numbers))
        if built_on:
            names = "、".join(f"#{number}" for number in built_on)
            why, remedy = (text.format(why=why, remedy=remedy, names=names) for text in _CASCADE[language])
        at = parse_changeset(envelope).statement.at
        label = record_label(replica, (table, key), seq)
        values = _values(replica, seq, language)
        code = verdict.removeprefix("refused:")
        changes.append(Change(Stage.REFUSED, seq, table, key, label, at, code, why, remedy, values, built_on))
    return changes, corrected


_CASCADE = {
    "zh": (
        "它是在被退回的 {names} 之上写的，那一条没有生效，这一条也不能生效（{why}）",
        "请先改正并重新提交 {names}，再重新提交这一条",
    ),
    "en": (
        "it was written on top of {names}, which was refused, so it cannot count either ({why})",
        "correct and resubmit {names} first, then this one",
    ),
}


def _built_on(replica: Replica, seq: int) -> set[int]:
    """Return the numbers of the own changesets that own changeset *seq* replaces something of."""
    dots = (dot for _path, write in own_writes(replica, seq) for dot in write.over)
    return {number for dev, number in dots if dev == replica.dev}


def resubmitted(replica: Replica) -> dict[int, int]:
    """Return the refused changesets that were sent again: number -> new number."""
    return {int(old): new for old, new in json.loads(replica.meta.get("resubmitted", "{}")).items()}


def _disputed(replica: Replica) -> tuple[int, ...]:
    last_good = last_good_of(replica)
    seqs = replica.conn.execute("SELECT seq FROM _sg_own ORDER BY seq").fetchall() if replica.dev in last_good else []
    return tuple(seq for _dev, seq in disputed(last_good, ((replica.dev, seq) for (seq,) in seqs)))


def _doubtful(replica: Replica) -> Iterator[str]:
    sql = "SELECT DISTINCT tbl, key FROM _sg_leaf WHERE dev = ? AND seq > ? AND accepted AND tbl > '' ORDER BY 1, 2"
    for dev, last in sorted(last_good_of(replica).items()):
        if dev != replica.dev:
            for record in replica.conn.execute(sql, (dev, last)).fetchall():
                yield record_label(replica, record)


def _is_corrected(replica: Replica, seq: int, record: RowKey, older: set[int]) -> bool:
    """Whether later changesets of this device, but those of *older*, that were not refused wrote every field again."""
    wanted = {line[:3] for line in written(replica, seq)}
    later = replica.conn.execute(
        "SELECT seq FROM _sg_own WHERE tbl = ? AND key = ? AND seq > ? AND coalesce(verdict, '') NOT LIKE 'refused:%' "
        "AND coalesce(sent, '') <> 'rejected' AND coalesce(sent, '') NOT LIKE 'refused:%'",
        (*record, seq),
    ).fetchall()
    later = [line for line in later if line[0] not in older]
    for (number,) in later:
        wanted -= {line[:3] for line in written(replica, number)}
    return bool(later) and not wanted


def _values(replica: Replica, seq: int, language: Language) -> tuple[tuple[str, str], ...]:
    lines = []
    for table, _key, name, value in written(replica, seq):
        declared = field_of(replica, table, name)
        label = declared.label if declared is not None else name
        lines.append((label, value_words(declared, value, language)))
    return tuple(lines)


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
