"""The bulk devices of the demo: real replicas in worker processes, written with plain SQL, synced over HTTP."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlite_utils

from syncgov.demo.plan import Session, Write
from syncgov.demo.simclock import SimulatedClock, at_minute
from syncgov.errors import SyncgovError
from syncgov.storage.replica import Replica
from syncgov.sync.client import join, sync

WORKERS = 2  # the machine that a demo must run on has two cores


@dataclass(frozen=True, slots=True)
class Joining:
    """A device that is to join: its place in the plan and its one-time code."""

    index: int
    code: str


@dataclass(slots=True)
class Tally:
    """What a worker's devices did."""

    joined: int = 0
    signed: int = 0
    syncs: int = 0
    requests: int = 0

    def add(self, other: "Tally") -> None:
        """Add another tally."""
        self.joined += other.joined
        self.signed += other.signed
        self.syncs += other.syncs
        self.requests += other.requests


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

    def __init__(self, folder: Path, url: str, clock: SimulatedClock) -> None:
        self._folder = folder
        self._url = url
        self._clock = clock
        self._open: dict[int, Replica] = {}

    def join(self, joining: Iterable[Joining]) -> Tally:
        tally = Tally()
        for one in joining:
            replica = join(device_path(self._folder, one.index), self._url, one.code, clock=self._clock)
            self._open[one.index] = replica
            tally.requests += 2 + sync(replica).requests
            tally.joined += 1
        return tally

    def day(self, day_ms: int, sessions: Iterable[Session]) -> Tally:
        tally = Tally()
        for session in sessions:
            replica = self._open[session.device_index]
            replica.clock = at_minute(day_ms, session.minute)
            for record in session.records:
                write_plain(replica.path, [w for w in session.writes if w.record == record])
            committed = replica.commit(session.staff_id)
            if committed.problems:
                raise committed.problems[0][1]
            tally.signed += len(committed.signed)
            if session.online:
                tally.requests += sync(replica, session.staff_id, url=self._url).requests
                tally.syncs += 1
        return tally

    def close(self) -> Tally:
        for replica in self._open.values():
            replica.close()
        return Tally()


def work(channel: Connection, folder: str, url: str, clock: SimulatedClock) -> None:
    """Run in a worker process: answer (method, arguments) with a Tally or the text of an error."""
    devices = _Devices(Path(folder), url, clock)
    actions: Mapping[str, Callable[..., Tally]] = {"join": devices.join, "day": devices.day, "close": devices.close}
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

    def __init__(self, context: Any, folder: Path, url: str, clock: SimulatedClock) -> None:
        (folder / "devices").mkdir(exist_ok=True)
        self._channels: list[Connection] = []
        self._processes = []
        for _ in range(WORKERS):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, str(folder), url, clock), daemon=True)
            process.start()
            self._channels.append(ours)
            self._processes.append(process)
        self.tally = Tally()

    def join(self, joining: Sequence[Joining]) -> None:
        """Let devices join and sync for the first time."""
        self._all("join", [([j for j in joining if j.index % WORKERS == n],) for n in range(WORKERS)])

    def day(self, day_ms: int, sessions: Sequence[Session]) -> None:
        """Play one day; returns when all its sessions are over."""
        shares = [[s for s in sessions if s.device_index % WORKERS == n] for n in range(WORKERS)]
        self._all("day", [(day_ms, share) for share in shares])

    def close(self) -> None:
        """Close all replicas and end the processes."""
        self._all("close", [() for _ in range(WORKERS)])
        for process in self._processes:
            process.join()

    def _all(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        for channel, given in zip(self._channels, arguments, strict=True):
            channel.send((name, given))
        answers = [channel.recv() for channel in self._channels]
        for answer in answers:
            if isinstance(answer, str):
                raise SyncgovError(f"演示终端出错：{answer}", f"a demo device failed: {answer}")
            self.tally.add(answer)
