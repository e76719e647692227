"""ComfyUI's IMAGE in, ComfyUI's IMAGE out: what the node calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass

import psutil
import torch

from ..frames.geometry import Size
from ..models.facts import UpscaleModel
from ..models.load import Descriptor
from .allocator import reused_memory
from .backends import Precision, open_backend
from .budget import AUTO, MODEL_HALO, Memory, bytes_per_pixel, choose_tiling
from .device import resolve
from .image import Watch, upscale_picture, work
from .target import route

_HOST_MEMORY_SHARE, _HOST_MEMORY_MOST = 0.25, 2_100_000_000
_GPU_MEMORY_SHARE, _GPU_MEMORY_MOST = 0.6, 6_000_000_000


@dataclass(frozen=True)
class Settings:
    """What the node was told. ``tile`` 0 and ``halo`` -1 leave the choice to ``budget``."""

    target: str
    device: str
    tile: int = AUTO
    halo: int = MODEL_HALO
    batch: int = 1
    precision: Precision = "auto"
    linear: bool = False
    backend: str = "auto"


def upscale_batch(
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: Settings,
    progress: Callable[[int, str], AbstractContextManager[Watch]],
) -> torch.Tensor:
    """``images`` (B, H, W, C) in 0..1 to (B, h, w, C) float32 on the CPU, one by one into one buffer.

    C is 1 to 4 (grey, grey and alpha, RGB, RGBA). Raises what ``target.route``, ``open_backend`` and ``upscale_picture`` raise.
    """
    model = UpscaleModel.of(descriptor)
    count, height, width, channels = images.shape
    size = Size(width, height)
    steps = route(size, model.scale, settings.target)
    device = resolve(settings.device)
    gpu = device.type != "cpu"
    half = gpu and settings.precision != "fp32" and model.half_safe
    memory = Memory(_free_memory(device), bytes_per_pixel(model, half=half))
    tiling = choose_tiling(model, memory, tile=settings.tile, halo=settings.halo, batch=settings.batch)
    out = torch.zeros((count, steps.final.height, steps.final.width, channels), dtype=torch.float32)
    with (
        nullcontext() if gpu else reused_memory(),
        closing(open_backend(settings.backend, model, str(device), settings.precision)) as backend,
        progress(max(work(size, channels, steps, model.scale), 1) * count, "px") as watch,
    ):
        for image, result in zip(images, out, strict=True):
            pixels = image.detach().float().cpu().numpy()
            upscale_picture(pixels, model, backend, tiling, steps, out=result.numpy(), watch=watch, linear=settings.linear)
    return out


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        return min(int(free * _GPU_MEMORY_SHARE), _GPU_MEMORY_MOST)
    return min(int(psutil.virtual_memory().available * _HOST_MEMORY_SHARE), _HOST_MEMORY_MOST)
