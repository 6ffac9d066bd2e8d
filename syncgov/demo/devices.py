"""The bulk devices of the demo: real replicas in worker processes, written with plain SQL, synced over HTTP."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlite_utils

from syncgov.demo.faults import Faults
from syncgov.demo.lines import Lines, Sent
from syncgov.demo.photos import add_photos
from syncgov.demo.plan import Day, Session, Write
from syncgov.demo.simclock import SimulatedClock, at_minute
from syncgov.errors import SyncgovError
from syncgov.storage import cosigning
from syncgov.storage.replica import Replica
from syncgov.storage.staff_file import SecondSigner
from syncgov.sync.client import sync
from syncgov.sync.joining import join

DEMO_PIN = "135246"  # of every person's key in the demo; nobody's secret
WORKERS = 2  # the machine that a demo must run on has two cores
YEARS_SINCE_1970_MS = 55 * 365 * 86_400_000  # a clock that lost its battery begins at 1970 and goes on from there


@dataclass(frozen=True, slots=True)
class Setting:
    """What every worker process knows; picklable to child processes only."""

    folder: Path
    url: str
    clock: SimulatedClock
    faults: Faults


@dataclass(frozen=True, slots=True)
class Joining:
    """A device that is to join: its place in the plan and its one-time code; (person, code) of keys made on it."""

    index: int
    code: str
    keys: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Tally:
    """What a worker's devices did; `wrong_clock`: changesets signed by a clock in 1970."""

    joined: int = 0
    signed: int = 0
    syncs: int = 0
    photos: int = 0
    wrong_clock: int = 0
    sent: Sent = field(default_factory=Sent)

    def add(self, other: "Tally") -> None:
        """Add another tally."""
        self.joined += other.joined
        self.signed += other.signed
        self.syncs += other.syncs
        self.photos += other.photos
        self.wrong_clock += other.wrong_clock
        self.sent.add(other.sent)


def device_path(folder: Path, index: int) -> Path:
    """Return the replica of a device."""
    return folder / "devices" / f"device-{index + 1:03}.db"


def write_plain(path: Path, writes: Sequence[Write]) -> None:
    """Write rows into a replica as other programs do: by sqlite-utils, or by plain SQL."""
    with closing(sqlite3.connect(path, timeout=10)) as conn:
        for number, write in enumerate(writes):
            if number % 2:
                _write_sql(conn, write)
            else:
                _write_sqlite_utils(sqlite_utils.Database(conn), write)
        conn.commit()


def _write_sql(conn: sqlite3.Connection, write: Write) -> None:
    names = list(write.columns)
    if write.kind == "insert":
        marks = ", ".join("?" * (len(names) + 1))
        columns = ", ".join(f'"{n}"' for n in ["id", *names])
        conn.execute(
            f'INSERT INTO "{write.register}" ({columns}) VALUES ({marks})', [write.key, *write.columns.values()]
        )
    else:
        updates = ", ".join(f'"{n}" = ?' for n in names)
        conn.execute(f'UPDATE "{write.register}" SET {updates} WHERE id = ?', [*write.columns.values(), write.key])


def _write_sqlite_utils(db: sqlite_utils.Database, write: Write) -> None:
    table = db.table(write.register)
    if write.kind == "insert":
        table.insert({"id": write.key, **write.columns})
    else:
        table.update(write.key, dict(write.columns))


class _Devices:
    """The devices of one worker process."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._lines = Lines(setting.folder / "centre", setting.url, setting.clock, setting.faults)
        self._open: dict[int, Replica] = {}

    def join(self, joining: Iterable[Joining]) -> Tally:
        tally = Tally()
        for one in joining:
            path = device_path(self._setting.folder, one.index)
            if one.index in self._setting.faults.by_bundle:
                self._open[one.index] = self._lines.join_by_bundle(path, one.code)
                tally.sent.bundles += 1
            else:
                replica = self._open[one.index] = join(path, self._setting.url, one.code, clock=self._setting.clock)
                for person, code in one.keys:
                    cosigning.add(replica, person, code, DEMO_PIN)
                tally.sent.requests += 2 + sync(replica).requests
            tally.joined += 1
        return tally

    def release(self, index: int) -> Tally:
        """Close a device's file, so that something can happen to it."""
        self._open.pop(index).close()
        return Tally()

    def take(self, index: int) -> Tally:
        """Open a device's file again, whatever it is now."""
        self._open[index] = Replica.open(device_path(self._setting.folder, index), clock=self._setting.clock)
        return Tally()

    def day(self, number: int, day_ms: int, sessions: Iterable[Session]) -> Tally:
        tally = Tally()
        for session in sessions:
            replica = self._open[session.device_index]
            wrong = session.device_index == self._setting.faults.wrong_clock
            replica.clock = at_minute(day_ms - YEARS_SINCE_1970_MS if wrong else day_ms, session.minute)
            for record in session.records:
                writes = [w for w in session.writes if w.record == record]
                write_plain(replica.path, writes)
                tally.photos += add_photos(replica, writes)
            replica.second = _second(replica, session.staff_id) if session.needs_second else None
            committed = replica.commit(session.staff_id)
            if committed.problems:
                raise committed.problems[0][1]
            tally.signed += len(committed.signed)
            tally.wrong_clock += len(committed.signed) if wrong else 0
            if session.online:
                tally.sent.add(self._lines.sync(replica, session.staff_id, number, session.device_index))
                tally.syncs += 1
        return tally

    def close(self) -> Tally:
        for replica in self._open.values():
            replica.close()
        return Tally()


def _second(replica: Replica, staff: str) -> SecondSigner:
    """Let another person of the device enter the PIN."""
    return cosigning.unlock(replica, next(person for person in replica.staff if person != staff), DEMO_PIN)


def work(channel: Connection, setting: Setting) -> None:
    """Run in a worker process: answer (method, arguments) with a Tally or the text of an error."""
    devices = _Devices(setting)
    known = (devices.join, devices.day, devices.release, devices.take, devices.close)
    actions: Mapping[str, Callable[..., Tally]] = {each.__name__: each for each in known}
    while True:
        name, arguments = channel.recv()
        try:
            channel.send(actions[name](*arguments))
        except (SyncgovError, sqlite3.Error) as error:
            channel.send(f"{type(error).__name__}: {error}")
        if name == "close":
            return


class Fleet:
    """The worker processes; a device always works in the same one."""

    def __init__(self, context: Any, setting: Setting) -> None:
        (setting.folder / "devices").mkdir(exist_ok=True)
        self._channels: list[Connection] = []
        self._processes = []
        for _ in range(WORKERS):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, setting), daemon=True)
            process.start()
            self._channels.append(ours)
            self._processes.append(process)
        self.tally = Tally()

    def join(self, joining: Sequence[Joining]) -> None:
        """Let devices join and sync for the first time."""
        self._all("join", [([j for j in joining if j.index % WORKERS == n],) for n in range(WORKERS)])

    def day(self, day: Day, day_ms: int) -> None:
        """Play one day that begins at *day_ms*; returns when all its sessions are over."""
        shares = [[s for s in day.sessions if s.device_index % WORKERS == n] for n in range(WORKERS)]
        self._all("day", [(day.day_index, day_ms, share) for share in shares])

    @contextmanager
    def released(self, index: int) -> Iterator[None]:
        """Within this block the file of a device is nobody's."""
        self._one(index, "release")
        yield
        self._one(index, "take")

    def _one(self, index: int, name: str) -> None:
        channel = self._channels[index % WORKERS]
        channel.send((name, (index,)))
        self._add(channel.recv())

    def close(self) -> None:
        """Close all replicas and end the processes."""
        self._all("close", [() for _ in range(WORKERS)])
        for process in self._processes:
            process.join()

    def _all(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        for channel, given in zip(self._channels, arguments, strict=True):
            channel.send((name, given))
        for answer in [channel.recv() for channel in self._channels]:
            self._add(answer)

    def _add(self, answer: Tally | str) -> None:
        if isinstance(answer, str):
            raise SyncgovError(f"演示终端出错：{answer}", f"a demo device failed: {answer}")
        self.tally.add(answer)
