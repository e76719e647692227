"""Small frames that go through the model together come out as they do alone."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from upscale8k.runtime.errors import OutOfMemory
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.media.video_stream import ColorInfo, Frame, VideoInfo, VideoStream
from upscale8k.runtime.upscale.backends.base import OnProgress, no_progress
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.video import upscale_video

from .test_image_batch import Told

RNG = np.random.default_rng(11)
IMAGES = [RNG.integers(0, 256, (24, 40, 3), np.uint8) for _ in range(5)]


def lent(images: list[np.ndarray]) -> VideoStream:
    """A video whose pixels are gone as soon as the next frame is asked for."""
    base = Fraction(1, 1000)
    height, width = images[0].shape[:2]
    info = VideoInfo(Size(width, height), Fraction(25), base, len(images), "header", None, ColorInfo(), 8, identity="film")

    def frames() -> Iterator[Frame]:
        buffer = np.empty_like(images[0])
        for number, image in enumerate(images):
            buffer[:] = image
            yield Frame(buffer, 40 * number, 40, base)
            buffer[:] = 0

    return VideoStream(info, frames)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """How many images each call of the network had; more than ``limit`` do not fit in memory."""

    def watch(limit: int) -> list[int]:
        seen: list[int] = []
        run = TorchBackend.run

        def counted(self: TorchBackend, batch: np.ndarray, on_progress: OnProgress = no_progress) -> np.ndarray:
            seen.append(len(batch))
            if len(batch) > limit:
                raise OutOfMemory("too many", "fewer", device="cpu", tile=0)
            return run(self, batch, on_progress)

        monkeypatch.setattr(TorchBackend, "run", counted)
        return seen

    return watch


def upscaled(images: list[np.ndarray], model: Any, said: list[str] | None = None, **settings: Any) -> list[np.ndarray]:
    chosen = TiledUpscaleSettings(**{"target": "model scale", "device": "cpu", "backend": "torch", **settings})
    watch = Told()
    watch.sentences = said if said is not None else []
    made = upscale_video(lent(images), model, chosen, watch)
    found = [(frame.pts, frame.pixels.copy()) for frame in made.open()]
    assert [pts for pts, _ in found] == [40 * number for number in range(len(images))]
    return [pixels for _, pixels in found]


@pytest.mark.parametrize("target", ["model scale", "3x"])
def test_frames_of_one_tile_go_together_and_come_out_as_alone(
    target: str, weights: Any, batches: Callable[[int], list[int]]
) -> None:
    model = weights("realesr-animevideov3")
    alone = upscaled(IMAGES, model, target=target)
    seen = batches(99)
    together = upscaled(IMAGES, model, target=target, batch=3)
    assert seen == [3, 3]  # the last one is filled up
    for one, other in zip(alone, together, strict=True):
        # torch may add in another order for another batch: that is at most the last bit of 16
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_repeated_frames_are_not_in_the_batch(weights: Any, batches: Callable[[int], list[int]]) -> None:
    first, second, third = IMAGES[:3]
    seen, said = batches(99), list[str]()
    found = upscaled([first, first, second, second, second, third], weights("realesr-animevideov3"), said, batch=4)
    assert seen == [4]
    assert [np.array_equal(found[0], other) for other in found] == [True, True, False, False, False, False]
    assert np.array_equal(found[2], found[4])
    assert said[-1].startswith("3 of 6 frames repeated the one before")


def test_a_frame_is_the_same_to_the_last_bit_wherever_the_video_is_opened(
    weights: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: TorchBackend, batch: np.ndarray, on_progress: OnProgress = no_progress) -> np.ndarray:
        large = batch.repeat(4, axis=1).repeat(4, axis=2) * np.float32(0.5)
        return large + np.float32(len(batch) / 65535)  # the size of a batch changes the last bits, as another kernel does

    monkeypatch.setattr(TorchBackend, "run", run)
    images = [IMAGES[number] for number in (0, 1, 1, 2, 3, 3, 3, 4, 0, 2)]
    chosen = TiledUpscaleSettings(target="model scale", device="cpu", backend="torch", batch=3)
    stream = upscale_video(lent(images), weights("realesr-animevideov3"), chosen, Told())
    whole = [frame.pixels.tobytes() for frame in stream.open()]
    for first in range(1, len(images)):
        with stream.frames(first) as frames:
            assert [frame.pixels.tobytes() for frame in frames] == whole[first:], first


def test_a_batch_that_does_not_fit_is_halved_and_keeps_its_order(weights: Any, batches: Callable[[int], list[int]]) -> None:
    model = weights("realesr-animevideov3")
    alone = upscaled(IMAGES, model)
    seen = batches(1)
    together = upscaled(IMAGES, model, batch=4)
    assert seen == [4, 2, 1, 1, 2, 1, 1] * 2
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frames_of_several_tiles_keep_their_batches_of_tiles(weights: Any, batches: Callable[[int], list[int]]) -> None:
    wide = [RNG.integers(0, 256, (32, 256, 3), np.uint8) for _ in range(2)]
    model = weights("realesr-animevideov3")
    seen = batches(99)
    upscaled(wide, model, tile=32, batch=4)
    assert seen == [4, 3] * 2  # seven tiles of one shape
