"""On a real GPU: half precision is close enough, the device's memory comes back, and tiles are still exact."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from upscale8k.runtime.models.facts import UpscaleModel
from upscale8k.runtime.upscale.backends.torch import TorchBackend

pytestmark = pytest.mark.cuda


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((first.astype(np.float64) - second) ** 2) + 1e-20))


@pytest.mark.parametrize("name", ["realesrgan-x4plus", "realesrgan-x4plus-anime", "realesr-animevideov3"])
def test_half_precision_agrees_with_full_precision_to_50_db(name: str, weights: Callable, photograph: np.ndarray) -> None:
    model = UpscaleModel.of(weights(name))
    crop = photograph[None, 100:228, 120:248]
    half, full = TorchBackend(model, "cuda", "auto"), TorchBackend(model, "cpu", "fp32")
    assert psnr(half.run(crop), full.run(crop)) >= 50


def test_closing_gives_the_memory_back(weights: Callable, photograph: np.ndarray) -> None:
    before = torch.cuda.memory_allocated()
    backend = TorchBackend(UpscaleModel.of(weights("realesr-animevideov3")), "cuda", "auto")
    backend.run(photograph[None, :128, :128])
    backend.close()
    assert torch.cuda.memory_allocated() == before
