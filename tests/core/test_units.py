"""Step 12 of a verdict for devices of a responsible unit: the records that it handles, wherever they lie."""

from dataclasses import replace

import pytest

from syncgov.core.commitment import Value
from syncgov.core.merge import WITHHELD
from syncgov.core.register import RegisterError, parse_register
from syncgov.core.trust_view import Area
from tests.core.book import (
    EAST,
    NOW,
    WEST,
    WORKER,
    Book,
    Change,
    device,
    edit_task,
    new_contact,
    new_task,
    uid,
)
from tests.registers import TASK

DAY_MS = 86_400_000
UNIT = replace(device(8, "worker", areas=()), units=("water", "power"), valid_to=NOW + 100 * DAY_MS)
TASK_KEY = ("task", uid("t"))


@pytest.fixture
def book() -> Book:
    """A log with one task in the east, which the water works handle from leaf 8 to leaf 12."""
    found = Book()
    found.enrol(WORKER, UNIT)
    found.log(Change(WORKER, new_task(), seq=1), 5)
    found.owners[TASK_KEY] = [(8, "water"), (12, "roads")]
    return found


def edit(title: str = "新", **more: Value) -> Change:
    """Return an edit of the task by the unit's device."""
    return Change(UNIT, edit_task((WORKER.dev, 1), (), "t", title=title, **more))


@pytest.mark.parametrize(("seen", "reason"), [(8, "area"), (9, ""), (12, ""), (13, "area")])
def test_a_record_is_the_units_while_it_says_so(book: Book, seen: int, reason: str) -> None:
    """As at `seen`: neither before it was given to the unit nor after it was taken away; honest offline work counts."""
    assert book.reason(replace(edit(), seen=seen)) == reason


def test_a_unit_does_not_move_what_it_handles(book: Book) -> None:
    """The place may be written as it is, not changed: no area of the device covers the new one."""
    assert book.reason(replace(edit(place=EAST, _community="101"), seen=9)) == ""
    assert book.reason(replace(edit(place=WEST, _community="101"), seen=9)) == "area"
    covering = replace(UNIT, areas=(WEST,))
    book.enrol(covering, index=1)
    assert book.reason(Change(covering, edit_task((WORKER.dev, 1), place=WEST, _community="101"), seen=9)) == ""


def test_a_unit_makes_no_records(book: Book) -> None:
    """A new record lies in an area of the device, whoever it names."""
    assert book.reason(Change(UNIT, new_task("n"))) == "area"


def test_children_follow(book: Book) -> None:
    """A child of a handled record may be written, that of another not."""
    assert book.reason(Change(UNIT, new_contact(), seen=9)) == ""
    assert book.reason(Change(UNIT, new_contact(), seen=13)) == "area"


@pytest.mark.parametrize(("days", "reason"), [(13, ""), (15, "area")])
def test_a_device_that_left_the_unit_has_days_of_grace(book: Book, days: int, reason: str) -> None:
    """Work done for the old unit counts as long as work in an old area."""
    book.enrol(replace(UNIT, units=("power",), since=NOW), index=10)
    book.received = NOW + days * DAY_MS
    assert book.reason(replace(edit(), seen=10)) == reason
    assert book.reason(replace(edit(), seen=11)) == "area"


def test_an_undisclosed_unit_is_declared(book: Book) -> None:
    """An auditor who is not told whose the record is says so; for a device without units it does not matter."""
    book.owners[TASK_KEY] = [(8, WITHHELD)]
    change = replace(edit(), seen=9, hidden=frozenset({f"task/{uid('t')}/secret"}))
    found = book.judge(change)
    assert (found.verdict, "area" in found.declared) == ("accepted", True)
    other = device(9, "worker", areas=(WEST,))
    book.enrol(other)
    assert book.judge(Change(other, edit_task((WORKER.dev, 1), title="新"), seen=9)).reason == "area"


def test_two_places_of_one_community_cannot_be_told_apart(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """If only the community is known, whether a unit's device moved the record is declared, not decided."""
    monkeypatch.setattr(Book, "area", lambda _self, _record, _size: Area("101", False))
    hidden = frozenset({f"task/{uid('t')}/place"})
    change = replace(edit(place=WEST, _community="101"), seen=9, hidden=hidden)
    found = book.judge(change)
    assert (found.verdict, "area" in found.declared) == ("accepted", True)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("owner: owner\n", "owner: nobody\n", "nobody"),
        ("owner: owner\n", "owner: due\n", "due"),
        ("area: place\nowner", "owner", "owner 要与 area 同用"),
    ],
)
def test_what_a_register_may_say_of_its_unit(old: str, new: str, words: str) -> None:
    """A column of text or code, in a register that has an area."""
    assert parse_register(TASK, "task.yml").owner == "owner"
    with pytest.raises(RegisterError) as caught:
        parse_register(TASK.replace(old, new), "task.yml")
    assert words in caught.value.zh
