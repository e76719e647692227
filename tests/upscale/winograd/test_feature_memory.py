"""Memory of features: used again when nothing looks at it, never before, and never more than was in use at once."""

import gc
import mmap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from upscale8k.runtime.upscale.memory import is_out_of_memory
from upscale8k.runtime.upscale.winograd import feature_memory
from upscale8k.runtime.upscale.winograd.feature_memory import FeatureMemory

pytestmark = pytest.mark.timeout(60)


@contextmanager
def gc_disabled() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes that were asked of the system, in order."""
    asked: list[int] = []

    def map_pages(nbytes: int) -> mmap.mmap:
        asked.append(nbytes)
        return mmap.mmap(-1, nbytes)

    monkeypatch.setattr(feature_memory, "_map_pages", map_pages)
    return asked


def test_features_lie_pixel_by_pixel_and_whole_output_tiles_fit() -> None:
    features = FeatureMemory().allocate(2, 16, 5, 7)
    assert features.shape == (2, 16, 5, 7)
    assert features.stride() == (8 * 8 * 16, 1, 8 * 16, 16)
    assert features.data_ptr() % 64 == 0
    assert features.untyped_storage().nbytes() == 2 * 8 * 8 * 16 * 4


def test_a_tile_takes_the_memory_of_the_one_before(mapped: list[int]) -> None:
    memory = FeatureMemory()
    for _ in range(5):
        layers = [memory.allocate(1, 64, 40, 60) for _ in range(2)]
        del layers
    assert mapped == [40 * 60 * 64 * 4] * 2


def test_what_is_looked_at_stays_even_through_a_view_of_a_view(mapped: list[int]) -> None:
    memory = FeatureMemory()
    kept = memory.allocate(1, 16, 8, 8).fill_(3)[:, 4:8].permute(0, 2, 3, 1).numpy()
    others = [memory.allocate(1, 16, 8, 8).fill_(5) for _ in range(3)]
    assert (kept == 3).all()
    assert len({other.data_ptr() for other in others}) == len(others)
    memory.release()
    memory.allocate(1, 16, 8, 8).fill_(7)
    assert (kept == 3).all()
    assert all((other == 5).all() for other in others)


def test_small_layers_share_a_large_block_which_is_whole_again_afterwards(mapped: list[int]) -> None:
    memory = FeatureMemory()
    large = memory.allocate(1, 128, 16, 16)
    place = large.data_ptr()
    del large
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        small = {each: memory.allocate(1, 32, 16, 16).fill_(each) for each in range(3)}
        assert all((layer == each).all() for each, layer in small.items())
        assert min(layer.data_ptr() for layer in small.values()) == place
        for each in order:
            del small[each]
        assert memory.allocate(1, 128, 16, 16).data_ptr() == place
    assert len(mapped) == 1


def test_the_smallest_place_that_fits_is_taken(mapped: list[int]) -> None:
    memory = FeatureMemory()
    layers = [memory.allocate(1, channels, 8, 8) for channels in (64, 16, 32)]
    places = [layer.data_ptr() for layer in layers]
    del layers
    assert memory.allocate(1, 24, 8, 8).data_ptr() == places[2]
    assert len(mapped) == 3


def test_a_larger_tile_replaces_a_block_that_nothing_uses(mapped: list[int]) -> None:
    memory = FeatureMemory()
    for side in (8, 16, 24):
        memory.allocate(1, 16, side, side)
    assert len(memory._blocks) == 1
    assert mapped == [side * side * 16 * 4 for side in (8, 16, 24)]


def test_garbage_that_is_found_during_an_allocation_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its finalizer runs in the thread that allocates and holds the lock, and must not wait for it."""
    memory = FeatureMemory()
    cycle: list[object] = [memory.allocate(1, 16, 8, 8)]
    place = cycle[0].data_ptr() if isinstance(cycle[0], torch.Tensor) else 0
    cycle.append(cycle)

    def map_pages(nbytes: int) -> mmap.mmap:
        assert gc.collect() > 0
        return mmap.mmap(-1, nbytes)

    monkeypatch.setattr(feature_memory, "_map_pages", map_pages)
    del cycle
    with gc_disabled():
        memory.allocate(1, 16, 16, 16)
        assert memory.allocate(1, 16, 8, 8).data_ptr() == place


def test_a_system_without_huge_pages_gives_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Pages(mmap.mmap):
        def madvise(self, option: int, *_: int) -> None:
            asked.append(option)
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(feature_memory.mmap, "mmap", Pages)
    assert (FeatureMemory().allocate(1, 16, 8, 8).fill_(2) == 2).all()
    assert asked == ([mmap.MADV_HUGEPAGE] if hasattr(mmap, "MADV_HUGEPAGE") else [])


def test_no_memory_is_out_of_memory_so_that_a_smaller_tile_is_tried() -> None:
    with pytest.raises(MemoryError, match="MB for features") as error:
        FeatureMemory().allocate(1, 1 << 20, 1 << 18, 1 << 10)
    assert is_out_of_memory(error.value)
    assert isinstance(FeatureMemory().allocate(1, 16, 4, 4), torch.Tensor)
