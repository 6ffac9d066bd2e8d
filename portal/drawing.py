"""Static SVG: text stays text, colours come from the style sheet, a drawing has a title and says where its words are.

A drawing stands inside one `figure` element without blank lines, which Markdown passes on as it is.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from portal.text import attribute, clean, esc

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

_NARROW = 0.56  # em: letters, digits and marks below U+2E80, on the average of the usual faces
_WIDE_FROM = 0x2E80  # Chinese characters and full-width marks fill their em
_NOT_FIRST = "，。；：、！？）》”’」』〕】)]};:,.!?%"  # marks that never begin a line
_HEAD = 5  # px: half the width of an arrow's head


def ems(text: str) -> float:
    """Return about how wide *text* is, in em."""
    return sum(1.0 if ord(sign) >= _WIDE_FROM else _NARROW for sign in text)


def wrap(text: str, width: float, most: int = 4) -> list[str]:
    """Return *text* in lines of at most *width* em; what is beyond *most* lines is cut and ends in an ellipsis."""
    lines, line = [], ""
    for sign in " ".join(clean(text).split()):
        if line and ems(line + sign) > width and sign not in _NOT_FIRST:
            lines.append(line)
            line = ""
        line += sign
    lines.append(line)
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1][:-1] + "…"]


def number(value: float) -> str:
    """Return a coordinate with at most one decimal."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def words(at: Point, text: str, css: str = "sg-words", anchor: Anchor = "start") -> str:
    """Return one line of text that stands on *at*."""
    where = f'x="{number(at[0])}" y="{number(at[1])}"'
    return f'<text {where} class="{css}" text-anchor="{anchor}">{esc(text)}</text>'


def box(at: Point, size: tuple[float, float], css: str, radius: float = 4) -> str:
    """Return a rectangle with its upper left corner *at*."""
    where = f'x="{number(at[0])}" y="{number(at[1])}" width="{number(size[0])}" height="{number(size[1])}"'
    return f'<rect {where} rx="{number(radius)}" class="{css}"/>'


def arrow(points: Sequence[Point], css: str = "sg-line", head: bool = True) -> str:
    """Return a line through *points*, its last part level or upright; with a head where it ends."""
    line = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    drawn = f'<polyline points="{line}" class="{css}"/>'
    if not head:
        return drawn
    (x, y), (before_x, before_y) = points[-1], points[-2]
    if abs(x - before_x) > abs(y - before_y):
        back = _HEAD * 1.6 if x < before_x else -_HEAD * 1.6
        tip = [(x, y), (x + back, y - _HEAD), (x + back, y + _HEAD)]
    else:
        back = _HEAD * 1.6 if y < before_y else -_HEAD * 1.6
        tip = [(x, y), (x - _HEAD, y + back), (x + _HEAD, y + back)]
    return drawn + f'<polygon points="{" ".join(f"{number(a)},{number(b)}" for a, b in tip)}" class="sg-head"/>'


def drawing(name: str, title: str, told: str, size: tuple[float, float], parts: Iterable[str]) -> str:
    """Return the whole drawing.

    Args:
        name: unlike those of the other drawings of the page.
        title: what it shows. told: where the same is said in words.
    """
    ident = attribute(f"sg-{name}")
    wide, high = (number(value) for value in size)
    inner = "\n".join(parts)
    return (
        f'<figure class="sg-drawing" data-search-exclude>\n<svg role="img" aria-labelledby="{ident}-t {ident}-d" '
        f'viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" xmlns="http://www.w3.org/2000/svg">\n'
        f'<title id="{ident}-t">{esc(title)}</title>\n<desc id="{ident}-d">{esc(told)}</desc>\n'
        f"{inner}\n</svg>\n</figure>"
    )


def beside(drawn: str, said: str) -> str:
    """Return a drawing with its words at its side, or below it on a phone; *said* is HTML."""
    return f'<div class="sg-beside">\n{drawn}\n<div class="sg-said">\n{said}\n</div>\n</div>'
