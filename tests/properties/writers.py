"""Devices that write at random, concurrently, as far as the rules allow; all randomness is drawn by Hypothesis."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from syncgov.centre.centre import Centre
from syncgov.centre.intake import authenticate
from syncgov.core.canonical import b64u
from syncgov.core.commitment import Dot, Value, Write, format_path, make_body, meta_path
from syncgov.core.keys import SigningKey
from syncgov.core.statement import Seen, Statement, envelope_hash, sign_statement
from syncgov.core.tree import root_of_inputs
from tests.helpers import NOW_MS, new_key

ROWS = 2  # few rows and values, so that writes meet
DEVICES = 3
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "title": st.sampled_from(["一", "二", "三"]),
    "kind": st.sampled_from([None, "a", "b"]),
    "urgency": st.sampled_from([None, 0, 1, 2]),
    "days": st.sampled_from([None, 0, 1, 2]),
    "done": st.sampled_from([None, True, False]),
    "secret": st.sampled_from([None, "内情", "别的"]),
    "tags": st.sampled_from([None, [], ["x"], ["x", "y"]]),
    "extra": st.sampled_from([None, "补"]),  # of the next edition; who has not seen it leaves it out
    "_alive": st.booleans(),
}


@dataclass(frozen=True)
class Step:
    """One changeset: who writes, to which row, how much of the log it had seen, what, with which clock."""

    device: int
    row: int
    lag: int
    fields: dict[str, Value]
    clock: int
    stale: bool  # name only one of the heads


steps = st.lists(
    st.builds(
        Step,
        device=st.integers(0, DEVICES - 1),
        row=st.integers(0, ROWS - 1),
        lag=st.integers(0, 4),
        fields=st.fixed_dictionaries({}, optional=FIELDS),
        clock=st.sampled_from([0, NOW_MS - 3, NOW_MS, NOW_MS + 1, NOW_MS + 10**12]),
        stale=st.booleans(),
    ),
    min_size=1,
    max_size=14,
)


@dataclass
class Writer:
    """A device as a chain of signatures."""

    key: SigningKey
    prev: str
    seq: int = 0
    seen: int = 0


@dataclass
class Street:
    """Signs steps and pushes them into a centre, remembering who wrote which path when."""

    centre: Centre
    writers: Sequence[Writer]
    written: dict[str, list[tuple[int, Dot, frozenset[Dot]]]] = field(default_factory=dict)

    def push(self, step: Step) -> str:
        """Log one step; returns the verdict."""
        writer = self.writers[step.device]
        size = self.centre.ledger.size
        writer.seen = max(writer.seen, size - step.lag)
        dot = (writer.key.id, writer.seq + 1)
        key = new_key(step.row)
        cells = dict(step.fields)
        alive = format_path("task", key, "_alive")
        if not self.written.get(alive):
            cells |= {"place": "101001", "_community": "101", "started_on": "2026-11-20", "_month": "2026-11"}
            cells |= {"title": cells.get("title", "新"), "_alive": True}
            cells["step"] = {"state": "reported", "owner": None, "due": None, "reason": None}
        cells.setdefault("_alive", True)
        parts: tuple[list[Write], list[Write]] = ([], [Write(meta_path(dot, "by"), None, ())])
        registers = self.centre.ledger.registers(writer.seen)
        for name, value in sorted(cells.items()):
            if not name.startswith("_") and registers["task"].find(name) is None:
                continue
            path = format_path("task", key, name)
            parts[registers["task"].class_of(name) != "public"].append(
                Write(path, value, self._over(path, writer, step))
            )
        raw, body = make_body(*parts, bytes(31) + bytes([writer.seq]))
        root = b64u(self.centre.ledger.root(writer.seen))
        st_ = Statement(
            at=step.clock,
            dev=writer.key.id,
            n=len(body.writes),
            prev=writer.prev,
            pub=len(parts[0]),
            reg=b64u(registers.digest),
            root=b64u(root_of_inputs(body.digests)),
            seen=Seen(root, writer.seen),
            seq=writer.seq + 1,
            tick=0,
            v=1,
        )
        envelope = sign_statement(st_, writer.key)
        (outcome,) = self.centre.push([authenticate(self.centre.ledger, envelope, raw)])
        writer.seq, writer.prev = writer.seq + 1, envelope_hash(envelope)
        if outcome.verdict == "accepted" and outcome.index is not None:
            for write in (*parts[0], *parts[1]):
                self.written.setdefault(write.path, []).append((outcome.index, dot, frozenset(write.over)))
        return str(outcome.verdict)

    def _over(self, path: str, writer: Writer, step: Step) -> tuple[Dot, ...]:
        """Return the heads that this device can have seen, or only one of them."""
        known = [each for each in self.written.get(path, []) if each[0] < writer.seen or each[1][0] == writer.key.id]
        gone = {dot for _index, _dot, over in known for dot in over}
        heads = sorted(dot for _index, dot, _over in known if dot not in gone)
        return tuple(heads[:1] if step.stale else heads)
