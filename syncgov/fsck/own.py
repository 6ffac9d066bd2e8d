"""What a replica signed itself: its chain, its key file, its verdicts, what it shows on top of the log."""

import json
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from syncgov.core.canonical import encode_unchecked, unb64u
from syncgov.core.commitment import META_TABLE, Body, parse_path
from syncgov.core.fold import RowKey
from syncgov.core.keys import SigningKey
from syncgov.core.statement import Changeset, parse_changeset, verify_changeset
from syncgov.errors import FormatError, SignatureError
from syncgov.fsck.derived import Context, read_blob
from syncgov.fsck.entries import read_body
from syncgov.fsck.opening import Settings, execute
from syncgov.fsck.refold import Own, equal
from syncgov.fsck.report import Report

LOGGED = "logged"  # the centre has it: the note that a replica also makes of what it fetched back


class _File(msgspec.Struct, forbid_unknown_fields=True):
    hash: str
    seed: str
    seq: int
    v: int


@dataclass(frozen=True, slots=True)
class Key:
    """A key file: the key, and the last (seq, envelope hash) that it remembers."""

    key: SigningKey
    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class OwnChangeset:
    """A row of `_sg_own`; the body is None where its record was purged after the verdict."""

    changeset: Changeset
    body: Body | None
    index: int | None
    verdict: str | None
    sent: str | None


@dataclass(slots=True)
class OwnChain:
    """The device, its public key if known, and what it signed, by seq."""

    dev: str
    public: bytes | None = None
    changesets: dict[int, OwnChangeset] = field(default_factory=dict)


def read_key(path: Path, report: Report) -> Key | None:
    """Return what a key file holds. Findings: key-missing."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
        return Key(SigningKey(unb64u(found.seed, 32)), found.seq, found.hash)
    except OSError as error:
        report.add("key-missing", path.name, error.strerror or "")
    except (msgspec.MsgspecError, ValueError, FormatError):
        report.add("key-missing", path.name, "JSON")
    return None


def check_chain(conn: sqlite3.Connection, settings: Settings, size: int, key: Key | None, report: Report) -> OwnChain:
    """Read what this device signed when at most *size* leaves were folded.

    Findings: own, own-missing, body, signature, meta, key-ahead, key-fork, key-other.
    """
    chain = OwnChain(_author(conn) or (key.key.id if key is not None else ""))
    if key is not None and key.key.id == chain.dev:
        chain.public = key.key.public
    elif key is not None:
        report.add("key-other", "key", key.key.id)
        key = None
    sql = "SELECT seq, envelope, body, idx, verdict, sent FROM _sg_own ORDER BY seq"
    for seq, envelope, body, index, verdict, sent in conn.execute(sql):
        found = _read(seq, bytes(envelope), bytes(body), index is not None, chain, report)
        if found is not None:
            chain.changesets[seq] = OwnChangeset(*found, index, verdict, sent)
    last = settings.number("last_seq")
    for seq in sorted({*range(1, last + 1)} - chain.changesets.keys()):
        if not report.suspect:  # else it is there and was named
            report.add("own-missing", f"_sg_own {seq}")
    closed = json.loads(settings.text("closed") or "[]")
    _check_links(chain, size, min((int(each["kept"]) for each in closed), default=None), report)
    if not report.suspect:
        _check_end(chain, settings, last, report)
    if key is not None:
        _check_key(key, chain, last, report)
    return chain


def _author(conn: sqlite3.Connection) -> str:
    """Return the device that signed the own changesets, empty if there are none."""
    for (envelope,) in conn.execute("SELECT envelope FROM _sg_own ORDER BY seq"):
        try:
            return parse_changeset(bytes(envelope)).statement.dev
        except FormatError:
            continue
    return ""


def _read(
    seq: int, envelope: bytes, body: bytes, judged: bool, chain: OwnChain, report: Report
) -> tuple[Changeset, Body | None] | None:
    where = f"_sg_own {seq}"
    try:
        changeset = parse_changeset(envelope)
    except FormatError as error:
        report.add("own", where, error.en)
        return None
    st = changeset.statement
    if st.dot != (chain.dev, seq):
        report.add("own", where, f"{st.dev}.{st.seq}")
        return None
    report.counts["own"] += 1
    if chain.public is not None:
        report.counts["signatures"] += 1
        try:
            verify_changeset(changeset, chain.public)
        except SignatureError as error:
            report.add("signature", where, error.en)
    if judged and not body:
        return changeset, None  # its record was purged from this device after the verdict
    opened = read_body(body, st, where, report)
    return None if opened is None else (changeset, opened)


def _check_links(chain: OwnChain, size: int, kept: int | None, report: Report) -> None:
    folded = 0
    for seq, own in sorted(chain.changesets.items()):
        st = own.changeset.statement
        before = chain.changesets.get(seq - 1)
        if before is not None and st.prev != before.changeset.envelope.hash:
            report.add("own", f"_sg_own {seq}", "prev")
        if kept is not None and st.seen.size > kept:  # seen of a log that was closed since: it counts for less now
            continue
        if not folded <= st.seen.size <= size:
            report.add("own", f"_sg_own {seq}", "seen")
        folded = max(folded, st.seen.size)


def _check_end(chain: OwnChain, settings: Settings, last: int, report: Report) -> None:
    """A `last_seq` that is too small would use a dot twice."""
    end = max(chain.changesets, default=0)
    last_hash = chain.changesets[end].changeset.envelope.hash if end else settings.text("last_hash")
    if (last, settings.text("last_hash")) != (end, last_hash):
        sql = "UPDATE _sg_meta SET value = ? WHERE key = ?"
        fix = execute((sql, (str(end), "last_seq")), (sql, (last_hash, "last_hash")))
        report.add("meta", "_sg_meta last_seq, last_hash", f"{last} ≠ {end}", fix=fix if last <= end else None)


def _check_key(key: Key, chain: OwnChain, last: int, report: Report) -> None:
    """A key file that remembers less than the replica is normal: it is written before sending only."""
    if key.seq > max(last, *chain.changesets, 0):
        report.add("key-ahead", "key", f"{key.seq} > {last}")
    elif key.seq in chain.changesets and chain.changesets[key.seq].changeset.envelope.hash != key.hash:
        report.add("key-fork", "key", f"seq {key.seq}")


def check_verdicts(chain: OwnChain, envelopes: dict[int, tuple[bytes, str]], report: Report) -> None:
    """Compare with the own leaves that are held: index -> (envelope, verdict). Findings: own-verdict."""
    logged = {envelope: (index, verdict) for index, (envelope, verdict) in sorted(envelopes.items(), reverse=True)}
    known = set()
    for seq, own in chain.changesets.items():
        known.add(own.changeset.envelope.raw)
        expected = logged.get(own.changeset.envelope.raw)
        if expected is None and own.index is not None and own.body is not None:
            report.add("leaf-missing", f"_sg_leaf {own.index}", f"_sg_own {seq}")
        elif expected is not None and (own.index, own.verdict) != expected:
            sql = "UPDATE _sg_own SET idx = ?, verdict = ? WHERE seq = ?"
            report.add("own-verdict", f"_sg_own {seq}", fix=execute((sql, (*expected, seq))))
    others = sorted(index for index, (envelope, _verdict) in envelopes.items() if envelope not in known)
    if others:
        numbers = ", ".join(map(str, others[:10]))
        report.note(
            f"日志里有本终端编号下的别的内容（第 {numbers} 条）：文件可能被复制过，请重新登记（join）",
            f"the log has other changesets under this device's id (leaves {numbers}): was the file copied? Join anew",
        )


def check_overlay(context: Context, chain: OwnChain) -> None:
    """Take over what this device wrote without a verdict; compare with what is noted. Findings: overlay."""
    written = _pending(chain)
    sql = "SELECT tbl, key, own FROM _sg_row WHERE own IS NOT NULL"
    stored = {(t, k): read_blob(raw) for t, k, raw in context.conn.execute(sql)}
    for row in sorted(written.keys() | stored.keys()):
        here = stored.get(row, {})
        right, overlay = _overlay(written.get(row, {}), here)
        if overlay:
            context.refold.overlay[row] = overlay
        if not right:
            value = None
            if overlay:
                value = encode_unchecked({name: [v, list(dot), list(over)] for name, (v, dot, over) in overlay.items()})
            sql = (
                "INSERT INTO _sg_row(tbl, key, state, own) VALUES (?, ?, CAST('{}' AS BLOB), ?) "
                "ON CONFLICT DO UPDATE SET own = excluded.own"
            )
            context.report.add("overlay", f"{row[0]} {row[1]}", fix=execute((sql, (*row, value))))


_Candidates = dict[str, list[tuple[Own, str | None]]]


def _pending(chain: OwnChain) -> dict[RowKey, _Candidates]:
    """Return for each field the own writes without verdict, oldest first."""
    found: dict[RowKey, _Candidates] = {}
    for _seq, own in sorted(chain.changesets.items()):
        if own.index is not None or own.body is None:
            continue
        for _position, write in own.body.disclosed():
            path = parse_path(write.path)
            if path.table != META_TABLE:
                fields = found.setdefault((path.table, path.key), {})
                one: Own = {path.field: (write.value, own.changeset.statement.dot, write.over)}
                fields.setdefault(path.field, []).append((one, own.sent))
    return found


def _overlay(written: _Candidates, here: dict[str, object] | None) -> tuple[bool, Own]:
    """Return whether what is noted is right, and what must be noted.

    What a restored replica fetched back from the centre is not noted: its verdict comes with the same sync.
    """
    right, result = here is not None, Own()
    for name in written.keys() | (here or {}).keys():
        noted = None if here is None else here.get(name)
        options = written.get(name, [])
        fallback = len(options) - 1
        while fallback >= 0 and options[fallback][1] == LOGGED and not _is(options[fallback][0], name, noted):
            fallback -= 1
        if fallback >= 0:
            result.update(options[fallback][0])
            right = right and _is(options[fallback][0], name, noted)
        else:
            right = right and noted is None
    return right, result


def _is(one: Own, name: str, noted: object) -> bool:
    value, dot, over = one[name]
    return equal(noted, [value, list(dot), [list(d) for d in over]])
