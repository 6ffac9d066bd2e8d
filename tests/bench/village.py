"""A street of households and the handsets in it, for the month: what exists before the first day."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from syncgov.core.register import Register, parse_register
from syncgov.core.statement import envelope_hash
from syncgov.storage.replica import Replica
from tests.helpers import AREA, NOW_MS
from tests.registers import registers as small_registers

GRIDS_EACH = 10  # grids of a community
CLOCKS: Sequence[Callable[[int], int]] = (
    lambda now: now - NOW_MS + 1_000,  # 1970
    lambda now: now + 366 * 86_400_000,  # a year ahead
    lambda now: now + (now // 3_600_000 % 2) * 900_000,  # jumps forth and back by a quarter of an hour
    lambda now: now + 300_000,  # five minutes ahead
    lambda now: now - 7 * 86_400_000,  # a week behind
)

HOUSEHOLD = """\
register: household
version: 1
label: 住户
help: 每户一行
key: uuid
area: place
skeleton: {community: place, prefix: 6, month: since}
write: [worker, chief, desk]
read:
  public: ['*']
  internal: [worker, chief, desk, viewer]
  private: [worker, desk]
fields:
  place: {label: 网格, type: text, class: internal, max_length: 12, required: true, merge: review, resolve: [desk]}
  since: {label: 建档日期, type: date, class: internal, required: true}
  head: {label: 户主, type: text, class: private, max_length: 40, write: [worker, desk]}
  members: {label: 人口, type: integer, class: public, merge: max}
  need: {label: 需求, type: code, class: public, choices: {none: 无, care: 照料, repair: 维修, work: 就业}}
  risk: {label: 关注, type: code, class: internal, merge: review, choices: {a: 一般, b: 重点}, resolve: [desk]}
"""

HEATING = "  heating: {label: 取暖, type: code, class: public, choices: {gas: 燃气, coal: 燃煤, none: 无}}\n"

VISIT = """\
register: visit
version: 1
label: 走访
help: 只增不改
key: uuid
parent: household_id
skeleton: none
immutable: true
write: [worker, desk]
read: {internal: [worker, chief, desk, viewer], private: [worker, desk]}
fields:
  household_id: {label: 住户, type: text, class: internal, ref: household, required: true}
  day: {label: 日期, type: date, class: internal, required: true}
  note: {label: 记录, type: text, class: private, max_length: 200}
"""


def village_registers() -> list[Register]:
    """Return the small registers, with households and visits."""
    added = [parse_register(HOUSEHOLD, "household.yml"), parse_register(VISIT, "visit.yml")]
    return [*small_registers(), *added]


def second_edition() -> str:
    """Return the household register with one field more, which comes into force half-way."""
    return HOUSEHOLD.replace("version: 1", "version: 2") + HEATING


@dataclass
class Handset:
    """One device of the street.

    Attributes:
        kind: what will happen to it. clock: its own time, given the true one; ms UTC.
        dev: its device id now. stopped: it is stolen, or its key may not be used any more.
        noted: the last number that the book has of its file.
    """

    name: str
    role: str
    areas: tuple[str, ...]
    kind: str
    path: Path
    clock: Callable[[int], int] = lambda now: now
    dev: str = ""
    stopped: bool = False
    noted: int = 0

    @property
    def person(self) -> str:
        """Who carries it."""
        return f"p-{self.name}"


@dataclass(frozen=True, slots=True)
class Signed:
    """A changeset that a handset signed; its kind is the handset's."""

    dev: str
    seq: int
    kind: str


@dataclass
class Book:
    """What an observer of the whole street writes down, apart from centre and devices.

    Attributes:
        signed: envelope hash -> what was signed.
        renewed: (device id, seq) of work that was signed anew under another key.
        overwritten: envelope hashes in a file when somebody put an older copy over it.
        told: words that a device showed its user, counted by their error class.
        counts: how often what happened.
    """

    signed: dict[str, Signed] = field(default_factory=dict)
    renewed: set[tuple[str, int]] = field(default_factory=set)
    overwritten: set[str] = field(default_factory=set)
    told: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, handset: Handset, replica: Replica) -> None:
        """Write down what the file has signed since the last note."""
        rows = replica.conn.execute("SELECT seq, envelope FROM _sg_own WHERE seq > ? ORDER BY seq", (handset.noted,))
        for seq, envelope in rows.fetchall():
            self.signed.setdefault(envelope_hash(envelope), Signed(replica.dev, seq, handset.kind))
            handset.noted = seq


def communities(count: int) -> list[str]:
    """Return the codes of *count* communities."""
    return [f"{AREA}{number:03}" for number in range(1, count + 1)]


def grids_of(community: str) -> list[str]:
    """Return the codes of a community's grids."""
    return [f"{community}{number:03}" for number in range(1, GRIDS_EACH + 1)]


def hand_out(folder: Path, count: int, rng: Random) -> list[Handset]:
    """Return *count* handsets: desks of communities, chiefs of the street, the rest workers with one to three grids.

    Of the workers 5% will be reassigned, 2% restored from a copy, 1% have wrong clocks, 0.5% are stolen, 2% only ever
    see bundles; of each kind at least one.
    """
    places = communities(max(2, count // 25))
    made = [Handset(f"desk{n}", "desk", (code,), "desk", folder / f"desk{n}.db") for n, code in enumerate(places)]
    made += [
        Handset(f"chief{n}", "chief", (AREA,), "chief", folder / f"chief{n}.db") for n in range(max(1, count // 100))
    ]
    kinds = _kinds(count)
    for number in range(count - len(made)):
        grids = grids_of(places[number % len(places)])
        areas = tuple(sorted(rng.sample(grids, rng.choice((1, 1, 2, 3)))))
        kind = kinds[number] if number < len(kinds) else "worker"
        made.append(Handset(f"worker{number}", "worker", areas, kind, folder / f"worker{number}.db"))
    wrong = [handset for handset in made if handset.kind == "wrong clock"]
    for number, handset in enumerate(wrong):
        handset.clock = CLOCKS[number % len(CLOCKS)]
    return made


def _kinds(count: int) -> list[str]:
    shares = {
        "reassigned": 0.05,
        "restored file": 0.01,
        "restored file and key": 0.01,
        "wrong clock": 0.01,
        "stolen": 0.005,
        "by bundle": 0.02,
    }
    return [kind for kind, share in shares.items() for _ in range(max(1, round(count * share)))]
