"""Make the published folder of a centre. Source: protocol page, section 9."""

import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from syncgov.core.commitment import Value
from syncgov.core.fold import RowKey
from syncgov.core.note import Checkpoint
from syncgov.core.open311 import files as open311_files
from syncgov.core.public_log import PublicLeaf
from syncgov.core.publication import PublicLog, Table, public_tables, published_registers
from syncgov.core.register import RegisterSet
from syncgov.errors import StorageError
from syncgov.publish.file_list import write_list
from syncgov.publish.folder import replace_folder
from syncgov.publish.metadata import format_metadata, make_metadata
from syncgov.publish.open_data import write_open_data
from syncgov.publish.public_db import write_public_db
from syncgov.publish.redaction import hidden_writes, public_leaf, public_state
from syncgov.publish.review import find_hits
from syncgov.publish.sensitive import find_sensitive, sensitive_counts
from syncgov.publish.snapshot import Centre, Progress, Snapshot, take_snapshot
from syncgov.publish.static_log import DisclosedWriter, write_file, write_head, write_proofs, write_tiles
from syncgov.publish.unchanged import Inputs, is_current, keep_times, note
from syncgov.storage.connection import quote
from syncgov.storage.ledger import Ledger

MAX_PORTAL_MESSAGE = 2000  # characters of what a failed build said last
REPORT_EVERY = 256  # leaves or proofs between two reports of progress

_INDEX_HTML = """<!doctype html>
<html lang="zh-CN">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url=portal/index.html">
<title>公开网站</title>
<p><a href="portal/index.html">进入公开网站</a></p>
</html>
"""


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did.

    Attributes:
        tables: register -> published rows. figures: id -> text.
        withheld: writes that are not disclosed. newly_withheld: those of them that a detector has just found.
        erased: public writes whose value is no longer there.
        unchanged: the folder said all of it already, and was left as it is.
        uncovered: years of the log of which the place declared no working time, if it declares any.
    """

    out: Path
    checkpoint: Checkpoint
    tables: Mapping[str, int]
    figures: Mapping[str, str]
    withheld: int
    newly_withheld: int
    erased: int = 0
    unchanged: bool = False
    uncovered: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows were published."""
        return sum(self.tables.values())


def publish(
    centre: Centre,
    out: Path,
    *,
    progress: Progress | None = None,
    portal: bool = True,
    address: str = "",
    again: bool = False,
) -> Published:
    """Publish everything that is public into folder *out*, replacing it only when all of it is done.

    A folder that was published today, from the same log, settings and program, stays as it is; nothing is logged.

    Args:
        progress: called with (stage, done, total).
        portal: whether to build the static site too.
        address: where the site will be on the web, for the QR codes of its notice-board sheets; "": not known.
        again: publish even if nothing is new.

    Raises:
        StorageError: *out* is something else than a published folder, or writing or the portal failed.
        InputError: a figure's SQL, or datasette_metadata.yml, cannot be used.
        LogError: the centre's log does not lead to its own checkpoint.
    """
    report = progress or _silent
    ledger, site, out = centre.reader(), address if portal else None, out.absolute()
    if not again and (found := _as_it_stands(ledger, out, centre.clock(), site)) is not None:
        return found
    with replace_folder(out) as new:
        scanned, withheld, announced = 0, 0, 0
        while True:
            with take_snapshot(ledger) as snapshot:
                report("detect", scanned, snapshot.size)
                detected = find_hits(snapshot, scanned)
                hits = [*detected, *find_sensitive(snapshot)]
                scanned = snapshot.size
                if announced and not hits:
                    done = _write(snapshot, out, new, report, newly_withheld=withheld, site=site)
                    write_list(new, partial(centre.sign_list, snapshot.checkpoint))
                    keep_times(out, new)
                    inputs = Inputs(snapshot.checkpoint_text, repr(list(_declared(ledger))), announced, site)
                    break
                now = centre.clock()
                row = _announcement(ledger, now)
            # The centre may take in more before the next snapshot; that is looked at too before it is published.
            if hits:
                centre.write("withholding", hits)
                withheld += len(detected)
            else:
                centre.write("publication", [row])
                announced = now
    note(out, inputs)
    centre.note_published(out, done.checkpoint.size)
    return done


def _as_it_stands(ledger: Ledger, out: Path, now_ms: int, site: str | None) -> Published | None:
    """Return what folder *out* says, if a publication would change nothing of it; else None."""
    with take_snapshot(ledger) as snapshot:
        inputs = Inputs(snapshot.checkpoint_text, repr(list(_declared(ledger))), now_ms, site)
        if not is_current(out, inputs):
            return None
        names = [each.name for each in published_registers(snapshot.registers)]
    with closing(sqlite3.connect(f"{(out / 'public.db').as_uri()}?mode=ro&immutable=1", uri=True)) as conn:
        hidden = dict(conn.execute("SELECT kind, count(*) FROM withheld GROUP BY 1").fetchall())
        counts = {name: conn.execute(f"SELECT count(*) FROM {quote(name)}").fetchone()[0] for name in names}
        figures = dict(conn.execute("SELECT id, text FROM figure ORDER BY position").fetchall())
    return Published(
        out=out,
        checkpoint=snapshot.checkpoint,
        tables=counts,
        figures=figures,
        withheld=hidden.get("withholding", 0),
        newly_withheld=0,
        erased=hidden.get("erasure", 0),
        unchanged=True,
    )


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Report to nobody."""


def _announcement(ledger: Ledger, now_ms: int) -> tuple[str, Mapping[str, Value]]:
    """Return the next row of register `publication`: when, and what only the centre can know."""
    number = sum(1 for _row in ledger.rows("publication")) + 1
    names = ("name", "label", "value", "note")
    declared = [dict(zip(names, item, strict=True)) for item in _declared(ledger)]
    return str(number), {"as_of": now_ms, "declared": declared}


def _declared(ledger: Ledger) -> Iterator[tuple[str, str, int, str]]:
    """Yield (name, label, number, unit) of what cannot be counted from public fields."""
    registers = ledger.registers(ledger.size)
    public = {each.name for each in published_registers(registers)}
    yield "waiting", "等待前序的变更集", _count(ledger, "SELECT count(*) FROM _sg_waiting"), "条"
    yield "hidden_conflicts", "不公开字段的冲突", sum(1 for _ in _hidden_conflicts(ledger)), "处"
    for register in published_registers(registers):
        yield from sensitive_counts(ledger, register)
    for name, register in registers.items():
        if not register.system and name not in public:
            yield f"rows_{name}", f"{register.label}记录", _count(ledger, f"SELECT count(*) FROM {quote(name)}"), "条"
            for item in register.portal.get("counts", ()):
                yield f"{name}_{item['id']}", item["label"], _count(ledger, _count_sql(name, item)), item["unit"]


def _count_sql(table: str, item: Mapping[str, Any]) -> str:
    """Return the query of one of a register's `counts`; its codes are plain words of the register."""
    what = f"coalesce(sum({quote(item['sum'])}), 0)" if item["sum"] else "count(*)"
    where = [f"{quote(column)} IN ({', '.join(map(_word, codes))})" for column, codes in item["where"].items()]
    return f"SELECT {what} FROM {quote(table)} WHERE {' AND '.join(where) or 'true'}"


def _word(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _hidden_conflicts(ledger: Ledger) -> Iterator[tuple[str, str, str]]:
    """Yield (table, key, field) of the conflicts that the public does not see."""
    registers = ledger.registers(ledger.size)
    for table, key, field in ledger.conn.execute("SELECT DISTINCT tbl, key, field FROM _sg_conflict"):
        register = registers.get(table)
        known = register is not None and (field.startswith("_") or register.find(field) is not None)
        if register is not None and known and register.class_of(field) != "public":
            yield table, key, field


def _count(ledger: Ledger, sql: str) -> int:
    return int(ledger.conn.execute(sql).fetchone()[0])


def _write(
    snapshot: Snapshot, out: Path, new: Path, report: Progress, *, newly_withheld: int, site: str | None
) -> Published:
    """Write the whole folder into *new*; *out* is only where it will be.

    Args:
        site: the portal's address, "" where it is not known; None: no portal.
    """
    leaves = _disclose(snapshot, new / "log", report)
    tree = snapshot.tree()
    state = public_state(snapshot, leaves, hidden_writes(snapshot.ledger))
    tables = public_tables(PublicLog(snapshot.charter, snapshot.checkpoint_text, leaves, snapshot.registers), state)
    report("tables", 0, 1)
    tables |= write_public_db(new / "public.db", tables, snapshot.registers)
    _write_around(snapshot, new, tables)
    write_head(new / "log", snapshot)
    write_tiles(new / "log", snapshot, tree.get)
    kinds = [name for name, _kind in tables["withheld"].columns].index("kind")
    hidden = Counter(row[kinds] for row in tables["withheld"].rows)
    names = [each.name for each in published_registers(snapshot.registers)]
    rows: list[RowKey] = [(name, str(row[0])) for name in names for row in tables[name].rows]
    write_proofs(new, snapshot, tree, state, rows, partial(_report_some, report, "proofs"))
    if site is not None:
        report("portal", 0, 1)
        _build_portal(new, site)
    return Published(
        out=out,
        checkpoint=snapshot.checkpoint,
        tables={name: len(tables[name].rows) for name in names},
        figures={str(row[0]): str(row[6]) for row in tables["figure"].rows},
        withheld=hidden["withholding"],
        erased=hidden["erasure"],
        newly_withheld=newly_withheld,
        uncovered=_uncovered(tables, snapshot.registers),
    )


def _uncovered(tables: Mapping[str, Table], registers: RegisterSet) -> tuple[str, ...]:
    """Return the years in which leaves were received and no working time is known."""
    if not any(each.portal.get("working") for each in published_registers(registers)):
        return ()
    names = [name for name, _kind in tables["leaf"].columns]
    received, worked = names.index("received"), names.index("worked")
    return tuple(sorted({str(row[received])[:4] for row in tables["leaf"].rows if row[worked] is None}))


def _disclose(snapshot: Snapshot, folder: Path, report: Progress) -> list[PublicLeaf]:
    """Write the disclosed bodies; return every leaf with what of it is public."""
    hidden, charter = hidden_writes(snapshot.ledger), snapshot.ledger.charter
    writer = DisclosedWriter(folder)
    leaves = []
    for entry in snapshot.entries():
        registers = snapshot.registers_at(snapshot.ledger.seen_size(entry.leaf.changeset.statement))
        public = public_leaf(entry, registers, hidden, charter)
        writer.add(entry, public)
        leaves.append(public)
        _report_some(report, "disclose", entry.index + 1, snapshot.size)
    writer.finish()
    return leaves


def _report_some(report: Progress, stage: str, done: int, total: int) -> None:
    if done % REPORT_EVERY == 0 or done == total:
        report(stage, done, total)


def _write_around(snapshot: Snapshot, new: Path, tables: Mapping[str, Table]) -> None:
    """Write what describes and repeats public.db: metadata, open data, Open311, the first page."""
    metadata = make_metadata(new / "public.db", tables, snapshot.registers)
    write_file(new / "metadata.json", format_metadata(metadata))
    write_open_data(new / "data", tables, snapshot.registers, metadata)
    for path, data in open311_files(tables, snapshot.registers):
        write_file(new / path, data)
    write_file(new / "index.html", _INDEX_HTML.encode())


def _build_portal(new: Path, address: str) -> None:
    """Run the portal in a process of its own: it may use nothing but public.db."""
    command = [sys.executable, "-m", "portal.build", str(new / "public.db"), str(new / "portal"), "--address", address]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        why = (done.stderr or done.stdout).strip()[-MAX_PORTAL_MESSAGE:]
        raise StorageError(f"公开网站没有做成：{why}", f"the portal could not be built: {why}")
