"""The values of which the plan of the story consists."""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from syncgov.demo.canaries import Canary
from syncgov.demo.place import Place

Cell = str | int | None


@dataclass(frozen=True, slots=True)
class Write:
    """One change of one row, as plain SQL would make it.

    Attributes:
        kind: insert or update. columns: column -> value; of a group all columns are given.
        record: the key of the record (the parent's for a child row): writes of a session with the same record become
            one changeset.
        refused: the code of the refusal that is expected, or empty.
    """

    register: str
    key: str
    columns: Mapping[str, Cell]
    kind: str
    note: str
    record: str
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One device being used on one day: first the writes, committed as *staff_id*, then a sync if *online*.

    Attributes:
        minute: minute of the day, Beijing time, for a simulated clock.
    """

    device_index: int
    staff_id: str
    minute: int
    writes: tuple[Write, ...]
    online: bool

    @property
    def records(self) -> tuple[str, ...]:
        """The records written: one changeset each, in order."""
        return tuple(dict.fromkeys(write.record for write in self.writes))

    @property
    def needs_second(self) -> bool:
        """Whether something is voided, which another person of the device must sign too."""
        return any(write.columns.get("state") == "void" for write in self.writes)


@dataclass(frozen=True, slots=True)
class Day:
    """A day; `day_index` 0 is the first of the year. No device has two sessions in a day."""

    day_index: int
    date: datetime.date
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class LastDayAction:
    """What one of the six does on the last day: sync, write, commit as *staff_id*, sync, status. In order.

    Attributes:
        sql: statements for the `sqlite3` shell. writes: the same as data; each write is its own commit.
        say: one line for people.
    """

    device_index: int
    staff_id: str
    sql: tuple[str, ...]
    writes: tuple[Write, ...]
    say: str


@dataclass(frozen=True, slots=True)
class Expect:
    """What must come out, last day included.

    Attributes:
        events: live events without the void ones; closed: of them closed, evaluated or archived.
        conflicts: fields that still have two values at the end (none may be resolved by anybody else).
        refused: reason -> changesets. changesets: all of `days` and `last_day`, refused ones included.
        online: sessions of `days` that sync.
        states: state -> events that end in it, void included.
    """

    events: int
    closed: int
    void: int
    conflicts: int
    refused: Mapping[str, int]
    changesets: int
    online: int
    visits: int
    disclosures: int
    deliberations: int
    published: int
    careless: int
    states: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """The whole plan."""

    place: Place
    seed: int
    first_date: datetime.date
    last_date: datetime.date
    days: tuple[Day, ...]
    last_day: tuple[LastDayAction, ...]
    canaries: tuple[Canary, ...]
    expect: Expect

    def sessions(self) -> Iterator[tuple[Day, Session]]:
        """Yield every session in order, with its day."""
        for day in self.days:
            for session in day.sessions:
                yield day, session


def count_changesets(sessions: Iterable[Session]) -> Counter[str]:
    """Return the number of changesets by expected verdict: accepted, or the reason."""
    counts: Counter[str] = Counter()
    for session in sessions:
        refused = {write.record: write.refused for write in session.writes}
        counts.update(reason or "accepted" for reason in refused.values())
    return counts
