"""Every vector goes through the code, and what the valid ones say is also computed a second time without it."""

import base64
import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from syncgov.audit.folder import DISCLOSED_FOLDER, load_disclosed
from syncgov.audit.report import Report
from syncgov.core import wire
from syncgov.core.bundle import Reply, Request, open_bundle, split_bundle_file, unpack
from syncgov.core.canonical import decode, encode, unb64, unb64u
from syncgov.core.charter import open_charter
from syncgov.core.commitment import Write, open_body, redact
from syncgov.core.erasure import is_covered, parse_erasure
from syncgov.core.file_list import format_list, parse_list, verify_list_note
from syncgov.core.keys import SigningKey, verify_typed
from syncgov.core.merge import FieldState, Head, RowState, fold_write, is_conflict, shown
from syncgov.core.note import verify_checkpoint
from syncgov.core.proof import verify_receipt
from syncgov.core.record_proof import verify_record_proof
from syncgov.core.register import RegisterSet, parse_register
from syncgov.core.register_model import Column, Field, Register
from syncgov.core.statement import (
    format_statement,
    parse_changeset,
    parse_leaf,
    parse_statement,
    verify_changeset,
    verify_second,
)
from syncgov.core.succession import succeed
from syncgov.core.tree import format_bundle, format_tile, parse_bundle, parse_tile, verify_consistency
from syncgov.core.workflow import Workflow
from syncgov.errors import SyncgovError
from syncgov.storage.connection import connect
from syncgov.storage.keyfile import KeyFile
from syncgov.storage.replica import Replica
from syncgov.storage.schema import PROTOCOL_TABLES
from syncgov.storage.state import FoldItem, conflicts_of, field_state, fold
from syncgov.sync.checking import verify_page

FOLDER = Path(__file__).resolve().parent
FILES = sorted(FOLDER.glob("*.json"))
Json = dict[str, Any]


class OtherError(Exception):
    """An outcome that is no error of the package: `digest`, `fold`."""


def raw(value: Any) -> bytes:
    """Return an input as bytes: text, `hex`, or a repetition."""
    if isinstance(value, str):
        return value.encode()
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    return (value["before"] + value["repeat"] * value["times"] + value["after"]).encode()


def text(value: Any) -> str:
    """Return an input as text."""
    return raw(value).decode()


# -- one function a format: returns if the vector is valid, else raises --------------------


def run_canonical(v: Json, _tmp: Path) -> None:
    data = raw(v["input"])
    value = decode(data, max_bytes=v.get("max_bytes", 1000))
    assert encode(value) == data == rfc8785.dumps(value)


def run_statement(v: Json, _tmp: Path) -> None:
    data = raw(v["statement"])
    assert format_statement(parse_statement(data)) == data


def run_envelope(v: Json, _tmp: Path) -> None:
    changeset = verify_changeset(parse_changeset(raw(v["envelope"])), unb64u(v["public"], 32))
    if changeset.second is not None:
        verify_second(changeset, unb64u(v["second"], 32))


def run_body_full(v: Json, _tmp: Path) -> None:
    st = parse_statement(raw(v["statement"]))
    body = open_body(raw(v["body"]), st)
    assert all(write is not None for write in body.writes)


def run_body_redacted(v: Json, _tmp: Path) -> None:
    st = parse_statement(raw(v["statement"]))
    body = open_body(raw(v["body"]), st)
    assert v["keep"] == [position for position, _write in body.disclosed()]
    full = open_body(raw(v["full"]), st)
    assert redact(full, lambda position, _write: position in v["keep"]) == raw(v["body"])


def run_leaf(v: Json, _tmp: Path) -> None:
    assert list(parse_leaf(raw(v["leaf"])).effective) == v["effective"]


def run_checkpoint(v: Json, _tmp: Path) -> None:
    verify_checkpoint(text(v["checkpoint"]), v["vkey"])


def run_file_list(v: Json, _tmp: Path) -> None:
    _checkpoint, digest = verify_list_note(text(v["note"]), v["vkey"])
    if hashlib.sha256(raw(v["list"])).hexdigest() != digest:
        raise OtherError("digest")
    listed = parse_list(raw(v["list"]))
    assert format_list(listed) == raw(v["list"])


def run_receipt(v: Json, _tmp: Path) -> None:
    verify_receipt(v["receipt"], raw(v["leaf"]), v["vkey"])


def run_consistency(v: Json, _tmp: Path) -> None:
    path = [unb64(line, 32) for line in v["path"]]
    verify_consistency(v["old"], unb64(v["old_root"], 32), v["new"], unb64(v["new_root"], 32), path)


def run_bundle(v: Json, _tmp: Path) -> None:
    assert format_bundle(parse_bundle(raw(v["bundle"]))) == raw(v["bundle"])


def run_tile(v: Json, _tmp: Path) -> None:
    assert format_tile(parse_tile(raw(v["tile"]))) == raw(v["tile"])


def run_proof_file(v: Json, _tmp: Path) -> None:
    proof = verify_record_proof(raw(v["proof"]), open_charter(raw(v["charter"])))
    shown = {"_alive": True} if v["name"] == "erased" else {"_alive": True, "title": "路灯不亮"}
    assert {field.field: field.value for field in proof.fields} == shown
    hidden = [("title", True, "request")] if v["name"] == "erased" else []
    assert [(each.field, each.erased, each.reason) for each in proof.hidden] == hidden


def run_charter(v: Json, _tmp: Path) -> None:
    open_charter(raw(v["charter"]))


def run_succession(v: Json, _tmp: Path) -> None:
    succeed(raw(v["held"]), raw(v["charter"]))


def run_register_set(v: Json, _tmp: Path) -> None:
    found = RegisterSet(parse_register(each, "vector.yml") for each in v["texts"])
    if found.digest != unb64u(v["digest"], 32):
        raise OtherError("digest")


def run_request(v: Json, _tmp: Path) -> None:
    dev, nonce, signature = v["authorization"].removeprefix(f"{wire.AUTHORIZATION} ").split(".")
    signed = wire.request_bytes(dev, nonce, v["origin"], v["method"], v["path"], raw(v["body"]))
    verify_typed(unb64u(v["public"], 32), wire.REQUEST_TYPE, signed, unb64u(signature, 64))


def run_join(v: Json, _tmp: Path) -> None:
    message = wire.parse_message(raw(v["join"]), wire.Join, "join")
    wire.verify_join(message, v["origin"], unb64u(message.public, 32), unb64u(message.proof, 64))


def run_staff_key(v: Json, _tmp: Path) -> None:
    message = wire.parse_message(raw(v["request"]), wire.StaffKeyRequest, "staff key request")
    public, proof = unb64u(message.public, 32), unb64u(message.proof, 64)
    wire.verify_staff_key(message, v["dev"], v["origin"], public, proof)


MESSAGES: dict[str, type] = {
    "push": wire.Push,
    "push-answer": wire.PushAnswer,
    "pull": wire.Pull,
    "pull-answer": wire.PullAnswer,
    "own": wire.Own,
}


def run_push(v: Json, _tmp: Path) -> None:
    message: Any = wire.parse_message(raw(v["message"]), MESSAGES[v["kind"]], v["kind"])
    assert wire.format_message(message) == raw(v["message"])


def run_pull(v: Json, tmp: Path) -> None:
    message: Any = wire.parse_message(raw(v["message"]), MESSAGES[v["kind"]], v["kind"])
    assert wire.format_message(message) == raw(v["message"])
    if v["kind"] != "pull-answer":
        return
    key = KeyFile(tmp / "key", SigningKey(bytes(32)), 0, "")
    with Replica.create(tmp / f"{v['name']}.db", key, raw(v["charter"]), {"prev": ""}, lambda: 0) as replica:
        replica.meta.set(**v["seen"])
        verify_page(replica, message, v["seen"]["size"])


def run_bundle_header(v: Json, _tmp: Path) -> None:
    label, _content = split_bundle_file(raw(v["label"]) + b"\n")
    header, packed = open_bundle(label, raw(v["plain"]))
    unpack(packed, Request if header.kind == "request" else Reply)


def run_disclosed(v: Json, tmp: Path) -> None:
    leaves = tuple(parse_leaf(each.encode()) for each in v["leaves"])
    path = tmp / DISCLOSED_FOLDER / "000"
    path.parent.mkdir(parents=True)
    path.write_bytes(raw(v["lines"]))
    report = Report()
    bodies, _damaged = load_disclosed(tmp, leaves, report)
    if report.findings:
        raise OtherError("commitment" if report.has("commitment") else "format")
    assert list(bodies) == v["indexes"]


def run_erasure(v: Json, _tmp: Path) -> None:
    state = RowState({n: FieldState((Head("0" * 32, 1, v["index"], 0, 0, value),)) for n, value in v["row"].items()})
    one = parse_erasure(v["key"], state)
    body = open_body(raw(v["body"]), parse_statement(raw(v["statement"])))
    write = body.writes[one.slot[1]] if one is not None and one.slot[1] < len(body.writes) else None
    if one is None or write is None or write.path != one.path:
        raise OtherError("erasure")
    (dev, seq), position = one.slot
    assert [dev, seq, position, one.leaf] == v["names"]
    if redact(body, lambda p, _write: p != position) != raw(v["after"]):
        raise OtherError("erasure")
    if any(is_covered({one.path: one.index}, one.path, (at, seen)) != covered for at, seen, covered in v["covers"]):
        raise OtherError("erasure")


def run_fold(v: Json, tmp: Path) -> None:
    by_reference, by_storage = fold_both(v, tmp)
    assert by_reference == by_storage
    wanted = ([tuple(dot) for dot in v["heads"]], v.get("before"), v["shown"], v["conflict"])
    if repr(by_reference) != repr(wanted):
        raise OtherError("fold")


RUN: dict[str, Callable[[Json, Path], None]] = {
    name.removeprefix("run_"): value for name, value in list(globals().items()) if name.startswith("run_")
}

# -- the two folds of one vector --------------------

Folded = tuple[list[tuple[str, int]], Any, Any, bool]


def fold_both(v: Json, tmp: Path) -> tuple[Folded, Folded]:
    """Return (heads, before, shown, conflict) by the reference fold and by the one in storage."""
    declared, register = declaration(v["rule"])
    workflow = register.workflow if v["rule"] == "state" else None
    heads = [Head(w[0] * 32, *w[1:6]) for w in v["writes"]]
    overs = [[(dev * 32, seq) for dev, seq in w[6]] for w in v["writes"]]
    state = FieldState()
    for head, over in zip(heads, overs, strict=True):
        state = fold_write(state, head, over, declared, workflow)
    one = (names(state.heads), state.before, shown(state, declared, workflow), is_conflict(state.heads))

    items = [
        FoldItem(head.index, head.dot, head.at, head.tick, [Write("t/k/f", head.value, tuple(over))])  # type: ignore[arg-type]
        for head, over in zip(heads, overs, strict=True)
    ]
    conn = connect(tmp / "fold.db", create=True)
    conn.executescript(PROTOCOL_TABLES)
    conn.execute("DELETE FROM _sg_row")
    row = fold(conn, items, {"t": register})["t", "k"]
    stored = field_state(row.fields["f"])
    conn.close()
    other = (names(stored.heads), stored.before, row.shown("f", register), conflicts_of(row) == ["f"])
    return one, other


def names(heads: tuple[Head, ...]) -> list[tuple[str, int]]:
    """Return the dots as the vector writes them."""
    return [(head.dev[0], head.seq) for head in heads]


def declaration(rule: Any) -> tuple[Field, Register]:
    """Return a field called `f` with this merge rule, and a register that has no other."""
    content = json.loads((FOLDER / "fold.json").read_text(encoding="utf-8"))["workflow"]
    group = rule == "state"
    columns = (Column("state", "", "code"), Column("owner", "", "text")) if group else (Column("f", "", "integer"),)
    declared = Field("f", "", "public", columns, group=group, merge=rule)
    pairs = frozenset(frozenset(pair) for pair in content["review_states"])
    workflow = Workflow(
        "f", content["state_column"], (), tuple(content["precedence"]), pairs, tuple(content["review_columns"]),
        frozenset(), {}, frozenset(), frozenset(),
    )  # fmt: skip
    register = Register(
        "t", 1, "", "", False, "uuid", "", None, None, None, None, False, frozenset(), {}, (declared,),
        workflow if group else None, (), {}, "",
    )  # fmt: skip
    return declared, register


# -- tests --------------------


def vectors() -> Iterator[Any]:
    """Yield every vector of every file with its format."""
    for file in FILES:
        content = json.loads(file.read_text(encoding="utf-8"))
        for v in content["vectors"]:
            yield pytest.param(content["format"], v, id=f"{file.stem}-{v['name']}")


@pytest.mark.parametrize(("kind", "v"), list(vectors()))
def test_the_code_agrees_with_every_vector(kind: str, v: Json, tmp_path: Path) -> None:
    """Valid ones pass; invalid ones fail for the reason that the vector names."""
    try:
        RUN[kind](v, tmp_path)
        outcome = "ok"
    except SyncgovError as error:
        outcome = error.code
    except OtherError as error:
        outcome = str(error)
    assert outcome == v["expect"], v["comment"]


def test_every_format_has_valid_and_invalid_vectors() -> None:
    """No file without both, and no file that nothing runs."""
    assert {file.stem for file in FILES} == set(RUN)
    for file in FILES:
        content = json.loads(file.read_text(encoding="utf-8"))
        outcomes = [v["expect"] for v in content["vectors"]]
        assert content["format"] == file.stem
        assert "ok" in outcomes, file.name
        assert set(outcomes) - {"ok"}, file.name
        assert all(v["comment"] for v in content["vectors"])


def test_the_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    """`--check` is silent, and it notices a changed byte."""
    for path in FILES:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, str(FOLDER / "generate.py"), "--check", "--folder", str(tmp_path)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    changed = tmp_path / "leaf.json"
    changed.write_bytes(changed.read_bytes().replace(b"accepted", b"Accepted", 1))
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 1
    assert "leaf.json" in found.stderr


# -- the same sums without the package: another implementer's first day --------------------


def load(name: str) -> list[Json]:
    """Return the vectors of one format."""
    vectors: list[Json] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["vectors"]
    return vectors


def b64u(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def merkle(hashes: list[bytes]) -> bytes:
    """Return the root as RFC 6962 section 2.1 defines it, by recursion."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hashlib.sha256(b"\1" + merkle(hashes[:split]) + merkle(hashes[split:])).digest()


def test_commitments_by_hand() -> None:
    """Salts, digests and root of the full body, and the slots of the redacted one, from the text of section 5."""
    v = load("body_full")[0]
    body, st = json.loads(v["body"]), json.loads(v["statement"])
    seed = base64.urlsafe_b64decode(body["seed"] + "=")
    stream = hashlib.shake_256(seed).digest(16 * len(body["writes"]))
    digests = []
    for i, (path, value, over) in enumerate(body["writes"]):
        disclosure = rfc8785.dumps([b64u(stream[16 * i : 16 * i + 16]), path, {"set": value, "over": over}])
        digests.append(hashlib.sha256(b64u(disclosure).encode()).digest())
    assert b64u(merkle([hashlib.sha256(b"\0" + d).digest() for d in digests])) == st["root"]
    assert len(digests) == st["n"]
    hidden = next(each for each in load("body_redacted") if each["name"] == "hidden")
    assert json.loads(hidden["body"]) == {"slots": [b64u(d) for d in digests], "v": 1}


def test_signature_and_ids_by_hand() -> None:
    """Device id, pre-authentication encoding and signature of the envelope, from the text of sections 2 and 4."""
    v = load("envelope")[0]
    envelope = json.loads(v["envelope"])
    public = base64.urlsafe_b64decode(v["public"] + "=")
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    (signature,) = envelope["signatures"]
    assert signature["keyid"] == hashlib.sha256(public).hexdigest()[:32] == json.loads(payload)["dev"]
    Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(signature["sig"]), encoded)


def test_log_by_hand() -> None:
    """The pull answer's leaves and the checkpoint's root, from the text of section 6."""
    v = next(each for each in load("pull") if each["name"] == "answer")
    message = json.loads(v["message"])
    root = base64.b64decode(message["checkpoint"].split("\n")[2])
    last = message["entries"][1]
    known = hashlib.sha256(b"\0" + rfc8785.dumps(last["leaf"])).digest()
    (left,) = [base64.b64decode(line) for line in last["path"]]
    assert (last["index"], message["target"]) == (2, 3)
    assert hashlib.sha256(b"\1" + left + known).digest() == root
    previous = hashlib.sha256(rfc8785.dumps(message["entries"][0]["leaf"]["envelope"])).digest()
    assert json.loads(base64.b64decode(last["leaf"]["envelope"]["payload"]))["prev"] == b64u(previous)


def test_sqlite_is_new_enough() -> None:
    """STRICT tables and RETURNING are used everywhere."""
    assert sqlite3.sqlite_version_info >= (3, 37)
