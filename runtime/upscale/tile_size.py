"""Which tile to use when nobody says: the smallest that costs hardly more time than the best one that fits in memory.

How much memory a tile takes stands in ``hardware.footprint``, how its side is chosen in ``hardware.tile``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from ..errors import WorkflowError
from ..hardware.tile_memory import COST_TOLERANCE, Footprint, choose_tile_side
from ..media.tile_spans import PREFERRED_MULTIPLE
from ..models.upscale_model import UpscaleModel
from .tiles import MIN_TILE, Tiling, compute_alignment

AUTO_TILE = 0
"""The tile size that means: choose for me."""

AUTO_HALO = -1
"""The halo that means: what the model needs."""


@dataclass(frozen=True)
class TileBudget:
    """What one tile may take: bytes that are free to use, and what a model needs.

    ``good_enough``: a smaller tile is taken when it costs at most so many times the best one's time.
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
    """The tiling for a model: what was asked for, and for the rest what the model needs and the memory allows.

    A model whose receptive field is not known to be covered is cross-faded. Raises ``WorkflowError`` for a tile that is
    too small to be worth its halo.
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
    """So much smaller that what the model is shown of a tile is a multiple of ``EVEN``."""
    return max((side + 2 * halo) // PREFERRED_MULTIPLE * PREFERRED_MULTIPLE - 2 * halo, MIN_TILE)
