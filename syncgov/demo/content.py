"""What is loaded at the centre before the year begins: rows of the registers that the registrar writes.

Micro-powers, policies and the disclosure catalogue are invented examples and marked so. Each row holds its key under
`code`; lists are Python lists, booleans True and False, dates ISO texts.
"""

import datetime
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from syncgov.demo.outlines import make_outlines
from syncgov.demo.place import Person, Place

Row = dict[str, Any]

KEY = "code"
_GRID_SOURCE = "街道总数出自《天水郡街道》案例材料；各网格数为按总数分摊的演示数据"
_EMPLOYMENT = {"grid_worker": "fiscal", "grid_helper": "post", "grid_chief": "part_time"}
_REVIEW_DAYS = 365
_PHONES = {"wg": "0938-0001", "fz": "0938-0002", "wz": "0938-0003"}  # of workers, helpers, chiefs: no such exchange


def content_rows(place: Place, as_of: datetime.date) -> Mapping[str, list[Row]]:
    """Return register -> rows, in an order in which they can be loaded.

    Args:
        as_of: the day before the story begins.
    """
    return {
        "grid_unit": _grid_units(place, as_of),
        "org": _orgs(place),
        "event_category": _categories(place),
        "staff": [_staff(person) for person in place.people],
        "assignment": _assignments(place, as_of),
        "compound": _compounds(place),
        "micro_power": _micro_powers(as_of),
        "policy": _policies(as_of),
        "work_calendar": read_examples("work_calendar"),
        "disclosure_catalog": [row | {"example": True} for row in read_examples("disclosure_catalog")],
    }


def read_examples(name: str) -> list[Row]:
    """Return the items of data/<name>.yml, their key under `code`."""
    text = resources.files("syncgov.demo").joinpath(f"data/{name}.yml").read_text(encoding="utf-8")
    items = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [{KEY: item.pop("key"), **item} for item in items]


def _grid_units(place: Place, as_of: datetime.date) -> list[Row]:
    figures = {"figures_as_of": as_of.isoformat(), "figures_source": _GRID_SOURCE}

    outlines = make_outlines(place)

    def unit(code: str, level: str, parent: str | None, name: str) -> Row:
        inside = [grid for grid in place.grids if grid.code.startswith(code)]
        counts = {"households": sum(g.households for g in inside), "residents": sum(g.residents for g in inside)}
        head = {KEY: code, "area": code, "level": level, "parent": parent, "name": name, "kind": "general"}
        return head | counts | figures | {"outline": outlines.get(code)}

    rows = [unit(place.area, "town", None, place.name)]
    rows += [unit(c.code, "community", place.area, c.name) for c in place.communities]
    rows += [unit(g.code, "grid", g.community.code, g.name) for g in place.grids]
    return rows


def _orgs(place: Place) -> list[Row]:
    head = place.orgs[0].key
    return [
        {
            KEY: org.key,
            "name": org.name,
            "kind": org.kind,
            "parent": None if org.key == head else head,
            "area": org.area,
            "unit": org.unit,
            "phone": org.phone,
        }
        for org in place.orgs
    ]


def _categories(place: Place) -> list[Row]:
    return [
        {
            KEY: each.key,
            "name": each.name,
            "description": each.description,
            "unit": each.unit,
            "limit_days": each.limit_days,
            "sensitive": False,
        }
        for each in place.categories
    ]


def _staff(person: Person) -> Row:
    phone = _PHONES.get(person.key[:2])
    return {
        KEY: person.key,
        "work_no": person.key.upper(),
        "post": person.role,
        "community": person.area,
        "org": person.org,
        "name": person.name,
        "work_phone": None if phone is None else phone + person.key[2:],
        "employment": _EMPLOYMENT.get(person.role, "fiscal"),
    }


def _assignments(place: Place, as_of: datetime.date) -> list[Row]:
    return [
        {
            KEY: f"{each.staff}-{each.area}",
            "staff": each.staff,
            "grid": each.area,
            "role": each.role,
            "valid_from": as_of.isoformat(),
        }
        for each in place.assignments
    ]


def _compounds(place: Place) -> list[Row]:
    return [
        {KEY: each.key, "community": each.grid.community.code, "name": each.name, "kind": each.kind}
        for each in place.compounds
    ]


def _micro_powers(as_of: datetime.date) -> list[Row]:
    added = {
        "version": "示例1",
        "adopted_by": "社区居民代表会议（示例）",
        "adopted_at": as_of.isoformat(),
        "next_review": _next_review(as_of),
        "example": True,
    }
    return [row | added for row in read_examples("micro_powers")]


def _policies(as_of: datetime.date) -> list[Row]:
    added = {
        "level": "街道",
        "effective_from": as_of.isoformat(),
        "reviewed_at": as_of.isoformat(),
        "next_review": _next_review(as_of),
        "example": True,
    }
    return [row | added for row in read_examples("policies")]


def _next_review(as_of: datetime.date) -> str:
    return (as_of + datetime.timedelta(days=_REVIEW_DAYS)).isoformat()
