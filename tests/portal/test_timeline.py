"""A matter's steps, lamps and why it is late, by the deadlines that its history sets."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from portal import records
from portal.records import temporary_number
from portal.site import Site
from portal.source import open_source
from portal.timeline import Way
from syncgov.core import public_rows as publishing
from syncgov.core.register import parse_register
from tests.portal.public_db import EAST, WEST, insert, insert_step, make_public_db
from tests.publish.place import LAMP

KEY = "019c2b20-f2c0-709f-94b4-f2e0430125c5"
Case = list[tuple[str, str, str | None]]  # (day of November and hour, state, deadline's day)
Walk = Callable[[Case], Way]


@pytest.fixture
def walk(tmp_path: Path) -> Walk:
    """Return the way of a lamp with these steps, as of 21 November 18:30."""

    def make(case: Case) -> Way:
        path = make_public_db(tmp_path / "public.db", hostile=[])
        with sqlite3.connect(path) as conn:
            insert(conn, "lamp", KEY, place="一盏", state=case[-1][1], _community=EAST, _no=f"{EAST}20261101001")
            for idx, (at, state, due) in enumerate(case, 100):
                value = {"state": state, "due": f"2026-11-{due}" if due else None, "ward": WEST if due else None}
                day, _, hour = at.partition(" ")
                received = f"2026-11-{day}T{hour or '12'}:00:00+08:00"
                insert_step(conn, idx, KEY, value, received, "o1" if idx > 100 else "w1")
            insert_step(conn, 200, KEY, None, "2026-11-02T12:00:00+08:00", "o1")  # erased: no step
        conn.close()
        with open_source(path) as source:
            site = Site(source)
            found = next(way for row, way in records.records(site, site.registers["lamp"]) if row.key == KEY)
        path.unlink()
        assert found is not None
        return found

    return make


@pytest.mark.parametrize(
    ("case", "lamp"),
    [
        ([("01", "open", None)], ("", "")),
        ([("01", "open", None), ("20", "open", "30")], ("ok", "正常，剩余10天")),
        ([("01", "open", None), ("02", "open", "22")], ("soon", "临期，剩余2天")),
        ([("01", "open", None), ("02", "open", "20")], ("late", "超期1天")),
        ([("01", "open", None), ("02", "open", "10")], ("late", "超期11天")),
        # a day's deadline ends with the day
        ([("01", "open", None), ("02", "open", "10"), ("10 23", "done", "10")], ("ok", "正常，按时办结")),
        ([("01", "open", None), ("02", "open", "10"), ("11 01", "done", "10")], ("late", "超期办结")),
        # six days of waiting are added: until the 16th
        ([("01", "open", None), ("02", "open", "10"), ("05", "wait", "10"), ("11", "open", "10"), ("16", "done", "10")],
         ("ok", "正常，按时办结")),
        ([("01", "open", None), ("02", "open", "10"), ("05", "wait", "10")], ("", "暂停计时")),
        # done, opened again, done late: the last time counts
        ([("01", "open", None), ("02", "open", "10"), ("09", "done", "10"), ("12", "open", "10"), ("13", "done", "10")],
         ("late", "超期办结")),
        # a later deadline replaces the one that was missed
        ([("01", "open", None), ("02", "open", "10"), ("12", "open", "30"), ("21", "done", "30")],
         ("ok", "正常，按时办结")),
    ],
)  # fmt: skip
def test_the_lamp_follows_the_deadline_in_force(walk: Walk, case: Case, lamp: tuple[str, str]) -> None:
    """正常 until 80 % of the limit, then 临期, after it 超期; suspensions stop the clock; the words say it too."""
    found = walk(case).lamp
    assert (found.kind, found.label) == lamp


def test_why_it_is_late_is_said_in_words(walk: Walk) -> None:
    """Deadline, where it stood when it passed and with whom, that no reason is on record, that it was moved."""
    why = "".join(walk([("01", "open", None), ("02", "open", "10"), ("12", "open", "15")]).why)
    for words in ("到2026年11月15日为止", "超期6天", "停在“办理中”（2026年11月12日起）", "责任单位是西苑社区",
                  "没有登记超期的理由", "期限改过1次"):  # fmt: skip
        assert words in why, words
    assert walk([("01", "open", None), ("20", "open", "30")]).why == ()


def test_each_step_has_name_role_unit_and_lamp(walk: Walk) -> None:
    """The declared transition that the device's role allows names the step; a step after the deadline says so."""
    stages = walk([("01", "open", None), ("02", "open", "10"), ("12", "done", "10"), ("13", "open", "10")]).stages
    assert [(each.name, each.who, each.unit, each.lamp.label) for each in stages] == [
        ("报修", "网格员", "", ""),
        ("改期", "综治平台操作员", "西苑社区", ""),
        ("修好", "承办人", "西苑社区", "超期2天"),
        ("又坏了", "综治平台操作员", "西苑社区", ""),
    ]


def test_a_matter_has_every_number_that_people_type(tmp_path: Path) -> None:
    """The number, its end, the temporary number from the key, with and without dashes."""
    path = make_public_db(tmp_path / "public.db", hostile=[])
    with sqlite3.connect(path) as conn:
        insert(conn, "lamp", KEY, place="一盏", _community=EAST, _no=f"{EAST}20261101001")
    conn.close()
    with open_source(path) as source:
        site = Site(source)
        row = site.source.find(site.registers["lamp"], KEY)
        assert row is not None
        assert records.numbers(row) == [f"{EAST}20261101001", "20261101001", "临-4301-25c5", "430125c5"]
        assert temporary_number(row) == publishing.temporary_number(parse_register(LAMP, "lamp.yml"), KEY)
        errand = site.source.find(site.registers["errand"], "BS-01")
        assert errand is not None
        assert temporary_number(errand) == ""
