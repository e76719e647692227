"""What a picture file holds, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..media.geometry import Size

Floats: TypeAlias = npt.NDArray[np.float32]
Transfer: TypeAlias = Literal["srgb", "linear"]
BitDepth: TypeAlias = Literal[8, 16, 32]
ImageFormat: TypeAlias = Literal["png", "jpeg", "webp", "tiff", "avif", "exr", "jxl", "bmp", "gif"]


@dataclass(frozen=True, eq=False)
class ImageFile:
    """A picture as it stands in its file.

    Carried, and written back by ``write``: pixels, depth, alpha, ICC profile, transfer, EXIF, resolution, chromaticities.
    Not carried: further pages, frames and layers, thumbnails, XMP, IPTC, PNG text, gain maps, extra channels, colour tables,
    the CMYK values of a CMYK file (converted to RGB by the plain formula, its profile dropped), a PNG's gAMA and cHRM.
    """

    pixels: Floats
    """(H, W, C), C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. 0..1 for integer files; finite and unbounded for float files.
    Alpha is straight (unassociated). The orientation of the file is applied."""
    bits: BitDepth
    """Depth of the file: 8 (also for 1 to 7), 16 (also for 9 to 15) or 32 for floating point, half included."""
    format: ImageFormat
    """What the file is by its content, whatever it is called."""
    transfer: Transfer = "srgb"
    """``linear`` light, or ``srgb``: encoded for a display, by that curve or by the similar one of the profile."""
    icc: bytes | None = None
    """The ICC profile of the pixels, byte for byte."""
    exif: bytes | None = None
    """An EXIF block (TIFF structure, without the ``Exif`` prefix), orientation, pixel size and thumbnail taken out."""
    resolution: tuple[float, float] | None = None
    """Pixels per inch, horizontally and vertically."""
    chromaticities: tuple[float, ...] | None = None
    """EXR only: x, y of red, green, blue and white."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.float32 or self.pixels.ndim != 3 or self.pixels.shape[2] not in (1, 2, 3, 4):
            raise ValueError(f"a picture is float32 (H, W, 1..4), not {self.pixels.dtype} {self.pixels.shape}")

    @property
    def size(self) -> Size:
        return Size(self.pixels.shape[1], self.pixels.shape[0])

    @property
    def has_alpha(self) -> bool:
        return self.pixels.shape[2] in (2, 4)
