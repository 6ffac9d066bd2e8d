"""A centre: one folder with keys, charter, central database and second copy.

CENTRE/charter.json  central.db  copy.log  keys/{log,registrar}.key  roots/*.key  files/
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from syncgov.centre import erasing
from syncgov.centre.copy import SecondCopy
from syncgov.centre.drafting import Draft, draft_charter
from syncgov.centre.intake import Incoming, Outcome, authenticate, take
from syncgov.centre.registrar import sign_row
from syncgov.core.canonical import b64u
from syncgov.core.charter import Charter, open_charter, sign_charter
from syncgov.core.clock import Stamp
from syncgov.core.commitment import Value
from syncgov.core.file_list import sign_list
from syncgov.core.fold import ERASURES
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, parse_checkpoint, parse_note, sign_checkpoint
from syncgov.core.register_model import Register
from syncgov.core.statement import ACCEPTED, EMPTY_ROOT, Seen, envelope_hash
from syncgov.errors import InputError, StorageError, SyncgovError
from syncgov.storage import capture
from syncgov.storage.clock import Clock, wall_clock
from syncgov.storage.connection import connect, transaction
from syncgov.storage.figures import check_registers
from syncgov.storage.files import system_registers, write_atomic
from syncgov.storage.keyfile import load_key, store_key
from syncgov.storage.ledger import Ledger
from syncgov.storage.state import RowKey

NEW_REGISTRAR = "registrar.key.new"  # beside the old one until the charter that names it is logged
CLOSING = "closing"  # setting: what a restoration knows of the log that it could not complete


class Centre:
    """An open centre. Writers hold `lock`; every thread reads through its own connection (`reader`).

    Args:
        closing: open it only to close its log: nothing is signed under the present origin.

    Raises:
        StorageError: no centre; its log is not whole (says which command goes on).
    """

    def __init__(self, path: Path, *, clock: Clock = wall_clock, closing: bool = False) -> None:
        self.path = path
        self.clock = clock
        self.lock = threading.RLock()
        self.files_lock = threading.RLock()  # taken before `lock`, never after it
        self.ledger = Ledger(connect(path / "central.db"))
        self._log_key = load_key(path / "keys" / "log.key").key
        self.registrar = load_key(path / "keys" / "registrar.key").key
        self._entering = ""  # hash of the charter that names this registrar, while it is being logged
        self._copy = SecondCopy(path / "copy.log")
        self._notes = connect(path / "central.db", synchronous="NORMAL")
        self._local = threading.local()
        try:
            self._require_whole(closing)
            erasing.reapply(self.ledger)
            if not closing:
                self._catch_up()
            self.follow_charter()
            erasing.finish_scrub(self.ledger)
        except SyncgovError:
            self.close()
            raise

    @property
    def charter(self) -> Charter:
        """The charter in force."""
        return self.ledger.charter

    @classmethod
    def init(cls, path: Path, draft: Draft, registers: Sequence[Register], *, clock: Clock = wall_clock) -> "Centre":
        """Make a new centre: keys, charter, central database, and the registers as its first entries.

        Raises:
            StorageError: something is at *path* already.
            RegisterError: the registers do not fit together.
        """
        check_registers((*system_registers(), *registers))
        if path.exists() and any(path.iterdir()):
            raise StorageError(f"{path} 不是空文件夹", f"{path} is not an empty folder")
        roots = [SigningKey(secrets.token_bytes(32)) for _ in range(draft.roots)]
        log_key, registrar = SigningKey(secrets.token_bytes(32)), SigningKey(secrets.token_bytes(32))
        charter = sign_charter(draft_charter(draft, roots, log_key, registrar, clock()), roots)
        open_charter(charter)
        for folder in ("keys", "roots"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        for number, root in enumerate(roots, 1):
            store_key(path / "roots" / f"root-{number}.key", root, 0, "")
        store_key(path / "keys" / "log.key", log_key, 0, "")
        store_key(path / "keys" / "registrar.key", registrar, 0, "")
        write_atomic(path / "charter.json", charter)
        conn = connect(path / "central.db", create=True)
        with transaction(conn):
            ledger = Ledger.create(conn, charter)
            ledger.meta.set(charter_hash=envelope_hash(charter))
            ledger.repair_tables()
        conn.close()
        centre = cls(path, clock=clock)
        try:
            centre.write("charter", [("1", {"document": charter.decode()})])
            centre.write("register", [(r.name, {"text": r.text}) for r in registers])
        except SyncgovError:
            centre.close()
            raise
        return centre

    @property
    def copied(self) -> int:
        """How many entries the second copy holds."""
        with self._copy.locked() as count:
            return count

    def close(self) -> None:
        """Close files."""
        self._copy.close()
        self._notes.close()
        self.ledger.conn.close()

    def reader(self) -> Ledger:
        """Return this thread's ledger for reading."""
        if not hasattr(self._local, "ledger"):
            self._local.ledger = Ledger(connect(self.path / "central.db"))
        ledger: Ledger = self._local.ledger
        return ledger

    # -- intake --------------------

    def push(self, incoming: Sequence[Incoming]) -> list[Outcome]:
        """Log authentic changesets, in order; returns when database and second copy hold them."""
        with self.lock, self._logging():
            return [take(self.ledger, one, self.clock())[0] for one in incoming]

    @contextmanager
    def _logging(self) -> Iterator[None]:
        """One transaction, then the second copy, then the checkpoint."""
        try:
            with transaction(self.ledger.conn):
                erasing.notice(self.ledger)
                yield
                for key, columns in erasing.late_rows(self.ledger):
                    erasing.settle_late(self.ledger, key, self._write_row((ERASURES, key), columns))
        except BaseException:
            self.ledger.forget()
            raise
        self._catch_up()

    def _require_whole(self, closing: bool) -> None:
        """Refuse to serve what a restoration could not complete: a tree that is smaller than the signed one."""
        if self.ledger.meta.get(CLOSING) and not closing:
            raise StorageError(
                f"恢复没有补齐日志，不能服务；请用根密钥结束这本日志：syncgov close-log {self.path} --root-key 文件",
                f"the restored log lacks entries; close it with the root keys: "
                f"syncgov close-log {self.path} --root-key FILE",
            )

    def follow_charter(self) -> None:
        """Bring `charter.json` and the registrar's key in line with the log: after a new charter, or a power loss."""
        newest, keys = self.ledger.charters.newest, self.path / "keys"
        if newest.index < 0 and (self.path / "charter.json").is_file():
            return
        if not (self.path / "charter.json").is_file() or (self.path / "charter.json").read_bytes() != newest.raw:
            write_atomic(self.path / "charter.json", newest.raw)
        fresh = keys / NEW_REGISTRAR
        if fresh.is_file() and newest.charter.registrar_key((found := load_key(fresh)).key.id) is not None:
            store_key(keys / "registrar.key", found.key, 0, "")
            fresh.unlink()
        if newest.charter.registrar_key(self.registrar.id) is None:  # another process has changed it
            self.registrar = load_key(keys / "registrar.key").key

    def _catch_up(self) -> None:
        """Bring second copy and checkpoint up to the database; at start, after a power loss between the two."""
        with self._copy.locked() as copied:
            size = self.ledger.size
            if copied > size:
                raise StorageError(
                    f"数据库比第二份副本旧（可能是从备份恢复的）；请保留两个文件，运行 syncgov restore {self.path}",
                    "the database is older than its second copy (restored from a backup?); keep both and run "
                    f"`syncgov restore {self.path}`",
                )
            if copied < size:
                self._copy.append((leaf, body) for _i, leaf, body in self.ledger.entries(copied, size))
            erasing.finish_copy(self.ledger, self._copy)
            if not self.ledger.meta.get("checkpoint") or self.checkpoint(self.ledger).size != size:
                self._require_growth()
                checkpoint = Checkpoint(self.charter.origin, size, self.ledger.root(size))
                self.ledger.meta.set(checkpoint=sign_checkpoint(checkpoint, self._log_key))

    def _require_growth(self) -> None:
        """A centre never signs a smaller or another tree than the one that it signed before."""
        if not self.ledger.meta.get("checkpoint"):
            return
        signed = self.checkpoint(self.ledger)
        if signed.size > self.ledger.size or self.ledger.root(signed.size) != signed.root:
            raise StorageError(
                f"数据库与签过的检查点（{signed.size} 条）不符，没有签名；请运行 syncgov fsck {self.path}",
                f"the database does not lead to the signed checkpoint of {signed.size} entries; nothing was signed; "
                f"run `syncgov fsck {self.path}`",
            )

    @staticmethod
    def checkpoint(ledger: Ledger) -> Checkpoint:
        """Return the newest signed checkpoint; only what is below it may be served."""
        return parse_checkpoint(parse_note(ledger.meta.get("checkpoint")).text)

    def erase(self, find: Callable[[Ledger], "erasing.Found"], reason: str) -> "erasing.Found":
        """Erase what *find* finds: log it, and take it out of database and second copy; a crash is finished at start.

        Raises:
            InputError: *find* refuses.
        """
        with self.lock:
            with self._logging():
                found = find(self.ledger)
                for one in found.writes:
                    index = self._write_row((ERASURES, one.key), one.columns(reason))
                    assert index is not None, "a write is named once"
                    self.ledger.note_erased(one.index, {one.position: one.write}, index)
                erasing.take_out(self.ledger, found)
            erasing.finish_scrub(self.ledger)
            return found

    def note_folded(self, dev: str, size: int) -> None:
        """Remember the greatest log size that a device says it has folded; it will repeat it: no wait for the disk."""
        known = self.reader().conn.execute("SELECT size FROM _sg_folded WHERE dev = ?", (dev,)).fetchone()
        if known is not None and known[0] >= size:
            return
        with self.lock, transaction(self._notes):
            self._notes.execute(
                "INSERT INTO _sg_folded VALUES (?, ?, ?) ON CONFLICT (dev) "
                "DO UPDATE SET size = excluded.size, at = excluded.at WHERE excluded.size > size",
                (dev, size, self.clock()),
            )

    def note_published(self, folder: Path, size: int) -> None:
        """Remember that a published folder shows the log up to *size*."""
        with self.lock, transaction(self.ledger.conn):
            self.ledger.conn.execute(
                "INSERT OR REPLACE INTO _sg_published VALUES (?, ?, ?)", (str(folder.absolute()), size, self.clock())
            )

    def sign_list(self, checkpoint: Checkpoint, digest: str) -> str:
        """Return the note that the log signs over the list of the files published at *checkpoint* (protocol, 9)."""
        return sign_list(checkpoint, digest, self._log_key)

    # -- the registrar's own writing --------------------

    def write(
        self,
        table: str,
        rows: Sequence[tuple[str, Mapping[str, Value] | None]],
        *,
        also: Callable[[], None] | None = None,
        by: str | None = None,
    ) -> list[int]:
        """Write rows as the registrar: (key, columns), None to delete; all or nothing.

        Columns that are not named stay as they are. Returns the indexes of the new leaves; a row that changes nothing
        makes none. *also* is called in the same transaction. *by* is the person who decided it.

        Raises:
            InputError: no such register, or a row it does not allow; names row and column.
        """
        with self.lock, self._logging():
            if not self._entering:
                self.follow_charter()
            if also is not None:
                also()
            return [index for key, columns in rows if (index := self._write_row((table, key), columns, by)) is not None]

    def write_charter(self, raw: bytes, registrar: SigningKey, *, also: Callable[[], None] | None = None) -> None:
        """Log a new charter, signed by *registrar*, whom it may name first, and follow it.

        Raises:
            InputError: it does not replace the charter in force; nothing was written.
        """
        with self.lock:
            old, self.registrar, self._entering = self.registrar, registrar, envelope_hash(raw)
            try:
                self.write("charter", [("1", {"document": raw.decode()})], also=also)
            except SyncgovError:
                self.registrar = old
                raise
            finally:
                self._entering = ""
            self.follow_charter()

    def _write_row(self, row: RowKey, columns: Mapping[str, Value] | None, by: str | None = None) -> int | None:
        ledger = self.ledger
        signed = sign_row(ledger, row, columns, self._author(by))
        if signed is None:
            return None
        outcome, _new = take(ledger, authenticate(ledger, signed.envelope, signed.raw_body), self.clock())
        if outcome.verdict != ACCEPTED or outcome.index is None:
            raise InputError(
                f"{ledger.registers(ledger.size)[row[0]].label} {row[1]} 未被接受：{outcome.verdict}",
                f"{row[0]} {row[1]} was not accepted: {outcome.verdict}",
            )
        return outcome.index

    def _author(self, by: str | None = None) -> capture.Author:
        ledger = self.ledger
        chain = ledger.chain(self.registrar.id)
        first = self._entering or ledger.enrolment(self.registrar.id) or ""
        seq, prev = (0, first) if chain is None else (chain.seq, chain.hash)
        size = ledger.size
        seen = Seen(b64u(ledger.root(size)), size) if size else Seen(EMPTY_ROOT, 0)
        return capture.Author(self.registrar, seq + 1, prev, seen, Stamp(self.clock(), 0), by)
