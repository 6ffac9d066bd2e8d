"""The pure format of bundles: labels, the recipient note, what is signed inside the seal, the age identity."""

import hashlib
import zlib
from dataclasses import dataclass

import msgspec
import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core import bundle, wire
from syncgov.core.age_identity import age_identity
from syncgov.core.bundle import Header, Label
from syncgov.core.canonical import b64u
from syncgov.core.charter import Charter, open_charter, sign_charter
from syncgov.core.keys import SigningKey
from syncgov.core.note import format_vkey, sign_note, verify_checkpoint
from syncgov.errors import FormatError, LimitError, SignatureError

ORIGIN = "log.example/street"


def key(name: str) -> SigningKey:
    """Return the key of a name."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


ROOT, LOG, DEVICE, OTHER = key("root"), key("log"), key("device"), key("other")
RECIPIENT = str(pyrage.x25519.Identity.from_str(age_identity(LOG.seed)).to_public())


def raw_charter(origin: str = ORIGIN) -> bytes:
    """Return a charter."""
    return sign_charter(
        Charter(
            area="1",
            backup_days=1,
            grace_days=1,
            issued=1,
            log=format_vkey(origin, LOG.public),
            name="测试",
            origin=origin,
            quorum="none",
            registrars=[b64u(OTHER.public)],
            roots=[b64u(ROOT.public)],
            simulated=True,
            threshold=1,
            v=1,
            witnesses=[],
        ),
        [ROOT],
    )


CHARTER = open_charter(raw_charter())

# -- labels --------------------


@pytest.mark.parametrize(
    ("label", "line"),
    [
        (Label("invitation", ORIGIN), b"syncgov-bundle@v1 invitation log.example/street"),
        (Label("request", "天水.example/郡"), "syncgov-bundle@v1 request 天水.example/郡".encode()),
        (Label("reply", ORIGIN, DEVICE.id), b"syncgov-bundle@v1 reply log.example/street " + DEVICE.id.encode()),
    ],
)
def test_a_label_is_one_readable_line(label: Label, line: bytes) -> None:
    """`head -1` of the file says what it is and for whom."""
    data = bundle.format_bundle_file(label, b"content\n\n")
    assert data == line + b"\ncontent\n\n"
    assert bundle.split_bundle_file(data) == (label, b"content\n\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        b"syncgov-bundle@v1 request log.example/street",
        b"syncgov-bundle@v2 request log.example/street\n",
        b"syncgov-bundle@v1 offer log.example/street\n",
        b"syncgov-bundle@v1 request  log.example/street\n",
        b"syncgov-bundle@v1 request log.example/street \n",
        b"syncgov-bundle@v1 request log.example/street\r\n",
        b"syncgov-bundle@v1 request log+example/street\n",
        b"syncgov-bundle@v1 request log\xff\n",
        b"syncgov-bundle@v1 reply log.example/street\n",
        b"syncgov-bundle@v1 request log.example/street " + DEVICE.id.encode() + b"\n",
        b"syncgov-bundle@v1 reply log.example/street " + DEVICE.id.upper().encode() + b"\n",
        b"syncgov-bundle@v1 request " + b"x" * bundle.MAX_LABEL_BYTES + b"\n",
    ],
)
def test_other_labels_are_refused(data: bytes) -> None:
    """Only what the formatter writes is read."""
    with pytest.raises(FormatError):
        bundle.split_bundle_file(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_bundle_or_a_format_error(data: bytes) -> None:
    """Nothing else comes out of the reader."""
    for candidate in (data, bundle.MAGIC + data):
        try:
            label, content = bundle.split_bundle_file(candidate)
        except FormatError:
            continue
        assert bundle.format_bundle_file(label, content) == candidate


@pytest.mark.parametrize(
    "label", [Label("request", "a b"), Label("request", ORIGIN, DEVICE.id), Label("reply", ORIGIN)]
)
def test_an_impossible_label_is_not_written(label: Label) -> None:
    """The formatter refuses what the parser would."""
    with pytest.raises(FormatError):
        bundle.format_bundle_file(label, b"")


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything of it is looked at."""
    monkeypatch.setattr(bundle, "MAX_BUNDLE_BYTES", 20)
    with pytest.raises(LimitError):
        bundle.split_bundle_file(b"x" * 21)


# -- recipient and invitation --------------------


def test_the_recipient_is_signed_by_the_log() -> None:
    """A note of the charter's log says to whom one seals."""
    note = bundle.sign_recipient(ORIGIN, RECIPIENT, LOG)
    assert note.startswith(f"syncgov-recipient@v1\n{ORIGIN}\n{RECIPIENT}\n\n— {ORIGIN} ")
    assert bundle.verify_recipient(note, CHARTER) == RECIPIENT


def test_a_recipient_by_somebody_else_is_refused() -> None:
    """Another key, another centre's name, another recipient under the old signature."""
    note = bundle.sign_recipient(ORIGIN, RECIPIENT, LOG)
    other = str(pyrage.x25519.Identity.generate().to_public())
    for bad in (bundle.sign_recipient(ORIGIN, RECIPIENT, OTHER), note.replace(RECIPIENT, other)):
        with pytest.raises(SignatureError):
            bundle.verify_recipient(bad, CHARTER)
    with pytest.raises(FormatError):
        bundle.verify_recipient(sign_note(f"syncgov-recipient@v1\nelse\n{RECIPIENT}\n", ORIGIN, LOG), CHARTER)


@pytest.mark.parametrize("text", ["", "age1", RECIPIENT + "q", RECIPIENT.upper(), "ssh-ed25519 AAAA", "age1pq1abc"])
def test_only_x25519_recipients_are_written(text: str) -> None:
    """One type of seal belongs to this version."""
    with pytest.raises(FormatError):
        bundle.sign_recipient(ORIGIN, text, LOG)


def test_a_recipient_note_is_no_checkpoint_and_the_reverse() -> None:
    """Both are signed by one key: neither may ever be taken for the other."""
    with pytest.raises(FormatError):
        verify_checkpoint(bundle.sign_recipient(ORIGIN, RECIPIENT, LOG), CHARTER.log)
    checkpoint = sign_note(f"{ORIGIN}\n1\n{'A' * 43}=\n", ORIGIN, LOG)
    assert verify_checkpoint(checkpoint, CHARTER.log).size == 1
    with pytest.raises(FormatError):
        bundle.verify_recipient(checkpoint, CHARTER)


def test_an_invitation_brings_charter_and_recipient() -> None:
    """What goes in comes out, verified."""
    note = bundle.sign_recipient(ORIGIN, RECIPIENT, LOG)
    label, content = bundle.split_bundle_file(bundle.format_invitation(raw_charter(), note))
    found = bundle.open_invitation(label, content)
    assert (found.raw_charter, found.charter, found.recipient_note) == (raw_charter(), CHARTER, note)


def test_an_invitation_whose_parts_differ_is_refused() -> None:
    """Label, charter and note must be of one centre."""
    note = bundle.sign_recipient(ORIGIN, RECIPIENT, LOG)
    label, content = bundle.split_bundle_file(bundle.format_invitation(raw_charter(), note))
    with pytest.raises(FormatError):
        bundle.open_invitation(Label("invitation", "log.example/else"), content)
    with pytest.raises(FormatError):
        bundle.open_invitation(label, content[:-1])
    other = bundle.format_invitation(raw_charter("log.example/else"), note)
    with pytest.raises(SignatureError):
        bundle.open_invitation(*bundle.split_bundle_file(other))


# -- inside the seal --------------------


@dataclass(frozen=True)
class Sample:
    """A request with its label."""

    label: Label
    header: Header
    message: bundle.Request


SAMPLE = Sample(
    Label("request", ORIGIN),
    Header(DEVICE.id, 3, "request", 7, ORIGIN, "", "", 12, 1),
    bundle.Request(None, None, wire.Pull(12, 5, 12, 0), wire.Push([]), RECIPIENT),
)


def test_what_is_signed_comes_out() -> None:
    """Header and message survive; the header names the key and the digest."""
    plain = bundle.sign_bundle(SAMPLE.label, SAMPLE.header, SAMPLE.message, DEVICE)
    header, packed = bundle.open_bundle(SAMPLE.label, plain)
    assert header == msgspec.structs.replace(
        SAMPLE.header, public=b64u(DEVICE.public), sha256=b64u(hashlib.sha256(packed).digest())
    )
    assert bundle.unpack(packed, bundle.Request) == SAMPLE.message
    assert plain == bundle.sign_bundle(SAMPLE.label, SAMPLE.header, SAMPLE.message, DEVICE)


def test_every_byte_is_signed() -> None:
    """One bit anywhere, one byte less or more: refused."""
    plain = bundle.sign_bundle(SAMPLE.label, SAMPLE.header, SAMPLE.message, DEVICE)
    for at in range(len(plain)):
        changed = plain[:at] + bytes([plain[at] ^ 1]) + plain[at + 1 :]
        with pytest.raises((FormatError, SignatureError)):
            bundle.open_bundle(SAMPLE.label, changed)
    for cut in (plain[:-1], plain + b"x", plain[: len(plain) // 2], b""):
        with pytest.raises(FormatError):
            bundle.open_bundle(SAMPLE.label, cut)


def test_a_label_that_was_exchanged_is_noticed() -> None:
    """The readable line proves nothing; the signed header repeats it."""
    plain = bundle.sign_bundle(SAMPLE.label, SAMPLE.header, SAMPLE.message, DEVICE)
    for label in (Label("request", "log.example/else"), Label("reply", ORIGIN, DEVICE.id)):
        with pytest.raises(FormatError):
            bundle.open_bundle(label, plain)


def test_a_request_signed_by_another_device_is_refused() -> None:
    """The id in the header is that of the key that signed."""
    with pytest.raises(SignatureError):
        bundle.sign_bundle(SAMPLE.label, SAMPLE.header, SAMPLE.message, OTHER)


@pytest.mark.parametrize(
    "members", [{"first": 8}, {"first": 0}, {"size": -1}, {"dev": "x"}, {"last": 2**53}], ids=lambda m: next(iter(m))
)
def test_members_out_of_their_range_are_refused(members: dict[str, int | str]) -> None:
    """Neither written nor read."""
    header = msgspec.structs.replace(SAMPLE.header, **members)
    with pytest.raises(FormatError):
        bundle.sign_bundle(SAMPLE.label, header, SAMPLE.message, DEVICE)


def test_packed_bytes_that_grow_too_large_are_refused() -> None:
    """A few KiB that would fill the memory are not unpacked to the end."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(b" " * (wire.MAX_UNPACKED_BYTES + 1)) + packer.flush()
    assert len(bomb) < 100_000
    with pytest.raises(LimitError):
        bundle.unpack(bomb, bundle.Request)


@pytest.mark.parametrize("cut", [0, 5, -1])
def test_packed_bytes_that_are_cut_are_refused(cut: int) -> None:
    """Also a part that ends where gzip could go on."""
    packer = zlib.compressobj(6, wbits=31)
    packed = packer.compress(wire.format_message(SAMPLE.message)) + packer.flush()
    assert bundle.unpack(packed, bundle.Request) == SAMPLE.message
    for bad in (packed[:cut], packed + b"x", b"plain"):
        with pytest.raises(FormatError):
            bundle.unpack(bad, bundle.Request)


# -- the device's age identity --------------------


@given(st.binary(min_size=32, max_size=32))
def test_the_identity_is_one_that_age_reads(seed: bytes) -> None:
    """The library takes it, spells it the same, and opens what was sealed to it."""
    identity = pyrage.x25519.Identity.from_str(age_identity(seed))
    assert str(identity) == age_identity(seed)
    assert pyrage.decrypt(pyrage.encrypt(b"x", [identity.to_public()]), [identity]) == b"x"


def test_the_identity_is_the_one_of_the_protocol_page() -> None:
    """HKDF-SHA-256 as written there, computed here with hmac alone; and not the signing key itself."""
    import hmac

    extracted = hmac.digest(b"\0" * 32, DEVICE.seed, "sha256")
    secret = hmac.digest(extracted, b"syncgov bundle v1\x01", "sha256")
    public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    recipient = str(pyrage.x25519.Identity.from_str(age_identity(DEVICE.seed)).to_public())
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    bits = "".join(f"{alphabet.index(c):05b}" for c in recipient.removeprefix("age1")[:-6])[:256]
    assert int(bits, 2).to_bytes(32, "big") == public
