"""The demo does what it says, on real processes, files and HTTP; and its audit notices every change."""

import json
import random
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncgov.audit.audit import audit
from syncgov.audit.portal_figures import FIXED_PAGES
from syncgov.demo.devices import device_path
from syncgov.demo.run import Ran, run_demo
from syncgov.errors import InputError
from tests.leaks import holders


def test_the_figures_are_those_of_the_plan(ran: Ran, summary: dict[str, Any], summary_text: str) -> None:
    """75.0% (45/60), from public.db."""
    assert summary["figures"]["event_closed_rate"][1] == "75.0% (45/60)"
    assert "75.0% (45/60)" in summary_text
    assert summary["figures"]["event_reported"][1] == "60"
    assert summary["figures"]["event_closed"][1] == "45"


def test_every_logged_changeset_has_a_verdict(summary: dict[str, Any], ran: Ran) -> None:
    """Accepted and refused add up to the log; the refusals are those that the story's people earned."""
    assert summary["accepted"] + sum(summary["refused"].values()) == summary["log_size"]
    assert summary["refused"] == {**ran.story.expect.refused, **ran.faults.refused}
    assert len(summary["refused"]) >= 2


def test_what_goes_wrong_is_counted_and_changes_no_figure(summary: dict[str, Any], ran: Ran) -> None:
    """A clock of 1970, cut lines, lost answers, a community by files alone, a clone, a theft: all of it happened."""
    faults = summary["faults"]
    assert all(number > 0 for number in faults.values()), faults
    assert faults["syncs_cut"] == len(ran.faults.cut | ran.faults.unanswered) > 10
    assert faults["changesets_sent_again"] >= len(ran.faults.unanswered) > 5
    assert faults["bundles_there_and_back"] > faults["devices_by_bundle_only"] == len(ran.faults.by_bundle) > 10
    one_each = ("refused_of_a_clone", "refused_of_its_original", "signed_anew_after_rejoin")
    assert [faults[name] for name in (*one_each, "refused_of_a_stolen_device", "adopted_by_a_supervisor")] == [1] * 5
    assert (ran.faults.refused["fork"], ran.faults.refused["revoked"]) == (1, 2)


def test_an_erasure_reaches_the_public_and_a_device(summary: dict[str, Any], ran: Ran, public: Path) -> None:
    """The field shows as erased, the values are in no file of the centre, the folder and a device that has synced."""
    table, key, fields = ran.faults.erased
    texts = [
        str(write.columns[name])
        for _day, session in ran.story.sessions()
        for write in session.writes
        for name in fields
        if write.key == key and write.columns.get(name)
    ]
    assert len(texts) == summary["faults"]["writes_erased"] == 2
    assert summary["fields_erased"] == 1
    with closing(sqlite3.connect(public / "public.db")) as db:
        row = db.execute(f"SELECT description_public, _erased FROM {table} WHERE key = ?", (key,)).fetchone()
        assert row[0] is None
        assert "description_public" in row[1]
    heard = device_path(ran.folder, ran.story.last_day[-1].device_index)
    files = [p for folder in (ran.centre, ran.public) for p in folder.rglob("*") if p.is_file()]
    files += [p for p in heard.parent.iterdir() if p.name.startswith(heard.name)]
    assert all(not found for found in holders(texts, files).values())


def test_conflicts_come_from_two_devices_and_stay(summary: dict[str, Any], ran: Ran) -> None:
    """At least the conflicts that nobody resolved are there."""
    declared = sum(n for label, n in summary["declared"].items() if "冲突" in label)
    assert summary["conflicts"] + declared == ran.story.expect.conflicts


def test_the_place_is_the_real_one(summary: dict[str, Any]) -> None:
    """AC-02, AC-03 and AC-18 of the street."""
    figures = {name: text for name, (_label, text, _unit) in summary["figures"].items()}
    expected = {"communities": "9", "grids": "181", "devices": "184", "households": "31623", "residents": "88415"}
    expected |= {"compounds_new": "41", "compounds_old": "17", "compounds": "58", "grids_per_worker": "2.13"}
    assert {name: figures[name] for name in expected} == expected


def test_every_canned_query_gives_the_published_figure(public: Path) -> None:
    """What Datasette answers to `figure_<id>` are n and d of the figure, for each of them."""
    queries = json.loads((public / "metadata.json").read_text(encoding="utf-8"))["databases"]["public"]["queries"]
    with closing(sqlite3.connect(public / "public.db")) as db:
        figures = db.execute("SELECT id, n, d FROM figure WHERE kind <> 'text'").fetchall()
        asked = {name: db.execute(queries[f"figure_{name}"]["sql"]).fetchone() for name, _n, _d in figures}
        texts = dict(db.execute("SELECT id, text FROM figure").fetchall())
    assert len(figures) > 40
    assert asked == {name: (n, d) if d is not None else (n,) for name, n, d in figures}
    durations = [name for name in texts if name.endswith(("_median", "_p90"))]
    assert len(durations) == 6
    assert all(re.fullmatch(r"\d+\.\d \(n=\d+\)", texts[name]) for name in durations), texts


def test_two_processes_served(summary: dict[str, Any]) -> None:
    """A simulated centre for the year and `syncgov serve` for the last day, both over HTTP."""
    first, last = summary["centres"]
    assert first["pid"] != last["pid"]
    assert first["requests"] > 500
    assert last["requests"] >= 12


def test_the_audit_passes(ran: Ran) -> None:
    """From the published folder and the charter alone."""
    assert ran.audit_exit == 0, ran.audit_text
    assert audit(ran.public, ran.centre / "charter.json").ok


def test_deliberations_telephones_and_outlines_are_public(ran: Ran) -> None:
    """All that was planned is accepted, and the folder's map has an outline for each community and grid."""
    with closing(sqlite3.connect(ran.public / "public.db")) as db:
        found = dict(db.execute("SELECT stage, count(*) FROM deliberation GROUP BY 1").fetchall())
        (phones,) = db.execute("SELECT count(work_phone) FROM staff").fetchone()
        (outlines,) = db.execute("SELECT count(outline) FROM grid_unit").fetchone()
    assert sum(found.values()) == ran.story.expect.deliberations >= 27
    assert found["declined"] == 3
    assert (phones, outlines) == (85 + 29 + 18, 9 + 181)
    page = (ran.public / "portal" / "map.html").read_text(encoding="utf-8")
    assert "没有可用边界" not in page
    assert len(list((ran.public / "portal" / "find" / "g").glob("u-*.js"))) == 9


def test_any_deleted_disclosed_body_is_noticed(ran: Ran, public: Path) -> None:
    """Each of several accepted leaves, one at a time."""
    with closing(sqlite3.connect(public / "public.db")) as db:
        sql = "SELECT DISTINCT h.idx FROM history AS h JOIN leaf AS l USING (idx) WHERE l.verdict = 'accepted'"
        indexes = [index for (index,) in db.execute(sql)]
    for index in random.Random(7).sample(indexes, 3):
        file = next(f for f in _disclosed(public) if f'"index":{index}}}' in f.read_text())
        whole = file.read_text()
        kept = [line for line in whole.splitlines(keepends=True) if not line.rstrip().endswith(f'"index":{index}}}')]
        file.write_text("".join(kept))
        report = audit(public, ran.centre / "charter.json")
        file.write_text(whole)
        assert not report.ok
    assert audit(public, ran.centre / "charter.json").ok


def _disclosed(public: Path) -> list[Path]:
    return sorted(p for p in (public / "log" / "disclosed").rglob("*") if p.is_file())


def test_any_changed_cell_is_noticed(ran: Ran, public: Path) -> None:
    """One cell in every table outside the search index."""
    path = public / "public.db"
    with closing(sqlite3.connect(path)) as db:
        tables = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'") if "_fts" not in n]
    whole = path.read_bytes()
    changed = 0
    for table in tables:
        if table.startswith("sqlite_"):
            continue
        with closing(sqlite3.connect(path)) as db:
            names = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
            row = db.execute(f'SELECT rowid, "{names[-1]}" FROM "{table}" LIMIT 1').fetchone()
            if row is None:
                continue
            value = (row[1] or 0) + 1 if isinstance(row[1], int) else f"{row[1]}x"
            db.execute(f'UPDATE "{table}" SET "{names[-1]}" = ? WHERE rowid = ?', (value, row[0]))
            db.commit()
        report = audit(public, ran.centre / "charter.json")
        path.write_bytes(whole)
        assert not report.ok, table
        changed += 1
    assert changed > 15


def test_a_changed_tile_and_figure_are_noticed(ran: Ran, public: Path) -> None:
    """One byte of a tile; one figure of a page."""
    tile = next(p for p in sorted((public / "log" / "tile").rglob("*")) if p.is_file())
    whole = tile.read_bytes()
    tile.write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    assert not audit(public, ran.centre / "charter.json").ok
    tile.write_bytes(whole)
    page = public / "portal" / "index.html"
    text = page.read_text()
    assert "75.0% (45/60)" in text
    page.write_text(text.replace("75.0% (45/60)", "85.0% (51/60)", 1))
    assert not audit(public, ran.centre / "charter.json").ok


def test_a_figure_without_its_mark_and_a_missing_page_are_noticed(ran: Ran, public: Path) -> None:
    """Whoever takes the mark off a figure, or a page away, is found on the real portal too."""
    for name in ("index", "figures"):
        page = public / "portal" / f"{name}.html"
        text = page.read_text()
        page.write_text(re.sub('data-figure="event_reported">[^<]*', 'data-x="">999', text))
        found = [each for each in audit(public, ran.centre / "charter.json").findings if each.code != "file"]
        assert [(each.path, each.key) for each in found] == [(f"portal/{name}.html", "event_reported")]
        page.write_text(text)
    for name in FIXED_PAGES:
        page = public / name
        text = page.read_text()
        page.unlink()
        assert not audit(public, ran.centre / "charter.json").ok, name
        page.write_text(text)


def test_an_index_that_is_not_published_is_noticed(ran: Ran, public: Path) -> None:
    """public.db declares what publication declares, and nothing else."""
    with closing(sqlite3.connect(public / "public.db")) as db:
        db.execute("CREATE INDEX i9 ON event(state)")
    # the list of files finds every change; what it is about is found apart from it
    assert {each.code for each in audit(public, ran.centre / "charter.json").findings} == {"schema", "file"}


def test_wrong_arguments_exit_65_and_findings_are_errors(ran: Ran, public: Path) -> None:
    """A wrong file name is not a wrong publication; with `-q`, what is wrong is still told."""
    charter, nothing = str(ran.centre / "charter.json"), str(public / "nothing")
    wrong = ([nothing], [str(public), "--since", nothing], [str(public), "--replica", nothing])
    for arguments in (*wrong, [str(public), "--charter", str(public / "metadata.json")]):
        done = _audit(*arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (65, "", 1), done
    (public / "log" / "charter.json").unlink()
    done = _audit(str(public), "--charter", charter, "-q")
    assert (done.returncode, done.stdout) == (1, "")
    assert "[charter]" in done.stderr


def _audit(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "syncgov", "audit", *arguments], capture_output=True, text=True)


def test_the_audit_command_exits_1(ran: Ran, public: Path) -> None:
    """As a person runs it."""
    (public / "log" / "checkpoint").write_text("nothing\n")
    done = subprocess.run([sys.executable, "-m", "syncgov", "audit", str(public)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_strange_folder_is_left_alone(tmp_path: Path) -> None:
    """Only a folder that a demo made is emptied."""
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError):
        run_demo(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_every_evidence_link_of_the_portal_verifies(ran: Ran) -> None:
    """A crawler follows them all."""
    site = ran.public / "portal"
    links = set()
    for page in site.rglob("*.html"):
        for href in re.findall(r'href="([^"#]*log/proofs/[^"#]*)"', page.read_text()):
            links.add((page.parent / href).resolve())
    assert len(links) > 50
    from syncgov.audit.prove import verify_proof_file

    for link in sorted(links):
        verify_proof_file(link, ran.centre / "charter.json")


def test_the_summary_is_json(summary: dict[str, Any]) -> None:
    """`--json` prints it."""
    assert json.loads(json.dumps(summary)) == summary
