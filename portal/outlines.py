"""Outlines of areas: from the GeoJSON that a register publishes to the few points that a small drawing needs.

Source: RFC 7946; protocol page, section 9.
"""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Point: TypeAlias = list[float]  # latitude, longitude, as the drawing wants them
Shape: TypeAlias = list[list[list[Point]]]  # polygons; each an outer ring, then its holes

MAX_POINTS = 20_000  # of one outline as published: a county at a metre; more is a mistake
DRAWN_POINTS = 160  # of one outline on the map: its page must not grow with the surveyor's care
LEAST = 4  # points of a ring, the first of them again at its end
DIGITS = 5  # of degrees: a metre


def parse_outline(text: str) -> Shape | None:
    """Return the polygons of a GeoJSON `Polygon` or `MultiPolygon`; None for anything else."""
    try:
        found = json.loads(text)
        kind, coordinates = found["type"], found["coordinates"]
        polygons = {"Polygon": [coordinates], "MultiPolygon": coordinates}[kind]
        rings = [[[_point(place) for place in ring] for ring in polygon] for polygon in polygons]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None
    closed = all(len(ring) >= LEAST and ring[0] == ring[-1] for ring in _rings(rings))
    if not rings or not all(rings) or not closed or sum(map(len, _rings(rings))) > MAX_POINTS:
        return None
    return _thinned(rings)


def _point(place: Any) -> Point:
    """Return a position; ValueError unless it is one on the earth."""
    longitude, latitude = place[0], place[1]
    if isinstance(longitude, bool) or isinstance(latitude, bool):
        raise ValueError("a position is two numbers")
    if not (math.isfinite(longitude) and abs(longitude) <= 180 and math.isfinite(latitude) and abs(latitude) <= 90):
        raise ValueError("a position beyond the earth")
    return [round(latitude, DIGITS), round(longitude, DIGITS)]


def _rings(shape: Shape) -> Iterator[list[Point]]:
    for polygon in shape:
        yield from polygon


def _thinned(shape: Shape) -> Shape:
    """Return the shape with no more points than a drawing needs: of each ring every so many-th, and its end."""
    step = -(-sum(map(len, _rings(shape))) // DRAWN_POINTS)
    return [[_every(ring, step) for ring in polygon] for polygon in shape]


def _every(ring: Sequence[Point], step: int) -> list[Point]:
    step = max(1, min(step, (len(ring) - 1) // (LEAST - 1)))
    return [*ring[:-1:step], ring[-1]]


def short_names(names: Sequence[str]) -> list[str]:
    """Return what tells *names* apart, the names themselves where that is nothing.

    What all begin and end with is left out, then all from the longest words that stand in each: 莲亭 of 莲亭社区居委会.
    """
    head = _common(names)
    tail = _common([name[head:][::-1] for name in names])
    short = _told_apart([name[head : len(name) - tail] for name in names], names)
    shared = _shared(short)
    return _told_apart([name.partition(shared)[0] for name in short], short) if shared else short


def _told_apart(short: list[str], names: Sequence[str]) -> list[str]:
    return short if all(short) and len(set(short)) == len(set(names)) else list(names)


def _common(names: Sequence[str]) -> int:
    """Return how many characters all *names* begin with, none of a single name; a number is not cut in two."""
    number = 0
    for signs in zip(*names, strict=False) if len(names) > 1 else ():
        if len(set(signs)) > 1:
            break
        number += 1
    while number and any(name[number - 1].isdigit() and name[number : number + 1].isdigit() for name in names):
        number -= 1
    return number


def _shared(names: Sequence[str]) -> str:
    """Return the longest run of two characters or more that stands in each of several names, '' without one."""
    if len(names) < 2:
        return ""
    first = min(names, key=len)
    for size in range(len(first), 1, -1):
        for at in range(len(first) - size + 1):
            if all(first[at : at + size] in name for name in names):
                return first[at : at + size]
    return ""
