"""How good the detectors are: measured on labelled sentences, and told on the page as it is."""

import re

import pytest

from syncgov.publish.detectors import DETECTORS, LABELS, find_matches, find_sensitive
from tests.publish.measure import WHOLE, find, measure, measured, on_page, read_labelled, whole

SENTENCES = read_labelled()
FAIR = [sentence for sentence in SENTENCES if sentence.part != "hard"]
UNUSED = [f"1{prefix}" for prefix in (54, 60, 61, 63, 64, 68, 69)]  # prefixes of no operator


def test_the_set_is_large_and_half_of_it_harmless() -> None:
    """At least 400 different sentences, no detector without examples."""
    harmless = [sentence for sentence in SENTENCES if not sentence.expected]
    assert len({sentence.text for sentence in SENTENCES}) == len(SENTENCES) >= 400
    assert 0.4 < len(harmless) / len(SENTENCES) < 0.6
    assert {name for sentence in SENTENCES for name in sentence.expected} == set(LABELS) == {*DETECTORS, "known"}
    assert {sentence.part for sentence in SENTENCES} == {"tune", "check", "hard"}


def test_no_number_in_the_set_can_be_real() -> None:
    """Mobile phones of unused prefixes, identity numbers of no region."""
    for sentence in SENTENCES:
        for match in find_matches(sentence.text):
            digits = re.sub(r"\D", "", match.text).removeprefix("86")
            if match.detector == "mobile":
                assert digits[:3] in UNUSED, sentence.text
            if match.detector in ("id18", "id15"):
                assert digits.startswith("99"), sentence.text
            if match.detector == "landline" and len(digits) > 10:
                assert digits[3:5].startswith("0") or digits[4] == "0" or digits == "062001900111", sentence.text


def test_precision_and_recall_do_not_fall() -> None:
    """98% of what should be stopped is, 97% of what is stopped should be; each detector alone: 95% and 90%."""
    scores = {score.name: score for score in measure(FAIR)}
    assert scores[WHOLE].recall >= 0.98
    assert scores[WHOLE].precision >= 0.97
    assert all(score.recall >= 0.95 and score.precision >= 0.9 for score in scores.values())


def test_what_is_written_to_get_past_is_counted_too() -> None:
    """With the hard sentences: 94% and 97%."""
    score = whole(SENTENCES)
    assert score.recall >= 0.94
    assert score.precision >= 0.97


def test_the_page_says_what_is_measured() -> None:
    """Table and mistakes on the page; `python -m tests.publish.measure --write` brings it up to date."""
    assert on_page() == measured(SENTENCES)


def test_a_worse_detector_lowers_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement notices a detector that finds nothing, and one that finds everything."""
    before = whole(FAIR)
    monkeypatch.setitem(DETECTORS, "address", lambda text: iter(()))
    assert whole(FAIR).recall < before.recall - 0.05
    monkeypatch.setitem(DETECTORS, "address", lambda text: iter([(0, 1)]))
    assert whole(FAIR).precision < 0.6


def test_declared_numbers_are_no_hits() -> None:
    """A work phone in any spelling, without its area code too; another number beside it is."""
    declared = ["0938-0000201", "16400000009", "shequ@example.cn", "620502001001001"]
    for text in (
        "（0938）0000201",
        "0938 0000201",
        "电话：0000201",
        "164-0000-0009",
        "SHEQU@example.cn",
        "620502001001001",
    ):
        assert find_sensitive(f"详询{text}。"), text
        assert find_sensitive(f"详询{text}。", (), declared) == (), text
    assert find_sensitive("电话0938-0000201，他家0938-0000202", (), declared) == ("landline",)
    assert find_sensitive("电话0938-0000201", (), ["0931-0000201"]) == ("landline",)


def test_a_contact_is_found_however_it_is_written() -> None:
    """Spaces in a name, separators in a number, full width."""
    for text, known in (
        ("张 守 信同意", "张守信"),
        ("打１６４ 0000-0001", "16400000001"),
        ("0938 0000 001", "0938-0000001"),
    ):
        assert "known" in find_sensitive(text, [known]), text
    assert "known" not in find_sensitive("共 1234 567 元", ["12345"])


def test_a_match_says_what_and_where() -> None:
    """Offsets are those of the text itself, in its order; the part is shown plain."""
    text = "㈠\u200b请打１６４００００\u200b００１２，甘ZA0001"
    first, second = find_matches(text)
    assert (first.detector, first.text, second.detector, second.text) == ("mobile", "16400000012", "plate", "甘ZA0001")
    assert text[first.start : first.end] == "１６４００００\u200b００１２"
    assert text[second.start : second.end] == "甘ZA0001"


@pytest.mark.parametrize(
    "text", ["", "一" * 10_000, "1" * 10_000, "患" * 5_000, "学生" * 5_000, "1-" * 5_000, "张某、" * 4_000]
)
def test_long_texts_are_read_in_time(text: str) -> None:
    """No pattern takes more than linear time on a text made for it."""
    assert isinstance(find(type(SENTENCES[0])(text, frozenset(), (), (), "hard")), frozenset)
