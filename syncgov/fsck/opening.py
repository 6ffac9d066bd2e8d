"""Opening a file to look at it, never to change it; or, to repair, with one write transaction around everything."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncgov.errors import StorageError
from syncgov.fsck.report import Report

BUSY_TIMEOUT_MS = 10_000  # a field app may hold the file for a moment; longer means that something hangs
SCHEMA = "1"  # the version of the tables that is known here
MAX_SQLITE_LINES = 20  # of SQLite's own complaints


@contextmanager
def opened(path: Path, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """Give a connection on which one transaction is open; it is rolled back unless the block commits.

    Text that is no UTF-8 comes back with lone surrogates, so that it can be named.

    Raises:
        StorageError: no such file, no SQLite database, or in use.
    """
    if not path.is_file():
        raise StorageError(f"找不到文件 {path}", f"no such file: {path}")
    conn = _connect(path, "rw" if write else "ro")
    try:
        conn.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        conn.execute("SELECT count(*) FROM sqlite_master").fetchone()  # only now is the file read
    except sqlite3.Error as error:
        conn.close()
        raise StorageError(f"{path} 打不开：{error}", f"cannot open {path}: {error}") from error
    try:
        yield conn
    finally:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        conn.close()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        conn = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None)
        conn.text_factory = _text
        conn.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        if mode == "rw":
            conn.execute("PRAGMA synchronous=FULL")
            conn.execute("PRAGMA secure_delete=ON")
    except sqlite3.Error as error:
        raise StorageError(f"{path} 打不开：{error}", f"cannot open {path}: {error}") from error
    return conn


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def check_sqlite(conn: sqlite3.Connection, name: str, report: Report) -> None:
    """SQLite's own check of pages, indexes and column types. Findings: sqlite.

    Only register tables have CHECKs, SQLite looks at them only when it may write, and every row is compared anyway.
    """
    for (line,) in conn.execute(f"PRAGMA integrity_check({MAX_SQLITE_LINES})").fetchall():
        if line != "ok" and not line.startswith("CHECK "):
            report.add("sqlite", name, str(line))


class Settings:
    """The settings of one file: its table `_sg_meta`."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._values = dict(conn.execute("SELECT key, value FROM _sg_meta").fetchall())

    def text(self, key: str) -> str:
        """Return a setting, empty if it is not there."""
        return str(self._values.get(key, ""))

    def number(self, key: str) -> int:
        """Return a setting as a number; −1 where it is none, which equals nothing, and 0 if it is not there."""
        text = self.text(key)
        if not text:
            return 0
        return int(text) if text.isascii() and text.isdecimal() else -1


def require_schema(conn: sqlite3.Connection, path: Path) -> Settings:
    """Return the settings of a file that this program knows.

    Raises:
        StorageError: no file of ours, or of another version.
    """
    try:
        settings = Settings(conn)
    except sqlite3.OperationalError as error:
        raise StorageError(
            f"{path} 不是副本或中心的数据库", f"{path} is no replica and no centre's database"
        ) from error
    found = settings.text("schema")
    if found != SCHEMA:
        raise StorageError(
            f"{path} 的版本是 {found or '未知'}，本程序需要 {SCHEMA}",
            f"{path} has schema version {found or 'unknown'}, this program knows {SCHEMA}",
        )
    return settings


def quote(identifier: str) -> str:
    """Return *identifier* as a quoted SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def execute(*statements: tuple[str, tuple[object, ...]]) -> "Statements":
    """Return a fix that runs these statements."""
    return Statements(statements)


class Statements:
    """A fix: SQL statements with their values."""

    def __init__(self, statements: tuple[tuple[str, tuple[object, ...]], ...]) -> None:
        self._statements = statements

    def __call__(self, conn: sqlite3.Connection) -> None:
        for sql, values in self._statements:
            conn.execute(sql, values)
