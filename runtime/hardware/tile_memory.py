"""How much memory a tile takes while a model computes it, and how much of the free memory it may take.

A tile's peak grows linearly with its pixels (halo included): ``base + bytes_per_pixel * pixels``. Measured in fp32 on 192 to
640 px: SRVGG 472 bytes per pixel by torch (625 in bf16), 1414 by OpenVINO; RRDB-23 x4 by torch on a processor, whose dense
blocks and last layers are made in pieces, 487 MB on 448 px and 758 MB on 640 px by two threads (in bf16 616 MB on 512 and
1797 MB on 1024 px; each further thread about 50 MB), elsewhere 10 000 bytes per pixel (OpenVINO 13 700, for which a quarter of
the free memory leaves room). An unknown network is taken to be as large as RRDB-23. ``probe --calibrate`` measures anew.

The tile that fits: the smallest that costs hardly more time than the best one for which there is memory.

The halo around a tile is computed more than once, so a pixel costs ``((side + 2 * halo) / side) ** 2`` of what it costs in an
endless tile. Time per pixel that the model sees was measured to be the same from 128 to 640 pixels a side in fp32. In bf16 the
convolutions are so fast that what a large tile reads from memory counts: SRVGG-16 at 1920x1080 took 5.4, 5.2, 5.0, 5.4 and 5.3
processor seconds with tiles of 256, 320, 384, 512 and 640 pixels, where the formula promises 14 % from the first to the last.
ESRGAN, whose blocks are made in pieces that stay in the cache, gains from every larger tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_COMPACT_RATE, _COMPACT_BY_OPENVINO = 650, 1_500
_RRDB_X4_RATE, _RRDB_IN_PIECES, _PIECES = 10_000, 1_500, 300_000_000

_GPU_SHARE, _GPU_MAX = 0.6, 6_000_000_000
_HOST_SHARE, _HOST_MAX = 0.25, 2_300_000_000


@dataclass(frozen=True)
class NetworkProfile:
    """What decides the memory of a model. ``halo`` is the context that it needs around a tile, in input pixels."""

    title: str
    architecture: str
    """spandrel's id: ``ESRGAN``, ``Compact``, ``SwinIR``, ..."""
    scale: int
    halo: int
    half_safe: bool


HEAVIEST_NETWORK = NetworkProfile("Real-ESRGAN x4plus", "ESRGAN", 4, 64, half_safe=True)
"""The largest model that comes with the pack: what fits for it fits for the others."""


@dataclass(frozen=True)
class Footprint:
    """``base + bytes_per_pixel * pixels`` is the peak of one tile, in bytes."""

    bytes_per_pixel: float
    base: float = 0.0
    is_measured: bool = False
    """Here, by ``probe --calibrate``; otherwise from the table in this file."""

    def compute_max_pixels(self, free: int) -> int:
        """How many pixels the model may see at a time in ``free`` bytes; never negative."""
        return max(int((free - self.base) / self.bytes_per_pixel), 0)


def default_footprint(architecture: str, scale: int, *, backend: str, half: bool, on_gpu: bool) -> Footprint:
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


def memory_budget(free: int, *, on_gpu: bool) -> int:
    """What the tiles of one batch may take of ``free`` bytes: the rest belongs to frames, results and other programs.

    There is an upper end because a tile that is larger still is hardly faster.
    """
    share, maximum = (_GPU_SHARE, _GPU_MAX) if on_gpu else (_HOST_SHARE, _HOST_MAX)
    return min(int(free * share), maximum)


def compute_max_tile_pixels(architecture: str, scale: int, backend: str) -> int:
    """What a tile in fp32 may have on a processor with plenty of memory, its halo included."""
    return default_footprint(architecture, scale, backend=backend, half=False, on_gpu=False).compute_max_pixels(_HOST_MAX)


def fit_footprint(points: Sequence[tuple[int, int]]) -> Footprint:
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
    return Footprint(rate, max(base, 0.0), is_measured=True)


TILE_SIDES = (96, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512, 640, 768, 896, 1024)
COST_TOLERANCE, _COST_TOLERANCE_BF16, _COST_TOLERANCE_RRDB = 1.05, 1.12, 1.02
"""A tile that costs this much more than the best one is taken when it is smaller."""


def choose_cost_tolerance(architecture: str, *, on_gpu: bool, bf16: bool) -> float:
    """What a smaller tile of ``architecture`` may cost against the best one."""
    if on_gpu:
        return COST_TOLERANCE
    if architecture == "ESRGAN":
        return _COST_TOLERANCE_RRDB
    return _COST_TOLERANCE_BF16 if bf16 else COST_TOLERANCE


def choose_tile_side(halo: int, pixels: int, tolerance: float = COST_TOLERANCE) -> int:
    """The side of a tile without its halo, when the model may see ``pixels`` at a time; the smallest when nothing fits."""
    fitting_sides = [side for side in TILE_SIDES if (side + 2 * halo) ** 2 <= pixels] or [TILE_SIDES[0]]
    lowest_cost = min(compute_tile_cost(side, halo) for side in fitting_sides)
    return min(side for side in fitting_sides if compute_tile_cost(side, halo) <= lowest_cost * tolerance)


def compute_tile_cost(side: int, halo: int) -> float:
    """How many pixels the model sees for each pixel of a tile."""
    return ((side + 2 * halo) / side) ** 2
