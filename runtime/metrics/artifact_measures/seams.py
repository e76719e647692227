"""Seams: whether the lines between tiles differ from other lines of the image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from ...media import Floats, split_into_spans
from ..luma import STEPS
from .enlargement import Enlargement

_SEGMENT = 64
"""Pixels of a line that are averaged: a seam is continuous, texture is not."""

_OFF_GRID_POSITIONS = tuple(index / 9 for index in range(1, 9))
"""Positions between two cuts of the lines that cuts are compared with."""

_KEPT_SHARE = 0.9
"""The segments with the largest jumps are ignored in both groups: they are real edges that happen to be on a line."""

_MAX_RATIO = 1000.0

_SEGMENT_CELLS, _REACH = 32, 6
"""Of the search for unknown grids, in pixels of the reference: length of a segment, and how far both sides are averaged."""
_SEEN_STEP, _SEEN_RATIO, _SEEN_COVER = 1.0, 4.0, 0.6
"""A line is a seam from this step in 8-bit steps, this multiple of the lines around it, and this part of its segments on."""
_MAX_EXPLAINED, _ECHO = 0.8, 4
"""Share of the energy of a line's steps from which on they are those of the reference, amplified, and at how
many pixels from them an echo may be."""
_NEIGHBOURS = 24
"""Lines on each side that a line is compared with."""


@dataclass(frozen=True)
class Seams:
    """``height``: RMS step from tile to tile, in 8-bit steps; ``ratio``: jumps on the grid over jumps elsewhere."""

    height: float
    ratio: float
    cuts: int
    columns: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    """Where seams were found, in pixels of the reference; empty if only a given grid was measured."""


def measure_seams(enlargement: Enlargement, tile: int, halo: int = 0) -> Seams | None:
    """Measure seams. None if the image is a single tile.

    ``tile`` and ``halo`` are those of the upscaler, in pixels of the reference; tiles are those of ``media.tile_spans``. The
    jump over a line between pixels b and c of a, b, c, d is (c - b) - ((b - a) + (d - c)) / 2: zero on any ramp, and the height
    of a step on it. Jumps are averaged over 64 pixels along the line; the height is sqrt(mean square on the grid - mean square
    elsewhere), because texture and seams are independent. The comparison of lines on and off a grid is that of Z. Wang, H. R.
    Sheikh, A. C. Bovik, "No-reference perceptual quality assessment of JPEG compressed images", ICIP 2002.
    """
    size, cells = enlargement.size, enlargement.cells
    columns, other_columns = _find_lines(cells.width, size.width, tile, halo)
    rows, other_rows = _find_lines(cells.height, size.height, tile, halo)
    if not columns and not rows:
        return None
    across = _measure_jumps_across(enlargement, [columns, other_columns])
    on = [across[0], *_measure_jumps_down(enlargement, rows)]
    off = [across[1], *_measure_jumps_down(enlargement, other_rows)]
    grid, elsewhere = _compute_mean_square(on), _compute_mean_square(off)
    ratio = min(sqrt(grid / elsewhere), _MAX_RATIO) if elsewhere else (_MAX_RATIO if grid else 1.0)
    return Seams(sqrt(max(grid - elsewhere, 0)) * STEPS, ratio, len(columns) + len(rows))


def _find_lines(cells: int, pixels: int, tile: int, halo: int) -> tuple[list[int], list[int]]:
    """Return the cuts and lines between them, each as the first pixel behind it, without those too near to the border.

    All of them are on borders of cells, as cuts are, because interpolation leaves a pattern in every cell.
    """
    on = [0, *(span.stop for span in split_into_spans(0, cells, cells, tile=tile, halo=halo))]
    off = {round(a + (b - a) * share) for a, b in pairwise(on) for share in _OFF_GRID_POSITIONS} if len(on) > 2 else set[int]()
    groups = (on[1:-1], sorted(off - set(on)))
    columns, others = ([round(cell * pixels / cells) for cell in group] for group in groups)
    return [line for line in columns if 2 <= line <= pixels - 2], [line for line in others if 2 <= line <= pixels - 2]


def _measure_jumps_across(enlargement: Enlargement, groups: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
    """Return the mean jumps of all segments of vertical lines, per group."""
    height = enlargement.size.height
    found: list[list[NDArray[np.float64]]] = [[] for _ in groups]
    for top in range(0, height, _SEGMENT):
        plane = enlargement.read_image_luma(top, min(top + _SEGMENT, height))
        for lines, jumps in zip(groups, found, strict=True):
            columns = np.asarray(lines, np.intp)
            jumps.append(_compute_jump(*(plane[:, columns + offset] for offset in (-2, -1, 0, 1))).mean(axis=0))
    return [np.concatenate(jumps) for jumps in found]


def _measure_jumps_down(enlargement: Enlargement, lines: Sequence[int]) -> Iterator[NDArray[np.float64]]:
    for line in lines:
        jump = _compute_jump(*enlargement.read_image_luma(line - 2, line + 2))
        starts = np.arange(0, len(jump), _SEGMENT)
        yield np.add.reduceat(jump, starts) / np.diff(np.append(starts, len(jump)))


def _compute_jump(a: Floats, b: Floats, c: Floats, d: Floats) -> NDArray[np.float64]:
    return np.asarray(1.5 * (c - b) - 0.5 * (d - a), np.float64)


def _compute_mean_square(jumps: Sequence[NDArray[np.float64]]) -> float:
    squares = np.sort(np.square(np.concatenate(list(jumps))))
    return float(squares[: max(ceil(len(squares) * _KEPT_SHARE), 1)].mean()) if len(squares) else 0.0


def find_seams(difference: Floats, reference: Floats) -> Seams | None:
    """Find the seams of an unknown tiler. None without seams.

    ``difference`` is the reduced image minus its ``reference``, both (h, w) luma in 8-bit steps.

    Tiles shift whole areas against the reference, and the image itself cancels. For every line the mean of six pixels before
    it is subtracted from that of six behind it, per segment of 32 pixels. A line is a seam if its median step is a local
    maximum, stands out from the lines around it and is there along most of the line, which no edge of an image is; and if it
    does not follow the steps of the reference there, as a halo along a straight edge does.
    """
    columns = _find_shifted_lines(difference, reference)
    rows = _find_shifted_lines(difference.T, reference.T)
    found = [*columns, *rows]
    if not found:
        return None
    heights, ratios = ([line[key] for line in found] for key in (1, 2))
    places = [tuple(int(line[0]) for line in lines) for lines in (columns, rows)]
    return Seams(float(np.median(heights)), float(min(np.median(ratios), _MAX_RATIO)), len(found), *places)


def _find_shifted_lines(difference: Floats, reference: Floats) -> list[tuple[int, float, float]]:
    """Return position, step and ratio of every vertical seam."""
    if difference.shape[1] - 2 * _REACH + 1 < _REACH:
        return []
    changes = _measure_changes(difference)
    jumps = np.abs(changes)
    step = np.median(jumps, axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(step, _NEIGHBOURS, mode="reflect" if len(step) > _NEIGHBOURS else "edge"), 2 * _NEIGHBOURS + 1
    )
    ratio = step / np.maximum(np.median(windows, axis=1), 0.15)
    cover = (jumps > np.maximum(0.6 * _SEEN_STEP, 2.5 * np.median(jumps, axis=1, keepdims=True))).mean(axis=0)
    peak = step >= np.lib.stride_tricks.sliding_window_view(np.pad(step, _REACH, mode="edge"), 2 * _REACH + 1).max(axis=1)
    lines = np.flatnonzero(peak & (step >= _SEEN_STEP) & (ratio >= _SEEN_RATIO) & (cover >= _SEEN_COVER))
    own = _measure_changes(reference) if len(lines) else changes
    return [
        (int(line) + _REACH, float(step[line]), float(ratio[line]))
        for line in lines
        if not _follows(changes[:, line], own[:, max(line - _ECHO, 0) : line + _ECHO + 1])
    ]


def _measure_changes(plane: Floats) -> NDArray[np.float64]:
    """Return per segment of 32 rows the mean of six pixels behind every line minus that of six before it."""
    height, width = plane.shape
    count, segments = width - 2 * _REACH + 1, max(height // _SEGMENT_CELLS, 1)
    rows: NDArray[np.intp] = np.arange(segments + 1, dtype=np.intp) * height // segments
    means = np.add.reduceat(plane, rows[:-1], axis=0, dtype=np.float64) / np.diff(rows)[:, None]
    sums = np.concatenate([np.zeros((segments, 1)), np.cumsum(means, axis=1)], axis=1)
    before, behind = (
        sums[:, start + _REACH : start + _REACH + count] - sums[:, start : start + count] for start in (0, _REACH)
    )
    return (behind - before) / _REACH


def _follows(changes: NDArray[np.float64], own: NDArray[np.float64]) -> bool:
    """Return whether ``changes`` (segments,) amplify steps that the reference has on one of the lines ``own`` (segments, n)."""
    energy, own_energies = np.square(changes).sum(), np.square(own).sum(axis=0)
    explained = np.square(changes @ own) / np.maximum(energy * own_energies, 1e-9)
    return bool(((explained > _MAX_EXPLAINED) & (own_energies > energy)).any())
