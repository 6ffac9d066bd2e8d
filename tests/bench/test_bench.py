"""The benches run; what they measure is not judged here, a busy machine is not a defect."""

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.measures import ROUNDS, side_by_side


def test_the_bench_prints_and_writes_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows 3 and 4 with their ratios, and the versions of everything they depend on."""
    path = tmp_path / "bench.json"
    assert main(["--json", str(path), "--changesets", "20", "--rows", "3"]) == 0
    found = json.loads(path.read_text(encoding="utf-8"))
    assert [each["row"] for each in found["results"]] == ["3", "3+", "4", "4+"]
    assert all(each["ratio"] > 0 and each["count"] in (20, 3) for each in found["results"])
    assert {"python", "sqlite", "cryptography", "openssl"} <= set(found["versions"])
    printed = capsys.readouterr().out
    assert "≥ 0.6×" in printed
    assert "≥ 0.3×" in printed


def test_sides_are_not_mixed_up() -> None:
    """Both run five times, in turn, each first in about half of the rounds."""
    calls: list[str] = []
    side_by_side(1, lambda _n: calls.append("ours"), lambda _n: calls.append("theirs"))
    assert calls == ["ours", "theirs", "theirs", "ours"] * 2 + ["ours", "theirs"]
    assert len(calls) == 2 * ROUNDS
