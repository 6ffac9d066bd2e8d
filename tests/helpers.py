"""A centre and devices in one folder. Devices use the real client; only the socket is replaced."""

import atexit
import hashlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from starlette.testclient import TestClient

from syncgov.centre.app import make_app
from syncgov.centre.centre import Centre
from syncgov.centre.drafting import Draft
from syncgov.centre.enrolment import enrol
from syncgov.core.commitment import Value
from syncgov.core.register import Register
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.storage.clock import Clock
from syncgov.storage.replica import Replica
from syncgov.sync import client, files, joining
from syncgov.sync.client import Synced
from syncgov.sync.transport import HttpTransport
from tests.registers import registers as small_registers

AREA = "101"  # the charter's area
EAST, WEST = "101001", "101002"  # two places in it
NOW_MS = 1_795_000_000_000  # November 2026
DAY_MS = 86_400_000
ORIGIN = "log.example/street"
URL = "http://centre.invalid"  # nothing ever resolves this name

DEVICES = ("device",)  # private fields in here differ from device to device


class ManualClock:
    """A clock that stands still until a test moves it; ms UTC."""

    def __init__(self, now: int = NOW_MS) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def forward(self, ms: int) -> None:
        """Move on by *ms*."""
        self.now += ms


Tamper = Callable[[str, bytes], bytes]


class Wire(BaseAdapter):
    """Carries requests of the real transport into the real application, and can lie, cut and count."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self.client = TestClient(app, base_url=URL, raise_server_exceptions=False)
        self.client.__enter__()
        self.tamper: Tamper | None = None  # (path, unpacked body of a good answer) -> what the device gets instead
        self.cut_at: int | None = None  # this request (from 1) and all that follow fail
        self.cut_answer = False  # if so, the request still reaches the centre, only its answer is lost
        self.paths: list[str] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Answer one request of a `requests` session."""
        path = (request.url or "").removeprefix(URL)
        self.paths.append(path)
        cut = self.cut_at is not None and len(self.paths) >= self.cut_at
        if cut and not self.cut_answer:
            raise requests.ConnectionError("the line is cut")
        found = self.client.request(
            request.method or "", path, content=_body(request.body), headers=dict(request.headers.items())
        )
        if cut:
            raise requests.ConnectionError("the line is cut")
        content = found.content
        if self.tamper is not None and found.status_code in (200, 206):
            content = self.tamper(path, content)
        response = requests.Response()
        response.status_code = found.status_code
        response.headers = CaseInsensitiveDict(found.headers)
        response._content = content
        response.url = URL + path
        return response

    def reset(self) -> None:
        """Be an honest, whole line again."""
        self.tamper, self.cut_at, self.cut_answer = None, None, False
        self.paths.clear()

    def close(self) -> None:
        """Stop the application's thread when the world ends, not when one session does."""


def _body(body: object) -> bytes:
    return body if isinstance(body, bytes) else b"" if body is None else str(body).encode()


class World:
    """One centre and its devices. Close it, or use `with`."""

    def __init__(self, folder: Path, *, clock: Clock | None = None) -> None:
        self.folder = folder
        self.clock = clock or ManualClock()
        self.centre = Centre(folder / "centre", clock=self.clock)
        self.wire = Wire(make_app(self.centre, self.clock))
        self.replicas: dict[str, Replica] = {}

    @classmethod
    def make(cls, folder: Path, registers: Sequence[Register] | None = None, clock: Clock | None = None) -> "World":
        """Return a world whose centre has *registers* (default: those of `tests.registers`)."""
        folder.mkdir(parents=True, exist_ok=True)
        if registers is None:
            shutil.copytree(_template(), folder / "centre")
        else:
            Centre.init(folder / "centre", DRAFT, registers, clock=clock or ManualClock()).close()
        return cls(folder, clock=clock)

    def close(self) -> None:
        """Close every file and stop the application."""
        for replica in self.replicas.values():
            replica.close()
        self.wire.client.__exit__(None, None, None)
        self.centre.close()

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def line(self) -> Iterator[None]:
        """Within this block the client's transport goes over the simulated line."""

        def transport(*args: Any) -> HttpTransport:
            made = HttpTransport(*args)
            made._session.mount("http://", self.wire)
            return made

        with (
            mock.patch.object(client, "HttpTransport", transport),
            mock.patch.object(joining, "HttpTransport", transport),
            mock.patch.object(files, "HttpTransport", transport),
        ):
            yield

    def code(
        self, role: str, areas: Sequence[str] = (EAST,), staff: Sequence[str] = (), units: Sequence[str] = ()
    ) -> str:
        """Return a one-time enrolment code."""
        return enrol(self.centre, role, areas, staff, units=units)[0]

    def device(
        self,
        name: str,
        role: str = "worker",
        areas: Sequence[str] = (EAST,),
        staff: Sequence[str] = (),
        clock: Clock | None = None,
        units: Sequence[str] = (),
    ) -> Replica:
        """Return a device that has joined and synced once; its file is `<name>.db`."""
        with self.line():
            joined = joining.join(
                self.folder / f"{name}.db", URL, self.code(role, areas, staff, units), clock=clock or self.clock
            )
        self.replicas[name] = joined
        self.sync(joined)
        return joined

    def reopen(self, name: str, clock: Clock | None = None) -> Replica:
        """Close a device's file and open it again."""
        if name in self.replicas:
            self.replicas[name].close()
        self.replicas[name] = Replica.open(self.folder / f"{name}.db", clock=clock or self.clock)
        return self.replicas[name]

    def sync(self, replica: Replica, staff: str | None = None) -> Synced:
        """Sync over the simulated line."""
        with self.line():
            return client.sync(replica, staff)

    def leaf(self, index: int) -> Leaf:
        """Return the leaf at *index*; negative ones count from the end."""
        ledger = self.centre.ledger
        return ledger.leaf(index if index >= 0 else ledger.size + index)

    def leaves(self) -> list[Leaf]:
        """Return every leaf."""
        return [parse_leaf(raw) for _i, raw, _b in self.centre.ledger.entries(0, self.centre.ledger.size)]

    def transport(self, replica: Replica) -> HttpTransport:
        """Return a signed transport over the simulated line."""
        made = HttpTransport(URL, replica.key_file.key, replica.charter.origin)
        made._session.mount("http://", self.wire)
        return made


DRAFT = Draft("测试街道", ORIGIN, AREA, simulated=True)


def lasting_folder() -> Path:
    """Return an empty folder that lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="syncgov-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _template() -> Path:
    """Make one centre a test run; worlds are copies of it."""
    folder = lasting_folder() / "centre"
    Centre.init(folder, DRAFT, small_registers(), clock=ManualClock()).close()
    return folder


@contextmanager
def served(centre: Path) -> Iterator[str]:
    """Run `serve` for a centre folder in a process of its own; gives its URL on 127.0.0.1."""
    program = (
        "from pathlib import Path; from syncgov.centre.serve import serve; "
        f"serve(Path({str(centre)!r}), 0, ready=lambda port: print(port, flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


def _wait_for(port: int) -> None:
    """Return when something listens: `ready` is called a moment before."""
    for attempt in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
            return
        except ConnectionRefusedError:
            if attempt == 199:
                raise
            time.sleep(0.05)


# -- rows --------------------


def new_key(number: int) -> str:
    """Return a UUIDv7 that depends on *number* only."""
    bits = hashlib.sha256(number.to_bytes(8, "big", signed=True)).digest()
    raw = bytearray(NOW_MS.to_bytes(6, "big") + bits[:10])
    raw[6], raw[8] = 0x70 | raw[6] & 0x0F, 0x80 | raw[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(raw)))


def a_task(**columns: Value) -> dict[str, Value]:
    """Return the columns of a whole new task."""
    return {"place": EAST, "started_on": "2026-11-20", "title": "路灯不亮", "state": "reported", **columns}


def insert(replica: Replica, table: str, columns: Mapping[str, Value]) -> str:
    """Insert a row as any SQLite program would; returns its key."""
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join("?" * len(columns))
    sql = f'INSERT INTO "{table}" ({names}) VALUES ({marks}) RETURNING *'
    return str(replica.conn.execute(sql, list(columns.values())).fetchall()[0][0])


def update(replica: Replica, table: str, key: str, **columns: Value) -> None:
    """Update one row as any SQLite program would."""
    names = ", ".join(f'"{name}" = ?' for name in columns)
    changed = replica.conn.execute(f'UPDATE "{table}" SET {names} WHERE id = ?', [*columns.values(), key])
    assert changed.rowcount == 1


def row(replica: Replica, table: str, key: str) -> dict[str, Value] | None:
    """Return one row of a register table, None if it is not there."""
    cursor = replica.conn.execute(f'SELECT * FROM "{table}" WHERE 1 AND {_key(replica, table)} = ?', (key,))
    names = [part[0] for part in cursor.description]
    found = cursor.fetchone()
    return None if found is None else dict(zip(names, found, strict=True))


def _key(replica: Replica, table: str) -> str:
    return "id" if replica.registers[table].key == "uuid" else "code"


def tables(replica: Replica) -> dict[str, list[tuple[Any, ...]]]:
    """Return every register table and the conflict view, sorted; of system tables only what all devices may see."""
    names = [*sorted(set(replica.columns) - set(DEVICES)), "conflict"]
    return {name: sorted(replica.conn.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}


def states(replica: Replica) -> dict[tuple[str, str], bytes]:
    """Return the stored heads of every row, again without certificates."""
    found = replica.conn.execute("SELECT tbl, key, state FROM _sg_row").fetchall()
    return {(table, key): bytes(state) for table, key, state in found if table not in DEVICES}


def everything(replica: Replica) -> dict[str, list[tuple[Any, ...]]]:
    """Return the whole file, table by table: equal before and after means that nothing was changed."""
    names = [n for (n,) in replica.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {name: sorted(replica.conn.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}


def held_bytes(replica: Replica) -> bytes:
    """Return every byte on disk of a replica: database and write-ahead log."""
    files = [replica.path, replica.path.with_name(replica.path.name + "-wal")]
    return b"".join(path.read_bytes() for path in files if path.exists())
