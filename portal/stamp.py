"""From what a site was built, so that an unchanged one is not built again: `build.json` in its folder.

It names the inputs (public.db, this program, what it runs with, the options) and the files that came of them, each by
one hash. A site is current only if both are as they were: one that was damaged, or copied half, is built again.
"""

import hashlib
import json
import platform
import sqlite3
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

STAMP = "build.json"
_TOP = ("mkdocs.yml", "datasette_metadata.yml")  # beside the packages in a checkout, inside them when installed


def inputs(public_db: Path, options: Mapping[str, str]) -> str:
    """Return the hash of everything that a site is made from."""
    with public_db.open("rb") as file:
        data = hashlib.file_digest(file, "sha256").hexdigest()
    given = [f"{name}={options[name]}" for name in sorted(options)]
    return _hash([data, program(Path(__file__).resolve().parent), *given])


@cache
def program(*packages: Path) -> str:
    """Return the hash of the files of *packages* and of the names and versions of everything that is installed."""
    found = []
    for package in packages:
        paths = [*package.rglob("*"), *(package.parent / name for name in _TOP)]
        files = (path for path in paths if path.is_file() and path.suffix != ".pyc")
        found += [f"{path.relative_to(package.parent).as_posix()} {_digest(path)}" for path in files]
    installed = {f"{each.name} {each.version}" for each in distributions()}
    return _hash([platform.python_version(), sqlite3.sqlite_version, *sorted(installed), *sorted(found)])


def write(site: Path, made_from: str) -> None:
    """Write the stamp of a whole *site*."""
    text = json.dumps({"files": _files(site), "inputs": made_from}, indent=1)
    (site / STAMP).write_text(text + "\n", encoding="utf-8")


def is_current(site: Path, made_from: str) -> bool:
    """Tell whether *site* was built from the inputs *made_from* and is as it was built."""
    try:
        found = json.loads((site / STAMP).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("inputs") == made_from and found.get("files") == _files(site)


def _files(site: Path) -> str:
    """Return the hash of every file's path and bytes but the stamp's."""
    paths = sorted(path for path in site.rglob("*") if path.is_file() and path != site / STAMP)
    return _hash(f"{path.relative_to(site).as_posix()} {_digest(path)}" for path in paths)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
