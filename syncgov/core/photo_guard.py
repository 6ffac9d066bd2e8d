"""The guard `photo_before_after`: which photos of a record count, and which are missing.

Source: protocol page, section 17.
"""

from collections.abc import Iterable, Mapping

from syncgov.core.merge import WITHHELD
from syncgov.core.register import RegisterSet
from syncgov.core.register_model import Register
from syncgov.core.workflow import Photos

ALIVE = "_alive"


def photo_register(photos: Photos, registers: RegisterSet) -> Register | None:
    """Return the register whose rows count, None if the register set has no such attachments."""
    register = registers.get(photos.register)
    fits = register is not None and register.attachment is not None and register.attachment.phase is not None
    return register if fits else None


def columns_that_count(photos: Photos, register: Register) -> tuple[str, ...]:
    """Return the columns on which it depends whether a row counts: parent, phase and, if one is asked for, kind."""
    attachment = register.attachment
    assert attachment is not None and attachment.phase is not None and register.parent is not None
    return (register.parent, attachment.phase, *((attachment.kind,) if photos.kind else ()))


def missing_photos(
    photos: Photos, register: Register, record_key: str, rows: Iterable[Mapping[str, object]]
) -> tuple[str, ...]:
    """Return the phases of which no row counts, before first.

    Args:
        rows: column -> value, with the row's presence as `_alive`.
    """
    parent, phase, *kind = columns_that_count(photos, register)
    found = {
        row.get(phase)
        for row in rows
        if row.get(ALIVE) is True and row.get(parent) == record_key and all(row.get(k) == photos.kind for k in kind)
    }
    return tuple(code for code in (photos.before, photos.after) if code not in found)


def is_certain(photos: Photos, register: Register, rows: Iterable[Mapping[str, object]]) -> bool:
    """Whether somebody who sees public fields alone sees all that counts, and nothing of it is withheld."""
    fields = [register.column_field(column).name for column in columns_that_count(photos, register)]
    if any(register.class_of(name) != "public" for name in (ALIVE, *fields)):
        return False
    return not any(value is WITHHELD for row in rows for value in row.values())
