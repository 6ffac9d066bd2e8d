"""What the publisher makes public by the catalogue: most of it in time, some late, some never.

Laid into sessions that the story has anyway, with dice of its own, so that nothing else in the story changes.
"""

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from syncgov.demo import texts
from syncgov.demo.content import KEY, read_examples
from syncgov.demo.place import Place
from syncgov.demo.plan import Cell, Day, Session, Write
from syncgov.demo.writing import DISCLOSURE, POSTED_DAYS, uuid7

PUBLISHED = 0.9  # of what is due; the rest is never published
LATE = 0.05
_LATE_DAYS = (3, 40)
_QUARTERS = "一二三四"


@dataclass(frozen=True, slots=True)
class _Due:
    """An item, where and for which period; from when it can be published and by when it should be."""

    item: Mapping[str, str]
    place: str
    name: str
    org: str
    period: str
    first: datetime.date
    last: datetime.date


def with_catalogue(days: Sequence[Day], place: Place, device: int, seed: int) -> tuple[Day, ...]:
    """Return the days with acts of disclosure in sessions of *device*, and with their end when nobody can object.

    Args:
        device: index of the publisher's device. seed: of the dice.
    """
    rng = Random(f"catalogue {seed}")
    used = [day for day in days if any(each.device_index == device and each.online for each in day.sessions)]
    added: dict[int, list[Write]] = {}
    told = {
        (write.columns.get("community"), write.columns.get("catalog"), write.columns.get("period"))
        for day in days
        for session in day.sessions
        for write in session.writes
        if write.register == DISCLOSURE
    }
    for due in _all_due(place, days[0].date, days[-1].date):
        drawn, jitter = rng.random(), rng.random()
        late = drawn < LATE
        begin = due.last + datetime.timedelta(days=_LATE_DAYS[0]) if late else due.first
        until = due.last + datetime.timedelta(days=_LATE_DAYS[1]) if late else due.last
        fit = [day for day in used if begin <= day.date <= until]
        if drawn >= PUBLISHED or not fit or (due.place, due.item[KEY], due.period) in told:
            continue
        day = fit[int(jitter * len(fit))]
        write = _act(rng, due, day.date)
        added.setdefault(day.day_index, []).append(write)
        over = day.date + datetime.timedelta(days=POSTED_DAYS)
        after = next((each for each in used if each.date > over), None)
        if after is not None:
            end = Write(DISCLOSURE, write.key, {"stage": "ended"}, "update", "公示期满", write.key)
            added.setdefault(after.day_index, []).append(end)
    return tuple(_with_writes(day, device, added.get(day.day_index, ())) for day in days)


def _with_writes(day: Day, device: int, writes: Sequence[Write]) -> Day:
    def more(session: Session) -> Session:
        mine = session.device_index == device and session.online
        return replace(session, writes=(*session.writes, *writes)) if mine else session

    return replace(day, sessions=tuple(map(more, day.sessions))) if writes else day


def _all_due(place: Place, first: datetime.date, last: datetime.date) -> Iterator[_Due]:
    """Yield what the catalogue asks for between two days; an item that is no community's is the street's."""
    street = place.orgs[0].key
    for item in read_examples("disclosure_catalog"):
        where = [(each.code, each.short, each.committee) for each in place.communities]
        where = where if item["level"] == "社区" else [(place.area, place.name, street)]
        for period, begin, end in _periods(str(item["rule"]), first, last):
            for code, name, org in where:
                yield _Due(item, code, name, org, period, begin, end)


def _periods(
    rule: str, first: datetime.date, last: datetime.date
) -> Iterator[tuple[str, datetime.date, datetime.date]]:
    """Yield (words, first day, last day) of the times at which a rule asks for something."""
    if rule == "long":
        yield "长期", first, first + datetime.timedelta(days=20)
    months = [(year, month) for year in range(first.year, last.year + 1) for month in range(1, 13)]
    for year, month in months:
        begin = datetime.date(year, month, 1)
        if not first <= begin <= last:
            continue
        if rule == "monthly":
            yield f"{year}年{month}月", begin, begin + datetime.timedelta(days=27)
        if rule == "quarterly" and month % 3 == 1:
            after = begin + datetime.timedelta(days=95)
            yield (
                f"{year}年第{_QUARTERS[month // 3]}季度",
                begin + datetime.timedelta(days=80),
                after.replace(day=20),
            )


def _act(rng: Random, due: _Due, day: datetime.date) -> Write:
    key = uuid7(rng, day, rng.randrange(9 * 60, 18 * 60))
    topic = texts.pick(rng, "projects")
    formed = day - datetime.timedelta(days=rng.randrange(1, 8))
    columns: dict[str, Cell] = {
        "community": due.place,
        "catalog": due.item[KEY],
        "kind": due.item["kind"],
        "org": due.org,
        "period": due.period,
        "title": f"{due.name}{due.period}{due.item['subitem']}（示例）",
        "body": f"本期按公开目录公开{due.item['elements']}。重点是{topic}，详情见公示栏。",
        "formed_on": formed.isoformat(),
        "due_on": due.last.isoformat(),
        "published_on": day.isoformat(),
        "channels": json.dumps(["公示栏", "网上"], ensure_ascii=False),
        "objection_until": (day + datetime.timedelta(days=POSTED_DAYS)).isoformat(),
        "signed_off_by": "居务监督委员会（示例）",
        "stage": "posted",
        "example": 1,
    }
    return Write(DISCLOSURE, key, columns, "insert", "按公开目录公开", key)
