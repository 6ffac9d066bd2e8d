"""The evenings on which something happens to a device: it is copied, cloned, stolen."""

import contextlib
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from syncgov.centre.centre import Centre
from syncgov.centre.certificates import revoke
from syncgov.centre.enrolment import enrol
from syncgov.demo.devices import Fleet, Setting, device_path, write_plain
from syncgov.demo.faults import Mishap
from syncgov.demo.place import Device
from syncgov.demo.plan import Day, Story, Write
from syncgov.demo.simclock import at_minute
from syncgov.errors import NotAllowedError
from syncgov.storage.adopting import adopt
from syncgov.storage.keyfile import key_path, load_key
from syncgov.storage.replica import Replica
from syncgov.sync.client import sync
from syncgov.sync.joining import join
from syncgov.sync.reenrolment import rejoin


@dataclass(slots=True)
class Happened:
    """What the mishaps came to: changesets refused, signed anew under another key, and all that were signed.

    `erased`: writes whose values were erased. `not_acknowledged`: devices that have not heard of it yet.
    """

    refused_clone: int = 0
    refused_stopped: int = 0
    refused_stolen: int = 0
    taken_over: int = 0
    adopted: int = 0
    signed: int = 0
    erased: int = 0
    not_acknowledged: int = 0


class Mishaps:
    """Plays them, on the evenings that the plan names."""

    def __init__(self, setting: Setting, story: Story, fleet: Fleet) -> None:
        self._setting = setting
        self._faults = setting.faults
        self._devices = story.place.devices
        self._fleet = fleet
        self._day_ms = 0
        self.happened = Happened()

    def evening(self, day: Day, day_ms: int) -> None:
        """Play what happens after the sessions of *day*, which began at *day_ms*."""
        self._day_ms = day_ms
        if day.day_index == self._faults.copied_on:
            self._copy()
        if day.day_index == self._faults.clone.day_index:
            self._clone()
        if day.day_index == self._faults.theft.day_index:
            self._steal()

    def _path(self, index: int) -> Path:
        return device_path(self._setting.folder, index)

    @property
    def _copied(self) -> Path:
        return self._path(self._faults.clone.device_index).with_suffix(".clone.db")

    def _copy(self) -> None:
        """Somebody copies the whole phone, key and all."""
        index = self._faults.clone.device_index
        with self._fleet.released(index):
            shutil.copy2(self._path(index), self._copied)
            shutil.copy2(key_path(self._path(index)), key_path(self._copied))

    def _clone(self) -> None:
        """The copy writes under numbers that the device has used; both are stopped, the device's user enrols again."""
        plan, done = self._faults.clone, self.happened
        done.refused_clone = self._write_and_sync(self._copied, plan, plan.write)
        with self._fleet.released(plan.device_index):
            path = self._path(plan.device_index)
            done.refused_stopped = self._write_and_sync(path, plan, self._faults.own_write)
            old_device = load_key(key_path(path)).key.id
            code = self._code(self._devices[plan.device_index], (old_device, "fork"))
            again = rejoin(path, code, plan.staff_id, clock=at_minute(self._day_ms, plan.minute))
            done.taken_over = len(again.adopted.signed)
            done.signed += done.taken_over

    def _write_and_sync(self, path: Path, plan: Mishap, write: Write) -> int:
        """Return how many changesets were refused."""
        with Replica.open(path, clock=at_minute(self._day_ms, plan.minute)) as replica:
            self._write(replica, plan, write)
            return self._refused(replica, plan.staff_id)

    def _refused(self, replica: Replica, staff: str) -> int:
        """Sync a device that is stopped or revoked, or will be; return how many of its changesets were refused."""
        with contextlib.suppress(NotAllowedError):  # it may push, and is told so; it is not served any more
            sync(replica, staff, url=self._setting.url)
        sql = "SELECT count(*) FROM _sg_own WHERE coalesce(verdict, sent) LIKE 'refused:%'"
        return int(replica.conn.execute(sql).fetchone()[0])

    def _write(self, replica: Replica, plan: Mishap, write: Write) -> None:
        write_plain(replica.path, [write])
        self.happened.signed += len(replica.commit(plan.staff_id).signed)

    def _steal(self) -> None:
        """A device with unsent work is stolen and revoked; a new one takes its place, a supervisor adopts the work."""
        plan, done = self._faults.theft, self.happened
        path = self._path(plan.device_index)
        stolen = path.with_suffix(".stolen.db")
        with self._fleet.released(plan.device_index):
            with Replica.open(path, clock=at_minute(self._day_ms, plan.minute)) as replica:
                self._write(replica, plan, plan.write)
                dev = replica.dev
            path.rename(stolen)
            key_path(path).rename(key_path(stolen))
            code = self._code(self._devices[plan.device_index], (dev, "lost"))
            with Replica.open(stolen, clock=at_minute(self._day_ms, plan.minute)) as replica:
                done.refused_stolen = self._refused(replica, plan.staff_id)
            with closing(join(path, self._setting.url, code, clock=self._setting.clock)) as fresh:
                sync(fresh)
        self._adopt(stolen)

    def _adopt(self, stolen: Path) -> None:
        index = self._faults.adopter
        staff = self._devices[index].staff[0]
        with (
            self._fleet.released(index),
            Replica.open(self._path(index), clock=at_minute(self._day_ms, self._faults.theft.minute)) as replica,
        ):
            sync(replica, staff, url=self._setting.url)
            adopted = adopt(replica, stolen, staff)
            if adopted.left:
                raise adopted.left[0][1]
            self.happened.adopted = len(adopted.signed)
            self.happened.signed += len(adopted.signed)
            sync(replica, staff, url=self._setting.url)

    def _code(self, device: Device, revoked: tuple[str, str]) -> str:
        """Return a code for another key of *device*; the registrar first revokes the old one: device id, reason."""
        with closing(Centre(self._setting.folder / "centre", clock=self._setting.clock)) as centre:
            revoke(centre, *revoked)
            return enrol(centre, device.roles, device.areas, device.staff, units=device.units)[0]
