"""The small public.db with a map: outlines of communities and of plots, who looks after these, and a point."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.portal.public_db import AS_OF, EAST, HOSTILE, WEST, insert, make_public_db

PLOTS = (f"{EAST}001", f"{EAST}002", f"{EAST}003")
WEST_LAMPS = 65  # of `make_public_db`
PHONE = "0938-0001101"
_KEEPER_TEXT = """
register: keeper
key: natural
fields:
  plot: {type: text, class: public, ref: ward}
  who: {type: text, class: public}
"""


def square(x: float, y: float, side: float = 1.0) -> str:
    """Return a square as GeoJSON, its south-west corner at (x, y)."""
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return json.dumps({"type": "Polygon", "coordinates": [ring]})


def make_mapped_db(path: Path, hostile: Sequence[str] = HOSTILE) -> Path:
    """Write a public.db with all that a map shows and return its path."""
    make_public_db(path, hostile)
    with closing(sqlite3.connect(path)) as conn, conn:
        _change(conn, "ward", map={"outline": "outline"})
        _change(conn, "lamp", map={"filter": ["state"], "lat": "lat", "long": "long"})
        for table, name, kind in (("ward", "outline", "text"), ("ward", "phone", "text"), ("lamp", "lat", "coordinate"),
                                  ("lamp", "long", "coordinate")):  # fmt: skip
            conn.execute(f'ALTER TABLE "{table}" ADD COLUMN "{name}"')
            conn.execute('INSERT INTO "column" VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
                         (table, name, {"phone": "值班电话"}.get(name, name), kind, "", "", 90, 0))  # fmt: skip
        for at, code in enumerate((EAST, WEST)):
            conn.execute("UPDATE ward SET outline = ? WHERE key = ?", (square(at, 0), code))
        for at, code in enumerate(PLOTS):
            outline = square(at / 3, 0, 1 / 3) if at < 2 else '{"type": "Point", "coordinates": [0, 0]}'
            insert(
                conn, "ward", code, name=f"东坡第{at + 1}网格", homes=9, _community=EAST, outline=outline, phone=PHONE
            )
        conn.execute("UPDATE lamp SET lat = 500000, long = 1500000 WHERE key = 'lamp-000'")
        _keepers(conn, hostile)
    return path


def _change(conn: sqlite3.Connection, register: str, **members: Mapping[str, Any]) -> None:
    (portal,) = conn.execute("SELECT portal FROM register WHERE name = ?", (register,)).fetchone()
    conn.execute("UPDATE register SET portal = ? WHERE name = ?", (json.dumps(json.loads(portal) | members), register))


def _keepers(conn: sqlite3.Connection, hostile: Sequence[str]) -> None:
    """Say who looks after each plot; of the second one a hostile text does."""
    columns = ["who", "plot.phone", "plot"]
    block = {
        "nav": "看护", "page": "none", "title": ["who"],
        "community": {"title": "哪个网格找谁", "columns": columns, "merged": True},
        "sheet": {"title": "值班网格员", "show": "merged", "columns": columns},
        "map": {"area": "plot", "columns": ["who", "plot.phone"]},
    }  # fmt: skip
    row = ("keeper", "看护", 1, "看护登记册", _KEEPER_TEXT, json.dumps(block), 1)
    conn.execute("INSERT INTO register VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    for at, name in enumerate(("plot", "who")):
        values = ("keeper", name, {"plot": "网格", "who": "看护人"}[name], "text", "", "", at, 1)
        conn.execute('INSERT INTO "column" VALUES (?, ?, ?, ?, ?, ?, ?, ?)', values)
    own = ("_no", "_community", "_month", "_created", "_updated", "_withheld", "_erased", "_conflict", "_evidence")
    conn.execute(f"CREATE TABLE keeper(key TEXT PRIMARY KEY, plot, who, {', '.join(own)})")
    keepers = ["WG101", hostile[0] if hostile else "WG102", "WG101"]
    for code, who in zip(PLOTS, keepers, strict=True):
        insert(conn, "keeper", f"k-{code}", plot=code, who=who, _community=EAST, _created=AS_OF)
