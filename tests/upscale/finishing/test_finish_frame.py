"""The share of the plain enlargement, against OpenCV's; the grain, against noise whose spectrum is known."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.upscale.finishing.finish_frame import Finish, finish_frame
from upscale8k.runtime.upscale.finishing.grain import make_grain

RNG = np.random.default_rng(5)


def soft_noise(shape: tuple[int, ...], sigma: float, steps: float, seed: int = 5) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    return (cv2.GaussianBlur(noise, (0, 0), sigma) if sigma else noise) * steps / 255


def spectrum(pixels: np.ndarray) -> np.ndarray:
    """Power in nine rings of frequency, of the mean of the colors."""
    grey = pixels.mean(axis=2)
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(grey.shape[1]), np.fft.fftfreq(grey.shape[0])))
    return np.array([power[(radius >= low) & (radius < low + 0.05)].mean() for low in np.arange(0.05, 0.5, 0.05)])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_strength_blends_with_the_plain_enlargement(channels: int) -> None:
    source = RNG.random((40, 48, channels), dtype=np.float32)
    if channels in (2, 4):
        source[:, :, -1] = 1
    model = RNG.random((160, 192, channels), dtype=np.float32)
    out = model.copy()
    finish_frame(source, out, Finish(strength=0.8))
    colors = 1 if channels < 3 else 3
    # Catmull-Rom: torch and OpenCV take a = -0.75, Pillow the a = -0.5 of Keys.
    from PIL import Image

    for index in range(colors):
        plain = np.asarray(Image.fromarray(source[:, :, index]).resize((192, 160), Image.Resampling.BICUBIC))
        inside = np.s_[8:-8, 8:-8]
        wanted = np.clip(0.8 * model[:, :, index] + 0.2 * plain, 0, 1)
        np.testing.assert_allclose(out[:, :, index][inside], wanted[inside], atol=2e-6)
    np.testing.assert_array_equal(out[:, :, colors:], model[:, :, colors:])


def test_strength_of_a_reduction_is_a_mean_of_areas() -> None:
    source = RNG.random((40, 48, 3), dtype=np.float32)
    out = np.zeros((20, 24, 3), np.float32)
    finish_frame(source, out, Finish(strength=0.0))
    np.testing.assert_allclose(out, source.reshape(20, 2, 24, 2, 3).mean(axis=(1, 3)), atol=1e-6)


def test_the_defaults_change_nothing_and_have_no_identity() -> None:
    out = RNG.random((80, 80, 3), dtype=np.float32)
    before = out.copy()
    finish_frame(np.zeros((40, 40, 3), np.float32), out, Finish())
    np.testing.assert_array_equal(out, before)
    assert Finish().describe() == ""
    assert Finish("mean", 0.5, 1).describe() == " colour fix mean strength 0.5 grain 1.0"


@pytest.mark.parametrize("values", [{"strength": 1.5}, {"grain": -0.5}, {"strength": float("nan")}])
def test_a_share_outside_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(WorkflowError, match="Use a number from 0 to 1"):
        Finish(**values)


@pytest.mark.parametrize("sigma", [0.0, 0.8, 1.2])
def test_grain_on_a_flat_image_has_the_spectrum_of_its_noise(sigma: float) -> None:
    ratios: list[np.ndarray] = []
    for seed in range(6):
        noise = soft_noise((256, 384, 3), sigma, 8, seed)
        grain = make_grain((0.5 + noise).astype(np.float32))
        assert grain.std() == pytest.approx(noise.std(), rel=0.1)
        made, given = spectrum(grain), spectrum(noise)
        ratios.append((made / given)[given > 0.02 * given.max()])  # rings that hold noise at all
    np.testing.assert_allclose(ratios, 1, atol=0.35)
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1, atol=0.15)


def test_grain_has_the_colors_of_the_noise() -> None:
    noise = soft_noise((256, 256), 0.7, 8)[:, :, None] * np.array([1.0, 0.5, 0.25])
    grain = make_grain((0.5 + noise).astype(np.float32)).reshape(-1, 3)
    np.testing.assert_allclose(np.corrcoef(grain.T), 1, atol=0.02)
    np.testing.assert_allclose(grain.std(axis=0) / grain.std(axis=0)[0], [1, 0.5, 0.25], rtol=0.02)


@pytest.mark.parametrize("sigma", [0.0, 0.8])
@pytest.mark.parametrize("photograph", [data.astronaut, data.coffee, data.chelsea])
def test_grain_of_a_photograph_is_its_noise_and_not_its_structure(photograph: Callable[[], np.ndarray], sigma: float) -> None:
    clean = cv2.GaussianBlur(photograph().astype(np.float32) / 255, (0, 0), 1.5)
    ratios: list[np.ndarray] = []
    for seed in range(3):
        noise = soft_noise(clean.shape, sigma, 4, seed)
        grain = make_grain(np.clip(clean + noise, 0, 1).astype(np.float32))
        assert 0.7 < grain.std() / noise.std() < 1.15
        ratios.append((spectrum(grain) / spectrum(noise))[: 9 if sigma == 0 else 7])  # faster, soft noise has no power
    mean = np.mean(ratios, axis=0)
    assert mean.min() > 0.55  # the noise of clipped shadows is clipped too
    assert mean.max() < 1.7
    assert make_grain(clean).std() * 255 < 0.6


def test_no_grain_is_measured_in_less_than_a_block() -> None:
    assert not make_grain(np.zeros((20, 400, 3), np.float32)).any()


def test_grain_survives_the_enlargement_and_depends_on_the_pixels_alone() -> None:
    source = np.clip(0.5 + soft_noise((128, 160, 3), 0.8, 8), 0, 1).astype(np.float32)
    first, second = (np.full((512, 640, 3), 0.5, np.float32) for _ in range(2))
    for out in (first, second):
        finish_frame(source, out, Finish(grain=0.5))
    np.testing.assert_array_equal(first, second)
    reduced = first.reshape(128, 4, 160, 4, 3).mean(axis=(1, 3))
    slow = np.s_[:5]  # beyond, a cubic enlargement is softer than its source
    np.testing.assert_allclose(spectrum(reduced)[slow], 0.25 * spectrum(source)[slow], rtol=0.4)
    other = np.full((512, 640, 3), 0.5, np.float32)
    finish_frame(np.roll(source, 1, axis=0), other, Finish(grain=0.5))
    assert not np.array_equal(first, other)
