"""The fold: heads, rules, conflicts. Pure reference; storage has a fast one. Source: protocol page, section 12."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from syncgov.core.canonical import encode_unchecked
from syncgov.core.commitment import Dot, Value
from syncgov.core.register_model import Field, Register
from syncgov.core.workflow import Workflow, needs_review, precedence_rank


class Hidden(enum.Enum):
    """Stands for a value that the log withholds or has erased: the write counts, what it says is not there."""

    WITHHELD = "withheld"
    ERASED = "erased"


WITHHELD = Hidden.WITHHELD
ERASED = Hidden.ERASED
HeadValue: TypeAlias = Value | Hidden


@dataclass(frozen=True, slots=True)
class Head:
    """A write that no accepted write has replaced. `at`, `tick`: effective time (ms UTC, counter)."""

    dev: str
    seq: int
    index: int
    at: int
    tick: int
    value: HeadValue

    @property
    def dot(self) -> Dot:
        """The changeset that wrote it."""
        return (self.dev, self.seq)

    @property
    def order(self) -> tuple[int, int, int]:
        """What `last` compares."""
        return (self.at, self.tick, self.index)


@dataclass(frozen=True, slots=True)
class FieldState:
    """The heads of one field, in log order, and the value shown before they split (only while split)."""

    heads: tuple[Head, ...] = ()
    before: HeadValue = None


@dataclass(slots=True)
class RowState:
    """The state of one row: field name to heads."""

    fields: dict[str, FieldState] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether any presence head is true."""
        state = self.fields.get("_alive")
        return state is not None and any(head.value is True for head in state.heads)


def same(a: HeadValue, b: HeadValue) -> bool:
    """Whether two values are equal as JSON (true is not 1, at any depth)."""
    if type(a) is not type(b) or a != b:
        return False
    return not isinstance(a, (list, dict)) or encode_unchecked(a) == encode_unchecked(b)


def standing(heads: Sequence[Head]) -> Sequence[Head]:
    """Return the heads that a rule looks at: those that are not erased; if every one is, all of them.

    What stands beside an erased head was written by somebody who had seen the erasure: it is no older value.
    """
    if all(head.value is not ERASED for head in heads):
        return heads
    return [head for head in heads if head.value is not ERASED] or heads


def is_conflict(heads: Sequence[Head]) -> bool:
    """Whether there is more than one distinct value among the heads that stand."""
    heads = standing(heads)
    return any(not same(heads[0].value, head.value) for head in heads[1:])


def fold_write(
    state: FieldState, head: Head, over: Iterable[Dot], declared: Field | None, workflow: Workflow | None
) -> FieldState:
    """Return *state* after an accepted write. *declared* is None for protocol fields and unknown ones (`last`)."""
    replaced = set(over)
    heads = (*(h for h in state.heads if h.dot not in replaced), head)
    if not is_conflict(heads):
        return FieldState(heads)
    before = state.before if is_conflict(state.heads) else shown(state, declared, workflow)
    return FieldState(heads, before)


def shown(state: FieldState, declared: Field | None, workflow: Workflow | None) -> HeadValue:
    """Return the value that the field's rule shows; None without heads. Source: protocol page, section 12."""
    heads = standing(state.heads)
    if not heads:
        return None
    if len(heads) == 1:
        return heads[0].value
    rule = declared.merge if declared is not None else "last"
    if rule == "review":
        return state.before if is_conflict(heads) else heads[0].value
    if rule in ("max", "min"):
        return _extreme(heads, rule)
    if rule == "state" and workflow is not None:
        return _by_precedence(heads, state.before, workflow)
    return max(heads, key=lambda h: h.order).value


def _extreme(heads: Sequence[Head], rule: str) -> HeadValue:
    """Null is the least; equal types are guaranteed by the register. With a withheld head nobody can say."""
    if any(h.value is WITHHELD for h in heads):
        return WITHHELD
    present = [h.value for h in heads if h.value is not None]
    if not present or (rule == "min" and len(present) < len(heads)):
        return None
    # a later edition of the register may have changed the type: order by type first, the same for everybody
    return (max if rule == "max" else min)(present, key=lambda value: (type(value).__name__, value))


def _by_precedence(heads: Sequence[Head], before: HeadValue, workflow: Workflow) -> HeadValue:
    if needs_review(workflow, [h.value for h in heads]):
        return before

    def rank(head: Head) -> tuple[int, tuple[int, int, int]]:
        return (-precedence_rank(workflow, workflow.state(head.value)), head.order)

    return max(heads, key=rank).value


def shown_row(state: RowState, register: Register) -> dict[str, HeadValue]:
    """Return field name to shown value for every declared field that has heads."""
    result: dict[str, HeadValue] = {}
    for declared in register.fields:
        field_state = state.fields.get(declared.name)
        if field_state is not None:
            result[declared.name] = shown(field_state, declared, workflow_of(register, declared.name))
    return result


def declared_field(register: Register | None, name: str) -> Field | None:
    """Return what *register* declares about field *name*; None for protocol fields and unknown ones."""
    return register.find(name) if register is not None else None


def workflow_of(register: Register | None, name: str) -> Workflow | None:
    """Return the register's workflow if *name* is its field."""
    workflow = register.workflow if register is not None else None
    return workflow if workflow is not None and workflow.field == name else None
