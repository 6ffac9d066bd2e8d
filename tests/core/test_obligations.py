"""What a catalogue asks for against what was published: nothing that was due is left out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core.obligations import COLUMNS, obligations, period_code
from syncgov.core.public_rows import Cell, Table, make_table
from syncgov.core.register import Register, parse_register
from syncgov.core.workdays import WorkCalendar, make_calendar

EAST, WEST, TOWN = "620502007001", "620502007002", "620502007"
TODAY = "2026-11-22"
PLACES = """\
register: ward
version: 1
label: 片区
key: natural
skeleton: {}
write: [registrar]
read: {public: ['*']}
fields:
  level: {label: 层级, type: code, class: public, choices: {town: 街道, community: 社区}}
portal: {nav: 片区, page: list, title: [level], place: true}
"""
LIST = """\
register: duty
version: 1
label: 目录
key: natural
skeleton: {}
write: [registrar]
read: {public: ['*']}
fields:
  rule:
    label: 时限
    type: code
    class: public
    choices: {often: 每月, seldom: 每季度, once: 长期, case: 形成后, any: 随时}
  level: {label: 层级, type: text, class: public}
portal:
  nav: 目录
  page: list
  title: [rule]
  schedule:
    rule: rule
    level: level
    rules:
      often: {every: month, after: 0, day: 31}
      seldom: {every: quarter, after: 1, day: 20}
      once: {every: once, within: 20}
      case: {every: case, within: 7}
"""
ACTS = """\
register: act
version: 1
label: 公开
key: uuid
skeleton: {}
write: [publisher]
read: {public: ['*']}
fields:
  duty: {label: 事项, type: text, class: public, ref: duty}
  period: {label: 期间, type: text, class: public}
  due_on: {label: 应公开, type: date, class: public}
  done_on: {label: 公开, type: date, class: public}
  formed_on: {label: 形成, type: date, class: public}
portal:
  nav: 公开
  page: list
  title: [duty]
  calendar: {due: due_on, done: done_on, formed: formed_on, item: duty, period: period}
"""
REGISTERS: list[Register] = [parse_register(text, f"folder/{at}.yml") for at, text in enumerate((PLACES, LIST, ACTS))]
HOURS = '[{"from": "09:00", "to": "17:00"}]'
WORKING = make_calendar(
    make_table("key worked free hours", "key", [("2025", "[]", "[]", HOURS), ("2026", "[]", '["2026-10-01"]', HOURS)]),
    {"worked": "worked", "free": "free", "hours": "hours"},
)


def lines(
    items: list[tuple[str, str, str, str]], acts: list[tuple[Cell, ...]], working: WorkCalendar = WORKING
) -> list[dict[str, Any]]:
    """Return the lines for items (key, rule, level, first day) and acts (item, place, period, due, done, formed)."""
    places: list[tuple[Cell, ...]] = [(EAST, "community"), (WEST, "community"), (TOWN, "town")]
    tables: dict[str, Table] = {
        "ward": make_table("key level", "key", places),
        "duty": make_table(
            "key rule level _created", "key", [(*item[:3], f"{item[3]}T09:00:00+08:00") for item in items]
        ),
        "act": make_table(
            "key duty _community period due_on done_on formed_on",
            "key",
            [(f"act{at}", *act) for at, act in enumerate(acts)],
        ),
    }
    found = obligations(REGISTERS, tables, working, TODAY)
    return [dict(zip(COLUMNS.split(), row, strict=True)) for row in found.rows]


def test_what_was_never_published_is_overdue() -> None:
    """A quarterly item of two communities since New Year: three quarters are over, the fourth is still open."""
    found = lines([("05", "seldom", "社区", "2025-12-31")], [])
    assert [(line["place"], line["period"], line["due"], line["state"]) for line in found] == [
        (place, f"2026-Q{quarter}", due, state)
        for place in (EAST, WEST)
        for quarter, due, state in (
            (1, "2026-04-20", "overdue"),
            (2, "2026-07-20", "overdue"),
            (3, "2026-10-20", "overdue"),
            (4, "2027-01-20", "pending"),
        )
    ]
    assert {(line["key"], line["done"], line["source"]) for line in found} == {("", None, "rule")}


def test_nothing_is_asked_for_before_the_item_was_in_the_catalogue() -> None:
    """The first period is the first that begins on that day or later."""
    assert [line["period"] for line in lines([("11", "often", "街道", "2026-09-02")], [])] == ["2026-10", "2026-11"]
    assert lines([("11", "often", "街道", "2026-09-01")], [])[0]["period"] == "2026-09"


def test_an_act_answers_for_the_period_that_it_names() -> None:
    """Late is late by the catalogue's day, whatever day the act itself promises; another place's act does not count."""
    acts: list[tuple[Cell, ...]] = [
        ("05", EAST, "2026年第一季度", "2026-12-31", "2026-04-21", None),
        ("05", EAST, "2026年第2季度", None, "2026-07-20", None),
    ]
    found = {(line["place"], line["period"]): line for line in lines([("05", "seldom", "社区", "2026-01-01")], acts)}
    assert (found[EAST, "2026-Q1"]["state"], found[EAST, "2026-Q1"]["due"]) == ("late", "2026-04-20")
    assert (found[EAST, "2026-Q2"]["state"], found[EAST, "2026-Q2"]["key"]) == ("on_time", "act1")
    assert found[EAST, "2026-Q3"]["state"] == "overdue"
    assert found[WEST, "2026-Q1"]["state"] == "overdue"
    assert len(found) == 8


def test_an_act_without_a_period_answers_for_the_one_that_was_not_over() -> None:
    """By the day on which it was made public."""
    found = lines([("11", "often", "社区", "2026-08-01")], [("11", EAST, "", None, "2026-09-30", None)])
    states = {line["period"]: line["state"] for line in found if line["place"] == EAST}
    assert states == {"2026-08": "overdue", "2026-09": "on_time", "2026-10": "overdue", "2026-11": "pending"}


def test_an_act_of_another_period_does_not_answer_for_this_one() -> None:
    """It names a quarter before the item was in the catalogue, and was made public within the first that counts."""
    acts: list[tuple[Cell, ...]] = [("05", EAST, "2020年第一季度", None, "2026-04-01", None)]
    found = {
        line["period"]: line for line in lines([("05", "seldom", "社区", "2026-01-01")], acts) if line["place"] == EAST
    }
    assert found["2026-Q1"]["state"] == "overdue"
    assert found["2020年第一季度"]["source"] == "own"


def test_two_acts_of_one_period_answer_for_it_once() -> None:
    """The earlier one counts; the other stands alone, by its own date."""
    acts: list[tuple[Cell, ...]] = [
        ("11", EAST, "2026年10月", "2026-10-10", "2026-10-20", None),
        ("11", EAST, "2026年10月", None, "2026-10-09", None),
    ]
    found = {line["key"]: line for line in lines([("11", "often", "社区", "2026-10-01")], acts) if line["key"]}
    assert (found["act1"]["source"], found["act1"]["state"]) == ("rule", "on_time")
    assert (found["act0"]["source"], found["act0"]["state"]) == ("own", "late")


def test_the_towns_item_is_asked_for_once() -> None:
    """An act in any of its communities answers for it."""
    (line,) = lines([("07", "once", "街道", "2026-11-02")], [("07", WEST, "", None, "2026-11-20", None)])
    assert (line["place"], line["due"], line["state"], line["key"]) == (TOWN, "2026-11-30", "on_time", "act0")


def test_an_item_of_no_known_level_is_asked_for_once() -> None:
    """Nobody knows where, but it is not forgotten."""
    (line,) = lines([("01", "once", "楼栋", "2026-01-05")], [])
    assert (line["place"], line["_community"], line["state"]) == ("", None, "overdue")


def test_working_days_after_something_was_formed() -> None:
    """Seven working days, holidays not counted; without a calendar the act's own date counts, and says so."""
    act: tuple[Cell, ...] = ("09", EAST, "", "2026-12-31", "2026-10-10", "2026-09-30")
    (line,) = lines([("09", "case", "社区", "2026-01-05")], [act])
    assert (line["due"], line["source"], line["state"]) == ("2026-10-12", "rule", "on_time")
    (line,) = lines([("09", "case", "社区", "2026-01-05")], [act], WorkCalendar({}, {}))
    assert (line["due"], line["source"], line["state"]) == ("2026-12-31", "own", "on_time")


def test_without_a_calendar_what_is_due_once_has_no_day() -> None:
    """It is told apart, neither in time nor overdue."""
    (line,) = lines([("01", "once", "街道", "2026-01-05")], [], WorkCalendar({}, {}))
    assert (line["due"], line["state"]) == (None, "open")


def test_at_any_time_asks_for_nothing() -> None:
    """Only the acts themselves have lines."""
    assert lines([("03", "any", "社区", "2026-01-05")], []) == []
    (line,) = lines([("03", "any", "社区", "2026-01-05")], [("03", EAST, "", None, "2026-02-01", None)])
    assert (line["state"], line["source"]) == ("open", "own")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2026年第三季度", "2026-Q3"),
        ("2026年第3季度", "2026-Q3"),
        ("２０２６年 三季度", "2026-Q3"),
        ("2026Q3", "2026-Q3"),
        ("2026-Q3", "2026-Q3"),
        ("2026年3月", "2026-03"),
        ("2026年12月份", "2026-12"),
        ("2026-03", "2026-03"),
        ("2026年13月", ""),
        ("2026年第五季度", ""),
        ("长期", ""),
        ("", ""),
    ],
)
def test_words_of_periods(text: str, code: str) -> None:
    """As people write them, also in full width."""
    assert period_code(text) == code


DAYS = st.dates().map(str) | st.none() | st.text(max_size=5)
ACT = st.tuples(
    st.sampled_from(["01", "03", "05", "09", "11", "x", ""]),
    st.sampled_from([EAST, WEST, TOWN, ""]),
    st.sampled_from(["2026年第一季度", "2026年3月", "2026-10", "长期", "", "2025Q4"]),
    DAYS,
    DAYS,
    DAYS,
)
ITEMS = [
    ("01", "once", "社区", "2026-01-05"),
    ("03", "any", "社区", "2026-01-05"),
    ("05", "seldom", "社区", "2025-11-20"),
    ("09", "case", "街道", "2025-11-20"),
    ("11", "often", "街道", "2024-01-01"),
]


@given(st.lists(ACT, max_size=12))
def test_every_act_and_every_obligation_has_exactly_one_line(acts: list[tuple[Cell, ...]]) -> None:
    """Whatever is published, the lines that the catalogue asks for stay, each act stands once, and no key repeats."""
    asked = {(line["item"], line["place"], line["period"]) for line in lines(ITEMS, []) if line["source"] == "rule"}
    found = lines(ITEMS, acts)
    assert sorted(line["key"] for line in found if line["key"]) == sorted(f"act{at}" for at in range(len(acts)))
    assert asked <= {(line["item"], line["place"], line["period"]) for line in found if line["source"] == "rule"}
    keys = [(line["item"], line["place"], line["period"], line["key"]) for line in found]
    assert len(keys) == len(set(keys))
