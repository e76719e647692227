"""The drift that is taken away, and all that must stay."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, VideoInfo, VideoStream
from upscale8k.runtime.metrics.artifact_measures.enlargement import Enlargement
from upscale8k.runtime.metrics.artifact_measures.spectrum import measure_spectrum
from upscale8k.runtime.metrics.drift import measure_drift
from upscale8k.runtime.upscale.color_fix import ColorFixResult, average_results, fix_and_measure_colors, fix_colors
from upscale8k.runtime.upscale.image_batch import upscale_batch
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.video import upscale_video

from .test_image_batch import Told

RNG = np.random.default_rng(12)


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    """(96, 128, 3) float32, away from black and white."""
    return data.coffee()[100:196, 200:328].astype(np.float32) / 255 * np.float32(0.7) + np.float32(0.15)


@pytest.fixture(scope="module")
def model(weights: Callable[[str], Any]) -> Any:
    return weights("realesr-animevideov3")


def drifted(source: np.ndarray) -> np.ndarray:
    """Four times as large, with fine waves that no source could hold, and a drift that changes from left to right."""
    height, width = source.shape[0] * 4, source.shape[1] * 4
    large = cv2.resize(source, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, -1)
    waves = 0.05 * np.sin(np.arange(width) * np.pi / 1.5)[None, :, None]
    drift = np.linspace(-0.06, 0.08, width)[None, :, None] * np.array([1, 0.2, -0.6])[: source.shape[2]]
    return np.clip(large + waves + drift, 0, 1).astype(np.float32)


def test_off_changes_nothing(source: np.ndarray) -> None:
    out = drifted(source)
    fix_colors(source, out, "off")
    np.testing.assert_array_equal(out, drifted(source))


def test_a_shift_of_the_whole_image_is_taken_away_by_the_mean(source: np.ndarray) -> None:
    shifted = source.repeat(4, 0).repeat(4, 1) + np.array([0.05, -0.03, 0.02], np.float32)
    fix_colors(source, shifted, "mean")
    np.testing.assert_allclose(shifted, source.repeat(4, 0).repeat(4, 1), atol=0.003)


def test_a_drift_that_changes_over_the_image_is_taken_away_and_detail_stays(source: np.ndarray) -> None:
    before, after = drifted(source), drifted(source)
    fix_colors(source, after, "low-frequency")
    assert measure_drift(source, before, "low-frequency").de2000.mean > 2
    assert measure_drift(source, after, "low-frequency").de2000.mean < 0.1
    detail = [measure_spectrum(Enlargement.from_images(source, image)) for image in (before, after)]
    assert detail[1].detail == pytest.approx(detail[0].detail, rel=0.01)
    assert detail[1].invented == pytest.approx(detail[0].invented, rel=0.002)


@pytest.mark.parametrize("how", ["mean", "low-frequency"])
def test_what_has_not_drifted_stays(how: str, source: np.ndarray) -> None:
    same = source.repeat(3, 0).repeat(3, 1)
    fix_colors(source, same, how)
    np.testing.assert_allclose(same, source.repeat(3, 0).repeat(3, 1), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_grey_and_alpha(channels: int) -> None:
    source = RNG.random((40, 50, channels), dtype=np.float32) * np.float32(0.5) + np.float32(0.25)
    out = source.repeat(2, 0).repeat(2, 1)
    colors = 1 if channels < 3 else 3
    out[:, :, :colors] += np.float32(0.1)
    fix_colors(source, out, "low-frequency")
    np.testing.assert_allclose(out, source.repeat(2, 0).repeat(2, 1), atol=0.02)
    np.testing.assert_array_equal(out[:, :, colors:], source.repeat(2, 0).repeat(2, 1)[:, :, colors:])


def test_color_under_transparent_pixels_has_no_say() -> None:
    source = np.full((60, 60, 4), 0.5, np.float32)
    source[:, 30:, 3] = 0
    out = source.repeat(2, 0).repeat(2, 1)
    out[:, 60:, :3] = 1.0
    fix_colors(source, out, "low-frequency")
    np.testing.assert_allclose(out[:, :60, :3], 0.5, atol=1e-4)


def test_16_bits_are_corrected_like_floats(source: np.ndarray) -> None:
    floats = drifted(source)
    codes = np.round(floats * 65535).astype(np.uint16)
    fix_colors(source, floats, "low-frequency")
    fix_colors(source, codes, "low-frequency")
    np.testing.assert_allclose(codes / 65535, floats, atol=3.1e-5)  # two codes: it is rounded in each round


def test_a_result_that_is_smaller_than_its_source_is_corrected_too(source: np.ndarray) -> None:
    small = source.reshape(48, 2, 64, 2, 3).mean(axis=(1, 3)) + np.float32(0.05)
    fix_colors(source, small, "mean")
    assert measure_drift(source, small).de2000.mean < 0.4


@pytest.mark.parametrize("how", ["mean", "low-frequency"])
@pytest.mark.parametrize("channels", [1, 3])
def test_before_and_after_are_what_color_drift_measures(how: Any, channels: int, source: np.ndarray) -> None:
    source = source[:, :, :channels]
    out = drifted(source)
    found = fix_and_measure_colors(source, out, how)
    assert found is not None
    before = measure_drift(source, drifted(source), "low-frequency").de2000.mean
    after = measure_drift(source, out, "low-frequency").de2000.mean
    assert (found.before, found.after) == (pytest.approx(before, rel=0.03), pytest.approx(after, rel=0.1, abs=0.01))
    assert how == "mean" or found.after < 0.1  # this drift changes over the image


def test_what_alpha_hides_is_not_measured(source: np.ndarray) -> None:
    alpha = np.zeros((*source.shape[:2], 1), np.float32)
    alpha[:, :64] = 1
    out = np.concatenate([source, alpha], axis=2).repeat(4, 0).repeat(4, 1)
    out[:, 300:, :3] = 0
    found = fix_and_measure_colors(np.concatenate([source, alpha], axis=2), out, "low-frequency")
    assert found is not None
    assert found.before == pytest.approx(0, abs=0.01)


def test_the_numbers_are_said_in_a_sentence(source: np.ndarray, model: Any) -> None:
    assert str(average_results([ColorFixResult(1, 0.125), ColorFixResult(2, 0.375)])) == (
        "Color fix: the mean color drift of areas was ΔE2000 1.50 and is 0.25."
    )
    images, told = torch.as_tensor(source)[None], Told()
    plain = upscale_batch(images, model, TiledUpscaleSettings("model scale", "cpu"), Told())[0].numpy()
    fixed = upscale_batch(images, model, TiledUpscaleSettings("model scale", "cpu", color_fix="low-frequency"), told)[0].numpy()
    (sentence,) = [one for one in told.sentences if one.startswith("Color fix")]
    said = [float(word.rstrip(".")) for word in sentence.replace(",", "").split() if word[0].isdigit()]
    measured = [measure_drift(source, one, "low-frequency").de2000.mean for one in (plain, fixed)]
    np.testing.assert_allclose(said, measured, atol=0.03)


@pytest.mark.parametrize("how", ["mean", "low-frequency"])
def test_tiles_make_no_difference(how: Any, source: np.ndarray, model: Any) -> None:
    images = torch.as_tensor(source)[None]
    results = [
        upscale_batch(images, model, TiledUpscaleSettings("model scale", "cpu", tile=tile, color_fix=how), Told())
        for tile in (256, 32)
    ]
    plain = upscale_batch(images, model, TiledUpscaleSettings("model scale", "cpu"), Told())
    assert float((results[0] - results[1]).abs().max()) < 1e-5
    assert float((results[0] - plain).abs().max()) > 1e-3


def test_a_video_is_corrected_frame_by_frame_while_tiles_are_still_reused(source: np.ndarray, model: Any) -> None:
    first = np.round(source * 255).astype(np.uint8)
    second = first.copy()
    second[:16, :16] = 255 - second[:16, :16]
    frames = [first, second, second, first]
    info = VideoInfo(
        Size(128, 96), Fraction(25), Fraction(1, 25), 4, "header", Fraction(4, 25), ColorInfo(), 8, identity="clip"
    )
    stream = VideoStream(info, lambda: (Frame(pixels, index, 1, Fraction(1, 25)) for index, pixels in enumerate(frames)))
    settings = TiledUpscaleSettings("model scale", "cpu", tile=32, color_fix="low-frequency")
    watch = Told()
    said = watch.sentences
    fixed = upscale_video(stream, model, settings, watch)
    for frame, pixels in zip(fixed.open(), frames, strict=True):
        alone = upscale_batch(torch.as_tensor(pixels / np.float32(255))[None], model, settings, Told())[0].numpy()
        np.testing.assert_allclose(frame.pixels / 65535, alone, atol=4e-5)
    assert "1 of 4 frames repeated" in said[-1]
    assert len([sentence for sentence in said if sentence.startswith("Color fix")]) == 1
    assert (
        fixed.info.identity
        != upscale_video(stream, model, TiledUpscaleSettings("model scale", "cpu", tile=32), watch).info.identity
    )
