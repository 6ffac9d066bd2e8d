"""Persons with keys on the devices of a world, and steps that a second person must sign."""

from collections.abc import Sequence
from pathlib import Path

from syncgov.centre.staff_keys import invite
from syncgov.storage import cosigning
from syncgov.storage.replica import Replica
from syncgov.storage.staff_file import SecondSigner
from tests.helpers import World, a_task, insert, update
from tests.registers import strict_registers

PIN = "271828"
CLERK, CHIEF = "C1", "C2"


def strict_world(folder: Path) -> World:
    """Return a world whose tasks are voided by two persons."""
    return World.make(folder, strict_registers())


def give_key(world: World, replica: Replica, person: str, pin: str = PIN) -> str:
    """Let a person have a key on a device that is online; returns its id."""
    made = cosigning.add(replica, person, invite(world.centre, person), pin)
    assert not world.sync(replica, person).keys_refused
    return made.id


def shared_desk(world: World, name: str = "desk", people: Sequence[str] = (CLERK, CHIEF)) -> Replica:
    """Return a desk's device that two persons share; the chief has a key on it."""
    replica = world.device(name, "desk", ["101"], staff=people)
    give_key(world, replica, CHIEF)
    return replica


def bring(replica: Replica, person: str = CHIEF, pin: str = PIN) -> SecondSigner:
    """Let a person enter the PIN: what asks for it is signed twice from now on."""
    replica.second = cosigning.unlock(replica, person, pin)
    return replica.second


def reported(world: World, desk: Replica) -> str:
    """Let a worker report a task that the desk knows; returns its key."""
    worker = world.replicas.get("worker") or world.device("worker")
    key = insert(worker, "task", a_task())
    world.sync(worker)
    world.sync(desk, CLERK)
    return key


def void(replica: Replica, key: str) -> None:
    """Write, as any SQLite program would, that the task is void."""
    update(replica, "task", key, state="void", reason="dup")
