"""Against the original: numbers of other libraries, and known damage."""

import cv2
import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.metrics.degradation import Degradation
from upscale8k.runtime.metrics.delta_e import ciede2000, lab_from_srgb
from upscale8k.runtime.metrics.fidelity import measure_fidelity


@pytest.fixture(scope="module")
def cup() -> np.ndarray:
    return np.ascontiguousarray(data.coffee()[40:240, 100:340], np.float32) / 255


def test_numbers_are_those_of_other_libraries(cup: np.ndarray) -> None:
    other = np.clip(cv2.GaussianBlur(cup, (0, 0), 1.2) + np.float32(0.02), 0, 1)
    found = measure_fidelity(cup, other)
    luma = [image @ np.array([0.2126, 0.7152, 0.0722], np.float32) for image in (cup, other)]
    ssim = structural_similarity(*luma, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    assert found.ssim == pytest.approx(float(ssim), abs=1e-5)
    assert found.psnr_db == pytest.approx(peak_signal_noise_ratio(cup, other, data_range=1), abs=1e-4)
    assert found.drift == pytest.approx(float(ciede2000(lab_from_srgb(cup), lab_from_srgb(other)).mean()), abs=1e-3)


def test_an_image_is_perfect_against_itself(cup: np.ndarray) -> None:
    found = measure_fidelity(cup, cup)
    assert (found.psnr_db, found.gmsd, found.texture, found.drift) == (99.0, 0.0, 0.0, 0.0)
    assert found.ssim == pytest.approx(1.0)


def test_blur_wins_by_pixels_and_loses_by_texture(cup: np.ndarray) -> None:
    """Grain of the right strength at other places is a larger error of pixels than no grain at all."""
    grain = [np.random.default_rng(seed).normal(0, 0.04, cup.shape).astype(np.float32) for seed in (1, 2)]
    original, restored = (np.clip(cup * 0.8 + 0.1 + one, 0, 1) for one in grain)
    blurred = np.clip(cup * 0.8 + np.float32(0.1), 0, 1)
    assert measure_fidelity(original, blurred).psnr_db > measure_fidelity(original, restored).psnr_db + 2
    assert measure_fidelity(original, restored).texture < measure_fidelity(original, blurred).texture / 4


def test_another_size_is_refused(cup: np.ndarray) -> None:
    with pytest.raises(WorkflowError, match="The result is 240x100 and its original 240x200"):
        measure_fidelity(cup, cup[:100])


def test_reduction_is_the_mean_of_light() -> None:
    """Black and white pixels average to half the light, which is 0.735 when encoded by sRGB."""
    board = np.repeat((np.indices((8, 8)).sum(axis=0) % 2)[:, :, None], 3, 2).astype(np.float32)
    np.testing.assert_allclose(Degradation().reduce(board, 4), 0.7354, atol=1e-4)


def test_damage_is_stated_and_the_same_each_time(cup: np.ndarray) -> None:
    damage = Degradation.parse("blur=0.8, noise=5, jpeg=70")
    assert "Gaussian of 0.8 pixels" in damage.describe()
    assert f"noise of 5 of 255 steps (seed {Degradation.SEED}), JPEG of quality 70" in damage.describe()
    np.testing.assert_array_equal(damage.reduce(cup, 2), damage.reduce(cup, 2))
    noisy, clean = Degradation(noise=5).reduce(cup, 2), Degradation().reduce(cup, 2)
    assert float(np.std(noisy - clean)) * 255 == pytest.approx(5, rel=0.05)
    assert damage.reduce(cup, 2).shape == (100, 120, 3)


@pytest.mark.parametrize("text", ["sharpen=1", "noise", "jpeg=0", "blur=-1", "noise=nan", "noise=1e9"])
def test_unknown_damage_is_refused(text: str) -> None:
    with pytest.raises(WorkflowError, match="is unknown"):
        Degradation.parse(text)
