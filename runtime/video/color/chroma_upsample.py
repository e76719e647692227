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

from ...media.video_stream import Samples

WidenSamples = Callable[[Samples], NDArray[np.uint16]]

_KERNEL_RADIUS = 2
"""Chroma samples on each side that a kernel may touch."""


_IDENTITY_KERNEL = np.ones(1, np.float32)


@dataclass(frozen=True)
class Subsampling:
    """How many luma samples share a chroma sample, and whether that lies on the first of them or in their middle."""

    horizontal_factor: int = 1
    vertical_factor: int = 1
    horizontally_centered: bool = False
    vertically_centered: bool = True


@lru_cache
def _build_kernel(phase: int, factor: int, centered: bool) -> NDArray[np.float32]:
    """Weights of the chroma samples -2..2 around ``i`` for luma sample ``factor * i + phase``."""
    position = (phase + 0.5) / factor - 0.5 if centered else phase / factor
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
    chroma: Samples, subsampling: Subsampling, first: int, last: int, widen: WidenSamples
) -> NDArray[np.uint16]:
    """Rows ``first`` to ``last`` (luma rows; ``first`` a multiple of ``how.down``) of a chroma plane at full size, rounded.

    ``widened`` brings the samples to 16 bits. The result may be up to ``how.across - 1`` samples wider than the picture.
    """
    if subsampling.horizontal_factor == subsampling.vertical_factor == 1:
        return widen(chroma[first:last])
    top, bottom = first // subsampling.vertical_factor, -(-last // subsampling.vertical_factor)
    first_source_row = max(0, top - _KERNEL_RADIUS)
    rows = widen(chroma[first_source_row : bottom + _KERNEL_RADIUS])
    upsampled_rows = _convolve_interleaved(
        rows,
        [
            _build_kernel(y, subsampling.vertical_factor, subsampling.vertically_centered)
            for y in range(subsampling.vertical_factor)
        ],
        0,
    )
    upsampled = _convolve_interleaved(
        upsampled_rows,
        [
            _build_kernel(x, subsampling.horizontal_factor, subsampling.horizontally_centered)
            for x in range(subsampling.horizontal_factor)
        ],
        1,
    )
    start = (top - first_source_row) * subsampling.vertical_factor
    return upsampled[start : start + last - first]


def _convolve_interleaved(
    samples: NDArray[np.uint16], kernels: list[NDArray[np.float32]], axis: Literal[0, 1]
) -> NDArray[np.uint16]:
    """``samples`` convolved along ``axis`` with each kernel in turn; the results alternate along that axis."""
    if len(kernels) == 1:
        return samples
    height, width = samples.shape
    output = np.empty((height * len(kernels), width) if axis == 0 else (height, width * len(kernels)), np.uint16)
    for phase, kernel in enumerate(kernels):
        kernel_x, kernel_y = (_IDENTITY_KERNEL, kernel) if axis == 0 else (kernel, _IDENTITY_KERNEL)
        destination = output[phase :: len(kernels)] if axis == 0 else output[:, phase :: len(kernels)]
        is_identity = kernel[_KERNEL_RADIUS] == 1
        destination[:] = (
            samples if is_identity else cv2.sepFilter2D(samples, -1, kernel_x, kernel_y, borderType=cv2.BORDER_REPLICATE)
        )
    return output
