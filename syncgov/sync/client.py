"""Sync with a centre: push, pull, verify, merge. Source: protocol page, section 10."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from syncgov.core import wire
from syncgov.core.bundle import verify_recipient
from syncgov.core.note import verify_checkpoint
from syncgov.errors import (
    ForkError,
    NotAllowedError,
    ProofError,
    RemoteError,
    TransportError,
)
from syncgov.storage import cosigning
from syncgov.storage.connection import transaction
from syncgov.storage.erasing import finish_scrub
from syncgov.storage.merging import Merged, merge_pulled
from syncgov.storage.own_chain import learn_chain, own_changesets, restore_own
from syncgov.storage.pulling import pull_state, require_state, stage_page, start_over
from syncgov.storage.rebasing import rebase
from syncgov.storage.replica import Replica
from syncgov.sync.checking import checked_keys, verify_entry, verify_page
from syncgov.sync.files import Sent, send_files
from syncgov.sync.transport import HttpTransport

PUSH_BATCH = 200  # changesets a request; about 400 KiB packed
PUSH_BATCH_BYTES = 4 << 20  # unpacked; a quarter of what a request may be after one more changeset
PULL_LIMIT = 500  # entries a page
# what a centre says to a device of a log that was closed; to one whose enrolment was lost with it, the second
_CLOSED = frozenset({"closed", "unknown-device"})

Progress = Callable[[str, int, int], None]
"""`progress(step, done, total)`; steps: push, pull, and busy: seconds until the next try, and how many there were."""


@dataclass(slots=True)
class Synced:
    """What a sync did, for people: numbers of changesets.

    Attributes:
        keys_refused: (key id, why) of persons' keys that the centre did not register.
        people_left: persons who may no longer use this device.
        files: what became of the queue of files.
    """

    signed: int = 0
    pushed: int = 0
    accepted: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    waiting: int = 0
    rejected: list[tuple[int, str]] = field(default_factory=list)
    received: int = 0
    erased: int = 0
    problems: list[str] = field(default_factory=list)
    keys_refused: list[tuple[str, str]] = field(default_factory=list)
    people_left: list[str] = field(default_factory=list)
    requests: int = 0
    size: int = 0
    files: Sent = field(default_factory=Sent)
    closed: str = ""  # the log that was closed by the roots; the device follows the next one now


def sync(
    replica: Replica, staff: str | None = None, *, url: str | None = None, progress: Progress | None = None
) -> Synced:
    """Commit, push, pull and merge, then send files; returns what happened.

    Raises:
        NotAllowedError: unsigned work on a shared device without *staff*.
        TransportError: the centre cannot be reached; everything stays and goes with the next sync.
        LogError: the centre's log does not extend what this device has seen.
    """
    done = Synced()
    address = url or replica.meta.get("url")
    try:
        _sync(replica, address, staff, done, progress)
    except (RemoteError, NotAllowedError) as error:
        if not _follow_closed(replica, address, error, done):
            raise
        _sync(replica, address, staff, done, progress)
    done.size = replica.seen.size
    return done


def _sync(replica: Replica, url: str, staff: str | None, done: Synced, progress: Progress | None) -> None:
    transport = HttpTransport(url, replica.key_file.key, replica.charter.origin)
    if progress is not None:
        transport.waiting = lambda seconds, tries: progress("busy", seconds, tries)
    try:
        finish_scrub(replica)
        if replica.is_older_than_key:
            _recover(replica, transport)
        committed = replica.commit(staff)
        done.signed += len(committed.signed)
        done.problems = [error.zh for _row, error in committed.problems]
        _register_keys(replica, transport, done)
        _push(replica, transport, done, progress)
        _pull(replica, transport, staff, done, progress)
        _learn_recipient(replica, transport)
        done.files = send_files(replica, transport, progress)
    finally:
        transport.close()
        done.requests += transport.requests


def _follow_closed(replica: Replica, url: str, error: RemoteError | NotAllowedError, done: Synced) -> bool:
    """Whether the log that this replica follows was closed by the roots it trusts; then it follows the next one."""
    if not isinstance(error, RemoteError) or error.problem not in _CLOSED:
        return False
    transport = HttpTransport(url)
    try:
        found = wire.parse_message(transport.get("/v1/charters"), wire.CharterList, "charters")
    finally:
        transport.close()
        done.requests += transport.requests
    old = replica.charter.origin
    if not rebase(replica, [bytes(raw) for raw in found.charters]):
        return False
    done.closed = old
    return True


def _learn_recipient(replica: Replica, transport: HttpTransport) -> None:
    """Fetch once to whom bundles for this centre are sealed, for the day when there is no line."""
    if replica.meta.get("recipient"):
        return
    try:
        note = transport.get("/v1/recipient").decode("utf-8", "replace")
    except (RemoteError, TransportError):
        return  # a centre without bundles; or the line broke, and the sync is done all the same
    verify_recipient(note, replica.charter)
    replica.meta.set(recipient=note)


def _recover(replica: Replica, transport: HttpTransport) -> None:
    """Fetch what this device signed after its replica's copy was made; without it no dot may be used.

    Raises:
        NotAllowedError: the centre does not have all of it either; the device must enrol again.
    """
    while replica.is_older_than_key:
        after = replica.meta.get_int("last_seq")
        answer = transport.post("/v1/own", wire.Own(after), wire.PullAnswer)
        checkpoint = verify_checkpoint(answer.checkpoint, replica.charter.log)
        keys = checked_keys(replica, answer)
        entries = [verify_entry(message, checkpoint, keys, "") for message in answer.entries]
        if not entries:
            raise NotAllowedError(
                "这个副本比密钥文件旧，中心也没有缺少的记录；请保留本文件，用新登记码重新登记",
                "this replica is older than its key file and the centre lacks the rest; keep it and enrol again",
            )
        restore_own(replica, entries)


def _register_keys(replica: Replica, transport: HttpTransport, done: Synced) -> None:
    """Ask the centre to register persons' new keys; a refusal is told and hinders nothing else."""
    for entry in cosigning.pending(replica):
        if entry.request is not None:
            answer = transport.post("/v1/staff-key", entry.request, wire.StaffKeyAnswer)
            note_key(replica, entry.id, answer, done)


def note_key(replica: Replica, key_id: str, answer: wire.StaffKeyAnswer, done: Synced) -> None:
    """Note what the centre says of a person's key; that it counts is said by the log alone."""
    if answer.state == "refused":
        problem = answer.detail_zh or answer.detail or answer.code or ""
        done.keys_refused.append((key_id, problem))
        cosigning.settle(replica, key_id, problem)
    else:
        cosigning.settle(replica, key_id)


def _push(replica: Replica, transport: HttpTransport, done: Synced, progress: Progress | None) -> None:
    waiting = own_changesets(replica)
    if not waiting:
        return
    replica.mark_durable()
    sent = 0
    for batch in _batches(waiting):
        entries = [wire.PushEntry(msgspec.Raw(body), msgspec.Raw(envelope)) for _seq, envelope, body in batch]
        answer = transport.post("/v1/push", wire.Push(entries), wire.PushAnswer)
        done.pushed += len(batch)
        note_results(replica, answer.results, done)
        sent += len(batch)
        if progress is not None:
            progress("push", sent, len(waiting))


def _batches(waiting: Sequence[tuple[int, bytes, bytes]]) -> Iterator[list[tuple[int, bytes, bytes]]]:
    """Yield parts of at most PUSH_BATCH changesets and about PUSH_BATCH_BYTES."""
    batch: list[tuple[int, bytes, bytes]] = []
    size = 0
    for one in waiting:
        batch.append(one)
        size += len(one[1]) + len(one[2])
        if len(batch) == PUSH_BATCH or size >= PUSH_BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def note_results(replica: Replica, results: Sequence[wire.PushResult], done: Synced) -> None:
    """Only a leaf with its proof settles a changeset; until then this is what the centre says."""
    with transaction(replica.conn):
        replica.conn.executemany(
            "UPDATE _sg_own SET sent = ?, ack = ? WHERE seq = ?",
            [(_said(result), result.index, result.seq) for result in results],
        )
    for result in results:
        if result.state == "waiting":
            done.waiting += 1
        elif result.state == "rejected":
            done.rejected.append((result.seq, f"{result.code}: {result.detail}"))


def _said(result: wire.PushResult) -> str:
    """A refusal is kept as the centre words it: a revoked device may push, and will not be sent the leaf."""
    refused = result.verdict is not None and result.verdict.startswith("refused:")
    return str(result.verdict) if refused else result.state


def _pull(
    replica: Replica, transport: HttpTransport, staff: str | None, done: Synced, progress: Progress | None
) -> None:
    size = 0 if replica.meta.get_int("anew") else replica.seen.size
    after, target = 0, 0
    if replica.meta.get_int("target") > replica.seen.size:  # an interrupted pull goes on where it stopped
        after, target = replica.meta.get_int("after"), replica.meta.get_int("target")
    while True:
        state = pull_state(replica)
        answer = transport.post("/v1/pull", wire.Pull(after, PULL_LIMIT, size, target), wire.PullAnswer)
        require_state(replica, state)
        page = verify_page(replica, answer, size)
        if answer.reset and size > 0:
            size = after = 0
            target = page.target
            start_over(replica, page)
            continue
        if not after < page.after <= page.target and not page.last:
            raise ProofError("page")
        if learn_chain(replica, page):
            _recover(replica, transport)
        if page.last:
            count_merged(done, merge_pulled(replica, page, staff))
        else:
            stage_page(replica, page)
        after, target = page.after, page.target
        if progress is not None:
            progress("pull", max(after - size, 0), target - size)
        if page.last:
            require_delivered(replica)
            if done.erased:
                _acknowledge(replica, transport)
            return


def _acknowledge(replica: Replica, transport: HttpTransport) -> None:
    """Say what was folded, now: a pull of nothing tells the centre that the erasures have arrived."""
    size = replica.seen.size
    transport.post("/v1/pull", wire.Pull(size, 1, size, size), wire.PullAnswer)


def require_delivered(replica: Replica) -> None:
    """What the centre said it logged below the folded size must have arrived."""
    found = replica.conn.execute(
        "SELECT seq FROM _sg_own WHERE idx IS NULL AND ack < ? ORDER BY seq", (replica.seen.size,)
    ).fetchall()
    if found:
        numbers = ", ".join(str(seq) for (seq,) in found)
        raise ForkError(
            f"中心说第 {numbers} 号变更已记入日志，却没有给出；请保存文件，联系审计人员",
            f"the centre said that changes {numbers} are logged, but withholds them; keep this file, tell an auditor",
        )


def count_merged(done: Synced, merged: Merged) -> None:
    """Add what a merge brought to what a sync did."""
    done.accepted += len(merged.accepted)
    done.people_left += merged.people_left
    done.refused += merged.refused
    done.received += merged.received
    done.erased += merged.erased
