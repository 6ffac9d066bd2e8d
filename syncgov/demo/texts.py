"""Varied, invented Chinese texts of the story: what a grid worker types and what a publisher makes of it.

Nobody real is meant: people are 王某 or 李女士, telephone numbers begin with 000 or are digits that no exchange uses.
The careless texts at the end contain what the detectors of publication must catch.
"""

import datetime
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from random import Random
from typing import Any

import yaml

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_CHECKS = "10X98765432"  # GB 11643: check characters of remainders 0 … 10


@dataclass(frozen=True, slots=True)
class Issue:
    """One kind of trouble, chosen for one event.

    Attributes:
        category: code of the event category.
        place: where exactly, internal.
        compound: where roughly, fit for the public.
        name, detail, act: what it is, what was seen, what is done about it.
        found, spread, asked: how it was found, whom it concerns, what is asked for.
    """

    category: str
    place: str
    compound: str
    name: str
    detail: str
    act: str
    found: str
    spread: str
    asked: str

    @property
    def title(self) -> str:
        """The worker's title."""
        return f"{self.place}{self.name}"

    @property
    def description(self) -> str:
        """The worker's description, internal."""
        return f"{self.found}：{self.place}{self.detail}，{self.spread}，{self.asked}。"

    @property
    def public_title(self) -> str:
        """The publisher's title: no building, no person."""
        return f"{self.compound}{self.name}"

    @property
    def public_description(self) -> str:
        """The publisher's description."""
        return f"{self.compound}一带{self.detail}，{self.spread}。"

    @property
    def result(self) -> str:
        """What the handler reports, and what the publisher makes public."""
        return f"{self.act}。"


@functools.cache
def material() -> Mapping[str, Any]:
    """Return the templates of data/texts.yml."""
    text = resources.files("syncgov.demo").joinpath("data/texts.yml").read_text(encoding="utf-8")
    loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert isinstance(loaded, dict)
    return loaded


def pick(rng: Random, name: str) -> str:
    """Return one of the strings listed under *name*."""
    return str(rng.choice(material()[name]))


def make_issue(rng: Random, category: str, compound: str) -> Issue:
    """Return an issue of *category* in or near *compound*."""
    kind = rng.choice(material()["categories"][category])
    spot = pick(rng, "spots" if rng.random() < 0.75 else "streets")
    return Issue(
        category=category,
        place=f"{compound}{spot}",
        compound=compound,
        name=kind["issue"],
        detail=kind["detail"],
        act=kind["act"],
        found=pick(rng, "found"),
        spread=pick(rng, "spread"),
        asked=pick(rng, "asked"),
    )


def visit_note(rng: Random, kind: str, compound: str) -> str:
    """Return the note of a visit of *kind*."""
    return str(rng.choice(material()["visits"][kind])).format(place=f"{compound}{pick(rng, 'spots')}")


def disclosure(rng: Random, community: str, formed: datetime.date) -> dict[str, str]:
    """Return catalog, kind, period, title and body of a disclosure made about that day."""
    template = rng.choice(material()["disclosures"])
    period = f"{formed.year}年第{'一二三四'[(formed.month - 1) // 3]}季度"
    spent = rng.randrange(20, 80) * 100
    k = rng.randrange(1, 5)
    values = {
        "community": community,
        "period": period,
        "topic": pick(rng, "projects"),
        "a": spent + rng.randrange(1, 90) * 100,
        "b": spent,
        "c": spent // 2,
        "k": k,
        "j": rng.randrange(0, k + 1),
        "n": rng.randrange(15, 40),
        "m": rng.randrange(40, 120),
    }
    names = {"catalog": template["catalog"], "kind": template["kind"], "period": period}
    return names | {part: template[part].format(**values) for part in ("title", "body")}


def impossible_phone(rng: Random) -> str:
    """Return eleven digits that cannot be a telephone number: none begins with 000."""
    return f"000{rng.randrange(10**8):08d}"


def careless_phone(rng: Random) -> str:
    """Return a telephone number as careless text contains it, with an exchange (0000) that does not exist."""
    return f"0938-0000{rng.randrange(10**3):03d}"


def careless_id(rng: Random) -> str:
    """Return 18 characters in the shape of an identity number: right check digit, region 000000, which is no place."""
    born = f"{rng.randrange(1950, 2000)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
    body = f"000000{born}{rng.randrange(1000):03d}"
    total = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, body, strict=True))
    return body + _ID_CHECKS[total % 11]
