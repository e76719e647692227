"""ComfyUI's IMAGE in, ComfyUI's IMAGE out: what the node calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass

import torch

from ..errors import WorkflowError
from ..frames.geometry import Size
from ..models.facts import UpscaleModel
from ..models.load import Descriptor
from .allocator import reused_memory
from .backends import Precision, open_backend
from .budget import AUTO, MODEL_HALO, Memory, bytes_per_pixel, choose_tiling
from .device import resolve, resolve_precision
from .image import Watch, upscale_picture, work
from .memory import free_memory
from .target import route
from .tiles import Tiling


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


def tiling_for(model: UpscaleModel, settings: Settings) -> Tiling:
    """What ``settings`` say, and for the rest what suits the model and fits in the memory that is free now.

    Raises what ``resolve``, ``resolve_precision`` and ``choose_tiling`` raise.
    """
    device = resolve(settings.device)
    half = resolve_precision(settings.precision, model, device) != torch.float32
    memory = Memory(free_memory(device), bytes_per_pixel(model, half=half))
    return choose_tiling(model, memory, tile=settings.tile, halo=settings.halo, batch=settings.batch)


def upscale_batch(
    images: torch.Tensor,
    descriptor: Descriptor,
    settings: Settings,
    progress: Callable[[int, str], AbstractContextManager[Watch]],
) -> torch.Tensor:
    """``images`` (B, H, W, C) in 0..1 to (B, h, w, C) float32 on the CPU, one by one into one buffer.

    C is 1 to 4 (grey, grey and alpha, RGB, RGBA). Raises ``WorkflowError`` for another C, and what ``target.route``,
    ``open_backend`` and ``upscale_picture`` raise.
    """
    model = UpscaleModel.of(descriptor)
    count, height, width, channels = images.shape
    if channels not in (1, 2, 3, 4):
        raise WorkflowError(f"The image has {channels} channels.", "Give grey, grey with alpha, RGB or RGBA: 1 to 4 channels.")
    size = Size(width, height)
    steps = route(size, model.scale, settings.target)
    device = resolve(settings.device)
    tiling = tiling_for(model, settings)
    out = torch.zeros((count, steps.final.height, steps.final.width, channels), dtype=torch.float32)
    with (
        reused_memory() if device.type == "cpu" else nullcontext(),
        closing(open_backend(settings.backend, model, str(device), settings.precision)) as backend,
        progress(work(size, channels, steps, model.scale) * count, "px") as watch,
    ):
        for image, result in zip(images, out, strict=True):
            pixels = image.detach().float().cpu().numpy()
            upscale_picture(pixels, model, backend, tiling, steps, out=result.numpy(), watch=watch, linear=settings.linear)
    return out
