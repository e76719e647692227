"""Where a fault of a whole image is worst."""

import cv2
import numpy as np
from numpy.typing import NDArray

from ...media import Floats, Region, Size

_BLOCK = 16
"""Side of a block in pixels of the reference."""
_SIDE = 4
"""Blocks per side of the region that is shown."""


class FaultMap:
    """Sums how strong a fault is per block of 16x16 pixels of the reference, strip by strip: 1/256 of its pixels."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._sums = np.zeros((-(-size.height // _BLOCK), -(-size.width // _BLOCK)))

    def add(self, top: int, strengths: Floats | NDArray[np.float64]) -> None:
        """Add the rows from ``top`` on, (rows, width of the reference)."""
        columns = np.add.reduceat(strengths, np.arange(0, self._size.width, _BLOCK), axis=1, dtype=np.float64)
        np.add.at(self._sums, np.arange(top, top + len(strengths)) // _BLOCK, columns)

    def add_region(self, region: Region, strength: float) -> None:
        """Add a strength to every block that a region touches."""
        rows = slice(region.y // _BLOCK, -(-region.bottom // _BLOCK))
        self._sums[rows, region.x // _BLOCK : -(-region.right // _BLOCK)] += strength

    def find_worst(self) -> Region | None:
        """Return the region of up to 64x64 pixels of the reference with the largest sum. None where all are 0."""
        if self._sums.max() <= 0:
            return None
        rows, columns = (min(_SIDE, length) for length in self._sums.shape)
        totals = cv2.boxFilter(self._sums, -1, (columns, rows), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT)
        whole = np.asarray(totals)[: self._sums.shape[0] - rows + 1, : self._sums.shape[1] - columns + 1]
        y, x = (int(index) * _BLOCK for index in np.unravel_index(int(whole.argmax()), whole.shape))
        right, bottom = min(x + columns * _BLOCK, self._size.width), min(y + rows * _BLOCK, self._size.height)
        return Region(x, y, right - x, bottom - y)
