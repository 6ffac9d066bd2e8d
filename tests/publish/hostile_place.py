"""A place whose rows are all hostile, made and published as any other: devices sign them, the centre publishes them."""

import json
from dataclasses import dataclass
from pathlib import Path

from syncgov.core.register import parse_register
from syncgov.publish.publish import publish
from tests.helpers import World
from tests.hostile import FORMULAS, TEXTS, acceptable
from tests.publish.place import CREW, LAMP, add

_CREW = CREW.replace("type: text, class", "type: text, max_length: 20000, class")
_WIDE = (
    LAMP.replace("max_length: 200,", "max_length: 20000,")
    .replace("page: list\n  title: words", "page: list\n  title: words\n  summary: [state, crew, parts]")
    .replace("summary: [", "sections: [{column: words, as: text}, {column: parts, as: list}]\n  summary: [")
)
SIGNED = {name: acceptable(text) for name, text in TEXTS.items()}  # name -> what a device can sign of it


@dataclass(frozen=True)
class HostilePlace:
    """A published folder, and the lamps in it: key -> its words."""

    out: Path
    charter: Path
    centre: Path
    lamps: dict[str, str]


def make_hostile_place(folder: Path, *, portal: bool = True) -> HostilePlace:
    """Make and publish the place."""
    registers = [parse_register(_WIDE, "lamp.yml"), parse_register(_CREW, "crew.yml")]
    with World.make(folder, registers) as world:
        crews = {f"{at} {name}": text for at, (name, text) in enumerate(SIGNED.items())}
        world.centre.write("crew", [(f"<i>{key}", {"name": text}) for key, text in crews.items()])
        device = world.device("east", staff=["<b>W1"])
        lamps = {}
        for number, text in enumerate([*SIGNED.values(), *FORMULAS]):
            key = add(device, number, kind="bulb", words=text, parts=_items(text))
            lamps[key] = text
        world.sync(device, "<b>W1")
        publish(world.centre, folder / "out", portal=portal)
    return HostilePlace(folder / "out", folder / "centre/charter.json", folder / "centre", lamps)


def _items(text: str) -> str:
    return json.dumps([text[:4000], {"a": text[:4000]}], ensure_ascii=False)
