"""A street in which one value was planted everywhere, and what is left of it after it was erased."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from syncgov.centre.copy import SecondCopy
from syncgov.core.commitment import open_body, parse_path
from syncgov.core.erasure import erasures
from syncgov.core.fold import ERASURES, FoldWrite, RowKey, fold_leaf
from syncgov.core.merge import ERASED, RowState
from syncgov.core.statement import parse_leaf
from syncgov.storage.ledger import Ledger
from syncgov.storage.replica import Replica
from syncgov.storage.state import field_state, load_row
from tests.helpers import AREA, World, a_task, insert, update
from tests.leaks import holders

CANARY = "鹮貉隼鹀CANARY7Q2M9XW3A"


@dataclass
class Street:
    """A world; the record that holds the canary, its child; the devices that hold them."""

    world: World
    task: str = ""
    contact: str = ""
    devices: dict[str, Replica] = field(default_factory=dict)

    def files(self) -> list[Path]:
        """Return every file of centre, devices and published folder."""
        return [path for path in self.world.folder.rglob("*") if path.is_file()]

    def holders(self, text: str = CANARY, *, below: str = "") -> set[str]:
        """Return the names of the files that hold *text* in any form."""
        files = [path for path in self.files() if below in str(path.relative_to(self.world.folder))]
        return {str(path.relative_to(self.world.folder)) for path in holders([text], files)[text]}


def plant(world: World) -> Street:
    """Write the canary into public and private fields, a child, a note, an older value, a conflict and a refusal."""
    made = Street(world)
    for name, role, areas in (
        ("ada", "worker", ("101001",)),
        ("bob", "worker", ("101001",)),
        ("desk", "desk", (AREA,)),
    ):
        made.devices[name] = world.device(name, role, areas)
    ada, bob, desk = made.devices.values()
    made.task = insert(ada, "task", a_task(title=CANARY, secret=f"内情{CANARY}", tags=f'["{CANARY}"]', kind="a"))
    made.contact = insert(ada, "contact", {"task_id": made.task, "name": CANARY, "phone": "000-1"})
    ada.commit(note=f"备注{CANARY}")
    sync_all(world, ada, bob, desk)
    update(ada, "task", made.task, title=f"甲{CANARY}")
    update(bob, "task", made.task, title=f"乙{CANARY}", kind="b")
    sync_all(world, ada, bob, desk, ada)
    # a step that the workflow does not know: refused, and what it said is kept on the device
    update(bob, "task", made.task, state="rework", reason="dup", title=f"退{CANARY}")
    assert len(world.sync(bob).refused) == 1
    return made


def sync_all(world: World, *replicas: Replica) -> None:
    """Sync one after the other."""
    for replica in replicas:
        world.sync(replica)


def reference(ledger: Ledger) -> dict[RowKey, RowState]:
    """Fold the log of a centre with the reference fold: erased writes keep their place with the `over` of their row."""
    raw_rows = [(index, parse_leaf(raw), body) for index, raw, body in ledger.entries(0, ledger.size)]
    first: dict[tuple[str, int], int] = {}
    for index, leaf, _body in raw_rows:
        first.setdefault(leaf.changeset.statement.dot, index)
    system: dict[RowKey, RowState] = {}
    for index, leaf, raw_body in raw_rows:
        found = open_body(raw_body, leaf.changeset.statement)
        own = [FoldWrite(*w) for _p, w in found.disclosed() if w.path.startswith(f"{ERASURES}/")]
        if leaf.accepted and own:
            fold_leaf(system, index, leaf, own, ledger.registers(index))
    named = {(first[e.slot[0]] if e.leaf is None else e.leaf, e.slot[1]): e for e in erasures(system)}
    state: dict[RowKey, RowState] = {}
    for index, leaf, raw_body in raw_rows:
        if leaf.accepted:
            writes = []
            for position, write in enumerate(open_body(raw_body, leaf.changeset.statement).writes):
                one = named.get((index, position))
                assert write is None or one is None, "named and still there"
                if one is not None:
                    writes.append(FoldWrite(one.path, ERASED, one.over))
                elif write is not None:
                    writes.append(FoldWrite(*write))
            fold_leaf(state, index, leaf, writes, ledger.registers(index))
    return state


def assert_folds_agree(ledger: Ledger) -> None:
    """Assert that the stored heads of every row are what the reference fold of the log gives."""
    expected = reference(ledger)
    stored = {(t, k) for t, k in ledger.conn.execute("SELECT tbl, key FROM _sg_row").fetchall()}
    assert stored == expected.keys()
    for row, state in expected.items():
        found = load_row(ledger.conn, row).fields
        assert {name: field_state(raw) for name, raw in found.items()} == state.fields, row


def assert_copy_is_the_log(world: World) -> None:
    """Assert that the second copy holds what the database holds."""
    ledger = world.centre.ledger
    copy = SecondCopy(world.centre.path / "copy.log")
    assert list(copy.read()) == [(leaf, body) for _index, leaf, body in ledger.entries(0, ledger.size)]
    copy.close()


def paths_of(ledger: Ledger, row: RowKey) -> Iterable[str]:
    """Yield the paths of a row that are still disclosed somewhere in the log."""
    for _index, raw, raw_body in ledger.entries(0, ledger.size):
        for _position, write in open_body(raw_body, parse_leaf(raw).changeset.statement).disclosed():
            if parse_path(write.path)[:2] == row:
                yield write.path
