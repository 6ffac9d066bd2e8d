"""Write the seeds of the corpus from the vectors: `python -m tests.fuzz.seeds`. They are small, and ours."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage

from syncgov.core import bundle, wire
from syncgov.core.age_identity import age_identity
from syncgov.core.bundle import Header, Label
from syncgov.core.keys import SigningKey
from syncgov.storage import sealing
from tests.fuzz.targets import WIRE, vectors
from tests.registers import TEXTS
from tests.vectors.base import LOG, ORIGIN, VKEY
from tests.vectors.changesets import RAW_BODY
from tests.vectors.test_vectors import raw

CORPUS = Path(__file__).with_name("corpus")
MAX_SEED_BYTES = 8192
SEEDS_PER_TARGET = 8
DEVICE = SigningKey(b"d" * 32)


def of(name: str, member: str) -> Iterator[bytes]:
    """Yield a member of the vectors of a format; those that are too long to write out are left out."""
    for v in vectors(name):
        data = raw(v[member])
        if len(data) <= MAX_SEED_BYTES:
            yield data


def bodies() -> Iterator[bytes]:
    """Yield bodies behind the number of their public writes."""
    for name in ("body_full", "body_redacted"):
        for v in vectors(name)[: SEEDS_PER_TARGET // 2]:
            try:
                pub = json.loads(raw(v["statement"]))["pub"]
            except ValueError:
                continue
            yield bytes([pub]) + raw(v["body"])


def messages() -> Iterator[bytes]:
    """Yield a message of each kind behind its number."""
    kinds = {"push": 0, "push_answer": 1, "pull": 2, "pull_answer": 3, "own": 4}
    for name in ("push", "pull"):
        for v in vectors(name):
            number = kinds.get(v["kind"], kinds.get(v["kind"].replace(" ", "_"), 3 if name == "pull" else 1))
            yield bytes([number]) + raw(v["message"])
    for v in vectors("join")[:1]:
        yield bytes([WIRE.index(wire.Join)]) + raw(v["join"])
    yield b'\x04{"after":0,"v":1}'


def requests() -> Iterator[bytes]:
    """Yield requests: unsigned, badly signed, signed, packed."""
    push, pull = (raw(vectors(name)[0]["message"]) for name in ("push", "pull"))
    yield b"\x00\n" + raw(vectors("join")[0]["join"])
    yield b"\x01" + vectors("request")[0]["authorization"].encode() + b"\n" + push
    yield b"\x09\n" + push
    yield b"\x0a\n" + pull
    yield b"\x0e\n" + pull
    yield b'\x0b\n{"after":0,"v":1}'
    yield b"\x1a\n" + gzip.compress(pull, mtime=0)[:20]
    yield b"\x02Syncgov a.b.c\n{}"


def a_request() -> bundle.Request:
    """Return a request of a device that has nothing to send."""
    return bundle.Request(
        None, None, wire.Pull(0, 500, 0, 0), wire.Push([]), sealing.recipient_of(age_identity(b"d" * 32))
    )


def bundle_files() -> Iterator[bytes]:
    """Yield bundles as they are before they are sealed, and invitations."""
    label = Label("request", ORIGIN)
    plain = bundle.sign_bundle(label, Header(DEVICE.id, 0, "request", 0, ORIGIN, "", "", 0, 1), a_request(), DEVICE)
    yield bundle.format_bundle_file(label, plain)
    yield bundle.format_bundle_file(label, plain[:-3])
    charter = next(of("charter", "charter"))
    note = bundle.sign_recipient(ORIGIN, sealing.recipient_of(age_identity(b"c" * 32)), LOG)
    yield bundle.format_invitation(charter, note)
    yield f"syncgov-bundle@v1 reply {ORIGIN} {DEVICE.id}\n".encode()


def seeds() -> dict[str, list[bytes]]:
    """Return target -> inputs."""
    recipient = str(pyrage.x25519.Identity.from_str(age_identity(b"s" * 32)).to_public())
    packed = bundle._pack(wire.format_message(a_request()))
    line = b'{"body":' + RAW_BODY + b',"index":0}\n'
    csv = "id,网格,日期,标题,state\r\n,101001,2026-11-20,路灯不亮,报\r\n"
    hand = "- place: '101001'\n  started_on: 2026-11-20\n  title: 灯\n  state: reported\n  tags: [x]\n  days: 3\n"
    task = [
        {"place": "101001", "started_on": "2026-11-20", "title": "灯", "state": "reported", "tags": ["x"], "days": 3}
    ]
    asked: list[dict[str, Any]] = [
        {"service_request_id": "1", "status": "open", "requested_datetime": "2026-11-20T08:00:00+08:00", "lat": 1.5,
         "notes": [{"datetime": "2026-11-20T08:00:00Z", "description": "d"}], "attributes": {"q": "a"}}
    ]  # fmt: skip
    key = '{"hash":"","seed":"' + "a" * 42 + 'A","seq":0,"v":1}'
    return {
        "canonical": [*of("canonical", "input")],
        "statement": [*of("statement", "statement")],
        "envelope": [*of("envelope", "envelope")],
        "leaf": [*of("leaf", "leaf")],
        "body": [*bodies()],
        "charter": [*of("charter", "charter")],
        "note": [*of("checkpoint", "checkpoint")],
        "vkey": [VKEY.encode(), b"log+00000000+AAAA"],
        "receipt": [*of("receipt", "receipt")],
        "tile": [*of("tile", "tile"), b"x"],
        "entries": [*of("bundle", "bundle")],
        "proof_file": [*of("proof_file", "proof")][:3],
        "disclosed": [line, b"", b"\n{}"],
        "bundle_file": [*bundle_files()],
        "packed": [packed, packed[:-1], gzip.compress(bytes(1 << 20), mtime=0)],
        "sealed": [b"age-encryption.org/v1\n-> X25519 AAAA\n", sealing.seal(b"x", recipient)],
        "recipient": [recipient.encode(), b"age1x"],
        "message": [*messages()],
        "request": [*requests()],
        "register": [*map(str.encode, TEXTS.values()), b"register: &a [*a]\n", b"a: !!python/name:os.system\n"],
        "csv": [csv.encode(), b"\xef\xbb\xbf\"a\n"],
        "json": [json.dumps(task).encode(), b"[{}]", b"[1e999999999]"],
        "yaml": [hand.encode(), b"- *a\n", b"a: !!python/name:os.system\n", b"[" * 300],
        "markdown": [f"---\n{hand[2:].replace(chr(10) + '  ', chr(10))}---\n".encode(), b"---\nid: 1\n"],
        "open311": [json.dumps(asked).encode(), b"[{}]"],
        "key_file": [key.encode(), b"{}"],
    }  # fmt: skip


def main() -> None:
    """Write them; files that are there already stay."""
    for target, inputs in seeds().items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs[:SEEDS_PER_TARGET], 1):
            path = CORPUS / target / f"seed-{number}"
            if not path.exists():  # a seal is never the same twice
                path.write_bytes(data)


if __name__ == "__main__":
    main()
