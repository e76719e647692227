"""The automatic tile: the smallest that takes hardly more time than the fastest one that fits in memory.

How much memory a tile takes, and how its side is chosen, is in ``hardware.tile_memory``.
"""

from dataclasses import dataclass, replace
from math import ceil

from ..errors import WorkflowError
from ..hardware import COST_TOLERANCE, Footprint, choose_tile_side
from ..media import PREFERRED_MULTIPLE, Size
from ..models import UpscaleModel
from .tiles import MIN_TILE, Tiling, compute_alignment, iterate_tile_rows

AUTO_TILE = 0
"""The tile size that means automatic."""

AUTO_HALO = -1
"""The halo that means the model's own."""


MAX_LAYER_VALUES = 2**31 - 1
"""Of one layer on a GPU: convolutions count values in 32 bits. A 1080p frame of RRDB-23 at 8K has 0.99 times as many."""

_CHANNELS = 64


@dataclass(frozen=True)
class TileBudget:
    """How much memory one tile may take, and how much a model needs.

    A smaller tile is chosen if it takes at most ``cost_tolerance`` times as long as the best one.
    """

    free_bytes: int
    footprint: Footprint
    cost_tolerance: float = COST_TOLERANCE

    @property
    def max_pixels(self) -> int:
        return max(self.footprint.compute_max_pixels(self.free_bytes), 1)


def choose_tiling(
    model: UpscaleModel,
    budget: TileBudget,
    *,
    tile: int = AUTO_TILE,
    halo: int = AUTO_HALO,
    batch: int = 1,
    block: int = 1,
    image: Size | None = None,
    on_gpu: bool = False,
) -> Tiling:
    """Return the tiling for a model: the requested values, the rest by what the model needs and the memory allows.

    ``block`` is that of the backend. ``image`` is the size of the image, or the largest one of several passes: on a GPU only
    memory asks for tiles, and a backend with a ``block``, whose halos are wide, does not cut what is no larger than a tile with
    its halo. Tiles are cross-faded where the halo is not known to cover the model's receptive field.
    Raises ``WorkflowError`` for a tile below ``MIN_TILE``.
    """
    if tile != AUTO_TILE and tile < MIN_TILE:
        raise WorkflowError(f"A tile of {tile} pixels is too small.", f"Use {AUTO_TILE} (automatic) or at least {MIN_TILE}.")
    align = compute_alignment(model.window, model.multiple) * block
    if halo == AUTO_HALO:
        halo = model.halo * block if model.halo == model.exact_halo else model.halo
    if tile != AUTO_TILE:
        side = tile
    elif image and on_gpu:
        most = min(budget.max_pixels, MAX_LAYER_VALUES // _count_largest_layer(model))
        side = _find_largest_side(image, Tiling(MIN_TILE, halo, batch, align), most // batch)
    else:
        side = _round_to_preferred_multiple(choose_tile_side(halo, budget.max_pixels // batch, budget.cost_tolerance), halo)
        if image and block > 1 and image.pixel_count <= (side + 2 * halo) ** 2:
            side = ceil(max(image.width, image.height) / align) * align
    min_tile = ceil(MIN_TILE / align) * align
    merge = "half-sine" if model.exact_halo is None and halo > 0 else "crop"
    return Tiling(max(side // align * align, min_tile), halo, batch, align, merge)


def _count_largest_layer(model: UpscaleModel) -> int:
    """Values of the largest layer for each pixel of a tile: networks other than SRVGG have their channels at full size too."""
    return _CHANNELS if model.architecture == "Compact" else _CHANNELS * model.scale**2


def _find_largest_side(size: Size, tiling: Tiling, pixels: int) -> int:
    """Return the largest tile of which one, halo included, has at most ``pixels``; the whole image needs no halo."""
    for side in range(max(size.width, size.height), MIN_TILE, -PREFERRED_MULTIPLE):
        row = next(iterate_tile_rows(size, replace(tiling, tile=side), 0))
        if row[0].padded.size.pixel_count <= pixels:
            return side
    return MIN_TILE


def _round_to_preferred_multiple(side: int, halo: int) -> int:
    """Shrink ``side`` so that a tile with its halo is a multiple of ``PREFERRED_MULTIPLE``."""
    return max((side + 2 * halo) // PREFERRED_MULTIPLE * PREFERRED_MULTIPLE - 2 * halo, MIN_TILE)
