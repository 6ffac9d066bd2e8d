"""Statement, envelope, leaf: exactly one form, exact limits, effective times within the receipts."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncgov.core.canonical import b64, b64u
from syncgov.core.clock import Stamp, next_stamp
from syncgov.core.keys import SigningKey
from syncgov.core.statement import (
    CHANGESET_TYPE,
    EMPTY_ROOT,
    MAX_ENVELOPE_BYTES,
    MAX_LEAF_BYTES,
    MAX_MS,
    MAX_TICK,
    MAX_WRITES,
    REFUSALS,
    Seen,
    Statement,
    envelope_hash,
    format_envelope,
    format_leaf,
    format_statement,
    is_device_id,
    is_hash,
    parse_changeset,
    parse_envelope,
    parse_leaf,
    parse_statement,
    sign_statement,
    verify_changeset,
)
from syncgov.errors import FormatError, LimitError, SignatureError

KEY, STAFF = SigningKey(b"k" * 32), SigningKey(b"s" * 32)

hashes = st.binary(min_size=32, max_size=32).map(b64u)
counts = st.integers(1, MAX_WRITES)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """Draw any statement of the example key."""
    n = draw(counts)
    size = draw(st.integers(0, 2**53 - 1))
    return Statement(
        at=draw(st.integers(0, MAX_MS)),
        dev=KEY.id,
        n=n,
        prev=draw(hashes),
        pub=draw(st.integers(0, n)),
        reg=draw(hashes),
        root=draw(hashes),
        seen=Seen(draw(hashes) if size else EMPTY_ROOT, size),
        seq=draw(st.integers(1, 2**53 - 1)),
        tick=draw(st.integers(0, MAX_TICK)),
        v=1,
    )


PLAIN = Statement(5, KEY.id, 1, b64u(bytes(32)), 0, b64u(bytes(32)), b64u(bytes(32)), Seen(EMPTY_ROOT, 0), 1, 0, 1)


@given(statements())
def test_a_statement_comes_back(one: Statement) -> None:
    """Through statement, envelope and leaf, with the same bytes each time."""
    assert parse_statement(format_statement(one)) == one
    envelope = sign_statement(one, KEY)
    changeset = parse_changeset(envelope)
    assert changeset.statement == one
    assert changeset.envelope.raw == envelope
    assert verify_changeset(changeset, KEY.public) is changeset
    leaf = format_leaf(envelope, floor=3, received=9, verdict="accepted")
    assert parse_leaf(leaf).changeset.envelope.raw == envelope
    assert parse_leaf(leaf).raw == leaf


@given(statements(), st.data())
def test_one_byte_changed_is_noticed(one: Statement, data: st.DataObject) -> None:
    """Any changed byte of an envelope: not of the form, or not signed, or at least another envelope."""
    envelope = sign_statement(one, KEY)
    at = data.draw(st.integers(0, len(envelope) - 1))
    changed = envelope[:at] + bytes([envelope[at] ^ data.draw(st.integers(1, 255))]) + envelope[at + 1 :]
    with pytest.raises((FormatError, SignatureError)):
        verify_changeset(parse_changeset(changed), KEY.public)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_format_error_at_worst(raw: bytes) -> None:
    """Whatever somebody sends."""
    for parse in (parse_statement, parse_changeset, parse_leaf):
        with pytest.raises(FormatError):
            parse(raw)


@pytest.mark.parametrize("name", Statement.__struct_fields__)
def test_no_member_may_be_missing_or_of_another_kind(name: str) -> None:
    """Each of the eleven members."""
    content = msgspec.to_builtins(PLAIN)
    for other in ({k: v for k, v in content.items() if k != name}, {**content, name: None}, {**content, name: [1]}):
        with pytest.raises(FormatError):
            parse_statement(json.dumps(other, separators=(",", ":"), sort_keys=True).encode())


@pytest.mark.parametrize(
    ("members", "good"),
    [
        ({"seq": 0}, False),
        ({"seq": 2**53 - 1}, True),
        ({"seq": 2**53}, False),
        ({"tick": MAX_TICK}, True),
        ({"tick": MAX_TICK + 1}, False),
        ({"at": MAX_MS}, True),
        ({"at": MAX_MS + 1}, False),
        ({"at": 0}, True),
        ({"at": -1}, False),
        ({"n": MAX_WRITES}, True),
        ({"n": MAX_WRITES + 1}, False),
        ({"n": 0}, False),
        ({"pub": 1}, True),
        ({"pub": 2}, False),
        ({"v": 0}, False),
        ({"dev": "g" * 32}, False),
        ({"dev": "a" * 31}, False),
        ({"seen": {"root": EMPTY_ROOT, "size": -1}}, False),
        ({"seen": {"root": b64u(bytes(32)), "size": 1}}, True),
        ({"seen": {"root": b64u(bytes(32)), "size": 0}}, False),
        ({"seen": {"root": EMPTY_ROOT, "size": 0, "x": 1}}, False),
    ],
)
def test_ranges_are_exact(members: dict[str, object], good: bool) -> None:
    """The last number inside passes, the first outside does not."""
    content = {**msgspec.to_builtins(PLAIN), **members}
    raw = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    if good:
        assert format_statement(parse_statement(raw)) == raw
    else:
        with pytest.raises(FormatError):
            parse_statement(raw)


def test_an_envelope_is_of_its_type_and_signed_first_by_its_device() -> None:
    """Another type, another first key, a third signature, none."""
    payload = format_statement(PLAIN)
    sig = KEY.sign_typed(CHANGESET_TYPE, payload)
    good = [(KEY.id, sig), (STAFF.id, STAFF.sign_typed(CHANGESET_TYPE, payload))]
    assert sign_statement(PLAIN, KEY, STAFF) == format_envelope(CHANGESET_TYPE, payload, good)
    assert len(parse_changeset(sign_statement(PLAIN, KEY, STAFF)).envelope.signatures) == 2
    for signatures in (good[::-1], [*good, good[1]], []):
        with pytest.raises(FormatError):
            parse_changeset(format_envelope(CHANGESET_TYPE, payload, signatures))
    with pytest.raises(FormatError):
        parse_envelope(sign_statement(PLAIN, KEY), "application/other")


def test_the_device_signature_is_what_counts() -> None:
    """A staff signature does not stand for the device's, nor another device's key for this one's."""
    changeset = parse_changeset(sign_statement(PLAIN, KEY, STAFF))
    verify_changeset(changeset, KEY.public)
    with pytest.raises(SignatureError):
        verify_changeset(changeset, STAFF.public)


def test_sizes_are_bounded() -> None:
    """4096 bytes of envelope, 65535 of leaf."""
    envelope = sign_statement(PLAIN, KEY)
    with pytest.raises(LimitError):
        parse_changeset(envelope + b" " * (MAX_ENVELOPE_BYTES + 1 - len(envelope)))
    with pytest.raises(LimitError):
        parse_leaf(b"{" + b" " * MAX_LEAF_BYTES)
    with pytest.raises(LimitError):
        format_leaf(b'"' + b"x" * MAX_LEAF_BYTES + b'"', floor=0, received=0, verdict="accepted")


def test_the_hash_of_an_envelope_is_of_all_of_it() -> None:
    """With the signatures: two signings of one statement by other staff are two envelopes."""
    one, two = sign_statement(PLAIN, KEY), sign_statement(PLAIN, KEY, STAFF)
    assert envelope_hash(one) != envelope_hash(two)
    assert parse_changeset(one).envelope.hash == envelope_hash(one)
    assert is_hash(envelope_hash(one))


def test_hashes_and_ids_have_one_spelling() -> None:
    """43 letters of base64url whose last has no stray bits; 32 lower-case hexadecimal digits."""
    good = b64u(bytes(range(32)))
    assert is_hash(good)
    for bad in (good[:-1], good + "=", good[:-1] + "B", b64(bytes(range(32))), "é" * 43, good + "\n"):
        assert not is_hash(bad)
    assert is_device_id(KEY.id)
    for bad in (KEY.id.upper(), KEY.id[:-1], KEY.id + "0", "g" * 32, KEY.id + "\n"):
        assert is_device_id(bad) == (bad == KEY.id)


# -- leaves --------------------


@given(statements(), st.integers(0, MAX_MS), st.integers(0, MAX_MS))
def test_effective_times_lie_within_floor_and_receipt(one: Statement, a: int, b: int) -> None:
    """Whatever the device's clock says; inside it stands with its counter."""
    floor, received = sorted((a, b))
    leaf = parse_leaf(format_leaf(sign_statement(one, KEY), floor=floor, received=received, verdict="accepted"))
    at, tick = leaf.effective
    assert floor <= at <= received
    if floor <= one.at <= received:
        assert (at, tick) == (one.at, one.tick)
    else:
        assert (at, tick) in ((floor, 0), (received, 0))


@pytest.mark.parametrize("verdict", ["accepted", *(f"refused:{code}" for code in sorted(REFUSALS))])
def test_every_verdict_stands_in_a_leaf(verdict: str) -> None:
    """And says whether the changeset takes part."""
    leaf = parse_leaf(format_leaf(sign_statement(PLAIN, KEY), floor=0, received=1, verdict=verdict))
    assert leaf.verdict == verdict
    assert leaf.accepted == (verdict == "accepted")


@pytest.mark.parametrize(
    "verdict", ["", "refused", "refused:", "refused:mood", "Accepted", "accepted ", "refused:accepted"]
)
def test_no_other_verdict_does(verdict: str) -> None:
    """A reader that does not know a verdict does not guess."""
    with pytest.raises(FormatError):
        parse_leaf(format_leaf(sign_statement(PLAIN, KEY), floor=0, received=1, verdict=verdict))


@pytest.mark.parametrize(("floor", "received"), [(2, 1), (-1, 1), (0, MAX_MS + 1)])
def test_impossible_receipts(floor: int, received: int) -> None:
    """The floor is a receipt before."""
    with pytest.raises(FormatError):
        parse_leaf(format_leaf(sign_statement(PLAIN, KEY), floor=floor, received=received, verdict="accepted"))


# -- the clock --------------------


@given(st.integers(-(10**15), 10**15), st.integers(0, 10**15), st.integers(0, MAX_TICK))
def test_a_stamp_is_after_what_was_absorbed(wall: int, at: int, tick: int) -> None:
    """A new write comes after everything the device knows, and is the wall clock's when that is ahead."""
    found, known = next_stamp(wall, Stamp(at, tick)), (at, tick)
    assert (found.at, found.tick) > known
    assert 0 <= found.tick <= MAX_TICK
    assert found.at == max(wall, at) or (tick == MAX_TICK and found.at == at + 1)
