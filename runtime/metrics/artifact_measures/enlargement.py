"""A picture at its own size beside its reference, row by row, as luma: for what the eye sees in the enlargement itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...media.geometry import Size
from ..luma import compute_luma
from ..pairing import Floats, ImagePair, Pixels, pair_images

Indices = NDArray[np.intp]

_STRIP_PIXELS = 1 << 20


@dataclass(frozen=True, eq=False)
class Enlargement:
    """``pair`` meets at the size of the smaller one. Cells are the reference's pixels there and hold the picture's pixels."""

    pair: ImagePair

    @classmethod
    def from_images(cls, reference: Pixels, image: Pixels) -> Enlargement:
        """Raises what ``paired`` raises."""
        return cls(pair_images(reference, image))

    @property
    def cells(self) -> Size:
        return self.pair.size

    @property
    def size(self) -> Size:
        return self.pair.image.size

    @property
    def ratio(self) -> float:
        """Pixels of the picture per cell, across."""
        return self.size.width / self.cells.width

    @cached_property
    def first_column(self) -> Indices:
        """(cells.width + 1,) where the pixels of each cell begin."""
        return _find_first_pixels(self.size.width, self.cells.width)

    @cached_property
    def first_row(self) -> Indices:
        return _find_first_pixels(self.size.height, self.cells.height)

    def spread_cells(self, cells: Floats, top: int, bottom: int) -> Floats:
        """(bottom - top, cells.width) of anything per cell, repeated to the pixels of the picture."""
        return cells.repeat(np.diff(self.first_row[top : bottom + 1]), 0).repeat(np.diff(self.first_column), 1)

    def read_reference_luma(self, top: int, bottom: int) -> Floats:
        """Of the cells in rows ``top`` to ``bottom``."""
        return compute_luma(self.pair.read_reference_rows(top, bottom))

    def read_image_luma(self, top: int, bottom: int) -> Floats:
        """Of the picture's own rows ``top`` to ``bottom``."""
        return compute_luma(self.pair.image.read_rows(top, bottom))

    def iter_strips(self) -> Iterator[tuple[int, int]]:
        """Rows of cells, first and end, whose pixels are about a million."""
        rows = max(_STRIP_PIXELS * self.cells.height // self.size.pixel_count, 1)
        for top in range(0, self.cells.height, rows):
            yield top, min(top + rows, self.cells.height)


def _find_first_pixels(pixels: int, cells: int) -> Indices:
    """A pixel belongs to the cell in which its centre lies."""
    return np.ceil(np.arange(cells + 1) * pixels / cells - 0.5).astype(np.intp)
