"""Verdicts: whether an authentic changeset takes part in the fold. Pure. Source: protocol page, section 11, steps 7–16.

One module an idea: `trust_values` (steps 8 to 10), `trust_rights` (11), `trust_area` (12), `trust_steps` (13 to 15).
The centre judges with every field open. An auditor judges again with what is disclosed; what could not be looked at is
returned as `declared`, never guessed.
"""

from dataclasses import dataclass

import msgspec

from syncgov.core.commitment import Body
from syncgov.core.statement import ACCEPTED, Seen, Statement
from syncgov.core.trust_area import check_area
from syncgov.core.trust_case import Beside, Case, RefusedError, new_registrar, refuse_unless
from syncgov.core.trust_rights import check_roles
from syncgov.core.trust_steps import check_frozen, check_over, check_workflow
from syncgov.core.trust_values import check_classes, check_register_set, check_rows
from syncgov.core.trust_view import Ledger, registrar_certificate


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and the checks for which undisclosed inputs were needed (empty at the centre)."""

    verdict: str
    declared: frozenset[str] = frozenset()

    @property
    def reason(self) -> str:
        """The refusal code, empty if accepted."""
        return "" if self.verdict == ACCEPTED else self.verdict.removeprefix("refused:")


def judge(
    st: Statement, body: Body, *, received: int, index: int, ledger: Ledger, beside: Beside | None = None
) -> Judgement:
    """Return the verdict on an authentic changeset that is next in its device's chain.

    Args:
        body: as far as it is known; hidden writes make checks `declared`.
        received: ms UTC, as in the leaf. index: the leaf's.
        beside: what is known apart from body and leaf.

    Source: protocol page, section 11, steps 7 to 16.
    """
    size = ledger.seen_size(st)
    rebased = size != st.seen.size
    if rebased:
        st = msgspec.structs.replace(st, seen=Seen(st.seen.root, size))
    public = new_registrar(ledger.charters, body, index, st.dev)
    certificate = ledger.certificate(st.dev, index) if public is None else registrar_certificate(st.dev, public)
    assert certificate is not None, "step 2 comes before this"
    registers = ledger.registers(size)
    earlier = ledger.certificate(st.dev, size)
    whole = all(w is not None for w in body.writes)
    known = beside or Beside()
    signed = (known.second, known.erased)
    case = Case(st, body, received, index, ledger, registers, certificate, earlier, whole, *signed, rebased=rebased)
    try:
        for step in _STEPS:
            step(case)
    except RefusedError as refusal:
        return Judgement(f"refused:{refusal.reason}", frozenset(case.declared))
    return Judgement(ACCEPTED, frozenset(case.declared))


def _check_device(case: Case) -> None:
    """Step 7."""
    certificate = case.certificate
    refuse_unless(not certificate.revoked, "revoked")
    refuse_unless(certificate.valid_from <= case.received <= certificate.valid_to, "expired")


_STEPS = (
    _check_device,
    check_register_set,
    check_rows,
    check_classes,
    check_roles,
    check_area,
    check_over,
    check_frozen,
    check_workflow,
)
