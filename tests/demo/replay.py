"""Plays a plan in memory, with devices that know only what they pulled, and a centre that judges by the registers."""

import datetime
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from syncgov.core.register import RegisterSet
from syncgov.core.workflow import PHOTO_GUARD, find_transition, needs_review, precedence_rank
from syncgov.demo.photos import photos_of
from syncgov.demo.place import Device
from syncgov.demo.plan import Session, Story, Write
from syncgov.storage.files import builtin_folder, read_registers

REGISTERS = RegisterSet(read_registers(builtin_folder()))


@dataclass(eq=False)
class Entry:
    """One changeset of the replay: one record, one device, one person."""

    device: Device
    staff: str
    day: int
    date: datetime.date
    writes: tuple[Write, ...]
    over: dict[tuple[str, str], list["Entry"]]
    pushed: int | None = None
    index: int | None = None
    refused: str = ""


@dataclass
class Replay:
    """All devices and a centre, in memory. `same_day`: a sync also brings what was pushed earlier on the same day."""

    story: Story
    same_day: bool
    log: list[Entry] = field(default_factory=list)
    known: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    wait: dict[int, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    about: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))

    def run(self) -> "Replay":
        """Play all days and then the last one."""
        for day, session in self.story.sessions():
            self.session(day.day_index, session)
        last = self.story.days[-1].day_index + 1
        for number, action in enumerate(self.story.last_day):
            # each first syncs, and has what the one before him pushed
            self.sync(action.device_index, last + number)
            self.session(last + number, Session(action.device_index, action.staff_id, 0, action.writes, online=True))
        return self

    def session(self, day: int, session: Session) -> None:
        """One device is used: it writes what it can see, then it may sync."""
        device = self.story.place.devices[session.device_index]
        assert session.staff_id in device.staff
        for record in session.records:
            writes = tuple(write for write in session.writes if write.record == record)
            date = self.story.first_date + datetime.timedelta(days=day)
            entry = Entry(device, session.staff_id, day, min(date, self.story.last_date), writes, {})
            for write in writes:
                seen = self.visible(device.index, write.key)
                assert seen or write.kind == "insert", f"{device.label} has no row {write.key} on day {day}"
                for name in fields_of(write):
                    entry.over[write.key, name] = heads_of(seen, (write.key, name))
                # what equals the shown value would not be written at all
                assert any(
                    value_of(entry, *place) not in [value_of(head, *place) for head in heads]
                    for place, heads in entry.over.items()
                )
                self.about[write.key].append(entry)
            self.wait[device.index].append(entry)
        if session.online:
            self.sync(device.index, day)

    def visible(self, index: int, key: str) -> list[Entry]:
        """What the device knows of the row."""
        return [
            entry
            for entry in self.about[key]
            if entry.device.index == index or (entry.index is not None and entry.index < self.known[index])
        ]

    def sync(self, index: int, day: int) -> None:
        """Push, then pull."""
        for entry in self.wait.pop(index, []):
            entry.pushed, entry.index = day, len(self.log)
            entry.refused = judge(entry)
            self.log.append(entry)
        limit = len(self.log)
        while not self.same_day and limit and self.log[limit - 1].pushed == day:
            limit -= 1
        self.known[index] = max(self.known[index], limit)

    def final(self) -> dict[tuple[str, str], list[Entry]]:
        """(key, field) -> heads at the centre."""
        places = {place for entry in self.log if not entry.refused for place in entry.over}
        return {place: heads_of(self.about[place[0]], place) for place in places}


def heads_of(entries: list[Entry], place: tuple[str, str]) -> list[Entry]:
    """The accepted or undecided entries that no other of these replaces."""
    touching = [entry for entry in entries if place in entry.over and not entry.refused]
    gone = {id(other) for entry in touching for other in entry.over[place]}
    return [entry for entry in touching if id(entry) not in gone]


def fields_of(write: Write) -> list[str]:
    """The fields that the columns belong to."""
    register = REGISTERS[write.register]
    return list(dict.fromkeys(register.column_field(column).name for column in write.columns))


def value_of(entry: Entry, key: str, name: str) -> Any:
    """What the entry set the field to."""
    write = next(w for w in entry.writes if w.key == key)
    return REGISTERS[write.register].field(name).value(write.columns)


def judge(entry: Entry) -> str:
    """The centre's reason to refuse, as far as the plan can tell: roles, areas, workflow and guards."""
    for write in entry.writes:
        register = REGISTERS[write.register]
        for name in fields_of(write):
            declared = register.field(name)
            moves = register.workflow is not None and register.workflow.field == name
            if not (moves or declared.write & set(entry.device.roles)):
                return "role"
        area = write.columns.get(register.area) if register.area is not None else None
        if area is not None and not str(area).startswith(entry.device.areas):
            return "area"
    first = entry.writes[0]
    workflow = REGISTERS[first.register].workflow
    moves = workflow is not None and workflow.state_column in first.columns
    return judge_step(entry, first) if moves else ""


def judge_step(entry: Entry, write: Write) -> str:
    """Transition and guards."""
    workflow = REGISTERS[write.register].workflow
    assert workflow is not None
    over = [other for other in entry.over[write.key, workflow.field] if not other.refused]
    values = [value_of(other, write.key, workflow.field) for other in over]
    assert not needs_review(workflow, values)
    column = workflow.state_column
    states = sorted((value[column] for value in values), key=lambda state: precedence_rank(workflow, state))
    found = find_transition(workflow, states[0] if states else None, str(write.columns[column]), entry.device.roles)
    if found is None:
        return "transition"
    photos = {phase for phase, _photo in photos_of([write])}
    for guard in found.guards:
        if guard == "other_person":
            if any(other.staff == entry.staff for other in over):
                return "guard"
        elif guard == PHOTO_GUARD:
            if workflow.photos is None or not {workflow.photos.before, workflow.photos.after} <= photos:
                return "guard"
        elif guard == "second_signature":
            if not [person for person in entry.device.staff if person != entry.staff]:
                return "guard"
        elif guard == "before_expiry":
            due = next(value["due"] for value in values if value[column] == states[0])
            if due is None or entry.date.isoformat() > due:
                return "guard"
        elif write.columns[guard] is None:
            return "guard"
    return ""
