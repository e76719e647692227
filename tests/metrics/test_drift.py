"""Color drift of images whose drift is known."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import color, data
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.metrics.distribution import BIN, DistributionCounter
from upscale8k.runtime.metrics.drift import Drift, DriftMeter, describe_drift, measure_drift

ROOT = Path(__file__).resolve().parent.parent.parent
RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    """(200, 300, 3) float32."""
    return data.coffee()[100:300, 150:450].astype(np.float32) / 255


@pytest.mark.parametrize("mode", ["full", "low-frequency"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_image_has_no_drift_from_itself(mode: str, channels: int) -> None:
    image = RNG.random((70, 90, channels), dtype=np.float32)
    drift = measure_drift(image, image.copy(), mode)
    assert drift.de2000.maximum == drift.de2000.mean == drift.de2000.median == drift.de76.maximum == 0.0
    assert (drift.bias.lightness, drift.bias.a, drift.bias.b) == (0.0, 0.0, 0.0)


def drift_map(reference: np.ndarray, image: np.ndarray, mode: str = "full") -> tuple[Drift, np.ndarray]:
    meter, out = DriftMeter(mode), np.empty(reference.shape[:2], np.float32)
    meter.add(reference, image, out)
    return meter.compute_result(), out


@pytest.mark.parametrize("mode", ["full", "low-frequency"])
@pytest.mark.parametrize("offset", [(2.0, 0.0, 0.0), (0.0, 1.5, 0.0), (0.0, 0.0, -3.0), (-1.0, 2.0, 2.0)])
def test_an_offset_in_lab_is_read_back(offset: tuple[float, float, float], mode: str) -> None:
    # Soft colors in the middle of sRGB, so that the shifted ones are in it too; scikit-image makes both.
    y, x = np.mgrid[0:120, 0:160]
    lab = np.stack([55 + 10 * np.sin(x / 40), 8 * np.cos(y / 30), 8 * np.sin((x + y) / 50)], axis=2)
    reference, image = (color.lab2rgb(colors).astype(np.float32) for colors in (lab, lab + offset))
    drift = measure_drift(reference, image, mode)
    expected = float(np.linalg.norm(offset))
    assert drift.de76.mean == pytest.approx(expected, rel=0.01)
    assert (drift.bias.lightness, drift.bias.a, drift.bias.b) == pytest.approx(offset, abs=0.01 * expected)
    if mode == "full":
        assert drift.de2000.mean == pytest.approx(color.deltaE_ciede2000(lab, lab + offset).mean(), rel=0.01)


def test_all_figures_are_those_of_scikit_image_and_numpy(photograph: np.ndarray) -> None:
    image = np.clip(photograph * np.float32(1.02) + RNG.normal(0, 0.01, photograph.shape), 0, 1).astype(np.float32)
    drift, seen = drift_map(photograph, image)
    expected = color.deltaE_ciede2000(color.rgb2lab(photograph), color.rgb2lab(image))
    np.testing.assert_allclose(seen, expected, atol=0.01)
    figures = [drift.de2000.mean, drift.de2000.median, drift.de2000.p95, drift.de2000.p99, drift.de2000.maximum]
    wanted = [expected.mean(), *np.percentile(expected, [50, 95, 99]), expected.max()]
    assert figures == pytest.approx(wanted, abs=0.01)
    assert drift.over_1 == pytest.approx((expected >= 1).mean(), abs=0.005)
    assert drift.over_2_3 == pytest.approx((expected >= 2.3).mean(), abs=0.005)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_an_image_whose_pixels_are_repeated_has_not_drifted(factor: int, photograph: np.ndarray) -> None:
    repeated = photograph.repeat(factor, 0).repeat(factor, 1)
    assert measure_drift(photograph, repeated).de2000.maximum < 1e-3
    assert measure_drift(repeated, photograph).de2000.maximum < 1e-3


def test_a_fine_grid_is_the_grey_that_its_light_mixes_to() -> None:
    # Black and white in equal parts mix to half of the light, which sRGB writes as 0.7354, not as 0.5.
    grid = np.indices((64, 64)).sum(axis=0) % 2
    image = np.repeat(grid[:, :, None], 3, axis=2).astype(np.float32)
    grey = np.full((32, 32, 3), 0.735357, np.float32)
    assert measure_drift(grey, image).de2000.maximum < 0.01


def test_added_detail_is_no_low_frequency_drift(photograph: np.ndarray) -> None:
    large = np.asarray(Image.fromarray((photograph * 255).astype(np.uint8)).resize((1200, 800), Image.Resampling.BICUBIC))
    waves = 0.06 * np.sin(np.arange(1200) * (2 * np.pi / 12))[None, :, None]  # three pixels of the reference long
    sharpened = np.clip(large / 255 * 0.8 + 0.1 + waves, 0, 1).astype(np.float32)
    calm = photograph * np.float32(0.8) + np.float32(0.1)
    full, low = (measure_drift(calm, sharpened, mode) for mode in ("full", "low-frequency"))
    assert full.de2000.mean > 1.5
    assert low.de2000.mean < 0.4


def test_integers_mean_what_their_floats_mean(photograph: np.ndarray) -> None:
    codes = np.round(photograph * 255).astype(np.uint8)
    wide = codes.astype(np.uint16) * 257
    assert measure_drift(codes, wide).de2000.maximum == 0.0


def test_grey_is_compared_with_color() -> None:
    grey = RNG.random((40, 50, 1), dtype=np.float32)
    assert measure_drift(grey, grey.repeat(3, axis=2)).de2000.maximum < 1e-3


def test_what_alpha_hides_in_both_does_not_count() -> None:
    visible = RNG.random((40, 50, 3), dtype=np.float32)
    alpha = np.zeros((40, 50, 1), np.float32)
    alpha[:20] = 1
    hidden = visible.copy()
    hidden[20:] = 1 - hidden[20:]
    first, second = (np.concatenate([colors, alpha], axis=2) for colors in (visible, hidden))
    assert measure_drift(first, second).de2000.maximum == 0.0
    assert measure_drift(first, hidden).de2000.mean > 5  # only one of them has alpha: colors are compared as stored


def test_a_meter_adds_up_what_it_is_shown(photograph: np.ndarray) -> None:
    lighter = np.clip(photograph * np.float32(1.05), 0, 1)
    meter = DriftMeter()
    meter.add(photograph, lighter)
    meter.add(photograph, photograph)
    assert meter.compute_result().frames == 2
    assert meter.compute_result().de2000.mean == pytest.approx(measure_drift(photograph, lighter).de2000.mean / 2, rel=1e-6)


def test_strips_leave_no_trace() -> None:
    tall = RNG.random((3000, 700, 3), dtype=np.float32)  # more than two strips
    other = np.clip(tall + RNG.normal(0, 0.05, tall.shape), 0, 1).astype(np.float32)
    _, whole = drift_map(tall, other, "low-frequency")
    _, part = drift_map(tall[1400:1700], other[1400:1700], "low-frequency")
    np.testing.assert_allclose(whole[1440:1660], part[40:-40], atol=1e-3)  # away from the mirrored border


def test_percentiles_lie_within_half_a_bin() -> None:
    values = RNG.gamma(1.5, 1.5, 100_000).astype(np.float32)
    counter = DistributionCounter()
    for piece in np.array_split(values, 7):
        counter.add(piece)
    found = counter.compute_distribution()
    exact = np.percentile(values, [50, 95, 99], method="inverted_cdf")
    assert np.abs(np.array([found.median, found.p95, found.p99]) - exact).max() <= BIN / 2 + 1e-6
    assert found.maximum == pytest.approx(float(values.max()))
    assert found.mean == pytest.approx(float(values.mean(dtype=np.float64)))


def test_percentiles_of_zeros_are_zero() -> None:
    counter = DistributionCounter()
    counter.add(np.array([0, -0.0, *[0] * 7, 5], np.float32))
    found = counter.compute_distribution()
    assert (found.median, found.p95, found.maximum) == (0.0, pytest.approx(5, abs=BIN), 5.0)
    assert counter.compute_percentile(0.9) == 0.0 < counter.compute_percentile(0.91)


@pytest.mark.parametrize(
    ("mean", "words"), [(0.0, "Imperceptible"), (0.99, "Imperceptible"), (1.0, "Barely"), (2.0, "Noticeable"), (2.3, "Clearly")]
)
def test_the_verdict_is_in_words(mean: float, words: str) -> None:
    assert describe_drift(mean).startswith(words)


def test_the_report_is_json(photograph: np.ndarray) -> None:
    report = json.loads(json.dumps(measure_drift(photograph, photograph).as_dict()))
    assert report["size"] == "300x200"
    assert report["de2000"]["p99"] == 0.0


@pytest.mark.parametrize(
    ("reference", "image", "words"),
    [
        (np.zeros((20, 30, 3), np.float32), np.zeros((40, 50, 3), np.float32), "their proportions differ"),
        (np.zeros((20, 40, 3), np.float32), np.zeros((40, 20, 3), np.float32), "their proportions differ"),
        (np.zeros((0, 30, 3), np.float32), np.zeros((40, 60, 3), np.float32), "empty"),
        (np.zeros((20, 30, 5), np.float32), np.zeros((40, 60, 3), np.float32), "not an image"),
        (np.zeros((20, 30), np.float32), np.zeros((40, 60, 3), np.float32), "not an image"),
        (np.zeros((20, 30, 3), np.float32), np.full((40, 60, 3), np.nan, np.float32), "upscaled image holds NaN"),
        (np.full((20, 30, 3), np.inf, np.float32), np.zeros((40, 60, 3), np.float32), "reference holds NaN"),
    ],
)
def test_what_cannot_be_compared_gets_a_sentence(reference: np.ndarray, image: np.ndarray, words: str) -> None:
    with pytest.raises(WorkflowError, match=words):
        measure_drift(reference, image)


def test_proportions_may_be_off_by_a_rounded_pixel() -> None:
    reference = np.full((333, 500, 3), 0.5, np.float32)
    assert measure_drift(reference, np.full((1332, 2000, 3), 0.5, np.float32)).de2000.maximum < 1e-3
    assert measure_drift(reference, np.full((1000, 1501, 3), 0.5, np.float32)).de2000.maximum < 1e-3


def test_a_single_pixel_is_an_image() -> None:
    one = np.full((1, 1, 3), 0.4, np.float32)
    assert measure_drift(one, np.full((4, 4, 3), 0.4, np.float32), "low-frequency").de2000.maximum < 1e-3


def test_memory_does_not_grow_with_the_image() -> None:
    """Images of 100 MB each, in a separate process: the additional memory stays below that of one of them."""
    script = (
        "import numpy as np; from runtime.bootstrap import load_pack; load_pack();"
        "from upscale8k.runtime.bench.workers.worker_setup import read_peak_resident_bytes;"
        "from upscale8k.runtime.metrics.drift import measure_drift;"
        "small = np.zeros((64, 64, 3), np.float32); measure_drift(small, small);"
        "pair = [np.full((2160, 3840, 3), value, np.float32) for value in (0.4, 0.5)];"
        "before = read_peak_resident_bytes(); measure_drift(*pair);"
        "print(read_peak_resident_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 220e6
