"""What remains of an image after its reduction to the size of its reference, minus the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...media import Floats
from ..delta_e import ciede2000, lab_from_srgb
from ..luma import STEPS, compute_luma
from ..pairing import ImagePair

CAST_BLOCK = 8
"""Side of a block whose mean color is compared, in pixels of the reference."""


@dataclass(frozen=True, eq=False)
class ReducedDifference:
    """An image reduced to its reference."""

    luma: Floats
    """(h, w) image minus reference, in 8-bit steps."""
    reference: Floats
    """(h, w) luma of the reference, in 8-bit steps."""
    color: Floats
    """(rows, columns) CIEDE2000 of the mean colors of whole blocks."""

    @classmethod
    def measure(cls, pair: ImagePair) -> ReducedDifference:
        """Read a pair once."""
        size = pair.size
        luma, reference = (np.empty((size.height, size.width), np.float32) for _ in range(2))
        rows, columns = size.height // CAST_BLOCK, size.width // CAST_BLOCK
        means = np.zeros((2, rows, columns, 3))
        for strip in pair.iter_strips():
            sides = [np.broadcast_to(side, (*side.shape[:2], 3)) for side in (strip.reference, strip.image)]
            reference[strip.rows] = compute_luma(np.array(sides[0])) * STEPS
            luma[strip.rows] = compute_luma(np.array(sides[1])) * STEPS - reference[strip.rows]
            whole = min(strip.rows.stop, rows * CAST_BLOCK) - strip.rows.start
            if whole > 0 and columns:
                index: NDArray[np.intp] = np.arange(strip.rows.start, strip.rows.start + whole, dtype=np.intp) // CAST_BLOCK
                for total, side in zip(means, sides, strict=True):
                    parts = side[:whole, : columns * CAST_BLOCK].reshape(whole, columns, CAST_BLOCK, 3).mean(axis=2)
                    np.add.at(total, index, parts / CAST_BLOCK)
        colors = [lab_from_srgb(side.astype(np.float32)) for side in means]
        color = ciede2000(*colors) if rows and columns else torch.zeros(rows, columns)
        return cls(luma, reference, np.asarray(color.numpy(), np.float32))
