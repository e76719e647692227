"""Reducing by area and enlarging by a cubic, against torch; the filters of other programs, against Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image
from upscale8k.runtime.images.resize import make_area_taps, make_cubic_taps, make_filter_taps, reduce_in_linear_light, resample
from upscale8k.runtime.media.srgb import linear_to_srgb, srgb_to_linear

RNG = np.random.default_rng(11)


def planes(image: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(image).movedim(-1, 0)[None]


@pytest.mark.parametrize(("source", "final"), [((40, 60), (10, 20)), ((45, 60), (9, 12)), ((7, 7), (1, 1)), ((8, 6), (8, 6))])
def test_whole_factors_are_torchs_area_in_linear_light(source: tuple[int, int], final: tuple[int, int]) -> None:
    image = RNG.random((*source, 3), dtype=np.float32)
    expected = torch.nn.functional.adaptive_avg_pool2d(planes(srgb_to_linear(image)), final)[0].movedim(0, -1).numpy()
    found = reduce_in_linear_light(image, make_area_taps(source[1], final[1]), make_area_taps(source[0], final[0]))
    np.testing.assert_allclose(found, linear_to_srgb(expected), atol=2e-6)


@pytest.mark.parametrize(("source", "final"), [(10, 4), (7, 3), (1000, 999), (4320, 1081)])
def test_other_factors_weigh_each_sample_by_what_is_covered(source: int, final: int) -> None:
    # Every sample repeated ``final`` times has a whole factor, ``source``, to the result.
    samples = RNG.random((1, source, 1), dtype=np.float32)
    expected = samples[0, :, 0].astype(np.float64).repeat(final).reshape(final, source).mean(axis=1)
    found = resample(samples, make_area_taps(source, final), make_area_taps(1, 1))
    np.testing.assert_allclose(found[0, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize(("source", "final"), [(20, 80), (33, 100), (5, 5)])
def test_the_cubic_is_torchs_away_from_the_border(source: int, final: int) -> None:
    image = RNG.random((source, source, 3), dtype=np.float32)
    expected = torch.nn.functional.interpolate(planes(image), (final, final), mode="bicubic", antialias=True)
    found = resample(image, make_cubic_taps(source, final), make_cubic_taps(source, final))
    border = 4 * final // source + 1
    inside = (slice(border, final - border),) * 2
    np.testing.assert_allclose(found[inside], expected[0].movedim(0, -1).numpy()[inside], atol=5e-6)


@pytest.mark.parametrize("taps", [make_area_taps(97, 31), make_cubic_taps(31, 97), make_cubic_taps(1, 4), make_area_taps(5, 5)])
def test_a_constant_stays_what_it_is(taps: object) -> None:
    np.testing.assert_allclose(taps.weights.sum(axis=0), 1, atol=1e-6)  # type: ignore[attr-defined]


@pytest.mark.parametrize("make", [make_area_taps, make_cubic_taps])
@pytest.mark.parametrize("cut", [1, 7, 20])
def test_parts_of_the_rows_are_those_rows(make: object, cut: int) -> None:
    sizes = (90, 31) if make is make_area_taps else (31, 90)
    image = RNG.random((sizes[0], 12, 3), dtype=np.float32)
    down, across = make(*sizes), make_area_taps(12, 6)  # type: ignore[operator]
    parts = []
    for top in range(0, sizes[1], cut):
        part = down.slice_results(top, min(top + cut, sizes[1]))
        parts.append(resample(image[part.start : part.stop], across, part))
    np.testing.assert_array_equal(np.concatenate(parts), resample(image, across, down))


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos"])
@pytest.mark.parametrize(("source", "final"), [((97, 131), (24, 32)), ((64, 64), (16, 16)), ((50, 40), (50, 39))])
def test_filters_reduce_as_pillow_does(kernel: str, source: tuple[int, int], final: tuple[int, int]) -> None:
    plane = RNG.random(source, dtype=np.float32)
    expected = np.asarray(Image.fromarray(plane).resize(final[::-1], Image.Resampling[kernel.upper()]))
    across, down = (make_filter_taps(source[axis], final[axis], kernel) for axis in (1, 0))  # type: ignore[arg-type]
    np.testing.assert_allclose(resample(plane[:, :, None], across, down)[:, :, 0], expected, atol=1e-6)
    part = down.slice_results(3, 9)
    rows = resample(plane[part.start : part.stop, :, None], across, part)[:, :, 0]
    np.testing.assert_allclose(rows, expected[3:9], atol=1e-6)
