"""What the centre keeps to look things up: envelopes, ends of chains, areas, certificates and registers by index."""

import json
import sqlite3
from typing import Any

from syncgov.fsck.chains import Chains
from syncgov.fsck.opening import execute
from syncgov.fsck.refold import Refold, equal
from syncgov.fsck.report import Fix, Report


def check_histories(
    conn: sqlite3.Connection, refold: Refold, chains: Chains, envelopes: dict[str, int], report: Report
) -> None:
    """Findings: envelope-index, chain-end, area, owner, version."""
    lookup = {(digest,): (index,) for digest, index in envelopes.items()}
    _compare(conn, "_sg_envelope", ("hash",), ("idx",), lookup, "envelope-index", report)
    ends = {(dev,): (e.seq, e.hash, e.seen, int(e.stopped)) for dev, e in chains.ends.items()}
    _compare(conn, "_sg_chain", ("dev",), ("seq", "hash", "seen", "stopped"), ends, "chain-end", report)
    areas = {(*record, index): (area,) for record, history in refold.areas.items() for index, area in history}
    _compare(conn, "_sg_area", ("tbl", "key", "idx"), ("area",), areas, "area", report)
    owners = {(*record, index): (unit,) for record, history in refold.owners.items() for index, unit in history}
    _compare(conn, "_sg_owner", ("tbl", "key", "idx"), ("owner",), owners, "owner", report)
    versions = {
        (*row, index): (json.dumps(fields, ensure_ascii=False), received)
        for row, history in refold.versions.items()
        for index, fields, received in history
    }
    _compare(conn, "_sg_version", ("tbl", "key", "idx"), ("fields", "received"), versions, "version", report)


_Rows = dict[tuple[Any, ...], tuple[Any, ...]]


def _compare(
    conn: sqlite3.Connection,
    table: str,
    keys: tuple[str, ...],
    values: tuple[str, ...],
    expected: _Rows,
    code: str,
    report: Report,
) -> None:
    found = {
        row[: len(keys)]: row[len(keys) :] for row in conn.execute(f"SELECT {', '.join(keys + values)} FROM {table}")
    }
    for key in sorted(found.keys() | expected.keys()):
        if key not in found or key not in expected or not _same(found[key], expected[key]):
            fix = _store(table, keys, key, keys + values, expected.get(key))
            report.add(code, f"{table} {' '.join(map(str, key))}", fix=fix)


def _same(found: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    return all(a == b or equal(_json(a), _json(b)) for a, b in zip(found, expected, strict=True))


def _json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _store(
    table: str, keys: tuple[str, ...], key: tuple[Any, ...], columns: tuple[str, ...], values: tuple[Any, ...] | None
) -> Fix:
    if values is None:
        return execute((f"DELETE FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in keys)}", key))
    marks = ", ".join("?" * len(columns))
    return execute((f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})", (*key, *values)))
