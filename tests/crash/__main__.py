"""`make crash`: SIGKILL at every step of every scenario; prints the number of kills, fails if there were too few.

usage: python -m tests.crash [SCENARIO …]
"""

import sys
import time
from collections import Counter

from tests.crash.matrix import killed, table
from tests.crash.scenarios import SCENARIOS


def main(names: list[str]) -> int:
    """Run the scenarios (none named: all); returns the exit code."""
    counts: dict[str, Counter[str]] = {}
    too_few = []
    for name in names or SCENARIOS:
        started = time.monotonic()
        counts[name] = killed(name)
        print(
            f"{name}: {counts[name].total()} kills in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True
        )
        if counts[name].total() < SCENARIOS[name].at_least:
            too_few.append(f"{name}: {counts[name].total()} kills, at least {SCENARIOS[name].at_least} expected")
    print(table(counts))
    print("\n".join(too_few), end="\n" if too_few else "")
    return 1 if too_few else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
