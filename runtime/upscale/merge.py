"""How a tile's result is laid over its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..frames.geometry import Region, Size
from .canvas import Canvas
from .tiles import Tile, Tiling

Pixels = NDArray[np.float32]


def lay(canvas: Canvas, tile: Tile, upscaled: Pixels, tiling: Tiling, size: Size, scale: int) -> None:
    """Write the part of ``upscaled`` (the result for ``tile.padded``) that belongs to ``tile`` onto the canvas."""
    fade = tiling.fade
    kept = _extended(tile.core, fade, size)
    inside = kept.within(tile.padded) * scale
    pixels = upscaled[inside.rows, inside.columns]
    weights = _weights(tile.core, kept, fade, size, scale) if fade else None
    canvas.put(kept * scale, pixels, weights)


def _extended(core: Region, by: int, size: Size) -> Region:
    x, y = max(core.x - by, 0), max(core.y - by, 0)
    return Region(x, y, min(core.right + by, size.width) - x, min(core.bottom + by, size.height) - y)


def _weights(core: Region, kept: Region, fade: int, size: Size, scale: int) -> Pixels:
    across = _ramp(kept.width, core.x > 0, core.right < size.width, fade, scale)
    down = _ramp(kept.height, core.y > 0, core.bottom < size.height, fade, scale)
    return (down[:, None] * across[None, :])[:, :, None]


def _ramp(length: int, starts_at_cut: bool, ends_at_cut: bool, fade: int, scale: int) -> Pixels:
    """1 inside, and over the ``2 * fade`` pixels around a cut a half period of a raised cosine; two ramps sum to one."""
    ramp = np.ones(length * scale, np.float32)
    wave = (0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * fade * scale) + 0.5) / (2 * fade * scale))).astype(np.float32)
    if starts_at_cut:
        ramp[: len(wave)] = wave
    if ends_at_cut:
        ramp[-len(wave) :] = 1 - wave
    return ramp
