"""Join a centre, and sync with it: push, pull, verify, merge. Source: protocol page, sections 8 and 10."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from syncgov.core import wire
from syncgov.core.canonical import b64u, unb64, unb64u
from syncgov.core.charter import Charter, open_charter
from syncgov.core.commitment import open_body
from syncgov.core.keys import SigningKey, device_id
from syncgov.core.note import Checkpoint, verify_checkpoint
from syncgov.core.statement import parse_leaf, verify_changeset
from syncgov.core.tree import leaf_hash, verify_consistency, verify_inclusion
from syncgov.errors import ForkError, NotAllowedError, ProofError, RollbackError, SignatureError, StorageError
from syncgov.storage.clock import Clock, wall_clock
from syncgov.storage.keyfile import key_path, load_key, store_key
from syncgov.storage.merging import (
    Entry,
    Merged,
    Page,
    merge_pulled,
    own_changesets,
    restore_own,
    stage_page,
    start_over,
)
from syncgov.storage.replica import Replica
from syncgov.sync.files import Sent, send_files
from syncgov.sync.transport import HttpTransport

PUSH_BATCH = 200  # changesets a request; about 400 KiB packed
PUSH_BATCH_BYTES = 4 << 20  # unpacked; a quarter of what a request may be after one more changeset
PULL_LIMIT = 500  # entries a page

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Synced:
    """What a sync did, for people: numbers of changesets; and what became of the queue of files."""

    signed: int = 0
    pushed: int = 0
    accepted: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    waiting: int = 0
    rejected: list[tuple[int, str]] = field(default_factory=list)
    received: int = 0
    problems: list[str] = field(default_factory=list)
    requests: int = 0
    size: int = 0
    files: Sent = field(default_factory=Sent)


def join(path: str | Path, url: str, code: str, *, clock: Clock = wall_clock) -> Replica:
    """Make a key, enrol it with a one-time code, and make the replica; sync afterwards.

    Raises:
        StorageError: there is a replica already.
        NotAllowedError: the code is unknown, used or too old.
    """
    path = Path(path)
    if path.exists():
        raise StorageError(f"{path} 已经存在", f"{path} exists already")
    key_file = key_path(path)
    # a key whose join was cut off is used again: the centre then answers with the same certificate
    key = _joining_key(key_file)
    transport = HttpTransport(url)
    try:
        raw_charter = transport.get("/v1/charter")
        charter = open_charter(raw_charter)
        answer = transport.post("/v1/join", wire.sign_join(code, charter.origin, key), wire.JoinAnswer)
    finally:
        transport.close()
    checkpoint = verify_checkpoint(answer.checkpoint, charter.log)
    entry = _verified(answer.entry, checkpoint, _registrar_keys(charter), key.id)
    certificate = entry.body.find(f"device/{key.id}/public_key") if entry.body is not None else None
    if certificate is None or certificate.value != b64u(key.public):
        raise ProofError("certificate")
    settings = {"url": url, "prev": entry.leaf.changeset.envelope.hash}
    return Replica.create(path, load_key(key_file), raw_charter, settings, clock)


def _joining_key(path: Path) -> SigningKey:
    if not path.exists():
        return store_key(path, SigningKey(secrets.token_bytes(32)), 0, "").key
    kept = load_key(path)
    if kept.seq > 0:
        raise StorageError(
            f"{path} 是用过的密钥，请换一个文件名登记，不要丢弃它",
            f"{path} belongs to a replica that has signed; join under another file name and keep it",
        )
    return kept.key


def _registrar_keys(charter: Charter) -> dict[str, bytes]:
    publics = [unb64u(text, 32) for text in charter.registrars]
    return {device_id(public): public for public in publics}


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
    transport = HttpTransport(url or replica.meta.get("url"), replica.key_file.key, replica.charter.origin)
    try:
        if replica.is_older_than_key:
            _recover(replica, transport)
        committed = replica.commit(staff)
        done.signed = len(committed.signed)
        done.problems = [error.zh for _row, error in committed.problems]
        _push(replica, transport, done, progress)
        _pull(replica, transport, staff, done, progress)
        done.files = send_files(replica, transport, progress)
    finally:
        transport.close()
        done.requests = transport.requests
    done.size = replica.seen.size
    return done


def _recover(replica: Replica, transport: HttpTransport) -> None:
    """Fetch what this device signed after its replica's copy was made; without it no dot may be used.

    Raises:
        NotAllowedError: the centre does not have all of it either; the device must enrol again.
    """
    while replica.is_older_than_key:
        after = replica.meta.get_int("last_seq")
        answer = transport.post("/v1/own", wire.Own(after), wire.PullAnswer)
        checkpoint = verify_checkpoint(answer.checkpoint, replica.charter.log)
        keys = {replica.dev: replica.key_file.key.public}
        entries = [_verified(message, checkpoint, keys, "") for message in answer.entries]
        if not entries:
            raise NotAllowedError(
                "这个副本比密钥文件旧，中心也没有缺少的记录；请保留本文件，用新登记码重新登记",
                "this replica is older than its key file and the centre lacks the rest; keep it and enrol again",
            )
        restore_own(replica, entries)


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
        _note_results(replica, answer.results, done)
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


def _note_results(replica: Replica, results: Sequence[wire.PushResult], done: Synced) -> None:
    """Only a leaf with its proof settles a changeset; until then this is what the centre says."""
    for result in results:
        replica.conn.execute(
            "UPDATE _sg_own SET sent = ?, ack = ? WHERE seq = ?", (_said(result), result.index, result.seq)
        )
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
    after, target = size, 0
    if replica.meta.get_int("target") > replica.seen.size:  # an interrupted pull goes on where it stopped
        after, target = replica.meta.get_int("after"), replica.meta.get_int("target")
    while True:
        answer = transport.post("/v1/pull", wire.Pull(after, PULL_LIMIT, size, target), wire.PullAnswer)
        page = verify_page(replica, answer, size)
        if answer.reset and size > 0:
            size = after = 0
            target = page.target
            start_over(replica, page)
            continue
        if not after < page.after <= page.target and not page.last:
            raise ProofError("page")
        if page.last:
            _count(done, merge_pulled(replica, page, staff))
        else:
            stage_page(replica, page)
        after, target = page.after, page.target
        if progress is not None:
            progress("pull", after - size, target - size)
        if page.last:
            _require_delivered(replica)
            return


def _require_delivered(replica: Replica) -> None:
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


def _count(done: Synced, merged: Merged) -> None:
    done.accepted += len(merged.accepted)
    done.refused += merged.refused
    done.received += merged.received


def verify_page(replica: Replica, answer: wire.PullAnswer, size: int) -> Page:
    """Return the page after the checks of protocol page, section 10; nothing is folded before all hold.

    Args:
        size: what was asked for: the folded size, or 0 when all is pulled anew.

    Raises:
        SignatureError, RollbackError, ForkError, ProofError, CommitmentError.
    """
    checkpoint = verify_checkpoint(answer.checkpoint, replica.charter.log)
    seen = replica.seen
    if answer.target < seen.size or checkpoint.size < seen.size:
        raise RollbackError(seen.size, checkpoint.size)
    target, text = _checkpoint_for(replica, answer, checkpoint)
    if size > 0:
        _verify_growth(replica, answer, target)
    keys = {dev: unb64u(key, 32) for dev, key in answer.keys.items()}
    for dev, public in keys.items():
        if device_id(public) != dev:
            raise SignatureError(dev)
    keys[replica.dev] = replica.key_file.key.public
    entries = [_verified(message, target, keys, replica.dev) for message in answer.entries]
    return Page(entries, answer.next, answer.target, target, text, answer.purge)


def _checkpoint_for(replica: Replica, answer: wire.PullAnswer, newest: Checkpoint) -> tuple[Checkpoint, str]:
    """Return the checkpoint of the size that is being folded up to, and its text."""
    kept = replica.meta.get("pulling")
    if kept:  # this pull began with a checkpoint that was checked against what the device has seen
        old = verify_checkpoint(kept, replica.charter.log)
        if old.size == answer.target and (newest.size != old.size or newest.root == old.root):
            return old, kept
    elif answer.target == newest.size:
        return newest, answer.checkpoint
    raise ProofError("checkpoint")


def _verify_growth(replica: Replica, answer: wire.PullAnswer, target: Checkpoint) -> None:
    seen = replica.seen
    try:
        path = [unb64(h, 32) for h in answer.consistency]
        verify_consistency(seen.size, unb64u(seen.root, 32), target.size, target.root, path)
    except (ProofError, ForkError) as error:
        raise ForkError(
            "中心的日志与本机见过的不一致，请保存本机文件并联系审计人员",
            "the centre's log is not an extension of what this device has seen; keep this file and tell an auditor",
        ) from error


def _verified(message: wire.EntryMessage, checkpoint: Checkpoint, keys: dict[str, bytes], own: str) -> Entry:
    raw = bytes(message.leaf)
    leaf = parse_leaf(raw)
    path = [unb64(h, 32) for h in message.path]
    verify_inclusion(leaf_hash(raw), message.index, checkpoint.size, path, checkpoint.root)
    st = leaf.changeset.statement
    if st.dev not in keys:
        raise SignatureError(st.dev)
    verify_changeset(leaf.changeset, keys[st.dev])
    raw_body = bytes(message.body)
    if raw_body == b"null":
        if st.dev != own:
            raise ProofError("body")
        return Entry(message.index, leaf, None, None)
    return Entry(message.index, leaf, open_body(raw_body, st), raw_body)
