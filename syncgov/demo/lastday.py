"""The last day: six people at the command line. Each syncs, writes plain SQL, commits, and syncs again."""

import datetime
from dataclasses import dataclass
from random import Random

from syncgov.demo import texts
from syncgov.demo.desks import Desk, Moment
from syncgov.demo.plan import Cell, LastDayAction, Write
from syncgov.demo.player import Player
from syncgov.demo.walks import ACCEPT, CHECKER, CLOSE, FEED_BACK, OPERATOR, PUBLISHER, REPORT, REWORK, Fate, Step
from syncgov.demo.writing import Event, uuid7

# What is written is dated the evening before, so that it lies in the past at whatever hour the demo runs.
_EVENING = 19 * 60 + 30
_SELF_HANDLED = Step("feedback", REPORT.role, "当场解决")


@dataclass(frozen=True, slots=True)
class LastDay:
    """The actions and what they change: the state of each event that they touched."""

    actions: tuple[LastDayAction, ...]
    states: dict[str, str]


def plan_last_day(player: Player, known: Event, date: datetime.date, *, reported_open: bool, close: bool) -> LastDay:
    """Return what six devices do on *date*.

    Args:
        known: an event that is being handled; it is fed back and checked today.
        reported_open: whether today's report stays open; otherwise it was solved on the spot and is closed.
        close: whether the check of *known* is passed.
    """
    return _Plan(player, known, date).make(reported_open=reported_open, close=close)


class _Plan:
    def __init__(self, player: Player, known: Event, date: datetime.date) -> None:
        self.player = player
        self.rng: Random = player.rng
        self.known = known
        self.evening = date - datetime.timedelta(days=1)
        self.date = date
        self.actions: list[LastDayAction] = []
        self.fresh = self._fresh_event()

    def make(self, *, reported_open: bool, close: bool) -> LastDay:
        player, fresh, known = self.player, self.fresh, self.known
        worker = player.desks[fresh.reporter.index]
        first = REPORT if reported_open else _SELF_HANDLED
        moment = self._moment(worker, fresh.staff)
        # each statement is committed by itself, so there is no contact, which belongs to the changeset of its event
        report = player.pen.report(fresh, first, moment)[:1]
        visit = player.visit_now(fresh.grid, moment)
        self._act(moment, [*report, *visit], "网格员上报一件事件，补记一次走访")
        moment = self._moment(self.rng.choice(player.desks_of(OPERATOR)))
        if reported_open:
            self._act(moment, [player.pen.step(fresh, ACCEPT, moment)], "操作员受理这件事件")
        else:
            level = "community" if report[0].columns["level"] == "town" else "town"
            self._act(moment, list(player.pen.edit(fresh, {"level": level}, "调整处置层级")), "操作员调整处置层级")
        self._act_as_chief()
        moment = self._moment(player.handler_of(known))
        self._act(moment, [player.pen.step(known, FEED_BACK, moment)], "承办人反馈另一件事件")
        self._act_as_checker(reported_open=reported_open, close=close)
        moment = self._moment(player.desks_of(PUBLISHER)[0])
        self._act(moment, list(player.pen.publish(known)), "公开审核员拟定公开内容")
        return LastDay(tuple(self.actions), {fresh.key: fresh.state, known.key: known.state})

    def _act_as_chief(self) -> None:
        moment = self._moment(self.rng.choice(self.player.chiefs_of(self.fresh.grid.community)))
        columns: dict[str, Cell] = {"title": f"{self.fresh.issue.title}（网格长已核实位置）"}
        self._act(moment, list(self.player.pen.edit(self.fresh, columns, "核实位置")), "网格长核实位置，更正标题")

    def _act_as_checker(self, *, reported_open: bool, close: bool) -> None:
        """The check; and an event that nobody has handled yet is closed by mistake, which is refused."""
        moment = self._moment(self.rng.choice(self.player.desks_of(CHECKER)))
        pen = self.player.pen
        checked = pen.step(self.known, CLOSE if close else REWORK, moment)
        if reported_open:
            mistake = Step("closed", CHECKER, "误点办结", refused="transition")
            self._act(
                moment, [checked, pen.step(self.fresh, mistake, moment)], "核查员核查一件，另一件误点办结（会被退回）"
            )
        else:
            self._act(moment, [checked, pen.step(self.fresh, CLOSE, moment)], "核查员核查两件事件")

    def _fresh_event(self) -> Event:
        device, staff, grid = self.player.reporter("grid_worker")
        category = self.rng.choice(self.player.place.categories)
        issue = texts.make_issue(self.rng, category.key, self.player.compound(grid))
        return Event(uuid7(self.rng, self.evening, _EVENING), Fate(()), grid, category, issue, device, staff)

    def _moment(self, desk: Desk, staff: str | None = None) -> Moment:
        return Moment(0, self.evening, _EVENING, desk.device, staff or self.rng.choice(desk.people))

    def _act(self, moment: Moment, writes: list[Write], say: str) -> None:
        sql = tuple(statement(write) for write in writes)
        self.actions.append(LastDayAction(moment.device.index, moment.staff, sql, tuple(writes), say))


def statement(write: Write) -> str:
    """Return the SQL statement that makes *write*."""
    if write.kind == "insert":
        names = ", ".join(["id", *write.columns])
        values = ", ".join([_literal(write.key), *map(_literal, write.columns.values())])
        return f"INSERT INTO {write.register} ({names}) VALUES ({values});"
    changes = ", ".join(f"{name} = {_literal(value)}" for name, value in write.columns.items())
    return f"UPDATE {write.register} SET {changes} WHERE id = {_literal(write.key)};"


def _literal(value: Cell) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
