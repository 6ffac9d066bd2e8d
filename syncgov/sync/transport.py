"""Signed HTTP requests to a centre, with `requests`. Source: protocol page, section 10."""

import gzip
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import requests

from syncgov.core import wire
from syncgov.core.canonical import b64u
from syncgov.core.keys import SigningKey
from syncgov.errors import BusyError, FormatError, NotAllowedError, RemoteError, TransportError

TIMEOUT_S = (10, 120)  # connect, read: a village line is slow, a dead one must not hang for ever
GZIP_FROM_BYTES = 512
RETRY_DEFAULT_S = 5
MAX_TRIES = 8  # of one request that a busy centre turns away; the waits make two to four minutes
MAX_WAIT_S = 60  # whatever a centre asks for, a worker looks at the screen

_BUSY = (429, 503)

T = TypeVar("T", bound=msgspec.Struct)

Waiting = Callable[[int, int], None]
"""`waiting(seconds, tries)`: the centre is busy; the request goes again after that many seconds."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How a device waits for a busy centre. `chance` gives 0 … 1: devices turned away together come back apart."""

    tries: int = MAX_TRIES
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


class HttpTransport:
    """One connection to a centre. `key` and `origin` sign requests; without them only open requests work.

    Attributes:
        waiting: told before each wait for a busy centre.
        patience: how often and how long it waits.
    """

    def __init__(self, url: str, key: SigningKey | None = None, origin: str = "") -> None:
        self.waiting: Waiting | None = None
        self.patience = Patience()
        self.url = url.rstrip("/")
        self._key = key
        self._origin = origin
        self._nonce = ""
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy setting of some other program must not see this traffic
        self.requests = 0

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def get(self, path: str) -> bytes:
        """Return the body of an open resource."""
        return self._patiently(lambda: self._send("GET", path, b"", {})).content

    def post(self, path: str, message: msgspec.Struct, answer: type[T]) -> T:
        """Send a message, signed if there is a key, and return the answer.

        Raises:
            TransportError: not reachable, or busy. RemoteError: a problem document. FormatError: another answer.
        """
        raw = wire.format_message(message)
        headers = {"Content-Type": "application/json"}
        if len(raw) >= GZIP_FROM_BYTES:
            raw = gzip.compress(raw, compresslevel=6)
            headers["Content-Encoding"] = "gzip"
        response = self._patiently(lambda: self._signed(path, raw, headers))
        return wire.parse_message(response.content, answer, "answer of the centre")

    def put(self, path: str, raw: bytes, answer: type[T]) -> T:
        """Send bytes that are no JSON, signed, and return the answer; errors as `post`."""
        headers = {"Content-Type": "application/octet-stream"}
        response = self._patiently(lambda: self._signed(path, raw, headers))
        return wire.parse_message(response.content, answer, "answer of the centre")

    def fetch(self, path: str, message: msgspec.Struct) -> tuple[bytes, str]:
        """Send a message, signed; return the bytes of the answer and its Content-Range; errors as `post`."""
        raw, headers = wire.format_message(message), {"Content-Type": "application/json"}
        response = self._patiently(lambda: self._signed(path, raw, headers))
        return response.content, response.headers.get("Content-Range", "")

    def _patiently(self, send: Callable[[], requests.Response]) -> requests.Response:
        """Return the answer, after waits if the centre is busy. A repeated request changes nothing.

        Each wait is between what the centre asks for and twice that, and the next ones are longer.

        Raises:
            TransportError: it is still busy after the last try.
        """
        for tried in range(1, self.patience.tries + 1):
            try:
                return send()
            except TransportError as error:
                if error.retry_after_s is None or tried == self.patience.tries:
                    raise
                base = min(error.retry_after_s * 2 ** ((tried - 1) // 2), MAX_WAIT_S)
            wait = base * (1 + self.patience.chance())
            if self.waiting is not None:
                self.waiting(round(wait), tried)
            self._session.close()  # the centre ends an idle connection; a request into its closing would be lost
            self.patience.sleep(wait)
        raise AssertionError("at least one try")

    def _signed(self, path: str, raw: bytes, headers: dict[str, str]) -> requests.Response:
        if self._key is None:
            return self._send("POST", path, raw, headers)
        if not self._nonce:
            self._send("GET", "/v1/nonce", b"", {})
        try:
            return self._send("POST", path, raw, {**headers, **self._authorization(path, raw)})
        except RemoteError as error:
            if error.problem != "nonce":
                raise
            return self._send("POST", path, raw, {**headers, **self._authorization(path, raw)})

    def _authorization(self, path: str, raw: bytes) -> dict[str, str]:
        assert self._key is not None
        signed = wire.request_bytes(self._key.id, self._nonce, self._origin, "POST", path, raw)
        signature = b64u(self._key.sign_typed(wire.REQUEST_TYPE, signed))
        return {"Authorization": f"{wire.AUTHORIZATION} {self._key.id}.{self._nonce}.{signature}"}

    def _send(self, method: str, path: str, raw: bytes, headers: dict[str, str]) -> requests.Response:
        self.requests += 1
        try:
            response = self._session.request(method, self.url + path, data=raw, headers=headers, timeout=TIMEOUT_S)
        except (requests.RequestException, ValueError) as error:
            # only what requests raises comes here: it alone knows the foreign libraries below it
            raise TransportError(
                f"连不上中心 {self.url}，已写的内容仍在本机，有网络时再 sync", f"cannot reach {self.url}: {error}"
            ) from error
        self._nonce = response.headers.get(wire.NONCE_HEADER, self._nonce)
        if response.status_code >= 400:
            raise _problem(response)
        return response


def _problem(response: requests.Response) -> Exception:
    wait = response.headers.get("Retry-After", "")
    seconds = int(wait) if wait.isdecimal() else RETRY_DEFAULT_S
    try:
        content = response.json()
        code = str(content["type"]).removeprefix("urn:syncgov:problem:")
        detail = str(content.get("detail", content.get("title", "")))
    except (ValueError, KeyError, TypeError):
        if response.status_code in _BUSY:  # of a proxy in front of the centre
            return _busy("", seconds)
        return FormatError("answer of the centre", f"status {response.status_code} without a problem document")
    if response.status_code in _BUSY and code == BusyError.code:
        return _busy(detail, seconds)
    if response.status_code in _BUSY:  # a locked file, a full disk: it does not pass while somebody waits
        return TransportError(f"中心暂时不能用，请 {seconds} 秒后再试", f"the centre cannot serve now: {detail}")
    if response.status_code == 403 and code == "not-allowed":
        return NotAllowedError(f"中心不允许：{content.get('detail_zh', detail)}", f"the centre refused: {detail}")
    return RemoteError(code, detail, response.status_code)


def _busy(detail: str, seconds: int) -> TransportError:
    return TransportError(
        f"中心正忙，已写的内容仍在本机，没有丢失；请 {seconds} 秒后再 sync",
        f"the centre is busy, nothing is lost; sync again in {seconds} seconds: {detail}",
        seconds,
    )
