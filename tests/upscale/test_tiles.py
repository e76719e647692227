"""Plans are integers: thousands of them can be checked against their promises."""

from math import lcm

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upscale8k.runtime.media.geometry import Region, Size
from upscale8k.runtime.media.tile_spans import PREFERRED_MULTIPLE
from upscale8k.runtime.upscale.tiles import (
    MIN_TILE,
    Tiling,
    batch_tiles,
    compute_alignment,
    iterate_tile_rows,
    plan_tiles,
    split_region,
)

SIZES = st.builds(Size, st.integers(1, 200), st.integers(1, 200))
TILINGS = st.builds(Tiling, st.integers(1, 100), st.integers(0, 60), st.integers(1, 5), st.sampled_from([1, 2, 4, 8, 16, 24]))


@settings(max_examples=300)
@given(SIZES, TILINGS)
def test_cores_cover_every_pixel_exactly_once(size: Size, tiling: Tiling) -> None:
    covered = np.zeros((size.height, size.width), np.uint8)
    for tile in plan_tiles(size, tiling):
        covered[tile.core.rows, tile.core.columns] += 1
    assert covered.min() == covered.max() == 1


@settings(max_examples=300)
@given(SIZES, TILINGS)
def test_a_padded_region_has_the_whole_halo_unless_the_image_ends(size: Size, tiling: Tiling) -> None:
    for tile in plan_tiles(size, tiling):
        assert 0 <= tile.padded.x <= max(tile.core.x - tiling.aligned_halo, 0)
        assert 0 <= tile.padded.y <= max(tile.core.y - tiling.aligned_halo, 0)
        assert size.width >= tile.padded.right >= min(tile.core.right + tiling.aligned_halo, size.width)
        assert size.height >= tile.padded.bottom >= min(tile.core.bottom + tiling.aligned_halo, size.height)


@settings(max_examples=300)
@given(SIZES, TILINGS)
def test_cuts_and_origins_lie_on_the_models_grid(size: Size, tiling: Tiling) -> None:
    for tile in plan_tiles(size, tiling):
        for value in (tile.core.x, tile.core.y, tile.padded.x, tile.padded.y):
            assert value % tiling.align == 0


@settings(max_examples=300)
@given(SIZES, TILINGS)
def test_what_the_model_sees_has_one_shape_and_is_no_larger_than_asked(size: Size, tiling: Tiling) -> None:
    tiles = plan_tiles(size, tiling)
    most = max(tiling.tile // tiling.align, 1) * tiling.align + 2 * tiling.aligned_halo
    for whole, sides in (
        (size.width, {tile.padded.width for tile in tiles}),
        (size.height, {tile.padded.height for tile in tiles}),
    ):
        assert max(sides) <= most
        assert len(sides) == 1 or (len(sides) == 2 and whole % tiling.align and max(sides) - min(sides) < tiling.align)


@settings(max_examples=300)
@given(SIZES, TILINGS)
def test_no_tile_could_be_spared_and_none_sees_more_than_even_cuts_show_it(size: Size, tiling: Tiling) -> None:
    """Of one direction: with a tile fewer, each would have to see more than it may."""
    halo, tiles = tiling.aligned_halo, plan_tiles(size, tiling)
    most = max(tiling.tile // tiling.align, 1) * tiling.align + 2 * halo
    columns = {tile.padded.x: tile.padded.width for tile in tiles}
    fewer = len(columns) - 1
    assert not fewer or fewer * most < size.width + 2 * halo * (fewer - 1)
    assert sum(columns.values()) < size.width + 2 * halo * fewer + len(columns) * lcm(PREFERRED_MULTIPLE, tiling.align)


@settings(max_examples=300)
@given(SIZES, TILINGS)
def test_no_core_is_empty_and_sides_are_even_where_the_tile_allows_it(size: Size, tiling: Tiling) -> None:
    most, even = tiling.tile // tiling.align * tiling.align + 2 * tiling.aligned_halo, lcm(PREFERRED_MULTIPLE, tiling.align)
    first, *more = plan_tiles(size, tiling)
    for whole, side in ((size.width, first.padded.width), (size.height, first.padded.height)):
        assert side == whole or side % even == 0 or side > most - even
    assert all(min(tile.core.width, tile.core.height) > 0 for tile in (first, *more))


@settings(max_examples=200)
@given(SIZES, TILINGS)
def test_rows_are_the_plan(size: Size, tiling: Tiling) -> None:
    assert tuple(tile for row in iterate_tile_rows(size, tiling, 0) for tile in row) == plan_tiles(size, tiling)
    assert all(len({tile.core.y for tile in row}) == 1 for row in iterate_tile_rows(size, tiling, 0))


@settings(max_examples=200)
@given(SIZES, TILINGS, st.data())
def test_what_is_left_of_a_image_is_covered_by_a_smaller_tiling(size: Size, tiling: Tiling, data: st.DataObject) -> None:
    top = data.draw(st.integers(0, (size.height - 1) // tiling.align)) * tiling.align
    smaller = tiling.shrink() or tiling
    covered = np.zeros((size.height, size.width), np.uint8)
    for tile in plan_tiles(size, smaller, top=top):
        covered[tile.core.rows, tile.core.columns] += 1
    assert not covered[:top].any()
    assert (covered[top:] == 1).all()


def test_1080p_is_cut_without_a_sliver() -> None:
    # ComfyUI's fixed 512 px tiles leave a last row of 120 px here.
    heights = [tile.core.height for tile in plan_tiles(Size(1920, 1080), Tiling(512, 18)) if tile.core.x == 0]
    assert heights == [366, 348, 366]


def test_batches_keep_the_order_and_never_mix_shapes_or_rows() -> None:
    tiles = plan_tiles(Size(500, 300), Tiling(100, 10))
    groups = list(batch_tiles(tiles, 4))
    assert [tile for group in groups for tile in group] == list(tiles)
    for group in groups:
        assert len(group) <= 4
        assert len({(tile.core.y, tile.padded.size) for tile in group}) == 1
    assert [len(group) for group in groups] == [4, 1] * 3


def test_smaller_gives_up_the_batch_first_and_ends() -> None:
    steps = []
    tiling: Tiling | None = Tiling(100, 10, batch=4)
    while tiling:
        steps.append((tiling.batch, tiling.tile))
        tiling = tiling.shrink()
    assert steps == [(4, 100), (2, 100), (1, 100), (1, 50), (1, MIN_TILE)]


def test_the_grid_serves_window_and_multiple() -> None:
    assert compute_alignment(8, 1) == 8
    assert compute_alignment(8, 12) == 24


def test_a_region_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        split_region(Region(4, 0, 20, 20), Size(100, 100), Tiling(32, 8, align=8))


@pytest.mark.parametrize("wrong", [{"tile": 0}, {"halo": -1}, {"batch": 0}, {"align": 0}, {"tile": 16, "merge": "half-sine"}])
def test_impossible_tilings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"tiling|cross-faded"):
        Tiling(**{"tile": 64, "halo": 8, **wrong})
