"""Intake of one changeset. Steps are those of protocol page, section 11."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from syncgov.core.canonical import b64u
from syncgov.core.commitment import Body, Write, open_body, redact
from syncgov.core.statement import (
    Changeset,
    envelope_hash,
    format_leaf,
    parse_changeset,
    parse_leaf,
    verify_changeset,
    verify_second,
)
from syncgov.core.succession import DOCUMENT, charter_document
from syncgov.core.trust import judge
from syncgov.core.trust_case import Beside, new_registrar
from syncgov.errors import CommitmentError, LimitError, UnknownDeviceError, UnknownKeyError
from syncgov.storage.ledger import Ledger

MAX_WAITING = 10_000  # changesets of one device whose predecessor is missing; more is an attack or a defect
MAX_WAITING_BYTES = 64 << 20  # of one device; a fortnight's work is a few MiB, and a certified thief fills no disk


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
        FormatError, LimitError: step 1. UnknownDeviceError, UnknownKeyError: step 2. SignatureError: step 3.
        CommitmentError: step 5.
    """
    changeset = parse_changeset(envelope)
    certificate = ledger.certificate(changeset.statement.dev, ledger.size)
    public = certificate.public_key if certificate is not None else _named(ledger, changeset, raw_body)
    if public is None:
        raise UnknownDeviceError(changeset.statement.dev)
    verify_changeset(changeset, public)
    if changeset.second is not None:
        second = ledger.staff_public(changeset.second)
        if second is None:
            raise UnknownKeyError(changeset.second)
        verify_second(changeset, second)
    body = open_body(raw_body, changeset.statement)
    if any(write is None for write in body.writes):
        raise CommitmentError("body", "it is redacted; a centre judges only what it can read whole")
    return Incoming(changeset, raw_body, body)


def _named(ledger: Ledger, changeset: Changeset, raw_body: bytes) -> bytes | None:
    """Return the key of a registrar that the charter in this very changeset names first."""
    if DOCUMENT.encode() not in raw_body:  # nobody else's body is parsed before its signature
        return None
    return new_registrar(
        ledger.charters, open_body(raw_body, changeset.statement), ledger.size, changeset.statement.dev
    )


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
    verdict = _chain_refusal(ledger, incoming)
    if verdict is None:
        beside = Beside(incoming.changeset.second, incoming.erased)
        judged = judge(st, incoming.body, received=received, index=ledger.size, ledger=ledger, beside=beside)
        verdict = judged.verdict
    incoming = strip(ledger, incoming)
    floor = ledger.floor(ledger.seen_size(st))
    raw = format_leaf(incoming.changeset.envelope.raw, floor=min(floor, received), received=received, verdict=verdict)
    return ledger.append(parse_leaf(raw), incoming.raw_body, incoming.body, incoming.erased)


def strip(ledger: Ledger, incoming: Incoming) -> Incoming:
    """Return the changeset without the values that were erased before its author knew: nobody keeps them.

    Source: protocol page, section 18.
    """
    late = ledger.late_positions(incoming.body, ledger.seen_size(incoming.changeset.statement)) - incoming.erased
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


def _chain_refusal(ledger: Ledger, incoming: Incoming) -> str | None:
    """Steps 6 and, for a stopped device, 7."""
    st = incoming.changeset.statement
    chain = ledger.chain(st.dev)
    if chain is not None and chain.stopped:
        return "refused:fork" if st.seq <= chain.seq else "refused:revoked"
    expected = (1, _enrolment(ledger, incoming)) if chain is None else (chain.seq + 1, chain.hash)
    if (st.seq, st.prev) != expected:
        return "refused:fork"
    folded_before, size = 0 if chain is None else chain.seen, ledger.seen_size(st)
    if not folded_before <= size <= ledger.size:
        return "refused:over"
    # what was seen of a closed log has a root that nobody can compute any more; it counts for less
    return None if size != st.seen.size or b64u(ledger.root(size)) == st.seen.root else "refused:over"


def _enrolment(ledger: Ledger, incoming: Incoming) -> str | None:
    """A registrar that a new charter names begins with that charter, in the changeset that brings it."""
    st, document = incoming.changeset.statement, charter_document(incoming.body)
    if document is not None and new_registrar(ledger.charters, incoming.body, ledger.size, st.dev) is not None:
        return ledger.charters.enrolment(st.dev) or envelope_hash(document)
    return ledger.enrolment(st.dev)


def _keep_waiting(ledger: Ledger, incoming: Incoming, now_ms: int) -> None:
    st = incoming.changeset.statement
    held, size = ledger.conn.execute(
        "SELECT count(*), coalesce(sum(length(envelope) + length(body)), 0) FROM _sg_waiting WHERE dev = ?", (st.dev,)
    ).fetchone()
    if held >= MAX_WAITING or size + len(incoming.raw_body) > MAX_WAITING_BYTES:
        raise LimitError("chain", f"{held} changesets ({size} bytes) wait for a missing predecessor")
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
