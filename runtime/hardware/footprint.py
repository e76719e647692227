"""How much memory a tile takes while a model computes it, and how much of the free memory it may take.

A tile's peak grows linearly with its pixels (halo included): ``base + bytes_per_pixel * pixels``. Measured in fp32 on 192 to
640 px: SRVGG 472 bytes per pixel by torch (625 in bf16), 1414 by OpenVINO; RRDB-23 x4 by torch on a processor, whose dense
blocks and last layers are made in pieces, 487 MB on 448 px and 758 MB on 640 px by two threads (in bf16 616 MB on 512 and
1797 MB on 1024 px; each further thread about 50 MB), elsewhere 10 000 bytes per pixel (OpenVINO 13 700, for which a quarter of
the free memory leaves room). An unknown network is taken to be as large as RRDB-23. ``probe --calibrate`` measures anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_COMPACT_RATE, _COMPACT_BY_OPENVINO = 650, 1_500
_RRDB_X4_RATE, _RRDB_IN_PIECES, _PIECES = 10_000, 1_500, 300_000_000

_GPU_SHARE, _GPU_MOST = 0.6, 6_000_000_000
_HOST_SHARE, _HOST_MOST = 0.25, 2_300_000_000


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


def tabled(architecture: str, scale: int, *, backend: str, half: bool, on_gpu: bool) -> Footprint:
    """What is known of an architecture without measuring here. ``half`` is fp16; in bf16 the largest layers stay fp32.

    ``backend`` ``auto`` counts as torch.
    """
    if architecture == "Compact":
        rate = _COMPACT_BY_OPENVINO if backend == "openvino" else _COMPACT_RATE
    else:
        rate = _RRDB_X4_RATE * max(scale, 2) ** 2 // 16
        if architecture == "ESRGAN" and backend in ("auto", "torch") and not on_gpu:
            return Footprint(_RRDB_IN_PIECES, _PIECES)
    return Footprint(rate / 2 if half else rate)


def spendable(free: int, *, on_gpu: bool) -> int:
    """What the tiles of one batch may take of ``free`` bytes: the rest belongs to frames, results and other programs.

    There is an upper end because a tile that is larger still is hardly faster.
    """
    share, most = (_GPU_SHARE, _GPU_MOST) if on_gpu else (_HOST_SHARE, _HOST_MOST)
    return min(int(free * share), most)


def most_pixels(architecture: str, scale: int, backend: str) -> int:
    """What a tile in fp32 may have on a processor with plenty of memory, its halo included."""
    return tabled(architecture, scale, backend=backend, half=False, on_gpu=False).pixels(_HOST_MOST)


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
