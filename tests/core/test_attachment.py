"""Declarations of files, what a file is, and the messages that carry them."""

import hashlib
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from syncgov.core.attachment import MAX_FILE_BYTES, MEDIA_TYPES, media_type_of
from syncgov.core.jpeg import holds_metadata
from syncgov.core.register import RegisterError, check_set, parse_register
from syncgov.core.values import problem
from syncgov.core.wire_files import MAX_CHUNK_BYTES, MAX_PARTS, PutHeader, format_put, parse_put, total_of
from syncgov.errors import FormatError, LimitError
from syncgov.storage.files import builtin_folder, read_registers, system_registers
from tests.attaching import GUARDED, PHOTO, picture, registers
from tests.registers import TEXTS


def test_a_register_says_that_its_rows_stand_for_files() -> None:
    """All keys are read; the rows are internal, so nothing of them is public."""
    (register,) = (each for each in registers() if each.attachment is not None)
    attachment = register.attachment
    assert attachment is not None
    assert attachment.hash_columns == ("sha256", "small")
    assert (attachment.phase, attachment.kind, attachment.max_bytes, attachment.max_files) == (
        "phase",
        "kind",
        600_000,
        4,
    )
    assert attachment.kind_of("application/pdf") == "paper"
    assert attachment.kind_of("audio/ogg") is None
    check_set([*system_registers(), *registers()])


def test_the_shipped_files_of_events_are_not_public() -> None:
    """No field of theirs is public, and no role of the public face reads them."""
    (register,) = (each for each in read_registers(builtin_folder()) if each.attachment is not None)
    assert register.skeleton is None
    assert register.immutable
    assert {field.klass for field in register.fields} == {"internal"}
    assert "publisher" not in register.read["internal"]


BAD = [
    ("immutable: true\n", "", "child rows that never change"),
    ("parent: task_id\n", "area: task_id\n", "child rows that never change"),
    ("  sha256: sha256\n", "  sha256: shasum\n", "unknown column 'shasum'"),
    ("  sha256: sha256\n", "  sha256: task_id\n", "not of type hash"),
    ("  bytes: bytes\n", "  bytes: phase\n", "not of type integer"),
    ("  thumbnail: small\n", "  thumbnail: media_type\n", "not of type hash"),
    ("  bytes: bytes\n", "", "'bytes' is missing"),
    ("type: hash, class: internal, required: true}", "type: hash, class: internal}", "must be required"),
    ("choices: {before: 处置前, after: 处置后}}", "required: true, choices: {before: 前, after: 后}}", ""),
    ("  phase: phase\n", "", ""),
    ("accept: {photo: [image/jpeg]", "accept: {photos: [image/jpeg]", "unknown kind 'photos'"),
    ("[application/pdf]", "[application/exe]", "unknown media type"),
    ("accept: {photo: [image/jpeg], paper: [application/pdf]}", "accept: {photo: []}", "no kind of file is accepted"),
    ("max_bytes: 600000", "max_bytes: 99000000", "whole number"),
    ("max_files: 4", "max_files: 0", "whole number"),
    ("small: {label: 缩略图,", "small: {required: true, label: 缩略图,", ""),
    (
        "kind: {label: 种类,",
        "extra: {label: 别的, type: date, class: internal, required: true}\n  kind: {label: 种类,",
        "nothing would fill the required field 'extra'",
    ),
]


@pytest.mark.parametrize(("old", "new", "words"), BAD, ids=range(len(BAD)))
def test_a_wrong_declaration_is_named_with_line_and_remedy(old: str, new: str, words: str) -> None:
    """Each slip has its sentence; what is no slip is read."""
    assert PHOTO.count(old) >= 1
    text = PHOTO.replace(old, new, 1)
    if not words:
        parse_register(text, "photo.yml")
        return
    with pytest.raises(RegisterError) as caught:
        parse_register(text, "photo.yml")
    assert words in caught.value.en
    assert caught.value.line > 1


BAD_PHOTOS = [
    ("register: photo,", "register: contact,", "not attachments"),
    ("register: photo,", "register: nobody,", "not attachments"),
    ("before: before", "before: earlier", "no code 'earlier'"),
    ("kind: photo", "kind: film", "no code 'film'"),
]


@pytest.mark.parametrize(("old", "new", "words"), BAD_PHOTOS)
def test_what_the_photo_condition_counts_must_exist(old: str, new: str, words: str) -> None:
    """Seen when all registers are there."""
    texts = {**TEXTS, "task": GUARDED.replace(old, new, 1), "photo": PHOTO}
    assert texts["task"] != GUARDED
    found = [parse_register(text, f"{name}.yml") for name, text in texts.items()]
    with pytest.raises(RegisterError, match=words) as caught:
        check_set([*system_registers(), *found])
    assert caught.value.file == "task.yml"
    assert caught.value.line > 1


def test_the_photo_condition_needs_to_know_what_to_count() -> None:
    """A guard without `photos` could never be met."""
    lines = [line for line in GUARDED.splitlines(keepends=True) if not line.startswith("  photos:")]
    with pytest.raises(RegisterError, match="needs `photos`"):
        parse_register("".join(lines), "task.yml")


def test_a_hash_is_64_lower_case_digits() -> None:
    """The column type that names files."""
    good = hashlib.sha256(b"x").hexdigest()
    assert problem("hash", good, 0) is None
    for bad in (good[:-1], good.upper(), good + "0", "g" * 64, 5, "", good + "\n"):
        assert problem("hash", bad, 0) is not None


def test_a_file_is_known_by_its_first_bytes() -> None:
    """Not by its name; what is none of ours is nothing."""
    found = {
        media_type_of(picture()),
        media_type_of(b"%PDF-1.7\n"),
        media_type_of(b"OggS\0\2"),
        media_type_of(b"ID3\4"),
        media_type_of(b"#!AMR\n"),
        media_type_of(b"\0\0\0\x20ftypM4A \0"),
        media_type_of(b"RIFF\0\0\0\0WAVEfmt "),
    }
    assert found == set(MEDIA_TYPES)
    assert media_type_of(b"MZ\x90") is media_type_of(b"<html>") is media_type_of(b"") is None


def test_metadata_in_a_jpeg_is_seen() -> None:
    """EXIF, comments, profiles, and what is put after the picture; a plain picture has none."""
    assert not holds_metadata(picture())
    assert holds_metadata(picture(exif=True))
    assert holds_metadata(picture() + b"secret")
    assert holds_metadata(picture() + picture())
    for broken in (b"", b"\xff\xd8\xff\xd9garbage", picture()[:-9]):
        assert holds_metadata(broken)
    for settings in ({"comment": b"where"}, {"icc_profile": b"p" * 99}, {"exif": Image.Exif().tobytes() + b"x" * 9}):
        out = io.BytesIO()
        Image.new("RGB", (9, 9)).save(out, "JPEG", **settings)
        assert holds_metadata(out.getvalue()), settings


@given(st.binary(max_size=300))
def test_the_walk_over_segments_ends(data: bytes) -> None:
    """Whatever follows the first marker, there is an answer; only a picture has none."""
    assert holds_metadata(b"\xff\xd8" + data) in (True, False)
    assert holds_metadata(data[:1] + data) in (True, False)


HASH = hashlib.sha256(b"x").hexdigest()
PARTS = st.lists(
    st.tuples(
        st.binary(max_size=20).map(lambda raw: hashlib.sha256(raw).hexdigest()),
        st.integers(0, 1000),
        st.binary(max_size=50),
    ),
    max_size=6,
)


@given(PARTS)
def test_an_upload_says_what_was_put_in(parts: list[tuple[str, int, bytes]]) -> None:
    """Round trip of every part."""
    sent = [(sha256, offset + len(data) + 1, offset, data) for sha256, offset, data in parts]
    found = parse_put(format_put(sent))
    assert [(p.sha256, p.total, p.offset, data) for p, data in found] == sent
    assert all(p.length == len(data) for p, data in found)


def header(*parts: Any, tail: bytes = b"") -> bytes:
    return msgspec.json.encode({"parts": list(parts), "v": 1}) + b"\n" + tail


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", FormatError),
        (b"{}\n", FormatError),
        (b"\n", FormatError),
        (b'{"parts":[],"v":2}\n', FormatError),
        (b'{"parts":[],"v":1}', FormatError),
        (header([HASH.upper(), 5, 0, 0]), FormatError),
        (header(["../../../etc/passwd", 5, 0, 0]), FormatError),
        (header([HASH, 0, 0, 0]), FormatError),
        (header([HASH, 5, -1, 1], tail=b"x"), FormatError),
        (header([HASH, 5, 0, -1]), FormatError),
        (header([HASH, 5, 5, 1], tail=b"x"), FormatError),
        (header([HASH, 5, 0, 2], tail=b"x"), FormatError),
        (header([HASH, 5, 0, 1], tail=b"xy"), FormatError),
        (header([HASH, 5, 0, 1.5], tail=b"x"), FormatError),
        (header([HASH, MAX_FILE_BYTES + 1, 0, 0]), LimitError),
        (header(*[[HASH, 5, 0, 0]] * (MAX_PARTS + 1)), LimitError),
        (header([HASH, MAX_FILE_BYTES, 0, MAX_CHUNK_BYTES + 1], tail=bytes(MAX_CHUNK_BYTES + 1)), LimitError),
    ],
)
def test_an_upload_that_contradicts_itself_is_refused(raw: bytes, error: type[Exception]) -> None:
    """Before any file is looked at."""
    with pytest.raises(FormatError) as caught:
        parse_put(raw)
    assert type(caught.value) is error


def test_an_upload_with_as_many_parts_as_allowed_fits() -> None:
    """The header limit is above it."""
    raw = format_put([(HASH, MAX_FILE_BYTES, MAX_FILE_BYTES - 1, b"x")] * MAX_PARTS)
    assert len(parse_put(raw)) == MAX_PARTS
    assert len(PutHeader([]).parts) == 0


@pytest.mark.parametrize("text", ["", "bytes 0-1/x", "items 0-1/5", "bytes 0-1/99999999999", "bytes 0-1/٣"])
def test_a_content_range_without_a_length_is_refused(text: str) -> None:
    """The device must know when a file is whole."""
    with pytest.raises(FormatError):
        total_of(text)
    assert total_of("bytes 0-1/5") == 5
