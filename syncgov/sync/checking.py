"""What a device checks of a pull before anything is folded. Source: protocol page, section 10."""

from syncgov.core import wire
from syncgov.core.canonical import unb64, unb64u
from syncgov.core.commitment import open_body
from syncgov.core.keys import device_id
from syncgov.core.note import Checkpoint, verify_checkpoint
from syncgov.core.statement import parse_leaf, verify_changeset, verify_second
from syncgov.core.tree import leaf_hash, verify_consistency, verify_inclusion
from syncgov.errors import (
    ForkError,
    ProofError,
    RollbackError,
    SignatureError,
)
from syncgov.storage.connection import collector_paused
from syncgov.storage.pulling import Entry, Page, pull_state
from syncgov.storage.rebasing import kept_of
from syncgov.storage.replica import Replica


def verify_page(replica: Replica, answer: wire.PullAnswer, size: int) -> Page:
    """Return the page after the checks of protocol page, section 10; nothing is folded before all hold.

    Args:
        size: what was asked for: the folded size, or 0 when all is pulled anew.

    Raises:
        SignatureError, RollbackError, ForkError, ProofError, CommitmentError.
    """
    state, seen = pull_state(replica), replica.seen
    checkpoint = verify_checkpoint(answer.checkpoint, replica.charter.log)
    least = min(seen.size, kept_of(replica) or seen.size)  # what was seen of a closed log counts up to what was kept
    if answer.target < least or checkpoint.size < least:
        raise RollbackError(least, checkpoint.size)
    target, text = _checkpoint_for(replica, answer, checkpoint)
    if size > 0:
        _verify_growth(replica, answer, target)
    keys = checked_keys(replica, answer)
    with collector_paused():
        entries = [verify_entry(message, target, keys, replica.dev) for message in answer.entries]
    return Page(entries, answer.next, answer.target, target, text, answer.purge, state)


def checked_keys(replica: Replica, answer: wire.PullAnswer) -> dict[str, bytes]:
    """Return id -> key of the devices and staff keys that signed what came; the id authenticates the key.

    Raises:
        SignatureError: a key that is not the one its id names.
    """
    keys = {key_id: unb64u(key, 32) for key_id, key in answer.keys.items()}
    for key_id, public in keys.items():
        if device_id(public) != key_id:
            raise SignatureError(key_id)
    keys[replica.dev] = replica.key_file.key.public
    return keys


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


def verify_entry(message: wire.EntryMessage, checkpoint: Checkpoint, keys: dict[str, bytes], own: str) -> Entry:
    """Return a log entry after its inclusion path, signature and body were checked; *own* may come without a body."""
    raw = bytes(message.leaf)
    leaf = parse_leaf(raw)
    path = [unb64(h, 32) for h in message.path]
    verify_inclusion(leaf_hash(raw), message.index, checkpoint.size, path, checkpoint.root)
    st = leaf.changeset.statement
    if st.dev not in keys:
        raise SignatureError(st.dev)
    verify_changeset(leaf.changeset, keys[st.dev])
    second = leaf.changeset.second
    if second is not None:
        if second not in keys:
            raise SignatureError(second)
        verify_second(leaf.changeset, keys[second])
    raw_body = bytes(message.body)
    if raw_body == b"null":
        if st.dev != own:
            raise ProofError("body")
        return Entry(message.index, leaf, None, None)
    return Entry(message.index, leaf, open_body(raw_body, st), raw_body)
