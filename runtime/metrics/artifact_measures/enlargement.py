"""Read an image at its own size together with its reference, row by row, as luma."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...media import Floats, Pixels, Size
from ..luma import compute_luma
from ..pairing import ImagePair, pair_images
from .reduced_difference import ReducedDifference

Indices = NDArray[np.intp]

_STRIP_PIXELS = 1 << 20


@dataclass(frozen=True, eq=False)
class Enlargement:
    """An image and its reference. A cell is a pixel of the reference at the smaller size; it holds pixels of the image."""

    pair: ImagePair

    @classmethod
    def from_images(cls, reference: Pixels, image: Pixels) -> Enlargement:
        """Pair a reference and an image. Raises as ``pair_images``."""
        return cls(pair_images(reference, image).fit_reduction())

    @property
    def cells(self) -> Size:
        return self.pair.size

    @property
    def size(self) -> Size:
        return self.pair.image.size

    @property
    def ratio(self) -> float:
        """Pixels of the image per cell, horizontally."""
        return self.size.width / self.cells.width

    @cached_property
    def difference(self) -> ReducedDifference:
        """Zero for the true original: the reference can hold all of its own reduction, but not what an upscaler added to it."""
        return ReducedDifference.measure(self.pair)

    @cached_property
    def first_column(self) -> Indices:
        """(cells.width + 1,) the first pixel of each cell, and the end."""
        return _find_first_pixels(self.size.width, self.cells.width)

    @cached_property
    def first_row(self) -> Indices:
        return _find_first_pixels(self.size.height, self.cells.height)

    def spread_cells(self, cells: Floats, top: int, bottom: int) -> Floats:
        """Repeat values per cell, (bottom - top, cells.width), to the pixels of the image."""
        return cells.repeat(np.diff(self.first_row[top : bottom + 1]), 0).repeat(np.diff(self.first_column), 1)

    def sum_cells(self, values: Floats, top: int, bottom: int) -> Floats:
        """Sum values per pixel of the image, of the rows ``top`` to ``bottom`` of cells, per cell."""
        rows, columns = self.first_row, self.first_column
        return np.add.reduceat(np.add.reduceat(values, columns[:-1], axis=1), rows[top:bottom] - rows[top], axis=0)

    def read_reference_luma(self, top: int, bottom: int) -> Floats:
        """Return luma of the rows ``top`` to ``bottom`` of cells."""
        return compute_luma(self.pair.read_reference_rows(top, bottom))

    def read_image_luma(self, top: int, bottom: int) -> Floats:
        """Return luma of the rows ``top`` to ``bottom`` of the image."""
        return compute_luma(self.pair.image.read_rows(top, bottom))

    def iter_strips(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of rows of cells, first and end, with about a million pixels each."""
        rows = max(_STRIP_PIXELS * self.cells.height // self.size.pixel_count, 1)
        for top in range(0, self.cells.height, rows):
            yield top, min(top + rows, self.cells.height)


def _find_first_pixels(pixels: int, cells: int) -> Indices:
    """Assign each pixel to the cell that contains its center."""
    return np.ceil(np.arange(cells + 1) * pixels / cells - 0.5).astype(np.intp)
