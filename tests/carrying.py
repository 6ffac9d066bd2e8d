"""Devices that are never online: everything goes by bundle, through hands that may lose, copy, cut and swap files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from syncgov.centre import bundles
from syncgov.centre.bundles import Replied
from syncgov.core import bundle
from syncgov.core.age_identity import age_identity
from syncgov.core.keys import SigningKey
from syncgov.storage import sealing
from syncgov.storage.keyfile import load_key
from syncgov.storage.replica import Replica
from syncgov.sync.bundle import Received, pack, receive
from syncgov.sync.bundle_join import accept_invitation, pack_join, receive_first
from tests.helpers import EAST, World


def offline_device(world: World, name: str, role: str = "worker", areas: Sequence[str] = (EAST,)) -> Replica:
    """Return a device that has joined by file; its file is `<name>.db`."""
    path = world.folder / f"{name}.db"
    accept_invitation(path, bundles.invitation(world.centre), world.code(role, areas))
    replica, received = receive_first(
        path, bundles.receive(world.centre, pack_join(path).data).reply, clock=world.clock
    )
    assert received.state == "taken"
    world.replicas[name] = replica
    return replica


@dataclass(frozen=True)
class Round:
    """One way to the centre and back."""

    replied: Replied
    received: Received


def carry(world: World, replica: Replica) -> Round:
    """Bundle, carry, receive, carry back, receive."""
    replied = bundles.receive(world.centre, pack(replica).data)
    return Round(replied, receive(replica, replied.reply))


def log_key(world: World) -> SigningKey:
    """Return the centre's log key: only the centre and a test that plays a lying one have it."""
    return load_key(world.folder / "centre" / "keys" / "log.key").key


def opened(key: SigningKey, reply: bytes) -> tuple[bundle.Header, bundle.Reply]:
    """Return what is in a reply, as the device of *key* sees it."""
    label, content = bundle.split_bundle_file(reply)
    header, packed = bundle.open_bundle(label, sealing.unseal(content, age_identity(key.seed)))
    return header, bundle.unpack(packed, bundle.Reply)


def changed(
    key: SigningKey, reply: bytes, signer: SigningKey, change: Callable[[bundle.Reply], bundle.Reply] = lambda r: r
) -> bytes:
    """Return a reply for the device of *key* whose content *signer* has changed and signed anew."""
    header, message = opened(key, reply)
    label, _content = bundle.split_bundle_file(reply)
    plain = bundle.sign_bundle(label, header, change(message), signer)
    return bundle.format_bundle_file(label, sealing.seal(plain, sealing.recipient_of(age_identity(key.seed))))


def relabelled(data: bytes, **members: str) -> bytes:
    """Return a bundle whose readable line somebody has changed."""
    label, content = bundle.split_bundle_file(data)
    parts = {"kind": label.kind, "origin": label.origin, "dev": label.dev} | members
    return bundle.format_bundle_file(msgspec.convert(parts, bundle.Label), content)
