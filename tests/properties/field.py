"""A street in the field: devices, a centre, hands that carry files, a thief. The caller alone says what happens."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from syncgov.centre import bundles
from syncgov.centre.certificates import revoke
from syncgov.centre.hiding import erase
from syncgov.centre.intake import Incoming, Outcome
from syncgov.core.commitment import Value
from syncgov.errors import ForkError, InputError, NotAllowedError, StorageError, SyncgovError, TransportError
from syncgov.storage.keyfile import key_path
from syncgov.storage.replica import Replica
from syncgov.sync import bundle, client
from syncgov.sync.bundle import Received, pack, receive
from syncgov.sync.bundle_join import pack_join, receive_first
from syncgov.sync.bundle_rejoin import begin, complete, working_file
from syncgov.sync.client import Synced
from syncgov.sync.reenrolment import rejoin
from tests.carrying import offline_device
from tests.helpers import AREA, DAY_MS, EAST, NOW_MS, WEST, ManualClock, World, a_task, lasting_folder, new_key
from tests.registers import TASK

# name -> role, areas, staff; `carried` is never online; `clone` is made of `shared` when somebody copies it
DEVICES: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "shared": ("worker", (EAST,), ("S1", "S2")),
    "worker": ("worker", (EAST, WEST), ()),
    "west": ("worker", (WEST,), ("S3",)),
    "desk": ("desk", (AREA,), ()),
    "viewer": ("viewer", (AREA,), ()),
    "carried": ("worker", (EAST,), ()),
    "thief": ("worker", (EAST,), ()),
}
OFFLINE = "carried"
KEYS = {"task": [new_key(n) for n in range(3)], "contact": [new_key(n) for n in (10, 11)], "payment": [new_key(20)]}

# the second edition has one more field; the third decides otherwise about another
_TWO = TASK.replace("version: 1", "version: 2").replace(
    "  done: {", "  extra: {label: 补充, type: text, class: public}\n  done: {"
)
_URGENCY = "type: integer, class: public, merge: max}"
_REVIEWED = "type: integer, class: public, merge: review, write: [worker, chief, desk], resolve: [desk]}"
EDITIONS = (_TWO, _TWO.replace("version: 2", "version: 3").replace(_URGENCY, _REVIEWED))
assert TASK.count(_URGENCY) == 1


class Dice:
    """Stands for the module `secrets`: bytes that depend on a seed and on how many were asked for before."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def token_bytes(self, count: int = 32) -> bytes:
        """Return *count* bytes."""
        self._count += 1
        return hashlib.shake_256(f"{self._seed} {self._count}".encode()).digest(count)

    def token_hex(self, count: int = 32) -> str:
        """Return *count* bytes in hexadecimal."""
        return self.token_bytes(count).hex()

    def choice(self, options: Sequence[Any]) -> Any:
        """Return one of *options*."""
        return options[int.from_bytes(self.token_bytes(4), "big") % len(options)]

    @contextmanager
    def rolled(self) -> Iterator[None]:
        """Within this block all keys, seeds and codes come from these dice."""
        names = {name: getattr(self, name) for name in ("token_bytes", "token_hex", "choice")}
        with mock.patch.multiple("secrets", **names):
            yield


@cache
def template() -> Path:
    """Make once: the centre, and every device joined and synced; each example takes a copy."""
    folder = lasting_folder() / "field"
    with Dice("template").rolled(), World.make(folder) as world:
        for name, (role, areas, staff) in DEVICES.items():
            if name == OFFLINE:
                offline_device(world, name, role, areas)
            else:
                receive(world.device(name, role, areas, staff), bundles.invitation(world.centre))
    return folder


class Field:
    """One run. Close it.

    Attributes:
        doubtful: devices with which something was done that may end in a refusal to work: cloned, restored, revoked.
        pushed: hashes of all envelopes that reached the centre, and what it answered.
    """

    def __init__(self, folder: Path, seed: int = 0, page: int = client.PULL_LIMIT) -> None:
        template()  # with its own dice
        self._dice = Dice(f"run {seed}")
        self._page = page  # entries a page of a pull
        shutil.copytree(template(), folder)
        self.world = World(folder)
        self.clocks = {name: ManualClock(NOW_MS) for name in DEVICES}
        for name in DEVICES:
            self.world.reopen(name, self.clocks[name])
        self.doubtful: set[str] = set()
        self.revoked: set[str] = set()
        self.snapshots: dict[str, Path] = {}
        self.pushed: dict[str, Outcome] = {}
        self.edition = 0
        self._watch()

    def close(self) -> None:
        """Close every file."""
        self.world.close()

    def _watch(self) -> None:
        push = self.world.centre.push

        def watched(incoming: Sequence[Incoming]) -> list[Outcome]:
            outcomes = push(incoming)
            self.pushed |= {one.changeset.envelope.hash: out for one, out in zip(incoming, outcomes, strict=True)}
            return outcomes

        self.world.centre.push = watched  # type: ignore[method-assign]

    @contextmanager
    def acting(self, name: str) -> Iterator[Replica]:
        """Give a device to act with. One that is doubtful may be told to stop; anybody else may not."""
        with self._dice.rolled(), self._paging():
            try:
                yield self.replica(name)
            except (NotAllowedError, ForkError, StorageError, InputError):
                if name not in self.doubtful:
                    raise

    @contextmanager
    def _paging(self) -> Iterator[None]:
        with mock.patch.object(client, "PULL_LIMIT", self._page), mock.patch.object(bundle, "PULL_LIMIT", self._page):
            yield

    def replica(self, name: str) -> Replica:
        """Return a device's open replica."""
        return self.world.replicas[name]

    @property
    def names(self) -> list[str]:
        """The devices, the clone included if there is one."""
        return list(self.world.replicas)

    def person(self, name: str, number: int) -> str | None:
        """Return who uses a device: one of its people."""
        staff = DEVICES["shared" if name == "clone" else name][2]
        return staff[number % len(staff)] if staff else None

    # -- what people and other programs do --------------------

    def write(self, name: str, table: str, number: int, columns: Mapping[str, Value]) -> None:
        """Insert or update a row by plain SQL, at the time that the device's clock shows."""
        replica, key = self.replica(name), KEYS[table][number % len(KEYS[table])]
        known = [c.name for c in replica.columns[table]]
        wanted = {column: value for column, value in columns.items() if column in known}
        if replica.conn.execute(f'SELECT 1 FROM "{table}" WHERE id = ?', (key,)).fetchone() is None:
            whole = {"id": key, **self._new(table, number), **wanted}
            marks = ", ".join("?" * len(whole))
            replica.conn.execute(f'INSERT INTO "{table}" ({", ".join(whole)}) VALUES ({marks})', [*whole.values()])
        elif wanted:
            sets = ", ".join(f'"{column}" = ?' for column in wanted)
            replica.conn.execute(f'UPDATE "{table}" SET {sets} WHERE id = ?', [*wanted.values(), key])
        self._stamp(replica, name)

    @staticmethod
    def _new(table: str, number: int) -> dict[str, Value]:
        if table == "contact":
            return {"task_id": KEYS["task"][number % len(KEYS["task"])], "name": "某人"}
        return {"amount": 100} if table == "payment" else a_task()

    def delete(self, name: str, table: str, number: int) -> None:
        """Delete a row by plain SQL."""
        replica, key = self.replica(name), KEYS[table][number % len(KEYS[table])]
        replica.conn.execute(f'DELETE FROM "{table}" WHERE id = ?', (key,))
        self._stamp(replica, name)

    def rebuild(self, name: str, table: str) -> None:
        """Another program makes a table anew: no checks, no triggers, no hints."""
        for sql in (f"CREATE TABLE other AS SELECT * FROM {table}", f"DROP TABLE {table}"):
            self.replica(name).conn.execute(sql)
        self.replica(name).conn.execute(f"ALTER TABLE other RENAME TO {table}")

    def _stamp(self, replica: Replica, name: str) -> None:
        """The trigger asks SQLite for the time: let it be the device's."""
        now = self.clocks.get(name, self.world.clock)()
        replica.conn.execute("UPDATE _sg_touched SET at = ? WHERE at NOT IN (SELECT ? UNION SELECT 0)", (now, now))

    # -- on the way --------------------

    def sync(self, name: str, person: int = 0, cut_at: int | None = None, cut_answer: bool = False) -> Synced | None:
        """Sync; the line may be cut at a request. Returns None if it came to nothing."""
        self.world.wire.reset()
        self.world.wire.cut_at, self.world.wire.cut_answer = cut_at, cut_answer
        try:
            with self.acting(name) as replica:
                return self.world.sync(replica, self.person(name, person))
        except TransportError:
            assert cut_at is not None, "the line was whole"
        finally:
            self.world.wire.reset()
        return None

    def pack(self, name: str, person: int = 0) -> bytes | None:
        """Make a bundle for the centre."""
        with self.acting(name) as replica:
            return pack(replica, self.person(name, person)).data
        return None

    def deliver(self, data: bytes) -> bytes | None:
        """Bring a bundle to the centre; gives the reply, None for a device that gets none."""
        try:
            with self._dice.rolled():
                return bundles.receive(self.world.centre, data).reply
        except NotAllowedError:
            assert self.revoked, "everybody has a certificate"
        return None

    def take(self, name: str, reply: bytes, person: int = 0) -> Received | None:
        """Bring a reply to a device; None if it is none for it."""
        with self._dice.rolled(), self._paging():
            try:
                return receive(self.replica(name), reply, self.person(name, person))
            except InputError:
                return None  # for another device, also for the one that this was before it enrolled again
            except (NotAllowedError, ForkError, StorageError):
                assert name in self.doubtful
        return None

    # -- what goes wrong --------------------

    def clone(self) -> None:
        """Copy a device with its key; both go on."""
        source, target = (self.world.folder / f"{name}.db" for name in ("shared", "clone"))
        self.world.replicas.pop("shared").close()
        shutil.copy(source, target)
        shutil.copy(key_path(source), key_path(target))
        self.clocks["clone"] = ManualClock(self.clocks["shared"]())
        for name in ("shared", "clone"):
            self.world.reopen(name, self.clocks[name])
        self.doubtful |= {"shared", "clone"}

    def snapshot(self, name: str) -> None:
        """Keep a copy of a replica, as a backup program would: without its key."""
        self.world.replicas[name].close()
        self.snapshots[name] = self.world.folder / f"{name}.backup"
        shutil.copy(self.world.folder / f"{name}.db", self.snapshots[name])
        self.world.reopen(name, self.clocks[name])

    def restore(self, name: str) -> None:
        """Put the copy back."""
        self.world.replicas[name].close()
        path = self.world.folder / f"{name}.db"
        for side in ("-wal", "-shm"):
            path.with_name(path.name + side).unlink(missing_ok=True)
        shutil.copy(self.snapshots[name], path)
        self.world.reopen(name, self.clocks[name])
        self.doubtful.add(name)

    def revoke(self, name: str, last_good: bool) -> None:
        """Revoke a device."""
        chain = self.world.centre.ledger.chain(self.replica(name).dev)
        with self._dice.rolled():
            logged = 0 if chain is None else chain.seq
            revoke(self.world.centre, self.replica(name).dev, last_good=logged // 2 if last_good else None)
        self.doubtful.add(name)
        self.revoked.add(name)

    def upgrade(self) -> None:
        """Put the next edition of a register in force."""
        with self._dice.rolled():
            self.world.centre.write("register", [("task", {"text": EDITIONS[self.edition]})])
        self.edition += 1

    def rejoin(self, name: str) -> None:
        """Enrol a device again, in place; the one that is never online by file."""
        role, areas, staff = DEVICES["shared" if name == "clone" else name]
        self.world.replicas.pop(name).close()
        path = self.world.folder / f"{name}.db"
        with self._dice.rolled(), self.world.line():
            code = self.world.code(role, areas, staff)
            if name == OFFLINE:
                self._rejoin_by_file(path, code)
            else:
                rejoin(path, code, self.person(name, 0), clock=self.clocks[name])
        replica = self.world.reopen(name, self.clocks[name])
        receive(replica, bundles.invitation(self.world.centre))
        self.doubtful.discard(name)
        self.revoked.discard(name)
        self.snapshots.pop(name, None)

    def _rejoin_by_file(self, path: Path, code: str) -> None:
        clock = self.clocks[OFFLINE]
        begin(path, code, path, invitation=bundles.invitation(self.world.centre), clock=clock)
        work = working_file(path)
        reply = bundles.receive(self.world.centre, pack_join(work).data).reply
        receive_first(work, reply, clock=clock)[0].close()
        complete(work, clock=clock)

    def erase(self, table: str, number: int, fields: Sequence[str]) -> bool:
        """Erase fields of a row, all that may go of a record without *fields*; returns whether anything was there."""
        keys = KEYS[table]
        with self._dice.rolled():
            for key in (*keys[number % len(keys) :], *keys[: number % len(keys)]):  # the first that has any
                with suppress(InputError):
                    erase(self.world.centre, table, key, fields, "request")
                    return True
        return False

    def later(self, days: int) -> None:
        """Let days pass, for everybody whose clock runs."""
        for clock in (self.world.clock, *self.clocks.values()):
            assert isinstance(clock, ManualClock)
            clock.forward(days * DAY_MS + 60_000)


EXPECTED = (InputError, NotAllowedError)  # what people are told when they ask for something that is not possible


def settle(field: Field) -> int:
    """Sync until nothing changes; who is stopped enrols again, except the thief. Returns the number of syncs."""
    count = 0
    for _round in range(8):
        before = field.world.centre.ledger.size
        quiet = True
        for name in field.names:
            if name == "thief" and name in field.revoked:
                continue
            count += 1
            quiet = _settled(field, name) and quiet
        if quiet and field.world.centre.ledger.size == before:
            return count
    raise AssertionError("it never becomes quiet")


def _settled(field: Field, name: str) -> bool:
    try:
        done = _carry(field, name) if name == OFFLINE else field.sync(name)
    except SyncgovError:
        assert name in field.doubtful
        done = None
    chain = field.world.centre.ledger.chain(field.replica(name).dev)
    if done is None or (chain is not None and chain.stopped):
        assert name in field.doubtful
        field.rejoin(name)
        return False
    return not (done.signed or done.pushed or done.received or done.accepted or done.refused)


def _carry(field: Field, name: str) -> Synced | None:
    data = field.pack(name)
    reply = None if data is None else field.deliver(data)
    received = None if reply is None else field.take(name, reply)
    return None if received is None else received.done
