"""Noise: how much an image varies from pixel to pixel where its reference is flat."""

from dataclasses import dataclass
from math import pi, sqrt

import cv2
import numpy as np

from ...media import Floats, Region
from ..drift import low_pass
from ..luma import STEPS, compute_slope
from .enlargement import Enlargement
from .worst_region import FaultMap

FLAT_SLOPE = 3.0
"""8-bit steps per pixel of the reference, after a Gaussian of one pixel: the maximum slope of flat areas."""

_MIN_FLAT_SHARE = 0.01
_MARGIN = 6
_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True)
class Noise:
    """Standard deviations in 8-bit steps, in the flat part of the reference."""

    image: float
    reference: float
    flat_share: float
    added: float = 0.0
    """Noise that is not the source's: what the reduced image shows of it, times the ratio by which it is lowered."""
    worst: Region | None = None
    """Where most of the image's noise is, in pixels of the reference."""

    @property
    def excess(self) -> float:
        """How much noisier the image is than the reference, as far as the noise was added; negative if smoother."""
        return min(self.image - self.reference, self.added)


def measure_noise(enlargement: Enlargement) -> Noise | None:
    """Measure noise. None if less than 1 % of the reference is flat.

    J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64 (2), 1996: a difference of two
    Laplacians suppresses structure, and the mean of its absolute value is sigma * 6 * sqrt(2 / pi). Exact for noise that is
    independent from pixel to pixel; smoothly enlarged noise is softer and counts less. The grain of a true original is not
    added: its reduction is the source.
    """
    sums: dict[str, float] = {"image": 0.0, "reference": 0.0, "added": 0.0}
    counts = dict.fromkeys(sums, 0)
    places = FaultMap(enlargement.cells)
    for top, bottom in enlargement.iter_strips():
        first, last = max(top - _MARGIN, 0), min(bottom + _MARGIN, enlargement.cells.height)
        reference = enlargement.read_reference_luma(first, last)
        flat = _find_flat(reference)
        for name, plane, mask, inside in (
            ("reference", reference, flat, slice(top - first, bottom - first)),
            ("added", enlargement.difference.luma[first:last] / np.float32(STEPS), flat, slice(top - first, bottom - first)),
            ("image", *_read_flat_image(enlargement, flat, (first, top, bottom, last))),
        ):
            is_flat = mask[inside] > 0
            strengths = np.where(is_flat, np.abs(_apply_laplacian(plane)[inside]), np.float32(0))
            sums[name] += float(strengths.sum(dtype=np.float64))
            counts[name] += int(is_flat.sum())
            if name == "image":
                places.add(top, enlargement.sum_cells(strengths, top, bottom))
    share = counts["reference"] / enlargement.cells.pixel_count
    if share < _MIN_FLAT_SHARE or not counts["image"]:
        return None
    image, reference, added = (sqrt(pi / 2) / 6 * sums[name] / counts[name] * STEPS for name in ("image", "reference", "added"))
    return Noise(image, reference, share, added * enlargement.ratio, places.find_worst())


def _read_flat_image(enlargement: Enlargement, flat: Floats, rows: tuple[int, int, int, int]) -> tuple[Floats, Floats, slice]:
    """Return luma of the image, the mask of its flat part, and the rows that count."""
    first, top, bottom, last = rows
    begin = enlargement.first_row
    plane = enlargement.read_image_luma(int(begin[first]), int(begin[last]))
    inside = slice(int(begin[top] - begin[first]), int(begin[bottom] - begin[first]))
    return plane, enlargement.spread_cells(flat, first, last), inside


def _find_flat(reference: Floats) -> Floats:
    """Return 1 where the reference and its neighbours are flat, else 0."""
    smooth = compute_slope(low_pass(reference[:, :, None], 1.0)[:, :, 0])
    flat = (smooth * STEPS <= FLAT_SLOPE).astype(np.float32)
    return np.asarray(cv2.erode(flat, np.ones((3, 3), np.uint8)), np.float32)


def _apply_laplacian(plane: Floats) -> Floats:
    return np.asarray(cv2.filter2D(plane, cv2.CV_32F, _MASK, borderType=cv2.BORDER_REFLECT_101), np.float32)
