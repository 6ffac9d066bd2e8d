"""How a device of the demo reaches the centre: over HTTP, over a line that breaks, or by files that are carried."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from syncgov.centre import bundles
from syncgov.centre.centre import Centre
from syncgov.demo.faults import Faults
from syncgov.demo.simclock import SimulatedClock
from syncgov.errors import SyncgovError, TransportError
from syncgov.storage.replica import Replica
from syncgov.sync.bundle import pack, receive
from syncgov.sync.bundle_join import accept_invitation, pack_join, receive_first
from syncgov.sync.client import sync

_CHUNK = 1 << 16
_PUSH = b"POST /v1/push"


@dataclass(slots=True)
class Sent:
    """What one sync took: HTTP requests, lines that broke, changesets sent again, bundles there and back."""

    requests: int = 0
    cut: int = 0
    again: int = 0
    bundles: int = 0

    def add(self, other: "Sent") -> None:
        """Add another sync."""
        self.requests += other.requests
        self.cut += other.cut
        self.again += other.again
        self.bundles += other.bundles


class Lines:
    """The ways to one centre, for the devices of one process."""

    def __init__(self, centre: Path, url: str, clock: SimulatedClock, faults: Faults) -> None:
        self._centre = centre
        self._url = url
        self._clock = clock
        self._faults = faults

    def join_by_bundle(self, path: Path, code: str) -> Replica:
        """Return the replica of a device that joins by files alone."""
        with closing(Centre(self._centre, clock=self._clock)) as centre:
            accept_invitation(path, bundles.invitation(centre), code)
            return receive_first(path, bundles.receive(centre, pack_join(path).data).reply, clock=self._clock)[0]

    def sync(self, replica: Replica, staff: str, day_index: int, device_index: int) -> Sent:
        """Sync as this device does on that day; where the line breaks, at once again."""
        if device_index in self._faults.by_bundle:
            return self._carry(replica, staff)
        named = (day_index, device_index)
        sent = Sent()
        if named in self._faults.cut or named in self._faults.unanswered:
            self._broken_sync(replica, staff, in_request=named in self._faults.cut)
            sent.cut += 1
            sent.again += 0 if named in self._faults.cut else _unsettled(replica)
        sent.requests += sync(replica, staff, url=self._url).requests
        return sent

    def _broken_sync(self, replica: Replica, staff: str, *, in_request: bool) -> None:
        with breaking_line(self._url, in_request=in_request) as url:
            try:
                sync(replica, staff, url=url)
            except TransportError:
                return
        raise SyncgovError("线路没有断", "the line did not break")

    def _carry(self, replica: Replica, staff: str) -> Sent:
        """Two files: the device's to the centre, the centre's back."""
        with closing(Centre(self._centre, clock=self._clock)) as centre:
            received = receive(replica, bundles.receive(centre, pack(replica, staff).data).reply, staff)
        if received.state != "taken":
            raise SyncgovError(f"文件没有用上：{received.state}", f"the bundle was not taken: {received.state}")
        return Sent(bundles=1)


def _unsettled(replica: Replica) -> int:
    """Return how many own changesets have no verdict: the next push sends them, again if the centre has them."""
    return int(replica.conn.execute("SELECT count(*) FROM _sg_own WHERE idx IS NULL").fetchone()[0])


@contextmanager
def breaking_line(url: str, *, in_request: bool) -> Iterator[str]:
    """Give the URL of a line to *url* that breaks in a push: half-way through it, or before its answer arrives."""
    target = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(
            target=_accept, args=(listener, (str(target.hostname), target.port), in_request), daemon=True
        ).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, target: tuple[str, int | None], in_request: bool) -> None:
    with contextlib.suppress(OSError):  # the listener is closed: the line is no longer needed
        while True:
            ours, _address = listener.accept()
            with ours, socket.create_connection((target[0], target[1] or 80)) as theirs:
                _relay(ours, theirs, in_request)


def _relay(ours: socket.socket, theirs: socket.socket, in_request: bool) -> None:
    """Carry requests and answers until a push breaks the line, or somebody hangs up."""
    pushing = False
    while True:
        ready = select.select([ours, theirs], [], [])[0]
        if ours in ready:
            asked = ours.recv(_CHUNK)
            pushing |= _PUSH in asked
            if pushing and in_request:
                theirs.sendall(asked[: len(asked) // 2])
            if not asked or (pushing and in_request):
                return
            theirs.sendall(asked)
        if theirs in ready:
            answer = theirs.recv(_CHUNK)
            if not answer or pushing:  # the centre has the push, and its answer never arrives
                return
            ours.sendall(answer)
