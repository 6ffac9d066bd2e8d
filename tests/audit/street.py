"""A small street that was really worked in and published: conflicts, refusals, a withheld text, a child, figures."""

from collections.abc import Mapping
from pathlib import Path

from syncgov.audit.portal_figures import FIXED_PAGES
from syncgov.core.register import parse_register
from syncgov.publish.publish import publish
from tests.audit.forging import log_key, seal
from tests.helpers import EAST, WEST, ManualClock, World, a_task, insert, update
from tests.registers import TEXTS

HOUR_MS = 3_600_000

FIGURES = """\
figures:
  - {id: task_all, label: 任务, unit: 件, kind: count, n: SELECT count(*) FROM task}
  - id: task_rate
    label: 办结率
    unit: '%'
    kind: rate
    n: SELECT count(*) FROM task WHERE state = 'closed'
    d: SELECT count(*) FROM task
    decimals: 1
"""

REMARK = """\
register: remark
version: 1
label: 说明
help: 给公众看的文字
key: uuid
parent: task_id
skeleton: {}
write: [worker, desk]
read: {public: ['*']}
fields:
  task_id: {label: 任务, type: text, class: public, ref: task, required: true}
  words: {label: 文字, type: text, class: public, max_length: 200, free_text: true}
"""

PAGE = """<!doctype html><html><body><p>任务 <span data-figure="task_all">{all}</span> 件</p>
<p><br>办结率 <strong><span data-figure="task_rate"><b>{rate}</b></span></strong></p></body></html>
"""


def build_street(folder: Path) -> Path:
    """Work for a while, publish into `folder/out`, and return that; `folder/centre/charter.json` is the charter."""
    texts = {**TEXTS, "task": TEXTS["task"] + FIGURES, "remark": REMARK}
    clock = ManualClock()
    registers = [parse_register(text, f"{name}.yml") for name, text in texts.items()]
    with World.make(folder, registers, clock) as world:
        _work(world, clock)
        made = publish(world.centre, folder / "out", portal=False)
    write_portal(folder / "out", made.figures["task_all"], made.figures["task_rate"])
    return folder / "out"


def write_portal(out: Path, all_tasks: str, rate: str) -> None:
    """Write the pages that every portal has, and one more; three of them with figures."""
    marked = PAGE.format(all=all_tasks, rate=rate)
    write_pages(out, {f"portal/{name}.html": marked for name in ("index", "figures", "more")})


def write_pages(out: Path, pages: Mapping[str, str]) -> None:
    """Write the pages that every portal has, those that are not given empty; the centre beside *out* signs the list."""
    for name, html in {**dict.fromkeys(FIXED_PAGES, "<html></html>"), **pages}.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
    seal(out, log_key(out.parent))


def _work(world: World, clock: ManualClock) -> None:
    east = world.device("east", staff=["甲"])
    other = world.device("other", staff=["乙"])
    desk = world.device("desk", "desk", areas=["101"], staff=["丙"])
    keys = [insert(east, "task", a_task(title=f"路灯 {i} 号不亮", kind="a")) for i in range(6)]
    insert(east, "payment", {"amount": 1200})
    remark = {"task_id": keys[0], "words": "已通知电工"}
    insert(east, "remark", remark)
    insert(east, "remark", {"task_id": keys[1], "words": "请联系 13912345678 张先生"})
    insert(east, "contact", {"task_id": keys[0], "name": "某某", "phone": "000-1234"})
    world.sync(east, "甲")
    for replica in (desk, other):
        clock.forward(HOUR_MS)
        world.sync(replica)
    for key in keys[:4]:
        update(desk, "task", key, state="accepted", due="2026-12-01")
    world.sync(desk, "丙")
    world.sync(other)
    # two devices decide the same thing before either has heard of the other
    update(other, "task", keys[0], state="closed", title="路灯一号修好")
    update(desk, "task", keys[0], state="rework", reason="bad", title="路灯一号又坏")
    update(desk, "task", keys[1], kind="b")
    update(other, "task", keys[1], kind="c")
    clock.forward(HOUR_MS)
    world.sync(other, "乙")
    world.sync(desk, "丙")
    # a step that the workflow does not know, and a place that is not the device's
    update(other, "task", keys[5], state="rework", reason="dup")
    world.sync(other, "乙")
    insert(east, "task", a_task(place=WEST, title="别处的事"))
    world.sync(east, "甲")
    world.centre.write("notice", [("n1", {"text": "停水通知"}), ("n2", {"text": "停电通知"})])
    world.centre.write("notice", [("n2", None)])
    clock.forward(HOUR_MS)
    assert EAST != WEST
