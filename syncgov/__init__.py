"""Registers that are written offline, signed, merged, and verifiable by everybody.

This module holds the public names and nothing else. They are imported when first asked for, so that a field device
needs only what it uses.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncgov.centre.centre import Centre
    from syncgov.centre.drafting import Draft
    from syncgov.centre.enrolment import enrol
    from syncgov.centre.serve import serve
    from syncgov.core.register import parse_register
    from syncgov.errors import SyncgovError
    from syncgov.storage.replica import Replica
    from syncgov.sync.joining import join

__version__ = "0.1.0"

_HOME = {
    "Centre": "syncgov.centre.centre",
    "Draft": "syncgov.centre.centre",
    "Replica": "syncgov.storage.replica",
    "SyncgovError": "syncgov.errors",
    "enrol": "syncgov.centre.enrolment",
    "join": "syncgov.sync.client",
    "parse_register": "syncgov.core.register",
    "serve": "syncgov.centre.serve",
}

__all__ = ["Centre", "Draft", "Replica", "SyncgovError", "__version__", "enrol", "join", "parse_register", "serve"]


def __getattr__(name: str) -> object:
    """Return a public name from the module that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module 'syncgov' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
