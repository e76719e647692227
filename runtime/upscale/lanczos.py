"""Lanczos-3 reduction of an image row by row, with a result that does not depend on how the rows arrive.

Pillow reduces each row. The columns are reduced here, because an output row needs rows of several bands, and Pillow takes the
position of a band in single precision, whose rounding would make the bands visible to an exact test.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import floor

import numpy as np
from PIL import Image

from ..media import Floats

_RADIUS = 3


@dataclass(frozen=True)
class LanczosTaps:
    """The source rows of one output row: ``weights[i]`` is that of row ``start + i``; the weights sum to one."""

    start: int
    weights: Floats

    @property
    def stop(self) -> int:
        return self.start + len(self.weights)


def compute_lanczos_taps(source: int, final: int) -> list[LanczosTaps]:
    """Return the taps among ``source`` samples for each of ``final`` output samples.

    The kernel is ``sinc(x) * sinc(x / 3)`` for ``|x| < 3`` with x in output samples when reducing (so nothing aliases), in
    source samples otherwise; sample centres lie at i + 0.5; taps beyond the edge are dropped and the rest renormalised.
    This is the definition that Pillow uses (``src/libImaging/Resample.c``).
    """
    ratio = source / final
    stretch = max(ratio, 1.0)
    support = _RADIUS * stretch
    taps: list[LanczosTaps] = []
    for index in range(final):
        centre = (index + 0.5) * ratio
        start = max(floor(centre - support + 0.5), 0)
        stop = min(floor(centre + support + 0.5), source)
        x = (np.arange(start, stop) - centre + 0.5) / stretch
        weights = np.where(np.abs(x) < _RADIUS, np.sinc(x) * np.sinc(x / _RADIUS), 0.0)
        taps.append(LanczosTaps(start, (weights / weights.sum()).astype(np.float32)))
    return taps


def reduce_width(rows: Floats, width: int) -> Floats:
    """Reduce ``rows`` (h, W, C) to (h, width, C), each row independently."""
    if rows.shape[1] == width:
        return rows
    out = np.empty((rows.shape[0], width, rows.shape[2]), np.float32)

    def resize_channel(index: int) -> None:
        plane = Image.fromarray(np.ascontiguousarray(rows[:, :, index]))
        out[:, :, index] = np.asarray(plane.resize((width, rows.shape[0]), Image.Resampling.LANCZOS))

    # Pillow releases the GIL while it resamples.
    with ThreadPoolExecutor(rows.shape[2]) as pool:
        list(pool.map(resize_channel, range(rows.shape[2])))
    return out


def sum_weighted_rows(band: Floats, top: int, taps: LanczosTaps, out: Floats) -> None:
    """Compute one output row: the weighted sum over ``band`` (h, w, C), whose first row is row ``top`` of the image.

    Added in the order of the taps, so that it is the same to the last bit wherever the band begins.
    """
    np.multiply(band[taps.start - top], taps.weights[0], out=out)
    for row, weight in zip(band[taps.start - top + 1 : taps.stop - top], taps.weights[1:], strict=True):
        out += row * weight
