"""Join a centre: a key, a certificate, a replica. Source: protocol page, section 8 (enrolment)."""

import secrets
from pathlib import Path

from syncgov.core import wire
from syncgov.core.canonical import b64u, unb64u
from syncgov.core.charter import Charter, open_charter
from syncgov.core.keys import SigningKey, device_id
from syncgov.core.note import verify_checkpoint
from syncgov.errors import (
    ProofError,
    StorageError,
)
from syncgov.storage.clock import Clock, wall_clock
from syncgov.storage.keyfile import key_path, load_key, store_key
from syncgov.storage.replica import Replica
from syncgov.sync.checking import verify_entry
from syncgov.sync.transport import HttpTransport


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
    key = joining_key(key_file)
    transport = HttpTransport(url)
    try:
        raw_charter = transport.get("/v1/charter")
        charter = open_charter(raw_charter)
        answer = transport.post("/v1/join", wire.sign_join(code, charter.origin, key), wire.JoinAnswer)
    finally:
        transport.close()
    checkpoint = verify_checkpoint(answer.checkpoint, charter.log)
    entry = verify_entry(answer.entry, checkpoint, registrar_keys(charter), key.id)
    certificate = entry.body.find(f"device/{key.id}/public_key") if entry.body is not None else None
    if certificate is None or certificate.value != b64u(key.public):
        raise ProofError("certificate")
    settings = {"url": url, "prev": entry.leaf.changeset.envelope.hash}
    return Replica.create(path, load_key(key_file), raw_charter, settings, clock)


def joining_key(path: Path) -> SigningKey:
    """Return the key of a device that is about to join; one whose join was cut off is used again."""
    if not path.exists():
        return store_key(path, SigningKey(secrets.token_bytes(32)), 0, "").key
    kept = load_key(path)
    if kept.seq > 0:
        raise StorageError(
            f"{path} 是用过的密钥，请换一个文件名登记，不要丢弃它",
            f"{path} belongs to a replica that has signed; join under another file name and keep it",
        )
    return kept.key


def registrar_keys(charter: Charter) -> dict[str, bytes]:
    """Return device id -> public key of the devices that the charter names."""
    publics = [unb64u(text, 32) for text in charter.registrars]
    return {device_id(public): public for public in publics}
