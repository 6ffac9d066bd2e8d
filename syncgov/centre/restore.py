"""Restoring a centre: the same tree goes on, or nothing is signed. Source: protocol page, section 16.

Everything is put together in CENTRE/.restoring; one rename of the database is the moment at which the new state begins.
"""

import json
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from syncgov.centre.backup import DATABASE, FILES, KEYS, copy_database, unpack
from syncgov.centre.centre import CLOSING
from syncgov.centre.copy import read_copy
from syncgov.centre.files import is_acceptable, named_files, note_kept
from syncgov.centre.sources import (
    Found,
    Known,
    held_checkpoint,
    named_leaves,
    read_devices,
    read_old_database,
    read_published,
)
from syncgov.core.canonical import b64u
from syncgov.core.commitment import open_body
from syncgov.core.note import Checkpoint
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.errors import InputError, LostEntriesError, StorageError
from syncgov.storage.blobs import BlobStore, files_folder
from syncgov.storage.connection import connect, transaction
from syncgov.storage.files import sync_folder, write_atomic
from syncgov.storage.ledger import Ledger

STAGE = ".restoring"
COPY = "copy.log"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where entries newer than the backup may be. `copy`: None is CENTRE/copy.log, if it is there."""

    copy: Path | None = None
    published: Path | None = None
    devices: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Missing:
    """An entry that nobody has whole. `device`: who wrote it, "" if not known; `hidden`: its parts that are missing."""

    index: int
    device: str
    hidden: int


@dataclass(slots=True)
class Restored:
    """What a restoration did. `signed`: the newest checkpoint that anybody holds; `complete`: the tree reaches it.

    `before`: entries in the backup; `incomplete`: private values that came back from nowhere; `files`: attachments that
    rows name and that are here, `files_missing`: those that are not: lost, or never brought.
    """

    before: int
    size: int = 0
    signed: int = 0
    root: str = ""
    complete: bool = False
    missing: list[Missing] = field(default_factory=list)
    incomplete: list[Missing] = field(default_factory=list)
    files: int = 0
    files_missing: int = 0


def _lost(centre: Path, done: Restored) -> LostEntriesError:
    first, second = f"syncgov restore {centre} --to-close …", f"syncgov close-log {centre} --root-key …"
    zh = f"签过 {done.signed} 条，只找回 {done.size} 条，缺 {done.signed - done.size} 条；没有恢复，什么也没有签。"
    en = f"{done.signed} entries were signed, {done.size} were found; nothing was restored and nothing signed. "
    return LostEntriesError(
        f"{zh}先找其他终端（--devices）和公开文件夹（--published）；都没有时：\n  1. {first}\n  2. {second}",
        f"{en}Look for other devices (--devices) and the published folder (--published); if there are none:\n"
        f"  1. {first}\n  2. {second}",
        done.missing,
    )


def _unvouched(centre: Path) -> LostEntriesError:
    first, second = f"syncgov restore {centre} --from … --to-close", f"syncgov close-log {centre} --root-key …"
    return LostEntriesError(
        "只有备份，无从得知之后签过什么：请给出第二份副本（--copy）、公开文件夹（--published）或终端（--devices）；"
        f"都没有时：\n  1. {first}\n  2. {second}",
        "a backup alone does not tell what was signed after it: name a second copy (--copy), the published folder "
        f"(--published) or devices (--devices); if there are none:\n  1. {first}\n  2. {second}",
    )


def restore(centre: Path, backup: Path | None, sources: Sources, *, to_close: bool = False) -> Restored:
    """Rebuild the database of the centre from a backup and whatever is newer.

    Args:
        backup: a file of `syncgov backup`; None: the database that lies in the folder.
        to_close: keep what is left although entries are missing; the centre then only lets its log be closed.

    Returns:
        what was rebuilt; the old database, if there was one, is kept as `central.db.before`.

    Raises:
        InputError: a damaged backup, or a source of another log. LostEntriesError: see there.
        StorageError: nothing to restore from, or no space; the old state stays.
    """
    stage = centre / STAGE
    try:
        centre.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(mode=0o700)
        _bring(centre, backup, stage)
        with closing(connect(stage / DATABASE)) as conn:
            ledger = Ledger(conn)
            done = _rebuild(centre, ledger, sources, old=backup is not None, to_close=to_close)
            _gather_files(ledger, BlobStore(stage / FILES), BlobStore(centre / FILES), sources.devices, done)
        if not done.complete and not to_close:
            raise _lost(centre, done)
        _put_in_place(centre, stage)
    except OSError as error:
        raise StorageError(f"恢复没有完成，原样未动：{error}", f"not restored, nothing has changed: {error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return done


def _bring(centre: Path, backup: Path | None, stage: Path) -> None:
    if backup is not None:
        unpack(backup, stage)
        return
    if not (centre / DATABASE).is_file():
        raise StorageError(
            f"{centre} 里没有数据库，请用 --from 给出备份", f"no database in {centre}; name a backup: --from"
        )
    copy_database(centre / DATABASE, stage / DATABASE)


def _rebuild(centre: Path, ledger: Ledger, sources: Sources, *, old: bool, to_close: bool) -> Restored:
    """Append what the sources hold; *old*: the database that is to be replaced is one of them."""
    log = ledger.charter.log
    done, found = Restored(ledger.size), Found()
    own = held_checkpoint(ledger.meta.get("checkpoint"))
    copy = sources.copy if sources.copy is not None else centre / COPY
    copied = _from_copy(ledger, copy) if sources.copy is not None or copy.is_file() else 0
    if sources.copy is not None and (centre / COPY).is_file():
        _from_copy(ledger, centre / COPY)
    published = 0
    if sources.published is not None:
        published = read_published(sources.published, log, found)
    read_devices(sources.devices, log, found)
    old = old and (centre / DATABASE).is_file() and read_old_database(centre / DATABASE, log, found)
    with transaction(ledger.conn):
        _take(ledger, found, done, published)
    _require(ledger, [*found.known, *([Known(own, "backup")] if own is not None else [])])
    if sources.devices or old:
        _from_devices(ledger, found, done)
    if own is not None:
        found.known.append(Known(own, "backup"))
    empty = Checkpoint(ledger.charter.origin, ledger.size, ledger.root(ledger.size))
    newest = max((each.checkpoint for each in found.known), key=lambda each: each.size, default=empty)
    done.size, done.signed, done.root = ledger.size, newest.size, b64u(newest.root)
    copied_all = copied >= (own.size if own is not None else 0)
    vouched = copied_all or old or sources.published is not None or bool(sources.devices)
    done.complete = vouched and ledger.size >= newest.size
    if not done.complete:
        if not vouched and not to_close:
            raise _unvouched(centre)
        done.missing += _missing(ledger, found, newest.size)
    _settle(ledger, done)
    return done


def _from_copy(ledger: Ledger, path: Path) -> int:
    """Append what the second copy holds and the database lacks; returns the number of its records."""
    count, size = 0, ledger.size
    with transaction(ledger.conn):
        for leaf, body in read_copy(path):
            if count < size:
                if ledger.conn.execute("SELECT leaf FROM _sg_leaf WHERE idx = ?", (count,)).fetchone() != (leaf,):
                    raise InputError(
                        f"{path} 第 {count} 条与数据库不同，不是同一本日志；请保留两者",
                        f"entry {count} of {path} is not the database's: another log; keep both",
                    )
            else:
                _append(ledger, parse_leaf(leaf), body)
            count += 1
    return count


def _append(ledger: Ledger, leaf: Leaf, raw_body: bytes) -> None:
    ledger.append(leaf, raw_body, open_body(raw_body, leaf.changeset.statement))


def _from_devices(ledger: Ledger, found: Found, done: Restored) -> None:
    """Take entries from devices only if they lead to the newest checkpoint: no single leaf is proven otherwise."""
    incomplete = len(done.incomplete)
    try:
        with transaction(ledger.conn):
            _take(ledger, found, done, max(found.leaves, default=-1) + 1)
            _require(ledger, found.known)
            newest = max(each.checkpoint.size for each in found.known)
            if ledger.size < newest:
                raise _NotEnoughError
    except _NotEnoughError:
        ledger.forget()
        del done.incomplete[incomplete:]


class _NotEnoughError(Exception):
    pass


def _take(ledger: Ledger, found: Found, done: Restored, end: int) -> None:
    """Append entries up to *end*, one after the other, as long as leaf and body are there."""
    for index, leaf in named_leaves(found, ledger.size, end):
        body = None if leaf is None else found.body(index, leaf)
        if leaf is None or body is None:
            return
        opened = open_body(body, leaf.changeset.statement)
        hidden = sum(write is None for write in opened.writes)
        if hidden:
            done.incomplete.append(Missing(index, leaf.changeset.statement.dev, hidden))
        ledger.append(leaf, body, opened)


def _missing(ledger: Ledger, found: Found, end: int) -> list[Missing]:
    missing = []
    for index, leaf in named_leaves(found, ledger.size, end):
        st = None if leaf is None else leaf.changeset.statement
        if leaf is None or st is None or found.body(index, leaf) is None:
            missing.append(Missing(index, "" if st is None else st.dev, 0 if st is None else st.n))
    return missing


def _require(ledger: Ledger, known: Sequence[Known]) -> None:
    """Every checkpoint that is covered must be one of this tree."""
    for each in known:
        if each.checkpoint.size <= ledger.size and ledger.root(each.checkpoint.size) != each.checkpoint.root:
            raise InputError(
                f"重建的日志与 {each.where} 里签过的检查点（{each.checkpoint.size} 条）不同，没有恢复；请保留所有文件",
                f"what was rebuilt does not lead to the signed checkpoint of {each.checkpoint.size} entries in "
                f"{each.where}; nothing was restored, keep all files",
            )


def _settle(ledger: Ledger, done: Restored) -> None:
    """Codes handed out before may have been used since: they are void. What waited and is logged waits no more."""
    closing_note = json.dumps({"root": done.root, "size": done.signed}) if not done.complete else ""
    with transaction(ledger.conn):
        ledger.conn.execute("UPDATE _sg_code SET used = 'restored' WHERE used IS NULL")
        ledger.conn.execute(
            "DELETE FROM _sg_waiting WHERE seq <= (SELECT c.seq FROM _sg_chain AS c WHERE c.dev = _sg_waiting.dev)"
        )
        ledger.repair_tables()
        incomplete = {*json.loads(ledger.meta.get("incomplete", "[]")), *(each.index for each in done.incomplete)}
        ledger.meta.set(**{CLOSING: closing_note, "incomplete": json.dumps(sorted(incomplete))})


def _gather_files(
    ledger: Ledger, staged: BlobStore, present: BlobStore, devices: Sequence[Path], done: Restored
) -> None:
    """Note the attachments that rows name: of the backup, still here, or beside a device's replica."""
    beside = [BlobStore(files_folder(path)) for path in devices]
    with transaction(ledger.conn):
        for sha256 in sorted(named_files(ledger)):
            found = staged if staged.has(sha256) else present
            if not found.has(sha256):
                found = _brought(ledger, sha256, beside, staged)
            if found.has(sha256):
                note_kept(ledger, sha256, found.path(sha256))
                done.files += 1
            else:
                done.files_missing += 1


def _brought(ledger: Ledger, sha256: str, devices: Sequence[BlobStore], staged: BlobStore) -> BlobStore:
    for each in devices:
        if each.has(sha256) and is_acceptable(ledger, sha256, data := each.read(sha256)):
            staged.put(data)
            break
    return staged


def _put_in_place(centre: Path, stage: Path) -> None:
    """Keys and charter first, where they are missing; then attachments; then the database, in one rename."""
    (centre / "keys").mkdir(mode=0o700, exist_ok=True)
    for name in KEYS:
        if (stage / "keys" / name).is_file() and not (centre / "keys" / name).is_file():
            write_atomic(centre / "keys" / name, (stage / "keys" / name).read_bytes(), mode=0o600)
    for name in KEYS[:2]:
        if not (centre / "keys" / name).is_file():
            raise StorageError(
                f"备份里没有密钥 {name}，请先把它放进 {centre / 'keys'}", f"put {name} into {centre / 'keys'} first"
            )
    if not (centre / "charter.json").is_file() and (stage / "charter.json").is_file():
        write_atomic(centre / "charter.json", (stage / "charter.json").read_bytes())
    _place_files(BlobStore(stage / FILES), BlobStore(centre / FILES), stage / DATABASE)
    database = centre / DATABASE
    if database.is_file():
        _keep(centre, database)
    os.replace(stage / DATABASE, database)
    sync_folder(centre)


def _place_files(staged: BlobStore, store: BlobStore, database: Path) -> None:
    """Only what rows name: a file that came while the backup was made may have no row here."""
    with closing(connect(database)) as conn:
        noted = {sha256 for (sha256,) in conn.execute("SELECT sha256 FROM _sg_blob")}
    for sha256 in staged.names():
        if sha256 in noted:
            store.take(staged.path(sha256), sha256)


def _keep(centre: Path, database: Path) -> None:
    """Keep the old database under another name; it stays in place too until it is replaced."""
    _fold_wal(database)
    number, kept = 1, centre / f"{DATABASE}.before"
    while kept.exists():
        number, kept = number + 1, centre / f"{DATABASE}.before{number + 1}"
    os.link(database, kept)
    for side in ("-wal", "-shm"):
        beside = database.with_name(database.name + side)
        if beside.exists():
            os.replace(beside, kept.with_name(kept.name + side))
    sync_folder(centre)


def kept_databases(centre: Path) -> tuple[str, ...]:
    """Return the names of the databases that restorations have set aside; people delete them, no program reads them."""
    return tuple(sorted(path.name for path in centre.glob(f"{DATABASE}.before*") if path.suffix[1:].isalnum()))


def _fold_wal(database: Path) -> None:
    """Make the old database one file. A damaged one stays as it is.

    Raises:
        StorageError: another program, perhaps the server, has it open.
    """
    try:
        with closing(sqlite3.connect(database, isolation_level=None, timeout=0.2)) as conn:
            conn.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StorageError(
                "中心的数据库正被使用，请先停止同步服务",
                f"the centre's database is in use; stop the server first: {error}",
            ) from error
    except sqlite3.DatabaseError:
        return
