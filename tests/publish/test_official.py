"""Which telephones are official: typed by the registrar in public columns; an outline's digits are none."""

import json
import pathlib

from syncgov.core.commitment import Path
from syncgov.publish.review import Reader
from syncgov.storage.files import builtin_folder, read_registers
from tests.helpers import ManualClock, World

UNIT = "620502007001"
OFFICE = "0938-0001101"


def test_work_telephones_are_official_and_outlines_are_not(tmp_path: pathlib.Path) -> None:
    """A text may name the worker's telephone; a number that also stands among an outline's digits is still a hit."""
    ring = [[105.8211234, 34.0], [105.9, 34.0], [105.9, 34.1], [105.8211234, 34.0]]
    outline = json.dumps({"type": "Polygon", "coordinates": [ring]})
    row = {"area": UNIT, "level": "community", "name": "莲亭社区", "outline": outline}
    staff = {"work_no": "WG101", "post": "grid_worker", "community": UNIT, "work_phone": OFFICE, "name": "王某"}
    with World.make(tmp_path, read_registers(builtin_folder()), ManualClock()) as world:
        world.centre.write("grid_unit", [(UNIT, row)])
        world.centre.write("staff", [("wg101", staff)])
        ledger = world.centre.ledger
        reader = Reader(ledger, ledger.registers(ledger.size))
        text = Path("deliberation", "0", "follow_up")
        assert not reader.is_hit(text, f"有事请拨打网格员电话 {OFFICE}。")
        assert reader.is_hit(text, "有事请拨打电话 8211234。")
