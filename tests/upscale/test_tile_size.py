"""The automatic tile: as large as memory allows and as small as time allows, on the model's grid."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.hardware.tile_memory import Footprint
from upscale8k.runtime.upscale.tile_size import TileBudget, choose_tiling
from upscale8k.runtime.upscale.tiles import MIN_TILE, Tiling

from .test_device import MODEL

PLENTY = TileBudget(2_000_000_000, Footprint(650))


def seen(tiling: Tiling) -> int:
    """Pixels that the model sees at once, all tiles of a batch."""
    return tiling.batch * (tiling.tile + 2 * tiling.aligned_halo) ** 2


@given(st.integers(0, 400), st.sampled_from([1, 2, 8, 16, 24, 32]), st.integers(1, 8), st.integers(10**6, 10**10))
def test_an_automatic_tile_lies_on_the_grid_and_fits_unless_none_does(halo: int, align: int, batch: int, free: int) -> None:
    model = replace(MODEL, halo=-(-halo // align) * align, window=align)
    tiling = choose_tiling(model, TileBudget(free, Footprint(650)), batch=batch)
    assert tiling.tile % align == 0
    assert tiling.tile >= MIN_TILE
    assert tiling.halo == model.halo
    smallest = 96 + 2 * model.halo
    assert seen(tiling) <= max(free // 650, batch * smallest**2)


@given(st.integers(0, 100), st.integers(10**6, 10**10), st.integers(10**6, 10**10))
def test_more_memory_never_makes_the_overhead_worse(halo: int, first: int, second: int) -> None:
    model = replace(MODEL, halo=halo)
    little, much = (choose_tiling(model, TileBudget(free, Footprint(650))) for free in sorted((first, second)))
    overhead = [((tiling.tile + 2 * halo) / tiling.tile) ** 2 for tiling in (little, much)]
    assert overhead[1] <= overhead[0] * 1.08 + 1e-9


def test_memory_that_would_buy_nothing_is_left_alone() -> None:
    assert choose_tiling(replace(MODEL, halo=0), PLENTY).tile == 96  # without a halo every tile costs the same
    assert choose_tiling(replace(MODEL, halo=18), PLENTY).tile < choose_tiling(replace(MODEL, halo=64), PLENTY).tile


def test_what_was_asked_for_is_taken() -> None:
    tiling = choose_tiling(MODEL, TileBudget(1, Footprint(650)), tile=200, halo=5, batch=3)
    assert (tiling.tile, tiling.halo, tiling.batch) == (200, 5, 3)
    assert choose_tiling(replace(MODEL, window=24), PLENTY, tile=200).tile == 192
    assert choose_tiling(MODEL, PLENTY, halo=0).halo == 0


@pytest.mark.parametrize("tile", [1, 31])
def test_a_tile_that_is_not_worth_its_halo_is_refused(tile: int) -> None:
    with pytest.raises(WorkflowError, match=f"A tile of {tile} pixels is too small") as caught:
        choose_tiling(MODEL, PLENTY, tile=tile)
    assert "at least 32" in caught.value.hint


@pytest.mark.parametrize("window", [1, 7, 12, 24, 31, 33, 64])
@pytest.mark.parametrize("tile", [0, 32, 40, 100])
def test_any_grid_and_tile_can_be_cross_faded(window: int, tile: int) -> None:
    model = replace(MODEL, window=window, exact_halo=None)
    tiling = choose_tiling(model, TileBudget(1, Footprint(650)), tile=tile)
    assert tiling.merge == "half-sine"
    assert tiling.tile % window == 0
    assert tiling.tile >= MIN_TILE


def test_only_a_network_whose_reach_is_unknown_is_cross_faded() -> None:
    assert choose_tiling(replace(MODEL, exact_halo=349, halo=64), PLENTY).merge == "crop"
    assert choose_tiling(replace(MODEL, exact_halo=None, halo=64), PLENTY).merge == "half-sine"
    assert choose_tiling(replace(MODEL, exact_halo=None), PLENTY, halo=0).merge == "crop"  # there is nothing to fade over
