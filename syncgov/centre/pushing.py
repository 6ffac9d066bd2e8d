"""What a device sends, over the network or in a bundle: checked one by one, logged in order.

Source: protocol page, sections 10 and 11.
"""

from collections.abc import Sequence
from typing import Literal

from syncgov.centre.centre import Centre
from syncgov.centre.intake import Incoming, Outcome, authenticate
from syncgov.core import wire
from syncgov.core.statement import parse_changeset
from syncgov.errors import FormatError, NotAllowedError, SignatureError
from syncgov.storage.ledger import Ledger


def push_entries(centre: Centre, ledger: Ledger, dev: str, entries: Sequence[wire.PushEntry]) -> list[wire.PushResult]:
    """Log what device *dev* sent and return what became of each; what is not authentic is rejected alone.

    Args:
        ledger: to look things up in; a thread that does not hold the centre's lock gives its own reader.
    """
    checked = [_incoming(ledger, entry, dev) for entry in entries]
    outcomes = iter(centre.push([one for one in checked if isinstance(one, Incoming)]))
    return [_result(one, next(outcomes)) if isinstance(one, Incoming) else one for one in checked]


def _incoming(ledger: Ledger, entry: wire.PushEntry, dev: str) -> wire.PushResult | Incoming:
    seq = 0
    try:
        st = parse_changeset(bytes(entry.envelope)).statement
        seq = st.seq
        if st.dev != dev:
            raise NotAllowedError("只能上传本终端的记录", "a device pushes its own changesets only")
        return authenticate(ledger, bytes(entry.envelope), bytes(entry.body))
    except (FormatError, SignatureError, NotAllowedError) as error:
        return wire.PushResult(seq=seq, state="rejected", code=error.code, detail=error.en)


def _result(incoming: Incoming, outcome: Outcome) -> wire.PushResult:
    state: Literal["waiting", "logged"] = "waiting" if outcome.index is None else "logged"
    seq = incoming.changeset.statement.seq
    return wire.PushResult(seq=seq, state=state, index=outcome.index, verdict=outcome.verdict)
