"""Pixels -> any picture file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import OutputError, Upscale8KError
from ..frames.geometry import Size
from ..whole import sync
from . import encode, icc_profile
from .encode import Job
from .picture import Bits, Floats, Transfer
from .quantize import Pixels
from .refusal import Refusal
from .transfer import from_display, to_display


@dataclass(frozen=True)
class Container:
    """What a file format can hold, and who writes it."""

    name: str
    encoder: Callable[[Job, Path], None]
    bits: tuple[Bits, ...]
    alpha: bool
    side: int
    quality: int | None
    """The quality where none is asked for; None: lossless."""
    lossy: bool = False


_PNG = Container("PNG", encode.write_png, (8, 16), True, 2**31 - 1, None)
_JPEG = Container("JPEG", encode.write_jpeg, (8,), False, 65_500, 95, lossy=True)
_WEBP = Container("WebP", encode.write_webp, (8,), True, 16_383, None, lossy=True)
_TIFF = Container("TIFF", encode.write_tiff, (8, 16, 32), True, 2**31 - 1, None)
_AVIF = Container("AVIF", encode.write_avif, (8,), True, 16_384, 90, lossy=True)
_EXR = Container("EXR", encode.write_exr, (16, 32), True, 2**31 - 1, None)
_JXL = Container("JPEG XL", encode.write_jxl, (8, 16, 32), True, 2**30, None, lossy=True)
CONTAINERS: dict[str, Container] = {
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


def write(
    path: str | os.PathLike[str],
    pixels: Pixels,
    *,
    bits: Bits | None = None,
    transfer: Transfer = "srgb",
    icc: bytes | None = None,
    exif: bytes | None = None,
    resolution: tuple[float, float] | None = None,
    chromaticities: tuple[float, ...] | None = None,
    text: Mapping[str, str] | None = None,
    quality: int | None = None,
    lossless: bool | None = None,
) -> Path:
    """Write a picture.

    Args:
        path: its suffix says the format: .png .jpg .jpeg .webp .tif .tiff .avif .exr .jxl.
        pixels: (H, W, C), C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA, alpha straight. float32 0..1 (above and below too for
            32 bits and EXR), or uint8 or uint16 over their whole range. Floats are clipped and become floor(x * max + 0.5).
        bits: depth of the file. 8, 16 (EXR: half), 32 (floating point). Default: 8, or 16 for uint16 pixels and for EXR.
        transfer: what ``pixels`` hold. They are converted where the file holds the other: by the tone curve of ``icc``, and
            without one EXR and 32 bits are linear light, all others sRGB.
        icc: profile of the pixels. EXR has none: there sRGB is let go (its primaries are what EXR means), others are refused.
        exif: an EXIF block as in ``Picture.exif``. Not in EXR and JPEG XL; TIFF takes the tags that it has itself.
        resolution: pixels per inch. PNG, JPEG, TIFF.
        chromaticities: EXR.
        text: what ComfyUI keeps its ``prompt`` and ``workflow`` in: text chunks of a PNG, EXIF of a WebP, string attributes of
            an EXR. Left out of the other formats, where ComfyUI looks for none.
        quality: 1 to 100, for JPEG (default 95), AVIF (90), WebP and JPEG XL (default: lossless). Others ignore it.
        lossless: True insists, False asks for quality 95 of a format that would otherwise be lossless.

    Returns:
        ``path``. It is whole on the disk (fsync) before it has its name; until then it is called ``NAME.part``.

    Raises:
        OutputError: the format cannot hold the picture (the message names one that can), or it cannot be written. JPEG has no
            alpha: a picture with alpha is refused, not laid on a background nobody chose.
    """
    place = Path(path)
    container = _container(place)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or pixels.dtype.name not in ("float32", "uint8", "uint16"):
        raise ValueError(f"pixels are (H, W, 1..4) float32, uint8 or uint16, not {pixels.dtype} {pixels.shape}")
    depth = bits or (16 if pixels.dtype == np.uint16 or container is _EXR else 8)
    _check_fits(place, container, pixels, depth)
    if container is _EXR and icc and not icc_profile.is_srgb(icc):
        raise OutputError(
            f"{place.name} would lose its colours: EXR holds no ICC profile.", "Write a TIFF with bits=32 instead.", path=place
        )
    job = Job(
        pixels,
        depth,
        _quality(place, container, quality, lossless),
        icc,
        exif,
        resolution,
        chromaticities,
        text or {},
        _to_stored(transfer, icc_profile.stored_transfer(icc, exr=container is _EXR, floating=depth == 32)),
    )
    with replacing(place) as part:
        container.encoder(job, part)
    return place


@contextmanager
def replacing(path: Path) -> Generator[Path, None, None]:
    """Give the body ``NAME.part`` to write; put it on the disk and under its final name when the body is done.

    Whatever goes wrong, the ``.part`` is removed, a file that stood there before stays, and OutputError says why.
    """
    if not path.parent.is_dir():
        raise OutputError(
            f"{path} cannot be written: there is no folder {path.parent}.", "Make it, or name another.", path=path
        )
    if path.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder.", "Name a file.", path=path)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        sync(part)
        part.replace(path)
        sync(path.parent)
    except (Upscale8KError, MemoryError):
        raise
    except OSError as error:
        reason = _one_line(error.strerror or str(error))
        raise OutputError(f"{path} cannot be written: {reason}.", _HINTS.get(error.errno or 0, _ANY_DISK), path=path) from error
    except Exception as error:  # what an encoder says comes in any of a dozen types
        hint = error.hint if isinstance(error, Refusal) else "Write another format, PNG for one."
        raise OutputError(f"{path} cannot be written: {_one_line(str(error))}.", hint, path=path) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _one_line(reason: str) -> str:
    return " ".join(reason.split()).rstrip(".") or "the encoder gave no reason"


_ANY_DISK = "Check that the disk has room and may be written."
_HINTS = {
    errno.ENOSPC: "Make room on the disk, or name another.",
    errno.EDQUOT: "Make room on the disk, or name another.",
    errno.EACCES: "Check the permissions of the folder.",
    errno.EROFS: "Name a folder on a disk that can be written.",
    errno.ENAMETOOLONG: "Give a shorter name.",
}


def _container(path: Path) -> Container:
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise OutputError(
            f"{path.name} has no ending that says a format that can be written.",
            f"Use one of {' '.join(CONTAINERS)}.",
            path=path,
        )
    return container


def _check_fits(path: Path, container: Container, pixels: Pixels, bits: Bits) -> None:
    size = Size(pixels.shape[1], pixels.shape[0])
    if bits not in container.bits:
        others = ", ".join(sorted({other.name for other in CONTAINERS.values() if bits in other.bits}))
        depths = " or ".join(str(depth) for depth in container.bits)
        raise OutputError(
            f"{path.name}: {container.name} holds {depths} bits, not {bits}.", f"{bits} bits fit into {others}.", path=path
        )
    if pixels.shape[2] in (2, 4) and not container.alpha:
        raise OutputError(
            f"{path.name}: {container.name} has no transparency and the picture has.",
            "Write a PNG or a WebP, or take the alpha channel away first.",
            path=path,
        )
    if max(size.width, size.height) > container.side:
        raise OutputError(
            f"{path.name}: {container.name} ends at {container.side:,} pixels a side, the picture is {size}.",
            "Write a PNG, TIFF or EXR.",
            path=path,
        )


def _quality(path: Path, container: Container, quality: int | None, lossless: bool | None) -> int | None:
    if quality is not None and not 1 <= quality <= 100:
        raise OutputError(f"{path.name}: a quality is 1 to 100, not {quality}.", path=path)
    if lossless and container.quality is not None:
        raise OutputError(
            f"{path.name}: {container.name} is never lossless here.", "Write a PNG, WebP, TIFF or JPEG XL.", path=path
        )
    if not container.lossy or lossless:
        return None
    return quality or (95 if lossless is False else container.quality)


def _to_stored(given: Transfer, stored: Transfer) -> Callable[[Floats], Floats] | None:
    if given == stored:
        return None
    return from_display if stored == "linear" else to_display
