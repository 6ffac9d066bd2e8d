"""Notice-board sheets of a published folder: the portal makes them, in a process of its own, from public.db alone."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from syncgov.errors import InputError, StorageError

_STORAGE = 74  # what the portal's programs exit with when a file cannot be written


@dataclass(frozen=True, slots=True)
class Printed:
    """The files that were written, and sentences (zh, en) on what does not look on paper as it should."""

    files: list[Path]
    notes: list[tuple[str, str]]


def print_sheets(folder: Path, out: Path, choices: Mapping[str, str], *, pdf: bool) -> Printed:
    """Write the sheets of the published *folder* into folder *out*.

    Args:
        choices: month, community, paper, address; empty ones are left to the portal.
        pdf: whether a browser of this machine makes a PDF of each too.

    Raises:
        InputError: no such folder, month, community, browser or Chinese font. StorageError: a file cannot be written.
    """
    command = [sys.executable, "-m", "portal.print_sheets", str(folder / "public.db"), str(out)]
    command += [part for name, value in choices.items() if value for part in (f"--{name}", value)]
    done = subprocess.run(
        [*command, *(["--pdf"] if pdf else [])], capture_output=True, text=True, encoding="utf-8", errors="replace"
    )
    if done.returncode:
        zh, _, en = done.stderr.strip().partition("\n")
        raise (StorageError if done.returncode == _STORAGE else InputError)(zh, en or zh)
    said = done.stderr.splitlines()
    notes = list(zip(said[::2], said[1::2], strict=False))
    return Printed([Path(line) for line in done.stdout.splitlines()], notes)
