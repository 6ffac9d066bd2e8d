"""A small public.db by hand: made-up registers, two communities, hostile rows. No code of the package makes it."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import hostile as hostile_texts

AS_OF = "2026-11-21T18:30:00+08:00"
EAST, WEST = "620502007001", "620502007002"
MONTHS = [f"{2024 + at // 12}-{at % 12 + 1:02}" for at in range(8, 35)]  # 27, to 2026-11
LAMPS = 130  # more than one list page holds

HOSTILE = list(hostile_texts.TEXTS.values())

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE register(name TEXT PRIMARY KEY, label, version, help, text, portal, skeleton INTEGER);
CREATE TABLE "column"(register, name, label, type, unit, help, position, public_text, PRIMARY KEY(register, name));
CREATE TABLE label(register, "column", code, label, position, PRIMARY KEY(register, "column", code));
CREATE TABLE figure(id TEXT PRIMARY KEY, register, label, kind, n, d, text, unit, note, position, sql_n, sql_d);
CREATE TABLE figure_part(figure, "by", part, n, d, text, position INTEGER, PRIMARY KEY(figure, "by", part));
CREATE TABLE leaf(idx INTEGER PRIMARY KEY, received, device, seq, verdict, register, key, disputed);
CREATE TABLE history(idx INTEGER, position INTEGER, register, key, field, value, withheld INTEGER, erased INTEGER,
    received, device, shown INTEGER, disputed INTEGER, PRIMARY KEY(idx, position));
CREATE INDEX history_register_key_index ON history(register, key);
CREATE TABLE device("key" TEXT PRIMARY KEY, roles);
CREATE TABLE conflict(register, key, field, idx, value, shown INTEGER, received, device);
CREATE TABLE withheld(id INTEGER PRIMARY KEY, path, register, key, field, kind, reason, dot);
CREATE TABLE declared(name TEXT PRIMARY KEY, value INTEGER, label, note);
"""
_OWN = "_no _community _month _created _updated _withheld _erased _conflict _evidence".split()

_WARD_TEXT = """
register: ward
key: natural
key_label: 片区代码
fields:
  name: {type: text, class: public}
  homes: {type: integer, class: public}
"""
_STEP_MEMBERS = {"do": "做什么", "who": "谁办", "limit": "时限"}
_ERRAND_TEXT = """
register: errand
key: natural
key_label: 事项编号
fields:
  name: {type: text, class: public}
  aspect: {type: code, class: public}
  sample: {type: boolean, class: public}
  bring: {type: list, class: public}
  steps: {type: list, class: public, items: {seq: 序号, do: 做什么, who: 谁办, limit: 时限}}
  risks: {type: list, class: public, items: {point: 风险, level: 等级}}
  basis: {type: text, class: public}
  phone: {type: text, class: public}
  review_on: {type: date, class: public}
"""
_LAMP_TEXT = """
register: lamp
key: uuid
fields:
  place: {type: text, class: public}
  step:
    class: public
    group:
      state: {type: code}
      due: {type: date}
      ward: {type: text, ref: ward}
  cost: {type: money, class: public}
workflow:
  field: step
  state: state
  open: [open, wait]
  closed: [done]
  transitions:
    - {name: 报修, from: [new], to: open, roles: [grid_worker]}
    - {name: 修好, from: [open], to: done, roles: [fitter, handler], guards: [reason, other_person]}
    - {name: 当场修好, from: [new], to: done, roles: [fitter]}
    - {name: 又坏了, from: [done], to: open, roles: [operator]}
    - {name: 改期, from: [open], to: open, roles: [operator], guards: [unheard_of]}
    - {name: 等料, from: [open], to: wait, roles: [operator]}
    - {name: 再开工, from: [wait], to: open, roles: [operator]}
    - {name: 误报, from: any, to: void, roles: [operator]}
"""

# name -> (label, text, portal, columns: (name, label, type, unit), codes: (column, code, label))
_REGISTERS: dict[str, tuple[str, str, Mapping[str, Any] | None, list[tuple[str, ...]], list[tuple[str, ...]]]] = {
    "ward": (
        "片区",
        _WARD_TEXT,
        {
            "nav": "片区",
            "page": "list",
            "order": 30,
            "title": "name",
            "summary": ["homes"],
            "place": True,
            "community": {"title": "片区", "columns": ["name", "homes"]},
        },
        [("name", "名称", "text"), ("homes", "户数", "integer", "户")],
        [],
    ),
    "errand": (
        "办事事项",
        _ERRAND_TEXT,
        {
            "nav": "办事指南",
            "page": "row",
            "order": 10,
            "title": "name",
            "intro": "来之前先看要带什么。",
            "group_by": ["aspect"],
            "summary": ["aspect", "review_on"],
            "review": "review_on",
            "sheet": {"title": "本月事项", "show": "one", "columns": ["bring", "steps", "phone"]},
            "badges": ["sample"],
            "sections": [
                {"column": "bring", "as": "list", "label": "要带的材料"},
                {
                    "column": "steps",
                    "as": "steps",
                    "label": "办理流程",
                    "members": _STEP_MEMBERS,
                    "diagram": ["do", "who"],
                },
                {"column": "risks", "as": "table", "label": "风险点", "members": {"point": "风险", "level": "等级"}},
                {"column": "basis", "as": "text", "label": "依据"},
                {"column": "phone", "as": "phone", "label": "监督电话"},
            ],
        },
        [
            ("name", "事项名称", "text"),
            ("aspect", "方面", "code"),
            ("sample", "示例", "boolean"),
            ("bring", "材料", "list"),
            ("steps", "流程", "list"),
            ("risks", "风险", "list"),
            ("basis", "依据", "text"),
            ("phone", "电话", "text"),
            ("review_on", "复审日期", "date"),
        ],
        [("aspect", "zz", "低保救助"), ("aspect", "aa", "用章")],
    ),
    "lamp": (
        "路灯",
        _LAMP_TEXT,
        {
            "nav": "路灯维修",
            "page": "list",
            "order": 20,
            "title": "place",
            "group_by": ["_community", "state"],
            "summary": ["state", "due", "ward", "cost"],
            "timeline": {"due": "due", "unit": "ward", "paused": ["wait"]},
            "community": {"title": "路灯现状", "count_by": "state", "where": {}},
            "sheet": {"title": "本月报修", "show": "month", "columns": ["place", "state"]},
        },
        [
            ("place", "地点", "text"),
            ("state", "状态", "code"),
            ("due", "期限", "date"),
            ("ward", "片区", "text"),
            ("cost", "费用", "money"),
        ],
        [
            ("state", "open", "办理中"),
            ("state", "wait", "等料"),
            ("state", "done", "已修好"),
            ("state", "void", "已作废"),
        ],
    ),
}


def make_public_db(path: Path, hostile: Sequence[str] = HOSTILE, simulated: bool = True, **meta: str) -> Path:
    """Write a public.db and return its path."""
    with sqlite3.connect(path, isolation_level=None) as conn:
        conn.execute("PRAGMA synchronous = OFF")  # hundreds of small writes; nobody needs them after a power loss
        conn.execute("PRAGMA journal_mode = MEMORY")
        conn.executescript(_SCHEMA)
        known = {
            "name": "两社区街道",
            "origin": "example.invalid/log",
            "as_of": AS_OF,
            "size": "412",
            "root": "3q2+7w==",
            "simulated": "1" if simulated else "0",
            "protocol_version": "1",
        }
        conn.executemany("INSERT INTO meta VALUES (?, ?)", (known | meta).items())
        for name, declared in _REGISTERS.items():
            _declare(conn, name, *declared)
        _rows(conn, hostile)
        _ledger(conn)
    conn.close()
    return path


def _declare(conn: sqlite3.Connection, name: str, label: str, text: str, portal: Any, columns: Any, codes: Any) -> None:
    row = (name, label, 1, f"{label}登记册", text, json.dumps(portal), 1)
    conn.execute("INSERT INTO register VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    for position, (column, title, kind, *unit) in enumerate(columns):
        searched = int(kind in ("text", "list") and (name, column) != ("lamp", "ward"))
        values = (name, column, title, kind, unit[0] if unit else "", "", position, searched)
        conn.execute('INSERT INTO "column" VALUES (?, ?, ?, ?, ?, ?, ?, ?)', values)
    for position, (column, code, title) in enumerate(codes):
        conn.execute("INSERT INTO label VALUES (?, ?, ?, ?, ?)", (name, column, code, title, position))
    names = ['"key" TEXT PRIMARY KEY', *(f'"{name}"' for name, *_ in columns), *(f'"{name}"' for name in _OWN)]
    conn.execute(f'CREATE TABLE "{name}"({", ".join(names)})')


def insert(conn: sqlite3.Connection, table: str, key: str, /, **values: object) -> None:
    """Insert one published row; what is not given takes a plain default."""
    row = {
        "_created": AS_OF, "_updated": AS_OF, "_withheld": "", "_erased": "", "_conflict": 0,
        "_evidence": f"log/proofs/{table}/{key}.json",
    } | values  # fmt: skip
    row = {"key": key} | {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value for name, value in row.items()
    }
    names = ", ".join(f'"{name}"' for name in row)
    conn.execute(f'INSERT INTO "{table}"({names}) VALUES ({", ".join("?" * len(row))})', list(row.values()))


def insert_step(
    conn: sqlite3.Connection, idx: int, key: str, value: Mapping[str, Any] | None, received: str, device: str
) -> None:
    """Insert one write of a lamp's step; None: it is erased."""
    told, gone = (None, 1) if value is None else (json.dumps(value), 0)
    row = (idx, 0, "lamp", key, "step", told, 0, gone, received, device, 1, 0)
    conn.execute(f"INSERT INTO history VALUES ({', '.join('?' * 12)})", row)


def _rows(conn: sqlite3.Connection, hostile: Sequence[str]) -> None:
    insert(conn, "ward", EAST, name="东坡社区", homes=31_623, _community=EAST)
    insert(conn, "ward", WEST, name="西苑社区", homes=88, _community=WEST)
    insert(
        conn, "errand", "BS-01", name="开具居住证明", aspect="aa", sample=1, phone="0938-0000001",
        bring=["身份证原件", "户口簿"], basis="第一条\n第二行\n\n第二段",
        review_on="2026-11-20", steps=[{"do": "提出申请", "who": "居民", "limit": "当日"},
               {"do": "盖章", "who": "社区", "limit": None}],
        risks=[{"point": "优亲厚友", "level": "高"}],
    )  # fmt: skip
    insert(conn, "errand", "BS-02", name="申请低保", aspect="zz", sample=0, basis=None, phone=None, _withheld="basis",
           review_on="2026-11-21")  # fmt: skip
    for number, text in enumerate(hostile):
        insert(
            conn, "errand", f"敌 {number}/<x>", name=text, aspect="aa", sample=0, phone=text, basis=text,
            bring=[text, {"a": text}], steps=[{"do": text, "who": text}], risks=[{"point": text}],
        )  # fmt: skip
        insert(conn, "lamp", f"hostile-{number}", place=text, state=text, ward=text, _community=EAST, _no=text)
    for number in range(LAMPS):
        place = EAST if number % 2 else WEST
        insert(
            conn, "lamp", f"lamp-{number:03}", place=f"{number} 号灯杆", state="done" if number % 3 else "open",
            due="2026-11-30", ward=place, cost=123_450 + number, _community=place, _no=f"D-{number:03}",
            _month="2026-11",
            _created=f"2026-11-20T10:{number % 60:02}:00+08:00", _conflict=int(number == 7),
        )  # fmt: skip
    insert(conn, "lamp", "lost", place="街道广场", state="open", _withheld="step", _community=None)
    insert(conn, "errand", "BS-03", name="删过一项", aspect="zz", sample=0, phone="1", basis=None, _erased="basis")


def _ledger(conn: sqlite3.Connection) -> None:
    figures = [
        ("lamp_all", "lamp", "上报", "count", 563, None, "563", "件", "全部", 1, "select count(*)\n\nfrom lamp", None),
        ("lamp_rate", "lamp", "办结率", "rate", 544, 563, "96.6% (544/563)", "", "率", 2, "select 1", "select 2"),
        ("lamp_none", "lamp", "满意率", "rate", 0, 0, "—", "", "", 3, "select 1 where 1<2 and '|'", None),
    ]  # fmt: skip
    conn.executemany(f"INSERT INTO figure VALUES ({', '.join('?' * 12)})", figures)
    parts = [
        ("lamp_all", "_community", EAST, 300, None, "300"),
        ("lamp_all", "_community", WEST, 263, None, "263"),
        ("lamp_rate", "_community", EAST, 280, 300, "93.3% (280/300)"),
        ("lamp_rate", "_community", WEST, 260, 263, "98.9% (260/263)"),
        ("lamp_rate", "state", "done", 9, 29, "31.0% (9/29)"),
        ("lamp_rate", "state", "open", 28, 30, "93.3% (28/30)"),
        ("lamp_rate", "state", "void", 0, 0, "—"),
        *(("lamp_all", "_month", month, 9, None, "9") for month in MONTHS),
        *(("lamp_all", "_community _month", f"{EAST} {month}", 7, None, "7") for month in MONTHS),
    ]  # fmt: skip
    conn.executemany(
        "INSERT INTO figure_part VALUES (?, ?, ?, ?, ?, ?, ?)", [(*part, at) for at, part in enumerate(parts)]
    )
    verdicts = ["accepted"] * 400 + ["refused:role"] * 7 + ["refused:over"] * 5
    rows = [(number, AS_OF, "ab" * 16, number, verdict) for number, verdict in enumerate(verdicts)]
    conn.executemany("INSERT INTO leaf(idx, received, device, seq, verdict) VALUES (?, ?, ?, ?, ?)", rows)
    step = {"state": "done", "due": "2026-11-30", "ward": EAST}
    heads = [
        ("lamp", "lamp-007", "step", 90, json.dumps(step), 1, AS_OF, "ab" * 16),
        ("lamp", "lamp-007", "step", 91, json.dumps(step | {"state": "open"}), 0, AS_OF, "cd" * 16),
    ]
    conn.executemany("INSERT INTO conflict VALUES (?, ?, ?, ?, ?, ?, ?, ?)", heads)
    hidden = [
        ("errand/BS-02/basis", "errand", "BS-02", "basis", "withholding", "review", "[]"),
        ("lamp/lost/step", "lamp", "lost", "step", "withholding", "privacy", "[]"),
        ("errand/BS-03/basis", "errand", "BS-03", "basis", "erasure", "request", "[]"),
    ]
    marks = ", ".join("?" * 7)
    conn.executemany(f"INSERT INTO withheld(path, register, key, field, kind, reason, dot) VALUES ({marks})", hidden)
    conn.executemany("INSERT INTO device VALUES (?, ?)", [("w1", '["grid_worker"]'), ("o1", '["operator", "handler"]')])
    late: list[tuple[str, str, Mapping[str, Any]]] = [
        ("w1", "2026-11-01T09:00:00+08:00", {"state": "open", "due": None, "ward": None}),
        ("o1", "2026-11-02T09:00:00+08:00", {"state": "open", "due": "2026-11-10", "ward": WEST}),
        ("o1", "2026-11-12T09:00:00+08:00", {"state": "open", "due": "2026-11-15", "ward": WEST}),
    ]
    for idx, (device, received, value) in enumerate(late):
        insert_step(conn, idx, "lamp-000", value, received, device)
    conn.execute("INSERT INTO declared VALUES ('waiting', 3, '等待前序的变更集', '条')")
