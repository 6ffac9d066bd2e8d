"""Files in bundles: what a request takes along of the queue, and what a reply says became of it.

Changesets come first; files get what room they leave. Nothing here may make a bundle fail: what goes wrong is told, and
stays in the queue. Source: protocol page, section 14.
"""

from collections.abc import Iterator, Sequence

from syncgov.core.bundle import FilePart, FileResult
from syncgov.core.wire_files import MAX_PARTS
from syncgov.errors import InputError, SyncgovError
from syncgov.storage import file_queue
from syncgov.storage.file_queue import blobs
from syncgov.storage.replica import Replica
from syncgov.sync.files import Sent, note_result

PART_BYTES = 256  # of JSON around the bytes of one part, at most
LEAST_BYTES = 4096  # a piece that is smaller than this is left for the next bundle, unless it is the end of its file


def file_parts(replica: Replica, room: int) -> list[FilePart]:
    """Return what of the waiting files fits into *room* bytes of JSON; each goes on where the centre has said it is.

    Files that the centre refused before come last. One that cannot be read is told to the worker, and left out.
    """
    return list(_parts(replica, room))


def _parts(replica: Replica, room: int) -> Iterator[FilePart]:
    store = blobs(replica)
    queue = sorted(file_queue.waiting(replica), key=lambda each: bool(each.why))
    for each in queue[:MAX_PARTS]:
        fitting = (room - PART_BYTES) * 3 // 4  # base64
        if fitting < min(LEAST_BYTES, each.bytes - each.sent):
            return
        try:
            data = store.read(each.sha256, each.sent, fitting)
        except InputError as error:
            file_queue.note_refused(replica, each.sha256, error.zh)
            continue
        if not data:
            file_queue.note_refused(replica, each.sha256, "文件比登记的短")
            continue
        room -= PART_BYTES + (len(data) + 2) // 3 * 4
        yield FilePart(each.sha256, each.bytes, each.sent, data)


def note_files(replica: Replica, results: Sequence[FileResult]) -> Sent:
    """Note what a reply says of files. Never raises an error of ours: what went wrong is in the result."""
    done = Sent()
    try:
        queue = {each.sha256: each for each in file_queue.waiting(replica)}
        for told in results:
            if told.sha256 in queue:
                done.stored += note_result(replica, queue[told.sha256], told.result)
        if results:
            file_queue.drop_unreferenced(replica)
        done.left = len(file_queue.waiting(replica))
    except SyncgovError as error:
        done.note = (f"附件的回执没有记下，会再送一次：{error.zh}", f"files are sent again: {error.en}")
    return done
