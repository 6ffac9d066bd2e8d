"""Make the published folder from a centre and put it in the place of the old one. Source: protocol page, section 9."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from syncgov.core.commitment import Value
from syncgov.core.fold import RowKey
from syncgov.core.note import Checkpoint
from syncgov.core.publication import PublicLog, Table, public_tables, published_registers
from syncgov.core.public_log import PublicLeaf, PublicState
from syncgov.errors import StorageError
from syncgov.publish.metadata import format_metadata, make_metadata
from syncgov.publish.open_data import write_open_data
from syncgov.publish.public_db import write_public_db
from syncgov.publish.redaction import hidden_writes, public_leaf, public_state
from syncgov.publish.review import find_hits
from syncgov.publish.snapshot import Centre, Progress, Snapshot, take_snapshot
from syncgov.publish.static_log import DisclosedWriter, write_file, write_head, write_proofs, write_tiles
from syncgov.storage.files import sync_folder
from syncgov.storage.ledger import Ledger

_INDEX_HTML = b"""<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url=portal/index.html">
<title>\xe5\x85\xac\xe5\xbc\x80</title>
<p><a href="portal/index.html">\xe8\xbf\x9b\xe5\x85\xa5\xe5\x85\xac\xe5\xbc\x80\xe7\xbd\x91\xe7\xab\x99</a></p>
</html>
"""


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did.

    Attributes:
        tables: register -> published rows. figures: id -> text.
        withheld: writes not disclosed; `newly_withheld`: how many of them because a detector just found something.
    """

    out: Path
    checkpoint: Checkpoint
    tables: Mapping[str, int]
    figures: Mapping[str, str]
    withheld: int
    newly_withheld: int

    @property
    def rows(self) -> int:
        """How many rows were published."""
        return sum(self.tables.values())


def publish(centre: Centre, out: Path, *, progress: Progress | None = None, portal: bool = True) -> Published:
    """Publish everything that is public into folder *out*, replacing it only when all of it is done.

    Args:
        progress: called with (stage, done, total).
        portal: whether to build the static site too.

    Raises:
        StorageError: *out* is something else than a published folder, or writing or the portal failed.
        InputError: a figure's SQL, or datasette_metadata.yml, cannot be used.
        LogError: the centre's log does not lead to its own checkpoint.
    """
    report = progress or _silent
    out = out.absolute()
    _recover(out)
    _require_ours(out)
    ledger = centre.reader()
    newly_withheld = _prepare(centre, ledger, report)
    new = out.with_name(f".{out.name}.new-{secrets.token_hex(4)}")
    try:
        new.mkdir(parents=True)
        published = _write(centre, ledger, new, report, portal)
        os.sync()  # thousands of small files: one wait for all of them
        _swap(new, out)
    except OSError as error:
        raise StorageError(f"无法写入 {out}：{error}", f"cannot write {out}: {error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    tables, figures, withheld, checkpoint = published
    return Published(out, checkpoint, tables, figures, withheld, newly_withheld)


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Report to nobody."""


# -- what is logged before ------------------------------------------------------------------------------------------


def _prepare(centre: Centre, ledger: Ledger, report: Progress) -> int:
    """Log what has to be withheld, and the publication itself; returns the number of new withholdings.

    The centre may take in more meanwhile; then it is looked at again, so that nothing unread is published.
    """
    scanned, withheld = 0, 0
    while True:
        report("detect", 0, 1)
        with take_snapshot(ledger) as snapshot:
            hits = find_hits(snapshot, scanned)
            scanned = snapshot.size
            row = _publication(centre.clock(), snapshot, scanned)
        report("detect", 1, 1)
        if hits:
            centre.write("withholding", hits)
            withheld += len(hits)
            continue
        return withheld if _log_publication(centre, ledger, row, scanned) else withheld


def _log_publication(centre: Centre, ledger: Ledger, row: tuple[str, Mapping[str, Value]], scanned: int) -> bool:
    del ledger, scanned
    centre.write("publication", [row])
    return True
