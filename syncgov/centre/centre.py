"""A centre: one folder with keys, charter, central database and second copy.

CENTRE/charter.json  central.db  copy.log  keys/{log,registrar}.key  roots/*.key
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec
import yaml

from syncgov.centre.copy import SecondCopy
from syncgov.centre.intake import Incoming, Outcome, authenticate, take
from syncgov.core.canonical import b64u
from syncgov.core.charter import Charter, key_text, open_charter, sign_charter
from syncgov.core.clock import Stamp
from syncgov.core.commitment import Value
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, format_vkey, parse_checkpoint, parse_note, sign_checkpoint
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
from syncgov.storage.state import RowKey, StoredRow, load_row


@dataclass(frozen=True, slots=True)
class Draft:
    """What a charter says before keys exist; see `core.charter.Charter`. `roots`: how many root keys to make."""

    name: str
    origin: str
    area: str
    roots: int = 1
    threshold: int = 1
    grace_days: int = 14
    backup_days: int = 30
    simulated: bool = False


class Centre:
    """An open centre. Writers hold `lock`; every thread reads through its own connection (`reader`)."""

    def __init__(self, path: Path, *, clock: Clock = wall_clock) -> None:
        self.path = path
        self.clock = clock
        self.lock = threading.RLock()
        self.ledger = Ledger(connect(path / "central.db"))
        self.charter: Charter = self.ledger.charter
        self._log_key = load_key(path / "keys" / "log.key").key
        self.registrar = load_key(path / "keys" / "registrar.key").key
        self._copy = SecondCopy(path / "copy.log")
        self._local = threading.local()
        try:
            self._catch_up()
        except StorageError:
            self.close()
            raise

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
        charter = sign_charter(_charter(draft, roots, log_key, registrar, clock()), roots)
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

    def close(self) -> None:
        """Close files."""
        self._copy.close()
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
                yield
        except BaseException:
            self.ledger.forget()
            raise
        self._catch_up()

    def _catch_up(self) -> None:
        """Bring second copy and checkpoint up to the database; at start, after a power loss between the two."""
        with self._copy.locked() as copied:
            size = self.ledger.size
            if copied > size:
                raise StorageError(
                    "数据库比第二份副本旧：数据库可能是从备份恢复的，请保留两个文件并停止服务",
                    "the database is older than its second copy (restored from a backup?); keep both and stop serving",
                )
            if copied < size:
                self._copy.append((leaf, body) for _i, leaf, body in self.ledger.entries(copied, size))
            if not self.ledger.meta.get("checkpoint") or self.checkpoint(self.ledger).size != size:
                checkpoint = Checkpoint(self.charter.origin, size, self.ledger.root(size))
                self.ledger.meta.set(checkpoint=sign_checkpoint(checkpoint, self._log_key))

    @staticmethod
    def checkpoint(ledger: Ledger) -> Checkpoint:
        """Return the newest signed checkpoint; only what is below it may be served."""
        return parse_checkpoint(parse_note(ledger.meta.get("checkpoint")).text)

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
            if also is not None:
                also()
            return [index for key, columns in rows if (index := self._write_row((table, key), columns, by)) is not None]

    def _write_row(self, row: RowKey, columns: Mapping[str, Value] | None, by: str | None = None) -> int | None:
        ledger = self.ledger
        registers = ledger.registers(ledger.size)
        register = registers.get(row[0])
        if register is None:
            raise InputError(f"没有登记册 {row[0]}", f"no register named {row[0]}")
        stored = load_row(ledger.conn, row)
        if columns is not None:
            columns = _complete(register, stored, columns)
        change = capture.diff_row(register, row, columns, stored)
        if change is None:
            return None
        signed = capture.sign_writes(
            capture.field_writes(register, change, stored), self._author(by), registers, secrets.token_bytes(32)
        )
        outcome, _new = take(ledger, authenticate(ledger, signed.envelope, signed.raw_body), self.clock())
        if outcome.verdict != ACCEPTED or outcome.index is None:
            raise InputError(
                f"{register.label} {row[1]} 未被接受：{outcome.verdict}",
                f"{row[0]} {row[1]} was not accepted: {outcome.verdict}",
            )
        return outcome.index

    def _author(self, by: str | None = None) -> capture.Author:
        ledger = self.ledger
        chain = ledger.chain(self.registrar.id)
        seq, prev = (0, ledger.meta.get("charter_hash")) if chain is None else (chain.seq, chain.hash)
        size = ledger.size
        seen = Seen(b64u(ledger.root(size)), size) if size else Seen(EMPTY_ROOT, 0)
        return capture.Author(self.registrar, seq + 1, prev, seen, Stamp(self.clock(), 0), by)


def _charter(
    draft: Draft, roots: Sequence[SigningKey], log_key: SigningKey, registrar: SigningKey, now: int
) -> Charter:
    return Charter(
        area=draft.area,
        backup_days=draft.backup_days,
        grace_days=draft.grace_days,
        issued=now,
        log=format_vkey(draft.origin, log_key.public),
        name=draft.name,
        origin=draft.origin,
        quorum="none",
        registrars=[key_text(registrar.public)],
        roots=[key_text(root.public) for root in roots],
        simulated=draft.simulated,
        threshold=draft.threshold,
        v=1,
        witnesses=[],
    )


def _complete(register: Register, stored: StoredRow, columns: Mapping[str, Value]) -> dict[str, Value]:
    """Return all columns of the row: those given, the others as they are."""
    known = {c.name for c in register.columns}
    unknown = sorted(set(columns) - known)
    if unknown:
        raise InputError(
            f"{register.label} 没有这些栏：{'、'.join(unknown)}", f"{register.name} has no columns {', '.join(unknown)}"
        )
    result: dict[str, Value] = {}
    for declared in register.fields:
        result.update(declared.columns_of(stored.local(declared.name, register)))
    return {**result, **columns}


def parse_draft(text: str, filename: str) -> Draft:
    """Return the charter draft in a YAML file.

    Raises:
        InputError: not such a file; names the member.
    """
    known = {each.name for each in fields(Draft)}
    try:
        found = yaml.safe_load(text)
        unknown = sorted(set(map(str, found)) - known) if isinstance(found, dict) else []
        if unknown:
            raise InputError(
                f"{filename} 里有不认识的项：{'、'.join(unknown)}；可用：{'、'.join(sorted(known))}",
                f"{filename}: unknown members {', '.join(unknown)}; known: {', '.join(sorted(known))}",
            )
        return msgspec.convert(found, Draft, strict=True)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise InputError(f"{filename} 不是章程草稿：{error}", f"{filename} is not a charter draft: {error}") from error
