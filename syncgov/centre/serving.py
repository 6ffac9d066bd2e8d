"""What a device is sent: the rows of its areas, the fields of its roles. Source: protocol page, sections 9 and 10."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from syncgov.core.canonical import b64, b64u
from syncgov.core.commitment import META_TABLE, Body, Write, open_body, parse_path, redact
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.core.tree import consistency_path, inclusion_path
from syncgov.core.trust import Certificate, RowKey
from syncgov.core.wire import MAX_PULL, EntryMessage, Pull, PullAnswer
from syncgov.errors import FormatError, RollbackError
from syncgov.storage.ledger import Ledger

_NULL = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class _Move:
    """A record that changed its area between two sizes; areas are codes or None (not there)."""

    record: RowKey
    old: str | None
    new: str | None


class Audience:
    """What one device may see at one log size."""

    def __init__(self, ledger: Ledger, certificate: Certificate) -> None:
        self._ledger = ledger
        self._certificate = certificate

    def covers(self, area: str | None) -> bool:
        """Whether an area code lies in the device's areas; no area at all is everybody's."""
        return area is None or area.startswith(self._certificate.areas)

    def tables(self, registers: RegisterSet) -> list[str]:
        """Return the registers of which the device may read some field."""
        return [name for name, register in registers.items() if register.readable(self._certificate.roles)]

    def redact(self, leaf: Leaf, body: Body) -> bytes:
        """Return the body as this device may see it."""
        registers = self._ledger.registers(leaf.changeset.statement.seen.size)
        roles = self._certificate.roles

        def keep(_position: int, write: Write) -> bool:
            path = parse_path(write.path)
            if path.table == META_TABLE:
                return any(registers[t].may_read(roles, "internal") for t in _tables(body) if t in registers)
            register = registers.get(path.table)
            if register is None:
                return False
            if path.table == "device" and path.key == self._certificate.dev:
                return True
            if not path.field.startswith("_") and register.find(path.field) is None:
                return False
            return register.may_read(roles, register.class_of(path.field))

        return redact(body, keep)


def _tables(body: Body) -> set[str]:
    return {path.table for _p, w in body.disclosed() if (path := parse_path(w.path)).table != META_TABLE}


def pull(ledger: Ledger, certificate: Certificate, request: Pull, checkpoint_text: str, newest: int) -> PullAnswer:
    """Return the next page for a device.

    Raises:
        RollbackError: the device has folded more than this log holds.
        FormatError: numbers that contradict each other.
    """
    target = request.target or newest
    if request.size > newest or target > newest:
        raise RollbackError(max(request.size, target), newest)
    if not (0 <= request.size <= request.after <= target and 1 <= request.limit <= MAX_PULL):
        raise FormatError("pull", "size, after, target and limit contradict each other")
    audience = Audience(ledger, certificate)
    moves = list(_moves(ledger, request.size, target))
    gained = [m for m in moves if m.old is not None and not audience.covers(m.old) and audience.covers(m.new)]
    lost = [m for m in moves if m.old is not None and audience.covers(m.old) and not audience.covers(m.new)]
    rows = _visible(ledger, audience, certificate, request, target)
    following = rows[-1][0] + 1 if len(rows) == request.limit else target
    skipped = {m.record for m in lost}
    rows = [row for row in rows if (row[3], row[4]) not in skipped or row[5] == certificate.dev]
    if request.after == request.size:
        rows = [*_history(ledger, gained, request.size), *rows]
    # the device has its own changesets, but not those of a record that was purged from it before
    mine = {row[0] for row in rows if row[5] == certificate.dev and row[0] >= request.size}
    messages = [_message(ledger, audience, row, target, known=row[0] in mine) for row in rows]
    return PullAnswer(
        checkpoint=checkpoint_text,
        consistency=[b64(h) for h in consistency_path(request.size, target, ledger.hash_at)] if request.size else [],
        entries=messages,
        keys=dict(_keys(ledger, {row[5] for row in rows} - {certificate.dev})),
        next=following,
        purge=[m.record for m in lost],
        target=target,
    )


_Row = tuple[int, bytes, bytes, str | None, str | None, str]  # idx, leaf, body, tbl, key, dev


def _visible(ledger: Ledger, audience: Audience, certificate: Certificate, request: Pull, target: int) -> list[_Row]:
    tables = [t for t in audience.tables(ledger.registers(target)) if t != "device"]
    areas = " OR ".join(["area IS NULL", *("area GLOB ? || '*'" for _ in certificate.areas)])
    # a record that moved is judged by where it is now, so leaves written before or after elsewhere are included
    sql = f"""
        SELECT idx, leaf, body, tbl, key, dev FROM _sg_leaf WHERE idx >= ? AND idx < ? AND (
            dev = ? OR (tbl = 'device' AND key = ?)
            OR (accepted AND tbl IN ({", ".join("?" * len(tables))}) AND ({areas}))
        ) ORDER BY idx LIMIT ?"""
    values = (request.after, target, certificate.dev, certificate.dev, *tables, *certificate.areas, request.limit)
    return ledger.conn.execute(sql, values).fetchall()


def _moves(ledger: Ledger, size: int, target: int) -> Iterator[_Move]:
    found = ledger.conn.execute(
        "SELECT DISTINCT a.tbl, a.key FROM _sg_area AS a WHERE a.idx >= ? AND a.idx < ? "
        "AND EXISTS (SELECT 1 FROM _sg_area AS b WHERE b.tbl = a.tbl AND b.key = a.key AND b.idx < a.idx)",
        (size, target),
    ).fetchall()
    for record in found:
        old, new = ledger.area(record, size), ledger.area(record, target)
        yield _Move(record, old.code if old else None, new.code if new else None)


def _history(ledger: Ledger, gained: Iterable[_Move], size: int) -> Iterator[_Row]:
    """Yield the accepted leaves of gained records that the device has not been sent."""
    for move in gained:
        yield from ledger.conn.execute(
            "SELECT idx, leaf, body, tbl, key, dev FROM _sg_leaf WHERE tbl = ? AND key = ? AND accepted AND idx < ?",
            (*move.record, size),
        )


def _message(ledger: Ledger, audience: Audience, row: _Row, target: int, *, known: bool) -> EntryMessage:
    index, raw, raw_body, _table, _key, _dev = row
    leaf = parse_leaf(raw)
    body = _NULL
    if not known:
        body = msgspec.Raw(audience.redact(leaf, open_body(raw_body, leaf.changeset.statement)))
    path = [b64(h) for h in inclusion_path(index, target, ledger.hash_at)]
    return EntryMessage(body, index, msgspec.Raw(raw), path)


def certificate_message(ledger: Ledger, index: int, target: int, dev: str) -> EntryMessage:
    """Return the log entry of a device's own certificate, whole, for the answer to `join`."""
    certificate = ledger.certificate(dev, index + 1)
    assert certificate is not None, "it was just logged"
    (entry,) = ledger.entries(index, index + 1)
    row = (entry[0], entry[1], entry[2], "device", dev, "")
    return _message(ledger, Audience(ledger, certificate), row, target, known=False)


def own(ledger: Ledger, certificate: Certificate, after: int, checkpoint_text: str, newest: int) -> PullAnswer:
    """Return the device's own logged entries after seq *after*, whole; `next` is the last seq sent."""
    rows = ledger.conn.execute(
        "SELECT idx, leaf, body, dev, seq FROM _sg_leaf WHERE dev = ? AND seq > ? AND idx < ? ORDER BY idx LIMIT ?",
        (certificate.dev, after, newest, MAX_PULL),
    ).fetchall()
    entries = []
    for index, raw, raw_body, _dev, _seq in rows:
        path = [b64(h) for h in inclusion_path(index, newest, ledger.hash_at)]
        entries.append(EntryMessage(msgspec.Raw(raw_body), index, msgspec.Raw(raw), path))
    last = rows[-1][4] if rows else after
    return PullAnswer(checkpoint_text, [], entries, {}, last, [], newest)


def _keys(ledger: Ledger, devices: Iterable[str]) -> Iterator[tuple[str, str]]:
    for dev in sorted(devices):
        certificate = ledger.certificate(dev, ledger.size)
        if certificate is not None:
            yield dev, b64u(certificate.public_key)
