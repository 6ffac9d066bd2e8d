"""Opening SQLite files and running one transaction at a time."""

import gc
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncgov.errors import StorageError
from syncgov.storage.files import storage_error, sync_folder

CACHE_KIB = 8192  # pages of the largest indexes of a street's log; a file that is small takes less
BUSY_TIMEOUT_MS = 10_000  # a field app may hold the file for a moment; longer means that something hangs


def connect(path: str | Path, *, create: bool = False, synchronous: str = "FULL") -> sqlite3.Connection:
    """Return a connection in autocommit mode, WAL, with secure delete.

    Raises:
        StorageError: the file is not there (unless *create*), or is not a SQLite database.
    """
    path = Path(path)
    if not create and not path.is_file():
        raise StorageError(f"找不到文件 {path}", f"no such file: {path}")
    if create and str(path) != ":memory:":
        path.touch(mode=0o600)  # it will hold what others on this machine may not read
    try:
        conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        conn.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        conn.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute(f"PRAGMA synchronous={synchronous}")
        conn.execute("PRAGMA secure_delete=ON")
        conn.execute(
            "PRAGMA schema_version"
        )  # a first read needs files beside the database, and may fail for want of them
    except sqlite3.Error as error:
        raise translate(error) from error
    return conn


@contextmanager
def new_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection to a new file that appears at *path* when the block is done, whole or not at all.

    Raises:
        StorageError: something is there already, or it cannot be written.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        for left in (new, *(new.with_name(new.name + end) for end in ("-wal", "-shm"))):
            left.unlink(missing_ok=True)  # of an attempt that a power loss cut short
        conn = connect(new, create=True)
        try:
            yield conn
            conn.execute("PRAGMA journal_mode=DELETE")  # everything is in the one file that is renamed
        finally:
            conn.close()
        if path.exists():
            raise StorageError(f"{path} 已经存在", f"{path} exists already")
        os.replace(new, path)
        sync_folder(path.parent)
    except sqlite3.Error as error:
        raise translate(error) from error
    except OSError as error:
        raise storage_error(path, error) from error


@contextmanager
def collector_paused() -> Iterator[None]:
    """Hold back the search for cycles within the block.

    A merge makes hundreds of thousands of values and no cycle among them; the search would go over all of
    them again and again, a third of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def transaction(conn: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block in `BEGIN IMMEDIATE … COMMIT`; roll back on any exception.

    Raises:
        StorageError: SQLite's own errors, translated.
    """
    try:
        conn.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise translate(error) from error
    try:
        yield conn
        conn.execute("COMMIT")
    except BaseException as error:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise translate(error) from error
        raise


def translate(error: sqlite3.Error) -> StorageError:
    """Return our error for one of SQLite's, saying what to do."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return StorageError("文件正被其他程序占用，请关闭后重试", f"the file is in use by another program: {text}")
    if "full" in text:
        return StorageError(
            "存储空间已满，请清理出空间后重试，已签名的内容没有丢失",
            f"the disk is full, make space and try again; nothing signed is lost: {text}",
        )
    if "disk I/O" in text or "unable to open" in text:
        return StorageError(
            "文件读写失败：存储空间已满或介质有故障。请先清理出空间后重试，仍不行就运行 syncgov fsck",
            "reading or writing failed: the disk is full or failing. Make space and try again, else run syncgov fsck: "
            + text,
        )
    if "not a database" in text or "malformed" in text:
        return StorageError(
            "文件已损坏：请保留这个文件，运行 syncgov fsck；已送达的内容在中心，没有丢失",
            f"the file is damaged: keep it and run syncgov fsck; what was delivered is at the centre: {text}",
        )
    if "readonly" in text:
        return StorageError(
            "文件是只读的：请检查文件和所在文件夹的权限，或介质的写保护",
            f"the file is read-only; check its permissions, those of its folder, and write protection: {text}",
        )
    if "no such table" in text and "_sg_" in text:
        return StorageError(
            "系统自己的表被其他程序删除或改动：请保留这个文件，运行 syncgov fsck；已送达的内容在中心，没有丢失",
            "another program dropped or changed a table of the system: keep this file, run syncgov fsck; what was "
            f"delivered is at the centre: {text}",
        )
    return StorageError(f"数据库出错：{text}", f"database error: {text}")


def quote(identifier: str) -> str:
    """Return *identifier* as a quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


class Meta:
    """Small settings of one file: a table of text values."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def get(self, key: str, default: str = "") -> str:
        """Return the value of *key*."""
        row = self._conn.execute("SELECT value FROM _sg_meta WHERE key = ?", (key,)).fetchone()
        return default if row is None else str(row[0])

    def get_int(self, key: str, default: int = 0) -> int:
        """Return the value of *key* as an integer."""
        return int(self.get(key, str(default)))

    def get_many(self, *keys: str) -> list[str]:
        """Return the values of *keys*, in one statement; "" for those that are not set."""
        marks = ", ".join("?" * len(keys))
        found = dict(self._conn.execute(f"SELECT key, value FROM _sg_meta WHERE key IN ({marks})", keys).fetchall())
        return [found.get(key, "") for key in keys]

    def raise_flag(self, key: str) -> None:
        """Note that something has to be done; call in the transaction that makes it necessary."""
        self.set(**{key: self.get_int(key) + 1})

    def lower_flag(self, key: str, seen: int) -> None:
        """Note that it is done, unless it was raised again since it read *seen*: two programs may be at work."""
        try:
            sql = "UPDATE _sg_meta SET value = '0' WHERE key = ? AND value = ?"
            self._conn.execute(sql, (key, str(seen)))
        except sqlite3.Error as error:
            raise translate(error) from error

    def set(self, **values: str | int) -> None:
        """Store values; call inside a transaction when they belong together.

        Raises:
            StorageError: SQLite's own errors, translated.
        """
        sql = "INSERT INTO _sg_meta(key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value"
        try:
            self._conn.executemany(sql, [(key, str(value)) for key, value in values.items()])
        except sqlite3.Error as error:
            raise translate(error) from error
