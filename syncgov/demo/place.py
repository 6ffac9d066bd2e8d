"""The place of the story: 天水郡街道 with its real communities and counts, and invented people, devices and compounds.

Facts (communities, counts) are those of data/divisions.csv and data/figures.csv. Everything else is made from the rng,
so that the same seed gives the same place.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import islice
from random import Random

AREA = "620502007"
_GRID_COUNTS = (22, 21, 20, 19, 21, 20, 20, 19, 19)  # 181
_WORKER_COUNTS = (10, 10, 10, 9, 10, 9, 9, 9, 9)  # 85
_HELPER_COUNTS = (4, 4, 3, 3, 3, 3, 3, 3, 3)  # 29
_CHIEFS_EACH = 2
_GRIDS_OF_A_HELPER = 4
_SHARED_EACH = 3  # tablets that the workers of a community use in turn
_SECOND_WORKER = 0.18  # share of grids that two workers look after
_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙马胡朱郭何罗高林郑梁谢唐许冯宋韩邓彭曹曾田萧潘袁蔡蒋余于杜叶程魏苏吕丁沈任姚卢傅钟崔"
)
DOUBLE_DUTY = "zzzx02"  # handles for the street's centre and also checks, so he may happen to check himself
DOUBLE_CATEGORY = "zongzhi"  # what that centre handles
MAX_AREAS = 16  # of a certificate: protocol page, section 8


@dataclass(frozen=True, slots=True)
class Community:
    """A community (社区) of the street. `number` counts from 1."""

    code: str
    name: str
    number: int

    @property
    def short(self) -> str:
        """The name as people say it: 莲亭社区."""
        return self.name.split("居")[0]

    @property
    def committee(self) -> str:
        """The key of its residents' committee as an organisation."""
        return f"{self.code}-jwh"


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid (网格): 12 digits of the community and 3 of its own."""

    code: str
    name: str
    community: Community
    households: int
    residents: int


@dataclass(frozen=True, slots=True)
class Compound:
    """A residential compound (小区); `kind` is new or old; it lies in `grid`."""

    key: str
    name: str
    kind: str
    grid: Grid


@dataclass(frozen=True, slots=True)
class Org:
    """An organisation; `unit` says that events are dispatched to it."""

    key: str
    name: str
    kind: str
    phone: str
    area: str
    unit: bool


@dataclass(frozen=True, slots=True)
class Category:
    """An event category and the unit that usually handles it."""

    key: str
    name: str
    unit: str
    limit_days: int
    description: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on duty; never a full name. `area` is what he is responsible for."""

    key: str
    name: str
    role: str
    area: str
    org: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """A person looks after an area in a role."""

    staff: str
    area: str
    role: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device: where it may write, as what, in whose hands. `index` is its place in `Place.devices`.

    What its `units` are responsible for it may write wherever that lies.
    """

    index: int
    label: str
    roles: tuple[str, ...]
    areas: tuple[str, ...]
    staff: tuple[str, ...]
    units: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        """The role it is mostly used in."""
        return self.roles[0]


@dataclass(frozen=True, slots=True)
class Place:
    """All that exists before the first event is reported."""

    area: str
    name: str
    communities: tuple[Community, ...]
    grids: tuple[Grid, ...]
    compounds: tuple[Compound, ...]
    orgs: tuple[Org, ...]
    categories: tuple[Category, ...]
    people: tuple[Person, ...]
    assignments: tuple[Assignment, ...]
    devices: tuple[Device, ...]

    @property
    def workers(self) -> tuple[Person, ...]:
        """The 85 grid workers (网格员)."""
        return tuple(person for person in self.people if person.role == "grid_worker")

    def devices_of(self, role: str) -> tuple[Device, ...]:
        """Return the devices mostly used as *role*."""
        return tuple(device for device in self.devices if device.role == role)


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of data/<name>.csv."""
    text = resources.files("syncgov.demo").joinpath(f"data/{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def facts() -> dict[str, int]:
    """Return the counts that the source document states."""
    return {row["name"]: int(row["value"]) for row in read_table("figures")}


def make_place(seed: int) -> Place:
    """Return the place made from *seed*; only invented details depend on the seed."""
    rng = Random(f"place {seed}")
    street, *villages = read_table("divisions")
    communities = tuple(Community(row["code"], row["name"], n) for n, row in enumerate(villages, 1))
    grids = _make_grids(rng, communities)
    orgs = _make_orgs(communities)
    categories = tuple(
        Category(r["code"], r["name"], r["unit"], int(r["limit_days"]), r["description"])
        for r in read_table("categories")
    )
    people, assignments = _make_people(rng, communities, grids, orgs)
    devices = _make_devices(communities, people, assignments, orgs)
    return Place(
        area=street["code"],
        name=street["name"],
        communities=communities,
        grids=grids,
        compounds=_make_compounds(rng, communities, grids),
        orgs=orgs,
        categories=categories,
        people=people,
        assignments=assignments,
        devices=devices,
    )


def spread(rng: Random, total: int, parts: int, uneven: float) -> list[int]:
    """Return *parts* positive integers that add up to exactly *total*, each off the mean by at most about *uneven*."""
    weights = [1 + rng.uniform(-uneven, uneven) for _ in range(parts)]
    scale = total / sum(weights)
    amounts = [max(1, int(weight * scale)) for weight in weights]
    for i in islice(rng.sample(range(parts), parts), total - sum(amounts)):
        amounts[i] += 1
    return amounts


def _make_grids(rng: Random, communities: Sequence[Community]) -> tuple[Grid, ...]:
    stated = facts()
    count = sum(_GRID_COUNTS)
    households = spread(rng, stated["households"], count, 0.35)
    # one person lives in every household; the others are spread by its size
    others = spread(rng, stated["residents"] - stated["households"], count, 0.35)
    grids: list[Grid] = []
    for community, size in zip(communities, _GRID_COUNTS, strict=True):
        for number in range(1, size + 1):
            at = len(grids)
            name = f"{community.short}第{number}网格"
            code = f"{community.code}{number:03d}"
            grids.append(Grid(code, name, community, households[at], households[at] + others[at]))
    return tuple(grids)


def _make_orgs(communities: Sequence[Community]) -> tuple[Org, ...]:
    listed = [Org(r["code"], r["name"], r["kind"], r["phone"], r["area"], r["unit"] == "1") for r in read_table("orgs")]
    committees = [
        Org(c.committee, c.name, "居民委员会", f"0938-00004{c.number:02d}", c.code, unit=True) for c in communities
    ]
    return (*listed, *committees)


def _make_compounds(rng: Random, communities: Sequence[Community], grids: Sequence[Grid]) -> tuple[Compound, ...]:
    made = []
    free = {c.number: rng.sample(grids_of(grids, c), len(grids_of(grids, c))) for c in communities}
    for number, row in enumerate(read_table("compounds"), 1):
        grid = free[int(row["community"])].pop()
        made.append(Compound(f"xq{number:03d}", row["name"], row["kind"], grid))
    return tuple(made)


def grids_of(grids: Iterable[Grid], community: Community) -> list[Grid]:
    """Return the grids of a community, in order."""
    return [grid for grid in grids if grid.community is community]


class _Roster:
    """Hires people and says who looks after what."""

    def __init__(self, rng: Random) -> None:
        self.people: list[Person] = []
        self.assignments: list[Assignment] = []
        self._rng = rng

    def hire(self, key: str, role: str, area: str, org: str) -> Person:
        person = Person(key, f"{self._rng.choice(_SURNAMES)}某", role, area, org)
        self.people.append(person)
        return person

    def hire_in(self, community: Community, grids: Sequence[Grid], workers: int, helpers: int) -> None:
        """The people of a community: workers and helpers of its grids, chiefs, a handler."""

        def several(prefix: str, role: str, count: int) -> list[Person]:
            numbers = range(1, count + 1)
            keys = [f"{prefix}{community.number}{n:02d}" for n in numbers]
            return [self.hire(key, role, community.code, community.committee) for key in keys]

        self.assignments += _assign_workers(self._rng, several("wg", "grid_worker", workers), grids)
        for helper in several("fz", "grid_helper", helpers):
            own = self._rng.sample(grids, _GRIDS_OF_A_HELPER)
            self.assignments += [Assignment(helper.key, grid.code, helper.role) for grid in own]
        for chief in several("wz", "grid_chief", _CHIEFS_EACH):
            self.assignments.append(Assignment(chief.key, community.code, chief.role))
        several("cb", "handler", 1)

    def hire_centrally(self, orgs: Sequence[Org]) -> None:
        """The people of the whole street: handlers of the units, and those of its centre."""
        for org in orgs:
            if org.unit and org.area == AREA:
                for n in (1, 2):
                    self.hire(f"{org.key.removeprefix(AREA + '-')}{n:02d}", "handler", AREA, org.key)
        for role, prefix, count in (("operator", "cz", 4), ("checker", "hc", 4), ("publisher", "gk", 2)):
            for n in range(1, count + 1):
                self.hire(f"{prefix}{n:02d}", role, AREA, f"{AREA}-zzzx")
        self.hire("jd01", "auditor", AREA, f"{AREA}-jdw")


def _make_people(
    rng: Random, communities: Sequence[Community], grids: Sequence[Grid], orgs: Sequence[Org]
) -> tuple[tuple[Person, ...], tuple[Assignment, ...]]:
    roster = _Roster(rng)
    for community, workers, helpers in zip(communities, _WORKER_COUNTS, _HELPER_COUNTS, strict=True):
        roster.hire_in(community, grids_of(grids, community), workers, helpers)
    roster.hire_centrally(orgs)
    return tuple(roster.people), tuple(roster.assignments)


def _assign_workers(rng: Random, workers: Sequence[Person], grids: Sequence[Grid]) -> list[Assignment]:
    """Every grid gets a worker, neighbours the same one; some get a second, so that some workers have three or more."""
    pairs = [(workers[i * len(workers) // len(grids)], grid) for i, grid in enumerate(grids)]
    for i, grid in enumerate(grids):
        if rng.random() < _SECOND_WORKER:
            other = workers[(i * len(workers) // len(grids) + 1) % len(workers)]
            pairs.append((other, grid))
    return [Assignment(worker.key, grid.code, worker.role) for worker, grid in pairs]


class _Issuer:
    """Hands out devices, numbered in order."""

    def __init__(self, people: Sequence[Person], assignments: Sequence[Assignment]) -> None:
        self.devices: list[Device] = []
        self._people = people
        self._areas: dict[str, list[str]] = {}
        for each in assignments:
            self._areas.setdefault(each.staff, []).append(each.area)

    def staff(self, role: str, area: str = AREA, org: str = "") -> list[str]:
        """Return the keys of those with *role* for exactly *area* (and of *org*)."""
        return [p.key for p in self._people if p.role == role and p.area == area and org in ("", p.org)]

    def grids(self, *staff: str) -> tuple[str, ...]:
        """Return the areas that these people look after."""
        areas = sorted({area for key in staff for area in self._areas[key]})
        assert len(areas) <= MAX_AREAS
        return tuple(areas)

    def issue(
        self, label: str, roles: Iterable[str], areas: Iterable[str], staff: Iterable[str], units: Iterable[str] = ()
    ) -> None:
        made = Device(len(self.devices), label, tuple(roles), tuple(areas), tuple(staff), tuple(units))
        self.devices.append(made)


def _make_devices(
    communities: Sequence[Community],
    people: Sequence[Person],
    assignments: Sequence[Assignment],
    orgs: Sequence[Org],
) -> tuple[Device, ...]:
    issuer = _Issuer(people, assignments)
    for community in communities:
        _issue_field_devices(issuer, community)
    for org in orgs:
        if org.unit and org.area == AREA:
            issuer.issue(f"{org.name}承办终端", ["handler"], [], issuer.staff("handler", org=org.key), [org.key])
    _issue_centre_devices(issuer)
    return tuple(issuer.devices)


def _issue_field_devices(issuer: _Issuer, community: Community) -> None:
    code, short = community.code, community.short
    workers = issuer.staff("grid_worker", code)
    for key in workers:
        issuer.issue(f"{short}网格员终端{key}", ["grid_worker"], issuer.grids(key), [key])
    for n in range(_SHARED_EACH):
        pool = workers[n * 3 : n * 3 + 3]
        issuer.issue(f"{short}值班平板{n + 1}", ["grid_worker"], issuer.grids(*pool), pool)
    for key in issuer.staff("grid_helper", code):
        issuer.issue(f"{short}辅助员终端{key}", ["grid_helper"], issuer.grids(key), [key])
    for key in issuer.staff("grid_chief", code):
        issuer.issue(f"{short}网格长终端{key}", ["grid_chief"], [code], [key])
    issuer.issue(f"{short}承办终端", ["handler"], [code], issuer.staff("handler", code))


def _issue_centre_devices(issuer: _Issuer) -> None:
    operators, checkers = issuer.staff("operator"), issuer.staff("checker")
    for n in range(3):
        issuer.issue(f"综治平台坐席{n + 1}", ["operator"], [AREA], [operators[n], operators[3]])
    for n in range(3):
        double = [DOUBLE_DUTY] if n == 2 else []
        issuer.issue(f"核查终端{n + 1}", ["checker"], [AREA], [checkers[n], checkers[3], *double])
    issuer.issue("公开审核终端", ["publisher"], [AREA], issuer.staff("publisher"))
    issuer.issue("居务监督终端", ["auditor"], [AREA], issuer.staff("auditor"))
