"""The one escape function, and how dates, money and numbers are written."""

import html
from html.parser import HTMLParser

import markdown  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import text
from tests.portal.public_db import HOSTILE

EXTENSIONS = ["admonition", "attr_list", "def_list", "tables", "toc"]


class _Tags(HTMLParser):
    """Collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.words += data


def rendered(source: str) -> _Tags:
    """Return what a browser sees of Markdown."""
    parser = _Tags()
    parser.feed(markdown.markdown(source, extensions=EXTENSIONS))
    parser.close()
    return parser


def one_line(value: str) -> str:
    """Return *value* as `esc` is meant to show it."""
    return " ".join(part.strip() for part in text.clean(value).split("\n") if part.strip())


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_is_only_read(value: str) -> None:
    """No hostile row makes a tag, a link, a list or a table."""
    seen = rendered(f"{text.esc(value)}\n")
    assert [tag for tag, _ in seen.tags] == ["p"]
    assert seen.words.strip().split() == one_line(value).split()


@given(st.text())
def test_any_text_is_only_read(value: str) -> None:
    """No text at all makes a tag, also inside inline HTML and in an attribute."""
    seen = rendered(f'<span title="{text.attribute(value)}">{text.esc(value)}</span>\n')
    assert [tag for tag, _ in seen.tags] == ["p", "span"]
    assert dict(seen.tags[1][1])["title"] == html.unescape(html.escape(one_line(value)))
    assert seen.words.split() == one_line(value).split()


@given(st.text())
def test_any_text_is_only_read_in_a_heading_or_list(value: str) -> None:
    """A heading stays one heading and a list item one item."""
    assert [tag for tag, _ in rendered(f"# {text.esc(value)}\n").tags] == ["h1"]
    assert [tag for tag, _ in rendered(f"- x{text.esc(value)}\n").tags] == ["ul", "li"]


def test_lines_are_kept_on_request() -> None:
    """Line ends become line breaks."""
    assert text.esc("一\r\n二\u2028三", line=False) == "一<br>二<br>三"


def test_invisible_signs_go_and_rare_characters_stay() -> None:
    """Bidirectional marks and control characters vanish; surnames beyond the BMP and joined emoji do not."""
    assert text.clean("a\u202eb\u2066c\x07\x00\u200b\ufeff\ufffe") == "abc"
    assert text.clean("𠮷𪚥\ue000 👨‍👩") == "𠮷𪚥\ue000 👨‍👩"


def test_titles_cannot_close_a_tag() -> None:
    """The theme does not escape titles; what would act there becomes full-width."""
    assert text.plain_title("</title><script>&") == "＜/title＞＜script＞＆"
    assert text.plain_title("\u202e") == "—"
    assert len(text.plain_title("长" * 999)) == text.TITLE_LIMIT


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (text.number(2026), "2026"),
        (text.number(88_415), "88,415"),
        (text.money(123_456), "1,234.56元"),
        (text.money(-500), "-5元"),
        (text.coordinate(34_570_000), "34.570000°"),
        (text.coordinate(-1), "-0.000001°"),
        (text.day("2026-11-21"), "2026-11-21"),
        (text.day("2026-11-21", prose=True), "2026年11月21日"),
        (text.day("不是日期"), "不是日期"),
        (text.minute("2026-11-21T14:05:59+08:00"), "2026-11-21 14:05"),
        (text.minute("2026-11-21T14:05:59+08:00", prose=True), "2026年11月21日 14:05"),
        (text.month("2026-09"), "2026年9月"),
        (text.month("九月"), "九月"),
    ],
)
def test_numbers_and_dates(got: str, expected: str) -> None:
    """Formats of the domain's section on formats."""
    assert got == expected
