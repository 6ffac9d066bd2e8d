"""The plan of the story: who writes what on which device on which day. Pure: the same arguments give the same story.

A year of ordinary work is played through in memory. The rules that make it real:

- A device is used at most once a day; in a session somebody writes first, and then, if the device is online, it syncs.
- A step of an event is written only by a device that has the step before: that step was pushed on an earlier day, and
  the device has synced on a day after that and before today. Days, not minutes, so that the order of the sessions
  within one day does not matter.
- Concurrent edits are made on one day by two devices that both have the row, before either syncs.
- A write that will be refused does not move its event.

The last day is not in `Story.days`: six people act through the command line (`Story.last_day`).
"""

import datetime
from random import Random

from syncgov.demo.place import Place
from syncgov.demo.plan import Day, Expect, LastDayAction, Session, Story, Write, count_changesets
from syncgov.demo.player import Player

__all__ = ["Day", "Expect", "LastDayAction", "Session", "Story", "Write", "count_changesets", "plan_story"]

MIN_EVENTS = 20
MIN_DAYS = 120  # shorter, the walks of the events do not fit
LAST_DATE = datetime.date(2026, 11, 21)


def plan_story(
    place: Place,
    seed: int,
    events: int = 563,
    closed: int = 544,
    days: int = 365,
    last_date: datetime.date = LAST_DATE,
) -> Story:
    """Return the story of *events* events, of which exactly *closed* end closed, evaluated or archived.

    Args:
        days: length of the year; the last of them is the last day. last_date: the date of that day.

    Raises:
        ValueError: fewer than 20 events, more closed than events, or too few days.
    """
    if not (MIN_EVENTS <= events and 0 <= closed <= events and days >= MIN_DAYS):
        raise ValueError(f"need events >= {MIN_EVENTS}, 0 <= closed <= events, days >= {MIN_DAYS}")
    rng = Random(f"story {seed} {events} {closed} {days}")
    return Player(place, rng, seed, days, last_date).play(events, closed)
