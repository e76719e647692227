"""Difference maps: numbers, colors, scale and legend."""

import cv2
import numpy as np
import pytest
from skimage import color, data
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.metrics.choices import COLORMAPS, DIFF_KINDS, DiffKind
from upscale8k.runtime.metrics.colormaps import apply_colormap, draw_legend, round_up
from upscale8k.runtime.metrics.diff_map import draw_diff_map, measure_difference

RNG = np.random.default_rng(9)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """(96, 128, 3) float32, and no pixel near black or white."""
    return data.chelsea()[50:146, 100:228].astype(np.float32) / 255 * np.float32(0.8) + np.float32(0.1)


def test_a_constant_difference_is_read_back(photograph: np.ndarray) -> None:
    lighter = photograph + np.float32(10 / 255)
    np.testing.assert_allclose(measure_difference(photograph, lighter, "absolute"), 10, atol=1e-3)
    np.testing.assert_allclose(measure_difference(photograph, lighter, "signed"), 10, atol=1e-3)
    np.testing.assert_allclose(measure_difference(lighter, photograph, "signed"), -10, atol=1e-3)
    np.testing.assert_allclose(measure_difference(photograph, lighter, "edges"), 0, atol=1e-3)


def test_delta_e_is_that_of_scikit_image(photograph: np.ndarray) -> None:
    other = photograph[:, ::-1].copy()
    expected = color.deltaE_ciede2000(color.rgb2lab(photograph), color.rgb2lab(other))
    np.testing.assert_allclose(measure_difference(photograph, other, "delta e"), expected, atol=0.02)


def test_the_slope_of_a_ramp_is_read_back() -> None:
    flat = np.full((40, 50, 1), 0.5, np.float32)
    ramp = np.broadcast_to(np.arange(50, dtype=np.float32)[None, :, None] * np.float32(3 / 255), (40, 50, 1)).copy()
    found = measure_difference(flat, ramp, "edges")
    np.testing.assert_allclose(found[:, 1:-1], 3, atol=1e-3)
    np.testing.assert_allclose(measure_difference(ramp, flat, "edges"), -found, atol=1e-4)


@pytest.mark.parametrize("kind", DIFF_KINDS)
@pytest.mark.parametrize("at", ["reference", "output"])
def test_the_map_has_the_size_that_was_asked_for(kind: str, at: str, photograph: np.ndarray) -> None:
    large = photograph.repeat(2, 0).repeat(2, 1)
    for reference, output in ((photograph, large), (large, photograph)):
        size = (reference if at == "reference" else output).shape[:2]
        assert measure_difference(reference, output, kind, at).shape == size
        plain = draw_diff_map(reference, output, kind, map_size=at, legend=False)
        assert plain.shape == (*size, 3)
        with_bar = draw_diff_map(reference, output, kind, map_size=at)
        np.testing.assert_array_equal(with_bar[: size[0]], plain)
        assert with_bar.shape[0] > size[0]
        assert with_bar.dtype == np.float32
        assert 0 <= with_bar.min() <= with_bar.max() <= 1


def test_the_smaller_image_is_enlarged_by_the_usual_cubic(photograph: np.ndarray) -> None:
    import torch

    planes = torch.as_tensor(photograph).movedim(-1, 0)[None]
    # torch's antialiased cubic is Keys' with a = -1/2, and the plain one has -3/4.
    cubic = torch.nn.functional.interpolate(planes, scale_factor=2, mode="bicubic", antialias=True)[0].movedim(0, -1).numpy()
    found = measure_difference(photograph, np.clip(cubic, 0, 1), "absolute", "output")
    assert found[4:-4, 4:-4].max() < 0.01


def test_the_automatic_scale_ends_above_nearly_everything(photograph: np.ndarray) -> None:
    shift = photograph + np.float32(3.2 / 255)
    plain = draw_diff_map(photograph, shift, "absolute", legend=False)
    expected = apply_colormap(np.full((1, 1), 3.2 / 5, np.float32), "inferno")[0, 0]
    np.testing.assert_allclose(plain[0, 0], expected, atol=2e-3)


@pytest.mark.parametrize("kind", DIFF_KINDS)
def test_one_pixel_that_differs_leaves_the_scale_of_equal_images(kind: DiffKind, photograph: np.ndarray) -> None:
    other = photograph.copy()
    other[50, 60] = 1 - other[50, 60]
    equal = draw_diff_map(photograph, photograph, kind)
    found = draw_diff_map(photograph, other, kind)
    np.testing.assert_array_equal(found[96:], equal[96:])  # the legend names both ends
    np.testing.assert_array_equal(found[:40], equal[:40])


@pytest.mark.parametrize(("gain", "share"), [(1.0, 10 / 255), (5.0, 50 / 255), (25.5, 1.0), (51.0, 1.0)])
def test_gain_multiplies(gain: float, share: float, photograph: np.ndarray) -> None:
    plain = draw_diff_map(photograph, photograph + np.float32(10 / 255), "absolute", gain, "grey", legend=False)
    np.testing.assert_allclose(plain, share, atol=1e-3)


def test_no_difference_is_the_middle_of_a_signed_scale(photograph: np.ndarray) -> None:
    plain = draw_diff_map(photograph, photograph, "signed", legend=False)
    np.testing.assert_allclose(plain, 221 / 255, atol=1e-6)


@pytest.mark.parametrize("colors", ["inferno", "viridis", "magma", "cividis", "turbo"])
def test_the_colors_are_those_of_opencv(colors: str) -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    expected = cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{colors.upper()}"))[:, :, ::-1] / 255
    np.testing.assert_allclose(apply_colormap(ramp / np.float32(255), colors), expected, atol=1e-5)


@pytest.mark.parametrize("colors", ["inferno", "viridis", "magma", "cividis", "grey"])
def test_perceptual_colors_grow_lighter_all_the_way(colors: str) -> None:
    lightness = color.rgb2lab(apply_colormap(np.linspace(0, 1, 200, dtype=np.float32)[None], colors))[0, :, 0]
    assert np.diff(lightness).min() > -0.3  # the tables have eight bits


@pytest.mark.parametrize("width", [1, 20, 100, 256, 3000])
@pytest.mark.parametrize("colors", COLORMAPS)
def test_a_legend_fits_under_any_image(width: int, colors: str) -> None:
    bar = draw_legend(width, colors, -5, 5, "Lighter (+) or darker (-), 8-bit steps")
    assert bar.shape[1:] == (width, 3)
    assert 0 <= bar.min() <= bar.max() <= 1


def test_the_legend_shows_the_colors_from_end_to_end() -> None:
    bar = draw_legend(500, "viridis", 0, 10, "CIEDE2000")
    ramp = np.round(apply_colormap(np.linspace(0, 1, 488, dtype=np.float32)[None], "viridis")[0] * 255) / 255
    rows = [row for row in bar if np.abs(row[6:-6] - ramp).max() < 0.02 and row[6:-6].std() > 0.1]
    assert len(rows) >= 10


@pytest.mark.parametrize(("value", "rounded"), [(0, 1), (0.3, 0.5), (1, 1), (1.1, 2), (2.3, 5), (70, 100), (100, 100)])
def test_scales_end_at_round_numbers(value: float, rounded: float) -> None:
    assert round_up(value) == pytest.approx(rounded)


def test_any_numbers_can_be_mapped() -> None:
    values = np.array([[0, 1], [2, 4]], np.float32)
    np.testing.assert_allclose(apply_colormap(values / 4, "grey")[:, :, 0], [[0, 0.25], [0.5, 1]])


@pytest.mark.parametrize(
    ("change", "words"), [({"gain": -1.0}, "gain"), ({"gain": float("nan")}, "gain"), ({"colormap": "rainbow"}, "colormap")]
)
def test_what_means_nothing_gets_a_sentence(change: dict[str, float], words: str, photograph: np.ndarray) -> None:
    with pytest.raises(WorkflowError, match=words):
        draw_diff_map(photograph, photograph, **{"kind": "absolute", **change})


@pytest.mark.parametrize("width", [64, 96, 200])
def test_a_title_is_whole_under_a_narrow_map(width: int) -> None:
    """It breaks into lines between words: nothing touches the right edge, and longer titles have more ink."""
    titles = ("CIEDE2000", "CIEDE2000, mean 12.34: clearly noticeable")
    short, long = (draw_legend(width, "inferno", 0, 5, title)[:, :, 1] > 0.5 for title in titles)
    assert not long[: len(long) - 24, -2:].any()
    assert long.sum() - short.sum() > 300
