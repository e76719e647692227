"""Tiles that are blended: what any function of neighbourhoods must give, and weights computed by hand."""

import pytest
import torch
from upscale8k.runtime.comfyui.builtin.tiled_scale import count_tiles, tiled_scale_multidim


@pytest.mark.parametrize(("height", "width"), [(100, 77), (64, 64), (40, 130), (65, 64)])
def test_a_function_without_neighbours_gives_the_untiled_image(height: int, width: int) -> None:
    samples = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))

    def doubled(tile: torch.Tensor) -> torch.Tensor:
        return tile.repeat_interleave(2, -1).repeat_interleave(2, -2)

    tiled = tiled_scale_multidim(samples, doubled, (64, 48), 8, 2)
    assert tiled.shape == (2, 3, 2 * height, 2 * width)
    assert torch.allclose(tiled, doubled(samples), atol=1e-6)


def test_two_tiles_meet_with_the_weights_of_their_ramps() -> None:
    """Tiles of 4 that overlap by 2: the first gives 0 and the last 1, so what comes out is the last one's share."""
    numbers = iter([0.0, 1.0])
    tiled = tiled_scale_multidim(torch.zeros(1, 1, 6), lambda tile: torch.full_like(tile, next(numbers)), (4,), 2, 1, 1)
    rising, falling = [1 / 2, 2 / 2], [2 / 2, 1 / 2]
    shares = [up / (up + down) for up, down in zip(rising, falling, strict=True)]
    assert tiled.flatten().tolist() == pytest.approx([0, 0, *shares, 1, 1])


def test_sizes_may_shrink_and_progress_is_counted() -> None:
    class Bar:
        steps = 0.0

        def update(self, value: float) -> None:
            self.steps += value

    bar = Bar()
    tiled = tiled_scale_multidim(
        torch.ones(1, 3, 160, 128), lambda tile: tile[..., ::8, ::8], (64, 64), 16, 8, 3, downscale=True, pbar=bar
    )
    assert tiled.shape == (1, 3, 20, 16)
    assert torch.allclose(tiled, torch.ones(()))
    assert bar.steps == count_tiles(160, 64, 16) * count_tiles(128, 64, 16) == 3 * 3
