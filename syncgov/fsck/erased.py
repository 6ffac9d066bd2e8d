"""What the log erases, looked at from outside: what must be gone is gone, what is gone was erased.

Source: protocol page, section 18.
"""

import json
import sqlite3
from dataclasses import dataclass, field

from syncgov.core.commitment import Body, open_body, parse_path, redact
from syncgov.core.erasure import Erasure, erasures, is_covered, standing_erasures
from syncgov.core.fold import ERASURES, FoldWrite, RowKey, fold_leaf
from syncgov.core.merge import ERASED, RowState
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Leaf, parse_leaf
from syncgov.errors import SyncgovError
from syncgov.fsck.opening import execute
from syncgov.fsck.report import Fix, Report

STORE_BODY = "UPDATE _sg_leaf SET body = ? WHERE idx = ?"
_STORE = "INSERT OR REPLACE INTO _sg_erased VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(slots=True)
class ErasedWrites:
    """The erasures that a file holds.

    Attributes:
        named: (index of a leaf, position) -> what the log says of the write there.
        stands: path -> index from which on writes must have seen the erasure.
        late: indexes of the rows that were written when a write arrived that had not seen the erasure.
    """

    named: dict[tuple[int, int], Erasure] = field(default_factory=dict)
    stands: dict[str, int] = field(default_factory=dict)
    late: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, conn: sqlite3.Connection, system: RegisterSet) -> "ErasedWrites":
        """Read the rows from the bodies of their own leaves, before anything else is folded."""
        state: dict[RowKey, RowState] = {}
        places: dict[tuple[str, int], list[tuple[int, int]]] = {}
        sql = "SELECT idx, leaf, body, instr(body, ?) FROM _sg_leaf ORDER BY idx"
        rows = conn.execute(sql, (f'"{ERASURES}/'.encode(),))
        for index, raw, raw_body, mentions in rows:
            try:
                leaf = parse_leaf(bytes(raw))
                st = leaf.changeset.statement
                places.setdefault(st.dot, []).append((index, st.seen.size))
                if mentions and leaf.accepted:
                    writes = [FoldWrite(*write) for _position, write in open_body(bytes(raw_body), st).disclosed()]
                    own = [write for write in writes if parse_path(write.path).table == ERASURES]
                    fold_leaf(state, index, leaf, own, system)
            except SyncgovError:
                continue  # named when the log itself is read
        found = erasures(state)

        def place_of(one: Erasure) -> tuple[int, int] | None:
            here = places.get(one.slot[0], [])
            return next((place for place in here if one.leaf in (None, place[0])), None)

        named = {(place[0], one.slot[1]): one for one in found if (place := place_of(one)) is not None}
        late: set[int] = set()
        for number, one in enumerate(found):
            if standing_erasures(found[: number + 1], place_of)[one.path] != one.index:
                late.add(one.index)
        return cls(named, standing_erasures(found, place_of), late)

    def positions(self, index: int) -> dict[int, Erasure]:
        """Return position -> erasure of the writes of a leaf."""
        return {position: one for (leaf, position), one in self.named.items() if leaf == index}

    @property
    def paths(self) -> set[str]:
        """Every path of which something is erased."""
        return {one.path for one in self.named.values()}

    def writes(self, index: int, body: Body) -> list[FoldWrite]:
        """Return the writes of a leaf as they fold again: what is erased keeps its place."""
        gone = self.positions(index) if self.named else {}
        found = []
        for position, write in enumerate(body.writes):
            one = gone.get(position)
            if one is not None and (write is None or write.path == one.path):
                found.append(FoldWrite(one.path, ERASED, one.over))
            elif write is not None:
                found.append(FoldWrite(*write))
        return found

    def left(self, index: int, leaf: Leaf, body: Body) -> set[int]:
        """Return the positions of writes that are still here although the log erases them."""
        place = (index, leaf.changeset.statement.seen.size)
        gone = self.positions(index) if self.named else {}
        return {
            position
            for position, write in body.disclosed()
            if (position in gone and gone[position].path == write.path) or is_covered(self.stands, write.path, place)
        }


def check_left(where: str, body: Body, left: set[int], sql: tuple[str, int] | None, report: Report) -> None:
    """Findings: erased-left.

    Args:
        sql: a statement that stores a body, and the number of its row; with it the values can be taken out.
    """
    paths = [write.path for position, write in body.disclosed() if position in left]
    if paths:
        fix = None if sql is None else hide(sql[0], body, left, sql[1])
        report.add("erased-left", where, ", ".join(paths), fix=fix)


def check_erased_index(conn: sqlite3.Connection, erased: ErasedWrites, report: Report) -> None:
    """What the centre keeps to look erasures up. Findings: erased-index; an erasure that is not finished is noted."""
    expected = {
        place: (one.path, [list(dot) for dot in one.over], one.index, int(one.index in erased.late))
        for place, one in erased.named.items()
    }
    rows = conn.execute("SELECT idx, position, path, over, at, late FROM _sg_erased")
    found = {(index, position): (path, _dots(over), at, late) for index, position, path, over, at, late in rows}
    for place in sorted(found.keys() | expected.keys()):
        report.counts["erased"] += 1
        if found.get(place) != expected.get(place):
            where = "_sg_erased {} {}".format(*place)
            report.add("erased-index", where, fix=_store(place, expected.get(place)))
    (unfinished,) = conn.execute("SELECT count(*) FROM _sg_scrub").fetchone()
    note_unfinished(conn, report, unfinished=bool(unfinished))


def note_unfinished(conn: sqlite3.Connection, report: Report, *, unfinished: bool = False) -> None:
    """Say that erased bytes may still stand in free space."""
    if unfinished or conn.execute("SELECT 1 FROM _sg_meta WHERE key = 'scrub' AND value <> '0'").fetchone():
        report.note(
            "有一次删除还没有清理完空闲页，再打开一次（serve、sync）就会清理",
            "an erasure has not cleaned all free space yet; the next start (serve, sync) does",
        )


def _dots(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _store(place: tuple[int, int], row: tuple[str, list[list[object]], int, int] | None) -> Fix:
    if row is None:
        return execute(("DELETE FROM _sg_erased WHERE idx = ? AND position = ?", place))
    path, over, at, late = row
    return execute((_STORE, (*place, path, json.dumps(over), at, late)))


def hide(sql: str, body: Body, left: set[int], number: int) -> Fix:
    """Return the fix that takes the writes at *left* out of a stored body; the next start cleans free space."""
    raw = redact(body, lambda position, _write: position not in left)
    mark = "INSERT INTO _sg_meta VALUES ('scrub', '1') ON CONFLICT (key) DO UPDATE SET value = '1'"
    return execute((sql, (raw, number)), (mark, ()))
