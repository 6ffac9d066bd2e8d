"""Steps of workflows that are about to be signed: what they demand of whoever signs. Source: protocol page, section 12.

The centre judges all guards. Said before signing is what cannot be mended afterwards: a second signature is part of
the envelope, and a deadline that has passed does not come back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from syncgov.core.commitment import Value
from syncgov.core.guards import due_of, is_before_expiry
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Register
from syncgov.core.workflow import Transition, Workflow, find_transition, needs_review
from syncgov.errors import NotAllowedError
from syncgov.storage.capture import FieldWrite
from syncgov.storage.state import RowKey, StoredRow


@dataclass(frozen=True, slots=True)
class Step:
    """A write of a workflow's field, the step it is, and the value that it leaves."""

    write: FieldWrite
    register: Register
    transition: Transition
    before: Value

    @property
    def words(self) -> tuple[str, str]:
        """What people call it, in Chinese and English."""
        return f"{self.register.label}“{self.transition.name}”", f"{self.register.name} {self.transition.name!r}"


def steps_of(
    writes: Sequence[FieldWrite], rows: Mapping[RowKey, StoredRow], registers: RegisterSet, roles: frozenset[str]
) -> Iterator[Step]:
    """Yield the steps among *writes* that *roles* may make; deciding a conflict is none.

    Args:
        rows: each row that is written, as it was before.
    """
    for write in writes:
        register = registers[write.row[0]]
        workflow = register.workflow
        if workflow is None or write.name != workflow.field:
            continue
        stored = rows[write.row]
        if _decides(workflow, stored):
            continue
        before = stored.local(workflow.field, register)
        transition = find_transition(workflow, workflow.state(before), str(workflow.state(write.value)), roles)
        if transition is not None:
            yield Step(write, register, transition, before)


def _decides(workflow: Workflow, stored: StoredRow) -> bool:
    raw = stored.fields.get(workflow.field)
    if raw is None or workflow.field in stored.own:
        return False
    return needs_review(workflow, [head[5] for head in raw[0]])


def needs_second(steps: Sequence[Step]) -> Step | None:
    """Return a step that a second person must sign, None if there is none."""
    return next((step for step in steps if "second_signature" in step.transition.guards), None)


def require_in_time(steps: Sequence[Step], at_ms: int) -> None:
    """Return if no step extends a deadline that has passed at *at_ms*, when the changeset will count at the earliest.

    Raises:
        NotAllowedError: names step and deadline.
    """
    for step in steps:
        if "before_expiry" in step.transition.guards and not is_before_expiry(step.before, at_ms):
            zh, en = step.words
            due = due_of(step.before)
            if due is None:
                raise NotAllowedError(f"{zh}：原来没有期限，不能延期", f"{en}: there is no deadline to extend")
            raise NotAllowedError(
                f"{zh}须在原期限（{due}）届满前提出，现已过期，没有签名；如本机时钟不对，请先校准",
                f"{en} must come before the present deadline ({due}) has passed; it was not signed. If this device's "
                "clock is wrong, set it first",
            )
