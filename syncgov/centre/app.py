"""The HTTP face of a centre: routes, and the table from errors to problems. Source: protocol page, section 10."""

import asyncio
import gzip
import hashlib
import hmac
import json
import logging
import secrets
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from syncgov import errors
from syncgov.centre import bundles, files, staff_keys
from syncgov.centre.centre import Centre
from syncgov.centre.enrolment import join
from syncgov.centre.pushing import push_entries
from syncgov.centre.serving import acknowledges, certificate_message, own, pull
from syncgov.core import wire, wire_files
from syncgov.core.canonical import b64u, unb64u
from syncgov.core.keys import device_id, verify_typed
from syncgov.core.note import parse_checkpoint, parse_note
from syncgov.core.trust_view import Certificate

logger = logging.getLogger(__name__)

NONCE_LIFE_MS = 300_000  # five minutes: one slow upload; a repeated request changes nothing anyway
MAX_AUTHORIZATION_BYTES = 512
MAX_JOIN_BYTES = 65_536  # of a request that nobody has signed yet
WORKERS = 4  # answered at a time: Python runs one thread, the others wait for the disk
PLACES = 64  # answered or waiting; a push of a day's work takes 50 ms, so nobody waits longer than a few seconds
ROOM_BYTES = 256 << 20  # of bodies that are being read or answered: also of senders who are not known yet
BUSY_RETRY_S = 5  # until half of those who wait now have been answered, even if each sends a week's work
UNGATED = frozenset({"/v1/nonce", "/v1/stats"})  # they touch no file: a device that waits may ask for them
GZIP_FROM_BYTES = 512  # smaller answers do not get smaller
OCTETS = "application/octet-stream"  # files; they are packed already

RETRY_AFTER_S = 5  # when something is wrong here that may pass: a locked file, a full disk

# error -> HTTP status; the first class that fits counts
STATUS: tuple[tuple[type[errors.SyncgovError], int], ...] = (
    (errors.LimitError, 413),
    (errors.FormatError, 400),
    (errors.InputError, 400),
    (errors.NonceError, 401),
    (errors.SignatureError, 403),
    (errors.NotAllowedError, 403),
    (errors.LogError, 409),
    (errors.BusyError, 503),
    (errors.StorageError, 503),
    (errors.SyncgovError, 500),
)


def problem(error: errors.SyncgovError) -> Response:
    """Return the RFC 9457 problem document of an error."""
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    content = {
        "type": f"urn:syncgov:problem:{error.code}",
        "title": error.code,
        "status": status,
        "detail": error.en,
        "detail_zh": error.zh,
    }
    wait = error.retry_after_s if isinstance(error, errors.BusyError) else RETRY_AFTER_S
    headers = {"Retry-After": str(wait)} if status == 503 else {}
    return Response(json.dumps(content, ensure_ascii=False), status, headers, "application/problem+json")


class Nonces:
    """Nonces without memory: a time and its MAC, so that several processes can share one key."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock

    def issue(self) -> str:
        """Return a fresh nonce."""
        stamp = f"{self._clock():x}"
        return f"{stamp}-{self._mac(stamp)}"

    def check(self, nonce: str) -> str:
        """Return *nonce* if it was issued here and is recent, else raise NonceError."""
        stamp, _, mac = nonce.partition("-")
        if (
            not hmac.compare_digest(mac.encode(), self._mac(stamp).encode())
            or self._clock() - int(stamp, 16) > NONCE_LIFE_MS
        ):
            raise errors.NonceError
        return nonce

    def _mac(self, stamp: str) -> str:
        return b64u(hmac.digest(self._key, stamp.encode(), hashlib.sha256)[:16])


class Gate:
    """The requests that are being answered: a few at a time, some that wait, the others are told when to come again.

    Use it from the event loop's thread only.
    """

    def __init__(self, workers: int = WORKERS, places: int = PLACES, room_bytes: int = ROOM_BYTES) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="centre")
        self._places = places
        self._room_bytes = room_bytes
        self.held_bytes = 0
        self.inside = 0
        self.most = 0
        self.refused = 0

    def hold(self, size: int) -> None:
        """Make room for more bytes of a request; `release` gives it back.

        Raises:
            BusyError: there is none: whoever opens many requests at once must not fill the memory.
        """
        if self.held_bytes + size > self._room_bytes:
            self.refused += 1
            raise errors.BusyError(BUSY_RETRY_S)
        self.held_bytes += size

    def release(self, size: int) -> None:
        """Give room back."""
        self.held_bytes -= size

    async def run(self, handle: Callable[[], Response]) -> Response:
        """Return what *handle* gives, run in a worker thread.

        Raises:
            BusyError: every place is taken; nothing was done.
        """
        if self.inside >= self._places:
            self.refused += 1
            raise errors.BusyError(BUSY_RETRY_S)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, handle)
        finally:
            self.inside -= 1


class App:
    """Handlers over one centre. They run in worker threads: SQLite blocks."""

    def __init__(self, centre: Centre, nonce_clock: Callable[[], int], gate: Gate) -> None:
        self.gate = gate
        self.centre = centre
        self.nonces = Nonces(nonce_clock)
        self.requests = 0

    def charter(self, _request: Request) -> Response:
        """GET /v1/charter"""
        return Response(self.centre.reader().charters.newest.raw, media_type="application/json")

    def charters(self, _request: Request) -> Response:
        """GET /v1/charters"""
        found = [msgspec.Raw(each.raw) for each in self.centre.reader().charters.of_log]
        return self._answer(wire.CharterList(found))

    def checkpoint(self, _request: Request) -> Response:
        """GET /v1/checkpoint"""
        return Response(self._checkpoint(), media_type="text/plain; charset=utf-8")

    def recipient(self, _request: Request) -> Response:
        """GET /v1/recipient: to whom bundles for this centre are sealed."""
        try:
            note = bundles.recipient_note(self.centre)
        except errors.TransportError as error:  # the extra `bundle` is not installed here
            raise HTTPException(404) from error
        return Response(note, media_type="text/plain; charset=utf-8")

    def nonce(self, _request: Request) -> Response:
        """GET /v1/nonce"""
        return Response(status_code=204)

    def stats(self, _request: Request) -> Response:
        """GET /v1/stats: process-local counters, for operators."""
        gate = self.gate
        counted = {"busy": gate.refused, "inside": gate.inside, "most": gate.most, "requests": self.requests}
        return Response(json.dumps(counted), media_type="application/json")

    def join(self, request: Request) -> Response:
        """POST /v1/join"""
        message = wire.parse_message(_unpack(request, MAX_JOIN_BYTES), wire.Join, "join request")
        index = join(self.centre, message)
        ledger = self.centre.reader()
        text = self._checkpoint()
        entry = certificate_message(ledger, index, _size_of(text), device_id(unb64u(message.public, 32)))
        return self._answer(wire.JoinAnswer(text, entry))

    def staff_key(self, request: Request) -> Response:
        """POST /v1/staff-key"""
        certificate = self._authenticated(request)
        message = wire.parse_message(_unpack(request, MAX_JOIN_BYTES), wire.StaffKeyRequest, "staff key request")
        return self._answer(staff_keys.answer(self.centre, certificate.dev, message))

    def push(self, request: Request) -> Response:
        """POST /v1/push"""
        certificate = self._authenticated(request)
        message = wire.parse_message(_unpack(request, wire.MAX_UNPACKED_BYTES), wire.Push, "push request")
        results = push_entries(self.centre, self.centre.reader(), certificate.dev, message.entries)
        return self._answer(wire.PushAnswer(self._checkpoint(), results))

    def pull(self, request: Request) -> Response:
        """POST /v1/pull"""
        certificate = self._served(request)
        message = wire.parse_message(_unpack(request, wire.MAX_UNPACKED_BYTES), wire.Pull, "pull request")
        ledger = self.centre.reader()
        text = self._checkpoint()
        answer = pull(ledger, certificate.dev, message, text, _size_of(text), now_ms=self.centre.clock())
        if acknowledges(certificate, answer, self.centre.clock()):
            self.centre.note_folded(certificate.dev, message.size)
        return self._answer(answer)

    def own(self, request: Request) -> Response:
        """POST /v1/own"""
        certificate = self._served(request)
        message = wire.parse_message(_unpack(request, wire.MAX_UNPACKED_BYTES), wire.Own, "own request")
        ledger = self.centre.reader()
        text = self._checkpoint()
        return self._answer(own(ledger, certificate, message.after, text, _size_of(text)))

    def put_files(self, request: Request) -> Response:
        """POST /v1/files/put"""
        certificate = self._served(request)
        parts = wire_files.parse_put(request.state.body)
        return self._answer(wire_files.PutAnswer(files.put(self.centre, self.centre.reader(), certificate, parts)))

    def get_file(self, request: Request) -> Response:
        """POST /v1/files/get"""
        certificate = self._served(request)
        message = wire.parse_message(_unpack(request, wire.MAX_UNPACKED_BYTES), wire_files.Get, "file request")
        data, total = files.get(self.centre, self.centre.reader(), certificate, message)
        headers = {"Content-Range": wire_files.content_range(message.offset, len(data), total)}
        return Response(data, 206, headers, OCTETS)

    def _checkpoint(self) -> str:
        return self.centre.reader().meta.get("checkpoint")

    def _answer(self, message: msgspec.Struct) -> Response:
        return Response(wire.format_message(message), media_type="application/json")

    def _served(self, request: Request) -> Certificate:
        """Return the certificate of a device that may be sent something: a stolen one gets nothing more."""
        certificate = self._authenticated(request)
        if certificate.revoked:
            raise errors.NotAllowedError(
                "这台终端已停用，请联系管理员；本机内容没有丢失",
                "this device is revoked; nothing on it is lost, ask the registrar",
            )
        return certificate

    def _authenticated(self, request: Request) -> Certificate:
        """Return the certificate of the device that signed this request. Source: protocol page, section 10."""
        header = request.headers.get("authorization", "")
        scheme, _, rest = header.partition(" ")
        parts = rest.split(".")
        if scheme != wire.AUTHORIZATION or len(parts) != 3 or len(header) > MAX_AUTHORIZATION_BYTES:
            raise errors.NotAllowedError("请求没有签名", "the request is not signed")
        dev, nonce, signature = parts
        ledger = self.centre.reader()
        certificate = ledger.certificate(dev, ledger.size)
        if certificate is None:
            raise errors.UnknownDeviceError(dev)
        self.nonces.check(nonce)
        origins = [each.charter.origin for each in reversed(ledger.charters.of_log)]
        for origin in dict.fromkeys(origins):
            signed = wire.request_bytes(dev, nonce, origin, request.method, request.url.path, request.state.body)
            try:
                verify_typed(certificate.public_key, wire.REQUEST_TYPE, signed, unb64u(signature, 64))
            except errors.SignatureError:
                if origin == origins[-1]:
                    raise
                continue
            if origin != origins[0]:
                raise errors.ClosedError(origin, origins[0])
            return certificate
        raise errors.SignatureError(dev)


def _size_of(checkpoint: str) -> int:
    """Return the size in a checkpoint text that was read once: another thread may sign a newer one meanwhile."""
    return parse_checkpoint(parse_note(checkpoint).text).size


Handler = Callable[[Request], Response]


def make_app(centre: Centre, nonce_clock: Callable[[], int], gate: Gate | None = None) -> Starlette:
    """Return the ASGI application of *centre*; *nonce_clock* gives ms and need not be the centre's own clock."""
    app = App(centre, nonce_clock, gate or Gate())

    def route(path: str, method: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            app.requests += 1
            response = await _respond(request, handler, app.gate)
            response.headers[wire.NONCE_HEADER] = app.nonces.issue()
            return response

        return Route(path, endpoint, methods=[method])

    async def no_such(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        content = {"type": "urn:syncgov:problem:not-found", "title": "no such resource or method", "status": status}
        headers = {wire.NONCE_HEADER: app.nonces.issue()}
        if isinstance(error, HTTPException):
            headers |= dict(error.headers or {})
        return Response(json.dumps(content), status, headers, "application/problem+json")

    routes = [
        route("/v1/charter", "GET", app.charter),
        route("/v1/charters", "GET", app.charters),
        route("/v1/checkpoint", "GET", app.checkpoint),
        route("/v1/recipient", "GET", app.recipient),
        route("/v1/nonce", "GET", app.nonce),
        route("/v1/stats", "GET", app.stats),
        route("/v1/join", "POST", app.join),
        route("/v1/staff-key", "POST", app.staff_key),
        route("/v1/push", "POST", app.push),
        route("/v1/pull", "POST", app.pull),
        route("/v1/own", "POST", app.own),
        route("/v1/files/put", "POST", app.put_files),
        route("/v1/files/get", "POST", app.get_file),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: no_such})


async def _respond(request: Request, handler: Handler, gate: Gate) -> Response:
    held = 0

    def hold(size: int) -> None:
        nonlocal held
        gate.hold(size)
        held += size

    try:
        request.state.body = await _read(request, hold)
        if request.url.path in UNGATED:
            return handler(request)
        # unpacking happens in the handler's thread, for signed requests after the signature, which covers what was sent
        return await gate.run(lambda: _packed(request, handler(request)))
    except errors.SyncgovError as error:
        return problem(error)
    except HTTPException:
        raise  # what is not there; the application's own handler says so
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it
    except Exception:  # the top of a request: whatever it is, the device gets a problem document, the log the trace
        logger.exception("request failed")
        return problem(errors.SyncgovError("中心内部出错，请稍后重试", "internal error at the centre; try again later"))
    finally:
        gate.release(held)


async def _read(request: Request, hold: Callable[[int], None]) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > wire.MAX_REQUEST_BYTES:
            raise errors.LimitError("request", f"more than {wire.MAX_REQUEST_BYTES} bytes")
        hold(len(part))
        parts.append(part)
    return b"".join(parts)


def _unpack(request: Request, max_bytes: int) -> bytes:
    """Return the body as it was before packing."""
    data: bytes = request.state.body
    encoding = request.headers.get("content-encoding", "")
    if encoding == "":
        return data
    if encoding != "gzip":
        raise errors.FormatError("request", "Content-Encoding must be gzip or absent")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        body = unpacker.decompress(data, max_bytes)
    except zlib.error as error:
        raise errors.FormatError("request", f"not gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise errors.LimitError("request", f"unpacks to more than {max_bytes} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise errors.FormatError("request", "cut short, or with bytes after its end")
    return body


def _packed(request: Request, response: Response) -> Response:
    body = bytes(response.body)
    plain = response.media_type != OCTETS and len(body) >= GZIP_FROM_BYTES
    if plain and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = gzip.compress(body, compresslevel=5)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
    return response
