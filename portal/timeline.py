"""A matter's way from report to result: its steps, its deadline and the lamp, and in words why it is late.

Lamps as in digital city management: until 80 % of the limit 正常, then 临期, after the deadline 超期. A deadline is a
date and ends with its day; while a matter is suspended (挂账) it stands still.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from portal import text
from portal.model import Cell, Row, Step, Timeline
from portal.site import Site

SOON = 0.8  # of the limit
GOOD, NEAR, LATE, NONE = "ok", "soon", "late", ""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Lamp:
    """How a matter stands to its deadline. `kind` is for the style, `label` says the same in words."""

    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One step as people read it.

    Attributes:
        due: the deadline that it sets. lamp: how it was done, by the deadline that was in force before it.
        moved: it replaces an earlier deadline.
    """

    name: str
    state: str
    received: str
    who: str
    unit: str
    due: str
    lamp: Lamp
    reason: str
    at: datetime | None
    moved: bool


@dataclass(slots=True)
class _Clock:
    """The deadline in force while walking along the steps."""

    start: datetime | None = None
    end: datetime | None = None
    since: datetime | None = None  # suspended since
    waited: bool = False
    closed: datetime | None = None
    code: Cell = None

    def set(self, due: Cell, at: datetime) -> bool:
        """Take over the deadline that a step writes; an unchanged one keeps what suspensions added.

        Returns:
            Whether it replaces another one.
        """
        if not due or due == self.code:
            return False
        moved = self.code is not None
        self.code, self.start, self.end, self.waited = due, self.start or at, _end_of(due, at), False
        return moved

    def pause(self, paused: bool, at: datetime) -> None:
        """Stop or go on; what was waited is added to the deadline."""
        if paused and self.since is None:
            self.since = at
        elif not paused and self.since is not None:
            self.end = self.end + (at - self.since) if self.end else None
            self.since, self.waited = None, True

    def close(self, closed: bool, at: datetime) -> None:
        """Keep when the matter was done; one that is opened again is not done."""
        self.closed = (self.closed or at) if closed else None


def _end_of(due: Cell, at: datetime) -> datetime | None:
    try:
        return datetime.fromisoformat(str(due)).replace(tzinfo=at.tzinfo) + _DAY
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Way:
    """All of it: the stages, the lamp now, why it is late (empty if it is not)."""

    stages: tuple[Stage, ...]
    lamp: Lamp
    why: tuple[str, ...]


def way(site: Site, row: Row, line: Timeline, steps: Sequence[Step]) -> Way:
    """Return the way of *row* as of the publication."""
    clock, before = _Clock(), ""
    stages: list[Stage] = []
    for step in steps:
        stages.append(_stage(site, row, line, step, before, clock))
        before = str(_columns(line, step.value).get(line.state) or before)
    lamp = _lamp(line, row, clock, _moment(site.meta.get("as_of", "")))
    return Way(tuple(stages), lamp, tuple(_why(site, lamp, clock, stages)))


def _columns(line: Timeline, value: Cell) -> dict[str, Cell]:
    """Return the columns that one write fills; a field without columns is the state itself."""
    return value if isinstance(value, dict) else {line.state: value}


def _stage(site: Site, row: Row, line: Timeline, step: Step, before: str, clock: _Clock) -> Stage:
    found, at = _columns(line, step.value), _moment(step.received)
    state = found.get(line.state)

    def said(column: str) -> str:
        return site.words(row.register, column, found[column], prose=True) if found.get(column) else ""

    lamp, moved = Lamp(NONE, ""), False
    if at is not None and step.value is not None:
        lamp = _step_lamp(line, clock, before, at)
        clock.pause(state in line.paused, at)
        moved = clock.set(found.get(line.due), at)
        clock.close(state in line.closed, at)
    name, roles = _transition(site, line, step, before, state)
    return Stage(
        name=text.WITHHELD if step.value is None else name or said(line.state),
        state=said(line.state), received=text.minute(step.received), who=roles, unit=said(line.unit),
        due=said(line.due), lamp=lamp, reason=said(line.reason), at=at, moved=moved,
    )  # fmt: skip


def _step_lamp(line: Timeline, clock: _Clock, before: str, at: datetime) -> Lamp:
    """Return whether a step came within the deadline that was running."""
    if clock.end is None or clock.since is not None or before not in line.open:
        return Lamp(NONE, "")
    return Lamp(LATE, f"超期{_days(at - clock.end)}") if at > clock.end else Lamp(GOOD, "正常")


def _transition(site: Site, line: Timeline, step: Step, before: str, state: Cell) -> tuple[str, str]:
    """Return what the step is called and who does it: by the declared transition that the device's roles allow."""
    held = site.device_roles.get(step.device, frozenset())
    start = before or "new"
    for each in line.transitions:
        if each.target == state and (start in each.sources or "any" in each.sources) and each.roles & held:
            return each.name, "、".join(site.role(code) for code in sorted(each.roles & held))
    return "", "、".join(site.role(code) for code in sorted(held))


def _lamp(line: Timeline, row: Row, clock: _Clock, now: datetime | None) -> Lamp:
    """Return the lamp as of *now*; none where no deadline runs."""
    state = row.values.get(line.state)
    if row.withheld(line.state) or now is None or clock.end is None:
        return Lamp(NONE, "")
    if state in line.closed and clock.closed is not None:
        return Lamp(LATE, "超期办结") if clock.closed > clock.end else Lamp(GOOD, "正常，按时办结")
    if state not in line.open:
        return Lamp(NONE, "")
    if state in line.paused:
        return Lamp(NONE, "暂停计时")
    if now > clock.end:
        return Lamp(LATE, f"超期{_days(now - clock.end)}")
    start = clock.start or now
    if now - start >= (clock.end - start) * SOON:
        return Lamp(NEAR, f"临期，剩余{_days(clock.end - now)}")
    return Lamp(GOOD, f"正常，剩余{_days(clock.end - now)}")


def _days(span: timedelta) -> str:
    """Return a span in days, a begun one counted."""
    return f"{max(1, -(-span // _DAY))}天"


def _why(site: Site, lamp: Lamp, clock: _Clock, stages: Sequence[Stage]) -> Iterator[str]:
    """Yield sentences on why a matter is late: what is recorded, and that nothing is where nothing is."""
    if lamp.kind != LATE or clock.end is None:
        return
    limit = text.day((clock.end - timedelta(seconds=1)).isoformat(), prose=True)
    held = "（暂缓办理的时间已经扣除）" if clock.waited else ""
    yield f"办理期限到{limit}为止{held}，{site.as_of}：{lamp.label}。"
    reached = [stage for stage in stages if stage.at is not None and stage.at <= clock.end]
    if reached:
        last, unit = reached[-1], next((stage.unit for stage in reversed(reached) if stage.unit), "")
        by = f"，责任单位是{unit}" if unit else ""
        yield f"期限届满时停在“{last.state or last.name}”（{text.day(last.received, prose=True)}起）{by}。"
    reasons = [f"{stage.name}：{stage.reason}" for stage in stages if stage.reason]
    yield f"登记过的理由：{'；'.join(reasons)}。" if reasons else "没有登记超期的理由。"
    moved = sum(stage.moved for stage in stages)
    if moved:
        yield f"期限改过{moved}次，以上按最后一次计算。"


def _moment(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
