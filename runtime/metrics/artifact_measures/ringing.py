"""Ringing (halos): how far an image overshoots beside the edges of its reference."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...media import Floats, Region
from ..luma import STEPS, compute_slope
from .enlargement import Enlargement
from .worst_region import FaultMap

EDGE_SLOPES = (12.0, 4.0)
"""8-bit steps per pixel of the reference: the minimum slope of an edge, and of a soft one, as a shaded drawing has."""

_RINGING_RADIUS = 4
"""Distance from an edge, in pixels of the reference, up to which ringing is searched."""

_PLATEAU_RANGE = 6.0
"""8-bit steps: the maximum range of a 3x3 window of the reference that is flat."""


_MIN_EDGES = 30
_STRONGEST_SHARE = 0.2
_BINS = 4 * STEPS + 1
"""Of a quarter of a step, of the histogram of overshoots."""


@dataclass(frozen=True)
class Ringing:
    """Of the fifth of all edges that overshoot most. ``height``: mean overshoot beside an edge, in 8-bit steps; ``relative``:
    the same as a share of the edge's contrast.
    """

    height: float
    relative: float
    edges: int
    """Pixels of the reference that are edges."""
    worst: Region | None = None
    """Where most of the overshoot is, in pixels of the reference."""


def measure_ringing(enlargement: Enlargement) -> Ringing | None:
    """Measure ringing. None if the reference has fewer than 30 pixels of edges with flat ground beside them.

    Sharp edges are measured alone, and all edges; the larger overshoot counts, as an image of soft shapes has few sharp ones.

    The overshoot of a pixel is its distance from the range of the reference in the 3x3 pixels around it, as far as the reduced
    image is off in the same direction: an outline that is finer than the reference leaves that range in a true original too,
    but keeps the mean. An edge counts with the maximum overshoot within four pixels, on the flat ground beside it only. The
    strongest fifth of the edges decides, because an echo is visible only where it falls on flat ground. Like the
    full-reference ringing measure of P. Marziliano, F. Dufaux, S. Winkler, T. Ebrahimi, "Perceptual blur and ringing metrics:
    application to JPEG2000", Signal Processing: Image Communication 19 (2), 2004, this examines both sides of the edges of the
    reference. It measures height instead of energy, so that the result can be verified on an image with a known halo.
    """
    counts, contrasts = (np.zeros((len(EDGE_SLOPES), _BINS)) for _ in range(2))
    places = [FaultMap(enlargement.cells) for _ in EDGE_SLOPES]
    for top, bottom in enlargement.iter_strips():
        first, last = max(top - _RINGING_RADIUS - 1, 0), min(bottom + _RINGING_RADIUS + 1, enlargement.cells.height)
        reference = enlargement.read_reference_luma(first, last)
        inside = slice(top - first, bottom - first)
        plateau = _erode(_dilate(reference, 1) - _erode(reference, 1), 1) * STEPS <= _PLATEAU_RANGE
        near_plateau = _dilate(plateau.astype(np.float32), 1) > 0
        slope = np.where(near_plateau, compute_slope(reference) * STEPS, np.float32(0))[inside]
        overshoot = np.where(plateau, _measure_overshoot(enlargement, reference, first, last), np.float32(0))
        height = _dilate(overshoot, _RINGING_RADIUS)[inside]
        contrast = (_dilate(reference, _RINGING_RADIUS) - _erode(reference, _RINGING_RADIUS))[inside]
        for row, minimum in enumerate(EDGE_SLOPES):
            edge = slope >= minimum
            bins = np.rint(height[edge] * (_BINS - 1)).astype(np.intp)
            counts[row] += np.bincount(bins, minlength=_BINS)
            contrasts[row] += np.bincount(bins, contrast[edge], minlength=_BINS) * STEPS
            places[row].add(top, np.where(edge, height, np.float32(0)))
    found = [
        Ringing(*_average_strongest(counts[row], contrasts[row]), int(counts[row].sum()), places[row].find_worst())
        for row in range(len(EDGE_SLOPES))
        if counts[row].sum() >= _MIN_EDGES
    ]
    return max(found, key=lambda one: one.height) if found else None


def _average_strongest(counts: NDArray[np.float64], contrasts: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean overshoot of the strongest fifth in steps, and as a share of their contrast."""
    above = np.cumsum(counts[::-1])[::-1]
    kept = np.clip(_STRONGEST_SHARE * above[0] - (above - counts), 0, counts)
    heights = np.arange(_BINS) * (STEPS / (_BINS - 1))
    total = float(kept @ heights)
    return total / float(kept.sum()), total / float((contrasts * kept / np.maximum(counts, 1)).sum())


def _measure_overshoot(enlargement: Enlargement, reference: Floats, top: int, bottom: int) -> Floats:
    """Return the maximum overshoot among the pixels of each cell, (bottom - top, cells.width)."""
    rows, columns = enlargement.first_row, enlargement.first_column
    image = enlargement.read_image_luma(int(rows[top]), int(rows[bottom]))
    shift = enlargement.difference.luma[top:bottom] * np.float32(enlargement.ratio / STEPS)
    excess = np.zeros_like(shift)
    for sign, border in ((1, _dilate(reference, 1)), (-1, _erode(reference, 1))):
        beyond = sign * (image - enlargement.spread_cells(border, top, bottom))
        pooled = np.maximum.reduceat(np.maximum.reduceat(beyond, columns[:-1], axis=1), rows[top:bottom] - rows[top], axis=0)
        excess = np.maximum(excess, np.minimum(pooled, sign * shift))
    return excess


def _dilate(plane: Floats, radius: int) -> Floats:
    return np.asarray(cv2.dilate(plane, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)), np.float32)


def _erode(plane: Floats, radius: int) -> Floats:
    return np.asarray(cv2.erode(plane, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)), np.float32)
