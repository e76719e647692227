"""What the node calls: batches, channels, settings, progress, and how much memory it takes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.runtime.errors import HardwareMissing, WorkflowError
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.upscale.image_batch import upscale_batch
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings, resolve_settings

RNG = np.random.default_rng(6)


class Told(SilentProgress):
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.total, self.done, self.open = 0, 0, False
        self.sentences: list[str] = []

    def __call__(self, total: int, unit: str) -> "Told":
        assert unit == "px"
        self.total = total
        return self

    def __enter__(self) -> "Told":
        self.open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.open = False

    def advance(self, steps: int = 1) -> None:
        self.done += steps

    def message(self, text: str) -> None:
        self.sentences.append(text)

    def preview(self, pixels: np.ndarray) -> None:
        self.shown = pixels.shape


@pytest.fixture(scope="module")
def model(weights: Callable[[str], Any]) -> Any:
    return weights("realesr-animevideov3")


def make_images(count: int, height: int, width: int, channels: int) -> torch.Tensor:
    return torch.from_numpy(RNG.random((count, height, width, channels), dtype=np.float32))


def run_upscale(images: torch.Tensor, model: Any, progress: Told | None = None, **settings: Any) -> torch.Tensor:
    return upscale_batch(
        images, model, TiledUpscaleSettings(**{"target": "model scale", "device": "cpu", **settings}), progress or Told()
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_image_of_a_batch_is_upscaled_by_itself(channels: int, model: Any) -> None:
    batch = make_images(3, 21, 30, channels)
    together = run_upscale(batch, model)
    assert together.shape == (3, 84, 120, channels)
    assert together.dtype == torch.float32
    for index in range(3):
        assert torch.equal(together[index : index + 1], run_upscale(batch[index : index + 1], model))


@pytest.mark.parametrize(
    ("channels", "target"), [(3, "model scale"), (4, "2x"), (1, "8x"), (3, "10x10"), (4, "1x"), (2, "15x10")]
)
def test_progress_ends_where_it_said(channels: int, target: str, model: Any) -> None:
    watch = Told()
    run_upscale(make_images(2, 20, 30, channels), model, watch, target=target, backend="null")
    assert watch.done == watch.total > 0
    assert not watch.open


def test_a_dry_run_repeats_pixels(model: Any) -> None:
    batch = make_images(1, 20, 30, 3)
    expected = batch.repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert torch.equal(run_upscale(batch, model, backend="null"), expected)


@pytest.mark.parametrize("settings", [{"tile": 32}, {"batch": 4, "tile": 32}, {"tile": 96, "halo": 20}])
def test_settings_that_only_cost_time_change_no_byte(settings: dict[str, int], model: Any) -> None:
    batch = make_images(1, 70, 90, 3)
    bytes_of = [
        torch.floor(result * 255 + 0.5).byte() for result in (run_upscale(batch, model), run_upscale(batch, model, **settings))
    ]
    assert torch.equal(*bytes_of)


def test_other_kinds_of_numbers_are_understood(model: Any) -> None:
    batch = make_images(1, 20, 30, 3)
    assert torch.equal(run_upscale(batch.double(), model, backend="null"), run_upscale(batch, model, backend="null"))
    assert run_upscale(batch.half(), model, backend="null").dtype == torch.float32
    assert torch.equal(run_upscale(batch.requires_grad_(), model, backend="null"), run_upscale(batch, model, backend="null"))


def test_an_empty_batch_stays_empty(model: Any) -> None:
    assert run_upscale(make_images(0, 20, 30, 3), model).shape == (0, 80, 120, 3)


def test_what_cannot_be_is_refused_before_anything_is_computed(model: Any) -> None:
    watch = Told()
    for error, batch, settings in (
        (WorkflowError, make_images(1, 20, 30, 5), {}),
        (WorkflowError, make_images(1, 20, 30, 3), {"target": "huge"}),
        (WorkflowError, make_images(1, 20, 30, 3), {"tile": 8}),
        (WorkflowError, make_images(1, 20, 30, 3), {"device": "toaster"}),
        (WorkflowError, make_images(1, 20, 30, 3), {"backend": "magic"}),
        (HardwareMissing, make_images(1, 20, 30, 3), {"device": "cuda:99"}),
    ):
        with pytest.raises(error) as caught:
            run_upscale(batch, model, watch, **settings)
        assert caught.value.hint
    assert watch.total == watch.done == 0


def test_a_run_that_is_cancelled_leaves_the_display_closed(model: Any) -> None:
    class Impatient(Told):
        def advance(self, steps: int = 1) -> None:
            raise KeyboardInterrupt

    watch = Impatient()
    with pytest.raises(KeyboardInterrupt):
        run_upscale(make_images(1, 20, 30, 3), model, watch, backend="null")
    assert not watch.open


def test_a_tiling_is_made_for_the_machine(model: Any) -> None:
    facts = UpscaleModel.from_descriptor(model)
    tiling = resolve_settings(facts, TiledUpscaleSettings("8K", "cpu", backend="torch")).tiling
    assert tiling.halo == 18
    assert tiling.merge == "crop"
    assert 96 <= tiling.tile <= 1024
    assert resolve_settings(facts, TiledUpscaleSettings("8K", "cpu", tile=64, batch=2)).tiling.tile == 64


# A copy of the upscaled image in float would be 288 MB more, the weights' layers nothing: the null backend has none.
MEMORY = """
import sys
sys.path.insert(0, sys.argv[1])
from runtime.bootstrap import load_pack
load_pack()
import numpy as np, torch
from upscale8k.runtime.bench.workers.worker_setup import read_peak_resident_bytes as peak
from upscale8k.runtime.progress import SilentProgress
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.upscale.image_batch import upscale_batch
from upscale8k.runtime.upscale.resolved_settings import TiledUpscaleSettings

channels, target = int(sys.argv[2]), sys.argv[3]
model = load_model(find_model("realesr-animevideov3", ()))
small = torch.rand(1, 64, 64, channels)
settings = TiledUpscaleSettings(target, "cpu", tile=256, backend="null", linear=True)
upscale_batch(small, model, settings, lambda total, unit: SilentProgress())
height, width = map(int, sys.argv[4].split("x"))
image = torch.rand(1, height, width, channels)
before = peak()
result = upscale_batch(image, model, settings, lambda total, unit: SilentProgress())
print(peak() - before, result.numel() * 4)
"""


@pytest.mark.parametrize(
    ("channels", "target", "size", "most"),
    [
        (3, "model scale", "1000x1500", 150e6),
        (4, "model scale", "1000x1500", 150e6),
        (3, "3x", "1000x1500", 250e6),  # a row of upscaled tiles (74 MB) waits to be reduced
    ],
)
def test_memory_is_one_result_and_little_else(channels: int, target: str, size: str, most: float, root: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(root), str(channels), target, size]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    grown, result = map(int, done.stdout.split())
    print(grown / 1e6, result / 1e6)
    assert grown < result + most
