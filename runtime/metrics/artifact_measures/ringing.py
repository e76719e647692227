"""Ringing (halos): how far an image overshoots beside the edges of its reference."""

from dataclasses import dataclass

import cv2
import numpy as np

from ...media import Floats, Region
from ..luma import STEPS, compute_slope
from .enlargement import Enlargement
from .worst_region import FaultMap

EDGE_SLOPE = 12.0
"""8-bit steps per pixel of the reference: the minimum slope of an edge."""

_RINGING_RADIUS = 4
"""Distance from an edge, in pixels of the reference, up to which ringing is searched."""

_PLATEAU_RANGE = 6.0
"""8-bit steps: the maximum range of a 3x3 window of the reference that is flat."""


_MIN_EDGES = 30


@dataclass(frozen=True)
class Ringing:
    """``height``: mean overshoot beside an edge, in 8-bit steps; ``relative``: the same as a share of the edge's contrast."""

    height: float
    relative: float
    edges: int
    """Pixels of the reference that are edges."""
    worst: Region | None = None
    """Where most of the overshoot is, in pixels of the reference."""


def measure_ringing(enlargement: Enlargement) -> Ringing | None:
    """Measure ringing. None if the reference has fewer than 30 pixels of edges with flat ground beside them.

    The overshoot of a pixel is its distance from the range of the reference in the 3x3 pixels around it. An edge counts
    with the maximum overshoot within four pixels, on the flat ground beside it only: in texture any detail that the
    reference cannot hold leaves that range, in a true original too. Like the full-reference ringing measure of P.
    Marziliano, F. Dufaux, S. Winkler, T. Ebrahimi, "Perceptual blur and ringing metrics: application to JPEG2000", Signal
    Processing: Image Communication 19 (2), 2004, this examines both sides of the edges of the reference. It measures height
    instead of energy, so that the result can be verified on an image with a known halo.
    """
    heights = contrasts = edges = 0.0
    places = FaultMap(enlargement.cells)
    for top, bottom in enlargement.iter_strips():
        first, last = max(top - _RINGING_RADIUS - 1, 0), min(bottom + _RINGING_RADIUS + 1, enlargement.cells.height)
        reference = enlargement.read_reference_luma(first, last)
        inside = slice(top - first, bottom - first)
        plateau = _erode(_dilate(reference, 1) - _erode(reference, 1), 1) * STEPS <= _PLATEAU_RANGE
        near_plateau = _dilate(plateau.astype(np.float32), 1) > 0
        edge = ((compute_slope(reference) * STEPS >= EDGE_SLOPE) & near_plateau)[inside]
        overshoot = np.where(plateau, _measure_overshoot(enlargement, reference, first, last), np.float32(0))
        height = _dilate(overshoot, _RINGING_RADIUS)[inside]
        contrast = (_dilate(reference, _RINGING_RADIUS) - _erode(reference, _RINGING_RADIUS))[inside]
        heights += float(height[edge].sum(dtype=np.float64)) * STEPS
        places.add(top, np.where(edge, height, np.float32(0)))
        contrasts += float(contrast[edge].sum(dtype=np.float64)) * STEPS
        edges += int(edge.sum())
    if edges < _MIN_EDGES:
        return None
    return Ringing(heights / edges, heights / contrasts, int(edges), places.find_worst())


def _measure_overshoot(enlargement: Enlargement, reference: Floats, top: int, bottom: int) -> Floats:
    """Return the maximum overshoot among the pixels of each cell, (bottom - top, cells.width)."""
    rows, columns = enlargement.first_row, enlargement.first_column
    image = enlargement.read_image_luma(int(rows[top]), int(rows[bottom]))
    above = image - enlargement.spread_cells(_dilate(reference, 1), top, bottom)
    below = enlargement.spread_cells(_erode(reference, 1), top, bottom) - image
    excess = np.maximum(np.maximum(above, below, out=above), 0, out=above)
    pooled = np.maximum.reduceat(excess, columns[:-1], axis=1)
    return np.maximum.reduceat(pooled, rows[top:bottom] - rows[top], axis=0)


def _dilate(plane: Floats, radius: int) -> Floats:
    return np.asarray(cv2.dilate(plane, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)), np.float32)


def _erode(plane: Floats, radius: int) -> Floats:
    return np.asarray(cv2.erode(plane, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)), np.float32)
