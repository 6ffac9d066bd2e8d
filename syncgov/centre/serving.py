"""What a device is sent: the rows of its areas, the fields of its roles. Source: protocol page, sections 9 and 10."""

from collections.abc import Iterable, Iterator
from functools import cache

import msgspec

from syncgov.core.canonical import b64, b64u
from syncgov.core.commitment import META_TABLE, Body, Write, open_body, parse_path, redact
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.core.tree import consistency_path, inclusion_path
from syncgov.core.trust_view import Area, Certificate, RowKey
from syncgov.core.wire import MAX_PULL, EntryMessage, Pull, PullAnswer
from syncgov.errors import FormatError, RollbackError
from syncgov.storage.ledger import Ledger

MAX_PAGE_BYTES = 8 << 20  # a reader takes at most 32 MiB; a gained record's history comes on top

_NULL = msgspec.Raw(b"null")


_Row = tuple[int, bytes, bytes, str | None, str | None, str]  # idx, leaf, body, tbl, key, dev


class Audience:
    """What one device may see at one log size."""

    def __init__(self, ledger: Ledger, certificate: Certificate, *, expired: bool = False) -> None:
        self._ledger = ledger
        self._certificate = certificate
        self._expired = expired  # then it hears of its own changesets and its certificate, and of nothing else
        self.hash_at = cache(ledger.hash_at)  # the paths of one page share most of their hashes

    def covers(self, area: Area | None) -> bool:
        """Whether an area lies in the device's areas; no area at all is everybody's."""
        return area is None or area.code.startswith(self._certificate.areas)

    def tables(self, registers: RegisterSet) -> list[str]:
        """Return the registers of which the device may read some field."""
        if self._expired:
            return []
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


def pull(ledger: Ledger, dev: str, request: Pull, checkpoint_text: str, newest: int, *, now_ms: int) -> PullAnswer:
    """Return the next page for a device.

    What it may see is decided by record: by the area where the record is at the target, not where each leaf was
    written. A record that came into its areas brings its history; one that left them is to be purged.

    Raises:
        RollbackError: the device has folded more than this log holds.
        FormatError: numbers that contradict each other.
    """
    target = request.target or newest
    if request.size > newest or target > newest:
        raise RollbackError(max(request.size, target), newest)
    if not (0 <= request.size <= request.after <= target and 1 <= request.limit <= MAX_PULL):
        raise FormatError("pull", "size, after, target and limit contradict each other")
    consistency = [b64(h) for h in consistency_path(request.size, target, ledger.hash_at)] if request.size else []
    certificate = ledger.certificate(dev, target)
    if certificate is None or _sees_otherwise(ledger.certificate(dev, request.size), certificate, request.size):
        return PullAnswer(checkpoint_text, consistency, [], {}, request.after, [], True, target)
    audience = Audience(ledger, certificate, expired=certificate.valid_to < now_ms)
    rows = _visible(ledger, audience, certificate, request, target)
    whole = len(rows) < request.limit
    rows, cut = _within_bytes(rows)
    following = target if whole and not cut else rows[-1][0] + 1
    # the device has its own changesets, but perhaps not those of a record that was purged from it before
    messages = [_message(ledger, audience, row, target, known=row[5] == dev and request.size > 0) for row in rows]
    purge: list[RowKey] = []
    if request.after == request.size:
        gained, purge = _moved(ledger, audience, dev, request.size, target)
        old = [row for record in gained for row in _history(ledger, record, request.size)]
        messages = [*(_message(ledger, audience, row, target, known=False) for row in old), *messages]
        rows = [*old, *rows]
    keys = dict(_keys(ledger, {row[5] for row in rows} - {dev}))
    return PullAnswer(checkpoint_text, consistency, messages, keys, following, purge, False, target)


def _sees_otherwise(earlier: Certificate | None, now: Certificate, size: int) -> bool:
    """Whether a device that has folded *size* leaves must begin anew: it has other areas or roles since."""
    return size > 0 and earlier is not None and (earlier.areas != now.areas or earlier.roles != now.roles)


def _within_bytes(rows: list[_Row]) -> tuple[list[_Row], bool]:
    """Return the first rows that make a page of about MAX_PAGE_BYTES, and whether any were left out."""
    size = 0
    for number, row in enumerate(rows, 1):
        size += len(row[1]) + len(row[2])
        if size >= MAX_PAGE_BYTES and number < len(rows):
            return rows[:number], True
    return rows, False


# where a record is at the target
_AREA_NOW = """(SELECT a.area FROM _sg_area AS a WHERE a.tbl = l.tbl AND a.key = l.key AND a.idx < :target
    ORDER BY a.idx DESC LIMIT 1)"""


# everybody hears of revocations, else nobody could see what is disputed; who uses the device stays hidden
_REVOCATION = """EXISTS (SELECT 1 FROM _sg_version AS v WHERE v.tbl = 'device' AND v.key = l.key AND v.idx = l.idx
    AND json_extract(v.fields, '$.revocation') IS NOT NULL)"""


def _visible(ledger: Ledger, audience: Audience, certificate: Certificate, request: Pull, target: int) -> list[_Row]:
    tables = [t for t in audience.tables(ledger.registers(target)) if t != "device"]
    values: dict[str, str | int] = {"after": request.after, "target": target, "dev": certificate.dev}
    values |= {"limit": request.limit} | {f"t{n}": table for n, table in enumerate(tables)}
    values |= {f"p{n}": prefix for n, prefix in enumerate(certificate.areas)}
    inside = " OR ".join(f"substr(now, 1, length(:p{n})) = :p{n}" for n in range(len(certificate.areas)))
    sql = f"""
        SELECT idx, leaf, body, tbl, key, dev FROM (
            SELECT l.*, {_AREA_NOW} AS now FROM _sg_leaf AS l WHERE l.idx >= :after AND l.idx < :target
        ) AS l WHERE dev = :dev OR (tbl = 'device' AND key = :dev)
            OR (tbl = 'device' AND accepted AND {_REVOCATION})
            OR (accepted AND tbl IN ({", ".join(f":t{n}" for n in range(len(tables)))}) AND (now IS NULL OR {inside}))
        ORDER BY idx LIMIT :limit"""
    return ledger.conn.execute(sql, values).fetchall()


def _moved(ledger: Ledger, audience: Audience, dev: str, size: int, target: int) -> tuple[list[RowKey], list[RowKey]]:
    """Return the records that came into the device's areas between two sizes, and those that it must not hold."""
    changed = ledger.conn.execute("SELECT DISTINCT tbl, key FROM _sg_area WHERE idx >= ? AND idx < ?", (size, target))
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
        before = ledger.area(record, size)
        had = before is not None and audience.covers(before)
        if audience.covers(ledger.area(record, target)):
            if before is not None and not had:
                gained.append(record)
        elif had or record in own:  # a device is not told of records that it never had
            lost.append(record)
    return sorted(gained), sorted(lost)


def _history(ledger: Ledger, record: RowKey, size: int) -> list[_Row]:
    """Return the accepted leaves of a record that the device has not been sent."""
    return ledger.conn.execute(
        "SELECT idx, leaf, body, tbl, key, dev FROM _sg_leaf WHERE tbl = ? AND key = ? AND accepted AND idx < ?",
        (*record, size),
    ).fetchall()


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
    return PullAnswer(checkpoint_text, [], entries, {}, last, [], False, newest)


def _keys(ledger: Ledger, devices: Iterable[str]) -> Iterator[tuple[str, str]]:
    for dev in sorted(devices):
        certificate = ledger.certificate(dev, ledger.size)
        if certificate is not None:
            yield dev, b64u(certificate.public_key)
