"""Files over the network: the queue is worked off in parts, and goes on where it stopped.

Nothing here may make a sync fail: what goes wrong is told, and stays in the queue. Source: protocol page, section 17.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from syncgov.core.wire_files import MAX_CHUNK_BYTES, MAX_PARTS, Get, PutAnswer, PutResult, format_put, total_of
from syncgov.errors import FormatError, InputError, ProofError, RemoteError, SyncgovError
from syncgov.storage import file_queue
from syncgov.storage.file_queue import Queued, blobs
from syncgov.storage.replica import Replica
from syncgov.sync.transport import HttpTransport

PUT, GET = "/v1/files/put", "/v1/files/get"
CHUNK_BYTES = 256 << 10  # of one request: what a cut line loses at most; a slow line needs half a minute
GONE = "unknown-file"  # no row in the log names the file

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Sent:
    """What a sync did with the queue. `note`: why it stopped early, in Chinese and English."""

    stored: int = 0
    left: int = 0
    note: tuple[str, str] | None = None


def send_files(replica: Replica, transport: HttpTransport, progress: Progress | None = None) -> Sent:
    """Send what waits. Never raises an error of ours: what went wrong is in the result."""
    done = Sent()
    try:
        queue = file_queue.waiting(replica)
        if queue:
            _Sender(replica, transport, done, progress).run(queue)
            file_queue.drop_unreferenced(replica)
    except SyncgovError as error:
        done.note = (f"附件没有传完，下次同步接着传：{error.zh}", f"files go on with the next sync: {error.en}")
    with suppress(SyncgovError):
        done.left = len(file_queue.waiting(replica))
    return done


class _Sender:
    """Works off one queue over one connection."""

    def __init__(self, replica: Replica, transport: HttpTransport, done: Sent, progress: Progress | None) -> None:
        self._replica, self._transport, self._done, self._progress = replica, transport, done, progress
        self._store = blobs(replica)
        self._total = 0

    def run(self, queue: Sequence[Queued]) -> None:
        """Ask how far each file has got, then send the rest, a few files or one piece in each request."""
        open_files: list[tuple[Queued, int]] = []
        self._total = len(queue)
        for start in range(0, len(queue), MAX_PARTS):
            asked = queue[start : start + MAX_PARTS]
            results = self._send([(each, 0, b"") for each in asked])
            open_files += [(each, r.offset) for each, r in zip(asked, results, strict=True) if r.state == "partial"]
        while open_files:
            batch = list(self._fill(open_files))
            del open_files[: len(batch)]
            if not batch:
                open_files.pop(0)  # its file is missing here; `_fill` has said so
                continue
            results = self._send(batch)
            stuck = zip(batch, results, strict=True)
            rest = [(each, r, offset + len(data)) for (each, offset, data), r in stuck if r.state == "partial"]
            open_files[:0] = [(each, r.offset) for each, r, end in rest if self._goes_on(each, r, end)]

    def _fill(self, open_files: Sequence[tuple[Queued, int]]) -> Iterator[tuple[Queued, int, bytes]]:
        """Yield pieces that make one request."""
        room = CHUNK_BYTES
        for each, offset in open_files[:MAX_PARTS]:
            if room <= 0:
                return
            try:
                data = self._store.read(each.sha256, offset, room)
            except InputError as error:
                file_queue.note_refused(self._replica, each.sha256, error.zh)
                return
            if not data:
                file_queue.note_refused(self._replica, each.sha256, "文件比登记的短")
                return
            room -= len(data)
            yield each, offset, data

    def _goes_on(self, each: Queued, result: PutResult, end: int) -> bool:
        """Whether a file has got further; a centre that has not taken a piece is not sent it for ever."""
        if result.offset == end:
            return True
        file_queue.note_refused(self._replica, each.sha256, "中心没有收下这一段")
        return False

    def _send(self, parts: Sequence[tuple[Queued, int, bytes]]) -> list[PutResult]:
        raw = format_put([(each.sha256, each.bytes, offset, data) for each, offset, data in parts])
        results = self._transport.put(PUT, raw, PutAnswer).results
        if len(results) != len(parts):
            raise FormatError("answer of the centre", "not one result for each part")
        for (each, _offset, _data), result in zip(parts, results, strict=True):
            self._note(each, result)
        return results

    def _note(self, each: Queued, result: PutResult) -> None:
        if note_result(self._replica, each, result):
            self._done.stored += 1
            if self._progress is not None:
                self._progress("files", self._done.stored, self._total)


def note_result(replica: Replica, each: Queued, result: PutResult) -> bool:
    """Note what the centre said of a file; returns whether it is stored now.

    Raises:
        FormatError: an offset beyond the end of the file.
    """
    if result.state == "stored":
        file_queue.note_stored(replica, each.sha256)
        return True
    if result.state == "partial" and 0 <= result.offset < each.bytes:
        file_queue.note_sent(replica, each.sha256, result.offset)
    elif result.state == "partial":
        raise FormatError("answer of the centre", "an offset beyond the end of its file")
    elif result.code == GONE and not file_queue.has_row(replica, each):
        file_queue.forget(replica, each.sha256)
    else:
        file_queue.note_refused(replica, each.sha256, result.detail_zh or result.detail or "")
    return False


# -- fetching --------------------


def fetch_files(replica: Replica, wanted: Sequence[str], *, url: str | None = None) -> int:
    """Fetch files by their SHA-256 into the folder beside the replica; returns how many came.

    Raises:
        NotAllowedError: this device may not read the row that names one. MissingFileError: not at the centre yet.
        TransportError: the centre cannot be reached; what came is kept.
    """
    store = blobs(replica)
    missing = [sha256 for sha256 in wanted if not store.has(sha256)]
    if not missing:
        return 0
    transport = HttpTransport(url or replica.meta.get("url"), replica.key_file.key, replica.charter.origin)
    with closing(transport):
        for sha256 in missing:
            _fetch(replica, transport, sha256)
    return len(missing)


def _fetch(replica: Replica, transport: HttpTransport, sha256: str) -> None:
    """Fetch one file; what arrived before the line was cut is kept."""
    store, here = blobs(replica), replica.dev
    total = -1
    while (offset := store.received(here, sha256)) != total:
        try:
            data, header = transport.fetch(GET, Get(MAX_CHUNK_BYTES, offset, sha256))
        except RemoteError:
            if not offset:
                raise
            store.forget(here, sha256)  # what had arrived does not fit the file: begin anew
            continue
        total = total_of(header)
        if not data or offset + len(data) > total:
            store.forget(here, sha256)
            raise FormatError("answer of the centre", "no bytes, or more than the file has")
        store.append(here, sha256, offset, data)
    if store.finish(here, sha256) is None:
        raise ProofError("file")
    store.keep(here, [sha256])
