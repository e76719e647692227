"""Upsample chroma planes to the size of the luma plane, with every sample at the position where it was taken.

Catmull-Rom interpolation (Keys 1981, a = -0.5), which reproduces ramps exactly; edges are repeated.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ...media import Samples

Kernels = tuple[NDArray[np.float32], ...]

_KERNEL_RADIUS = 2
"""Chroma samples on each side that a kernel reads."""
_IDENTITY_KERNEL = np.ones(1, np.float32)


@lru_cache
def build_kernels(factor: int, *, centered: bool) -> Kernels:
    """Return the kernels of ``factor`` luma samples; the chroma sample is on the first, or in their middle if ``centered``.

    Each kernel weighs the chroma samples -2..2 around the luma sample's own.
    """
    return tuple(_build_kernel((phase + 0.5) / factor - 0.5 if centered else phase / factor) for phase in range(factor))


def _build_kernel(position: float) -> NDArray[np.float32]:
    first = int(np.floor(position))
    t = position - first
    weights = (
        -t / 2 + t**2 - t**3 / 2,
        1 - 5 * t**2 / 2 + 3 * t**3 / 2,
        t / 2 + 2 * t**2 - 3 * t**3 / 2,
        -(t**2) / 2 + t**3 / 2,
    )
    kernel = np.zeros(2 * _KERNEL_RADIUS + 1, np.float32)
    for tap, weight in enumerate(weights, start=first - 1):
        if weight:
            kernel[_KERNEL_RADIUS + tap] = weight
    return kernel


def upsample_chroma_rows(
    chroma: Samples,
    horizontal: Kernels,
    vertical: Kernels,
    first: int,
    last: int,
    to_uint16: Callable[[Samples], NDArray[np.uint16]],
) -> NDArray[np.uint16]:
    """Return luma rows ``first`` to ``last`` of a chroma plane at full size, rounded, as uint16 (rows, width).

    ``first`` is a multiple of ``len(vertical)``. The result may be up to ``len(horizontal) - 1`` samples wider than the luma.
    """
    factor = len(vertical)
    if factor == len(horizontal) == 1:
        return to_uint16(chroma[first:last])
    top, bottom = first // factor, -(-last // factor)
    first_source_row = max(0, top - _KERNEL_RADIUS)
    rows = to_uint16(chroma[first_source_row : bottom + _KERNEL_RADIUS])
    upsampled = _convolve_interleaved(_convolve_interleaved(rows, vertical, 0), horizontal, 1)
    start = (top - first_source_row) * factor
    return upsampled[start : start + last - first]


def _convolve_interleaved(samples: NDArray[np.uint16], kernels: Kernels, axis: Literal[0, 1]) -> NDArray[np.uint16]:
    """Return ``samples`` convolved along ``axis`` with each kernel; the results alternate along that axis."""
    if len(kernels) == 1:
        return samples
    height, width = samples.shape
    output = np.empty((height * len(kernels), width) if axis == 0 else (height, width * len(kernels)), np.uint16)
    for phase, kernel in enumerate(kernels):
        kernel_x, kernel_y = (_IDENTITY_KERNEL, kernel) if axis == 0 else (kernel, _IDENTITY_KERNEL)
        destination = output[phase :: len(kernels)] if axis == 0 else output[:, phase :: len(kernels)]
        if kernel[_KERNEL_RADIUS] == 1:
            destination[:] = samples
        else:
            destination[:] = cv2.sepFilter2D(samples, -1, kernel_x, kernel_y, borderType=cv2.BORDER_REPLICATE)
    return output
