"""Flicker of frames whose noise is known, and of motion, which is none."""

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from upscale8k.runtime.metrics.batch_metrics import measure_artifact_report
from upscale8k.runtime.metrics.metric_table import ARTIFACT_METRICS
from upscale8k.runtime.metrics.video import FlickerMeter
from upscale8k.runtime.progress import SilentProgress

RNG = np.random.default_rng(9)
STILL = cv2.GaussianBlur(data.astronaut()[:160, 150:350].astype(np.float32) / 255, (0, 0), 1) * 0.8 + 0.1


def with_noise(image: np.ndarray, steps: float) -> np.ndarray:
    return (image + RNG.normal(0, steps / 255, (*image.shape[:2], 1))).astype(np.float32)


def measure(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float | None:
    meter = FlickerMeter()
    for reference, result in pairs:
        meter.add(reference, result)
    return meter.flicker


@pytest.mark.parametrize("steps", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("source_noise", [0, 4])
def test_flicker_is_the_standard_deviation_in_time(steps: float, source_noise: float) -> None:
    large = cv2.resize(STILL, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    pairs = [(with_noise(STILL, source_noise), with_noise(large, steps)) for _ in range(5)]
    assert measure(pairs) == pytest.approx(steps, rel=0.03)


def test_motion_does_not_count() -> None:
    """A square moves over a still background: only the background is measured."""
    pairs = []
    for index in range(4):
        image = STILL.copy()
        image[40:80, 20 + 12 * index : 60 + 12 * index] = 0.95
        pairs.append((image, with_noise(image.repeat(2, 0).repeat(2, 1), 1)))
    assert measure(pairs) == pytest.approx(1.0, rel=0.05)


def test_a_cut_and_a_lone_frame_have_none() -> None:
    assert measure([(STILL, STILL)]) is None
    assert measure([(STILL, STILL), (np.ascontiguousarray(STILL[::-1] ** 3), STILL)]) is None
    meter = FlickerMeter()
    meter.add(STILL, STILL)
    assert meter.add(STILL, with_noise(STILL, 2), is_next=False) is None
    assert meter.flicker is None


def test_integers_and_grey_are_measured_alike() -> None:
    frames = [(np.rint(with_noise(STILL, 2) * 255)).astype(np.uint8) for _ in range(3)]
    grey = [np.ascontiguousarray(frame[:, :, :1]) for frame in frames]
    assert measure([(STILL, frame) for frame in frames]) == pytest.approx(2.0, rel=0.05)
    assert measure([(STILL[:, :, :1], frame) for frame in grey]) == pytest.approx(2.0, rel=0.05)


def test_the_node_states_the_flicker_of_a_batch() -> None:
    reference = torch.as_tensor(np.stack([STILL] * 3))
    result = torch.as_tensor(np.stack([with_noise(STILL, 1) for _ in range(3)]))
    _, report, numbers = measure_artifact_report(reference, result, 0, 0, "", lambda total, unit: SilentProgress())
    assert ARTIFACT_METRICS[-1].output == "flicker"
    assert numbers[-1] == pytest.approx(1.0, rel=0.05)
    assert report.count('"flicker"') == 3
    _, report, numbers = measure_artifact_report(reference[:1], result[:1], 0, 0, "", lambda total, unit: SilentProgress())
    assert numbers[-1] == 0
    assert "flicker" not in report
