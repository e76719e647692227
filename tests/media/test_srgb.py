"""The sRGB curve against scikit-image's, and against published values."""

import numpy as np
import pytest
from skimage.color.colorconv import rgb2xyz, xyz_from_rgb
from upscale8k.runtime.media.srgb import linear_to_srgb, srgb_to_linear

# 8-bit code values and their linear light, W3C "A Standard Default Color Space for the Internet - sRGB" (1996) by the formula
# of IEC 61966-2-1; 188 is the well-known code for half of the light.
PUBLISHED = {0: 0.0, 1: 0.000303527, 10: 0.003035270, 11: 0.003346536, 128: 0.215860500, 188: 0.502886458, 255: 1.0}


@pytest.mark.parametrize(("code", "light"), PUBLISHED.items())
def test_published_values(code: int, light: float) -> None:
    assert float(srgb_to_linear(np.float32([code / 255]))[0]) == pytest.approx(light, rel=2e-6)
    assert float(linear_to_srgb(np.float32([light]))[0]) == pytest.approx(code / 255, abs=2e-7)


def test_the_curve_is_scikit_images() -> None:
    encoded = np.linspace(0, 1, 4096)
    grey = np.repeat(encoded[:, None], 3, axis=1)
    luminance = rgb2xyz(grey[None])[0, :, 1] / xyz_from_rgb[1].sum()
    np.testing.assert_allclose(srgb_to_linear(encoded.astype(np.float32)), luminance, rtol=2e-6, atol=1e-9)


def test_the_two_are_inverse_above_one_and_below_zero_too() -> None:
    values = np.linspace(-3, 8, 10001, dtype=np.float32)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(srgb_to_linear(linear_to_srgb(values)), values, rtol=3e-6, atol=1e-7)


def test_below_zero_is_the_mirror_image() -> None:
    values = np.linspace(0, 2, 100, dtype=np.float32)
    np.testing.assert_array_equal(linear_to_srgb(-values), -linear_to_srgb(values))
    np.testing.assert_array_equal(srgb_to_linear(-values), -srgb_to_linear(values))


def test_results_are_float32() -> None:
    assert linear_to_srgb(np.zeros(3, np.float32)).dtype == np.float32
    assert srgb_to_linear(np.zeros(3, np.float32)).dtype == np.float32
