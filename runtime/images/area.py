"""A picture at another size: reduced by area in linear light, or enlarged by the usual cubic.

Reduced, every pixel is the mean light of exactly the pixels that it covers. This is what a camera with larger pixels would have
seen, so a picture that was enlarged well comes back as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..frames.transfer import linear_to_srgb, srgb_to_linear
from .picture import Floats


@dataclass(frozen=True, eq=False)
class Taps:
    """Result sample i is the sum of ``weights[k, i] * source[first[i] - start + k]``; ``weights[:, i]`` sum to one."""

    first: NDArray[np.intp]
    weights: Floats
    start: int
    stop: int
    """The source samples that these results need: ``start`` to ``stop``."""

    def part(self, begin: int, end: int) -> Taps:
        """Those of the results ``begin`` to ``end``."""
        first = self.first[begin:end]
        stop = min(int(first[-1]) + len(self.weights), self.stop)
        return Taps(first, self.weights[:, begin:end], max(int(first[0]), 0), stop)


def area_taps(source: int, final: int) -> Taps:
    """Result sample i of ``final`` covers the source from i * source / final to (i + 1) * source / final."""
    edges = np.arange(final + 1) * source / final
    first = np.floor(edges[:-1]).astype(np.intp)
    count = int(np.max(np.ceil(edges[1:] - 1e-9) - first))
    sample = first + np.arange(count)[:, None]
    covered = np.minimum(sample + 1, edges[1:]) - np.maximum(sample, edges[:-1])
    weights = np.clip(covered, 0, None)
    return Taps(first, (weights / weights.sum(axis=0)).astype(np.float32), 0, source)


def cubic_taps(source: int, final: int) -> Taps:
    """R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29 (6), 1981: a = -1/2.

    For enlarging; sample centres lie at i + 0.5, and the border pixel goes on beyond the border.
    """
    place = (np.arange(final) + 0.5) * source / final - 0.5
    first = np.floor(place).astype(np.intp) - 1
    near = np.abs(place - (first + np.arange(4)[:, None]))
    inner = (1.5 * near - 2.5) * near**2 + 1
    outer = ((-0.5 * near + 2.5) * near - 4) * near + 2
    return Taps(first, np.where(near < 1, inner, outer).astype(np.float32), 0, source)


def reduced(encoded: Floats, across: Taps, down: Taps) -> Floats:
    """(h, w, C) sRGB-encoded, rows ``down.start`` to ``down.stop`` of a picture, reduced both ways and encoded again.

    What lies outside of 0..1 is clipped first.
    """
    return linear_to_srgb(resampled(srgb_to_linear(np.clip(encoded, 0, 1)), across, down))


def resampled(pixels: Floats, across: Taps, down: Taps) -> Floats:
    """(h, w, C), rows ``down.start`` to ``down.stop`` of a picture, both ways, in the values as they are."""
    return _summed(_summed(pixels, across, 1), down, 0)


def _summed(light: Floats, taps: Taps, axis: int) -> Floats:
    last = light.shape[axis] - 1
    shape = (-1, 1) if axis == 1 else (-1, 1, 1)
    total: Floats | None = None
    for offset, weights in enumerate(taps.weights):
        # Beyond the border stands the border pixel; a tap of an area that lies there has no weight.
        part = light.take(np.clip(taps.first - taps.start + offset, 0, last), axis=axis)
        part *= weights.reshape(shape)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total
