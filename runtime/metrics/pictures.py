"""What may be measured: one picture of any depth, and two whose sizes belong together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import WorkflowError
from ..frames.geometry import Size
from ..images.area import Taps, area_taps, cubic_taps, reduced, resampled
from ..images.quantize import to_floats

Pixels = NDArray[Any]
"""(H, W, C), C from 1 to 4 (grey, grey and alpha, RGB, RGBA): float32 in 0..1, or uint8 or uint16 over their whole range."""

Floats = NDArray[np.float32]

Place = Literal["smaller", "reference", "output"]
"""At which of the two sizes a pair meets."""

_STRIP_PIXELS = 1 << 18
"""So many source pixels are in work at a time: CIEDE2000 needs a few dozen arrays of that size, 1 MB each."""

_NAMES = ("reference", "upscaled picture")
_BACKDROP = np.float32(0.5)


@dataclass(frozen=True, eq=False)
class Measured:
    """A picture whose colour can be read row by row, as float32."""

    pixels: Pixels
    name: str
    """What it is called in an error."""
    over_grey: bool = False
    """Lay it over mid grey by its alpha; otherwise alpha is ignored."""

    @property
    def size(self) -> Size:
        return Size(self.pixels.shape[1], self.pixels.shape[0])

    @property
    def has_alpha(self) -> bool:
        return self.pixels.shape[2] in (2, 4)

    def rows(self, top: int, bottom: int) -> Floats:
        """(bottom - top, W, 1 or 3), sRGB-encoded. Raises ``WorkflowError`` for NaN and infinity."""
        strip = np.ascontiguousarray(to_floats(self.pixels[top:bottom]), dtype=np.float32)
        if not np.isfinite(strip).all():
            raise WorkflowError(
                f"The {self.name} holds NaN or infinite values.", "Look at the node that made it: it has computed nonsense."
            )
        if not self.has_alpha:
            return strip
        colour, alpha = strip[:, :, :-1], strip[:, :, -1:]
        return np.ascontiguousarray(_BACKDROP + (colour - _BACKDROP) * alpha if self.over_grey else colour)


@dataclass(frozen=True, eq=False)
class Strip:
    """The same rows of both pictures at the size where they meet, sRGB-encoded, with a margin around them."""

    rows: slice
    """Of the meeting size, without the margin."""
    inside: slice
    """Where ``rows`` lie in the two arrays."""
    reference: Floats
    picture: Floats
    """(margin + rows + margin, w, 1 or 3); the margin ends at the border of the picture."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A reference and a picture of the same thing, and the size at which they meet."""

    reference: Measured
    picture: Measured
    size: Size

    def reference_rows(self, top: int, bottom: int) -> Floats:
        """(bottom - top, size.width, 1 or 3) of the reference at the size where they meet."""
        return _Side.of(self.reference, self.size).rows(top, bottom)

    def strips(self, margin: int = 0) -> Iterator[Strip]:
        """From the top to the bottom; the larger one reduced by area in linear light, or the smaller enlarged by a cubic."""
        size = self.size
        largest = max(self.reference.size.pixels, self.picture.size.pixels, size.pixels)
        height = max(_STRIP_PIXELS * size.height // largest, 2 * margin, 1)
        sides = [_Side.of(measured, size) for measured in (self.reference, self.picture)]
        for top in range(0, size.height, height):
            bottom = min(top + height, size.height)
            first, last = max(top - margin, 0), min(bottom + margin, size.height)
            reference, picture = (side.rows(first, last) for side in sides)
            yield Strip(slice(top, bottom), slice(top - first, bottom - first), reference, picture)


@dataclass(frozen=True, eq=False)
class _Side:
    measured: Measured
    size: Size
    taps: tuple[Taps, Taps] | None

    @classmethod
    def of(cls, measured: Measured, size: Size) -> _Side:
        own = measured.size
        if own == size:
            return cls(measured, size, None)
        make = area_taps if own.pixels > size.pixels else cubic_taps
        return cls(measured, size, (make(own.width, size.width), make(own.height, size.height)))

    def rows(self, top: int, bottom: int) -> Floats:
        if self.taps is None:
            return self.measured.rows(top, bottom)
        across, down = self.taps[0], self.taps[1].part(top, bottom)
        change = reduced if self.measured.size.pixels > self.size.pixels else resampled
        return change(self.measured.rows(down.start, down.stop), across, down)


def measured(pixels: Pixels, name: str) -> Measured:
    """Raises ``WorkflowError`` for what is no picture: another number of axes or channels, or no pixel at all."""
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        shape = " x ".join(str(length) for length in pixels.shape)
        raise WorkflowError(f"The {name} is no picture: it is {shape}.", "Give grey or RGB, with or without alpha.")
    if pixels.size == 0:
        raise WorkflowError(
            f"The {name} is empty: {pixels.shape[1]}x{pixels.shape[0]} pixels.", "Choose a crop that holds at least one pixel."
        )
    return Measured(pixels, name)


def paired(reference: Pixels, picture: Pixels, at: Place = "smaller") -> Pair:
    """Two pictures of the same thing, of one size or of two with the same proportions, whichever is the larger.

    Alpha counts when both have it: both are then laid over mid grey. When one has it, colours are compared as they stand.
    Raises ``WorkflowError`` for pictures that are none, or whose proportions differ by more than rounding.
    """
    first, second = measured(reference, _NAMES[0]), measured(picture, _NAMES[1])
    a, b = first.size, second.size
    nested = (a.width - b.width) * (a.height - b.height) >= 0
    if not nested or _off(a, b) > 1:
        raise WorkflowError(
            f"The {_NAMES[0]} is {a} and the {_NAMES[1]} is {b}: not the same proportions.",
            "Compare a picture with its own enlargement; crop both alike.",
        )
    both = first.has_alpha and second.has_alpha
    smaller = min(a, b, key=lambda size: size.pixels)
    size = {"smaller": smaller, "reference": a, "output": b}[at]
    return Pair(Measured(reference, _NAMES[0], both), Measured(picture, _NAMES[1], both), size)


def _off(a: Size, b: Size) -> float:
    """By how many pixels the larger of the two misses the proportions of the smaller, in its shorter direction."""
    small, large = sorted((a, b), key=lambda size: size.pixels)
    return min(
        abs(large.height - small.height * large.width / small.width),
        abs(large.width - small.width * large.height / small.height),
    )
