"""A published folder is found whole, and each way of damaging it is found and named."""

import csv
import io
import random
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from syncgov.audit.audit import Report, audit
from syncgov.audit.portal_figures import headlines
from syncgov.core.canonical import b64u
from syncgov.core.charter import open_charter, sign_charter
from syncgov.core.clock import Stamp
from syncgov.core.commitment import Write, make_body, open_body, redact
from syncgov.core.keys import SigningKey
from syncgov.core.note import Checkpoint, sign_checkpoint
from syncgov.core.public_rows import make_table
from syncgov.core.register import RegisterSet, parse_register
from syncgov.core.statement import Seen
from syncgov.core.tree import root_of_inputs
from syncgov.core.wire import Push, PushAnswer, PushEntry
from syncgov.errors import InputError
from syncgov.publish.publish import publish
from syncgov.storage.capture import Author, FieldWrite, Signed, sign_writes
from syncgov.storage.replica import Replica
from tests.audit.forging import (
    Item,
    device_key,
    full_body,
    full_lines,
    log_key,
    read_items,
    seal,
    write_items,
    write_lines,
)
from tests.audit.street import write_pages
from tests.helpers import ORIGIN, World
from tests.registers import TEXTS

_TREE = ("size", "root")  # of what a replica has folded
# what follows of itself when the log says something else than public.db
DERIVED = {"cell", "row-missing", "row-surplus", "figure", "portal", "evidence", "evidence-surplus", "data", "schema"}


def run(street: Path, **options: object) -> Report:
    """Audit the street with its true charter, its files signed as they are: the list alone must not give a lie away."""
    seal(street / "out", log_key(street))
    return audit(street / "out", street / "centre/charter.json", **options)  # type: ignore[arg-type]


def codes(report: Report) -> set[str]:
    """Return the kinds of findings."""
    return {finding.code for finding in report.findings}


def forge(street: Path, change: Callable[[list[Item]], list[Item]]) -> Report:
    """Audit the street after its operator has written the log anew."""
    write_items(street / "out", change(read_items(street / "out")), log_key(street))
    return run(street)


def last_by(street: Path, items: list[Item], name: str, verdict: str = "accepted") -> int:
    """Return the index of a device's last leaf."""
    dev = device_key(street, name).id
    return max(i for i, item in enumerate(items) if item.statement.dev == dev and item.verdict == verdict)


# -- whole ----------------------------------------------------------------------------------------------------------


def test_a_whole_folder_has_no_findings(pristine: Path) -> None:
    """Everything is checked, nothing is found, and what only the centre knows is counted."""
    report = run(pristine, replica=pristine / "east.db", since=str(pristine / "out/log/checkpoint"))
    assert report.ok, report.findings
    assert len(report.skipped) == 1  # the words of the pages
    size = len(read_items(pristine / "out"))
    assert report.counts["entries"] == report.counts["signatures"] == report.counts["verdicts"] == size
    assert report.counts["withheld"] == 1
    assert report.counts["figures"] == 2
    assert report.counts["portal_figures"] == 6
    assert report.counts["proofs"] >= 10
    assert report.counts["data_files"] >= 5
    assert report.counts["replica_own"] >= 8
    assert report.declared["values"]
    assert report.declared["refused:area"] == 1


def test_one_thread_finds_the_same(pristine: Path) -> None:
    """The number of threads changes nothing."""
    assert run(pristine, workers=1).counts == run(pristine, workers=3).counts


def test_the_folder_may_be_checked_without_a_charter_of_ones_own(pristine: Path) -> None:
    """Then its own charter counts."""
    assert audit(pristine / "out", None).ok


def test_progress_is_told(pristine: Path) -> None:
    """Each stage ends where it said it would."""
    stages: dict[str, tuple[int, int]] = {}
    run(pristine, progress=lambda stage, done, total: stages.__setitem__(stage, (done, total)))
    assert {"signatures", "verdicts", "public_db", "portal", "proofs", "data"} <= set(stages)
    assert stages["verdicts"][0] == stages["verdicts"][1]


# -- the log --------------------------------------------------------------------------------------------------------


def test_one_changed_byte_in_any_tile_is_found(street: Path) -> None:
    """Every byte of the hash tiles counts; of the bundles, bytes at random places."""
    names = [path for path in (street / "out/log/tile").rglob("*") if path.is_file()]
    assert len(names) >= 2
    for path in names:
        whole = path.read_bytes()
        for place in random.Random(7).sample(range(len(whole)), 20):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            report = run(street)
            expected = {"entry", "tile"} if "entries" in path.parts else {"tile"}
            assert codes(report), f"{path} byte {place}"
            assert codes(report) <= expected
        path.write_bytes(whole)


def test_missing_and_surplus_tiles_are_found(street: Path) -> None:
    """The set of tile files is exactly that of the tree."""
    tile = next(path for path in (street / "out/log/tile/0").rglob("*") if path.is_file())
    whole = tile.read_bytes()
    tile.with_name("999").write_bytes(whole)
    assert codes(run(street)) == {"tile-surplus"}
    tile.with_name("999").unlink()
    tile.write_bytes(whole + b"x")
    assert codes(run(street)) == {"tile"}
    tile.unlink()
    assert codes(run(street)) == {"tile"}


def test_a_missing_bundle_is_found(street: Path) -> None:
    """Without entries there is nothing else to check, and the report says so."""
    shutil.rmtree(street / "out/log/tile/entries")
    report = run(street)
    assert codes(report) == {"tile"}
    assert report.skipped


def test_a_checkpoint_by_another_key_is_found(street: Path) -> None:
    """Only the charter's log key signs checkpoints."""
    write_items(street / "out", read_items(street / "out"), SigningKey(bytes(32)))
    assert codes(run(street)) == {"checkpoint"}


def test_another_charter_is_found(street: Path) -> None:
    """The folder's charter must be the one that the auditor holds."""
    root, document = SigningKey(b"r" * 32), street / "centre/charter.json"
    charter = msgspec.structs.replace(open_charter(document.read_bytes()), roots=[b64u(root.public)])
    other = street / "other.json"
    other.write_bytes(sign_charter(charter, [root]))
    assert codes(audit(street / "out", other)) == {"charter-other"}


def test_a_charter_whose_roots_did_not_sign_is_found(street: Path) -> None:
    """A changed charter, or none, ends the audit."""
    path = street / "out/log/charter.json"
    raw = path.read_bytes()
    place = raw.index(b'"sig":"') + 9
    path.write_bytes(raw[:place] + (b"B" if raw[place : place + 1] == b"A" else b"A") + raw[place + 1 :])
    assert codes(run(street)) == {"charter"}
    path.unlink()
    assert codes(run(street)) == {"charter"}


def test_a_removed_leaf_breaks_its_chain(street: Path) -> None:
    """Whoever takes a leaf out of the log leaves a hole in its device's chain."""

    def change(items: list[Item]) -> list[Item]:
        dev = device_key(street, "desk").id
        second = [i for i, item in enumerate(items) if item.statement.dev == dev][1]
        return [*items[:second], *items[second + 1 :]]

    # whoever wrote after it had seen another tree
    assert {"chain", "verdict"} <= codes(forge(street, change))


def test_a_removed_body_is_found_for_every_accepted_leaf(street: Path) -> None:
    """Nothing public is silently missing."""
    out = street / "out"
    items = read_items(out)
    tried = 0
    for index, item in enumerate(items):
        if item.verdict == "accepted" and item.statement.pub:
            tried += 1
            write_lines(out, 0, {i: None if i == index else other.body for i, other in enumerate(items)})
            report = run(street)
            missing = [finding.index for finding in report.findings if finding.code == "missing"]
            assert index in missing
    assert tried > 20


def test_a_removed_body_is_the_only_finding(street: Path) -> None:
    """What cannot be checked without it is said, not reported as wrong."""
    items = read_items(street / "out")
    index = last_by(street, items, "east")
    write_lines(street / "out", 0, {i: None if i == index else item.body for i, item in enumerate(items)})
    report = run(street)
    assert codes(report) == {"missing"}
    assert report.skipped


def test_a_removed_body_of_a_refused_leaf_is_found(street: Path) -> None:
    """public.db shows which record a refused changeset was about."""
    items = read_items(street / "out")
    index = last_by(street, items, "other", "refused:transition")
    assert items[index].body is not None
    write_lines(street / "out", 0, {i: None if i == index else item.body for i, item in enumerate(items)})
    assert "cell" in codes(run(street))


def test_a_hidden_public_write_is_found(street: Path) -> None:
    """One write hidden without a withholding is missing too."""
    items = read_items(street / "out")
    index = last_by(street, items, "east")
    body = full_body(street, items[index].envelope)
    pub = items[index].statement.pub
    hidden = redact(body, lambda position, _w: 0 < position < pub)
    write_lines(street / "out", 0, {i: hidden if i == index else item.body for i, item in enumerate(items)})
    assert codes(run(street)) == {"missing"}


def test_a_disclosed_private_write_is_found(street: Path) -> None:
    """Nothing but public class is disclosed."""
    items = read_items(street / "out")
    index = last_by(street, items, "east")
    lines = full_lines(full_body(street, items[index].envelope))
    write_lines(street / "out", 0, {i: lines if i == index else item.body for i, item in enumerate(items)})
    report = run(street)
    assert codes(report) == {"private"}
    assert {finding.index for finding in report.findings} == {index}


def test_a_disclosed_title_of_a_refused_changeset_is_found(street: Path) -> None:
    """What was refused was never meant for the public."""
    items = read_items(street / "out")
    index = last_by(street, items, "east", "refused:area")
    body, pub = full_body(street, items[index].envelope), items[index].statement.pub
    lines = redact(body, lambda position, _w: position < pub)
    write_lines(street / "out", 0, {i: lines if i == index else item.body for i, item in enumerate(items)})
    assert codes(run(street)) - {"cell"} == {"refused-disclosed"}


def test_a_withheld_write_that_is_disclosed_is_found(street: Path) -> None:
    """A telephone number that was withheld stays so."""
    items = read_items(street / "out")
    withheld = next(i for i, item in enumerate(items) if b"13912345678" in full_lines(full_body(street, item.envelope)))
    body, pub = full_body(street, items[withheld].envelope), items[withheld].statement.pub
    lines = redact(body, lambda position, _w: position < pub)
    write_lines(street / "out", 0, {i: lines if i == withheld else item.body for i, item in enumerate(items)})
    assert "withheld" in codes(run(street))


def test_another_body_is_found(street: Path) -> None:
    """A body belongs to one statement."""
    items = read_items(street / "out")
    index = last_by(street, items, "east")
    swapped = items[last_by(street, items, "registrar")].body
    write_lines(street / "out", 0, {i: swapped if i == index else item.body for i, item in enumerate(items)})
    assert codes(run(street)) == {"commitment"}


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\n",
        b'{"body":{},"index":3}\n',
        b'{"index":3}\n',
        b'{"body":{"slots":[],"v":1},"index":99999}\n',
        b"no end of line",
        b"[" * 100_000 + b"\n",
    ],
)
def test_damaged_lines_are_found(street: Path, line: bytes) -> None:
    """A line that cannot be read is one finding and no crash."""
    path = street / "out/log/disclosed/000"
    path.write_bytes(path.read_bytes() + line)
    report = run(street)
    assert "disclosed" in codes(report)
    assert all(finding.path == "log/disclosed/000" for finding in report.findings)


def test_a_wrong_floor_is_found(street: Path) -> None:
    """`floor` decides effective times, so it is derived, not believed."""

    def change(items: list[Item]) -> list[Item]:
        assert items[-1].floor
        return [*items[:-1], replace(items[-1], floor=items[-1].floor - 1)]

    assert codes(forge(street, change)) - DERIVED == {"floor"}


def test_a_decreasing_time_is_found(street: Path) -> None:
    """`received` never goes back."""

    def change(items: list[Item]) -> list[Item]:
        early = items[0].received - 1
        return [*items[:-1], replace(items[-1], received=early, floor=min(items[-1].floor, early))]

    assert codes(forge(street, change)) - DERIVED == {"received"}


def test_a_forged_signature_is_found(street: Path) -> None:
    """A statement that its device did not sign."""

    def change(items: list[Item]) -> list[Item]:
        raw = items[-1].envelope
        place = raw.index(b'"sig":"') + 9
        other = b"B" if raw[place : place + 1] == b"A" else b"A"
        return [*items[:-1], replace(items[-1], envelope=raw[:place] + other + raw[place + 1 :])]

    assert codes(forge(street, change)) - DERIVED == {"signature"}


@pytest.mark.parametrize("verdict", ["refused:expired", "refused:revoked", "refused:fork", "refused:area"])
def test_a_changed_verdict_is_found(street: Path, verdict: str) -> None:
    """Whoever refuses what the rules accept is found, as far as public inputs reach."""

    def change(items: list[Item]) -> list[Item]:
        return [*items[:-1], replace(items[-1], verdict=verdict)]

    report = forge(street, change)
    assert codes(report) - DERIVED - {"refused-disclosed"} == {"verdict"}


def test_an_accepted_step_that_the_workflow_does_not_know_is_found(street: Path) -> None:
    """Whoever accepts what the rules refuse is found."""

    def change(items: list[Item]) -> list[Item]:
        index = last_by(street, items, "other", "refused:transition")
        body, pub = full_body(street, items[index].envelope), items[index].statement.pub
        shown = redact(body, lambda position, _w: position < pub)
        return [*items[:index], replace(items[index], verdict="accepted", body=shown)]

    # the withholding that came later is cut off
    assert codes(forge(street, change)) - DERIVED - {"missing"} == {"verdict"}


def test_a_repeated_changeset_is_found(street: Path) -> None:
    """A changeset is logged once."""

    def change(items: list[Item]) -> list[Item]:
        again = items[last_by(street, items, "east")]
        return [*items, replace(again, received=items[-1].received)]

    assert {"duplicate", "verdict"} <= codes(forge(street, change))


def test_a_fork_that_was_accepted_is_found(street: Path) -> None:
    """Two changesets with one number: the second must be refused, and stops the device."""
    key = device_key(street, "east")

    def fork(verdict: str) -> Callable[[list[Item]], list[Item]]:
        def change(items: list[Item]) -> list[Item]:
            item = items[last_by(street, items, "east")]
            second = item.with_statement(key, msgspec.structs.replace(item.statement, at=item.statement.at + 1))
            return [*items, replace(second, received=items[-1].received, verdict=verdict)]

        return change

    assert codes(forge(street, fork("accepted"))) - DERIVED == {"verdict"}


def test_a_wrong_root_seen_is_found(street: Path) -> None:
    """A device that saw another history was shown another history."""
    key = device_key(street, "registrar")

    def change(items: list[Item]) -> list[Item]:
        st = items[-1].statement
        seen = msgspec.structs.replace(st.seen, root=b64u(bytes(32)))
        return [*items[:-1], items[-1].with_statement(key, msgspec.structs.replace(st, seen=seen))]

    assert codes(forge(street, change)) - DERIVED == {"verdict"}


def test_a_device_without_certificate_is_found(street: Path) -> None:
    """A key that no registrar certified signs nothing."""
    key = SigningKey(b"s" * 32)

    def change(items: list[Item]) -> list[Item]:
        st = msgspec.structs.replace(items[-1].statement, dev=key.id, seq=1)
        return [*items, items[-1].with_statement(key, st)]

    assert {"certificate"} <= codes(forge(street, change))


@pytest.mark.parametrize("value", ["很高", 7, None, {"a": 1}])
def test_a_write_of_another_type_that_was_accepted_is_found(street: Path, value: object) -> None:
    """What the register does not allow is not folded, whatever it is."""
    key = device_key(street, "east")

    def change(items: list[Item]) -> list[Item]:
        last = max(i for i, item in enumerate(items) if item.statement.dev == key.id)
        before = items[last]
        path = next(
            write.path.removesuffix("/_alive")
            for item in items
            if item.body is not None
            for _position, write in open_body(item.body, item.statement).disclosed()
            if write.path.startswith("task/") and write.path.endswith("/_alive")
        )
        writes = [Write(f"{path}/_alive", True, ()), Write(f"{path}/urgency", value, ())]  # type: ignore[arg-type]
        raw, body = make_body(writes, [], bytes(32))
        st = msgspec.structs.replace(
            before.statement,
            seq=before.statement.seq + 1,
            prev=before.leaf.changeset.envelope.hash,
            n=2,
            pub=2,
            root=b64u(root_of_inputs(body.digests)),
        )
        added = replace(before, verdict="accepted", received=items[-1].received, body=redact(body, lambda *_: True))
        assert raw
        return [*items, added.with_statement(key, st)]

    assert codes(forge(street, change)) - DERIVED == {"verdict"}


# -- what is derived ------------------------------------------------------------------------------------------------


def edit(street: Path, *statements: str) -> None:
    """Change public.db."""
    with closing(sqlite3.connect(street / "out/public.db", isolation_level=None)) as conn:
        for statement in statements:
            conn.execute(statement)


def tables_of(street: Path) -> dict[str, list[str]]:
    """Return the ordinary tables of public.db with their columns."""
    with closing(sqlite3.connect(street / "out/public.db")) as conn:
        names = [
            name
            for (name,) in conn.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'"
            )
            if "_fts" not in name
        ]
        return {name: [row[1] for row in conn.execute(f'PRAGMA table_info("{name}")')] for name in names}


def rows_of(street: Path, table: str) -> list[tuple[object, ...]]:
    """Return all rows of a table of public.db."""
    with closing(sqlite3.connect(street / "out/public.db")) as conn:
        return conn.execute(f'SELECT * FROM "{table}"').fetchall()


def test_one_changed_cell_of_any_column_is_found(street: Path) -> None:
    """Every cell of public.db is a function of the log."""
    whole = (street / "out/public.db").read_bytes()
    tried = 0
    for table, columns in tables_of(street).items():
        before = rows_of(street, table)
        for column in columns:
            first = f'WHERE rowid = (SELECT min(rowid) FROM "{table}")'
            for value in (f"\"{column}\" || 'x'", "'x'", "999"):
                with suppress(sqlite3.IntegrityError):
                    edit(street, f'UPDATE "{table}" SET "{column}" = {value} {first}')
                if rows_of(street, table) != before:
                    break
            changed = rows_of(street, table) != before
            assert changed is bool(before), f"{table}.{column}"
            report = run(street)
            assert report.ok is not changed, f"{table}.{column}"
            assert codes(report) <= {"cell", "figure", "row-missing", "row-surplus"}
            tried += changed
            (street / "out/public.db").write_bytes(whole)
    assert tried > 60


def test_a_cell_of_another_type_is_found(street: Path) -> None:
    """A number written as a text is another cell."""
    edit(street, "UPDATE meta SET value = CAST(value AS BLOB) WHERE key = 'size'")
    assert codes(run(street)) == {"cell"}


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DELETE FROM task WHERE rowid = 1", "row-missing"),
        ("INSERT INTO declared(name, value) VALUES ('made_up', 1)", "row-surplus"),
        ("CREATE TABLE extra(a)", "schema"),
        ("CREATE VIEW extra AS SELECT 1", "schema"),
        ("CREATE TRIGGER extra AFTER UPDATE ON task BEGIN SELECT 1; END", "schema"),
        ("DROP TABLE declared", "schema"),
        ("DROP TABLE task_fts", "schema"),
        ("ALTER TABLE task ADD COLUMN extra", "schema"),
        ("UPDATE figure SET text = '99.9% (9/9)' WHERE id = 'task_rate'", "figure"),
        ("UPDATE figure SET n = n + 1 WHERE id = 'task_all'", "figure"),
        ("UPDATE figure_part SET text = '99.9% (9/9)' WHERE \"by\" = '_community'", "figure"),
        ("UPDATE figure_part SET d = d + 1 WHERE \"by\" = '_community _month'", "figure"),
        ("DELETE FROM figure_part WHERE \"by\" = 'state'", "row-missing"),
        ("CREATE INDEX extra ON task(state)", "schema"),
        ("DROP INDEX task_state_index", "schema"),
        ("PRAGMA user_version = 1", "schema"),
        ("PRAGMA application_id = 1", "schema"),
    ],
)
def test_another_public_db_is_found(street: Path, statement: str, code: str) -> None:
    """Rows, objects and figures are exactly those that the log gives."""
    edit(street, statement)
    assert codes(run(street)) == {code}


def test_parts_add_up_to_their_figure(street: Path) -> None:
    """The parts by community are the figure over fewer rows: together they are all of it."""
    with closing(sqlite3.connect(street / "out/public.db")) as conn:
        whole = conn.execute("SELECT n, d FROM figure WHERE id = 'task_rate'").fetchone()
        sql = "SELECT sum(n), sum(d), count(*) FROM figure_part WHERE figure = 'task_rate' AND \"by\" = ?"
        (places,) = conn.execute("SELECT count(DISTINCT _community) FROM task").fetchone()
        for by in ("_community", "state"):
            *added, number = conn.execute(sql, [by]).fetchone()
            assert tuple(added) == whole
            assert number == places or by == "state"


def test_a_marked_part_on_a_page_is_compared(street: Path) -> None:
    """A page may mark any part of a figure; a changed text, or a part that does not exist, is found."""
    with closing(sqlite3.connect(street / "out/public.db")) as conn:
        query = "SELECT figure || '/' || \"by\" || '/' || part, text FROM figure_part LIMIT 1"
        mark, text = conn.execute(query).fetchone()
    page = street / "out/portal/about.html"
    honest = page.read_text(encoding="utf-8").replace("</html>", f'<b data-figure="{mark}">{text}</b></html>')
    page.write_text(honest, encoding="utf-8")
    assert run(street).ok
    for wrong in (honest.replace(f">{text}</b>", ">7</b>"), honest.replace(mark, mark + "x")):
        assert wrong != honest
        page.write_text(wrong, encoding="utf-8")
        assert codes(run(street)) == {"portal"}


def test_an_index_over_another_column_than_it_says_is_found(street: Path) -> None:
    """The cells are right, but whoever asks by community is answered by month."""
    name, asked = "task__community_index", "SELECT count(*) FROM task WHERE _community = '101'"
    with closing(sqlite3.connect(street / "out/public.db", isolation_level=None)) as conn:
        (sql,) = conn.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        before = conn.execute(asked).fetchone()
        conn.execute(f"DROP INDEX {name}")
        conn.execute(f"CREATE INDEX {name} ON task (_month)")
        conn.execute("PRAGMA writable_schema = 1")
        conn.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, name))
    with closing(sqlite3.connect(street / "out/public.db")) as conn:
        assert conn.execute(asked).fetchone() != before
    assert codes(run(street)) == {"database"}


def test_a_second_row_with_a_published_key_is_found(street: Path) -> None:
    """A unique index that does not know of it hides it from whoever asks by key."""
    path, index = street / "out/public.db", "sqlite_autoindex_task_1"
    edit_schema = "UPDATE sqlite_master SET sql = ? WHERE name = 'task'"
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        (sql,) = conn.execute("SELECT sql FROM sqlite_master WHERE name = 'task'").fetchone()
        (page,) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (index,)).fetchone()
        conn.execute("PRAGMA writable_schema = 1")
        conn.execute(edit_schema, (sql.replace(',\n  PRIMARY KEY ("key")', ""),))
        conn.execute("DELETE FROM sqlite_master WHERE name = ?", (index,))
        conn.execute("PRAGMA schema_version = 999")
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("INSERT INTO task SELECT * FROM task LIMIT 1")
        conn.execute("PRAGMA writable_schema = 1")
        conn.execute(edit_schema, (sql,))
        conn.execute("INSERT INTO sqlite_master VALUES ('index', ?, 'task', ?, NULL)", (index, page))
    assert codes(run(street)) == {"row-surplus", "database"}


def test_a_journal_beside_public_db_is_found(street: Path) -> None:
    """SQLite takes it for part of the database."""
    (street / "out/public.db-wal").write_bytes(b"")
    assert codes(run(street)) == {"database"}


def test_search_tables_are_exempt(street: Path) -> None:
    """What the search index holds is a matter of the program that made it."""
    edit(street, "DELETE FROM task_fts_data WHERE id > 10")
    assert run(street).ok


@pytest.mark.parametrize("data", [b"", b"not a database", b"SQLite format 3\x00" + bytes(5000)])
def test_a_file_that_is_no_database_is_found(street: Path, data: bytes) -> None:
    """No traceback, one name."""
    (street / "out/public.db").write_bytes(data)
    assert codes(run(street)) <= {"database", "schema"}
    (street / "out/public.db").unlink()
    assert codes(run(street)) == {"database"}


def test_a_changed_figure_on_a_page_is_found(street: Path) -> None:
    """The portal says what public.db says."""
    page = street / "out/portal/more.html"
    html = page.read_text(encoding="utf-8")
    page.write_text(html.replace('<span data-figure="task_all">6', '<span data-figure="task_all">7'), encoding="utf-8")
    report = run(street)
    assert codes(report) == {"portal"}
    assert [finding.path for finding in report.findings] == ["portal/more.html"]
    page.write_text(html.replace('data-figure="task_all"', 'DATA-FIGURE="nothing"'), encoding="utf-8")
    assert codes(run(street)) == {"portal"}
    page.write_bytes(b"\xff")
    assert codes(run(street)) == {"portal"}


def test_a_figure_without_its_mark_is_found(street: Path) -> None:
    """Every figure stands, marked, on the page of figures and on the first page."""
    for name in ("figures", "index"):
        page = street / f"out/portal/{name}.html"
        html = page.read_text(encoding="utf-8")
        page.write_text(html.replace('data-figure="task_all">6', 'data-x="">999'), encoding="utf-8")
        assert [(each.path, each.key) for each in run(street).findings] == [(f"portal/{name}.html", "task_all")]
        page.write_text(html, encoding="utf-8")


def test_a_deleted_page_is_found(street: Path) -> None:
    """The pages that every portal has are there."""
    for name in ("index.html", "portal/index.html", "portal/verify.html", "portal/figures.html"):
        page = street / "out" / name
        html = page.read_bytes()
        page.unlink()
        assert [(each.code, each.path) for each in run(street).findings] == [("portal", name)]
        page.write_bytes(html)


def test_the_first_page_shows_the_first_figures_of_the_menus() -> None:
    """Eight, as the portal orders them: by the registers' places, those without pages last; or those that are named."""
    parts = (("aa", None), ("bb", 20), ("cc", 10))
    texts = [
        TEXTS["notice"].replace("notice", n) + (f"portal: {{nav: {n}, page: list, order: {o}}}\n" if o else "")
        for n, o in parts
    ]
    registers = RegisterSet([parse_register(text, f"{i}.yml") for i, text in enumerate(texts)])
    rows = [(f"{name}{i}", name) for name, _order in parts for i in range(4)]
    found = headlines(make_table("id register", "id", rows), registers)
    assert found == [f"{name}{i}" for name in ("cc", "bb") for i in range(4)]
    named = texts[1].replace(
        "portal: {", "figures:\n  - {id: bb2, label: B, kind: count, n: SELECT 1}\nportal: {headlines: [bb2], "
    )
    registers = RegisterSet([parse_register(text, f"{i}.yml") for i, text in enumerate((texts[0], named, texts[2]))])
    assert headlines(make_table("id register", "id", rows), registers) == ["bb2"]


def test_a_missing_portal_is_found(street: Path) -> None:
    """The pages belong to what is published."""
    shutil.rmtree(street / "out/portal")
    (street / "out/index.html").unlink()
    assert codes(run(street)) == {"portal"}


def test_damaged_evidence_is_found(street: Path) -> None:
    """Every row's proof is there, whole, and that row's."""
    folder = street / "out/log/proofs/task"
    one, two = sorted(folder.iterdir())[:2]
    whole = one.read_bytes()
    one.write_bytes(two.read_bytes())
    assert codes(run(street)) == {"evidence"}
    for place in random.Random(3).sample(range(len(whole)), 40):
        one.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert codes(run(street)) == {"evidence"}, place
    one.unlink()
    assert codes(run(street)) == {"evidence"}
    one.write_bytes(whole)
    (folder / "more.json").write_bytes(whole)
    assert codes(run(street)) == {"evidence-surplus"}


def test_changed_open_data_is_found(street: Path) -> None:
    """CSV files say what public.db says."""
    path = street / "out/data/task.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("路灯 2 号", "路灯 3 号"), encoding="utf-8", newline="")
    assert codes(run(street)) == {"data"}


def test_missing_open_data_is_found(street: Path) -> None:
    """Every table has its file with all columns, and the package describes them."""
    folder = street / "out/data"
    path, package = folder / "task.csv", folder / "datapackage.json"
    text, described = path.read_text(encoding="utf-8-sig"), package.read_bytes()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    place = rows[0].index("state")
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([*row[:place], *row[place + 1 :]] for row in rows)
    package.unlink()
    assert {each.path for each in run(street).findings} == {"data/task.csv", "data/datapackage.json"}
    path.unlink()
    package.write_bytes(described.replace(b"task.csv", b"figure.csv"))
    assert {each.path for each in run(street).findings} == {"data/task.csv", "data/datapackage.json"}
    (folder / "more.csv").write_text("a\r\n", encoding="utf-8")
    assert "data/more.csv" in {each.path for each in run(street).findings}
    shutil.rmtree(folder)
    assert codes(run(street)) == {"data"}


# -- what others remember -------------------------------------------------------------------------------------------


def test_an_older_checkpoint_is_extended(street: Path) -> None:
    """A log that was rewritten, or got shorter, is found by whoever kept a checkpoint."""
    out, items = street / "out", read_items(street / "out")
    newest = (out / "log/checkpoint").read_text(encoding="utf-8")
    write_items(out, items[:-3], log_key(street))
    older = (out / "log/checkpoint").read_text(encoding="utf-8")
    assert "since" in codes(run(street, since=newest))
    changed = [*items[:-4], replace(items[-4], received=items[-4].received + 1, floor=items[-4].floor), *items[-3:]]
    write_items(out, changed, log_key(street))
    assert "since" in codes(run(street, since=older))
    write_items(out, items, log_key(street))
    assert run(street, since=older).ok
    foreign = sign_checkpoint(Checkpoint(ORIGIN, 1, bytes(32)), SigningKey(bytes(32)))
    assert codes(run(street, since=foreign)) == {"since"}


def test_what_a_device_was_told_is_in_the_log(street: Path) -> None:
    """A replica holds leaves and verdicts; the published log must hold them too."""
    with closing(sqlite3.connect(street / "east.db", isolation_level=None)) as conn:
        conn.execute("UPDATE _sg_own SET verdict = 'refused:role' WHERE seq = 2")
    report = run(street, replica=street / "east.db")
    assert codes(report) == {"replica"}
    assert len(report.findings) == 1
    with closing(sqlite3.connect(street / "other.db", isolation_level=None)) as conn:
        conn.execute(
            "UPDATE _sg_leaf SET leaf = CAST(replace(CAST(leaf AS TEXT), '\"v\":1', '\"v\":2') AS BLOB) WHERE idx = 9"
        )
    assert codes(run(street, replica=street / "other.db")) == {"replica"}


def test_a_replica_that_was_shown_another_history_is_found(street: Path) -> None:
    """The tree that a device has folded is a prefix of the published one; both roots are named."""
    with closing(sqlite3.connect(street / "desk.db", isolation_level=None)) as conn:
        size, root = (conn.execute("SELECT value FROM _sg_meta WHERE key = ?", (k,)).fetchone()[0] for k in _TREE)
        assert run(street, replica=street / "desk.db").ok
        other = Checkpoint(ORIGIN, int(size), bytes(32))
        conn.execute(
            "UPDATE _sg_meta SET value = ? WHERE key = 'checkpoint'", (sign_checkpoint(other, log_key(street)),)
        )
        report = run(street, replica=street / "desk.db")
        assert codes(report) == {"fork"}
        assert root in report.findings[0].en
        assert b64u(bytes(32)) in report.findings[0].en
        conn.execute("UPDATE _sg_meta SET value = ? WHERE key = 'root'", (b64u(bytes(32)),))
        conn.execute("UPDATE _sg_meta SET value = '' WHERE key = 'checkpoint'")
        assert codes(run(street, replica=street / "desk.db")) == {"fork"}
        conn.execute("UPDATE _sg_meta SET value = '99999' WHERE key = 'size'")
        newer = run(street, replica=street / "desk.db")
        assert newer.ok
        assert len(newer.skipped) == 2  # it has synced since: nothing to compare with
        conn.execute("UPDATE _sg_meta SET value = 'many' WHERE key = 'size'")
        assert codes(run(street, replica=street / "desk.db")) == {"replica"}


def test_wrong_arguments_are_not_wrong_publications(street: Path) -> None:
    """What is not a folder, charter, checkpoint or replica is refused by name, and nothing is checked."""
    out, charter, other = street / "out", street / "centre/charter.json", street / "other.yml"
    other.write_text("register: task\n", encoding="utf-8")
    for missing in (other, street / "nothing"):
        for given in ({"charter": missing}, {"since": str(missing)}, {"replica": missing}):
            with pytest.raises(InputError, match=missing.name):
                audit(out, **{"charter": charter, **given})  # type: ignore[arg-type]
        with pytest.raises(InputError, match=missing.name):
            audit(missing, charter)


def test_a_device_whose_first_changeset_is_a_fork_is_stopped(tmp_path: Path) -> None:
    """As the centre does: whatever it sends later is refused, also what would have been its true first changeset."""
    with World.make(tmp_path) as world:
        east = world.device("east")
        true_start = east.meta.get("last_hash")
        for prev in (b64u(bytes(32)), true_start):
            signed = _first_changeset(world, east, prev)
            entry = PushEntry(msgspec.Raw(signed.raw_body), msgspec.Raw(signed.envelope))
            answer = world.transport(east).post("/v1/push", Push([entry]), PushAnswer)
        assert answer.results[0].verdict == "refused:revoked"
        publish(world.centre, tmp_path / "out", portal=False)
    write_pages(tmp_path / "out", {})
    assert run(tmp_path).ok


def _first_changeset(world: World, replica: Replica, prev: str) -> Signed:
    ledger = world.centre.ledger
    seen = Seen(b64u(ledger.root(ledger.size)), ledger.size)
    author = Author(replica.key_file.key, 1, prev, seen, Stamp(world.clock(), 0), None, None)
    writes = [FieldWrite(("task", "k"), "_alive", True, (), True)]
    return sign_writes(writes, author, ledger.registers(ledger.size), bytes(32))


# -- anything -------------------------------------------------------------------------------------------------------


def test_random_damage_never_ends_in_a_traceback(street: Path) -> None:
    """Whatever happens to a file, the audit ends with a report; every byte of every file counts."""
    dice = random.Random(11)
    files = sorted(path for path in (street / "out").rglob("*") if path.is_file())
    for _ in range(150):
        path = dice.choice(files)
        whole = path.read_bytes()
        if not whole:
            continue
        place = dice.randrange(len(whole))
        damaged = dice.choice(
            [
                whole[:place],
                whole[:place] + dice.randbytes(4) + whole[place + 4 :],
                whole[:place] + whole,
                dice.randbytes(len(whole)),
            ]
        )
        path.write_bytes(damaged)
        report = audit(street / "out", street / "centre/charter.json")
        if damaged != whole:
            assert not report.ok, f"{path} {place}"
        path.write_bytes(whole)
    assert run(street).ok


def test_other_processes_find_what_this_one_finds(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long log's signatures are verified in processes; the findings and counts do not depend on where."""

    def change(items: list[Item]) -> list[Item]:
        raw = items[-1].envelope
        place = raw.index(b'"sig":"') + 9
        other = b"B" if raw[place : place + 1] == b"A" else b"A"
        return [*items[:-1], replace(items[-1], envelope=raw[:place] + other + raw[place + 1 :])]

    monkeypatch.setattr("syncgov.audit.signatures._CHUNK", 7)
    forge(street, change)
    charter = street / "centre" / "charter.json"
    here, there = (audit(street / "out", charter, workers=workers) for workers in (0, 2))
    assert "signature" in {finding.code for finding in there.findings}
    assert there.findings == here.findings
    assert there.counts == here.counts
    assert there.counts["signatures"] > 14  # several tasks


def test_processes_that_cannot_be_had_are_done_without(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started, or one is killed, this one verifies; nothing is left out."""

    class Broken:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> "Broken":
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(self, *_: object) -> "Broken":
            return self

        def result(self) -> list[bool]:
            raise BrokenProcessPool

    monkeypatch.setattr("syncgov.audit.signatures.ProcessPoolExecutor", Broken)
    charter = street / "centre" / "charter.json"
    here, there = (audit(street / "out", charter, workers=workers) for workers in (0, 2))
    assert (there.findings, there.counts) == (here.findings, here.counts)
    assert there.counts["signatures"] > 14
