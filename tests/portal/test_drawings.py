"""Diagrams, flow charts and bar charts: what they say, how they stand, and that nothing hostile gets through."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from portal import charts, diagrams, drawing, figures, flows, pages
from portal.model import Figure, Flow, Part, parse_flow
from portal.site import Site
from portal.source import open_source
from syncgov.core.register_parse import parse_register
from syncgov.storage.files import builtin_folder
from tests.portal.public_db import EAST, HOSTILE, make_public_db

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def public_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A public.db with hostile rows."""
    return make_public_db(tmp_path_factory.mktemp("public") / "public.db")


@pytest.fixture
def site(public_db: Path) -> Iterator[Site]:
    """The data of that public.db."""
    with open_source(public_db) as source:
        yield Site(source)


def body_of(site: Site, path: str) -> str:
    """Return the one generated page at *path*."""
    (found,) = [page.body for page in pages.generate(site) if page.path == path]
    return found


def svg_of(html: str) -> ET.Element:
    """Return the first drawing in *html*; a drawing is well-formed XML."""
    return ET.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])


def lines_of(svg: ET.Element) -> list[list[tuple[float, float]]]:
    """Return the points of each line of a drawing."""
    found = [line.attrib["points"] for line in svg.iter(f"{SVG}polyline")]
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in points.split())] for points in found]


def shipped_flow(name: str) -> Flow:
    """Return the workflow of a shipped register, as the portal reads it."""
    text = (builtin_folder() / f"{name}.yml").read_text(encoding="utf-8")
    register = parse_register(text, name)
    columns = [column for field in register.fields for column in field.columns]
    (states,) = [column.choices for column in columns if column.name == "state"]
    flow = parse_flow(yaml.safe_load(text), {"state": {choice.code: choice.label for choice in states}})
    assert flow is not None
    return flow


def test_every_drawing_is_named_and_said_in_words(site: Site) -> None:
    """Each drawing has a role, a title and a description; each is well-formed; a page's ids are all different."""
    drawn = 0
    for page in pages.generate(site):
        for part in re.findall(r"<svg.*?</svg>", page.body, re.DOTALL):
            svg = svg_of(part)
            title, told = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
            assert title is not None
            assert told is not None
            assert svg.attrib["role"] == "img"
            assert svg.attrib["aria-labelledby"] == f"{title.attrib['id']} {told.attrib['id']}"
            assert title.text
            drawn += 1
        ids = re.findall(r'id="([^"]+)"', page.body)
        assert len(ids) == len(set(ids)), page.path
    assert drawn >= 5 + len(HOSTILE)


def test_workflow_page_has_each_move_in_picture_and_table(site: Site) -> None:
    """The names of all moves and states stand in the drawing, and each move with roles and conditions in the table."""
    body = body_of(site, "r/lamp/flow.md")
    drawn = "".join(svg_of(body).itertext())
    for word in (
        "报修",
        "修好",
        "当场修好",
        "又坏了",
        "改期",
        "等料",
        "再开工",
        "任何状态：误报",
        "办理中",
        "已修好",
        "已作废",
    ):
        assert word in drawn
    table = body[body.index("<table") :]
    assert table.count("<tr>") == 1 + 8
    assert '<td data-label="怎么办">修好</td><td data-label="从">办理中</td><td data-label="到">已修好</td>' in table
    assert "理由、由另一人办" in table
    assert "unheard&#95;of" in table  # a condition that has no words yet is named as it is
    assert "新登记" in table
    assert '<a href="../../r/lamp/flow.html">办理流程图</a>' in body_of(site, "r/lamp/index.md")


def test_lines_of_a_workflow_never_lie_on_each_other() -> None:
    """Upright lines to different states share no stretch; none runs through a box."""
    flow = shipped_flow("event")
    svg = svg_of(diagrams.workflow(flow, "x", "x"))
    upright: dict[float, list[tuple[float, float, float]]] = {}
    boxes = [{key: float(box.attrib[key]) for key in ("x", "y", "width", "height")} for box in svg.iter(f"{SVG}rect")]
    tracks = 0
    for line in lines_of(svg):
        if len(line) != 4:
            continue
        tracks += 1
        (_, _), (x, out), (_, into), _ = line
        assert not any(box["x"] <= x <= box["x"] + box["width"] for box in boxes)
        upright.setdefault(x, []).append((min(out, into), max(out, into), into))
    assert tracks > 10
    for spans in upright.values():
        for one in spans:
            for other in spans:
                if one[2] != other[2]:
                    assert one[1] < other[0] or other[1] < one[0]
    assert len(boxes) == 14
    stacked = sorted(boxes, key=lambda box: box["y"])
    assert all(above["y"] + above["height"] < below["y"] for above, below in pairwise(stacked))
    width = float(svg.attrib["width"])
    assert width <= 360  # a phone shows it without making it smaller


def test_steps_are_wrapped_and_kept_whole() -> None:
    """A long step takes more lines, never wider ones; a hostile one is only text."""
    drawn = diagrams.steps([["长" * 45, "谁办：居民"], ["<script>x</script>"]], "s", "流程")
    svg = svg_of(drawn)
    texts = [text.text or "" for text in svg.iter(f"{SVG}text")]
    assert texts[:3] == ["1. " + "长" * 17, "长" * 19, "长" * 9]
    assert texts[3:] == ["谁办：居民", "2. <script>x</script>"]
    assert not list(svg.iter(f"{SVG}script"))
    assert len(lines_of(svg)) == 1


def test_wrapping_keeps_marks_with_their_word() -> None:
    """No line begins with a comma, too many lines end in an ellipsis."""
    assert drawing.wrap("一二三四，五六", 4) == ["一二三四，", "五六"]
    assert drawing.wrap("一" * 20, 4, 2) == ["一一一一", "一一一…"]


RATE = Figure("r", "lamp", "率", 1, 1, "", "", "", "", "", "rate")


def test_rates_are_ranked_only_where_every_part_has_thirty(site: Site) -> None:
    """With 30 cases or more in each part the largest comes first; with 29 in one the declared order stays."""
    small = [Part("r", "state", "done", 1, 29, "x"), Part("r", "state", "open", 30, 30, "y")]
    shown, told = charts.ordered(site, RATE, "state", small)
    assert [part.part for part in shown] == ["open", "done"]  # as declared
    assert "不排名次" in told
    large = [Part("r", "state", "open", 1, 30, "x"), Part("r", "state", "done", 30, 30, "y")]
    shown, told = charts.ordered(site, RATE, "state", large)
    assert [part.part for part in shown] == ["done", "open"]
    assert "由高到低" in told


def test_bars_are_of_the_whole_and_a_dash_has_none(site: Site) -> None:
    """A rate's bar is its share of 100%; without a divisor there is a dash and no bar."""
    parts = [Part("r", "x", "a", 1, 2, "50.0% (1/2)"), Part("r", "x", "b", 0, 0, "—")]
    svg = svg_of(charts.bars("n", "t", RATE, [("甲", parts[0]), ("乙", parts[1])]))
    boxes = [(box.attrib["class"], float(box.attrib["width"])) for box in svg.iter(f"{SVG}rect")]
    assert [css for css, _ in boxes] == ["sg-track", "sg-bar", "sg-track"]
    assert boxes[1][1] == pytest.approx(boxes[0][1] / 2)
    assert {"50.0% (1/2)", "—", "甲", "乙"} <= set(svg.itertext())


def test_figure_page_marks_parts_for_the_auditor(site: Site) -> None:
    """Each part stands in the table with a mark; months run and only the newest are drawn."""
    body = body_of(site, "figure/lamp_all.md")
    assert f'<span data-figure="lamp_all/_community/{EAST}">300</span>' in body
    charted, compared = body.split("## 同比和环比")
    months = re.findall(r'data-figure="lamp_all/_month/([0-9-]+)"', charted)
    assert months == sorted(months)
    assert (len(months), months[-1]) == (24, "2026-11")
    assert "只列最近 24 个月" in body
    months = re.findall(r'data-figure="lamp_all/_month/([0-9-]+)"', compared)
    assert months == ["2026-10", "2026-09", "2026-10", "2025-10"]  # November is not over
    rate = body_of(site, "figure/lamp_rate.md")
    assert rate.index("西苑社区") < rate.index("东坡社区")  # both have 30 cases: the higher rate first
    assert '<a href="figure/lamp_all.html">上报</a>' in figures.figures_page(site).body


def test_register_without_workflow_has_no_page(site: Site) -> None:
    """Only registers that declare moves get a diagram."""
    assert [page.path for page in flows.flow_pages(site)] == ["r/lamp/flow.md"]
    assert flows.flow_link("x.md", site.registers["ward"]) == ""
