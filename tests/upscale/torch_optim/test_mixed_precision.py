"""bf16 keeps the image: real weights on photographs, against fp32."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from spandrel import MAIN_REGISTRY, ImageModelDescriptor
from spandrel.architectures.ESRGAN import ESRGAN
from upscale8k.runtime.models.upscale_model import UpscaleModel
from upscale8k.runtime.upscale.backends.torch import TorchBackend
from upscale8k.runtime.upscale.torch_optim.mixed_precision import convert_to_bfloat16

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
