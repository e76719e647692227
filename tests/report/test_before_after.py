"""What the slider on a node shows: the whole image, and the same detail of source and result."""

import numpy as np
import pytest
from PIL import Image
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.report.before_after import DETAIL_SIZE, OVERVIEW_SIDE, SourceSnapshot


def flat_with_texture(height: int, width: int, top: int, left: int, side: int) -> np.ndarray:
    """Grey, with noise in one square."""
    pixels = np.full((height, width, 3), 0.5, np.float32)
    noise = np.random.default_rng(3).random((side, side, 3), np.float32)
    pixels[top : top + side, left : left + side] = noise
    return pixels


def enlarged(pixels: np.ndarray, times: int) -> np.ndarray:
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def as_array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.uint16])
def test_a_detail_is_the_same_place_of_both_pixel_for_pixel(dtype: type) -> None:
    source = flat_with_texture(300, 400, 180, 250, 60)
    if dtype != np.float32:
        source = (source * np.iinfo(dtype).max).astype(dtype)
    result = enlarged(source, 8)
    detail, whole = SourceSnapshot(source, Size(3200, 2400)).make_pairs(result)
    assert (detail.is_whole, whole.is_whole) == (False, True)
    assert detail.after.size == (DETAIL_SIZE.width, DETAIL_SIZE.height)
    assert detail.before.size == (DETAIL_SIZE.width // 8, DETAIL_SIZE.height // 8)
    np.testing.assert_array_equal(as_array(detail.after), enlarged(as_array(detail.before), 8))
    # The noise, 60 pixels of 120 x 80, is what is shown.
    assert (as_array(detail.before).std(axis=2) > 5).sum() == pytest.approx(60 * 60, rel=0.1)


def test_both_wholes_are_bounded_and_of_one_shape() -> None:
    source = flat_with_texture(900, 1600, 10, 10, 300)
    whole = SourceSnapshot(source, Size(3200, 1800)).make_pairs(enlarged(source, 2))[-1]
    assert whole.before.size == whole.after.size == (OVERVIEW_SIDE, OVERVIEW_SIDE * 9 // 16)
    assert np.abs(as_array(whole.before) - as_array(whole.after)).mean() < 2


def test_a_result_that_can_be_shown_whole_has_no_detail() -> None:
    source = flat_with_texture(100, 120, 0, 0, 50)
    (pair,) = SourceSnapshot(source, Size(480, 400)).make_pairs(enlarged(source, 4))
    assert pair.is_whole
    np.testing.assert_array_equal(as_array(pair.after), enlarged(as_array(pair.before), 4))


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 1), (3, 700), (700, 3)])
def test_other_channels_and_odd_shapes_are_shown_as_rgb(channels: int, size: tuple[int, int]) -> None:
    source = np.random.default_rng(1).random((*size, channels), np.float32)
    result = enlarged(source, 4)
    for pair in SourceSnapshot(source, Size(result.shape[1], result.shape[0])).make_pairs(result):
        assert pair.before.mode == pair.after.mode == "RGB"
        assert max(pair.after.size) <= OVERVIEW_SIDE


def test_a_factor_that_is_no_whole_number_stays_inside_the_image() -> None:
    source = flat_with_texture(481, 721, 400, 640, 80)
    result = np.asarray(Image.fromarray((source * 255).astype(np.uint8)).resize((1803, 1203), Image.Resampling.BICUBIC))
    detail = SourceSnapshot(source, Size(1803, 1203)).make_pairs(result)[0]
    assert abs(detail.after.width - DETAIL_SIZE.width) <= 3
    assert (
        np.abs(as_array(detail.before.resize(detail.after.size, Image.Resampling.BICUBIC)) - as_array(detail.after)).mean() < 8
    )
