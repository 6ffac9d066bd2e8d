"""From a camera's file to the photo that is kept: turned upright, made smaller, without any metadata, with a thumbnail.

The only module that knows Pillow, the extra `photo`. Source: protocol page, section 17.
"""

import io
import struct
import warnings
from dataclasses import dataclass
from typing import Any

from syncgov.errors import InputError, TransportError

MAX_INPUT_BYTES = 64 << 20  # a camera's largest JPEG is half of it
MAX_JPEG_PIXELS = 120_000_000  # a phone of 108 megapixels; a JPEG is decoded at a fraction of that
MAX_PIXELS = 40_000_000  # of other formats, which are decoded whole: 160 MB
LONG_EDGE = 1600  # pixels; what a face or a plate of a wall needs, 300 KB
THUMBNAIL_EDGE = 240
QUALITY, THUMBNAIL_QUALITY = 82, 65
FORMATS = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True, slots=True)
class Photo:
    """One or two JPEG files that hold pixels and nothing else; a photo that is small already has no thumbnail."""

    data: bytes
    thumbnail: bytes | None


def read_photo(raw: bytes) -> Photo:
    """Return the photo in a camera's or screen's file.

    Raises:
        InputError: no image, a broken one, or one that is too large to be opened.
        TransportError: Pillow is not installed.
    """
    if len(raw) > MAX_INPUT_BYTES:
        raise InputError(
            f"照片文件超过 {MAX_INPUT_BYTES >> 20} MB", f"the photo file is larger than {MAX_INPUT_BYTES >> 20} MB"
        )
    pil = _pillow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # broken EXIF is none of our business; sizes are checked here
        try:
            picture = _upright(pil, raw)
            if max(picture.size) <= THUMBNAIL_EDGE:
                return Photo(_jpeg(picture, QUALITY), None)
            small = picture.copy()
            small.thumbnail((THUMBNAIL_EDGE, THUMBNAIL_EDGE))
            return Photo(_jpeg(picture, QUALITY), _jpeg(small, THUMBNAIL_QUALITY))
        except pil.UnidentifiedImageError as error:
            raise InputError(
                "这个文件不是可用的照片：请用 JPEG、PNG 或 WebP（苹果手机请在相机设置中选“兼容性最佳”）",
                "no photo that can be used: take JPEG, PNG or WebP (on an iPhone choose “Most Compatible”)",
            ) from error
        except pil.Image.DecompressionBombError as error:
            raise _too_large(MAX_PIXELS) from error
        except (
            OSError,
            ValueError,
            SyntaxError,
            EOFError,
            struct.error,
            OverflowError,
            MemoryError,
            KeyError,
        ) as error:
            raise InputError(
                "照片文件不完整或已损坏，请重新拍摄或重新复制", f"the photo is cut short or damaged: {error}"
            ) from error


def _upright(pil: Any, raw: bytes) -> Any:
    """Return the pixels as people see them, at most LONG_EDGE on either side."""
    image = pil.Image.open(io.BytesIO(raw), formats=FORMATS)
    most = MAX_JPEG_PIXELS if image.format in ("JPEG", "MPO") else MAX_PIXELS
    if image.width * image.height > most:
        raise _too_large(most)
    if image.format == "JPEG":
        image.draft("RGB", (LONG_EDGE, LONG_EDGE))  # decodes at a fraction of the size
    image.load()
    image = pil.ImageOps.exif_transpose(image)
    image.thumbnail((LONG_EDGE, LONG_EDGE))
    if image.mode != "RGB":
        image = _on_white(pil, image)
    # a new image of the same pixels: whatever else the file said stays behind
    return pil.Image.frombytes("RGB", image.size, image.tobytes())


def _on_white(pil: Any, image: Any) -> Any:
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = pil.Image.new("RGBA", layer.size, "white")
        image = pil.Image.alpha_composite(paper, layer)
    return image.convert("RGB")


def _jpeg(image: Any, quality: int) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def _too_large(most: int) -> InputError:
    return InputError(
        f"照片超过 {most // 1_000_000} 百万像素，没有打开；请调低相机分辨率重拍",
        f"the photo has more than {most // 1_000_000} megapixels and was not opened; take it at a lower resolution",
    )


def _pillow() -> Any:
    try:
        import PIL
        import PIL.Image
        import PIL.ImageOps
    except ImportError as error:
        raise TransportError(
            "处理照片需要 Pillow：pip install 'syncgov[photo]'（Termux：pkg install python-pillow）",
            "photos need Pillow: pip install 'syncgov[photo]' (Termux: pkg install python-pillow)",
        ) from error
    return PIL
