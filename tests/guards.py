"""Every case that the system withstands, its test, and the one line without which that test fails.

usage: python -m tests.guards           take each guard away and demand that its test fails
       python -m tests.guards WORD…     only cases with one of these words
       python -m tests.guards --page    write the page of the docs site
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.breaking import ROOT, Break, report

FILE = Path(__file__).with_name("cases.yml")
PAGE = ROOT / "portal" / "content" / "withstand.md"
HEAD = """\
---
title: 经得起什么
---

# 经得起什么

外面的事什么都会发生：断电、断网、时钟不对、终端被复制或被盗、有人造假、中心或镜像说谎。下表逐项写明会怎样、用户看到什么、由哪个测试保证。
凡是得到中心答复的内容，除非按规定清除或删除，都不会丢。

每一项都有一道防线，就在程序的某一行里。`make guards` 把这些防线逐条拆掉，证明相应的测试随即失败；本页由同一份清单生成。

查不出来的情形（同步之前删掉末尾的记录、登记人造出假终端、中心和终端串通等）见[证明不了什么](verify.md#limits)。

Each case that the system withstands, what people see, and the test; `make guards` removes the guard of each and shows
that its test then fails. What cannot be caught is named on the page about verifying.
"""


def groups() -> list[Mapping[str, Any]]:
    """Return the groups of cases as the file has them."""
    found: list[Mapping[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def cases() -> Iterator[Mapping[str, Any]]:
    """Yield every case."""
    for group in groups():
        yield from group["cases"]


def guards(words: Sequence[str] = ()) -> list[Break]:
    """Return the guards to take away, of the cases that hold one of *words*, if there are any."""
    chosen = (c for c in cases() if not words or any(word in c["case"] + c["test"] for word in words))
    return [_guard(each, each) for each in chosen]


def _guard(case: Mapping[str, Any], line: Mapping[str, Any]) -> Break:
    behind = _guard(case, line["behind"]) if "behind" in line else None
    tests, after = (case["test"],), line.get("after", "")
    return Break(case["case"], line["file"], line["line"], line["becomes"], tests, after, behind)


def page() -> str:
    """Return the text of the docs page."""
    parts = [HEAD]
    for group in groups():
        lines = [f"## {group['group']}", "", "| 情形 | 使用者看到什么 | 测试 |", "|---|---|---|"]
        for each in group["cases"]:
            file, _, name = each["test"].partition("::")
            lines.append(f"| {each['case']} | {each['sees']} | `{file.removeprefix('tests/')}` `{name}` |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    if sys.argv[1:] == ["--page"]:
        PAGE.write_text(page(), encoding="utf-8")
        sys.exit(0)
    sys.exit(report(guards(sys.argv[1:])))
