"""The plan of the story is possible: replayed day by day, everybody has the rows he changes; the counts hold."""

import datetime
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import pytest

from syncgov.demo.calendar_acts import with_catalogue
from syncgov.demo.content import KEY, content_rows
from syncgov.demo.faults import plan_faults
from syncgov.demo.place import make_place
from syncgov.demo.plan import Story, Write
from syncgov.demo.story import plan_story
from syncgov.demo.walks import CLOSED_STATES
from syncgov.publish.detectors import find_sensitive
from syncgov.storage.schema import columns_for, table_sql
from tests.demo.replay import REGISTERS, Replay, value_of

PLACE = make_place(1)
ARGUMENTS = [(1, 563, 544), (7, 200, 150), (3, 40, 40), (5, 20, 0)]


@pytest.fixture(scope="module", params=ARGUMENTS, ids=str)
def story(request: pytest.FixtureRequest) -> Story:
    """A planned story."""
    seed, events, closed = request.param
    return plan_story(PLACE, seed, events, closed)


@pytest.fixture(scope="module")
def default() -> Story:
    """The story of the demo."""
    return plan_story(PLACE, 1)


def all_writes(story: Story) -> Iterator[Write]:
    for _day, session in story.sessions():
        yield from session.writes
    for action in story.last_day:
        yield from action.writes


@pytest.mark.parametrize("same_day", [False, True])
def test_the_replay_ends_as_expected(story: Story, same_day: bool) -> None:
    """Everybody has the rows he changes; verdicts, final states and conflicts are those of the plan.

    It does not matter whether a device got what was pushed on the day of its own sync.
    """
    replay = Replay(story, same_day).run()
    for entry in replay.log:
        assert entry.refused == entry.writes[0].refused, entry
    final = replay.final()
    conflicts = [place for place, heads in final.items() if len({str(value_of(e, *place)) for e in heads}) > 1]
    assert len(conflicts) == story.expect.conflicts
    states: Counter[str] = Counter()
    for place, heads in final.items():
        if place[1] == "step":
            assert len(heads) == 1
            states[value_of(heads[0], *place)["state"]] += 1
    assert dict(states) == dict(story.expect.states)
    assert len(replay.log) == story.expect.changesets
    assert Counter(e.refused for e in replay.log if e.refused) == Counter(story.expect.refused)


def test_counts_are_exact(story: Story, request: pytest.FixtureRequest) -> None:
    """As many events as asked for, as many of them closed."""
    _seed, events, closed = request.node.callspec.params["story"]
    states = story.expect.states
    assert (story.expect.events, story.expect.closed) == (events, closed)
    assert sum(states.values()) - states["void"] == events
    assert sum(states.get(state, 0) for state in CLOSED_STATES) == closed


def test_the_default_story_has_its_size(default: Story) -> None:
    """About 5 000 changesets and 2 500 syncs; six void; conflicts and three reasons of refusal."""
    expect = default.expect
    assert 4400 <= expect.changesets <= 5500
    assert 2450 <= expect.online <= 2650
    assert expect.void == 6
    assert expect.visits == 430
    assert expect.conflicts >= 5
    assert 8 <= sum(expect.refused.values()) <= 14
    assert set(expect.refused) == {"area", "guard", "transition"}
    assert expect.published >= 250
    assert expect.careless >= 3
    assert len(default.days) == 364


def test_conflicts_come_with_few_events_too() -> None:
    """The second input of the issue."""
    story = plan_story(PLACE, 7, 200, 150)
    assert story.expect.conflicts >= 5
    assert len(story.expect.refused) >= 2


def test_every_step_comes_after_the_sync_that_brought_the_last_one(story: Story) -> None:
    """The step before was pushed on an earlier day, and another device has synced on a day between."""
    syncs: dict[int, list[int]] = defaultdict(list)
    steps: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for day, session in story.sessions():
        if session.online:
            syncs[session.device_index].append(day.day_index)
        for write in session.writes:
            if "state" in write.columns:
                steps[write.key].append((day.day_index, session.device_index))
    checked = 0
    for moves in steps.values():
        for (written, first), (day_index, then) in pairwise(moves):
            if written == day_index:
                continue  # two checks at the same time
            pushed = min(sync for sync in syncs[first] if sync >= written)
            assert pushed < day_index
            assert first == then or any(pushed < sync < day_index for sync in syncs[then])
            checked += 1
    assert checked > len(steps) // 2


def test_a_device_is_used_once_a_day(story: Story) -> None:
    """So that nothing depends on the order within a day."""
    for day in story.days:
        used = [session.device_index for session in day.sessions]
        assert len(used) == len(set(used))
    last_sync = {s.device_index: d.day_index for d, s in story.sessions() if s.online}
    last_write = {s.device_index: d.day_index for d, s in story.sessions() if s.writes}
    assert len(last_sync) == len(PLACE.devices)
    assert all(last_sync[index] >= day for index, day in last_write.items())


def test_different_people_walk_an_event(default: Story) -> None:
    """From report to archive most events pass through four devices or more."""
    devices: dict[str, set[int]] = defaultdict(set)
    for _day, session in default.sessions():
        for write in session.writes:
            if "state" in write.columns and not write.refused:
                devices[write.key].add(session.device_index)
    assert sorted(map(len, devices.values()))[len(devices) // 2] >= 4


def test_all_detours_occur(default: Story) -> None:
    """自处置, 退回, 返工, 挂账, 延期, 作废, 回退 are in the year."""
    states: dict[str, list[str]] = defaultdict(list)
    for write in all_writes(default):
        if "state" in write.columns and not write.refused:
            states[write.key].append(str(write.columns["state"]))
    pairs = Counter(pair for walk in states.values() for pair in pairwise(["new", *walk]))
    for pair in [
        ("new", "feedback"),
        ("reported", "returned"),
        ("feedback", "rework"),
        ("handling", "suspended"),
        ("handling", "handling"),
        ("reported", "void"),
        ("dispatched", "accepted"),
    ]:
        assert pairs[pair] >= 5, pair
    steps = [len(walk) for walk in states.values()]
    assert 5.8 <= sum(steps) / len(steps) <= 6.8


def test_extensions_are_granted_in_time(default: Story) -> None:
    """延期 before the time limit has passed, nearly always."""
    due: dict[str, str] = {}
    late = granted = 0
    for day, session in default.sessions():
        for write in session.writes:
            if write.columns.get("state") == "handling" and write.columns["reason"] is not None:
                granted += 1
                late += day.date.isoformat() > due[write.key]
            if write.columns.get("due") is not None:
                due[write.key] = str(write.columns["due"])
    assert granted > 20
    assert late <= 1


def test_every_value_fits_its_register(story: Story) -> None:
    """Types, codes and required fields; a list is JSON text, as in SQLite."""
    with sqlite3.connect(":memory:") as conn:
        for register in REGISTERS.values():
            if not register.system:
                conn.execute(table_sql(register, columns_for(register, None), register.name))
        for _day, session in story.sessions():
            for write in session.writes:
                put(conn, write)
        for action in story.last_day:
            for statement in action.sql:
                assert conn.execute(statement).rowcount == 1
        count = conn.execute("SELECT count(*) FROM event").fetchone()[0]
    conn.close()
    assert count >= story.expect.events + story.expect.void


def put(conn: sqlite3.Connection, write: Write) -> None:
    register = REGISTERS[write.register]
    names = list(write.columns)
    if write.kind == "insert":
        for declared in register.fields:
            given = {c.name: write.columns.get(c.name) for c in declared.columns}
            assert not declared.required or declared.value(given) is not None
        marks = ", ".join("?" * (len(names) + 1))
        sql = f"INSERT INTO {write.register} ({', '.join(['id', *names])}) VALUES ({marks})"
        conn.execute(sql, [write.key, *write.columns.values()])
    else:
        sql = f"UPDATE {write.register} SET {', '.join(f'{n} = ?' for n in names)} WHERE id = ?"
        assert conn.execute(sql, [*write.columns.values(), write.key]).rowcount == 1


def test_keys_are_uuid7_of_their_time(default: Story) -> None:
    """Unique; none is later than the day on which it was written."""
    keys = [write.key for write in all_writes(default) if write.kind == "insert"]
    assert len(keys) == len(set(keys))
    for day, session in default.sessions():
        for write in session.writes:
            if write.kind == "insert":
                assert (write.key[14], write.key[19] in "89ab") == ("7", True)
                made = datetime.datetime.fromtimestamp(int(write.key.replace("-", "")[:12], 16) / 1000, datetime.UTC)
                assert (made + datetime.timedelta(hours=8)).date() <= day.date


def test_the_same_arguments_give_the_same_story() -> None:
    """And another seed another one."""
    assert plan_story(PLACE, 7, 60, 45) == plan_story(make_place(1), 7, 60, 45)
    assert plan_story(PLACE, 7, 60, 45).days != plan_story(PLACE, 8, 60, 45).days


def test_planning_is_fast() -> None:
    """The demo should not wait for its plan."""
    start = time.process_time()
    plan_story(PLACE, 2)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("numbers", [(19, 10), (20, 21), (20, -1)])
def test_impossible_numbers_are_refused(numbers: tuple[int, int]) -> None:
    """A ValueError says what is needed."""
    with pytest.raises(ValueError, match="events"):
        plan_story(PLACE, 1, *numbers)


def test_any_seed_and_size_works() -> None:
    """Small stories of all kinds end as asked."""
    for seed in range(40):
        events = 20 + seed * 3
        closed = (0, 1, events // 2, events - 1, events)[seed % 5]
        days = (180, 365)[seed % 2]
        expect = plan_story(PLACE, seed, events, closed, days).expect
        assert (expect.events, expect.closed) == (events, closed)


def test_texts_vary(default: Story) -> None:
    """At least 400 of the 563 titles, and of the descriptions, differ."""
    reports = [w for w in all_writes(default) if w.register == "event" and w.kind == "insert" and not w.refused]
    assert len(reports) == 569
    for column in ("title", "description"):
        assert len({write.columns[column] for write in reports}) >= 400
    public = {w.columns["title_public"] for w in all_writes(default) if "title_public" in w.columns}
    assert len(public) >= 150
    assert {write.columns["category"] for write in reports} == {each.key for each in PLACE.categories}


def test_only_the_careless_texts_stop_the_detectors(default: Story) -> None:
    """Telephone numbers and identity numbers that cannot exist; nothing else in the texts for the public."""
    contacts = {w.record: [str(w.columns[n]) for n in ("name", "phone", "address")] for w in contact_writes(default)}
    hits: Counter[str] = Counter()
    stopped = 0
    for write in all_writes(default):
        for column, value in write.columns.items():
            declared = REGISTERS[write.register].column_field(column)
            if declared.klass == "public" and declared.free_text and isinstance(value, str):
                found = find_sensitive(value, contacts.get(write.record, ()))
                hits.update(found)
                stopped += bool(found)
    assert stopped == default.expect.careless
    assert hits["landline"] >= 2
    assert hits["id18"] >= 2


def contact_writes(story: Story) -> list[Write]:
    """The writes that hold who reported."""
    return [write for write in all_writes(story) if write.register == "event_contact"]


def test_nobody_can_be_called(default: Story) -> None:
    """Every telephone number of a contact begins with 000; every name is a surname and a form of address."""
    contacts = contact_writes(default)
    assert len(contacts) > 100
    for write in contacts:
        assert str(write.columns["phone"]).startswith("000")
        assert len(str(write.columns["name"])) <= 3


def test_canaries_are_planted_once(default: Story) -> None:
    """Each is in exactly one write, a private or internal field, by the device that is named."""
    assert len(default.canaries) >= 20
    assert len({canary.text for canary in default.canaries}) == len(default.canaries)
    found: Counter[str] = Counter()
    for _day, session in default.sessions():
        for write in session.writes:
            for canary in default.canaries:
                for column, value in write.columns.items():
                    if isinstance(value, str) and canary.text in value:
                        found[canary.text] += 1
                        assert (write.register, write.key, column) == (canary.register, canary.key, canary.column)
                        assert session.device_index == canary.device_index
    assert set(found.values()) == {1}
    classes = {REGISTERS[c.register].field(c.column).klass for c in default.canaries}
    assert classes == {"private", "internal"}
    assert len(found) == len(default.canaries)


def test_the_last_day_is_six_people(story: Story) -> None:
    """Worker, operator, chief, handler, checker, publisher."""
    roles = [PLACE.devices[action.device_index].role for action in story.last_day]
    assert roles == ["grid_worker", "operator", "grid_chief", "handler", "checker", "publisher"]
    assert all(len(action.sql) == len(action.writes) for action in story.last_day)


def test_every_community_discloses(default: Story) -> None:
    """At least two acts of disclosure each, and of the street, of items of the catalogue, marked as examples."""
    acts = [write for write in all_writes(default) if write.register == "disclosure" and write.kind == "insert"]
    catalog = {row[KEY]: row["kind"] for row in content_rows(PLACE, default.first_date)["disclosure_catalog"]}
    assert min(Counter(write.columns["community"] for write in acts).values()) >= 2
    assert {write.columns["community"] for write in acts} == {PLACE.area, *(each.code for each in PLACE.communities)}
    for write in acts:
        assert catalog[str(write.columns["catalog"])] == write.columns["kind"]
        assert write.columns["example"] == 1
        assert "示例" in str(write.columns["title"])


def test_no_disclosure_is_told_twice_and_none_stays_open_after_its_time(story: Story) -> None:
    """Titles differ; what says until when people may object is ended after that day, if that day is over."""
    titles: Counter[object] = Counter()
    until, ended = {}, {}
    (publisher,) = (device.index for device in PLACE.devices if device.role == "publisher")
    for day, session in story.sessions():
        for write in (each for each in session.writes if each.register == "disclosure"):
            if write.kind == "insert":
                titles[write.columns["title"]] += 1
                until[write.key] = str(write.columns["objection_until"])
            else:
                assert write.columns == {"stage": "ended"}
                ended[write.key] = day.date.isoformat()
    assert set(titles.values()) == {1}, [title for title, count in titles.items() if count > 1]
    assert len(until) > 27  # three of each community, and what the catalogue asks for
    desk = max(day.date for day, session in story.sessions() if session.device_index == publisher and session.online)
    assert {key for key, day in until.items() if day < desk.isoformat()} == set(ended)
    assert all(ended[key] > until[key] for key in ended)


def test_the_catalogue_is_answered_mostly_in_time(default: Story) -> None:
    """What has a period is published in most places and periods: some of it late, some never."""
    acts = [write for write in all_writes(default) if write.register == "disclosure" and write.kind == "insert"]
    days = [(str(write.columns["published_on"]), str(write.columns["due_on"])) for write in acts]
    assert 150 < len(days) < 240
    assert 5 <= sum(done > due for done, due in days) <= 30


def test_the_catalogue_changes_nothing_else(default: Story) -> None:
    """Its dice are its own: without it the story is the same, write by write."""
    device = next(each.index for each in PLACE.devices if each.role == "publisher")
    again = with_catalogue(default.days, PLACE, device, seed=99)
    for before, after in zip(default.days, again, strict=True):
        for one, other in zip(before.sessions, after.sessions, strict=True):
            assert other.writes[: len(one.writes)] == one.writes
            assert {write.register for write in other.writes[len(one.writes) :]} <= {"disclosure"}
            assert one.device_index == device or one == other


def test_of_a_stolen_device_a_supervisor_may_adopt_everything(default: Story) -> None:
    """Nothing that it wrote was refused, as for an area that is not the supervisor's either."""
    faults = plan_faults(default)
    stolen, chief = (default.place.devices[index] for index in (faults.theft.device_index, faults.adopter))
    assert stolen.areas[0].startswith(chief.areas)
    written = [
        w for _day, session in default.sessions() if session.device_index == stolen.index for w in session.writes
    ]
    assert len(written) > 1
    assert not [write for write in written if write.refused]


def deliberation_writes(story: Story) -> Iterator[tuple[datetime.date, Write]]:
    """Yield what is written about deliberations, with its day."""
    for day, session in story.sessions():
        yield from ((day.date, write) for write in session.writes if write.register == "deliberation")


def test_deliberations_go_their_way_and_move_nothing_else(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each community lists three topics or more; steps in order, on later days; without them the story is the same."""
    stages: dict[str, list[tuple[datetime.date, str]]] = defaultdict(list)
    listed: Counter[object] = Counter()
    for date, write in deliberation_writes(story):
        stages[write.key].append((date, str(write.columns["stage"])))
        listed[write.columns.get("community")] += write.kind == "insert"
    del listed[None]
    assert len(listed) == 9
    assert min(listed.values()) >= 3
    assert sum(listed.values()) == story.expect.deliberations
    ways = {tuple(stage for _date, stage in way) for way in stages.values()}
    assert ("declined",) in ways
    whole = ("listed", "agreed", "done", "rated")
    assert whole in ways
    for way in ways - {("declined",)}:
        assert tuple(stage for stage in way if stage != "undecided") == whole[: len(set(way) - {"undecided"})]
    assert all(one[0] < other[0] for way in stages.values() for one, other in pairwise(way))
    monkeypatch.setattr("syncgov.demo.story.add_deliberations", lambda days, _place, _seed: days)
    expect = story.expect
    plain = plan_story(PLACE, story.seed, expect.events, expect.closed)
    for day, other in zip(story.days, plain.days, strict=True):
        for session, bare in zip(day.sessions, other.sessions, strict=True):
            assert tuple(w for w in session.writes if w.register != "deliberation") == bare.writes


def test_a_meeting_is_told_after_it_was_held(default: Story) -> None:
    """Attendance and resolution are written on the day of the meeting or later, the list of topics before."""
    held: dict[str, str] = {}
    told = 0
    for date, write in deliberation_writes(default):
        held[write.key] = str(write.columns.get("held_on", held.get(write.key)))
        if write.columns["stage"] == "listed":
            assert date.isoformat() < held[write.key]
        if "attendance" in write.columns:
            told += 1
            assert date.isoformat() >= held[write.key]
    assert told > 15
