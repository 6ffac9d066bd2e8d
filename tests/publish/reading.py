"""Reading a published folder as anybody would."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def cells(out: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query over public.db."""
    with closing(sqlite3.connect(f"file:{out / 'public.db'}?mode=ro", uri=True)) as conn:
        return conn.execute(sql, values).fetchall()


def row(out: Path, table: str, key: str) -> dict[str, Any]:
    """Return one published row by column; {} if there is none."""
    with closing(sqlite3.connect(f"file:{out / 'public.db'}?mode=ro", uri=True)) as conn:
        conn.row_factory = sqlite3.Row
        found = conn.execute(f'SELECT * FROM "{table}" WHERE key = ?', (key,)).fetchone()
        return dict(found) if found is not None else {}


def disclosed(out: Path) -> list[dict[str, Any]]:
    """Return the disclosed lines of the log."""
    lines = (path.read_text(encoding="utf-8").splitlines() for path in sorted((out / "log" / "disclosed").rglob("*")))
    return [json.loads(line) for part in lines for line in part]
