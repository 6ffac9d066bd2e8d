"""Signing anew the work of another replica file: of a revoked device, or of one that enrolled again.

What the file holds is verified first; who adopts signs with an own key, role and area, and the note says from where.
Source: protocol page, sections 6 and 13.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from syncgov.core.canonical import unb64u
from syncgov.core.charter import open_charter
from syncgov.core.commitment import META_TABLE, Body, Dot, format_path, meta_path, open_body, parse_path
from syncgov.core.keys import device_id
from syncgov.core.merge import same
from syncgov.core.statement import Changeset, parse_changeset, parse_leaf, verify_changeset
from syncgov.core.trust_case import MAX_META_CHARS
from syncgov.errors import FormatError, InputError, NotAllowedError, SignatureError, StorageError
from syncgov.storage.capture import FieldWrite
from syncgov.storage.connection import Meta, connect, transaction
from syncgov.storage.erasing import erased_positions, is_erased
from syncgov.storage.labels import record_label
from syncgov.storage.replica import Replica
from syncgov.storage.rights import record_of_row, require_signed, require_writable
from syncgov.storage.schema import SCHEMA_VERSION
from syncgov.storage.state import RowKey, load_row

ADOPTED = "补签"  # begins the note of an adopted changeset; device, number and hash follow
HASH_CHARACTERS = 16  # 96 bits tell apart what two clones signed under one number


@dataclass(frozen=True, slots=True)
class Work:
    """A changeset of another device that no verdict has accepted, verified."""

    changeset: Changeset
    body: Body

    @property
    def dot(self) -> Dot:
        """Its device and number."""
        return self.changeset.statement.dot

    @property
    def name(self) -> str:
        """What the note of its adoption says: device, number and the beginning of the envelope's hash."""
        return f"{self.dot[0]}.{self.dot[1]} {self.changeset.envelope.hash[:HASH_CHARACTERS]}"

    def meta(self, field: str) -> str:
        """Return `by` or `note`, empty if there is none."""
        found = self.body.find(meta_path(self.dot, field))
        return found.value if found is not None and isinstance(found.value, str) else ""


@dataclass(slots=True)
class Adopted:
    """What became of another device's unsettled work.

    Attributes:
        device: whose work it was.
        signed: (its number, 0 if it had none, the new number here, what people call the record).
        known: numbers that had been adopted, or accepted, before.
        left: (number, why it could not be adopted).
        unsigned: rows that were written there and never signed: nobody can say by whom.
    """

    device: str = ""
    signed: list[tuple[int, int, str]] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    left: list[tuple[int, InputError | NotAllowedError]] = field(default_factory=list)
    unsigned: int = 0


def adopt(replica: Replica, path: Path, staff: str | None = None) -> Adopted:
    """Sign anew what the replica file at *path* holds and no verdict has accepted. Doing it again changes nothing.

    Values are written over what their author had seen, so that what others wrote since stays visible as a conflict.

    Args:
        path: the other device's replica; its key is not needed.

    Raises:
        StorageError: no replica. InputError: one of another centre, or newer than this replica.
        SignatureError, FormatError: the file was changed by somebody who has not the device's key.
        NotAllowedError: unsigned writes wait here, or the person may not write here.
    """
    replica.person(staff)
    with closing(_open(path)) as other:
        return _adopt(replica, other, staff, None)


def take_over(replica: Replica, other: Replica, staff: str | None = None) -> Adopted:
    """`adopt` for the same device under its new key: in the name of whoever wrote, and unsigned writes too.

    Whoever holds the old key holds what is written in its file; a restored file may not sign that any more.
    """
    return _adopt(replica, other.conn, staff, other)


def _seen(conn: sqlite3.Connection, found: Sequence[Work]) -> int:
    """Return the largest size that the work was written on; of a closed log it counts up to what was kept."""
    closed = json.loads(Meta(conn).get("closed", "[]"))
    most = min((int(each["kept"]) for each in closed), default=None)
    sizes = [work.changeset.statement.seen.size for work in found]
    return max((size if most is None else min(size, most) for size in sizes), default=0)


def _adopt(replica: Replica, conn: sqlite3.Connection, staff: str | None, other: Replica | None) -> Adopted:
    if open_charter(Meta(conn).get("charter").encode()).origin != replica.charter.origin:
        raise InputError("这份文件属于另一个中心", "that file belongs to another centre")
    found = list(unsettled(conn))
    accepted = {seq for (seq,) in conn.execute("SELECT seq FROM _sg_own WHERE verdict = 'accepted'")}
    unsigned = 0 if other is not None else int(conn.execute("SELECT count(*) FROM _sg_touched").fetchone()[0])
    done = Adopted(found[0].dot[0] if found else "", unsigned=unsigned)
    if done.device == replica.dev:
        raise InputError("这是本终端自己的文件，请用 sync", "this is the device's own file; use `syncgov sync`")
    if _seen(conn, found) > replica.seen.size:
        raise InputError(
            "本终端比那份文件旧，请先 sync", "that file is newer than this replica; run `syncgov sync` first"
        )
    with transaction(replica.conn):
        require_signed(replica)
        before = _adopted_before(replica, done.device) if found else {}
        adoption = _Adoption(replica, staff, accepted, before, done, keep_author=other is not None)
        adoption.run(found)
        if other is not None:
            adoption.run_unsigned(other)
    return done


def _open(path: Path) -> sqlite3.Connection:
    conn = connect(path)
    try:
        version = Meta(conn).get_int("schema")
        conn.execute("SELECT count(*) FROM _sg_own").fetchone()
    except sqlite3.Error as error:
        conn.close()
        raise StorageError(f"{path} 不是副本文件", f"{path} is not a replica") from error
    if version != SCHEMA_VERSION:
        conn.close()
        raise StorageError(f"{path} 的版本是 {version}，本程序需要 {SCHEMA_VERSION}", f"{path}: schema {version}")
    return conn


def unsettled(conn: sqlite3.Connection) -> Iterator[Work]:
    """Yield the own changesets of a replica file that no leaf there accepts, in order, verified.

    Raises:
        SignatureError, FormatError: not what the device signed.
    """
    rows = conn.execute(
        "SELECT envelope, body FROM _sg_own WHERE coalesce(verdict, '') <> 'accepted' AND length(body) > 0 ORDER BY seq"
    ).fetchall()
    for envelope, raw_body in rows:
        changeset = parse_changeset(envelope)
        verify_changeset(changeset, _public_key(conn, changeset.statement.dev))
        body = open_body(raw_body, changeset.statement)
        hidden = {position for position, write in enumerate(body.writes) if write is None}
        if not hidden <= erased_positions(conn, changeset.statement.dot):
            raise FormatError("body", "it is redacted")
        yield Work(changeset, body)


def _public_key(conn: sqlite3.Connection, dev: str) -> bytes:
    """Return the key that a replica's own certificate row holds; the device id authenticates it."""
    text = load_row(conn, ("device", dev)).shown("public_key", None)
    public = unb64u(text, 32) if isinstance(text, str) else b""
    if not public or device_id(public) != dev:
        raise SignatureError(dev)
    return public


def _adopted_before(replica: Replica, dev: str) -> dict[str, Dot]:
    """Return what anybody has adopted of *dev*, as far as this replica knows: name of the work -> new dot."""
    found: dict[str, Dot] = {}
    marker = f"{ADOPTED} {dev}."
    own = replica.conn.execute(
        "SELECT envelope, body FROM _sg_own WHERE coalesce(verdict, sent, '') NOT LIKE 'refused:%' "
        "AND instr(body, CAST(? AS BLOB))",
        (marker,),
    ).fetchall()
    logged = replica.conn.execute(
        "SELECT leaf, body FROM _sg_leaf WHERE accepted AND instr(body, CAST(? AS BLOB))", (marker,)
    ).fetchall()
    changesets = [(parse_changeset(raw), raw_body) for raw, raw_body in own]
    changesets += [(parse_leaf(raw).changeset, raw_body) for raw, raw_body in logged]
    for changeset, raw_body in changesets:
        st = changeset.statement
        note = open_body(raw_body, st).find(meta_path(st.dot, "note"))
        if note is not None and isinstance(note.value, str) and note.value.startswith(marker):
            found[" ".join(note.value.split(" ")[1:3])] = st.dot
    return found


@dataclass(slots=True)
class _Adoption:
    """One run: what the other device's numbers have become here."""

    replica: Replica
    staff: str | None
    accepted: set[int]
    before: Mapping[str, Dot]
    done: Adopted
    keep_author: bool
    became: dict[int, Dot] = field(default_factory=dict)

    def run(self, found: list[Work]) -> None:
        for work in found:
            seq = work.dot[1]
            if work.name in self.before:
                self.became[seq] = self.before[work.name]
            elif self._is_accepted(work):
                self.accepted.add(seq)
            if seq in self.became or seq in self.accepted:
                self.done.known.append(seq)
                continue
            try:
                new, record = self._sign(work)
            except (InputError, NotAllowedError) as error:
                self.done.left.append((seq, error))
                continue
            self.became[seq] = (self.replica.dev, new)
            self.done.signed.append((seq, new, record_label(self.replica, record)))

    def run_unsigned(self, other: Replica) -> None:
        """Sign what was written in the tables of *other* and never signed; what stands here already is left out."""
        for record, unsigned in other.unsigned_work().items():
            writes = [replace(w, over=self._over(other.dev, w.over)) for w in unsigned if self._is_news(w, other)]
            rows = {write.row for write in writes if write.name != "_alive"}
            named = {(write.row, write.name) for write in writes}
            writes += [w for w in self._presence(other, unsigned) if w.row in rows and (w.row, w.name) not in named]
            if not writes:
                continue
            try:
                require_writable(self.replica, writes)
                new = self.replica.sign(record, writes, self.staff, f"{ADOPTED} {other.dev}")
            except (InputError, NotAllowedError) as error:
                self.done.left.append((0, error))
            else:
                self.done.signed.append((0, new, record_label(self.replica, record)))

    def _is_news(self, write: FieldWrite, other: Replica) -> bool:
        if is_erased(self.replica.conn, format_path(*write.row, write.name), other.seen.size):
            return False
        register = self.replica.registers.get(write.row[0])
        return not same(load_row(self.replica.conn, write.row).local(write.name, register), write.value)

    def _presence(self, other: Replica, writes: list[FieldWrite]) -> list[FieldWrite]:
        return [replace(w, over=self._over(other.dev, w.over)) for w in writes if w.name == "_alive"]

    def _is_accepted(self, work: Work) -> bool:
        """Whether the centre took it all the same: its answer never reached the other device."""
        rows = self.replica.conn.execute("SELECT leaf FROM _sg_leaf WHERE dev = ? AND seq = ? AND accepted", work.dot)
        return any(parse_leaf(raw).changeset.envelope.hash == work.changeset.envelope.hash for (raw,) in rows)

    def _sign(self, work: Work) -> tuple[int, RowKey]:
        writes = [*self._writes(work)]
        if all(write.name.startswith("_") for write in writes) and not _is_presence_alone(work):
            raise InputError("没有可以补签的内容（可能已依法删除）", "nothing in it can be adopted; it may be erased")
        require_writable(self.replica, writes)
        records = {record_of_row(self.replica, write.row, writes) for write in writes}
        if len(records) != 1:
            raise InputError("各行不属于同一条记录", "its rows are not of one record")
        (record,) = records
        self._require_place(record, writes)
        return self.replica.sign(record, writes, self._person(work), _note(work)), record

    def _person(self, work: Work) -> str | None:
        author = work.meta("by")
        known = self.keep_author and author and (not self.replica.staff or author in self.replica.staff)
        return author if known else self.staff

    def _require_place(self, record: RowKey, writes: list[FieldWrite]) -> None:
        """A record that this device does not hold, and that the work does not make, lies elsewhere."""
        register = self.replica.registers[record[0]]
        stored = load_row(self.replica.conn, record)
        if register.area is None or stored.fields or stored.own:
            return
        declared = register.column_field(register.area)
        if not any(write.row == record and write.name == declared.name for write in writes):
            raise NotAllowedError(
                f"{register.label} {record[1]} 不在本终端的负责区域内，也不归本终端的责任单位",
                f"{register.name} {record[1]} lies outside this device's areas and is not one of its units'",
            )

    def _writes(self, work: Work) -> Iterator[FieldWrite]:
        for _position, write in work.body.disclosed():
            path = parse_path(write.path)
            if path.table == META_TABLE:
                continue
            register = self.replica.registers.get(path.table)
            if register is None or (not path.field.startswith("_") and register.find(path.field) is None):
                raise InputError(f"登记册已没有 {path.table}.{path.field}", f"{path.table}.{path.field} is gone")
            if is_erased(self.replica.conn, write.path, work.changeset.statement.seen.size):
                continue  # written before its author knew of the erasure: signing it anew would bring it back
            over = self._over(work.dot[0], write.over)
            public = register.class_of(path.field) == "public"
            yield FieldWrite((path.table, path.key), path.field, write.value, over, public)

    def _over(self, dev: str, over: tuple[Dot, ...]) -> tuple[Dot, ...]:
        """Return what the new write replaces: heads that are in the log, and what was adopted before it."""
        dots = set()
        for dot in over:
            if dot[0] != dev:
                dots.add(dot)
            elif dot[1] in self.became:
                dots.add(self.became[dot[1]])
            elif dot[1] in self.accepted:
                dots.add(dot)
        return tuple(sorted(dots))


def _is_presence_alone(work: Work) -> bool:
    """Whether the work made, deleted or restored a row and wrote no field."""
    paths = [parse_path(write.path) for _position, write in work.body.disclosed()]
    return all(path.field.startswith("_") for path in paths if path.table != META_TABLE)


def _note(work: Work) -> str:
    """Return the note of an adopted changeset: what it was, who had written it, and the note it had."""
    author = work.meta("by")
    words = filter(None, (ADOPTED, work.name, f"填报人 {author}" if author else "", work.meta("note")))
    return " ".join(words)[:MAX_META_CHARS]
