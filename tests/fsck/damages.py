"""A small centre and its devices, and a list of damages: each alone is planted in a fresh copy and must be found."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from syncgov.centre.hiding import erase
from syncgov.centre.intake import authenticate
from syncgov.core.canonical import unb64u
from syncgov.core.commitment import open_body, redact
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, sign_checkpoint
from syncgov.core.register import parse_register
from syncgov.core.statement import format_leaf, parse_leaf
from syncgov.core.tree import MemoryTree, leaf_hash
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from tests.helpers import AREA, ORIGIN, WEST, World, a_task, insert, lasting_folder, row, update
from tests.registers import TASK

CENTRE, FIELD = "centre", "ada.db"  # what is checked
KEPT = "kept.json"
LEAF_BODY = "UPDATE _sg_leaf SET body = ? WHERE idx = ?"


@cache
def street() -> Path:
    """Make the folder that tests copy: every table of centre and replica holds something."""
    folder = lasting_folder() / "street"
    with World.make(folder) as world:
        world.centre.write("notice", [("n1", {"text": "停水通知"}), ("n2", {"text": "停电通知"})])
        ada, bob = world.device("ada"), world.device("bob", staff=("w1",))
        desk = world.device("desk", "desk", areas=(AREA,))
        key, gone = _first_day(world, ada, bob, desk)
        _conflicts(world, ada, bob, key)
        update(desk, "task", gone, place=WEST)
        update(desk, "task", key, state="accepted", due="2026-12-01", owner="n1")
        world.sync(desk)
        world.sync(ada)  # the record leaves its area and goes from the device
        _waiting(world)
        _erase_something(world, ada, bob)
        world.centre.write("register", [("task", {"text": _next_edition()})])
        for replica in (bob, desk, ada):
            world.sync(replica)
        update(ada, "task", key, title="还没有送出", days=4)
        insert(ada, "task", a_task(title="新的一件"))
        ada.commit()
        assert row(ada, "task", gone) is None
        assert ada.conn.execute("SELECT count(*) FROM _sg_own WHERE body = x''").fetchone()[0] == 1
        assert ada.conn.execute("SELECT count(*) FROM _sg_own WHERE verdict LIKE 'refused:%'").fetchone()[0] == 1
    return folder


def _first_day(world: World, ada: Replica, bob: Replica, desk: Replica) -> tuple[str, str]:
    key = insert(ada, "task", a_task(tags='["a", "b"]', done=1, urgency=2, seen_at="2026-11-20T10:00:00+08:00"))
    insert(ada, "contact", {"task_id": key, "name": "某甲", "phone": "000"})
    insert(ada, "payment", {"amount": 1200})
    gone = insert(ada, "task", a_task(title="要转走的"))
    insert(ada, "task", a_task(title="不在辖区", place=WEST))  # refused
    for replica in (ada, bob, desk):
        world.sync(replica)
    return key, gone


def _conflicts(world: World, ada: Replica, bob: Replica, key: str) -> None:
    update(ada, "task", key, title="甲说", kind="a", urgency=1)
    update(bob, "task", key, title="乙说", kind="b", urgency=3)
    for replica in (ada, bob, ada):
        world.sync(replica)
    assert ada.conn.execute("SELECT count(*) FROM _sg_conflict").fetchone()[0] == 6


def _waiting(world: World) -> None:
    late = world.device("late")
    for title in ("一", "二"):
        insert(late, "task", a_task(title=title))
        late.commit()
    _seq, envelope, body = own_changesets(late)[1]
    assert world.centre.push([authenticate(world.centre.ledger, envelope, body)])[0].index is None


def _erase_something(world: World, ada: Replica, bob: Replica) -> None:
    """Erase a title that two devices wrote; what it was is kept in a file for those who plant it again."""
    key = insert(ada, "task", a_task(title="要删除的"))
    world.sync(ada)
    world.sync(bob)
    update(bob, "task", key, title="要删除的二")
    world.sync(bob)
    world.sync(ada)
    sql = "SELECT idx, body, seq FROM _sg_leaf WHERE tbl = 'task' AND key = ? ORDER BY idx"
    rows = world.centre.ledger.conn.execute(sql, (key,)).fetchall()
    (world.folder / KEPT).write_text(json.dumps([[index, body.decode(), seq] for index, body, seq in rows]))
    erase(world.centre, "task", key, ["title"], "request")


def _kept(folder: Path, number: int) -> tuple[int, str, int]:
    """Return index, whole body and seq of the first or second changeset of the erased title."""
    index, body, seq = json.loads((folder / KEPT).read_text())[number]
    return index, body, seq


def _back(target: str, number: int, sql: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        index, body, seq = _kept(folder, number)
        with closing(sqlite3.connect(database(folder, target))) as conn:
            place = seq if "_sg_own" in sql else index
            assert conn.execute(sql, (body.encode(), place)).rowcount == 1
            conn.commit()

    return plant


def _back_in_copy(folder: Path) -> None:
    index, body, _seq = _kept(folder, 0)

    def change(records: list[bytes]) -> list[bytes]:
        length = 4 + int.from_bytes(records[index][:4], "big")
        raw = body.encode()
        records[index] = records[index][:length] + len(raw).to_bytes(4, "big") + raw
        return records

    _copy(change)(folder)


def _next_edition() -> str:
    text = TASK.replace("version: 1", "version: 2").replace("c: 丙}", "c: 丙, d: 丁}")
    assert parse_register(text, "task.yml").version == 2
    return text


# -- damages --------------------


@dataclass(frozen=True, slots=True)
class Damage:
    """What is done to a copy, and the code by which it must be found.

    Attributes:
        target: what is checked. plant: called with the folder.
        also: other codes that may be found with it.
    """

    name: str
    target: str
    code: str
    plant: Callable[[Path], None]
    repairable: bool = False
    also: frozenset[str] = frozenset()


def database(folder: Path, target: str) -> Path:
    """Return the SQLite file of a target."""
    return folder / CENTRE / "central.db" if target == CENTRE else folder / target


def run(path: Path, *statements: str) -> int:
    """Write a file as another program, or a failing disk, would; returns how many rows were changed."""
    changed = 0
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA ignore_check_constraints=ON")
        for statement in statements:
            changed += max(conn.execute(statement).rowcount, 0)
    return changed


def sql(name: str, target: str, code: str, *statements: str, repairable: bool = False, also: str = "") -> Damage:
    """Return a damage by SQL; one that changes nothing is a mistake of the test."""

    def plant(folder: Path) -> None:
        changed = run(database(folder, target), *statements)
        assert changed or any(s.startswith(("DROP", "ALTER", "CREATE")) for s in statements)

    return Damage(name, target, code, plant, repairable, frozenset(also.split()))


def hidden(*statements: str) -> tuple[str, ...]:
    """Return writes of a register table that leave no hint."""
    return (*statements, "DELETE FROM _sg_touched")


def _cut(count: int) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / CENTRE / "copy.log"
        path.write_bytes(path.read_bytes()[:-count])

    return plant


def _records(data: bytes) -> list[bytes]:
    found, offset = [], 0
    while offset < len(data):
        start = offset
        for _part in range(2):
            offset += 4 + int.from_bytes(data[offset : offset + 4], "big")
        found.append(data[start:offset])
    return found


def _copy(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / CENTRE / "copy.log"
        before = path.read_bytes()
        path.write_bytes(b"".join(change(_records(before))))
        assert path.read_bytes() != before

    return plant


def _key_file(**changes: str | int) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / f"{FIELD}.key"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return plant


def _older_checkpoint(folder: Path) -> None:
    path = folder / CENTRE / "central.db"
    seed = json.loads((folder / CENTRE / "keys" / "log.key").read_text())["seed"]
    with closing(sqlite3.connect(path)) as conn:
        leaves = [bytes(leaf) for (leaf,) in conn.execute("SELECT leaf FROM _sg_leaf ORDER BY idx")]
        tree = MemoryTree(map(leaf_hash, leaves[:-1]))
        text = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), SigningKey(unb64u(seed, 32)))
        conn.execute("UPDATE _sg_meta SET value = ? WHERE key = 'checkpoint'", (text,))
        conn.commit()


def _overwrite_pages(target: str) -> Callable[[Path], None]:
    """Write noise over one page in which leaves lie."""

    def plant(folder: Path) -> None:
        path = database(folder, target)
        with closing(sqlite3.connect(path)) as conn:
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            page = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = '_sg_leaf'").fetchone()[0]
            size = conn.execute("PRAGMA page_size").fetchone()[0]
        data = bytearray(path.read_bytes())
        data[(page - 1) * size + 8 : (page - 1) * size + 200] = b"\xa5" * 192
        path.write_bytes(data)

    return plant


def _relogged(change: Callable[[list[tuple[bytes, bytes]]], list[tuple[bytes, bytes]]]) -> Callable[[Path], None]:
    """Change entries as the operator of the centre could: tree, checkpoint and second copy are made to fit."""

    def plant(folder: Path) -> None:
        path = folder / CENTRE / "central.db"
        seed = json.loads((folder / CENTRE / "keys" / "log.key").read_text())["seed"]
        with closing(sqlite3.connect(path, isolation_level=None)) as conn:
            found = [(bytes(a), bytes(b)) for a, b in conn.execute("SELECT leaf, body FROM _sg_leaf ORDER BY idx")]
            entries = change(found)
            assert entries != found
            tree = MemoryTree(leaf_hash(leaf) for leaf, _body in entries)
            for index, entry in enumerate(entries):
                conn.execute("UPDATE _sg_leaf SET leaf = ?, body = ? WHERE idx = ?", (*entry, index))
            for level, n in conn.execute("SELECT level, n FROM _sg_hash").fetchall():
                place = (tree.get(level, n), level, n)
                conn.execute("UPDATE _sg_hash SET hash = ? WHERE level = ? AND n = ?", place)
            text = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), SigningKey(unb64u(seed, 32)))
            conn.execute("UPDATE _sg_meta SET value = ? WHERE key = 'checkpoint'", (text,))
        parts = [part for entry in entries for part in entry]
        (folder / CENTRE / "copy.log").write_bytes(b"".join(len(p).to_bytes(4, "big") + p for p in parts))

    return plant


def _backdate(entries: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    leaf = parse_leaf(entries[-1][0])
    raw = format_leaf(leaf.changeset.envelope.raw, floor=0, received=7, verdict=leaf.verdict)
    return [*entries[:-1], (raw, entries[-1][1])]


def _without_evidence(entries: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Put an entry of a later changeset where an earlier one of the same device was."""
    dev = parse_leaf(entries[0][0]).changeset.statement.dev
    one, two = [n for n, (leaf, _body) in enumerate(entries) if parse_leaf(leaf).changeset.statement.dev == dev][1:3]
    entries = [*entries]
    entries[one], entries[two] = entries[two], entries[one]
    return entries


def _hide(entries: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    leaf, body = entries[-1]
    redacted = redact(open_body(body, parse_leaf(leaf).changeset.statement), lambda position, _write: position > 0)
    return [*entries[:-1], (leaf, redacted)]


def _copied(source: str, name: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        (folder / name).write_bytes((folder / source).read_bytes())

    return plant


def _replace_file(name: str, text: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        (folder / name).write_text(text)

    return plant


_FLIP = "replace(CAST({0} AS TEXT), '{1}', '{2}')"


def _blob(column: str, old: str, new: str) -> str:
    return f"{column} = CAST({_FLIP.format(column, old, new)} AS BLOB)"


_SIGNED = "idx = (SELECT max(idx) FROM _sg_leaf WHERE dev <> (SELECT dev FROM _sg_leaf WHERE idx = 0))"
_SWAP = (
    "CAST(substr({0}, 1, instr({0}, '\"sig\":\"') + 6) || 'AAAA' || substr({0}, instr({0}, '\"sig\":\"') + 11) AS BLOB)"
)
_TURNED = _blob("leaf", '"verdict":"accepted"', '"verdict":"refused:value"')
_TITLED = (
    "tbl = 'task' AND CAST(body AS TEXT) LIKE '%路灯不亮%' AND idx = (SELECT min(idx) FROM _sg_leaf WHERE tbl = 'task')"
)
_A_TASK = "title = '新的一件'"

_EVERYTHING = frozenset(
    "area chain-end conflict envelope-index leaf-columns leaf-order meta owner row state version".split()
)

CENTRE_DAMAGES = [
    sql("leaf cut", CENTRE, "leaf", "UPDATE _sg_leaf SET leaf = substr(leaf, 1, 300) WHERE idx = 3"),
    sql(
        "verdict turned",
        CENTRE,
        "leaf-hash",
        f"UPDATE _sg_leaf SET {_TURNED}, accepted = 0 WHERE idx = 6",
    ),
    sql(
        "leaf gone", CENTRE, "leaf-missing", "DELETE FROM _sg_leaf WHERE idx = 7", also="chain copy-garbled copy-record"
    ),
    sql("last leaf gone", CENTRE, "leaf-missing", "DELETE FROM _sg_leaf WHERE idx = (SELECT max(idx) FROM _sg_leaf)"),
    sql("signature swapped", CENTRE, "signature", f"UPDATE _sg_leaf SET leaf = {_SWAP.format('leaf')} WHERE {_SIGNED}"),
    sql("body changed", CENTRE, "body", f"UPDATE _sg_leaf SET {_blob('body', '路灯不亮', '路灯亮了')} WHERE {_TITLED}"),
    sql(
        "a column beside a leaf", CENTRE, "leaf-columns", "UPDATE _sg_leaf SET seq = 99 WHERE idx = 5", repairable=True
    ),
    sql(
        "area beside a leaf",
        CENTRE,
        "leaf-columns",
        "UPDATE _sg_leaf SET area = '9' WHERE tbl = 'task'",
        repairable=True,
    ),
    sql(
        "inner hash",
        CENTRE,
        "hash-tree",
        "UPDATE _sg_hash SET hash = zeroblob(32) WHERE level = 1 AND n = 1",
        repairable=True,
    ),
    sql("leaf hash row", CENTRE, "hash-tree", "DELETE FROM _sg_hash WHERE level = 0 AND n = 2", repairable=True),
    sql(
        "checkpoint changed",
        CENTRE,
        "checkpoint",
        "UPDATE _sg_meta SET value = replace(value, 'log.example', 'log.exemple') WHERE key = 'checkpoint'",
    ),
    Damage("checkpoint behind", CENTRE, "checkpoint-behind", _older_checkpoint),
    Damage("copy cut", CENTRE, "copy-cut", _cut(3), repairable=True),
    Damage("copy short", CENTRE, "copy-short", _copy(lambda records: records[:-2]), repairable=True),
    Damage("copy gone", CENTRE, "copy-short", lambda f: (f / CENTRE / "copy.log").unlink(), repairable=True),
    Damage("copy ends in zeros", CENTRE, "copy-cut", _copy(lambda r: [*r, bytes(512)]), repairable=True),
    Damage("copy half zeros", CENTRE, "copy-cut", _copy(lambda r: [*r[:-2], r[-2][:50], bytes(99)]), repairable=True),
    Damage("copy with more", CENTRE, "copy-garbled", _copy(lambda r: [*r, r[-1][:50]])),
    Damage("copy ahead", CENTRE, "copy-ahead", _copy(lambda records: [*records, records[-1]])),
    Damage("copy changed", CENTRE, "copy-record", _copy(lambda r: [*r[:4], r[4][:-9] + b"x" + r[4][-8:], *r[5:]])),
    Damage("copy unframed", CENTRE, "copy-garbled", _copy(lambda r: [*r[:4], b"\xff" + r[4][1:], *r[5:]])),
    sql("end of a chain", CENTRE, "chain-end", "UPDATE _sg_chain SET seq = seq - 1", repairable=True),
    sql("device set going again", CENTRE, "chain-end", "UPDATE _sg_chain SET stopped = 1 - stopped", repairable=True),
    sql("changeset not listed", CENTRE, "envelope-index", "DELETE FROM _sg_envelope WHERE idx = 4", repairable=True),
    sql("area history", CENTRE, "area", "UPDATE _sg_area SET area = '101009'", repairable=True),
    sql("owner history", CENTRE, "owner", "DELETE FROM _sg_owner", repairable=True),
    sql("certificate history", CENTRE, "version", "DELETE FROM _sg_version WHERE tbl = 'device'", repairable=True),
    sql(
        "head changed",
        CENTRE,
        "state",
        f"UPDATE _sg_row SET {_blob('state', '甲说', '丙说')} WHERE tbl = 'task'",
        repairable=True,
    ),
    sql("state unreadable", CENTRE, "state", "UPDATE _sg_row SET state = x'00' WHERE tbl = 'notice'", repairable=True),
    sql("state gone", CENTRE, "state", "DELETE FROM _sg_row WHERE tbl = 'payment'", repairable=True),
    sql(
        "own work at the centre",
        CENTRE,
        "overlay",
        "UPDATE _sg_row SET own = x'7b7d' WHERE tbl = 'payment'",
        repairable=True,
    ),
    sql("row changed", CENTRE, "row", "UPDATE payment SET amount = 1", repairable=True),
    sql("row gone", CENTRE, "row", "DELETE FROM notice WHERE code = 'n1'", repairable=True),
    sql("row invented", CENTRE, "row", "INSERT INTO notice(code, text) VALUES ('n9', 'x')", repairable=True),
    sql("conflict gone", CENTRE, "conflict", "DELETE FROM _sg_conflict WHERE field = 'kind'", repairable=True),
    sql("conflict shows another", CENTRE, "conflict", "UPDATE _sg_conflict SET shows = '1'", repairable=True),
    sql("table dropped", CENTRE, "table-missing", "DROP TABLE notice", repairable=True),
    sql(
        "checks dropped",
        CENTRE,
        "table-form",
        "CREATE TABLE other AS SELECT * FROM payment",
        "DROP TABLE payment",
        "ALTER TABLE other RENAME TO payment",
        repairable=True,
    ),
    sql("a protocol column", CENTRE, "protocol-table", "ALTER TABLE _sg_version DROP COLUMN received"),
    sql("a protocol table", CENTRE, "protocol-table", "DROP TABLE _sg_waiting"),
    sql("view dropped", CENTRE, "view", "DROP VIEW conflict", repairable=True),
    sql("index dropped", CENTRE, "index", "DROP INDEX _sg_leaf_record", repairable=True),
    sql("a value that the table refuses", CENTRE, "row", "UPDATE task SET kind = 'zz'", repairable=True),
    Damage("noise in a page", CENTRE, "sqlite", _overwrite_pages(CENTRE)),
    Damage("an entry dated back", CENTRE, "leaf-order", _relogged(_backdate), also=frozenset({"meta"})),
    Damage("entries exchanged", CENTRE, "chain", _relogged(_without_evidence), also=_EVERYTHING),
    Damage("content hidden", CENTRE, "body-hidden", _relogged(_hide)),
    Damage("erased value back", CENTRE, "erased-left", _back(CENTRE, 0, LEAF_BODY), repairable=True),
    Damage("erased value back in the copy", CENTRE, "erased-left", _back_in_copy, repairable=True),
    sql(
        "erasure not listed",
        CENTRE,
        "erased-index",
        "DELETE FROM _sg_erased WHERE idx = (SELECT min(idx) FROM _sg_erased)",
        repairable=True,
    ),
    sql("erasure listed wrongly", CENTRE, "erased-index", "UPDATE _sg_erased SET late = 1", repairable=True),
    sql("waiting body", CENTRE, "waiting", f"UPDATE _sg_waiting SET {_blob('body', '二', '三')}"),
    sql("waiting number", CENTRE, "waiting", "UPDATE _sg_waiting SET seq = seq + 1"),
    sql(
        "time of the last entry",
        CENTRE,
        "meta",
        "UPDATE _sg_meta SET value = '5' WHERE key = 'received'",
        repairable=True,
    ),
    sql("size too small", CENTRE, "meta", "UPDATE _sg_meta SET value = '3' WHERE key = 'size'", repairable=True),
    sql("charter in the database", CENTRE, "charter", "UPDATE _sg_meta SET value = '{}' WHERE key = 'charter'"),
    Damage("charter file", CENTRE, "charter", _replace_file("centre/charter.json", "{}")),
    Damage("log key gone", CENTRE, "key-missing", lambda f: (f / CENTRE / "keys" / "log.key").unlink()),
    Damage(
        "another log key",
        CENTRE,
        "key-other",
        _copied("centre/keys/registrar.key", "centre/keys/log.key"),
    ),
]

FIELD_DAMAGES = [
    Damage(
        "own erased value back",
        FIELD,
        "erased-left",
        _back(FIELD, 0, "UPDATE _sg_own SET body = ? WHERE seq = ?"),
        repairable=True,
    ),
    Damage("another's erased value back", FIELD, "erased-left", _back(FIELD, 1, LEAF_BODY), repairable=True),
    sql(
        "own signature",
        FIELD,
        "signature",
        f"UPDATE _sg_own SET envelope = {_SWAP.format('envelope')} WHERE idx IS NULL",
        also="own meta",
    ),
    sql("own envelope cut", FIELD, "own", "UPDATE _sg_own SET envelope = substr(envelope, 1, 99) WHERE seq = 2"),
    sql("own changeset gone", FIELD, "own-missing", "DELETE FROM _sg_own WHERE seq = 3"),
    sql(
        "last own changeset gone",
        FIELD,
        "own-missing",
        "DELETE FROM _sg_own WHERE seq = (SELECT max(seq) FROM _sg_own)",
    ),
    sql("unsent body emptied", FIELD, "body", "UPDATE _sg_own SET body = x'' WHERE idx IS NULL"),
    sql("own body changed", FIELD, "body", f"UPDATE _sg_own SET {_blob('body', '甲说', '丁说')} WHERE tbl = 'task'"),
    sql(
        "own verdict",
        FIELD,
        "own-verdict",
        "UPDATE _sg_own SET verdict = 'accepted' WHERE verdict <> 'accepted'",
        repairable=True,
    ),
    sql(
        "own verdict forgotten",
        FIELD,
        "own-verdict",
        "UPDATE _sg_own SET idx = NULL, verdict = NULL WHERE seq = 1",
        repairable=True,
        also="overlay row",
    ),
    sql(
        "last number too small",
        FIELD,
        "meta",
        "UPDATE _sg_meta SET value = '2' WHERE key = 'last_seq'",
        repairable=True,
    ),
    sql("last hash", FIELD, "meta", "UPDATE _sg_meta SET value = 'x' WHERE key = 'last_hash'", repairable=True),
    sql("folded root", FIELD, "meta", "UPDATE _sg_meta SET value = 'x' WHERE key = 'root'", repairable=True),
    sql("folded size", FIELD, "meta", "UPDATE _sg_meta SET value = '1' WHERE key = 'size'", repairable=True),
    sql(
        "checkpoint",
        FIELD,
        "checkpoint",
        "UPDATE _sg_meta SET value = replace(value, '=', 'A=') WHERE key = 'checkpoint'",
    ),
    Damage("key file gone", FIELD, "key-missing", lambda f: (f / f"{FIELD}.key").unlink()),
    Damage("key file unreadable", FIELD, "key-missing", _replace_file(f"{FIELD}.key", "{")),
    Damage(
        "key of another device",
        FIELD,
        "key-other",
        _copied("bob.db.key", f"{FIELD}.key"),
    ),
    Damage("replica older than its key", FIELD, "key-ahead", _key_file(seq=90)),
    Damage("two copies have signed", FIELD, "key-fork", _key_file(hash="A" * 43)),
    sql("pulled body", FIELD, "body", f"UPDATE _sg_leaf SET {_blob('body', '乙说', '戊说')} WHERE idx > 0"),
    sql(
        "another's entry gone",
        FIELD,
        "state",
        "DELETE FROM _sg_leaf WHERE CAST(body AS TEXT) LIKE '%乙说%'",
        also="conflict row",
    ),
    sql(
        "own entry gone",
        FIELD,
        "leaf-missing",
        "DELETE FROM _sg_leaf WHERE idx = (SELECT idx FROM _sg_own WHERE seq = 1)",
    ),
    sql(
        "accepted turned on the device",
        FIELD,
        "leaf-columns",
        "UPDATE _sg_leaf SET accepted = 0 WHERE idx = 5",
        repairable=True,
    ),
    sql(
        "head changed",
        FIELD,
        "state",
        f"UPDATE _sg_row SET {_blob('state', '乙说', '戊说')} WHERE tbl = 'task'",
        repairable=True,
    ),
    sql("state gone", FIELD, "state-left", "DELETE FROM _sg_row WHERE tbl = 'payment'"),
    sql("own work forgotten", FIELD, "overlay", "UPDATE _sg_row SET own = NULL WHERE own IS NOT NULL", repairable=True),
    sql(
        "own work invented",
        FIELD,
        "overlay",
        'UPDATE _sg_row SET own = CAST(\'{"text":["x",["00",1],[]]}\' AS BLOB) WHERE tbl = \'notice\'',
        repairable=True,
    ),
    sql(
        "row changed without a hint",
        FIELD,
        "row",
        *hidden(f"UPDATE task SET title = '谁也没签' WHERE {_A_TASK}"),
        repairable=True,
    ),
    sql("row gone without a hint", FIELD, "row", *hidden("DELETE FROM payment"), repairable=True),
    sql(
        "row invented without a hint", FIELD, "row", *hidden("INSERT INTO payment(amount) VALUES (7)"), repairable=True
    ),
    sql("conflict gone", FIELD, "conflict", "DELETE FROM _sg_conflict WHERE field = 'title'", repairable=True),
    sql("merge mark left", FIELD, "merging", "INSERT INTO _sg_merging VALUES (1)", repairable=True),
    sql("trigger dropped", FIELD, "trigger", "DROP TRIGGER _sg_task_update", repairable=True),
    sql(
        "trigger that does nothing",
        FIELD,
        "trigger",
        "DROP TRIGGER _sg_task_insert",
        "CREATE TRIGGER _sg_task_insert AFTER INSERT ON task BEGIN SELECT 1; END",
        repairable=True,
    ),
    sql("table dropped", FIELD, "table-missing", "DROP TABLE payment", repairable=True),
    sql("column dropped", FIELD, "table-form", "ALTER TABLE task DROP COLUMN days", repairable=True),
    sql("column added", FIELD, "table-column", "ALTER TABLE task ADD COLUMN mine TEXT"),
    sql("half a pull", FIELD, "pulled", "INSERT INTO _sg_pulled VALUES (3, x'00', NULL)", repairable=True),
    Damage("noise in a page", FIELD, "sqlite", _overwrite_pages(FIELD)),
]
DAMAGES = CENTRE_DAMAGES + FIELD_DAMAGES
