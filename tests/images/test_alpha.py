import cv2
import numpy as np
import pytest
from upscale8k.runtime.images import sample_conversion
from upscale8k.runtime.images.alpha import fill_transparent_pixels


def _disc(side: int = 96) -> np.ndarray:
    """An orange disc with a soft edge, its outside stored as transparent black."""
    rows, columns = np.mgrid[0:side, 0:side] - (side - 1) / 2
    alpha = np.clip(side / 3 - np.hypot(rows, columns) + 0.5, 0, 1)
    color = np.stack([0.6 + 0.4 * columns / side, 0.5 + 0.2 * rows / side, np.full((side, side), 0.2)], axis=-1)
    color[alpha == 0] = 0
    return np.concatenate([color, alpha[..., None]], axis=2).astype(np.float32)


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    return cv2.resize(pixels, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)


def _fringe(color: np.ndarray, image: np.ndarray) -> float:
    """Greatest color error at the enlarged edge, over white, against associated alpha (Porter and Duff, 1984)."""
    alpha = np.clip(_enlarged(image[..., 3]), 0, 1)[..., None]
    shown = _enlarged(color) * alpha + (1 - alpha)
    right = _enlarged(image[..., :3] * image[..., 3:]) + (1 - alpha)
    return float(np.abs(shown - right).max())


def test_the_dark_fringe_is_gone() -> None:
    disc = _disc()
    before, after = _fringe(disc[..., :3], disc), _fringe(fill_transparent_pixels(disc), disc)
    assert before > 0.12
    assert after < 0.02


def test_what_can_be_seen_is_untouched_bit_for_bit() -> None:
    pixels = np.random.default_rng(3).random((65, 47, 4)).astype(np.float32)
    pixels[pixels[..., 3] < 0.5, 3] = 0
    pixels[:20, :, 3] = 1
    filled = fill_transparent_pixels(pixels)
    visible = pixels[..., 3] > 0
    np.testing.assert_array_equal(filled[visible], pixels[visible][:, :3])
    np.testing.assert_array_equal(filled[:20], pixels[:20, :, :3])


def test_a_single_visible_pixel_colors_everything() -> None:
    pixels = np.zeros((37, 53, 4), np.float32)
    pixels[30, 7] = (0.2, 0.4, 0.6, 1)
    np.testing.assert_allclose(
        fill_transparent_pixels(pixels), np.broadcast_to(np.float32([0.2, 0.4, 0.6]), (37, 53, 3)), rtol=1e-5
    )


def test_the_fill_stays_between_the_visible_colors() -> None:
    pixels = np.random.default_rng(4).random((64, 64, 4)).astype(np.float32) * 0.2 + 0.4
    pixels[..., 3] = np.random.default_rng(5).random((64, 64)) > 0.9
    filled = fill_transparent_pixels(pixels)
    assert filled.min() >= 0.4 - 1e-6
    assert filled.max() <= 0.6 + 1e-6


@pytest.mark.parametrize("alpha", [0, 1])
def test_nothing_visible_or_nothing_hidden_changes_nothing(alpha: float) -> None:
    pixels = np.random.default_rng(6).random((9, 11, 4)).astype(np.float32)
    pixels[..., 3] = alpha
    np.testing.assert_array_equal(fill_transparent_pixels(pixels), pixels[..., :3])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (97, 131)])
def test_any_size_and_grey(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(7).random((*shape, 2)).astype(np.float32)
    pixels[..., 1] = np.random.default_rng(8).random(shape) > 0.7
    filled = fill_transparent_pixels(pixels)
    assert filled.shape == (*shape, 1)
    assert np.isfinite(filled).all()


def test_strips_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    disc = _disc()
    whole = fill_transparent_pixels(disc)
    monkeypatch.setattr(sample_conversion, "_STRIP_SAMPLES", 96 * 4 * 3)
    np.testing.assert_array_equal(fill_transparent_pixels(disc), whole)
