"""How much memory a tile takes while a model computes it, and how much of the free memory it may take.

A tile's peak grows linearly with its pixels (halo included): ``base + bytes_per_pixel * pixels``. The rates below were measured
with torch in fp32 for SRVGG and RRDB-23; an unknown network is taken to be as large as RRDB-23. ``calibration`` replaces them
by what this machine measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_COMPACT_RATE = 650
_RRDB_X4_RATE = 10_000

_GPU_SHARE, _GPU_MOST = 0.6, 6_000_000_000
_HOST_SHARE, _HOST_MOST = 0.25, 2_100_000_000


@dataclass(frozen=True)
class Network:
    """What decides the memory of a model. ``halo`` is the context that it needs around a tile, in input pixels."""

    title: str
    architecture: str
    """spandrel's id: ``ESRGAN``, ``Compact``, ``SwinIR``, ..."""
    scale: int
    halo: int
    half_safe: bool


HEAVIEST = Network("Real-ESRGAN x4plus", "ESRGAN", 4, 64, half_safe=True)
"""The largest model that comes with the pack: what fits for it fits for the others."""


@dataclass(frozen=True)
class Footprint:
    """``base + bytes_per_pixel * pixels`` is the peak of one tile, in bytes."""

    bytes_per_pixel: float
    base: float = 0.0
    measured: bool = False
    """Here, by ``probe --calibrate``; otherwise from the table in this file."""

    def pixels(self, free: int) -> int:
        """How many pixels the model may see at a time in ``free`` bytes; never negative."""
        return max(int((free - self.base) / self.bytes_per_pixel), 0)


def tabled(network: Network, *, half: bool) -> Footprint:
    """What is known of an architecture without measuring here."""
    rate = _COMPACT_RATE if network.architecture == "Compact" else _RRDB_X4_RATE * max(network.scale, 2) ** 2 // 16
    return Footprint(rate / 2 if half else rate)


def spendable(free: int, *, on_gpu: bool) -> int:
    """What the tiles of one batch may take of ``free`` bytes: the rest belongs to frames, results and other programs.

    There is an upper end because a tile that is larger still is hardly faster.
    """
    share, most = (_GPU_SHARE, _GPU_MOST) if on_gpu else (_HOST_SHARE, _HOST_MOST)
    return min(int(free * share), most)


def fitted(points: Sequence[tuple[int, int]]) -> Footprint:
    """The line through (pixels, peak bytes) by least squares, lifted so that no measured point lies above it.

    Needs two different numbers of pixels. A machine so busy that memory seems to shrink gives the rate of the largest tile.
    """
    count = len(points)
    mean_x = sum(pixels for pixels, _ in points) / count
    mean_y = sum(peak for _, peak in points) / count
    spread = sum((pixels - mean_x) ** 2 for pixels, _ in points)
    rate = sum((pixels - mean_x) * (peak - mean_y) for pixels, peak in points) / spread
    largest, its_peak = max(points)
    rate = rate if rate > 0 else max(its_peak / largest, 1.0)
    base = max(peak - rate * pixels for pixels, peak in points)
    return Footprint(rate, max(base, 0.0), measured=True)
