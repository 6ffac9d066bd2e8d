"""Ed25519 keys, ids and DSSE signatures. Source: protocol page, section 2."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from syncgov.errors import FormatError, SignatureError

# Libraries disagree about signatures that involve points of low order; refusing their 14 encodings makes them agree.
LOW_ORDER = frozenset(
    bytes.fromhex(text)
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
)


class SigningKey:
    """A private Ed25519 key, from its 32-byte seed. The seed is a parameter: core makes no randomness."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.seed = seed
        self.public = self._key.public_key().public_bytes_raw()
        self.id = device_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of *message*."""
        return self._key.sign(message)

    def sign_typed(self, payload_type: str, payload: bytes) -> bytes:
        """Return the signature of the DSSE pre-authentication encoding."""
        return self._key.sign(pae(payload_type, payload))


def device_id(public: bytes) -> str:
    """Return the id of a public key: the first 16 bytes of its SHA-256, as 32 hexadecimal digits."""
    return hashlib.sha256(public).hexdigest()[:32]


@lru_cache(maxsize=8192)
def _load(public: bytes) -> Ed25519PublicKey:
    if len(public) != 32 or public in LOW_ORDER:
        raise FormatError("public key", "not 32 bytes, or a point of low order")
    return Ed25519PublicKey.from_public_bytes(public)


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Return if *signature* over *message* is valid under *public*.

    Raises:
        SignatureError: it is not, or R or the key is one of the 14 low-order encodings.

    Source: RFC 8032; protocol page, section 2.
    """
    if len(signature) != 64 or signature[:32] in LOW_ORDER:
        raise SignatureError(device_id(public))
    try:
        _load(public).verify(signature, message)
    except (InvalidSignature, FormatError) as error:
        raise SignatureError(device_id(public)) from error


def verify_typed(public: bytes, payload_type: str, payload: bytes, signature: bytes) -> None:
    """Like `verify`, over the DSSE pre-authentication encoding."""
    verify(public, pae(payload_type, payload), signature)


def which_verify(signed: Sequence[tuple[bytes, str, bytes, bytes]]) -> list[bool]:
    """Return, for each (public key, payload type, payload, signature), whether `verify_typed` takes it."""
    return [_verifies(*each) for each in signed]


def _verifies(public: bytes, payload_type: str, payload: bytes, signature: bytes) -> bool:
    try:
        verify_typed(public, payload_type, payload, signature)
    except SignatureError:
        return False
    return True


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the DSSE v1 pre-authentication encoding: `DSSEv1 SP len SP type SP len SP body`."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
