"""Two videos, frame by frame."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from upscale8k.runtime.errors import WorkflowError
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, VideoInfo, VideoStream
from upscale8k.runtime.metrics.drift import DriftMeter
from upscale8k.runtime.metrics.video import measure_video_drift

from ..told import Told

RNG = np.random.default_rng(13)
FRAMES = [RNG.integers(0, 256, (24, 32, 3), np.uint8) for _ in range(5)]


def video(frames: Sequence[np.ndarray]) -> VideoStream:
    tick = Fraction(1, 25)
    size = Size(frames[0].shape[1], frames[0].shape[0]) if frames else Size(1, 1)
    info = VideoInfo(size, Fraction(25), tick, len(frames), "header", len(frames) * tick, ColorInfo(), 8)
    return VideoStream(info, lambda: (Frame(pixels, index, 1, tick) for index, pixels in enumerate(frames)))


def test_a_video_has_no_drift_from_its_own_repeated_pixels() -> None:
    large = [pixels.repeat(2, 0).repeat(2, 1).astype(np.uint16) * 257 for pixels in FRAMES]
    watch = Told()
    drift, seen = measure_video_drift(video(FRAMES), video(large), "full", watch)
    assert (drift.frames, watch.done, watch.sentences) == (5, 5, [])
    assert drift.de2000.maximum < 1e-3
    assert seen.shape == (24, 32)


def test_the_map_is_the_mean_over_the_frames_that_were_measured() -> None:
    others = [np.roll(pixels, 1, axis=1) for pixels in FRAMES]
    drift, seen = measure_video_drift(video(FRAMES), video(others), "full", Told(), every_nth=2)
    meter, maps = DriftMeter(), np.empty((3, *seen.shape), np.float32)
    for index, out in enumerate(maps):
        meter.add(FRAMES[2 * index], others[2 * index], out)
    np.testing.assert_allclose(seen, maps.mean(axis=0), rtol=1e-5)
    assert drift.frames == 3
    assert drift.de2000.mean == pytest.approx(meter.compute_result().de2000.mean, rel=1e-6)


@pytest.mark.parametrize("order", [1, -1])
def test_the_rest_of_a_longer_video_is_left_out_and_the_person_told(order: int) -> None:
    watch = Told()
    drift, _ = measure_video_drift(*[video(FRAMES), video(FRAMES[:3])][::order], "full", watch)
    assert drift.frames == 3
    assert watch.sentences == ["One video is longer than the other: the first 3 frames were compared."]


def test_both_videos_are_closed_when_one_ends_or_breaks() -> None:
    closed: list[str] = []

    def watched(name: str, frames: Sequence[np.ndarray]) -> VideoStream:
        def open_video() -> Iterator[Frame]:
            try:
                yield from video(frames).open()
            finally:
                closed.append(name)

        return replace(video(frames), open=open_video)

    measure_video_drift(watched("long", FRAMES), watched("short", FRAMES[:1]), "full", Told())
    assert sorted(closed) == ["long", "short"]
    closed.clear()
    measure_video_drift(watched("short", FRAMES[:1]), watched("long", FRAMES), "full", Told())
    assert sorted(closed) == ["long", "short"]
    closed.clear()
    with pytest.raises(WorkflowError, match="proportions"):
        measure_video_drift(watched("one", FRAMES), watched("other", [np.zeros((10, 90, 3), np.uint8)] * 2), "full", Told())
    assert sorted(closed) == ["one", "other"]


def test_videos_that_cannot_be_measured_get_a_sentence() -> None:
    hdr = video(FRAMES)
    hdr = replace(hdr, info=replace(hdr.info, color=ColorInfo(transfer="smpte2084")))
    with pytest.raises(WorkflowError, match="HDR"):
        measure_video_drift(video(FRAMES), hdr, "full", Told())
    with pytest.raises(WorkflowError, match="no frame"):
        measure_video_drift(video(FRAMES), video([]), "full", Told())
