"""The charters of one log, each signed by the roots of the one before it. Pure.

Source: protocol page, sections 8 (replacing a charter) and 15 (closing a log).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from syncgov.core.canonical import unb64u
from syncgov.core.charter import CHARTER_TYPE, MAX_CHARTER_BYTES, Charter, Closing, open_charter, valid_signers
from syncgov.core.commitment import Body
from syncgov.core.keys import device_id
from syncgov.core.statement import Seen, envelope_hash, parse_envelope
from syncgov.errors import FormatError, NotAllowedError

CHARTER_ROW = ("charter", "1")
DOCUMENT = "charter/1/document"


@dataclass(frozen=True, slots=True)
class InForce:
    """A charter and the leaf that put it in force: -1 for the first one, which counts from the beginning."""

    index: int
    raw: bytes
    charter: Charter

    @property
    def hash(self) -> str:
        """b64u of the envelope's hash: the next charter's `previous`, and the first `prev` of registrars it names."""
        return envelope_hash(self.raw)


def succeed(current: bytes, raw: bytes) -> Charter:
    """Return the charter in *raw* if it may replace *current*. Source: protocol page, section 8, steps 1 to 4.

    Raises:
        FormatError: malformed, or it names another charter as the one that it replaces.
        SignatureError: a root's signature does not verify.
        NotAllowedError: too few roots of the old charter, or of its own, have signed.
    """
    old, new = open_charter(current), open_charter(raw)  # step 1: enough of its own roots
    if new.previous != envelope_hash(current):  # step 2
        raise FormatError("charter", "it does not replace the charter in force; an older one cannot come back")
    signers = valid_signers(parse_envelope(raw, CHARTER_TYPE, max_bytes=MAX_CHARTER_BYTES), old)
    if len(signers) < old.threshold:  # step 3
        raise NotAllowedError(
            f"新章程需要原章程 {old.threshold} 个根密钥签名，只有 {len(signers)} 个有效",
            f"a new charter needs {old.threshold} signatures by roots of the old one, {len(signers)} are valid",
        )
    closed = isinstance(new.closes, Closing) and new.closes.origin == old.origin  # step 4
    stays = not isinstance(new.closes, Closing) and (new.origin, new.log) == (old.origin, old.log)
    if not (closed or stays) or new.simulated != old.simulated:
        raise FormatError("charter", "log, origin or what it closes do not follow from the charter before it")
    return new


class Charters:
    """The charters of a log by position. `of_log` holds them, the first one first."""

    def __init__(self, first: bytes) -> None:
        self.of_log: list[InForce] = [InForce(-1, first, open_charter(first))]

    def accept(self, raw: bytes, index: int) -> Charter:
        """Return the charter in *raw* if the leaf at *index* may put it in force; the one in force may be repeated.

        Raises:
            FormatError, SignatureError, NotAllowedError: see `succeed`.
        """
        if raw == self.newest.raw:
            return self.newest.charter
        found = succeed(self.newest.raw, raw)
        if isinstance(found.closes, Closing) and found.closes.kept != index:  # step 5
            raise FormatError("charter", f"it closes a log at {found.closes.kept}, not at {index}")
        return found

    def take(self, raw: bytes, index: int) -> None:
        """Put the charter in *raw* in force from the leaf at *index* on; see `accept`."""
        found = self.accept(raw, index)
        if raw != self.newest.raw:
            self.of_log.append(InForce(index, raw, found))

    @property
    def newest(self) -> InForce:
        """The charter in force after all leaves."""
        return self.of_log[-1]

    def below(self, size: int) -> InForce:
        """Return the charter that the leaves below *size* put in force."""
        return self.of_log[max(0, bisect_left(self.of_log, size, key=lambda each: each.index) - 1)]

    def registrar(self, dev: str, size: int) -> tuple[bytes, bool] | None:
        """Return key, and whether it still is one, of a device that a charter below *size* names as registrar."""
        last = self.below(size)
        for each in reversed(self.of_log[: self.of_log.index(last) + 1]):
            public = each.charter.registrar_key(dev)
            if public is not None:
                return public, each is last
        return None

    def enrolment(self, dev: str) -> str | None:
        """Return the hash of the first charter that names *dev* as registrar, None if none does."""
        return next((each.hash for each in self.of_log if each.charter.registrar_key(dev) is not None), None)

    @property
    def publics(self) -> dict[str, bytes]:
        """Device id -> key of every registrar that a charter of this log names or named."""
        found = [unb64u(text, 32) for each in self.of_log for text in each.charter.registrars]
        return {device_id(public): public for public in found}

    @property
    def closings(self) -> tuple[Closing, ...]:
        """The logs that this one continues, the oldest first."""
        return tuple(each.charter.closes for each in self.of_log if isinstance(each.charter.closes, Closing))


def charter_document(body: Body) -> bytes | None:
    """Return the charter that a changeset writes, None if it writes none."""
    found = body.find(DOCUMENT)
    return found.value.encode() if found is not None and isinstance(found.value, str) else None


def follow(held: bytes, documents: Iterable[bytes]) -> bytes:
    """Return the newest of *documents*, in log order, if they lead from or through the charter that is *held*.

    Raises:
        FormatError, SignatureError, NotAllowedError: one does not replace the one before it; see `succeed`.
        NotAllowedError: they are charters of other roots: what is held is not among them.
    """
    newest, met = b"", False
    for raw in documents:
        if newest and raw != newest:
            succeed(newest, raw)
        elif not newest and raw != held and open_charter(raw).previous == envelope_hash(held):
            succeed(held, raw)
            met = True
        newest, met = raw, met or raw == held
    if newest and not met:
        raise NotAllowedError(
            "中心的章程与本机持有的章程不是一脉相承的，没有采用；请核对纸面公布的根密钥",
            "the centre's charters do not lead to the one that this device holds; compare the root keys on paper",
        )
    return newest or held


def counted_seen(seen: Seen, closings: Sequence[Closing], root_at: Callable[[int], str | None]) -> int:
    """Return the size that `seen` counts for in this log. Source: protocol page, section 15.

    What a device saw of a closed log counts up to what the logs have in common; roots tell the two apart.

    Args:
        root_at: size -> b64u root of this log, None beyond its end.
    """
    if not closings or seen.size <= closings[0].kept or root_at(seen.size) == seen.root:
        return seen.size
    return closings[0].kept
