"""Which format a file is and how large its picture is, by its content, before a pixel is decoded."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import OpenImageIO as oiio
from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, ImageFile, JpegImagePlugin

from ..errors import MediaError, Upscale8KError
from ..frames.geometry import Size
from . import jxl, png, webp
from .picture import Format
from .refusal import Refusal

MAX_PIXELS = 1_000_000_000
"""Pictures above this are refused before they are decoded: 12 GB of float RGB. ``--max-pixels`` moves it."""

READABLE = "PNG, JPEG, WebP, TIFF, AVIF, EXR, JPEG XL, BMP or GIF"

# By class and never by Image.open: its limit of 179 megapixels is below 8K doubled, and is one number for a whole process.
PILLOW_READERS: dict[Format, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "gif": GifImagePlugin.GifImageFile,
}


@dataclass(frozen=True)
class Header:
    """What is known of a picture file without decoding it."""

    format: Format
    size: Size


def read_header(path: Path, max_pixels: int = MAX_PIXELS) -> Header:
    """Identify a picture file.

    Raises:
        MediaError: no such file, a folder, an empty file, no picture, or more than ``max_pixels`` pixels.
    """
    head = read_head(path)
    found = identify(head)
    if found is None:
        raise MediaError(
            f"{path.name} is not a picture that can be read: {_looks_like(head)}.", f"Give a {READABLE} file.", path=path
        )
    with decoding(path):
        size = _size(path, found)
    check_size(path, size, max_pixels)
    return Header(found, size)


def read_head(path: Path) -> bytes:
    """The first kilobyte of a file that is there and not empty."""
    if path.is_dir():
        raise MediaError(f"{path} is a folder, not a picture.", "Name one file in it.", path=path)
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except FileNotFoundError as error:
        raise MediaError(f"{path} does not exist.", "Check the name and the folder.", path=path) from error
    except OSError as error:
        raise MediaError(f"{path} cannot be opened: {error.strerror}.", "Check its permissions.", path=path) from error
    if not head:
        raise MediaError(f"{path.name} is empty (0 bytes).", "Copy or export it again.", path=path)
    return head


def identify(head: bytes) -> Format | None:
    """The format by the first bytes of a file, or None."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return "avif" if _brands(head) & {b"avif", b"avis"} else None


def check_size(path: Path, size: Size, max_pixels: int) -> None:
    """Refuse a picture of more than ``max_pixels`` pixels."""
    if size.pixels > max_pixels:
        raise MediaError(
            f"{path.name} says it is {size} = {size.pixels:,} pixels; the limit is {max_pixels:,}.",
            f"If the file is meant to be that large, the command line takes it with --max-pixels {size.pixels}.",
            path=path,
        )


class _Silence:
    """Warnings are left out while anybody is inside. ``warnings`` keeps one list of filters for all threads, so that the first
    who comes changes it and the last who goes puts it back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings(action="ignore")

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings(action="ignore")
                self._filters.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_WITHOUT_WARNINGS = _Silence()


@contextmanager
def decoding(path: Path) -> Generator[None, None, None]:
    """The one edge where what a decoder says becomes a ``MediaError`` that names the file."""
    try:
        # A decoder's warning is either an error that follows at once or of no use to the reader of a terminal.
        with _WITHOUT_WARNINGS:
            yield
    except (Upscale8KError, MemoryError):
        raise
    except Refusal as error:
        raise MediaError(f"{path.name} cannot be read: {error}.", error.hint, path=path) from error
    except Exception as error:  # decoders meet hostile bytes with any of a dozen types
        raise damaged(path, str(error)) from error


def damaged(path: Path, why: str) -> MediaError:
    """The error for a file that is a picture by its first bytes but cannot be decoded to the end."""
    reason = " ".join(why.split()).rstrip(".") or "the decoder gave no reason"
    return MediaError(f"{path.name} is damaged or cut off: {reason}.", "Copy, download or export it again.", path=path)


def _size(path: Path, found: Format) -> Size:
    if found == "png":
        return png.size(path)
    if found == "jxl":
        return jxl.size(path)
    if found == "webp":
        return webp.size(path)
    if found in PILLOW_READERS:
        with PILLOW_READERS[found](path) as image:
            return Size(*image.size)
    source = open_oiio(path)
    try:
        spec = source.spec()
        return Size(max(spec.width, spec.full_width), max(spec.height, spec.full_height))
    finally:
        source.close()


def open_oiio(path: Path) -> oiio.ImageInput:
    """Open a file with OpenImageIO, alpha as it is stored."""
    wishes = oiio.ImageSpec()
    wishes.attribute("oiio:UnassociatedAlpha", 1)
    source: oiio.ImageInput | None = oiio.ImageInput.open(str(path), wishes)
    if source is None:
        reason = oiio.geterror()
        raise ValueError("its header cannot be read" if "could not find a format reader" in reason else reason)
    return source


def _brands(head: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(struct.unpack(">I", head[:4])[0], len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}


def _looks_like(head: bytes) -> str:
    brands = _brands(head)
    if brands & {b"heic", b"heix", b"mif1", b"hevc"}:
        return "it is HEIC"
    if brands:
        return "it is a film or another MP4-like file"
    if head[:1024].isascii() and b"\0" not in head:
        return "it is text"
    return f"its first bytes are {head[:8].hex(' ')}"


_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
)
