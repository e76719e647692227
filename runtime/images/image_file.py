"""The contents of an image file as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from ..media import Floats, Size, has_alpha


class ImageFormatError(ValueError):
    """A problem of the image, as a clause that follows "cannot be read:" or "cannot be written:", and ``hint``, the next step.

    ``read`` and ``write`` translate it into ``MediaError`` or ``OutputError``, with the name of the file.
    """

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


def make_non_finite_error() -> ImageFormatError:
    """Return the error for NaN and infinite values in a result."""
    problem = "the image holds values that are not numbers (NaN or infinite)"
    return ImageFormatError(problem, "The step that made it failed; if it was a model in half precision, run it in fp32.")


Transfer: TypeAlias = Literal["srgb", "linear"]
BitDepth: TypeAlias = Literal[8, 16, 32]
ImageFormat: TypeAlias = Literal["png", "jpeg", "webp", "tiff", "avif", "exr", "jxl", "bmp", "gif"]


@dataclass(frozen=True, eq=False)
class ImageFile:
    """An image as stored in its file.

    Kept, and written back by ``write``: pixels, depth, alpha, ICC profile, transfer, EXIF, XMP, IPTC, resolution,
    chromaticities, color chunks. Dropped: thumbnails, PNG text, gain maps, color tables, and what ``losses`` names: further
    pages, frames, layers and channels, XMP and IPTC of a TIFF, and the CMYK values of a CMYK file (converted to RGB by the
    simple formula, without its profile).
    """

    pixels: Floats
    """(H, W, C), C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. 0..1 for integer files; finite and unbounded for float files.
    Alpha is straight (unassociated). The orientation of the file is applied."""
    bits: BitDepth
    """Depth of the file: 8 (also for 1 to 7), 16 (also for 9 to 15) or 32 for floating point, half included."""
    format: ImageFormat
    """Determined by the content of the file, not by its name."""
    transfer: Transfer = "srgb"
    """``linear`` light, or ``srgb``: encoded for a display by the sRGB curve or by the similar one of the profile."""
    icc: bytes | None = None
    """The ICC profile of the pixels, byte for byte."""
    exif: bytes | None = None
    """An EXIF block (TIFF structure, no ``Exif`` prefix) without orientation, pixel size and thumbnail."""
    resolution: tuple[float, float] | None = None
    """Pixels per inch, horizontal and vertical."""
    chromaticities: tuple[float, ...] | None = None
    """EXR only: x, y of red, green, blue and white."""
    color_chunks: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    """PNG chunks that give the numbers another meaning than sRGB: cICP (PQ, HLG, P3), gAMA, cHRM. Empty for sRGB."""
    xmp: bytes | None = None
    """An XMP packet (ISO 16684-1) without orientation and pixel size."""
    iptc: bytes | None = None
    """IPTC-IIM records, of JPEG only."""
    losses: tuple[str, ...] = ()
    """What the file holds and this value does not, as clauses that follow the name: ``has 12 pages; the first is read``."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.float32 or self.pixels.ndim != 3 or self.pixels.shape[2] not in (1, 2, 3, 4):
            raise ValueError(f"pixels must be float32 (H, W, 1..4), not {self.pixels.dtype} {self.pixels.shape}")

    @property
    def size(self) -> Size:
        return Size(self.pixels.shape[1], self.pixels.shape[0])

    @property
    def has_alpha(self) -> bool:
        return has_alpha(self.pixels)
