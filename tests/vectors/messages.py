"""Vectors of what device and centre send each other. Sections 8 and 10."""

import hashlib
from typing import Any

import msgspec

from syncgov.core import wire
from syncgov.core.canonical import b64, b64u
from syncgov.core.charter import sign_charter
from syncgov.core.commitment import Write, make_body, meta_path, redact
from syncgov.core.note import Checkpoint, sign_checkpoint
from syncgov.core.statement import EMPTY_ROOT, Seen, Statement, envelope_hash, format_leaf, sign_statement
from syncgov.core.tree import MemoryTree, consistency_path, inclusion_path, leaf_hash, root_of_inputs
from tests.vectors.base import AT, DEVICE, LOG, ORIGIN, OTHER, REG, ROOT_1, ROOT_2, Json, secret, vector
from tests.vectors.changesets import ENVELOPE, RAW_BODY
from tests.vectors.logs import CHARTER, SIGNED


def request() -> list[Json]:
    """Section 10: the request signature."""
    nonce, path, sent = "19a0c2b3d00-c2FsdHNhbHRzYWx0c2E", "/v1/push", b'{"entries":[],"v":1}'
    raw = wire.request_bytes(DEVICE.id, nonce, ORIGIN, "POST", path, sent)
    header = f"{wire.AUTHORIZATION} {DEVICE.id}.{nonce}.{b64u(DEVICE.sign_typed(wire.REQUEST_TYPE, raw))}"
    plain: Json = {
        "public": b64u(DEVICE.public),
        "origin": ORIGIN,
        "method": "POST",
        "path": path,
        "body": sent,
        "authorization": header,
    }
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


def staff_key() -> list[Json]:
    """Section 8: a person's key is to be registered."""
    good = wire.sign_staff_key("ABCD-EFGH-JKMN", "S1", DEVICE.id, ORIGIN, OTHER)
    raw = wire.format_message(good)
    other = wire.sign_staff_key("ABCD-EFGH-JKMN", "S1", DEVICE.id, ORIGIN, ROOT_1)
    cases: list[tuple[str, str, str, bytes, Json]] = [
        ("plain", "ok", "code, person, proof, public key", raw, {}),
        ("code", "signature", "another code than was signed", raw.replace(b"ABCD", b"ABCE"), {}),
        ("person", "signature", "another person than was signed", raw.replace(b'"S1"', b'"S2"'), {}),
        ("device", "signature", "for another device", raw, {"dev": ROOT_1.id}),
        ("origin", "signature", "for another log", raw, {"origin": "other.example"}),
        ("key", "signature", "another's proof", raw.replace(good.proof.encode(), other.proof.encode()), {}),
        ("member", "format", "an unknown member", raw[:-1] + b',"role":"registrar"}', {}),
        ("proof", "format", "a proof of 63 bytes", raw.replace(good.proof.encode(), b64u(bytes(63)).encode()), {}),
    ]
    plain: Json = {"dev": DEVICE.id, "origin": ORIGIN}
    return [
        vector(name, expect, comment, request=sent, **{**plain, **more}) for name, expect, comment, sent, more in cases
    ]


def push() -> list[Json]:
    """Section 10: push and its answer."""
    entry = wire.PushEntry(msgspec.Raw(RAW_BODY), msgspec.Raw(ENVELOPE))
    sent = wire.format_message(wire.Push([entry]))
    results = [
        wire.PushResult(seq=7, state="logged", index=812, verdict="accepted"),
        wire.PushResult(seq=9, state="waiting"),
        wire.PushResult(seq=0, state="rejected", code="format", detail="malformed envelope: cut short"),
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
        reset=False,
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
    ask = wire.format_message(wire.Pull(0, 500, 1, 0))
    vectors = [
        vector(name, expect, comment, kind="pull-answer", message=raw, **context)
        for name, expect, comment, raw in cases
    ]
    return [
        vector("request", "ok", "from 1 leaf to the newest", kind="pull", message=ask),
        vector("own", "ok", "own entries after number 6", kind="own", message=wire.format_message(wire.Own(6))),
        vector("request-text", "format", "a number that is text", kind="pull", message=ask.replace(b"500", b'"500"')),
        *vectors,
    ]
