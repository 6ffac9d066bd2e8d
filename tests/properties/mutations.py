"""Mutate one line of merge, verdicts and redaction, one after the other, and demand that a property or vector fails.

usage: python -m tests.properties.mutations [GROUP…]
"""

import sys
from pathlib import Path

import yaml

from tests.breaking import Break, report

FILE = Path(__file__).with_name("mutations.yml")


def mutations(groups: list[str] | None = None) -> list[Break]:
    """Return the mutations of the named groups, of all if none is named."""
    found = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [
        Break(f"{group}: {each['name']}", each["file"], each["line"], each["becomes"], tuple(part["tests"]))
        for group, part in found.items()
        for each in part["mutations"]
        if not groups or group in groups
    ]


if __name__ == "__main__":
    sys.exit(report(mutations(sys.argv[1:])))
