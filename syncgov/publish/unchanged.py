"""Whether a publication would say what the folder says already: then nothing is logged, built or written.

What the last publication was made from stands in the lock file beside the folder, with how the folder's files were
left. It is a convenience, no evidence: whoever doubts the folder audits it, or publishes with `--again`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from os import scandir, utime
from pathlib import Path

from portal.stamp import program
from syncgov.core.file_list import LIST_PATH, parse_list
from syncgov.errors import FormatError
from syncgov.publish.folder import lock_path

_BEIJING = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a folder is made from, beside this program.

    Attributes:
        checkpoint: the signed note. It covers everything that is in the log, registers and certificates too.
        declared: what only the centre can know. as_of_ms: figures change with the day, deadlines pass.
        site: the portal's address, "" where it is not known; None: no portal.
    """

    checkpoint: str
    declared: str
    as_of_ms: int
    site: str | None

    def digest(self) -> str:
        """Return the hash of all of it, of the program and of what it runs with."""
        spec = find_spec("syncgov")
        homes = [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []
        day = (datetime.fromtimestamp(self.as_of_ms / 1000, UTC) + _BEIJING).date().isoformat()
        software = program(*homes, *(home.parent / "portal" for home in homes))
        parts = [software, self.checkpoint, self.declared, day, repr(self.site)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_current(out: Path, made_from: Inputs) -> bool:
    """Tell whether folder *out* was published from the same, and nobody has touched its files since."""
    try:
        known = lock_path(out).read_text(encoding="ascii")
        return bool(known) and known == _state(out, made_from)
    except (OSError, ValueError):
        return False


def note(out: Path, made_from: Inputs) -> None:
    """Remember what folder *out*, just published, was made from."""
    lock_path(out).write_text(_state(out, made_from), encoding="ascii")


def keep_times(old: Path, new: Path) -> None:
    """Give files of *new* that are those of *old*, by the lists of both, their times: whoever copies them sees it."""
    try:
        before, now = (parse_list((folder / LIST_PATH).read_bytes()) for folder in (old, new))
    except (OSError, FormatError):
        return
    for path in before.keys() & now.keys():
        if before[path] == now[path] and (old / path).is_file():
            was = (old / path).stat()
            utime(new / path, ns=(was.st_atime_ns, was.st_mtime_ns))


def _state(out: Path, made_from: Inputs) -> str:
    found = hashlib.sha256(made_from.digest().encode())
    for line in sorted(_files(out.absolute())):
        found.update(f"\n{line}".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def _files(folder: Path, inside: str = "") -> Iterator[str]:
    """Yield path, size and time of every file: reading them all would take longer than a small publication."""
    with scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), f"{inside}{entry.name}/")
            else:
                info = entry.stat(follow_symlinks=False)
                yield f"{inside}{entry.name} {info.st_size} {info.st_mtime_ns}"
