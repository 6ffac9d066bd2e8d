"""Outlines of the communities and grids: a field of crooked squares that is nowhere, so that nobody takes it for real.

It has dice of its own: the rest of the place does not depend on it.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from random import Random

from syncgov.demo.place import Community, Place, grids_of

_LONG, _LAT = 105.0, 34.0  # the south-west corner: a round number
_SIDE = 0.012  # degrees of a community, about a kilometre
_CROOKED = 0.22  # of a side, how far a corner may be off
_ROWS = 4  # of grids in a community
_ACROSS = 3  # communities in a row
_DIGITS = 6

Point = tuple[float, float]  # longitude, latitude
Corners = tuple[Point, Point, Point, Point]  # of a square: south-west, south-east, north-west, north-east


def make_outlines(place: Place) -> Mapping[str, str]:
    """Return the outline of each community and grid as GeoJSON, by code; neighbours share their edges."""
    rng = Random(f"outlines {place.area}")
    down = -(-len(place.communities) // _ACROSS)
    lattice = {(x, y): _corner(rng, x, y) for y in range(down + 1) for x in range(_ACROSS + 1)}
    found: dict[str, str] = {}
    for at, community in enumerate(place.communities):
        y, x = divmod(at, _ACROSS)
        corners = (lattice[x, y], lattice[x + 1, y], lattice[x, y + 1], lattice[x + 1, y + 1])
        found[community.code] = _polygon(corners, 0, 1, 0, 1)
        found |= dict(_grids(place, community, corners))
    return found


def _corner(rng: Random, x: int, y: int) -> Point:
    east, north = rng.uniform(-_CROOKED, _CROOKED), rng.uniform(-_CROOKED, _CROOKED)
    return _LONG + (x + east) * _SIDE, _LAT + (y + north) * _SIDE


def _grids(place: Place, community: Community, corners: Corners) -> Iterator[tuple[str, str]]:
    """Yield the grids of a community, row by row from the north, as many in each row as possible alike."""
    grids = grids_of(place.grids, community)
    cuts = [len(grids) * row // _ROWS for row in range(_ROWS + 1)]
    for row, (first, after) in enumerate(pairwise(cuts)):
        north, south = 1 - row / _ROWS, 1 - (row + 1) / _ROWS
        for at, grid in enumerate(grids[first:after]):
            yield grid.code, _polygon(corners, at / (after - first), (at + 1) / (after - first), south, north)


def _polygon(corners: Corners, west: float, east: float, south: float, north: float) -> str:
    """Return the part of a community between these shares of its width and height."""
    around = ((west, south), (east, south), (east, north), (west, north), (west, south))
    ring = [_between(corners, across, up) for across, up in around]
    return json.dumps({"type": "Polygon", "coordinates": [ring]}, separators=(",", ":"))


def _between(corners: Corners, across: float, up: float) -> list[float]:
    weights = ((1 - across) * (1 - up), across * (1 - up), (1 - across) * up, across * up)
    return [
        round(sum(weight * point[axis] for weight, point in zip(weights, corners, strict=True)), _DIGITS)
        for axis in (0, 1)
    ]
