"""What people type into tables becomes values, or an error that names the column."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core.register_model import Choice, Column
from syncgov.errors import InputError
from syncgov.importers.cells import convert, instant, microdegrees

CHOICES = (Choice("a", "甲"), Choice("b", "乙"))


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("text", " 三单元 ", "三单元"),
        ("text", "", None),
        ("text", "e\u0301", "é"),
        ("integer", "12", 12),
        ("integer", "-1,234,567", -1234567),
        ("integer", 7, 7),
        ("integer", None, None),
        ("money", "1250", 1250),
        ("money", "12.50元", 1250),
        ("money", "1,000元", 100000),
        ("coordinate", "34.581234", 34581234),
        ("coordinate", "34581234", 34581234),
        ("coordinate", Decimal("-87.7062952"), -87706295),
        ("boolean", "是", True),
        ("boolean", "No", False),
        ("boolean", True, True),
        ("date", "2026/1/5", "2026-01-05"),
        ("date", "2026年11月21日", "2026-11-21"),
        ("date", "2026-11-21", "2026-11-21"),
        ("datetime", "2026/11/21 9:05", "2026-11-21T09:05:00+08:00"),
        ("datetime", "2026-11-21T09:05:07", "2026-11-21T09:05:07+08:00"),
        ("datetime", "2026-11-21T01:05:07Z", "2026-11-21T09:05:07+08:00"),
        ("list", "甲、乙；丙", ["甲", "乙", "丙"]),
        ("list", '["甲", 2]', ["甲", 2]),
        ("list", ["甲"], ["甲"]),
    ],
)
def test_a_cell_becomes_a_value(kind: str, cell: Any, value: Any) -> None:
    """Each way of writing that offices use is understood."""
    assert convert(Column("c", "栏", kind), cell) == value


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("integer", "一百"),
        ("integer", "1_000"),
        ("integer", "1,2"),
        ("integer", "1.0"),
        ("integer", True),
        ("integer", Decimal("1.5")),
        ("money", "12.50"),
        ("money", "1.005元"),
        ("coordinate", "200.5"),
        ("coordinate", "NaN.0"),
        ("boolean", "maybe"),
        ("date", "2026-02-30"),
        ("date", "21.11.2026"),
        ("datetime", "2026-11-21"),
        ("datetime", "2026-02-30 10:00"),
        ("datetime", "0001-01-01T00:00:00+00:00"),
        ("list", "[1,"),
        ("list", [Decimal("1.5")]),
        ("text", "a\x00b"),
        ("text", 5),
        ("text", "x" * 201),
    ],
)
def test_a_cell_that_is_no_value_names_its_column(kind: str, cell: Any) -> None:
    """The error says which column and never is a foreign exception."""
    with pytest.raises(InputError) as caught:
        convert(Column("c", "栏", kind), cell)
    assert "栏" in caught.value.zh
    assert "column c" in caught.value.en


def test_a_label_stands_for_its_code() -> None:
    """People write labels, programs codes; both are taken."""
    column = Column("c", "栏", "code", CHOICES)
    assert [convert(column, cell) for cell in ("甲", "b")] == ["a", "b"]
    with pytest.raises(InputError, match="one of"):
        convert(column, "丙")
    numbers = Column("n", "级", "integer", (Choice("0", "一般"), Choice("1", "紧急")))
    assert convert(numbers, "紧急") == 1


@given(st.text(max_size=40), st.sampled_from("text integer money coordinate boolean date datetime code list".split()))
def test_no_text_breaks_the_reader(cell: str, kind: str) -> None:
    """Whatever is in a cell: a value that fits the column, or an InputError."""
    column = Column("c", "栏", kind, CHOICES if kind == "code" else ())
    try:
        value = convert(column, cell)
    except InputError:
        return
    column.check(value)


@given(st.datetimes(min_value=__import__("datetime").datetime(1001, 1, 1), timezones=st.timezones()))
def test_the_instant_stays_the_same(moment: Any) -> None:
    """A time in any zone names the same instant in +08:00."""
    if moment.year >= 2999:
        return
    text = moment.replace(microsecond=0).isoformat()
    if moment.utcoffset().total_seconds() % 60:
        return  # offsets before standard time; ISO 8601 cannot write them
    found = instant(text)
    assert found.endswith("+08:00")
    assert type(moment).fromisoformat(found) == type(moment).fromisoformat(text)


def test_microdegrees_are_rounded_and_not_cut() -> None:
    """The nearest microdegree is taken."""
    assert microdegrees(Decimal("41.886871285929104")) == 41886871
    assert microdegrees(Decimal("-0.0000006")) == -1
