"""Desks and days: when each device is used, what it has seen, and in which session a task is written.

Knows nothing of events. It keeps the rules of story.py about days: a task that rests on a row which another device
pushed on day p becomes ready at the first sync of its desk on a day after p, and is written on a day after that.
"""

import datetime
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from random import Random

from syncgov.demo.place import Device
from syncgov.demo.plan import Day, Session, Write

# How often the device has a network when it is used; those not named work in the office.
_ONLINE = {"grid_worker": 0.7, "grid_helper": 0.7, "grid_chief": 0.7, "handler": 0.9}
_BACK_ONLINE_DAYS = 6  # after a session without network the next one comes within so many days
_FIRST_MINUTE, _LAST_MINUTE = 8 * 60, 21 * 60


@dataclass(frozen=True, slots=True)
class Moment:
    """When, where and by whom something is written."""

    day: int
    date: datetime.date
    minute: int
    device: Device
    staff: str


@dataclass(slots=True)
class Pair:
    """Tasks of different desks that are written on one day, as soon as all of those desks have the row."""

    tasks: "list[Task]"
    unseen: int = 0
    unpushed: int = 0


@dataclass(slots=True)
class Task:
    """Something to be written on `desk`.

    Attributes:
        write: makes the writes. done: called with the day on which they were pushed.
        about: a session writes at most one task about the same thing.
        staff: who must write it; None: whoever is there. patience: days it may lie at each stop; 0 is urgent.
        ready: the first day on which it may be written, None: not known yet. exact: on that very day.
    """

    desk: "Desk"
    write: Callable[[Moment], tuple[Write, ...]]
    done: Callable[[int], None]
    about: Hashable = None
    staff: str | None = None
    patience: int = 0
    ready: int | None = None
    exact: bool = False
    pair: Pair | None = None

    def due(self, day: int) -> bool:
        """Return whether it may be written on *day*."""
        return self.ready is not None and (self.ready == day if self.exact else self.ready <= day)


@dataclass(slots=True)
class Desk:
    """A device and what lies on it; `people` are those who normally use it, `wakes` the days of use."""

    device: Device
    people: tuple[str, ...]
    wakes: set[int] = field(default_factory=set)
    unseen: list[tuple[Task, int]] = field(default_factory=list)
    todo: list[Task] = field(default_factory=list)
    unpushed: list[Task] = field(default_factory=list)
    last_sync: int = -1
    last_use: int = -1


class Office:
    """All desks, day by day. `last` is the last day that is played: what is written is pushed by then."""

    def __init__(self, desks: list[Desk], rng: Random, first_date: datetime.date, last: int) -> None:
        self.desks = desks
        self.last = last
        self._rng = rng
        self._first_date = first_date
        self._sessions: dict[int, list[Session]] = defaultdict(list)

    def plan(self, task: Task, day: int) -> None:
        """The desk needs nothing more for this task; it may be written from *day* on."""
        task.ready = day
        task.desk.todo.append(task)
        self._wake(task.desk, day, task.patience)

    def hand_over(self, task: Task, pushed: int) -> None:
        """The task rests on a row that another device pushed on that day."""
        task.desk.unseen.append((task, pushed))
        self._wake(task.desk, pushed + 1, task.patience)

    def pair(self, seen: list[Task], unseen: list[Task], pushed: int) -> None:
        """All these tasks are to be written on one day; the *unseen* ones rest on a row pushed on *pushed*."""
        tasks = seen + unseen
        common = Pair(tasks, len(unseen), len(tasks))
        for task in tasks:
            task.pair, task.exact = common, True
        for task in seen:
            task.desk.todo.append(task)
        for task in unseen:
            self.hand_over(task, pushed)

    def play(self) -> None:
        """Play every day up to the last."""
        for day in range(self.last + 1):
            for desk in self.desks:
                if day == self.last and desk.unpushed:
                    desk.wakes.add(day)
                if day in desk.wakes:
                    desk.wakes.discard(day)
                    self._sit_down(desk, day)

    def idle_syncs(self, wanted: int) -> None:
        """Add syncs without writes until there are *wanted* online sessions and every device has synced."""
        used = {(s.device_index, day) for day, sessions in self._sessions.items() for s in sessions}
        missing = wanted - sum(s.online for sessions in self._sessions.values() for s in sessions)
        idle = [desk for desk in self.desks if desk.last_sync < 0]
        while missing > 0 or idle:
            desk = idle.pop() if idle else self._rng.choice(self.desks)
            day = self._rng.randrange(self.last + 1)
            if (desk.device.index, day) in used:
                continue
            used.add((desk.device.index, day))
            self._sessions[day].append(self._session(self._moment(desk, day, None), (), online=True))
            missing -= 1

    def days(self) -> tuple[Day, ...]:
        """Return the days, sessions by the minute."""
        return tuple(
            Day(
                day,
                self._date(day),
                tuple(sorted(self._sessions.get(day, ()), key=lambda s: (s.minute, s.device_index))),
            )
            for day in range(self.last + 1)
        )

    def _date(self, day: int) -> datetime.date:
        return self._first_date + datetime.timedelta(days=day)

    def _wake(self, desk: Desk, first: int, patience: int) -> None:
        """Use the desk once between *first* and *patience* days later; an already planned use will do."""
        first = min(first, self.last)
        latest = min(first + patience, self.last)
        if not any(day in desk.wakes for day in range(first, latest + 1)):
            desk.wakes.add(self._rng.randint(first, latest))

    def _moment(self, desk: Desk, day: int, staff: str | None) -> Moment:
        minute = self._rng.randrange(_FIRST_MINUTE, _LAST_MINUTE)
        return Moment(day, self._date(day), minute, desk.device, staff or self._rng.choice(desk.people))

    def _sit_down(self, desk: Desk, day: int) -> None:
        due = sorted((task for task in desk.todo if task.due(day)), key=lambda task: not task.exact)
        staff = next((task.staff for task in due if task.exact or task.staff is not None), None)
        moment = self._moment(desk, day, staff)
        chosen: dict[Hashable, Task] = {}
        for task in due:
            # what anybody may write is left to those who normally use the device
            if task.staff == moment.staff or (task.staff is None and moment.staff in desk.people):
                chosen.setdefault(task.about, task)
        tasks = list(chosen.values())
        if len(tasks) < len(due):
            self._wake(desk, day + 1, 0)
        desk.todo = [task for task in desk.todo if not any(task is each for each in tasks)]
        writes = tuple(write for task in tasks for write in task.write(moment))
        online = self._online(desk, day, tasks)
        desk.unpushed += tasks
        if writes or online:
            self._sessions[day].append(self._session(moment, writes, online))
        if online:
            self._sync(desk, day)
        else:
            waiting = [*desk.unpushed, *(task for task, _pushed in desk.unseen)]
            self._wake(desk, day + 1, min([_BACK_ONLINE_DAYS, *(task.patience for task in waiting)]))

    def _online(self, desk: Desk, day: int, tasks: list[Task]) -> bool:
        waiting = [*tasks, *desk.unpushed, *(task for task, _pushed in desk.unseen)]
        again = desk.last_use > desk.last_sync  # the time before there was no network either
        urgent = any(task.patience == 0 or (again and task.about is not None) for task in waiting)
        desk.last_use = day
        return urgent or day == self.last or self._rng.random() < _ONLINE.get(desk.device.role, 1)

    def _sync(self, desk: Desk, day: int) -> None:
        desk.last_sync = day
        pushed, desk.unpushed = desk.unpushed, []
        seen = [task for task, since in desk.unseen if since < day]
        desk.unseen = [(task, since) for task, since in desk.unseen if since >= day]
        for task in seen:
            self._seen(task, day)
        for task in pushed:
            self._pushed(task, day)

    def _seen(self, task: Task, day: int) -> None:
        if task.pair is None:
            self.plan(task, day + 1)
            return
        task.desk.todo.append(task)
        task.pair.unseen -= 1
        if task.pair.unseen == 0:
            # not before tomorrow for any of them: today some may already have been used
            meeting = day + 1
            for each in task.pair.tasks:
                each.ready = meeting
                each.desk.wakes.add(meeting)

    def _pushed(self, task: Task, day: int) -> None:
        if task.pair is None:
            task.done(day)
            return
        task.pair.unpushed -= 1
        if task.pair.unpushed == 0:
            for each in task.pair.tasks:
                each.done(day)

    @staticmethod
    def _session(moment: Moment, writes: tuple[Write, ...], online: bool) -> Session:
        return Session(moment.device.index, moment.staff, moment.minute, writes, online)
