"""`syncgov demo`: a year of a street's work, for real: centre process, HTTP, files, publication, audit."""

import datetime
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncgov.centre.centre import Centre
from syncgov.centre.drafting import Draft
from syncgov.centre.enrolment import enrol
from syncgov.centre.serve import serve
from syncgov.centre.staff_keys import invite
from syncgov.demo.content import KEY, content_rows
from syncgov.demo.devices import Fleet, Joining, Setting, Tally, device_path
from syncgov.demo.faults import Faults, plan_faults
from syncgov.demo.mishaps import Happened, Mishaps
from syncgov.demo.photos import photos_of
from syncgov.demo.place import Device, Place, make_place
from syncgov.demo.plan import LastDayAction, Story
from syncgov.demo.simclock import SimulatedClock
from syncgov.demo.story import plan_story
from syncgov.demo.walks import OPERATOR
from syncgov.errors import InputError, SyncgovError
from syncgov.storage.files import builtin_folder, read_registers

BEIJING = datetime.timezone(datetime.timedelta(hours=8))
DAY_MS = 86_400_000
MARKER = "demo.json"  # a folder with this file is ours to write over
PLACES = ("tianshuijun",)
ORIGIN = "tianshuijun.example/syncgov"
START_TIMEOUT_S = 30

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Ran:
    """What a run of the demo left, for the summary.

    Attributes:
        stages: (name, seconds). centres: (process id, HTTP requests it answered).
        tally: what the devices did. happened: what came of the mishaps.
        audit: the audit's exit code and what it printed.
    """

    folder: Path
    story: Story
    faults: Faults
    stages: list[tuple[str, float]] = field(default_factory=list)
    centres: list[tuple[int, int]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    happened: Happened = field(default_factory=Happened)
    audit_exit: int = 0
    audit_text: str = ""

    @property
    def centre(self) -> Path:
        """The centre's folder."""
        return self.folder / "centre"

    @property
    def public(self) -> Path:
        """The published folder."""
        return self.folder / "public"


def run_demo(
    folder: Path,
    *,
    place: str = PLACES[0],
    seed: int = 1,
    events: int = 563,
    closed: int = 544,
    progress: Progress | None = None,
) -> Ran:
    """Run the whole story into *folder*, which is emptied first if an earlier demo made it.

    Raises:
        InputError: an unknown place, impossible numbers, or a folder that holds something else.
    """
    if place not in PLACES:
        raise InputError(
            f"没有地点 {place}，可用：{'、'.join(PLACES)}", f"unknown place {place}; known: {', '.join(PLACES)}"
        )
    _empty(folder)
    today = datetime.datetime.now(BEIJING).date()
    try:
        made = make_place(seed)
        story = plan_story(made, seed, events, closed, last_date=today)
        faults = plan_faults(story)
    except ValueError as error:
        raise InputError(f"数目不合适：{error}", f"impossible numbers: {error}") from error
    ran = Ran(folder, story, faults)
    report = progress or (lambda _stage, _done, _total: None)
    context = multiprocessing.get_context("spawn")
    clock = SimulatedClock(context, day_start(story.first_date) - DAY_MS)
    with _stage(ran, "建立中心 init, load"):
        codes = _found(ran, made, clock, report)
    with _simulated_centre(ran, context, clock) as url:
        setting = Setting(folder, url, clock, faults)
        fleet = Fleet(context, setting)
        with _stage(ran, "终端登记 enrol, join"):
            _join(fleet, codes, report)
        with _stage(ran, "一年的工作 sync"):
            _play(ran, fleet, setting, report)
    with _stage(ran, "最后一天 serve, commit, sync"):
        _last_day(ran, report)
    with _stage(ran, "公开 publish"):
        _command("publish", ran.centre, ran.public)
    with _stage(ran, "审计 audit"):
        done = _command("audit", ran.public, "--charter", ran.centre / "charter.json", check=False)
        ran.audit_exit, ran.audit_text = done.returncode, done.stdout
    return ran


def day_start(date: datetime.date) -> int:
    """Return ms UTC of midnight, Beijing time."""
    return int(datetime.datetime(date.year, date.month, date.day, tzinfo=BEIJING).timestamp() * 1000)


def _empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise InputError(
                f"{folder} 里有别的文件，请换一个文件夹", f"{folder} holds other files; choose another folder"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(json.dumps({"what": "made by `syncgov demo`; may be deleted"}), encoding="utf-8")


@contextmanager
def _stage(ran: Ran, name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    ran.stages.append((name, time.monotonic() - start))


def _found(ran: Ran, place: Place, clock: SimulatedClock, report: Progress) -> list[Joining]:
    """Make the centre, load what exists before the first event, and give out enrolment codes."""
    draft = Draft(place.name, ORIGIN, place.area, simulated=True)
    centre = Centre.init(ran.centre, draft, read_registers(builtin_folder()), clock=clock)
    try:
        tables = content_rows(place, ran.story.first_date - datetime.timedelta(days=1))
        for number, (table, rows) in enumerate(tables.items(), 1):
            centre.write(table, [(str(row[KEY]), {k: v for k, v in row.items() if k != KEY}) for row in rows])
            report("load", number, len(tables))
        return [
            Joining(
                device.index,
                enrol(centre, device.roles, device.areas, device.staff, units=device.units)[0],
                _key_codes(centre, device),
            )
            for device in place.devices
        ]
    finally:
        centre.close()


def _key_codes(centre: Centre, device: Device) -> tuple[tuple[str, str], ...]:
    """Give out codes for the keys of those who sign what another voids: everybody at an operator's desk."""
    return tuple((person, invite(centre, person)) for person in device.staff if OPERATOR in device.roles)


def serve_simulated(path: str, clock: SimulatedClock, channel: Any) -> None:
    """Run in the centre's process: serve with the simulated clock."""
    serve(Path(path), 0, clock=clock, ready=channel.send)


@contextmanager
def _simulated_centre(ran: Ran, context: Any, clock: SimulatedClock) -> Iterator[str]:
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_simulated, args=(str(ran.centre), clock, theirs), daemon=True)
    process.start()
    if not ours.poll(START_TIMEOUT_S):
        raise SyncgovError("中心没有启动", "the centre did not start")
    url = f"http://127.0.0.1:{ours.recv()}"
    try:
        yield url
        ran.centres.append((process.pid or 0, _requests(url)))
    finally:
        process.terminate()
        process.join()


def _requests(url: str) -> int:
    """Return how many requests a centre has answered, this one included."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/v1/stats", timeout=10) as answer:
        return int(json.load(answer)["requests"])


def _join(fleet: Fleet, codes: list[Joining], report: Progress) -> None:
    step = 8
    for start in range(0, len(codes), step):
        fleet.join(codes[start : start + step])
        report("join", min(start + step, len(codes)), len(codes))


def _play(ran: Ran, fleet: Fleet, setting: Setting, report: Progress) -> None:
    mishaps = Mishaps(setting, ran.story, fleet)
    for number, day in enumerate(ran.story.days, 1):
        start = day_start(day.date)
        # the centre receives a day's work at its end, so that no session of the day is in its future
        setting.clock.set(start + DAY_MS - 1000)
        fleet.day(day, start)
        mishaps.evening(day, start)
        report("days", number, len(ran.story.days))
    fleet.close()
    ran.tally, ran.happened = fleet.tally, mishaps.happened
    ran.tally.signed += mishaps.happened.signed


def _last_day(ran: Ran, report: Progress) -> None:
    """The wall's clock from here on: `syncgov serve`, and six people at the command line."""
    command = [sys.executable, "-m", "syncgov", "serve", str(ran.centre), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = str(json.loads(server.stdout.readline())["url"])
            for number, action in enumerate(ran.story.last_day, 1):
                _act(ran, action, url)
                report("last day", number, len(ran.story.last_day))
            _erase(ran, url)
            ran.centres.append((server.pid, _requests(url)))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=START_TIMEOUT_S)


def _act(ran: Ran, action: LastDayAction, url: str) -> None:
    replica = device_path(ran.folder, action.device_index)
    _command("sync", replica, "--staff", action.staff_id, "--url", url)
    for statement, write in zip(action.sql, action.writes, strict=True):
        subprocess.run([sys.executable, "-m", "sqlite_utils", str(replica), statement], check=True, capture_output=True)
        for phase, photo in photos_of([write]):
            file = ran.folder / f"{phase}.jpg"
            file.write_bytes(photo)
            _command("attach", replica, write.register, write.key, file, "--phase", phase)
            file.unlink()
            ran.tally.photos += 1
        _command("commit", replica, "--staff", action.staff_id)
        ran.tally.signed += 1
    _command("sync", replica, "--staff", action.staff_id, "--url", url)
    ran.tally.syncs += 2
    _command("status", replica)


def _erase(ran: Ran, url: str) -> None:
    """A person has a text erased; the last device that worked today hears of it at its next sync."""
    table, key, fields = ran.faults.erased
    done = json.loads(_command("erase", ran.centre, table, key, *fields, "--reason", "request", "--json").stdout)
    ran.happened.erased = int(done["writes"])
    action = ran.story.last_day[-1]
    _command("sync", device_path(ran.folder, action.device_index), "--staff", action.staff_id, "--url", url)
    ran.tally.syncs += 1
    status = json.loads(_command("status", ran.centre, "--json").stdout)
    ran.happened.not_acknowledged = len(status["erasures"][0]["waiting"])


def _command(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a syncgov command as a person would."""
    done = subprocess.run(
        [sys.executable, "-m", "syncgov", *map(str, arguments)], capture_output=True, text=True, env=dict(os.environ)
    )
    if check and done.returncode != 0:
        text = done.stderr.strip() or done.stdout.strip()
        raise SyncgovError(f"命令 {arguments[0]} 失败：{text}", f"command {arguments[0]} failed: {text}")
    return done
