"""Plays the year: which device makes which step of which event, and what follows when it was pushed."""

import datetime
from random import Random

from syncgov.demo import texts
from syncgov.demo.canaries import Canary
from syncgov.demo.desks import Desk, Moment, Office, Task
from syncgov.demo.place import Community, Device, Grid, Org, Place
from syncgov.demo.plan import Cell, Day, Write
from syncgov.demo.walks import (
    CHECKER,
    CHIEF,
    DAYS_PER_STEP,
    OPERATOR,
    OWNER,
    PUBLISHER,
    REPORTER,
    Edit,
    Fate,
    Step,
)
from syncgov.demo.writing import POSTED_DAYS, Event, Pen, uuid7

# Days that people let something lie, at most, before they look, and again before they write, if it is not urgent.
PUBLISHER_DAYS = 14
_PATIENCE = {REPORTER: 7, OWNER: 4, OPERATOR: 3, CHIEF: 4, CHECKER: 4, PUBLISHER: PUBLISHER_DAYS}
_LATE_PATIENCE = 20  # evaluating and archiving can wait
_EDIT_PATIENCE = 3
_REPORTERS = (("grid_worker", 85), ("grid_helper", 10), ("grid_chief", 5))
_SAME_OPERATOR = 0.4
_COMMUNITY_HANDLES = 0.18  # share of events that the residents' committee handles itself
_CANARIES = 16
_SAME_REPORTER = 0.6  # how often the one who reported last reports the next event too: people go out and see several


class Player:
    """The people of the place at work, from the first day to the day before the last.

    After `office.play()`, `days` is what was done, and `conflicts` the fields that still have two values.
    """

    def __init__(self, place: Place, rng: Random, first_date: datetime.date, last: int) -> None:
        self.place = place
        self.rng = rng
        self.pen = Pen(rng)
        self.events: list[Event] = []
        self.first_date = first_date
        self.conflicts = 0
        role_of = {person.key: person.role for person in place.people}
        self.desks = [
            Desk(device, tuple(key for key in device.staff if role_of[key] == device.role)) for device in place.devices
        ]
        self.office = Office(self.desks, rng, first_date, last)
        self._of_role = {
            role: [desk for desk in self.desks if desk.device.role == role]
            for role in dict.fromkeys(device.role for device in place.devices)
        }
        self._handlers = self._desks_by_org()
        self._home_grids: dict[str, set[str]] = {}
        for each in place.assignments:
            self._home_grids.setdefault(each.staff, set()).add(each.area)

    @property
    def canaries(self) -> tuple[Canary, ...]:
        """The planted strings."""
        return tuple(self.pen.canaries)

    @property
    def days(self) -> tuple[Day, ...]:
        """What was done, day by day."""
        return self.office.days()

    def start_event(self, fate: Fate, day: int) -> Event:
        """Somebody in the field will report an event with this fate on or after *day*."""
        canary = len(self.events) < _CANARIES
        only_workers = canary or fate.edit is not None or fate.name in ("self_handled", "site_check")
        roles = [role for role, _weight in _REPORTERS]
        weights = [weight for _role, weight in _REPORTERS]
        role = "grid_worker" if only_workers else self.rng.choices(roles, weights)[0]
        device, staff, grid = self._same_reporter(role) or self.reporter(role)
        wanted = fate.category or self.rng.choice(self.place.categories).key
        category = next(each for each in self.place.categories if each.key == wanted)
        issue = texts.make_issue(self.rng, category.key, self.compound(grid))
        key = uuid7(self.rng, self.first_date + datetime.timedelta(days=day), self.rng.randrange(1440))
        event = Event(key, fate, grid, category, issue, device, staff, canary)
        self.events.append(event)
        self._hand_out(event, day - 1)
        return event

    def visit(self, day: int, how_many: int) -> None:
        """Somebody in the field makes visits on *day*, all in his grids."""
        desk = self.rng.choice(self._of_role["grid_helper"] + self._of_role["grid_worker"])
        for _ in range(how_many):
            grid = self._grid(self.rng.choice(desk.device.areas))
            self.office.plan(self._visit_task(desk, grid), day)

    def visit_now(self, grid: Grid, moment: Moment) -> tuple[Write, ...]:
        """A visit at that moment."""
        return self.pen.visit(grid, self.compound(grid), moment)

    def stray(self, day: int, register_visit: bool) -> None:
        """A worker writes an event, or a visit, in a grid of another community, where he may not write."""
        desk = self.rng.choice(self._of_role["grid_worker"])
        foreign = [g for g in self.place.grids if not desk.device.areas[0].startswith(g.community.code)]
        grid = self.rng.choice(foreign)
        if register_visit:
            self.office.plan(self._visit_task(desk, grid, "area"), day)
            return
        category = self.rng.choice(self.place.categories)
        issue = texts.make_issue(self.rng, category.key, self.compound(grid))
        step = Step("reported", REPORTER, "顺路看到，代为上报", refused="area")

        def write(moment: Moment) -> tuple[Write, ...]:
            key = uuid7(self.rng, moment.date, moment.minute)
            event = Event(key, Fate((step,)), grid, category, issue, desk.device, moment.staff)
            return self.pen.report(event, step, moment)[:1]

        self.office.plan(Task(desk, write, _nothing, patience=_PATIENCE[REPORTER]), day)

    def disclose(self, community: Community, day: int) -> None:
        """The publisher discloses something for a community on or after *day*, and ends it when its time is over."""
        desk = self._of_role[PUBLISHER][0]
        keys: list[str] = []

        def write(moment: Moment) -> tuple[Write, ...]:
            writes = self.pen.disclosure(community, moment)
            keys.extend(each.key for each in writes)
            return writes

        def follow(pushed: int) -> None:
            end = Task(desk, lambda _moment: self.pen.end_disclosure(*keys), _nothing, tuple(keys), patience=1)
            self.office.plan(end, pushed + POSTED_DAYS + 1)

        self.office.plan(Task(desk, write, follow, patience=_PATIENCE[PUBLISHER]), day)

    def _visit_task(self, desk: Desk, grid: Grid, refused: str = "") -> Task:
        def write(moment: Moment) -> tuple[Write, ...]:
            return self.pen.visit(grid, self.compound(grid), moment, refused)

        return Task(desk, write, _nothing, patience=_PATIENCE[REPORTER])

    def _desks_by_org(self) -> dict[str, Desk]:
        org_of = {person.key: person.org for person in self.place.people}
        return {org_of[desk.people[0]]: desk for desk in self.desks if desk.device.role == "handler"}

    def _grid(self, area: str) -> Grid:
        """A grid in *area*, which is a grid's or a community's code."""
        return self.rng.choice([grid for grid in self.place.grids if grid.code.startswith(area)])

    def compound(self, grid: Grid) -> str:
        """The name of a compound near the grid."""
        near = [each.name for each in self.place.compounds if each.grid.community is grid.community]
        return self.rng.choice(near)

    def _same_reporter(self, role: str) -> tuple[Device, str, Grid] | None:
        """Whoever reported last, if he has *role* and goes on, with a grid of his."""
        last = self.events[-1] if self.events else None
        if last is None or last.reporter.role != role or self.rng.random() > _SAME_REPORTER:
            return None
        return last.reporter, last.staff, self._grid(self.rng.choice(sorted(self._home_grids[last.staff])))

    def reporter(self, role: str) -> tuple[Device, str, Grid]:
        """Somebody with *role* in the field, his device, and a grid that is his."""
        device = self.rng.choice(self._of_role[role]).device
        staff = self.rng.choice(device.staff)
        return device, staff, self._grid(self.rng.choice(sorted(self._home_grids[staff])))

    def desks_of(self, role: str) -> list[Desk]:
        """The desks mostly used as *role*."""
        return self._of_role[role]

    def chiefs_of(self, community: Community) -> list[Desk]:
        """The desks of a community's chiefs."""
        return [desk for desk in self._of_role[CHIEF] if desk.device.areas == (community.code,)]

    def handler_of(self, event: Event) -> Desk:
        """The desk of the unit that the event was dispatched to."""
        assert event.owner is not None
        return self._handlers[event.owner.key]

    def _hand_out(self, event: Event, pushed: int) -> None:
        """Lay the next step of the event on the desk of whoever makes it; the row was pushed on that day."""
        step = event.next_step
        if step is None:
            return
        desk = self._desk_for(event, step)
        task = self._step_task(event, step, desk, pushed)
        if step.twin is not None:
            other = self.rng.choice([each for each in self._of_role[step.role] if each is not desk])
            twin = self._step_task(event, step.twin, other, pushed)
            twin.done = _nothing
            self.office.pair([], [task, twin], pushed)
        elif not event.state or event.holder == desk.device.index:
            self.office.plan(task, pushed + 1)
        else:
            self.office.hand_over(task, pushed)

    def _step_task(self, event: Event, step: Step, desk: Desk, pushed: int) -> Task:
        def write(moment: Moment) -> tuple[Write, ...]:
            if event.state:
                return (self.pen.step(event, step, moment),)
            return self.pen.report(event, step, moment)

        staff = event.staff if step.role == REPORTER else step.staff
        patience = self._patience(event, step, pushed)
        return Task(desk, write, lambda day: self._stepped(event, desk, day), event.key, staff, patience)

    def _patience(self, event: Event, step: Step, pushed: int) -> int:
        """How long this step may lie, so that the event reaches its end in time."""
        each = (self.office.last - pushed) / event.steps_left
        usual = _LATE_PATIENCE if step.target in ("evaluated", "archived") else _PATIENCE[step.role]
        # it may lie twice, before it is seen and before it is written, and the push may wait for a network
        return max(0, min(usual, int((each - DAYS_PER_STEP) / 2)))

    def _stepped(self, event: Event, desk: Desk, day: int) -> None:
        """The next step was pushed on *day*: what follows from it."""
        step = event.next_step
        assert step is not None
        event.at += 1
        event.holder = desk.device.index if step.twin is None else None
        edit = event.fate.edit
        if edit is not None and edit.state == step.target and not step.refused:
            self._edit(event, edit, day)
        if step.target == "closed" and event.fate.published and not event.closes_again and not step.refused:
            self._publish(event, day)
        self._hand_out(event, day)

    def _desk_for(self, event: Event, step: Step) -> Desk:
        if step.target == "dispatched":
            event.owner = self._unit_for(event, step)
        if step.role == REPORTER:
            return self.desks[event.reporter.index]
        if step.role == OWNER:
            return self.handler_of(event)
        desks = self._of_role[step.role]
        if step.role == CHIEF:
            desks = self.chiefs_of(event.grid.community)
        if step.staff is not None:
            desks = [desk for desk in desks if step.staff in desk.device.staff]
        same = [desk for desk in desks if desk.device.index == event.holder]
        return same[0] if same and self.rng.random() < _SAME_OPERATOR else self.rng.choice(desks)

    def _unit_for(self, event: Event, step: Step) -> Org:
        """The unit that the category names, the residents' committee, or after a mistake another unit."""
        chosen = event.category.unit
        if step.other_unit and event.owner is not None:
            others = [name for name in self._handlers if name.startswith(f"{self.place.area}-")]
            chosen = self.rng.choice([name for name in others if name != event.owner.key])
        elif event.fate.category is None and self.rng.random() < _COMMUNITY_HANDLES:
            chosen = event.grid.community.committee
        return next(org for org in self.place.orgs if org.key == chosen)

    def _edit(self, event: Event, edit: Edit, day: int) -> None:
        """Two people change the same field on one day; somebody may decide later."""
        seen: list[Desk] = []
        unseen = self.rng.sample(self._of_role[OPERATOR], 2)
        if edit.field == "title":
            seen = [self.desks[event.reporter.index]]
            unseen = [self.rng.choice(self.chiefs_of(event.grid.community))]
        *values, decision = self._rival_values(event, edit.field)

        def follow(pushed: int) -> None:
            self.conflicts += 1
            if edit.resolved:
                self._resolve(event, edit.field, decision, pushed)

        tasks = [
            self._edit_task(event, edit.field, value, desk) for desk, value in zip(seen + unseen, values, strict=True)
        ]
        tasks[0].done = follow
        self.office.pair(tasks[: len(seen)], tasks[len(seen) :], day)

    def _edit_task(self, event: Event, column: str, value: Cell, desk: Desk) -> Task:
        note = "更正标题" if column == "title" else "更正类别"
        return Task(
            desk,
            lambda _moment: self.pen.edit(event, {column: value}, note),
            _nothing,
            event.key,
            patience=_EDIT_PATIENCE,
        )

    def _resolve(self, event: Event, column: str, value: Cell, pushed: int) -> None:
        def settled(_day: int) -> None:
            self.conflicts -= 1

        desk = self.rng.choice(self._of_role[OPERATOR])
        task = self._edit_task(event, column, value, desk)
        task.done = settled
        self.office.hand_over(task, pushed)

    def _rival_values(self, event: Event, column: str) -> list[str]:
        """Two values that clash, and a third one that may settle it: writing what is shown would change nothing."""
        if column == "title":
            title = event.issue.title
            return [f"{title}（已拍照）", f"{title}，请优先处理", f"{title}（已拍照），请优先处理"]
        others = [each.key for each in self.place.categories if each.key != event.category.key]
        return [*self.rng.sample(others, 2), event.category.key]

    def _publish(self, event: Event, day: int) -> None:
        spare = self.office.last - day - DAYS_PER_STEP
        patience = max(0, min(_PATIENCE[PUBLISHER], spare // 2))
        task = Task(
            self._of_role[PUBLISHER][0], lambda _moment: self.pen.publish(event), _nothing, event.key, None, patience
        )
        self.office.hand_over(task, day)


def _nothing(_day: int) -> None:
    """Nothing follows."""
