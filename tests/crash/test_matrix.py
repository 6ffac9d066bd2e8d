"""Whatever the moment of death: nothing written is lost, nothing acknowledged is missing, no dot is used twice.

Here a sample; `make crash` kills at every step.
"""

import pytest

from tests.crash.matrix import killed
from tests.crash.scenarios import SCENARIOS

KINDS_OF = {"key file": 5, "ask to join by file": 5, "intake": 8, "publish": 10, "receive at the centre": 7}


def test_commit_killed_before_every_statement() -> None:
    """Either nothing is signed or everything is, wherever the process died."""
    assert killed("commit", only="sql")["sql"] > 10


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_sample_of_deaths(name: str) -> None:
    """Of every kind of step some, evenly spread over the work."""
    kills = killed(name, per_kind=SCENARIOS[name].sample)
    assert len(kills) >= KINDS_OF.get(name, 5), kills  # not vacuous: statements, SQLite's files and our own
