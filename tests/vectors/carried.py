"""Vectors of what is signed inside a bundle, of published bodies, and of an erasure. Sections 9, 14 and 18."""

import hashlib
import struct
import zlib
from typing import Any

import msgspec

from syncgov.core import wire
from syncgov.core.bundle import BUNDLE_TYPE, FilePart, FileResult, Header, Reply, Request, sign_recipient
from syncgov.core.canonical import b64u, encode
from syncgov.core.commitment import redact
from syncgov.core.erasure import erasure_key
from syncgov.core.keys import SigningKey
from syncgov.core.statement import format_envelope, format_statement
from syncgov.core.wire_files import PutResult
from tests.vectors.base import DEVICE, KEY, LOG, ORIGIN, OTHER, Json, vector
from tests.vectors.changesets import BODY, FAR, RAW_BODY, STATEMENT
from tests.vectors.logs import SIGNED
from tests.vectors.messages import chain

RECIPIENT = "age1" + "q" * 58  # the form of one; its checksum is for the age library


def packed(data: bytes) -> bytes:
    """Return gzip bytes that no compressor makes differently: one stored block."""
    block = b"\1" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block + struct.pack("<II", zlib.crc32(data), len(data))


def sealed(header: Header, content: bytes, key: SigningKey, keyid: str = "") -> bytes:
    """Return what is sealed: envelope, line end, packed message."""
    payload = encode(msgspec.to_builtins(header))
    signature = (keyid or key.id, key.sign_typed(BUNDLE_TYPE, payload))
    return format_envelope(BUNDLE_TYPE, payload, [signature]) + b"\n" + content


def bundle_header() -> list[Json]:
    """Section 14: label, envelope, header, packed message, as they are when the seal is open."""
    ask = wire.Pull(0, 500, 1, 0)
    note = sign_recipient(ORIGIN, RECIPIENT, LOG)
    photo = b"\xff\xd8\xff\xd9"
    piece = FilePart(hashlib.sha256(photo).hexdigest(), len(photo), 0, photo)
    taken = FileResult(piece.sha256, PutResult(state="stored", offset=len(photo)))
    asked = packed(wire.format_message(Request(None, None, ask, wire.Push([]), RECIPIENT, [], [piece])))
    told = packed(wire.format_message(Reply(None, None, [], ask, wire.PushAnswer(SIGNED, []), note, [], [taken])))
    digests = {content: b64u(hashlib.sha256(content).digest()) for content in (asked, told)}
    sent = Header(DEVICE.id, 0, "request", 0, ORIGIN, b64u(DEVICE.public), digests[asked], 1, 1)
    back = Header(DEVICE.id, 0, "reply", 0, ORIGIN, b64u(LOG.public), digests[told], 3, 1)
    request, reply = f"syncgov-bundle@v1 request {ORIGIN}", f"syncgov-bundle@v1 reply {ORIGIN} {DEVICE.id}"

    def other(**members: Any) -> bytes:
        return sealed(msgspec.structs.replace(sent, **members), asked, DEVICE)

    good = sealed(sent, asked, DEVICE)
    raw = b"not gzip"
    unpackable = msgspec.structs.replace(sent, sha256=b64u(hashlib.sha256(raw).digest()))
    payload = encode(msgspec.to_builtins(sent))[:-1] + b',"x":1}'
    stranger = format_envelope(BUNDLE_TYPE, payload, [(DEVICE.id, DEVICE.sign_typed(BUNDLE_TYPE, payload))])
    cases: list[tuple[str, str, str, str, bytes]] = [
        ("request", "ok", "of a device that has folded one leaf", request, good),
        ("reply", "ok", "signed by the log", reply, sealed(back, told, LOG)),
        ("some", "ok", "changesets 3 to 7 are inside", request, other(first=3, last=7)),
        ("label-version", "format", "another version", request.replace("@v1", "@v2"), good),
        ("label-kind", "format", "a kind that does not exist", request.replace("request", "letter"), good),
        ("label-reply", "format", "a reply for nobody", reply.removesuffix(f" {DEVICE.id}"), sealed(back, told, LOG)),
        ("label-device", "format", "a request for a device", f"{request} {DEVICE.id}", good),
        ("other-kind", "format", "the label says reply, the header request", reply, good),
        ("other-origin", "format", "the label names another log", request.replace("street", "county"), good),
        ("other-device", "format", "the label names another device", reply.replace(DEVICE.id, OTHER.id),
         sealed(back, told, LOG)),
        ("forged", "signature", "signed by another key under the device's id", request,
         sealed(sent, asked, OTHER, DEVICE.id)),
        ("key-id", "signature", "the key id is not that of the key in the header", request,
         sealed(sent, asked, DEVICE, OTHER.id)),
        ("other-sender", "signature", "a request signed by another device", request,
         sealed(msgspec.structs.replace(sent, public=b64u(OTHER.public)), asked, OTHER)),
        ("content", "format", "another message than was signed", request, good[: -len(asked)] + told),
        ("cut", "format", "the message is cut short", request, good[:-1]),
        ("not-gzip", "format", "the message is not packed", request, sealed(unpackable, raw, DEVICE)),
        ("order", "format", "the last number is smaller than the first", request, other(first=7, last=3)),
        ("no-first", "format", "a last number without a first", request, other(last=3)),
        ("size", "format", "a negative size", request, other(size=-1)),
        ("member", "format", "an unknown member", request, stranger + b"\n" + asked),
        ("version", "format", "version 2", request, other(v=2)),
    ]  # fmt: skip
    return [
        vector(name, expect, comment, label=label, plain={"hex": plain.hex()})
        for name, expect, comment, label, plain in cases
    ]


def disclosed() -> list[Json]:
    """Section 9: the lines of `log/disclosed/000`, for a log of three leaves."""
    leaves, bodies = chain()
    lines = [b'{"body":' + body + b',"index":%d}\n' % index for index, body in enumerate(bodies)]
    one, two, three = lines
    cases: list[tuple[str, str, str, bytes, list[int] | None]] = [
        ("all", "ok", "a line for each leaf", one + two + three, [0, 1, 2]),
        ("some", "ok", "a leaf without a line: of it nothing is disclosed", one + three, [0, 2]),
        ("none", "ok", "nothing is disclosed", b"", []),
        ("value", "commitment", "another value than was signed", one.replace(b"true", b"false"), None),
        ("other-leaf", "commitment", "the body of another leaf", one.replace(b'"index":0', b'"index":1'), None),
        ("order", "format", "lines in another order", two + one, None),
        ("twice", "format", "a leaf twice", one + one, None),
        ("outside", "format", "a leaf that the log does not have", three.replace(b'"index":2', b'"index":3'), None),
        ("negative", "format", "a negative index", one.replace(b'"index":0', b'"index":-1'), None),
        ("member", "format", "an unknown member", one.replace(b',"index"', b',"hidden":1,"index"'), None),
        ("no-body", "format", "no body", b'{"index":0}\n', None),
        ("space", "format", "a space", one.replace(b',"index"', b', "index"'), None),
        ("blank", "format", "an empty line", one + b"\n" + two, None),
        ("cut", "format", "the last line is cut short", one + two[:-9], None),
    ]
    texts = [leaf.decode() for leaf in leaves]
    return [
        vector(name, expect, comment, leaves=texts, lines=raw, indexes=indexes)
        for name, expect, comment, raw, indexes in cases
    ]


def erasure() -> list[Json]:
    """Section 18: a row of register `erasure`, the body that it erases from, and which writes it covers."""
    place = 3  # the title
    path, dot = f"task/{KEY}/title", (DEVICE.id, STATEMENT.seq)
    left = redact(BODY, lambda position, _write: position != place)
    hidden = redact(BODY, lambda position, _write: position != place + 1)
    row: Json = {"_alive": True, "over": [list(FAR)], "path": path, "reason": "request"}
    plain: Json = {
        "statement": format_statement(STATEMENT),
        "body": RAW_BODY,
        "after": left,
        "key": erasure_key(dot, place),
        "row": row,
        "index": 900,
        "names": [DEVICE.id, STATEMENT.seq, place, None],
        "covers": [[812, 0, True], [899, 899, True], [905, 900, True], [905, 901, False], [905, 904, False]],
    }

    def naming(other: str) -> Json:
        return {"row": {**row, "path": other}}

    fork = {"key": erasure_key(dot, place, 850), "names": [DEVICE.id, STATEMENT.seq, place, 850]}
    nothing = f"{DEVICE.id}.{STATEMENT.seq}"
    cases: list[tuple[str, str, str, Json]] = [
        ("plain", "ok", "the title goes, with its salt and the seed; everything else stays", {}),
        ("fork", "ok", "of a leaf that is not the first under its dot", fork),
        ("other-path", "erasure", "it names another write than the one in its place", naming(f"task/{KEY}/kind")),
        ("no-position", "erasure", "the key names no position", {"key": nothing}),
        ("beyond", "erasure", "a position that the body does not have", {"key": erasure_key(dot, 6)}),
        ("zero", "erasure", "a position with a leading zero", {"key": f"{nothing}.03"}),
        ("deleted", "erasure", "the row was deleted", {"row": {**row, "_alive": False}}),
        ("skeleton", "erasure", "presence stays", {"key": erasure_key(dot, 0), **naming(f"task/{KEY}/_alive")}),
        ("system", "erasure", "rows of the protocol's registers stay", naming(f"device/{DEVICE.id}/roles")),
        ("over", "erasure", "`over` holds no dots", {"row": {**row, "over": [["x", 1]]}}),
        ("kept", "erasure", "the value is still there", {"after": RAW_BODY}),
        ("other-value", "erasure", "another value was taken out", {"after": hidden}),
        ("covers", "erasure", "its author had folded the erasure", {"covers": [[905, 901, True]]}),
    ]  # fmt: skip
    return [vector(name, expect, comment, **{**plain, **more}) for name, expect, comment, more in cases]
