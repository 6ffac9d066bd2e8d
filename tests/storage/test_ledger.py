"""The centre's log in SQLite: the tree it keeps, what it answers about the past, and its tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncgov.core.commitment import Value
from syncgov.core.statement import EMPTY_ROOT, envelope_hash
from syncgov.core.tree import MemoryTree, leaf_hash
from syncgov.errors import InputError
from syncgov.storage.ledger_view import certificate_from
from tests.helpers import AREA, EAST, NOW_MS, WEST, ManualClock, World, a_task, insert, update
from tests.registers import NOTICE


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre without devices."""
    with World.make(tmp_path) as found:
        yield found


def test_the_tree_is_that_of_the_leaves(world: World) -> None:
    """Root and every hash, at each size, as a tree in memory has them."""
    for number in range(20):
        world.centre.write("notice", [(f"n{number}", {"text": "停水"})])
    ledger = world.centre.ledger
    tree = MemoryTree(leaf_hash(leaf.raw) for leaf in world.leaves())
    assert ledger.size == tree.size > 20
    assert [ledger.root(size) for size in range(1, tree.size + 1)] == [tree.root(n) for n in range(1, tree.size + 1)]
    kept = {(level, n): bytes(value) for level, n, value in ledger.conn.execute("SELECT level, n, hash FROM _sg_hash")}
    assert kept == {(level, n): tree.get(level, n) for level, n in kept}
    assert len(kept) == sum(tree.size >> level for level in range(tree.size.bit_length()))


def test_a_new_centre_logs_charter_and_registers(world: World) -> None:
    """The first leaf is the charter, then one a register, all by the registrar, in one chain from the charter."""
    leaves = world.leaves()
    assert [leaf.verdict for leaf in leaves] == ["accepted"] * 5
    statements = [leaf.changeset.statement for leaf in leaves]
    assert {st.dev for st in statements} == {world.centre.registrar.id}
    assert [st.seq for st in statements] == [1, 2, 3, 4, 5]
    assert statements[0].prev == envelope_hash((world.centre.path / "charter.json").read_bytes())
    assert statements[0].seen.root == EMPTY_ROOT
    assert [st.seen.size for st in statements] == [0, 1, 2, 3, 4]


def test_receipt_times_never_go_back(world: World) -> None:
    """A centre whose clock is put back goes on with the time of the last leaf."""
    assert isinstance(world.clock, ManualClock)
    for step in (5_000, -60_000, 10):
        world.clock.forward(step)
        world.centre.write("notice", [("n", {"text": str(step)})])
    received = [leaf.received for leaf in world.leaves()][-3:]
    assert received == [NOW_MS + 5_000] * 3


def test_the_register_set_of_every_size(world: World) -> None:
    """What was active then stays known: before, at and after a register's leaf."""
    ledger = world.centre.ledger
    size = ledger.size
    old = ledger.registers(size)
    changed = NOTICE.replace("version: 1", "version: 2").replace(
        "fields:", "fields:\n  more: {label: 更多, type: text, class: public}"
    )
    (index,) = world.centre.write("register", [("notice", {"text": changed})])
    assert ledger.registers(index)["notice"].find("more") is None
    assert ledger.registers(index + 1)["notice"].find("more") is not None
    assert ledger.registers(size).digest == old.digest != ledger.registers(index + 1).digest
    assert "task" not in ledger.registers(1)
    world.centre.write("notice", [("n", {"text": "停水", "more": "明天"})])
    assert ledger.conn.execute("SELECT more FROM notice").fetchall() == [("明天",)]


def test_areas_of_every_size(world: World) -> None:
    """Where a record was, before and after it moved."""
    pen, desk = world.device("pen"), world.device("desk", "desk", (AREA,))
    key = insert(pen, "task", a_task())
    world.sync(pen)
    world.sync(desk)
    made = world.centre.ledger.size
    update(desk, "task", key, place=WEST)
    world.sync(desk)
    ledger = world.centre.ledger
    found = [ledger.area(("task", key), size) for size in (made - 1, made, made + 1)]
    assert [area.code if area else None for area in found] == [None, EAST, WEST]


def test_certificates_of_every_size(world: World) -> None:
    """A certificate counts from the leaf that says so, and each change from its own."""
    pen = world.device("pen", staff=("S1",))
    ledger = world.centre.ledger
    enrolled = ledger.size
    (index,) = world.centre.write("device", [(pen.dev, {"areas": [WEST]})])
    before, after = ledger.certificate(pen.dev, enrolled), ledger.certificate(pen.dev, index + 1)
    assert ledger.certificate(pen.dev, enrolled - 1) is None
    assert before is not None
    assert after is not None
    assert (before.areas, after.areas) == ((EAST,), (WEST,))
    assert before.staff == after.staff == ("S1",)
    assert ledger.certificate("0" * 32, ledger.size) is None


def test_a_damaged_certificate_is_none() -> None:
    """A row that lacks what a certificate needs certifies nobody."""
    good = {"roles": ["r"], "areas": ["1"], "public_key": "A" * 43, "valid_from": 0, "valid_to": 1, "people": None}
    assert certificate_from("d", good, 0) is not None
    for name in ("roles", "areas", "public_key", "valid_from", "valid_to"):
        assert certificate_from("d", {**good, name: None}, 0) is None
    assert certificate_from("d", None, 0) is None


def test_the_registrar_writes_all_or_nothing(world: World) -> None:
    """One bad row of a load, and none is there; the log did not grow and goes on."""
    size = world.centre.ledger.size
    bad: list[dict[str, Value]] = [{"text": 7}, {"colour": "red"}, {"text": None}]
    for columns in bad:
        with pytest.raises(InputError) as caught:
            world.centre.write("notice", [("a", {"text": "好"}), ("b", columns)])
        assert "b" in caught.value.en or "colour" in caught.value.en
    with pytest.raises(InputError):
        world.centre.write("ghost", [("a", {"text": "x"})])
    assert world.centre.ledger.size == size
    assert world.centre.ledger.conn.execute("SELECT count(*) FROM notice").fetchone() == (0,)
    assert world.centre.write("notice", [("a", {"text": "好"}), ("a", {"text": "好"})]) == [size]


def test_central_tables_hold_every_column(world: World) -> None:
    """The centre sees private fields; children stand beside their records."""
    pen = world.device("pen")
    key = insert(pen, "task", a_task(secret="内情"))
    insert(pen, "contact", {"task_id": key, "phone": "000-0000001"})
    world.sync(pen)
    conn = world.centre.ledger.conn
    assert conn.execute("SELECT secret FROM task").fetchall() == [("内情",)]
    assert conn.execute("SELECT phone FROM contact").fetchall() == [("000-0000001",)]
    leaf = conn.execute("SELECT tbl, key, area FROM _sg_leaf ORDER BY idx DESC LIMIT 1").fetchone()
    assert leaf == ("task", key, EAST)


def test_a_register_that_goes_away_keeps_its_rows(world: World) -> None:
    """After deleting a declaration the states stay, and they show again when it comes back."""
    world.centre.write("notice", [("n", {"text": "停水"})])
    world.centre.write("register", [("notice", None)])
    assert "notice" not in world.centre.ledger.registers(world.centre.ledger.size)
    world.centre.write("register", [("notice", {"text": NOTICE})])
    assert world.centre.ledger.conn.execute("SELECT code, text FROM notice").fetchall() == [("n", "停水")]
    assert {"task", "contact"} <= set(world.centre.ledger.registers(world.centre.ledger.size))
