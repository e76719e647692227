"""bf16 and fp16 keep the image: real weights on photographs, against fp32."""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from spandrel import MAIN_REGISTRY, ImageModelDescriptor
from spandrel.architectures.ESRGAN import ESRGAN
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from upscale8k.runtime.hardware.tile_memory import default_footprint
from upscale8k.runtime.models.network_copy import copy_without_host_state
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.torch_optim import mixed_precision
from upscale8k.runtime.upscale.torch_optim.mixed_precision import convert_to_bfloat16
from upscale8k.runtime.upscale.torch_optim.optimize import optimize_for_gpu

pytestmark = pytest.mark.usefixtures("two_threads")

CPU = torch.device("cpu")


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((first.astype(np.float64) - second) ** 2)))


def both(descriptor: Any, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    model = UpscaleModel.from_descriptor(descriptor)
    full, half = (TorchBackend(model, CPU, precision).run(crop[None])[0] for precision in ("fp32", "bf16"))
    return full, half


@pytest.mark.parametrize(("name", "least"), [("realesr-animevideov3", 58), ("realesrgan-x4plus", 56)])
def test_a_photograph_in_bf16_is_the_image_of_fp32(name: str, least: float, weights: Callable, photograph: np.ndarray) -> None:
    full, half = both(weights(name), photograph[200:232, 200:232])
    assert psnr(half, full) >= least
    assert abs(float((half - full).mean())) * 255 < 0.2


def test_the_image_itself_is_not_rounded_to_bf16(weights: Callable, photograph: np.ndarray) -> None:
    """Nor is its brightness in steps of 1/256, which a video of ten bits would show as bands."""
    _, half = both(weights("realesr-animevideov3"), photograph[:32, :32])
    rounded = torch.as_tensor(half).bfloat16().float().numpy()
    assert (rounded != half).mean() > 0.9


def test_a_network_with_additions_is_all_in_bf16() -> None:
    torch.manual_seed(8)
    net = ESRGAN(num_blocks=1, num_filters=8, scale=4, plus=True)
    assert convert_to_bfloat16(net) is torch.bfloat16
    assert {parameter.dtype for parameter in net.parameters()} == {torch.bfloat16}


def test_a_network_with_pixel_unshuffle_keeps_its_ends_too(photograph: np.ndarray) -> None:
    torch.manual_seed(8)
    net = ESRGAN(in_nc=12, num_blocks=1, num_filters=8, scale=4, shuffle_factor=2)
    descriptor = MAIN_REGISTRY.load({key: value.clone() for key, value in net.state_dict().items()}).eval()
    assert isinstance(descriptor, ImageModelDescriptor)
    assert UpscaleModel.from_descriptor(descriptor).architecture == "ESRGAN"
    full, half = both(descriptor, photograph[:17, :23])
    assert half.shape == full.shape == (34, 46, 3)
    assert psnr(half, full) > 45


def count_upper_codes(image: np.ndarray) -> int:
    """Distinct 16-bit codes between 0.5 and 1."""
    codes = np.floor(image.astype(np.float64) * 65535 + 0.5).astype(int)
    return len(np.unique(codes[codes >= 32768]))


@pytest.mark.parametrize(("name", "side", "least"), [("realesr-animevideov3", 64, 80), ("realesrgan-x4plus", 16, 70)])
def test_fp16_keeps_the_steps_of_16_bits(name: str, side: int, least: float, weights: Callable, photograph: np.ndarray) -> None:
    """fp16 itself has 1024 steps between 0.5 and 1."""
    model = UpscaleModel.from_descriptor(weights(name))
    full, half = (
        TorchBackend(model, CPU, precision).run(photograph[None, 100 : 100 + side, 200 : 200 + side])
        for precision in ("fp32", "fp16")
    )
    assert count_upper_codes(half) >= 0.95 * count_upper_codes(full) > 2000
    assert psnr(half, full) >= least


def make_card_network(descriptor: Any) -> Any:
    """The network as a card runs it in fp16: without what is done for processors."""
    network = copy_without_host_state(descriptor, descriptor.model)
    assert optimize_for_gpu(network.model, torch.float16) is torch.float32
    return network.eval()


@pytest.mark.parametrize("name", ["realesr-animevideov3", "realesrgan-x4plus"])
def test_the_ends_of_a_card_network_are_the_same_in_patches_and_the_last_uses_tf32(
    name: str, weights: Callable, photograph: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The features before it are fp16, which TF32 holds exactly; the setting of the process holds again."""
    network = make_card_network(weights(name))
    tile = torch.as_tensor(photograph[40:50, 50:62]).permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
    seen: list[str] = []
    convolve = torch.nn.Conv2d.forward

    def record(conv: torch.nn.Conv2d, features: torch.Tensor) -> torch.Tensor:
        seen.append(torch.backends.cudnn.conv.fp32_precision if features.dtype is torch.float32 else "fp16")
        return convolve(conv, features)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", record)
    with torch.inference_mode():
        whole = network(tile)
        assert (seen[0], {*seen[1:-1]}, seen[-1]) == ("ieee", {"fp16"}, "tf32")
        before = torch.backends.cudnn.conv.fp32_precision
        monkeypatch.setattr(mixed_precision._PatchedFp32Conv, "_PATCH_SIDE", 8)
        torch.testing.assert_close(network(tile), whole, rtol=0, atol=1e-5)
    assert whole.dtype is torch.float32
    assert torch.backends.cudnn.conv.fp32_precision == before


def test_a_card_network_in_fp16_fits_in_the_memory_that_tiles_are_chosen_for(weights: Callable) -> None:
    """Live tensors of the whole tile; one patch is counted apart, and small here."""
    net = ESRGAN(num_blocks=1, num_filters=64, scale=4)  # blocks follow one another, so more take no more memory
    esrgan = MAIN_REGISTRY.load({key: value.clone() for key, value in net.state_dict().items()})
    for descriptor, side in ((weights("realesr-animevideov3"), 96), (esrgan, 48)):
        model = UpscaleModel.from_descriptor(descriptor)
        footprint = default_footprint(model.architecture, model.scale, backend="torch", half=True, on_gpu=True)
        network = make_card_network(descriptor)
        with pytest.MonkeyPatch.context() as patch, torch.inference_mode(), LiveBytes() as live:
            patch.setattr(mixed_precision._PatchedFp32Conv, "_PATCH_SIDE", 24)
            network(torch.rand(1, 3, side, side).contiguous(memory_format=torch.channels_last))
        assert 0.5 < live.peak / side**2 / footprint.bytes_per_pixel <= 1


class LiveBytes(TorchDispatchMode):
    """The most bytes that tensors made in the block took at once."""

    def __init__(self) -> None:
        super().__init__()
        self._live: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        made = function(*arguments, **(options or {}))
        for tensor in tree_iter(made):
            if isinstance(tensor, torch.Tensor) and (key := (storage := tensor.untyped_storage()).data_ptr()) not in self._live:
                self._live[key] = storage.nbytes()
                weakref.finalize(storage, self._live.pop, key, 0)
        self.peak = max(self.peak, sum(self._live.values()))
        return made
