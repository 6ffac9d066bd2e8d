"""Private strings of the demo that may be found nowhere but where they belong.

A canary is planted in a private or internal field by an ordinary write of the story. Afterwards a test searches every
published file and every device for it. Each is unique and unlikely to arise by chance, in Chinese and in ASCII, so that
escaped, base64 and compressed copies are found too.
"""

from dataclasses import dataclass
from random import Random

# Rare enough that no template of the story contains them next to each other.
_GLYPHS = "鹮鸬鹚麂獾貉貂鼬狍獐鸢鹞隼鸮鹧鸪鹌鹑鸲鸫鹟鹛鹨鹀"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_GLYPH_COUNT = 4
_LETTER_COUNT = 10  # 32**10 possibilities: no accident


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted string.

    Attributes:
        text: what to search for.
        register, key, column: where it was written.
        grid: grid code of the record; devices outside it may not hold the record at all.
        device_index: the author's device, where it must be found.
    """

    text: str
    register: str
    key: str
    column: str
    grid: str
    device_index: int


def canary_text(rng: Random) -> str:
    """Return a fresh canary: 4 rare characters and 10 ASCII letters, such as 鹮貉隼鹀K7Q2M9XW3A."""
    glyphs = "".join(rng.sample(_GLYPHS, _GLYPH_COUNT))
    return glyphs + "".join(rng.choices(_LETTERS, k=_LETTER_COUNT))
