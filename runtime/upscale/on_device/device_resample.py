"""Weighted sums along one axis on a device, with the values of the host to the last bit.

The host adds product after product, each rounded: that is ``images.resample``, ``lanczos.sum_weighted_rows``, and Pillow's
reduction, whose sums are float64. Here product and sum are two calls, so that no device fuses them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import pi, sin

import numpy as np
import torch

from ...images import ResizeTaps
from ..lanczos import compute_lanczos_taps

_RADIUS = 3


class DeviceTaps:
    """Result sample i along an axis is the sum of ``weights[k, i] * source[first[i] + k]`` over k, in that precision."""

    def __init__(self, first: Sequence[int], weights: np.ndarray, device: torch.device) -> None:
        self.first = first
        self._first = torch.as_tensor(np.asarray(first, np.int64), device=device)
        self._weights = torch.as_tensor(weights, device=device)

    @classmethod
    def from_resize_taps(cls, taps: ResizeTaps, device: torch.device) -> DeviceTaps:
        return cls(taps.first.tolist(), taps.weights, device)

    def find_source(self, results: slice, length: int) -> slice:
        """Return the source samples, of ``length``, that ``results`` need."""
        first, last = int(results.start), int(results.stop) - 1
        return slice(max(self.first[first], 0), min(self.first[last] + len(self._weights), length))

    def apply(self, planes: torch.Tensor, axis: int, results: slice | None = None, start: int = 0) -> torch.Tensor:
        """Return the ``results`` along ``axis`` of ``planes`` (C, h, w) float32, whose first sample is number ``start``.

        Outside of the image the border sample is repeated.
        """
        chosen = results or slice(None)
        shape = (-1, 1) if axis == 1 else (-1,)
        total: torch.Tensor | None = None
        for offset, weights in enumerate(self._weights[:, chosen].unbind()):
            index = (self._first[chosen] + (offset - start)).clamp_(0, planes.shape[axis] - 1)
            part = planes.index_select(axis, index).to(weights.dtype).mul_(weights.reshape(shape))
            total = part if total is None else total.add_(part)
        assert total is not None
        return total.float()


@lru_cache(4)
def load_row_taps(source: int, final: int, device: torch.device) -> tuple[DeviceTaps, list[int]]:
    """Return the taps of ``compute_lanczos_taps`` for ``final`` of ``source`` rows, and after which row each is complete."""
    taps = compute_lanczos_taps(source, final)
    weights = np.zeros((max(len(each.weights) for each in taps), final), np.float32)
    for index, each in enumerate(taps):
        weights[: len(each.weights), index] = each.weights
    return DeviceTaps([each.start for each in taps], weights, device), [each.stop for each in taps]


@lru_cache(4)
def load_column_taps(source: int, final: int, device: torch.device) -> DeviceTaps:
    """Return the taps of ``lanczos.reduce_width``: Pillow's, ``precompute_coeffs`` in its ``src/libImaging/Resample.c``."""
    ratio = source / final
    stretch = max(ratio, 1.0)
    support = _RADIUS * stretch
    first: list[int] = []
    rows: list[list[float]] = []
    for index in range(final):
        centre = (index + 0.5) * ratio
        start, stop = max(int(centre - support + 0.5), 0), min(int(centre + support + 0.5), source)
        row = [_weigh_lanczos((sample - centre + 0.5) * (1.0 / stretch)) for sample in range(start, stop)]
        total = 0.0
        for weight in row:  # in Pillow's order: newer Pythons sum more exactly
            total += weight
        first.append(start)
        rows.append([weight / total for weight in row])
    weights = np.zeros((max(map(len, rows)), final), np.float64)
    for index, row in enumerate(rows):
        weights[: len(row), index] = row
    return DeviceTaps(first, weights, device)


def _weigh_lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / _RADIUS) if -_RADIUS <= x < _RADIUS else 0.0


def _sinc(x: float) -> float:
    return 1.0 if x == 0 else sin(x * pi) / (x * pi)
