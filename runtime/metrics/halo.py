"""Halos: how far a picture overshoots beside the edges of its reference."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .enlargement import Enlargement
from .luma import STEPS, slope
from .pictures import Floats

EDGE_SLOPE = 12.0
"""8-bit steps per pixel of the reference: from here on it is an edge."""

_REACH = 3
"""How far from an edge, in pixels of the reference, ringing belongs to it."""


@dataclass(frozen=True)
class Halo:
    """``height``: mean overshoot beside an edge, in 8-bit steps; ``relative``: the same as a share of the edge's contrast."""

    height: float
    relative: float
    edges: int
    """Pixels of the reference that are edges."""


def measure_halo(enlargement: Enlargement) -> Halo | None:
    """None where the reference has no edges.

    A pixel overshoots by as much as it lies outside of the range of the reference in the 3x3 pixels around it. Of an edge
    counts the greatest overshoot within three pixels. Like the full-reference ringing measure of P. Marziliano, F. Dufaux, S.
    Winkler, T. Ebrahimi, "Perceptual blur and ringing metrics: application to JPEG2000", Signal Processing: Image
    Communication 19 (2), 2004, it looks at both sides of the edges of the reference; measured is the height, not the energy,
    because that can be read back from a picture that was made with a known halo.
    """
    heights = contrasts = edges = 0.0
    for top, bottom in enlargement.strips():
        first, last = max(top - _REACH - 1, 0), min(bottom + _REACH + 1, enlargement.cells.height)
        reference = enlargement.reference_luma(first, last)
        inside = slice(top - first, bottom - first)
        edge = (slope(reference) * STEPS >= EDGE_SLOPE)[inside]
        height = _greatest(_overshoot(enlargement, reference, first, last), _REACH)[inside]
        contrast = (_greatest(reference, _REACH) - _least(reference, _REACH))[inside]
        heights += float(height[edge].sum(dtype=np.float64)) * STEPS
        contrasts += float(contrast[edge].sum(dtype=np.float64)) * STEPS
        edges += int(edge.sum())
    return Halo(heights / edges, heights / contrasts, int(edges)) if edges else None


def _overshoot(enlargement: Enlargement, reference: Floats, top: int, bottom: int) -> Floats:
    """(bottom - top, cells.width): the greatest overshoot among the pixels of each cell."""
    rows, columns = enlargement.first_row, enlargement.first_column
    picture = enlargement.picture_luma(int(rows[top]), int(rows[bottom]))
    above = picture - enlargement.spread(_greatest(reference, 1), top, bottom)
    below = enlargement.spread(_least(reference, 1), top, bottom) - picture
    excess = np.maximum(np.maximum(above, below, out=above), 0, out=above)
    pooled = np.maximum.reduceat(excess, columns[:-1], axis=1)
    return np.maximum.reduceat(pooled, rows[top:bottom] - rows[top], axis=0)


def _greatest(plane: Floats, radius: int) -> Floats:
    return np.asarray(cv2.dilate(plane, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)), np.float32)


def _least(plane: Floats, radius: int) -> Floats:
    return np.asarray(cv2.erode(plane, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)), np.float32)
