"""`python -m tests.bench`: the seven rows of the design as ratios; medians of five, both sides in turn in one run."""

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.backends.openssl import backend

warnings.filterwarnings("ignore", message="Using `httpx`")  # starlette.testclient would rather have httpx2

from tests.bench.auditing import audited  # noqa: E402
from tests.bench.log_growth import growing  # noqa: E402
from tests.bench.merging import merging, one_core  # noqa: E402
from tests.bench.peer import find_python  # noqa: E402
from tests.bench.ratio import Ratio  # noqa: E402
from tests.bench.wirebytes import wire_bytes  # noqa: E402
from tests.bench.writing import writing  # noqa: E402

LIBRARIES = ("cryptography", "msgspec", "sqlite-utils")

# rows -> how they are measured, and how much of it: about eight minutes on two cores in all
ROWS: dict[str, tuple[Callable[[Path, int], Iterator[Ratio]], int, str]] = {
    "1": (merging, 40, "changesets of 100 rows, for rows 1 and 2"),
    "3": (one_core, 1000, "one-row changesets"),
    "4": (writing, 200, "rows"),
    "5": (wire_bytes, 50, "changesets of 100 rows"),
    "6": (audited, 3000, "one-row changesets"),
    "7": (growing, 2000, "entries of the shorter log"),
}
NEED_PEERS = frozenset("15")


def machine() -> dict[str, str]:
    """Return what the figures belong to."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    found |= {"openssl": backend.openssl_version_text(), **{name: version(name) for name in LIBRARIES}}
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return {**found, "system": platform.platform(), "cores": str(os.cpu_count()), "load before": load}


def line(each: Ratio) -> str:
    """Return one line of the table."""
    goal = f"{'≤' if each.at_most else '≥'} {each.goal:g}×" if each.goal else ""
    mark = {True: "ok", False: "MISSED", None: ""}[each.met]
    rates = f"{each.ours:>10,.4g} {each.theirs:>10,.4g} {each.ratio:>7.2f}×"
    return f"{each.row:<3} {rates} {goal:>7} {mark:<7} {each.unit}; {each.what}; against: {each.against}"


def parts(each: Ratio) -> str:
    """Return the breakdown, an item of a row in µs, or bytes as they are."""
    if each.unit.startswith("bytes"):
        return ", ".join(f"{name} {value:,.1f}" for name, value in each.parts.items())
    return ", ".join(f"{name} {value / each.count * 1e6:,.0f} µs" for name, value in each.parts.items())


def measure(chosen: Sequence[str], sizes: dict[str, int], folder: Path) -> Iterator[Ratio]:
    """Yield the lines of the rows *chosen*, as they are ready."""
    for row in chosen:
        run, size, _what = ROWS[row]
        (folder / row).mkdir()
        yield from run(folder / row, sizes.get(row, size))


def main(arguments: list[str]) -> int:
    """Measure and print; a missed goal is marked, not an error: the machine has its say."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--rows", default=",".join(ROWS), help="which, for example 3,4 (2 comes with 1; default: all)")
    for row, (_run, size, what) in ROWS.items():
        parser.add_argument(f"--size-{row}", type=int, default=size, help=f"{what} (default: {size})")
    options = parser.parse_args(arguments)
    chosen = list(dict.fromkeys("1" if row == "2" else row for row in options.rows.split(",")))
    if unknown := sorted(set(chosen) - set(ROWS)):
        parser.error(f"no rows {', '.join(unknown)}")
    if find_python() is None and (left := sorted(NEED_PEERS & set(chosen))):
        print(f"rows {', '.join(left)} are left out: no peers installed; `make bench` installs them", file=sys.stderr)
        chosen = [row for row in chosen if row not in left]
    about, results = machine(), []
    print(", ".join(f"{name} {text}" for name, text in about.items()))
    print(f"row {'ours':>10} {'theirs':>10} {'ratio':>8} {'goal':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for each in measure(chosen, {row: getattr(options, f"size_{row}") for row in ROWS}, Path(folder)):
            results.append(each)
            print(line(each), flush=True)
            if each.parts:
                print(f"      {parts(each)}", flush=True)
    if options.json is not None:
        figures = [{**asdict(each), "ratio": round(each.ratio, 3), "met": each.met} for each in results]
        content = {"machine": about, "results": figures}
        options.json.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
