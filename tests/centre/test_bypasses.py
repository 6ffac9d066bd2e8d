"""What a device with a valid key may try beyond its rights, signed by hand, through the real intake."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from syncgov.centre.intake import authenticate
from syncgov.core.canonical import b64u
from syncgov.core.clock import Stamp
from syncgov.core.commitment import Dot, Value
from syncgov.core.register import parse_register
from syncgov.core.statement import EMPTY_ROOT, Seen, envelope_hash
from syncgov.storage import capture
from syncgov.storage.capture import FieldWrite
from syncgov.storage.replica import Replica
from syncgov.storage.state import RowKey, load_row
from tests.helpers import EAST, World, a_task, insert, new_key
from tests.registers import TASK, registers

JOB = """\
register: job
version: 1
label: 分项
help: 子登记册，有自己的流程
key: uuid
parent: task_id
skeleton: {}
write: [worker, chief]
read: {public: ['*'], internal: [worker, chief, desk]}
fields:
  task_id: {label: 任务, type: text, class: internal, ref: task, required: true}
""" + TASK[TASK.index("  step:\n") :]

Cells = Mapping[str, tuple[Value, tuple[Dot, ...]]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre without devices."""
    with World.make(tmp_path) as found:
        yield found


class Forger:
    """Signs whatever it likes with a device's own key."""

    def __init__(self, world: World, replica: Replica) -> None:
        self.world = world
        self.key = replica.key_file.key
        self.seq, self.prev = replica.meta.get_int("last_seq"), replica.meta.get("last_hash")

    def push(
        self, row: RowKey, cells: Cells, by: str = "甲", *, kept_back: Collection[str] = ()
    ) -> tuple[Dot, str | None]:
        """Sign writes of one row, those *kept_back* among the private ones; returns the dot and the verdict."""
        ledger = self.world.centre.ledger
        size = ledger.size
        registers = ledger.registers(size)
        register = registers[row[0]]
        writes = [
            FieldWrite(row, name, value, over, register.class_of(name) == "public" and name not in kept_back)
            for name, (value, over) in cells.items()
        ]
        seen = Seen(b64u(ledger.root(size)) if size else EMPTY_ROOT, size)
        author = capture.Author(self.key, self.seq + 1, self.prev, seen, Stamp(self.world.clock(), 0), by)
        signed = capture.sign_writes(writes, author, registers, bytes(32))
        self.seq, self.prev = self.seq + 1, envelope_hash(signed.envelope)
        (outcome,) = self.world.centre.push([authenticate(ledger, signed.envelope, signed.raw_body)])
        return (self.key.id, self.seq), outcome.verdict


def heads(world: World, row: RowKey, name: str) -> tuple[Dot, ...]:
    """The dots of a field's heads."""
    return load_row(world.centre.ledger.conn, row).over(name)


def test_a_refused_row_does_not_let_an_incomplete_one_in(world: World) -> None:
    """Presence over a refused presence is still the making of the row: required fields and a first step are due."""
    forger = Forger(world, world.device("east"))
    row = ("task", new_key(1))
    part: Cells = {"_alive": (True, ()), "_community": (EAST[:3], ()), "place": (EAST, ())}
    dot, verdict = forger.push(row, part)
    assert verdict == "refused:value"
    _dot, verdict = forger.push(row, {**part, "_alive": (True, (dot,))})
    assert verdict == "refused:value"


def test_a_role_that_makes_no_rows_brings_none_back(world: World) -> None:
    """Deleting is for those who make rows, and so is undoing it, also together with a field one may write."""
    east = world.device("east")
    key = insert(east, "task", a_task())
    world.sync(east)
    east.conn.execute("DELETE FROM task")
    world.sync(east)
    row = ("task", key)
    forger = Forger(world, world.device("desk", "desk", areas=[EAST[:3]]))
    back: Cells = {"_alive": (True, heads(world, row, "_alive")), "title": ("回来", heads(world, row, "title"))}
    assert forger.push(row, back)[1] == "refused:role"


def test_keys_of_devices_are_uuids(world: World) -> None:
    """A key is public for ever; what somebody wants to hide there is refused."""
    forger = Forger(world, world.device("east"))
    whole = a_task()
    cells: dict[str, tuple[Value, tuple[Dot, ...]]] = {
        "_alive": (True, ()),
        "_community": (EAST[:3], ()),
        "_month": (str(whole["started_on"])[:7], ()),
        "place": (EAST, ()),
        "started_on": (whole["started_on"], ()),
        "title": ("路灯", ()),
        "step": ({"state": "reported", "owner": None, "due": None, "reason": None}, ()),
    }
    assert forger.push(("task", "张三 000-0000"), cells)[1] == "refused:value"
    assert forger.push(("task", new_key(2)), cells)[1] == "accepted"


def test_heads_do_not_pile_up(world: World) -> None:
    """Writing again and again without naming one's own last write ends at a limit, before everybody else suffers."""
    east = world.device("east")
    key = insert(east, "task", a_task())
    world.sync(east)
    row = ("task", key)
    forger = Forger(world, east)
    alive = heads(world, row, "_alive")
    verdicts = [forger.push(row, {"_alive": (True, alive), "title": (f"第{n}", ())})[1] for n in range(70)]
    assert verdicts[0] == "accepted"
    assert verdicts[-1] == "refused:over"
    assert len(heads(world, row, "title")) <= 65


def test_a_registrar_role_in_a_certificate_makes_no_registrar(world: World) -> None:
    """Only keys that the charter names write definitions and certificates."""
    east = world.device("east")
    world.centre.write("device", [(east.dev, {"roles": ["worker", "registrar"]})])
    world.sync(east)
    forger = Forger(world, east)
    row = ("register", "task")
    text = str(load_row(world.centre.ledger.conn, row).shown("text", None))
    over = heads(world, row, "text")
    cells: Cells = {"_alive": (True, heads(world, row, "_alive")), "text": (text + "\n", over)}
    assert forger.push(row, cells)[1] == "refused:role"


def test_a_definition_that_does_not_parse_is_refused(world: World) -> None:
    """By verdict, so that it stops nobody's work; also when the registrar itself wrote it."""
    from syncgov.errors import InputError

    size = world.centre.ledger.size
    with pytest.raises(InputError, match="refused:value"):
        world.centre.write("register", [("other", {"text": "nonsense"})])
    assert world.centre.ledger.size == size


def test_a_review_field_is_not_settled_head_by_head(world: World) -> None:
    """The same value over one head and then over the other would make the conflict go, without the right to decide."""
    east = world.device("east")
    key = insert(east, "task", a_task(kind="a"))
    world.sync(east)
    row = ("task", key)
    base = heads(world, row, "kind")
    one, two = Forger(world, east), Forger(world, world.device("mate"))
    first, _verdict = one.push(row, {"_alive": (True, heads(world, row, "_alive")), "kind": ("b", base)})
    second, _verdict = two.push(row, {"_alive": (True, heads(world, row, "_alive")), "kind": ("c", base)})
    assert len(heads(world, row, "kind")) == 2
    step = {"_alive": (True, heads(world, row, "_alive"))}
    assert one.push(row, {**step, "kind": ("a", (first,))})[1] == "accepted"
    step = {"_alive": (True, heads(world, row, "_alive"))}
    assert one.push(row, {**step, "kind": ("a", (second,))})[1] == "refused:review"


def move(
    forger: Forger, row: RowKey, by: str, over: tuple[Dot, ...], state: str, **more: str
) -> tuple[Dot, str | None]:
    """Push a step of a row over *over*; returns the dot and the verdict."""
    step = {"state": state, "owner": None, "due": None, "reason": None, **more}
    cells: Cells = {"_alive": (True, heads(forger.world, row, "_alive")), "step": (step, tuple(sorted(over)))}
    return forger.push(row, cells, by)


@pytest.mark.parametrize("table", ["task", "job"])
def test_a_replaced_step_is_no_place_to_go_on_from(tmp_path: Path, table: str) -> None:
    """Naming an old step beside the present one does not take a row back to where that step allowed more.

    Also a child's: the log knows its changesets by its record.
    """
    with World.make(tmp_path, [*registers(), parse_register(JOB, "job.yml")]) as world:
        east = world.device("east")
        keys = {"task": insert(east, "task", a_task())}
        keys["job"] = insert(east, "job", {"task_id": keys["task"], "state": "reported"})
        world.sync(east)
        row = (table, keys[table])
        desk = Forger(world, world.device("desk", "desk", areas=[EAST[:3]]))
        accepted, _verdict = move(desk, row, "乙", heads(world, row, "step"), "accepted", due="2026-12-01")
        rework, _verdict = move(desk, row, "乙", (accepted,), "rework", reason="bad")
        closed, verdict = move(desk, row, "丙", (rework,), "closed")
        assert verdict == "accepted"
        assert move(desk, row, "丁", (closed,), "closed")[1] == "refused:transition"
        assert move(desk, row, "丁", (rework, closed), "closed")[1] == "refused:transition"
        assert heads(world, row, "step") == (closed,)
        again, verdict = move(desk, row, "乙", (closed,), "rework", reason="bad")
        assert verdict == "accepted"
        last, _verdict = move(desk, row, "丙", (again,), "closed")
        # what replaced the first rework is not named beside it, only in the log
        assert move(desk, row, "丁", (rework, last), "closed")[1] == "refused:transition"
        assert heads(world, row, "step") == (last,)
