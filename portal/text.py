"""From untrusted text to page text: the one escape function, and how dates, money and numbers are written.

`esc` is the only door from data to a page: its result is harmless in Markdown, in HTML and inside a quoted attribute.
"""

import re
import unicodedata
from datetime import datetime
from decimal import Decimal

TITLE_LIMIT = 80  # characters; longer ones would fill a phone's screen
CELL_LIMIT = 120  # characters of one value in a list; the row's own page shows all of it
GROUPED_FROM = 10_000  # smaller numbers are written without a comma, so that years stay years

NOTHING = "—"
WITHHELD = "不予公开"
ERASED = "已删除"

_JOINER = "\u200d"  # keeps compound emoji together
_BREAKS = re.compile("\r\n|[\r\n\u0085\u2028\u2029]")
# Wherever it stands, such a character could open Markdown or HTML.
_ACTIVE = {ord(sign): f"&#{ord(sign)};" for sign in "&<>\"'*_`[]{}|\\#~^=!$"}
# These do so only at the start of a block.
_AT_START = re.compile(r"^([-+:]|\d+(?=[.)](?:\s|$)))")
_IN_TITLES = str.maketrans('<>&"', "＜＞＆＂")


def clean(text: str) -> str:
    """Return *text* without control, bidirectional and non-characters; line ends become LF and tabs spaces."""
    text = _BREAKS.sub("\n", text).replace("\t", " ")
    return "".join(sign for sign in text if sign in ("\n", _JOINER) or _harmless(sign))


def _harmless(sign: str) -> bool:
    """Tell whether *sign* is one that a reader sees; private-use characters are rare surnames and stay."""
    point = ord(sign)
    if unicodedata.category(sign) in ("Cc", "Cf", "Cs"):
        return False
    return not (0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE)


def esc(text: str, line: bool = True) -> str:
    """Return untrusted *text* so that it can only be read, never act, in Markdown, HTML or an attribute.

    Args:
        line: write it on one line; else line ends become `<br>` (not for attributes).
    """
    lines = [part.strip() for part in clean(text).split("\n")]
    safe = [_AT_START.sub(_numeric, part.translate(_ACTIVE)) for part in lines]
    if line:
        return " ".join(part for part in safe if part)
    return "<br>".join(safe).strip()


def attribute(text: str) -> str:
    """Return `esc(text)` for a quoted attribute, where names and addresses keep their `_` and `=` readable."""
    return esc(text).replace("&#95;", "_").replace("&#61;", "=")


def _numeric(match: re.Match[str]) -> str:
    return "".join(f"&#{ord(sign)};" for sign in match.group())


def shorten(text: str, limit: int = CELL_LIMIT) -> str:
    """Return *text* on one line of at most *limit* characters."""
    text = " ".join(clean(text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def plain_title(text: str) -> str:
    """Return *text* for places where the theme does not escape: page titles, menus, the site's name."""
    return shorten(text, TITLE_LIMIT).translate(_IN_TITLES) or NOTHING


def period(code: str) -> str:
    """Return the words for a period's code: `2026-Q3`, `2026-11`; any other text as it is, none as “长期”."""
    if re.fullmatch(r"\d{4}-Q[1-4]", code):
        return f"{code[:4]}年第{'一二三四'[int(code[-1]) - 1]}季度"
    return month(code) if re.fullmatch(r"\d{4}-\d\d", code) else code or "长期"


def number(value: int) -> str:
    """Return *value* with commas once it is long enough to need them."""
    return f"{value:,}" if abs(value) >= GROUPED_FROM else str(value)


def money(fen: int) -> str:
    """Return an amount of 分 in 元, to the 分 where there is one."""
    yuan = Decimal(fen) / 100
    return f"{yuan:,.0f}元" if fen % 100 == 0 else f"{yuan:,.2f}元"


def coordinate(microdegrees: int) -> str:
    """Return microdegrees as degrees with six decimals, exactly."""
    return f"{Decimal(microdegrees) / 1_000_000:.6f}°"


def day(text: str, prose: bool = False) -> str:
    """Return the ISO date at the start of *text*: 2026-11-21 in tables, 2026年11月21日 in prose."""
    moment = _moment(text)
    if moment is None:
        return text
    return f"{moment.year}年{moment.month}月{moment.day}日" if prose else moment.date().isoformat()


def minute(text: str, prose: bool = False) -> str:
    """Return an ISO date and time (stored as +08:00) to the minute."""
    moment = _moment(text)
    return text if moment is None else f"{day(text, prose)} {moment:%H:%M}"


def month(text: str) -> str:
    """Return `2026-09` as 2026年9月."""
    match = re.fullmatch(r"(\d{4})-(\d{2})", text)
    return f"{match[1]}年{int(match[2])}月" if match else text


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
