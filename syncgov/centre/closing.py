"""Closing a log and opening the next one: entries that were signed are gone, and the roots say so.

Source: protocol page, section 15.
"""

import json
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from syncgov.centre.centre import CLOSING, Centre
from syncgov.centre.chartering import fresh_registrar
from syncgov.core.canonical import b64u, unb64u
from syncgov.core.charter import Charter, Closing, key_text, sign_charter
from syncgov.core.keys import SigningKey
from syncgov.core.note import format_vkey, parse_vkey
from syncgov.core.succession import InForce, succeed
from syncgov.errors import InputError, StorageError
from syncgov.storage.clock import Clock, wall_clock

_NUMBERED = re.compile(r"(.+)/([0-9]{1,6})")


@dataclass(frozen=True, slots=True)
class Closed:
    """A log that is closed: the next one begins with its first `kept` entries; `lost` were signed and are gone."""

    closed: str
    origin: str
    kept: int
    lost: int
    root: str
    registrar: str


def close_log(
    path: Path, roots: Sequence[SigningKey], *, origin: str | None = None, clock: Clock = wall_clock
) -> Closed:
    """Let the roots close the log of the centre at *path*, and open the next one with what is left.

    Repeating it after a power loss finishes what was begun. The present registrar key is retired: numbers that it used
    in the lost part must not be used again.

    Args:
        origin: of the next log; None: the present one with the next number.

    Raises:
        NotAllowedError: too few of the roots have signed. InputError: the origin is the present one.
        StorageError: the second copy holds more than the database: restore first.
    """
    with closing(Centre(path, clock=clock, closing=True)) as centre, centre.lock:
        held = centre.ledger.charters.newest
        if _is_done(centre, held):
            centre.write("charter", [])  # brings second copy and checkpoint up
            return _told(centre)
        if centre.copied > centre.ledger.size:
            raise StorageError(
                f"第二份副本比数据库多，请先运行 syncgov restore {path}",
                f"the second copy holds more than the database; run `syncgov restore {path}` first",
            )
        fresh = fresh_registrar(centre)
        raw = sign_charter(_next_charter(centre, held, fresh, origin), roots)
        succeed(held.raw, raw)
        ledger = centre.ledger
        centre.write_charter(raw, fresh, also=lambda: ledger.meta.set(**{CLOSING: "", "checkpoint": ""}))
        return _told(centre)


def _is_done(centre: Centre, held: InForce) -> bool:
    """Whether an earlier try logged the closing charter and died before it could say so."""
    return isinstance(held.charter.closes, Closing) and centre.ledger.size == held.index + 1


def _next_charter(centre: Centre, held: InForce, fresh: SigningKey, origin: str | None) -> Charter:
    wanted = origin or next_origin(held.charter.origin)
    if wanted in {each.charter.origin for each in centre.ledger.charters.of_log}:
        raise InputError(f"“{wanted}”已经用过，请换一个名称", f"{wanted!r} was used before; choose another origin")
    kept = centre.ledger.size
    size, root = _signed(centre, kept)
    return msgspec.structs.replace(
        held.charter,
        closes=Closing(kept, b64u(centre.ledger.root(kept)), held.charter.origin, root, size),
        issued=centre.clock(),
        log=format_vkey(wanted, parse_vkey(held.charter.log).public),
        origin=wanted,
        previous=held.hash,
        registrars=[key_text(fresh.public), *_others(centre, held.charter)],
    )


def _others(centre: Centre, charter: Charter) -> list[str]:
    """Return the registrars that do not write here: their chains are their own, nothing of them is used twice."""
    return [text for text in charter.registrars if unb64u(text, 32) != charter.registrar_key(centre.registrar.id)]


def _signed(centre: Centre, kept: int) -> tuple[int, str]:
    """Return size and root of the closed log, as far as anybody knows."""
    note = centre.ledger.meta.get(CLOSING)
    if note:
        known = json.loads(note)
        if int(known["size"]) > kept:
            return int(known["size"]), str(known["root"])
    return kept, b64u(centre.ledger.root(kept))


def next_origin(origin: str) -> str:
    """Return the origin with the next number: `log.example/street` -> `log.example/street/2`."""
    found = _NUMBERED.fullmatch(origin)
    return f"{found[1]}/{int(found[2]) + 1}" if found is not None else f"{origin}/2"


def _told(centre: Centre) -> Closed:
    charter = centre.ledger.charter
    assert isinstance(charter.closes, Closing)
    ended = charter.closes
    return Closed(ended.origin, charter.origin, ended.kept, ended.lost, ended.root, centre.registrar.id)
