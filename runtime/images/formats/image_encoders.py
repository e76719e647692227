"""One encoder per format. Each writes pixels of any depth to a path and holds at most one integer copy of them (AVIF: three, in
its encoder; JPEG XL: libjxl keeps the whole image).
"""

import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio
from PIL import Image

from ...atomic_write import temp_path
from ...media import Floats, Pixels, has_alpha
from .. import metadata
from ..image_file import BitDepth, make_non_finite_error
from ..sample_conversion import iter_strips, to_floats, to_integers
from . import png
from .header import open_oiio

# Measured on 3840x2160 with photographic noise, two cores, seconds / MB of 8 and of 16 bits:
# level 1, run lengths, Sub filter  0.23 /  7.5   0.46 / 38.1
# the same, all filters             0.42 /  6.8   0.90 / 37.7
# zlib level 1, all filters         0.45 /  9.0   1.5  / 39.0
# zlib level 4, all filters         0.62 /  8.4   2.6  / 38.5
# zlib level 6, all filters         2.7  /  7.9   2.5  / 38.5
_PNG_SETTINGS = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *((cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB) if hasattr(cv2, "IMWRITE_PNG_FILTER") else ()),  # OpenCV 4.12
]
_OPENCV_BYTES = 1 << 31
"""From this size on OpenCV overflows; larger PNGs are written row by row by OpenImageIO."""


@dataclass(frozen=True)
class EncodeJob:
    """Everything an encoder may need. ``convert_transfer`` turns a float strip into the file's own transfer."""

    pixels: Pixels
    bits: BitDepth
    quality: int | None
    icc: bytes | None = None
    exif: bytes | None = None
    resolution: tuple[float, float] | None = None
    chromaticities: tuple[float, ...] | None = None
    text: Mapping[str, str] = field(default_factory=dict[str, str])
    convert_transfer: Callable[[Floats], Floats] | None = None
    quantize: Callable[[Pixels, int], Pixels] = to_integers
    color_chunks: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    xmp: bytes | None = None
    iptc: bytes | None = None

    def iter_strips(self) -> Iterator[tuple[slice, Pixels]]:
        """Yield strips of rows in the file's transfer; integers stay integers if they need no conversion."""
        for rows in iter_strips(self.pixels.shape):
            strip = self.pixels[rows]
            yield rows, strip if self.convert_transfer is None else self.convert_transfer(to_floats(strip))

    def pack_integers(self, layout: list[int | None]) -> Pixels:
        """Return all pixels as integers; channel n comes from channel ``layout[n]``, or is full scale for None."""
        height, width = self.pixels.shape[:2]
        out = np.empty((height, width, len(layout)), np.uint8 if self.bits == 8 else np.uint16)
        for rows, strip in self.iter_strips():
            strip_integers = self.quantize(strip, self.bits)
            for channel, source in enumerate(layout):
                out[rows, :, channel] = np.iinfo(out.dtype).max if source is None else strip_integers[:, :, source]
        return out


def write_png(job: EncodeJob, path: Path) -> None:
    """Compress with OpenCV and insert the metadata chunks; grey with alpha and huge images are written by OpenImageIO."""
    chunks = png.build_metadata_chunks(job.icc, job.exif, job.resolution, job.text, job.color_chunks, job.xmp)
    channels = job.pixels.shape[2]
    if channels == 2 or job.pixels.size * job.bits // 8 >= _OPENCV_BYTES:
        _write_png_by_rows(job, path, chunks)
        return
    layout: dict[int, list[int | None]] = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}
    done, encoded = cv2.imencode(".png", job.pack_integers(layout[channels]), _PNG_SETTINGS)
    if not done:
        raise OSError("the PNG encoder rejected the image")
    data = memoryview(cast(Any, encoded))
    with path.open("wb") as file:
        file.writelines((data[: png.HEADER_BYTES], chunks, data[png.HEADER_BYTES :]))


def _write_png_by_rows(job: EncodeJob, path: Path, chunks: bytes) -> None:
    spec = _make_spec(job)
    spec.erase_attribute("ICCProfile")
    spec.attribute("png:compressionLevel", 1)
    pixels_only_path = temp_path(path)
    try:
        _write_oiio(job, pixels_only_path, "png", spec)
        with pixels_only_path.open("rb") as source, path.open("wb") as file:
            file.write(source.read(png.HEADER_BYTES) + chunks)
            shutil.copyfileobj(source, file)
    finally:
        pixels_only_path.unlink(missing_ok=True)


def write_jpeg(job: EncodeJob, path: Path) -> None:
    """Write at full color resolution (4:4:4)."""
    image = _make_pillow_image(job)
    extra = _make_pillow_metadata(job, job.exif)
    if job.iptc:
        extra["extra"] = metadata.build_iptc_segment(job.iptc)
    save_with_pillow(image, path, "JPEG", quality=job.quality, subsampling=0, **extra)


def write_webp(job: EncodeJob, path: Path) -> None:
    """Write lossless if there is no quality, and exact under transparent pixels.

    Lossless method 1 compresses 3840x2160 to 6.5 MB like method 4 and Pillow's default effort, in 1.0 s instead of 8.7.
    """
    image = _make_pillow_image(job)
    extra = _make_pillow_metadata(job, metadata.add_text_tags(job.exif, job.text))
    save_with_pillow(
        image,
        path,
        "WEBP",
        lossless=job.quality is None,
        quality=job.quality or 0,
        method=1 if job.quality is None else 4,
        exact=True,
        **extra,
    )


def write_avif(job: EncodeJob, path: Path) -> None:
    """Write at full color resolution (4:4:4)."""
    image = _make_pillow_image(job)
    extra = _make_pillow_metadata(job, job.exif)
    save_with_pillow(image, path, "AVIF", quality=job.quality, subsampling="4:4:4", **extra)


def write_tiff(job: EncodeJob, path: Path) -> None:
    """Write with straight alpha; above 4 GB as BigTIFF.

    LZW for 8 bits (3840x2160: 0.3 s, as small as Deflate in 2.7 s), Deflate above (16 % smaller than LZW).
    """
    spec = _make_spec(job)
    spec.attribute("compression", "lzw" if job.bits == 8 else "zip")
    spec.attribute("tiff:write_exif", 0)  # OpenImageIO 3.2 fails on its own EXIF directory, empty as it is
    for name, value in metadata.exif_to_tiff_tags(job.exif).items():
        spec.attribute(name, value)
    if job.resolution:
        spec.attribute("XResolution", float(job.resolution[0]))
        spec.attribute("YResolution", float(job.resolution[1]))
        spec.attribute("ResolutionUnit", "in")
    _write_oiio(job, path, "tiff", spec)


def write_exr(job: EncodeJob, path: Path) -> None:
    """Write half for 16 bits, float for 32, ZIP-compressed, with associated alpha as OpenEXR requires."""
    spec = _make_spec(job)
    spec.set_format("half" if job.bits == 16 else "float")
    spec.erase_attribute("ICCProfile")
    spec.attribute("compression", "zip")
    if job.chromaticities:
        spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), tuple(job.chromaticities))
    for key, value in job.text.items():
        spec.attribute(key, value)
    _write_oiio(job, path, "openexr", spec)


def write_jxl(job: EncodeJob, path: Path) -> None:
    """Write lossless if there is no quality. OpenImageIO cannot pass grey with alpha to libjxl, so it becomes RGBA."""
    if job.pixels.shape[2] == 2:
        job = replace(job, pixels=job.pixels[:, :, [0, 0, 0, 1]], icc=None)
    spec = _make_spec(job)
    spec.attribute("compression", f"jpegxl:{100 if job.quality is None else job.quality}")
    if job.quality is None:
        spec.attribute("jpegxl:effort", 2)  # 3840x2160: 0.9 s / 6.9 MB; effort 1 0.1 / 8.0, 3 2.0 / 6.9, 7 11.6 / 6.3
    _write_oiio(job, path, "jpegxl", spec)


def _make_pillow_image(job: EncodeJob) -> Image.Image:
    """Return a Pillow image that shares the memory of the integers, which is why RGB takes four bytes."""
    channels = job.pixels.shape[2]
    layout: dict[int, list[int | None]] = {1: [0], 2: [0, 0, 0, 1], 3: [0, 1, 2, None], 4: [0, 1, 2, 3]}
    mode = {1: "L", 2: "RGBA", 3: "RGBX", 4: "RGBA"}[channels]
    samples = job.pack_integers(layout[channels])
    return Image.frombuffer(mode, (samples.shape[1], samples.shape[0]), samples, "raw", mode, 0, 1)


def _make_pillow_metadata(job: EncodeJob, exif: bytes | None) -> dict[str, Any]:
    extra: dict[str, Any] = {"icc_profile": job.icc} if job.icc else {}
    if exif:
        extra["exif"] = b"Exif\0\0" + exif
    if job.resolution:
        extra["dpi"] = job.resolution
    if job.xmp:
        extra["xmp"] = job.xmp
    return extra


def _make_spec(job: EncodeJob) -> oiio.ImageSpec:
    height, width, channels = job.pixels.shape
    spec = oiio.ImageSpec(width, height, channels, _choose_sample_type(job))
    spec.attribute("oiio:UnassociatedAlpha", 1)
    if has_alpha(job.pixels):
        spec.alpha_channel = channels - 1
        spec.channelnames = ("Y", "A") if channels == 2 else ("R", "G", "B", "A")
    elif channels == 1:
        spec.channelnames = ("Y",)
    if job.icc:
        spec.attribute("ICCProfile", oiio.TypeDesc(f"uint8[{len(job.icc)}]"), np.frombuffer(job.icc, np.uint8))
    return spec


def _choose_sample_type(job: EncodeJob) -> str:
    if job.bits == 32:
        return "float"
    return "uint8" if job.bits == 8 else "uint16"


def _write_oiio(job: EncodeJob, path: Path, plugin: str, spec: oiio.ImageSpec) -> None:
    """Write strip after strip and stop at the first failure (OpenEXR hangs if it gets more)."""
    target: oiio.ImageOutput | None = oiio.ImageOutput.create(plugin)
    if target is None:
        raise OSError(oiio.geterror())
    opened: bool = target.open(str(path), spec)  # pyright: ignore[reportUnknownMemberType]
    if not opened:
        raise OSError(target.geterror())
    try:
        written = all(target.write_scanlines(rows.start, rows.stop, 0, strip) for rows, strip in _iter_samples(job, plugin))
    finally:
        closed = target.close()
    # The PNG and OpenEXR writers return True from close() after a failure; only the pending message reveals it.
    if not (written and closed) or target.has_error:
        raise OSError(target.geterror())
    if plugin == "png":
        png.verify_chunks(path)
    else:
        check_last_row(path)


def check_last_row(path: Path) -> None:
    """Read the last row back (of JPEG XL the whole image): no library reports whether the end of a file was written."""
    source = open_oiio(path)
    try:
        spec = source.spec()
        row: Any = source.read_scanlines(spec.height - 1, spec.height, 0, 0, spec.nchannels, spec.format)
        if row is None:
            raise OSError(f"write error: {source.geterror()}")
    finally:
        source.close()


def _iter_samples(job: EncodeJob, plugin: str) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    for rows, strip in job.iter_strips():
        if plugin == "openexr":
            yield rows, _prepare_for_openexr(to_floats(strip), job.bits)
        else:
            samples = _check_finite(to_floats(strip)) if job.bits == 32 else job.quantize(strip, job.bits)
            yield rows, np.ascontiguousarray(samples)


def _prepare_for_openexr(strip: Floats, bits: BitDepth) -> Floats:
    """Associate alpha (OpenEXR, "Technical Introduction", alpha); raise ``ValueError`` for values that half cannot store."""
    _check_finite(strip)
    if bits == 16 and (largest := float(np.abs(strip).max())) > _HALF_MAX:
        raise ValueError(f"a value of {largest:g} is above {_HALF_MAX}, the maximum of half; write 32 bits")
    if not has_alpha(strip):
        return np.ascontiguousarray(strip)
    associated = strip.copy()
    associated[:, :, :-1] *= strip[:, :, -1:]
    return associated


_HALF_MAX = 65504


def _check_finite(strip: Floats) -> Floats:
    if not np.isfinite(strip).all():
        raise make_non_finite_error()
    return strip


def save_with_pillow(image: Image.Image, path: Path, format_name: str, **options: Any) -> None:
    """Encode in memory and then write, because Pillow treats a short write, as on a full disk, as success.

    Raises:
        OSError: not every byte could be written.
    """
    encoded = io.BytesIO()
    image.save(encoded, format_name, **options)
    path.write_bytes(encoded.getvalue())  # not getbuffer(): Python 3.12.1 crashes where a failed write keeps that one
