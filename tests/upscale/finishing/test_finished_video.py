"""Strength and grain in a stream: the frames of the image node, the same in other tiles and from any frame on."""

from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.image_batch import upscale_batch
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.video import upscale_video

from ..test_video import make_stream, noise

LOOK = {"strength": 0.8, "grain": 0.5}


@pytest.fixture
def model(weights: Any) -> Any:
    return weights("realesr-animevideov3")


def settings(tile: int, **more: Any) -> TiledUpscaleSettings:
    return TiledUpscaleSettings("4x", "cpu", tile, precision="fp32", backend="torch", **more)


def test_frames_are_those_of_the_image_node_in_any_tiles_and_from_any_frame(model: Any) -> None:
    images = [noise(36, 50), noise(36, 50)]
    images.insert(1, images[0])
    streams = [upscale_video(make_stream(images), model, settings(tile, **LOOK), SilentProgress()) for tile in (32, 64)]
    frames = [[frame.pixels.copy() for frame in stream.open()] for stream in streams]
    plain = [frame.pixels.copy() for frame in upscale_video(make_stream(images), model, settings(32), SilentProgress()).open()]
    np.testing.assert_array_equal(frames[0][0], frames[0][1])
    for pixels, tiled, untiled, before in zip(images, *frames, plain, strict=True):
        image = torch.as_tensor(pixels[None].astype(np.float32) / 255)
        expected = upscale_batch(image, model, settings(32, **LOOK), lambda total, unit: SilentProgress())[0].numpy()
        assert np.abs(tiled / 65535 - expected).max() < 1.2 / 65535
        assert np.abs(tiled.astype(int) - untiled).max() <= 1  # the network's own rounding
        assert np.abs(tiled.astype(int) - before).max() > 1000
    # A resumed run opens the stream later; what came before leaves no trace in a frame.
    later = upscale_video(make_stream(images[2:]), model, settings(32, **LOOK), SilentProgress()).open()
    for frame, pixels in zip(later, frames[0][2:], strict=True):
        np.testing.assert_array_equal(frame.pixels, pixels)


def test_steady_frames_are_upscaled_the_same_from_any_frame(model: Any) -> None:
    images = [noise(32, 40) for _ in range(5)]
    stream = upscale_video(make_stream(images), model, settings(32, steady=1.0, grain=0.5), SilentProgress())
    whole = [frame.pixels.copy() for frame in stream.open()]
    assert len(whole) == 5
    with stream.frames(4) as frames:
        np.testing.assert_array_equal(next(frames).pixels, whole[4])


def test_the_defaults_keep_the_identity_and_others_change_it(model: Any) -> None:
    def identity(**more: Any) -> str:
        return upscale_video(make_stream([noise()]), model, settings(32, **more), SilentProgress()).info.identity

    assert identity(strength=1, grain=0, steady=0) == identity()
    assert identity(steady=0.5) not in (identity(), identity(steady=1.0))
    assert "strength" not in identity()
    assert len({identity(), identity(strength=0.5), identity(grain=0.5), identity(**LOOK)}) == 4
    assert identity(grain=1) == identity(grain=1.0)
