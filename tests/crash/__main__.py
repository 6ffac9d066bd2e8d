"""`make crash`: SIGKILL at every step of every scenario, a full disk at every write; prints counts, fails if too few.

usage: python -m tests.crash [SCENARIO …]
"""

import sys
import time
from collections import Counter

from tests.crash.full_disk import filled
from tests.crash.matrix import killed, table
from tests.crash.scenarios import SCENARIOS


def main(names: list[str]) -> int:
    """Run the scenarios (none named: all); returns the exit code."""
    counts: dict[str, Counter[str]] = {}
    disks: dict[str, tuple[int, int]] = {}
    too_few = []
    for name in names or SCENARIOS:
        started = time.monotonic()
        counts[name] = killed(name)
        disks[name] = filled(name)
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if counts[name].total() < SCENARIOS[name].at_least:
            too_few.append(f"{name}: {counts[name].total()} kills, at least {SCENARIOS[name].at_least} expected")
        if disks[name][1] == 0:
            too_few.append(f"{name}: a full disk was never told")
    print("kills before each kind of step (torn: in the middle of a write; db: by SQLite)", table(counts), sep="\n")
    for name, (full, told) in disks.items():
        print(f"disk full, {name}: {full} times, the work failed and was told {told} times")
    print("\n".join(too_few), end="\n" if too_few else "")
    return 1 if too_few else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
