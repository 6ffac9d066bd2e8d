"""What the people of the street do in a month, and what happens to their handsets."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from syncgov.centre import bundles
from syncgov.centre.certificates import renew, revoke
from syncgov.errors import InputError, StorageError, SyncgovError, TransportError
from syncgov.storage.adopting import adopt
from syncgov.storage.keyfile import key_path
from syncgov.storage.replica import Replica
from syncgov.sync import joining
from syncgov.sync.bundle import pack, receive
from syncgov.sync.bundle_join import accept_invitation, pack_join, receive_first
from syncgov.sync.reenrolment import rejoin
from tests.bench.village import Book, Handset, communities, grids_of, hand_out, second_edition, village_registers
from tests.helpers import DAY_MS, URL, ManualClock, World, insert, update

ONLINE = 0.2  # share of days on which a handset finds a network at all
CUT, ANSWER_LOST = 0.10, 0.05  # share of syncs in which the line breaks, or the centre's answer does not arrive
CARRIED_TWICE = 0.3
_TASK = ("路灯不亮", "井盖松动", "楼道堆物", "下水堵塞")


class Month:
    """A centre, its handsets and an observer. `run` plays the days, `settle` lets all come home."""

    def __init__(self, folder: Path, devices: int, households: int, seed: int) -> None:
        self.rng = Random(seed)
        self.clock = ManualClock()
        self.world = World.make(folder, village_registers(), self.clock)
        self.handsets = hand_out(folder, devices, self.rng)
        self.households = households
        self.book = Book()
        self.day = 0

    def close(self) -> None:
        """Close the centre."""
        self.world.close()

    @property
    def today(self) -> str:
        """The date, as the street's people write it."""
        return f"2026-11-{1 + self.day % 30:02}"

    def living(self, role: str) -> list[Handset]:
        """Return the handsets of a role whose keys may be used."""
        return [each for each in self.handsets if each.role == role and not each.stopped]

    @contextmanager
    def opened(self, handset: Handset) -> Iterator[Replica]:
        """Open a handset's file, with its clock; write down what was signed meanwhile."""
        with Replica.open(handset.path, clock=lambda: handset.clock(self.clock.now)) as replica:
            try:
                yield replica
            finally:
                self.book.note(handset, replica)

    # -- before the first day --------------------

    def enrol(self) -> None:
        """Enrol every handset; the desks write down the households."""
        for handset in self.handsets:
            code = self.world.code(handset.role, handset.areas, (handset.person,))
            if handset.kind == "by bundle":
                accept_invitation(handset.path, bundles.invitation(self.world.centre), code)
                reply = bundles.receive(self.world.centre, pack_join(handset.path).data).reply
                joined, _received = receive_first(handset.path, reply, clock=self.clock)
            else:
                with self.world.line():
                    joined = joining.join(handset.path, URL, code, clock=self.clock)
            handset.dev = joined.dev
            joined.close()
        desks = self.living("desk")
        for number, desk in enumerate(desks):
            self.sync(desk, honest=True)
            with self.opened(desk) as replica:
                grids = grids_of(desk.areas[0])
                for household in range(number, self.households, len(desks)):
                    columns = {"place": self.rng.choice(grids), "since": "2026-10-01", "head": f"户主{household}"}
                    insert(replica, "household", {**columns, "members": 1 + household % 6, "need": "none"})
                replica.commit()
            self.sync(desk)
        for handset in self.handsets:
            while not self.sync(handset, honest=True):
                pass

    # -- the days --------------------

    def run(self, days: int) -> None:
        """Play *days* days."""
        for self.day in range(days):
            self.clock.forward(DAY_MS // 2)  # the night; the other half passes from one handset to the next
            self._mishaps(days)
            for handset in self.rng.sample(self.handsets, len(self.handsets)):
                self._a_day(handset)

    def _a_day(self, handset: Handset) -> None:
        self.clock.forward(DAY_MS // 2 // len(self.handsets))
        online = self.rng.random() < ONLINE
        writes = self.rng.random() < 0.5
        if handset.role == "desk" and self.rng.random() < 0.5:
            self.sync(handset)
            online = True
        if writes and handset.role != "chief":
            try:
                with self.opened(handset) as replica:
                    (self._desk_work if handset.role == "desk" else self._field_work)(replica, handset)
                    problems = replica.commit().problems
                self.book.counts["rows that could not be signed"] += len(problems)
            except StorageError as error:  # the file is older than its key: what was written waits for the next sync
                self.tell(error)
        if online:
            self.sync(handset)

    def _field_work(self, replica: Replica, handset: Handset) -> None:
        homes = [key for (key,) in replica.conn.execute("SELECT id FROM household ORDER BY id").fetchall()]
        for _ in range(self.rng.choice((1, 1, 2))):
            drawn = self.rng.random()
            if homes and drawn < 0.6:
                home = self.rng.choice(homes)
                insert(replica, "visit", {"household_id": home, "day": self.today, "note": "入户走访"})
                update(replica, "household", home, need=self.rng.choice(("none", "care", "repair", "work")))
            elif homes and drawn < 0.7:
                update(
                    replica,
                    "household",
                    self.rng.choice(homes),
                    risk=self.rng.choice("ab"),
                    members=self.rng.randrange(1, 9),
                )
            elif 0.7 <= drawn < 0.72:  # where he may not write
                self._report(replica, "101999001")
            elif 0.7 <= drawn < 0.85 and (task := self._task(replica, "accepted")) is not None:
                update(replica, "task", task, state="closed")
            elif 0.7 <= drawn < 0.87 and (task := self._task(replica, "rejected")) is not None:
                update(replica, "task", task, state="rework")  # no such step
            else:
                self._report(replica, self.rng.choice(handset.areas))

    def _report(self, replica: Replica, place: str) -> None:
        title = self.rng.choice(_TASK)
        insert(replica, "task", {"place": place, "started_on": self.today, "title": title, "state": "reported"})

    def _task(self, replica: Replica, state: str) -> str | None:
        keys = replica.conn.execute("SELECT id FROM task WHERE state = ? ORDER BY id", (state,)).fetchall()
        return str(self.rng.choice(keys)[0]) if keys else None

    def _desk_work(self, replica: Replica, handset: Handset) -> None:
        for _ in range(3):
            if (task := self._task(replica, "reported")) is not None:
                if self.rng.random() < 0.85:
                    update(replica, "task", task, state="accepted", due="2026-12-31")
                else:
                    update(replica, "task", task, state="rejected", reason="dup")
                replica.commit()
        homes = [key for (key,) in replica.conn.execute("SELECT id FROM household ORDER BY id").fetchall()]
        if homes:
            update(replica, "household", self.rng.choice(homes), head="户主更正", members=self.rng.randrange(1, 9))

    # -- what happens to handsets --------------------

    def _mishaps(self, days: int) -> None:
        """Copies are made on the first third of the days, everything else follows in the second."""
        first, second = days // 3, 2 * days // 3
        if self.day == days // 2:
            self.world.centre.write("register", [("household", {"text": second_edition()})])
        if self.day == first:
            for handset in self._of_kind("restored file", "restored file and key"):
                self._copy(handset)
            self._move_households()
        if self.day == second:
            for handset in self._of_kind("restored file", "restored file and key"):
                self._restore(handset)
            for handset in self._of_kind("reassigned"):
                areas = self.rng.sample(grids_of(self.rng.choice(communities(len(self.living("desk"))))), 2)
                renew(self.world.centre, handset.dev, areas=areas)
                handset.areas = tuple(areas)
                self.book.counts["devices reassigned"] += 1
            for handset in self._of_kind("stolen"):
                revoke(self.world.centre, handset.dev, "lost")
                handset.stopped = True  # the thief goes on writing and syncing all the same
                self.book.counts["devices revoked"] += 1

    def _of_kind(self, *kinds: str) -> list[Handset]:
        return [handset for handset in self.handsets if handset.kind in kinds]

    def _move_households(self) -> None:
        """The desks move 5% of the households to another grid of their community."""
        for desk in self.living("desk"):
            self.sync(desk)
            with self.opened(desk) as replica:
                homes = replica.conn.execute("SELECT id, place FROM household ORDER BY id").fetchall()
                for home, place in self.rng.sample(homes, len(homes) // 20):
                    others = [grid for grid in grids_of(desk.areas[0]) if grid != place]
                    update(replica, "household", home, place=self.rng.choice(others))
                    self.book.counts["households moved"] += 1
                replica.commit()
            self.sync(desk)

    def _copy(self, handset: Handset) -> None:
        shutil.copy2(handset.path, handset.path.with_suffix(".copy"))
        shutil.copy2(key_path(handset.path), handset.path.with_suffix(".copy.key"))

    def _restore(self, handset: Handset) -> None:
        """Put the copy over the file; what was signed since and never sent is gone, and the observer knows it."""
        if handset.kind == "restored file and key":  # what it sends now, the copy knows nothing of
            with self.opened(handset) as replica:
                self._report(replica, handset.areas[0])
                replica.commit()
            self.sync(handset, honest=True)
        with self.opened(handset) as replica:
            kept = {row[0] for row in replica.conn.execute("SELECT seq FROM _sg_own WHERE ack IS NULL AND idx IS NULL")}
            named = {(replica.dev, seq) for seq in kept}
        lost = {digest for digest, one in self.book.signed.items() if (one.dev, one.seq) in named}
        self.book.overwritten |= lost
        for side in ("-wal", "-shm"):
            handset.path.with_name(handset.path.name + side).unlink(missing_ok=True)
        shutil.copy2(handset.path.with_suffix(".copy"), handset.path)
        if handset.kind == "restored file and key":
            shutil.copy2(handset.path.with_suffix(".copy.key"), key_path(handset.path))
        handset.noted = 0
        if handset.kind == "restored file and key":  # its user goes on at once, under numbers that were used before
            with self.opened(handset) as replica:
                self._report(replica, handset.areas[0])
                replica.commit()
        self.book.counts["devices restored from a copy"] += 1

    # -- the way to the centre --------------------

    def tell(self, error: SyncgovError) -> None:
        """A handset shows its user words; every error has some, in Chinese."""
        assert error.zh
        self.book.told[type(error).__name__] += 1

    def sync(self, handset: Handset, *, honest: bool = False) -> bool:
        """Sync over a line that may break; returns whether it went through. A stopped device enrols again."""
        if handset.kind == "by bundle":
            return self._carry(handset)
        drawn = 1.0 if honest else self.rng.random()
        wire = self.world.wire
        wire.reset()
        if drawn < CUT:
            wire.cut_at, wire.cut_answer = self.rng.randrange(1, 5), drawn < ANSWER_LOST
        try:
            with self.opened(handset) as replica:
                done = self.world.sync(replica)
        except TransportError as error:
            self.tell(error)
            self.book.counts["syncs cut off"] += 1
            return False
        except SyncgovError as error:
            self.tell(error)
            return self.rejoin(handset)
        finally:
            wire.reset()
        self.book.counts["syncs"] += 1
        if any(reason == "fork" for _seq, reason in done.refused) or self._is_stopped(handset):
            return self.rejoin(handset)
        return True

    def _is_stopped(self, handset: Handset) -> bool:
        chain = self.world.centre.ledger.chain(handset.dev)
        return chain is not None and chain.stopped

    def rejoin(self, handset: Handset) -> bool:
        """Enrol a device again that may not go on; a thief gets no code."""
        if handset.stopped:
            return False
        self.world.wire.reset()
        code = self.world.code(handset.role, handset.areas, (handset.person,))
        with self.world.line():
            done = rejoin(handset.path, code, clock=lambda: handset.clock(self.clock.now))
        self.book.counts["devices enrolled again"] += 1
        self.book.renewed |= {(done.old_device, old) for old, _new, _label in done.adopted.signed}
        self.book.renewed |= {(done.old_device, old) for old in done.adopted.known}
        self.book.counts["changes that could not be taken over, told"] += len(done.adopted.left)
        self.book.renewed |= {(done.old_device, old) for old, _why in done.adopted.left}
        handset.dev, handset.noted = done.device, 0
        with self.opened(handset):
            return True

    def _carry(self, handset: Handset) -> bool:
        """By file, there and back; some files arrive twice, some never."""
        drawn = self.rng.random()
        with self.opened(handset) as replica:
            data = pack(replica).data
            if drawn < CUT:
                self.book.counts["bundles lost"] += 1
                return False
            reply = bundles.receive(self.world.centre, data).reply
            if drawn < CARRIED_TWICE:
                reply = bundles.receive(self.world.centre, data).reply
                self.book.counts["bundles carried twice"] += 1
            receive(replica, reply)
        self.book.counts["bundles"] += 1
        return True

    # -- coming home --------------------

    def settle(self) -> None:
        """Everybody finds a network, twice; supervisors adopt what stolen handsets held."""
        for _round in range(2):
            for handset in self.handsets:
                self.clock.forward(1000)
                if not handset.stopped:
                    while not self.sync(handset, honest=True):
                        pass
        for handset in self.handsets:
            if handset.stopped:
                self._adopt(handset)
        for handset in self.handsets:
            if not handset.stopped:
                while not self.sync(handset, honest=True):
                    pass

    def _adopt(self, stolen: Handset) -> None:
        """The handset is found; its community's desk signs anew what the thief's key could not bring home."""
        self.sync(stolen, honest=True)
        desk = next(each for each in self.living("desk") if stolen.areas[0].startswith(each.areas[0]))
        self.sync(desk, honest=True)
        with self.opened(desk) as replica:
            try:
                done = adopt(replica, stolen.path)
            except InputError as error:
                self.tell(error)
                return
        self.book.renewed |= {(stolen.dev, old) for old, _new, _label in done.signed}
        self.book.counts["changes of stolen devices adopted"] += len(done.signed)
        self.book.counts["changes of stolen devices left, told"] += len(done.left)
