"""Write any image file."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..atomic_write import translate_os_errors, write_atomically
from ..errors import OutputError, Upscale8KError
from ..media import Floats, Pixels, Size, has_alpha
from . import metadata
from .formats import image_encoders
from .formats.image_encoders import EncodeJob
from .formats.png import describe_color
from .image_file import BitDepth, ImageFormatError, Transfer
from .sample_conversion import linear_image_to_srgb, srgb_image_to_linear


@dataclass(frozen=True)
class OutputFormat:
    """What a file format can store, and its encoder."""

    name: str
    encoder: Callable[[EncodeJob, Path], None]
    bits: tuple[BitDepth, ...]
    has_alpha: bool
    max_side: int
    default_quality: int | None
    """Used where no quality is requested. None: lossless."""
    lossy: bool = False
    max_xmp_bytes: int = 0
    max_iptc_bytes: int = 0

    def describe_misfit(self, size: Size, *, alpha: bool = False, bits: BitDepth | None = None) -> str | None:
        """Return why it cannot store an image of that size, with that depth if given; None if it can."""
        if bits is not None and bits not in self.bits:
            return f"{self.name} stores {' or '.join(str(depth) for depth in self.bits)} bits, not {bits}"
        if alpha and not self.has_alpha:
            return f"{self.name} has no transparency and the image has"
        if max(size.width, size.height) > self.max_side:
            return f"{self.name} is limited to {self.max_side:,} pixels a side, the image is {size}"
        return None


_ANY = 2**31 - 1
_PNG = OutputFormat("PNG", image_encoders.write_png, (8, 16), True, 2**31 - 1, None, max_xmp_bytes=_ANY)
_JPEG = OutputFormat(
    "JPEG", image_encoders.write_jpeg, (8,), False, 65_500, 95, True, metadata.MAX_SEGMENT_BYTES, metadata.MAX_SEGMENT_BYTES
)
_WEBP = OutputFormat("WebP", image_encoders.write_webp, (8,), True, 16_383, None, lossy=True, max_xmp_bytes=_ANY)
_TIFF = OutputFormat("TIFF", image_encoders.write_tiff, (8, 16, 32), True, 2**31 - 1, None)
_AVIF = OutputFormat("AVIF", image_encoders.write_avif, (8,), True, 16_384, 90, lossy=True, max_xmp_bytes=_ANY)
_EXR = OutputFormat("EXR", image_encoders.write_exr, (16, 32), True, 2**31 - 1, None)
_JXL = OutputFormat("JPEG XL", image_encoders.write_jxl, (8, 16, 32), True, 2**30, None, lossy=True)
OUTPUT_FORMATS: dict[str, OutputFormat] = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".avif": _AVIF,
    ".exr": _EXR,
    ".jxl": _JXL,
}


def write_image_file(
    path: str | os.PathLike[str],
    pixels: Pixels,
    *,
    bits: BitDepth | None = None,
    transfer: Transfer = "srgb",
    icc: bytes | None = None,
    exif: bytes | None = None,
    resolution: tuple[float, float] | None = None,
    chromaticities: tuple[float, ...] | None = None,
    text: Mapping[str, str] | None = None,
    quality: int | None = None,
    numbered: bool = False,
    color_chunks: Mapping[bytes, bytes] | None = None,
    exclusive: bool = False,
    xmp: bytes | None = None,
    iptc: bytes | None = None,
) -> Path:
    """Write an image file. It gets its final name when it is complete on disk (fsync).

    Args:
        path: its suffix selects the format: .png .jpg .jpeg .webp .tif .tiff .avif .exr .jxl.
        pixels: (H, W, C), C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA, alpha straight. float32 0..1 (32 bits and EXR: any
            finite value), or uint8 or uint16 over their whole range. Floats are clipped and become floor(x * max + 0.5).
        bits: depth of the file: 8, 16 (EXR: half) or 32 (floating point). Default: 8, or 16 for uint16 pixels and for EXR.
        transfer: that of ``pixels``. They are converted if the file uses the other one: that of ``icc``, and without a profile
            linear light for EXR and 32 bits, sRGB for all others.
        icc: profile of the pixels. EXR stores none: an sRGB profile is dropped (EXR's primaries are the same), others raise.
        exif: an EXIF block as in ``ImageFile.exif``. Not in EXR and JPEG XL; TIFF stores the tags that it shares with EXIF.
        resolution: pixels per inch. PNG, JPEG, TIFF.
        chromaticities: EXR.
        text: ComfyUI's ``prompt`` and ``workflow``: text chunks of a PNG, EXIF of a WebP, string attributes of an EXR. Ignored
            by the other formats, where ComfyUI reads none.
        quality: 1 to 100, for JPEG (default 95), AVIF (90), WebP and JPEG XL (default: lossless). Others ignore it.
        numbered: ``path`` has a number that we chose; an existing file is kept, and the next free number is taken.
        color_chunks: as in ``ImageFile``; PNG only, others raise, because the numbers would be shown as sRGB.
        exclusive: an existing file is kept, and ``OutputError`` raised.
        xmp: as in ``ImageFile``; left out where it is larger than ``OutputFormat.max_xmp_bytes``.
        iptc: likewise, ``max_iptc_bytes``.

    Returns:
        The path of the file, which is ``path`` unless ``numbered`` changes it.

    Raises:
        OutputError: the format cannot store the image (the message names one that can), or the file cannot be written. An image
            with alpha is not written as JPEG, because any background would be arbitrary.
    """
    file_path = Path(path)
    output_format = _find_output_format(file_path)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or pixels.dtype.name not in ("float32", "uint8", "uint16"):
        raise ValueError(f"pixels are (H, W, 1..4) float32, uint8 or uint16, not {pixels.dtype} {pixels.shape}")
    depth = bits or (16 if pixels.dtype == np.uint16 or output_format is _EXR else 8)
    check_depth(file_path, depth)
    _check_fits(file_path, output_format, pixels)
    if output_format is _EXR and icc and not metadata.is_srgb(icc):
        raise OutputError(
            f"{file_path.name} would lose its colors: EXR stores no ICC profile.",
            "Write a TIFF with bits=32 instead.",
            path=file_path,
        )
    if color_chunks and output_format is not _PNG:
        raise OutputError(
            f"{file_path.name} would lose its colors: {output_format.name} stores no {describe_color(color_chunks)} here.",
            "Write a PNG, or convert the image to sRGB first.",
            path=file_path,
        )
    job = EncodeJob(
        pixels,
        depth,
        _resolve_quality(file_path, output_format, quality),
        icc,
        exif,
        resolution,
        chromaticities,
        text or {},
        _choose_conversion(transfer, metadata.resolve_stored_transfer(icc, exr=output_format is _EXR, floating=depth == 32)),
        color_chunks=color_chunks or {},
        xmp=xmp if xmp and len(xmp) <= output_format.max_xmp_bytes else None,
        iptc=iptc if iptc and len(iptc) <= output_format.max_iptc_bytes else None,
    )
    return save_image(file_path, lambda temp: output_format.encoder(job, temp), numbered=numbered, exclusive=exclusive)


def save_image(path: Path, encode: Callable[[Path], object], *, numbered: bool = False, exclusive: bool = False) -> Path:
    """Write an image with ``encode(temporary path)`` as ``write_atomically`` does, and return the final path.

    Raises:
        OutputError: ``path`` cannot be written, or the encoder rejects the image. An existing file stays.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: the folder {path.parent} does not exist.", "Create it.", path=path)
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder.", "Give the name of a file.", path=path)
    try:
        with translate_os_errors(path):
            return write_atomically(path, encode, numbered=numbered, exclusive=exclusive)
    except (Upscale8KError, MemoryError):
        raise
    except Exception as error:  # encoders raise a dozen types
        hint = error.hint if isinstance(error, ImageFormatError) else "Write another format, for example PNG."
        reason = " ".join(str(error).split()).rstrip(".") or "the encoder gave no reason"
        raise OutputError(f"{path} cannot be written: {reason}.", hint, path=path) from error


def check_depth(path: Path, bits: BitDepth) -> None:
    """Raise ``OutputError`` if the format of that name does not store ``bits``, or cannot be written."""
    output_format = _find_output_format(path)
    if misfit := output_format.describe_misfit(Size(1, 1), bits=bits):
        others = ", ".join(sorted({other.name for other in OUTPUT_FORMATS.values() if bits in other.bits}))
        raise OutputError(f"{path.name}: {misfit}.", f"For {bits} bits use {others}.", path=path)


def _find_output_format(path: Path) -> OutputFormat:
    output_format = OUTPUT_FORMATS.get(path.suffix.lower())
    if output_format is None:
        raise OutputError(
            f"{path.name} has no suffix of an image format that can be written.",
            f"Use one of {' '.join(OUTPUT_FORMATS)}.",
            path=path,
        )
    return output_format


def _check_fits(path: Path, output_format: OutputFormat, pixels: Pixels) -> None:
    alpha = has_alpha(pixels)
    if misfit := output_format.describe_misfit(Size(pixels.shape[1], pixels.shape[0]), alpha=alpha):
        is_opaque_format = alpha and not output_format.has_alpha
        hint = "Write a PNG or a WebP, or remove the alpha channel first." if is_opaque_format else "Write a PNG, TIFF or EXR."
        raise OutputError(f"{path.name}: {misfit}.", hint, path=path)


def _resolve_quality(path: Path, output_format: OutputFormat, quality: int | None) -> int | None:
    if quality is not None and not 1 <= quality <= 100:
        raise OutputError(f"{path.name}: the quality must be 1 to 100, not {quality}.", path=path)
    return (quality or output_format.default_quality) if output_format.lossy else None


def _choose_conversion(given: Transfer, stored: Transfer) -> Callable[[Floats], Floats] | None:
    if given == stored:
        return None
    return srgb_image_to_linear if stored == "linear" else linear_image_to_srgb
