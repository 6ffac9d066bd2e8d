"""A publication replaces the old folder as a whole, or not at all."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from syncgov.core.register import parse_register
from syncgov.errors import InputError, StorageError
from syncgov.publish import publish as publishing
from syncgov.publish.folder import replace_folder
from tests.publish.place import CREW, Place


def digests(out: Path) -> dict[str, str]:
    """Return path -> SHA-256 of every file of a folder."""
    paths = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def left_over(out: Path) -> list[str]:
    """Return what lies beside the folder and should not."""
    return [path.name for path in out.parent.glob(f".{out.name}.*") if not path.name.endswith(".lock")]


def test_a_failing_portal_leaves_the_old_folder(own_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build's own words reach the caller; not a byte of the published folder changes."""
    before = digests(own_place.out)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StorageError, match="portal"):
        publishing.publish(own_place.world.centre, own_place.out)
    assert digests(own_place.out) == before
    assert left_over(own_place.out) == []


def test_a_figure_that_does_not_run_leaves_the_old_folder(own_place: Place) -> None:
    """The register can be repaired and published again."""
    before = digests(own_place.out)
    bad = CREW + "figures:\n  - {id: bad, label: 坏, kind: count, n: SELECT count(*) FROM absent}\n"
    parse_register(bad, "crew.yml")
    own_place.world.centre.write("register", [("crew", {"text": bad})])
    with pytest.raises(InputError, match="no such table: absent"):
        own_place.publish()
    assert digests(own_place.out) == before
    own_place.world.centre.write("register", [("crew", {"text": CREW})])
    own_place.publish()
    assert digests(own_place.out) != before
    assert left_over(own_place.out) == []


@pytest.mark.parametrize("sql", ["SELECT load_extension('x')", "SELECT 1 FROM (SELECT 1) WHERE zeroblob(1) AND 0"])
def test_the_sql_of_a_figure_only_reads(own_place: Place, sql: str) -> None:
    """Functions that reach outside do not run; harmless ones do."""
    text = CREW + f'figures:\n  - {{id: odd, label: 怪, kind: count, n: "{sql}"}}\n'
    own_place.world.centre.write("register", [("crew", {"text": text})])
    if "extension" in sql:
        with pytest.raises(InputError):
            own_place.publish()
    else:
        assert own_place.publish().figures["odd"] == "—"


def test_a_swap_that_fails_half_way_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second rename fails: the first one is undone."""
    out = tmp_path / "out"
    with replace_folder(out) as new:
        fill(new, "old")
    rename, calls = os.rename, []

    def failing(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError("no more")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(StorageError), replace_folder(out) as new:
        fill(new, "new")
    assert (out / "public.db").read_text() == "old"
    assert len(calls) == 3
    assert left_over(out) == []


def test_a_power_loss_between_the_renames_is_repaired(tmp_path: Path) -> None:
    """The next publication finds the old folder under its other name and takes it back first."""
    out = tmp_path / "out"
    with replace_folder(out) as new:
        fill(new, "old")
    out.rename(tmp_path / ".out.old-1234")
    fill(tmp_path / ".out.new-5678", "half")
    with pytest.raises(ZeroDivisionError), replace_folder(out):
        raise ZeroDivisionError
    assert (out / "public.db").read_text() == "old"
    assert left_over(out) == []


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    """A mistyped path costs nobody their files."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("mine")
    with pytest.raises(StorageError, match="not a published folder"), replace_folder(tmp_path / "home"):
        pytest.fail("the block must not run")
    assert (tmp_path / "home" / "letter.txt").read_text() == "mine"


def test_two_publications_do_not_meet(tmp_path: Path) -> None:
    """The second one is told to wait."""
    with replace_folder(tmp_path / "out") as new:
        with pytest.raises(StorageError, match="another process"), replace_folder(tmp_path / "out"):
            pytest.fail("the block must not run")
        fill(new, "one")
    assert (tmp_path / "out" / "public.db").read_text() == "one"


def fill(folder: Path, text: str) -> None:
    """Make a folder look published."""
    (folder / "log").mkdir(parents=True)
    (folder / "public.db").write_text(text)
    (folder / "log" / "checkpoint").write_text(text)
