"""Figures of a register are run before a centre takes it: over the published tables, all of them empty."""

import pytest

from syncgov.core.register import Register, parse_register
from syncgov.errors import RegisterError
from syncgov.storage.figures import check_figures, check_registers
from syncgov.storage.files import builtin_folder, read_registers, system_registers

BENCH = """\
register: bench
version: 1
label: Bench
key: uuid
skeleton: {}
write: [owner]
read: {public: ['*'], internal: [owner]}
fields:
  place: {label: Place, type: text, class: public}
  seats: {label: Seats, type: integer, class: public}
  keeper: {label: Keeper, type: text, class: internal}
figures:
  - {id: benches, label: Benches, kind: count, n: select count(*) from bench}
  - id: asked
    label: Asked
    kind: KIND
    n: "SQL"
"""
DIARY = """\
register: diary
version: 1
label: Diary
key: uuid
skeleton: none
write: [owner]
read: {internal: [owner]}
fields:
  words: {label: Words, type: text, class: internal}
"""


def small_set(sql: str, kind: str = "count") -> list[Register]:
    """Return a public and a secret register; the public one asks *sql*."""
    bench = parse_register(BENCH.replace("SQL", sql).replace("KIND", kind), "folder/bench.yml")
    return [*system_registers(), bench, parse_register(DIARY, "folder/diary.yml")]


def test_the_shipped_registers_pass() -> None:
    """Every figure that ships gives a value over empty tables."""
    registers = [*system_registers(), *read_registers(builtin_folder())]
    assert sum(len(each.figures) for each in registers) > 10
    check_registers(registers)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(seats) FROM bench",
        "SELECT count(*) FROM bench WHERE place LIKE 'a%' AND _created < '2026'",
        "SELECT count(*) FROM (SELECT DISTINCT place FROM bench)",
        "SELECT count(*) FROM leaf WHERE verdict = 'accepted'",
        "SELECT count(*) FROM conflict, withheld",
    ],
)
def test_what_can_be_repeated_passes(sql: str) -> None:
    """Any question about published tables that gives a whole number."""
    check_figures(small_set(sql))


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT nonsense FROM nowhere", "no such table: nowhere). Known: bench,"),
        ("SELECT count(*) FROM bensh", "no such table: bensh). Did you mean 'bench'?"),
        ("SELECT count(*) FROM diary", "no such table: diary"),
        ("SELECT count(keeper) FROM bench", "no such column: keeper"),
        ("SELECT place FROM bench", "must give one row"),
        ("SELECT 1 UNION SELECT 2", "must give one row"),
        ("SELECT count(*), 1 FROM bench", "must give one column"),
        ("SELECT 'many'", "must give a whole number"),
        ("SELECT 1.5", "must give a whole number"),
        ("SELECT x'00'", "must give a whole number"),
        ("SELECT random()", "function: random"),
        ("SELECT length(randomblob(9))", "function: randomblob"),
        ("SELECT hex(zeroblob(200000000))", "not authorized to use function"),
        ("SELECT date('now')", "function: date"),
        ("SELECT current_timestamp", "function: current_timestamp"),
        ("SELECT count(*) FROM sqlite_master", "not authorized"),
        ("SELECT count(*) FROM pragma_table_info('bench')", "not authorized"),
        ("SELECT (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c)", "not auth"),
        ("SELECT ?", "does not run"),
        ("SELECT )", "syntax error"),
    ],
)
def test_what_cannot_be_a_figure_is_refused_with_its_line(sql: str, says: str) -> None:
    """What is not published, what differs from day to day, what gives no single number."""
    with pytest.raises(RegisterError) as caught:
        check_figures(small_set(sql))
    assert caught.value.en.startswith("folder/bench.yml:17: figure asked: ")
    assert says in caught.value.en
    assert caught.value.zh.startswith("folder/bench.yml 第 17 行：指标 asked：")


def test_a_question_that_takes_too_long_is_stopped() -> None:
    """A hundred thousand steps are more than empty tables need."""
    ones = "(" + " UNION ALL ".join(["SELECT 1"] * 20) + ")"
    with pytest.raises(RegisterError, match="interrupted"):
        check_figures(small_set(f"SELECT count(*) FROM {', '.join([ones] * 6)}"))


def test_a_text_may_be_words() -> None:
    """Only its kind makes the difference."""
    check_figures(small_set("SELECT max(place) FROM bench", "text"))
    check_figures(small_set("SELECT 'many'", "text"))


def test_a_register_that_is_not_published_has_no_figures() -> None:
    """Its rows are not in the published file."""
    text = DIARY + "figures:\n  - {id: days, label: Days, kind: count, n: SELECT 1}\n"
    with pytest.raises(RegisterError, match=r"diary\.yml:11: figure days: a register that is not published"):
        check_figures([*system_registers(), parse_register(text, "diary.yml")])
