"""`python -m tests.bench.load`: many devices sync with a real server on loopback; what it takes and how long they wait.

A simulated device holds a key and its day's work, signed before the clock runs; it syncs with the real transport: a
nonce, a push, pulls to the end. It has no replica: what a device does with an answer costs the centre nothing. Devices
arrive at random moments of the window; a sync lasts from that moment to its end, waits for a busy centre included.
"""

import argparse
import json
import multiprocessing
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import msgspec
import requests

from syncgov.centre.centre import Centre
from syncgov.core import wire
from syncgov.core.canonical import b64u
from syncgov.core.commitment import Value
from syncgov.core.keys import SigningKey
from syncgov.core.statement import Seen
from syncgov.errors import SyncgovError
from syncgov.storage.clock import wall_clock
from syncgov.sync.client import PULL_LIMIT
from syncgov.sync.transport import HttpTransport, Patience
from tests.bench.data import Pen
from tests.helpers import AREA, DRAFT, ORIGIN, new_key
from tests.registers import register_set, registers

PROCESSES = 2
THREADS = 100  # of each: most of them wait for the centre
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """How many devices sync within how many seconds, in areas of how many devices, with how much work each."""

    name: str
    devices: int
    window_s: float
    changesets: int = 12  # a day of visits and events of one grid worker
    area_devices: int = 4


SCENARIOS = {
    "street": Scenario("street", 184, 60),
    "county": Scenario("county", 4000, 600),
}


@dataclass(slots=True)
class Part:
    """What the devices of one process saw. Seconds a sync; waits: how often the centre was busy."""

    seconds: list[float] = field(default_factory=list)
    accepted: int = 0
    received: int = 0
    waits: int = 0
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of one run. `peak_mib`: resident memory of the server; `busy`: requests turned away."""

    scenario: Scenario
    seconds: float
    changesets_per_s: float
    p50_s: float
    p95_s: float
    max_s: float
    accepted: int
    received: int
    busy: int
    most_inside: int
    failures: dict[str, int]
    server_cpu_s: float
    peak_mib: float


def seed(number: int) -> bytes:
    """Return the key seed of a device."""
    return number.to_bytes(32, "big")


def make_centre(folder: Path, scenario: Scenario) -> tuple[Path, Seen]:
    """Make a centre on which the devices are enrolled; returns its folder and what the devices have seen."""
    path = folder / "centre"
    Centre.init(path, DRAFT, registers()).close()
    centre = Centre(path)
    now = wall_clock()
    rows = []
    for number in range(scenario.devices):
        key = SigningKey(seed(number))
        columns: dict[str, Value] = {
            "public_key": b64u(key.public),
            "roles": ["worker"],
            "areas": [area_of(number, scenario)],
            "valid_from": now - DAY_MS,
            "valid_to": now + DAY_MS,
            "people": [],
        }
        rows.append((key.id, columns))
    for start in range(0, len(rows), 500):
        centre.write("device", rows[start : start + 500])
    size = centre.ledger.size
    seen = Seen(b64u(centre.ledger.root(size)), size)
    centre.close()
    return path, seen


def area_of(number: int, scenario: Scenario) -> str:
    """Return the grid of a device."""
    return f"{AREA}{number // scenario.area_devices:05d}"


class Server:
    """`serve` in a process of its own."""

    def __init__(self, centre: Path) -> None:
        program = (
            "from pathlib import Path; from syncgov.centre.serve import serve; "
            f"serve(Path({str(centre)!r}), 0, ready=lambda port: print(port, flush=True))"
        )
        self.process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        for _attempt in range(200):
            try:
                requests.get(f"{self.url}/v1/nonce", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.05)

    def stats(self) -> dict[str, int]:
        """Return the counts of the server."""
        found: dict[str, int] = requests.get(f"{self.url}/v1/stats", timeout=30).json()
        return found

    def usage(self) -> tuple[float, float]:
        """Return seconds of processor time, and the peak of resident memory in MiB."""
        proc = Path("/proc") / str(self.process.pid)
        times = (proc / "stat").read_text().rpartition(")")[2].split()
        peak = next(row for row in (proc / "status").read_text().splitlines() if row.startswith("VmHWM"))
        return (int(times[11]) + int(times[12])) / 100, int(peak.split()[1]) / 1024

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()


def day_of(number: int, scenario: Scenario, seen: Seen, enrolled: str) -> list[wire.Push]:
    """Return the pushes of one device's day."""
    pen = Pen(SigningKey(seed(number)), 0, enrolled, seen)
    all_registers = register_set()
    entries = []
    for each in range(scenario.changesets):
        columns: dict[str, Value] = dict.fromkeys(c.name for c in all_registers["task"].columns)
        columns |= {"place": area_of(number, scenario), "started_on": "2026-11-20", "title": f"路灯 {each} 号不亮"}
        columns |= {"state": "reported", "urgency": each}
        signed = pen.sign([(("task", new_key(number * 1000 + each)), columns)], all_registers, at=wall_clock())
        entries.append(wire.PushEntry(msgspec.Raw(signed.raw_body), msgspec.Raw(signed.envelope)))
    return [wire.Push(entries)]


def run_part(
    url: str, scenario: Scenario, work: Sequence[tuple[int, float, str]], seen: Seen, ready: Event, start: Event
) -> Part:
    """Let the devices of one process sync; *work*: number, arrival in seconds after the start, enrolment hash."""
    part = Part()
    days = {number: day_of(number, scenario, seen, enrolled) for number, _at, enrolled in work}
    ready.set()
    start.wait()
    begun = time.monotonic()
    chance = random.Random(work[0][0])

    def sync(number: int, at: float) -> None:
        time.sleep(max(0.0, begun + at - time.monotonic()))
        transport = HttpTransport(url, SigningKey(seed(number)), ORIGIN)
        transport.patience = Patience(chance=chance.random)
        waits: list[int] = []
        transport.waiting = lambda seconds, _tries: waits.append(seconds)
        try:
            accepted, received = _sync(transport, days[number], seen.size)
            part.seconds.append(time.monotonic() - begun - at)
            part.accepted += accepted
            part.received += received
        except SyncgovError as error:
            part.failures[f"{type(error).__name__} {error.en[:80]}"] += 1
        finally:
            part.waits += len(waits)
            transport.close()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda each: sync(each[0], each[1]), sorted(work, key=lambda each: each[1])))
    return part


def _sync(transport: HttpTransport, pushes: Sequence[wire.Push], size: int) -> tuple[int, int]:
    """Push and pull as `client.sync` does; returns how many were accepted and received."""
    accepted = received = 0
    for push in pushes:
        answer = transport.post("/v1/push", push, wire.PushAnswer)
        accepted += sum(result.verdict == "accepted" for result in answer.results)
    after = target = 0
    while True:
        page = transport.post("/v1/pull", wire.Pull(max(after, size), PULL_LIMIT, size, target), wire.PullAnswer)
        received += len(page.entries)
        after, target = page.next, page.target
        if after >= target:
            return accepted, received


def _child(channel: Connection, *arguments: Any) -> None:
    channel.send(run_part(*arguments))


def measure(scenario: Scenario, folder: Path) -> Outcome:
    """Run a scenario."""
    path, seen = make_centre(folder, scenario)
    centre = Centre(path)
    enrolled = {n: centre.ledger.enrolment(SigningKey(seed(n)).id) or "" for n in range(scenario.devices)}
    before = centre.ledger.size
    centre.close()
    rng = random.Random(1)
    arrivals = [(n, rng.uniform(0, scenario.window_s), enrolled[n]) for n in range(scenario.devices)]
    server = Server(path)
    try:
        begun, parts = _play(server.url, scenario, arrivals, seen)
        seconds = time.monotonic() - begun
        stats = server.stats()
        cpu, peak = server.usage()
    finally:
        server.stop()
    centre = Centre(path)
    logged = centre.ledger.size - before
    centre.close()
    accepted = sum(part.accepted for part in parts)
    assert logged >= accepted, "what was acknowledged is in the log"
    syncs = sorted(second for part in parts for second in part.seconds)
    failures = sum((part.failures for part in parts), Counter[str]())
    return Outcome(
        scenario,
        seconds,
        accepted / seconds,
        statistics.median(syncs),
        syncs[int(0.95 * (len(syncs) - 1))],
        syncs[-1],
        accepted,
        sum(part.received for part in parts),
        stats["busy"],
        stats["most"],
        dict(failures),
        cpu,
        peak,
    )


def _play(url: str, scenario: Scenario, arrivals: list[tuple[int, float, str]], seen: Seen) -> tuple[float, list[Part]]:
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    children = []
    for number in range(PROCESSES):
        ours, theirs = context.Pipe()
        ready = context.Event()
        arguments = (theirs, url, scenario, arrivals[number::PROCESSES], seen, ready, start)
        process = context.Process(target=_child, args=arguments)
        process.start()
        children.append((process, ours, ready))
    for _process, _ours, ready in children:
        ready.wait()
    begun = time.monotonic()
    start.set()
    parts: list[Part] = [ours.recv() for _process, ours, _ready in children]
    for process, _ours, _ready in children:
        process.join()
    return begun, parts


def main(arguments: list[str]) -> int:
    """Run and print; 1 if a device was refused otherwise than by being asked to come again."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="which (default: all)")
    parser.add_argument("--devices", type=int, help="instead of the scenario's own number")
    parser.add_argument("--window", type=float, help="seconds in which they arrive")
    parser.add_argument("--changesets", type=int, help="of each device")
    options = parser.parse_args(arguments)
    found = []
    for name in options.scenarios.split(","):
        base = SCENARIOS[name]
        scenario = Scenario(
            name,
            options.devices or base.devices,
            options.window or base.window_s,
            options.changesets or base.changesets,
            base.area_devices,
        )
        with tempfile.TemporaryDirectory() as folder:
            outcome = measure(scenario, Path(folder))
        found.append(outcome)
        print(json.dumps(asdict(outcome), ensure_ascii=False, indent=1), flush=True)
    if options.json is not None:
        content = json.dumps([asdict(each) for each in found], ensure_ascii=False, indent=1)
        options.json.write_text(content + "\n", encoding="utf-8")
    return 1 if any(each.failures for each in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
