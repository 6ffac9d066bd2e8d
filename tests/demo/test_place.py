"""The place of the demo has the counts of its source, and what is loaded at the centre fits the registers."""

import datetime
import json
import re
from collections import Counter
from itertools import pairwise

from syncgov.core.register import Register
from syncgov.demo.content import KEY, content_rows
from syncgov.demo.outlines import make_outlines
from syncgov.demo.place import MAX_AREAS, facts, make_place
from tests.demo.replay import REGISTERS

PLACE = make_place(1)


def test_the_place_has_the_counts_of_the_source() -> None:
    """AC-02, AC-03 and AC-18 of the domain page."""
    assert facts() == {
        "households": 31623,
        "residents": 88415,
        "grids": 181,
        "workers": 85,
        "devices": 184,
        "new_compounds": 41,
        "old_compounds": 17,
    }
    counts = (len(PLACE.communities), len(PLACE.grids), len(PLACE.workers), len(PLACE.devices))
    assert counts == (9, 181, 85, 184)
    assert sum(grid.households for grid in PLACE.grids) == 31623
    assert sum(grid.residents for grid in PLACE.grids) == 88415
    assert Counter(each.kind for each in PLACE.compounds) == {"new": 41, "old": 17}
    assert len({each.name for each in PLACE.compounds}) == 58


def test_workers_and_grids_are_n_to_m() -> None:
    """Every grid has a worker; some worker has three; some grid has two."""
    pairs = [(a.staff, a.area) for a in PLACE.assignments if a.role == "grid_worker"]
    of_worker, of_grid = Counter(s for s, _ in pairs), Counter(g for _, g in pairs)
    assert len(of_grid) == 181
    assert len(of_worker) == 85
    assert max(of_worker.values()) >= 3
    assert max(of_grid.values()) >= 2


def test_devices_have_few_areas_and_known_people() -> None:
    """At most 16 prefixes; few devices for the whole street; shared ones and people with several."""
    people = {person.key for person in PLACE.people}
    for index, device in enumerate(PLACE.devices):
        assert device.index == index
        assert len(device.areas) <= MAX_AREAS
        assert bool(device.areas) != bool(device.units)
        assert device.staff
        assert set(device.staff) <= people
    assert sum(PLACE.area in device.areas for device in PLACE.devices) == 8
    handlers = [device for device in PLACE.devices if device.role == "handler"]
    assert sum(bool(device.units) for device in handlers) == len(handlers) - len(PLACE.communities) > 5
    assert sum(len(device.staff) > 1 for device in PLACE.devices) > 20
    assert max(Counter(key for device in PLACE.devices for key in device.staff).values()) >= 2


def test_loaded_rows_fit_their_registers() -> None:
    """Known columns, right types, required ones filled, keys once, references to what exists."""
    rows = content_rows(PLACE, datetime.date(2025, 11, 21))
    for name, found in rows.items():
        register: Register = REGISTERS[name]
        known = {column.name for declared in register.fields for column in declared.columns}
        assert len({row[KEY] for row in found}) == len(found)
        for row in found:
            assert set(row) <= known | {KEY}
            for declared in register.fields:
                value = declared.value({c.name: row.get(c.name) for c in declared.columns})
                declared.check(value)
                assert value is not None or not declared.required
                for column in declared.columns:
                    if column.ref is not None and row.get(column.name) is not None:
                        assert row[column.name] in {each[KEY] for each in rows[column.ref]}, (name, row)


def test_examples_say_so_and_are_complete() -> None:
    """Each micro-power has basis, steps, limit, telephone, and a control for each risk; all are marked as examples."""
    rows = content_rows(PLACE, datetime.date(2025, 11, 21))
    assert (len(rows["micro_power"]), len(rows["policy"]), len(rows["disclosure_catalog"])) == (12, 8, 12)
    for name in ("micro_power", "policy", "disclosure_catalog"):
        assert all(row["example"] is True for row in rows[name])
    powers = rows["micro_power"]
    assert len({row["aspect"] for row in powers}) >= 6
    for row in powers:
        assert len(row["steps"]) >= 3
        assert row["basis"]
        assert row["materials"]
        assert row["time_limit"]
        assert row["phone"].startswith("0938-0000")
        assert row["supervise_phone"].startswith("0938-0000")
        assert all(risk["control"] for risk in row["risk_points"])
    linked = {power for row in rows["policy"] for power in row["micro_powers"]}
    assert linked <= {row[KEY] for row in powers}


def test_outlines_touch_and_do_not_overlap() -> None:
    """Each community and grid has one; the grids of a community cover it exactly; all lie within the field."""
    outlines = {code: json.loads(text)["coordinates"][0] for code, text in make_outlines(PLACE).items()}
    assert outlines.keys() == {c.code for c in PLACE.communities} | {g.code for g in PLACE.grids}
    assert all(ring[0] == ring[-1] and len(ring) == 5 for ring in outlines.values())
    for community in PLACE.communities:
        parts = sum(_size(outlines[grid.code]) for grid in PLACE.grids if grid.community is community)
        assert abs(parts / _size(outlines[community.code]) - 1) < 1e-3
        assert _size(outlines[community.code]) > 0
    longs, lats = zip(*(point for ring in outlines.values() for point in ring), strict=True)
    assert max(longs) - min(longs) < 0.05
    assert max(lats) - min(lats) < 0.05


def _size(ring: list[list[float]]) -> float:
    """Return the area within a ring, in square degrees; positive when it goes against the clock."""
    return sum(x * v - u * y for (x, y), (u, v) in pairwise(ring)) / 2


def test_those_on_duty_have_official_telephones() -> None:
    """Workers, helpers and chiefs each have one of their own, with an exchange that does not exist; others none."""
    rows = content_rows(PLACE, datetime.date(2025, 11, 21))["staff"]
    phones = [row["work_phone"] for row in rows if row["work_phone"]]
    assert len(phones) == len(set(phones)) == 85 + 29 + 18
    assert all(re.fullmatch(r"0938-000[123]\d{3}", phone) for phone in phones)
    assert {row["post"] for row in rows if row["work_phone"]} == {"grid_worker", "grid_helper", "grid_chief"}
