"""Coverage stays within what its surroundings had, whether the image grew or shrank."""

import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter
from upscale8k.runtime.images.alpha import clamp_to_neighbours
from upscale8k.runtime.upscale.output_buffer import reduce_image

RNG = np.random.default_rng(4)


def reduced(alpha: np.ndarray, height: int, width: int) -> np.ndarray:
    out = np.zeros((height, width, 1), np.float32)
    reduce_image(alpha[:, :, None], out)
    return out[:, :, 0]


def test_enlarged_pixels_keep_the_range_of_the_nine_around_them() -> None:
    source = RNG.random((13, 17), dtype=np.float32)
    wild = RNG.normal(0.5, 1, (39, 51)).astype(np.float32)
    low, high = (choose(source, 3, mode="nearest").repeat(3, 0).repeat(3, 1) for choose in (minimum_filter, maximum_filter))
    expected = wild.clip(low, high)
    clamp_to_neighbours(wild, source)
    np.testing.assert_array_equal(wild, expected)


@pytest.mark.parametrize("size", [(7, 9), (13, 40), (1, 1), (26, 17), (13, 17)])
def test_any_size_keeps_the_range_of_what_it_covers(size: tuple[int, int]) -> None:
    source = RNG.random((13, 17), dtype=np.float32)
    (height, width), wild = size, RNG.normal(0.5, 1, size).astype(np.float32)
    clipped = wild.copy()
    clamp_to_neighbours(clipped, source)
    for row in range(height):
        for column in range(width):
            top, left = row * 13 // height, column * 17 // width
            bottom, right = -(-(row + 1) * 13 // height), -(-(column + 1) * 17 // width)
            around = source[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]
            assert clipped[row, column] == wild[row, column].clip(around.min(), around.max())


def test_a_thin_line_survives_a_reduction() -> None:
    """One column in ten is opaque: its coverage is 0.1, wherever the pixel grid of the small image falls."""
    alpha = np.zeros((100, 200), np.float32)
    alpha[:, 3::10] = 1
    small = reduced(alpha, 10, 20)
    before = small.copy()
    clamp_to_neighbours(small, alpha)
    np.testing.assert_array_equal(small, before)
    assert small[:, 2:-2].mean() == pytest.approx(0.1, abs=0.02)


def test_ringing_beside_an_edge_goes_away() -> None:
    alpha = np.zeros((64, 64), np.float32)
    alpha[:, 32:] = 1
    small = reduced(alpha, 24, 24)
    assert (small[:, 14:] < 1).any()
    clamp_to_neighbours(small, alpha)
    assert (small[:, 14:] == 1).all()
    assert (small[:, :10] == 0).all()
