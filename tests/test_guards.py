"""The list of cases, its page and the list of mutations fit the code; `make guards` and `make mutations` prove them."""

import re

import pytest

from tests.breaking import FAILED, ROOT, Break, StaleError, copy_of_the_tree, run_tests, stale
from tests.guards import PAGE, cases, groups, guards, page
from tests.properties.mutations import mutations

# DESIGN section 11, in its words, and what came to it -> a word that a case of each must hold
DESIGN = {
    "kill": "强制结束",
    "power loss": "断电",
    "twice": "两次",
    "out of order": "不按顺序",
    "cut": "中断",
    "1970": "1970",
    "cloned": "被复制",
    "restored": "备份恢复",
    "restored centre": "中心的数据库从昨晚的备份恢复",
    "forged": "伪造",
    "replayed": "重放",
    "truncated": "截短",
    "oversized": "过大",
    "duplicate-keyed": "成员名重复",
    "hostile": "恶意的消息",
    "future dots": "将来的写入",
    "other paths": "另一项",
    "other areas": "别的区域的记录",
    "stolen": "被盗",
    "transform": "transform",
    "DROP TABLE": "DROP TABLE",
    "INSERT OR REPLACE": "INSERT OR REPLACE",
    "key updates": "主键",
    "bad UTF-8": "UTF-8",
    "rewrites": "改写",
    "withholds": "没有公开",
    "reorders": "调换",
    "two histories": "两本不同的日志",
    "mirror": "镜像",
    "disk full": "存储空间已满",
    "erased": "按规定删除",
    "late write": "旧写入",
    "withheld": "不予公开",
    "wrong PIN": "PIN 输错",
    "two persons": "同一个人签两次",
    "lost entries": "哪里也找不到",
    "closed log": "日志由根密钥结束",
    "old charter": "旧章程",
    "two at once": "同时同步",
    "renamed table": "表被改名",
    "back-pressure": "太忙",
    "unit": "派给一个单位",
    "no line": "没有网络的终端要重新登记",
}


def test_every_case_of_the_design_is_there() -> None:
    """And none twice."""
    texts = [each["case"] for each in cases()]
    assert len(texts) == len(set(texts)) > 150
    assert not [case for case, word in DESIGN.items() if not any(word in text for text in texts)]
    assert len({group["group"] for group in groups()}) == len(groups())


def test_every_named_test_exists() -> None:
    """A renamed test takes its case along."""
    for each in cases():
        file, _, name = each["test"].partition("[")[0].partition("::")
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", source, flags=re.MULTILINE), each["test"]
    for one in mutations():
        assert all((ROOT / test).exists() for test in one.tests), one.name


def test_every_guard_and_every_mutation_can_still_be_made() -> None:
    """Its line stands where the list says, once, and the broken file is still Python."""
    breaks = [*guards(), *(each.behind for each in guards() if each.behind), *mutations()]
    assert stale(breaks) == []
    for each in breaks:
        compile(each.text(), each.file, "exec")


def test_there_are_enough_mutations() -> None:
    """Five or more of merge, verdicts and redaction."""
    found = [one.name.split(":")[0] for one in mutations()]
    assert all(found.count(group) >= 5 for group in ("merge", "verdicts", "redaction"))


def test_the_page_is_that_of_the_list() -> None:
    """Write it anew with `python -m tests.guards --page`."""
    assert PAGE.read_text(encoding="utf-8") == page()
    assert "](verify.md#limits)" in page()


@pytest.mark.parametrize("text", ["同步之前删掉末尾的记录", "登记人造出假终端", "中心和终端串通"])
def test_what_cannot_be_caught_is_said(text: str) -> None:
    """On the page about verifying, under the heading that the table links to."""
    limits = (PAGE.parent / "verify.md").read_text(encoding="utf-8").partition("{#limits}")[2]
    assert text in limits


def test_a_stale_line_is_said() -> None:
    """A break whose line is gone, or stands there twice, is an error and no success."""
    for line in ("no such line", "import"):
        with pytest.raises(StaleError):
            Break("x", "syncgov/core/merge.py", line, "pass", ()).text()


def test_a_broken_copy_fails_and_the_tree_does_not() -> None:
    """The copy is what the tests import, and nothing outside it changes."""
    one = next(each for each in mutations() if each.name == "merge: nothing is replaced")
    before = (ROOT / one.file).read_bytes()
    tests = ["tests/properties/test_fold_vectors.py"]
    with copy_of_the_tree() as folder:
        assert run_tests(folder, tests)[0] == 0
        one.apply(folder)
        assert run_tests(folder, tests)[0] == FAILED
    assert (ROOT / one.file).read_bytes() == before
