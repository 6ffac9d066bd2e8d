"""`python -m tests.bench.growth`: what a publication takes, and what readers get, as the number of matters grows.

For each size: a centre with really signed changesets, `publish`, the same again with nothing new, the audit, what lies
in the folder, what pages and queries of the portal weigh, how fast Datasette answers as `syncgov browse` runs it.
Everything runs in processes of its own, whose seconds, processor time and peak memory are told by the system.
"""

import argparse
import gzip
import json
import os
import platform
import re
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import requests
from playwright.sync_api import sync_playwright

from portal.shards import shard_of
from tests.bench.find import ask
from tests.browser.browsing import CHROMIUM, FLAGS

SIZES = (1_000, 10_000, 100_000)
ASKED = 40  # requests of each kind
QUERIES = ("灯", "路灯", "光伏组件", "路灯不亮 物业", "组光件伏")
PARTS = ("public.db", "log/proofs", "log", "data", "open311", "portal/find", "portal")  # the first that fits counts
_LOADED = re.compile(r"""<(?:script[^>]+src|link[^>]+rel=["']?stylesheet["']?[^>]+href)=["']?([^"'\s>]+)""")


@dataclass(frozen=True, slots=True)
class Took:
    """What a process took. `peak_mib`: resident memory of the largest process among it and its children."""

    seconds: float
    cpu_s: float
    peak_mib: int


def run(*command: str | Path) -> tuple[Took, str]:
    """Run a Python program; returns what it took and what it printed.

    Raises:
        RuntimeError: it failed; says what it printed.
    """
    begun = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, "-W", "ignore", *map(str, command)], stdout=said, stderr=said)
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode()
    if process.returncode:
        raise RuntimeError(f"{command} failed: {text[-2000:]}")
    took = Took(time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024)
    return took, text


def publish_in_stages(centre: Path, out: Path) -> dict[str, float]:
    """Publish as the command does, and return the seconds of each stage, and the peak of memory beside the portal."""
    from syncgov.centre.centre import Centre
    from syncgov.publish.publish import publish

    marks: list[tuple[str, float]] = []

    def progress(stage: str, _done: int, _total: int) -> None:
        if not marks or marks[-1][0] != stage:
            marks.append((stage, time.monotonic()))

    with closing(Centre(centre)) as opened:
        publish(opened, out, progress=progress)
    marks.append(("", time.monotonic()))
    found: dict[str, float] = {}
    for (stage, begun), (_next, ended) in pairwise(marks):
        found[stage] = found.get(stage, 0.0) + ended - begun
    found["own_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found["portal_mib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return found


# what lies in the folder -------------------------------------------------------------------------------------------


def weigh(out: Path) -> dict[str, dict[str, int]]:
    """Return files, bytes and the largest file of each part of the folder."""
    found = {part: {"files": 0, "bytes": 0, "largest": 0} for part in (*PARTS, "other")}
    for path in out.rglob("*"):
        if path.is_file():
            name, size = path.relative_to(out).as_posix(), path.stat().st_size
            part = next((part for part in PARTS if name == part or name.startswith(f"{part}/")), "other")
            held = found[part]
            held["files"], held["bytes"] = held["files"] + 1, held["bytes"] + size
            held["largest"] = max(held["largest"], size)
    return found


def page_weights(site: Path, community: str, policy: str, key: str) -> dict[str, int]:
    """Return the gzipped bytes that a reader loads for pages of each kind, with style sheets and scripts."""
    record = _loaded(site, "record.html") | {site / "find/start.js", _record_part(site, f"event/{key}")}
    split = f"r/event/c-{community}.html"
    files = {
        "first page": _loaded(site, "index.html"),
        "a matter": record,
        "a community": _loaded(site, f"community/{community}.html"),
        "a community's matters": _loaded(site, split if (site / split).is_file() else "r/event/index.html"),
        "a policy": _loaded(site, f"r/policy/k-{policy}.html"),
        "figures": _loaded(site, "figures.html"),
        "changes": _loaded(site, "news.html"),
    }
    return {name: sum(len(gzip.compress(path.read_bytes())) for path in paths) for name, paths in files.items()}


def _loaded(site: Path, name: str) -> set[Path]:
    """Return the page and what it loads at once."""
    page = site / name
    linked = _LOADED.findall(page.read_text(encoding="utf-8"))
    return {page, *((page.parent / address.partition("?")[0]).resolve() for address in linked)}


def _record_part(site: Path, address: str) -> Path:
    text = (site / "find/start.js").read_text(encoding="utf-8")
    start = json.loads(text.removeprefix("syncgovStart(").removesuffix(")\n"))
    return site / f"find/m/{shard_of(address, start['records'])}.js"


def queries(site: Path, number: str) -> list[dict[str, Any]]:
    """Return what queries on the portal find and load, each in a fresh page of headless Chromium, from files."""
    with sync_playwright() as play, closing(play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)) as browser:
        return [asdict(ask(browser, site, query)) for query in (number, *QUERIES)]


# Datasette ---------------------------------------------------------------------------------------------------------


def latencies(out: Path, keys: Sequence[str], communities: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return p50 and p95 in milliseconds of each kind of request, one after the other, and the server's memory."""
    command = [sys.executable, "-W", "ignore", "-m", "syncgov", "browse", str(out), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            base = json.loads(server.stdout.readline())["data"]
            with requests.Session() as session:
                found = {name: _times(session, urls) for name, urls in _requests(base, keys, communities)}
            status = Path(f"/proc/{server.pid}/status").read_text()
            peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
            return found | {"server": {"peak_mib": int(peak) // 1024}}
        finally:
            server.terminate()


def _requests(base: str, keys: Sequence[str], communities: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    yield "table", [f"{base}/event?_sort=_created&_size={20 + n % 3}" for n in range(len(keys))]
    yield "table of a community", [f"{base}/event?_community__exact={code}" for code in communities]
    yield "row", [f"{base}/event/{key}" for key in keys]
    yield "row, JSON", [f"{base}/event/{key}.json" for key in keys]
    for name, word in (("search, 2 characters", "路灯"), ("search, 4 characters", "光伏组件"), ("nothing", "组光件伏")):
        yield name, [f"{base}/event?_search={quote(word)}&_size={20 + n % 3}" for n in range(len(keys))]


def _times(session: requests.Session, urls: Sequence[str]) -> dict[str, float]:
    seconds = []
    for url in urls:
        begun = time.monotonic()
        answer = session.get(url, timeout=60)
        seconds.append(time.monotonic() - begun)
        assert answer.status_code == 200, (url, answer.status_code)
    seconds.sort()
    p95 = seconds[int(0.95 * (len(seconds) - 1))]
    return {"p50_ms": statistics.median(seconds) * 1000, "p95_ms": p95 * 1000}


# all of it ---------------------------------------------------------------------------------------------------------


def measure(folder: Path, matters: int, pages: int, communities: int, browser: bool) -> dict[str, Any]:
    """Return the figures of one size."""
    centre, out = folder / "centre", folder / "public"
    found: dict[str, Any] = {"matters": matters, "pages": pages, "communities": communities}
    made, entries = run("-m", "tests.bench.growth_world", centre, str(matters), str(pages), str(communities))
    found |= {"entries": int(entries), "make": asdict(made)}
    took, stages = run("-m", "tests.bench.growth", "--publish", centre, out)
    found |= {"publish": asdict(took), "stages": json.loads(stages)}
    took, said = run("-m", "syncgov", "publish", centre, out, "--json")
    assert json.loads(said.splitlines()[-1])["unchanged"], "nothing is new"
    found["publish again"] = asdict(took)
    found["portal again"] = asdict(run("-m", "portal.build", out / "public.db", out / "portal")[0])
    took, said = run("-m", "syncgov", "audit", out, "--charter", centre / "charter.json", "--json")
    assert json.loads(said.splitlines()[-1])["ok"], said
    found["audit"] = asdict(took)
    with closing(sqlite3.connect(out / "public.db")) as conn:
        rows = conn.execute('SELECT "key", _no, _community FROM event').fetchall()
        policy = conn.execute('SELECT "key" FROM policy').fetchone()[0]
    some = Random(1).choices(rows, k=ASKED)
    found["folder"] = weigh(out)
    found["page gzip"] = page_weights(out / "portal", some[0][2], policy, some[0][0])
    found["queries"] = queries(out / "portal", some[0][1]) if browser else []
    found["datasette"] = latencies(out, [row[0] for row in some], [row[2] for row in some])
    return found


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the figures as text, a column for each size."""
    lines: dict[str, list[str]] = {}
    for result in results:
        for name, value in _flat(result):
            lines.setdefault(name, []).append(value)
    return "\n".join(f"{name:<42}" + "".join(f"{value:>14}" for value in values) for name, values in lines.items())


def _flat(result: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in result.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}: ")
        elif isinstance(value, list):
            for place, each in enumerate(value):
                yield from _flat({key: part for key, part in each.items() if key != "query"}, f"query {place + 1}: ")
        else:
            yield f"{prefix}{name}", f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of matters")
    parser.add_argument("--pages", type=int, default=2_000, help="rows with a page of their own")
    parser.add_argument("--communities", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="work here (default: a temporary folder)")
    parser.add_argument("--no-browser", action="store_true", help="leave out the queries on the portal")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--publish", nargs=2, type=Path, metavar=("CENTRE", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.publish:
        print(json.dumps(publish_in_stages(*options.publish)))
        return 0
    results = []
    begun = time.monotonic()
    for matters in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found = measure(Path(folder), matters, options.pages, options.communities, not options.no_browser)
        results.append(found)
        print(table([found]), flush=True)
        print(flush=True)
    print(table(results))
    machine = {"cores": os.cpu_count(), "load": os.getloadavg(), "python": platform.python_version()}
    machine |= {"sqlite": sqlite3.sqlite_version, "seconds": round(time.monotonic() - begun)}
    print(machine)
    if options.json is not None:
        text = json.dumps({"machine": machine, "results": results}, ensure_ascii=False, indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
