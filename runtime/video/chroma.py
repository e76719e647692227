"""Chroma planes brought to the size of the luma plane, with every sample left where it was taken.

Catmull-Rom interpolation (Keys 1981, a = -0.5), which gives ramps back exactly; edges are repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frames.stream import Samples

Widen = Callable[[Samples], NDArray[np.uint16]]

_REACH = 2
"""Chroma samples on each side that a kernel may touch."""


@dataclass(frozen=True)
class Subsampling:
    """How many luma samples share a chroma sample, and whether that lies on the first of them or in their middle."""

    across: int = 1
    down: int = 1
    centred_across: bool = False
    centred_down: bool = True


@lru_cache
def _kernel(phase: int, factor: int, centred: bool) -> NDArray[np.float32]:
    """Weights of the chroma samples -2..2 around ``i`` for luma sample ``factor * i + phase``."""
    position = (phase + 0.5) / factor - 0.5 if centred else phase / factor
    first = int(np.floor(position))
    t = position - first
    weights = (
        -t / 2 + t**2 - t**3 / 2,
        1 - 5 * t**2 / 2 + 3 * t**3 / 2,
        t / 2 + 2 * t**2 - 3 * t**3 / 2,
        -(t**2) / 2 + t**3 / 2,
    )
    kernel = np.zeros(2 * _REACH + 1, np.float32)
    for tap, weight in enumerate(weights, start=first - 1):
        if weight:
            kernel[_REACH + tap] = weight
    return kernel


def full_size_rows(chroma: Samples, how: Subsampling, first: int, last: int, widened: Widen) -> NDArray[np.uint16]:
    """Rows ``first`` to ``last`` (luma rows; ``first`` a multiple of ``how.down``) of a chroma plane at full size, rounded.

    ``widened`` brings the samples to 16 bits. The result may be up to ``how.across - 1`` samples wider than the picture.
    """
    top, bottom = first // how.down, -(-last // how.down)
    above = max(0, top - _REACH)
    if how.across == how.down == 1:
        return widened(chroma[first:last])
    rows = widened(chroma[above : bottom + _REACH])
    kept = slice(top - above, bottom - above)
    large = np.empty(((bottom - top) * how.down, chroma.shape[1] * how.across), np.uint16)
    for y in range(how.down):
        for x in range(how.across):
            column, row = _kernel(y, how.down, how.centred_down), _kernel(x, how.across, how.centred_across)
            phase = cv2.sepFilter2D(rows, -1, row, column, borderType=cv2.BORDER_REPLICATE)
            large[y :: how.down, x :: how.across] = phase[kept]
    return large[: last - first]
