"""An edition of a register takes nothing back: by the rule, at the centre, by verdict, on the command line."""

from pathlib import Path

import pytest

from syncgov.centre import registrar
from syncgov.core.register import RegisterError, parse_register
from syncgov.core.register_edition import check_edition
from syncgov.errors import InputError
from tests.helpers import World, a_task, insert
from tests.registers import CONTACT, NOTICE, TASK, TEXTS
from tests.test_cli import run

PRESENT = parse_register(TASK, "task.yml")

REFUSED = {
    "a code": ("c: 丙}", "}", "代码 c 不能删去"),
    "a state": ("dup: 重复, bad: 不合格", "bad: 不合格", "代码 dup"),
    "a type": ("days: {label: 天数, type: integer", "days: {label: 天数, type: money", "由 integer 改为 money"),
    "a field": ("  done: {label: 完成, type: boolean, class: internal}\n", "", "“done”不能删去"),
    "a column of a group": ("      due: {label: 期限, type: date}\n", "", "“due”不能删去"),
    "a length": ("max_length: 40", "max_length: 39", "不能由 40 改小"),
    "a number to choices": (
        "days: {label: 天数, type: integer, class: public, merge: min}",
        "days: {label: 天数, type: integer, class: public, merge: min, choices: {1: 一天}}",
        "只能选代码",
    ),
    "the area": ("area: place\nowner: owner\n", "", "area 不能改变"),
    "a group": (
        "  done: {label: 完成, type: boolean, class: internal}",
        "  done: {label: 完成, class: internal, group: {yes1: {label: 一, type: boolean},"
        " no1: {label: 二, type: boolean}}}",
        "组与单栏",
    ),
}

ALLOWED = {
    "a new code": ("c: 丙}", "c: 丙, d: 丁}"),
    "a longer text": ("max_length: 40", "max_length: 60"),
    "a label": ("label: 天数", "label: 日数"),
    "a class": (
        "days: {label: 天数, type: integer, class: public",
        "days: {label: 天数, type: integer, class: internal",
    ),
    "another rule": ("merge: min", "merge: max"),
    "a new field": ("  done: {", "  note: {label: 备注, type: text, class: internal}\n  done: {"),
    "a smallest number": (
        "days: {label: 天数, type: integer, class: public, merge: min}",
        "days: {label: 天数, type: integer, class: public, merge: min, min: 1}",
    ),
}


def edited(old: str, new: str) -> str:
    """Return the text of the tasks' register with one thing changed."""
    assert old in TASK
    return TASK.replace(old, new, 1)


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_edition_may_not_take_back(case: str) -> None:
    """Whatever rows may hold must still fit; the message has file, line and remedy."""
    old, new, words = REFUSED[case]
    text = edited(old, new)
    if case == "a column of a group":
        text = text.replace(", guards: [due]", "")
    with pytest.raises(RegisterError) as caught:
        check_edition(PRESENT, parse_register(text, "task.yml"))
    assert words in caught.value.zh
    assert caught.value.zh.startswith("task.yml 第 ")
    lines = text.splitlines()
    assert 1 <= caught.value.line <= len(lines)


def test_the_line_is_that_of_the_field() -> None:
    """The place in the new file where it went wrong."""
    text = edited("days: {label: 天数, type: integer", "days: {label: 天数, type: money")
    with pytest.raises(RegisterError) as caught:
        check_edition(PRESENT, parse_register(text, "task.yml"))
    assert "days" in text.splitlines()[caught.value.line - 1]


def test_a_key_and_a_parent_stay() -> None:
    """Rows keep their keys, and a child register does not change whose children its rows are."""
    with pytest.raises(RegisterError, match="'key' cannot change"):
        check_edition(
            parse_register(NOTICE, "notice.yml"), parse_register(NOTICE.replace("natural", "uuid"), "notice.yml")
        )
    text = CONTACT.replace("parent: task_id\n", "area: name\n").replace(
        "type: text, class: private}\n  phone", "type: text, class: private, required: true}\n  phone"
    )
    with pytest.raises(RegisterError, match="'area' cannot change"):
        check_edition(parse_register(CONTACT, "contact.yml"), parse_register(text, "contact.yml"))


@pytest.mark.parametrize("case", ALLOWED)
def test_what_an_edition_may_change(case: str) -> None:
    """More of everything, and what rows are not made of."""
    check_edition(PRESENT, parse_register(edited(*ALLOWED[case]), "task.yml"))


def test_the_same_text_is_an_edition() -> None:
    """Nothing is taken back by changing nothing."""
    check_edition(PRESENT, PRESENT)


def test_the_centre_says_why(tmp_path: Path) -> None:
    """Loading such an edition is refused in words, and changes nothing."""
    with World.make(tmp_path) as world:
        size = world.centre.ledger.size
        with pytest.raises(RegisterError, match="codes c"):
            world.centre.write("register", [("task", {"text": edited("c: 丙}", "}")})])
        assert world.centre.ledger.size == size


def test_the_verdict_refuses_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registrar's program that does not ask is refused by verdict; also after the register was deleted meanwhile."""
    monkeypatch.setattr(registrar, "_check_edition", lambda *_args: None)
    with World.make(tmp_path) as world:
        insert(world.device("east"), "task", a_task(kind="c"))
        bad, good = edited("c: 丙}", "}"), edited("c: 丙}", "c: 丙, d: 丁}")
        with pytest.raises(InputError, match="refused:value"):
            world.centre.write("register", [("task", {"text": bad})])
        world.centre.write("register", [("task", None)])
        with pytest.raises(InputError, match="refused:value"):
            world.centre.write("register", [("task", {"text": bad})])
        world.centre.write("register", [("task", {"text": good})])


def test_a_file_is_checked_against_a_centre(tmp_path: Path) -> None:
    """`register check --centre` says it before anybody signs."""
    with World.make(tmp_path / "world"):
        pass
    place = tmp_path / "world" / "centre"
    for name, text, status in (("task", edited("c: 丙}", "}"), 65), ("task", edited("c: 丙}", "c: 丙, d: 丁}"), 0)):
        folder = tmp_path / str(status)
        folder.mkdir()
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")
        for other in ("notice", "contact", "payment"):
            (folder / f"{other}.yml").write_text(TEXTS[other], encoding="utf-8")
        assert run("register", "check", folder / f"{name}.yml").exit_code == 0
        done = run("register", "check", folder / f"{name}.yml", "--centre", place)
        assert done.exit_code == status, done.output
        assert ("codes c" in done.output) == (status != 0)
