"""Cuts a feature tensor into patches, each with the margin that a few layers see."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from torch import Tensor

from ...media import Span


@dataclass(frozen=True)
class Patch:
    """A region of a tensor (N, C, H, W): its core and its padded region."""

    rows: Span
    columns: Span

    def view_padded(self, whole: Tensor) -> Tensor:
        """View what the layers see of ``whole`` (N, C, H, W)."""
        rows, columns = self.rows, self.columns
        return whole[:, :, rows.padded_start : rows.padded_stop, columns.padded_start : columns.padded_stop]

    def view_core(self, whole: Tensor, scale: int = 1) -> Tensor:
        """View the core in ``whole`` (N, C, H * scale, W * scale)."""
        rows, columns = self.rows, self.columns
        return whole[:, :, rows.start * scale : rows.stop * scale, columns.start * scale : columns.stop * scale]

    def crop_to_core(self, result: Tensor, scale: int = 1) -> Tensor:
        """Crop ``result``, computed from the padded region and ``scale`` times as large, to the core."""
        rows, columns = self.rows, self.columns
        top, left = (rows.start - rows.padded_start) * scale, (columns.start - columns.padded_start) * scale
        bottom, right = (rows.stop - rows.padded_start) * scale, (columns.stop - columns.padded_start) * scale
        return result[:, :, top:bottom, left:right]


def split_into_patches(height: int, width: int, *, side: int, margin: int, min_count: int = 1) -> list[Patch]:
    """Return patches of nearly the same size, of at most ``side`` pixels, that cover ``height`` x ``width`` once.

    Each is padded by ``margin`` on each side, but not beyond the border, where layers pad as before. There are at least
    ``min_count`` unless they would become too small for their margins.
    """
    down, across = ceil(height / side), ceil(width / side)
    while down * across < min_count and max(height / down, width / across) >= 4 * max(margin, 1):
        if height / down >= width / across:
            down += 1
        else:
            across += 1
    columns = _make_spans(width, across, margin)
    return [Patch(rows, one) for rows in _make_spans(height, down, margin) for one in columns]


def _make_spans(length: int, count: int, margin: int) -> list[Span]:
    bounds = [length * index // count for index in range(count + 1)]
    return [Span(first, end, max(first - margin, 0), min(end + margin, length)) for first, end in pairwise(bounds)]
