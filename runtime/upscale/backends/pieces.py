"""A tensor of features cut into pieces, each with as much around it as a few layers see."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from torch import Tensor

from ...frames.cuts import Span


@dataclass(frozen=True)
class Piece:
    rows: Span
    columns: Span

    def seen(self, whole: Tensor) -> Tensor:
        """What the layers see of ``whole`` (N, C, H, W)."""
        rows, columns = self.rows, self.columns
        return whole[:, :, rows.seen_first : rows.seen_end, columns.seen_first : columns.seen_end]

    def core(self, whole: Tensor, scale: int = 1) -> Tensor:
        """The place of the piece in ``whole`` (N, C, H * scale, W * scale)."""
        rows, columns = self.rows, self.columns
        return whole[:, :, rows.first * scale : rows.end * scale, columns.first * scale : columns.end * scale]

    def inner(self, made: Tensor, scale: int = 1) -> Tensor:
        """The part of what was ``made`` from ``seen``, ``scale`` times as large, that is right."""
        rows, columns = self.rows, self.columns
        top, left = (rows.first - rows.seen_first) * scale, (columns.first - columns.seen_first) * scale
        bottom, right = (rows.end - rows.seen_first) * scale, (columns.end - columns.seen_first) * scale
        return made[:, :, top:bottom, left:right]


def cut(height: int, width: int, *, side: int, margin: int, least: int = 1) -> list[Piece]:
    """Pieces of nearly the same size, of at most ``side`` pixels, that cover ``height`` x ``width`` once.

    ``margin`` more is seen on each side, as far as there is more: at the border of the whole a layer finds the same as ever.
    There are ``least`` of them unless they would become smaller than their margins are worth.
    """
    down, across = ceil(height / side), ceil(width / side)
    while down * across < least and max(height / down, width / across) >= 4 * max(margin, 1):
        if height / down >= width / across:
            down += 1
        else:
            across += 1
    columns = _spans(width, across, margin)
    return [Piece(rows, one) for rows in _spans(height, down, margin) for one in columns]


def _spans(whole: int, count: int, margin: int) -> list[Span]:
    bounds = [whole * index // count for index in range(count + 1)]
    return [Span(first, end, max(first - margin, 0), min(end + margin, whole)) for first, end in pairwise(bounds)]
