"""What goes wrong in the demo's year, on top of the story. Pure; the story's figures stay what they are.

One device's clock says 1970, one is cloned, one is stolen, lines break, answers get lost, and one community has no
network at all: a supervisor carries its bundles.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from syncgov.demo.desks import Moment
from syncgov.demo.place import Device, Grid, Place
from syncgov.demo.plan import Day, Session, Story, Write
from syncgov.demo.writing import Pen

_EVENING = 21 * 60 + 30
_BROKEN_LINES = 12  # of each kind: cut in the middle of the push, cut before the answer arrives
_FIELD = "grid_worker"
_DESCRIPTION, _PUBLISHED = "description", "description_public"

Sync = tuple[int, int]  # day index, device index


@dataclass(frozen=True, slots=True)
class Mishap:
    """What happens to one device in the evening of a day; `write` is what is written on it then."""

    device_index: int
    staff_id: str
    day_index: int
    write: Write

    @property
    def minute(self) -> int:
        """The minute of the day."""
        return _EVENING


@dataclass(frozen=True, slots=True)
class Faults:
    """The plan of what goes wrong.

    Attributes:
        wrong_clock: a device whose clock stands in 1970 all year.
        copied_on: the day in whose evening the file and key of the device of `clone` are copied.
        clone: the copy writes and syncs; then the device itself does, is refused, and enrols again.
        theft: the device has unsent work when it is stolen and revoked; the thief syncs it, `adopter` adopts it.
        cut, unanswered: syncs whose line breaks in the middle of the push, or before the answer arrives.
        by_bundle: devices that never have a line.
        erased: a record, and its fields that somebody has the right to have erased, on the last day.
    """

    wrong_clock: int
    copied_on: int
    clone: Mishap
    own_write: Write
    theft: Mishap
    adopter: int
    cut: frozenset[Sync]
    unanswered: frozenset[Sync]
    by_bundle: frozenset[int]
    erased: tuple[str, str, tuple[str, ...]]

    @property
    def refused(self) -> dict[str, int]:
        """Changesets refused because of all this, by reason: the clone's, what its device and the thief send."""
        return {"fork": 1, "revoked": 2}


def plan_faults(story: Story) -> Faults:
    """Return what goes wrong in *story*; the same story has the same faults.

    Raises:
        ValueError: a story with too little field work.
    """
    return _Plan(story).make()


class _Plan:
    def __init__(self, story: Story) -> None:
        self.story = story
        self.rng = Random(f"faults {story.seed} {len(story.days)}")
        self.pen = Pen(self.rng)
        self.offline = _offline_community(story.place)
        self.taken: set[int] = set()

    def make(self) -> Faults:
        by_bundle = frozenset(
            d.index for d in self.story.place.devices if any(area.startswith(self.offline) for area in d.areas)
        )
        self.taken |= by_bundle
        copied, cloned = self._two_days()
        stolen = self._busy_day()
        clone, theft = self._mishap(*cloned), self._mishap(*stolen)
        wrong_clock = self._worker()
        syncs = [sync for sync in self._syncs() if sync[1] not in self.taken]
        broken = self.rng.sample(syncs, min(2 * _BROKEN_LINES, len(syncs)))
        half = len(broken) // 2
        return Faults(
            wrong_clock=wrong_clock,
            copied_on=copied[0].day_index,
            clone=clone,
            own_write=self._visit(*cloned),
            theft=theft,
            adopter=self._chief_over(self._device(theft.device_index)),
            cut=frozenset(broken[:half]),
            unanswered=frozenset(broken[half:]),
            by_bundle=by_bundle,
            erased=self._published(),
        )

    def _sessions(self, index: int) -> list[tuple[Day, Session]]:
        """Return the sessions of a device in which something is written and sent."""
        found = self.story.sessions()
        return [(day, s) for day, s in found if s.device_index == index and s.online and s.writes]

    def _workers(self) -> Iterator[int]:
        places = self.story.place.devices
        indexes = [device.index for device in places if device.role == _FIELD and device.index not in self.taken]
        yield from self.rng.sample(indexes, len(indexes))

    def _two_days(self) -> tuple[tuple[Day, Session], tuple[Day, Session]]:
        """Two days, one after the other, on which some worker writes and syncs, in the middle of the year."""
        for index in self._workers():
            found = [each for each in self._sessions(index) if self._is_middle(each[0])]
            if len(found) >= 2:
                self.taken.add(index)
                return found[0], found[1]
        raise ValueError("no worker writes on two days of the middle of the year")

    def _busy_day(self) -> tuple[Day, Session]:
        """A day on which a worker writes of whose work nothing was refused: a supervisor may adopt all that is left."""
        for index in self._workers():
            found = [each for each in self._sessions(index) if self._is_middle(each[0])]
            if found and not self._is_refused(index):
                self.taken.add(index)
                return found[0]
        raise ValueError("no worker writes in the middle of the year")

    def _is_refused(self, index: int) -> bool:
        sessions = (session for _day, session in self.story.sessions() if session.device_index == index)
        return any(write.refused for session in sessions for write in session.writes)

    def _is_middle(self, day: Day) -> bool:
        return len(self.story.days) // 4 < day.day_index < 3 * len(self.story.days) // 4

    def _worker(self) -> int:
        index = next(index for index in self._workers() if self._sessions(index))
        self.taken.add(index)
        return index

    def _syncs(self) -> list[Sync]:
        sessions = self.story.sessions()
        return [(day.day_index, session.device_index) for day, session in sessions if session.online and session.writes]

    def _published(self) -> tuple[str, str, tuple[str, ...]]:
        """Return an event whose text was published: register, key, and the fields that tell of the person."""
        writes = (write for _day, session in self.story.sessions() for write in session.writes)
        chosen = next(write for write in writes if _PUBLISHED in write.columns and not write.refused)
        return chosen.register, chosen.key, (_DESCRIPTION, _PUBLISHED)

    def _device(self, index: int) -> Device:
        return self.story.place.devices[index]

    def _mishap(self, day: Day, session: Session) -> Mishap:
        return Mishap(session.device_index, session.staff_id, day.day_index, self._visit(day, session))

    def _visit(self, day: Day, session: Session) -> Write:
        device = self._device(session.device_index)
        moment = Moment(day.day_index, day.date, _EVENING, device, session.staff_id)
        grid = next(g for g in self.story.place.grids if g.code.startswith(device.areas[0]))
        return self.pen.visit(grid, self._compound(grid), moment)[0]

    def _compound(self, grid: Grid) -> str:
        near = [each.name for each in self.story.place.compounds if each.grid.community is grid.community]
        return self.rng.choice(near)

    def _chief_over(self, device: Device) -> int:
        chiefs = [d for d in self.story.place.devices if d.role == "grid_chief" and device.areas[0].startswith(d.areas)]
        return chiefs[0].index


def _offline_community(place: Place) -> str:
    """Return the code of the last community: the one without network."""
    return place.communities[-1].code
