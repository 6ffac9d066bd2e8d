"""Which state may follow which, who may do it, what two simultaneous steps lead to.

Source: protocol page, sections 11 and 12.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

NEW = "new"  # the source of a transition that makes a row; no state may have this name

# What a transition may demand, and the column of the step that must then be filled ("" where it is no column).
GUARDS: Mapping[str, str] = {
    "reason": "reason",
    "due": "due",
    "owner": "owner",
    "other_person": "",
    "before_expiry": "due",
    "photo_before_after": "",
    "second_signature": "",
}
PHOTO_GUARD = "photo_before_after"


@dataclass(frozen=True, slots=True)
class Photos:
    """Which child rows the guard `photo_before_after` counts.

    Attributes:
        register: the register of attachments. before, after: codes of its phase.
        kind: the code that its kind must have; empty: any.
    """

    register: str
    before: str
    after: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """One allowed step. `sources` holds states, and `new` where the step makes the row."""

    name: str
    sources: frozenset[str]
    target: str
    roles: frozenset[str]
    guards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workflow:
    """The declared life of a row.

    Attributes:
        field: the register's field that holds the state; its merge rule is `state`.
        state_column: the column of that field with the state's code.
        precedence: every state, strongest first: of two simultaneous steps the stronger one shows.
        review_states: pairs of states, and `review_columns`: columns, in which two simultaneous steps may not differ
            without a person of `resolve` deciding.
        steps: state -> the step of the whole procedure it belongs to, for people.
        open_states, closed_states: what counts as under way and as done; a state may be neither.
        photos: what the guard `photo_before_after` counts.
    """

    field: str
    state_column: str
    transitions: tuple[Transition, ...]
    precedence: tuple[str, ...]
    review_states: frozenset[frozenset[str]]
    review_columns: tuple[str, ...]
    resolve: frozenset[str]
    steps: Mapping[str, str]
    open_states: frozenset[str]
    closed_states: frozenset[str]
    photos: Photos | None = None

    def state(self, value: Any) -> str | None:
        """Return the state in a value of the field (an object when the field is a group)."""
        found = value.get(self.state_column) if isinstance(value, Mapping) else value
        return found if isinstance(found, str) else None


def find_transition(workflow: Workflow, source: str | None, target: str, roles: Collection[str]) -> Transition | None:
    """Return the transition from *source* (None: the row is new) to *target* that one of *roles* may do, or None.

    Staying in a state is a transition too, and must be declared (an extension: same state, later due date).
    """
    start = NEW if source is None else source
    for step in workflow.transitions:
        if step.target == target and start in step.sources and not step.roles.isdisjoint(roles):
            return step
    return None


def next_states(workflow: Workflow, source: str | None, roles: Collection[str]) -> tuple[str, ...]:
    """Return the states that *roles* may choose from *source*, in the order of the declaration, none twice."""
    start = NEW if source is None else source
    allowed = (t.target for t in workflow.transitions if start in t.sources and not t.roles.isdisjoint(roles))
    return tuple(dict.fromkeys(allowed))


def needs_review(workflow: Workflow, values: Sequence[Any]) -> bool:
    """Return whether two of these simultaneous *values* of the step may only be settled by a person.

    A column marked for review counts when two values both fill it, and differently.
    """
    return any(_clash(workflow, one, other) for one, other in combinations(values, 2))


def _clash(workflow: Workflow, one: Any, other: Any) -> bool:
    if frozenset({workflow.state(one), workflow.state(other)}) in workflow.review_states:
        return True
    if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
        return False
    pairs = ((one.get(column), other.get(column)) for column in workflow.review_columns)
    return any(a is not None and b is not None and a != b for a, b in pairs)


def precedence_rank(workflow: Workflow, state: str | None) -> int:
    """Return the place of *state* in the precedence, 0 strongest; an unknown state stands last."""
    try:
        return workflow.precedence.index(state)
    except ValueError:
        return len(workflow.precedence)
