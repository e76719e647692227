"""Small images of a source and its result for a slider: an overview, and a detail pixel for pixel."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..images import make_preview
from ..media import Frame, Region, Size
from .crops import find_busiest_window

Pixels = NDArray[np.float32] | NDArray[np.uint8] | NDArray[np.uint16]

OVERVIEW_SIDE = 1280
"""The longest side of an overview."""
DETAIL_SIZE = Size(960, 640)
"""Size of the detail in pixels of the result."""
MAX_FRAMES = 3
"""Of a video, at most."""


@dataclass(frozen=True)
class BeforeAfterPair:
    """Two images of the same region, an overview (``is_whole``) or a detail; a smaller ``before`` is to be stretched."""

    is_whole: bool
    before: Image.Image
    after: Image.Image


class SourceSnapshot:
    """What is kept of a source until its result is ready: little, whatever its size.

    Args:
        pixels: (H, W, C) float32 0..1, uint8 or uint16.
        result: the size that the result will have.
    """

    def __init__(self, pixels: Pixels, result: Size) -> None:
        self._size = Size(pixels.shape[1], pixels.shape[0])
        self._overview = _make_overview(pixels)
        # Where nothing is lost by showing all of it, a detail would show nothing new.
        self._region = (
            _find_detail_region(self._overview, self._size, result)
            if max(result.width, result.height) > OVERVIEW_SIDE
            else None
        )
        self._detail = _crop_preview(pixels, self._region) if self._region else None

    def make_pairs(self, pixels: Pixels) -> list[BeforeAfterPair]:
        """Pair it with the result, (h, w, C) as above: the detail first, because it shows the difference."""
        found = [BeforeAfterPair(True, self._overview, _make_overview(pixels))]
        if self._region and self._detail:
            scale_x, scale_y = pixels.shape[1] / self._size.width, pixels.shape[0] / self._size.height
            region = Region(
                round(self._region.x * scale_x),
                round(self._region.y * scale_y),
                round(self._region.width * scale_x),
                round(self._region.height * scale_y),
            )
            found.insert(0, BeforeAfterPair(False, self._detail, _crop_preview(pixels, region)))
        return found


def _find_detail_region(overview: Image.Image, size: Size, result: Size) -> Region:
    """Find the region of the source with the most texture that becomes about ``DETAIL_SIZE`` of the result."""
    width = min(max(round(DETAIL_SIZE.width * size.width / result.width), 1), size.width)
    height = min(max(round(DETAIL_SIZE.height * size.height / result.height), 1), size.height)
    scale_x, scale_y = size.width / overview.width, size.height / overview.height
    window = Size(max(round(width / scale_x), 1), max(round(height / scale_y), 1))
    left, top = find_busiest_window(np.asarray(overview, np.float32) / np.float32(255), window, "texture")
    return Region(
        min(round(left * scale_x), size.width - width), min(round(top * scale_y), size.height - height), width, height
    )


def _crop_preview(pixels: Pixels, region: Region) -> Image.Image:
    part = pixels[region.rows, region.columns]
    return make_preview(part, max(part.shape[:2]))


def _make_overview(pixels: Pixels) -> Image.Image:
    height, width = pixels.shape[:2]
    longest = max(height, width)
    if longest > OVERVIEW_SIDE:
        reduced_size = max(round(width * OVERVIEW_SIDE / longest), 1), max(round(height * OVERVIEW_SIDE / longest), 1)
        channels = pixels.shape[2]
        pixels = cast("Pixels", cv2.resize(pixels, reduced_size, interpolation=cv2.INTER_AREA)).reshape(
            reduced_size[1], reduced_size[0], channels
        )
    return make_preview(pixels, OVERVIEW_SIDE)


class VideoFramePairs:
    """Samples the same frames before and after an upscaler while they pass, so none is computed twice.

    Sampled at 1/6, 1/2 and 5/6 of the duration: the first frame is often black.
    """

    def __init__(self) -> None:
        self._size: Size | None = None
        self._times: list[float] = []
        self._sources: dict[int, SourceSnapshot] = {}
        self._pairs: dict[int, list[tuple[str, BeforeAfterPair]]] = {}

    def reset(self, duration: float, size: Size) -> None:
        """Start anew for a result of ``duration`` seconds and this size."""
        self._size = size
        self._times = [duration * (2 * number + 1) / (2 * MAX_FRAMES) for number in range(MAX_FRAMES)]
        self._sources.clear()
        self._pairs.clear()

    def add_source_frame(self, frame: Frame) -> None:
        """Keep a frame of the source if it is sampled."""
        if self._size and self._is_sampled(frame):
            self._sources[frame.pts] = SourceSnapshot(frame.pixels, self._size)

    def add_result_frame(self, frame: Frame) -> None:
        """Pair a frame of the result with its source, which was added before."""
        before = self._sources.pop(frame.pts, None)
        if before:
            when = f"{float(frame.seconds):.2f} s"
            self._pairs[frame.pts] = [(when, pair) for pair in before.make_pairs(frame.pixels)]

    def get_pairs(self) -> list[tuple[str, BeforeAfterPair]]:
        """Return the pairs in order, each with its time as text."""
        return [pair for pts in sorted(self._pairs) for pair in self._pairs[pts]]

    def _is_sampled(self, frame: Frame) -> bool:
        end = float((frame.pts + max(frame.duration, 1)) * frame.time_base)
        return any(float(frame.seconds) <= time < end for time in self._times)
