"""What a device is sent: the rows of its areas and units, the fields of its roles.

Source: protocol page, sections 9 and 10.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache
from itertools import chain

import msgspec

from syncgov.core.canonical import b64, b64u
from syncgov.core.commitment import META_TABLE, Body, Write, open_body, parse_path, redact
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.core.tree import consistency_path, inclusion_path
from syncgov.core.trust_view import Certificate, RowKey
from syncgov.core.wire import MAX_PULL, EntryMessage, Pull, PullAnswer
from syncgov.errors import FormatError, RollbackError
from syncgov.storage.ledger import Ledger

MAX_PAGE_BYTES = 8 << 20  # a reader takes at most 32 MiB, and a page may end with one body of 1 MiB

_NULL = msgspec.Raw(b"null")


_Row = tuple[int, bytes, bytes, str | None, str | None, str]  # idx, leaf, body, tbl, key, dev


class Audience:
    """What one device may see at one log size."""

    def __init__(self, ledger: Ledger, certificate: Certificate, *, expired: bool = False) -> None:
        self._ledger = ledger
        self._certificate = certificate
        self._expired = expired  # then it hears of its own changesets and its certificate, and of nothing else
        self.hash_at = cache(ledger.hash_at)  # the paths of one page share most of their hashes

    def sees(self, record: RowKey, size: int) -> bool:
        """Whether the record, as it stands at *size*, lies in the device's areas or is one of its units'.

        No area at all is everybody's.
        """
        area = self._ledger.area(record, size)
        if area is None or area.code.startswith(self._certificate.areas):
            return True
        return self.has_units and self._ledger.owner(record, size) in self._certificate.units

    @property
    def has_units(self) -> bool:
        """Whether the device handles what some unit is responsible for."""
        return bool(self._certificate.units)

    def tables(self, registers: RegisterSet) -> list[str]:
        """Return the registers of which the device may read some field."""
        if self._expired:
            return []
        return [name for name, register in registers.items() if register.readable(self._certificate.roles)]

    def redact(self, leaf: Leaf, body: Body) -> bytes:
        """Return the body as this device may see it."""
        registers = self._ledger.registers(self._ledger.seen_size(leaf.changeset.statement))
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


def pull(ledger: Ledger, dev: str, request: Pull, checkpoint_text: str, newest: int, *, now_ms: int) -> PullAnswer:
    """Return the next page for a device.

    What it may see is decided by record: by its area and unit at the target, not by those when each leaf was
    written. A record that came into its areas, or to its units, brings its history; one that left is to be purged.

    Raises:
        RollbackError: the device has folded more than this log holds.
        FormatError: numbers that contradict each other.
    """
    target = request.target or newest
    if request.size > newest or target > newest:
        raise RollbackError(max(request.size, target), newest)
    if not (0 <= request.size <= target and 0 <= request.after <= target and 1 <= request.limit <= MAX_PULL):
        raise FormatError("pull", "size, after, target and limit contradict each other")
    consistency = [b64(h) for h in consistency_path(request.size, target, ledger.hash_at)] if request.size else []
    certificate = ledger.certificate(dev, target)
    if certificate is None or _sees_otherwise(ledger.certificate(dev, request.size), certificate, request.size):
        return PullAnswer(checkpoint_text, consistency, [], {}, request.after, [], True, target)
    audience = Audience(ledger, certificate, expired=certificate.valid_to < now_ms)
    purge: list[RowKey] = []
    history: list[int] = []
    if request.after < max(request.size, 1):  # what lies below `size` are the histories of gained records
        gained, lost = _moved(ledger, audience, dev, request.size, target)
        purge = lost if request.after == 0 else []
        history = _history(ledger, gained, request.after, request.size)
    with closing(_visible(ledger, audience, certificate, request, target)) as fresh:
        rows, whole = _page(chain(_rows(ledger, history), fresh), request.limit)
    following = target if whole else rows[-1][0] + 1
    # the device has its own changesets, but perhaps not those of a record that was purged from it before
    known = [row[5] == dev and 0 < request.size <= row[0] for row in rows]
    messages = [_message(ledger, audience, row, target, known=had) for row, had in zip(rows, known, strict=True)]
    keys = dict(_keys(ledger, {row[5] for row in rows} - {dev})) | _staff_keys(ledger, (row[1] for row in rows))
    return PullAnswer(checkpoint_text, consistency, messages, keys, following, purge, False, target)


def _sees_otherwise(earlier: Certificate | None, now: Certificate, size: int) -> bool:
    """Whether a device that has folded *size* leaves must begin anew: it has other areas, units or roles since.

    Or its certificate had run out before it was renewed: what it folded meanwhile was its own work alone.
    """
    if size == 0 or earlier is None:
        return False
    if earlier.valid_to < now.since:
        return True
    return (earlier.areas, earlier.units, earlier.roles) != (now.areas, now.units, now.roles)


def acknowledges(certificate: Certificate, answer: PullAnswer, now_ms: int) -> bool:
    """Whether the `size` of a pull says that the device has heard of everything below it that is its to see."""
    return not answer.reset and certificate.valid_to >= now_ms


def _page(rows: Iterable[_Row], limit: int) -> tuple[list[_Row], bool]:
    """Return the first *limit* rows, fewer if they make MAX_PAGE_BYTES, and whether these are all."""
    found: list[_Row] = []
    size = 0
    for row in rows:
        if len(found) == limit or size >= MAX_PAGE_BYTES:
            return found, False
        found.append(row)
        size += len(row[1]) + len(row[2])
    return found, True


# where a record is at the target
_AREA_NOW = """(SELECT a.area FROM _sg_area AS a WHERE a.tbl = l.tbl AND a.key = l.key AND a.idx < :target
    ORDER BY a.idx DESC LIMIT 1)"""
# whose it is then
_OWNER_NOW = _AREA_NOW.replace("a.area", "a.owner").replace("_sg_area", "_sg_owner")


# everybody hears of revocations, else nobody could see what is disputed; who uses the device stays hidden
_REVOCATION = """EXISTS (SELECT 1 FROM _sg_version AS v WHERE v.tbl = 'device' AND v.key = l.key AND v.idx = l.idx
    AND json_extract(v.fields, '$.revocation') IS NOT NULL)"""


def _visible(
    ledger: Ledger, audience: Audience, certificate: Certificate, request: Pull, target: int
) -> sqlite3.Cursor:
    tables = [t for t in audience.tables(ledger.registers(target)) if t != "device"]
    after = max(request.after, request.size)
    values: dict[str, str | int] = {"after": after, "target": target, "dev": certificate.dev}
    values |= {f"t{n}": table for n, table in enumerate(tables)}
    values |= {f"p{n}": prefix for n, prefix in enumerate(certificate.areas)}
    values |= {f"u{n}": unit for n, unit in enumerate(certificate.units)}
    inside = "".join(f" OR substr(now, 1, length(:p{n})) = :p{n}" for n in range(len(certificate.areas)))
    if certificate.units:
        inside += f" OR {_OWNER_NOW} IN ({', '.join(f':u{n}' for n in range(len(certificate.units)))})"
    sql = f"""
        SELECT idx, leaf, body, tbl, key, dev FROM (
            SELECT l.*, {_AREA_NOW} AS now FROM _sg_leaf AS l WHERE l.idx >= :after AND l.idx < :target
        ) AS l WHERE dev = :dev OR (tbl = 'device' AND key = :dev)
            OR (tbl = 'device' AND accepted AND {_REVOCATION})
            OR (accepted AND tbl IN ({", ".join(f":t{n}" for n in range(len(tables)))}) AND (now IS NULL{inside}))
        ORDER BY idx"""
    return ledger.conn.execute(sql, values)


def _moved(ledger: Ledger, audience: Audience, dev: str, size: int, target: int) -> tuple[list[RowKey], list[RowKey]]:
    """Return the records that became the device's to see between two sizes, and those that it must not hold."""
    sql = "SELECT tbl, key FROM _sg_area WHERE idx >= :size AND idx < :target"
    if audience.has_units:
        sql += " UNION SELECT tbl, key FROM _sg_owner WHERE idx >= :size AND idx < :target"
    changed = ledger.conn.execute(sql, {"size": size, "target": target})
    own = set(
        ledger.conn.execute(
            "SELECT DISTINCT tbl, key FROM _sg_leaf WHERE dev = ? AND idx >= ? AND idx < ? AND tbl IS NOT NULL",
            (dev, size, target),
        ).fetchall()
    )
    gained, lost = [], []
    tables = audience.tables(ledger.registers(target))
    for record in {*changed.fetchall(), *own}:
        if record[0] not in tables:
            continue
        before = ledger.area(record, size) is not None
        had = before and audience.sees(record, size)
        if audience.sees(record, target):
            if before and not had:
                gained.append(record)
        elif had or record in own:  # a device is not told of records that it never had
            lost.append(record)
    return sorted(gained), sorted(lost)


def _history(ledger: Ledger, records: Iterable[RowKey], after: int, size: int) -> list[int]:
    """Return the indexes, ascending, of the accepted leaves of records that the device has not been sent."""
    sql = "SELECT idx FROM _sg_leaf WHERE tbl = ? AND key = ? AND accepted AND idx >= ? AND idx < ?"
    return sorted(index for record in records for (index,) in ledger.conn.execute(sql, (*record, after, size)))


def _rows(ledger: Ledger, indexes: Iterable[int]) -> Iterator[_Row]:
    sql = "SELECT idx, leaf, body, tbl, key, dev FROM _sg_leaf WHERE idx = ?"
    return (ledger.conn.execute(sql, (index,)).fetchone() for index in indexes)


def _message(ledger: Ledger, audience: Audience, row: _Row, target: int, *, known: bool) -> EntryMessage:
    index, raw, raw_body, _table, _key, _dev = row
    leaf = parse_leaf(raw)
    body = _NULL
    if not known:
        body = msgspec.Raw(audience.redact(leaf, open_body(raw_body, leaf.changeset.statement)))
    path = [b64(h) for h in inclusion_path(index, target, audience.hash_at)]
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
    size = 0
    last = after
    for index, raw, raw_body, _dev, seq in rows:
        if size >= MAX_PAGE_BYTES:
            break
        size += len(raw) + len(raw_body)
        last = seq
        path = [b64(h) for h in inclusion_path(index, newest, ledger.hash_at)]
        entries.append(EntryMessage(msgspec.Raw(raw_body), index, msgspec.Raw(raw), path))
    keys = _staff_keys(ledger, (bytes(entry.leaf) for entry in entries))
    return PullAnswer(checkpoint_text, [], entries, keys, last, [], False, newest)


def _keys(ledger: Ledger, devices: Iterable[str]) -> Iterator[tuple[str, str]]:
    for dev in sorted(devices):
        certificate = ledger.certificate(dev, ledger.size)
        if certificate is not None:
            yield dev, b64u(certificate.public_key)


def _staff_keys(ledger: Ledger, leaves: Iterable[bytes]) -> dict[str, str]:
    """Return the keys of second signatures: id -> b64u."""
    found = {parse_leaf(raw).changeset.second for raw in leaves} - {None}
    keys = ((str(key_id), ledger.staff_public(str(key_id))) for key_id in found)
    return {key_id: b64u(public) for key_id, public in keys if public is not None}
