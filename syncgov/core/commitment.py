"""One salted commitment per field; `redact` is partial replication, publication and erasure.

Source: protocol page, sections 3 and 5.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from syncgov.core.canonical import MAX_INT, b64u, b64u_bytes, check_value, decode_as, encode_unchecked, unb64u
from syncgov.core.statement import MAX_WRITES, Statement, is_device_id
from syncgov.core.tree import root_of_inputs
from syncgov.errors import CommitmentError, FormatError, LimitError

MAX_BODY_BYTES = 1 << 20  # one record with its children; photos travel elsewhere
MAX_OVER = 1000  # dots a write may name: 64 heads and a long offline chain of one's own
SALT_BYTES = 16  # RFC 9901 section 9.3 asks for 128 bits

Dot: TypeAlias = tuple[str, int]
Value: TypeAlias = bool | int | str | list[Any] | dict[str, Any] | None

META_TABLE = "_changeset"
_SALT = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")  # b64u of 16 bytes, in its one spelling
_PATH = re.compile(r"([a-z][a-z0-9_]{0,62}|_changeset)/((?:[^/~\x00-\x1f]|~[01]){1,256})/([a-z_][a-z0-9_]{0,62})")


class Write(NamedTuple):
    """One field write: `over` names the heads it replaces."""

    path: str
    value: Value
    over: tuple[Dot, ...]


class _FullBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seed: str
    v: Literal[1]
    writes: list[tuple[str, Value, tuple[tuple[str, int], ...]]]


class _RedactedBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slots: list[str | tuple[str, str, Value, tuple[tuple[str, int], ...]]]
    v: Literal[1]


@dataclass(frozen=True, slots=True)
class Body:
    """The writes of a changeset as far as they are disclosed, in order.

    Attributes:
        writes: one a position; None where the write is hidden.
        salts: b64u text beside each write; None where hidden.
        digests: 32 bytes a position.
    """

    writes: tuple[Write | None, ...]
    salts: tuple[str | None, ...]
    digests: tuple[bytes, ...]
    _by_path: dict[str, Write] = field(default_factory=dict, init=False, repr=False, compare=False)

    def disclosed(self) -> Iterator[tuple[int, Write]]:
        """Yield (position, write) of the writes that can be read."""
        for position, write in enumerate(self.writes):
            if write is not None:
                yield position, write

    def find(self, path: str) -> Write | None:
        """Return the disclosed write to *path*, or None."""
        if not self._by_path:  # made once: a verdict on an edit of thousands of rows asks for each of their writes
            self._by_path.update((w.path, w) for w in reversed(self.writes) if w is not None)
        return self._by_path.get(path)


class Path(NamedTuple):
    """A path in parts, unescaped."""

    table: str
    key: str
    field: str


def format_path(table: str, key: str, field: str) -> str:
    """Return `table/key/field` with RFC 6901 escapes.

    Raises:
        FormatError: a part that the protocol page, section 3, does not allow.
    """
    length = len(key)
    if "~" in key or "/" in key:
        key = key.replace("~", "~0").replace("/", "~1")
    path = f"{table}/{key}/{field}"
    if not _PATH.fullmatch(path) or length > 128:
        raise FormatError("path", f"{path!r} has a part that is not allowed")
    return path


@lru_cache(maxsize=65_536)  # a path is looked at when its body is checked and again when it is folded
def parse_path(path: str) -> Path:
    """Return the parts of a path; raise FormatError if it is not one."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise FormatError("path", repr(path[:80]))
    table, key, field = match.groups()
    if "~" in key:
        key = key.replace("~1", "/").replace("~0", "~")
    if len(key) > 128:
        raise FormatError("path", "key longer than 128 characters")
    return Path(table, key, field)


def meta_path(dot: Dot, field: str) -> str:
    """Return the path of `by` or `note` of a changeset."""
    return f"{META_TABLE}/{dot[0]}.{dot[1]}/{field}"


def digest(salt: str, write: Write) -> bytes:
    """Return the 32-byte RFC 9901 disclosure digest of *write* under the b64u *salt*."""
    disclosure = encode_unchecked([salt, write.path, {"over": write.over, "set": write.value}])
    return hashlib.sha256(b64u_bytes(disclosure)).digest()


def salts_of(seed: bytes, count: int) -> list[str]:
    """Return the b64u salts of positions 0 … count−1."""
    stream = hashlib.shake_256(seed).digest(SALT_BYTES * count)
    return [b64u(stream[i : i + SALT_BYTES]) for i in range(0, len(stream), SALT_BYTES)]


def make_body(public: Sequence[Write], other: Sequence[Write], seed: bytes) -> tuple[bytes, Body]:
    """Return the canonical full body of the writes, each class sorted by path, and its parsed form.

    Raises:
        FormatError: a value that canonical JSON refuses, or more than MAX_WRITES writes.
    """
    writes = [w for part in (public, other) for w in sorted(part, key=lambda w: w.path)]
    for write in writes:
        check_value(write.path)
        check_value(write.value)
    raw = encode_unchecked(_FullBody(b64u(seed), 1, [(w.path, w.value, w.over) for w in writes]))
    if len(raw) > MAX_BODY_BYTES:
        raise LimitError("body", f"{len(raw)} bytes, at most {MAX_BODY_BYTES} are allowed")
    return raw, _full_body(writes, seed, len(public))


def parse_body(raw: bytes, pub: int) -> Body:
    """Return the body in *raw*, whose first *pub* positions are of public class.

    Raises:
        LimitError, FormatError: steps 1, 3 and 4 of protocol page, section 5.
    """
    if raw.startswith(b'{"seed"'):
        full = decode_as(raw, _FullBody, max_bytes=MAX_BODY_BYTES, what="body")
        return _full_body([Write._make(w) for w in full.writes], unb64u(full.seed, 32), pub)
    return _parse_redacted(raw, pub)


def _full_body(writes: Sequence[Write], seed: bytes, pub: int) -> Body:
    _check_writes(writes, pub)
    salts = salts_of(seed, len(writes))
    digests = [digest(salt, write) for salt, write in zip(salts, writes, strict=True)]
    return Body(tuple(writes), tuple(salts), tuple(digests))


def _parse_redacted(raw: bytes, pub: int) -> Body:
    slots = decode_as(raw, _RedactedBody, max_bytes=MAX_BODY_BYTES, what="body").slots
    writes = [None if isinstance(slot, str) else Write._make(slot[1:]) for slot in slots]
    salts = [None if isinstance(slot, str) else slot[0] for slot in slots]
    _check_writes(writes, pub)
    digests = []
    for slot, write in zip(slots, writes, strict=True):
        if isinstance(slot, str):
            digests.append(unb64u(slot, 32))
        else:
            assert write is not None
            if _SALT.fullmatch(slot[0]) is None:
                raise FormatError("body", "a salt is not 16 bytes")
            digests.append(digest(slot[0], write))
    return Body(tuple(writes), tuple(salts), tuple(digests))


def _check_writes(writes: Sequence[Write | None], pub: int) -> None:
    """Steps 2 (upper bound), 3 and 4 of protocol page, section 5."""
    if not 1 <= len(writes) <= MAX_WRITES:
        raise FormatError("body", f"{len(writes)} writes; 1 to {MAX_WRITES} are allowed")
    last = ""
    seen: set[str] = set()
    for position, write in enumerate(writes):
        if position == pub:
            last = ""
        if write is None:
            continue
        parse_path(write.path)
        if write.path <= last or write.path in seen:
            raise FormatError("body", "paths are not ascending, or one occurs twice")
        last = write.path
        seen.add(last)
        if write.over:
            _check_over(write.over)
        value = write.value
        if type(value) is int and not -MAX_INT <= value <= MAX_INT:
            raise FormatError("body", "a number beyond ±(2^53−1)")
        if isinstance(value, (list, dict)):
            check_value(value)


def _check_over(over: tuple[Dot, ...]) -> None:
    if len(over) > MAX_OVER:
        raise FormatError("body", f"`over` names {len(over)} dots, at most {MAX_OVER} are allowed")
    previous: Dot = ("", 0)
    for dot in over:
        if not previous < dot or not is_device_id(dot[0]) or not 1 <= dot[1] <= MAX_INT:
            raise FormatError("body", "`over` is not a strictly ascending list of dots")
        previous = dot


def open_body(raw: bytes, st: Statement) -> Body:
    """Return the body in *raw* if it is the one that *st* commits to.

    Raises:
        FormatError: malformed (steps 1, 3, 4).
        CommitmentError: other number of writes, or other root (steps 2, 5).

    Source: protocol page, section 5.
    """
    body = parse_body(raw, st.pub)
    if len(body.writes) != st.n or b64u(root_of_inputs(body.digests)) != st.root:
        raise CommitmentError("body", "it is not the one that was signed")
    return body


def redact(body: Body, keep: Callable[[int, Write], bool]) -> bytes:
    """Return the redacted body in which only the disclosed writes for which *keep(position, write)* holds remain.

    Everything else becomes its digest; the root, hence the signature, stays valid. Source: protocol page, section 5.
    """
    slots: list[Any] = []
    for position, write in enumerate(body.writes):
        if write is not None and keep(position, write):
            slots.append((body.salts[position], write.path, write.value, write.over))
        else:
            slots.append(b64u(body.digests[position]))
    return encode_unchecked(_RedactedBody(slots, 1))


def unite(bodies: Sequence[Body]) -> bytes:
    """Return the body in which everything is disclosed that one of *bodies*, all of one changeset, discloses."""
    slots: list[Any] = []
    for position, plain in enumerate(bodies[0].digests):
        known = next((body for body in bodies if body.writes[position] is not None), None)
        write = known.writes[position] if known is not None else None
        if known is None or write is None:
            slots.append(b64u(plain))
        else:
            slots.append((known.salts[position], write.path, write.value, write.over))
    return encode_unchecked(_RedactedBody(slots, 1))
