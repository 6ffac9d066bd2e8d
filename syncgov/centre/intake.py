"""Intake of one changeset. Steps are those of protocol page, section 11."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from syncgov.core.canonical import b64u
from syncgov.core.commitment import Body, Write, open_body, redact
from syncgov.core.statement import Changeset, Statement, format_leaf, parse_changeset, parse_leaf, verify_changeset
from syncgov.core.trust import judge
from syncgov.errors import CommitmentError, LimitError, SignatureError, UnknownDeviceError
from syncgov.storage.ledger import Ledger

MAX_WAITING = 10_000  # changesets of one device whose predecessor is missing; more is an attack or a defect


@dataclass(frozen=True, slots=True)
class Incoming:
    """An authentic changeset: steps 1 to 3 and 5 are done."""

    changeset: Changeset
    raw_body: bytes
    body: Body
    erased: frozenset[int] = frozenset()  # positions that were erased while it waited: null stands in `body`


@dataclass(frozen=True, slots=True)
class Outcome:
    """Logged at `index` with `verdict`, or waiting (None)."""

    index: int | None
    verdict: str | None


def authenticate(ledger: Ledger, envelope: bytes, raw_body: bytes) -> Incoming:
    """Return the changeset if it is whole and its device's. Reads only; needs no transaction.

    Raises:
        FormatError, LimitError: step 1. UnknownDeviceError: step 2. SignatureError: step 3. CommitmentError: step 5.
    """
    changeset = parse_changeset(envelope)
    certificate = ledger.certificate(changeset.statement.dev, ledger.size)
    if certificate is None:
        raise UnknownDeviceError(changeset.statement.dev)
    verify_changeset(changeset, certificate.public_key)
    if len(changeset.envelope.signatures) > 1:
        # a staff key's signature: no register has staff keys yet, so it cannot be checked and is not taken
        raise SignatureError(changeset.envelope.signatures[1][0])
    body = open_body(raw_body, changeset.statement)
    if any(write is None for write in body.writes):
        raise CommitmentError("body", "it is redacted; a centre judges only what it can read whole")
    return Incoming(changeset, raw_body, body)


def take(ledger: Ledger, incoming: Incoming, now_ms: int) -> tuple[Outcome, list[int]]:
    """Log an authentic changeset, and those that waited for it; call inside a transaction.

    Returns:
        what became of it, and the indexes of all new leaves.
    """
    st = incoming.changeset.statement
    known = ledger.index_of(incoming.changeset.envelope.hash)
    if known is not None:  # step 4
        return Outcome(known, ledger.leaf(known).verdict), []
    chain = ledger.chain(st.dev)
    following = 1 if chain is None else chain.seq + 1
    if st.seq > following and not (chain is not None and chain.stopped):  # step 6
        _keep_waiting(ledger, incoming, now_ms)
        return Outcome(None, None), []
    index = _log(ledger, incoming, now_ms)
    new = [index]
    while (waiting := _next_waiting(ledger, st.dev)) is not None:
        new.append(_log(ledger, waiting, now_ms))
    return Outcome(index, ledger.leaf(index).verdict), new


def _log(ledger: Ledger, incoming: Incoming, now_ms: int) -> int:
    st = incoming.changeset.statement
    received = max(now_ms, ledger.meta.get_int("received"))
    verdict = _chain_refusal(ledger, st)
    if verdict is None:
        body, erased = incoming.body, incoming.erased
        verdict = judge(st, body, received=received, index=ledger.size, ledger=ledger, erased=erased).verdict
    incoming = strip(ledger, incoming)
    floor = ledger.received(st.seen.size - 1) if 0 < st.seen.size <= ledger.size else 0
    raw = format_leaf(incoming.changeset.envelope.raw, floor=min(floor, received), received=received, verdict=verdict)
    return ledger.append(parse_leaf(raw), incoming.raw_body, incoming.body, incoming.erased)


def strip(ledger: Ledger, incoming: Incoming) -> Incoming:
    """Return the changeset without the values that were erased before its author knew: nobody keeps them.

    Source: protocol page, section 15.
    """
    late = ledger.late_positions(incoming.body, incoming.changeset.statement.seen.size) - incoming.erased
    return without_values(incoming, late) if late else incoming


def without_values(incoming: Incoming, positions: Collection[int]) -> Incoming:
    """Return the changeset without the values at *positions*; everything else of those writes stays known."""
    erased = incoming.erased | set(positions)
    body = incoming.body
    raw = redact(body, lambda position, _write: position not in erased)
    writes = tuple(
        Write(w.path, None, w.over) if p in erased and w is not None else w for p, w in enumerate(body.writes)
    )
    return Incoming(incoming.changeset, raw, Body(writes, body.salts, body.digests), erased)


def read_waiting(envelope: bytes, raw_body: bytes, erased: str | None) -> Incoming:
    """Return a changeset as it was kept waiting."""
    changeset = parse_changeset(envelope)
    body = open_body(raw_body, changeset.statement)
    writes = list(body.writes)
    known = json.loads(erased) if erased else []
    for position, path, over in known:
        writes[position] = Write(path, None, tuple((dev, seq) for dev, seq in over))
    positions = frozenset(position for position, _path, _over in known)
    return Incoming(changeset, raw_body, Body(tuple(writes), body.salts, body.digests), positions)


def waiting_erased(incoming: Incoming) -> str | None:
    """Return what is kept beside a waiting body of its erased writes: JSON of [position, path, over], or nothing."""
    found = [[p, w.path, w.over] for p, w in incoming.body.disclosed() if p in incoming.erased]
    return json.dumps(found) if found else None


def _chain_refusal(ledger: Ledger, st: Statement) -> str | None:
    """Steps 6 and, for a stopped device, 7."""
    chain = ledger.chain(st.dev)
    if chain is not None and chain.stopped:
        return "refused:fork" if st.seq <= chain.seq else "refused:revoked"
    expected = (1, ledger.enrolment(st.dev)) if chain is None else (chain.seq + 1, chain.hash)
    if (st.seq, st.prev) != expected:
        return "refused:fork"
    folded_before = 0 if chain is None else chain.seen
    if not folded_before <= st.seen.size <= ledger.size or b64u(ledger.root(st.seen.size)) != st.seen.root:
        return "refused:over"
    return None


def _keep_waiting(ledger: Ledger, incoming: Incoming, now_ms: int) -> None:
    st = incoming.changeset.statement
    held = ledger.conn.execute("SELECT count(*) FROM _sg_waiting WHERE dev = ?", (st.dev,)).fetchone()[0]
    if held >= MAX_WAITING:
        raise LimitError("chain", f"{held} changesets wait for a missing predecessor")
    incoming = strip(ledger, incoming)
    ledger.conn.execute(
        "INSERT OR IGNORE INTO _sg_waiting VALUES (?, ?, ?, ?, ?, ?)",
        (*st.dot, incoming.changeset.envelope.raw, incoming.raw_body, now_ms, waiting_erased(incoming)),
    )


def _next_waiting(ledger: Ledger, dev: str) -> Incoming | None:
    chain = ledger.chain(dev)
    following = 1 if chain is None else chain.seq + 1
    found = ledger.conn.execute(
        "DELETE FROM _sg_waiting WHERE dev = ? AND seq = ? RETURNING envelope, body, erased", (dev, following)
    ).fetchall()
    if not found:
        return None
    return read_waiting(*found[0])
