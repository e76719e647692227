"""Consistency: how close an image, reduced again, is to its reference."""

from dataclasses import dataclass
from math import log10, sqrt

import numpy as np
from numpy.typing import NDArray

from ...media import Region
from ..luma import STEPS
from ..pairing import ImagePair, PairStrip
from .worst_region import FaultMap

IDENTICAL_DB = 99.0


@dataclass(frozen=True)
class Consistency:
    """``rmse`` over pixels and channels in 8-bit steps, and the same as a peak signal-to-noise ratio, at most 99 dB."""

    rmse: float
    psnr_db: float
    worst: Region | None = None
    """Where it differs most, in pixels of the reference."""


def measure_consistency(pair: ImagePair) -> Consistency:
    """Measure "LR-PSNR" of A. Lugmayr et al., "NTIRE 2021 Learning the Super-Resolution Space Challenge", CVPR Workshops 2021.

    They reduce by a cubic and call 45 dB and more consistent; here the reduction is by area in linear light, as in all metrics.
    """
    total, count, places = 0.0, 0, FaultMap(pair.size)
    for rows, (squared, values) in pair.map_strips(_square_error):
        places.add(rows.start, squared)
        total += float(squared.sum())
        count += values
    rmse = sqrt(total / count) * STEPS
    psnr_db = min(20 * log10(STEPS / rmse), IDENTICAL_DB) if rmse else IDENTICAL_DB
    return Consistency(rmse, psnr_db, places.find_worst())


def _square_error(strip: PairStrip) -> tuple[NDArray[np.float64], int]:
    """Return the sum over the channels per pixel, and how many values there are."""
    error = np.subtract(*np.broadcast_arrays(strip.image, strip.reference), dtype=np.float64)
    return np.square(error).sum(axis=2), error.size
