"""The logged verdict against the one judged again. Source: protocol page, section 11.

What is not disclosed can explain a difference only if a check that could have led to the logged verdict needed it;
then the verdict counts as declared by the centre (由中心声明). Every other difference is a finding.
"""

from typing import NamedTuple

from syncgov.audit.memory_ledger import MemoryLedger
from syncgov.audit.report import Report
from syncgov.core.commitment import Body, parse_path
from syncgov.core.statement import ACCEPTED, Leaf


class _Reason(NamedTuple):
    """First and last step of intake that may refuse so, and the kinds of undisclosed input that may be why."""

    first: int
    last: int
    kinds: frozenset[str]


def _reason(first: int, last: int, kinds: str = "") -> _Reason:
    return _Reason(first, last, frozenset(kinds.split()))


_REASONS = {
    "fork": _reason(6, 7),
    "revoked": _reason(7, 7),
    "expired": _reason(7, 7),
    "register": _reason(8, 9, "values"),
    "value": _reason(9, 12, "values"),
    "skeleton": _reason(10, 10, "values skeleton"),
    "role": _reason(11, 11, "values"),
    "person": _reason(11, 11, "person"),
    "second": _reason(11, 11, "second"),
    "area": _reason(12, 12, "area"),
    "over": _reason(6, 13, "values over"),
    "immutable": _reason(14, 14, "values"),
    "review": _reason(14, 15, "values transition"),
    "transition": _reason(15, 15, "transition"),
    "guard": _reason(15, 15, "transition guard"),
    "erased": _reason(9, 16, "values"),
}


def check_verdict(
    index: int,
    leaf: Leaf,
    body: Body,
    judged: str,
    declared: frozenset[str],
    ledger: MemoryLedger,
    report: Report,
) -> bool:
    """Compare a leaf's verdict with *judged*, for which *declared* kinds of input were not disclosed.

    Returns:
        whether the verdict may be right.

    Findings: verdict.
    """
    report.counts["verdicts"] += 1
    if judged == leaf.verdict:
        report.declared.update(declared)
    elif _is_explained(leaf, body, judged, declared, ledger):
        report.declared.update([*declared, leaf.verdict])
    else:
        zh = f"第 {index} 条的裁定是 {leaf.verdict}，按公开内容应是 {judged}"
        report.add("verdict", zh, f"leaf {index}: verdict {leaf.verdict}, judged again {judged}", index=index)
        return False
    return True


def _is_explained(leaf: Leaf, body: Body, judged: str, declared: frozenset[str], ledger: MemoryLedger) -> bool:
    """Whether an undisclosed input may have led the centre to its refusal."""
    if leaf.accepted:  # what is disclosed is enough to refuse
        return False
    reason = _REASONS[leaf.verdict.removeprefix("refused:")]
    if judged != ACCEPTED and reason.first > _REASONS[judged.removeprefix("refused:")].last:
        return False
    kinds = set(reason.kinds)
    if kinds & {"transition"} and not _shows_step(leaf, body, ledger):
        kinds.add("values")
    return bool(kinds & declared)


def _shows_step(leaf: Leaf, body: Body, ledger: MemoryLedger) -> bool:
    """Whether the step of a workflow is among what is disclosed."""
    registers = ledger.registers(ledger.seen_size(leaf.changeset.statement))
    for _position, write in body.disclosed():
        table, _key, field = parse_path(write.path)
        register = registers.get(table)
        if register is not None and register.workflow is not None and register.workflow.field == field:
            return True
    return False
