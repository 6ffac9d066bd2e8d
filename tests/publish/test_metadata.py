"""What Datasette is told: the template, the registers, and nothing about registers that are not there."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from syncgov.errors import InputError
from syncgov.publish import metadata as making
from syncgov.publish.publish import publish
from syncgov.storage.files import builtin_folder, read_registers
from tests.helpers import ManualClock, World
from tests.publish.place import Place
from tests.publish.reading import cells


def load(out: Path) -> dict[str, Any]:
    """Return the published metadata."""
    found: dict[str, Any] = json.loads((out / "metadata.json").read_text(encoding="utf-8"))
    return found


def test_tables_of_registers_are_described(place: Place) -> None:
    """Title, columns with units, label column, search, plugin settings."""
    tables = load(place.out)["databases"]["public"]["tables"]
    lamp = tables["lamp"]
    assert (lamp["title"], lamp["fts_table"], lamp["fts_pk"]) == ("路灯", "lamp_fts", "rowid")
    assert lamp["columns"]["_evidence"] == "签名证据"
    assert lamp["plugins"]["syncgov"]["labels"]["kind"] == {"bulb": "灯泡", "pole": "灯杆"}
    assert lamp["plugins"]["syncgov"]["fields"]["crew"] == "step"
    assert tables["crew"]["label_column"] == "name"
    assert tables["crew"]["columns"]["key"] == "班组号"
    assert "fts_table" not in tables["device"]
    assert "caller" not in tables


def test_every_described_table_is_there(place: Place) -> None:
    """And every table is described or belongs to a search index."""
    present = {name for (name,) in cells(place.out, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    described = set(load(place.out)["databases"]["public"]["tables"])
    assert described <= present
    assert all("_fts" in name for name in present - described)


def test_the_title_says_whose_and_that_it_is_simulated(place: Place) -> None:
    """Nobody takes demo data for the real thing."""
    found = load(place.out)
    assert found["title"] == "测试街道公开库（演示数据）"
    assert "2026-11-19" in found["description"]


def test_the_queries_of_the_template_fit_the_shipped_registers(tmp_path: Path) -> None:
    """Each of them runs over a place with the built-in registers, so none is dropped there."""
    wanted = yaml.safe_load(making.template_path().read_text(encoding="utf-8"))["databases"]["public"]["queries"]
    with World.make(tmp_path, read_registers(builtin_folder()), ManualClock()) as world:
        publish(world.centre, tmp_path / "out", portal=False)
    found = load(tmp_path / "out")["databases"]["public"]["queries"]
    assert set(wanted) <= set(found)
    for name, query in found.items():
        assert cells(tmp_path / "out", f"EXPLAIN {query['sql'].replace('escape_fts', 'lower')}", *values(query)), name


def values(query: dict[str, Any]) -> list[str]:
    """Return a value for each parameter of a query."""
    return ["x"] * len(query.get("params", ()))


def test_a_broken_template_is_named(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is said, not a traceback."""
    broken = tmp_path / "datasette_metadata.yml"
    broken.write_text("databases: [")
    monkeypatch.setattr(making, "template_path", lambda: broken)
    with pytest.raises(InputError, match="datasette_metadata"):
        publish(place.world.centre, tmp_path / "out", portal=False)
