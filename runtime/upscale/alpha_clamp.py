"""Limits upscaled alpha at the edges of transparency; ``images.alpha`` fills the color under it beforehand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
Indices = NDArray[np.intp]


def clamp_to_neighbours(upscaled: Pixels, alpha: Pixels) -> None:
    """Clip ``upscaled`` (h, w) in place to the range of the source pixels that each of its pixels covers, and their neighbours.

    A model or a reduction may ring or drift in flat areas; opaque areas must stay opaque, and empty ones empty.
    """
    (height, width), (source_height, source_width) = upscaled.shape, alpha.shape
    first_columns, end_columns = _find_neighbour_ranges(width, source_width)
    first_rows, end_rows = _find_neighbour_ranges(height, source_height)
    previous_rows, low, high = (-1, -1), alpha[0], alpha[0]
    for row, rows in enumerate(zip(first_rows.tolist(), end_rows.tolist(), strict=True)):
        if rows != previous_rows:  # several rows of the result cover the same source rows
            neighbours = alpha[slice(*rows)]
            low = _reduce_ranges(np.minimum, neighbours.min(axis=0), first_columns, end_columns)
            high = _reduce_ranges(np.maximum, neighbours.max(axis=0), first_columns, end_columns)
            previous_rows = rows
        np.clip(upscaled[row], low, high, out=upscaled[row])


def _find_neighbour_ranges(count: int, source: int) -> tuple[Indices, Indices]:
    """Start and stop of the source pixels under each of ``count`` pixels, extended by one pixel on both sides."""
    index = np.arange(count)
    return np.maximum(index * source // count - 1, 0), np.minimum(-(-(index + 1) * source // count) + 1, source)


def _reduce_ranges(reduction: np.ufunc, values: Pixels, first: Indices, end: Indices) -> Pixels:
    """``reduction`` over ``values[first[i] : end[i]]`` for every i."""
    padded_values = np.append(values, values[-1:])  # an end may equal the length
    return reduction.reduceat(padded_values, np.stack([first, end], axis=1).ravel())[::2]
