"""Charters that replace one another: only by the roots of the one before, never backwards."""

from collections.abc import Callable

import msgspec
import pytest

from syncgov.core.canonical import b64u
from syncgov.core.charter import Charter, Closing, open_charter, sign_charter
from syncgov.core.keys import SigningKey
from syncgov.core.note import format_vkey
from syncgov.core.statement import Seen, envelope_hash
from syncgov.core.succession import Charters, counted_seen, follow, succeed
from syncgov.errors import FormatError, NotAllowedError

LOG, R1, R2, R3, THIEF, OLD, NEW = (SigningKey(bytes([n]) * 32) for n in range(1, 8))
ROOT = b64u(bytes(range(32)))
FIRST = Charter(
    area="101",
    backup_days=30,
    grace_days=14,
    issued=1,
    log=format_vkey("log.example", LOG.public),
    name="测试",
    origin="log.example",
    quorum="none",
    registrars=[b64u(OLD.public)],
    roots=[b64u(key.public) for key in (R1, R2, R3)],
    simulated=True,
    threshold=2,
    v=1,
    witnesses=[],
)
RAW = sign_charter(FIRST, [R1, R2])


def next_one(before: bytes, signers: tuple[SigningKey, ...] = (R2, R3), **members: object) -> bytes:
    """Return a charter that replaces *before*, signed by *signers*."""
    charter = msgspec.structs.replace(open_charter(before), previous=envelope_hash(before), closes=msgspec.UNSET)
    return sign_charter(msgspec.structs.replace(charter, **members), list(signers))


def closing(before: bytes, kept: int = 5, size: int = 8) -> bytes:
    """Return a charter that closes the log of *before*."""
    closes = Closing(kept, ROOT, open_charter(before).origin, b64u(bytes(32)) if size > kept else ROOT, size)
    vkey = format_vkey("log.example/2", LOG.public)
    return next_one(before, closes=closes, origin="log.example/2", log=vkey)


def test_enough_roots_of_the_charter_in_force_replace_it() -> None:
    """Two of three roots are enough, whichever they are."""
    found = succeed(RAW, next_one(RAW, grace_days=7, registrars=[b64u(NEW.public)]))
    assert (found.grace_days, found.registrars) == (7, [b64u(NEW.public)])


def stolen_roots(before: bytes) -> bytes:
    """Return a charter under the thief's own roots."""
    charter = msgspec.structs.replace(FIRST, previous=envelope_hash(before), roots=[b64u(THIEF.public)], threshold=1)
    return sign_charter(charter, [THIEF])


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: next_one(RAW, (R1,), threshold=1), NotAllowedError),  # enough for itself, too few of the old
        (lambda: stolen_roots(RAW), NotAllowedError),
        (lambda: sign_charter(msgspec.structs.replace(FIRST, grace_days=7), [R1, R2]), FormatError),  # no `previous`
        (lambda: next_one(next_one(RAW)), FormatError),  # one was left out
        (lambda: next_one(RAW, origin="other", log=format_vkey("other", LOG.public)), FormatError),
        (lambda: next_one(RAW, log=format_vkey("log.example", NEW.public)), FormatError),
        (lambda: next_one(RAW, simulated=False), FormatError),
        (lambda: next_one(RAW, closes=Closing(1, ROOT, "log.example", ROOT, 1)), FormatError),  # closes itself
        (lambda: closing(RAW, kept=9, size=8), FormatError),
        (lambda: closing(RAW, kept=0, size=8), FormatError),
    ],
)
def test_what_cannot_replace_a_charter(make: Callable[[], bytes], error: type[Exception]) -> None:
    """Too few roots, other roots, an older charter, another log: refused, each by name."""
    with pytest.raises(error):
        succeed(RAW, make())


def test_an_old_charter_cannot_come_back() -> None:
    """Once replaced, a charter is history; the one in force may be repeated."""
    log = Charters(RAW)
    second = next_one(RAW, grace_days=7)
    log.take(RAW, 0)
    log.take(second, 4)
    log.take(second, 5)
    with pytest.raises(FormatError):
        log.take(RAW, 6)
    assert [(each.index, each.charter.grace_days) for each in log.of_log] == [(-1, 14), (4, 7)]


def test_charters_are_in_force_by_position() -> None:
    """A registrar is one as long as the charter below names it; afterwards it is a revoked one."""
    log = Charters(RAW)
    second = next_one(RAW, registrars=[b64u(NEW.public)])
    log.take(second, 4)
    assert [log.below(size).charter.registrars for size in (0, 4, 5)] == [*[[b64u(OLD.public)]] * 2, [b64u(NEW.public)]]
    assert [log.registrar(OLD.id, size) for size in (4, 5)] == [(OLD.public, True), (OLD.public, False)]
    assert [log.registrar(NEW.id, size) for size in (4, 5)] == [None, (NEW.public, True)]
    assert (log.enrolment(OLD.id), log.enrolment(NEW.id)) == (envelope_hash(RAW), envelope_hash(second))
    assert log.enrolment(THIEF.id) is None
    assert set(log.publics) == {OLD.id, NEW.id}


def test_roots_may_be_replaced_by_the_roots_before_them() -> None:
    """New roots must have signed their own charter, and the old ones too."""
    mine = [b64u(THIEF.public)]
    assert succeed(RAW, next_one(RAW, (R1, R2, THIEF), roots=mine, threshold=1)).roots == mine
    with pytest.raises(NotAllowedError):
        succeed(RAW, next_one(RAW, (R1, R2), roots=mine, threshold=1))


def test_a_closing_charter_stands_where_it_says() -> None:
    """It is the first leaf after what it keeps; anywhere else it is refused."""
    log, end = Charters(RAW), closing(RAW)
    with pytest.raises(FormatError):
        log.take(end, 6)
    log.take(end, 5)
    assert [(each.origin, each.kept, each.lost) for each in log.closings] == [("log.example", 5, 3)]


def test_a_replica_follows_only_from_what_it_holds() -> None:
    """From the charter held, or through it; a chain of others is refused, none at all changes nothing."""
    second = next_one(RAW)
    third = closing(second)
    assert follow(RAW, []) == RAW
    assert follow(RAW, [RAW, second, third]) == third
    assert follow(RAW, [second]) == second
    assert follow(third, [RAW, second, third]) == third
    with pytest.raises(NotAllowedError):
        follow(RAW, [stolen_roots(RAW)])
    with pytest.raises(NotAllowedError):
        follow(third, [RAW, second])
    with pytest.raises(FormatError):
        follow(RAW, [RAW, third])


def test_what_was_seen_of_a_closed_log_counts_up_to_what_was_kept() -> None:
    """The root tells whether a size is of this log or of the one before it."""
    log = Charters(RAW)
    log.take(closing(RAW), 5)
    roots = {5: ROOT, 7: "new"}
    assert [
        counted_seen(Seen(root, size), log.closings, roots.get)
        for root, size in ((ROOT, 5), ("x", 3), ("new", 7), ("old", 7), ("old", 800))
    ] == [5, 3, 7, 5, 5]
    assert counted_seen(Seen("old", 800), (), roots.get) == 800
