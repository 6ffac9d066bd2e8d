"""`make fuzz`: every target for some time, from the corpus that is kept; prints how many inputs each has seen.

usage: python -m tests.fuzz [SECONDS [TARGET …]]

New inputs that reach new code go to build/fuzz; an input that breaks a promise is printed: repair the parser, then keep
the input as tests/fuzz/corpus/TARGET/found-….
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
BUILD = Path("build/fuzz")
SECONDS = 60
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1")


def fuzz(name: str, seconds: int) -> tuple[int, str]:
    """Return how many inputs a target has seen, and what went wrong (empty: nothing)."""
    grown, found = BUILD / name, BUILD / "found"
    for folder in (grown, found):
        folder.mkdir(parents=True, exist_ok=True)
    options = [*LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={found}/{name}-"]
    command = [sys.executable, "-m", "tests.fuzz.run", name, *options, str(grown), str(CORPUS / name)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    return int(runs[1]) if runs else 0, "" if done.returncode == 0 else done.stderr[-4000:]


def main(arguments: list[str]) -> int:
    """Fuzz; returns the exit code."""
    seconds = int(arguments[0]) if arguments else SECONDS
    failed = 0
    for name in arguments[1:] or TARGETS:
        runs, wrong = fuzz(name, seconds)
        failed += bool(wrong) or not runs
        print(
            f"{name:<12} {runs:>10} inputs in {seconds} s{'  FAILED' if wrong or not runs else ''}\n{wrong}", flush=True
        )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
