"""Invented photos: where a step needs photos before and after, two small pictures drawn from the record's key."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from functools import lru_cache

from syncgov.demo.plan import Write
from syncgov.demo.writing import EVENT
from syncgov.storage.attaching import attach
from syncgov.storage.replica import Replica

_SIZE = (160, 120)
_PHASES = ("before", "after")
_SHOWN = "feedback"  # the state that the registers allow with photos alone


def add_photos(replica: Replica, writes: Sequence[Write]) -> int:
    """Add the photos that *writes* need, before they are signed; returns how many."""
    made = 0
    for write in writes:
        for phase, photo in photos_of([write]):
            attach(replica, write.register, write.key, photo, phase=phase)
            made += 1
    return made


def photos_of(writes: Sequence[Write]) -> Iterator[tuple[str, bytes]]:
    """Yield (phase, PNG file) for every step that needs photos; the same for the same step."""
    for write in writes:
        if write.register == EVENT and write.columns.get("state") == _SHOWN:
            for phase in _PHASES:
                yield phase, draw(f"{write.key} {phase} {write.columns.get('due')}")


@lru_cache(maxsize=8)
def draw(seed: str) -> bytes:
    """Return a picture of sky, wall and ground in colours that depend on *seed*, as PNG."""
    from PIL import Image, ImageDraw

    bits = hashlib.sha256(seed.encode()).digest()
    image = Image.new("RGB", _SIZE, (150 + bits[0] % 80, 180 + bits[1] % 60, 220))
    pen = ImageDraw.Draw(image)
    horizon = 50 + bits[2] % 30
    pen.rectangle((0, horizon, *_SIZE), fill=(110 + bits[3] % 60, 100 + bits[4] % 50, 90))
    for n in range(5, 25, 4):
        left, top, wide, high = bits[n] % 140, horizon - bits[n + 1] % 40, 8 + bits[n + 2] % 40, 10 + bits[n + 3] % 60
        pen.rectangle((left, top, left + wide, top + high), fill=tuple(bits[n : n + 3]))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
