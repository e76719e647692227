"""Identify the format and the size of an image by the content of its file, before a pixel is decoded."""

import struct
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import OpenImageIO as oiio
from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, ImageFile, JpegImagePlugin

from ...errors import MediaError, Upscale8KError
from ...hardware import query_memory
from ...media import Size
from ..image_file import ImageFormat, ImageFormatError
from . import jxl, png, webp

MAX_PIXELS = 1_000_000_000
"""Larger images are rejected before they are decoded: 12 GB of float RGB. ``--max-pixels`` changes the limit."""

_MIN_JXL_BYTES = 128

READABLE_FORMATS = "PNG, JPEG, WebP, TIFF, AVIF, EXR, JPEG XL, BMP or GIF"

# By class, not by Image.open: its limit of 179 megapixels is below 8K doubled, and is global to the process.
PILLOW_READERS: dict[ImageFormat, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "gif": GifImagePlugin.GifImageFile,
}


@dataclass(frozen=True)
class ImageHeader:
    """What is known of an image file without decoding it."""

    format: ImageFormat
    size: Size


def read_header(path: Path, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Identify an image file.

    Raises:
        MediaError: no such file, a folder, an empty file, not an image, or more than ``max_pixels`` pixels.
    """
    head = read_first_bytes(path)
    found = identify_format(head)
    if found is None:
        raise MediaError(
            f"{path.name} is not an image that can be read: {_describe_content(head)}.",
            f"Use a {READABLE_FORMATS} file.",
            path=path,
        )
    with translate_decoder_errors(path):
        size = _read_size(path, found)
    check_pixel_limit(path, size, max_pixels)
    _check_memory(path, size)
    return ImageHeader(found, size)


def read_first_bytes(path: Path) -> bytes:
    """Return the first kilobyte of a file.

    Raises:
        MediaError: the file is missing, empty or a folder, or cannot be opened.
    """
    if path.is_dir():
        raise MediaError(f"{path} is a folder, not an image.", "Give the name of a file in it.", path=path)
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


def identify_format(head: bytes) -> ImageFormat | None:
    """Return the format by the first bytes of a file, or None."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return "avif" if _parse_brands(head) & {b"avif", b"avis"} else None


def check_pixel_limit(path: Path, size: Size, max_pixels: int) -> None:
    """Raise ``MediaError`` for an image of more than ``max_pixels`` pixels."""
    if size.pixel_count > max_pixels:
        raise MediaError(
            f"By its header {path.name} has {size} = {size.pixel_count:,} pixels; the limit is {max_pixels:,}.",
            f"If this size is right, allow it on the command line with --max-pixels {size.pixel_count}.",
            path=path,
        )


def _check_memory(path: Path, size: Size) -> None:
    """Raise ``MediaError`` if the image as float RGB exceeds the free memory: a bomb may be far below the limit of pixels."""
    required_bytes = size.pixel_count * 12
    if required_bytes > _ALWAYS_BYTES and required_bytes > (free_bytes := query_memory().available):
        raise MediaError(
            f"By its header {path.name} has {size} pixels: it takes {required_bytes / 1e9:.1f} GB of memory to be read, and "
            f"{free_bytes / 1e9:.1f} GB are free.",
            "Close other programs, or reduce or crop the image first.",
            path=path,
        )


_ALWAYS_BYTES = 1 << 30
"""Below this the free memory is not asked for."""


class _SuppressWarnings:
    """Suppress warnings while any thread is inside. ``warnings`` has one list of filters for all threads, so the first thread
    to enter changes it and the last to leave restores it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._active_count = 0
        self._filters = warnings.catch_warnings(action="ignore")

    def __enter__(self) -> None:
        with self._lock:
            if self._active_count == 0:
                self._filters = warnings.catch_warnings(action="ignore")
                self._filters.__enter__()
            self._active_count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._active_count -= 1
            if self._active_count == 0:
                self._filters.__exit__(None, None, None)


_SUPPRESS_WARNINGS = _SuppressWarnings()


@contextmanager
def translate_decoder_errors(path: Path) -> Generator[None, None, None]:
    """Translate whatever a decoder raises into a ``MediaError`` that names the file; the only place that does."""
    try:
        # A decoder's warning either precedes an error or does not help the user.
        with _SUPPRESS_WARNINGS:
            yield
    except (Upscale8KError, MemoryError):
        raise
    except ImageFormatError as error:
        raise MediaError(f"{path.name} cannot be read: {error}.", error.hint, path=path) from error
    except Exception as error:  # on damaged bytes decoders raise any of a dozen types
        raise make_damaged_file_error(path, str(error)) from error


def make_damaged_file_error(path: Path, reason_text: str) -> MediaError:
    """Return the error for a file that is an image by its first bytes but cannot be decoded to the end."""
    reason = " ".join(reason_text.split()).rstrip(".") or "the decoder gave no reason"
    return MediaError(f"{path.name} is damaged or truncated: {reason}.", "Copy, download or export it again.", path=path)


def _read_size(path: Path, image_format: ImageFormat) -> Size:
    if image_format == "png":
        return png.read_size(path)
    if image_format == "jxl":
        return jxl.read_header(path).size
    if image_format == "webp":
        return webp.read_size(path)
    if image_format in PILLOW_READERS:
        with PILLOW_READERS[image_format](path) as image:
            return Size(*image.size)
    source = open_oiio(path)
    try:
        spec = source.spec()
        return Size(max(spec.width, spec.full_width), max(spec.height, spec.full_height))
    finally:
        source.close()


def open_oiio(path: Path) -> oiio.ImageInput:
    """Open a file with OpenImageIO, alpha as stored."""
    open_config = oiio.ImageSpec()
    open_config.attribute("oiio:UnassociatedAlpha", 1)
    with _pad_small_jxl(path) as readable:
        source: oiio.ImageInput | None = oiio.ImageInput.open(str(readable), open_config)
    if source is None:
        reason = oiio.geterror()
        raise ValueError("its header cannot be read" if "could not find a format reader" in reason else reason)
    return source


@contextmanager
def _pad_small_jxl(path: Path) -> Generator[Path]:
    """Yield a copy with zeros at its end of a JPEG XL file below ``_MIN_JXL_BYTES``, which OpenImageIO takes for damaged."""
    data = path.read_bytes() if path.is_file() and path.stat().st_size < _MIN_JXL_BYTES else b""
    if not data.startswith(tuple(magic for magic, kind in _MAGIC if kind == "jxl")):
        yield path
        return
    # OpenImageIO decodes the whole file when it opens it.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "small.jxl"
        copy.write_bytes(data.ljust(_MIN_JXL_BYTES, b"\0"))
        yield copy


def _parse_brands(head: bytes) -> set[bytes]:
    """Return the major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(struct.unpack(">I", head[:4])[0], len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}


def _describe_content(head: bytes) -> str:
    brands = _parse_brands(head)
    if brands & {b"heic", b"heix", b"mif1", b"hevc"}:
        return "it is HEIC"
    if brands:
        return "it is a video or another MP4-like file"
    if head[:1024].isascii() and b"\0" not in head:
        return "it is text"
    return f"its first bytes are {head[:8].hex(' ')}"


_MAGIC: tuple[tuple[bytes, ImageFormat], ...] = (
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
