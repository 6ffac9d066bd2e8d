"""Hand-written folds of one field, for each merge rule; both folds of this project must say what they say."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from syncgov.core.commitment import Dot, Value, Write, format_path
from syncgov.core.merge import FieldState, Head, declared_field, fold_write, is_conflict, shown, workflow_of
from syncgov.core.register_fields import MERGES
from syncgov.storage.connection import connect
from syncgov.storage.schema import PROTOCOL_TABLES
from syncgov.storage.state import FoldItem, conflicts_of, field_state, fold, load_row
from tests.registers import register_set

VECTORS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "fold.yml").read_text(encoding="utf-8"))
TASK = register_set()["task"]
FIELD = {"last": "title", "max": "urgency", "min": "days", "review": "kind", "state": "step"}


def dot(text: str) -> Dot:
    """Return the dot that `b2` stands for."""
    return text[0] * 32, int(text[1:])


def value(rule: str, plain: Any) -> Value:
    """Return the value that a vector means."""
    if rule != "state" or plain is None:
        return plain
    return {"state": plain[0], "owner": plain[1], "due": None, "reason": None}


def check(vector: dict[str, Any], state: FieldState) -> None:
    """Compare a state with what the vector says."""
    assert [head.dot for head in state.heads] == [dot(text) for text in vector["heads"]]
    assert ("before" in vector) == is_conflict(state.heads)
    assert state.before == value(vector["rule"], vector.get("before"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: each["name"].replace(" ", "-"))
def test_both_folds_say_what_is_written(vector: dict[str, Any]) -> None:
    """The reference fold, the fast one in one batch, and the fast one write by write."""
    rule = vector["rule"]
    name = FIELD[rule]
    declared, workflow = declared_field(TASK, name), workflow_of(TASK, name)
    state, items = FieldState(), []
    path = format_path("task", "k", name)
    for index, (text, at, tick, plain, over) in enumerate(vector["writes"]):
        one, dots = value(rule, plain), tuple(sorted(dot(each) for each in over))
        state = fold_write(state, Head(*dot(text), index, at, tick, one), dots, declared, workflow)
        items.append(FoldItem(index, dot(text), at, tick, [Write(path, one, dots)]))
    check(vector, state)
    assert shown(state, declared, workflow) == value(rule, vector["shows"])
    for batches in ([items], [[item] for item in items]):
        conn = connect(":memory:", create=True)
        conn.executescript(PROTOCOL_TABLES)
        for batch in batches:
            fold(conn, batch, {"task": TASK})
        row = load_row(conn, ("task", "k"))
        conn.close()
        check(vector, field_state(row.fields[name]))
        assert row.shown(name, TASK) == value(rule, vector["shows"])
        assert conflicts_of(row) == [name] * ("before" in vector)


def test_every_rule_has_vectors() -> None:
    """Each with a conflict."""
    assert {vector["rule"] for vector in VECTORS if "before" in vector} == set(MERGES) == set(FIELD)
