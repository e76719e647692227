"""Chroma planes brought to the size of the luma plane, with every sample left where it was taken.

Catmull-Rom interpolation (Keys 1981, a = -0.5), which gives ramps back exactly; edges are repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frames.stream import Samples

Widen = Callable[[Samples], NDArray[np.uint16]]

_REACH = 2
"""Chroma samples on each side that a kernel may touch."""


_ONE = np.ones(1, np.float32)


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
    if how.across == how.down == 1:
        return widened(chroma[first:last])
    top, bottom = first // how.down, -(-last // how.down)
    above = max(0, top - _REACH)
    rows = widened(chroma[above : bottom + _REACH])
    tall = _interleaved(rows, [_kernel(y, how.down, how.centred_down) for y in range(how.down)], 0)
    whole = _interleaved(tall, [_kernel(x, how.across, how.centred_across) for x in range(how.across)], 1)
    start = (top - above) * how.down
    return whole[start : start + last - first]


def _interleaved(samples: NDArray[np.uint16], kernels: list[NDArray[np.float32]], axis: Literal[0, 1]) -> NDArray[np.uint16]:
    """``samples`` convolved along ``axis`` with each kernel in turn; the results alternate along that axis."""
    if len(kernels) == 1:
        return samples
    height, width = samples.shape
    large = np.empty((height * len(kernels), width) if axis == 0 else (height, width * len(kernels)), np.uint16)
    for phase, kernel in enumerate(kernels):
        across, down = (_ONE, kernel) if axis == 0 else (kernel, _ONE)
        place = large[phase :: len(kernels)] if axis == 0 else large[:, phase :: len(kernels)]
        untouched = kernel[_REACH] == 1
        place[:] = samples if untouched else cv2.sepFilter2D(samples, -1, across, down, borderType=cv2.BORDER_REPLICATE)
    return large
