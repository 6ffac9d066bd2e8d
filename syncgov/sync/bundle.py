"""Sync by file: the device's side. The same messages and the same checks as over the network.

Nothing counts as delivered until a reply with proofs has arrived: what has no verdict goes into every bundle again.
Source: protocol page, section 14.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from syncgov.core import bundle, wire
from syncgov.core.age_identity import age_identity
from syncgov.core.canonical import unb64u
from syncgov.core.charter import Charter, Closing
from syncgov.core.keys import SigningKey, device_id
from syncgov.core.note import parse_vkey, verify_checkpoint
from syncgov.errors import InputError, NotAllowedError, ProofError, SignatureError
from syncgov.storage import cosigning, file_queue, sealing
from syncgov.storage.merging import merge_pulled
from syncgov.storage.own_chain import learn_chain, own_changesets, restore_own
from syncgov.storage.pulling import stage_page, start_over
from syncgov.storage.rebasing import rebase
from syncgov.storage.replica import Committed, Replica
from syncgov.sync.bundle_files import file_parts, note_files
from syncgov.sync.checking import checked_keys, verify_entry, verify_page
from syncgov.sync.client import Synced, count_merged, note_key, note_results, require_delivered

PULL_LIMIT = 500  # entries a page of the reply
ENTRY_BYTES = 64  # braces, names and commas around one changeset


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle that was made.

    Attributes:
        left: own changesets that had no room and go into the one after the reply.
        files, file_bytes: pieces of files inside. files_left: files that wait and are not, or not wholly, inside.
    """

    data: bytes
    first: int = 0
    last: int = 0
    changes: int = 0
    left: int = 0
    files: int = 0
    file_bytes: int = 0
    files_left: int = 0
    joining: bool = False
    committed: Committed = field(default_factory=Committed)


State = Literal["taken", "older", "unfit", "recipient"]


@dataclass(slots=True)
class Received:
    """What came of a file.

    Attributes:
        state: `taken`; `older`: this replica is that far already; `unfit`: the reply answers an earlier bundle than the
            one whose reply was taken before it; `recipient`: an invitation, now this device can make bundles.
            With `older` and `unfit` nothing has changed.
        more: the centre has more than went into this reply.
    """

    state: State
    done: Synced = field(default_factory=Synced)
    more: bool = False


# -- packing --------------------


def pack(replica: Replica, staff: str | None = None) -> Packed:
    """Commit, and return what `sync` would send, sealed to the centre. Marks nothing as sent.

    Raises:
        InputError: this device does not know to whom to seal: it needs the centre's invitation file.
        NotAllowedError: unsigned work on a shared device without *staff*.
    """
    note = replica.meta.get("recipient")
    if not note:
        raise InputError(
            "本机还没有中心的收件密钥：请先 receive 中心的邀请文件",
            "this device does not know the centre's recipient; receive the centre's invitation file first",
        )
    older = replica.is_older_than_key
    own = wire.Own(replica.meta.get_int("last_seq")) if older else None
    committed = Committed() if older else replica.commit(staff)
    waiting = own_changesets(replica)
    fitting = list(_fitting(waiting))
    push = wire.Push([wire.PushEntry(msgspec.Raw(body), msgspec.Raw(envelope)) for _seq, envelope, body in fitting])
    key = replica.key_file.key
    new_keys = [entry.request for entry in cosigning.pending(replica) if entry.request is not None]
    whole = len(fitting) == len(waiting)  # a file whose row stays here would be refused
    files = file_parts(replica, bundle.FILL_BYTES - _size(fitting)) if whole and not older else []
    request = bundle.Request(None, own, next_pull(replica), push, own_recipient(key), new_keys, files)
    span = (fitting[0][0], fitting[-1][0]) if fitting else (0, 0)
    replica.mark_durable()
    data = seal_request(request, key, replica.charter, note, span)
    ends = sum(part.offset + len(part.data) == part.total for part in files)
    return Packed(
        data,
        *span,
        len(fitting),
        len(waiting) - len(fitting),
        len(files),
        sum(len(part.data) for part in files),
        len(file_queue.waiting(replica)) - ends,
        committed=committed,
    )


def _fitting(waiting: Sequence[tuple[int, bytes, bytes]]) -> Iterator[tuple[int, bytes, bytes]]:
    filled = 0
    for entry in waiting:
        filled += _size([entry])
        if filled > bundle.FILL_BYTES:
            return
        yield entry


def _size(entries: Sequence[tuple[int, bytes, bytes]]) -> int:
    return sum(len(envelope) + len(body) + ENTRY_BYTES for _seq, envelope, body in entries)


def seal_request(
    request: bundle.Request, key: SigningKey, charter: Charter, note: str, span: tuple[int, int] = (0, 0)
) -> bytes:
    """Return the bundle of a request, sealed to the recipient in *note*; *span*: first and last seq inside."""
    label = bundle.Label("request", charter.origin)
    header = bundle.Header(key.id, span[0], "request", span[1], charter.origin, "", "", request.pull.size, 1)
    plain = bundle.sign_bundle(label, header, request, key)
    return bundle.format_bundle_file(label, sealing.seal(plain, bundle.verify_recipient(note, charter)))


def own_recipient(key: SigningKey) -> str:
    """Return the age recipient to which replies for the device of *key* are sealed."""
    return sealing.recipient_of(age_identity(key.seed))


def next_pull(replica: Replica) -> wire.Pull:
    """Return what this replica would ask now; an interrupted pull goes on where it stopped."""
    size = 0 if replica.meta.get_int("anew") else replica.seen.size
    if replica.meta.get_int("target") > replica.seen.size:
        return wire.Pull(replica.meta.get_int("after"), PULL_LIMIT, size, replica.meta.get_int("target"))
    return wire.Pull(0, PULL_LIMIT, size, 0)


# -- receiving --------------------


def receive(replica: Replica, data: bytes, staff: str | None = None) -> Received:
    """Take a reply, or an invitation of this replica's centre.

    A reply that does not continue where this replica is changes nothing; that is no error.

    Raises:
        InputError: for another device or centre, or a request.
        FormatError: cut short or damaged.
        LogError: the centre's log does not extend what this device has seen.
    """
    label, content = bundle.split_bundle_file(data)
    if label.kind == "invitation":
        _take_invitation(replica, bundle.open_invitation(label, content))
        return Received("recipient")
    return take_reply(replica, open_reply(data, replica.key_file.key, replica.charter), staff)


def _take_invitation(replica: Replica, invitation: bundle.Invitation) -> None:
    if _is_next(replica, invitation.charter):
        rebase(replica, [invitation.raw_charter])
    require(bundle.Label("invitation", invitation.charter.origin), "invitation", replica.charter.origin)
    if invitation.charter.log != replica.charter.log:
        raise InputError(
            "这份邀请文件的日志密钥与本机章程不同，没有采用；请联系管理员",
            "this invitation names another log key than this replica's charter; it was not taken, ask the registrar",
        )
    replica.meta.set(recipient=invitation.recipient_note)


def _is_next(replica: Replica, charter: Charter) -> bool:
    """Whether *charter* closes the log that this replica follows; whose word that is, `rebase` checks."""
    return isinstance(charter.closes, Closing) and charter.closes.origin == replica.charter.origin


def open_reply(data: bytes, key: SigningKey, charter: Charter) -> bundle.Reply:
    """Return the reply after all checks that need no replica. Source: protocol page, section 14."""
    label, content = bundle.split_bundle_file(data)
    require(label, "reply", charter.origin)
    if label.dev != key.id:
        raise InputError(
            f"这个回包是给终端 {label.dev[:8]} 的，本机是 {key.id[:8]}",
            f"this reply is for device {label.dev[:8]}, this is {key.id[:8]}",
        )
    header, packed = bundle.open_bundle(label, sealing.unseal(content, age_identity(key.seed)))
    if unb64u(header.public) != parse_vkey(charter.log).public:
        raise SignatureError(device_id(unb64u(header.public)))
    return bundle.unpack(packed, bundle.Reply)


_KINDS = {
    "invitation": ("中心的邀请文件", "an invitation of the centre"),
    "request": ("发往中心的包", "a bundle for the centre"),
    "reply": ("中心的回包", "a reply of the centre"),
}


def require(label: bundle.Label, kind: bundle.Kind, origin: str | None = None) -> None:
    """Refuse by name what is not for us, before anything is opened."""
    if origin is not None and label.origin != origin:
        raise InputError(
            f"这个文件是中心“{label.origin}”的，本机的中心是“{origin}”",
            f"this file belongs to the centre {label.origin!r}, this device to {origin!r}",
        )
    if label.kind != kind:
        (zh, en), (wanted_zh, wanted_en) = _KINDS[label.kind], _KINDS[kind]
        raise InputError(f"这是{zh}，这里需要{wanted_zh}", f"this is {en}; {wanted_en} is needed here")


def take_reply(replica: Replica, reply: bundle.Reply, staff: str | None) -> Received:
    """Fold what continues this replica; see `receive`."""
    received = Received("taken")
    if reply.recipient != replica.meta.get("recipient"):
        bundle.verify_recipient(reply.recipient, replica.charter)
    if reply.own is not None and replica.is_older_than_key:
        received.state = _recover(replica, reply.own)
        if replica.is_older_than_key:
            received.more = received.state == "taken"
            return received
    received.state = _take_pages(replica, reply, staff, received.done)
    if received.state == "taken":
        replica.meta.set(recipient=reply.recipient)
        _note_keys(replica, reply.staff_keys, received.done)
        received.more = next_pull(replica).target > 0
    received.done.files = note_files(replica, reply.files)
    received.done.size = replica.seen.size
    return received


def _note_keys(replica: Replica, answers: Sequence[wire.StaffKeyAnswer], done: Synced) -> None:
    waiting = {entry.id for entry in cosigning.pending(replica)}
    for answer in answers:
        if answer.key in waiting:
            note_key(replica, answer.key, answer, done)


def _recover(replica: Replica, answer: wire.PullAnswer) -> State:
    """Take back what this device signed after its replica's copy was made.

    Raises:
        NotAllowedError: the centre has no more of it either.
    """
    checkpoint = verify_checkpoint(answer.checkpoint, replica.charter.log)
    keys = checked_keys(replica, answer)
    entries = [verify_entry(message, checkpoint, keys, "") for message in answer.entries]
    last = replica.meta.get_int("last_seq")
    missing = [entry for entry in entries if entry.leaf.changeset.statement.seq > last]
    if entries and not missing:
        return "older"
    if not missing:
        raise NotAllowedError(
            "这个副本比密钥文件旧，中心也没有缺少的记录：如有打包文件还在路上，等它送到后再打包一次；"
            "否则请保留本文件，用新登记码重新登记",
            "this replica is older than its key file and the centre lacks the rest: if a bundle is still on its way, "
            "wait for it and bundle again; otherwise keep this file and enrol again",
        )
    restore_own(replica, missing)
    return "taken"


def _take_pages(replica: Replica, reply: bundle.Reply, staff: str | None, done: Synced) -> State:
    """Fold the pages from the one that continues where this replica is; all are verified as over the network."""
    ask, state = reply.pull, _stale(replica, reply)
    for answer in reply.pages:
        reset = answer.reset and ask.size > 0
        if _same(ask, next_pull(replica)):
            if state != "taken":
                note_results(replica, reply.push.results, done)
                done.pushed = len(reply.push.results)
            state = "taken"
            if not _take_page(replica, answer, ask, staff, done):
                return "unfit"  # the next bundle asks for what this device has signed and does not know
        ask = wire.Pull(0 if reset else answer.next, PULL_LIMIT, 0 if reset else ask.size, answer.target)
    return state


def _take_page(replica: Replica, answer: wire.PullAnswer, ask: wire.Pull, staff: str | None, done: Synced) -> bool:
    """Fold or keep a page; returns False, with nothing changed, if it shows that this replica is an older copy."""
    page = verify_page(replica, answer, ask.size)
    if answer.reset and ask.size > 0:
        start_over(replica, page)
        return True
    if not ask.after < page.after <= page.target and not page.last:
        raise ProofError("page")
    if learn_chain(replica, page):
        return False
    if page.last:
        count_merged(done, merge_pulled(replica, page, staff))
        require_delivered(replica)
    else:
        stage_page(replica, page)
    return True


def _same(one: wire.Pull, other: wire.Pull) -> bool:
    return (one.after, one.size, one.target) == (other.after, other.size, other.target)


def _stale(replica: Replica, reply: bundle.Reply) -> State:
    """Say why a reply of which no page fits changes nothing."""
    return "older" if not reply.pages or reply.pages[-1].target <= replica.seen.size else "unfit"
