"""`python -m tests.bench.month`: a month of one street, mostly offline, and what became of every single change.

Households and devices, moved, restored, stolen, with wrong clocks, over lines that break. Exit 1 if anything is lost,
any replica is not its filtered fold, or the sums of centre and devices differ.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

warnings.filterwarnings("ignore", message="Using `httpx`")  # starlette.testclient would rather have httpx2

from tests.bench.month_checks import Result, check  # noqa: E402
from tests.bench.month_days import Month  # noqa: E402

MEMORY = Path("/dev/shm")  # hundreds of small databases: their fsyncs are not what is tried here


def play(folder: Path, devices: int, households: int, days: int, seed: int) -> tuple[Month, Result]:
    """Play a whole month in *folder*; the month is still open, for a look into its files."""
    month = Month(folder / "street", devices, households, seed)
    month.enrol()
    month.run(days)
    month.settle()
    return month, check(month)


def report(month: Month, result: Result) -> str:
    """Return what happened to each kind, as text."""
    kinds = Counter(handset.kind for handset in month.handsets)
    lines = [f"{'kind of device':<24}{'devices':>8}  changesets, by what became of them"]
    for kind, count in kinds.items():
        fates = [f"{number} {fate}" for (which, fate), number in sorted(result.fates.items()) if which == kind]
        lines.append(f"{kind:<24}{count:>8}  {', '.join(fates)}")
    lines.append("")
    lines += [f"{number:>8}  {what}" for what, number in sorted(month.book.counts.items())]
    lines += [f"{number:>8}  times told: {name}" for name, number in sorted(month.book.told.items())]
    lines.append("")
    lines.append(f"{result.leaves} entries in the log; {len(result.lost)} changesets lost")
    lines.append(
        f"{result.replicas} replicas, {result.rows} rows: {len(result.different)} differ from the filtered fold"
    )
    sums = f"accepted: centre {result.accepted}, devices' own view {result.own}, of stopped keys {result.stopped}"
    lines.append(sums)
    return "\n".join([*lines, *result.different[:20], *(f"lost: {dev} {seq}" for dev, seq in result.lost[:20])])


def main(arguments: list[str]) -> int:
    """Play and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.month", description=__doc__)
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--households", type=int, default=2000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        month, result = play(Path(folder), options.devices, options.households, options.days, options.seed)
        print(report(month, result))
        month.close()
    print(f"{time.monotonic() - started:.0f} s")
    if options.json is not None:
        fates = [[kind, fate, number] for (kind, fate), number in sorted(result.fates.items())]
        found = {"fates": fates, "counts": month.book.counts, "told": month.book.told, "leaves": result.leaves}
        options.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0 if result.whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
