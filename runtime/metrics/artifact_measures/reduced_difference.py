"""What remains of an image after its reduction to the size of its reference, minus the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...media import Floats
from ..delta_e import ciede2000, lab_from_srgb
from ..luma import STEPS, compute_luma
from ..pairing import ImagePair, PairStrip

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
        whole = slice(0, columns * CAST_BLOCK)

        def compare_strip(strip: PairStrip) -> tuple[Floats, Floats, list[Floats]]:
            sides = [np.broadcast_to(side, (*side.shape[:2], 3)) for side in (strip.reference, strip.image)]
            first, second = (compute_luma(np.ascontiguousarray(side)) * np.float32(STEPS) for side in sides)
            change = np.asarray(second - first, np.float32)
            return (
                np.asarray(first, np.float32),
                change,
                [side[:, whole].reshape(len(side), columns, CAST_BLOCK, 3).mean(2) for side in sides],
            )

        for at, (first, change, sides) in pair.map_strips(compare_strip):
            reference[at], luma[at] = first, change
            index: NDArray[np.intp] = np.arange(at.start, min(at.stop, rows * CAST_BLOCK), dtype=np.intp) // CAST_BLOCK
            for total, side in zip(means, sides, strict=True):
                np.add.at(total, index, side[: len(index)] / CAST_BLOCK)
        colors = [lab_from_srgb(side.astype(np.float32)) for side in means]
        color = ciede2000(*colors) if rows and columns else torch.zeros(rows, columns)
        return cls(luma, reference, np.asarray(color.numpy(), np.float32))
