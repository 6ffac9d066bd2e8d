"""Whatever people, lines, carriers and thieves do: nothing acknowledged is lost, and in the end all show one truth.

The longer profile is `make properties`: SYNCGOV_FIELD_EXAMPLES runs.
"""

import os
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from syncgov.centre.certificates import renew
from syncgov.core.commitment import Value
from syncgov.fsck import fsck
from syncgov.storage.adopting import adopt
from syncgov.storage.conflicts import conflicts, count_conflicts
from syncgov.storage.resolving import head_values, resolve
from syncgov.storage.resubmitting import resubmit, resubmittable
from tests.helpers import AREA, DAY_MS, EAST, NOW_MS, WEST
from tests.properties.expected import Watch, check_erased, check_promises, check_replica
from tests.properties.field import DEVICES, EDITIONS, EXPECTED, OFFLINE, Field, settle

MEMORY = Path("/dev/shm")
IN_SUITE = 16
EXAMPLES = int(os.environ.get("SYNCGOV_FIELD_EXAMPLES", IN_SUITE))
STEPS = 40 if EXAMPLES > IN_SUITE else 25
TOTALS: Counter[str] = Counter()

names = st.sampled_from(sorted(DEVICES))
online = st.sampled_from(sorted(set(DEVICES) - {OFFLINE}))
writers = st.sampled_from(["shared", "worker", "west", "desk", "carried", "thief"])
pairs = st.sampled_from([("shared", "worker"), ("worker", "desk"), ("west", "worker"), ("thief", "shared")])
numbers = st.integers(0, 2)
tasks = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["一", "二"]),
        "kind": st.sampled_from([None, "a", "b"]),
        "urgency": st.sampled_from([None, 0, 2]),
        "days": st.sampled_from([None, 0, 2]),
        "done": st.sampled_from([None, 0, 1]),
        "secret": st.sampled_from([None, "内情"]),
        "extra": st.sampled_from([None, "补"]),
        "place": st.sampled_from([EAST, WEST]),
        "state": st.sampled_from(["reported", "accepted", "rejected", "closed", "rework"]),
        "due": st.sampled_from([None, "2026-12-01"]),
        "reason": st.sampled_from([None, "dup"]),
    },
)
contacts = st.fixed_dictionaries({}, optional={"phone": st.sampled_from([None, "000-0000001", "000-0000002"])})


class FieldMachine(RuleBasedStateMachine):
    """A few days of a street."""

    requests = Bundle("requests")
    replies = Bundle("replies")

    @initialize(seed=st.integers(0, 3), page=st.sampled_from([500, 3]))
    def begin(self, seed: int, page: int) -> None:
        """Take a fresh street."""
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.field = Field(self.folder / "field", seed, page)
        self.watch = Watch(self.field.world.centre.ledger)

    # -- writing --------------------

    @rule(name=writers, number=numbers, columns=tasks)
    def write_task(self, name: str, number: int, columns: dict[str, Value]) -> None:
        """Also what is not allowed."""
        self.field.write(name, "task", number, columns)

    @rule(name=writers, number=numbers, columns=contacts)
    def write_contact(self, name: str, number: int, columns: dict[str, Value]) -> None:
        """A child row."""
        self.field.write(name, "contact", number, columns)

    @rule(name=writers, amount=st.sampled_from([100, 200]))
    def write_payment(self, name: str, amount: int) -> None:
        """A row that may only be inserted."""
        self.field.write(name, "payment", 0, {"amount": amount})

    @rule(name=writers, number=numbers, table=st.sampled_from(["task", "contact", "payment"]))
    def delete(self, name: str, number: int, table: str) -> None:
        """Delete a row, if it is there."""
        self.field.delete(name, table, number)

    @rule(name=writers, table=st.sampled_from(["task", "contact"]))
    def rebuild(self, name: str, table: str) -> None:
        """What `sqlite-utils transform` does."""
        self.field.rebuild(name, table)

    @rule(name=writers, person=numbers)
    def commit(self, name: str, person: int) -> None:
        """Sign."""
        with self.field.acting(name) as replica:
            assert not replica.commit(self.field.person(name, person)).problems

    @rule(name=writers, number=numbers, one=tasks, person=numbers)
    def write_at_once(self, name: str, number: int, one: dict[str, Value], person: int) -> None:
        """Write and sync, as most do."""
        self.field.write(name, "task", number, one)
        if name != OFFLINE:
            self.sync(name, person)

    @rule(pair=pairs, number=numbers, one=tasks, other=tasks, person=numbers)
    def clash(
        self, pair: tuple[str, str], number: int, one: dict[str, Value], other: dict[str, Value], person: int
    ) -> None:
        """Two write about one record before either hears of the other; then both hear of both."""
        for name, columns in zip(pair, (one, other), strict=True):
            self.field.write(name, "task", number, columns)
        for name in (*pair, pair[0]):
            self.sync(name, person)

    # -- on the way --------------------

    @rule(name=online, person=numbers)
    def sync(self, name: str, person: int) -> None:
        """Over a whole line."""
        self.field.sync(name, person)
        check_promises(self.field.world.centre.ledger, self.field.replica(name))

    @rule()
    def evening(self) -> None:
        """Everybody comes back to the office."""
        for name in self.field.names:
            if name != OFFLINE:
                self.field.sync(name)

    @rule(name=online, person=numbers, cut_at=st.integers(1, 5), cut_answer=st.booleans())
    def cut_sync(self, name: str, person: int, cut_at: int, cut_answer: bool) -> None:
        """The n-th request, or its answer, is lost, and all that follow."""
        self.field.sync(name, person, cut_at, cut_answer)

    @rule(target=requests, name=names, person=numbers)
    def pack(self, name: str, person: int) -> object:
        """Make a file for the carrier."""
        data = self.field.pack(name, person)
        return multiple() if data is None else (name, data)

    @rule(target=replies, request=requests)
    def deliver(self, request: tuple[str, bytes]) -> object:
        """In any order, any number of times, or never."""
        reply = self.field.deliver(request[1])
        return multiple() if reply is None else (request[0], reply)

    @rule(reply=replies, person=numbers)
    def take(self, reply: tuple[str, bytes], person: int) -> None:
        """Also an old one again."""
        self.field.take(reply[0], reply[1], person)

    @rule(reply=consumes(replies))
    def lose(self, reply: tuple[str, bytes]) -> None:
        """The stick is gone."""

    # -- time, places, rules --------------------

    @rule(name=names, now=st.sampled_from([0, NOW_MS - DAY_MS, NOW_MS + 300_000, NOW_MS + 365 * DAY_MS]))
    def set_clock(self, name: str, now: int) -> None:
        """A battery was empty, or somebody played."""
        self.field.clocks[name].now = now

    @rule(days=st.sampled_from([0, 1, 15]))
    def later(self, days: int) -> None:
        """Time passes; fifteen days are more than the days of grace."""
        self.field.later(days)

    @rule(name=st.sampled_from(["worker", "west"]), areas=st.sampled_from([(EAST,), (WEST,), (EAST, WEST), (AREA,)]))
    def reassign(self, name: str, areas: tuple[str, ...]) -> None:
        """Somebody works elsewhere from now on."""
        if name not in self.field.revoked:
            renew(self.field.world.centre, self.field.replica(name).dev, areas=areas)

    @precondition(lambda self: self.field.edition < len(EDITIONS))
    @rule()
    def upgrade(self) -> None:
        """A new edition of a register; who has not synced goes on with the old one."""
        self.field.upgrade()

    @rule(
        table=st.sampled_from(["task", "task", "contact"]),
        number=numbers,
        fields=st.sampled_from([(), ("title",), ("secret", "kind"), ("phone",), ("urgency",)]),
    )
    def erase(self, table: str, number: int, fields: tuple[str, ...]) -> None:
        """Somebody's request to be forgotten, or a mistake; whoever is on the way does not know of it."""
        TOTALS["erased"] += self.field.erase(table, number, fields)

    # -- deciding --------------------

    @rule(name=st.sampled_from(["desk", "desk", "worker", "shared"]), which=numbers, value=numbers, person=numbers)
    def decide(self, name: str, which: int, value: int, person: int) -> None:
        """Resolve a conflict, if there is one and this device may."""
        self.field.sync(name, person)
        found = conflicts(self.field.replica(name))
        if found:
            one = found[which % len(found)]
            with self.field.acting(name) as replica:
                heads = head_values(replica, one.table, one.key, one.field)
                choice, staff = heads[value % len(heads)], self.field.person(name, person)
                with suppress(*EXPECTED):
                    resolve(replica, one.table, one.key, one.field, choice, staff)
                    TOTALS["decided"] += 1

    @rule(name=st.sampled_from(["desk", "worker", "shared", "west"]), which=numbers, person=numbers)
    def send_again(self, name: str, which: int, person: int) -> None:
        """Resubmit something that was refused."""
        self.field.sync(name, person)
        found = resubmittable(self.field.replica(name))
        if found:
            with self.field.acting(name) as replica, suppress(*EXPECTED):
                resubmit(replica, [found[which % len(found)].seq], self.field.person(name, person))
                TOTALS["sent again"] += 1

    @precondition(lambda self: not self.field.revoked)
    @rule(number=numbers, columns=tasks)
    def steal(self, number: int, columns: dict[str, Value]) -> None:
        """Somebody's work is on a device when it is stolen."""
        self.field.write("thief", "task", number, columns)
        self.commit("thief", 0)
        self.field.revoke("thief", last_good=False)

    @precondition(lambda self: "thief" in self.field.revoked)
    @rule(name=st.sampled_from(["worker", "desk"]))
    def adopt(self, name: str) -> None:
        """Sign anew what is on the stolen device."""
        self.field.sync(name)
        with self.field.acting(name) as replica, suppress(*EXPECTED):
            TOTALS["adopted"] += len(adopt(replica, self.field.world.folder / "thief.db").signed)

    # -- what goes wrong --------------------

    @precondition(lambda self: "clone" not in self.field.names and "shared" not in self.field.doubtful)
    @rule()
    def clone(self) -> None:
        """Somebody copies a device, key and all."""
        self.field.clone()

    @precondition(lambda self: "clone" in self.field.names)
    @rule(number=numbers, columns=tasks)
    def write_on_the_clone(self, number: int, columns: dict[str, Value]) -> None:
        """And works with it."""
        self.field.write("clone", "task", number, columns)
        self.field.sync("clone")

    @rule(name=st.sampled_from(["worker", "carried"]))
    def snapshot(self, name: str) -> None:
        """A backup is made."""
        self.field.snapshot(name)

    @precondition(lambda self: self.field.snapshots)
    @rule(which=numbers)
    def restore(self, which: int) -> None:
        """And put back."""
        known = sorted(self.field.snapshots)
        self.field.restore(known[which % len(known)])

    @precondition(lambda self: not self.field.revoked)
    @rule(name=st.sampled_from(["thief", "west"]), last_good=st.booleans())
    def revoke(self, name: str, last_good: bool) -> None:
        """It is noticed that a device is gone."""
        self.field.revoke(name, last_good)

    # -- what always holds --------------------

    @invariant()
    def the_log_only_grows(self) -> None:
        """And its checkpoint is that of its leaves."""
        if hasattr(self, "watch"):
            self.watch.look()

    def teardown(self) -> None:
        """Let all become quiet; then compare everybody with the reference."""
        if not hasattr(self, "field"):
            return
        try:
            if sys.exc_info()[0] is None:
                self._end()
        finally:
            self.field.close()
            shutil.rmtree(self.folder)

    def _end(self) -> None:
        ledger = self.field.world.centre.ledger
        TOTALS["syncs"] += settle(self.field)
        TOTALS.update(self.watch.look_at_all(set(self.field.pushed)))
        for name in self.field.names:
            replica = self.field.replica(name)
            TOTALS["promises"] += check_promises(ledger, replica)
            if name == "thief" and name in self.field.revoked:
                continue
            try:
                TOTALS["rows"] += check_replica(ledger, replica)
                TOTALS["hidden"] += check_erased(ledger, replica)
            except AssertionError as error:
                error.add_note(f"on {name}")
                raise
            TOTALS["conflicts"] += sum(count_conflicts(replica))
            assert not fsck(replica.path).findings
        assert not fsck(self.field.world.centre.path).findings


def test_a_street_in_the_field() -> None:
    """Run the machine; the examples are always the same ones unless there are more than in `make test`."""
    TOTALS.clear()
    run_state_machine_as_test(
        FieldMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=EXAMPLES <= IN_SUITE,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(TOTALS))
    assert min(TOTALS[what] for what in ("rows", "accepted", "promises", "syncs")) > EXAMPLES


def test_the_street_does_meet_what_it_is_for() -> None:
    """One walk by hand through the rarer rules: each of them does something, and the end is as after any other walk."""
    TOTALS.clear()
    run = FieldMachine()
    run.begin(seed=0, page=3)
    try:
        run.clash(("worker", "desk"), 0, {"kind": "a"}, {"kind": "b"}, 0)  # made by both: the desk may not
        run.clash(("shared", "worker"), 1, {"kind": "a", "place": EAST}, {"kind": "b", "place": EAST}, 1)
        run.cut_sync("desk", 0, 3, True)
        run.upgrade()
        run.write_task("shared", 1, {"kind": "c", "extra": "补", "urgency": 2})
        run.rebuild("shared", "task")
        run.decide("desk", 0, 1, 0)
        run.sync("desk", 0)
        run.write_at_once("west", 1, {"place": EAST}, 0)  # the same key in an area that is not its own
        run.sync("west", 0)
        run.write_at_once("shared", 1, {"state": "accepted"}, 0)  # a step that is not for workers
        run.send_again("shared", 0, 0)
        run.snapshot("worker")
        run.write_at_once("worker", 2, {"title": "二"}, 0)
        run.restore(0)
        run.write_task("worker", 0, {"title": "二"})
        run.steal(2, {"title": "一", "place": EAST})
        run.evening()
        run.write_task("carried", 1, {"title": "晚"})
        run.erase("task", 1, ("title",))
        run.adopt("worker")
        run.set_clock("shared", 0)
        run.clone()
        run.write_task("shared", 1, {"title": "二"})
        run.write_on_the_clone(1, {"title": "一"})
        run.sync("shared", 0)
        (request,) = [run.pack("carried", 0)]
        run.reassign("west", (EAST,))
        assert isinstance(request, tuple)
        reply = run.deliver(request)
        assert isinstance(reply, tuple)
        for _twice in range(2):
            run.take(reply, 0)
    finally:
        run.teardown()
    wanted = ("decided", "sent again", "adopted", "refused:fork", "refused:area", "conflicts", "rows", "promises",
              "erased", "hidden")  # fmt: skip
    print(dict(TOTALS))
    assert not [what for what in wanted if not TOTALS[what]]
