"""Every reason of refusal is reached by a mistaken or malicious changeset, and its honest neighbour is accepted."""

from dataclasses import replace
from typing import Any

import pytest

from syncgov.core.canonical import b64u
from syncgov.core.commitment import Dot, Value, Write, format_path, meta_path
from syncgov.core.register import RegisterSet
from syncgov.core.statement import REFUSALS
from syncgov.core.trust import Judgement
from syncgov.core.trust_view import DAY_MS, StaffKey
from syncgov.storage.files import system_registers
from tests.core.book import (
    CHIEF,
    DESK,
    EAST,
    MATE,
    NOW,
    OFFICE,
    SIZE,
    VIEWER,
    WEST,
    WESTERNER,
    WORKER,
    Book,
    Change,
    cells,
    edit_task,
    new_contact,
    new_task,
    staff_key,
    step,
    uid,
)
from tests.registers import strict_registers


@pytest.fixture
def book() -> Book:
    """An empty log in which every device is enrolled."""
    found = Book()
    found.enrol(WORKER, MATE, WESTERNER, CHIEF, DESK, VIEWER, OFFICE)
    return found


def test_a_whole_new_task_is_accepted(book: Book) -> None:
    """The changeset from which the others of this file differ in one thing."""
    assert book.judge(Change(WORKER, new_task())) == Judgement("accepted", frozenset())


# -- steps 7 and 8: device, register set --------------------


def test_revoked(book: Book) -> None:
    """What arrives after the revocation is refused, whenever it was written."""
    change = Change(WORKER, new_task(), seen=5)
    assert book.reason(change) == ""
    book.enrol(replace(WORKER, revoked=True), index=SIZE - 1)
    assert book.reason(change) == "revoked"


@pytest.mark.parametrize(
    ("received", "reason"),
    [(NOW - DAY_MS, ""), (NOW - DAY_MS - 1, "expired"), (NOW + DAY_MS, ""), (NOW + DAY_MS + 1, "expired")],
)
def test_expired(book: Book, received: int, reason: str) -> None:
    """Validity is by the centre's receipt, and both ends belong to it."""
    book.received = received
    assert book.reason(Change(WORKER, new_task())) == reason


def test_register(book: Book) -> None:
    """Another set than the one at `seen`, or a table that it does not have."""
    assert book.reason(Change(WORKER, new_task(), reg=b64u(bytes(32)))) == "register"
    assert book.reason(Change(WORKER, {**new_task(), ("ghost", "g"): cells(_alive=True)})) == "register"


# -- step 9: values --------------------


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("title", "字" * 40, "字" * 41),
        ("title", "一行", "bell \x07"),
        ("title", "数", 7),
        ("kind", "a", "d"),
        ("urgency", -5, "5"),
        ("urgency", 0, True),
        ("done", True, 1),
        ("tags", ["a", "b"], "a"),
        ("tags", ["a"] * 5, ["a"] * 6),
        ("started_on", "2026-11-30", "2026-11-31"),
        ("seen_at", "2026-11-21T14:05:00+08:00", "2026-11-21 14:05"),
        ("step", step("reported"), {"state": "reported"}),
        ("step", step("reported"), {**step("reported"), "mood": None}),
        ("step", step("reported", due="2026-12-01"), step("reported", due="soon")),
    ],
)
def test_value_of_a_field(book: Book, name: str, good: Value, bad: Value) -> None:
    """A value outside its declared type is refused, its neighbour inside is not."""
    assert book.reason(Change(WORKER, new_task(**{name: good}))) == ""
    assert book.reason(Change(WORKER, new_task(**{name: bad}))) == "value"


def test_value_of_a_row(book: Book) -> None:
    """A row needs its presence, a new one its required fields, and no field that nobody declared."""
    whole = new_task()["task", uid("t")]
    for name in ("_alive", "title"):
        less = {key: cell for key, cell in whole.items() if key != name}
        assert book.reason(Change(WORKER, {("task", uid("t")): less})) == "value", name
    assert book.reason(Change(WORKER, new_task(_alive=1))) == "value"
    assert book.reason(Change(WORKER, new_task(_alive=None))) == "value"
    assert book.reason(Change(WORKER, new_task(colour="red"))) == "value"
    assert book.reason(Change(WORKER, {})) == "value"


def test_value_of_a_required_field(book: Book) -> None:
    """Null is no value: it neither fills a required field nor empties it."""
    assert book.reason(Change(WORKER, new_task(title=None))) == "value"
    assert book.reason(Change(WORKER, new_task(kind=None))) == ""
    dot = book.log(Change(WORKER, new_task(kind="a"), seq=1), 5)
    assert book.reason(Change(WORKER, edit_task(dot, title=None))) == "value"
    assert book.reason(Change(WORKER, edit_task(dot, kind=None))) == ""


def test_value_of_who(book: Book) -> None:
    """`by` is always written, for the own dot, replaces nothing and is text."""
    dot, other = (MATE.dev, 50), (MATE.dev, 49)
    plain = Change(MATE, new_task(), signs_by=False)

    def with_meta(*writes: Write) -> str:
        return book.reason(replace(plain, extra=writes))

    assert with_meta(Write(meta_path(dot, "by"), None, ())) == ""
    assert with_meta(Write(meta_path(dot, "by"), "S1", ()), Write(meta_path(dot, "note"), "雨", ())) == ""
    assert with_meta() == "value"
    assert with_meta(Write(meta_path(other, "by"), "S1", ())) == "value"
    assert with_meta(Write(meta_path(dot, "by"), 7, ())) == "value"
    assert with_meta(Write(meta_path(dot, "by"), "S1", (other,))) == "value"
    assert with_meta(Write(meta_path(dot, "by"), "S1", ()), Write(meta_path(dot, "mood"), "x", ())) == "value"


def test_value_of_a_record(book: Book) -> None:
    """One changeset is one record: a task and its contacts, never two tasks."""
    assert book.reason(Change(WORKER, {**new_task(), **new_contact("t", "c1"), **new_contact("t", "c2")})) == ""
    assert book.reason(Change(WORKER, {**new_task("t"), **new_task("u")})) == "value"
    assert book.reason(Change(WORKER, {**new_task("t"), **new_contact("u")})) == "value"
    assert book.reason(Change(WORKER, new_contact(None))) == "value"


# -- step 10: classes and skeleton --------------------


@pytest.mark.parametrize("name", ["title", "place", "_alive", "step"])
def test_skeleton_class(book: Book, name: str) -> None:
    """A public write among the others, or a private one among the public, is refused."""
    change = Change(WORKER, new_task())
    assert book.reason(replace(change, misplaced=frozenset({f"task/{uid('t')}/{name}"}))) == "skeleton"


def test_skeleton_class_of_who(book: Book) -> None:
    """Who wrote is never public."""
    path = meta_path((WORKER.dev, 50), "by")
    assert book.reason(Change(WORKER, new_task(), misplaced=frozenset({path}))) == "skeleton"


@pytest.mark.parametrize(
    "fields",
    [{"_community": "102"}, {"_community": "101001"}, {"_community": None}, {"_month": "2026-12"}, {"_day": "20"}],
)
def test_skeleton_value(book: Book, fields: dict[str, Value]) -> None:
    """The public part of a row says what the fields behind it say."""
    assert book.reason(Change(WORKER, new_task(**fields))) == "skeleton"


def test_a_value_that_was_erased_while_it_waited_is_judged_as_if_it_fitted(book: Book) -> None:
    """Also a required one, and one behind the skeleton; what the skeleton says must still be there."""
    rows = new_task()
    gone = frozenset(format_path("task", uid("t"), name) for name in ("title", "started_on"))
    assert book.reason(Change(WORKER, rows, erased=gone)) == ""
    bare = {name: cell for name, cell in rows["task", uid("t")].items() if name != "_month"}
    assert book.reason(Change(WORKER, {("task", uid("t")): bare}, erased=gone)) == "skeleton"


def test_skeleton_goes_with_its_source(book: Book) -> None:
    """Whoever writes the place writes the community, and nobody writes the community alone."""
    dot = book.log(Change(WORKER, new_task(), seq=1), 5)
    good = edit_task(dot, place="101001x", _community="101")
    assert book.reason(Change(WORKER, good)) == ""
    assert book.reason(Change(WORKER, edit_task(dot, place="101001x"))) == "skeleton"
    assert book.reason(Change(WORKER, edit_task(dot, _community="101"))) == "skeleton"


# -- step 11: roles and persons --------------------


def test_role_for_each_field(book: Book) -> None:
    """A field is written by the roles it names: `secret` not by a chief, `tags` not by the desk."""
    assert book.reason(Change(WORKER, new_task(secret="内情"))) == ""
    assert book.reason(Change(CHIEF, new_task())) == ""
    assert book.reason(Change(CHIEF, new_task(secret="内情"))) == "role"
    dot = book.log(Change(WORKER, new_task(), seq=1), 5)
    assert book.reason(Change(DESK, edit_task(dot, title="新"))) == ""
    assert book.reason(Change(DESK, edit_task(dot, tags=["x"]))) == "role"
    assert book.reason(Change(VIEWER, edit_task(dot, title="新"))) == "role"


def test_role_for_presence(book: Book) -> None:
    """Deleting, and touching a row without writing a field, is for those who make rows."""
    dot = book.log(Change(WORKER, new_task(), seq=1), 5)
    for alive in (False, True):
        rows = {("task", uid("t")): {"_alive": (alive, (dot,))}}
        assert book.reason(Change(WORKER, rows)) == ""
        assert book.reason(Change(DESK, rows)) == "role"


def test_role_registrar(book: Book) -> None:
    """What the registrar alone makes is refused from everybody else, certificates before all."""
    notice = {("notice", uid("n1")): cells(_alive=True, text="停水")}
    assert book.reason(Change(OFFICE, notice)) == ""
    assert book.reason(Change(DESK, notice)) == "role"
    certificate = {
        ("device", WORKER.dev): cells(
            _alive=True, public_key="A" * 43, roles=["desk"], areas=["1"], valid_from=0, valid_to=2**50
        )
    }
    assert book.reason(Change(OFFICE, certificate)) == ""
    assert book.reason(Change(WORKER, certificate)) == "role"


def test_person(book: Book) -> None:
    """On a device with named people `by` must be one of them; where nobody is named, anybody may write."""
    assert book.reason(Change(WORKER, new_task(), by="S2")) == ""
    assert book.reason(Change(WORKER, new_task(), by="S3")) == "person"
    assert book.reason(Change(WORKER, new_task(), by=None)) == "person"
    assert book.reason(Change(MATE, new_task(), by="S3")) == ""
    assert book.reason(Change(MATE, new_task(), by=None)) == ""


# -- step 12: areas --------------------


def test_area_of_a_new_row(book: Book) -> None:
    """A device writes in its areas, which are prefixes."""
    assert book.reason(Change(WORKER, new_task(place=f"{EAST}007"))) == ""
    assert book.reason(Change(WORKER, new_task(place=WEST))) == "area"
    assert book.reason(Change(WORKER, new_task(place="10100"))) == "area"
    assert book.reason(Change(DESK, edit_task(book.log(Change(WORKER, new_task(), seq=1), 5), title="新"))) == ""


def test_area_old_and_new(book: Book) -> None:
    """Neither out of the own area nor into it: only who has both may move a record."""
    east = book.log(Change(WORKER, new_task("e"), seq=1), 5)
    west = book.log(Change(WESTERNER, new_task("w", WEST), seq=1), 6)
    to_west = edit_task(east, key="e", place=WEST, _community="101")
    to_east = edit_task(west, key="w", place=EAST, _community="101")
    for who in (WORKER, WESTERNER):
        assert book.reason(Change(who, to_west)) == "area"
        assert book.reason(Change(who, to_east)) == "area"
    assert book.reason(Change(DESK, to_west)) == ""
    assert book.reason(Change(DESK, to_east)) == ""
    assert book.reason(Change(WORKER, edit_task(west, key="w", title="新"))) == "area"


def test_area_is_that_of_the_writing(book: Book) -> None:
    """Work done before the record moved away counts; it was the worker's when it was written."""
    dot = book.log(Change(WORKER, new_task(), seq=1), 5)
    book.log(Change(DESK, edit_task(dot, place=WEST, _community="101"), seq=1), 10)
    edit = edit_task(dot, title="新")
    assert book.reason(Change(WORKER, edit, seen=10)) == ""
    assert book.reason(Change(WORKER, edit, seen=11)) == "area"
    assert book.reason(Change(WESTERNER, edit, seen=11)) == ""


def test_area_of_a_child(book: Book) -> None:
    """A child belongs where its record is, also when the record came with the same chain."""
    book.log(Change(WORKER, new_task("e"), seq=1), 5)
    book.log(Change(WESTERNER, new_task("w", WEST), seq=1), 6)
    assert book.reason(Change(WORKER, new_contact("e"))) == ""
    assert book.reason(Change(WORKER, new_contact("w"))) == "area"
    assert book.reason(Change(WORKER, new_contact("nowhere"))) == "area"
    book.log(Change(WORKER, new_task("mine"), seq=2, seen=7), 9)
    assert book.reason(Change(WORKER, new_contact("mine"), seen=7)) == ""


def test_area_of_a_child_that_is_taken_away(book: Book) -> None:
    """A worker may not make another area's contact the child of an own record."""
    book.log(Change(WORKER, new_task("e"), seq=1), 5)
    book.log(Change(WESTERNER, new_task("w", WEST), seq=1), 6)
    contact = book.log(Change(WESTERNER, new_contact("w"), seq=2), 7)
    assert book.reason(Change(WESTERNER, new_contact("w", over=[contact]))) == ""
    assert book.reason(Change(WORKER, new_contact("e", over=[contact]))) in ("area", "value")
    assert book.reason(Change(WORKER, new_contact("e"))) in ("area", "value")


@pytest.mark.parametrize(("days", "reason"), [(13, ""), (14, ""), (15, "area")])
def test_area_within_the_days_of_grace(book: Book, days: int, reason: str) -> None:
    """A reassigned worker's honest offline work counts until the charter's days of grace are over."""
    dot = book.log(Change(WORKER, new_task(), seq=1), 3)
    long_valid = replace(WORKER, valid_to=NOW + 100 * DAY_MS)
    book.enrol(replace(long_valid, areas=(WEST,), since=NOW), index=10)
    book.received = NOW + days * DAY_MS
    assert book.reason(Change(WORKER, edit_task(dot, title="新"), seen=10)) == reason
    assert book.reason(Change(WORKER, new_task("w", WEST), seen=10)) == ""
    assert book.reason(Change(WORKER, edit_task(dot, title="新"), seen=11)) == "area"


# -- step 13: over --------------------


def test_over(book: Book) -> None:
    """A write replaces what its author can have seen: logged below `seen`, or own earlier ones, of the same path."""
    mine = book.log(Change(WORKER, new_task(), seq=1), 5)
    late = book.log(Change(MATE, edit_task(mine, title="晚"), seq=1), 12)
    own = book.log(Change(WORKER, edit_task(mine, title="早"), seq=2), 13)
    for good in ([mine], [own], [mine, own]):
        assert book.reason(Change(WORKER, edit_task(mine, good, title="新"), seen=10)) == "", good
    assert book.reason(Change(WORKER, edit_task(mine, [late], title="新"), seen=13)) == ""
    bad = {
        "not yet seen": [late],
        "not logged": [(MATE.dev, 9)],
        "the future of another": [(MATE.dev, 2**50)],
        "itself": [(WORKER.dev, 50)],
        "its own future": [(WORKER.dev, 51)],
        "no device": [("0" * 32, 1)],
        "one of several": [mine, late],
    }
    for why, over in bad.items():
        assert book.reason(Change(WORKER, edit_task(mine, over, title="新"), seen=10)) == "over", why


def test_over_another_path(book: Book) -> None:
    """A dot that wrote other fields or other rows is not a head of this one."""
    mine = book.log(Change(WORKER, new_task(), seq=1), 5)
    other = book.log(Change(WORKER, new_task("u"), seq=2), 6)
    assert book.reason(Change(WORKER, edit_task(mine, [mine], title="新"))) == ""
    assert book.reason(Change(WORKER, edit_task(mine, [other], title="新"))) == "over"
    assert book.reason(Change(WORKER, edit_task(mine, [mine], urgency=1))) == "over"


def test_over_a_refused_write(book: Book) -> None:
    """A device that has not heard of the refusal yet may name it: it removes nothing."""
    mine = book.log(Change(WORKER, new_task(), seq=1), 5)
    refused = book.log(Change(WORKER, edit_task(mine, title="坏"), seq=2), 6, accepted=False)
    assert book.reason(Change(WORKER, edit_task(mine, [mine, refused], title="新"))) == ""


# -- step 14: frozen rows and review --------------------


def test_immutable(book: Book) -> None:
    """A payment is made once; it is neither edited nor deleted nor made again."""
    made = Change(WORKER, {("payment", uid("p")): cells(_alive=True, amount=100)}, seq=1)
    assert book.reason(made) == ""
    dot = book.log(made, 5)
    assert book.reason(Change(WORKER, {("payment", uid("p")): cells([dot], _alive=True, amount=200)})) == "immutable"
    assert book.reason(Change(WORKER, {("payment", uid("p")): cells([dot], _alive=False)})) == "immutable"
    assert book.reason(Change(WORKER, {("payment", uid("q")): cells(_alive=False, amount=1)})) == "immutable"


def test_immutable_rows_are_not_inserted_twice(book: Book) -> None:
    """Naming no head does not make a new row of an old one."""
    book.log(Change(WORKER, {("payment", uid("p")): cells(_alive=True, amount=100)}, seq=1), 5)
    assert book.reason(Change(WORKER, {("payment", uid("p")): cells(_alive=True, amount=200)})) == "immutable"


def test_review(book: Book) -> None:
    """While two categories stand against each other only the desk decides."""
    made = book.log(Change(WORKER, new_task(kind="a"), seq=1), 5)
    one = book.log(Change(WORKER, edit_task(made, kind="b"), seq=2), 6)
    two = book.log(Change(MATE, edit_task(made, kind="c"), seq=1), 7)
    same = book.log(Change(CHIEF, edit_task(made, kind="b"), seq=1), 8)
    decide = edit_task(made, [one, two], kind="b")
    assert book.reason(Change(WORKER, decide)) == "review"
    assert book.reason(Change(DESK, decide)) == ""
    assert book.reason(Change(WORKER, edit_task(made, [one, same], kind="c"))) == ""
    assert book.reason(Change(WORKER, edit_task(made, [made, one], kind="c"))) == ""  # one replaces made


def test_review_of_a_step(book: Book) -> None:
    """A pair of states that the register marks is settled by the desk, to one of the two."""
    made = book.log(Change(WORKER, new_task(), seq=1), 5)
    yes, no = step("accepted", due="2026-12-01"), step("rejected", reason="dup")
    one = book.log(Change(DESK, edit_task(made, step=yes), seq=1), 6)
    two = book.log(Change(CHIEF, edit_task(made, step=no), seq=1), 7)
    heads = [one, two]
    assert book.reason(Change(DESK, edit_task(made, heads, step=yes))) == ""
    assert book.reason(Change(DESK, edit_task(made, heads, step=no))) == ""
    assert book.reason(Change(DESK, edit_task(made, heads, step=step("closed")))) == "review"
    assert book.reason(Change(WORKER, edit_task(made, heads, step=yes))) == "review"


# -- step 15: workflow --------------------


def test_transition(book: Book) -> None:
    """Steps follow the declared arrows, by the declared roles."""
    made = book.log(Change(WORKER, new_task(), seq=1), 5)
    accepted = step("accepted", due="2026-12-01")
    assert book.reason(Change(DESK, edit_task(made, step=accepted))) == ""
    assert book.reason(Change(WORKER, edit_task(made, step=accepted))) == "transition"
    assert book.reason(Change(DESK, edit_task(made, step=step("rework", reason="bad")))) == "transition"
    assert book.reason(Change(DESK, edit_task(made, step=step("reported")))) == "transition"
    assert book.reason(Change(DESK, edit_task(made, step=step("gone")))) == "value"
    assert book.reason(Change(DESK, edit_task(made, step=None))) == "value"


def test_transition_of_a_new_row(book: Book) -> None:
    """A row begins where the workflow begins."""
    less = {name: cell for name, cell in new_task()["task", uid("t")].items() if name != "step"}
    assert book.reason(Change(WORKER, new_task(step=step("closed")))) == "transition"
    assert book.reason(Change(WORKER, {("task", uid("t")): less})) in ("transition", "value")
    assert book.reason(Change(DESK, new_task(), by=None)) in ("transition", "role")


def test_transition_starts_from_what_was_replaced(book: Book) -> None:
    """Not from what arrived meanwhile, not from what was refused, not from what another write in `over` replaces."""
    made = book.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    accepted = book.log(Change(DESK, edit_task(made, step=step("accepted", due="2026-12-01")), seq=1), 10)
    bad = book.log(Change(DESK, edit_task(accepted, [accepted], step=step("closed")), seq=2), 11, accepted=False)
    rework = step("rework", reason="bad")
    closed = step("closed")
    assert book.reason(Change(MATE, edit_task(made, [made], step=closed), by="S9", seen=10)) == ""
    assert book.reason(Change(DESK, edit_task(made, [made, accepted], step=rework))) == ""
    assert book.reason(Change(DESK, edit_task(made, [made], step=rework))) == "transition"
    assert book.reason(Change(DESK, edit_task(made, [accepted, bad], step=rework))) == ""
    assert book.reason(Change(DESK, edit_task(made, [bad], step=rework))) == "transition"


def test_guard_of_a_column(book: Book) -> None:
    """A term needs a date, a refusal a reason."""
    made = book.log(Change(WORKER, new_task(), seq=1), 5)
    assert book.reason(Change(DESK, edit_task(made, step=step("accepted")))) == "guard"
    assert book.reason(Change(DESK, edit_task(made, step=step("rejected")))) == "guard"
    assert book.reason(Change(DESK, edit_task(made, step=step("rejected", reason="dup")))) == ""


def test_guard_of_the_other_person(book: Book) -> None:
    """Whoever made the last step does not check it, on whichever device."""
    made = book.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    close = edit_task(made, step=step("closed"))
    assert book.reason(Change(MATE, close, by="S1")) == "guard"
    assert book.reason(Change(WORKER, close, by="S2")) == ""
    assert book.reason(Change(MATE, close, by="S9")) == ""


# -- guards of two persons and of time --------------------


STRICT = RegisterSet([*system_registers(), *strict_registers()])
STRICT_REG = b64u(STRICT.digest)
SECOND = staff_key(9, "S9")


@pytest.fixture
def strict(book: Book) -> Book:
    """The same devices under the workflow with 作废, 复核 and 延期; S9 has a key."""
    book.register_set = STRICT
    book.staff_keys[SECOND.key_id] = [(2, SECOND)]
    return book


def void(over: Dot, /, **members: Any) -> Change:
    """Return a change by which S1, at a desk, voids the task."""
    columns = step("void", reason="dup")
    members = {"by": "S1", "second": SECOND.key_id, **members}
    return Change(DESK, edit_task(over, step=columns), reg=STRICT_REG, **members)


def test_guard_of_the_second_signature(strict: Book) -> None:
    """The step is refused without one; it needs its reason too."""
    made = strict.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    assert strict.reason(void(made)) == ""
    assert strict.reason(void(made, second=None)) == "guard"
    bare = Change(DESK, edit_task(made, step=step("void")), by="S1", second=SECOND.key_id, reg=STRICT_REG)
    assert strict.reason(bare) == "guard"


def test_second(strict: Book) -> None:
    """Its owner is not who wrote, and both are named; a signature that does not count is refused even unasked."""
    made = strict.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    assert strict.reason(void(made, by="S9")) == "second"
    assert strict.reason(void(made, by=None)) == "second"
    assert strict.reason(void(made, second="0" * 32)) == "second"
    unasked = Change(WORKER, edit_task(made, title="新"), reg=STRICT_REG, second=staff_key(8, "S2").key_id)
    assert strict.reason(unasked) == "second"
    assert strict.reason(replace(unasked, second=None)) == ""
    nobody = replace(SECOND, person="")
    strict.staff_keys[SECOND.key_id].append((3, nobody))
    assert strict.reason(void(made)) == "second"


def test_second_by_somebody_who_may_not_use_the_device(strict: Book) -> None:
    """A colleague from elsewhere cannot sign here, also with a good key."""
    made = strict.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    change = Change(
        WORKER, edit_task(made, step=step("void", reason="dup")), by="S1", second=SECOND.key_id, reg=STRICT_REG
    )
    assert strict.reason(change) == "second"  # the worker's device is S1's and S2's
    other = staff_key(8, "S2")
    strict.staff_keys[other.key_id] = [(2, other)]
    assert strict.reason(replace(change, second=other.key_id)) == ""


@pytest.mark.parametrize(
    ("key", "seen", "reason"),
    [
        (replace(SECOND, valid_to=NOW - 1), SIZE, "second"),
        (replace(SECOND, valid_from=NOW + 1), SIZE, "second"),
        (replace(SECOND, ended="left", since=NOW - DAY_MS), SIZE, "second"),
        (replace(SECOND, ended="left", since=NOW - DAY_MS), 9, ""),
        (replace(SECOND, ended="replaced", since=NOW - 14 * DAY_MS), 9, ""),
        (replace(SECOND, ended="left", since=NOW - 14 * DAY_MS - 1), 9, "second"),
        (replace(SECOND, ended="lost", since=NOW - DAY_MS), 9, "second"),
        (replace(SECOND, ended="misuse", since=NOW - DAY_MS), 9, "second"),
    ],
)
def test_second_by_a_key_that_is_in_force(strict: Book, key: StaffKey, seen: int, reason: str) -> None:
    """Valid on arrival; what a key signed before it ended counts for the grace days, unless it was lost."""
    made = strict.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    strict.staff_keys[SECOND.key_id].append((10, key))
    assert strict.reason(void(made, seen=seen)) == reason


def test_guard_of_two_persons_at_a_check(strict: Book) -> None:
    """Where a check asks for both, neither who writes nor who signs too has made the step that is checked."""
    made = strict.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    rework = edit_task(made, step=step("rework", reason="bad"))
    last = strict.log(Change(MATE, rework, by="S9", seq=1), 6)
    check = Change(DESK, edit_task(last, [last], step=step("closed")), by="S1", second=SECOND.key_id, reg=STRICT_REG)
    assert strict.reason(check) == "guard"  # S9 signs what S9 did
    other = staff_key(8, "S2")
    strict.staff_keys[other.key_id] = [(2, other)]
    assert strict.reason(replace(check, second=other.key_id)) == ""
    assert strict.reason(replace(check, second=other.key_id, by="S9")) == "guard"
    assert strict.reason(replace(check, second=None)) == "guard"


def test_person_who_left_has_the_grace_days_for_what_is_on_its_way(book: Book) -> None:
    """What was signed before the change of people counts for fourteen days, as with areas; later work does not."""
    change = Change(WORKER, new_task(), by="S2", seen=5)
    now = replace(WORKER, staff=("S1",), since=NOW - 14 * DAY_MS)
    book.enrol(now, index=10)
    assert book.reason(change) == ""
    assert book.reason(replace(change, seen=11)) == "person"
    assert book.reason(replace(change, by="S3")) == "person"
    book.enrol(replace(now, since=NOW - 14 * DAY_MS - 1), index=11)
    assert book.reason(change) == "person"


# the end of 20 November 2026 in +08:00
MIDNIGHT = 1_795_190_400_000


@pytest.mark.parametrize(
    ("at", "floor", "received", "reason"),
    [
        (MIDNIGHT - 1, 0, MIDNIGHT + DAY_MS, ""),  # written in time, arrived later
        (MIDNIGHT, 0, MIDNIGHT + DAY_MS, "guard"),
        (0, MIDNIGHT - 1, MIDNIGHT + DAY_MS, ""),  # a clock at 1970 counts from what the device had seen
        (0, MIDNIGHT, MIDNIGHT + DAY_MS, "guard"),
        (MIDNIGHT + DAY_MS, 0, MIDNIGHT - 1, ""),  # a clock ahead counts from the arrival
    ],
)
def test_guard_of_the_deadline(strict: Book, at: int, floor: int, received: int, reason: str) -> None:
    """An extension counts if its effective time lies before the end of the day on which the present deadline ends."""
    made = strict.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    last = strict.log(Change(DESK, edit_task(made, step=step("accepted", due="2026-11-20")), seq=1), 6)
    strict.received, strict.floors[SIZE] = received, floor
    strict.certificates[DESK.dev] = [(0, replace(DESK, valid_to=MIDNIGHT + 2 * DAY_MS))]
    longer = Change(DESK, edit_task(last, [last], step=step("accepted", due="2026-12-20")), at=at, reg=STRICT_REG)
    assert strict.reason(longer) == reason


def test_guard_of_a_deadline_that_was_never_set(strict: Book) -> None:
    """There is nothing to extend; else a deadline could be dropped and set again."""
    made = strict.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    last = strict.log(Change(DESK, edit_task(made, step=step("accepted")), seq=1), 6)
    longer = Change(DESK, edit_task(last, [last], step=step("accepted", due="2026-12-20")), reg=STRICT_REG)
    assert strict.reason(longer) == "guard"


def test_an_auditor_judges_a_second_signature_by_what_is_public(strict: Book) -> None:
    """Whose key it is stays with the centre, and is declared; that it is registered and in force is judged."""
    made = strict.log(Change(WORKER, new_task(), by="S1", seq=1), 5)
    by = frozenset({meta_path((DESK.dev, 50), "by")})
    strict.staff_keys[SECOND.key_id] = [(2, replace(SECOND, person=None))]
    found = strict.judge(void(made, hidden=by))
    assert (found.verdict, "second" in found.declared) == ("accepted", True)
    assert strict.reason(void(made, hidden=by, second=None)) == "guard"
    strict.staff_keys[SECOND.key_id].append((3, replace(SECOND, person=None, ended="lost")))
    assert strict.reason(void(made, hidden=by)) == "second"


# -- an auditor, who does not see everything --------------------


@pytest.mark.parametrize(
    ("hidden", "declared"),
    [
        ({f"task/{uid('t')}/place"}, {"area", "skeleton", "values"}),
        ({f"task/{uid('t')}/secret"}, {"values"}),
        ({meta_path((WORKER.dev, 50), "by")}, {"person", "values"}),
        ({f"task/{uid('t')}/step"}, {"values"}),
    ],
)
def test_what_is_not_disclosed_is_declared(book: Book, hidden: set[str], declared: set[str]) -> None:
    """With undisclosed fields the verdict stands as far as it goes, and names what could not be checked."""
    change = Change(WORKER, new_task(secret="内情"), hidden=frozenset(hidden))
    found = book.judge(change)
    assert found.verdict == "accepted"
    assert declared <= found.declared


def test_what_is_disclosed_is_judged(book: Book) -> None:
    """Hiding one thing does not hide what is wrong with another."""
    hidden = frozenset({f"task/{uid('t')}/secret"})
    assert book.reason(Change(WORKER, new_task(secret="x", title=7), hidden=hidden)) == "value"
    assert book.reason(Change(WORKER, new_task(secret="x", step=step("closed")), hidden=hidden)) == "transition"
    far = Change(
        WORKER, new_task(secret="x", place="999", _community="999"), hidden=frozenset({f"task/{uid('t')}/place"})
    )
    assert book.reason(far) == "area"


def test_the_codes_of_this_file_are_all_there_are() -> None:
    """A new code needs a test here; `fork` is decided before the judge, `erased` belongs to erasure."""
    here = {name.removeprefix("test_").split("_")[0] for name in globals() if name.startswith("test_")}
    assert REFUSALS - {"fork", "erased"} <= here
