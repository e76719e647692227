"""Where an image is cut into tiles: integer arithmetic only, so that thousands of plans can be checked in a second.

A tile has a *core*, the pixels that are kept, and a *padded* region, the pixels that the model sees: the core and at least
``halo`` image pixels on each side. Cores cover the image exactly once. The padded region ends at the image border, where the
model pads as it would for the whole image; so a tiled result equals the untiled one if the halo is as wide as the model's
receptive field.

All padded regions of an image have one shape: a core at the border is wider by the halo that it does not need. So a GPU records
one graph, an engine is tuned for one size, more neighbours run together, and freed memory fits the next tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from math import ceil, lcm
from typing import Literal

from ..media import Region, Size, Span, split_into_spans

MergeMode = Literal["crop", "half-sine"]
"""How neighbouring tiles meet: cut in the middle of the overlap, or cross-faded there.

Cutting is better whenever the halo reaches the model's effective receptive field (measured at 64 px of overlap: 51.8 dB against
51.0 for RRDB-23, 138.5 against 138.2 for SRVGG-16); a cross-fade hides the errors of too narrow a halo.
"""

MIN_TILE = 32
"""A core below this side costs more in halo than it can save in memory."""


@dataclass(frozen=True)
class Tiling:
    """How to cut: ``tile`` is the largest side of a core with a halo all around, ``halo`` the context on each side, both in
    input pixels; the model sees at most ``tile + 2 * halo``.

    Every cut and every padded origin is a multiple of ``align``: the window of a transformer, or the factor of a
    pixel-unshuffle; 1 for plain convolutions. ``batch`` tiles of one shape run through the model together.
    """

    tile: int
    halo: int
    batch: int = 1
    align: int = 1
    merge: MergeMode = "crop"

    def __post_init__(self) -> None:
        if self.tile < 1 or self.halo < 0 or self.batch < 1 or self.align < 1:
            raise ValueError(f"invalid tiling: {self}")
        if self.merge == "half-sine" and self.tile < MIN_TILE:
            raise ValueError(f"cross-faded tiles need a side of at least {MIN_TILE} pixels, not {self.tile}")

    @property
    def aligned_halo(self) -> int:
        """The halo, rounded up so that padded origins stay on the grid."""
        return ceil(self.halo / self.align) * self.align

    @property
    def blend_width(self) -> int:
        """Width of the cross-fade on each side of a cut; the outer half of the halo is always discarded.

        It does not depend on the tile, so a run that continues with smaller tiles still matches its finished rows.
        """
        return min(self.aligned_halo // 2, MIN_TILE // 4) if self.merge == "half-sine" else 0

    def shrink(self) -> Tiling | None:
        """Return the next smaller tiling to try when memory ran out: half the batch, then half the tile; None at the end."""
        if self.batch > 1:
            return replace(self, batch=self.batch // 2)
        if self.tile > MIN_TILE:
            return replace(self, tile=max(self.tile // 2, MIN_TILE))
        return None


@dataclass(frozen=True)
class Tile:
    """``core`` is kept, ``padded`` is the model's input; ``padded`` contains ``core``."""

    core: Region
    padded: Region


def plan_tiles(size: Size, tiling: Tiling, *, top: int = 0) -> tuple[Tile, ...]:
    """Cut the rows from ``top`` to the bottom of an image into even tiles, row by row from the top left."""
    return split_region(Region(0, top, size.width, size.height - top), size, tiling)


def iterate_tile_rows(size: Size, tiling: Tiling, top: int, stop: int | None = None) -> Iterator[tuple[Tile, ...]]:
    """Yield the tiles of ``plan_tiles(size, tiling, top=top)``, a row at a time; of the rows above ``stop`` alone."""
    yield from _iterate_rows(Region(0, top, size.width, (stop or size.height) - top), size, tiling)


def split_region(region: Region, size: Size, tiling: Tiling) -> tuple[Tile, ...]:
    """Cut a region of an image into tiles, row by row from the top left.

    Padded regions in one direction have one length, except for the last ``align`` pixels of an image that does not end on the
    grid. The region must begin at multiples of ``tiling.align``; it is the whole image, or the rest of it when a run continues
    with smaller tiles.
    """
    return tuple(tile for row in _iterate_rows(region, size, tiling) for tile in row)


def _iterate_rows(region: Region, size: Size, tiling: Tiling) -> Iterator[tuple[Tile, ...]]:
    if region.x % tiling.align or region.y % tiling.align:
        raise ValueError(f"{region} does not begin at multiples of {tiling.align}")
    plan_spans = partial(split_into_spans, tile=tiling.tile, halo=tiling.aligned_halo, align=tiling.align)
    columns = list(plan_spans(region.x, region.right, size.width))
    for row in plan_spans(region.y, region.bottom, size.height):
        yield tuple(_make_tile(row, column) for column in columns)


def batch_tiles(tiles: tuple[Tile, ...], batch: int) -> Iterator[tuple[Tile, ...]]:
    """Group tiles in order, up to ``batch`` neighbours of one row and one padded size together."""
    for _, group in groupby(tiles, key=lambda tile: (tile.core.y, tile.padded.size)):
        members = tuple(group)
        for first in range(0, len(members), batch):
            yield members[first : first + batch]


def compute_alignment(window: int, multiple: int) -> int:
    """The grid that fits both a model's window and its size multiple."""
    return lcm(window, multiple)


def _make_tile(rows: Span, columns: Span) -> Tile:
    core = Region(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    width, height = columns.padded_stop - columns.padded_start, rows.padded_stop - rows.padded_start
    return Tile(core, Region(columns.padded_start, rows.padded_start, width, height))
