"""Which way each event will go: ordinary, or one of the detours that real offices know. Source: DOMAIN.md §4.4."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from syncgov.demo.place import DOUBLE_CATEGORY, DOUBLE_DUTY

CLOSED_STATES = frozenset({"closed", "evaluated", "archived"})
REPORTER = "reporter"  # whoever reported: his own device and name
OWNER = "owner"  # a handler of the responsible unit
OPERATOR = "operator"
CHECKER = "checker"
CHIEF = "grid_chief"
PUBLISHER = "publisher"

# One in so many events goes this way; at least one does, if there are enough events.
_SHARES = {
    "self_handled": 0.10,
    "returned": 0.05,
    "rework": 0.06,
    "suspended": 0.04,
    "extended": 0.06,
    "sent_back": 0.04,
    "site_check": 0.08,
    "chief_accepts": 0.10,
    "two_checks": 0.006,
    "skipped": 0.006,
    "own_check": 0.004,
    "forgot": 0.002,
}
_EVALUATED = 0.32  # of the closed events; the others wait for an answer
_ARCHIVED = 0.45  # of the evaluated ones
_VOID = 6 / 563
_STRAYS = 4 / 563  # reports and visits in a neighbour's grid
_TITLES = 7 / 563
_CATEGORIES = 5 / 563
_PUBLISHED = 0.5
_CARELESS = 5 / 281  # of the published texts
OPEN_ENDS = (
    "handling",
    "dispatched",
    "reported",
    "handling",
    "feedback",
    "accepted",
    "suspended",
    "handling",
    "dispatched",
    "returned",
    "rework",
    "reported",
)


HELD = "held"
DAYS_PER_STEP = 4  # what a step takes if nobody lets it lie: one day to see the row, one to write, and a reserve


@dataclass(frozen=True, slots=True)
class Step:
    """One move of an event.

    Attributes:
        target: the state after it. role: who makes it (a role, or REPORTER, OWNER).
        note: what the person says about it. reasons: codes, one of which the step gives. later_due: the limit moves.
        other_unit: the unit is a different one than before. staff: the person who must do it.
        refused: the code with which the centre will refuse it; then the event stays where it is.
        twin: what a second device of the same role does at the same time, before either has synced.
    """

    target: str
    role: str
    note: str = ""
    reasons: tuple[str, ...] = ()
    later_due: bool = False
    other_unit: bool = False
    staff: str | None = None
    refused: str = ""
    twin: "Step | None" = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Two people change *field* at the same time, once the event is *state*; `resolved` says that somebody decides."""

    field: str
    state: str
    resolved: bool


@dataclass(frozen=True, slots=True)
class Fate:
    """What will happen to one event."""

    steps: tuple[Step, ...]
    name: str = "ordinary"
    edit: Edit | None = None
    category: str | None = None
    published: bool = False
    careless: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether it counts as closed in the end."""
        return self.end in CLOSED_STATES

    @property
    def end(self) -> str:
        """The state in which it ends."""
        return next(step.target for step in reversed(self.steps) if not step.refused)


REPORT = Step("reported", REPORTER)
ACCEPT = Step("accepted", OPERATOR, "受理，按类别限期办理")
DISPATCH = Step("dispatched", OPERATOR, "按领导批示派遣")
HANDLE = Step("handling", OWNER, "已到现场")
FEED_BACK = Step("feedback", OWNER, "办理完毕，请核查")
CLOSE = Step("closed", CHECKER, "现场核查，问题已解决")
REWORK = Step("rework", CHECKER, "现场核查，问题仍在", ("failed_check", "dissatisfied", "recurred"))
EVALUATE = Step("evaluated", CHECKER, "电话回访")
ARCHIVE = Step("archived", OPERATOR, "归档")

_ORDINARY = (REPORT, ACCEPT, DISPATCH, HANDLE, FEED_BACK, CLOSE)
_DETOURS: dict[str, tuple[Step, ...]] = {
    "ordinary": _ORDINARY,
    "self_handled": (Step("feedback", REPORTER, "当场解决"), CLOSE),
    "site_check": (*_ORDINARY[:5], replace(CLOSE, role=REPORTER, note="网格员现场核查")),
    "chief_accepts": (REPORT, replace(ACCEPT, role=CHIEF, note="网格长受理"), *_ORDINARY[2:]),
    "returned": (
        REPORT,
        Step("returned", OPERATOR, "请补充具体位置", ("incomplete",)),
        Step("reported", REPORTER, "已补充"),
        *_ORDINARY[1:],
    ),
    "rework": (*_ORDINARY[:5], REWORK, HANDLE, FEED_BACK, CLOSE),
    "suspended": (
        *_ORDINARY[:4],
        Step("suspended", OPERATOR, "承办单位申请挂账，同意", ("waiting", "complex")),
        Step("handling", OPERATOR, "条件具备，恢复办理"),
        *_ORDINARY[4:],
    ),
    "extended": (
        *_ORDINARY[:4],
        Step("handling", OPERATOR, "承办单位申请延期，同意", ("complex", "waiting"), later_due=True),
        *_ORDINARY[4:],
    ),
    "sent_back": (
        *_ORDINARY[:3],
        Step("accepted", OPERATOR, "承办单位申请回退，同意", ("wrong_unit",)),
        replace(DISPATCH, other_unit=True),
        *_ORDINARY[3:],
    ),
    "two_checks": (*_ORDINARY[:5], replace(CLOSE, twin=REWORK), HANDLE, FEED_BACK, CLOSE),
    "skipped": (*_ORDINARY[:3], Step("closed", OWNER, "办完了", refused="transition"), *_ORDINARY[3:]),
    "own_check": (
        *_ORDINARY[:4],
        replace(FEED_BACK, staff=DOUBLE_DUTY),
        replace(CLOSE, staff=DOUBLE_DUTY, refused="guard"),
        CLOSE,
    ),
    "forgot": (REPORT, Step("returned", OPERATOR, "退回", refused="guard"), *_ORDINARY[1:]),
}
VOID_WALK = (REPORT, Step("void", OPERATOR, "核实后作废", ("mistaken", "duplicate", "test")))


def plan_fates(rng: Random, events: int, closed: int) -> tuple[list[Fate], list[Fate]]:
    """Return the fates of *events* events, *closed* of them closed in the end, and those of the void ones."""
    names = _detours(rng, closed)
    fates = [_closed_fate(rng, name) for name in names]
    fates += [_open_fate(OPEN_ENDS[i % len(OPEN_ENDS)]) for i in range(events - closed)]
    fates = _with_edits(rng, fates)
    fates = _with_publication(rng, fates)
    return fates, [Fate(VOID_WALK, "void") for _ in range(portion(_VOID, events))]


def hold(fate: Fate) -> Fate:
    """Return the fate of an event that is left at `handling`, for the last day."""
    return Fate(_ORDINARY[:4], HELD, category=fate.category)


def portion(share: float, of: int) -> int:
    """Return a share of *of*, at least one."""
    return max(1, round(share * of))


def strays(events: int) -> int:
    """Return how many reports and visits are written in a grid where the writer may not write."""
    return portion(_STRAYS, events)


def _detours(rng: Random, closed: int) -> list[str]:
    names = [name for name, share in _SHARES.items() for _ in range(portion(share, closed))]
    names = names[:closed] + ["ordinary"] * (closed - len(names))
    rng.shuffle(names)
    return names


def _closed_fate(rng: Random, name: str) -> Fate:
    steps = _DETOURS[name]
    if rng.random() < _EVALUATED:
        steps = (*steps, EVALUATE)
        if rng.random() < _ARCHIVED:
            steps = (*steps, ARCHIVE)
    return Fate(steps, name, category=DOUBLE_CATEGORY if name == "own_check" else None)


def _open_fate(end: str) -> Fate:
    """The shortest way that ends in the open state *end*."""
    ways: Iterable[tuple[Step, ...]] = (_DETOURS[name] for name in ("ordinary", "returned", "rework", "suspended"))
    for way in ways:
        targets = [step.target for step in way]
        if end in targets:
            return Fate(way[: targets.index(end) + 1], "open")
    raise ValueError(end)


def _with_edits(rng: Random, fates: list[Fate]) -> list[Fate]:
    """Give some ordinary events a concurrent edit; about one in four is settled later."""
    long = [i for i, fate in enumerate(fates) if fate.name == "ordinary" and len(fate.steps) > len(_ORDINARY) - 1]
    wanted = ["title"] * portion(_TITLES, len(fates)) + ["category"] * portion(_CATEGORIES, len(fates))
    wanted = wanted if len(fates) > _FEW else [*wanted, "title", "category", "title", "category", "title"]
    chosen = rng.sample(long, min(len(long), len(wanted)))
    count: Counter[str] = Counter()
    for i, name in zip(chosen, wanted, strict=False):
        count[name] += 1
        edit = Edit(name, "dispatched", resolved=count[name] % 4 == 0)
        fates[i] = replace(fates[i], edit=edit)
    return fates


_FEW = 250  # with fewer events the shares above would give fewer conflicts than the story needs


def _with_publication(rng: Random, fates: list[Fate]) -> list[Fate]:
    ended = [i for i, fate in enumerate(fates) if fate.is_closed]
    chosen = rng.sample(ended, round(len(ended) * _PUBLISHED))
    careless = set(chosen[: portion(_CARELESS, len(chosen))])
    for i in chosen:
        fates[i] = replace(fates[i], published=True, careless=i in careless)
    return fates
