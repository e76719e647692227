"""Banding: smooth areas that became stairs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...media import Region
from ..luma import STEPS
from ..pairing import Floats
from .enlargement import Enlargement
from .worst_region import FaultMap

_WINDOW = 64
"""Side of a window in pixels of the image."""

SMOOTH_RANGE = 24.0
"""8-bit steps: a window of the reference with a larger range is not smooth."""

_MIN_STEP, _MAX_STEP = 0.75, 8.5
"""8-bit steps: higher stairs are edges of the content, such as the facets of a drawing."""
_MIN_FLAT_SHARE = 0.75
_OVER_STEPS = 1.5
_MIN_ERROR = 0.15
"""Of the height of the steps: rounding to steps of height s is off by s / sqrt(12), 0.29 s; bands that the source has, by 0."""


@dataclass(frozen=True)
class Banding:
    """``step``: mean height of the stairs in banded windows, in 8-bit steps; ``share``: banded part of the smooth windows."""

    step: float
    share: float
    smooth: int
    """Number of windows that are smooth in the reference."""
    worst: Region | None = None
    """Where most bands are, in pixels of the reference."""


def measure_banding(enlargement: Enlargement) -> Banding | None:
    """Measure banding. None if no window of the reference is smooth, or the image is a single row or column.

    In a window of 64 x 64 pixels with differences g between neighbours, sum(g^2) / sum(|g|) is the height s of the steps of a
    staircase, and the slope of a ramp. The window is banded if at least three quarters of the differences are below s / 4 (a
    staircase is flat between its steps; a ramp and noise are not), s is at least 0.75 and 1.5 times the s of the reference
    there, and the reduced image is off by 0.15 s and more, as rounding is. This measure is our own: CAMBI (P. Tandon et al.,
    "CAMBI: Contrast-aware multiscale banding index", PCS 2021) is a score without a unit, and does not ignore bands that the
    reference has too.
    """
    if min(enlargement.size.width, enlargement.size.height) < 2:
        return None
    smooth = banded = 0
    steps = 0.0
    places = FaultMap(enlargement.cells)
    for image, reference_range, min_step, regions in _iter_windows(enlargement):
        height, still_share = _measure_staircase(image)
        is_smooth = reference_range <= SMOOTH_RANGE
        errors = np.array([enlargement.difference.luma[one.rows, one.columns].std() for one in regions])
        found = is_smooth & (still_share >= _MIN_FLAT_SHARE) & (height >= min_step) & (height <= _MAX_STEP)
        found &= errors >= _MIN_ERROR * height
        smooth += int(is_smooth.sum())
        banded += int(found.sum())
        steps += float(height[found].sum())
        for region, one in zip(regions, np.where(found, height, 0.0), strict=True):
            places.add_region(region, float(one))
    return Banding(steps / banded if banded else 0.0, banded / smooth, smooth, places.find_worst()) if smooth else None


def _iter_windows(enlargement: Enlargement) -> Iterator[tuple[Floats, Floats, Floats, list[Region]]]:
    """Yield per row of windows: luma (n, side, side), range of the reference (n,), minimum height of a banded step (n,),
    and the regions of the reference.
    """
    size, cells = enlargement.size, enlargement.cells
    side = min(_WINDOW, size.width, size.height)
    lefts = np.arange(0, size.width - side + 1, side)
    spans = [(int(left * cells.width // size.width), -(-int(left + side) * cells.width // size.width)) for left in lefts]
    for top in range(0, size.height - side + 1, side):
        rows = enlargement.read_image_luma(top, top + side)[:, : len(lefts) * side] * np.float32(STEPS)
        image = rows.reshape(side, len(lefts), side).swapaxes(0, 1)
        first, end = top * cells.height // size.height, -(-(top + side) * cells.height // size.height)
        reference_rows = enlargement.read_reference_luma(first, end) * np.float32(STEPS)
        parts = [reference_rows[:, left:right] for left, right in spans]
        ranges = np.array([part.max() - part.min() for part in parts], np.float32)
        regions = [Region(left, first, right - left, end - first) for left, right in spans]
        yield image, ranges, np.array([_compute_min_step(part) for part in parts], np.float32), regions


def _compute_min_step(part: Floats) -> float:
    """Return the minimum height of a step that is not part of the reference (h, w) itself."""
    return max(_MIN_STEP, _OVER_STEPS * float(_measure_staircase(part[None])[0][0])) if min(part.shape) > 1 else _MIN_STEP


def _measure_staircase(windows: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return step height and share of flat differences, in the direction in which each window changes more."""
    found = [_measure_changes(np.abs(np.diff(windows, axis=axis))) for axis in (1, 2)]
    down, across = found
    more = down[2] > across[2]
    return np.where(more, down[0], across[0]), np.where(more, down[1], across[1])


def _measure_changes(change: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    total = change.sum(axis=(1, 2), dtype=np.float64)
    height = np.square(change, dtype=np.float64).sum(axis=(1, 2)) / np.maximum(total, 1e-9)
    still = (change < height[:, None, None] / 4).mean(axis=(1, 2))
    return height, still, total
