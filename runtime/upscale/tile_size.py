"""The automatic tile: the smallest that takes hardly more time than the fastest one that fits in memory.

How much memory a tile takes, and how its side is chosen, is in ``hardware.tile_memory``.
"""

from dataclasses import dataclass
from math import ceil

from ..errors import WorkflowError
from ..hardware import COST_TOLERANCE, Footprint, choose_tile_side
from ..media import PREFERRED_MULTIPLE
from ..models import UpscaleModel
from .tiles import MIN_TILE, Tiling, compute_alignment

AUTO_TILE = 0
"""The tile size that means automatic."""

AUTO_HALO = -1
"""The halo that means the model's own."""


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
    model: UpscaleModel, budget: TileBudget, *, tile: int = AUTO_TILE, halo: int = AUTO_HALO, batch: int = 1
) -> Tiling:
    """Return the tiling for a model: the requested values, the rest by what the model needs and the memory allows.

    Tiles are cross-faded where the halo is not known to cover the model's receptive field. Raises ``WorkflowError`` for a tile
    below ``MIN_TILE``.
    """
    if tile != AUTO_TILE and tile < MIN_TILE:
        raise WorkflowError(f"A tile of {tile} pixels is too small.", f"Use {AUTO_TILE} (automatic) or at least {MIN_TILE}.")
    align = compute_alignment(model.window, model.multiple)
    halo = model.halo if halo == AUTO_HALO else halo
    side = (
        tile
        if tile != AUTO_TILE
        else _round_to_preferred_multiple(choose_tile_side(halo, budget.max_pixels // batch, budget.cost_tolerance), halo)
    )
    min_tile = ceil(MIN_TILE / align) * align
    merge = "half-sine" if model.exact_halo is None and halo > 0 else "crop"
    return Tiling(max(side // align * align, min_tile), halo, batch, align, merge)


def _round_to_preferred_multiple(side: int, halo: int) -> int:
    """Shrink ``side`` so that a tile with its halo is a multiple of ``PREFERRED_MULTIPLE``."""
    return max((side + 2 * halo) // PREFERRED_MULTIPLE * PREFERRED_MULTIPLE - 2 * halo, MIN_TILE)
