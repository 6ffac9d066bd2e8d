"""Workflows: which step may follow which, and what simultaneous steps lead to."""

from itertools import product
from pathlib import Path

import pytest

from syncgov.core.register import Register, parse_register
from syncgov.core.workflow import (
    Workflow,
    find_transition,
    needs_review,
    next_states,
    precedence_rank,
)
from syncgov.errors import RegisterError

ROOT = Path(__file__).resolve().parents[2]
ROLES = "grid_worker grid_helper grid_chief operator handler checker publisher auditor registrar".split()

# source -> target: roles; the table of the domain model, section 4.4
STEPS = {
    ("new", "reported"): "grid_worker grid_helper grid_chief",
    ("new", "feedback"): "grid_worker",
    ("reported", "accepted"): "operator grid_chief",
    ("reported", "returned"): "operator",
    ("returned", "reported"): "grid_worker grid_helper grid_chief",
    ("reported", "rejected"): "operator",
    ("accepted", "dispatched"): "operator",
    ("reported", "dispatched"): "operator",
    ("dispatched", "handling"): "handler",
    ("dispatched", "accepted"): "operator",
    ("handling", "accepted"): "operator",
    ("handling", "suspended"): "operator",
    ("suspended", "handling"): "operator",
    ("dispatched", "dispatched"): "operator",
    ("handling", "handling"): "operator",
    ("handling", "feedback"): "handler",
    ("feedback", "closed"): "checker grid_worker operator",
    ("feedback", "rework"): "checker operator",
    ("rework", "handling"): "handler",
    ("closed", "evaluated"): "operator checker grid_worker",
    ("closed", "archived"): "operator",
    ("evaluated", "archived"): "operator",
    ("closed", "rework"): "operator auditor",
    ("evaluated", "rework"): "operator auditor",
    ("archived", "rework"): "operator auditor",
}


def read(path: Path) -> tuple[Register, Workflow]:
    register = parse_register(path.read_text(encoding="utf-8"), path.name)
    assert register.workflow is not None
    return register, register.workflow


@pytest.fixture
def flow() -> Workflow:
    return read(ROOT / "syncgov" / "registers" / "event.yml")[1]


def value(state: str, **more: str) -> dict[str, str | None]:
    return {"state": state, "owner": None, "due": None, "reason": None, **more}


def test_the_declared_transitions_are_those_of_the_domain_and_no_others(flow: Workflow) -> None:
    """All pairs of states and all roles: allowed exactly where the table says so."""
    states = [*flow.precedence]
    for source, target in product(["new", *states], states):
        roles = STEPS.get((source, target), "").split()
        if target == "void" and source not in ("new", "void"):
            roles = ["operator"]
        for role in ROLES:
            step = find_transition(flow, None if source == "new" else source, target, {role})
            assert (step is not None) == (role in roles), (source, target, role)


def test_every_state_is_there_and_ordered(flow: Workflow) -> None:
    """The precedence is total: void > rework > closed > feedback > suspended > handling > …"""
    wanted = "void rework closed feedback suspended handling dispatched accepted returned reported".split()
    ranks = [precedence_rank(flow, state) for state in wanted]
    assert ranks == sorted(ranks)
    assert len(set(flow.precedence)) == len(flow.precedence) == 13
    assert precedence_rank(flow, "unheard") == precedence_rank(flow, None) == 13
    assert precedence_rank(flow, "void") == 0


def test_open_and_closed_states(flow: Workflow) -> None:
    """What is neither is rejected or void."""
    assert set(flow.precedence) - flow.open_states - flow.closed_states == {"rejected", "void"}
    assert flow.closed_states == {"closed", "evaluated", "archived"}
    assert flow.steps["reported"] == "信息采集上报"


def test_an_extension_is_the_same_state_with_a_later_date(flow: Workflow) -> None:
    """It must be asked for before the expiry, with a reason."""
    step = find_transition(flow, "handling", "handling", ["operator"])
    assert step is not None
    assert step.guards == ("due", "reason", "before_expiry")


def test_a_checker_is_another_person_than_the_handler(flow: Workflow) -> None:
    """Both outcomes of a check ask for it."""
    for target in ("closed", "rework"):
        step = find_transition(flow, "feedback", target, ["checker"])
        assert step is not None
        assert "other_person" in step.guards


def test_voiding_asks_for_a_reason_and_a_second_signature(flow: Workflow) -> None:
    """The step names both, in the order of the file."""
    step = find_transition(flow, "handling", "void", ["operator"])
    assert step is not None
    assert step.guards == ("reason", "second_signature")


def test_next_states_are_what_a_role_may_choose(flow: Workflow) -> None:
    """In the order of the declaration, none twice."""
    assert next_states(flow, None, ["grid_worker"]) == ("reported", "feedback")
    assert next_states(flow, "handling", ["handler"]) == ("feedback",)
    assert next_states(flow, "void", ROLES) == ()
    assert next_states(flow, "handling", ["operator"]) == ("accepted", "suspended", "handling", "void")


@pytest.mark.parametrize(
    ("one", "other", "review"),
    [
        (value("accepted"), value("rejected"), True),
        (value("closed"), value("void"), True),
        (value("void"), value("closed"), True),
        (value("closed"), value("rework"), False),
        (value("accepted"), value("accepted", due="2026-11-21"), False),
        (value("dispatched", owner="a"), value("dispatched", owner="b"), True),
        (value("dispatched", owner="a"), value("dispatched", owner="a", due="2026-11-21"), False),
        (value("dispatched", owner="a"), value("accepted"), False),
    ],
)
def test_only_the_marked_pairs_go_to_review(
    flow: Workflow, one: dict[str, str | None], other: dict[str, str | None], review: bool
) -> None:
    """Pairs of states, and two different owners; everything else the precedence settles."""
    assert needs_review(flow, [one, other]) is review
    assert needs_review(flow, [other, value("reported"), one]) is review


def test_a_single_value_or_none_needs_no_review(flow: Workflow) -> None:
    """Nulls clash with nothing."""
    assert not needs_review(flow, [])
    assert not needs_review(flow, [value("closed")])
    assert not needs_review(flow, [None, value("closed")])
    assert flow.state(None) is None
    assert flow.state("closed") == "closed"
    assert flow.state(value("closed")) == "closed"


def test_the_example_has_a_small_workflow() -> None:
    """`any` means every state but the target."""
    _register, flow = read(ROOT / "examples" / "trees" / "street_tree.yml")
    assert find_transition(flow, "watered", "felled", {"gardener"}) is not None
    assert find_transition(flow, "felled", "felled", {"gardener"}) is None
    assert find_transition(flow, None, "felled", {"gardener"}) is None
    assert find_transition(flow, "sick", "thirsty", {"neighbour"}) is None


TREE = (ROOT / "examples" / "trees" / "street_tree.yml").read_text(encoding="utf-8")

BAD = [
    ("to: thirsty, roles: [neighbour", "to: thristy, roles: [neighbour", "thristy", "unknown state 'thristy'"),
    ("from: [thirsty]", "from: [thristy]", "thristy", "Did you mean 'thirsty'?"),
    ("from: [thirsty]", "from: []", "from: []", "no state to start from"),
    ("guards: [other_person]", "guards: [another]", "guards: [another]", "unknown guard 'another'"),
    ("guards: [other_person]", "guards: [owner]", "guards: [owner]", "needs a column 'owner'"),
    ("precedence: [felled, sick,", "precedence: [felled,", "precedence:", "each state once (['sick'])"),
    ("precedence: [felled, sick,", "precedence: [felled, sick, sick,", "precedence:", "each state once"),
    ("states: [[sick, felled]]", "states: [[sick, sick]]", "states: [[", "two different states"),
    ("states: [[sick, felled]]", "columns: [girth]", "columns: [girth]", "unknown column 'girth'"),
    ("  state: state\n", "  state: status\n", "state: status", "unknown column 'status'"),
    ("{thirsty: Needs water", "{new: New, thirsty: Needs water", "state: state", "a code without new"),
    ("steps: {thirsty", "steps: {dry", "steps: {dry", "unknown state 'dry'"),
    ("open: [thirsty, sick]", "open: [thirsty, felled]", "closed: [", "both open and closed"),
    ("  open: [thirsty, sick]\n", "", "field: care", "'open' is missing"),
    ("from: [new]", "from: [felled]", "- {name: plant", "no transition starts from new"),
    (
        "from: [thirsty, watered], to: sick",
        "from: [sick], to: watered",
        "- {name: plant",
        "no transition leads to state 'sick'",
    ),
    ("{name: dry, from: [watered]", "{name: dry, from: [new]", "{name: dry", "the same step as 'plant'"),
]


@pytest.mark.parametrize(("old", "new", "place", "says"), BAD)
def test_a_bad_workflow_is_refused_with_its_line(old: str, new: str, place: str, says: str) -> None:
    """Misspelt states, impossible guards, states that nothing reaches."""
    assert old in TREE
    text = TREE.replace(old, new, 1)
    with pytest.raises(RegisterError) as caught:
        parse_register(text, "tree.yml")
    assert says in caught.value.en
    assert caught.value.line == text[: text.index(place)].count("\n") + 1


def test_a_state_field_is_a_group() -> None:
    """The step carries its columns as one value."""
    start, end = TREE.index("    group:\n"), TREE.index("  story:")
    text = TREE[:start] + "    type: code\n    choices: {thirsty: T, watered: W, sick: S, felled: F}\n" + TREE[end:]
    with pytest.raises(RegisterError, match="must be a group"):
        parse_register(text, "tree.yml")
