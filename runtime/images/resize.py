"""A picture at another size: reduced by area in linear light, or enlarged by the usual cubic.

Reduced, every pixel is the mean light of exactly the pixels that it covers. This is what a camera with larger pixels would have
seen, so a picture that was enlarged well comes back as it was.

A small picture of a large one, cheap enough to be made on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..media.srgb import linear_to_srgb, srgb_to_linear
from .image_file import Floats
from .quantize import Pixels, to_integers


@dataclass(frozen=True, eq=False)
class ResizeTaps:
    """Result sample i is the sum of ``weights[k, i] * source[first[i] - start + k]``; ``weights[:, i]`` sum to one."""

    first: NDArray[np.intp]
    weights: Floats
    start: int
    stop: int
    """The source samples that these results need: ``start`` to ``stop``."""

    def slice_results(self, begin: int, end: int) -> ResizeTaps:
        """Those of the results ``begin`` to ``end``."""
        first = self.first[begin:end]
        stop = min(int(first[-1]) + len(self.weights), self.stop)
        return ResizeTaps(first, self.weights[:, begin:end], max(int(first[0]), 0), stop)


def make_area_taps(source_length: int, final_length: int) -> ResizeTaps:
    """Result sample i of ``final`` covers the source from i * source / final to (i + 1) * source / final."""
    edges = np.arange(final_length + 1) * source_length / final_length
    first = np.floor(edges[:-1]).astype(np.intp)
    count = int(np.max(np.ceil(edges[1:] - 1e-9) - first))
    sample = first + np.arange(count)[:, None]
    covered = np.minimum(sample + 1, edges[1:]) - np.maximum(sample, edges[:-1])
    weights = np.clip(covered, 0, None)
    return ResizeTaps(first, (weights / weights.sum(axis=0)).astype(np.float32), 0, source_length)


def make_cubic_taps(source_length: int, final_length: int) -> ResizeTaps:
    """R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29 (6), 1981: a = -1/2.

    For enlarging; sample centres lie at i + 0.5, and the border pixel goes on beyond the border.
    """
    position = (np.arange(final_length) + 0.5) * source_length / final_length - 0.5
    first = np.floor(position).astype(np.intp) - 1
    distance = np.abs(position - (first + np.arange(4)[:, None]))
    inner = (1.5 * distance - 2.5) * distance**2 + 1
    outer = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return ResizeTaps(first, np.where(distance < 1, inner, outer).astype(np.float32), 0, source_length)


def reduce_in_linear_light(encoded: Floats, across: ResizeTaps, down: ResizeTaps) -> Floats:
    """(h, w, C) sRGB-encoded, rows ``down.start`` to ``down.stop`` of a picture, reduced both ways and encoded again.

    What lies outside of 0..1 is clipped first.
    """
    return linear_to_srgb(resample(srgb_to_linear(np.clip(encoded, 0, 1)), across, down))


def resample(pixels: Floats, across: ResizeTaps, down: ResizeTaps) -> Floats:
    """(h, w, C), rows ``down.start`` to ``down.stop`` of a picture, both ways, in the values as they are."""
    return _apply_taps(_apply_taps(pixels, across, 1), down, 0)


def _apply_taps(pixels: Floats, taps: ResizeTaps, axis: int) -> Floats:
    last = pixels.shape[axis] - 1
    shape = (-1, 1) if axis == 1 else (-1, 1, 1)
    total: Floats | None = None
    for offset, weights in enumerate(taps.weights):
        # Beyond the border stands the border pixel; a tap of an area that lies there has no weight.
        part = pixels.take(np.clip(taps.first - taps.start + offset, 0, last), axis=axis)
        part *= weights.reshape(shape)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


def make_preview(pixels: Pixels, max_side: int) -> Image.Image:
    """(H, W, C) float32 0..1, uint8 or uint16, as RGB of at most ``side`` pixels a side: picked, not averaged."""
    step = max(1, ceil(max(pixels.shape[:2]) / max_side))
    picked = pixels[::step, ::step]
    colors = picked[..., :3] if picked.shape[-1] >= 3 else picked[..., :1].repeat(3, axis=-1)
    eight_bit = (colors >> 8).astype(np.uint8) if colors.dtype == np.uint16 else to_integers(np.nan_to_num(colors), 8)
    return Image.fromarray(np.ascontiguousarray(cast("Pixels", eight_bit)))
