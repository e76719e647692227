"""One decoder per format, each chosen by how it handles deep, unusual and broken files (tests/images/test_read.py).

* OpenImageIO: PNG, JPEG, WebP, TIFF, EXR, JPEG XL. Reads every depth and reports truncated files. It returns zeros for TIFF
  compressions that it was built without, and CIELAB as if it were RGB: both are rejected here.
* Pillow: GIF, BMP (OpenImageIO takes the padding byte of a 32-bit BMP for alpha), 8-bit AVIF.
* OpenCV: AVIF of 10 and 12 bits, which Pillow reduces to 8.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio

from ...media import Floats, Pixels, has_alpha
from .. import metadata
from ..image_file import BitDepth, ImageFormat, ImageFormatError
from ..sample_conversion import get_full_scale, iter_strips, to_floats
from . import gif, jxl, png, tiff, webp
from .header import PILLOW_READERS, ImageHeader, open_oiio


@dataclass
class DecodedImage:
    """The result of a decoder. Pixels are as stored; ``orientation`` (EXIF) is still to be applied."""

    pixels: Floats
    bits: BitDepth
    orientation: int = 1
    icc: bytes | None = None
    exif: bytes | None = None
    resolution: tuple[float, float] | None = None
    chromaticities: tuple[float, ...] | None = None
    color_chunks: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    xmp: bytes | None = None
    iptc: bytes | None = None
    losses: list[str] = field(default_factory=list[str])
    """As in ``ImageFile``."""

    def add_count_loss(self, count: int, unit: str) -> None:
        if count > 1:
            self.losses.append(f"has {count} {unit}; the first is read")


def decode_image(path: Path, header: ImageHeader) -> DecodedImage:
    """Decode the first image of a file, or raise whatever the decoder raises."""
    return _DECODERS[header.format](path)


def _decode_png(path: Path) -> DecodedImage:
    chunks = png.verify_chunks(path)
    source = open_oiio(path)
    decoded = _decode_integers(source, _select_channels(source.spec()))
    decoded.icc = png.unpack_icc_profile(chunks[b"iCCP"]) if b"iCCP" in chunks else None
    decoded.exif = chunks.get(b"eXIf")
    decoded.xmp = chunks.get(b"iTXt")
    decoded.orientation = metadata.parse_orientation(decoded.exif)
    decoded.resolution = png.parse_resolution(chunks[b"pHYs"]) if b"pHYs" in chunks else None
    decoded.color_chunks = png.select_color_chunks(chunks)
    decoded.add_count_loss(int.from_bytes(chunks.get(b"acTL", b"")[:4]), "frames")
    return decoded


def _decode_jpeg(path: Path) -> DecodedImage:
    source = open_oiio(path)
    decoded = _decode_integers(source, _select_channels(source.spec()))
    with PILLOW_READERS["jpeg"](path) as image:
        _copy_pillow_metadata(decoded, image.info)
        if image.mode == "CMYK":
            decoded.losses.append(_CMYK_LOSS)
    return decoded


def _decode_webp(path: Path) -> DecodedImage:
    chunks = webp.verify_chunks(path)
    source = open_oiio(path)
    decoded = _decode_integers(source, _select_channels(source.spec()))
    decoded.icc = chunks.get(b"ICCP")
    decoded.exif = chunks[b"EXIF"].removeprefix(b"Exif\0\0") if b"EXIF" in chunks else None
    decoded.xmp = chunks.get(b"XMP ")
    decoded.orientation = metadata.parse_orientation(decoded.exif)
    decoded.add_count_loss(len(chunks.get(b"ANMF", b"")), "frames")
    return decoded


def _decode_tiff(path: Path) -> DecodedImage:
    page, page_count, has_text = tiff.find_main_page(path)
    source = open_oiio(path)
    if not source.seek_subimage(page, 0):
        raise ValueError(source.geterror())
    spec = source.spec()
    photometric = spec.get_int_attribute("tiff:PhotometricInterpretation", 2)
    _reject_unsupported_tiff(spec, photometric)
    is_float = spec.format.basetype in _FLOAT_TYPES
    decoded = _decode_floats(source, _select_channels(spec)) if is_float else _decode_integers(source, _select_channels(spec))
    if photometric == tiff.WHITE_IS_ZERO and decoded.bits == 16:  # OpenImageIO inverts 8 bits only
        np.subtract(1, decoded.pixels[:, :, 0], out=decoded.pixels[:, :, 0])
    decoded.icc = _get_icc_profile(spec)
    decoded.exif = metadata.tiff_tags_to_exif(spec)
    decoded.orientation = spec.get_int_attribute("Orientation", 1)
    decoded.resolution = _get_resolution(spec)
    decoded.add_count_loss(page_count, "pages")
    decoded.losses += ["has XMP or IPTC; of a TIFF they are dropped"] if has_text else []
    _add_channel_loss(decoded, spec)
    if photometric == tiff.CMYK:
        decoded.losses.append(_CMYK_LOSS)
    return decoded


def _decode_exr(path: Path) -> DecodedImage:
    source = open_oiio(path)
    spec = source.spec()
    part_count = spec.get_int_attribute("oiio:subimages", 1)
    if spec.deep:
        raise ImageFormatError("it holds deep pixels, several samples each", "Flatten it first.")
    if spec.format.basetype not in _FLOAT_TYPES:
        raise ImageFormatError(f"its channels are {spec.format}", "Save them as half or float.")
    decoded = _decode_floats(source, _select_exr_channels(spec))
    decoded.add_count_loss(part_count, "parts")
    decoded.pixels = _fit_to_display_window(decoded.pixels, spec)
    _add_channel_loss(decoded, spec)
    chromaticities: Any = spec.getattribute("chromaticities")
    decoded.chromaticities = tuple(float(value) for value in chromaticities) if chromaticities is not None else None
    return decoded


def _decode_jxl(path: Path) -> DecodedImage:
    header = jxl.read_header(path)
    if header.is_animated:
        raise ImageFormatError("it is animated, and only its last frame could be read", "Export the frames as images.")
    source = open_oiio(path)
    spec = source.spec()
    if header.extra_channels and spec.nchannels == 1:
        raise ImageFormatError("it is grey with transparency or another extra channel", "Save it as RGB, or as PNG.")
    is_float = spec.format.basetype in _FLOAT_TYPES
    decoded = _decode_floats(source, _select_channels(spec)) if is_float else _decode_integers(source, _select_channels(spec))
    decoded.icc = _get_icc_profile(spec)
    if header.extra_channels > has_alpha(decoded.pixels):
        decoded.losses.append("has extra channels besides color and alpha; they are dropped")
    return decoded


_FLOAT_TYPES = (oiio.HALF, oiio.FLOAT, oiio.DOUBLE)
_BIT_DEPTHS: dict[Any, BitDepth] = {oiio.UINT8: 8, oiio.UINT16: 16}
_CMYK_LOSS = "is CMYK; it is converted to RGB by the simple formula, without its profile"
# By TIFF's numbers: none, CCITT RLE, Group 3, Group 4, LZW, JPEG, Deflate (twice), PackBits.
_SUPPORTED_TIFF_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32946, 32773)
_UNSUPPORTED_TIFF_COLORS = {
    8: "CIELAB",
    9: "ICCLAB",
    10: "ITULAB",
    32803: "a color filter array (camera raw)",
    34892: "linear raw",
}


def _decode_integers(source: oiio.ImageInput, channels: list[int]) -> DecodedImage:
    spec = source.spec()
    bits = _BIT_DEPTHS.get(spec.format.basetype)
    if bits is None:
        raise ImageFormatError(f"its samples are {spec.format}", "Save it with 8 or 16-bit unsigned integers, or floats.")
    return DecodedImage(_read_pixels(source, channels), bits)


def _decode_floats(source: oiio.ImageInput, channels: list[int]) -> DecodedImage:
    decoded = DecodedImage(_read_pixels(source, channels), 32)
    for rows in iter_strips(decoded.pixels.shape):
        if not np.isfinite(decoded.pixels[rows]).all():
            raise ImageFormatError(
                "it holds values that are not numbers (NaN or infinite)", "Repair them in the program that made it."
            )
    return decoded


def _read_pixels(source: oiio.ImageInput, channels: list[int]) -> Floats:
    """Read all rows of ``channels`` as floats with straight alpha; the integers of the file exist one strip at a time."""
    spec = source.spec()
    try:
        pixels = np.empty((spec.height, spec.width, len(channels)), np.float32)
        # The reader of JPEG XL converts to straight alpha itself, because open_oiio requests that.
        is_premultiplied = (
            has_alpha(pixels)
            and not spec.get_int_attribute("oiio:UnassociatedAlpha")
            and source.format_name() in ("tiff", "openexr")
        )
        top = 0
        for strip in _iter_strips(source, spec):
            target_rows = pixels[top : top + strip.shape[0]]
            to_floats(strip[:, :, channels] if len(channels) < strip.shape[2] else strip, out=target_rows)
            if is_premultiplied:
                _unassociate_alpha(target_rows, limit=1.0 if get_full_scale(strip) > 1 else math.inf)
            top += strip.shape[0]
    finally:
        source.close()
    return pixels


def _iter_strips(source: oiio.ImageInput, spec: oiio.ImageSpec) -> Iterator[Pixels]:
    step = spec.tile_height or max(1, (4 << 20) // (spec.width * spec.nchannels))
    for top in range(spec.y, spec.y + spec.height, step):
        bottom = min(top + step, spec.y + spec.height)
        if spec.tile_width:
            found: Any = source.read_tiles(spec.x, spec.x + spec.width, top, bottom, 0, 1, 0, spec.nchannels, spec.format)
        else:
            found = source.read_scanlines(top, bottom, 0, 0, spec.nchannels, spec.format)
        if found is None or source.has_error:
            raise ValueError(source.geterror())
        strip = cast(npt.NDArray[Any], found)
        yield strip.reshape(bottom - top, spec.width, spec.nchannels)


def _unassociate_alpha(pixels: Floats, limit: float) -> None:
    """Divide color by alpha in place, and limit it; where alpha is 0 color is unchanged."""
    alpha = pixels[:, :, -1:]
    color = pixels[:, :, :-1]
    np.divide(color, alpha, out=color, where=alpha > 0)
    np.minimum(color, np.float32(limit), out=color)


def _select_channels(spec: oiio.ImageSpec) -> list[int]:
    """Return the indices of grey or RGB, then of alpha if the file declares a channel as alpha; others are ignored."""
    color_count = 3 if spec.nchannels - (spec.alpha_channel >= 0) >= 3 else 1
    alpha = [spec.alpha_channel] if spec.alpha_channel >= color_count else []
    return [*range(color_count), *alpha]


def _select_exr_channels(spec: oiio.ImageSpec) -> list[int]:
    """Return the indices of R, G, B and A, or Y and A: of the unnamed layer, or of the only layer that has them."""
    names = list(cast(tuple[str, ...], spec.channelnames))  # pyright: ignore[reportUnknownMemberType]
    layers = {name[: -len(name.split(".")[-1])] for name in names}
    found = [channels for layer in sorted(layers) if (channels := _find_layer_channels(names, layer))]
    if found and ("" in layers and _find_layer_channels(names, "")):
        return _find_layer_channels(names, "")
    if len(found) != 1:
        raise ImageFormatError(
            f"none or several of its layers have R, G, B or Y channels ({', '.join(names[:12])})", "Save a single layer."
        )
    return found[0]


def _find_layer_channels(names: list[str], layer: str) -> list[int]:
    for color_letters in ("RGB", "Y"):
        color_names = [f"{layer}{letter}" for letter in color_letters]
        if all(name in names for name in color_names):
            alpha = [f"{layer}A"] if f"{layer}A" in names else []
            return [names.index(name) for name in [*color_names, *alpha]]
    return []


def _fit_to_display_window(pixels: Floats, spec: oiio.ImageSpec) -> Floats:
    """Crop or pad to the display window: outside of the stored pixels black and transparent; overscan is removed."""
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    height, width = pixels.shape[:2]
    if (left, top, width, height) == (0, 0, spec.full_width, spec.full_height):
        return pixels
    display_pixels = np.zeros((spec.full_height, spec.full_width, pixels.shape[2]), np.float32)
    rows = slice(max(top, 0), min(top + height, spec.full_height))
    columns = slice(max(left, 0), min(left + width, spec.full_width))
    if rows.start < rows.stop and columns.start < columns.stop:
        display_pixels[rows, columns] = pixels[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return display_pixels


def _add_channel_loss(decoded: DecodedImage, spec: oiio.ImageSpec) -> None:
    if spec.nchannels > decoded.pixels.shape[2] and spec.nchannels - (spec.alpha_channel >= 0) not in (1, 3):
        decoded.losses.append(f"has {spec.nchannels} channels; {decoded.pixels.shape[2]} are read")


def _reject_unsupported_tiff(spec: oiio.ImageSpec, photometric: int) -> None:
    compression = spec.get_int_attribute("tiff:Compression", 1)
    if compression not in _SUPPORTED_TIFF_COMPRESSIONS:
        name = spec.get_string_attribute("compression") or "unknown"
        raise ImageFormatError(f"its compression is {name} (number {compression})", "Save it with LZW or Deflate.")
    if compression == 7 and spec.alpha_channel >= 0:  # OpenImageIO reads it through libtiff, which multiplies color by alpha
        raise ImageFormatError("it is compressed as JPEG and has transparency", "Save it with LZW or Deflate.")
    if spec.format.basetype == oiio.DOUBLE and spec.tile_width:  # OpenImageIO 3.2 returns memory that was never written
        raise ImageFormatError("its tiles are 64-bit floats", "Save it in strips, or as 32-bit floats.")
    color = _UNSUPPORTED_TIFF_COLORS.get(photometric)
    if color:
        raise ImageFormatError(f"its colors are {color}", "Save it as RGB.")
    if photometric == tiff.WHITE_IS_ZERO and spec.format.basetype in _FLOAT_TYPES:
        raise ImageFormatError("its floats count from white (0) to black", "Save it with black as 0.")


def _get_icc_profile(spec: oiio.ImageSpec) -> bytes | None:
    profile: Any = spec.getattribute("ICCProfile")
    return bytes(profile) if profile is not None else None


def _get_resolution(spec: oiio.ImageSpec) -> tuple[float, float] | None:
    factor = {"in": 1.0, "cm": 2.54}.get(spec.get_string_attribute("ResolutionUnit"))
    x, y = spec.get_float_attribute("XResolution"), spec.get_float_attribute("YResolution")
    return (x * factor, y * factor) if factor and x > 0 and y > 0 else None


def _decode_gif(path: Path) -> DecodedImage:
    frame_count = gif.verify_blocks(path)
    decoded = _decode_with_pillow(path, "gif")
    decoded.add_count_loss(frame_count, "frames")
    return decoded


def _decode_with_pillow(path: Path, image_format: ImageFormat) -> DecodedImage:
    with PILLOW_READERS[image_format](path) as image:
        image.load()
        pillow_mode = _PILLOW_MODES.get(image.mode, "RGBA" if "transparency" in image.info else "RGB")
        samples = np.asarray(image if image.mode == pillow_mode else image.convert(pillow_mode))
        decoded = DecodedImage(_scale_to_floats(samples, 255), 8)
        _copy_pillow_metadata(decoded, image.info)
        if image_format == "avif":
            decoded.add_count_loss(getattr(image, "n_frames", 1), "frames")
    return decoded


_PILLOW_MODES = {"1": "L", "L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA"}


def _decode_avif(path: Path) -> DecodedImage:
    decoded = _decode_with_pillow(path, "avif")
    depth, decoded.color_chunks = _read_avif_properties(path)
    if depth > 8:
        samples = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if samples is None:
            raise ImageFormatError(f"its {depth} bits cannot be decoded", "Save it with 8 bits, or as PNG.")
        order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(samples.shape[2] if samples.ndim == 3 else 1, [0])
        samples = samples.reshape(*samples.shape[:2], -1)
        decoded.pixels = _scale_to_floats(samples[:, :, order], (1 << depth) - 1)
        decoded.bits = 16
    return decoded


def _read_avif_properties(path: Path) -> tuple[int, dict[bytes, bytes]]:
    """Return the depth, 8, 10 or 12, and the color chunks of a PNG with the same colors.

    The AV1 configuration box (AV1-ISOBMFF 1.3, 2.3.3: high_bitdepth, twelve_bit) and ``nclx`` (ISO/IEC 14496-12, 12.1.5).
    """
    with path.open("rb") as file:
        head = file.read(64 << 10)
    color, offset = head.find(b"colrnclx"), head.find(b"av1C\x81")
    chunks: dict[bytes, bytes] = {}
    if 0 <= color < len(head) - 12:
        primaries, transfer = head[color + 9], head[color + 11]
        # BT.709 and its equals are what SDR images are tagged with; they are shown as sRGB.
        chunks = {} if transfer in _SDR_TRANSFERS and primaries in _SDR_PRIMARIES else png.make_cicp(primaries, transfer)
    flags = head[offset + 6] if 0 <= offset < len(head) - 6 else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8, chunks


_SDR_TRANSFERS, _SDR_PRIMARIES = (1, 2, 6, 13, 14, 15), (1, 2, 5, 6)


def _scale_to_floats(samples: npt.NDArray[Any], max_value: int) -> Floats:
    samples = samples.reshape(*samples.shape[:2], -1)
    pixels = np.empty(samples.shape, np.float32)
    for rows in iter_strips(pixels.shape):
        np.divide(samples[rows], np.float32(max_value), out=pixels[rows], dtype=np.float32)
    return pixels


def _copy_pillow_metadata(decoded: DecodedImage, info: Any) -> None:
    exif, icc, dpi = info.get("exif"), info.get("icc_profile"), info.get("dpi")
    decoded.exif = exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else None
    decoded.orientation = metadata.parse_orientation(decoded.exif)
    decoded.icc = icc if isinstance(icc, bytes) else None
    xmp, iptc = info.get("xmp"), info.get("photoshop", {}).get(metadata.IPTC_RESOURCE)
    decoded.xmp, decoded.iptc = (block if isinstance(block, bytes) and block else None for block in (xmp, iptc))
    if isinstance(dpi, tuple) and len(cast(tuple[Any, ...], dpi)) == 2:
        x, y = (float(value) for value in cast(tuple[Any, Any], dpi))
        decoded.resolution = (x, y) if x > 0 and y > 0 else None


_DECODERS: dict[ImageFormat, Callable[[Path], DecodedImage]] = {
    "png": _decode_png,
    "jpeg": _decode_jpeg,
    "webp": _decode_webp,
    "tiff": _decode_tiff,
    "exr": _decode_exr,
    "jxl": _decode_jxl,
    "gif": _decode_gif,
    "avif": _decode_avif,
    "bmp": lambda path: _decode_with_pillow(path, "bmp"),
}
