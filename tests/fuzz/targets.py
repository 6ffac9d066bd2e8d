"""Every parser of bytes that somebody else wrote, as a function of bytes.

A target returns whether the input was accepted. It raises nothing but `AssertionError` (what was accepted is not what
the formatter writes) and whatever the parser should not have let out: those are the findings.
"""

import gzip
import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request

from syncgov.audit import folder as public_folder
from syncgov.audit.report import Report
from syncgov.centre.app import MAX_JOIN_BYTES, App, Gate, _unpack
from syncgov.core import bundle, canonical, note, proof, tree, wire
from syncgov.core.age_identity import age_identity
from syncgov.core.charter import open_charter
from syncgov.core.commitment import format_path, parse_body, parse_path, redact
from syncgov.core.record_proof import verify_record_proof
from syncgov.core.register import parse_register
from syncgov.core.statement import (
    CHANGESET_TYPE,
    format_envelope,
    format_leaf,
    format_statement,
    parse_changeset,
    parse_envelope,
    parse_leaf,
    parse_statement,
)
from syncgov.errors import SyncgovError
from syncgov.importers import open311
from syncgov.importers.tables import read_rows
from syncgov.storage import sealing
from syncgov.storage.files import read_register
from syncgov.storage.keyfile import load_key, store_key
from tests.helpers import World, lasting_folder
from tests.registers import registers
from tests.vectors.base import AT
from tests.vectors.changesets import ENVELOPE

Target = Callable[[bytes], bool]
ROOT = Path(__file__).resolve().parents[2]
MAX_BYTES = 1 << 16  # of an input for the canonical parser alone; the others have limits of their own
WIRE = (wire.Push, wire.PushAnswer, wire.Pull, wire.PullAnswer, wire.Own, wire.Join, wire.JoinAnswer)


def vectors(name: str) -> list[dict[str, Any]]:
    """Return the vectors of one format."""
    found: list[dict[str, Any]] = json.loads((ROOT / "tests" / "vectors" / f"{name}.json").read_text())["vectors"]
    return found


def _refusing(target: Callable[[bytes], None]) -> Target:
    """Return *target* with our own errors as a refusal."""

    def run(data: bytes) -> bool:
        try:
            target(data)
        except SyncgovError as error:
            return _is_told(error)
        return True

    return run


def _is_told(error: SyncgovError) -> bool:
    """Return False; both languages must have words."""
    assert error.zh
    assert error.en
    return False


def _of_text(target: Callable[[str], None]) -> Target:
    """Return a target whose parser takes text: whoever reads the bytes has refused what is no UTF-8."""

    def run(data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = ""
        target(text)

    return _refusing(run)


# -- signed bytes --------------------


def read_canonical(data: bytes) -> None:
    """Canonical JSON."""
    assert canonical.encode(canonical.decode(data, max_bytes=MAX_BYTES)) == data


def read_statement(data: bytes) -> None:
    """A statement."""
    assert format_statement(parse_statement(data)) == data


def read_envelope(data: bytes) -> None:
    """An envelope, and the changeset in it."""
    found = parse_envelope(data, CHANGESET_TYPE)
    assert format_envelope(found.payload_type, found.payload, list(found.signatures)) == data
    assert parse_changeset(data).envelope.raw == data


def read_leaf(data: bytes) -> None:
    """A leaf."""
    leaf = parse_leaf(data)
    raw = leaf.changeset.envelope.raw
    assert format_leaf(raw, floor=leaf.floor, received=leaf.received, verdict=leaf.verdict) == data


def read_body(data: bytes) -> None:
    """A body, full or redacted; the first byte says how many writes are public."""
    pub, raw = data[0] if data else 0, data[1:]
    body = parse_body(raw, pub)
    assert canonical.encode(canonical.decode(raw, max_bytes=len(raw))) == raw
    again = parse_body(redact(body, lambda _position, _write: True), pub)
    assert again.digests == body.digests
    assert list(again.disclosed()) == list(body.disclosed())
    for _position, write in body.disclosed():
        assert format_path(*parse_path(write.path)) == write.path


def read_charter(data: bytes) -> None:
    """A charter."""
    open_charter(data)
    assert canonical.encode(canonical.decode(data, max_bytes=len(data))) == data


# -- the log as files --------------------


def read_note(text: str) -> None:
    """A signed note; if it is a checkpoint, that too."""
    found = note.parse_note(text)
    assert note.format_note(found) == text
    assert note.format_checkpoint(note.parse_checkpoint(found.text)) == found.text


def read_vkey(text: str) -> None:
    """A verifier key."""
    key = note.parse_vkey(text)
    assert note.format_vkey(key.name, key.public) == text


def read_receipt(text: str) -> None:
    """A receipt."""
    found = proof.parse_receipt(text)
    assert proof.format_receipt(found.index, found.path, found.checkpoint) == text


def read_tile(data: bytes) -> None:
    """A hash tile."""
    assert tree.format_tile(tree.parse_tile(data)) == data


def read_entries(data: bytes) -> None:
    """An entry bundle."""
    assert tree.format_bundle(tree.parse_bundle(data)) == data


def read_proof_file(data: bytes) -> None:
    """A record's proof."""
    verify_record_proof(data, None)


def read_disclosed(data: bytes) -> bool:
    """The lines of a `disclosed` file; damage is a finding of the audit, never an exception."""
    report, bodies, damaged = Report(), dict[int, Any](), set[int]()
    lines = data.removesuffix(b"\n").split(b"\n")
    within = range(len(leaves()))
    public_folder._read_lines("disclosed/000", lines, within, leaves(), bodies, damaged, report)
    assert set(bodies) | damaged or not report.ok
    return report.ok


@cache
def leaves() -> tuple[Any, ...]:
    """Return leaves for disclosed lines to belong to."""
    return tuple(parse_leaf(format_leaf(ENVELOPE, floor=0, received=at, verdict="accepted")) for at in (AT, AT + 1))


# -- by file --------------------


def read_bundle_file(data: bytes) -> None:
    """A bundle: the label, and what follows it as an invitation or as what was inside the seal."""
    label, content = bundle.split_bundle_file(data)
    assert bundle.format_bundle_file(label, content) == data
    if label.kind == "invitation":
        bundle.open_invitation(label, content)
    else:
        _header, packed = bundle.open_bundle(label, content)
        bundle.unpack(packed, bundle.Request if label.kind == "request" else bundle.Reply)


def read_packed(data: bytes) -> None:
    """The packed message of a bundle."""
    message = bundle.unpack(data, bundle.Request)
    assert wire.parse_message(wire.format_message(message), bundle.Request, "bundle") == message


def read_sealed(data: bytes) -> None:
    """An age file."""
    sealing.unseal(data, age_identity(b"s" * 32))


def read_recipient(text: str) -> None:
    """An age recipient."""
    assert bundle.check_recipient(text) == text


# -- the wire --------------------


def read_message(data: bytes) -> None:
    """A message; the first byte says of which kind."""
    kind: type[Any] = WIRE[data[0] % len(WIRE)] if data else wire.Push
    message = wire.parse_message(data[1:], kind, "message")
    assert wire.parse_message(wire.format_message(message), kind, "message") == message


def read_request(data: bytes) -> None:
    """A request at the centre: a byte that says which and how, a line of Authorization, the body."""
    first = data[0] if data else 0
    header, _, body = data[1:].partition(b"\n")
    path = ("/v1/join", "/v1/push", "/v1/pull", "/v1/own")[first % 4]
    app, dev, key = _centre()
    if first & 4:
        body = gzip.compress(body, mtime=0)
    if first & 8:  # signed by a device that is enrolled: what is behind the signature
        nonce = app.nonces.issue()
        origin = app.centre.charter.origin
        signed = key.sign_typed(wire.REQUEST_TYPE, wire.request_bytes(dev, nonce, origin, "POST", path, body))
        header = f"{wire.AUTHORIZATION} {dev}.{nonce}.{canonical.b64u(signed)}".encode()
    headers = [(b"authorization", header), *([(b"content-encoding", b"gzip")] if first & 0x14 else [])]
    request = Request({"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""})
    request.state.body = body
    _unpack(request, MAX_JOIN_BYTES)
    getattr(app, path.removeprefix("/v1/"))(request)


@cache
def _centre() -> tuple[App, str, Any]:
    world = World.make(lasting_folder())
    pen = world.device("pen")
    return App(world.centre, world.clock, Gate()), pen.dev, pen.key_file.key


# -- files of people --------------------


def read_register_file(text: str) -> None:
    """A register."""
    assert parse_register(text, "register.yml").text == text


def read_csv(data: bytes) -> None:
    """A table to import, as CSV."""
    _read_table(data, "table.csv")


def read_json(data: bytes) -> None:
    """A table to import, as JSON."""
    _read_table(data, "table.json")


def read_yaml(data: bytes) -> None:
    """A table to import, as YAML."""
    _read_table(data, "table.yml")


def read_markdown(data: bytes) -> None:
    """A row to import, as Markdown with front matter."""
    _read_table(data, "table.md")


def _read_table(data: bytes, name: str) -> None:
    for row in read_rows(_file(data, name), _task(), _task().columns):
        json.dumps(row.columns)


@cache
def _task() -> Any:
    return registers()[0]


def read_open311(data: bytes) -> None:
    """A file of service requests."""
    for entry in open311.read_entries(_file(data, "requests.json")):
        open311._checked(entry, _service_request())


@cache
def _service_request() -> Any:
    return read_register(ROOT / "examples" / "open311" / f"{open311.TABLE}.yml")


def read_key_file(data: bytes) -> None:
    """A key file."""
    path = _file(data, "pen.db.key")
    found = load_key(path)
    again = load_key(store_key(path, found.key, found.seq, found.hash).path)
    assert (again.key.seed, again.seq, again.hash) == (found.key.seed, found.seq, found.hash)


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="syncgov-fuzz-", dir=lasting_folder()))


def _file(data: bytes, name: str) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


TARGETS: dict[str, Target] = {
    "canonical": _refusing(read_canonical),
    "statement": _refusing(read_statement),
    "envelope": _refusing(read_envelope),
    "leaf": _refusing(read_leaf),
    "body": _refusing(read_body),
    "charter": _refusing(read_charter),
    "note": _of_text(read_note),
    "vkey": _of_text(read_vkey),
    "receipt": _of_text(read_receipt),
    "tile": _refusing(read_tile),
    "entries": _refusing(read_entries),
    "proof_file": _refusing(read_proof_file),
    "disclosed": read_disclosed,
    "bundle_file": _refusing(read_bundle_file),
    "packed": _refusing(read_packed),
    "sealed": _refusing(read_sealed),
    "recipient": _of_text(read_recipient),
    "message": _refusing(read_message),
    "request": _refusing(read_request),
    "register": _of_text(read_register_file),
    "csv": _refusing(read_csv),
    "json": _refusing(read_json),
    "yaml": _refusing(read_yaml),
    "markdown": _refusing(read_markdown),
    "open311": _refusing(read_open311),
    "key_file": _refusing(read_key_file),
}
