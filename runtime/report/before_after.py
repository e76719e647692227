"""Small pictures of a result beside its source, for a slider: the whole of it, and a detail pixel for pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..frames.geometry import Region, Size
from ..images.preview import preview
from .crops import busiest

Pixels = NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.uint16]

WHOLE = 1280
"""The longest side of a whole picture that is shown."""
DETAIL = Size(960, 640)
"""Of the result, pixel for pixel."""


@dataclass(frozen=True)
class Pair:
    """Two pictures of one thing, the ``whole`` or a detail; ``before`` may be smaller: whoever shows them stretches it."""

    whole: bool
    before: Image.Image
    after: Image.Image


class Before:
    """What is kept of a source until its result is there: little, whatever its size.

    Args:
        pixels: (H, W, C) float32 0..1, uint8 or uint16.
        result: the size that the result will have.
    """

    def __init__(self, pixels: Pixels, result: Size) -> None:
        self._size = Size(pixels.shape[1], pixels.shape[0])
        self._whole = _reduced(pixels)
        # Where nothing is lost by showing all of it, a detail would show nothing new.
        self._region = _busiest(self._whole, self._size, result) if max(result.width, result.height) > WHOLE else None
        self._detail = _cut(pixels, self._region) if self._region else None

    def pairs(self, pixels: Pixels) -> list[Pair]:
        """With the result, (h, w, C) as above: the detail first, because that is where a difference can be seen."""
        found = [Pair(True, self._whole, _reduced(pixels))]
        if self._region and self._detail:
            across, down = pixels.shape[1] / self._size.width, pixels.shape[0] / self._size.height
            region = Region(
                round(self._region.x * across),
                round(self._region.y * down),
                round(self._region.width * across),
                round(self._region.height * down),
            )
            found.insert(0, Pair(False, self._detail, _cut(pixels, region)))
        return found


def _busiest(whole: Image.Image, size: Size, result: Size) -> Region:
    """The part of the source with the most texture, by its reduced picture, that becomes about ``DETAIL`` of the result."""
    width = min(max(round(DETAIL.width * size.width / result.width), 1), size.width)
    height = min(max(round(DETAIL.height * size.height / result.height), 1), size.height)
    across, down = size.width / whole.width, size.height / whole.height
    window = Size(max(round(width / across), 1), max(round(height / down), 1))
    left, top = busiest(np.asarray(whole, np.float32) / np.float32(255), window, "texture")
    return Region(min(round(left * across), size.width - width), min(round(top * down), size.height - height), width, height)


def _cut(pixels: Pixels, region: Region) -> Image.Image:
    part = pixels[region.rows, region.columns]
    return preview(part, max(part.shape[:2]))


def _reduced(pixels: Pixels) -> Image.Image:
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest > WHOLE:
        wanted = max(round(width * WHOLE / longest), 1), max(round(height * WHOLE / longest), 1)
        channels = pixels.shape[2]
        pixels = cast("Pixels", cv2.resize(pixels, wanted, interpolation=cv2.INTER_AREA)).reshape(
            wanted[1], wanted[0], channels
        )
    return preview(pixels, WHOLE)
