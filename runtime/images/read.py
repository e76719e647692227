"""Read any image file."""

from os import PathLike
from pathlib import Path

from ..media import Floats, Size
from . import metadata
from .formats.header import MAX_PIXELS, PILLOW_READERS, read_header, translate_decoder_errors
from .formats.image_decoders import decode_image
from .formats.png import describe_color
from .image_file import ImageFile


def read_image_file(path: str | PathLike[str], *, max_pixels: int = MAX_PIXELS) -> ImageFile:
    """Read a PNG, JPEG, WebP, TIFF, AVIF, EXR, JPEG XL, BMP or GIF file, whatever its suffix.

    Of several pages, frames or EXR parts the first is read, which ``losses`` says. Values are kept as stored, without color
    conversion, except CMYK to RGB (by the simple formula), YCbCr and palettes to RGB, and associated alpha to straight. An EXR
    is cropped or padded to its display window. The profile says whether values are linear light; without
    one, those of EXR and float files are.

    Raises:
        MediaError: the file is missing, empty, a folder, not an image, has more than ``max_pixels`` pixels (checked before
            decoding), is truncated or damaged anywhere in the image, or holds NaN or infinite values.
    """
    file_path = Path(path)
    header = read_header(file_path, max_pixels)
    with translate_decoder_errors(file_path):
        found = decode_image(file_path, header)
        exif, xmp = metadata.remove_stale_tags(found.exif), metadata.remove_stale_properties(found.xmp)
    icc = found.icc if found.icc and metadata.is_profile_for(found.icc, found.pixels.shape[2]) else None
    if found.icc and not icc and not any("CMYK" in loss for loss in found.losses):
        found.losses.append("has a color profile for other channels than its own; it is dropped")
    if found.color_chunks:
        found.losses.append(f"is {describe_color(found.color_chunks)}: of the formats here only PNG keeps that")
    return ImageFile(
        pixels=apply_orientation(found.pixels, found.orientation),
        bits=found.bits,
        format=header.format,
        transfer=metadata.resolve_stored_transfer(icc, exr=header.format == "exr", floating=found.bits == 32),
        icc=icc,
        exif=exif,
        resolution=_orient_resolution(found.resolution, found.orientation),
        chromaticities=found.chromaticities,
        color_chunks=found.color_chunks,
        xmp=xmp,
        iptc=found.iptc,
        losses=tuple(found.losses),
    )


def read_image_size(path: Path, *, max_pixels: int = MAX_PIXELS) -> Size:
    """Return the size that ``read_image_file`` gives, from the header alone; JPEG and AVIF are turned as EXIF says.

    Raises ``MediaError`` as ``read_header`` does.
    """
    header = read_header(path, max_pixels)
    if header.format not in PILLOW_READERS:
        return header.size
    with translate_decoder_errors(path), PILLOW_READERS[header.format](path) as image:
        is_turned = metadata.parse_orientation(image.info.get("exif")) in range(5, 9)
    return Size(header.size.height, header.size.width) if is_turned else header.size


def _orient_resolution(resolution: tuple[float, float] | None, orientation: int) -> tuple[float, float] | None:
    return (resolution[1], resolution[0]) if resolution and orientation >= 5 else resolution


def apply_orientation(pixels: Floats, orientation: int) -> Floats:
    """Turn (H, W, C) pixels so that row 0 is the top and column 0 the left; other values than 1 to 8 turn nothing.

    EXIF's tag 0x0112 (CIPA DC-008) says where the stored row 0 and column 0 belong: 1 top/left, 2 top/right, 3 bottom/right,
    4 bottom/left, 5 left/top, 6 right/top, 7 right/bottom, 8 left/bottom.
    """
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels.copy(order="C")
