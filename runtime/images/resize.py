"""Resize images: reduce by area in linear light, enlarge by a cubic, or make a quick preview.

After reduction every pixel is the mean light of exactly the pixels that it covers. A camera with larger pixels would have seen
the same, so reducing a good enlargement restores its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..media import Floats, Pixels, linear_to_srgb, srgb_to_linear
from .sample_conversion import to_integers


@dataclass(frozen=True, eq=False)
class ResizeTaps:
    """Weights of one axis: result sample i is the sum of ``weights[k, i] * source[first[i] - start + k]`` over k.

    ``weights[:, i]`` sum to one.
    """

    first: NDArray[np.intp]
    weights: Floats
    start: int
    stop: int
    """The results need the source samples ``start`` to ``stop``."""

    def slice_results(self, begin: int, end: int) -> ResizeTaps:
        """Return the taps of the results ``begin`` to ``end`` only."""
        first = self.first[begin:end]
        stop = min(int(first[-1]) + len(self.weights), self.stop)
        return ResizeTaps(first, self.weights[:, begin:end], max(int(first[0]), 0), stop)


def make_area_taps(source_length: int, final_length: int) -> ResizeTaps:
    """Return area weights: result sample i covers the source from i * source / final to (i + 1) * source / final."""
    edges = np.arange(final_length + 1) * source_length / final_length
    first = np.floor(edges[:-1]).astype(np.intp)
    count = int(np.max(np.ceil(edges[1:] - 1e-9) - first))
    sample = first + np.arange(count)[:, None]
    covered = np.minimum(sample + 1, edges[1:]) - np.maximum(sample, edges[:-1])
    weights = np.clip(covered, 0, None)
    return ResizeTaps(first, (weights / weights.sum(axis=0)).astype(np.float32), 0, source_length)


def make_filter_taps(source_length: int, final_length: int, kernel: Literal["bicubic", "lanczos"]) -> ResizeTaps:
    """Return the weights with which most programs reduce, those of Pillow: the kernel is as wide as its result samples ask.

    Bicubic is Keys' with a = -1/2, Lanczos has three lobes. Samples outside of the image are left out.
    """
    scale = source_length / final_length
    support, center = {"bicubic": 2, "lanczos": 3}[kernel] * scale, (np.arange(final_length) + 0.5) * scale
    first = np.floor(center - support + 0.5).astype(np.intp)
    sample = first + np.arange(ceil(2 * support) + 1)[:, None]
    distance = np.abs(sample + 0.5 - center) / scale
    weights = _compute_cubic(distance) if kernel == "bicubic" else np.sinc(distance) * np.sinc(distance / 3) * (distance < 3)
    weights[(sample < 0) | (sample >= source_length)] = 0
    return ResizeTaps(first, (weights / weights.sum(axis=0)).astype(np.float32), 0, source_length)


def make_cubic_taps(source_length: int, final_length: int) -> ResizeTaps:
    """Return cubic weights for enlarging; sample centers are at i + 0.5 and the border pixel is repeated outside.

    R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29 (6), 1981: a = -1/2.
    """
    position = (np.arange(final_length) + 0.5) * source_length / final_length - 0.5
    first = np.floor(position).astype(np.intp) - 1
    distance = np.abs(position - (first + np.arange(4)[:, None]))
    return ResizeTaps(first, _compute_cubic(distance).astype(np.float32), 0, source_length)


def _compute_cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    inner = (1.5 * distance - 2.5) * distance**2 + 1
    outer = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, inner, np.where(distance < 2, outer, 0.0))


def reduce_in_linear_light(encoded: Floats, across: ResizeTaps, down: ResizeTaps) -> Floats:
    """Reduce the rows ``down.start`` to ``down.stop`` of an image, (h, w, C) sRGB-encoded, clipped to 0..1 first."""
    return linear_to_srgb(resample(srgb_to_linear(np.clip(encoded, 0, 1)), across, down))


def resample(pixels: Floats, across: ResizeTaps, down: ResizeTaps) -> Floats:
    """Resample the rows ``down.start`` to ``down.stop`` of an image, (h, w, C), without a transfer curve."""
    return _apply_taps(_apply_taps(pixels, across, 1), down, 0)


def _apply_taps(pixels: Floats, taps: ResizeTaps, axis: int) -> Floats:
    last = pixels.shape[axis] - 1
    shape = (-1, 1) if axis == 1 else (-1, 1, 1)
    total: Floats | None = None
    for offset, weights in enumerate(taps.weights):
        # Outside of the image the border pixel is repeated; area taps there have weight 0.
        part = pixels.take(np.clip(taps.first - taps.start + offset, 0, last), axis=axis)
        part *= weights.reshape(shape)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


def make_preview(pixels: Pixels, max_side: int) -> Image.Image:
    """Return pixels as 8-bit RGB of at most ``max_side`` pixels a side: every nth pixel, without averaging."""
    step = max(1, ceil(max(pixels.shape[:2]) / max_side))
    picked = pixels[::step, ::step]
    colors = picked[..., :3] if picked.shape[-1] >= 3 else picked[..., :1].repeat(3, axis=-1)
    eight_bit = (colors >> 8).astype(np.uint8) if colors.dtype == np.uint16 else to_integers(np.nan_to_num(colors), 8)
    return Image.fromarray(np.ascontiguousarray(cast("Pixels", eight_bit)))
