"""Row 5: bytes on the wire for a row."""

import gzip
import json
import statistics
from collections.abc import Iterator
from pathlib import Path

import msgspec

from syncgov.core import wire
from syncgov.core.keys import SigningKey
from syncgov.core.statement import EMPTY_ROOT, Seen
from tests.bench.data import Pen, child_columns, hundred_rows, signed_by
from tests.bench.peer import Peer
from tests.bench.ratio import Ratio

LEVEL = 6  # what the transport uses; the same for both


def wire_bytes(folder: Path, changesets: int) -> Iterator[Ratio]:
    """A push of one changeset of a hundred rows, full body, against the session's changeset of the same rows."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = [[key for (_table, key), _columns in hundred_rows(number)] for number in range(changesets)]
    rows = [[[key, *columns.values()] for (_table, key), columns in hundred_rows(n)] for n in range(changesets)]
    assert list(child_columns(0, "")) == ["record", "name", "place", "amount", "day"]
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    pen = Pen(SigningKey(bytes(32)), 0, EMPTY_ROOT, Seen(EMPTY_ROOT, 0))
    count = sum(map(len, keys))
    messages = [
        wire.format_message(wire.Push([wire.PushEntry(msgspec.Raw(each.raw_body), msgspec.Raw(each.envelope))]))
        for each in signed_by(pen, range(changesets), hundred_rows)
    ]
    ours = sum(len(gzip.compress(message, compresslevel=LEVEL)) for message in messages) / count
    with Peer("session_bytes.py", str(path), str(LEVEL)) as peer:
        rounds = [peer.round() for _ in range(3)]
        against = f"SQLite session changeset (apsw {peer.versions['apsw']}), gzip {LEVEL}"
    theirs = statistics.median(each["packed"] for each in rounds)
    parts = {"ours unpacked": sum(map(len, messages)) / count, "theirs unpacked": rounds[0]["unpacked"]}
    what = f"bytes on the wire a row: push of one 100-row changeset, full body, gzip {LEVEL}"
    yield Ratio("5", what, against, 1.5, "bytes/row", count, ours, theirs, at_most=True, parts=parts)
