"""How far a tile is: told between the blocks of a network, and the moment at which a run can be stopped."""

from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.errors import OutOfMemory
from upscale8k.runtime.media.geometry import Size
from upscale8k.runtime.models.catalog import load_catalog
from upscale8k.runtime.models.random_weights import generate_model
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.backends.base import OnProgress, no_progress
from upscale8k.runtime.upscale.backends.null import NullBackend
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings
from upscale8k.runtime.upscale.target_size import plan_scale
from upscale8k.runtime.upscale.tile_loop import total_pixels, upscale_image
from upscale8k.runtime.upscale.tiles import Tiling
from upscale8k.runtime.upscale.torch_optim.progress_hook import find_blocks
from upscale8k.runtime.upscale.video import upscale_video

from ..test_video import make_stream

CPU = torch.device("cpu")
IMAGE = np.random.default_rng(5).random((40, 60, 3), np.float32)


class Stop(Exception):
    pass


class Told(SilentProgress):
    """Keeps what it is told, and stops when it was told ``most`` times."""

    def __init__(self, most: int = 1000) -> None:
        self.steps: list[int] = []
        self.most = most

    def advance(self, steps: int = 1) -> None:
        self.steps.append(steps)
        if len(self.steps) == self.most:
            raise Stop

    def message(self, text: str) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "count"),
    [("realesrgan-x4plus", 24), ("realesr-animevideov3", 35), ("swinir-classical-x4", 6), ("swinir-lightweight-x4", 4)],
)
def test_the_blocks_are_what_the_papers_call_so(name: str, count: int) -> None:
    """23 RRDBs and the convolution behind them; 17 convolutions with a PReLU each and the last; RSTBs."""
    assert len(find_blocks(generate_model(load_catalog()[name]).model)) == count


def test_a_network_without_such_a_row_has_no_blocks() -> None:
    assert not find_blocks(torch.nn.Conv2d(3, 3, 3))


@pytest.mark.parametrize(("name", "count"), [("realesrgan-x4plus", 24), ("realesr-animevideov3", 35)])
def test_a_tile_is_told_block_by_block_in_any_precision(name: str, count: int, weights: Any) -> None:
    for precision in ("fp32", "bf16"):
        backend, shares = TorchBackend(UpscaleModel.from_descriptor(weights(name)), CPU, precision), list[float]()
        backend.run(IMAGE[None], shares.append)
        backend.run(IMAGE[None], shares.append)
        np.testing.assert_allclose(shares, [*(np.arange(1, count + 1) / count)] * 2)
        told = len(shares)
        backend.run(IMAGE[None])
        assert len(shares) == told


def upscaled(backend: Any, model: UpscaleModel, tiling: Tiling, watch: Told) -> np.ndarray:
    steps = plan_scale(Size(60, 40), model.scale, "model scale")
    out = np.zeros((steps.final_size.height, steps.final_size.width, 3), np.float32)
    upscale_image(IMAGE, model, backend, tiling, steps, out=out, progress=watch)
    return out


def test_progress_rises_within_a_tile_and_adds_up_to_the_work(weights: Any) -> None:
    model, watch = UpscaleModel.from_descriptor(weights("realesr-animevideov3")), Told()
    upscaled(TorchBackend(model, CPU, "fp32"), model, Tiling(30, 4), watch)
    assert len(watch.steps) == 4 * 36  # four tiles of 35 layers, and each once more when it is in its place
    assert max(watch.steps) <= 30 * 20 / 35 + 1
    assert sum(watch.steps) == total_pixels(Size(60, 40), 3, plan_scale(Size(60, 40), 4, "model scale"), 4)


def test_a_run_stops_within_a_tile_and_the_backend_stays_usable(weights: Any) -> None:
    model, watch = UpscaleModel.from_descriptor(weights("realesr-animevideov3")), Told(most=5)
    backend = TorchBackend(model, CPU, "fp32")
    with pytest.raises(Stop):
        upscaled(backend, model, Tiling(1000, 4), watch)
    assert len(watch.steps) == 5
    again = upscaled(backend, model, Tiling(1000, 4), Told())
    assert len(watch.steps) == 5
    np.testing.assert_array_equal(again, upscaled(TorchBackend(model, CPU, "fp32"), model, Tiling(1000, 4), Told()))


def test_half_a_tile_that_then_ran_out_of_memory_is_counted_once(weights: Any) -> None:
    class Late(NullBackend):
        """Sees only halfway that a tile is too large."""

        def run(self, batch: np.ndarray, part: OnProgress = no_progress) -> np.ndarray:
            part(0.5)
            if batch.shape[2] > 50:
                raise OutOfMemory("too large", device="test", tile=batch.shape[1])
            part(1.0)
            return super().run(batch, part)

    model, watch = UpscaleModel.from_descriptor(weights("realesr-animevideov3")), Told()
    upscaled(Late(model), model, Tiling(60, 4), watch)
    assert sum(watch.steps) == 40 * 60
    assert min(watch.steps) == 0
    assert watch.steps[0] == 40 * 60 // 2


def test_a_video_stops_within_its_first_frame(weights: Any) -> None:
    class Stopped(SilentProgress):
        asked = 0

        def check_cancelled(self) -> None:
            self.asked += 1
            if self.asked == 3:
                raise Stop

    watch = Stopped()
    settings = TiledUpscaleSettings("model scale", "cpu", precision="fp32", backend="torch")
    images = [(IMAGE * 255).astype(np.uint8)] * 2
    upscaled = upscale_video(make_stream(images), weights("realesr-animevideov3"), settings, watch)
    with pytest.raises(Stop):
        next(iter(upscaled.open()))
    assert watch.asked == 3
