"""Alpha through the stages before and around the enlargement: colors as without it, and alpha of its own."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from upscale8k.runtime.media.video_stream import VideoStream
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.temporal.interpolate import interpolate_video
from upscale8k.runtime.upscale.temporal.interpolation_network import InterpolationNetwork
from upscale8k.runtime.upscale.temporal.steady import steady_video
from upscale8k.runtime.upscale.video import upscale_video

from ..test_chain import make
from ..test_video import make_stream

RNG = np.random.default_rng(5)


def run(stream: VideoStream) -> list[np.ndarray]:
    with stream.frames() as frames:
        return [frame.pixels.copy() for frame in frames]


def with_alpha(images: list[np.ndarray], alphas: list[np.ndarray]) -> list[np.ndarray]:
    return [np.dstack((image, alpha)) for image, alpha in zip(images, alphas, strict=True)]


def make_alphas(count: int, height: int, width: int) -> list[np.ndarray]:
    return [RNG.integers(1, 256, (height, width), np.uint8) for _ in range(count)]


def test_steady_frames_have_their_own_alpha() -> None:
    still = RNG.integers(0, 256, (72, 96, 3))
    images = [np.clip(still + RNG.normal(0, 3, still.shape), 0, 255).astype(np.uint8) for _ in range(5)]
    alphas = make_alphas(5, 72, 96)
    colors, both = run(steady_video(make_stream(images), 1.0)), run(steady_video(make_stream(with_alpha(images, alphas)), 1.0))
    for expected, alpha, found in zip(colors, alphas, both, strict=True):
        np.testing.assert_array_equal(found[:, :, :3], expected)
        np.testing.assert_array_equal(found[:, :, 3], alpha.astype(np.uint16) * 257)


@dataclass
class CrossFade:
    """In the place of a network."""

    sha256: str = "fade"

    def run(self, first: np.ndarray, second: np.ndarray, time: float) -> np.ndarray:
        assert first.shape[2] == second.shape[2] == 3
        return (first * (1 - time) + second * time).astype(np.float32)


def test_new_frames_have_new_alpha_and_no_color_of_what_is_transparent() -> None:
    red, black = np.full((16, 16, 3), (200, 40, 40), np.uint8), np.zeros((16, 16, 3), np.uint8)
    left = np.broadcast_to(np.arange(16) < 8, (16, 16))
    images = [np.where(left[..., None], red, black), np.where(left[..., None], black, red)]
    alphas = [np.where(left, 255, 0).astype(np.uint8), np.where(left, 0, 255).astype(np.uint8)]
    stream = make_stream(with_alpha(images, alphas))
    found = run(interpolate_video(stream, "2x", cast("InterpolationNetwork", CrossFade())))
    assert np.abs(found[1].astype(int) - [200 * 257, 40 * 257, 40 * 257, 65535 // 2]).max() <= 2


def test_borders_and_alpha() -> None:
    images = [np.zeros((40, 60, 3), np.uint8) for _ in range(2)]
    for image in images:
        image[8:32, 10:50] = RNG.integers(60, 256, (24, 40, 3))
    alphas = [np.full((40, 60), value, np.uint8) for value in (255, 120)]
    settings = TiledUpscaleSettings("model scale", "cpu", backend="torch", skip_borders=True)
    upscaled = run(
        upscale_video(
            make_stream(with_alpha(images, alphas)), cast("Any", make("compact", upscale=2)), settings, SilentProgress()
        )
    )
    assert [frame.shape for frame in upscaled] == [(80, 120, 4)] * 2
    assert [np.unique(frame[:, :, 3]).tolist() for frame in upscaled] == [[65535], [120 * 257]]
