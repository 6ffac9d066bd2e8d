"""A replica whose log was closed by the roots: it goes on with the next one and loses nothing.

Source: protocol page, section 15.
"""

import json
from collections.abc import Sequence

from syncgov.core.charter import Closing, open_charter
from syncgov.core.commitment import META_TABLE, parse_body, parse_path
from syncgov.core.statement import parse_changeset
from syncgov.core.succession import follow
from syncgov.storage.connection import transaction
from syncgov.storage.replica import Replica
from syncgov.storage.state import RowKey, StoredRow, load_row, store_rows


def kept_of(replica: Replica) -> int:
    """Return what this replica's newest log kept of the one before, while it has not been pulled yet; else 0."""
    return replica.meta.get_int("rebased")


def rebase(replica: Replica, charters: Sequence[bytes]) -> bool:
    """Follow the newest of *charters* if the roots that this replica trusts have closed its log.

    What this device had logged beyond what was kept has no verdict again, shows on top of its tables, and is pushed
    again; what it had pulled beyond is pulled anew. The old checkpoint stays in the file, as evidence.

    Returns:
        whether there was anything to follow.

    Raises:
        NotAllowedError, SignatureError, FormatError: the charters do not follow from the one held; see `follow`.
    """
    held = replica.meta.get("charter").encode()
    newest = follow(held, charters)
    kept = [
        closing.kept
        for raw in charters[charters.index(held) + 1 if held in charters else 0 :]
        if isinstance(closing := open_charter(raw).closes, Closing)
    ]
    if newest == held or not kept:
        return False
    with transaction(replica.conn):
        evidence = json.loads(replica.meta.get("closed", "[]"))
        evidence.append({"charter": held.decode(), "checkpoint": replica.meta.get("checkpoint"), "kept": min(kept)})
        replica.meta.set(closed=json.dumps(evidence), pulling="", purge="[]", target=0, after=0)
        replica.conn.execute("DELETE FROM _sg_pulled")
        if replica.seen.size > min(kept):
            replica.meta.set(anew=1, rebased=min(kept))
        _take_back(replica, min(kept))
        replica.take_charter(newest)
    return True


def _take_back(replica: Replica, kept: int) -> None:
    """Entries from *kept* on are of the closed log: own ones wait again, in order, on top of what the tables show."""
    replica.conn.execute("DELETE FROM _sg_leaf WHERE idx >= ?", (kept,))
    lost = replica.conn.execute(
        "SELECT seq, envelope, body FROM _sg_own WHERE idx >= ? AND length(body) > 0 ORDER BY seq", (kept,)
    ).fetchall()
    # a body that was purged with its record cannot be sent again; it was taken away on purpose
    replica.conn.execute("UPDATE _sg_own SET idx = NULL, verdict = NULL WHERE idx >= ? AND length(body) > 0", (kept,))
    replica.conn.execute("UPDATE _sg_own SET sent = NULL, ack = NULL WHERE idx IS NULL")
    rows: dict[RowKey, StoredRow] = {}
    for seq, envelope, body in lost:
        st = parse_changeset(envelope).statement
        for _position, write in parse_body(body, st.pub).disclosed():
            path = parse_path(write.path)
            if path.table != META_TABLE:
                row = rows.setdefault((path.table, path.key), load_row(replica.conn, (path.table, path.key)))
                present = row.own.get(path.field)
                if present is None or present[1][1] < seq:
                    row.own[path.field] = [write.value, [replica.dev, seq], [list(dot) for dot in write.over]]
    store_rows(replica.conn, rows)
    # what the closed log's centre had of files may be lost too: the next one is asked about each
    replica.conn.execute("UPDATE _sg_file SET stored = NULL, sent = 0, why = NULL")
