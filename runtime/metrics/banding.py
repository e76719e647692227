"""Banding: smooth areas that became steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .enlargement import Enlargement
from .luma import STEPS
from .pictures import Floats

_WINDOW = 64
"""Side of a window in pixels of the picture."""

SMOOTH_RANGE = 24.0
"""8-bit steps: a window of the reference with a wider range is not smooth."""

_LEAST_STEP = 0.75
_LEAST_FLAT = 0.75
_OVER_STEPS, _OVER_STEEPEST = 1.5, 1.2


@dataclass(frozen=True)
class Banding:
    """``step``: mean height of the steps where there are any, in 8-bit steps; ``share``: that part of the smooth windows."""

    step: float
    share: float
    smooth: int
    """How many windows are smooth in the reference."""


def measure_banding(enlargement: Enlargement) -> Banding | None:
    """None where no window of the reference is smooth, or the picture is a single row or column.

    In a window of 64 x 64 pixels with differences g between neighbours, sum(g^2) / sum(|g|) is the height s of the steps when
    there are steps, and the slope when there is a ramp. It is banded when at least three quarters of the differences are below
    s / 4 (a staircase stands still between its steps; a ramp and noise do not), s is at least 0.75, at least 1.5 times the s
    of the reference there, and at least 1.2 times its steepest difference. Our own measure: CAMBI (P. Tandon et al., "CAMBI:
    Contrast-aware multiscale banding index", PCS 2021) gives a score without a unit, and cannot tell a band from a line that
    the reference has too.
    """
    if min(enlargement.size.width, enlargement.size.height) < 2:
        return None
    smooth = banded = 0
    steps = 0.0
    for picture, reference_range, least in _windows(enlargement):
        height, still = _staircase(picture)
        calm = reference_range <= SMOOTH_RANGE
        found = calm & (still >= _LEAST_FLAT) & (height >= least)
        smooth += int(calm.sum())
        banded += int(found.sum())
        steps += float(height[found].sum())
    return Banding(steps / banded if banded else 0.0, banded / smooth, smooth) if smooth else None


def _windows(enlargement: Enlargement) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Per row of windows: luma (n, side, side), range of the reference (n,), and the least step that is not its own (n,)."""
    size, cells = enlargement.size, enlargement.cells
    side = min(_WINDOW, size.width, size.height)
    lefts = np.arange(0, size.width - side + 1, side)
    columns = [slice(int(left * cells.width // size.width), -(-int(left + side) * cells.width // size.width)) for left in lefts]
    for top in range(0, size.height - side + 1, side):
        rows = enlargement.picture_luma(top, top + side)[:, : len(lefts) * side] * np.float32(STEPS)
        picture = rows.reshape(side, len(lefts), side).swapaxes(0, 1)
        under = enlargement.reference_luma(top * cells.height // size.height, -(-(top + side) * cells.height // size.height))
        parts = [under[:, column] * np.float32(STEPS) for column in columns]
        ranges = np.array([part.max() - part.min() for part in parts], np.float32)
        yield picture, ranges, np.array([_least_step(part) for part in parts], np.float32)


def _least_step(part: Floats) -> float:
    """How high a step must be that the reference (h, w) does not have here itself."""
    if min(part.shape) < 2:
        return _LEAST_STEP
    own = _staircase(part[None])[0][0]
    steepest = max(np.abs(np.diff(part, axis=axis)).max() for axis in (0, 1))
    return max(_LEAST_STEP, _OVER_STEPS * float(own), _OVER_STEEPEST * float(steepest))


def _staircase(windows: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Height of the steps, and the share of differences that stand still, in the direction in which the window changes more."""
    found = [_along(np.abs(np.diff(windows, axis=axis))) for axis in (1, 2)]
    down, across = found
    more = down[2] > across[2]
    return np.where(more, down[0], across[0]), np.where(more, down[1], across[1])


def _along(change: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    total = change.sum(axis=(1, 2), dtype=np.float64)
    height = np.square(change, dtype=np.float64).sum(axis=(1, 2)) / np.maximum(total, 1e-9)
    still = (change < height[:, None, None] / 4).mean(axis=(1, 2))
    return height, still, total
