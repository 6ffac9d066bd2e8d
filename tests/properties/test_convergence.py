"""One log gives the same tables, however it arrives; the fast fold is the reference fold; redaction keeps roots."""

import functools
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncgov.centre.centre import Centre
from syncgov.centre.serving import pull
from syncgov.core.canonical import b64u
from syncgov.core.commitment import Value, Write, format_path, make_body, open_body, parse_body, redact
from syncgov.core.merge import (
    FieldState,
    Head,
    declared_field,
    fold_write,
    is_conflict,
    shown,
    shown_row,
    workflow_of,
)
from syncgov.core.statement import Statement
from syncgov.core.tree import root_of_inputs
from syncgov.core.wire import Pull, PullAnswer, format_message, parse_message
from syncgov.errors import CommitmentError
from syncgov.storage import capture
from syncgov.storage.connection import connect
from syncgov.storage.merging import merge_pulled
from syncgov.storage.pulling import stage_page
from syncgov.storage.replica import Replica
from syncgov.storage.schema import PROTOCOL_TABLES, columns_for, from_sql, table_sql, to_sql
from syncgov.storage.state import FoldItem, StoredRow, field_state, fold, load_row
from syncgov.sync.checking import verify_page
from tests.erasing import reference
from tests.helpers import AREA, NOW_MS, ManualClock, World, lasting_folder, states, tables
from tests.properties.expected import check_replica
from tests.properties.field import EDITIONS
from tests.properties.writers import DEVICES, Step, Street, Writer, steps
from tests.registers import register_set

MEMORY = Path("/dev/shm")  # hundreds of small databases: their fsyncs are not what is tested here
FEWER = min(settings().max_examples, 100)  # the profile of CI asks for 500 of everything; only convergence needs them


@functools.cache
def street() -> Path:
    """Make once: a centre, three writing devices, and two reading ones that have just joined; examples are copies."""
    folder = lasting_folder()
    with World.make(folder) as world:
        for number in range(DEVICES):
            world.device(f"writer{number}", "worker", (AREA,))
        for name in "ab":
            world.device(f"reader-{name}", "desk", (AREA,))
    return folder


@contextmanager
def fresh() -> Iterator[tuple[Street, Replica, Replica]]:
    """Give a street of its own, with two readers."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        folder = Path(name) / "street"
        shutil.copytree(street(), folder)
        clock = ManualClock()
        centre = Centre(folder / "centre", clock=clock)
        writers = []
        for number in range(DEVICES):
            with Replica.open(folder / f"writer{number}.db") as replica:
                writers.append(Writer(replica.key_file.key, replica.meta.get("last_hash")))
        with (
            Replica.open(folder / "reader-a.db", clock=clock) as a,
            Replica.open(folder / "reader-b.db", clock=clock) as b,
        ):
            yield Street(centre, writers), a, b
        centre.close()


def receive(centre: Centre, replica: Replica, limit: int, target: int) -> None:
    """Pull up to *target* in pages of *limit*, through the messages that the wire carries."""
    size, after = replica.seen.size, 0
    while size < target:
        text = centre.ledger.meta.get("checkpoint")
        answer = pull(centre.ledger, replica.dev, Pull(after, limit, size, 0), text, centre.ledger.size, now_ms=0)
        page = verify_page(replica, parse_message(format_message(answer), PullAnswer, "answer"), size)
        assert not answer.reset
        after = page.after
        if page.last:
            merge_pulled(replica, page)
            return
        stage_page(replica, page)


# -- the same log in different batches --------------------


@given(
    written=steps,
    cuts=st.sets(st.integers(0, 14)),
    limits=st.tuples(st.integers(1, 5), st.sampled_from([1, 3, 1000])),
)
def test_two_replicas_with_one_log_are_equal(written: list[Step], cuts: set[int], limits: tuple[int, int]) -> None:
    """One reads in small batches as the log grows, the other all at once in pages of another size."""
    with fresh() as (made, a, b):
        for number, step in enumerate(written):
            made.push(step)
            if number in cuts:
                receive(made.centre, a, limits[0], made.centre.ledger.size)
        for replica, limit in ((a, limits[0]), (b, limits[1])):
            receive(made.centre, replica, limit, made.centre.ledger.size)
        assert a.seen == b.seen
        assert a.seen.size == made.centre.ledger.size
        assert tables(a) == tables(b)
        assert states(a) == states(b)
        central = {
            ("task", key): load_row(made.centre.ledger.conn, ("task", key)).fields
            for key, _ in made.centre.ledger.rows("task")
        }
        assert {key: json.loads(value) for key, value in states(a).items() if key[0] == "task"} == central


def test_the_writers_do_meet() -> None:
    """The simulation above makes what it is for: conflicts, refusals, deleted rows that live on, late values."""

    def step(device: int, lag: int, **fields: Value) -> Step:
        return Step(device, 0, lag, fields, NOW_MS, False)

    with fresh() as (made, a, _b):
        first = [step(0, 0, kind="a"), step(1, 0, kind="b", urgency=1), step(2, 1, kind=None, _alive=False, urgency=2)]
        verdicts = [made.push(each) for each in [*first, step(0, 0, kind="b"), step(1, 9, title="二")]]
        receive(made.centre, a, 2, made.centre.ledger.size)
        assert verdicts == ["accepted", "accepted", "accepted", "refused:review", "accepted"]
        fields = a.conn.execute("SELECT DISTINCT field FROM conflict ORDER BY field").fetchall()
        assert [name for (name,) in fields] == ["_alive", "kind", "urgency"]
        assert a.conn.execute("SELECT kind, urgency, title FROM task").fetchall() == [("b", 2, "二")]


# -- the two folds --------------------


@settings(max_examples=FEWER)
@given(written=steps, upgrades=st.lists(st.integers(0, 14), max_size=len(EDITIONS)))
def test_the_fast_fold_is_the_reference_fold(written: list[Step], upgrades: list[int]) -> None:
    """Heads, value before the split, shown values, conflicts and presence of every row, across editions of a register.

    A reader that folds everything after the last edition is in force holds the same.
    """
    with fresh() as (made, reader, _b):
        verdicts = []
        editions = iter(EDITIONS)
        for number, step in enumerate(written):
            for _edition in range(upgrades.count(number)):
                made.centre.write("register", [("task", {"text": next(editions)})])
            verdicts.append(made.push(step))
        ledger = made.centre.ledger
        receive(made.centre, reader, 1000, ledger.size)
        assert check_replica(ledger, reader) >= (verdicts[0] == "accepted" and not written[1:])
        registers = ledger.registers(ledger.size)
        found = 0
        for row, state in reference(ledger).items():
            stored, register = load_row(ledger.conn, row), registers[row[0]]
            assert {name: field_state(raw) for name, raw in stored.fields.items()} == state.fields
            assert stored.alive == state.alive
            shows = {f.name: stored.shown(f.name, register) for f in register.fields if f.name in stored.fields}
            assert shows == shown_row(state, register)
            found += 1
        assert found >= 5 + (verdicts[0] == "accepted")


VALUES: dict[str, list[Any]] = {
    "last": ["x", "y", 1, True, None],
    "max": [None, 0, 1, 2],
    "min": [None, 0, 1, 2],
    "review": ["a", "b", None],
    "state": [
        {"state": s, "owner": o, "due": None, "reason": None}
        for s in ("reported", "accepted", "rejected", "rework")
        for o in (None, "u")
    ],
}
FIELD = {"last": "title", "max": "urgency", "min": "days", "review": "kind", "state": "step"}


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, list[tuple[Head, tuple[tuple[str, int], ...]]]]:
    """Draw a rule, and writes of one field that name any earlier writes, replaced or not, in any clock order."""
    rule = draw(st.sampled_from(sorted(VALUES)))
    writes: list[tuple[Head, tuple[tuple[str, int], ...]]] = []
    for index in range(draw(st.integers(1, 8))):
        dot = (draw(st.sampled_from("abc")) * 32, index + 1)
        over = draw(st.sets(st.sampled_from([head.dot for head, _over in writes]), max_size=3)) if writes else set()
        head = Head(*dot, index, draw(st.integers(0, 3)), draw(st.integers(0, 1)), draw(st.sampled_from(VALUES[rule])))
        writes.append((head, tuple(sorted(over))))
    return rule, writes


@given(histories())
def test_the_folds_agree_write_by_write(history: tuple[str, list[tuple[Head, tuple[tuple[str, int], ...]]]]) -> None:
    """Any history, also such as no honest device makes; folded at once and one by one."""
    rule, writes = history
    register = register_set()["task"]
    name = FIELD[rule]
    declared, workflow = declared_field(register, name), workflow_of(register, name)
    state = FieldState()
    for head, over in writes:
        state = fold_write(state, head, over, declared, workflow)
    path = format_path("task", "k", name)
    items = [FoldItem(h.index, h.dot, h.at, h.tick, [Write(path, h.value, over)]) for h, over in writes]  # type: ignore[arg-type]
    for batches in ([items], [[item] for item in items]):
        conn = connect(":memory:", create=True)
        conn.executescript(PROTOCOL_TABLES)
        for batch in batches:
            fold(conn, batch, {"task": register})
        row = load_row(conn, ("task", "k"))
        conn.close()
        assert field_state(row.fields[name]) == state
        assert row.shown(name, register) == shown(state, declared, workflow)
        assert (len(row.fields[name]) == 2) == is_conflict(state.heads)


# -- redaction --------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.sampled_from(["", "路灯", 'a"\\/', "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=6,
)


@given(
    public=st.dictionaries(st.sampled_from("abcdefgh"), json_values, max_size=6),
    other=st.dictionaries(st.sampled_from("mnopqrst"), json_values, min_size=1, max_size=6),
    seed=st.binary(min_size=32, max_size=32),
    data=st.data(),
)
def test_redaction_keeps_the_root(
    public: dict[str, Value], other: dict[str, Value], seed: bytes, data: st.DataObject
) -> None:
    """Whatever is hidden, once or twice: the same root, the kept writes as they were, nothing of the others."""
    first, second = ([Write(f"t/k/{name}", value, ()) for name, value in part.items()] for part in (public, other))
    raw, body = make_body(first, second, seed)
    root = root_of_inputs(body.digests)
    statement = Statement(0, "0" * 32, len(body.writes), "", len(public), "", b64u(root), None, 1, 0, 1)  # type: ignore[arg-type]
    positions = list(range(len(body.writes)))
    keep = data.draw(st.sets(st.sampled_from(positions)))
    fewer = data.draw(st.sets(st.sampled_from(sorted(keep)))) if keep else set()
    redacted = redact(body, lambda position, _write: position in keep)
    opened = open_body(redacted, statement)
    assert dict(opened.disclosed()) == {p: body.writes[p] for p in keep}
    twice = redact(opened, lambda position, _write: position in fewer)
    assert twice == redact(body, lambda position, _write: position in fewer)
    assert root_of_inputs(parse_body(twice, len(public)).digests) == root
    with pytest.raises(CommitmentError):  # the same writes under other salts are not what was signed
        open_body(make_body(first, second, bytes(byte ^ 1 for byte in seed))[0], statement)
    assert b64u(seed).encode() in raw
    assert b64u(seed).encode() not in redacted


# -- capture --------------------

REGISTER = register_set()["task"]
COLUMNS = columns_for(REGISTER, None)
row_values = st.fixed_dictionaries(
    {"place": st.sampled_from(["101001", "101002"]), "title": st.text("路灯ab", min_size=1, max_size=5)},
    optional={
        "started_on": st.dates().map(str),
        "kind": st.sampled_from([None, "a", "b", "c"]),
        "urgency": st.none() | st.integers(-(2**53) + 1, 2**53 - 1),
        "tags": st.none() | st.lists(st.sampled_from(["x", "路"]), max_size=5),
        "done": st.none() | st.booleans(),
        "state": st.sampled_from([None, "reported", "closed"]),
        "due": st.none() | st.dates().map(str),
        "secret": st.none() | st.text("内情 \n", max_size=5),
    },
)


@settings(max_examples=FEWER)
@given(st.lists(row_values, min_size=1, max_size=4))
def test_capture_then_fold_gives_the_row_back(versions: list[dict[str, Value]]) -> None:
    """What a table says goes through difference, signature and fold, and shows the same again; then nothing differs."""
    conn = connect(":memory:", create=True)
    conn.executescript(PROTOCOL_TABLES)
    conn.execute(table_sql(REGISTER, COLUMNS, "task"))
    key = ("task", "k")
    for number, version in enumerate(versions):
        row = {"started_on": "2026-11-20", "state": "reported", **version}
        if row.get("state") is None:
            row["state"] = "closed"
        columns = {column.name: row.get(column.name) for column in COLUMNS}
        stored = {name: to_sql(column, columns[name]) for name, column in ((c.name, c) for c in COLUMNS)}
        conn.execute("DELETE FROM task")
        conn.execute(f"INSERT INTO task VALUES ({', '.join('?' * (len(COLUMNS) + 1))})", ["k", *stored.values()])
        read = capture.read_columns(conn, REGISTER, COLUMNS, "k")
        assert read == columns
        change = capture.diff_row(REGISTER, key, read, load_row(conn, key))
        if change is None:
            continue
        writes = capture.field_writes(REGISTER, change, load_row(conn, key))
        plain = [Write(format_path(*w.row, w.name), w.value, w.over) for w in writes]
        fold(conn, [FoldItem(number, ("d" * 32, number + 1), number, 0, plain)], {"task": REGISTER})
        after = load_row(conn, key)
        assert capture.diff_row(REGISTER, key, read, after) is None
        assert shown_columns(after) == columns
        assert all(len(raw) == 1 and len(raw[0]) == 1 for raw in after.fields.values())
    conn.close()


def shown_columns(row: StoredRow) -> dict[str, Value]:
    """Return what a table would show of a stored row."""
    found: dict[str, Value] = {}
    for declared in REGISTER.fields:
        found.update(declared.columns_of(row.shown(declared.name, REGISTER)))
    return {column.name: from_sql(column, to_sql(column, found[column.name])) for column in COLUMNS}
