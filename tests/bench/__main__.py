"""`python -m tests.bench`: the rows of the design that this version promises, as ratios; medians of five."""

import argparse
import json
import platform
import sqlite3
import sys
import tempfile
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.backends.openssl import backend

warnings.filterwarnings("ignore", message="Using `httpx`")  # starlette.testclient would rather have httpx2

from tests.bench.measures import Ratio, merging, writing  # noqa: E402

LIBRARIES = ("cryptography", "msgspec", "sqlite-utils")


def versions() -> dict[str, str]:
    """Return the versions that the figures belong to."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    return {**found, "openssl": backend.openssl_version_text(), **{name: version(name) for name in LIBRARIES}}


def line(each: Ratio) -> str:
    """Return one line of the table."""
    wanted = f"≥ {each.target:.1f}×" if each.target else ""
    mark = "" if not each.target else "ok" if each.ratio >= each.target else "MISSED"
    rates = f"{each.ours:>9,.0f}/s {each.theirs:>9,.0f}/s {each.ratio:>6.2f}×"
    return f"{each.row:<3} {rates} {wanted:>7} {mark:<7} {each.what}; against: {each.against}"


def main(arguments: list[str]) -> int:
    """Measure and print; a missed ratio is marked, not an error: the machine has its say."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--changesets", type=int, default=1000, help="of row 3, at most 1000 (default: 1000)")
    parser.add_argument("--rows", type=int, default=200, help="of row 4 (default: 200)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        results = [*merging(Path(folder), options.changesets), *writing(Path(folder), options.rows)]
    print(f"row {'ours':>11} {'theirs':>11} {'ratio':>7} {'wanted':>7}")
    for each in results:
        print(line(each))
    print(", ".join(f"{name} {text}" for name, text in versions().items()))
    if options.json is not None:
        figures = [{**asdict(each), "ratio": round(each.ratio, 3)} for each in results]
        content = {"versions": versions(), "results": figures}
        options.json.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
