"""What may be measured: one picture of any depth, and two whose sizes belong together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import WorkflowError
from ..images.quantize import to_floats
from ..images.resize import ResizeTaps, make_area_taps, make_cubic_taps, reduce_in_linear_light, resample
from ..media.geometry import Size

Pixels = NDArray[Any]
"""(H, W, C), C from 1 to 4 (grey, grey and alpha, RGB, RGBA): float32 in 0..1, or uint8 or uint16 over their whole range."""

Floats = NDArray[np.float32]

CommonSize = Literal["smaller", "reference", "output"]
"""At which of the two sizes a pair meets."""

_STRIP_PIXELS = 1 << 18
"""So many source pixels are in work at a time: CIEDE2000 needs a few dozen arrays of that size, 1 MB each."""

_NAMES = ("reference", "upscaled picture")
_BACKDROP = np.float32(0.5)


@dataclass(frozen=True, eq=False)
class MeasuredImage:
    """A picture whose colour can be read row by row, as float32."""

    pixels: Pixels
    name: str
    """What it is called in an error."""
    is_over_grey: bool = False
    """Lay it over mid grey by its alpha; otherwise alpha is ignored."""

    @property
    def size(self) -> Size:
        return Size(self.pixels.shape[1], self.pixels.shape[0])

    @property
    def has_alpha(self) -> bool:
        return self.pixels.shape[2] in (2, 4)

    def read_rows(self, top: int, bottom: int) -> Floats:
        """(bottom - top, W, 1 or 3), sRGB-encoded. Raises ``WorkflowError`` for NaN and infinity."""
        strip = np.ascontiguousarray(to_floats(self.pixels[top:bottom]), dtype=np.float32)
        if not np.isfinite(strip).all():
            raise WorkflowError(
                f"The {self.name} holds NaN or infinite values.", "Look at the node that made it: it has computed nonsense."
            )
        if not self.has_alpha:
            return strip
        color, alpha = strip[:, :, :-1], strip[:, :, -1:]
        return np.ascontiguousarray(_BACKDROP + (color - _BACKDROP) * alpha if self.is_over_grey else color)


@dataclass(frozen=True, eq=False)
class PairStrip:
    """The same rows of both pictures at the size where they meet, sRGB-encoded, with a margin around them."""

    rows: slice
    """Of the meeting size, without the margin."""
    inside: slice
    """Where ``rows`` lie in the two arrays."""
    reference: Floats
    image: Floats
    """(margin + rows + margin, w, 1 or 3); the margin ends at the border of the picture."""


@dataclass(frozen=True, eq=False)
class ImagePair:
    """A reference and a picture of the same thing, and the size at which they meet."""

    reference: MeasuredImage
    image: MeasuredImage
    size: Size

    def read_reference_rows(self, top: int, bottom: int) -> Floats:
        """(bottom - top, size.width, 1 or 3) of the reference at the size where they meet."""
        return _ResizedSide.create(self.reference, self.size).read_rows(top, bottom)

    def iter_strips(self, margin: int = 0) -> Iterator[PairStrip]:
        """From the top to the bottom; the larger one reduced by area in linear light, or the smaller enlarged by a cubic."""
        size = self.size
        largest = max(self.reference.size.pixel_count, self.image.size.pixel_count, size.pixel_count)
        height = max(_STRIP_PIXELS * size.height // largest, 2 * margin, 1)
        sides = [_ResizedSide.create(each, size) for each in (self.reference, self.image)]
        for top in range(0, size.height, height):
            bottom = min(top + height, size.height)
            first, last = max(top - margin, 0), min(bottom + margin, size.height)
            reference, image = (side.read_rows(first, last) for side in sides)
            yield PairStrip(slice(top, bottom), slice(top - first, bottom - first), reference, image)


@dataclass(frozen=True, eq=False)
class _ResizedSide:
    image: MeasuredImage
    size: Size
    taps: tuple[ResizeTaps, ResizeTaps] | None

    @classmethod
    def create(cls, image: MeasuredImage, size: Size) -> _ResizedSide:
        own = image.size
        if own == size:
            return cls(image, size, None)
        make = make_area_taps if own.pixel_count > size.pixel_count else make_cubic_taps
        return cls(image, size, (make(own.width, size.width), make(own.height, size.height)))

    def read_rows(self, top: int, bottom: int) -> Floats:
        if self.taps is None:
            return self.image.read_rows(top, bottom)
        across, down = self.taps[0], self.taps[1].slice_results(top, bottom)
        resize = reduce_in_linear_light if self.image.size.pixel_count > self.size.pixel_count else resample
        return resize(self.image.read_rows(down.start, down.stop), across, down)


def validate_image(pixels: Pixels, name: str) -> MeasuredImage:
    """Raises ``WorkflowError`` for what is no picture: another number of axes or channels, or no pixel at all."""
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        shape = " x ".join(str(length) for length in pixels.shape)
        raise WorkflowError(f"The {name} is no picture: it is {shape}.", "Give grey or RGB, with or without alpha.")
    if pixels.size == 0:
        raise WorkflowError(
            f"The {name} is empty: {pixels.shape[1]}x{pixels.shape[0]} pixels.", "Choose a crop that holds at least one pixel."
        )
    return MeasuredImage(pixels, name)


def pair_images(reference: Pixels, image: Pixels, common_size: CommonSize = "smaller") -> ImagePair:
    """Two pictures of the same thing, of one size or of two with the same proportions, whichever is the larger.

    Alpha counts when both have it: both are then laid over mid grey. When one has it, colours are compared as they stand.
    Raises ``WorkflowError`` for pictures that are none, or whose proportions differ by more than rounding.
    """
    first, second = validate_image(reference, _NAMES[0]), validate_image(image, _NAMES[1])
    a, b = first.size, second.size
    is_nested = (a.width - b.width) * (a.height - b.height) >= 0
    if not is_nested or _measure_aspect_mismatch(a, b) > 1:
        raise WorkflowError(
            f"The {_NAMES[0]} is {a} and the {_NAMES[1]} is {b}: not the same proportions.",
            "Compare a picture with its own enlargement; crop both alike.",
        )
    both_have_alpha = first.has_alpha and second.has_alpha
    smaller = min(a, b, key=lambda size: size.pixel_count)
    size = {"smaller": smaller, "reference": a, "output": b}[common_size]
    return ImagePair(
        MeasuredImage(reference, _NAMES[0], both_have_alpha), MeasuredImage(image, _NAMES[1], both_have_alpha), size
    )


def _measure_aspect_mismatch(a: Size, b: Size) -> float:
    """By how many pixels the larger of the two misses the proportions of the smaller, in its shorter direction."""
    small, large = sorted((a, b), key=lambda size: size.pixel_count)
    return min(
        abs(large.height - small.height * large.width / small.width),
        abs(large.width - small.width * large.height / small.height),
    )
