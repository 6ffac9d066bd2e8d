"""Who signs beside the device, and the persons' keys of a replica. Source: protocol page, sections 4, 8 and 11."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from syncgov.core.staff_keys import STAFF_KEYS, staff_key_from
from syncgov.core.trust_view import StaffKey
from syncgov.errors import InputError, NotAllowedError
from syncgov.storage import staff_file
from syncgov.storage.staff_file import Making, SecondSigner, StaffKeyEntry, staff_path
from syncgov.storage.state import load_row
from syncgov.storage.steps import Step, needs_second

if TYPE_CHECKING:
    from syncgov.storage.replica import Replica


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A person's key on this device, for people.

    Attributes:
        state: `pending` (goes out with the next sync), `refused` (`problem` says why), `in use`, `ended`.
        made: ms UTC by this device's clock. wrong: wrong PINs in a row.
    """

    key: str
    person: str
    state: str
    problem: str
    made: int
    wrong: int


def choose_second(replica: "Replica", by: str | None, steps: Sequence[Step]) -> SecondSigner | None:
    """Return who signs beside the device, None where no step asks for it.

    Raises:
        NotAllowedError: a step asks for a second person, and `replica.second` is none that could count.
    """
    step = needs_second(steps)
    if step is None:
        return None
    zh, en = step.words
    second = replica.second
    if second is None:
        raise NotAllowedError(
            f"{zh}须由第二人签名，没有签名；请另一人加 --second 人员编号 并输入 PIN",
            f"{en} must be signed by a second person and was not signed; let another person add --second ID and a PIN",
        )
    if by is None or second.person == by:
        raise NotAllowedError(
            f"{zh}的第二签名人须是填报人以外的人，并用 --staff 写明填报人",
            f"{en}: the second person must be another than who wrote, and --staff must say who did",
        )
    if replica.staff and second.person not in replica.staff:
        raise NotAllowedError(
            f"{second.person} 不在这台终端的使用人员里，不能签名", f"{second.person} may not use this device"
        )
    if not _counts(registered(replica, second.key.id)):
        raise NotAllowedError(
            f"{second.person} 的密钥还没有登记或已停用；请同步一次，用 syncgov staff 查看",
            f"the key of {second.person} is not registered yet, or has ended; sync, and see `syncgov staff … list`",
        )
    return second


def registered(replica: "Replica", key_id: str) -> StaffKey | None:
    """Return what the log, as far as this replica has folded it, says about a key."""
    stored = load_row(replica.conn, (STAFF_KEYS, key_id))
    if not stored.alive:
        return None
    register = replica.registers[STAFF_KEYS]
    fields = {each.name: stored.shown(each.name, register) for each in register.fields}
    return staff_key_from(key_id, fields, 0, disclosed=False)


def _counts(key: StaffKey | None) -> bool:
    return key is not None and not key.ended


def key_of(replica: "Replica", person: str) -> StaffKeyEntry:
    """Return the key with which a person signs here: the newest that is registered, else the newest.

    Raises:
        NotAllowedError: the person has none on this device.
    """
    return staff_file.find_key(_path(replica), person, lambda key_id: _counts(registered(replica, key_id)))


def unlock(replica: "Replica", person: str, pin: str) -> SecondSigner:
    """Return the person's key, to be set as `replica.second`.

    Raises:
        NotAllowedError: the person has no key here. PinError: a wrong PIN.
    """
    return staff_file.unlock(_path(replica), key_of(replica, person).id, pin, replica.clock())


def add(replica: "Replica", person: str, code: str, pin: str) -> StaffKeyEntry:
    """Make a key for a person; the next sync or bundle asks the centre to register it.

    Raises:
        NotAllowedError: the person may not use this device. InputError: no person, no code, or too easy a PIN.
    """
    if not person or not code.strip():
        raise InputError("请写人员编号和登记码", "give the person's id and the code")
    if replica.staff and person not in replica.staff:
        raise NotAllowedError(f"{person} 不能使用这台终端", f"{person} may not use this device")
    making = Making(person, code, replica.dev, replica.charter.origin, replica.clock())
    return staff_file.add_key(_path(replica), making, pin)


def change_pin(replica: "Replica", person: str, old: str, new: str) -> str:
    """Lock a person's key by another PIN; returns the key's id.

    Raises:
        NotAllowedError: the person has no key here. PinError: the old PIN is wrong. InputError: too easy a PIN.
    """
    key_id = key_of(replica, person).id
    staff_file.change_pin(_path(replica), key_id, old, new, replica.clock())
    return key_id


def pending(replica: "Replica") -> list[StaffKeyEntry]:
    """Return the keys that the centre has not heard of, or whose answer got lost."""
    waiting = [entry for entry in staff_file.read_staff(_path(replica)) if entry.request is not None]
    return [entry for entry in waiting if registered(replica, entry.id) is None]


def settle(replica: "Replica", key_id: str, problem: str = "") -> None:
    """Note what the centre answered; *problem* is why it did not take the key."""
    staff_file.settle_request(_path(replica), key_id, problem)


def list_keys(replica: "Replica") -> list[KeyStatus]:
    """Return the keys on this device, oldest first."""
    found = []
    for entry in staff_file.read_staff(_path(replica)):
        key = registered(replica, entry.id)
        state = "ended" if key is not None and key.ended else "in use" if key is not None else "pending"
        state = "refused" if key is None and entry.problem else state
        found.append(KeyStatus(entry.id, entry.person, state, entry.problem, entry.made, entry.tries))
    return found


def _path(replica: "Replica") -> Path:
    return staff_path(replica.path)
