"""From a camera's file to the photo that is kept."""

import io
import struct
import zlib

import pytest
from PIL import Image

from syncgov.core.jpeg import holds_metadata
from syncgov.errors import InputError
from syncgov.storage import photos
from syncgov.storage.photos import LONG_EDGE, MAX_PIXELS, THUMBNAIL_EDGE, read_photo
from tests.attaching import CAMERA_CANARY, GPS_CANARY, picture


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_nothing_but_pixels_is_left(form: str) -> None:
    """Place, camera, comment and colour profile stay behind, in photo and thumbnail."""
    raw = picture(exif=True, form=form)
    assert CAMERA_CANARY.encode() in raw
    done = read_photo(raw)
    for data in (done.data, done.thumbnail or b""):
        assert GPS_CANARY.encode() not in data
        assert CAMERA_CANARY.encode() not in data
        assert not holds_metadata(data)
        assert not opened(data).getexif()


def test_the_photo_is_upright() -> None:
    """Orientation 6 means: turn by a quarter. What people saw in the camera is what is kept."""
    assert opened(picture(exif=True)).size == (320, 240)
    assert opened(read_photo(picture(exif=True)).data).size == (240, 320)
    assert opened(read_photo(picture()).data).size == (320, 240)


def test_a_large_photo_gets_smaller() -> None:
    """Long edge and thumbnail; a small one is not blown up, a tiny one needs no thumbnail."""
    done = read_photo(picture(size=(2400, 1200)))
    assert opened(done.data).size == (LONG_EDGE, LONG_EDGE // 2)
    assert opened(done.thumbnail or b"").size == (THUMBNAIL_EDGE, THUMBNAIL_EDGE // 2)
    assert opened(read_photo(picture(size=(300, 200))).data).size == (300, 200)
    assert read_photo(picture(size=(100, 90))).thumbnail is None


def test_the_same_file_gives_the_same_photo() -> None:
    """Else nothing could be recognised as here already."""
    assert read_photo(picture(3)) == read_photo(picture(3)) != read_photo(picture(4))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_every_kind_of_pixels_becomes_rgb(mode: str) -> None:
    """Transparent parts become paper, not black."""
    out = io.BytesIO()
    image = Image.new(mode, (30, 30), 0) if mode != "RGBA" else Image.new(mode, (30, 30), (0, 0, 0, 0))
    image.save(out, "JPEG" if mode == "CMYK" else "PNG")
    found = opened(read_photo(out.getvalue()).data)
    assert found.mode == "RGB"
    if mode in ("RGBA", "LA"):
        assert found.getpixel((15, 15)) == (255, 255, 255)


def png_of(width: int, height: int) -> bytes:
    """Return the head of a PNG that says it is that large; its data would unpack to nothing but zeros."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(6400, 6400), (100_000, 100_000), (60_000, 1000)])
def test_a_bomb_is_refused_before_it_is_opened(size: tuple[int, int]) -> None:
    """A few KB that would fill the memory, above and below the library's own limit."""
    assert size[0] * size[1] > MAX_PIXELS
    assert len(png_of(*size)) < 3000
    with pytest.raises(InputError) as caught:
        read_photo(png_of(*size))
    assert "百万像素" in caught.value.zh
    assert "megapixels" in caught.value.en


@pytest.mark.parametrize(
    "raw", [b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a" + bytes(50), b"BM" * 99]
)
def test_what_is_no_photo_is_refused_in_words(raw: bytes) -> None:
    """Formats that no camera makes are not opened at all."""
    with pytest.raises(InputError, match="no photo that can be used"):
        read_photo(raw)


@pytest.mark.parametrize("cut", [20, 200, 2000])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_broken_file_is_refused_in_words(cut: int, form: str) -> None:
    """Cut short anywhere, or with zeros in it."""
    raw = picture(size=(320, 240), form=form)
    with pytest.raises(InputError):
        read_photo(raw[:cut])
    with pytest.raises(InputError):
        read_photo(raw[: len(raw) - len(raw) // 3])


def test_a_file_beyond_all_measure_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on the bytes, before the library sees them."""
    monkeypatch.setattr(photos, "MAX_INPUT_BYTES", 10)
    with pytest.raises(InputError, match="larger than"):
        read_photo(picture())
