"""Write the vectors beside this file; with `--check` only compare them with what would be written.

Every key comes from a fixed text and every time is a constant, so the files are the same wherever this runs.
`fold.json` is written by hand and not touched.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from syncgov.core import wire
from syncgov.core.canonical import b64, b64u, encode
from syncgov.core.charter import CHARTER_TYPE, Charter, key_text, sign_charter
from syncgov.core.commitment import Write, make_body, meta_path, redact
from syncgov.core.keys import LOW_ORDER, SigningKey
from syncgov.core.note import Checkpoint, format_vkey, sign_checkpoint, sign_note
from syncgov.core.proof import format_receipt
from syncgov.core.statement import (
    CHANGESET_TYPE,
    EMPTY_ROOT,
    Seen,
    Statement,
    envelope_hash,
    format_envelope,
    format_leaf,
    sign_statement,
)
from syncgov.core.tree import MemoryTree, consistency_path, format_bundle, inclusion_path, leaf_hash, root_of_inputs

FOLDER = Path(__file__).resolve().parent
ORIGIN = "log.example/street"
AT = 1_795_000_000_000
Json = dict[str, Any]


def secret(name: str) -> bytes:
    """Return 32 bytes that depend on *name* only."""
    return hashlib.sha256(b"syncgov vectors: " + name.encode()).digest()


DEVICE, OTHER, ROOT_1, ROOT_2 = (SigningKey(secret(name)) for name in ("device", "other", "root 1", "root 2"))
LOG, REGISTRAR = SigningKey(secret("log")), SigningKey(secret("registrar"))
VKEY = format_vkey(ORIGIN, LOG.public)
KEY = "01930000-0000-7000-8000-000000000001"
FAR = (OTHER.id, 4)


def vector(name: str, expect: str, comment: str, **inputs: Any) -> Json:
    """Return one vector; bytes become text, or hex where they are not UTF-8."""
    return {"name": name, "expect": expect, "comment": comment, **{key: _plain(value) for key, value in inputs.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"hex": value.hex()}
    return value


def filled(before: str, unit: str, times: int, after: str) -> Json:
    """Return an input too long to write out: *before*, then *unit* so many times, then *after*."""
    return {"before": before, "repeat": unit, "times": times, "after": after}


# -- canonical JSON -------------------------------------------------------------------------------------------------------


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


# -- statement, envelope, body, leaf ------------------------------------------------------------------------------------


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
REG = b64u(secret("register set"))
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
        (
            "staff-key",
            "ok",
            "a second signature is parsed; whose it is, is checked elsewhere",
            signed(payload, DEVICE, OTHER),
        ),
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
        vector("low-order-key", "signature", "the key is a point of low order", envelope=forged, public=b64u(low)),
    ]


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


# -- log ------------------------------------------------------------------------------------------------------------------

LEAVES = [b"leaf %d" % number for number in range(11)]
TREE = MemoryTree(map(leaf_hash, LEAVES))
CHECKPOINT = Checkpoint(ORIGIN, TREE.size, TREE.root())
SIGNED = sign_checkpoint(CHECKPOINT, LOG)


def checkpoint() -> list[Json]:
    """Section 6: the signed note."""
    witness = sign_note(SIGNED.split("\n\n")[0] + "\n", "witness.example", OTHER).split("\n\n")[1]
    root = b64(TREE.root())
    foreign = sign_note(f"other.example\n11\n{root}\n", ORIGIN, LOG)
    longer = sign_note(f"{ORIGIN}\n11\n{root}\nextension\n", ORIGIN, LOG)
    zero = sign_note(f"{ORIGIN}\n011\n{root}\n", ORIGIN, LOG)
    cases: list[tuple[str, str, str, Any]] = [
        ("plain", "ok", "a log of 11 leaves", SIGNED),
        ("empty", "ok", "the empty log", sign_checkpoint(Checkpoint(ORIGIN, 0, hashlib.sha256().digest()), LOG)),
        ("witnessed", "ok", "a signature of a key that the reader does not know", SIGNED + witness),
        ("size", "signature", "another size than was signed", SIGNED.replace("\n11\n", "\n12\n")),
        ("key", "signature", "signed by another key", sign_checkpoint(CHECKPOINT, OTHER)),
        ("origin", "format", "the origin is not the key's name", foreign),
        ("extension", "format", "an extension line", longer),
        ("zero", "format", "a size with a leading zero", zero),
        ("unsigned", "format", "no signature", SIGNED.split("\n\n")[0] + "\n"),
        ("line-end", "format", "no final line end", SIGNED[:-1]),
        ("long", "limit", "more than 128 KiB", filled("", "a", 131_073, "")),
    ]
    return [vector(name, expect, comment, checkpoint=text, vkey=VKEY) for name, expect, comment, text in cases]


def receipt() -> list[Json]:
    """Section 6: the tlog-proof."""
    path = inclusion_path(4, TREE.size, TREE.get)
    good = format_receipt(4, path, SIGNED)
    cases: list[tuple[str, str, str, str, bytes]] = [
        ("plain", "ok", "leaf 4 of 11", good, LEAVES[4]),
        (
            "last",
            "ok",
            "the last leaf, whose path is short",
            format_receipt(10, inclusion_path(10, 11, TREE.get), SIGNED),
            LEAVES[10],
        ),
        ("leaf", "proof", "another leaf", good, LEAVES[5]),
        ("index", "proof", "another index", good.replace("index 4", "index 5"), LEAVES[4]),
        ("hash", "proof", "a hash of the path changed", format_receipt(4, [path[1], *path[1:]], SIGNED), LEAVES[4]),
        ("short", "proof", "a hash of the path left out", format_receipt(4, path[:-1], SIGNED), LEAVES[4]),
        (
            "checkpoint",
            "signature",
            "the checkpoint has another size than was signed",
            good.replace("\n11\n", "\n12\n"),
            LEAVES[4],
        ),
        ("header", "format", "another format", good.replace("@v1", "@v2"), LEAVES[4]),
        ("extra", "format", "the unauthenticated extra line", good.replace("index", "extra AA==\nindex"), LEAVES[4]),
    ]
    return [vector(n, expect, comment, receipt=text, leaf=raw, vkey=VKEY) for n, expect, comment, text, raw in cases]


def consistency() -> list[Json]:
    """Section 6: RFC 6962 section 2.1.2."""

    def one(name: str, expect: str, comment: str, old: int, new: int, **other: Any) -> Json:
        proof = [b64(h) for h in consistency_path(min(old, new), new, TREE.get)]
        roots = {"old_root": b64(TREE.root(old)), "new_root": b64(TREE.root(new))}
        return vector(name, expect, comment, **{"old": old, "new": new, **roots, "path": proof, **other})

    return [
        one("plain", "ok", "from 6 to 11", 6, 11),
        one("power", "ok", "from 8, whose root is a node of the new tree", 8, 11),
        one("same", "ok", "nothing new", 11, 11),
        one("empty", "ok", "every log extends the empty one", 0, 11),
        one("shrunk", "rollback", "the new log is smaller", 11, 6),
        one("two-roots", "fork", "one size, two roots", 11, 11, old_root=b64(TREE.root(10))),
        one("old-root", "proof", "another past", 6, 11, old_root=b64(TREE.root(5))),
        one("new-root", "proof", "another present", 6, 11, new_root=b64(TREE.root(10))),
        one("path", "proof", "no path", 6, 11, path=[]),
    ]


def bundle() -> list[Json]:
    """Section 6: entry bundles of tlog-tiles, in hex."""
    good = format_bundle([b"", b"one", b"x" * 300])
    cases = [
        ("plain", "ok", "three entries", good),
        ("cut", "format", "the last entry is cut short", good[:-1]),
        ("rest", "format", "one byte too many", good + b"\0"),
        ("empty", "format", "no entry", b""),
        ("257", "format", "257 entries", b"\0\0" * 257),
    ]
    return [vector(name, expect, comment, bundle={"hex": raw.hex()}) for name, expect, comment, raw in cases]


# -- charter, register set ------------------------------------------------------------------------------------------------

CHARTER = Charter(
    area="101",
    backup_days=30,
    grace_days=14,
    issued=AT,
    log=VKEY,
    name="测试街道",
    origin=ORIGIN,
    quorum="none",
    registrars=[key_text(REGISTRAR.public)],
    roots=[key_text(ROOT_1.public), key_text(ROOT_2.public)],
    simulated=True,
    threshold=2,
    v=1,
    witnesses=[],
)


def charter() -> list[Json]:
    """Section 8."""
    payload = encode(msgspec.to_builtins(CHARTER))

    def other(**members: Any) -> bytes:
        return sign_charter(msgspec.structs.replace(CHARTER, **members), [ROOT_1, ROOT_2])

    one = [(ROOT_1.id, ROOT_1.sign_typed(CHARTER_TYPE, payload))]
    wrong = format_envelope(CHARTER_TYPE, payload, [*one, (ROOT_2.id, OTHER.sign_typed(CHARTER_TYPE, payload))])
    root = key_text(ROOT_1.public)
    cases: list[tuple[str, str, str, bytes]] = [
        ("plain", "ok", "two of two roots", sign_charter(CHARTER, [ROOT_1, ROOT_2])),
        (
            "extra",
            "ok",
            "a stranger's signature beside them counts nothing",
            sign_charter(CHARTER, [ROOT_1, ROOT_2, OTHER]),
        ),
        ("one", "not-allowed", "one signature where two are needed", sign_charter(CHARTER, [ROOT_1])),
        ("same", "not-allowed", "one root twice", format_envelope(CHARTER_TYPE, payload, one * 2)),
        ("stranger", "not-allowed", "one root and a stranger", sign_charter(CHARTER, [ROOT_1, OTHER])),
        ("forged", "signature", "a root's signature by another key", wrong),
        ("origin", "format", "the log key has another name", other(origin="other.example")),
        ("threshold", "format", "more signatures wanted than there are roots", other(threshold=3)),
        ("twice", "format", "a root named twice", other(roots=[root, root, key_text(ROOT_2.public)])),
        ("registrars", "format", "no registrar", other(registrars=[])),
        ("days", "format", "negative days of grace", other(grace_days=-1)),
        ("type", "format", "the envelope of a changeset", signed(payload, ROOT_1, ROOT_2)),
    ]
    return [vector(name, expect, comment, charter=raw) for name, expect, comment, raw in cases]


LAMP = """register: lamp
version: 1
label: 路灯
key: uuid
skeleton: {}
write: [worker]
read: {public: ['*']}
fields:
  state: {label: 状态, type: code, class: public, choices: {on: 亮, off: 灭}}
"""
TREE_TEXT = LAMP.replace("lamp", "tree").replace("路灯", "树")


def register_set() -> list[Json]:
    """Section 7: the digest."""

    def digest(*pairs: tuple[str, str]) -> str:
        listed = [[name, b64u(hashlib.sha256(text.encode()).digest())] for name, text in pairs]
        return b64u(hashlib.sha256(encode(listed)).digest())

    lamp, tree = ("lamp", LAMP), ("tree", TREE_TEXT)
    both = [LAMP, TREE_TEXT]
    return [
        vector("plain", "ok", "two registers", texts=both, digest=digest(lamp, tree)),
        vector(
            "any-order",
            "ok",
            "names ascend whatever the order of the texts",
            texts=both[::-1],
            digest=digest(lamp, tree),
        ),
        vector("none", "ok", "no register", texts=[], digest=digest()),
        vector("order", "register", "names in descending order", texts=both, digest=digest(tree, lamp)),
        vector("text", "register", "a line end more", texts=[LAMP + "\n", TREE_TEXT], digest=digest(lamp, tree)),
    ]


# -- messages -------------------------------------------------------------------------------------------------------------


def request() -> list[Json]:
    """Section 10: the request signature."""
    nonce, path, sent = "19a0c2b3d00-c2FsdHNhbHRzYWx0c2E", "/v1/push", b'{"entries":[],"v":1}'
    raw = wire.request_bytes(DEVICE.id, nonce, ORIGIN, "POST", path, sent)
    header = f"{wire.AUTHORIZATION} {DEVICE.id}.{nonce}.{b64u(DEVICE.sign_typed(wire.REQUEST_TYPE, raw))}"
    plain: Json = {
        "public": b64u(DEVICE.public), "origin": ORIGIN, "method": "POST", "path": path, "body": sent, "authorization": header,
    }  # fmt: skip
    cases: list[tuple[str, str, Json]] = [
        ("path", "another path than was signed", {"path": "/v1/pull"}),
        ("body", "another body than was signed", {"body": sent + b" "}),
        ("method", "another method than was signed", {"method": "PUT"}),
        ("origin", "for another log", {"origin": "other.example"}),
        ("nonce", "with another nonce than was signed", {"authorization": header.replace("c2Fsd", "c2FsZ")}),
        ("key", "by another key", {"public": b64u(OTHER.public)}),
    ]
    vectors = [vector("plain", "ok", "a push without entries", **plain)]
    vectors += [vector(name, "signature", comment, **{**plain, **other}) for name, comment, other in cases]
    short = {**plain, "authorization": header[:-1]}
    return [*vectors, vector("short", "format", "the signature is cut short", **short)]


def join() -> list[Json]:
    """Section 8: enrolment."""
    good = wire.sign_join("ABCD-EFGH-JKMN", ORIGIN, DEVICE)
    other = wire.sign_join("ABCD-EFGH-JKMN", ORIGIN, OTHER)
    raw = wire.format_message(good)
    cases = [
        ("plain", "ok", "code, proof, public key", raw),
        ("code", "signature", "another code than was signed", raw.replace(b"ABCD", b"ABCE")),
        ("key", "signature", "another's proof", wire.format_message(msgspec.structs.replace(good, proof=other.proof))),
        (
            "origin",
            "signature",
            "for another log",
            wire.format_message(wire.sign_join(good.code, "other.example", DEVICE)),
        ),
        ("member", "format", "an unknown member", raw[:-1] + b',"role":"registrar"}'),
        ("cut", "format", "cut short", raw[:-9]),
        ("proof", "format", "a proof of 63 bytes", raw.replace(good.proof.encode(), b64u(bytes(63)).encode())),
    ]
    return [vector(name, expect, comment, join=message, origin=ORIGIN) for name, expect, comment, message in cases]


def push() -> list[Json]:
    """Section 10: push and its answer."""
    entry = wire.PushEntry(msgspec.Raw(RAW_BODY), msgspec.Raw(ENVELOPE))
    sent = wire.format_message(wire.Push([entry]))
    results = [
        wire.PushResult(7, "logged", 812, "accepted"),
        wire.PushResult(9, "waiting"),
        wire.PushResult(0, "rejected", code="format", detail="malformed envelope: cut short"),
    ]
    answer = wire.format_message(wire.PushAnswer(SIGNED, results))
    cases = [
        ("request", "ok", "one changeset", "push", sent),
        ("answer", "ok", "logged, waiting, rejected", "push-answer", answer),
        ("no-body", "format", "an entry without a body", "push", sent.replace(b'"body":', b'"bodies":')),
        ("version", "format", "version 2", "push", sent.replace(b'"v":1}', b'"v":2}')),
        ("cut", "format", "cut short", "push", sent[:-2]),
        ("state", "format", "a state that does not exist", "push-answer", answer.replace(b"waiting", b"pending")),
        ("seq", "format", "a sequence number that is text", "push-answer", answer.replace(b'"seq":9', b'"seq":"9"')),
    ]
    return [vector(name, expect, comment, kind=kind, message=raw) for name, expect, comment, kind, raw in cases]


def chain() -> tuple[list[bytes], list[bytes]]:
    """Return three leaves of one device and their bodies, redacted to the public part."""
    leaves, bodies, previous = [], [], b64u(secret("enrolment"))
    for number in range(1, 4):
        raw, body = make_body(
            [Write(f"task/k{number}/_alive", True, ())],
            [Write(meta_path((DEVICE.id, number), "by"), "S1", ())],
            secret(f"seed {number}"),
        )
        st = Statement(
            AT, DEVICE.id, 2, previous, 1, REG, b64u(root_of_inputs(body.digests)), Seen(EMPTY_ROOT, 0), number, 0, 1
        )
        signed_one = sign_statement(st, DEVICE)
        previous = envelope_hash(signed_one)
        leaves.append(format_leaf(signed_one, floor=0, received=AT + number, verdict="accepted"))
        bodies.append(redact(body, lambda position, _write: position == 0))
        assert raw
    return leaves, bodies


def pull() -> list[Json]:
    """Section 10: an answer to a device that has folded one leaf of three."""
    leaves, bodies = chain()
    tree = MemoryTree(map(leaf_hash, leaves))
    entries = [
        wire.EntryMessage(
            msgspec.Raw(bodies[i]), i, msgspec.Raw(leaves[i]), [b64(h) for h in inclusion_path(i, 3, tree.get)]
        )
        for i in (1, 2)
    ]
    answer = wire.PullAnswer(
        checkpoint=sign_checkpoint(Checkpoint(ORIGIN, 3, tree.root()), LOG),
        consistency=[b64(h) for h in consistency_path(1, 3, tree.get)],
        entries=entries,
        keys={DEVICE.id: b64u(DEVICE.public)},
        next=3,
        purge=[("task", "k9")],
        target=3,
    )
    good = wire.format_message(answer)

    def other(**members: Any) -> bytes:
        return wire.format_message(msgspec.structs.replace(answer, **members))

    def first(**members: Any) -> bytes:
        return other(entries=[msgspec.structs.replace(entries[0], **members), entries[1]])

    old = sign_checkpoint(Checkpoint(ORIGIN, 0, hashlib.sha256().digest()), LOG)
    forged = leaves[1].replace(b"accepted", b"refused:area")
    cases: list[tuple[str, str, str, bytes]] = [
        ("answer", "ok", "two entries", good),
        ("nothing", "ok", "nothing that this device may see", other(entries=[], keys={}, purge=[])),
        (
            "key",
            "signature",
            "a key that does not belong to the device id",
            other(keys={DEVICE.id: b64u(OTHER.public)}),
        ),
        ("no-key", "signature", "no key", other(keys={})),
        (
            "checkpoint",
            "signature",
            "a checkpoint by another key",
            other(checkpoint=sign_checkpoint(Checkpoint(ORIGIN, 3, tree.root()), OTHER)),
        ),
        ("shrunk", "rollback", "a smaller log", other(checkpoint=old, target=0, next=0, entries=[])),
        (
            "fork",
            "fork",
            "no consistency with what the device has seen",
            other(consistency=[b64(h) for h in consistency_path(2, 3, tree.get)]),
        ),
        ("target", "proof", "the checkpoint is not the target's", other(target=2)),
        ("path", "proof", "the path of the other entry", first(path=entries[1].path)),
        ("verdict", "proof", "another verdict than was logged", first(leaf=msgspec.Raw(forged))),
        ("body", "commitment", "the body of the other entry", first(body=msgspec.Raw(bodies[2]))),
        ("no-body", "proof", "no body for another device's changeset", first(body=msgspec.Raw(b"null"))),
        ("member", "format", "an unknown member", good[:-1] + b',"x":1}'),
        ("hash", "format", "a hash of 31 bytes", first(path=[b64(bytes(31))])),
    ]
    context = {"charter": sign_charter(CHARTER, [ROOT_1, ROOT_2]), "seen": {"root": b64u(tree.root(1)), "size": 1}}
    ask = wire.format_message(wire.Pull(1, 500, 1, 0))
    vectors = [
        vector(name, expect, comment, kind="pull-answer", message=raw, **context)
        for name, expect, comment, raw in cases
    ]
    return [
        vector("request", "ok", "from 1 leaf to the newest", kind="pull", message=ask),
        vector("request-text", "format", "a number that is text", kind="pull", message=ask.replace(b"500", b'"500"')),
        *vectors,
    ]


FORMATS: dict[str, Callable[[], list[Json]]] = {
    each.__name__: each
    for each in (
        canonical, statement, envelope, body_full, body_redacted, leaf, checkpoint, receipt, consistency, bundle,
        charter, register_set, request, join, push, pull,
    )
}  # fmt: skip


def text_of(name: str) -> str:
    """Return what stands in the file of format *name*."""
    vectors = FORMATS[name]()
    assert len({each["name"] for each in vectors}) == len(vectors), name
    return json.dumps({"format": name, "vectors": vectors}, ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    check = parser.parse_args().check
    wrong = []
    for name in FORMATS:
        path, text = FOLDER / f"{name}.json", text_of(name)
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            wrong.append(path.name)
    if wrong:
        print(f"differs: {', '.join(wrong)}; run `make vectors` and look at the difference", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
