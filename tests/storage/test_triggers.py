"""The hints of capture hold whatever statement fires them."""

import sqlite3
from pathlib import Path

import sqlite_utils

from syncgov.core.register import parse_register
from syncgov.storage.connection import connect
from syncgov.storage.schema import PROTOCOL_TABLES, REPLICA_TABLES, columns_for, ensure_table

NOTE = """
register: note
version: 1
label: Note
help: A line of text.
key: uuid
write: [writer]
read: {public: ['*']}
skeleton: {}
fields:
  line: {label: Line, type: text, class: public}
"""


def table(path: Path) -> sqlite3.Connection:
    """Return a file with the table of one register and its triggers."""
    conn = connect(path, create=True)
    conn.executescript(PROTOCOL_TABLES + REPLICA_TABLES)
    register = parse_register(NOTE, "note.yml")
    ensure_table(conn, register, columns_for(register, None), triggers=True)
    return conn


def test_statements_with_a_conflict_clause_leave_hints(tmp_path: Path) -> None:
    """Upserts, OR REPLACE, OR FAIL, OR IGNORE and OR ROLLBACK, again and again on the same row."""
    conn = table(tmp_path / "a.db")
    db = sqlite_utils.Database(conn)
    for number in range(3):
        db.table("note").upsert({"id": "a", "line": f"upsert {number}"}, pk="id")
        for clause in ("REPLACE", "FAIL", "IGNORE", "ROLLBACK", "ABORT"):
            conn.execute(f"UPDATE OR {clause} note SET line = ? WHERE id = 'a'", (f"{clause} {number}",))
        conn.execute("INSERT OR REPLACE INTO note (id, line) VALUES ('a', ?)", (f"again {number}",))
    assert conn.execute("SELECT line FROM note").fetchall() == [("again 2",)]
    assert conn.execute("SELECT tbl, key FROM _sg_touched").fetchall() == [("note", "a")]
    conn.close()
