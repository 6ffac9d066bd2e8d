"""A centre with as many matters and pages as wanted: changesets really signed by devices, taken in as any others.

`python -m tests.bench.growth_world CENTRE MATTERS PAGES COMMUNITIES` makes it and prints the length of its log.

Only the devices' tables and the line are left out: a pen signs what `commit` would, and the centre's own intake judges
it (signature, commitments, rights, workflow, photos), a batch in one transaction. Everything follows from the numbers.
"""

import hashlib
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from syncgov.centre.centre import Centre
from syncgov.centre.drafting import Draft
from syncgov.centre.intake import Incoming, authenticate
from syncgov.core.canonical import b64u
from syncgov.core.clock import Stamp
from syncgov.core.commitment import Dot, Value
from syncgov.core.keys import SigningKey
from syncgov.core.register import RegisterSet
from syncgov.core.statement import Seen, envelope_hash
from syncgov.demo.content import read_examples
from syncgov.storage import capture
from syncgov.storage.files import builtin_folder, read_registers
from syncgov.storage.state import RowKey
from tests.bench.data import key_at
from tests.helpers import DAY_MS, NOW_MS, ManualClock

TOWN = "620502007"
YEAR_MS = 365 * DAY_MS
BATCH = 1000  # changesets of one transaction
ROLES = ["grid_worker", "operator", "handler", "checker", "publisher"]
PLACES = "桐荫里 莲亭 藉水南路 暖阳 十里春风苑 机床厂家属院 西十里 皂郊路 老街院 东坡 桥头 广场".split()
THINGS = "路灯 井盖 电梯 楼道 下水道 健身器材 消防通道 垃圾箱 流动摊点 护栏 光伏组件 停车位 施工围挡 水管 线缆".split()
TROUBLES = "不亮 破损 堵塞 占用 噪声 油烟扰民 漏水 松动 脱落 未拆 积水 丢失 违规通行 起火隐患 无人清理".split()
TOLD = (
    "居民反映已经多日 物业和社区到现场查看 网格员通知了责任单位 请尽快处理 夜里出行不便 老人孩子经过危险 "
    "上次修过又坏了 楼上楼下都有意见 已经拉起警戒线 等配件到货 影响通行 雨后更加严重"
).split()
DONE = "已更换并试用正常 已清运并劝导 已加固并设警示 已维修并回访 已约谈并限期整改 已协调物业完成".split()
CATEGORIES = ("zongzhi", "anquan", "chengguan", "jiaotong", "laobao", "huanbao", "wuye")

# What became of a matter, ten of them in turn: the states of its steps after the first.
FATES: tuple[tuple[str, ...], ...] = (
    ("feedback", "closed"), ("feedback", "closed"), ("feedback", "closed"), ("feedback", "closed"),
    ("reported", "dispatched", "handling", "feedback", "closed"),
    ("reported", "rejected"), ("reported", "dispatched"), ("reported", "dispatched"), ("reported",), ("reported",),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is. `pages`: about as many pages of the portal are rows with a page of their own."""

    matters: int
    pages: int
    communities: int = 100

    @property
    def areas(self) -> list[str]:
        """The communities' codes."""
        return [f"{TOWN}{number:03}" for number in range(1, self.communities + 1)]


@dataclass(slots=True)
class Desk:
    """The device of a community, in every role: its key and the end of its chain."""

    key: SigningKey
    area: str
    prev: str = ""
    seq: int = 0


@dataclass(slots=True)
class Matter:
    """A row under way. `heads`: the dot that each of its fields shows."""

    key: str
    number: int
    heads: dict[str, Dot] = field(default_factory=dict)


class Office:
    """Signs for every desk and hands it to the centre."""

    def __init__(self, centre: Centre, clock: ManualClock, desks: Sequence[Desk]) -> None:
        self._centre, self._clock = centre, clock
        ledger = centre.ledger
        self._registers: RegisterSet = ledger.registers(ledger.size)
        self._seen = Seen(b64u(ledger.root(ledger.size)), ledger.size)
        self._waiting: list[Incoming] = []
        for desk in desks:
            desk.prev = ledger.enrolment(desk.key.id) or ""

    def write(self, desk: Desk, matter: Matter, columns: Mapping[RowKey, Mapping[str, Value]], by: str) -> None:
        """Sign one changeset of a matter; rows other than the matter's are new ones."""
        dot = (desk.key.id, desk.seq + 1)
        writes: list[capture.FieldWrite] = []
        for row, values in columns.items():
            register = self._registers[row[0]]
            heads = matter.heads if row[1] == matter.key else {}
            change = capture.RowChange(row, True, dict(values))
            for name in ("_alive", *values):
                over = (heads[name],) if name in heads else ()
                value = values.get(name, True)
                writes.append(capture.FieldWrite(row, name, value, over, register.class_of(name) == "public"))
                heads[name] = dot
            for name, value in _skeleton(self._registers, row, change).items():
                writes.append(capture.FieldWrite(row, name, value, (), True))
        author = capture.Author(desk.key, dot[1], desk.prev, self._seen, Stamp(self._clock(), 0), by)
        signed = capture.sign_writes(writes, author, self._registers, dot[1].to_bytes(32, "big"))
        desk.seq, desk.prev = dot[1], envelope_hash(signed.envelope)
        self._waiting.append(authenticate(self._centre.ledger, signed.envelope, signed.raw_body))
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Let the centre take in what is signed; all of it is accepted."""
        outcomes = self._centre.push(self._waiting)
        refused = {outcome.verdict for outcome in outcomes} - {"accepted"}
        assert not refused, refused
        self._waiting = []


def _skeleton(registers: RegisterSet, row: RowKey, change: capture.RowChange) -> dict[str, Value]:
    """Return the public skeleton of a new row: community and month."""
    register = registers[row[0]]
    found: dict[str, Value] = {}
    for name, (column, length) in (register.skeleton.sources() if register.skeleton is not None else {}).items():
        if column in change.fields:
            found[name] = str(change.fields[column])[:length]
    return found


def make_centre(path: Path, size: Size) -> int:
    """Make the centre at *path* and return the number of its log's entries."""
    clock = ManualClock(NOW_MS - YEAR_MS)
    draft = Draft("测试区", "log.example/growth", TOWN, simulated=True)
    centre = Centre.init(path, draft, read_registers(builtin_folder()), clock=clock)
    desks = [Desk(SigningKey(_bits(f"desk {area}", 32)), area) for area in size.areas]
    for table, rows in _content(size, desks):
        for batch in _batches(rows):
            centre.write(table, batch)
    office = Office(centre, clock, desks)
    _disclosures(office, clock, size, desks)
    _matters(office, clock, size, desks)
    office.flush()
    entries = centre.ledger.size
    centre.close()
    return entries


def _batches(rows: Sequence[tuple[str, dict[str, Value]]]) -> Iterator[list[tuple[str, dict[str, Value]]]]:
    for start in range(0, len(rows), BATCH):
        yield list(rows[start : start + BATCH])


def _content(size: Size, desks: Sequence[Desk]) -> Iterator[tuple[str, list[tuple[str, dict[str, Value]]]]]:
    """Yield what the registrar writes: places, units, devices, and rows with pages."""
    base: dict[str, Value] = {
        "figures_as_of": "2025-11-20",
        "figures_source": "演示数据",
        "households": 900,
        "residents": 2500,
    }

    def unit(code: str, level: str, parent: str | None, name: str) -> tuple[str, dict[str, Value]]:
        return code, {"area": code, "level": level, "parent": parent, "name": name, "kind": "general", **base}

    places = [unit(TOWN, "town", None, "测试街道")]
    for number, area in enumerate(size.areas, 1):
        name = f"{PLACES[number % len(PLACES)]}第{number}社区"
        places += [unit(area, "community", TOWN, name), unit(f"{area}001", "grid", area, f"{name}第1网格")]
    yield "grid_unit", places
    yield (
        "org",
        [
            (f"unit{number}", {"name": f"第{number}责任单位", "kind": "department", "area": TOWN, "unit": True})
            for number in range(1, 9)
        ],
    )
    yield "disclosure_catalog", _repeated("disclosure_catalog", 20)
    share = size.pages // 4
    yield "policy", _repeated("policies", share)
    yield "micro_power", _repeated("micro_powers", share)
    yield "device", [(desk.key.id, _certificate(desk)) for desk in desks]


def _certificate(desk: Desk) -> dict[str, Value]:
    valid: dict[str, Value] = {"valid_from": NOW_MS - YEAR_MS - DAY_MS, "valid_to": NOW_MS + DAY_MS}
    return {"public_key": b64u(desk.key.public), "roles": list(ROLES), "areas": [desk.area], "people": [], **valid}


def _repeated(name: str, count: int) -> list[tuple[str, dict[str, Value]]]:
    """Return *count* rows: the demo's examples again and again, each with a key of its own."""
    examples = itertools.cycle(read_examples(name))
    rows = []
    for number, row in zip(range(1, count + 1), examples, strict=False):
        named = "title" if "title" in row else "name" if "name" in row else "item"
        values = {key: value for key, value in row.items() if key != "code"}
        rows.append((f"{row['code']}-{number}", values | {named: f"{row[named]}之{number}"}))
    return rows


def _disclosures(office: Office, clock: ManualClock, size: Size, desks: Sequence[Desk]) -> None:
    """Half of the pages are disclosures, spread over the year."""
    catalog = [key for key, _row in _repeated("disclosure_catalog", 20)]
    wanted = size.pages // 2
    for number in range(wanted):
        desk = desks[number % len(desks)]
        clock.now = NOW_MS - YEAR_MS + number * (YEAR_MS // 2) // max(1, wanted)
        matter = Matter(key_at(-1 - number), number)
        columns: dict[str, Value] = {
            "community": desk.area,
            "catalog": catalog[number % len(catalog)],
            "kind": ("caiwu", "shiwu", "dangwu")[number % 3],
            "title": f"第{number + 1}次公开：{THINGS[number % len(THINGS)]}维修费用",
            "body": "".join(f"{TOLD[(number + n) % len(TOLD)]}。" for n in range(6)),
            "published_on": _day(clock.now),
            "due_on": _day(clock.now + (number % 5 - 1) * DAY_MS),
            "stage": "posted",
        }
        office.write(desk, matter, {("disclosure", matter.key): columns}, "gk")


def _matters(office: Office, clock: ManualClock, size: Size, desks: Sequence[Desk]) -> None:
    """The matters of the last half year, each with its steps and the words that the public reads."""
    random = Random(1)
    for number in range(size.matters):
        desk = desks[number % len(desks)]
        clock.now = NOW_MS - YEAR_MS // 2 + number * (YEAR_MS // 2) // size.matters
        matter = Matter(key_at(number), number)
        fate = FATES[number // len(desks) % len(FATES)]
        for step, state in enumerate(fate):
            office.write(desk, matter, _step(matter, desk, clock.now, state, not step), f"p{step % 2}")
        title = random.choice(PLACES) + random.choice(THINGS) + random.choice(TROUBLES)
        told = {"title_public": title, "description_public": f"{title}。" + "，".join(random.choices(TOLD, k=4)) + "。"}
        if fate[-1] == "closed":
            told["result_public"] = random.choice(DONE)
        office.write(desk, matter, {("event", matter.key): told}, "gk")


def _step(matter: Matter, desk: Desk, now: int, state: str, new: bool) -> dict[RowKey, dict[str, Value]]:
    """Return the rows of one step; a result needs photos before and after."""
    owner, due = f"unit{matter.number % 8 + 1}", _day(now + (matter.number % 40) * DAY_MS)
    reason = "no_jurisdiction" if state == "rejected" else None
    columns: dict[str, Value] = {"step": {"state": state, "owner": owner, "due": due, "reason": reason}}
    if new:
        columns |= {
            "grid_id": f"{desk.area}001",
            "occurred_at": f"{_day(now)}T08:{matter.number % 60:02}:00+08:00",
            "source": ("collection", "resident", "cadre")[matter.number % 3],
            "category": CATEGORIES[matter.number % len(CATEGORIES)],
            "urgency": matter.number % 3,
            "level": ("grid", "community", "town")[matter.number % 3],
            "title": f"第{matter.number}件",
        }
    if state == "closed" and matter.number % 4:
        columns["rating"] = ("satisfied", "fairly", "dissatisfied", "unknown")[matter.number % 4]
    rows: dict[RowKey, dict[str, Value]] = {("event", matter.key): columns}
    if state == "feedback":
        for phase in ("before", "after"):
            rows[("event_attachment", key_at(10**7 + matter.number * 2 + (phase == "after")))] = {
                "event_id": matter.key, "sha256": _bits(f"{matter.key} {phase}", 32).hex(), "bytes": 40_000,
                "media_type": "image/jpeg", "kind": "photo", "phase": phase,
            }  # fmt: skip
    return rows


def _bits(text: str, count: int) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:count]


def _day(ms: int) -> str:
    return (datetime.fromtimestamp(ms / 1000, UTC) + timedelta(hours=8)).date().isoformat()


if __name__ == "__main__":
    print(make_centre(Path(sys.argv[1]), Size(*map(int, sys.argv[2:]))))
