"""The age identity that belongs to a device key. Source: protocol page, section 14; age-encryption.org/v1; BIP 173."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_INFO = b"syncgov bundle v1"
_PREFIX = "age-secret-key-"
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def age_identity(seed: bytes) -> str:
    """Return the age identity of the device key with this seed: a restored key file opens what was sealed before."""
    secret = HKDF(SHA256(), 32, salt=None, info=_INFO).derive(seed)
    return _bech32(_PREFIX, secret).upper()


def _bech32(prefix: str, data: bytes) -> str:
    """Source: BIP 173, without its limit of 90 characters, as age uses it."""
    bits = int.from_bytes(data, "big") << (-8 * len(data) % 5)
    count = (8 * len(data) + 4) // 5
    words = [bits >> 5 * (count - 1 - i) & 31 for i in range(count)]
    expanded = [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix)]
    check = _polymod([*expanded, *words, 0, 0, 0, 0, 0, 0]) ^ 1
    words += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return f"{prefix}1{''.join(_ALPHABET[word] for word in words)}"


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, part in enumerate(_GENERATOR):
            check ^= part if top >> i & 1 else 0
    return check
