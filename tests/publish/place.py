"""A place where people really worked and something was published: private strings everywhere, a refusal, a conflict."""

from dataclasses import dataclass, field
from pathlib import Path

from syncgov.core.register import parse_register
from syncgov.publish.publish import Published, publish
from syncgov.storage.replica import Replica
from tests.helpers import DAY_MS, EAST, WEST, ManualClock, World, insert, new_key, update

LAMP = """\
register: lamp
version: 1
label: 路灯
help: 报修的路灯
key: uuid
area: spot
skeleton: {community: spot, prefix: 6, month: seen_on}
number: true
write: [worker]
read: {public: ['*'], internal: [worker, desk], private: [worker]}
fields:
  spot: {label: 地点代码, type: text, class: internal, max_length: 20, required: true}
  seen_on: {label: 日期, type: date, class: internal, required: true}
  inside: {label: 内部说明, type: text, class: internal, free_text: true}
  caller: {label: 来电人, type: text, class: private}
  kind: {label: 种类, type: code, class: public, choices: {bulb: 灯泡, pole: 灯杆}}
  words:
    {label: 公开说明, type: text, class: public, max_length: 200, free_text: true, write: [worker, desk, publisher]}
  parts: {label: 用料, type: list, class: public, max_length: 5}
  cost: {label: 费用, type: money, class: public, unit: 分}
  step:
    label: 进度
    class: public
    merge: state
    group:
      state: {label: 状态, type: code, choices: {fresh: 已报修, done: 已修好}}
      crew: {label: 班组, type: text, ref: crew}
workflow:
  field: step
  state: state
  precedence: [done, fresh]
  review: {states: [], columns: []}
  resolve: [desk]
  steps: {fresh: 报修, done: 修好}
  open: [fresh]
  closed: [done]
  transitions:
    - {name: 报修, from: [new], to: fresh, roles: [worker]}
    - {name: 修好, from: [fresh], to: done, roles: [desk]}
figures:
  - {id: lamps, label: 报修, unit: 盏, kind: count, n: SELECT count(*) FROM lamp, note: 全部。}
  - id: lamps_done
    label: 修好率
    kind: rate
    n: SELECT count(*) FROM lamp WHERE state = 'done'
    d: SELECT count(*) FROM lamp
portal:
  nav: 路灯
  page: list
  title: words
  open311: {service: kind, closed: {state: [done]}, description: words, agency: crew}
"""

CALLER = """\
register: caller
version: 1
label: 来电
key: uuid
parent: lamp_id
skeleton: none
write: [worker]
read: {internal: [worker], private: [worker]}
fields:
  lamp_id: {label: 路灯, type: text, class: private, ref: lamp, required: true}
  name: {label: 姓名, type: text, class: private}
"""

CREW = """\
register: crew
version: 1
label: 班组
key: natural
key_label: 班组号
skeleton: {}
write: [registrar]
read: {public: ['*']}
fields:
  name: {label: 名称, type: text, class: public, required: true}
portal: {nav: 班组, title: name, page: list}
"""

TEXTS = {"lamp": LAMP, "caller": CALLER, "crew": CREW}
ODD_KEY = "甲/乙 ~%2F..<b>"  # a key that is no file name


@dataclass
class Place:
    """A world, what was published of it, and the strings that nobody outside may find."""

    world: World
    out: Path
    clock: ManualClock
    published: Published
    canaries: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def publish(self) -> Published:
        """Publish again."""
        self.published = publish(self.world.centre, self.out, portal=False)
        return self.published


def canary(name: str) -> str:
    """Return a string that occurs nowhere else, in Chinese and in ASCII."""
    return f"鹮貉隼鹀{name.upper()}7Q2M9XW3A"


CANARIES = {
    name: canary(name)
    for name in "spot inside caller name person people note refused_words refused_inside waiting withheld by2".split()
}


def make_place(folder: Path) -> Place:
    """Make, work in and publish the place."""
    clock = ManualClock()
    registers = [parse_register(text, f"{name}.yml") for name, text in TEXTS.items()]
    world = World.make(folder, registers, clock)
    keys = _work(world, clock)
    published = publish(world.centre, folder / "out", portal=False)
    return Place(world, folder / "out", clock, published, CANARIES, keys)


def a_lamp(**columns: object) -> dict[str, object]:
    """Return the columns of a whole new lamp."""
    return {"spot": EAST, "seen_on": "2026-11-20", "state": "fresh", **columns}


def add(replica: Replica, number: int, **columns: object) -> str:
    """Insert a lamp with a key that depends on *number*."""
    return insert(replica, "lamp", {"id": new_key(number), **a_lamp(**columns)})  # type: ignore[dict-item]


def _work(world: World, clock: ManualClock) -> list[str]:
    c = CANARIES
    world.centre.write("crew", [("1", {"name": "东班"}), (ODD_KEY, {"name": "=1+1"})])
    east = world.device("east", staff=[c["person"], c["people"]])
    desk = world.device("desk", "desk", areas=["101"], staff=[c["by2"]])
    keys = [
        add(east, 1, spot=f"{EAST}{c['spot']}"[:20], inside=c["inside"], caller=c["caller"], kind="bulb",
            words="东门光伏组件路灯不亮，已换灯泡", parts='["灯泡","=2+2"]', cost=12345),
        add(east, 2, kind="pole", words="南门灯杆倾斜"),
        add(east, 3, words=f"请联系 13912345678 {c['withheld']}"),
    ]  # fmt: skip
    insert(east, "caller", {"lamp_id": keys[0], "name": c["name"]})
    east.commit(c["person"], note=c["note"])
    world.sync(east, c["person"])
    clock.forward(DAY_MS)
    world.sync(desk)
    update(desk, "lamp", keys[0], state="done", crew="1")
    update(desk, "lamp", keys[1], words="南门灯杆已扶正")
    update(east, "lamp", keys[1], words="南门灯杆待修")
    world.sync(desk, c["by2"])
    world.sync(east, c["person"])
    # outside its area: refused; what it says is nobody's business
    keys.append(add(east, 4, spot=WEST, words=c["refused_words"], inside=c["refused_inside"], kind="pole"))
    world.sync(east, c["person"])
    return keys
