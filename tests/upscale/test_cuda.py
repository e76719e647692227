"""On a real GPU: half precision is close enough, the device's memory comes back, and tiles are still exact."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.backends.torch import TorchBackend

pytestmark = pytest.mark.cuda
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((first.astype(np.float64) - second) ** 2) + 1e-20))


@pytest.mark.parametrize("name", ["realesrgan-x4plus", "realesrgan-x4plus-anime", "realesr-animevideov3"])
def test_half_precision_agrees_with_full_precision_to_50_db(name: str, weights: Callable, photograph: np.ndarray) -> None:
    model = UpscaleModel.from_descriptor(weights(name))
    crop = photograph[None, 100:228, 120:248]
    half, full = TorchBackend(model, CUDA, "fp16"), TorchBackend(model, CPU, "fp32")
    assert psnr(half.run(crop), full.run(crop)) >= 50


def test_closing_gives_the_memory_back(weights: Callable, photograph: np.ndarray) -> None:
    before = torch.cuda.memory_allocated()
    backend = TorchBackend(UpscaleModel.from_descriptor(weights("realesr-animevideov3")), CUDA, "fp16")
    backend.run(photograph[None, :128, :128])
    backend.close()
    assert torch.cuda.memory_allocated() == before


def test_recorded_and_plain_runs_give_the_same_bits(weights: Callable, photograph: np.ndarray) -> None:
    model = UpscaleModel.from_descriptor(weights("realesr-animevideov3"))
    backend = TorchBackend(model, CUDA, "fp16")
    tiles = [photograph[None, top : top + 128, 100:228] for top in (0, 64, 128, 192, 256)]
    plain = [TorchBackend(model, CUDA, "fp16").run(tile) for tile in tiles]
    for tile, expected in zip(tiles, plain, strict=True):  # the third and later ones are replayed
        np.testing.assert_array_equal(backend.run(tile), expected)
    assert backend._graph_runner is not None
    assert backend._graph_runner._graph is not None
    other = photograph[None, :96, :128]
    np.testing.assert_array_equal(backend.run(other), TorchBackend(model, CUDA, "fp16").run(other))


def test_results_do_not_share_memory(weights: Callable, photograph: np.ndarray) -> None:
    backend = TorchBackend(UpscaleModel.from_descriptor(weights("realesr-animevideov3")), CUDA, "fp16")
    first = backend.run(photograph[None, :64, :64])
    kept = first.copy()
    for _ in range(4):
        backend.run(photograph[None, 100:164, 100:164])
    np.testing.assert_array_equal(first, kept)


def test_fp32_is_not_tf32(weights: Callable, photograph: np.ndarray) -> None:
    model = UpscaleModel.from_descriptor(weights("realesrgan-x4plus-anime"))
    crop = photograph[None, 100:164, 120:184]
    gpu, cpu = TorchBackend(model, CUDA, "fp32").run(crop), TorchBackend(model, CPU, "fp32").run(crop)
    np.testing.assert_allclose(gpu, cpu, rtol=0, atol=1e-4)


def test_openvino_and_auto_leave_the_gpu_to_torch(weights: Callable) -> None:
    from upscale8k.runtime.upscale.autotune.select import select_backend

    assert select_backend(UpscaleModel.from_descriptor(weights("realesr-animevideov3")), CUDA, "auto").backend == "torch"
