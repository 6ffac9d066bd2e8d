"""Files at the centre: who may bring one, who may have one, and which nothing names any more.

A file counts only as what a row in the log names: its SHA-256. Source: protocol page, section 17.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncgov.centre.centre import Centre
from syncgov.centre.serving import Audience
from syncgov.core.attachment import MAX_THUMBNAIL_BYTES, PHOTO, Attachment, media_type_of
from syncgov.core.jpeg import holds_metadata
from syncgov.core.register_model import Register
from syncgov.core.trust_view import Certificate, RowKey
from syncgov.core.wire_files import MAX_CHUNK_BYTES, Get, Part, PutResult
from syncgov.errors import FormatError, MissingFileError, NotAllowedError, StorageError, SyncgovError
from syncgov.storage.blobs import BlobStore
from syncgov.storage.connection import quote, transaction
from syncgov.storage.ledger import Ledger
from syncgov.storage.schema import key_column
from syncgov.storage.state import load_row

_HASH = re.compile(rb'"([0-9a-f]{64})')


@dataclass(frozen=True, slots=True)
class _Claim:
    """A row that names a file. `main`: the file itself, not its thumbnail."""

    register: Register
    attachment: Attachment
    row: RowKey
    record: RowKey
    main: bool
    bytes: int
    media_type: str
    author: str


class _RefusedError(Exception):
    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(en)
        self.code, self.zh, self.en = code, zh, en


def file_store(centre: Centre) -> BlobStore:
    """Return the files of a centre."""
    return BlobStore(centre.path / "files")


# -- bringing --------------------


def put(
    centre: Centre, ledger: Ledger, certificate: Certificate, parts: Sequence[tuple[Part, bytes]]
) -> list[PutResult]:
    """Take parts of files from a device; returns one result a part.

    Args:
        ledger: this thread's, for reading.
    """
    results: list[PutResult] = []
    whole: dict[str, _Claim] = {}
    with centre.files_lock:
        for part, data in parts:
            results.append(_take(centre, ledger, certificate, part, data, whole))
        refused = _keep(centre, certificate.dev, whole)
    return [refused.get(part.sha256, result) for (part, _data), result in zip(parts, results, strict=True)]


def _take(
    centre: Centre, ledger: Ledger, certificate: Certificate, part: Part, data: bytes, whole: dict[str, _Claim]
) -> PutResult:
    """Return what becomes of a part; one file that is not taken is no reason to refuse the others."""
    try:
        return _append(file_store(centre), ledger, certificate, part, data, whole)
    except _RefusedError as refusal:
        return PutResult(state="refused", code=refusal.code, detail=refusal.en, detail_zh=refusal.zh)
    except SyncgovError as error:  # the disk is full, say
        return PutResult(state="refused", code=error.code, detail=error.en, detail_zh=error.zh)


def _append(
    store: BlobStore, ledger: Ledger, certificate: Certificate, part: Part, data: bytes, whole: dict[str, _Claim]
) -> PutResult:
    """Add a part to what has arrived; a file that is whole then is noted in *whole*."""
    dev = certificate.dev
    claim = _claim_of(ledger, certificate, part)
    if store.has(part.sha256):
        store.forget(dev, part.sha256)
        if not _is_noted(ledger, part.sha256):  # it outlived a restoration
            whole[part.sha256] = claim
        return PutResult(state="stored", offset=part.total)
    coming = sum(other.main and other.record == claim.record for other in whole.values())
    _require_room(ledger, store, claim, coming)
    here = store.append(dev, part.sha256, part.offset, data) if data else store.received(dev, part.sha256)
    if here < part.total:
        return PutResult(state="partial", offset=here)
    _require_fit(store, dev, part.sha256, claim)
    whole[part.sha256] = claim
    return PutResult(state="stored", offset=part.total)


def _claim_of(ledger: Ledger, certificate: Certificate, part: Part) -> _Claim:
    """Return the row for which the device may bring this file."""
    audience = Audience(ledger, certificate)
    mine = [
        claim
        for claim in _claims(ledger, part.sha256)
        if claim.register.write & certificate.roles
        and (claim.author == certificate.dev or audience.sees(claim.record, ledger.size))
    ]
    if not mine:
        raise _RefusedError(
            "unknown-file",
            "中心没有本终端可以上传的、写明这个文件的记录",
            "no accepted row for which this device may bring files names this one",
        )
    fitting = [claim for claim in mine if _fits(claim, part.total)]
    if not fitting:
        raise _RefusedError("size", "文件大小与登记的不符或超过限额", "not the size that the row says, or too large")
    return fitting[0]


def _is_noted(ledger: Ledger, sha256: str) -> bool:
    return ledger.conn.execute("SELECT 1 FROM _sg_blob WHERE sha256 = ?", (sha256,)).fetchone() is not None


def _fits(claim: _Claim, total: int) -> bool:
    if claim.main:
        return total == claim.bytes <= claim.attachment.max_bytes
    return total <= MAX_THUMBNAIL_BYTES


def _require_room(ledger: Ledger, store: BlobStore, claim: _Claim, coming: int) -> None:
    """Of one record only so many files are kept, whatever rows a device writes."""
    if not claim.main:
        return
    column = quote(claim.attachment.sha256)
    sql = f"SELECT DISTINCT {column} FROM {quote(claim.register.name)} WHERE {quote(str(claim.register.parent))} = ?"
    kept = sum(store.has(sha256) for (sha256,) in ledger.conn.execute(sql, (claim.record[1],)) if sha256)
    if kept + coming >= claim.attachment.max_files:
        raise _RefusedError("limit", "这条记录的附件已达上限", "this record has as many files as it may have")


def _require_fit(store: BlobStore, dev: str, sha256: str, claim: _Claim) -> None:
    """Check a file that has arrived; one that is not what its row says is forgotten."""
    data = store.finish(dev, sha256)
    if data is None:
        raise _RefusedError("hash", "收到的内容与登记的指纹不符，请重传", "what arrived does not have this SHA-256")
    media_type = claim.media_type if claim.main else PHOTO
    if media_type_of(data) != media_type:
        store.forget(dev, sha256)
        raise _RefusedError("media-type", "文件不是登记的类型", f"the file is no {media_type}")
    if media_type == PHOTO and holds_metadata(data):
        store.forget(dev, sha256)
        raise _RefusedError(
            "metadata", "照片里还有拍摄信息（如位置），没有收下", "the photo still holds metadata and was not taken"
        )


def _keep(centre: Centre, dev: str, whole: Mapping[str, _Claim]) -> dict[str, PutResult]:
    """Make whole files durable, and note them; returns those that were not kept. Meanwhile no row can be erased."""
    if not whole:
        return {}
    store = file_store(centre)
    try:
        with centre.lock, transaction(centre.ledger.conn) as conn:
            named = [sha256 for sha256 in whole if any(_claims(centre.ledger, sha256))]
            store.keep(dev, [sha256 for sha256 in named if not store.has(sha256)])
            conn.executemany(
                "INSERT OR REPLACE INTO _sg_blob VALUES (?, ?, ?, ?)",
                [(sha256, store.size(sha256), centre.clock(), dev) for sha256 in named],
            )
    except StorageError as error:
        return dict.fromkeys(whole, PutResult(state="refused", code=error.code, detail=error.en, detail_zh=error.zh))
    gone = whole.keys() - set(named)
    for sha256 in gone:
        store.forget(dev, sha256)
    words = ("the row that named this file is gone", "登记这个文件的记录已删除")
    return dict.fromkeys(gone, PutResult(state="refused", code="unknown-file", detail=words[0], detail_zh=words[1]))


def _claims(ledger: Ledger, sha256: str) -> Iterator[_Claim]:
    """Yield the living rows in the log that name a file."""
    for register in ledger.registers(ledger.size).values():
        attachment = register.attachment
        if attachment is None:
            continue
        names = [key_column(register), str(register.parent), attachment.bytes, attachment.media_type]
        for column in attachment.hash_columns:
            sql = f"SELECT {', '.join(map(quote, names))} FROM {quote(register.name)} WHERE {quote(column)} = ?"
            for key, parent, size, media_type in ledger.conn.execute(sql, (sha256,)).fetchall():
                row, record = (register.name, key), (str(register.parent_register), str(parent))
                main = column == attachment.sha256
                author = _author(ledger, row, register.column_field(column).name)
                yield _Claim(register, attachment, row, record, main, size or 0, media_type or "", author)


def _author(ledger: Ledger, row: RowKey, name: str) -> str:
    raw = load_row(ledger.conn, row).fields.get(name)
    return str(raw[0][-1][0]) if raw is not None and raw[0] else ""


# -- handing out --------------------


def get(centre: Centre, ledger: Ledger, certificate: Certificate, asked: Get) -> tuple[bytes, int]:
    """Return bytes of a file from `offset` on, and its whole length, for whoever may read the field that names it.

    Raises:
        NotAllowedError: no row that the device may read names such a file.
        MissingFileError: a row does, but nobody has brought the file yet.
        FormatError: numbers that contradict each other.
    """
    audience = Audience(ledger, certificate, expired=certificate.valid_to < centre.clock())
    tables = set(audience.tables(ledger.registers(ledger.size)))
    if not any(_may_read(ledger, audience, certificate, tables, claim) for claim in _claims(ledger, asked.sha256)):
        raise NotAllowedError(
            "没有这个文件，或本终端无权查看", "there is no such file, or this device may not read the row that names it"
        )
    store = file_store(centre)
    total = store.size(asked.sha256)
    if total == 0:
        raise MissingFileError(asked.sha256)
    if not (0 <= asked.offset < total and 1 <= asked.limit <= MAX_CHUNK_BYTES):
        raise FormatError("request", "offset and limit do not lie in the file")
    return store.read(asked.sha256, asked.offset, asked.limit), total


def _may_read(ledger: Ledger, audience: Audience, certificate: Certificate, tables: set[str], claim: _Claim) -> bool:
    column = claim.attachment.sha256 if claim.main else str(claim.attachment.thumbnail)
    klass = claim.register.column_field(column).klass
    readable = claim.register.name in tables and claim.register.may_read(certificate.roles, klass)
    return readable and audience.sees(claim.record, ledger.size)


# -- after a restoration --------------------


def named_files(ledger: Ledger) -> set[str]:
    """Return the SHA-256 of every file that a living row in the log names."""
    found: set[str] = set()
    for register in ledger.registers(ledger.size).values():
        for column in register.attachment.hash_columns if register.attachment is not None else ():
            sql = f"SELECT {quote(column)} FROM {quote(register.name)} WHERE {quote(column)} IS NOT NULL"
            found.update(str(sha256) for (sha256,) in ledger.conn.execute(sql))
    return found


def is_acceptable(ledger: Ledger, sha256: str, data: bytes) -> bool:
    """Whether a file from elsewhere is one that this centre would have taken from a device."""
    media_type = media_type_of(data)
    if hashlib.sha256(data).hexdigest() != sha256 or (media_type == PHOTO and holds_metadata(data)):
        return False
    return any(
        _fits(claim, len(data)) and media_type == (claim.media_type if claim.main else PHOTO)
        for claim in _claims(ledger, sha256)
    )


def note_kept(ledger: Ledger, sha256: str, path: Path) -> None:
    """Note a file that is here; call inside a transaction. What is noted already stays as it is."""
    author = next((claim.author for claim in _claims(ledger, sha256)), "")
    found = path.stat()
    row = (sha256, found.st_size, found.st_mtime_ns // 1_000_000, author)
    ledger.conn.execute("INSERT OR IGNORE INTO _sg_blob VALUES (?, ?, ?, ?)", row)


# -- what nothing names --------------------


def drop_unreferenced(centre: Centre) -> list[str]:
    """Unlink the files that no row names any more; returns their SHA-256. Call it after something was erased.

    What a changeset in the waiting room names stays too.
    """
    store = file_store(centre)
    with centre.files_lock, centre.lock, transaction(centre.ledger.conn) as conn:
        kept = {
            match.decode()
            for sql in ("SELECT state FROM _sg_row", "SELECT body FROM _sg_waiting")
            for (raw,) in conn.execute(sql)
            for match in _HASH.findall(raw)
        }
        gone = [sha256 for sha256 in store.names() if sha256 not in kept]
        for sha256 in gone:
            store.remove(sha256)
        conn.executemany("DELETE FROM _sg_blob WHERE sha256 = ?", [(sha256,) for sha256 in gone])
        for path, sha256 in store.partials():
            if sha256 not in kept:
                path.unlink(missing_ok=True)
    return gone
