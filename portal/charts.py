"""Bar charts of a figure's parts, each with the table that says the same in numbers."""

from collections.abc import Sequence

from portal import drawing, markup, text
from portal.model import COMMUNITY, MONTH, Figure, Part
from portal.site import Site

WIDTH = 340  # px: fits a phone without making letters smaller
ROW = 40
BAR = 12
NEWEST_MONTHS = 24
ENOUGH = 30  # cases in each part before rates may be put in order of size (DOMAIN 5.5)


def breakdown(site: Site, figure: Figure, by: str, parts: Sequence[Part]) -> str:
    """Return heading, chart and table of *figure* by the column *by*; empty without parts."""
    if not parts:
        return ""
    register = site.registers[figure.register]
    shown, told = ordered(site, figure, by, parts)
    names = [part_name(site, figure, by, part.part) for part in shown]
    by_label = site.label(register, by)
    title = f"{figure.label}，按{by_label}"
    chart = bars(f"{figure.id}-{by}", title, figure, list(zip(names, shown, strict=True)))
    sides = _sides(figure)
    headings = [by_label, figure.label, *sides]
    lines = [
        [text.esc(name), part_mark(part), *(_count(getattr(part, side)) for side in sides.values())]
        for name, part in zip(names, shown, strict=True)
    ]
    table = markup.table(headings, lines, "sg-compact")
    told += _left_out(figure, parts, by_label)
    note = f"<p>{text.esc(told)}</p>\n" if told else ""
    return f"## 按{text.esc(by_label)}\n\n" + drawing.beside(chart, note + table)


def _left_out(figure: Figure, parts: Sequence[Part], by_label: str) -> str:
    """Return how many are in none of the parts; only counts add up."""
    missing = (figure.n or 0) - sum(part.n or 0 for part in parts)
    return (
        f"另有 {text.number(missing)} {figure.unit}没有写明或不公开{by_label}。"
        if figure.kind == "count" and missing > 0
        else ""
    )


def _sides(figure: Figure) -> dict[str, str]:
    """Return heading -> attribute of a part: what stands beside its text."""
    if figure.kind == "count":
        return {}
    return {"件数": "d"} if figure.kind == "duration" else {"分子 n": "n", "分母 d": "d"}


def part_mark(part: Part) -> str:
    """Return a part's text, marked so that an auditor can compare it with public.db."""
    return f'<span data-figure="{text.attribute(part.mark)}">{text.esc(part.text)}</span>'


def part_name(site: Site, figure: Figure, by: str, value: str) -> str:
    """Return the words for the value of a breakdown's column."""
    if by == COMMUNITY:
        return site.community(value)
    return site.words(site.registers[figure.register], by, value)


def ordered(site: Site, figure: Figure, by: str, parts: Sequence[Part]) -> tuple[list[Part], str]:
    """Return the parts as they are shown, and what there is to say about their order.

    Months run; codes stand as declared, communities by code. Only rates of parts that all have enough cases are put in
    order of size: a small number of cases makes a rate jump, and a ranking of it unfair.
    """
    if by == MONTH:
        newest = list(parts)[-NEWEST_MONTHS:]
        return newest, f"只列最近 {NEWEST_MONTHS} 个月。" if len(newest) < len(parts) else ""
    declared = list(site.registers[figure.register].codes.get(by, ()))
    plain = sorted(parts, key=lambda part: declared.index(part.part) if part.part in declared else len(declared))
    if figure.kind != "rate":
        return plain, ""
    if all((part.d or 0) >= ENOUGH for part in parts):
        return sorted(plain, key=lambda part: -(part.n or 0) / (part.d or 1)), "每项分母都不少于 30，由高到低排列。"
    return plain, f"有的分母不足 {ENOUGH}，不排名次，按固定的先后列出。"


def bars(name: str, title: str, figure: Figure, rows: Sequence[tuple[str, Part]]) -> str:
    """Return the chart: of each part its name, its text as published, and a bar; a rate's bar is of 100%."""
    full = 1.0 if figure.kind == "rate" else max([_size(figure, part) for _name, part in rows] + [1e-9])
    drawn: list[str] = []
    for at, (label, part) in enumerate(rows):
        top = 4 + at * ROW
        room = (WIDTH - drawing.ems(part.text) * 14 - 12) / 14
        drawn.append(drawing.words((0, top + 14), drawing.wrap(label, room, 1)[0]))
        drawn.append(drawing.words((WIDTH, top + 14), part.text, "sg-words", "end"))
        drawn.append(drawing.box((0.5, top + 20), (WIDTH - 1, BAR), "sg-track", 2))
        share = min(1.0, max(0.0, _size(figure, part) / full))
        if share:
            drawn.append(drawing.box((0.5, top + 20), (max(2.0, share * (WIDTH - 1)), BAR), "sg-bar", 2))
    told = "同样的数字写在旁边的表里。"
    return drawing.drawing(name, title, told, (WIDTH, 4 + len(rows) * ROW), drawn)


def _size(figure: Figure, part: Part) -> float:
    if part.n is None or part.text == text.NOTHING:
        return 0.0
    return part.n / part.d if figure.kind in ("rate", "ratio") and part.d else float(part.n)


def _count(value: int | None) -> str:
    return markup.unbroken(text.NOTHING if value is None else text.number(value))
