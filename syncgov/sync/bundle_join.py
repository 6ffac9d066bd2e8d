"""Join by file: an invitation from the centre, a code told by voice, a request, its reply.

REPLICA.joining holds invitation and code until the reply is here; the replica does not exist before.
Source: protocol page, section 14.
"""

from pathlib import Path
from typing import Literal

import msgspec

from syncgov.core import bundle, wire
from syncgov.core.canonical import b64u
from syncgov.core.charter import Charter, open_charter
from syncgov.core.note import verify_checkpoint
from syncgov.errors import InputError, ProofError, StorageError
from syncgov.storage.clock import Clock, wall_clock
from syncgov.storage.files import write_atomic
from syncgov.storage.keyfile import key_path, load_key
from syncgov.storage.replica import Replica
from syncgov.sync.bundle import (
    PULL_LIMIT,
    Packed,
    Received,
    open_reply,
    own_recipient,
    require,
    seal_request,
    take_reply,
)
from syncgov.sync.checking import verify_entry
from syncgov.sync.joining import joining_key, registrar_keys


class _Joining(msgspec.Struct, forbid_unknown_fields=True):
    """What a device keeps between its request to join and the reply."""

    charter: str
    code: str
    recipient: str
    v: Literal[1] = 1


def joining_path(replica: Path) -> Path:
    """Return where the invitation and the code of a replica that is about to join are kept."""
    return replica.with_name(replica.name + ".joining")


def is_joining(replica: Path) -> bool:
    """Whether this device has asked to join by file and its reply has not been received."""
    return not replica.exists() and joining_path(replica).exists()


def accept_invitation(path: Path, data: bytes, code: str) -> Charter:
    """Make a key for the replica at *path* and keep invitation and code; `pack_join` then makes the request.

    Raises:
        StorageError: there is a replica already, or the key of one that has signed.
        InputError, FormatError, SignatureError, NotAllowedError: not a whole invitation.
    """
    if path.exists():
        raise StorageError(f"{path} 已经存在", f"{path} exists already")
    label, content = bundle.split_bundle_file(data)
    require(label, "invitation")
    invitation = bundle.open_invitation(label, content)
    joining_key(key_path(path))
    kept = _Joining(invitation.raw_charter.decode(), code, invitation.recipient_note)
    write_atomic(joining_path(path), msgspec.json.encode(kept), mode=0o600)
    return invitation.charter


def pack_join(path: Path) -> Packed:
    """Return the request to join of a device that has accepted an invitation; any number of times."""
    joining, charter = _read_joining(path)
    key = load_key(key_path(path)).key
    joining_message = wire.sign_join(joining.code, charter.origin, key)
    request = bundle.Request(joining_message, None, wire.Pull(0, PULL_LIMIT, 0, 0), wire.Push([]), own_recipient(key))
    return Packed(seal_request(request, key, charter, joining.recipient), joining=True)


def receive_first(path: Path, data: bytes, *, clock: Clock = wall_clock) -> tuple[Replica, Received]:
    """Make the replica from the reply to `pack_join`, and fold what came with it.

    Raises:
        InputError, FormatError, SignatureError, ProofError: not the reply to this device. If its certificate was whole
            and its pages were not, the replica is there, empty: `receive` takes the next reply.
    """
    joining, charter = _read_joining(path)
    key_file = load_key(key_path(path))
    reply = open_reply(data, key_file.key, charter)
    if reply.join is None:
        raise InputError("这个回包里没有登记结果", "this reply does not answer a request to join")
    checkpoint = verify_checkpoint(reply.join.checkpoint, charter.log)
    entry = verify_entry(reply.join.entry, checkpoint, registrar_keys(charter), key_file.key.id)
    certificate = entry.body.find(f"device/{key_file.key.id}/public_key") if entry.body is not None else None
    if certificate is None or certificate.value != b64u(key_file.key.public):
        raise ProofError("certificate")
    settings = {"prev": entry.leaf.changeset.envelope.hash, "recipient": joining.recipient}
    replica = Replica.create(path, key_file, joining.charter.encode(), settings, clock)
    try:
        received = take_reply(replica, reply, None)
        joining_path(path).unlink()
    except BaseException:
        replica.close()
        raise
    return replica, received


def _read_joining(path: Path) -> tuple[_Joining, Charter]:
    try:
        joining = msgspec.json.decode(joining_path(path).read_bytes(), type=_Joining)
    except OSError as error:
        raise StorageError(
            f"找不到 {path}，也没有登记到一半的文件；请先 join", f"neither {path} nor a begun join is there; join first"
        ) from error
    except msgspec.MsgspecError as error:
        raise StorageError(
            f"{joining_path(path)} 已损坏，请重新 join", f"damaged: {joining_path(path)}; join again"
        ) from error
    return joining, open_charter(joining.charter.encode())
