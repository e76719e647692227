"""Steady frames: less noise, the same picture, the same frames from any start, and no scene cut crossed."""

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np
import pytest
from skimage import data
from upscale8k.runtime.media.video_stream import Frame, VideoStream
from upscale8k.runtime.metrics.video import FlickerMeter
from upscale8k.runtime.upscale.temporal.steady import REACH, is_scene_cut, make_thumbnail, steady_video

from ..test_video import make_stream
from .scene_cuts import count_cuts, read_images

RNG = np.random.default_rng(11)
STILL = cv2.GaussianBlur(data.astronaut()[:144, 150:342].astype(np.float32), (0, 0), 0.8) * 0.8 + 25


def noisy(image: np.ndarray, steps: float = 3) -> np.ndarray:
    return np.clip(np.rint(image + RNG.normal(0, steps, image.shape)), 0, 255).astype(np.uint8)


def run(images: list[np.ndarray], strength: float = 1.0, first: int = 0) -> list[np.ndarray]:
    with steady_video(make_stream(images), strength).frames(first) as frames:
        return [frame.pixels.astype(np.float32) / 257 for frame in frames]


def test_the_flicker_of_a_noisy_still_falls_by_60_percent() -> None:
    images = [noisy(STILL) for _ in range(12)]
    steady = run(images)
    meters = [FlickerMeter(), FlickerMeter()]
    for before, after in list(zip(images, steady, strict=True))[REACH:-REACH]:
        meters[0].add(STILL / 255, before)
        meters[1].add(STILL / 255, after / 255)
    deviation = np.std(np.stack(steady[REACH:-REACH]), axis=0).mean() / np.std(np.stack(images[REACH:-REACH]), axis=0).mean()
    assert deviation < 0.45
    # Neighbouring results share six of their seven frames, so they differ by even less.
    assert meters[1].flicker is not None
    assert meters[0].flicker is not None
    assert meters[1].flicker < 0.4 * meters[0].flicker
    assert np.abs(np.mean(steady, axis=0) - np.mean(images, axis=0)).mean() < 0.5
    assert np.abs(steady[5] - STILL).mean() < 0.5 * np.abs(images[5] - STILL).mean()


def test_frames_are_the_same_from_any_start() -> None:
    images = [noisy(np.roll(STILL, 2 * index, axis=1)) for index in range(8)]
    images += [noisy(255 - STILL[::-1]) for _ in range(5)]
    whole = run(images)
    assert len(whole) == 13
    for first in range(1, 13):
        for one, other in zip(run(images, first=first), whole[first:], strict=True):
            np.testing.assert_array_equal(one, other)


def test_times_go_along_and_memory_is_a_window() -> None:
    alive = 0

    def frames() -> Iterator[Frame]:
        nonlocal alive
        for index in range(300):
            alive = index
            yield Frame(np.full((18, 32, 3), index % 7, np.uint8), 40 * index, 40, Fraction(1, 1000))

    stream = steady_video(VideoStream(make_stream([STILL.astype(np.uint8)]).info, frames), 1.0)
    for index, frame in enumerate(stream.open()):
        assert (frame.pts, frame.duration) == (40 * index, 40)
        assert alive <= index + REACH
    assert index == 299


def test_nothing_crosses_a_scene_cut() -> None:
    """Two scenes that are equal in their left half, which would be averaged but for the cut."""
    first = np.full((72, 128, 3), 100, np.float32)
    first[::2, :64] += 3
    second = first.copy()
    first[:, 64:96] += 60
    second[:36, 64:] += 90
    second[36:, 64:] -= 40
    rng = np.random.default_rng(1)
    images = [np.rint(scene + rng.normal(0, 1, scene.shape)).astype(np.uint8) for scene in [first] * 3 + [second] * 3]
    together, apart = run(images), run(images[:3]) + run(images[3:])
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one, other)


def test_motion_leaves_no_ghosts() -> None:
    images = []
    for index in range(9):
        image = STILL.copy()
        image[50:90, 20 + 9 * index : 50 + 9 * index] = 230
        images.append(noisy(image, 2))
    for frame, image in zip(run(images), images, strict=True):
        difference = np.abs(frame - image)
        assert np.percentile(difference, 99.9) < 9  # three times the noise
        assert cv2.GaussianBlur(difference, (0, 0), 3).max() < 6


def pan(image: np.ndarray, index: int) -> np.ndarray:
    """An image in motion: pan, zoom, changing light and noise."""
    zoom = 1 + 0.02 * index
    matrix = np.array([[zoom, 0, -6 * index], [0, zoom, -3 * index]])
    moved = cv2.warpAffine(image, matrix, (256, 144), borderMode=cv2.BORDER_REFLECT)
    return noisy(moved * (1.3 if index == 5 else 1), 4)


def test_scene_cuts_of_a_test_set_are_found() -> None:
    """Eleven photographs of ten moving, flashing frames each, in three orders: at least 95 % precision and recall."""
    names = ["astronaut", "coffee", "chelsea", "rocket", "retina", "camera", "coins", "brick", "grass", "moon", "page"]
    images = [getattr(data, name)() for name in names]
    images = [image if image.ndim == 3 else image[:, :, None].repeat(3, 2) for image in images]
    images = [cv2.resize(image, (320, 200), interpolation=cv2.INTER_AREA).astype(np.float32) for image in images]
    right = found = true = 0
    for order in range(3):
        sequence = [images[index] for index in np.random.default_rng(order).permutation(len(images))]
        frames = [pan(image, index) for image in sequence for index in range(10)]
        thumbnails = [make_thumbnail(frame.astype(np.float32).mean(axis=2)) for frame in frames]
        for index in range(1, len(frames)):
            is_cut, is_found = index % 10 == 0, is_scene_cut(thumbnails[index - 1], thumbnails[index])
            right, found, true = right + (is_cut and is_found), found + is_found, true + is_cut
    assert right / found >= 0.95
    assert right / true >= 0.95


def test_scene_cuts_of_images_that_no_limit_was_chosen_with_are_found() -> None:
    """``scene_cuts.py`` prints the same for a folder of images. The two false ones are a flash to plain white."""
    found, cuts, false, others = count_cuts(read_images(None))
    assert (found, cuts, others) == (28, 28, 256)
    assert false <= 2


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_identity_names_the_step_and_zero_is_the_stream_itself(strength: float) -> None:
    stream = make_stream([noisy(STILL)])
    assert steady_video(stream, 0) is stream
    assert steady_video(stream, strength).info.identity == f"test video | steady {strength} of 3"
