"""The reduction is exact: it equals Pillow's, and it does not show where the bands were."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from upscale8k.runtime.media.geometry import Region, Size
from upscale8k.runtime.upscale.output_buffer import DirectBuffer, ReducingBuffer, reduce_image

RNG = np.random.default_rng(20)
IMAGE = RNG.random((301, 203, 3), dtype=np.float32)


def reduced(pixels: np.ndarray, final: Size, *, linear: bool = False) -> np.ndarray:
    out = np.zeros((final.height, final.width, pixels.shape[2]), np.float32)
    reduce_image(pixels, out, linear=linear)
    return out


def pillow(pixels: np.ndarray, size: Size) -> np.ndarray:
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(pixels[:, :, c])).resize((size.width, size.height), Image.Resampling.LANCZOS)
        )
        for c in range(pixels.shape[2])
    ]
    return np.stack(planes, axis=2).clip(0, 1)


@pytest.mark.parametrize("final", [Size(101, 150), Size(202, 300), Size(203, 77), Size(50, 301), Size(1, 1), Size(203, 301)])
def test_reduction_equals_pillows_lanczos(final: Size) -> None:
    np.testing.assert_allclose(reduced(IMAGE, final), pillow(IMAGE, final), atol=5e-7)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 300), max_size=8, unique=True), st.sampled_from([Size(101, 150), Size(90, 133), Size(60, 299)]))
def test_bands_leave_no_trace_to_the_last_bit(cuts: list[int], final: Size) -> None:
    out = np.zeros((final.height, final.width, 3), np.float32)
    canvas = ReducingBuffer(Size(203, 301), out)
    edges = [0, *sorted(cuts), 301]
    for top, bottom in pairwise(edges):
        canvas.put(Region(0, top, 203, bottom - top), IMAGE[top:bottom])
        canvas.finish_rows(bottom)
    np.testing.assert_array_equal(out, reduced(IMAGE, final))


def test_linear_light_keeps_the_light_of_a_fine_checkerboard() -> None:
    # Half of the area shines: in linear light that is 0.5, which sRGB encodes as 0.7354 (IEC 61966-2-1).
    board = np.indices((64, 64)).sum(axis=0) % 2
    pixels = np.repeat(board[:, :, None], 3, axis=2).astype(np.float32)
    middle = (slice(3, -3), slice(3, -3))
    assert reduced(pixels, Size(16, 16), linear=True)[middle].mean() == pytest.approx(0.7354, abs=2e-3)
    assert reduced(pixels, Size(16, 16))[middle].mean() == pytest.approx(0.5, abs=2e-3)


def test_linear_light_leaves_alpha_as_it_is() -> None:
    pixels = RNG.random((40, 40, 4), dtype=np.float32)
    np.testing.assert_array_equal(reduced(pixels, Size(20, 20), linear=True)[:, :, 3], reduced(pixels, Size(20, 20))[:, :, 3])


def test_overshoot_is_clipped() -> None:
    step = np.zeros((40, 40, 1), np.float32)
    step[:, 20:] = 1
    result = reduced(step, Size(20, 20))
    assert result.min() == 0
    assert result.max() == 1


def test_a_direct_canvas_clips_what_a_model_overshoots() -> None:
    out = np.zeros((2, 2, 1), np.float32)
    canvas = DirectBuffer(out)
    canvas.put(Region(0, 0, 2, 2), np.array([[[-0.5], [0.25]], [[1.5], [1.0]]], np.float32))
    canvas.finish_rows(2)
    assert out.ravel().tolist() == [0.0, 0.25, 1.0, 1.0]


def test_a_result_in_16_bits_is_the_rounded_float_result() -> None:
    final = Size(101, 150)
    integers = np.zeros((final.height, final.width, 3), np.uint16)
    reduce_image(IMAGE, integers)
    np.testing.assert_array_equal(integers, np.floor(reduced(IMAGE, final).astype(np.float64) * 65535 + 0.5))
