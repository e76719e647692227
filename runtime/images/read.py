"""Any picture file -> ``Picture``."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from . import icc_profile, metadata
from .decode import decode
from .header import MAX_PIXELS, decoding, read_header
from .orientation import upright
from .picture import Picture


def read(path: str | PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a PNG, JPEG, WebP, TIFF, AVIF, EXR, JPEG XL, BMP or GIF file, whatever its name ends in.

    Of several pages, frames or EXR parts the first is read. Numbers are kept as stored: no colour conversion, except CMYK to
    RGB (by the plain formula), YCbCr and palettes to RGB, and associated alpha to straight. An EXR is what its display window
    shows. Whether numbers are linear light is what their profile says; without one, EXR and float files are.

    Raises:
        MediaError: missing, empty, a folder, not a picture, more than ``max_pixels`` pixels (checked before decoding),
            cut off or damaged anywhere in the picture, NaN or infinite values.
    """
    place = Path(path)
    header = read_header(place, max_pixels)
    with decoding(place):
        found = decode(place, header)
        exif = metadata.for_new_pixels(found.exif)
    icc = found.icc if found.icc and icc_profile.fits(found.icc, found.pixels.shape[2]) else None
    return Picture(
        pixels=upright(found.pixels, found.orientation),
        bits=found.bits,
        format=header.format,
        transfer=icc_profile.stored_transfer(icc, exr=header.format == "exr", floating=found.bits == 32),
        icc=icc,
        exif=exif,
        resolution=_turned(found.resolution, found.orientation),
        chromaticities=found.chromaticities,
    )


def _turned(resolution: tuple[float, float] | None, orientation: int) -> tuple[float, float] | None:
    return (resolution[1], resolution[0]) if resolution and orientation >= 5 else resolution
