"""Ed25519 as this protocol means it: RFC 8032 without points of low order."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core import keys
from syncgov.errors import SignatureError

KEY = keys.SigningKey(b"k" * 32)


def accepts(public: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether the signature verifies; the only error is SignatureError."""
    try:
        keys.verify(public, message, signature)
    except SignatureError:
        return False
    return True


def test_all_wycheproof_cases(shared: Path) -> None:
    """Each of the 151 cases has its result; a valid one may be refused only for a point of low order."""
    data = json.loads((shared / "vectors/wycheproof_ed25519_test.json").read_text())
    seen = {"valid": 0, "invalid": 0, "low order": 0}
    for group in data["testGroups"]:
        public = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            signature = bytes.fromhex(case["sig"])
            low = public in keys.LOW_ORDER or signature[:32] in keys.LOW_ORDER
            wanted = case["result"] == "valid" and not low
            assert accepts(public, bytes.fromhex(case["msg"]), signature) is wanted, case["tcId"]
            seen["low order" if low and case["result"] == "valid" else case["result"]] += 1
    assert sum(seen.values()) == data["numberOfTests"] == 151
    assert seen["valid"] > 80
    assert seen["invalid"] > 50
    assert seen["low order"] == 0  # Wycheproof has no such case today


def test_the_low_order_list_is_the_published_one(shared: Path) -> None:
    """14 encodings, the same as in the vectors."""
    published = (shared / "vectors/lowpoints.txt").read_text().split()
    assert len(published) == len(set(published)) == 14
    assert {bytes.fromhex(point) for point in published} == keys.LOW_ORDER


def test_low_order_points_are_refused_as_key_and_as_r() -> None:
    """With the identity as key and R and s = 0 the equation holds for every message; it is refused all the same."""
    for point in keys.LOW_ORDER:
        assert not accepts(point, b"any message", point + bytes(32))
        assert not accepts(KEY.public, b"any message", point + bytes(32))
        assert not accepts(point, b"any message", KEY.sign(b"any message"))


def test_rfc_8032_test_1() -> None:
    """Section 7.1, TEST 1: the seed gives this public key and this signature of the empty message."""
    key = keys.SigningKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
        "24655141438e7a100b"
    )
    assert accepts(key.public, b"", key.sign(b""))


def test_the_device_id_is_the_front_of_the_hash() -> None:
    """The first 16 bytes of SHA-256, in hexadecimal."""
    assert keys.device_id(b"") == "e3b0c44298fc1c149afbf4c8996fb924"
    assert KEY.id == keys.device_id(KEY.public)
    assert len(KEY.id) == 32


def test_the_encoding_of_dsse() -> None:
    """The example of dsse/protocol.md; lengths count bytes, not characters."""
    assert keys.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert keys.pae("类", "文".encode()) == b"DSSEv1 3 \xe7\xb1\xbb 3 \xe6\x96\x87"


@given(st.binary(max_size=64), st.text(max_size=20))
def test_a_typed_signature_is_good_for_its_type_only(payload: bytes, kind: str) -> None:
    """The same bytes under another type, or untyped, do not verify."""
    signature = KEY.sign_typed("application/one", payload)
    keys.verify_typed(KEY.public, "application/one", payload, signature)
    if kind != "application/one":
        with pytest.raises(SignatureError):
            keys.verify_typed(KEY.public, kind, payload, signature)
    assert not accepts(KEY.public, payload, signature)


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=40))
def test_any_bytes_are_a_signature_error_at_worst(public: bytes, signature: bytes, message: bytes) -> None:
    """Keys and signatures of any length and content are refused in one way."""
    assert not accepts(public, message, signature)
    assert not accepts(public[:32].ljust(32, b"\2"), message, signature[:64].ljust(64, b"\3"))


def test_the_error_names_the_key_and_not_the_message() -> None:
    """Whoever reads the error learns which key it was, and nothing that was signed."""
    with pytest.raises(SignatureError) as caught:
        keys.verify(KEY.public, b"secret", bytes(64))
    assert caught.value.key_id == KEY.id
    assert "secret" not in str(caught.value) + caught.value.zh


@given(st.binary(max_size=100), st.integers(0, 511))
def test_one_bit_changed_is_refused(message: bytes, bit: int) -> None:
    """A valid signature with any one bit changed is not valid."""
    signature = bytearray(KEY.sign(message))
    assert accepts(KEY.public, message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not accepts(KEY.public, message, bytes(signature))
