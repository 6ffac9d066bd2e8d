"""Keys locked by PINs: wrong ones are counted and slowed, changed ones lose nothing."""

import json
import os
from pathlib import Path

import pytest

from syncgov.core import wire
from syncgov.core.canonical import unb64u
from syncgov.core.keys import device_id
from syncgov.errors import InputError, NotAllowedError, PinError, SignatureError, StorageError
from syncgov.storage import staff_file
from syncgov.storage.staff_file import (
    Making,
    StaffKeyEntry,
    add_key,
    change_pin,
    find_key,
    read_staff,
    settle_request,
    unlock,
)

NOW = 1_795_000_000_000
PIN, OTHER = "271828", "314159"
COST = (staff_file.SCRYPT_N, staff_file.SCRYPT_R, staff_file.SCRYPT_P)  # before it is made cheap below


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cheap lock: what it costs is not what these tests are about."""
    monkeypatch.setattr(staff_file, "SCRYPT_N", 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the keys of a replica lie."""
    return staff_file.staff_path(tmp_path / "my.db")


def add(path: Path, person: str = "W001", pin: str = PIN) -> StaffKeyEntry:
    """Make a key."""
    return add_key(path, Making(person, "2345-6789-ABCD", "d" * 32, "log.example", NOW), pin)


def test_the_pin_opens_the_key_and_the_file_is_its_owners_alone(path: Path) -> None:
    """The key signs as the public one that was sent; no other person, and no PIN, stands in the file."""
    made = add(path)
    signer = unlock(path, made.id, PIN, NOW)
    assert (signer.person, signer.key.id) == ("W001", made.id)
    assert signer.key.public == unb64u(made.public, 32)
    assert device_id(signer.key.public) == made.id
    assert path.name == "my.db.staff"
    assert os.stat(path).st_mode & 0o777 == 0o600
    raw = path.read_bytes()
    assert PIN.encode() not in raw
    assert signer.key.seed not in raw
    kdf = json.loads(raw)["keys"][0]["kdf"]
    assert {"n", "name", "p", "r", "salt"} == set(kdf)


def test_the_lock_costs_what_the_protocol_page_says() -> None:
    """32 MiB for every PIN that somebody tries."""
    assert COST == (1 << 15, 8, 1)
    page = (Path(__file__).parents[2] / "portal/content/spec/protocol.md").read_text(encoding="utf-8")
    assert "scrypt, N = 32 768, r = 8, p = 1" in page


def test_the_request_proves_that_whoever_asks_has_the_key(path: Path) -> None:
    """Signed over code, person, device and origin; for another device it does not hold."""
    made = add(path)
    assert made.request is not None
    public, proof = unb64u(made.public, 32), unb64u(made.request.proof, 64)
    wire.verify_staff_key(made.request, "d" * 32, "log.example", public, proof)
    for dev, origin, person in (
        ("e" * 32, "log.example", "W001"),
        ("d" * 32, "x", "W001"),
        ("d" * 32, "log.example", "W"),
    ):
        made.request.person = person
        with pytest.raises(SignatureError):
            wire.verify_staff_key(made.request, dev, origin, public, proof)


def test_wrong_pins_are_counted_slowed_and_forgotten_when_the_right_one_comes(path: Path) -> None:
    """Three cost nothing, the next ones more and more; the count is in the file, so that a restart does not help."""
    key_id = add(path).id
    for tries in (1, 2, 3):
        with pytest.raises(PinError) as caught:
            unlock(path, key_id, OTHER, NOW)
        assert (caught.value.tries, caught.value.wait_s) == (tries, 0)
    now = NOW
    for tries, wait_s in ((4, 30), (5, 60), (6, 120)):
        with pytest.raises(PinError) as caught:
            unlock(path, key_id, OTHER, now)
        assert (caught.value.tries, caught.value.wait_s) == (tries, wait_s)
        with pytest.raises(PinError) as caught:
            unlock(path, key_id, PIN, now + 1000)  # also the right one is not looked at
        assert (caught.value.tries, caught.value.wait_s) == (tries, wait_s - 1)
        now += wait_s * 1000
    assert read_staff(path)[0].tries == 6
    assert unlock(path, key_id, PIN, now).person == "W001"
    assert (read_staff(path)[0].tries, read_staff(path)[0].tried) == (0, 0)


def test_nobody_waits_longer_than_an_hour_whatever_the_clock_does(path: Path) -> None:
    """A clock that was set back starts the wait again, once; the wait never grows beyond an hour."""
    key_id = add(path).id
    for tries in range(30):
        with pytest.raises(PinError):
            unlock(path, key_id, OTHER, NOW + tries * 3_600_000)
    back = NOW - 10**9
    with pytest.raises(PinError) as caught:
        unlock(path, key_id, PIN, back)
    assert caught.value.wait_s == 3600
    with pytest.raises(PinError) as caught:
        unlock(path, key_id, PIN, back + 3_599_000)
    assert caught.value.wait_s == 1
    assert unlock(path, key_id, PIN, back + 3_600_000).person == "W001"


def test_a_try_is_counted_before_it_is_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pulls the plug while the PIN is checked has used up the try."""
    key_id = add(path).id

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(staff_file, "_open", dies)
    with pytest.raises(KeyboardInterrupt):
        unlock(path, key_id, OTHER, NOW)
    assert read_staff(path)[0].tries == 1


def test_a_changed_pin_opens_the_same_key_and_the_old_one_does_not(path: Path) -> None:
    """Nothing changes if the old one is wrong, or the new one too easy."""
    key_id = add(path).id
    with pytest.raises(PinError):
        change_pin(path, key_id, OTHER, "161803", NOW)
    with pytest.raises(InputError):
        change_pin(path, key_id, PIN, "111111", NOW)
    before = unlock(path, key_id, PIN, NOW).key.seed
    change_pin(path, key_id, PIN, OTHER, NOW)
    assert unlock(path, key_id, OTHER, NOW).key.seed == before
    with pytest.raises(PinError):
        unlock(path, key_id, PIN, NOW)


@pytest.mark.parametrize("pin", ["", "12345", "123456", "987654", "000000", "x" * 65])
def test_what_everybody_tries_first_is_no_pin(path: Path, pin: str) -> None:
    """Too short, too long, all the same, or a straight sequence; no file is made."""
    with pytest.raises(InputError):
        add(path, pin=pin)
    assert not path.exists()


def test_keys_of_several_persons_lie_side_by_side(path: Path) -> None:
    """Each opens with its own PIN; the newest of a person is taken; another's attempts do not slow it."""
    first, other = add(path), add(path, "W002", OTHER)
    with pytest.raises(PinError):
        unlock(path, other.id, PIN, NOW)
    assert unlock(path, first.id, PIN, NOW).person == "W001"
    settle_request(path, first.id, "")
    newer = add(path)
    assert [entry.id for entry in read_staff(path)] == [first.id, other.id, newer.id]
    assert find_key(path, "W001").id == newer.id
    assert find_key(path, "W001", lambda key_id: key_id == first.id).id == first.id
    with pytest.raises(NotAllowedError):
        find_key(path, "W003")


def test_a_key_that_was_never_registered_gives_way_to_the_next(path: Path) -> None:
    """A second try with another code leaves no useless key behind."""
    add(path)
    again = add(path, pin=OTHER)
    assert [entry.id for entry in read_staff(path)] == [again.id]


@pytest.mark.parametrize("change", [{"person": "W002"}, {"public": "A" * 43}, {"box": "AAAA"}])
def test_a_box_belongs_to_its_person_and_public_key(path: Path, change: dict[str, str]) -> None:
    """Changed in the file, it does not open: nobody signs as another by editing it."""
    key_id = add(path).id
    content = json.loads(path.read_bytes())
    content["keys"][0] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(PinError):
        unlock(path, key_id, PIN, NOW)


@pytest.mark.parametrize("kdf", [{"n": 1 << 40}, {"n": 3}, {"r": 1 << 30}, {"p": 0}, {"salt": "!"}])
def test_a_file_cannot_ask_for_endless_work(path: Path, kdf: dict[str, object]) -> None:
    """Parameters out of range are damage, said in words."""
    key_id = add(path).id
    content = json.loads(path.read_bytes())
    content["keys"][0]["kdf"] |= kdf
    path.write_text(json.dumps(content))
    with pytest.raises(StorageError):
        unlock(path, key_id, PIN, NOW)


def test_a_damaged_file_is_said_and_not_written_over(path: Path) -> None:
    """What to do is in the message; the bytes stay."""
    path.write_bytes(b'{"keys":[')
    with pytest.raises(StorageError, match="move it away"):
        add(path)
    assert path.read_bytes() == b'{"keys":['
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_program_that_died_while_it_wrote_stops_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mark is taken away after a moment."""
    monkeypatch.setattr(staff_file, "STALE_S", 0.1)
    mark = path.with_name(path.name + ".lock")
    mark.touch()
    add(path)
    assert len(read_staff(path)) == 1
    assert not mark.exists()
