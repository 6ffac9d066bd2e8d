"""Diagrams of a workflow and of the steps of a row, laid out for a narrow screen: one box below the other.

States stand in a column in the order in which the register declares them. A move to the next state is an arrow between
two boxes, one that skips states runs at the right, one that goes back at the left. The lines to one state share a track
of their own at each side, so lines cross but never lie on each other, and no upright line crosses a word.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from portal import drawing
from portal.model import Flow

SIZE, SMALL = 14, 12  # px of letters: names of states, names of moves
BOX_WIDTH, BOX_HEIGHT = 104, 34
PORT = 20  # px between two lines that leave a box
TRACK = 13  # px between two tracks
GAP, GAP_WITH_ARROW = 14, 38
STEP_WIDTH, STEP_EMS = 320, 19.0
START = ""  # the state before the first

LEFT, RIGHT = -1, 1


@dataclass(frozen=True, slots=True)
class _Edge:
    source: str
    target: str
    label: str


@dataclass(slots=True)
class _Box:
    """A state's place: `outgoing` and `incoming` are the lines at each side, top to bottom."""

    outgoing: dict[int, list[_Edge]] = field(default_factory=lambda: {LEFT: [], RIGHT: []})
    incoming: dict[int, bool] = field(default_factory=lambda: {LEFT: False, RIGHT: False})
    top: float = 0

    @property
    def height(self) -> float:
        lines = max(len(self.outgoing[side]) + self.incoming[side] for side in (LEFT, RIGHT))
        return max(BOX_HEIGHT, lines * PORT + 6)

    def port(self, side: int, edge: _Edge | None) -> float:
        """Return where at *side* a line leaves, or (None) where all lines arrive."""
        lines = len(self.outgoing[side]) + self.incoming[side]
        first = self.top + (self.height - (lines - 1) * PORT) / 2
        above = side == RIGHT and self.incoming[side]  # skipping lines come from above, returning ones from below
        if edge is None:
            return first if side == RIGHT else first + (lines - 1) * PORT
        return first + (self.outgoing[side].index(edge) + above) * PORT


def workflow(flow: Flow, name: str, title: str) -> str:
    """Return the diagram of a workflow; every move of it is also in the table beside."""
    order = [START, *(state for state in flow.states if _is_used(flow, state))]
    place = {state: number for number, state in enumerate(order)}
    edges = [edge for edge in _edges(flow) if edge.source in place and edge.target in place]
    anywhere = {move.target: move.name for move in flow.moves if not move.sources}
    boxes = {state: _Box() for state in order}
    straight: dict[str, str] = {}  # state -> what leads to it from the box above
    for state, label in anywhere.items():
        straight[state] = f"任何状态：{label}"
    for edge in edges:
        step = place[edge.target] - place[edge.source]
        if step == 1 and edge.target not in anywhere:
            straight[edge.target] = edge.label
        else:
            side = RIGHT if step >= 0 else LEFT
            boxes[edge.source].outgoing[side].append(edge)
            boxes[edge.target].incoming[side] = True
    for box in boxes.values():  # the farthest leaves last on its way: fewer lines cross
        box.outgoing[RIGHT].sort(
            key=lambda edge: place[edge.target] if edge.source != edge.target else 0, reverse=False
        )
        box.outgoing[LEFT].sort(key=lambda edge: -place[edge.target])
    high = _stack(boxes, straight)
    return _drawn(flow, boxes, straight, (name, title), high)


def _is_used(flow: Flow, state: str) -> bool:
    return any(state == move.target or state in move.sources for move in flow.moves)


def _edges(flow: Flow) -> Iterator[_Edge]:
    """Yield one edge for each pair of states, with the names of all moves between them."""
    named: dict[tuple[str, str], list[str]] = {}
    for move in flow.moves:
        for source in move.sources:
            key = (START if source == "new" else source, move.target)
            if move.name not in named.setdefault(key, []):
                named[key].append(move.name)
    for (source, target), names in named.items():
        yield _Edge(source, target, "、".join(names))


def _stack(boxes: Mapping[str, _Box], straight: Mapping[str, str]) -> float:
    """Set where each box begins; return the height of all."""
    at = 6.0
    for number, (state, box) in enumerate(boxes.items()):
        if number:
            at += GAP_WITH_ARROW if state in straight else GAP
        box.top = at
        at += box.height
    return at + 6


def _tracks(boxes: Mapping[str, _Box], side: int) -> dict[str, int]:
    """Return the track of the lines to each state: the nearest that no other line uses on the same stretch."""
    spans: dict[str, tuple[float, float]] = {}
    for box in boxes.values():
        for edge in box.outgoing[side]:
            ends = (box.port(side, edge), boxes[edge.target].port(side, None))
            low, high = spans.get(edge.target, ends)
            spans[edge.target] = (min(low, *ends), max(high, *ends))
    taken: list[list[tuple[float, float]]] = []
    found: dict[str, int] = {}
    for target, (low, high) in sorted(spans.items(), key=lambda item: (item[1][1] - item[1][0], item[0])):
        free = (n for n, used in enumerate(taken) if all(high + 4 < a or b + 4 < low for a, b in used))
        number = next(free, len(taken))
        if number == len(taken):
            taken.append([])
        taken[number].append((low, high))
        found[target] = number
    return found


def _drawn(
    flow: Flow, boxes: Mapping[str, _Box], straight: Mapping[str, str], named: tuple[str, str], high: float
) -> str:
    tracks = {side: _tracks(boxes, side) for side in (LEFT, RIGHT)}
    zone = {side: _label_width(boxes.values(), side) for side in (LEFT, RIGHT)}
    reach = {side: zone[side] + TRACK * max([*tracks[side].values(), -1]) + TRACK for side in (LEFT, RIGHT)}
    left = reach[LEFT] + 4
    middle, width = left + BOX_WIDTH / 2, left + BOX_WIDTH + reach[RIGHT] + 4
    edge_x = {LEFT: left, RIGHT: left + BOX_WIDTH}
    parts: list[str] = []
    for state, box in boxes.items():
        for side in (LEFT, RIGHT):
            for edge in box.outgoing[side]:
                out, into = box.port(side, edge), boxes[edge.target].port(side, None)
                track = edge_x[side] + side * (zone[side] + TRACK * tracks[side][edge.target])
                way = [(edge_x[side], out), (track, out), (track, into), (edge_x[side] + side, into)]
                parts.append(drawing.arrow(way))
                at = (edge_x[side] + side * 5, out - 4)
                parts.append(drawing.words(at, edge.label, "sg-small", "start" if side == RIGHT else "end"))
        if state in straight:
            parts.append(drawing.arrow([(middle, box.top - GAP_WITH_ARROW + 2), (middle, box.top - 1)]))
            parts.append(drawing.words((middle + 8, box.top - 13), straight[state], "sg-small"))
        parts.append(_state(flow, state, box, left))
    return drawing.drawing(*named, "同样的步骤写在旁边的表里。", (width, high), parts)


def _state(flow: Flow, state: str, box: _Box, left: float) -> str:
    css = "sg-box sg-start" if state == START else "sg-box sg-end" if state in flow.closed else "sg-box"
    told = "开始" if state == START else flow.states[state]
    at = (left + BOX_WIDTH / 2, box.top + box.height / 2 + SIZE * 0.36)
    shape = drawing.box((left, box.top), (BOX_WIDTH, box.height), css, box.height / 2 if state == START else 4)
    return shape + drawing.words(at, told, "sg-words", "middle")


def _label_width(boxes: Iterable[_Box], side: int) -> float:
    """Return the room for the names of the lines at *side*; names of more than one move may be long."""
    widths = [drawing.ems(edge.label) * SMALL for box in boxes for edge in box.outgoing[side]]
    return max(widths) + 10 if widths else 0


def steps(entries: Sequence[Sequence[str]], name: str, title: str) -> str:
    """Return steps as boxes with arrows between.

    Args:
        entries: of each step what is done, then notes on it.
    """
    parts: list[str] = []
    at = 4.0
    for number, (action, *notes) in enumerate(entries, 1):
        lines = drawing.wrap(f"{number}. {action}", STEP_EMS)
        small = [line for note in notes if note for line in drawing.wrap(note, STEP_EMS * SIZE / SMALL)]
        high = 14 + len(lines) * 21 + len(small) * 18
        if number > 1:
            parts.append(drawing.arrow([(STEP_WIDTH / 2, at), (STEP_WIDTH / 2, at + 21)]))
            at += 22
        parts.append(drawing.box((1, at), (STEP_WIDTH - 2, high), "sg-box"))
        parts += [drawing.words((14, at + 22 + 21 * n), line) for n, line in enumerate(lines)]
        below = at + 22 + 21 * (len(lines) - 1)
        parts += [drawing.words((14, below + 19 + 18 * n), line, "sg-small") for n, line in enumerate(small)]
        at += high
    return drawing.drawing(name, title, "同样的步骤写在旁边的清单里。", (STEP_WIDTH, at + 4), parts)
