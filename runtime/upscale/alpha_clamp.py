"""What may come out at the edges of transparency; what goes in under it is filled by ``images.alpha``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Indices = NDArray[np.intp]


def clamp_to_neighbours(upscaled: Pixels, alpha: Pixels) -> None:
    """Clip ``upscaled`` (h, w) in place to the range of the source pixels that each of its pixels covers, and their neighbours.

    A model or a reduction may ring or drift in flat areas; what was opaque must stay opaque, and what was empty empty.
    """
    (height, width), (source_height, source_width) = upscaled.shape, alpha.shape
    first_columns, end_columns = _find_neighbour_ranges(width, source_width)
    first_rows, end_rows = _find_neighbour_ranges(height, source_height)
    previous_rows, low, high = (-1, -1), alpha[0], alpha[0]
    for row, rows in enumerate(zip(first_rows.tolist(), end_rows.tolist(), strict=True)):
        if rows != previous_rows:  # several rows of an enlarged picture lie in one of the source
            neighbours = alpha[slice(*rows)]
            low = _reduce_ranges(np.minimum, neighbours.min(axis=0), first_columns, end_columns)
            high = _reduce_ranges(np.maximum, neighbours.max(axis=0), first_columns, end_columns)
            previous_rows = rows
        np.clip(upscaled[row], low, high, out=upscaled[row])


def _find_neighbour_ranges(count: int, source: int) -> tuple[Indices, Indices]:
    """First and end of the source pixels under each of ``count`` pixels, one more on both sides."""
    index = np.arange(count)
    return np.maximum(index * source // count - 1, 0), np.minimum(-(-(index + 1) * source // count) + 1, source)


def _reduce_ranges(reduction: np.ufunc, values: Pixels, first: Indices, end: Indices) -> Pixels:
    """``choose`` reduced over ``values[first[i] : end[i]]`` for every i."""
    padded_values = np.append(values, values[-1:])  # an end may be the length itself
    return reduction.reduceat(padded_values, np.stack([first, end], axis=1).ravel())[::2]
