"""The log of a centre as verdicts look at it: leaves and hashes, certificates, areas, heads, erasures.

Source: protocol page, sections 6, 8, 11.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from syncgov.core import tree
from syncgov.core.canonical import b64u, unb64u
from syncgov.core.charter import Charter
from syncgov.core.commitment import Body, Dot, format_path, open_body
from syncgov.core.fold import FoldWrite
from syncgov.core.merge import ERASED, Head, HeadValue
from syncgov.core.register import RegisterSet
from syncgov.core.staff_keys import STAFF_KEYS, staff_key_from
from syncgov.core.statement import Leaf, Statement, parse_leaf
from syncgov.core.succession import CHARTER_ROW, Charters, counted_seen
from syncgov.core.trust_values import record_of
from syncgov.core.trust_view import Area, Certificate, Logged, RowKey, StaffKey, registrar_certificate
from syncgov.storage.connection import Meta, quote
from syncgov.storage.files import parse_cached, system_registers
from syncgov.storage.schema import key_column
from syncgov.storage.state import field_state, load_row

_CACHED_BODIES = 4096  # about 20 MB; `over` usually names something recent
_CACHED_BODY_BYTES = 16_384  # larger ones are rare and would make that gigabytes
_LARGE_BYTES = 4 << 20  # of larger ones: an edit of a thousand rows asks for the few that it replaces a thousand times


@dataclass(frozen=True, slots=True)
class Chain:
    """The end of a device's chain: last logged seq, b64u hash of that envelope, its `seen`, and whether stopped."""

    seq: int
    hash: str
    seen: int
    stopped: bool


class LedgerView:
    """What is in the log of a centre, on one connection: implements `core.trust_view.Ledger`."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn
        self.meta = Meta(conn)
        self._logged: dict[Dot, Logged] = {}
        self._large: dict[Dot, tuple[Logged, int]] = {}
        self._sets: dict[int, RegisterSet] = {}
        self._charters: tuple[int, Charters] | None = None
        self.erased = 0  # what the file said when memory was last cleared

    @property
    def charter(self) -> Charter:
        """The charter in force now."""
        return self.charters.newest.charter

    @property
    def charters(self) -> Charters:
        """All charters of this log, by position. `meta` holds the first one, the log all of them."""
        sql = "SELECT coalesce(max(idx), -1) FROM _sg_version WHERE tbl = ? AND key = ?"
        last = self.conn.execute(sql, CHARTER_ROW).fetchone()[0]
        if self._charters is None or self._charters[0] != last:
            found = Charters(self.meta.get("charter").encode())
            sql = "SELECT idx, fields FROM _sg_version WHERE tbl = ? AND key = ? ORDER BY idx"
            for index, fields in self.conn.execute(sql, CHARTER_ROW).fetchall():
                found.take(str(json.loads(fields)["document"]).encode(), index)
            self._charters = (last, found)
        return self._charters[1]

    def seen_size(self, st: Statement) -> int:
        """The size that the statement's `seen` counts for; less than it says only where a log was closed."""
        return counted_seen(st.seen, self.charters.closings, self._root_text)

    def _root_text(self, size: int) -> str | None:
        return b64u(self.root(size)) if size <= self.size else None

    def forget(self) -> None:
        """Drop what is remembered in memory; call after a transaction was rolled back."""
        self._logged.clear()
        self._large.clear()
        self._sets.clear()
        self._charters = None

    # -- the tree --------------------

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self.meta.get_int("size")

    def hash_at(self, level: int, n: int) -> bytes:
        """Return the hash of perfect subtree *n* of 2**level leaves."""
        found = self.conn.execute("SELECT hash FROM _sg_hash WHERE level = ? AND n = ?", (level, n)).fetchone()
        return bytes(found[0])

    def root(self, size: int) -> bytes:
        """Return the root of the first *size* leaves."""
        return tree.root_from(size, self.hash_at)

    def leaf(self, index: int) -> Leaf:
        """Return the leaf at *index*."""
        return parse_leaf(self.conn.execute("SELECT leaf FROM _sg_leaf WHERE idx = ?", (index,)).fetchone()[0])

    def entries(self, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (index, leaf, body) of the leaves from *start* up to *end*."""
        yield from self.conn.execute(
            "SELECT idx, leaf, body FROM _sg_leaf WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end)
        )

    def received(self, index: int) -> int:
        """Return `received` of the leaf at *index*."""
        return self.leaf(index).received

    def index_of(self, envelope_hash: str) -> int | None:
        """Return the index of the leaf with this envelope, None if it is not in the log."""
        found = self.conn.execute("SELECT idx FROM _sg_envelope WHERE hash = ?", (envelope_hash,)).fetchone()
        return None if found is None else int(found[0])

    # -- what verdicts look at --------------------

    def chain(self, dev: str) -> Chain | None:
        """Return the end of a device's chain, None before its first changeset."""
        found = self.conn.execute("SELECT seq, hash, seen, stopped FROM _sg_chain WHERE dev = ?", (dev,)).fetchone()
        return None if found is None else Chain(found[0], found[1], found[2], bool(found[3]))

    def certificate(self, dev: str, size: int) -> Certificate | None:
        """The device's certificate as the leaves below *size* say."""
        registrar = self.charters.registrar(dev, size)
        if registrar is not None:
            return registrar_certificate(dev, registrar[0], revoked=not registrar[1])
        found = self._version("device", dev, size)
        return None if found is None else certificate_from(dev, *found)

    def staff_key(self, key_id: str, size: int) -> StaffKey | None:
        """The staff key as the leaves below *size* say."""
        found = self._version(STAFF_KEYS, key_id, size)
        return None if found is None else staff_key_from(key_id, *found)

    def staff_public(self, key_id: str) -> bytes | None:
        """The public key of a staff key that was ever registered, also if its row is gone since."""
        first = self.conn.execute(
            "SELECT idx FROM _sg_version WHERE tbl = ? AND key = ? ORDER BY idx LIMIT 1", (STAFF_KEYS, key_id)
        ).fetchone()
        key = None if first is None else self.staff_key(key_id, first[0] + 1)
        return None if key is None else key.public_key

    def floor(self, size: int) -> int:
        """`received` of leaf *size* − 1, ms UTC; 0 when *size* is 0 or beyond the log."""
        return self.received(size - 1) if 0 < size <= self.size else 0

    def enrolment(self, dev: str) -> str | None:
        """Return b64u of the hash that the device's first `prev` must name."""
        named = self.charters.enrolment(dev)
        if named is not None:
            return named
        first = self.conn.execute(
            "SELECT idx FROM _sg_version WHERE tbl = 'device' AND key = ? ORDER BY idx LIMIT 1", (dev,)
        ).fetchone()
        return None if first is None else self.leaf(first[0]).changeset.envelope.hash

    def registers(self, size: int) -> RegisterSet:
        """The register set active at *size*, system registers included."""
        last = self.conn.execute(
            "SELECT coalesce(max(idx), -1) FROM _sg_version WHERE tbl = 'register' AND idx < ?", (size,)
        ).fetchone()[0]
        if last not in self._sets:
            names = self.conn.execute(
                "SELECT DISTINCT key FROM _sg_version WHERE tbl = 'register' AND idx <= ?", (last,)
            ).fetchall()
            versions = ((name, self._version("register", name, last + 1)) for (name,) in names)
            found = [
                parse_cached(str(v[0]["text"]), f"{name}.yml")
                for name, v in versions
                if v is not None and v[0] is not None
            ]
            self._sets[last] = RegisterSet((*system_registers(), *found))
        return self._sets[last]

    def area(self, record: RowKey, size: int) -> Area | None:
        """The record's area below *size*."""
        found = self.conn.execute(
            "SELECT area FROM _sg_area WHERE tbl = ? AND key = ? AND idx < ? ORDER BY idx DESC LIMIT 1", (*record, size)
        ).fetchone()
        return None if found is None or found[0] is None else Area(found[0], True)

    def owner(self, record: RowKey, size: int) -> HeadValue:
        """The responsible unit that the record shows below *size*, None if there is none."""
        found = self.conn.execute(
            "SELECT owner FROM _sg_owner WHERE tbl = ? AND key = ? AND idx < ? ORDER BY idx DESC LIMIT 1",
            (*record, size),
        ).fetchone()
        return None if found is None else str(found[0]) if found[0] is not None else None

    def parent(self, row: RowKey) -> str | None:
        """The shown parent key of a child row."""
        register = self.registers(self.size).get(row[0])
        parent = register.parent if register is not None else None
        value = load_row(self.conn, row).shown(parent, register) if parent is not None else None
        return value if isinstance(value, str) else None

    def exists(self, row: RowKey) -> bool:
        """Whether an accepted leaf wrote the row's presence."""
        return "_alive" in load_row(self.conn, row).fields

    def children(self, record: RowKey, table: str) -> list[RowKey]:
        """Rows of *table* that show as children of the record."""
        register = self.registers(self.size).get(table)
        if register is None or register.parent is None:
            return []
        sql = f"SELECT {quote(key_column(register))} FROM {quote(table)} WHERE {quote(register.parent)} = ? ORDER BY 1"
        return [(table, key) for (key,) in self.conn.execute(sql, (record[1],)).fetchall()]

    def heads(self, row: RowKey, name: str) -> tuple[Head, ...]:
        """The heads that the field has now."""
        raw = load_row(self.conn, row).fields.get(name)
        return () if raw is None else field_state(raw).heads

    def replaced(self, row: RowKey, name: str, dot: Dot, size: int) -> bool:
        """Whether an accepted write below *size* replaced the field's write by *dot*."""
        if any(head.dot == dot for head in self.heads(row, name)):
            return False
        path = format_path(*row, name)
        record = record_of(self.registers(self.size), row, self.parent(row))
        if record is None:
            return False
        found = self.conn.execute(
            "SELECT dev, seq FROM _sg_leaf WHERE tbl = ? AND key = ? AND accepted AND idx < ?", (*record, size)
        ).fetchall()
        writes = (logged.find(path) for each in found if (logged := self.logged(each)) is not None)
        return any(write is not None and dot in write.over for write in writes)

    def logged(self, dot: Dot) -> Logged | None:
        """The changeset first logged under *dot*."""
        if dot in self._large:
            return self._large[dot][0]
        if dot not in self._logged:
            found = self.conn.execute(
                "SELECT idx, leaf, body FROM _sg_leaf WHERE dev = ? AND seq = ? ORDER BY idx LIMIT 1", dot
            ).fetchone()
            if found is None:
                return None
            leaf = parse_leaf(found[1])
            st = leaf.changeset.statement
            body = open_body(found[2], st)
            erased = () if None not in body.writes else tuple(self.erased_writes(found[0]).values())
            logged = Logged(found[0], leaf.accepted, leaf.effective, st, body, erased)
            if len(found[2]) > _CACHED_BODY_BYTES:
                self._keep_large(dot, logged, len(found[2]))
                return logged
            if len(self._logged) >= _CACHED_BODIES:
                self._logged.clear()
            self._logged[dot] = logged
        return self._logged[dot]

    def _keep_large(self, dot: Dot, logged: Logged, size: int) -> None:
        """Remember a large changeset, and forget the oldest ones beyond _LARGE_BYTES."""
        self._large[dot] = (logged, size)
        while len(self._large) > 1 and sum(each for _logged, each in self._large.values()) > _LARGE_BYTES:
            del self._large[next(iter(self._large))]

    def _version(self, table: str, key: str, size: int) -> tuple[dict[str, object] | None, int] | None:
        found = self.conn.execute(
            "SELECT fields, received FROM _sg_version WHERE tbl = ? AND key = ? AND idx < ? ORDER BY idx DESC LIMIT 1",
            (table, key, size),
        ).fetchone()
        return None if found is None else (json.loads(found[0]), found[1])

    # -- erasures --------------------

    def erased_writes(self, index: int) -> dict[int, FoldWrite]:
        """Return position -> what is known of the erased writes of a leaf."""
        rows = self.conn.execute("SELECT position, path, over FROM _sg_erased WHERE idx = ?", (index,))
        return {p: FoldWrite(path, ERASED, tuple((d, s) for d, s in json.loads(over))) for p, path, over in rows}

    def late_positions(self, body: Body, seen: int) -> set[int]:
        """Return the positions of writes whose path was erased before their author, who had folded *seen*, knew."""
        if seen >= self.meta.get_int("erased"):
            return set()
        sql = "SELECT 1 FROM _sg_erased WHERE path = ? AND at >= ? AND NOT late LIMIT 1"
        return {
            position
            for position, write in body.disclosed()
            if self.conn.execute(sql, (write.path, seen)).fetchone() is not None
        }


def certificate_from(dev: str, fields: dict[str, object] | None, since: int) -> Certificate | None:
    """Return the certificate that a row of the system register `device` says; None if the row is gone or damaged."""
    if fields is None:
        return None
    roles, areas, units, staff = (fields.get(name) for name in ("roles", "areas", "units", "people"))
    start, end, public = fields.get("valid_from"), fields.get("valid_to"), fields.get("public_key")
    if not (isinstance(roles, list) and isinstance(areas, list) and isinstance(public, str)):
        return None
    if not (isinstance(start, int) and isinstance(end, int)):
        return None
    return Certificate(
        dev,
        unb64u(public, 32),
        frozenset(map(str, roles)),
        tuple(map(str, areas)),
        start,
        end,
        tuple(map(str, staff)) if isinstance(staff, list) else (),
        fields.get("revocation") is not None,
        since,
        tuple(map(str, units)) if isinstance(units, list) else (),
    )
