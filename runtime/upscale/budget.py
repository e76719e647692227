"""Which tile to use when nobody says: the one that costs least time among those that fit in memory.

A larger tile computes less halo twice; a smaller one stays in the processor's cache. The figures were measured with torch
2.13 in channels_last on two AVX2 cores, fp32, one tile at a time: microseconds and peak bytes per pixel that the model sees.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import WorkflowError
from ..models.facts import UpscaleModel
from .tiles import SMALLEST_TILE, Tiling, alignment

AUTO = 0
"""The tile size that means: choose for me."""

MODEL_HALO = -1
"""The halo that means: what the model needs."""

_SIDES = (96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024)
_CACHED_SIDE = 256  # up to this padded side the activations of a 64-channel net stay near the core ...
_UNCACHED_COST = 1.5  # ... beyond it a pixel of a shallow net costs this much more (6.3 us against 4.2, 512 against 256 px)
_DEEP_UNCACHED_COST = 1.25  # ... and of a deep one, which is bound by arithmetic (62.7 us against 48.1, 288 against 96 px)
_SHALLOW_HALO = 40  # nets with a smaller receptive field are the shallow ones


@dataclass(frozen=True)
class Memory:
    """What one tile may take: bytes that are free to use, and bytes per pixel that a model sees."""

    free: int
    bytes_per_pixel: int

    @property
    def pixels(self) -> int:
        return max(self.free // self.bytes_per_pixel, 1)


def bytes_per_pixel(model: UpscaleModel, *, half: bool) -> int:
    """Peak activation bytes per input pixel: measured for SRVGG and RRDB, the larger of the two for anything unknown."""
    fp32 = 650 if model.architecture == "Compact" else 10_000 * max(model.scale, 2) ** 2 // 16
    return fp32 // 2 if half else fp32


def choose_tiling(model: UpscaleModel, memory: Memory, *, tile: int = AUTO, halo: int = MODEL_HALO, batch: int = 1, gpu: bool = False) -> Tiling:
    """The tiling for a model: what was asked for, and for the rest what the model needs and the memory allows.

    A model whose receptive field is not known to be covered is cross-faded. Raises ``WorkflowError`` for a tile that is
    too small to be worth its halo.
    """
    if tile != AUTO and tile < SMALLEST_TILE:
        raise WorkflowError(f"A tile of {tile} pixels is too small.", f"Use {AUTO} (automatic) or at least {SMALLEST_TILE}.")
    align = alignment(model.window, model.multiple)
    halo = model.halo if halo == MODEL_HALO else halo
    side = tile if tile != AUTO else _best_side(halo, memory.pixels // batch, gpu=gpu)
    merge = "half-sine" if model.exact_halo is None and halo > 0 else "crop"
    return Tiling(max(side // align * align, align), halo, batch, align, merge)


def _best_side(halo: int, pixels: int, *, gpu: bool) -> int:
    fitting = [side for side in _SIDES if (side + 2 * halo) ** 2 <= pixels] or [_SIDES[0]]
    return min(fitting, key=lambda side: _cost(side, halo, gpu=gpu))


def _cost(side: int, halo: int, *, gpu: bool) -> float:
    padded = side + 2 * halo
    uncached = _UNCACHED_COST if halo < _SHALLOW_HALO else _DEEP_UNCACHED_COST
    cached = gpu or padded <= _CACHED_SIDE
    return (padded / side) ** 2 * (1.0 if cached else uncached)
