"""Faults that fill only a part of an image: grain or texture that only one region has, and a color cast of a region."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ...media import Floats, Region
from ..luma import STEPS
from .enlargement import Enlargement
from .reduced_difference import CAST_BLOCK

_GRAIN_BLOCK = 16
"""Side of a block in pixels of the reference: what is usual for a texture needs more of them than a mean color."""
_MIN_BLOCKS, _MIN_SHARE = {"grain": 4, "cast": 9}, 0.02
"""A fault fills at least this many connected blocks, and this share of the image."""

VISIBLE_GRAIN, _GRAIN_FACTOR = 4.0, 2.0
"""8-bit steps of detail finer than the reference, and how many times what the image has elsewhere on such ground."""

VISIBLE_CAST, _CAST_FACTOR = 1.0, 2.0
"""CIEDE2000 of a block's mean color, and how many times that of the median block."""
_MIN_ERROR, _ERROR_FACTOR = 0.5, 3.0
"""The error that grain leaves in the reduced image, times that by which reduction lowers white noise: as a share of the
detail, and how many times what is usual on such ground. A true original leaves none."""


@dataclass(frozen=True)
class LocalFault:
    """``strength``: 8-bit steps of detail, or CIEDE2000, on average in ``region``, which is in pixels of the reference."""

    kind: str
    strength: float
    region: Region

    @property
    def sentence(self) -> str:
        """The fault and its place."""
        place = f"in the region {self.region.width}x{self.region.height}+{self.region.x}+{self.region.y} of the source"
        if self.kind == "cast":
            return f"Color cast: Delta E (ΔE2000) {self.strength:.1f} {place}."
        return f"Grain or invented texture (hallucination): {self.strength:.1f} of 255 steps {place}, and not elsewhere."


def find_local_faults(enlargement: Enlargement) -> tuple[LocalFault, ...]:
    """Find the worst region of each kind: four connected blocks of 16x16 pixels of the reference, or nine of 8x8 with a cast.

    Grain: variance within the pixels of the reference, which the reference cannot hold, against what the image has elsewhere on
    ground with the same slope of the reference, and only where the reduced image is off too. Cast: the mean color of blocks.
    """
    faults: list[LocalFault] = []
    if enlargement.ratio > 1 and min(enlargement.cells.width, enlargement.cells.height) >= _GRAIN_BLOCK:
        fine, error, slope = _measure_fine_detail(enlargement)
        unusual = fine >= np.maximum(_GRAIN_FACTOR * _fit_usual(fine, slope), slope)
        unusual |= error >= np.maximum(VISIBLE_GRAIN, _ERROR_FACTOR * _fit_usual(error, slope))
        faults += _find_region("grain", _GRAIN_BLOCK, fine, unusual & (fine >= VISIBLE_GRAIN) & (error >= _MIN_ERROR * fine))
    color = enlargement.difference.color
    if color.size:
        faults += _find_region("cast", CAST_BLOCK, color, color >= max(VISIBLE_CAST, _CAST_FACTOR * float(np.median(color))))
    return tuple(faults)


def _measure_fine_detail(enlargement: Enlargement) -> tuple[Floats, Floats, Floats]:
    """Return per block, in steps, the detail finer than the reference, the noise that the reduced image shows, and the slope.

    An edge that is restored to a step varies by its slope within a pixel.
    """
    cells = enlargement.cells
    rows, columns = cells.height // _GRAIN_BLOCK, cells.width // _GRAIN_BLOCK
    fine, error, slope = (np.zeros((rows, columns), np.float32) for _ in range(3))
    first_column, first_row = enlargement.first_column[: columns * _GRAIN_BLOCK + 1], enlargement.first_row
    for row in range(rows):
        top, bottom = row * _GRAIN_BLOCK, (row + 1) * _GRAIN_BLOCK
        image = enlargement.read_image_luma(int(first_row[top]), int(first_row[bottom]))[:, : int(first_column[-1])] * STEPS
        starts = first_row[top:bottom] - first_row[top]
        counts = np.outer(np.diff(first_row[top : bottom + 1]), np.diff(first_column))
        sums, squares = (
            np.add.reduceat(np.add.reduceat(part, first_column[:-1], axis=1), starts, axis=0) / counts
            for part in (image.astype(np.float64), np.square(image, dtype=np.float64))
        )
        variance = np.maximum(squares - np.square(sums), 0)
        reference = enlargement.read_reference_luma(top, bottom)[:, : columns * _GRAIN_BLOCK].astype(np.float64) * STEPS
        squared_slope = np.square(np.gradient(reference, axis=0)) + np.square(np.gradient(reference, axis=1))
        slope[row] = np.sqrt(_average_blocks(squared_slope))
        # A ramp of slope g varies by g^2 / 12 within a pixel.
        fine[row] = np.sqrt(np.maximum(_average_blocks(variance - squared_slope / 6), 0))
        remains = enlargement.difference.luma[top:bottom, : columns * _GRAIN_BLOCK].astype(np.float64)
        spread = _average_blocks(np.square(remains)) - np.square(_average_blocks(remains))
        # White noise of which reduction keeps 1 / n of the variance leaves the other n - 1 parts within the pixels.
        error[row] = np.sqrt(np.maximum(spread * (counts.mean() - 1), 0))
    return fine, error, slope


def _average_blocks(row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of (16, columns * 16) per block."""
    return row.reshape(_GRAIN_BLOCK, -1, _GRAIN_BLOCK).mean(axis=(0, 2))


def _fit_usual(values: Floats, slope: Floats) -> Floats:
    """Return for each block the median of ``values`` over the blocks of the nearest ranks of ``slope``."""
    order = np.argsort(slope, axis=None)
    group = max(order.size // 8, 1)
    ranked, usual = values.ravel()[order], np.empty(order.size, np.float32)
    for start in range(0, order.size, group):
        nearest = ranked[max(start - group // 2, 0) : start + group + group // 2]
        usual[order[start : start + group]] = np.median(nearest)
    return usual.reshape(values.shape)


def _find_region(kind: str, block: int, values: Floats, visible: NDArray[np.bool_]) -> list[LocalFault]:
    """Return the largest connected part of ``visible``, if it is large enough."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(visible.astype(np.uint8), connectivity=8)
    areas = cast("NDArray[np.int32]", stats)[1:, cv2.CC_STAT_AREA]
    if not len(areas) or areas.max() < max(_MIN_BLOCKS[kind], _MIN_SHARE * visible.size):
        return []
    worst = 1 + int(areas.argmax())
    x, y, width, height = (int(stats[worst, key]) * block for key in range(4))
    return [LocalFault(kind, float(values[labels == worst].mean()), Region(x, y, width, height))]
