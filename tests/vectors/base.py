"""Keys, times and the form of a vector. Nothing here is random."""

import hashlib
from typing import Any

from syncgov.core.canonical import b64u
from syncgov.core.keys import SigningKey
from syncgov.core.note import format_vkey

ORIGIN = "log.example/street"
AT = 1_795_000_000_000
Json = dict[str, Any]


def secret(name: str) -> bytes:
    """Return 32 bytes that depend on *name* only."""
    return hashlib.sha256(b"syncgov vectors: " + name.encode()).digest()


DEVICE, OTHER, ROOT_1, ROOT_2 = (SigningKey(secret(name)) for name in ("device", "other", "root 1", "root 2"))
LOG, REGISTRAR = SigningKey(secret("log")), SigningKey(secret("registrar"))
VKEY = format_vkey(ORIGIN, LOG.public)
KEY = "01930000-0000-7000-8000-000000000001"
FAR = (OTHER.id, 4)
REG = b64u(secret("register set"))


def vector(name: str, expect: str, comment: str, **inputs: Any) -> Json:
    """Return one vector; bytes become text, or hex where they are not UTF-8."""
    return {"name": name, "expect": expect, "comment": comment, **{key: _plain(value) for key, value in inputs.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"hex": value.hex()}
    return value


def filled(before: str, unit: str, times: int, after: str) -> Json:
    """Return an input too long to write out: *before*, then *unit* so many times, then *after*."""
    return {"before": before, "repeat": unit, "times": times, "after": after}
