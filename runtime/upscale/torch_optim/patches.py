"""A tensor of features cut into pieces, each with as much around it as a few layers see."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from torch import Tensor

from ...media.tile_spans import Span


@dataclass(frozen=True)
class Patch:
    rows: Span
    columns: Span

    def view_padded(self, whole: Tensor) -> Tensor:
        """What the layers see of ``whole`` (N, C, H, W)."""
        rows, columns = self.rows, self.columns
        return whole[:, :, rows.padded_start : rows.padded_stop, columns.padded_start : columns.padded_stop]

    def view_core(self, whole: Tensor, scale: int = 1) -> Tensor:
        """The place of the piece in ``whole`` (N, C, H * scale, W * scale)."""
        rows, columns = self.rows, self.columns
        return whole[:, :, rows.start * scale : rows.stop * scale, columns.start * scale : columns.stop * scale]

    def crop_to_core(self, result: Tensor, scale: int = 1) -> Tensor:
        """The part of what was ``made`` from ``seen``, ``scale`` times as large, that is right."""
        rows, columns = self.rows, self.columns
        top, left = (rows.start - rows.padded_start) * scale, (columns.start - columns.padded_start) * scale
        bottom, right = (rows.stop - rows.padded_start) * scale, (columns.stop - columns.padded_start) * scale
        return result[:, :, top:bottom, left:right]


def split_into_patches(height: int, width: int, *, side: int, margin: int, min_count: int = 1) -> list[Patch]:
    """Pieces of nearly the same size, of at most ``side`` pixels, that cover ``height`` x ``width`` once.

    ``margin`` more is seen on each side, as far as there is more: at the border of the whole a layer finds the same as ever.
    There are ``least`` of them unless they would become smaller than their margins are worth.
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
