"""Enrol again by file alone: a code told by voice, a request, its reply; then the old file's work under the new key.

WORK.from, beside the file WORK of the new device, names the old file until all its work has been signed anew. WORK is
`<replica>.new` for `rejoin`, and the given file for `join --from`. Every step may be cut off and repeated.
Source: protocol page, sections 8, 13 and 14.
"""

from dataclasses import dataclass
from pathlib import Path

from syncgov.core.bundle import format_invitation, open_invitation, split_bundle_file
from syncgov.core.charter import Charter
from syncgov.errors import InputError, StorageError
from syncgov.storage.adopting import Adopted, take_over
from syncgov.storage.clock import Clock, wall_clock
from syncgov.storage.files import write_atomic
from syncgov.storage.replica import Replica
from syncgov.sync.bundle import require
from syncgov.sync.bundle_join import accept_invitation, is_joining
from syncgov.sync.reenrolment import finish, keep, kept_files


@dataclass(slots=True)
class Rejoined:
    """A re-enrolment by file that is done: `kept` is the old file; what it had not delivered is signed, not sent."""

    device: str
    old_device: str
    kept: Path
    adopted: Adopted


def begin(
    path: Path,
    code: str,
    old: Path,
    staff: str | None = None,
    *,
    invitation: bytes | None = None,
    clock: Clock = wall_clock,
) -> Charter:
    """Make a key for the device of the replica at *old*, which will go on at *path* (the same: in place).

    Unsigned work is signed first, while the person who wrote it is there. `bundle` then makes the request.

    Args:
        invitation: the centre's invitation file; None: what the old replica knows of the centre will do.

    Raises:
        StorageError: no such replica, or something is at *path*.
        InputError: the old replica does not know the centre's recipient, or the invitation is another centre's.
        NotAllowedError: unsigned work on a shared device without *staff*.
    """
    if not old.exists():
        raise StorageError(f"找不到文件 {old}", f"no such file: {old}")
    work = _fresh(old) if path == old else path
    with Replica.open(old, clock=clock) as replica:
        if not replica.is_older_than_key:
            replica.commit(staff)
        known = invitation if invitation is not None else _known(replica)
        label, content = split_bundle_file(known)
        require(label, "invitation", replica.charter.origin)
        if open_invitation(label, content).charter.log != replica.charter.log:
            raise InputError(
                "邀请文件的日志密钥与旧文件的章程不同",
                "the invitation names another log key than the old charter",
            )
        charter = accept_invitation(work, known, code)
    write_atomic(_from(work), str(old.absolute()).encode(), mode=0o600)
    return charter


def _known(replica: Replica) -> bytes:
    note = replica.meta.get("recipient")
    if not note:
        raise InputError(
            "本机还没有中心的收件密钥：请加 --bundle 邀请文件",
            "this device does not know the centre's recipient; add --bundle with the centre's invitation",
        )
    return format_invitation(replica.meta.get("charter").encode(), note)


def _fresh(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _from(work: Path) -> Path:
    return work.with_name(work.name + ".from")


def working_file(path: Path) -> Path:
    """Return the file that bundles of the replica at *path* are made of and received into: while it is enrolled again
    in place, that of the new device."""
    fresh = _fresh(path)
    return fresh if _from(fresh).exists() and (fresh.exists() or is_joining(fresh)) else path


def is_rejoining(work: Path) -> bool:
    """Return whether an old file's work is still to be taken over into *work*."""
    return _from(work).exists()


def complete(work: Path, staff: str | None = None, *, clock: Clock = wall_clock) -> Rejoined:
    """Sign the old file's undelivered work under the new key, and put the files in their places.

    Call once the new device has folded all that the centre has.

    Raises:
        NotAllowedError: unsigned work on a shared device without *staff*; repeat with it.
    """
    old = Path(_from(work).read_text(encoding="utf-8"))
    adopted, old_device = Adopted(), ""
    if old.exists() and work.exists():
        with Replica.open(old, clock=clock) as other, Replica.open(work, clock=clock) as joined:
            problems = [] if other.is_older_than_key else other.commit(staff).problems
            adopted, old_device = take_over(joined, other, staff), other.dev
            adopted.left += [(0, error) for _row, error in problems]
            joined.meta.set(url=other.meta.get("url"))
        keep(old)
    kept = kept_files(old)[-1]
    if work == _fresh(old):
        finish(old, work)
    _from(work).unlink(missing_ok=True)
    with Replica.open(old if work == _fresh(old) else work, clock=clock) as joined:
        device = joined.dev
    if not old_device:
        with Replica.open(kept, clock=clock) as other:
            old_device = other.dev
    return Rejoined(device, old_device, kept, adopted)
