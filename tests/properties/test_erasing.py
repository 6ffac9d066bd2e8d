"""Whatever is erased in whatever history: every other field is what it was, and all folds of the log agree."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from syncgov.centre.centre import Centre
from syncgov.centre.hiding import erase
from syncgov.core.commitment import format_path
from syncgov.core.merge import ERASED
from syncgov.errors import InputError
from syncgov.fsck import fsck
from syncgov.storage.ledger import Ledger
from syncgov.storage.replica import Replica
from syncgov.storage.state import RawState, field_state, load_row
from tests.erasing import assert_folds_agree
from tests.helpers import NOW_MS, new_key, states, tables
from tests.properties.test_convergence import fresh, receive
from tests.properties.writers import FIELDS, ROWS, Step, steps

EXAMPLES = 12  # each makes a centre and two replicas; shrinking finds the small ones

orders = st.lists(
    st.tuples(
        st.integers(0, 13),
        st.integers(0, ROWS - 1),
        st.lists(st.sampled_from(sorted(set(FIELDS) - {"_alive"})), unique=True, max_size=3),
    ),
    min_size=1,
    max_size=3,
)


def fields(ledger: Ledger) -> dict[str, list[Any]]:
    """Return path -> stored heads of every task."""
    return {
        format_path("task", key, name): raw
        for key, stored in ledger.rows("task")
        for name, raw in stored.fields.items()
    }


def order(centre: Centre, row: int, names: list[str]) -> bool:
    """Erase, and assert that nothing else changed; returns whether there was anything to erase."""
    before = fields(centre.ledger)
    try:
        erase(centre, "task", new_key(row), names, "error")
    except InputError:
        assert fields(centre.ledger) == before
        return False
    after = fields(centre.ledger)
    assert after.keys() == before.keys()
    for path, raw in after.items():
        if raw != before[path]:
            name = path.rpartition("/")[2]
            assert path.startswith(f"task/{new_key(row)}/")
            assert not names or name in names
            assert {head.value for head in field_state(raw).heads} == {ERASED}
    return True


def parsed(replica: Replica) -> dict[tuple[str, str], RawState]:
    """Return the stored heads of the tasks, without the order of the fields."""
    return {place: json.loads(state) for place, state in states(replica).items() if place[0] == "task"}


@settings(max_examples=EXAMPLES)
@given(written=steps, orders=orders, cut=st.integers(0, 14), limits=st.tuples(st.integers(1, 5), st.just(1000)))
def test_erasing_changes_no_other_field(
    written: list[Step], orders: list[tuple[int, int, list[str]]], cut: int, limits: tuple[int, int]
) -> None:
    """Erasures at any moment of a history, also before late writes; replicas and fsck agree."""
    with fresh() as (made, a, b):
        ledger = made.centre.ledger
        for number, step in enumerate(written):
            made.push(step)
            for when, row, names in orders:
                if when == number:
                    order(made.centre, row, names)
            if number == cut:
                receive(made.centre, a, limits[0], ledger.size)
        assert_folds_agree(ledger)
        for replica, limit in ((a, limits[0]), (b, limits[1])):
            receive(made.centre, replica, limit, ledger.size)
        assert tables(a) == tables(b)
        central = {("task", key): stored.fields for key, stored in ledger.rows("task")}
        assert parsed(a) == parsed(b) == central
        for path in (made.centre.path, a.path, b.path):
            assert not fsck(path).findings


def test_the_orders_do_meet_late_writes() -> None:
    """The simulation above makes what it is for: erased values, late ones, and new ones that stand before them."""

    def step(device: int, lag: int, title: str) -> Step:
        return Step(device, 0, lag, {"title": title}, NOW_MS, False)

    with fresh() as (made, a, _b):
        assert made.push(step(0, 0, "一")) == "accepted"
        assert order(made.centre, 0, ["title"])
        assert made.push(step(1, 0, "二")) == "accepted"
        assert made.push(step(2, 2, "三")) == "accepted"
        receive(made.centre, a, 2, made.centre.ledger.size)
        heads = field_state(load_row(a.conn, ("task", new_key(0))).fields["title"]).heads
        assert [head.value for head in heads] == ["二", ERASED]
        assert a.conn.execute("SELECT title FROM task").fetchall() == [("二",)]
        assert made.centre.ledger.conn.execute("SELECT count(*) FROM _sg_erased WHERE late").fetchone() == (1,)
        assert_folds_agree(made.centre.ledger)
