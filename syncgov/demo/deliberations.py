"""Deliberations of the year: what the communities talked over, agreed on, and did about it.

They are written in sessions that the publisher has anyway, with dice of their own, so that everything else of the story
is the same with them and without.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from random import Random
from typing import Any

import yaml

from syncgov.demo.place import Community, Place
from syncgov.demo.plan import Cell, Day, Session, Write
from syncgov.demo.writing import uuid7

DELIBERATION = "deliberation"
_DESK = "publisher"
_EACH = 3  # of a community
_DECLINED_EVERY = 3  # communities: one of them also has a topic that it declines
_MEETING_DAY = 15  # of the month
_NOTICE_DAYS = 3  # between the list of topics and the meeting
_LIMITS = (30, 45, 60, 90)  # days
_AGAIN = 0.15  # share of topics on which nobody agrees the first time
_LATE = 0.2  # share of what is done after its time limit
_RATED_AFTER = 7  # days
_SOURCES = ("visit", "gathering", "online", "proposal", "event")
_RATINGS = ("satisfied", "satisfied", "satisfied", "fairly", "dissatisfied")
_NONE: Mapping[str, Cell] = {"owner": None, "due": None, "reason": None}

Slot = tuple[int, int]  # index of a day, place of a session among those of the day


@dataclass(frozen=True, slots=True)
class _Step:
    """Something to write from a day on, after the step before it: of the key `Write.key`."""

    earliest: datetime.date
    note: str
    columns: Mapping[str, Cell]


def add_deliberations(days: Sequence[Day], place: Place, seed: int) -> tuple[Day, ...]:
    """Return the days with the deliberations written in sessions of the publisher."""
    rng = Random(f"deliberations {seed}")
    material = _material()
    desk = place.devices_of(_DESK)[0].index
    slots = [
        (day.day_index, at)
        for day in days
        for at, session in enumerate(day.sessions)
        if session.device_index == desk and session.online
    ]
    added: dict[Slot, list[Write]] = {}
    for community in place.communities:
        for topic in _topics(rng, material, community):
            first = slots[rng.randrange(max(1, len(slots) - 2))]
            begun = days[first[0]].date
            key = uuid7(rng, begun, rng.randrange(days[first[0]].sessions[first[1]].minute))
            steps = _steps(rng, material, place, community, topic, begun)
            _enter(added, slots, days, first, key, steps)
    return tuple(
        replace(day, sessions=tuple(_with(s, added.get((day.day_index, at), ())) for at, s in enumerate(day.sessions)))
        for day in days
    )


def _with(session: Session, writes: Sequence[Write]) -> Session:
    return replace(session, writes=(*session.writes, *writes)) if writes else session


def _enter(
    added: dict[Slot, list[Write]],
    slots: Sequence[Slot],
    days: Sequence[Day],
    first: Slot,
    key: str,
    steps: list[_Step],
) -> None:
    """Write each step in the first session that comes late enough; what finds none is not written this year."""
    at = slots.index(first)
    for number, step in enumerate(steps):
        while at < len(slots) and (days[slots[at][0]].date < step.earliest):
            at += 1
        if at == len(slots):
            return
        kind = "update" if number else "insert"
        write = Write(DELIBERATION, key, dict(step.columns), kind, step.note, key)
        added.setdefault(slots[at], []).append(write)
        at += 1


def _topics(rng: Random, material: Mapping[str, Any], community: Community) -> list[Mapping[str, str]]:
    found = list(rng.sample(material["topics"], _EACH))
    if community.number % _DECLINED_EVERY == 0:
        found.append(material["declined"][community.number // _DECLINED_EVERY % len(material["declined"])])
    return found


def _steps(
    rng: Random,
    material: Mapping[str, Any],
    place: Place,
    community: Community,
    topic: Mapping[str, str],
    begun: datetime.date,
) -> list[_Step]:
    """Return what is written about a topic, in order."""
    held = _meeting_after(begun + datetime.timedelta(days=_NOTICE_DAYS))
    listed: dict[str, Cell] = {
        "community": community.code,
        "topic": f"{topic['topic']}（示例）",
        "source": rng.choice(_SOURCES),
        "weight": rng.choice(("great", "important", "hard", "hard")),
        "format": rng.choice(material["formats"]),
        "held_on": held.isoformat(),
        "mode": rng.choice(("onsite", "onsite", "mixed")),
        "place": rng.choice(material["places"]),
        "example": 1,
    }
    if "reason" in topic:
        never = {"held_on": None, "place": None, "mode": None, "stage": "declined", **_NONE, "reason": topic["reason"]}
        return [_Step(begun, "不予协商", listed | never)]
    steps = [_Step(begun, "列入议题", listed | {"stage": "listed", **_NONE})]
    if rng.random() < _AGAIN:
        steps.append(_Step(held, "再议", {"stage": "undecided", **_NONE, "reason": "split"}))
        held = _meeting_after(held + datetime.timedelta(days=1))
        steps.append(
            _Step(held, "形成决议", {"held_on": held.isoformat(), **_agreed(rng, place, community, topic, held)})
        )
    else:
        steps.append(_Step(held, "形成决议", _agreed(rng, place, community, topic, held)))
    return [*steps, *_done(rng, topic, steps[-1].columns)]


def _meeting_after(date: datetime.date) -> datetime.date:
    """Return the first meeting day on *date* or later."""
    while date.day != _MEETING_DAY:
        date += datetime.timedelta(days=1)
    return date


def _agreed(
    rng: Random, place: Place, community: Community, topic: Mapping[str, str], held: datetime.date
) -> dict[str, Cell]:
    due = held + datetime.timedelta(days=rng.choice(_LIMITS))
    owner = f"{place.area}-{topic['unit']}" if topic["unit"] else community.committee
    return {
        "attendance": rng.randrange(12, 60),
        "resolution": topic["resolution"],
        "stage": "agreed",
        "owner": owner,
        "due": due.isoformat(),
        "reason": None,
    }


def _done(rng: Random, topic: Mapping[str, str], agreed: Mapping[str, Cell]) -> Iterator[_Step]:
    due = datetime.date.fromisoformat(str(agreed["due"]))
    off = rng.randrange(3, 25)
    done = due + datetime.timedelta(days=off if rng.random() < _LATE else -min(off, 14))
    step = {name: agreed[name] for name in ("owner", "due", "reason")}
    yield _Step(done, "落实", {"stage": "done", **step, "follow_up": topic["follow_up"]})
    rated = done + datetime.timedelta(days=_RATED_AFTER)
    yield _Step(rated, "评议", {"stage": "rated", **step, "rating": rng.choice(_RATINGS)})


def _material() -> Mapping[str, Any]:
    text = resources.files("syncgov.demo").joinpath("data/deliberations.yml").read_text(encoding="utf-8")
    loaded: Mapping[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded
