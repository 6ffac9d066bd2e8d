"""What exactly is written: the columns of each row. The names are those of the registers in syncgov/registers."""

import datetime
import json
from dataclasses import dataclass
from random import Random

from syncgov.demo import texts
from syncgov.demo.canaries import Canary, canary_text
from syncgov.demo.desks import Moment
from syncgov.demo.place import Category, Community, Device, Grid, Org
from syncgov.demo.plan import Cell, Write
from syncgov.demo.walks import Fate, Step

EVENT, CONTACT, VISIT, DISCLOSURE = "event", "event_contact", "visit", "disclosure"
_SOURCES = (("collection", 6), ("resident", 5), ("cadre", 1))
_URGENCY = (("0", 16), ("1", 3), ("2", 1))
_LEVELS = (("grid", 5), ("community", 3), ("town", 2))
_RELATIONS = (("petitioner", 6), ("party", 3), ("witness", 1))
_VISIT_KINDS = (("patrol", 5), ("household", 4), ("publicity", 2), ("callback", 1), ("key_place", 2))
_TARGETS = {"patrol": "place", "household": "household", "publicity": "building", "callback": "household"}
_RATINGS = (("satisfied", 12), ("fairly", 4), ("dissatisfied", 1), ("unknown", 1))
_COMPLEX_DAYS = 30  # what is difficult from the start gets more time; and more later, before that has passed
_EXTENSION_DAYS = 15
POSTED_DAYS = 7  # how long a disclosure is open to objection
_REDRAWS = 50  # until a disclosure has a title of its own
_BEIJING = datetime.timezone(datetime.timedelta(hours=8))


@dataclass(slots=True)
class Event:
    """An event on its way; `at` counts the steps made.

    `holder` is the device that made the last step, which needs no sync to make the next one.
    """

    key: str
    fate: Fate
    grid: Grid
    category: Category
    issue: texts.Issue
    reporter: Device
    staff: str
    canary: bool = False
    state: str = ""
    owner: Org | None = None
    due: datetime.date | None = None
    at: int = 0
    holder: int | None = None

    @property
    def closes_again(self) -> bool:
        """Whether a later step closes it."""
        return any(step.target == "closed" and not step.refused for step in self.fate.steps[self.at :])

    @property
    def is_extended(self) -> bool:
        """Whether its time limit is extended later, which must happen before it has passed."""
        return any(step.later_due for step in self.fate.steps)

    @property
    def next_step(self) -> Step | None:
        """The step that comes now."""
        return self.fate.steps[self.at] if self.at < len(self.fate.steps) else None

    @property
    def steps_left(self) -> int:
        """How many steps are still to be made."""
        return len(self.fate.steps) - self.at


def uuid7(rng: Random, date: datetime.date, minute: int) -> str:
    """Return a UUIDv7 of that Beijing time, its random bits from *rng*. Source: RFC 9562, section 5.7."""
    midnight = datetime.datetime(date.year, date.month, date.day, tzinfo=_BEIJING)
    ms = int(midnight.timestamp()) * 1000 + minute * 60_000 + rng.randrange(60_000)
    bits = ms << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)
    text = f"{bits:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def stamp(date: datetime.date, minute: int) -> str:
    """Return the Beijing time as the registers write it."""
    return f"{date.isoformat()}T{minute // 60:02d}:{minute % 60:02d}:00+08:00"


def _weighted(rng: Random, choices: tuple[tuple[str, int], ...]) -> str:
    return rng.choices([code for code, _weight in choices], [weight for _code, weight in choices])[0]


class Pen:
    """Makes writes; keeps the canaries that it planted."""

    def __init__(self, rng: Random) -> None:
        self.canaries: list[Canary] = []
        self._careless = 0
        self._titles: set[str] = set()
        self._rng = rng

    def step(self, event: Event, step: Step, moment: Moment) -> Write:
        """Return the write of one step but the first; the event moves, unless the step will be refused."""
        columns = self._step_columns(event, step, moment)
        if step.target == "feedback":
            columns["result"] = event.issue.result
        if step.target == "evaluated":
            columns["rating"] = _weighted(self._rng, _RATINGS)
        if event.state == "returned":
            columns["description"] = f"{event.issue.description}补充：已核对具体位置。"
        self._move(event, step, columns)
        return self._update(event, columns, step.note, step.refused)

    def report(self, event: Event, step: Step, moment: Moment) -> tuple[Write, ...]:
        """Return the writes that make an event, with its contact if a resident came."""
        source = "resident" if event.canary else _weighted(self._rng, _SOURCES)
        columns = self._report_columns(event, moment, source) | self._step_columns(event, step, moment)
        if step.target == "feedback":
            columns["result"] = event.issue.result
        if event.canary:
            columns["description"] = f"{columns['description']}{self._plant(EVENT, event, 'description', event.key)}"
        self._move(event, step, columns)
        writes = [Write(EVENT, event.key, columns, "insert", step.note, event.key, step.refused)]
        if source == "resident" and event.reporter.role == "grid_worker":
            writes.append(self._contact(event, moment, step.refused))
        return tuple(writes)

    def _step_columns(self, event: Event, step: Step, moment: Moment) -> dict[str, Cell]:
        due = event.due
        if step.target == "accepted" and due is None:
            days = event.category.limit_days + (_COMPLEX_DAYS if event.is_extended else 0)
            due = moment.date + datetime.timedelta(days=days)
        if step.later_due and due is not None:
            due += datetime.timedelta(days=_EXTENSION_DAYS)
        owner = None if step.target == "accepted" else event.owner
        return {
            "state": step.target,
            "owner": None if owner is None else owner.key,
            "due": None if due is None else due.isoformat(),
            "reason": self._rng.choice(step.reasons) if step.reasons else None,
        }

    @staticmethod
    def _move(event: Event, step: Step, columns: dict[str, Cell]) -> None:
        if step.refused:
            return
        due = columns["due"]
        event.state = step.target
        event.due = datetime.date.fromisoformat(due) if isinstance(due, str) else None

    def _report_columns(self, event: Event, moment: Moment, source: str) -> dict[str, Cell]:
        return {
            "grid_id": event.grid.code,
            "occurred_at": stamp(moment.date, max(0, moment.minute - self._rng.randrange(5, 240))),
            "source": source,
            "category": event.category.key,
            "urgency": int(_weighted(self._rng, _URGENCY)),
            "level": _weighted(self._rng, _LEVELS),
            "title": event.issue.title,
            "description": event.issue.description,
        }

    def _contact(self, event: Event, moment: Moment, refused: str) -> Write:
        key = uuid7(self._rng, moment.date, moment.minute)
        address = f"{event.issue.place}（演示地址）"
        if event.canary:
            address += self._plant(CONTACT, event, "address", key)
        columns: dict[str, Cell] = {
            "event_id": event.key,
            "name": texts.pick(self._rng, "residents"),
            "phone": texts.impossible_phone(self._rng),
            "address": address,
            "relation": _weighted(self._rng, _RELATIONS),
            "consent_callback": int(self._rng.random() < 0.8),
        }
        return Write(CONTACT, key, columns, "insert", "", event.key, refused)

    def _plant(self, register: str, event: Event, column: str, key: str) -> str:
        text = canary_text(self._rng)
        self.canaries.append(Canary(text, register, key, column, event.grid.code, event.reporter.index))
        return text

    def edit(self, event: Event, columns: dict[str, Cell], note: str) -> tuple[Write, ...]:
        """Return a change of columns outside the workflow."""
        return (self._update(event, columns, note, ""),)

    def publish(self, event: Event) -> tuple[Write, ...]:
        """Return what the publisher writes about a closed event."""
        described, result = event.issue.public_description, event.issue.result
        if event.fate.careless:
            self._careless += 1
            if self._careless % 2:
                described += f"联系人电话{texts.careless_phone(self._rng)}。"
            else:
                result += f"已核对身份证{texts.careless_id(self._rng)}。"
        columns: dict[str, Cell] = {
            "title_public": event.issue.public_title,
            "description_public": described,
            "result_public": result,
        }
        return (self._update(event, columns, "拟定公开内容", ""),)

    def visit(self, grid: Grid, compound: str, moment: Moment, refused: str = "") -> tuple[Write, ...]:
        """Return a visit in *grid*."""
        kind = _weighted(self._rng, _VISIT_KINDS)
        key = uuid7(self._rng, moment.date, moment.minute)
        follow_up = moment.date + datetime.timedelta(days=self._rng.randrange(7, 40))
        columns: dict[str, Cell] = {
            "grid_id": grid.code,
            "occurred_at": stamp(moment.date, max(0, moment.minute - self._rng.randrange(5, 180))),
            "kind": kind,
            "target_kind": _TARGETS.get(kind, "shop"),
            "households": self._rng.randrange(1, 13) if kind != "key_place" else 0,
            "topics": _list([texts.pick(self._rng, "topics")]),
            "follow_up": follow_up.isoformat() if self._rng.random() < 0.3 else None,
        }
        if moment.device.role != "grid_helper":  # helpers may not read private fields
            columns["notes"] = texts.visit_note(self._rng, kind, compound)
        return (Write(VISIT, key, columns, "insert", "", key, refused),)

    def disclosure(self, community: Community, moment: Moment) -> tuple[Write, ...]:
        """Return one act of disclosure of a community."""
        key = uuid7(self._rng, moment.date, moment.minute)
        formed = moment.date - datetime.timedelta(days=self._rng.randrange(2, 15))
        until = moment.date + datetime.timedelta(days=POSTED_DAYS)
        due = moment.date + datetime.timedelta(days=self._rng.randrange(0, 10))
        columns: dict[str, Cell] = {"community": community.code, **self._fresh_disclosure(community, formed)}
        columns |= {
            "org": community.committee,
            "formed_on": formed.isoformat(),
            "due_on": due.isoformat(),
            "published_on": moment.date.isoformat(),
            "channels": _list(["公示栏", "网上"]),
            "objection_until": until.isoformat(),
            "signed_off_by": "居务监督委员会（示例）",
            "stage": "posted",
            "example": 1,
        }
        return (Write(DISCLOSURE, key, columns, "insert", "按公开目录公开", key),)

    def _fresh_disclosure(self, community: Community, formed: datetime.date) -> dict[str, str]:
        """Return what is disclosed, under a title that the community has not used: there is one a quarter and item."""
        for _ in range(_REDRAWS):
            drawn = texts.disclosure(self._rng, community.short, formed)
            if drawn["title"] not in self._titles:
                break
        self._titles.add(drawn["title"])
        return drawn

    @staticmethod
    def end_disclosure(key: str) -> tuple[Write, ...]:
        """Return what the publisher writes when nobody can object any more."""
        return (Write(DISCLOSURE, key, {"stage": "ended"}, "update", "公示期满", key),)

    @staticmethod
    def _update(event: Event, columns: dict[str, Cell], note: str, refused: str) -> Write:
        return Write(EVENT, event.key, columns, "update", note, event.key, refused)


def _list(items: list[str]) -> str:
    return json.dumps(items, ensure_ascii=False)
