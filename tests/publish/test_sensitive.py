"""Rows of a sensitive kind do not show their kind, nobody can count them, and the audit accepts that it is withheld."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from syncgov.audit.audit import audit
from syncgov.core.register import parse_register
from syncgov.core.suppression import SMALLEST
from syncgov.errors import RegisterError
from syncgov.publish.publish import publish
from syncgov.publish.sensitive import _hide, _Row
from syncgov.storage.figures import check_registers
from syncgov.storage.files import system_registers
from tests.helpers import EAST, ManualClock, World, insert, new_key, update

MATTER = """\
register: matter
version: 1
label: 事情
key: uuid
area: spot
skeleton: {community: spot, prefix: 6, month: seen_on}
write: [worker]
read: {public: ['*'], internal: [worker]}
fields:
  spot: {label: 地点, type: text, class: internal, max_length: 20, required: true}
  seen_on: {label: 日期, type: date, class: internal, required: true}
  sort: {label: 类别, type: code, class: public, choices: {quiet: 平常, brawl: 纠纷, ward: 看护}}
figures:
  - {id: matters, label: 事情, kind: count, n: SELECT count(*) FROM matter, by: [sort]}
portal:
  nav: 事情
  page: list
  title: sort
  sensitive: {column: sort, listed: sorts, flag: delicate}
"""
SORTS = """\
register: sorts
version: 1
label: 类别
key: natural
skeleton: {}
write: [registrar]
read: {public: ['*']}
fields:
  delicate: {label: 敏感, type: boolean, class: public}
portal: {nav: 类别, page: list, title: delicate}
"""
MONTHS = ("2026-09-20", "2026-10-20")


def registers() -> list[tuple[str, str]]:
    """Return file names and texts."""
    return [("matter.yml", MATTER), ("sorts.yml", SORTS)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """In September two brawls among twelve matters, in October three matters, one of them a brawl."""
    world = World.make(
        tmp_path_factory.mktemp("sensitive"), [parse_register(text, name) for name, text in registers()], ManualClock()
    )
    flags = {"quiet": False, "brawl": True, "ward": True}
    world.centre.write("sorts", [(key, {"delicate": flag}) for key, flag in flags.items()])
    east = world.device("east")
    kinds = ["brawl"] * 2 + ["quiet"] * 10 + ["brawl"] + ["quiet"] * 2
    for number, kind in enumerate(kinds):
        row = {"id": new_key(number), "spot": EAST, "seen_on": MONTHS[number >= 12], "sort": kind}
        insert(east, "matter", row)
    east.commit("p1")
    world.sync(east)
    update(east, "matter", new_key(0), sort="quiet")  # it was said to be a brawl: it stays hidden
    world.sync(east)
    return world


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is published."""
    out = tmp_path_factory.mktemp("out") / "public"
    publish(world.centre, out, portal=False)
    return out


def shown(folder: Path) -> list[tuple[str, str, str | None]]:
    """Return (key, month, kind) of every published row."""
    with closing(sqlite3.connect(folder / "public.db")) as conn:
        return conn.execute("SELECT key, _month, sort FROM matter ORDER BY key").fetchall()


def test_no_row_shows_a_sensitive_kind(folder: Path) -> None:
    """Neither the table, nor the history, nor the disclosed log, nor the data files, nor a figure."""
    assert {kind for _key, _month, kind in shown(folder)} == {"quiet", None}
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".db" and _tells(path)]
    assert found == []
    with closing(sqlite3.connect(folder / "public.db")) as conn:
        values = conn.execute("SELECT count(*) FROM history WHERE register = 'matter' AND value LIKE '%brawl%'")
        assert values.fetchone() == (0,)
        assert conn.execute("SELECT part FROM figure_part WHERE figure = 'matters'").fetchall() == [("quiet",)]


def _tells(path: Path) -> bool:
    """Whether a file says `brawl` of a matter: declarations, lists of codes and the registers' texts may."""
    text = path.read_bytes().decode(errors="replace").replace(json.dumps(MATTER)[1:-1], "")
    lines = [line for line in text.split("\n") if "matter/" in line and '"brawl"' in line]
    return bool(lines) or (path.name.startswith("matter.") and "brawl" in text)


def test_the_hidden_rows_cannot_be_counted(folder: Path) -> None:
    """Where fewer than five are sensitive, others are hidden with them: five, or all of that community and month."""
    hidden = Counter(month for _key, month, kind in shown(folder) if kind is None)
    assert hidden == {"2026-09": SMALLEST, "2026-10": 3}
    assert {key for key, _month, kind in shown(folder) if kind is None} >= {new_key(0), new_key(1), new_key(12)}


def test_small_totals_are_not_declared(folder: Path) -> None:
    """Two brawls and no ward: neither the two, nor their sum; the zero is."""
    with closing(sqlite3.connect(folder / "public.db")) as conn:
        declared = dict(conn.execute("SELECT name, value FROM declared WHERE name LIKE 'matter_sort%'").fetchall())
    assert declared == {"matter_sort_ward": 0}


def test_the_audit_accepts_what_is_withheld(world: World, folder: Path) -> None:
    """A code that may be sensitive may be withheld; nothing else is wrong."""
    report = audit(folder, world.folder / "centre" / "charter.json")
    assert [found.code for found in report.findings if found.code != "portal"] == []
    assert report.counts["withheld"] >= SMALLEST


def test_publishing_again_hides_nothing_more(world: World, folder: Path, tmp_path: Path) -> None:
    """The rows that are hidden stay the same, so that two folders side by side tell nothing."""
    before = shown(folder)
    done = publish(world.centre, tmp_path / "again", portal=False)
    assert done.newly_withheld == 0
    assert shown(tmp_path / "again") == before


def test_a_later_publication_hides_new_rows_with_new_ones(world: World, tmp_path: Path) -> None:
    """What an earlier publication showed is known; of three new matters the brawl and another one are hidden."""
    publish(world.centre, tmp_path / "one", portal=False)
    west = world.device("late")
    for number, kind in enumerate(["quiet", "brawl", "quiet"], 50):
        insert(west, "matter", {"id": new_key(number), "spot": EAST, "seen_on": MONTHS[0], "sort": kind})
    west.commit("p1")
    world.sync(west)
    publish(world.centre, tmp_path / "two", portal=False)
    before, after = ({key for key, _month, kind in shown(tmp_path / name) if kind is None} for name in ("one", "two"))
    assert before < after
    assert len(after - before) == 2
    assert new_key(51) in after - before <= {new_key(number) for number in (50, 51, 52)}


@pytest.mark.parametrize(("sensitive", "quiet", "already"), [(1, 20, 0), (1, 20, 9), (3, 20, 0), (7, 20, 0), (2, 1, 0)])
def test_as_many_others_are_hidden_with_them(sensitive: int, quiet: int, already: int) -> None:
    """Each time: a row that is newly hidden is as likely an ordinary one, and five are hidden where there are five."""

    def row(code: str) -> _Row:
        return _Row(codes={code}, hits=[(code, {})])

    rows = [row("brawl") for _ in range(sensitive)] + [row("quiet") for _ in range(quiet)]
    rows += [_Row(codes={"quiet"}, withheld=1) for _ in range(already)]
    found = Counter(key for key, _columns in _hide(rows, frozenset({"brawl"}), Random(7)))
    assert found["brawl"] == sensitive
    assert found["quiet"] == min(quiet, max(sensitive, SMALLEST - sensitive - already))


def test_those_that_nobody_has_seen_are_hidden_first_and_the_order_tells_nothing() -> None:
    """A code in an older folder protects nobody; a sensitive row is withheld first, last, and in between."""
    places = Counter[int]()
    for seed in range(60):
        rows = [_Row(codes={"brawl"}, hits=[("brawl", {})])]
        rows += [_Row(codes={"quiet"}, hits=[("old", {})], known=True) for _ in range(9)]
        rows += [_Row(codes={"quiet"}, hits=[("new", {})]) for _ in range(3)]
        found = [key for key, _columns in _hide(rows, frozenset({"brawl"}), Random(seed))]
        assert Counter(found) == {"brawl": 1, "new": 3, "old": 1}
        places[found.index("brawl")] += 1
    assert set(places) == set(range(SMALLEST))


def test_a_row_that_was_hidden_stays_hidden() -> None:
    """A new code would say that it was hidden only for the others."""
    rows = [_Row(codes={"quiet"}, hits=[("again", {})], withheld=1)]
    assert [key for key, _columns in _hide(rows, frozenset({"brawl"}), Random(1))] == ["again"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("listed: sorts", "listed: nowhere"),
        ("flag: delicate", "flag: nothing"),
        ("column: sort", "column: spot"),
    ],
)
def test_a_wrong_declaration_is_named(old: str, new: str) -> None:
    """The list is a register with a public flag, the column a public code of its own."""
    with pytest.raises(RegisterError):
        check_registers(
            [*system_registers(), *(parse_register(text.replace(old, new), name) for name, text in registers())]
        )
