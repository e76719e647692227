"""Estimate the memory of a tile, and choose the tile size that fits.

The peak memory of a tile is linear in its pixels, halo included: ``base + bytes_per_pixel * pixels``. Measured in fp32 on 192
to 640 px: SRVGG 472 bytes per pixel with torch (625 in bf16), 1414 with OpenVINO. RRDB-23 x4 with torch on a processor, which
computes dense blocks and last layers in patches: 487 MB at 448 px and 758 MB at 640 px with two threads (in bf16 616 MB at 512
and 1797 MB at 1024 px; about 50 MB for each further thread); with winograd, LLVM included, 763 MB at 640 and 1374 MB at 896 px,
and SRVGG 198 MB at 512 and 660 MB at 1024 px; otherwise 10 000 bytes per pixel (OpenVINO 13 700, which still
fits in a quarter of the free memory). In fp16, with both ends in fp32, live tensors take 396 bytes per pixel in SRVGG and 4108
in RRDB-23 x4 (all in fp16: 256 and 4096), counted on a processor. An unknown network counts as RRDB-23. ``probe --calibrate``
measures again.

The chosen tile is the smallest one whose time is close to that of the best tile that fits. Halos are computed more than once,
so a pixel costs ``((side + 2 * halo) / side) ** 2`` times its cost in an infinite tile. In fp32 the time per input pixel of the
model is the same from 128 to 640 pixels a side. In bf16 convolutions are so fast that a large tile's memory access matters:
SRVGG-16 at 1920x1080 took 5.4, 5.2, 5.0, 5.4 and 5.3 processor seconds with tiles of 256, 320, 384, 512 and 640 pixels, while
the formula predicts 14 % from the first to the last. ESRGAN, whose patches stay in the cache, gains from every larger tile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from ..upscale import BACKENDS, REFERENCE_BACKEND

_RRDB_X4_RATE = 10_000
_FP32_PATCH_BYTES = 70_000_000
"""A patch of 512 px with 64 channels, in which the last convolution is computed in fp32 although the network is in fp16."""

_GPU_SHARE, _GPU_MAX, _GPU_MOST = 0.6, 12_000_000_000, 0.8  # a 1080p frame of RRDB-23 as one tile in fp16 takes 10.4 GB
_HOST_SHARE, _HOST_MAX, _HOST_MOST = 0.25, 2_300_000_000, 0.5


@dataclass(frozen=True)
class NetworkProfile:
    """The properties of a model that determine its memory. ``halo`` is in input pixels."""

    title: str
    architecture: str
    """spandrel's architecture id: ``ESRGAN``, ``Compact``, ``SwinIR``, ..."""
    scale: int
    halo: int
    half_safe: bool


HEAVIEST_NETWORK = NetworkProfile("Real-ESRGAN x4plus", "ESRGAN", 4, 64, half_safe=True)
"""The largest model of the pack: settings that fit for it fit for the others."""


@dataclass(frozen=True)
class Footprint:
    """The peak memory of one tile in bytes: ``base + bytes_per_pixel * pixels``."""

    bytes_per_pixel: float
    base: float = 0.0
    is_measured: bool = False
    """Whether ``probe --calibrate`` measured it on this machine."""

    def compute_max_pixels(self, free: int) -> int:
        """Return the pixels that fit in ``free`` bytes; never negative."""
        return max(int((free - self.base) / self.bytes_per_pixel), 0)


def default_footprint(architecture: str, scale: int, *, backend: str, half: bool, on_gpu: bool) -> Footprint:
    """Return the built-in estimate for an architecture; ``half`` means fp16, and the backend ``auto`` counts as torch."""
    spec = BACKENDS.get(backend, BACKENDS[REFERENCE_BACKEND])
    if architecture == "Compact":
        rate = spec.compact_bytes_per_pixel
    else:
        rate = _RRDB_X4_RATE * max(scale, 2) ** 2 // 16
        if architecture == "ESRGAN" and spec.cpu_esrgan_memory and not on_gpu:
            return Footprint(*spec.cpu_esrgan_memory)
    if not half:
        return Footprint(rate)
    return Footprint(rate * (0.75 if architecture == "Compact" else 0.5), _FP32_PATCH_BYTES)


def memory_budget(free: int, total: int, *, on_gpu: bool) -> int:
    """Return the bytes for the tiles of one batch; the rest is for frames, results and other programs.

    A share of ``total``, so that tiles are the same on every run of a machine; of ``free`` only where that would not leave
    enough. There is a maximum, because still larger tiles are hardly faster.
    """
    share, maximum, most = (_GPU_SHARE, _GPU_MAX, _GPU_MOST) if on_gpu else (_HOST_SHARE, _HOST_MAX, _HOST_MOST)
    planned = min(int(total * share), maximum)
    return planned if planned <= free * most else int(free * share)


def compute_useful_memory(footprint: Footprint, tile: int, halo: int, batch: int) -> int:
    """Return the free bytes of a GPU that are of use for a batch of tiles with side ``tile``, 0: the largest."""
    needed = footprint.base + footprint.bytes_per_pixel * ((tile or TILE_SIDES[-1]) + 2 * halo) ** 2 * batch
    return int((needed if tile else min(needed, _GPU_MAX)) / _GPU_SHARE)


def estimate_useful_memory(network: NetworkProfile | None) -> int:
    """Return the same for the largest tile of ``network``, by default the heaviest model of the pack, in fp32."""
    chosen = network or HEAVIEST_NETWORK
    footprint = default_footprint(chosen.architecture, chosen.scale, backend=REFERENCE_BACKEND, half=False, on_gpu=True)
    return compute_useful_memory(footprint, 0, chosen.halo, 1)


def fit_footprint(points: Sequence[tuple[int, int]]) -> Footprint:
    """Fit a line to (pixels, peak bytes) by least squares, raised so that no point is above it.

    Needs two different numbers of pixels. If memory seems to shrink on a busy machine, the rate of the largest tile is used.
    """
    rate = linear_regression(*zip(*points, strict=True)).slope
    largest, its_peak = max(points)
    rate = rate if rate > 0 else max(its_peak / largest, 1.0)
    base = max(peak - rate * pixels for pixels, peak in points)
    return Footprint(rate, max(base, 0.0), is_measured=True)


TILE_SIDES = (96, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512, 640, 768, 896, 1024)
COST_TOLERANCE, _COST_TOLERANCE_BF16, _COST_TOLERANCE_RRDB = 1.05, 1.12, 1.02
_COST_TOLERANCE_WIDE_HALO = 1.16
"""A smaller tile is chosen if its cost is at most this multiple of the best one's.

With the wide halos of winograd (SRVGG: 72 pixels) that is 640, not 1024 pixels: 1920x1080 took 3 % longer and 0.38 GB less.
With 384 pixels it takes a fifteenth more time and 0.1 GB less again.
"""


def choose_cost_tolerance(architecture: str, *, on_gpu: bool, bf16: bool, block: int = 1) -> float:
    """Return the allowed cost of a smaller tile relative to the best one; ``block`` is that of the backend."""
    if on_gpu:
        return COST_TOLERANCE
    if architecture == "ESRGAN":
        return _COST_TOLERANCE_RRDB
    if block > 1:
        return _COST_TOLERANCE_WIDE_HALO
    return _COST_TOLERANCE_BF16 if bf16 else COST_TOLERANCE


def choose_tile_side(halo: int, pixels: int, tolerance: float = COST_TOLERANCE) -> int:
    """Return the side of a tile without halo if at most ``pixels`` fit; the smallest side if no tile fits."""
    fitting_sides = [side for side in TILE_SIDES if (side + 2 * halo) ** 2 <= pixels] or [TILE_SIDES[0]]
    lowest_cost = min(compute_tile_cost(side, halo) for side in fitting_sides)
    return min(side for side in fitting_sides if compute_tile_cost(side, halo) <= lowest_cost * tolerance)


def compute_tile_cost(side: int, halo: int) -> float:
    """Return the input pixels of the model per pixel of a tile."""
    return ((side + 2 * halo) / side) ** 2
