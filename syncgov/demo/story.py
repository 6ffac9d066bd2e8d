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
from collections import Counter
from random import Random

from syncgov.demo.calendar_acts import with_catalogue
from syncgov.demo.deliberations import DELIBERATION, add_deliberations
from syncgov.demo.lastday import LastDay, plan_last_day
from syncgov.demo.place import Place
from syncgov.demo.plan import Day, Expect, LastDayAction, Session, Story, Write, count_changesets
from syncgov.demo.player import PUBLISHER_DAYS, Player
from syncgov.demo.walks import CLOSED_STATES, DAYS_PER_STEP, HELD, PUBLISHER, Fate, hold, plan_fates, strays
from syncgov.demo.writing import DISCLOSURE, VISIT, Event

__all__ = ["Day", "Expect", "LastDayAction", "Session", "Story", "Write", "count_changesets", "plan_story"]

MIN_EVENTS = 20
MIN_DAYS = 180  # shorter, the detours do not fit
LAST_DATE = datetime.date(2026, 11, 21)
_ATTEMPTS = 5  # a walk that ends too late is very rare; then the year is played again with other dice
_SYNCS = 2500 / 563  # per event
_VISITS = 430 / 563
_VISITS_AT_ONCE = (1, 2, 3, 4, 5)
_DISCLOSURES_EACH = 3  # per community
_AUDIT_DAYS = 21  # the auditor looks every so many days
_OPEN_DAYS = 75  # events that stay open were mostly reported in the last so many days
_EDIT_DAYS = 110  # an event with a concurrent edit begins at least so long before the end
_QUIET_DAYS = 12  # visits and strays end so long before the end: then only what must be pushed is


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
    if not (events >= MIN_EVENTS and 0 <= closed <= events and days >= MIN_DAYS):
        raise ValueError(f"need events >= {MIN_EVENTS}, 0 <= closed <= events, days >= {MIN_DAYS}")
    for attempt in range(_ATTEMPTS):
        rng = Random(f"story {seed} {events} {closed} {days} {attempt}")
        story = _play(place, rng, seed, (events, closed), days, last_date)
        if (story.expect.events, story.expect.closed) == (events, closed):
            return story
    raise ValueError(f"seed {seed}: the walks of {events} events do not end in {days} days")


def _play(place: Place, rng: Random, seed: int, counts: tuple[int, int], days: int, last_date: datetime.date) -> Story:
    events, closed = counts
    first_date = last_date - datetime.timedelta(days=days - 1)
    player = Player(place, rng, first_date, last=days - 2)
    fates, voids = plan_fates(rng, events, closed)
    known = _start(player, fates, voids, has_open=closed < events)
    _start_field_work(player, events)
    player.office.play()
    last = plan_last_day(player, known, last_date, reported_open=closed < events, close=closed > 0)
    player.office.idle_syncs(round(_SYNCS * events))
    whole = add_deliberations(player.days, place, seed)
    whole = with_catalogue(whole, place, player.desks_of(PUBLISHER)[0].device.index, seed)
    expect = _expect(player, whole, last)
    return Story(place, seed, first_date, last_date, whole, last.actions, player.canaries, expect)


def _start(player: Player, fates: list[Fate], voids: list[Fate], *, has_open: bool) -> Event:
    """Hand out all events but those of the last day; return the one that is left to it half-way."""
    fates = list(fates)
    # today's report takes the place of one of these
    fates.pop(max(i for i, fate in enumerate(fates) if fate.is_closed != has_open and fate.edit is None))
    ordinary = [i for i, fate in enumerate(fates) if fate.name == "ordinary" and fate.edit is None]
    chosen = ordinary[0] if ordinary else 0
    fates[chosen] = hold(fates[chosen])
    starts = sorted(((_start_day(player, fate), i) for i, fate in enumerate([*fates, *voids])))
    all_fates = [*fates, *voids]
    begun = {i: player.start_event(all_fates[i], day) for day, i in starts}
    return begun[chosen]


def _start_day(player: Player, fate: Fate) -> int:
    last = player.office.last
    latest = last - DAYS_PER_STEP * len(fate.steps) - 2
    if fate.edit is not None:
        return player.rng.randrange(last - _EDIT_DAYS)
    if fate.name in ("open", HELD):
        return player.rng.randrange(min(last - _OPEN_DAYS, latest - 1), latest)
    return player.rng.randrange(latest)


def _start_field_work(player: Player, events: int) -> None:
    rng = player.rng
    busy = player.office.last - _QUIET_DAYS
    missing = round(_VISITS * events) - 1  # one is made on the last day
    while missing > 0:
        count = min(missing, rng.choice(_VISITS_AT_ONCE))
        player.visit(rng.randrange(busy), count)
        missing -= count
    for number in range(strays(events)):
        player.stray(rng.randrange(busy), register_visit=number % 4 == 1)
    for desk in player.desks_of("auditor"):
        desk.wakes.update(range(_AUDIT_DAYS, player.office.last, _AUDIT_DAYS))
    for community in player.place.communities:
        for _ in range(_DISCLOSURES_EACH):
            player.disclose(community, rng.randrange(busy - 2 * PUBLISHER_DAYS))


def _expect(player: Player, days: tuple[Day, ...], last: LastDay) -> Expect:
    final = {event.key: event.state for event in player.events} | last.states
    states = Counter(final.values())
    sessions = [session for day in days for session in day.sessions]
    today = [Session(a.device_index, a.staff_id, 0, a.writes, online=True) for a in last.actions]
    verdicts = count_changesets([*sessions, *today])
    writes = [write for session in [*sessions, *today] for write in session.writes]
    kinds = Counter(write.register for write in writes if write.kind == "insert" and not write.refused)
    return Expect(
        events=sum(states.values()) - states["void"],
        closed=sum(states[state] for state in CLOSED_STATES),
        void=states["void"],
        conflicts=player.conflicts,
        refused={reason: count for reason, count in sorted(verdicts.items()) if reason != "accepted"},
        changesets=sum(verdicts.values()),
        online=sum(session.online for session in sessions),
        visits=kinds[VISIT],
        disclosures=kinds[DISCLOSURE],
        deliberations=kinds[DELIBERATION],
        published=sum("title_public" in write.columns for write in writes),
        careless=sum(event.fate.careless for event in player.events if event.fate.published),
        states=dict(sorted(states.items())),
    )
