"""The tile that fits: the smallest that costs hardly more time than the best one for which there is memory.

The halo around a tile is computed more than once, so a pixel costs ``((side + 2 * halo) / side) ** 2`` of what it costs in an
endless tile. Time per pixel that the model sees was measured to be the same from 128 to 640 pixels a side in fp32. In bf16 the
convolutions are so fast that what a large tile reads from memory counts: SRVGG-16 at 1920x1080 took 5.4, 5.2, 5.0, 5.4 and 5.3
processor seconds with tiles of 256, 320, 384, 512 and 640 pixels, where the formula promises 14 % from the first to the last.
ESRGAN, whose blocks are made in pieces that stay in the cache, gains from every larger tile.
"""

from __future__ import annotations

SIDES = (96, 128, 160, 192, 224, 256, 288, 320, 384, 448, 512, 640, 768, 896, 1024)
GOOD_ENOUGH, _GOOD_ENOUGH_IN_BF16, _GOOD_ENOUGH_IN_PIECES = 1.05, 1.12, 1.02
"""A tile that costs this much more than the best one is taken when it is smaller."""


def good_enough(architecture: str, *, on_gpu: bool, bf16: bool) -> float:
    """What a smaller tile of ``architecture`` may cost against the best one."""
    if on_gpu:
        return GOOD_ENOUGH
    if architecture == "ESRGAN":
        return _GOOD_ENOUGH_IN_PIECES
    return _GOOD_ENOUGH_IN_BF16 if bf16 else GOOD_ENOUGH


def best_side(halo: int, pixels: int, good_enough: float = GOOD_ENOUGH) -> int:
    """The side of a tile without its halo, when the model may see ``pixels`` at a time; the smallest when nothing fits."""
    fitting = [side for side in SIDES if (side + 2 * halo) ** 2 <= pixels] or [SIDES[0]]
    least = min(tile_cost(side, halo) for side in fitting)
    return min(side for side in fitting if tile_cost(side, halo) <= least * good_enough)


def tile_cost(side: int, halo: int) -> float:
    """How many pixels the model sees for each pixel of a tile."""
    return ((side + 2 * halo) / side) ** 2
