"""Every input that was kept, and small damages of it, is read back to the same bytes or refused by an error of ours.

Without atheris: `make fuzz` looks for new ones.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
DAMAGES = 12  # of each input
MAX_KEPT_BYTES = 16_384


def damaged(data: bytes) -> Iterator[bytes]:
    """Yield *data* cut short, with bytes changed, doubled and left out; always the same ones."""
    chance = random.Random(data)
    for number in range(DAMAGES if data else 0):
        at = chance.randrange(len(data))
        yield [
            data[:at],
            data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
            data[:at] + data[at : at + 8] * 3 + data[at + 8 :],
            data[:at] + data[at + 1 :],
        ][number % 4]


def test_every_target_has_inputs_and_every_input_a_target() -> None:
    """A folder for each, nothing large in it."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert max(path.stat().st_size for path in CORPUS.rglob("*")) <= MAX_KEPT_BYTES


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_kept_is_read_or_refused(name: str) -> None:
    """Both happen; nothing else does."""
    seen = {True: 0, False: 0}
    for path in sorted((CORPUS / name).iterdir()):
        data = path.read_bytes()
        for each in (data, *damaged(data)):
            seen[TARGETS[name](each)] += 1
    assert seen[True] >= 1
    assert seen[False] >= 1
