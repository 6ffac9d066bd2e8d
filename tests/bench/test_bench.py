"""The benches run; what they measure is not judged here, a busy machine is not a defect."""

import json
import sys
from pathlib import Path

import pytest

from syncgov.core.commitment import Value
from tests.bench import load
from tests.bench import peer as peers
from tests.bench.__main__ import main
from tests.bench.lww import Fields, RowsOnly
from tests.bench.ratio import Ratio, side_by_side

ROUNDS = 5

TINY = {"1": 2, "3": 5, "4": 2, "5": 1, "6": 20, "7": 20}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rounds tell whether it runs."""
    monkeypatch.setattr("tests.bench.ratio.ROUNDS", 2)
    monkeypatch.setattr("tests.bench.log_growth.ADDED", 10)


def run(rows: str, tmp_path: Path) -> dict[str, dict]:
    """Return row -> figures of a tiny bench."""
    sizes = [f"--size-{row}={size}" for row, size in TINY.items()]
    path = tmp_path / "bench.json"
    assert main(["--rows", rows, "--json", str(path), *sizes]) == 0
    found = json.loads(path.read_text(encoding="utf-8"))
    assert {"python", "sqlite", "cryptography", "openssl", "cores"} <= set(found["machine"])
    return {each["row"]: each for each in found["results"]}


def test_the_rows_without_peers_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows 3, 4, 6 and 7 with their goals; nothing of them is invented."""
    found = run("3,4,6,7", tmp_path)
    assert list(found) == ["3", "3+", "4", "4+", "6", "7"]
    assert all(each["ratio"] > 0 for each in found.values())
    printed = capsys.readouterr().out
    assert "≥ 0.6×" in printed
    assert "≤ 1.2×" in printed
    assert "field digests" in printed


STANDS_IN = """
import json, sys
print(json.dumps({"morango": "none", "apsw": "none"}), flush=True)
for line in sys.stdin:
    stages = ("serialize", "queue", "buffer", "dequeue", "deserialize")
    print(json.dumps({"packed": 10.0, "unpacked": 20.0, **{name: 0.25 for name in stages}}), flush=True)
"""


def test_the_rows_with_peers_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 1, 2 and 5, with a program that stands in for the peers."""
    for name in ("morango_merge.py", "session_bytes.py"):
        (tmp_path / name).write_text(STANDS_IN, encoding="utf-8")
    monkeypatch.setattr(peers, "FOLDER", tmp_path)
    monkeypatch.setenv("SYNCGOV_PEERS", sys.executable)
    found = run("1,2,5", tmp_path)
    assert list(found) == ["1", "2", "2+", "5"]
    assert found["1"]["theirs"] == 200 / 0.75  # buffer, dequeue and deserialize count, the sender does not
    assert found["5"]["theirs"] == 10.0
    assert found["5"]["ours"] > 0


def test_without_peers_their_rows_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the others are measured."""
    monkeypatch.setenv("SYNCGOV_PEERS", str(tmp_path / "none"))
    assert list(run("1,4,5", tmp_path)) == ["4", "4+"]
    assert "rows 1, 5 are left out" in capsys.readouterr().err


def test_sides_are_not_mixed_up() -> None:
    """Both run as often, in turn, each first in about half of the rounds; said seconds count."""
    calls: list[str] = []

    def ours(_number: int) -> float:
        calls.append("ours")
        return 2.0

    def theirs(_number: int) -> float:
        calls.append("theirs")
        return 3.0

    assert side_by_side(ours, theirs, ROUNDS) == (2.0, 3.0)
    assert calls == ["ours", "theirs", "theirs", "ours"] * 2 + ["ours", "theirs"]
    assert len(calls) == 2 * ROUNDS


def test_a_goal_has_a_direction() -> None:
    """Bytes and seconds are to be few, rates are to be high."""
    fast = Ratio("1", "", "", 2.0, "", 1, 3.0, 1.0)
    assert (fast.met, Ratio("1", "", "", 2.0, "", 1, 3.0, 1.0, at_most=True).met) == (True, False)
    assert Ratio("1", "", "", 0.0, "", 1, 3.0, 1.0).met is None


@pytest.mark.parametrize("kind", [Fields, RowsOnly])
def test_the_last_writer_wins(kind: type[Fields | RowsOnly], tmp_path: Path) -> None:
    """The other side of row 2 does what it says: the newer write stays, whatever the order."""
    columns: dict[str, Value] = {"record": "r", "name": "n", "place": "p", "amount": 1, "day": "2026-11-20"}
    side = kind(tmp_path / "side.db")
    for at, amount in ((5, 50), (9, 90), (7, 70)):
        side.merge([kind.batch([("k", {**columns, "amount": amount}, at, "d")])])
    assert side.conn.execute("SELECT id, name, amount FROM item").fetchall() == [("k", "n", 90)]
    side.conn.close()


def test_a_small_load_run_counts_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every changeset of every simulated device is accepted by a real server, and each hears of its area's work."""
    path = tmp_path / "load.json"
    arguments = ["--scenarios", "street", "--devices", "4", "--window", "0.2", "--changesets", "2"]
    assert load.main([*arguments, "--json", str(path)]) == 0
    (found,) = json.loads(path.read_text(encoding="utf-8"))
    assert (found["accepted"], found["failures"]) == (8, {})
    assert 8 <= found["received"] <= 32
    assert found["peak_mib"] > 10
    assert found["p50_s"] <= found["p95_s"] <= found["max_s"]
    assert '"county"' not in capsys.readouterr().out
