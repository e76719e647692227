"""A picture at its own size beside its reference, row by row, as luma: for what the eye sees in the enlargement itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..frames.geometry import Size
from .luma import luma
from .pictures import Floats, Pair, Pixels, paired

Indices = NDArray[np.intp]

_STRIP_PIXELS = 1 << 20


@dataclass(frozen=True, eq=False)
class Enlargement:
    """``pair`` meets at the size of the smaller one. Cells are the reference's pixels there and hold the picture's pixels."""

    pair: Pair

    @classmethod
    def of(cls, reference: Pixels, picture: Pixels) -> Enlargement:
        """Raises what ``paired`` raises."""
        return cls(paired(reference, picture))

    @property
    def cells(self) -> Size:
        return self.pair.size

    @property
    def size(self) -> Size:
        return self.pair.picture.size

    @property
    def ratio(self) -> float:
        """Pixels of the picture per cell, across."""
        return self.size.width / self.cells.width

    @cached_property
    def first_column(self) -> Indices:
        """(cells.width + 1,) where the pixels of each cell begin."""
        return _firsts(self.size.width, self.cells.width)

    @cached_property
    def first_row(self) -> Indices:
        return _firsts(self.size.height, self.cells.height)

    def spread(self, cells: Floats, top: int, bottom: int) -> Floats:
        """(bottom - top, cells.width) of anything per cell, repeated to the pixels of the picture."""
        return cells.repeat(np.diff(self.first_row[top : bottom + 1]), 0).repeat(np.diff(self.first_column), 1)

    def reference_luma(self, top: int, bottom: int) -> Floats:
        """Of the cells in rows ``top`` to ``bottom``."""
        return luma(self.pair.reference_rows(top, bottom))

    def picture_luma(self, top: int, bottom: int) -> Floats:
        """Of the picture's own rows ``top`` to ``bottom``."""
        return luma(self.pair.picture.rows(top, bottom))

    def strips(self) -> Iterator[tuple[int, int]]:
        """Rows of cells, first and end, whose pixels are about a million."""
        rows = max(_STRIP_PIXELS * self.cells.height // self.size.pixels, 1)
        for top in range(0, self.cells.height, rows):
            yield top, min(top + rows, self.cells.height)


def _firsts(pixels: int, cells: int) -> Indices:
    """A pixel belongs to the cell in which its centre lies."""
    return np.ceil(np.arange(cells + 1) * pixels / cells - 0.5).astype(np.intp)
