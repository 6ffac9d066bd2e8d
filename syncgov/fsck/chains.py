"""The chains of the devices in the log. Source: protocol page, sections 4 and 11 (step 6)."""

from dataclasses import dataclass

from syncgov.core.statement import Leaf
from syncgov.fsck.refold import Refold
from syncgov.fsck.report import Report

FORK = "refused:fork"


@dataclass(slots=True)
class End:
    """Where a device's chain ends: last seq, b64u hash of its envelope, the largest `seen`, whether it is stopped."""

    seq: int
    hash: str
    seen: int
    stopped: bool = False


class Chains:
    """Takes the leaves in order. `ends`: device id -> where its chain ends."""

    def __init__(self, refold: Refold, report: Report) -> None:
        self._refold, self._report = refold, report
        self._enrolments: dict[int, str] = {}  # index -> hash of a leaf's envelope
        self._size = 0
        self.ends: dict[str, End] = {}

    def take(self, leaf: Leaf, where: str) -> None:
        """Note the next leaf. Findings: chain."""
        st = leaf.changeset.statement
        end = self.ends.get(st.dev)
        start = self._start(st.dev)
        follows = (st.seq, st.prev) == ((1, start) if end is None else (end.seq + 1, end.hash))
        if leaf.verdict == FORK:
            if end is None:
                self.ends[st.dev] = End(0, start, 0, True)
            else:
                end.stopped = True
        else:
            if not follows and not (end is not None and end.stopped):
                self._report.add("chain", where, f"{st.dev}.{st.seq}")
            counted = self._refold.seen_size(st)
            seen = counted if end is None else max(end.seen, counted)
            self.ends[st.dev] = End(st.seq, leaf.changeset.envelope.hash, seen, end is not None and end.stopped)
        self._enrolments[self._size] = leaf.changeset.envelope.hash
        self._size += 1

    def _start(self, dev: str) -> str:
        """Return what the first `prev` of a device must name."""
        named = self._refold.charters.enrolment(dev)
        if named is not None:
            return named
        index = self._refold.enrolment(dev)
        return "" if index is None else self._enrolments.get(index, "")
