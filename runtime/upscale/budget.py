"""Which tile to use when nobody says: the smallest that costs hardly more time than the best one that fits in memory.

How much memory a tile takes stands in ``hardware.footprint``, how its side is chosen in ``hardware.tile``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from ..errors import WorkflowError
from ..frames.cuts import EVEN
from ..hardware.footprint import Footprint
from ..hardware.tile import GOOD_ENOUGH, best_side
from ..models.facts import UpscaleModel
from .tiles import SMALLEST_TILE, Tiling, alignment

AUTO = 0
"""The tile size that means: choose for me."""

MODEL_HALO = -1
"""The halo that means: what the model needs."""


@dataclass(frozen=True)
class Memory:
    """What one tile may take: bytes that are free to use, and what a model needs.

    ``good_enough``: a smaller tile is taken when it costs at most so many times the best one's time.
    """

    free: int
    footprint: Footprint
    good_enough: float = GOOD_ENOUGH

    @property
    def pixels(self) -> int:
        return max(self.footprint.pixels(self.free), 1)


def choose_tiling(model: UpscaleModel, memory: Memory, *, tile: int = AUTO, halo: int = MODEL_HALO, batch: int = 1) -> Tiling:
    """The tiling for a model: what was asked for, and for the rest what the model needs and the memory allows.

    A model whose receptive field is not known to be covered is cross-faded. Raises ``WorkflowError`` for a tile that is
    too small to be worth its halo.
    """
    if tile != AUTO and tile < SMALLEST_TILE:
        raise WorkflowError(f"A tile of {tile} pixels is too small.", f"Use {AUTO} (automatic) or at least {SMALLEST_TILE}.")
    align = alignment(model.window, model.multiple)
    halo = model.halo if halo == MODEL_HALO else halo
    side = tile if tile != AUTO else _even(best_side(halo, memory.pixels // batch, memory.good_enough), halo)
    least = ceil(SMALLEST_TILE / align) * align
    merge = "half-sine" if model.exact_halo is None and halo > 0 else "crop"
    return Tiling(max(side // align * align, least), halo, batch, align, merge)


def _even(side: int, halo: int) -> int:
    """So much smaller that what the model is shown of a tile is a multiple of ``EVEN``."""
    return max((side + 2 * halo) // EVEN * EVEN - 2 * halo, SMALLEST_TILE)
