import numpy as np
import pytest
from upscale8k.runtime.images import sample_conversion
from upscale8k.runtime.images.sample_conversion import linear_image_to_srgb, srgb_image_to_linear


def _pixels(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, -1, 1)


# IEC 61966-2-1 worked with 50 digits; the second and third are the two sides of its knee.
PAIRS = [
    (0.0, 0.0),
    (0.002, 0.02584),
    (0.0031308, 0.040449936),
    (0.01, 0.09985282),
    (0.18, 0.46135613),
    (0.21404114, 0.5),
    (0.5, 0.73535698),
    (1.0, 1.0),
    (4.0, 1.82479630),
]


@pytest.mark.parametrize(("linear", "encoded"), PAIRS)
def test_the_curve_is_the_standards(linear: float, encoded: float) -> None:
    assert linear_image_to_srgb(_pixels(linear))[0, 0, 0] == pytest.approx(encoded, abs=2e-7)
    assert srgb_image_to_linear(_pixels(encoded))[0, 0, 0] == pytest.approx(linear, rel=1e-6, abs=2e-7)


def test_the_two_are_inverse_from_deep_black_to_highlights() -> None:
    linear = np.geomspace(1e-6, 1000, 30000, dtype=np.float32).reshape(100, 100, 3)
    np.testing.assert_allclose(srgb_image_to_linear(linear_image_to_srgb(linear)), linear, rtol=3e-6)


def test_below_zero_the_curve_is_mirrored() -> None:
    np.testing.assert_array_equal(linear_image_to_srgb(_pixels(-0.5, -0.001)), -linear_image_to_srgb(_pixels(0.5, 0.001)))


def test_peak_lays_highlights_into_the_unit_range_and_back() -> None:
    linear = _pixels(0.0, 0.18, 1.0, 12.5)
    shown = linear_image_to_srgb(linear, peak=12.5)
    assert float(shown.max()) == pytest.approx(1.0)
    np.testing.assert_allclose(srgb_image_to_linear(shown, peak=12.5), linear, rtol=3e-6)


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_stays(channels: int) -> None:
    pixels = np.full((2, 3, channels), 0.25, np.float32)
    assert (linear_image_to_srgb(pixels)[..., -1] == 0.25).all()
    assert (srgb_image_to_linear(pixels)[..., :-1] != 0.25).all()


def test_it_works_in_place_and_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).random((50, 7, 3)).astype(np.float32)
    whole = linear_image_to_srgb(pixels)
    monkeypatch.setattr(sample_conversion, "_STRIP_SAMPLES", 60)
    assert linear_image_to_srgb(pixels, out=pixels) is pixels
    np.testing.assert_array_equal(pixels, whole)
