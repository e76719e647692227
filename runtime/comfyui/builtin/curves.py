"""ComfyUI's CURVE: ``points`` (x, y) in 0..1 and their ``interpolation``, ``linear`` or ``monotone_cubic``."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def sample_curve(curve: Mapping[str, Any], size: int = 256) -> NDArray[np.float32]:
    """Return (size,) values of a curve at evenly spaced places of 0..1; beyond its ends they are its ends.

    The cubic is a Hermite spline with Fritsch and Carlson's slopes (SIAM J. Numer. Anal. 17, 1980), which keeps it monotone.
    """
    points = sorted((float(x), float(y)) for x, y in curve["points"])
    places = np.linspace(0.0, 1.0, size)
    xs, ys = (np.array(values, np.float64) for values in zip(*points, strict=True))
    if len(points) == 1 or curve.get("interpolation") == "linear":
        return np.interp(places, xs, ys).astype(np.float32)
    slopes = _compute_slopes(xs, ys)
    right = np.clip(np.searchsorted(xs, places, side="right"), 1, len(xs) - 1)
    left = right - 1
    width = xs[right] - xs[left]
    t = np.where(width == 0, 0.0, (places - xs[left]) / np.where(width == 0, 1.0, width))
    square, cube = t * t, t * t * t
    smooth = 3 * square - 2 * cube
    inside = (1 - smooth) * ys[left] + (cube - 2 * square + t) * width * slopes[left]
    inside += smooth * ys[right] + (cube - square) * width * slopes[right]
    return np.where(places <= xs[0], ys[0], np.where(places >= xs[-1], ys[-1], inside)).astype(np.float32)


def _compute_slopes(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slope at each point: the mean of its neighbors', limited so that no part overshoots."""
    steps = np.diff(xs)
    rises = np.where(steps == 0, 0.0, np.diff(ys) / np.where(steps == 0, 1.0, steps))
    slopes = np.concatenate((rises[:1], (rises[:-1] + rises[1:]) / 2, rises[-1:]))
    slopes[1:-1][rises[:-1] * rises[1:] <= 0] = 0.0
    for index, rise in enumerate(rises):
        size = math.hypot(slopes[index], slopes[index + 1])
        if rise == 0:
            slopes[index : index + 2] = 0.0
        elif size > 3 * abs(rise):
            slopes[index : index + 2] *= 3 * abs(rise) / size
    return slopes
