"""The HTTP face: whatever is sent, a right status and a problem document come back, and nothing is merged."""

import gzip
import json
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from syncgov.centre.app import NONCE_LIFE_MS, App, make_app
from syncgov.core import wire
from syncgov.core.canonical import b64u, unb64
from syncgov.core.commitment import open_body, redact
from syncgov.core.keys import SigningKey
from syncgov.core.note import verify_checkpoint
from syncgov.core.statement import parse_changeset
from syncgov.core.tree import leaf_hash, verify_inclusion
from syncgov.storage.own_chain import own_changesets
from syncgov.storage.replica import Replica
from tests.helpers import AREA, ORIGIN, ManualClock, Wire, World, a_task, insert

NOBODY = SigningKey(b"n" * 32)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A centre with one worker's device that has a signed changeset."""
    with World.make(tmp_path) as found:
        pen = found.device("pen")
        insert(pen, "task", a_task())
        pen.commit()
        yield found


@pytest.fixture
def pen(world: World) -> Replica:
    """The worker's device."""
    return world.replicas["pen"]


def nonce(world: World) -> str:
    """Return a fresh nonce."""
    return str(world.wire.client.get("/v1/nonce").headers[wire.NONCE_HEADER])


def sign(world: World, target: str, sent: bytes, key: SigningKey, **other: str) -> dict[str, str]:
    """Return the headers of a signed request; *other* replaces what is signed, not what is sent."""
    used = other.pop("nonce", "") or nonce(world)
    members = {"dev": key.id, "nonce": used, "origin": ORIGIN, "method": "POST", "path": target, **other}
    signature = key.sign_typed(wire.REQUEST_TYPE, wire.request_bytes(**members, body=sent))
    return {"Authorization": f"Syncgov {key.id}.{used}.{b64u(signature)}"}


def post(
    world: World, path: str, sent: bytes, key: SigningKey | None = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Send a request signed by *key*, by default the worker's."""
    key = key or world.replicas["pen"].key_file.key
    return world.wire.client.post(path, content=sent, headers={**sign(world, path, sent, key), **(headers or {})})


def push_of(pen: Replica) -> bytes:
    """Return the push message with everything that waits."""
    entries = [wire.PushEntry(msgspec.Raw(body), msgspec.Raw(envelope)) for _s, envelope, body in own_changesets(pen)]
    return wire.format_message(wire.Push(entries))


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert an RFC 9457 document with this status and code; returns it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in response.text
    found: dict[str, Any] = response.json()
    assert found["type"] == f"urn:syncgov:problem:{code}"
    assert found["status"] == status
    assert found["detail"]
    return found


def size(world: World) -> int:
    """Return how many leaves there are."""
    return world.centre.ledger.size


# -- open resources --------------------


def test_open_resources(world: World) -> None:
    """Charter, checkpoint and nonce need no signature; each answer carries a nonce."""
    client = world.wire.client
    assert client.get("/v1/charter").content == (world.centre.path / "charter.json").read_bytes()
    checkpoint = client.get("/v1/checkpoint")
    assert checkpoint.headers["content-type"].startswith("text/plain")
    assert verify_checkpoint(checkpoint.text, world.centre.charter.log).size == size(world)
    answers = [client.get(f"/v1/{name}") for name in ("charter", "checkpoint", "nonce")]
    assert [answer.status_code for answer in answers] == [200, 200, 204]
    assert all(answer.headers[wire.NONCE_HEADER] for answer in answers)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/push", 405),
        ("POST", "/v1/charter", 405),
        ("DELETE", "/v1/pull", 405),
        ("GET", "/v1/../central.db", 404),
        ("GET", "/central.db", 404),
        ("POST", "/v2/push", 404),
    ],
)
def test_no_such_resource(world: World, method: str, path: str, status: int) -> None:
    """Another path or method is a problem document too, and says so in our words."""
    response = world.wire.client.request(method, path, follow_redirects=False)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status


def test_no_such_resource_has_one_of_our_types(world: World) -> None:
    """Section 10: every problem's type is a urn of ours, and every answer carries a nonce."""
    response = world.wire.client.get("/nowhere")
    assert response.json()["type"].startswith("urn:syncgov:problem:")
    assert response.headers[wire.NONCE_HEADER]


# -- who asks --------------------


def test_a_good_push_is_answered_with_results(world: World, pen: Replica) -> None:
    """The request from which the others of this file differ in one thing; repeating it changes nothing."""
    before = size(world)
    for _ in range(2):
        response = post(world, "/v1/push", push_of(pen))
        assert response.status_code == 200
        answer = wire.parse_message(response.content, wire.PushAnswer, "answer")
        (result,) = answer.results
        assert (result.seq, result.state, result.index, result.verdict) == (1, "logged", before, "accepted")
        assert verify_checkpoint(answer.checkpoint, world.centre.charter.log).size == before + 1
    assert size(world) == before + 1


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic YTpi", "Syncgov", "Syncgov a.b", "Syncgov a.b.c.d", "Syncgov " + "a" * 600 + ".b.c"],
)
def test_a_request_without_signature(world: World, pen: Replica, authorization: str) -> None:
    """Nothing, another scheme, too few or too many parts, too long."""
    headers = {"Authorization": authorization} if authorization else {}
    for path in ("/v1/push", "/v1/pull", "/v1/own"):
        assert_problem(world.wire.client.post(path, content=push_of(pen), headers=headers), 403, "not-allowed")


def test_an_unknown_device(world: World, pen: Replica) -> None:
    """A key without certificate, and a device id that is none."""
    assert_problem(post(world, "/v1/push", push_of(pen), NOBODY), 403, "unknown-device")
    headers = {"Authorization": f"Syncgov x'y.{nonce(world)}.{b64u(bytes(64))}"}
    assert_problem(world.wire.client.post("/v1/push", content=b"{}", headers=headers), 403, "unknown-device")


@pytest.mark.parametrize(
    "signed",
    [{"path": "/v1/pull"}, {"method": "GET"}, {"origin": "other.example"}, {"dev": NOBODY.id}],
)
def test_a_signature_for_another_request(world: World, pen: Replica, signed: dict[str, str]) -> None:
    """What was signed for another path, method, log or device is good for none here."""
    sent = push_of(pen)
    headers = sign(world, "/v1/push", sent, pen.key_file.key, **signed)
    assert_problem(world.wire.client.post("/v1/push", content=sent, headers=headers), 403, "signature")
    headers = sign(world, "/v1/push", sent, pen.key_file.key)
    assert_problem(world.wire.client.post("/v1/push", content=sent + b" ", headers=headers), 403, "signature")
    assert size(world) == pen.seen.size


@pytest.mark.parametrize("signature", ["", "A", "A" * 85, "A" * 86 + "==", "é" * 86])
def test_a_malformed_signature(world: World, signature: str) -> None:
    """Not 64 bytes of base64url in their one spelling."""
    value = f"Syncgov {world.replicas['pen'].dev}.{nonce(world)}.{signature}"
    response = world.wire.client.post("/v1/push", content=b"{}", headers={"Authorization": value.encode("latin-1")})
    assert_problem(response, 400, "format")


def test_a_stale_nonce_is_answered_with_a_fresh_one(world: World, pen: Replica) -> None:
    """Too old, made up, or of another centre process: 401, and the next try with the new nonce works."""
    sent = push_of(pen)
    old = nonce(world)
    assert isinstance(world.clock, ManualClock)
    world.clock.forward(NONCE_LIFE_MS)
    headers = sign(world, "/v1/push", sent, pen.key_file.key, nonce=old)
    assert world.wire.client.post("/v1/push", content=sent, headers=headers).status_code == 200
    world.clock.forward(1)
    stranger = Wire(make_app(world.centre, world.clock))
    foreign = str(stranger.client.get("/v1/nonce").headers[wire.NONCE_HEADER])
    stranger.client.__exit__(None, None, None)
    for bad in (old, "made-up", "", "-", old.replace("-", ""), foreign, "ffffffffffff-" + old.split("-")[1]):
        headers = {"Authorization": f"Syncgov {pen.dev}.{bad}.{b64u(bytes(64))}"}
        response = world.wire.client.post("/v1/push", content=sent, headers=headers)
        assert_problem(response, 401, "nonce")
        fresh = response.headers[wire.NONCE_HEADER]
        headers = sign(world, "/v1/push", sent, pen.key_file.key, nonce=fresh)
        assert world.wire.client.post("/v1/push", content=sent, headers=headers).status_code == 200


def test_a_revoked_device_is_not_served(world: World, pen: Replica) -> None:
    """A stolen device that was reported gets nothing more, however well it signs."""
    world.centre.write("device", [(pen.dev, {"reason": "lost"})])
    ask = wire.format_message(wire.Pull(pen.seen.size, 100, pen.seen.size, 0))
    response = post(world, "/v1/pull", ask)
    bodies = [] if response.status_code != 200 else [e["body"] for e in response.json()["entries"]]
    assert response.status_code == 403 or all(body is None for body in bodies)


# -- how it is packed --------------------


def test_gzip_both_ways(world: World, pen: Replica) -> None:
    """A packed request is taken, and a long answer is packed for who takes it."""
    sent = gzip.compress(push_of(pen))
    assert post(world, "/v1/push", sent, headers={"Content-Encoding": "gzip"}).status_code == 200
    ask = wire.format_message(wire.Pull(0, 100, 0, 0))
    answer = post(world, "/v1/pull", ask, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in post(world, "/v1/pull", ask, headers={"Accept-Encoding": "identity"}).headers


def test_bad_packing(world: World, pen: Replica) -> None:
    """Cut short, no gzip at all, another encoding, a flipped bit."""
    good = gzip.compress(push_of(pen), mtime=0)
    flipped = good[:-5] + bytes([good[-5] ^ 1]) + good[-4:]
    for sent in (good[:-1], good[: len(good) // 2], good[:5], b"", b"plain", zlib.compress(push_of(pen)), flipped):
        assert_problem(post(world, "/v1/push", sent, headers={"Content-Encoding": "gzip"}), 400, "format")
    for encoding in ("br", "deflate", "gzip, gzip", "GZIPPED"):
        assert_problem(post(world, "/v1/push", good, headers={"Content-Encoding": encoding}), 400, "format")
    assert size(world) == pen.seen.size


def test_a_gzip_bomb_is_not_unpacked(world: World) -> None:
    """32 KiB that would become 32 MiB and one byte."""
    bomb = gzip.compress(bytes(wire.MAX_UNPACKED_BYTES + 1))
    assert len(bomb) < 64 * 1024
    assert_problem(post(world, "/v1/push", bomb, headers={"Content-Encoding": "gzip"}), 413, "limit")


def test_a_push_of_very_many_entries_is_refused(world: World) -> None:
    """A million empty entries pack to a few KiB; none is looked at, and there is no answer a million results long."""
    entry = b'{"body":0,"envelope":0}'
    sent = b'{"entries":[' + b",".join([entry] * (wire.MAX_PUSH + 1)) + b'],"v":1}'
    answer = post(world, "/v1/push", gzip.compress(sent), headers={"Content-Encoding": "gzip"})
    assert_problem(answer, 400, "format")


def test_an_oversized_request_is_not_read(world: World) -> None:
    """One byte more than 8 MiB."""
    assert_problem(post(world, "/v1/push", bytes(wire.MAX_REQUEST_BYTES + 1)), 413, "limit")
    assert_problem(post(world, "/v1/push", bytes(wire.MAX_REQUEST_BYTES)), 400, "format")


# -- what it says --------------------


@pytest.mark.parametrize("path", ["/v1/push", "/v1/pull", "/v1/own", "/v1/join"])
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"{}",
        b'{"v":2}',
        b'{"v":1,"x":1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"v":1e400}',
    ],
)
def test_malformed_messages(world: World, path: str, sent: bytes) -> None:
    """Nothing, cut, another kind, members missing, unknown, not UTF-8, too deep."""
    before = size(world)
    assert_problem(post(world, path, sent), 400, "format")
    assert size(world) == before


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        ({"after": -1, "limit": 1, "size": -1, "target": 0}, 400, "format"),
        ({"after": 0, "limit": 0, "size": 0, "target": 0}, 400, "format"),
        ({"after": 0, "limit": 1001, "size": 0, "target": 0}, 400, "format"),
        ({"after": 1, "limit": 1, "size": 4, "target": 3}, 400, "format"),
        ({"after": 3, "limit": 1, "size": 0, "target": 2}, 400, "format"),
        ({"after": 0, "limit": 1, "size": 0, "target": -1}, 400, "format"),
        ({"after": 99, "limit": 1, "size": 99, "target": 0}, 409, "rollback"),
        ({"after": 0, "limit": 1, "size": 0, "target": 99}, 409, "rollback"),
        ({"after": 0, "limit": 1, "size": 0, "target": 2**70}, 409, "rollback"),
        ({"after": 0, "limit": 2**62, "size": 0, "target": 2**62}, 409, "rollback"),
    ],
)
def test_impossible_pulls(world: World, ask: dict[str, int], status: int, code: str) -> None:
    """Numbers that contradict each other or the log."""
    assert_problem(post(world, "/v1/pull", json.dumps({**ask, "v": 1}).encode()), status, code)


def rejected(world: World, envelope: bytes, body: bytes) -> str:
    """Push one entry that must be rejected without a trace; returns the code."""
    before = size(world)
    sent = b'{"entries":[{"body":%s,"envelope":%s}],"v":1}' % (body, envelope)
    response = post(world, "/v1/push", sent)
    assert response.status_code == 200, response.text
    (result,) = response.json()["results"]
    assert result["state"] == "rejected"
    assert result["detail"]
    assert size(world) == before
    waiting = world.centre.ledger.conn.execute("SELECT count(*) FROM _sg_waiting").fetchone()
    assert waiting == (0,)
    return str(result["code"])


def test_entries_that_are_not_authentic(world: World, pen: Replica) -> None:
    """Each is named, nothing of it is stored, and the good one beside it is logged."""
    ((_seq, envelope, body),) = own_changesets(pen)
    sig = json.loads(envelope)["signatures"][0]["sig"].encode()
    assert rejected(world, envelope, body.replace("路灯".encode(), "路灯灯".encode())) == "commitment"
    assert rejected(world, envelope, b'{"slots":[],"v":1}') == "format"
    assert rejected(world, envelope, b"null") == "format"
    assert rejected(world, envelope, b"{}") == "format"
    forged = sig[:60] + (b"B" if sig[60:61] == b"A" else b"A") + sig[61:]
    assert rejected(world, envelope.replace(sig, forged), body) == "signature"
    assert rejected(world, b"{}", body) == "format"
    assert rejected(world, envelope[:-1] + b',"z":0}', body) == "format"
    assert rejected(world, envelope.replace(b":", b": ", 1), body) == "format"
    assert rejected(world, envelope, body.replace(b":", b": ", 1)) == "format"
    assert rejected(world, b'"' + b"A" * 5000 + b'"', body) == "limit"
    huge = b'{"seed":"' + b"A" * (1 << 20) + b'","v":1,"writes":[]}'
    assert rejected(world, envelope, huge) == "limit"
    other = world.device("other")
    insert(other, "task", a_task())
    other.commit()
    ((_seq, foreign, foreign_body),) = own_changesets(other)
    assert rejected(world, foreign, foreign_body) == "not-allowed"
    entries = b'{"entries":[{"body":%s,"envelope":%s},{"body":%s,"envelope":%s}],"v":1}'
    sent = entries % (foreign_body, foreign, body, envelope)
    assert [r["state"] for r in post(world, "/v1/push", sent).json()["results"]] == ["rejected", "logged"]


def test_a_whole_body_is_needed(world: World, pen: Replica) -> None:
    """The centre cannot judge what it cannot read: a redacted body is not taken."""
    ((_seq, envelope, body),) = own_changesets(pen)
    hidden = redact(open_body(body, parse_changeset(envelope).statement), lambda position, _write: position > 0)
    sent = b'{"entries":[{"body":%s,"envelope":%s}],"v":1}' % (hidden, envelope)
    (result,) = post(world, "/v1/push", sent).json()["results"]
    assert result["state"] == "rejected"
    assert size(world) == pen.seen.size


def test_an_error_of_ours_is_no_traceback(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Should something break inside, the device gets a problem document and the operator the trace."""
    world.centre.ledger.conn.execute("ALTER TABLE _sg_leaf RENAME TO gone")
    with caplog.at_level(logging.ERROR):
        response = post(world, "/v1/pull", wire.format_message(wire.Pull(0, 100, 0, 0)))
    assert response.status_code in (500, 503)
    assert response.json()["detail_zh"]
    assert "Traceback" not in response.text
    assert "gone" not in response.text
    world.centre.ledger.conn.execute("ALTER TABLE gone RENAME TO _sg_leaf")


# -- joining --------------------


def joining(world: World, code: str, key: SigningKey = NOBODY, origin: str = ORIGIN) -> httpx.Response:
    """Send a join request."""
    sent = wire.format_message(wire.sign_join(code, origin, key))
    return world.wire.client.post("/v1/join", content=sent)


def test_join(world: World) -> None:
    """The answer is the certificate's entry with its proof, below the checkpoint."""
    answer = wire.parse_message(joining(world, world.code("desk", (AREA,))).content, wire.JoinAnswer, "answer")
    checkpoint = verify_checkpoint(answer.checkpoint, world.centre.charter.log)
    path = [unb64(line, 32) for line in answer.entry.path]
    verify_inclusion(leaf_hash(bytes(answer.entry.leaf)), answer.entry.index, checkpoint.size, path, checkpoint.root)
    assert NOBODY.id.encode() in bytes(answer.entry.body)


def test_a_lost_answer_to_a_join_can_be_asked_for_again(world: World) -> None:
    """The same key with the same code gets the same entry; another key gets nothing."""
    code = world.code("desk", (AREA,))
    first = joining(world, code).json()
    before = size(world)
    again = joining(world, f" {code.lower()} ").json()
    assert first["entry"]["index"] == again["entry"]["index"]
    assert size(world) == before
    assert_problem(joining(world, code, SigningKey(b"o" * 32)), 403, "not-allowed")
    assert_problem(joining(world, world.code("worker")), 403, "not-allowed")  # the key is enrolled already


def test_bad_joins(world: World) -> None:
    """An unknown code, one that is too old, a proof for another log, another's proof, a key of low order."""
    before = size(world)
    code = world.code("desk", (AREA,))
    assert_problem(joining(world, "ABCD-EFGH-JKMN"), 403, "not-allowed")
    assert_problem(joining(world, ""), 403, "not-allowed")
    assert_problem(joining(world, code, origin="other.example"), 403, "signature")
    message = wire.sign_join(code, ORIGIN, NOBODY)
    for public in (b64u(SigningKey(b"o" * 32).public), b64u(bytes(32)), b64u(b"\1" + bytes(31))):
        sent = wire.format_message(msgspec.structs.replace(message, public=public))
        assert_problem(world.wire.client.post("/v1/join", content=sent), 403, "signature")
    for public in ("", "A", b64u(bytes(31)), b64u(bytes(32)) + "="):
        sent = wire.format_message(msgspec.structs.replace(message, public=public))
        assert_problem(world.wire.client.post("/v1/join", content=sent), 400, "format")
    assert isinstance(world.clock, ManualClock)
    world.clock.forward(15 * 86_400_000)
    assert_problem(joining(world, code), 403, "not-allowed")
    assert size(world) == before


# -- at the same time --------------------


def test_an_answer_is_whole_although_others_write(world: World, pen: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two reads of the checkpoint somebody else may have been logged; proof and checkpoint still agree."""
    honest = App._checkpoint
    written: list[int] = []

    def interrupt() -> None:
        written.extend(world.centre.write("notice", [(f"n{len(written)}", {"text": "停水"})]))

    def before(app: App) -> str:
        interrupt()
        return honest(app)

    def after(app: App) -> str:
        found = honest(app)
        interrupt()
        return found

    for number, interrupted in enumerate((before, after)):
        code = world.code("desk", (AREA,))
        with monkeypatch.context() as patch:
            patch.setattr(App, "_checkpoint", interrupted)
            answer = wire.parse_message(
                joining(world, code, SigningKey(bytes([number]) * 32)).content, wire.JoinAnswer, "answer"
            )
            checkpoint = verify_checkpoint(answer.checkpoint, world.centre.charter.log)
            path = [unb64(line, 32) for line in answer.entry.path]
            leaf = leaf_hash(bytes(answer.entry.leaf))
            verify_inclusion(leaf, answer.entry.index, checkpoint.size, path, checkpoint.root)
            ask = wire.format_message(wire.Pull(pen.seen.size, 100, pen.seen.size, 0))
            page = wire.parse_message(post(world, "/v1/pull", ask).content, wire.PullAnswer, "answer")
        assert verify_checkpoint(page.checkpoint, world.centre.charter.log).size == page.target
    assert len(written) >= 4
