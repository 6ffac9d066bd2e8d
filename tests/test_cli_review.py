"""The review desk as its person types it: list, approve, word anew."""

import shutil
from pathlib import Path

import pytest

from tests.helpers import served
from tests.test_cli import AREA, CHINESE, GRID, answer, code, good, new_centre, run, write_sql

COMMUNITY = GRID[:12]
DISCLOSURE = (
    "INSERT INTO disclosure(community, catalog, kind, title, body, published_on) "
    f"VALUES ('{GRID}', '05', 'caiwu', '%s', '%s', '2026-11-20')"
)
CARELESS = "收款人电话164-0000-0001，车牌甘ZA0001。"
MISTAKEN = "请查1-12-2026期简报。"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A centre where a publisher wrote a careless text, one that only looks so, and a good one."""
    folder = tmp_path_factory.mktemp("desk")
    centre = new_centre(folder)
    with served(centre) as url:
        good("join", folder / "p.db", "--url", url, "--code", code(centre, "publisher", "P001"))
        texts = (("经费收支", CARELESS), ("简报", MISTAKEN), ("路灯", "已换灯泡。"))
        for text in texts:  # one by one: rows of one commit stand in the log in the order of their random keys
            write_sql(folder / "p.db", DISCLOSURE % text)
            good("sync", folder / "p.db", "--staff", "P001")
    return centre


@pytest.fixture
def centre(finished: Path, tmp_path: Path) -> Path:
    """A copy to decide in."""
    return Path(shutil.copytree(finished, tmp_path / "centre"))


def test_the_list_says_what_who_and_where_and_what_to_type(centre: Path) -> None:
    """In Chinese words, with marks; the last line names the first id."""
    text = run("review", centre, env=CHINESE).output
    assert "待审核 2 处" in text
    assert "命中：手机号 164-0000-0001、车牌号 甘ZA0001" in text
    assert "收款人电话【164-0000-0001】，车牌【甘ZA0001】。" in text
    assert "公开记录“经费收支”  内容  [下次公开时不予公开]" in text
    assert "公开审核员  人员 P001  终端 " in text
    first = answer("review", centre)["waiting"][0]
    assert f"--set {first['id']} '新文字' --staff 编号" in text
    assert [m["label"] for m in first["matches"]] == ["mobile phone", "number plate"]
    assert (first["table"], first["text"], first["by"], first["community"]) == (
        "disclosure",
        CARELESS,
        "P001",
        COMMUNITY,
    )


def test_the_list_is_narrowed_and_stable(centre: Path) -> None:
    """Other communities and registers have nothing; publishing changes states, not ids."""
    before = answer("review", centre)["waiting"]
    assert answer("review", centre, "--community", AREA, "--register", "公开记录")["waiting"] == before
    assert answer("review", centre, "--community", f"{AREA}009")["waiting"] == []
    assert "没有待审核的文字" in run("review", centre, "--register", "event", env=CHINESE).output
    assert run("review", centre, "--register", "nothing").exit_code == 65
    good("review", centre, "--approve", before[1]["id"], "--staff", "P001")
    assert answer("review", centre)["waiting"] == before[:1]


def test_texts_are_approved_and_worded_anew(centre: Path) -> None:
    """One command for both; afterwards nothing waits."""
    careless, mistaken = (item["id"] for item in answer("review", centre)["waiting"])
    done = answer(
        "review", centre, "--set", careless, "收款人已签收。", "--approve", mistaken, "--staff", "P001"
    )  # fmt: skip
    assert (done["approved"], done["replaced"][0][0]) == ([mistaken], careless)
    assert answer("review", centre)["waiting"] == []
    assert run("review", centre, "--approve", mistaken, "--staff", "P001").exit_code == 65


def test_a_new_text_with_a_hit_is_65_unless_sure(centre: Path) -> None:
    """It says what is left in the text."""
    careless = answer("review", centre)["waiting"][0]["id"]
    refused = run("review", centre, "--set", careless, "电话164-0000-0001", "--staff", "P001", env=CHINESE)
    assert refused.exit_code == 65
    assert "手机号 164-0000-0001" in refused.stderr
    assert "--sure" in refused.stderr
    good("review", centre, "--set", careless, "电话164-0000-0001", "--sure", "--staff", "P001")
    assert len(answer("review", centre)["waiting"]) == 1


@pytest.mark.parametrize(
    "words", [("--approve", "1.0"), ("--set", "1.0", "x"), ("--approve", "1.0", "--staff", "P", "--register", "event")]
)
def test_who_decides_is_named_and_what_is_decided_is_not_a_filter(centre: Path, words: tuple[str, ...]) -> None:
    """Usage: 2."""
    assert run("review", centre, *words).exit_code == 2


def test_where_there_is_no_centre(tmp_path: Path) -> None:
    """74, as for the other commands of a centre."""
    assert run("review", tmp_path).exit_code == 74
