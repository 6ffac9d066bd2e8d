"""A month beside the month before and the same month of the year before. Both say of how many cases they are."""

from collections.abc import Mapping, Sequence

from portal import charts, markup, text
from portal.model import Figure, Part

KINDS = ("count", "rate")
_RATE_STEPS = 1000  # tenths of a percent point
FEW = 30  # cases below which a change says little (DOMAIN 5.5)


def comparison(figure: Figure, months: Sequence[Part], today: str) -> str:
    """Return 环比 and 同比 of the newest whole month; empty where there is nothing to compare.

    Args:
        months: the figure's parts by month. today: ISO day; its month is not over.
    """
    known = {part.part: part for part in months if part.part < today[: len("2026-11")]}
    if figure.kind not in KINDS or not known:
        return ""
    newest = known[max(known)]
    pairs = [("环比", _before(newest.part, 1)), ("同比", _before(newest.part, 12))]
    lines = [_line(figure, name, newest, known, month) for name, month in pairs if month in known]
    if not lines:
        return ""
    told = f"最近一个完整的月是{text.month(newest.part)}。环比是与上个月比，同比是与去年同月比；本月还没完，不比。"
    if figure.kind == "rate":
        told += f"比率相差写作百分点；有一期分母不足 {FEW} 的，变化可能只是偶然。"
    table = markup.table(["比较", "本期", "基期", "变化"], lines, "sg-compact")
    return markup.sections("## 同比和环比", text.esc(told), table)


def _line(figure: Figure, name: str, newest: Part, known: Mapping[str, Part], month: str) -> list[str]:
    base = known[month]
    shown = [f"{text.esc(text.month(part.part))}：{charts.part_mark(part)}" for part in (newest, base)]
    return [text.esc(name), *shown, text.esc(change(figure.kind, newest, base))]


def change(kind: str, newest: Part, base: Part) -> str:
    """Return how much more *newest* is than *base*: of a count in percent, of a rate in percent points; — without."""
    if newest.n is None or base.n is None:
        return text.NOTHING
    if kind == "count":
        return _signed(_rounded(1000 * (newest.n - base.n), base.n)) + "%" if base.n else text.NOTHING
    if not newest.d or not base.d:
        return text.NOTHING
    points = _rounded(_RATE_STEPS * (newest.n * base.d - base.n * newest.d), newest.d * base.d)
    few = "（件数少）" if min(newest.d, base.d) < FEW else ""
    return f"{_signed(points)} 个百分点{few}"


def _rounded(n: int, d: int) -> int:
    """Return n / d to the nearest whole number, halves away from zero."""
    size = (2 * abs(n) + d) // (2 * d)
    return -size if n < 0 else size


def _signed(tenths: int) -> str:
    sign = "+" if tenths > 0 else "-" if tenths < 0 else ""
    return f"{sign}{abs(tenths) // 10}.{abs(tenths) % 10}"


def _before(month: str, count: int) -> str:
    number = int(month[:4]) * 12 + int(month[5:7]) - 1 - count
    return f"{number // 12:04}-{number % 12 + 1:02}"
