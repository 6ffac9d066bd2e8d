"""Adding a file to a record: read, cleaned, kept beside the replica, and a row inserted as any program would.

Source: protocol page, section 17.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncgov.core.attachment import MAX_FILE_BYTES, MAX_THUMBNAIL_BYTES, PHOTO, Attachment, is_hash, media_type_of
from syncgov.core.commitment import Value
from syncgov.core.register_model import Column, Register
from syncgov.errors import InputError, StorageError
from syncgov.storage.connection import quote, transaction
from syncgov.storage.file_queue import blobs, enqueue
from syncgov.storage.photos import MAX_INPUT_BYTES, read_photo
from syncgov.storage.replica import Replica
from syncgov.storage.rights import require_role
from syncgov.storage.schema import key_column
from syncgov.storage.state import RowKey


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that was added. `cleaned`: it is a photo and holds pixels alone; other files are kept as they were."""

    table: str
    key: str
    sha256: str
    bytes: int
    media_type: str
    kind: str
    phase: str | None
    cleaned: bool


@dataclass(frozen=True, slots=True)
class _Prepared:
    data: bytes
    media_type: str
    thumbnail: bytes | None


def attachments_of(replica: Replica, table: str) -> Register:
    """Return the register whose rows stand for files of the records in *table*, or are in *table* themselves.

    Raises:
        InputError: no such register, none of files, or several.
    """
    register = replica.registers.get(table)
    if register is None:
        raise InputError(f"没有登记册 {table}", f"no register named {table}")
    if register.attachment is not None:
        return register
    found = [child for child in replica.registers.children(table) if child.attachment is not None]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"“{register.label}”没有附件登记册，不能加附件",
            f"records of {table} can have no files: no register for them",
        )
    names = "、".join(child.name for child in found)
    raise InputError(f"“{register.label}”有几种附件，请写明：{names}", f"name one of {names} instead of {table}")


def attach(
    replica: Replica, table: str, key: str, raw: bytes, *, kind: str | None = None, phase: str | None = None
) -> Attached:
    """Keep a file and insert its row; the next commit signs it, a later sync sends the file.

    Args:
        table: the record's register, or that of its files. key: the record's key.
        raw: the file as it came. kind, phase: codes of the register; kind by default what the file is.

    Raises:
        InputError: no such record, not a file that the register takes, too large or too many.
        NotAllowedError: this device may not add files.
        StorageError: the disk is full.
    """
    replica.refresh()
    register = attachments_of(replica, table)
    attachment = register.attachment
    assert attachment is not None and register.parent_register is not None
    require_role(replica, register.write, (f"添加{register.label}", f"add rows of {register.name}"))
    _require_record(replica, (register.parent_register, key))
    prepared = _prepare(raw)
    kind = _kind(register, attachment, prepared.media_type, kind)
    if phase is not None:
        _require_code(register, attachment.phase, phase, ("阶段", "phase"))
    if len(prepared.data) > attachment.max_bytes:
        raise _too_large(attachment.max_bytes)
    store = blobs(replica)
    with transaction(replica.conn):  # the files lie there before the row is seen, and nobody drops them in between
        _require_room(replica, register, attachment, key)
        sha256 = store.put(prepared.data)
        thumbnail = store.put(prepared.thumbnail) if prepared.thumbnail and attachment.thumbnail else None
        columns: dict[str, Value] = {
            str(register.parent): key,
            attachment.sha256: sha256,
            attachment.bytes: len(prepared.data),
            attachment.media_type: prepared.media_type,
            attachment.kind: kind,
        }
        if attachment.thumbnail is not None:
            columns[attachment.thumbnail] = thumbnail
        if attachment.phase is not None:
            columns[attachment.phase] = phase
        row = (register.name, _insert(replica, register, columns))
        enqueue(replica.conn, row, sha256, len(prepared.data))
        if thumbnail is not None and prepared.thumbnail is not None:
            enqueue(replica.conn, row, thumbnail, len(prepared.thumbnail))
    cleaned = prepared.media_type == PHOTO
    return Attached(*row, sha256, len(prepared.data), prepared.media_type, kind, phase, cleaned)


def read_file(path: Path) -> bytes:
    """Return a file's bytes; no more than any file may have are read.

    Raises:
        InputError: it cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise InputError(f"无法读取 {path}：{error.strerror}", f"cannot read {path}: {error.strerror}") from error
    if not raw:
        raise InputError(f"{path} 是空文件", f"{path} is empty")
    return raw


def _require_record(replica: Replica, record: RowKey) -> None:
    register = replica.registers[record[0]]
    here = record[0] in replica.columns
    sql = f"SELECT 1 FROM {quote(record[0])} WHERE {quote(key_column(register))} = ?"
    if not here or replica.conn.execute(sql, (record[1],)).fetchone() is None:
        raise InputError(
            f"本机没有{register.label} {record[1]}；请核对编号，或先 sync",
            f"no row {record[1]} of {record[0]} is here; check the key, or sync first",
        )


def _prepare(raw: bytes) -> _Prepared:
    """Return what is kept of a file: of an image its pixels, of anything else the file itself."""
    media_type = media_type_of(raw)
    if media_type not in (None, PHOTO):
        if len(raw) > MAX_FILE_BYTES:
            raise _too_large(MAX_FILE_BYTES)
        return _Prepared(raw, str(media_type), None)
    photo = read_photo(raw)
    if photo.thumbnail is not None and len(photo.thumbnail) > MAX_THUMBNAIL_BYTES:
        return _Prepared(photo.data, PHOTO, None)
    return _Prepared(photo.data, PHOTO, photo.thumbnail)


def _kind(register: Register, attachment: Attachment, media_type: str, kind: str | None) -> str:
    if kind is not None:
        _require_code(register, attachment.kind, kind, ("种类", "kind"))
    chosen = kind if kind is not None else attachment.kind_of(media_type)
    if chosen is None or media_type not in attachment.accept.get(chosen, ()):
        known = "；".join(
            f"{label}（{', '.join(attachment.accept.get(code, ()))}）"
            for code, label in _labels(register, attachment.kind).items()
            if attachment.accept.get(code)
        )
        raise InputError(
            f"“{register.label}”不收这种文件（{media_type}）；可用：{known}",
            f"{register.name} takes no {media_type} here; it takes {dict(attachment.accept)}",
        )
    return chosen


def _require_code(register: Register, column: str | None, code: str, what: tuple[str, str]) -> None:
    labels = _labels(register, column)
    if code not in labels:
        known = "、".join(f"{each}（{label}）" for each, label in labels.items())
        raise InputError(
            f"没有{what[0]}“{code}”；可用：{known}", f"no {what[1]} {code!r}; known: {', '.join(labels) or 'none'}"
        )


def _labels(register: Register, column: str | None) -> Mapping[str, str]:
    found: list[Column] = [each for each in register.columns if each.name == column]
    return {choice.code: choice.label for each in found for choice in each.choices}


def _require_room(replica: Replica, register: Register, attachment: Attachment, key: str) -> None:
    sql = f"SELECT count(*) FROM {quote(register.name)} WHERE {quote(str(register.parent))} = ?"
    if replica.conn.execute(sql, (key,)).fetchone()[0] >= attachment.max_files:
        raise InputError(
            f"这条记录已有 {attachment.max_files} 个附件，不能再加",
            f"this record has {attachment.max_files} files already, which is the limit",
        )


def _too_large(most: int) -> InputError:
    return InputError(f"文件超过 {most / 1e6:g} MB，不能添加", f"the file is larger than {most / 1e6:g} MB")


def _insert(replica: Replica, register: Register, columns: Mapping[str, Value]) -> str:
    here = {column.name for column in replica.columns.get(register.name, ())}
    names = [name for name in columns if name in here]
    sql = f"INSERT INTO {quote(register.name)} ({', '.join(map(quote, names))}) VALUES ({', '.join('?' * len(names))})"
    returning = f" RETURNING {quote(key_column(register))}"
    return str(replica.conn.execute(sql + returning, [columns[name] for name in names]).fetchall()[0][0])


# -- getting --------------------

_SUFFIXES = {
    PHOTO: ".jpg",
    "application/pdf": ".pdf",
    "audio/ogg": ".ogg",
    "audio/mpeg": ".mp3",
    "audio/amr": ".amr",
    "audio/mp4": ".m4a",
    "audio/wav": ".wav",
}


@dataclass(frozen=True, slots=True)
class FileOfRecord:
    """A file that a row names; `name` is what it is called outside, without folder."""

    sha256: str
    name: str


def files_of(replica: Replica, table: str, key: str, *, small: bool = False) -> list[FileOfRecord]:
    """Return the files of a record that this device may read, by row; *small*: their thumbnails.

    Raises:
        InputError: no files can belong to such records, or this device may not read their rows.
    """
    replica.refresh()
    register = attachments_of(replica, table)
    attachment = register.attachment
    assert attachment is not None
    hashes = attachment.thumbnail if small else attachment.sha256
    here = {column.name for column in replica.columns.get(register.name, ())}
    names = (hashes, attachment.media_type, attachment.phase or attachment.kind, str(register.parent))
    if hashes is None or not set(names) <= here:
        raise InputError(
            f"本终端的岗位不能查看“{register.label}”的文件", f"this device may not read the files of {register.name}"
        )
    columns = ", ".join(quote(str(name)) for name in (key_column(register), *names[:3]))
    sql = f"SELECT {columns} FROM {quote(register.name)} WHERE {quote(str(register.parent))} = ? ORDER BY 1"
    found = []
    for row, sha256, media_type, phase in replica.conn.execute(sql, (key,)).fetchall():
        if is_hash(sha256):
            suffix = ".jpg" if small else _SUFFIXES.get(media_type, ".bin")
            found.append(FileOfRecord(sha256, f"{phase or 'file'}-{row[-12:]}{'-small' if small else ''}{suffix}"))
    return found


def export_files(replica: Replica, files: Sequence[FileOfRecord], folder: Path) -> list[Path]:
    """Write files that are here into a folder; returns their paths.

    Raises:
        StorageError: the folder cannot be written.
    """
    store = blobs(replica)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in files:
            path = folder / each.name
            path.write_bytes(store.read(each.sha256))
            written.append(path)
    except OSError as error:
        raise StorageError(
            f"无法写入 {folder}：{error.strerror}", f"cannot write to {folder}: {error.strerror}"
        ) from error
    return written
