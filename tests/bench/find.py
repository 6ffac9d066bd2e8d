"""Size and speed of the portal's search: `python -m tests.bench.find [MATTERS ...]` (not part of the suite).

Made-up matters with titles, descriptions and five steps each; the index is written, then asked in headless Chromium
from files, each query in a fresh page. Prints one table line for each number of matters and each query.
"""

import gzip
import json
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from playwright.sync_api import Browser, sync_playwright

from portal import find, pages
from portal.site import Site
from portal.source import open_source
from tests.browser.browsing import CHROMIUM, FLAGS, opened
from tests.portal.public_db import EAST, WEST, make_public_db

STATIC = Path(find.__file__).parent / "static"
PLACES = "桐荫里 莲亭 藉水南路 暖阳 十里春风苑 机床厂家属院 西十里 皂郊路 老街院 东坡 桥头 广场".split()
THINGS = "路灯 井盖 电梯 楼道 下水道 健身器材 消防通道 垃圾箱 流动摊点 护栏 光伏组件 停车位 施工围挡 水管 线缆".split()
TROUBLES = "不亮 破损 堵塞 占用 噪声 油烟扰民 漏水 松动 脱落 未拆 积水 丢失 违规通行 起火隐患 无人清理".split()
WORDS = (
    "居民 反映 已经 物业 社区 网格员 现场 查看 通知 单位 处理 更换 维修 加固 清运 劝离 整改 协调 完成 回访 满意".split()
)
STATES = ("open", "open", "wait", "open", "done")


def make(path: Path, matters: int) -> None:
    """Write a public.db with that many matters."""
    random = Random(matters)
    make_public_db(path, hostile=[])
    with sqlite3.connect(path) as conn:
        conn.execute("PRAGMA synchronous=OFF")
        for number in range(matters):
            key = f"{random.randrange(2**32):08x}-0000-7000-8000-{random.randrange(2**48):012x}"
            title = random.choice(PLACES) + random.choice(THINGS) + random.choice(TROUBLES)
            told = title + "。" + "".join(random.choices(WORDS, k=24))
            place = random.choice((EAST, WEST))
            day = f"{2024 + number % 3}-{1 + number % 12:02}-{1 + number % 28:02}"
            no = f"{place}{day.replace('-', '')}{number % 1000:03}"
            row = (key, told, "done", f"{day[:8]}28", place, 0, no, place,
                   f"{day}T10:00:00+08:00", "", f"log/proofs/lamp/{key}.json")  # fmt: skip
            conn.execute(
                "INSERT INTO lamp(key, place, state, due, ward, _conflict, _no, _community, _created, _withheld, "
                "_evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row
            )  # fmt: skip
            steps = [
                (number * 8 + 1000 + step, 0, "lamp", key, "step", 0, f"{day}T1{step}:00:00+08:00", "o1", 1,
                 json.dumps({"state": state, "due": f"{day[:8]}28", "ward": place}))
                for step, state in enumerate(STATES)
            ]  # fmt: skip
            conn.executemany(
                "INSERT INTO history(idx, position, register, key, field, withheld, received, device, shown, value) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", steps
            )  # fmt: skip
    conn.close()


def measure(browser: Browser, folder: Path, matters: int) -> None:
    """Write the index of *matters* and print what it weighs and how fast it answers."""
    make(folder / "public.db", matters)
    with open_source(folder / "public.db") as source:
        site = Site(source)
        number = source.find(site.registers["lamp"], source.rows(site.registers["lamp"], limit=1)[0].key)
        begun = time.perf_counter()
        total = find.write_index(site, pages.others(site), folder / "none", folder / "find")
        took = time.perf_counter() - begun
    shutil.copytree(STATIC, folder / "static")
    (folder / "find.html").write_text('<!doctype html><meta charset=utf-8><script src="static/find-core.js"></script>')
    by_kind: dict[str, list[int]] = {}
    for path in (folder / "find").rglob("*.js"):
        by_kind.setdefault(path.parent.name, []).append(path.stat().st_size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{matters} matters, {total} documents: {took:.1f} s, peak {peak} MB")
    for kind, sizes in sorted(by_kind.items()):
        print(f"  {kind}: {len(sizes)} files, {sum(sizes) / 1e6:.2f} MB, largest {max(sizes) / 1000:.1f} kB")
    assert number is not None
    for query in (number.number, "灯", "路灯", "光伏组件", "路灯不亮 物业", "组光件伏", "查看通知单位整改"):
        _tell(ask(browser, folder, query))


@dataclass(frozen=True, slots=True)
class Asked:
    """What one query in a fresh page found and took. `parts`, `packed`: files of the index, their bytes gzipped."""

    query: str
    results: int
    whole: bool
    ms: float
    parts: int
    packed: int


def ask(browser: Browser, folder: Path, query: str) -> Asked:
    """Ask the index below *folder*, which has a page `find.html`, for the first twenty results."""
    seen = opened(browser, folder.as_uri() + "/", 390)
    seen.page.goto(f"{folder.as_uri()}/find.html")
    script = (
        "async q => { const t = performance.now(); const s = syncgovFind.search(q); const r = await s.take(20, 400);"
    )
    count, done, took = seen.page.evaluate(script + " return [r.length, s.done, performance.now() - t] }", query)
    names = sorted({url.split("/find/")[1].split("?")[0] for url in seen.asked if "/find/" in url})
    packed = sum(len(gzip.compress((folder / "find" / name).read_bytes())) for name in names)
    seen.page.close()
    return Asked(query, count, done, took, len(names), packed)


def _tell(asked: Asked) -> None:
    more = "" if asked.whole else "+"
    size = f"{asked.parts} files, {asked.packed / 1000:.1f} kB gzipped"
    print(f"  {asked.query}: {asked.results}{more} in {asked.ms:.0f} ms, {size}")


def main() -> None:
    """Measure each number of matters given on the command line; 2 000 and 100 000 without."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        for matters in [int(text) for text in sys.argv[1:]] or [2_000, 100_000]:
            with tempfile.TemporaryDirectory() as folder:
                measure(browser, Path(folder), matters)
        browser.close()


if __name__ == "__main__":
    main()
