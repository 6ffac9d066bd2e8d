"""Precision and recall of the detectors on `labelled.csv`: `python -m tests.publish.measure [tune|check|hard|--write]`.

The patterns were improved by the mistakes in `tune`; those in `check` were only counted. The sentences of `hard` were
written afterwards, to get past the patterns or to set them off by chance.
"""

import csv
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from syncgov.publish.detectors import LABELS, find_sensitive

LABELLED = Path(__file__).with_name("labelled.csv")
PAGE = Path(__file__).parents[2] / "portal" / "content" / "review.md"
START, END = "<!-- measured: python -m tests.publish.measure --write -->", "<!-- end -->"
WHOLE = "合计（是否有命中）"
ROWS = (("其中没有用来改进的一半", "check"), ("其中特意为难检测的", "hard"))
PARTS = ("tune", "check", "hard")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, and the detectors that should stop at it."""

    text: str
    expected: frozenset[str]
    known: tuple[str, ...]
    official: tuple[str, ...]
    part: str


@dataclass(frozen=True, slots=True)
class Score:
    """How often a detector was right: sentences found rightly, found wrongly, missed."""

    name: str
    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        """The share of its hits that are right; 1 without hits."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """The share of what it should find that it found; 1 if there was nothing."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


def read_labelled() -> list[Sentence]:
    """Return the labelled sentences."""
    with LABELLED.open(encoding="utf-8", newline="") as file:
        return [
            Sentence(
                row["sentence"],
                frozenset(row["expected"].split()),
                tuple(filter(None, row["known"].split("|"))),
                tuple(filter(None, row["official"].split("|"))),
                row["part"],
            )
            for row in csv.DictReader(file)
        ]


def find(sentence: Sentence) -> frozenset[str]:
    """Return what the detectors find in a sentence."""
    return frozenset(find_sensitive(sentence.text, sentence.known, sentence.official))


def measure(sentences: Sequence[Sentence]) -> list[Score]:
    """Return the score of each detector, and of all together: is a sentence stopped that should be?"""
    pairs = [(sentence.expected, find(sentence)) for sentence in sentences]
    scores = [
        _score(label, ((name in expected, name in found) for expected, found in pairs))
        for name, (label, _en) in LABELS.items()
    ]
    return [*scores, _score(WHOLE, ((bool(expected), bool(found)) for expected, found in pairs))]


def whole(sentences: Sequence[Sentence]) -> Score:
    """Return the score of all detectors together."""
    return measure(sentences)[-1]


def _score(name: str, pairs: Iterable[tuple[bool, bool]]) -> Score:
    counted = list(pairs)
    return Score(name, counted.count((True, True)), counted.count((False, True)), counted.count((True, False)))


def table(sentences: Sequence[Sentence]) -> str:
    """Return the table of the page: each detector, then all together, then the parts that nothing was improved by."""
    lines = ["| 检测 | 应命中 | 命中正确 | 误报 | 漏报 | 准确率 | 召回率 |", "|---|---|---|---|---|---|---|"]
    scores = measure(sentences)
    for label, part in ROWS:
        scores.append(replace(whole([each for each in sentences if each.part == part]), name=label))
    for score in scores:
        lines.append(
            f"| {score.name} | {score.right + score.missed} | {score.right} | {score.wrong} | {score.missed} "
            f"| {score.precision:.1%} | {score.recall:.1%} |"
        )
    return "\n".join(lines)


def mistakes(sentences: Sequence[Sentence]) -> str:
    """Return the lists of the page: sentences that should have been stopped, and those that should not."""
    found = [(sentence, find(sentence)) for sentence in sentences]
    missed = [f"- {s.text}（{words(s.expected)}）" for s, names in found if s.expected and not names]
    wrong = [f"- {s.text}（{words(names)}）" for s, names in found if names and not s.expected]
    return "\n".join(["漏报的句子：", "", *missed, "", "误报的句子：", "", *wrong])


def words(names: Collection[str]) -> str:
    """Return detectors in words."""
    return "、".join(label for name, (label, _en) in LABELS.items() if name in names)


def measured(sentences: Sequence[Sentence]) -> str:
    """Return what stands between the marks of the page."""
    good = sum(not sentence.expected for sentence in sentences)
    head = f"{len(sentences)} 个句子，其中 {good} 个没有个人信息。"
    return f"{START}\n{head}\n\n{table(sentences)}\n\n{mistakes(sentences)}\n{END}"


def on_page() -> str:
    """Return what the page has between its marks, marks included."""
    text = PAGE.read_text(encoding="utf-8")
    return text[text.index(START) : text.index(END) + len(END)]


def main(part: str | None) -> None:
    """Print the mistakes of *part*, and the table; with `--write`, bring the page up to date."""
    sentences = read_labelled()
    for sentence in sentences:
        found = find(sentence)
        if sentence.part == part and found != sentence.expected:
            print(f"{sentence.text}\n    应 {sorted(sentence.expected)} 得 {sorted(found)}")
    print(table(sentences))
    if part == "--write":
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(text.replace(on_page(), measured(sentences)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
