"""What a replica says of its device: key, charter, certificate, registers, persons. Protocol page, sections 8, 13."""

import sqlite3
from functools import cached_property
from pathlib import Path
from typing import Self

import sqlite_utils

from syncgov.core.charter import Charter, open_charter
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Seen
from syncgov.errors import NotAllowedError
from syncgov.storage.clock import Clock
from syncgov.storage.connection import transaction
from syncgov.storage.files import parse_cached, system_registers
from syncgov.storage.keyfile import KeyFile, load_key, store_key
from syncgov.storage.replica_tables import ReplicaTables
from syncgov.storage.schema import columns_for
from syncgov.storage.staff_file import SecondSigner
from syncgov.storage.state import StoredRow, load_row


class ReplicaDevice(ReplicaTables):
    """An open file of a device, and what it says of that device.

    Attributes:
        path: of the file. key_file: the device key and what it has signed. charter: whose log this follows.
        registers: the register set at the folded size. columns: table name to the columns that this device may read.
        second: the person who signs beside the device what asks for it; set by `storage.cosigning.unlock`'s result.
    """

    def __init__(self, path: Path, conn: sqlite3.Connection, key_file: KeyFile, clock: Clock) -> None:
        super().__init__(conn, clock)
        self.path = path
        self.key_file = key_file
        self.charter: Charter = open_charter(self.meta.get("charter").encode())
        self.second: SecondSigner | None = None
        self._certificate = StoredRow()
        self._loaded_at = -1
        self.load_registers()

    def close(self) -> None:
        """Close the file."""
        self.conn.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take_charter(self, raw: bytes) -> None:
        """Hold the charter in *raw*, which the caller has verified, from now on."""
        if raw != self.meta.get("charter").encode():
            self.meta.set(charter=raw.decode())
            self.charter = open_charter(raw)

    @property
    def dev(self) -> str:
        """The device id."""
        return self.key_file.key.id

    def certificate(self) -> StoredRow:
        """Return the device's own certificate row, empty before the first sync."""
        return self._certificate

    @property
    def roles(self) -> frozenset[str]:
        """The roles of this device, as last synced."""
        value = self.certificate().shown("roles", None)
        return frozenset(value) if isinstance(value, list) else frozenset()

    @property
    def staff(self) -> tuple[str, ...]:
        """The staff allowed to use this device; empty: nobody in particular."""
        value = self.certificate().shown("people", None)
        return tuple(value) if isinstance(value, list) else ()

    @property
    def seen(self) -> Seen:
        """Size and root of the log that this replica has completely folded."""
        return Seen(self.meta.get("root"), self.meta.get_int("size"))

    def load_registers(self) -> None:
        """Read the register set and the certificate from the folded rows."""
        self._loaded_at = self.meta.get_int("size")
        self._certificate = load_row(self.conn, ("device", self.dev))
        self.registers = load_register_set(self.conn)
        roles = self.roles
        shown = ((name, columns_for(register, roles)) for name, register in self.registers.items())
        self.columns = {name: columns for name, columns in shown if columns}

    @cached_property
    def _database(self) -> sqlite_utils.Database:
        return sqlite_utils.Database(self.conn)

    def refresh(self) -> None:
        """Read registers and certificate again if another program has synced this file since."""
        if self.meta.get_int("size") != self._loaded_at:
            self.load_registers()

    def person(self, staff: str | None) -> str | None:
        """Return who writes: *staff*, or the only person of this device.

        Raises:
            NotAllowedError: several people use this device and *staff* is not said, or may not use it.
        """
        allowed = self.staff
        if staff is None and len(allowed) > 1:
            raise NotAllowedError(
                f"这台终端由 {len(allowed)} 人共用，请用 --staff 说明是谁写的",
                f"this device is shared by {len(allowed)} people; say who wrote with --staff",
            )
        if staff is not None and allowed and staff not in allowed:
            raise NotAllowedError(f"{staff} 不能使用这台终端", f"{staff} may not use this device")
        return staff if staff is not None else allowed[0] if allowed else None

    @property
    def is_older_than_key(self) -> bool:
        """Whether the key file remembers later signatures: the replica was restored from a copy."""
        return self.key_file.seq > self.meta.get_int("last_seq")

    def mark_durable(self) -> None:
        """Let the key file remember the chain's end; call before any byte leaves the device, outside a transaction."""
        with transaction(self.conn):  # another program may do the same: the file never goes back
            self.key_file = load_key(self.key_file.path)
            seq, last_hash = self.meta.get_int("last_seq"), self.meta.get("last_hash")
            if seq > self.key_file.seq:
                self.key_file = store_key(self.key_file.path, self.key_file.key, seq, last_hash)


def load_register_set(conn: sqlite3.Connection) -> RegisterSet:
    """Return the register set that the folded rows of the system register say, with the system registers."""
    from_log = []
    system = system_registers()
    for (key,) in conn.execute("SELECT key FROM _sg_row WHERE tbl = 'register'").fetchall():
        row = load_row(conn, ("register", key))
        text = row.shown("text", None)
        if row.shown("_alive", None) is True and isinstance(text, str):
            from_log.append(parse_cached(text, f"{key}.yml"))
    return RegisterSet((*system, *from_log))
