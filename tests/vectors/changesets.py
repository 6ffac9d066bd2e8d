"""Vectors of what a device signs: canonical JSON, statement, envelope, body; and of the leaf. Sections 1 to 6."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from syncgov.core.canonical import b64u, encode
from syncgov.core.commitment import Write, make_body, meta_path, redact
from syncgov.core.keys import LOW_ORDER, SigningKey
from syncgov.core.statement import (
    CHANGESET_TYPE,
    EMPTY_ROOT,
    Seen,
    Statement,
    format_envelope,
    format_leaf,
    sign_statement,
)
from syncgov.core.tree import root_of_inputs
from tests.vectors.base import AT, DEVICE, KEY, OTHER, REG, ROOT_1, Json, filled, secret, vector

FAR = (OTHER.id, 4)


def canonical() -> list[Json]:
    """Section 1."""
    good = [
        ("members", b'{"a":null,"aa":[true,false],"b":{}}', "members ascend by code point"),
        ("integers", b"[0,-1,9007199254740991,-9007199254740991]", "the ends of the range"),
        ("strings", '["路灯","\\u0000\\b\\t\\n\\f\\r\\"\\\\/","\u007f"]'.encode(), "the only escapes that are written"),
        ("depth", b"[" * 16 + b"]" * 16, "16 deep"),
    ]
    bad = [
        ("space", b'{"a": 1}', "a space after the colon"),
        ("order", b'{"b":1,"a":2}', "members in another order"),
        ("repeated", b'{"a":1,"a":1}', "a member name twice"),
        ("float", b"[1.0]", "a floating-point number"),
        ("exponent", b"[1e3]", "an exponent"),
        ("minus-zero", b"[-0]", "-0"),
        ("leading-zero", b"[01]", "a leading zero"),
        ("too-great", b"[9007199254740992]", "2^53"),
        ("decomposed", '["A\u030a"]'.encode(), "a string that is not in NFC"),
        ("member-name", '{"é":1}'.encode(), "a member name that is not ASCII"),
        ("escape", b'["\\u0041"]', "an escape that is not needed"),
        ("slash", b'["\\/"]', "a solidus with an escape"),
        ("surrogate", b'["\\ud800"]', "a lone surrogate"),
        ("utf8", b'["\xff"]', "not UTF-8"),
        ("bom", b"\xef\xbb\xbf[]", "a byte order mark"),
        ("depth-17", b"[" * 17 + b"]" * 17, "17 deep"),
        ("newline", b"[]\n", "a line end after the value"),
        ("empty", b"", "nothing"),
        ("cut", b'{"a":[1,2', "cut in the middle"),
    ]
    vectors = [vector(name, "ok", comment, input=raw) for name, raw, comment in good]
    vectors += [vector(name, "format", comment, input=raw) for name, raw, comment in bad]
    return [*vectors, vector("long", "limit", "one byte more than allowed", input=b'"abcd"', max_bytes=5)]


def writes() -> tuple[list[Write], list[Write]]:
    """Return the public and the other writes of the example changeset."""
    public = [
        Write(f"task/{KEY}/_alive", True, ()),
        Write(f"task/{KEY}/_community", "101", ()),
        Write(f"task/{KEY}/step", {"due": None, "owner": None, "reason": None, "state": "reported"}, ()),
        Write(f"task/{KEY}/title", "路灯不亮", (FAR,)),
    ]
    other = [Write(meta_path((DEVICE.id, 7), "by"), "S1", ()), Write(f"task/{KEY}/secret", "a~b/c", ())]
    return public, other


RAW_BODY, BODY = make_body(*writes(), secret("body seed"))
SEEN = Seen(b64u(secret("root of 812 leaves")), 812)
STATEMENT = Statement(
    at=AT,
    dev=DEVICE.id,
    n=len(BODY.writes),
    prev=b64u(secret("previous envelope")),
    pub=4,
    reg=REG,
    root=b64u(root_of_inputs(BODY.digests)),
    seen=SEEN,
    seq=7,
    tick=3,
    v=1,
)
ENVELOPE = sign_statement(STATEMENT, DEVICE)


def changed(**members: Any) -> bytes:
    """Return the canonical example statement with other members; None takes one away."""
    content = {**msgspec.to_builtins(STATEMENT), **members}
    return encode({key: value for key, value in content.items() if value is not None})


def statement() -> list[Json]:
    """Section 4."""
    first: Json = {"seq": 1, "seen": {"root": EMPTY_ROOT, "size": 0}}
    cases: list[tuple[str, str, str, bytes]] = [
        ("plain", "ok", "as in section 4", changed()),
        ("first", "ok", "before the first sync: the empty log", changed(**first)),
        ("limits", "ok", "the greatest numbers", changed(tick=65535, n=4096, pub=4096, at=253_402_300_799_999)),
        ("unknown-member", "format", "a member that no version has", changed(alg="none")),
        ("missing-member", "format", "no `prev`", changed(prev=None)),
        ("version", "format", "version 2", changed(v=2)),
        ("seq-zero", "format", "sequence numbers begin at 1", changed(seq=0)),
        ("tick", "format", "the counter is beyond 65535", changed(tick=65536)),
        ("nothing", "format", "no digest", changed(n=0, pub=0)),
        ("too-many", "format", "4097 digests", changed(n=4097)),
        ("public", "format", "more public digests than digests", changed(pub=7)),
        ("device", "format", "a device id in upper case", changed(dev=DEVICE.id.upper())),
        ("hash-bits", "format", "b64u with stray bits in its last letter", changed(root="A" * 42 + "B")),
        ("hash-padding", "format", "b64u with padding", changed(root=STATEMENT.root + "=")),
        ("early", "format", "a time before 1970", changed(at=-1)),
        ("empty-log", "format", "the empty log with the root of another", changed(seen={"root": SEEN.root, "size": 0})),
        ("float", "format", "a number with a fraction", changed().replace(b'"tick":3', b'"tick":3.0')),
        ("order", "format", "`v` first", b'{"v":1,' + changed(v=None)[1:]),
    ]
    return [vector(name, expect, comment, statement=raw) for name, expect, comment, raw in cases]


def signed(payload: bytes, *keys: SigningKey, kind: str = CHANGESET_TYPE) -> bytes:
    """Return the envelope of *payload* under *kind*, signed by *keys*."""
    return format_envelope(kind, payload, [(key.id, key.sign_typed(kind, payload)) for key in keys])


def envelope() -> list[Json]:
    """Sections 2 and 4."""
    payload = changed()
    good = DEVICE.sign_typed(CHANGESET_TYPE, payload)
    low = bytes.fromhex("0100000000000000000000000000000000000000000000000000000000000000")
    assert low in LOW_ORDER

    def by(signature: bytes, key_id: str = DEVICE.id) -> bytes:
        return format_envelope(CHANGESET_TYPE, payload, [(key_id, signature)])

    another_type = "application/vnd.syncgov.charter.v1+json"
    cases: list[tuple[str, str, str, Any]] = [
        ("plain", "ok", "one signature", ENVELOPE),
        ("flipped", "signature", "one bit of S changed", by(good[:40] + bytes([good[40] ^ 1]) + good[41:])),
        ("not-dsse", "signature", "signed without the pre-authentication encoding", by(DEVICE.sign(payload))),
        ("type", "signature", "signed under another type", by(DEVICE.sign_typed(another_type, payload))),
        (
            "other-key",
            "signature",
            "the device's id with another key's signature",
            by(OTHER.sign_typed(CHANGESET_TYPE, payload)),
        ),
        ("low-order-r", "signature", "R is a point of low order", by(low + good[32:])),
        ("payload-type", "format", "an envelope of another type", signed(payload, DEVICE, kind=another_type)),
        ("stranger-first", "format", "the first signature is not the device's", signed(payload, OTHER, DEVICE)),
        ("three", "format", "three signatures", signed(payload, DEVICE, OTHER, ROOT_1)),
        ("none", "format", "no signature", format_envelope(CHANGESET_TYPE, payload, [])),
        ("short", "format", "a signature of 63 bytes", by(good[:63])),
        ("base64", "format", "base64 with a line end", ENVELOPE.replace(b'{"payload":"', b'{"payload":"\\n')),
        ("payload", "format", "the payload is not a statement", signed(b"{}", DEVICE)),
        ("unknown-member", "format", "a member that DSSE has not", ENVELOPE[:-1] + b',"x":1}'),
        ("long", "limit", "4097 bytes", ENVELOPE + b" " * (4097 - len(ENVELOPE))),
    ]
    vectors = [
        vector(name, expect, comment, envelope=raw, public=b64u(DEVICE.public)) for name, expect, comment, raw in cases
    ]
    forged = by(low + bytes(32))
    return [
        *vectors,
        *_second_signatures(payload, good),
        vector("low-order-key", "signature", "the key is a point of low order", envelope=forged, public=b64u(low)),
    ]


def _second_signatures(payload: bytes, first: bytes) -> list[Json]:
    """Section 4: a staff key's signature beside the device's, over the same bytes."""
    second = OTHER.sign_typed(CHANGESET_TYPE, payload)

    def two(key_id: str, signature: bytes) -> bytes:
        return format_envelope(CHANGESET_TYPE, payload, [(DEVICE.id, first), (key_id, signature)])

    elsewhere = OTHER.sign_typed(CHANGESET_TYPE, changed(seq=8))
    device, staff = b64u(DEVICE.public), b64u(OTHER.public)
    cases = [
        ("two", "ok", "device and staff key", two(OTHER.id, second), staff),
        ("two-flipped", "signature", "one bit of the second S changed", two(OTHER.id, _flip(second)), staff),
        (
            "two-elsewhere",
            "signature",
            "the staff key's signature of another statement",
            two(OTHER.id, elsewhere),
            staff,
        ),
        ("two-as-another", "signature", "another key's signature", two(OTHER.id, _by(ROOT_1, payload)), staff),
        ("two-key", "signature", "checked with a key that has not the id", two(OTHER.id, second), b64u(ROOT_1.public)),
        ("two-same", "format", "the device signs twice", two(DEVICE.id, first), device),
        ("two-unnamed", "format", "a key id that is none", two("staff", second), staff),
        ("two-swapped", "format", "the staff key's signature stands first", signed(payload, OTHER, DEVICE), staff),
    ]
    return [
        vector(name, expect, comment, envelope=raw, public=device, second=key)
        for name, expect, comment, raw, key in cases
    ]


def _by(key: SigningKey, payload: bytes) -> bytes:
    return key.sign_typed(CHANGESET_TYPE, payload)


def _flip(signature: bytes) -> bytes:
    return signature[:40] + bytes([signature[40] ^ 1]) + signature[41:]


def body_for(public: Sequence[Write], other: Sequence[Write], seed: str = "body seed") -> bytes:
    """Return a full body in exactly this order, valid or not."""
    listed = [[w.path, w.value, [list(dot) for dot in w.over]] for w in (*public, *other)]
    return encode({"seed": b64u(secret(seed)), "v": 1, "writes": listed})


def body_full() -> list[Json]:
    """Section 5, full bodies."""
    public, other = writes()

    def with_path(path: str) -> bytes:
        return body_for([Write(path, True, ()), *public[1:]], other)

    def with_over(*over: tuple[str, int]) -> bytes:
        return body_for([*public[:3], public[3]._replace(over=over)], other)

    cases: list[tuple[str, str, str, Any]] = [
        ("plain", "ok", "four public writes, two others", RAW_BODY),
        ("value", "commitment", "another value than the signed one", RAW_BODY.replace(b'"101"', b'"102"')),
        ("over", "commitment", "another `over` than the signed one", with_over((OTHER.id, 5))),
        ("seed", "commitment", "other salts", body_for(public, other, "another seed")),
        ("fewer", "commitment", "one write less than `n`", body_for(public, other[:1])),
        ("twice", "format", "a path in both classes", body_for(public, [public[0], *other])),
        ("unsorted", "format", "public writes in another order", body_for(public[::-1], other)),
        (
            "over-order",
            "format",
            "`over` is not ascending",
            with_over(max(FAR, (DEVICE.id, 1)), min(FAR, (DEVICE.id, 1))),
        ),
        ("over-twice", "format", "`over` names a dot twice", with_over(FAR, FAR)),
        ("over-zero", "format", "a dot with sequence number 0", with_over((OTHER.id, 0))),
        ("path-table", "format", "a table name in upper case", with_path("Aask/k/_alive")),
        ("path-key", "format", "an empty key", with_path("task//_alive")),
        ("path-escape", "format", "a tilde that begins no escape", with_path("task/~2/_alive")),
        ("path-control", "format", "a control character in a key", with_path("task/a\nb/_alive")),
        ("path-long", "format", "a key of 129 characters", with_path(f"task/{'k' * 129}/_alive")),
        ("float", "format", "a value with a fraction", RAW_BODY.replace(b"true", b"1.5")),
        ("decomposed", "format", "a value that is not in NFC", RAW_BODY.replace(b'"101"', '"A\u030a"'.encode())),
        (
            "short-seed",
            "format",
            "a seed of 31 bytes",
            RAW_BODY.replace(b64u(secret("body seed")).encode(), b64u(bytes(31)).encode()),
        ),
        ("space", "format", "a space after a comma", RAW_BODY.replace(b',"v":1', b', "v":1')),
        ("version", "format", "version 2", RAW_BODY.replace(b'"v":1', b'"v":2')),
        ("long", "limit", "more than 1 MiB", filled('{"seed":"', "A", 1 << 20, '","v":1,"writes":[]}')),
    ]
    return [vector(name, expect, comment, body=raw, statement=changed()) for name, expect, comment, raw in cases]


def body_redacted() -> list[Json]:
    """Section 5, redacted bodies."""
    public_only = redact(BODY, lambda position, _write: position < STATEMENT.pub)
    nothing = redact(BODY, lambda _position, _write: False)
    salt = BODY.salts[1]
    assert salt is not None
    digest = b64u(BODY.digests[5]).encode()
    title = b64u(BODY.digests[3]).encode()
    swapped = encode({"slots": json.loads(public_only)["slots"][::-1], "v": 1})
    cases: list[tuple[str, str, str, bytes, list[int] | None]] = [
        ("public", "ok", "what is published of the full body", public_only, [0, 1, 2, 3]),
        ("hidden", "ok", "every write hidden", nothing, []),
        ("again", "ok", "redacting a redacted body", redact(BODY, lambda position, _write: position == 0), [0]),
        ("value", "commitment", "a disclosed value changed", public_only.replace(b'"101"', b'"102"'), None),
        ("salt", "commitment", "a salt changed", public_only.replace(salt.encode(), b64u(bytes(16)).encode()), None),
        ("digest", "commitment", "a hidden digest changed", public_only.replace(digest, title), None),
        ("slots", "commitment", "a slot left out", nothing.replace(b',"' + digest + b'"', b""), None),
        (
            "salt-length",
            "format",
            "a salt of 15 bytes",
            public_only.replace(salt.encode(), b64u(bytes(15)).encode()),
            None,
        ),
        ("unsorted", "format", "disclosed writes in another order", swapped, None),
        ("digest-length", "format", "a digest of 31 bytes", nothing.replace(digest, b64u(bytes(31)).encode()), None),
        ("mixed", "format", "a seed beside slots", nothing[:-1] + b',"writes":[]}', None),
    ]
    return [
        vector(name, expect, comment, body=raw, statement=changed(), full=RAW_BODY, keep=keep)
        for name, expect, comment, raw, keep in cases
    ]


def leaf() -> list[Json]:
    """Section 6."""

    def one(floor: int = AT - 5, received: int = AT + 5, verdict: str = "accepted") -> bytes:
        return format_leaf(ENVELOPE, floor=floor, received=received, verdict=verdict)

    good: list[tuple[str, str, bytes, list[int]]] = [
        ("plain", "the device's time stands", one(), [AT, 3]),
        ("slow-clock", "before the floor: the floor", one(floor=AT + 1), [AT + 1, 0]),
        ("fast-clock", "after the receipt: the receipt", one(received=AT - 1), [AT - 1, 0]),
        ("on-the-floor", "exactly the floor: the counter stands too", one(floor=AT), [AT, 3]),
        ("refused", "a refusal is a leaf too", one(verdict="refused:transition"), [AT, 3]),
    ]
    bad = [
        ("verdict", "an unknown reason", one().replace(b'"accepted"', b'"refused:mood"')),
        ("verdict-empty", "no verdict", one().replace(b'"accepted"', b'""')),
        ("floor", "the floor is after the receipt", one().replace(str(AT - 5).encode(), str(AT + 6).encode())),
        ("version", "version 2", one().replace(b'"v":1,"verdict"', b'"v":2,"verdict"')),
        ("envelope", "the envelope is not canonical", one().replace(b'"payload":', b'"payload": ')),
        ("space", "a space at the end", one() + b" "),
    ]
    vectors = [vector(name, "ok", comment, leaf=raw, effective=effective) for name, comment, raw, effective in good]
    vectors += [vector(name, "format", comment, leaf=raw) for name, comment, raw in bad]
    return [*vectors, vector("long", "limit", "more than 65535 bytes", leaf=filled('{"envelope":"', "A", 65_535, '"}'))]
