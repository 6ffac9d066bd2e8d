"""The measurement of growth runs from signing to Datasette; what it measures is not judged here."""

import json
from pathlib import Path

import pytest

from tests.bench.growth import PARTS, main


def test_a_few_matters_are_measured_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Signed, published, left alone the second time, audited, weighed and asked; no figure is missing or zero."""
    path = tmp_path / "growth.json"
    options = ["--sizes", "30", "--pages", "8", "--communities", "3", "--no-browser", "--folder", str(tmp_path)]
    assert main([*options, "--json", str(path)]) == 0
    (found,) = json.loads(path.read_text(encoding="utf-8"))["results"]
    assert found["entries"] > 30 * 2
    assert all(found[name]["seconds"] > 0 for name in ("make", "publish", "publish again", "portal again", "audit"))
    assert all(found[name]["peak_mib"] > 10 for name in ("make", "publish", "audit"))
    assert {"detect", "disclose", "tables", "proofs", "portal"} <= found["stages"].keys()
    assert all(found["folder"][part]["files"] > 0 for part in PARTS)
    assert found["folder"]["log/proofs"]["files"] > 30 + 8
    assert all(5_000 < weight < 200_000 for weight in found["page gzip"].values())
    assert len(found["page gzip"]) == 7
    asked = {
        name: each["p95_ms"] >= each["p50_ms"] > 0 for name, each in found["datasette"].items() if name != "server"
    }
    assert len(asked) == 7
    assert all(asked.values())
    assert found["datasette"]["server"]["peak_mib"] > 10
    assert "first page" in capsys.readouterr().out
    assert [each.name for each in tmp_path.iterdir()] == ["growth.json"]
