"""Borders: found where they are, enlarged plainly, and the inside is what it is without them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from upscale8k.runtime.images.resize import make_cubic_taps, resample
from upscale8k.runtime.media.geometry import Region, Size
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.finishing.borders import find_borders, scale_region
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.video import upscale_video

from ..test_chain import make
from ..test_video import make_stream, noise

INSIDE = Region(6, 8, 80, 24)


def make_frames(count: int = 6) -> list[np.ndarray]:
    frames = []
    for index in range(count):
        frame = np.random.default_rng(index).integers(0, 6, (40, 90, 3)).astype(np.uint8)  # black with noise
        frame[INSIDE.rows, INSIDE.columns] = np.roll(noise(24, 80), index, axis=1) // 2 + 60
        frames.append(frame)
    frames[2][36, 20:40] = 255  # a subtitle in the border, in the one frame that is not looked at
    return frames


def run(frames: list[np.ndarray], model: Any, target: str, *, skip_borders: bool, first: int = 0) -> list[np.ndarray]:
    settings = TiledUpscaleSettings(target, "cpu", backend="torch", skip_borders=skip_borders)
    with upscale_video(make_stream(frames), model, settings, SilentProgress()).frames(first) as found:
        return [frame.pixels.copy() for frame in found]


def test_borders_are_found_and_others_are_not() -> None:
    frames = make_frames()
    assert find_borders(make_stream(frames)) == INSIDE
    unknown = make_stream(frames[:2])
    assert find_borders(replace(unknown, info=replace(unknown.info, frame_count=None))) == INSIDE
    assert find_borders(make_stream([noise()] * 3)) is None
    assert find_borders(make_stream([np.zeros((40, 90, 3), np.uint8)] * 3)) is None
    narrow = noise() // 2 + 60
    narrow[:3] = 0
    assert find_borders(make_stream([narrow])) is None


@pytest.mark.parametrize(("target", "size"), [("model scale", (80, 180)), ("1.5x", (60, 135))])
def test_the_inside_is_that_of_the_cropped_video(target: str, size: tuple[int, int]) -> None:
    frames, model = make_frames(), make("compact", upscale=2)
    found = run(frames, model, target, skip_borders=True)
    place = scale_region(INSIDE, Size(90, 40), Size(*size[::-1]))
    inner_target = target if target == "model scale" else str(place.size)
    inside = [np.ascontiguousarray(frame[INSIDE.rows, INSIDE.columns]) for frame in frames]
    for frame, wanted in zip(found, run(inside, model, inner_target, skip_borders=False), strict=True):
        assert frame.shape[:2] == size
        np.testing.assert_array_equal(frame[place.y :, place.x :][: wanted.shape[0], : wanted.shape[1]], wanted)


def test_what_a_border_holds_is_enlarged_plainly() -> None:
    frames = make_frames()
    found = run(frames, make("compact", upscale=2), "model scale", skip_borders=True)
    plain = [
        resample(frame.astype(np.float32) / 255, make_cubic_taps(90, 180), make_cubic_taps(40, 80)).clip(0, 1)
        for frame in frames
    ]
    for frame, wanted in zip(found, plain, strict=True):
        border = np.ones((80, 180), bool)
        border[16:64, 12:172] = False
        assert np.abs(frame[border] / 65535 - wanted[border]).max() < 2e-5
    assert found[2][72:74].max() > 60000
    assert found[4][72:74].max() < 3000


def test_a_killed_run_goes_on_with_the_same_frames() -> None:
    frames, model = make_frames(), make("compact", upscale=2)
    whole = run(frames, model, "3x", skip_borders=True)
    for first in (1, 4):
        for one, other in zip(run(frames, model, "3x", skip_borders=True, first=first), whole[first:], strict=True):
            np.testing.assert_array_equal(one, other)
